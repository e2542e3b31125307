"""A stranger's recipe folder with one thing wrong: `make check-recipes` names the file, the key, the value and the fix."""

import shutil
from pathlib import Path

import pytest

from open_vr1.recipe_folder.check import main, problems
from open_vr1.recipe_folder.commands import commands_in
from open_vr1.recipe_folder.index import index_problems
from open_vr1.recipe_folder.index import main as write_index

BROKEN = {
    "unknown key": ("ptst.yaml", "beta: 0.01", "betta: 0.01", "betta: unknown key; the nearest is beta"),
    "wrong type": ("ptst.yaml", "epsilon: 0.2", "epsilon: narrow", "epsilon: 'narrow' is not a number"),
    "wrong word": ("ptst.yaml", "loss_type: dapo", "loss_type: dappo", "loss_type: 'dappo' is none of"),
    "unknown reward": ("ptst.yaml", "[hard_format_result]", "[hard_format]", "no reward 'hard_format'"),
    "split group": ("ptst.yaml", "_batch_size: 4", "_batch_size: 3", "per_device_train_batch_size: 3"),
    "boundary without checkpoint": ("ptst.yaml", "save_steps: 5", "save_steps: 30", "save_steps: 30"),
    "length also at the top": ("ptst.yaml", "seed: 0", "max_completion_length: 9", "max_completion_length: also set"),
    "short engine": ("ptst.yaml", "model_length: 9216", "model_length: 4096", "vllm_max_model_length: 4096"),
    "loss scaled by the length": ("ptst.yaml", "loss_type: dapo", "loss_type: dr_grpo", "loss_type: dr_grpo"),
    "too large": ("ptst.yaml", "_batch_size: 4", "_batch_size: 64", "a GPU of 75 GiB is to hold"),
    "unknown model": ("ptst.yaml", "Vision-R1-CI-7B", "Vision-R2-7B", "Vision-R2-7B: its shape is not known offline"),
    "unknown dataset": (
        "ptst.yaml",
        "Osilly/Vision-R1-rl}",
        "some/rows}",
        "datasets: some/rows of ptst.yaml is not among",
    ),
    "missing rows": (
        "ptst.yaml",
        "Osilly/Vision-R1-rl}",
        "outputs/no/rows}",
        "datasets[0].path: outputs/no/rows: is not there",
    ),
    "no first line": (
        "ptst.yaml",
        "# Vision-R1-7B: GRPO",
        "#vision-r1: GRPO",
        "the first line says what the recipe is",
    ),
    "publishes by itself": ("ptst.yaml", "seed: 0", "push_to_hub: true", "push_to_hub: true: "),
    "another's folder": (
        "ptst.yaml",
        "outputs/vr1_new/final",
        "outputs/vr1_7b/final",
        "output_dir: outputs/vr1_7b/final",
    ),
    "link to nowhere": ("README.md", "# vr1_new", "# vr1_new\n\n[log](log.md)", "README.md:13: log.md"),
    "left to write": ("README.md", "as vr1_7b", "TODO what it trains", "README.md:2: 'summary: TODO what it trains'"),
    "unknown fact": ("README.md", "hardware:", "hardwear: x\nhardware:", "README.md:1: hardwear: unknown"),
    "half a paper": (
        "README.md",
        "run: no",
        "paper: {title: Ours}\nrun: no",
        "README.md:1: paper: {'title': 'Ours'} is none",
    ),
    "processes of no recipe": ("README.md", "{ptst: 8}", "{ptst: 8, sft: 8}", "processes: sft: there is no sft.yaml"),
    "variable that nothing reads": (
        "README.md",
        "ACCELERATE=zero3",
        "ACCELERATE=zero3 GPU_GIB=80",
        "GPU_GIB: make grpo reads no such variable",
    ),
    "open quote": ("README.md", "ACCELERATE=zero3", 'ACCELERATE="zero3', "README.md:14: 'make grpo"),
    "no license": ("README.md", "license: apache-2.0", "", "README.md:1: license: missing"),
    "unknown license": ("README.md", "apache-2.0", "apache2", "license: 'apache2' is not one"),
    "half a license": (
        "README.md",
        "license: apache-2.0",
        "license: other",
        "license_name: missing, and license is other",
    ),
    "no front matter": ("README.md", "---\nsummary", "summary", "README.md:1: no front matter"),
    "other processes": ("README.md", "{ptst: 8}", "{ptst: 16}", "trains with 8 processes, and processes says 16"),
    "target that is not there": (
        "README.md",
        "make grpo",
        "make grop",
        "make grop: no such target; the nearest is grpo",
    ),
    "file that is not there": (
        "README.md",
        "vr1_new/ptst.yaml",
        "vr1_new/pst.yaml",
        "RECIPE=recipes/vr1_new/pst.yaml",
    ),
    "target of another task": ("README.md", "make grpo", "make sft", "is for make grpo"),
    "accelerate config": ("README.md", "=zero3", "=zero4", "ACCELERATE=zero4: there is no"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_one_thing_wrong_is_named_with_its_place(stranger, kind):
    file, before, after, words = BROKEN[kind]
    text = (stranger / file).read_text()
    assert before in text
    (stranger / file).write_text(text.replace(before, after, 1))
    found = problems(stranger)
    (named,) = [problem for problem in found if words in problem]
    assert named.startswith(("recipes/vr1_new/ptst.yaml", "recipes/vr1_new/README.md"))


def test_lines_go_on_behind_a_backslash_and_no_further_than_their_block(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "```bash\nmake sft \\\n  RECIPE=a\nmake grpo \\\n```\n\n```bash\nX=1 make demo && make test\n```\n"
    )
    found = [(command.place.rpartition(":")[2], command.target, command.variables) for command in commands_in(page)]
    assert found == [("2", "sft", {"RECIPE": "a"}), ("4", "grpo", {}), ("8", "demo", {"X": "1"}), ("8", "test", {})]


def test_every_wrong_key_is_named_at_once_with_its_line(stranger):
    text = (stranger / "ptst.yaml").read_text()
    text = text.replace("beta: 0.01", "betta: 0.01").replace("epsilon: 0.2", "epsilon: narrow")
    (stranger / "ptst.yaml").write_text(text)
    lines = [number for number, line in enumerate(text.splitlines(), 1) if "betta" in line or "narrow" in line]
    found = problems(stranger)
    assert [problem.partition(": ")[0] for problem in found] == [
        f"{stranger}/ptst.yaml:{line}" for line in sorted(lines)
    ]


def test_a_wrong_grid_is_named_and_one_that_nobody_runs(stranger):
    tiny = Path("recipes/vr1_tiny")
    grid = tiny / "sweep_clip.yaml"
    grid.write_text(grid.read_text().replace("seeds:", "sedes:"))
    shutil.copy(tiny / "sweep.yaml", tiny / "sweep_new.yaml")
    found = problems(tiny)
    assert any(problem.startswith(str(grid)) and "sedes" in problem for problem in found)
    assert any("no command runs recipes/vr1_tiny/sweep_new.yaml" in problem for problem in found)


def test_no_readme_is_said(stranger):
    (stranger / "README.md").unlink()
    assert any("README.md: missing" in problem for problem in problems(stranger))


def test_the_index_follows_the_readmes_and_says_which_row_is_old(stranger):
    readme = stranger / "README.md"
    readme.write_text(readme.read_text().replace("run: no", 'run: "yes, one seed"'))
    assert index_problems([stranger]) == [
        "recipes/README.md: the row of vr1_new is missing or old; run make recipes-index"
    ]
    assert write_index() == 0 and index_problems([stranger]) == []
    assert "| 8 x 80 GB | yes, one seed |" in Path("recipes/README.md").read_text()
    shutil.rmtree("recipes/vr1_3b")
    assert index_problems([stranger]) == ["recipes/README.md: its table is old; run make recipes-index"]
    Path("recipes/README.md").write_text("# Recipes\n")
    assert "are not both there" in index_problems([stranger])[0]


def test_the_command_counts_what_is_wrong_and_fails(stranger, capsys):
    assert main(["vr1_new", "--no_dry_run"]) == 0
    assert "1 recipes in 1 folders: nothing is wrong" in capsys.readouterr().out
    (stranger / "ptst.yaml").write_text("# A recipe.\ntask: grpo\n")
    assert main(["vr1_new"]) == 2
    err = capsys.readouterr().err.splitlines()
    assert err[-1] == f"error: {len(err) - 1} to mend in 1 recipe folders" and len(err) > 1
    assert main(["vr1_nwe"]) == 2
    assert "the nearest is vr1_new" in capsys.readouterr().err
