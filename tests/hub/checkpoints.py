"""Small checkpoints as a run leaves them, and the manifest of their run: what the tests of cards write cards for."""

import copy
import json
import shutil
from pathlib import Path
from typing import Any

from open_vr1.toy import model as toy

BASE = "outputs/small/base"
STAGES = [
    {"max_completion_length": 16, "num_generations": 4, "steps": 20},
    {"max_completion_length": 24, "num_generations": 2, "steps": 20, "temperature": 0.8, "reset_optimizer": True},
]
RECIPE = f"""\
# GRPO in two stages.
task: grpo
model_name_or_path: {BASE}
datasets:
  - {{path: outputs/small/world/rl.parquet}}
output_dir: outputs/small/final
"""
MANIFEST: dict[str, Any] = {
    "open_vr1": "0.1.0",
    "format": 1,
    "run": {"id": "a1b2", "task": "grpo", "name": "small/ptst", "command": "make grpo RECIPE=recipes/small/ptst.yaml"},
    "recipe": {
        "path": "recipes/small/ptst.yaml",
        "sha256": "0123456789abcdef" * 4,
        "text": RECIPE,
        "values": {
            "task": "grpo",
            "build": [{"path": BASE, "with": "open_vr1.toy.model:build", "args": {"seed": 0}}],
            "model_name_or_path": BASE,
            "reward_funcs": ["hard_format_result"],
        },
        "overrides": ["--learning_rate", "1e-4"],
    },
    "git": {"commit": "c0ffee" * 6 + "c0ff", "dirty": True, "repository": "git@github.com:open-vr1/open-vr1.git"},
    "python": "3.11.2",
    "packages": {"torch": "2.13.0", "transformers": "5.17.0"},
    "model": {"name": BASE, "revision": None, "commit": None, "made_by": None},
    "data": [
        {
            "path": "outputs/small/world/rl.parquet",
            "name": None,
            "split": "train",
            "revision": None,
            "commit": None,
            "fingerprint": "f00d",
            "rows": 1600,
        }
    ],
    "seeds": {"seed": 7, "data_seed": None},
    "hardware": {"processes": 1, "accelerator": None, "cpu": "A small CPU", "cores": 2, "memory_gib": 15.6},
    "stages": STAGES,
    "wall_clock": {"started": "2026-01-02T03:04:05Z", "seconds": 126.4, "starts": 2},
}
RESULTS = {
    "model": "outputs/small/final",
    "accuracy": 0.7594,
    "benchmarks": [
        {
            "name": "MathVista",
            "dataset": "AI4Math/MathVista",
            "dataset_revision": "2b6ad69445fbb5695c9b165475e8decdbeb97747",
            "split": "testmini",
            "metric": "accuracy",
            "value": 0.681234567,
            "ci95": [0.65223, 0.70911],
            "n": 1000,
            "protocol": {
                "temperature": 0.0,
                "top_p": 1.0,
                "max_completion_length": 8192,
                "samples": 1,
                "seed": 42,
                "prompt": None,
            },
            "contamination": "12 pictures are training rows too",
        },
        {
            "name": "world test",
            "dataset": "outputs/small/world/test.parquet",
            "dataset_revision": None,
            "split": None,
            "metric": "accuracy",
            "value": 0.7594,
            "ci95": None,
            "n": 400,
            "protocol": {"temperature": 1.0, "grey_images": False},
            "contamination": None,
        },
    ],
}


def manifest(**changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(MANIFEST), **changes}


def log(step: int, total: int = 40) -> dict[str, Any]:
    """A `trainer_state.json` up to a step."""
    rows = [
        {
            "step": at,
            "reward": 0.2 + 0.01 * at,
            "rewards/hard_format_result/mean": 0.2 + 0.01 * at,
            "completions/mean_length": 14 - 0.1 * at,
            "completions/mean_terminated_length": 12 - 0.1 * at,
            "completions/clipped_ratio": 0.5 / at,
            "ptst/stage": 1 if at <= 20 else 2,
        }
        for at in range(2, step + 1, 2)
    ]
    return {"global_step": step, "max_steps": total, "log_history": rows}


def sft_log(step: int) -> dict[str, Any]:
    rows = [{"step": at, "loss": 5.0 / at} for at in range(10, step + 1, 10)]
    return {"global_step": step, "max_steps": step, "log_history": [*rows, {"step": step, "eval_loss": 0.7}]}


def write_full(folder: Path, step: int = 30) -> Path:
    """A checkpoint of all weights."""
    toy.build(folder)
    (folder / "trainer_state.json").write_text(json.dumps(log(step)))
    return folder


def write_lora(folder: Path, base: Path, step: int = 30) -> Path:
    """A checkpoint of an adapter on the model in `base`."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForImageTextToText

    model = AutoModelForImageTextToText.from_pretrained(base)
    get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj"])).save_pretrained(folder)
    for file in base.iterdir():
        if "token" in file.name or "processor" in file.name or file.suffix == ".jinja":
            shutil.copy(file, folder)
    (folder / "trainer_state.json").write_text(json.dumps(log(step)))
    return folder
