"""Evaluations made by hand: a folder as `make evaluate` leaves it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from open_vr1.evals.records import write_samples

RIGHT = "<think> It is {answer}. </think><answer> Final Answer:{answer} </answer>"


def row(number: int, score: float = 1.0, **more: Any) -> dict[str, Any]:
    """One answer of the toy benchmark."""
    right = score == 1
    return {
        "benchmark": "toy",
        "id": f"test-0-{number:06}",
        "row": number,
        "sample": 0,
        "family": f"test-0-{number:06}",
        "groups": {"kind": ("bars" if number % 2 else "count",)},
        "question": f"How many of {number}?",
        "choices": None,
        "gold": str(number),
        "pictures": [{"sha256": "0", "width": 64, "height": 48}],
        "completion": RIGHT.format(answer=number if right else -1),
        "answer": str(number if right else -1),
        "score": score,
        "reason": "correct" if right else "wrong",
        "well_formed": True,
        "tokens": 20 + number,
        "clipped": False,
        "seed": 0,
        **more,
    }


def evaluation(
    folder: Path, rows: Sequence[dict[str, Any]], benchmark: str = "toy", general: Any = None, **protocol: Any
) -> Path:
    """Add a benchmark to an evaluation's folder, with the headline as it follows from its rows."""
    write_samples(folder, benchmark, rows)
    value = sum(one["score"] or 0 for one in rows) / len(rows)
    figure = {
        "name": benchmark,
        "task": benchmark,
        "dataset": None,
        "dataset_revision": None,
        "split": "test",
        "metric": "accuracy",
        "value": value,
        "ci95": [max(0.0, value - 0.1), min(1.0, value + 0.1)],
        "n": len({one["id"] for one in rows}),
        "protocol": {"temperature": 0.0, "samples": 1, "seed": 0, **protocol},
        "contamination": None,
    }
    place = folder / "results.json"
    before = json.loads(place.read_text()) if place.exists() else {"benchmarks": []}
    results = {**before, "model": str(folder), "readings": {}, **(general or {})}
    place.write_text(json.dumps({**results, "benchmarks": [*before["benchmarks"], figure]}))
    return folder


def scored(*scores: float) -> list[dict[str, Any]]:
    return [row(number, score) for number, score in enumerate(scores)]
