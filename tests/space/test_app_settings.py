"""The Space's variables are read or refused in one line; its files are complete and stand alone."""

import ast
import json
import re
import sys

import pytest
import yaml

from settings import SettingError, read_checkpoints, read_settings
from tests.space.conftest import SPACE

ROOT = SPACE.parents[1]
GOOD = '[{"label": "a", "model": "you/a"}]'


def test_the_first_checkpoint_comes_first_and_defaults_fill_the_rest():
    settings = read_settings(
        {"CHECKPOINTS": '[{"label": "b", "model": "you/m", "revision": "stage-1"}, {"label": "a", "model": "you/m"}]'}
    )
    assert [checkpoint.source for checkpoint in settings.checkpoints] == ["you/m @ stage-1", "you/m"]
    assert (settings.title, settings.max_new_tokens, settings.max_seconds) == ("Vision reasoner", 2048, 120)


def test_on_zerogpu_a_question_reserves_no_more_than_a_visitor_without_an_account_has():
    assert 1.5 * read_settings({"CHECKPOINTS": GOOD}, on_zerogpu=True).max_seconds <= 120
    assert read_settings({"CHECKPOINTS": GOOD, "MAX_SECONDS": "90"}, on_zerogpu=True).max_seconds == 90


def test_a_folder_is_shown_without_the_folders_above_it(tmp_path):
    (checkpoint,) = read_checkpoints(json.dumps([{"label": "a", "model": str(tmp_path)}]))
    assert checkpoint.is_folder and checkpoint.source == tmp_path.name


@pytest.mark.parametrize(
    "text",
    [
        "",
        "stage 1",
        "{}",
        "[]",
        '["you/a"]',
        '[{"label": "a"}]',
        '[{"label": "", "model": "you/a"}]',
        '[{"label": "a", "model": 3}]',
        '[{"label": "a", "model": "you/a", "branch": "b"}]',
        '[{"label": "a", "model": "no such folder"}]',
        '[{"label": "a", "model": "you/a"}, {"label": "a", "model": "you/b"}]',
    ],
)
def test_broken_checkpoints_are_refused_in_one_line_with_name_value_and_fix(text):
    with pytest.raises(SettingError) as refused:
        read_checkpoints(text)
    line = str(refused.value)
    assert "\n" not in line and line.startswith("CHECKPOINTS: ") and 'write CHECKPOINTS=[{"label"' in line
    assert text.strip("[]") in line


@pytest.mark.parametrize(("name", "value"), [("MAX_NEW_TOKENS", "0"), ("MAX_SECONDS", "two"), ("MAX_SECONDS", "-1")])
def test_numbers_that_are_none_are_refused_in_one_line(name, value):
    with pytest.raises(SettingError, match=f"{name}: {value} .* write {name}="):
        read_settings({"CHECKPOINTS": GOOD, name: value})


def test_the_app_stops_with_that_line_and_no_traceback(run_watched):
    done = run_watched([sys.executable, SPACE / "app.py"], env={"CHECKPOINTS": "stage 1"}, timeout=120)
    lines = done.stderr.strip().splitlines()
    assert done.returncode == 1 and lines[-1].startswith("error: CHECKPOINTS: stage 1 is no JSON")
    assert "Traceback" not in done.stderr


def front_matter():
    return yaml.safe_load((SPACE / "README.md").read_text().split("---\n")[1])


def test_the_front_matter_is_what_the_hub_takes():
    card = front_matter()
    tested = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
    assert card["sdk"] == "gradio" and card["sdk_version"] == tested["gradio"] and card["python_version"] == "3.12"
    assert (SPACE / card["app_file"]).is_file() and len(card["short_description"]) <= 60
    colours = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
    assert {card["colorFrom"], card["colorTo"]} <= colours
    assert card["license"] == "apache-2.0" and card["models"] == [] and card["suggested_hardware"] == "zero-a10g"


def test_every_variable_that_the_app_reads_is_in_its_readme():
    variables = set(re.findall(r'"([A-Z_]{4,})"', (SPACE / "settings.py").read_text()))
    assert variables == {"CHECKPOINTS", "TITLE", "MAX_NEW_TOKENS", "MAX_SECONDS"}
    assert all(f"`{name}`" in (SPACE / "README.md").read_text() for name in variables)


def test_the_app_stands_alone_and_asks_for_all_that_it_imports():
    brought = {"gradio", "torch", "huggingface_hub", "spaces"}
    asked = {re.split(r"[<>=]", line)[0] for line in (SPACE / "requirements.txt").read_text().splitlines()}
    names = {"PIL": "pillow"}
    for file in SPACE.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            modules = [node.module] if isinstance(node, ast.ImportFrom) else []
            modules += [name.name for name in node.names] if isinstance(node, ast.Import) else []
            for module in {module.partition(".")[0] for module in modules}:
                here = (SPACE / f"{module}.py").is_file()
                assert here or module in sys.stdlib_module_names or names.get(module, module) in brought | asked, file


def test_requirements_pin_nothing_that_the_space_brings():
    for line in (SPACE / "requirements.txt").read_text().splitlines():
        assert line.startswith("#") or not re.match(r"(torch|gradio|spaces|huggingface.hub)\b", line)
