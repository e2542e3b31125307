"""
One real row of every benchmark, for somebody who reaches the Hub: `make test-live`.

A row that is as the task says is written down in `src/open_vr1/evals/tasks/_verified.yaml`, for a commit; runs of a benchmark whose
format nobody knew then no longer say `schema unverified`. The same steps run on rows of the toy world in the ordinary suite.
"""

from pathlib import Path

import pytest
import yaml
from datasets import load_dataset

from open_vr1.evals import registry
from open_vr1.evals.benchmark import messages
from open_vr1.rewards.verify import REASONS

VERIFIED = registry.TASKS / "_verified.yaml"


def read_one_row(entry, verified: Path):
    asked = registry.resolve(entry)
    source = asked.loaded_from
    options = {**(source["dataset_kwargs"] or {}), "split": asked.split, "streaming": True}
    row = next(iter(load_dataset(source["dataset_path"], source["dataset_name"], **options)))
    benchmark = registry.benchmark(asked.name)
    question = benchmark.read(row)
    chat = messages(question, benchmark.pictures(row))
    said = "".join(part.get("text") or "" for part in chat[-1]["content"])
    assert said.strip() and question.gold is not None and question.id
    right = benchmark.score(f"<think> x </think><answer> Final Answer:{question.gold} </answer>", question, False)
    assert right.reason in REASONS and right.score == 1.0, (question, right)
    known = yaml.safe_load(verified.read_text()) or {}
    known[asked.name] = sorted(row)
    head = verified.read_text().split("\n")[0]
    verified.write_text(f"{head}\n{yaml.safe_dump(known, sort_keys=True, width=110)}")
    print(f"{asked.name}: {question.text[:80]!r}, gold {question.gold!r}, {len(benchmark.pictures(row))} pictures")


@pytest.mark.live
@pytest.mark.parametrize("name", [name for name in registry.names() if name != "toy"])
def test_a_real_row_is_as_the_task_says(name):
    read_one_row(name, VERIFIED)


def test_a_row_that_was_read_is_written_down(world, tmp_path):
    verified = tmp_path / "_verified.yaml"
    verified.write_text(VERIFIED.read_text())
    read_one_row({"name": "toy", "path": str(world)}, verified)
    assert {"answer", "id", "images", "question"} <= set(yaml.safe_load(verified.read_text())["toy"])
    assert verified.read_text().startswith("# Benchmarks of which")


def test_what_nobody_has_read_says_so_until_somebody_has(monkeypatch, tmp_path):
    assert registry.is_unverified("mm_math") and not registry.is_unverified("mathvista")
    monkeypatch.setattr(registry, "VERIFIED", tmp_path / "_verified.yaml")
    registry.VERIFIED.write_text("mm_math: [question]\n")
    assert not registry.is_unverified("mm_math")
