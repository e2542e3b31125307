"""
What the runs of a sweep left: their logs and their evaluations, read into one figure or curve each.

Generated tokens are the completions' own: TRL's `num_tokens` counts the prompts too. They are the mean length of each
generation times its completions, so they are exact with `logging_steps: 1`, and otherwise wherever a logged window does not
reach over the end of a stage.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, median, pstdev
from typing import Any

import numpy as np

from open_vr1.evals.records import read_samples
from open_vr1.ptst.schedule import schedule_of
from open_vr1.sweep.grid import Run, Sweep

# Words of the paper's count of self-doubt, and how a toy chain begins to guess.
DOUBT = re.compile(r"\b(wait|hmm|alternatively|maybe)\b", re.IGNORECASE)
SERIES = ("reward", "completions/mean_length", "completions/clipped_ratio", "kl", "grad_norm", "entropy", "loss")


@dataclass
class Judged:
    """
    One evaluated model.

    Args:
        summary (`dict[str, Any]`):
            The evaluator's figures, and those of `overthinking`.
        answers (`dict[str, list[float]]`):
            For every question, in order: whether the answer is `right`, whether it is `doubting`, and its `length`.
    """

    summary: dict[str, Any]
    answers: dict[str, list[float]]


@dataclass
class Result:
    """
    What one run left.

    Args:
        variant (`str`):
            The variant's name.
        seed (`int`):
            The run's seed.
        training (`dict[str, float]`):
            Figures of the training log.
        curves (`dict[str, list]`):
            `(step, value)` by the log's key.
        judged (`Judged`, *optional*):
            The evaluation.
        began_at (`float`, *optional*):
            Accuracy of the model that the run began from.
    """

    variant: str
    seed: int
    training: dict[str, float]
    curves: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    judged: Judged | None = None
    began_at: float | None = None


def read_results(sweep: Sweep) -> list[Result]:
    """The results of the runs that are finished."""
    return [read_result(run) for run in sweep.runs if _is_finished(run)]


def _is_finished(run: Run) -> bool:
    judged = run.evaluation is None or (run.evaluation.folder / "results.json").is_file()
    return judged and (run.folder / "trainer_state.json").is_file()


def read_result(run: Run) -> Result:
    log = json.loads((run.folder / "trainer_state.json").read_text())["log_history"]
    curves = {key: [(row["step"], row[key]) for row in log if key in row] for key in SERIES}
    judged = read_judged(run.evaluation.folder) if run.evaluation else None
    start = run.start.folder / "results.json" if run.start else None
    began_at = json.loads(start.read_text())["accuracy"] if start and start.is_file() else None
    curves = {key: points for key, points in curves.items() if points}
    return Result(run.variant, run.seed, _training(run, log), curves, judged, began_at)


def read_judged(folder: Path) -> Judged:
    """One evaluation: the evaluator's own figures, and what tells overthinking."""
    samples = read_samples(folder)
    summary = json.loads((folder / "results.json").read_text())
    answers = {
        "right": [float(sample["score"]) for sample in samples],
        "doubting": [float(bool(DOUBT.search(sample["completion"]))) for sample in samples],
        "length": [float(sample["tokens"]) for sample in samples],
    }
    return Judged(summary | overthinking(samples), answers)


def overthinking(samples: Sequence[dict[str, Any]]) -> dict[str, float]:
    """How many completions doubt, and how often those that do and the longer ones are right."""
    doubting = [sample for sample in samples if DOUBT.search(sample["completion"])]
    plain = [sample for sample in samples if not DOUBT.search(sample["completion"])]
    shorter, longer = _halves(samples)
    figures = {
        "doubting_share": len(doubting) / len(samples),
        "doubts": mean(len(DOUBT.findall(sample["completion"])) for sample in samples),
    }
    parts = {"doubting": doubting, "plain": plain, "shorter_half": shorter, "longer_half": longer}
    for name, part in parts.items():
        if part:
            figures[f"accuracy_{name}"] = mean(sample["score"] for sample in part)
    return figures


def _halves(samples: Sequence[dict[str, Any]]) -> tuple[list[dict], list[dict]]:
    """The shorter and the longer half of the answers, to each kind of question where rows have a `kind`."""
    kinds: dict[Any, list[dict[str, Any]]] = {}
    for sample in samples:
        kinds.setdefault(sample["groups"].get("kind"), []).append(sample)
    shorter, longer = [], []
    for of_kind in kinds.values():
        ranked = sorted(of_kind, key=lambda sample: sample["tokens"])
        shorter += ranked[: len(ranked) // 2]
        longer += ranked[len(ranked) // 2 :]
    return shorter, longer


# ----- The training log


def _training(run: Run, log: list[dict[str, Any]]) -> dict[str, float]:
    """What was spent, and how steadily it went."""
    steps = [row["step"] for row in log if "train_runtime" not in row]
    figures: dict[str, float] = {"steps": max(steps, default=0)}
    if any("step_time" in row for row in log):
        figures["seconds"] = sum(row["step_time"] * width for row, width in _windows(log, "step_time"))
    else:
        figures["seconds"] = sum(row.get("train_runtime", 0.0) for row in log)
    if any("completions/mean_length" in row for row in log):
        figures |= _generated(run, log) | _steadiness(log)
    return figures


def _windows(log: Iterable[dict[str, Any]], key: str) -> list[tuple[dict[str, Any], int]]:
    """The rows that have a key, each with the steps since the row before."""
    found, before = [], 0
    for row in log:
        if key in row and row["step"] > before:
            found.append((row, row["step"] - before))
            before = row["step"]
    return found


def _generated(run: Run, log: list[dict[str, Any]]) -> dict[str, float]:
    args, schedule = run.recipe.training, schedule_of(run.recipe)
    # Steps that one generation lasts.
    cycle = args.steps_per_generation * args.num_iterations / args.gradient_accumulation_steps
    tokens = completions = clipped = before = 0.0
    for row in (row for row in log if "completions/mean_length" in row):
        # A log comes after its step; generations begin at multiples of the cycle, counted from 0.
        generations = -(-row["step"] // cycle) - -(-before // cycle)
        made = generations * args.generation_batch_size
        if run.recipe.args.ptst_constant == "prompts":
            made *= schedule.stage(row["step"] - 1).num_generations / schedule.max_generations
        tokens += made * row["completions/mean_length"]
        clipped += made * row["completions/clipped_ratio"]
        completions += made
        before = row["step"]
    return {
        "generated_tokens": round(tokens),
        "completions": round(completions),
        "clipped_ratio": clipped / completions,
        "mean_length": tokens / completions,
    }


def _steadiness(log: list[dict[str, Any]]) -> dict[str, float]:
    """Level and unrest of reward, KL and gradient norm."""
    rewards = [row["reward"] for row in log if "reward" in row]
    last = max(1, len(rewards) // 6)
    figures = {
        "reward_first": mean(rewards[:last]),
        "reward_last": mean(rewards[-last:]),
        "reward_std": mean(row["reward_std"] for row in log if "reward_std" in row),
        "reward_unrest": _unrest(rewards),
    }
    for key, name in (("kl", "kl"), ("grad_norm", "grad_norm"), ("entropy", "entropy")):
        if values := [row[key] for row in log if key in row]:
            figures |= {
                f"{name}_mean": mean(values),
                f"{name}_median": median(values),
                f"{name}_max": max(values),
                f"{name}_last": mean(values[-last:]),
            }
    return figures


def _unrest(values: Sequence[float]) -> float:
    """The standard deviation around a straight line through the values: what is left when a steady rise is taken away."""
    if len(values) < 3:
        return 0.0
    steps = np.arange(len(values))
    return pstdev(np.asarray(values) - np.polyval(np.polyfit(steps, values, 1), steps))
