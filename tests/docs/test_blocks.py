"""Blocks of YAML and Python on the pages: recipes read, keys are keys, code compiles, and what needs nothing else runs."""

import contextlib
import re
import runpy
from pathlib import Path

import pytest
import yaml

from open_vr1.elsewhere import Elsewhere
from open_vr1.errors import UserError
from open_vr1.recipe import read_recipe
from open_vr1.recipe_folder.facts import FACTS, OF_OTHERS, PAPER
from tests.docs.pages import PAGES, ROOT, blocks

# Blocks without a task are a part of a recipe of one of these.
WHOLE = [ROOT / f"recipes/{name}.yaml" for name in ("vr1_7b/ptst", "vr1_7b/sft", "vr1_7b/eval", "cold_200k/bridge")]
NODE = Elsewhere(processes=8)
YAML = [(page, block) for page in PAGES for block in blocks((ROOT / page).read_text(), "yaml")]
PYTHON = [(page, block) for page in PAGES for block in blocks((ROOT / page).read_text(), "python")]
# Code that needs data, and who runs it.
RUN_ELSEWHERE = {
    "docs/cold.md": "tests/hub/test_dataset_card.py loads a finished folder in the same words",
    "docs/evaluation.md": "tests/evals/test_docs.py",
    "docs/publishing.md": "tests/hub/test_dataset_card.py loads from a Hub in the same words",
    "docs/quickstart.md": "tests/docs/test_quickstart.py",
}


@pytest.fixture
def shown(tmp_path, monkeypatch):
    """The recipes, with the files beside them that the pages have the reader write."""
    monkeypatch.chdir(tmp_path)
    Path("recipes").mkdir()
    for folder in (ROOT / "recipes").iterdir():
        Path("recipes", folder.name).symlink_to(folder)
    for _, code in PYTHON:
        if named := re.match(r"# (recipes/\S+\.py)\n", code):
            Path(named[1]).parent.mkdir(exist_ok=True)
            Path(named[1]).write_text(code)
    return tmp_path


def yaml_problem(text: str, folder: Path) -> str | None:
    """Why no recipe could have these lines."""
    given = yaml.safe_load(text)
    if isinstance(given, list):
        stages = [{"max_completion_length": 4096, "num_generations": 16, "steps": 100}, *given]
        given = {"ptst_stages": stages}
    if given.keys() <= {*FACTS, *OF_OTHERS, PAPER}:
        return None
    wholes = [{}] if "task" in given else [yaml.safe_load(file.read_text()) for file in WHOLE]
    said = [problem(folder, {**whole, **given}) for whole in wholes]
    return None if None in said else said[0]


def problem(folder: Path, values: dict) -> str | None:
    file = folder / "recipe.yaml"
    file.write_text(yaml.safe_dump(values))
    try:
        read_recipe(file, values["task"], elsewhere=NODE)
    except UserError as error:
        return str(error)
    return None


@pytest.mark.parametrize(("page", "block"), YAML, ids=lambda value: str(value)[:40])
def test_the_yaml_of_a_page_is_a_recipe_or_a_part_of_one(page, block, shown):
    assert yaml_problem(block, shown) is None


@pytest.mark.parametrize(
    "wrong",
    [
        "reward_func: [hard_format_result]",
        "- {max_completion_length: 8192, num_generation: 8, steps: 100}",
        "task: grpo",
    ],
)
def test_planted_yaml_that_no_recipe_could_have_is_found(wrong, shown):
    assert yaml_problem(wrong, shown)


@pytest.mark.parametrize(("page", "code"), PYTHON, ids=lambda value: str(value)[:40])
def test_the_python_of_a_page_compiles_and_does_what_its_comments_say(page, code, tmp_path):
    compile(code, str(page), "exec")
    if str(page) in RUN_ELSEWHERE:
        return
    (tmp_path / "block.py").write_text(code)
    names = runpy.run_path(str(tmp_path / "block.py"))
    said = re.findall(r"^(\S.*?)  # (.+)$", code, re.MULTILINE)
    for expression, result in said:
        with contextlib.suppress(SyntaxError):  # An assignment with a remark behind it.
            assert repr(eval(compile(expression, str(page), "eval"), names)) == result


def test_the_page_about_rewards_has_results_to_compare_with():
    (code,) = blocks((ROOT / "docs/rewards.md").read_text(), "python")
    assert len(re.findall(r"  # (?:\[1\.0\]|Verdict)", code)) == 2


def test_code_that_is_run_elsewhere_is_there():
    assert {str(page) for page, _ in PYTHON} >= set(RUN_ELSEWHERE)
    for place in RUN_ELSEWHERE.values():
        assert (ROOT / place.split()[0]).is_file()
