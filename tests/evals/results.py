"""What an evaluation leaves in its folder, with figures that nobody has measured: what publishing is tried on."""

import json
from pathlib import Path

from open_vr1.evals.records import SCHEMA, write_samples

PROTOCOL = {"temperature": 0.0, "top_p": 1.0, "max_completion_length": 64, "samples": 1, "seed": 42, "prompt": None}


def figure(task: str = "toy", value: float = 0.5, n: int = 4, metric: str = "accuracy", **protocol) -> dict:
    return {
        "task": task,
        "name": f"{task} test",
        "dataset": {"mathvista": "AI4Math/MathVista"}.get(task, f"outputs/{task}.parquet"),
        "dataset_revision": None,
        "split": "test",
        "metric": metric,
        "value": value,
        "ci95": [value / 2, value],
        "n": n,
        "protocol": {**PROTOCOL, **protocol},
        "contamination": None,
    }


def sample(task: str, number: int) -> dict:
    empty = dict.fromkeys(SCHEMA.names)
    return {
        **empty,
        "benchmark": task,
        "id": str(number),
        "row": number,
        "groups": {"kind": ("count", "colour")},
        "question": f"How many are {number} and 1?",
        "gold": str(number + 1),
        "pictures": [{"sha256": "0" * 64, "width": 8, "height": 8}],
        "completion": f"<think> {number} </think><answer> {number + 1} </answer>",
        "score": 1.0,
    }


def write_evaluation(folder: Path, model: str, *figures: dict, revision: str | None = None) -> Path:
    figures = figures or (figure(),)
    folder.mkdir(parents=True, exist_ok=True)
    content = {"model": model, "revision": revision, "accuracy": figures[0]["value"], "benchmarks": list(figures)}
    (folder / "results.json").write_text(json.dumps(content))
    for task in {row["task"] for row in figures}:
        write_samples(folder, task, [sample(task, number) for number in range(4)])
    return folder
