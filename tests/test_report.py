"""The report of a run, made from folders that the tests write themselves."""

import json
import math
import random
from pathlib import Path

from PIL import Image, ImageDraw

from open_vr1.report.eval_plots import wilson_interval


def measurement(accuracy: float, length: float, clipped: float, format_rate: float, limit: int = 160, **more) -> dict:
    kinds = {"count": 0.05, "compare": 0.12, "bar_chart": -0.04, "measure": -0.13}
    return {
        "accuracy": accuracy,
        "ci95": list(wilson_interval(accuracy, 600)),
        "format_rate": format_rate,
        "mean_length": length,
        "clipped_ratio": clipped,
        "n": 600,
        "by_kind": {kind: {"accuracy": max(0.0, accuracy + shift), "n": 150} for kind, shift in kinds.items()},
        "max_completion_length": limit,
        "temperature": 1.0,
    } | more


def demo_results() -> dict:
    return {
        "seed": 0,
        "wall_s": 512.3,
        "base": measurement(0.003, 160.0, 1.0, 0.0),
        "cold": measurement(0.412, 118.4, 0.31, 0.683),
        "stage_1": measurement(0.588, 52.1, 0.004, 0.991),
        "stage_2": measurement(0.662, 63.7, 0.002, 0.998),
        "final": measurement(0.662, 63.7, 0.002, 0.998),
        "cold_double_length": measurement(0.451, 171.0, 0.12, 0.84, limit=320),
        "final_double_length": measurement(0.665, 63.9, 0.0, 0.998, limit=320),
        "final_grey": measurement(0.24, 66.0, 0.0, 0.99),
        "chance": 0.23,
        "commands": ["make demo SEED=0", "python -m open_vr1.report --run outputs/demo"],
        "versions": {"open-vr1": "0.1.0", "torch": "2.13.0", "transformers": "5.17.0", "trl": "1.16.0"},
        "hardware": "2 cores, 8 GB memory, no GPU",
        "timings": {"make_data": 14.2, "cold_start": 201.5, "grpo": 160.0, "evaluate": 121.4},
    }


def sft_log() -> list[dict]:
    rng = random.Random(1)
    curve = {step: 0.31 + 2.6 * math.exp(-step / 60) for step in range(10, 501, 10)}
    rows = [{"step": s, "loss": loss + rng.gauss(0, 0.02), "learning_rate": 1e-3} for s, loss in curve.items()]
    return rows + [{"step": s, "eval_loss": curve[s] + 0.01} for s in range(50, 501, 50)] + [{"step": 500, "train_loss": 0.5}]


def grpo_log(stages: list[tuple[int, int, int]], start: int = 0) -> list[dict]:
    """`stages` are `(steps, max_length, group_size)`."""
    rng, rows, total = random.Random(2), [], sum(steps for steps, _, _ in stages)
    for number, (steps, limit, group) in enumerate(stages, start=start):
        for _ in range(steps):
            step = len(rows) + 1
            reward = 0.35 + 0.35 * (1 - math.exp(-step / total * 3)) + rng.gauss(0, 0.04)
            length = limit * (0.35 + 0.5 * math.exp(-step / total * 6)) + rng.gauss(0, limit * 0.02)
            clipped = max(0.0, 0.4 * math.exp(-step / total * 8) + rng.gauss(0, 0.01))
            rows.append(
                {
                    "step": step,
                    "reward": reward,
                    "rewards/hard_format_result/mean": reward,
                    "completions/mean_length": length,
                    "completions/mean_terminated_length": length * 0.9,
                    "completions/clipped_ratio": clipped,
                    "frac_reward_zero_std": min(1.0, 0.2 + 0.3 * step / total),
                    "entropy": 0.6 - 0.3 * step / total,
                    "kl": None,
                    "ptst/stage": float(number),
                    "ptst/max_completion_length": float(limit),
                    "ptst/num_generations": float(group),
                }
            )
    return rows + [{"step": len(rows), "train_runtime": 160.0}]


def write_log(folder: Path, rows: list[dict]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "trainer_state.json").write_text(json.dumps({"log_history": rows}))


def write_samples(folder: Path, count: int = 40) -> None:
    rng, rows = random.Random(3), []
    (folder / "samples").mkdir()
    for index in range(count):
        kind = ["count", "compare", "bar_chart", "measure"][index % 4]
        bars = [rng.randint(1, 9) for _ in range(4)]
        image = Image.new("RGB", (56, 56), "white")
        for place, height in enumerate(bars):
            ImageDraw.Draw(image).rectangle((4 + 13 * place, 54 - 5 * height, 12 + 13 * place, 54), fill=["red", "green", "blue", "orange"][place])
        image.save(folder / "samples" / f"{index}.png")
        short = "I look at the bars from left to right. " * rng.randint(1, 4) + f"The bars reach {', '.join(map(str, bars))}. The tallest is {max(bars)}."
        long = short + " Wait, let me check again. " * rng.randint(3, 20)
        right = {"completion": f"<think> {short} </think><answer> Final Answer:{max(bars)} </answer>", "correct": True, "reason": "equal"}
        cut = {"completion": f"<think> {long}", "correct": False, "reason": "no_answer"}
        wrong = {"completion": f"<think> {long} </think><answer> Final Answer:{max(bars) - 1} </answer>", "correct": False, "reason": "not_equal"}
        cold, final = rng.choice([cut, wrong, right]), rng.choice([right, right, right, wrong])
        rows.append(
            {
                "id": f"test-{index:04d}",
                "image": f"samples/{index}.png",
                "question": "How high is the tallest bar?",
                "choices": [str(max(bars) + shift) for shift in (-1, 0, 1, 2)] if index % 2 else [],
                "answer": str(max(bars)),
                "level": 1 + index % 3,
                "kind": kind,
                "cold": cold | {"length": len(cold["completion"].split())},
                "final": final | {"length": len(final["completion"].split())},
            }
        )
    (folder / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_demo_run(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "results.json").write_text(json.dumps(demo_results()))
    write_log(folder / "sft", sft_log())
    write_log(folder / "grpo", grpo_log([(40, 80, 8), (40, 160, 4)]))
    write_samples(folder)
    return folder
