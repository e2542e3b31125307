"""docs/results.md: a number of ours has an interval, a source and a command, and every command reaches its program."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

PAGE = Path("docs/results.md").read_text()
COMMANDS = [
    line
    for block in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("make ")
]
# `68.1 (65.2 to 70.9) [results](https://...)`
MEASURED = re.compile(r"\d+\.\d+ \(\d+\.\d+ to \d+\.\d+\) \[results\]\(https?://\S+\)$")
NUMBER = r"(?:worst )?\d+(?:\.\d+)?"


def ours(page):
    """The rows of ours: `(model, revision, cells of figures)`."""
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|") or not ("ours" in cells or any(cell.endswith(", ours") for cell in cells)):
            continue
        (model,) = re.findall(r"`([\w.-]+/[\w.-]+)`", line)
        revision = re.search(r"at `([\w.-]+)`", line)
        # What is neither the model nor a number nor "not run" says what it is: schedule, base, source.
        figures = [cell for cell in cells if re.match(rf"not run|{NUMBER}(?: |$)", cell) and " x " not in cell]
        yield model, revision[1] if revision else "main", figures


ROWS = list(ours(PAGE))


def variables(command):
    return dict(word.split("=", 1) for word in shlex.split(command) if "=" in word)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_page_reaches_its_program_with_all_that_it_says(command):
    done = subprocess.run(["make", "-n", *shlex.split(command)[1:]], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    line = next(line for line in done.stdout.replace("\\\n", " ").splitlines() if "-m open_vr1" in line)
    module = re.search(r"-m ([\w.]+)", line)[1]
    assert module == {"evaluate": "open_vr1.evaluate", "compare": "open_vr1.evals.compare"}[command.split()[1]]
    assert all(value in line for value in variables(command).values())


@pytest.mark.parametrize("command", [command for command in COMMANDS if "RECIPE=" in command])
def test_an_evaluation_of_the_page_uses_a_recipe_folder_that_is_there(command):
    recipe = Path(variables(command)["RECIPE"])
    assert recipe.parent.is_dir() and recipe.name == "eval.yaml"


def test_every_row_of_ours_has_a_command():
    asked = {(said["MODEL"], said["REVISION"]) for said in map(variables, COMMANDS) if "MODEL" in said}
    assert len(ROWS) >= 10 and {(model, revision) for model, revision, _ in ROWS} == asked


@pytest.mark.parametrize(("model", "revision", "figures"), ROWS)
def test_a_number_of_ours_has_an_interval_and_a_link(model, revision, figures):
    assert len(figures) >= 4
    assert all(cell == "not run" or MEASURED.match(cell) for cell in figures)


@pytest.mark.parametrize("cell", ["68.1", "68.1 (65.2 to 70.9)", "68.1 [results](https://example.org)"])
def test_a_number_without_interval_or_link_would_be_seen(cell):
    row = f"| `open-vr1/vr1-7b` | ours | {cell} | not run |"
    ((_, _, figures),) = ours(row)
    assert figures[0] == cell and not MEASURED.match(cell)
    assert MEASURED.match("68.1 (65.2 to 70.9) [results](https://example.org/results.json)")


@pytest.mark.parametrize("heading", re.findall(r"^## (.+)$", PAGE, re.MULTILINE))
def test_numbers_of_others_name_their_source(heading):
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    assert re.search(r"Source|source|https://|paper, version", section) or not re.search(r"\| \d", section)


def test_the_averages_of_the_paper_are_those_of_its_rows():
    rows = [line for line in PAGE.splitlines() if "| paper |" in line]
    for line in rows:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        numbers = [float(cell) for cell in cells if re.fullmatch(r"\d+\.\d", cell)]
        parts = numbers[-4:-1] if len(numbers) == 4 else [numbers[4], numbers[5], numbers[7], numbers[8]]
        assert sum(parts) / len(parts) == pytest.approx(numbers[-1], abs=0.06), line
