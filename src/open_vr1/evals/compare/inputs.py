"""
Which evaluations to compare, and what they left.

A path is an evaluation's own folder, a model or checkpoint that has one in `eval/`, or a training run whose checkpoints have been
evaluated (`checkpoint-20/eval` or `evals/checkpoint-20`): then each checkpoint is one, in order of steps, the final model last.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from open_vr1.errors import UserError
from open_vr1.evals import registry
from open_vr1.evals.benchmark import Benchmark
from open_vr1.evals.compare.statistics import Answers
from open_vr1.evals.figures import Figure, Outcome, mean
from open_vr1.evals.records import FOLDER, benchmarks_in, read_samples
from open_vr1.report.inputs import Stage, read_run

RESULTS = "results.json"
CHECKPOINT = "checkpoint-"


@dataclass(frozen=True)
class Evaluation:
    """
    What one evaluation left.

    Args:
        name (`str`):
            What it is called here.
        folder (`Path`):
            Where it lies.
        results (`dict`):
            Its `results.json`.
        training (`str`):
            The path on the command line that it came from: the checkpoints of one run share it.
        step (`int`, *optional*):
            The training step of a checkpoint.
        stages (`tuple[Stage, ...]`):
            The stages of the run that a checkpoint is of.
    """

    name: str
    folder: Path
    results: dict[str, Any]
    training: str
    step: int | None = None
    stages: tuple[Stage, ...] = field(default=(), repr=False)

    @cached_property
    def rows(self) -> dict[str, list[dict[str, Any]]]:
        """The log by benchmark."""
        return {name: read_samples(self.folder, name) for name in self.benchmarks}

    @cached_property
    def benchmarks(self) -> list[str]:
        """In the order of the results."""
        logged = benchmarks_in(self.folder)
        ordered = list(dict.fromkeys(row.get("task") for row in self.results["benchmarks"]))
        return [name for name in ordered if name in logged] + [name for name in logged if name not in ordered]

    def figures(self, benchmark: str) -> list[dict[str, Any]]:
        """What `results.json` says of a benchmark, the headline first."""
        return [row for row in self.results["benchmarks"] if row.get("task") == benchmark]

    def reading(self, benchmark: str) -> dict[str, Any]:
        return (self.results.get("readings") or {}).get(benchmark) or {}

    @property
    def stage(self) -> int | None:
        """The number of the stage that a checkpoint ended or was in."""
        return next((stage.number for stage in self.stages if self.step <= stage.end), None)


def known(benchmark: str) -> Benchmark | None:
    """What we know of a benchmark, or nothing of one that has been removed since."""
    return registry.benchmark(benchmark) if benchmark in registry.names() else None


def title(benchmark: str) -> str:
    found = known(benchmark)
    return found.title if found else benchmark


def headline(benchmark: str) -> tuple[str, Figure]:
    """The figure that stands for a benchmark, and its name."""
    found = known(benchmark)
    return (found.headline, found.figures[found.headline]) if found else ("accuracy", mean())


def score(row: dict[str, Any]) -> float:
    """A gold that cannot be read earns nothing."""
    value = row["score"]
    return 0.0 if value is None or math.isnan(value) else value


def outcome(row: dict[str, Any]) -> Outcome:
    return Outcome(row["id"], row["family"] or row["id"], row["groups"], score(row))


def answers(rows: Sequence[dict[str, Any]]) -> Answers:
    """One list of outcomes for each time that the questions were asked."""
    times: dict[int, list[Outcome]] = {}
    for row in rows:
        times.setdefault(row["sample"], []).append(outcome(row))
    return [times[sample] for sample in sorted(times)]


# ----- Finding them


def read_evaluations(paths: Sequence[str | Path]) -> list[Evaluation]:
    """All evaluations of these paths, in order."""
    names = short_names([Path(path) for path in paths])
    found = [one for path, name in zip(paths, names, strict=True) for one in _of_path(Path(path), name)]
    folders = [one.folder.resolve() for one in found]
    for one, folder in zip(found, folders, strict=True):
        if folders.count(folder) > 1:
            raise UserError(f"RUNS: {one.folder} is there twice; name each evaluation once")
    return found


def read_evaluation(folder: str | Path, name: str | None = None, **more: Any) -> Evaluation:
    """One evaluation by its own folder."""
    folder = Path(folder)
    place = folder / RESULTS
    try:
        results = json.loads(place.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{place}: not readable as JSON ({error}); write it again with make evaluate") from error
    rows = results.get("benchmarks") if isinstance(results, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UserError(f"{place}: benchmarks: {rows!r} is no list of results; write it again with make evaluate")
    if not benchmarks_in(folder):
        raise UserError(f"{folder / FOLDER}: no log of its answers; write it again with make evaluate")
    name = name or short_names([folder])[0]
    return Evaluation(name, folder, results, more.pop("training", name), **more)


def short_names(paths: Sequence[Path]) -> list[str]:
    """The ends of the paths, as long as it takes to tell them apart; `eval` alone names nothing."""
    parts = [_naming(path.resolve()) for path in paths]
    longest = max(map(len, parts))
    for length in range(1, longest + 1):
        names = ["/".join(part[-length:]) for part in parts]
        if len(set(names)) == len(names) and not any(name.startswith(CHECKPOINT) for name in names):
            return names
    return [str(path) for path in paths]


def _naming(path: Path) -> list[str]:
    """The parts of a path that name something; `org--name/main`, as models of the Hub are kept, is one of them."""
    parts = [part for part in path.parts if part != "eval"] or ["eval"]
    if len(parts) > 1 and "--" in parts[-2]:
        return [*parts[:-2], f"{parts[-2].replace('--', '/')}@{parts[-1]}"]
    return parts


def _of_path(path: Path, name: str) -> list[Evaluation]:
    if _is_evaluation(path):
        return [read_evaluation(path, name)]
    checkpoints = _checkpoints(path)
    own = path / "eval" if _is_evaluation(path / "eval") else None
    if not checkpoints and own is None:
        raise UserError(
            f"RUNS: {path}: no evaluation is there or in its eval/, checkpoint-*/eval or evals/checkpoint-*; "
            f"make one: make evaluate RECIPE=... MODEL={path}"
        )
    if not checkpoints:
        return [read_evaluation(own, name)]
    stages = _stages(path)
    last = _last_step(path) if own else None
    if last is not None:
        checkpoints[last] = own
    found = [
        read_evaluation(folder, f"{name} step {step}", training=name, step=step, stages=stages)
        for step, folder in sorted(checkpoints.items())
    ]
    return found if own is None or last is not None else [*found, read_evaluation(own, name, training=name)]


def _is_evaluation(folder: Path) -> bool:
    return (folder / RESULTS).is_file() and (folder / FOLDER).is_dir()


def _checkpoints(path: Path) -> dict[int, Path]:
    """By step; what lies in the checkpoint itself comes before the copy that outlives it."""
    found = {}
    places = [*path.glob(f"evals/{CHECKPOINT}*"), *(place / "eval" for place in path.glob(f"{CHECKPOINT}*"))]
    for place in places:
        step = (place.parent if place.name == "eval" else place).name.removeprefix(CHECKPOINT)
        if step.isdigit() and _is_evaluation(place):
            found[int(step)] = place
    return found


def _stages(path: Path) -> tuple[Stage, ...]:
    try:
        return tuple(read_run(path).stages)
    except UserError:  # No log is left of the training.
        return ()


def _last_step(path: Path) -> int | None:
    try:
        return json.loads((path / "trainer_state.json").read_text())["global_step"]
    except (OSError, ValueError, KeyError):
        return None
