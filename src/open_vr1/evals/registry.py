"""The benchmarks by name, and where their rows are: a benchmark is a YAML file and a module of one name in `tasks/`."""

from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

from open_vr1.evals.benchmark import Benchmark

TASKS = Path(__file__).parent / "tasks"
PREFIX = "vr1_"


@dataclass(frozen=True)
class Source:
    """Where the rows of a benchmark are, as its task file says."""

    path: str
    config: str | None
    split: str
    options: dict[str, Any]


@lru_cache
def names() -> tuple[str, ...]:
    return tuple(sorted(file.stem for file in TASKS.glob("*.yaml") if not file.stem.startswith("_")))


@lru_cache
def benchmark(name: str) -> Benchmark:
    return import_module(f"open_vr1.evals.tasks.{name}").BENCHMARK


@lru_cache
def source(name: str) -> Source:
    content = yaml.load((TASKS / f"{name}.yaml").read_text(), _TaskFile)
    return Source(
        content["dataset_path"],
        content.get("dataset_name"),
        content["test_split"],
        content.get("dataset_kwargs") or {},
    )


class _TaskFile(yaml.SafeLoader):
    """A task file without its functions."""


_TaskFile.add_constructor("!function", lambda loader, node: node.value)
