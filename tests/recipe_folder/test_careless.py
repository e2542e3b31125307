"""Careless folders: files that cannot be read, names that make cannot be given, code that ends the program. Each is said in a line."""

import os
import subprocess
from pathlib import Path

import pytest

from open_vr1.recipe_folder import recipe_folders
from open_vr1.recipe_folder.changes import changed_folders
from open_vr1.recipe_folder.check import main, problems
from open_vr1.recipe_folder.facts import read_facts
from open_vr1.recipe_folder.index import index_problems
from open_vr1.recipe_folder.index import main as write_index
from open_vr1.recipe_folder.new import main as new_recipe


def change(file: Path, before: str, after: str) -> None:
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after, 1))


UNREADABLE = {
    "a README in Latin 1": lambda folder: (folder / "README.md").write_bytes(b"---\nsummary: br\xe9f\n---\n"),
    "a recipe in UTF-16": lambda folder: (folder / "ptst.yaml").write_bytes("# A.\ntask: grpo\n".encode("utf-16")),
    "a folder that is called a recipe": lambda folder: (folder / "long.yaml").mkdir(),
    "a link to nowhere": lambda folder: (folder / "long.yaml").symlink_to("nowhere.yaml"),
    "a link to itself": lambda folder: (folder / "long.yaml").symlink_to("long.yaml"),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_what_cannot_be_read_is_named_with_its_file(kind, stranger, capsys):
    UNREADABLE[kind](stranger)
    (named,) = problems(stranger)
    assert named.startswith(f"{stranger}/") and ("cannot be read" in named or "not text in UTF-8" in named)
    assert main(["vr1_new"]) == 2
    assert named in capsys.readouterr().err


WRITTEN = {
    "no list of rows": (
        "ptst.yaml",
        "datasets:\n  - {path: Osilly/Vision-R1-rl}",
        "datasets: 5",
        "datasets: 5 is not",
    ),
    "rows by number": ("ptst.yaml", "{path: Osilly/Vision-R1-rl}", "{path: 5}", "datasets[0].path: 5 is not text"),
    "two models": ("ptst.yaml", "name_or_path: Osilly/Vision-R1-CI-7B", "name_or_path: [a, b]", "['a', 'b'] is not"),
    "a base that is a list": ("README.md", "base_model: Osilly", "base_model:\n- Osilly", "base_model: ['Osilly"),
    "run without what": ("README.md", "run: no", "run: yes", "run: True is not no or text"),
    "an open quote inside": ("README.md", "=zero3", '=zero3 ARGS="--seed \'1"', "a quote in it stays open"),
    "a link without end": ("README.md", "# vr1_new", f"# vr1_new [a]({'x' * 5000})", "this link leads nowhere"),
    "the same place": ("ptst.yaml", "outputs/vr1_new/final", "./outputs/vr1_7b/final/", "is where recipes/vr1_7b/"),
    "no steps": ("ptst.yaml", "ptst_stages:", "max_completion_length: 64\nnum_generations: 16\n#", None),
}


@pytest.mark.parametrize("kind", WRITTEN)
def test_a_value_of_another_kind_is_said_and_not_raised(kind, stranger):
    file, before, after, words = WRITTEN[kind]
    change(stranger / file, before, after)
    if words is None:
        text = (stranger / file).read_text()
        (stranger / file).write_text("".join(line for line in text.splitlines(True) if "  - {max_" not in line))
        words = "max_steps: this key is missing; write max_steps: 200, or ptst_stages"
    assert any(words in problem for problem in problems(stranger))


def test_a_mark_at_the_beginning_is_no_fault(stranger):
    for name in ("README.md", "ptst.yaml"):
        file = stranger / name
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))
    assert problems(stranger) == []


def test_a_name_with_a_space_is_refused_since_make_would_cut_it(stranger):
    (stranger / "ptst.yaml").rename(stranger / "my ptst.yaml")
    assert any("my ptst.yaml: make cannot be given this name" in problem for problem in problems(stranger))


def test_a_summary_of_two_lines_is_one_in_the_index(stranger):
    change(stranger / "README.md", "summary: as vr1_7b", "summary: |\n  as\n  vr1_7b")
    assert write_index([]) == 0 and index_problems([stranger]) == []


def test_what_python_left_of_another_branch_is_no_folder(stranger):
    before = recipe_folders()
    Path("recipes/gone/__pycache__").mkdir(parents=True)
    Path("recipes/.cache").mkdir()
    Path("recipes/.cache/x").touch()
    assert recipe_folders() == before


CONFIGS = {"{": "no config.json that transformers knows", '{"model_type": "gpt2"}': "a gpt2 takes no pictures"}


@pytest.mark.parametrize("text", CONFIGS)
def test_a_shape_that_is_none_is_said(text, stranger):
    change(stranger / "ptst.yaml", "Osilly/Vision-R1-CI-7B", "some/model")
    (stranger / "configs").mkdir()
    (stranger / "configs" / "some--model.json").write_text(text)
    assert any(CONFIGS[text] in problem for problem in problems(stranger))


@pytest.mark.parametrize("code", ["import sys\nsys.exit(0)\n", "raise SystemExit\n"])
def test_code_that_ends_the_program_does_not_pass(code, stranger, capsys):
    (stranger / "rewards.py").write_text(f"{code}\n\ndef kind(completions, **columns):\n    return []\n")
    (stranger / "test_rewards.py").write_text("def test_nothing():\n    pass\n")
    change(stranger / "ptst.yaml", "[hard_format_result]", '["recipes/vr1_new/rewards.py:kind"]')
    assert main(["vr1_new", "--no_dry_run"]) == 2
    assert "rewards.py cannot be imported (SystemExit" in capsys.readouterr().err


def test_a_variable_of_one_recipe_is_not_seen_by_the_next(stranger, monkeypatch):
    monkeypatch.delenv("OF_ONE_RECIPE", raising=False)
    change(stranger / "ptst.yaml", "seed: 0", 'seed: 0\nenv: {OF_ONE_RECIPE: "1"}')
    assert problems(stranger) == []
    assert "OF_ONE_RECIPE" not in os.environ


def test_a_change_is_seen_whatever_its_file_is_called(stranger, monkeypatch):
    monkeypatch.delenv("GITHUB_BASE_REF", raising=False)
    who = {f"GIT_{role}_{what}": "a@b.c" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    for words in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-qm", "ours"]):
        subprocess.run(["git", *words], check=True, env={**os.environ, **who})
    assert changed_folders([stranger]) == []
    (stranger / "ÿ b.jsonl").touch()
    assert changed_folders([stranger]) == [stranger]


def test_outputs_that_cannot_be_written_are_said(stranger, capsys):
    Path("outputs").write_text("a file\n")
    assert main(["vr1_new"]) == 2
    assert "outputs" in capsys.readouterr().err.splitlines()[-1]


def test_facts_that_cannot_be_read_are_said(tmp_path):
    assert read_facts(tmp_path)[1] == [f"{tmp_path}: cannot be read (Is a directory); put a file of text there"]


FAULTY = {
    "no processes": ("README.md", b"processes: {ptst: 8}\n", b"", "README.md:1: processes: missing"),
    "no base": ("README.md", b"base_model: Osilly/Vision-R1-CI-7B\n", b"", "README.md:1: base_model: missing"),
    "Latin 1": ("ptst.yaml", b"task: grpo", b"task: grpo # \xe9", "ptst.yaml: this is not a text file in UTF-8"),
}


@pytest.mark.parametrize("kind", FAULTY)
def test_a_faulty_folder_to_begin_from_is_said_and_nothing_is_left(kind, stranger, capsys):
    file, before, after, words = FAULTY[kind]
    text = (stranger / file).read_bytes()
    assert before in text
    (stranger / file).write_bytes(text.replace(before, after, 1))
    there = sorted(Path("recipes").iterdir())
    assert new_recipe(["mine", "vr1_new"]) == 2
    assert f"error: recipes/vr1_new/{words}" in capsys.readouterr().err
    assert sorted(Path("recipes").iterdir()) == there
