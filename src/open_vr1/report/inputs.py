"""Reads what a run left in its folder; every part is optional, and a part that is not there stays empty.

    results.json              evaluations, commands, versions, timings
    cold/trainer_state.json   the cold start's training log
    final/trainer_state.json  the reinforcement learning's training log
    samples.jsonl             held-out questions with the model's completions before and after

A log may also lie in the newest `checkpoint-*` below, and directly in the folder when that is the output of `make sft` or
`make grpo` itself, so a run that is still training has a report too.
"""

import json
import math
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..errors import UserError

CONTROLS = {
    "cold_double_length": "Cold start, twice the length",
    "final_double_length": "Final, twice the length",
    "final_grey": "Final, on grey pictures",
}


@dataclass(frozen=True)
class Measurement:
    """One evaluation of one model on held-out questions; what was not measured is `None`."""

    name: str
    label: str
    accuracy: float | None = None
    ci95: tuple[float, float] | None = None
    format_rate: float | None = None
    mean_length: float | None = None
    clipped_ratio: float | None = None
    n: int | None = None
    max_completion_length: int | None = None
    temperature: float | None = None
    by_kind: dict[str, dict[str, float]] = field(default_factory=dict)

    @property
    def short_label(self) -> str:
        return self.label.removeprefix("After ").split(" (")[0].lower()


@dataclass(frozen=True)
class Stage:
    """A stretch of training steps, `start < step <= end`, with one length limit and one group size."""

    number: int
    start: float
    end: float
    max_length: float | None = None
    group_size: float | None = None


@dataclass(frozen=True)
class Log:
    """A trainer's log history, in order of steps."""

    rows: list[dict[str, Any]]

    @property
    def last_step(self) -> float:
        return self.rows[-1]["step"]

    @property
    def keys(self) -> list[str]:
        return list(dict.fromkeys(key for row in self.rows for key in row))

    def series(self, key: str) -> list[tuple[float, float]]:
        """`(step, value)` wherever the key has a finite value."""
        points = ((row["step"], row.get(key)) for row in self.rows)
        return [(step, value) for step, value in points if isinstance(value, int | float) and math.isfinite(value)]

    def stages(self) -> list[Stage]:
        """
        PTST's stages, numbered from 1 in the order in which they came.

        A trainer that logs every few steps logs the mean of `ptst/stage` over them, so a value between two stages tells how
        much of its window belonged to each, and with that the exact step of the boundary.
        """
        logged = self.series("ptst/stage")
        if not logged:
            return []
        starts, current, previous = [0.0], math.floor(logged[0][1]), 0.0
        for step, value in logged:
            if value > current:
                current = math.ceil(value)
                starts.append(previous + (current - value) * (step - previous))
            previous = step
        ends = [*starts[1:], self.last_step]
        limits, groups = self.series("ptst/max_completion_length"), self.series("ptst/num_generations")
        first_stage = math.floor(logged[0][1])
        whole = {step: int(value) - first_stage for step, value in logged if value == int(value)}

        def setting(points: list[tuple[float, float]], index: int) -> float | None:
            return next((value for step, value in points if whole.get(step) == index), None)

        return [
            Stage(index + 1, start, end, setting(limits, index), setting(groups, index))
            for index, (start, end) in enumerate(zip(starts, ends))
        ]


@dataclass(frozen=True)
class Run:
    """All that a report can be made from; `planned` and `total_steps` where the log has not come to the end of the run."""

    folder: Path
    results: dict[str, Any]
    path: list[Measurement]
    controls: list[Measurement]
    sft: Log | None
    grpo: Log | None
    samples: list[dict[str, Any]]
    planned: tuple[Stage, ...] = ()
    total_steps: float | None = None

    def measured(self, name: str) -> Measurement | None:
        return next((m for m in [*self.path, *self.controls] if m.name == name), None)

    @property
    def stages(self) -> list[Stage]:
        return list(self.planned) or (self.grpo.stages() if self.grpo else [])

    @property
    def last_step(self) -> float:
        """Of the reinforcement learning."""
        return self.total_steps or self.grpo.last_step

    def sft_eval_loss(self) -> list[tuple[float, float]]:
        """The cold start's validation loss, from its log or else from the results."""
        logged = self.sft.series("eval_loss") if self.sft else []
        return logged or [tuple(point) for point in self.results.get("cold_start", {}).get("eval_loss", [])]


def read_run(folder: Path) -> Run:
    """Read a run's folder, or say what is wrong with it."""
    if not folder.is_dir():
        raise UserError(f"{folder}: no such run folder; give the output folder of a run, such as outputs/demo")
    results_file, samples_file = folder / "results.json", folder / "samples.jsonl"
    results = _read_object(results_file) if results_file.exists() else {}
    sft, grpo = _find_log(folder, "cold"), _find_log(folder, "final")
    if not results and sft is None and grpo is None:
        raise UserError(
            f"{folder}: nothing to report; it has no results.json and no trainer_state.json, so no run has written here yet"
        )
    path = _measured_path(results, results_file)
    controls = [
        _measurement(results[name], name, label, results_file) for name, label in CONTROLS.items() if name in results
    ]
    samples = _read_samples(samples_file) if samples_file.exists() else []
    return Run(folder, results, path, controls, sft, grpo, samples)


def _measured_path(results: dict[str, Any], file: Path) -> list[Measurement]:
    """The model's path: base, cold start, each stage in order, final; a final that is the last stage is shown once."""
    labels = {"base": "Base", "cold": "Cold start"}
    numbers = sorted(int(match[1]) for name in results if (match := re.fullmatch(r"stage_(\d+)", name)))
    labels |= {f"stage_{number}": f"After stage {number}" for number in numbers} | {"final": "Final"}
    path = [_measurement(results[name], name, label, file) for name, label in labels.items() if name in results]
    if len(path) > 1 and path[-1].name == "final" and results["final"] == results[path[-2].name]:
        path[-2:] = [replace(path[-1], label=f"Final ({path[-2].label.lower()})")]
    return path


def _measurement(values: Any, name: str, label: str, file: Path) -> Measurement:
    if not isinstance(values, dict):
        raise UserError(f"{file}: {name} is {values!r}; write an object such as {{'accuracy': 0.4, 'n': 500}}")
    keys = ["accuracy", "format_rate", "mean_length", "clipped_ratio", "n", "max_completion_length", "temperature"]
    for key in keys:
        if values.get(key) is not None and not _is_number(values[key]):
            raise UserError(f"{file}: {name}.{key} is {values[key]!r}; write a number")
    interval = values.get("ci95")
    if interval is not None and not (
        isinstance(interval, list) and len(interval) == 2 and all(map(_is_number, interval))
    ):
        raise UserError(f"{file}: {name}.ci95 is {interval!r}; write two numbers, the lower and the upper end")
    by_kind = {
        kind: value for kind, value in (values.get("by_kind") or {}).items() if value.get("n") and "accuracy" in value
    }
    interval = tuple(interval) if interval else None
    return Measurement(name, label, **{key: values.get(key) for key in keys}, ci95=interval, by_kind=by_kind)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _read_object(file: Path) -> dict[str, Any]:
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{file}: not readable as JSON ({error}); write it again or remove it") from None
    if not isinstance(value, dict):
        raise UserError(f"{file}: holds a {type(value).__name__} where an object is needed")
    return value


def _read_samples(file: Path) -> list[dict[str, Any]]:
    samples = []
    # Not splitlines(): what a model writes may hold other line separators than the file's own.
    for number, line in enumerate(file.read_text(encoding="utf-8").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            sample = json.loads(line)
        except ValueError as error:
            raise UserError(
                f"{file}: line {number} is not readable as JSON ({error}); write it again or remove it"
            ) from None
        if not isinstance(sample, dict):
            raise UserError(f"{file}: line {number} holds a {type(sample).__name__} where an object is needed")
        samples.append(sample)
    return samples


def _find_log(folder: Path, phase: str) -> Log | None:
    """The phase's newest log: below its own folder or, told apart by GRPO's reward, in the run's folder itself."""
    for place in (folder / phase, folder):
        steps = (path.name.rpartition("-")[2] for path in place.glob("checkpoint-*"))
        checkpoints = [
            place / f"checkpoint-{step}" for step in sorted(filter(str.isdigit, steps), key=int, reverse=True)
        ]
        for file in (candidate / "trainer_state.json" for candidate in (place, *checkpoints)):
            if not file.exists():
                continue
            rows = [row for row in _read_object(file).get("log_history", []) if "step" in row]
            is_grpo = any("reward" in row for row in rows)
            if rows and is_grpo == (phase == "final"):
                return Log(rows)
            break
    return None
