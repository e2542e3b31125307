"""A small toy world for runs of `make cold`: rows with faults, a teacher that makes mistakes, a recipe."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from open_vr1.cold.run import ColdRun
from open_vr1.recipe import read_recipe
from open_vr1.toy import cold_source, world

CONCURRENCY = 8
ROOT = Path(__file__).parents[2]
MISTAKES = {
    "wrong_answer": 0.05,
    "format": 0.02,
    "truncated": 0.02,
    "refusal": 0.02,
    "contradiction": 0.02,
    "self_doubt": 0.02,
    "leakage": 0.02,
    "repetition": 0.02,
    "language": 0.02,
}
FAULTS = {"duplicates": 0.02, "near_duplicates": 0.03, "corrupt_pictures": 0.02, "no_answer": 0.02}


def write_source(folder: Path, rows: int = 120) -> None:
    """`source/rows.parquet` with faulty rows among the good, and `test.parquet`, a benchmark."""
    cold_source.build(folder / "source", seed=0, rows=rows, **FAULTS)
    world.build(folder, seed=0, test=40)


def recipe(folder: Path, url: str | None = None, **keys: Any) -> Path:
    """A recipe in the folder, with teachers at an address or started by the run."""

    def teacher(model: str, mistakes: dict[str, float]) -> dict[str, Any]:
        entry: dict[str, Any] = {"model": model, "concurrency": CONCURRENCY, "attempts": 6, "wait": 0.02}
        if url:
            return {**entry, "url": url}
        args = {"rows": str(folder / "source"), "seed": 0, "mistakes": mistakes, "models": [model]}
        return {**entry, "serve": {"with": "open_vr1.toy.teacher_server:serve", "args": args}}

    values = {
        "task": "cold",
        "output_dir": str(folder / "cold_data"),
        "license": "apache-2.0",
        "sources": [
            {
                "name": "toy",
                "path": str(folder / "source" / "rows.parquet"),
                "columns": {"subset": "kind"},
                "license": "apache-2.0",
            }
        ],
        "max_bad_rows": 0.2,
        "vision": teacher("toy-vision", {}),
        "reasoner": teacher("toy-reasoner", MISTAKES),
        "executor": {"tasks": 2, "workers": 1},
        "rule_options": {"length": {"min_words": 3}, "repetition": {"max_sentence_repeats": 7}},
        "rl": {"rows": 20},
        "shards": 3,
        **keys,
    }
    path = folder / "cold.yaml"
    path.write_text(
        yaml.safe_dump({key: value for key, value in values.items() if value is not None}, sort_keys=False)
    )
    return path


def run(path: Path, *overrides: str) -> ColdRun:
    """The run of a recipe, finished."""
    made = ColdRun(read_recipe(path, "cold", overrides))
    made.run()
    return made


def start(path: Path, *overrides: str, **options: Any) -> subprocess.Popen:
    """The same as a process of its own, as the leader of a group that can be killed."""
    command = [sys.executable, "-m", "open_vr1.cold", "--config", str(path), *overrides]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])}
    return subprocess.Popen(
        command,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        **options,
    )


def dataset_files(folder: Path) -> dict[str, bytes]:
    """Everything that people get and what says how it was made, but for the manifest, which has the time in it."""
    shown = [path for path in folder.rglob("*") if path.is_file() and "_build" not in path.relative_to(folder).parts]
    shown.remove(folder / "open_vr1.json")
    build = folder / "_build"
    shown += [
        build / name for name in ("manifest.json", "facts.json", "filter/kept.parquet", "filter/rejects.parquet")
    ]
    return {str(path.relative_to(folder)): path.read_bytes() for path in shown}
