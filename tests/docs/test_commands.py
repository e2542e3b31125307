"""Every command that a page shows can be typed: target, variables, files, keys and options are there."""

import pytest

from tests.docs.commands import THEIRS, page_problems
from tests.docs.pages import PAGES, ROOT, blocks

PLANTED = {
    "a target that is not there": ("bash", "make grop RECIPE=recipes/vr1_tiny/ptst.yaml", "make grop: no such target"),
    "a recipe that is not there": (
        "bash",
        "make grpo RECIPE=recipes/vr1_tiny/pst.yaml",
        "pst.yaml: there is no such file",
    ),
    "a variable that it ignores": ("bash", "make demo SEDE=1", "SEDE: make demo reads no such variable"),
    "a key that is none": (
        "bash",
        'make grpo RECIPE=recipes/vr1_tiny/ptst.yaml ARGS="--learning_rte 1"',
        "learning_rte: unknown key",
    ),
    "a recipe of another task": ("bash", "make sft RECIPE=recipes/vr1_tiny/ptst.yaml", "this is a recipe for grpo"),
    "an option of a target": ("bash", 'make hub ARGS="--prot 8766"', "--prot is none of its options"),
    "an option of pytest": ("bash", 'make test ARGS="--sok"', "--sok is none of its options"),
    "the second command of a line": ("bash", "cd open-vr1 && make dmo", "make dmo: no such target"),
    "a module that is not there": ("bash", ".venv/bin/python -m open_vr1.reprot", "there is no such program"),
    "a module's option": ("sh", ".venv/bin/python -m open_vr1.report --runs x", "--runs is none of its options"),
    "a benchmark's option": ("sh", "python benchmarks/hub.py --parts x", "--parts is none of its options"),
    "a program nobody knows": ("sh", "foo --bar", "what is foo?"),
    "code in a line": ("", "Say `make grop RECIPE=...` now.", "make grop: no such target"),
    "its variables": ("", "Say `make demo SEDE=1` now.", "SEDE: make demo reads no such variable"),
    "a script in a line": ("", "Say `python benchmarks/hbu.py` now.", "benchmarks/hbu.py: there is no such program"),
}


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_command_of_a_page_can_be_typed(page, tmp_path):
    assert page_problems((ROOT / page).read_text(), str(page), tmp_path) == []


@pytest.mark.parametrize("mistake", PLANTED)
def test_a_planted_mistake_is_found(mistake, tmp_path):
    language, code, words = PLANTED[mistake]
    text = f"```{language}\n{code}\n```\n" if language else code
    (found,) = page_problems(text, "page.md", tmp_path)
    assert found.startswith("page.md") and words in found


def test_the_pages_have_commands_to_look_at():
    shown = {page: blocks((ROOT / page).read_text(), "bash") for page in PAGES}
    assert sum(map(len, shown.values())) > 20
    assert all(shown[page] for page in PAGES if page.parent.parent.name == "recipes")


def test_no_program_of_others_is_known_without_being_used():
    text = "\n".join((ROOT / page).read_text() for page in PAGES)
    assert [program for program in THEIRS if program not in text] == []
