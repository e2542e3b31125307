"""docs/evaluation.md says what is there: its commands, keys, names and code."""

import re
import runpy
import shlex
from pathlib import Path

import pytest
import yaml

from open_vr1.evals import registry
from open_vr1.evals.records import write_samples
from open_vr1.recipe import read_recipe

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/evaluation.md").read_text()


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_the_commands_are_there():
    targets = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    commands = [shlex.split(line, comments=True) for block in blocks("bash") for line in block.splitlines()]
    assert commands
    for make, target, *words in commands:
        assert make == "make" and target in targets
        for name, value in (word.split("=", 1) for word in words):
            assert name in ("RECIPE", "MODEL", "REVISION", "RUNS", "ACCELERATE")
            assert name != "RECIPE" or (ROOT / value).is_file()


@pytest.mark.parametrize("block", blocks("yaml"), ids=lambda block: next(iter(yaml.safe_load(block))))
def test_the_keys_are_read(block, tmp_path):
    recipe = {"task": "eval", "model_name_or_path": "a/b", "benchmarks": ["toy"], **yaml.safe_load(block)}
    (tmp_path / "eval.yaml").write_text(yaml.safe_dump(recipe))
    args = read_recipe(tmp_path / "eval.yaml", "eval").args
    assert all(getattr(args, key) == value for key, value in yaml.safe_load(block).items())


def test_the_code_runs(tmp_path, monkeypatch):
    (code,) = blocks("python")
    monkeypatch.chdir(tmp_path)
    write_samples(Path("outputs/demo/final/eval"), "toy", [{"id": "a", "score": 0.0}, {"id": "b", "score": 1.0}])
    Path("code.py").write_text(code)
    names = runpy.run_path("code.py")
    assert [row["id"] for row in names["wrong"]] == ["a"]


@pytest.mark.parametrize("name", registry.names())
def test_every_benchmark_is_in_the_table_with_its_rows(name):
    row = next(line for line in PAGE.splitlines() if line.startswith("| ") and f"`{name}`" in line.split("|")[1])
    asked = registry.resolve(name)
    same = "the same" in row.split("|")[2]
    assert asked.path in row or same or name == "toy"
    assert (asked.config if same else asked.split) in row or "://" in asked.path or name == "toy"


def test_every_key_of_an_evaluation_is_mentioned_or_plain():
    for key in (
        "samples",
        "max_questions",
        "prompt_style",
        "system_prompt",
        "engine",
        "batch_size",
        "vllm",
        "endpoint",
        "judge",
    ):
        assert f"`{key}" in PAGE or f"{key}:" in PAGE, key
