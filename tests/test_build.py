"""Folders that a recipe makes itself: whole or not there, made once, and never taken for what they are not."""

import json
import sys
from pathlib import Path

import pytest

from open_vr1.build import run_builds
from open_vr1.errors import UserError
from open_vr1.recipe import Recipe
from open_vr1.recipe_arguments import SFTArguments

BUILDER = """
from pathlib import Path

def build(path, text="hello", fail=False):
    (Path(path) / "text").write_text(text)
    if fail:
        raise RuntimeError("in the middle")
    with open("calls", "a") as calls:
        calls.write("x")
"""


@pytest.fixture
def builder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    Path("own_builder.py").write_text(BUILDER)
    monkeypatch.syspath_prepend(".")
    monkeypatch.delitem(sys.modules, "own_builder", raising=False)

    def recipe(path: str = "outputs/made", function: str = "build", **args) -> Recipe:
        entry = {"path": path, "with": f"own_builder:{function}", "args": args}
        return Recipe(Path("recipe.yaml"), {}, SFTArguments(task="sft", build=[entry]), training=None, model=None)

    return recipe


def test_a_missing_folder_is_built_once_and_says_what_built_it(builder):
    for _ in range(2):
        run_builds(builder(text="a"))
    assert Path("outputs/made/text").read_text() == "a"
    stamp = json.loads(Path("outputs/made/built.json").read_text())
    assert (stamp["with"], stamp["args"]) == ("own_builder:build", {"text": "a"})
    assert Path("calls").read_text() == "x"


def test_a_folder_built_from_other_args_is_not_taken_and_not_replaced(builder):
    run_builds(builder(text="a"))
    with pytest.raises(UserError, match="outputs/made.*text='a'.*text='b'.*delete"):
        run_builds(builder(text="b"))
    assert Path("outputs/made/text").read_text() == "a"


def test_a_folder_built_by_other_code_is_taken_with_a_warning_that_names_it(builder, caplog):
    run_builds(builder(text="a"))
    run_builds(builder(text="a"))
    assert not caplog.records
    Path("own_builder.py").write_text(f"{BUILDER}\n# changed\n")
    run_builds(builder(text="a"))
    assert "outputs/made was made by other code of own_builder:build; delete it" in caplog.text
    assert Path("calls").read_text() == "x"


def test_a_folder_of_the_users_own_stays_as_it_is(builder):
    Path("outputs/made").mkdir(parents=True)
    run_builds(builder())
    assert list(Path("outputs/made").iterdir()) == []


def test_a_build_that_fails_leaves_nothing(builder):
    with pytest.raises(RuntimeError):
        run_builds(builder(fail=True))
    assert list(Path("outputs").iterdir()) == []


def test_a_folder_that_another_process_finished_first_is_taken(builder, monkeypatch):
    run_builds(builder())
    exists = Path.exists
    monkeypatch.setattr(Path, "exists", lambda self: self != Path("outputs/made") and exists(self))
    run_builds(builder())
    assert Path("calls").read_text() == "xx"
    assert [found.name for found in Path("outputs").iterdir()] == ["made"]


def test_a_build_function_that_does_not_fit_is_named(builder):
    with pytest.raises(UserError, match="own_builder has no function bild"):
        run_builds(builder(function="bild"))
    with pytest.raises(UserError, match="txt"):
        run_builds(builder(txt="a"))
