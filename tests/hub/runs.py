"""Run folders as training leaves them, with weights of a few bytes: what publishing is tried on."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

VALUES = {"task": "grpo", "hub_model_id": "open-vr1/run", "output_dir": "outputs/run"}
PRIVATE = {"optimizer.pt": b"moments", "rng_state.pth": b"state", "training_args.bin": b"pickle", "scheduler.pt": b"x"}


def manifest(run_id: str = "0123456789ab", **values) -> dict:
    return {
        "open_vr1": "0.1.0",
        "format": 1,
        "run": {
            "id": run_id,
            "task": "grpo",
            "name": "tiny/ptst",
            "command": "make grpo RECIPE=recipes/tiny/ptst.yaml",
        },
        "recipe": {
            "path": "recipes/tiny/ptst.yaml",
            "sha256": "0" * 64,
            "text": "task: grpo\n",
            "values": {**VALUES, **values},
            "overrides": [],
        },
        "git": None,
        "python": "3.11.2",
        "packages": {"torch": "2.13.0"},
        "model": {"name": "outputs/tiny/cold", "revision": None, "commit": None, "made_by": None},
        "data": [],
        "seeds": {"seed": 0, "data_seed": None},
        "hardware": {"processes": 1, "accelerator": None, "cpu": "CPU", "cores": 2, "memory_gib": 8},
        "stages": [
            {"max_completion_length": 64, "num_generations": 16, "steps": 20},
            {"max_completion_length": 96, "num_generations": 8, "steps": 10},
        ],
        "wall_clock": {"started": "2026-01-01T00:00:00Z", "seconds": 1.0, "starts": 1},
    }


def write_checkpoint(folder: Path, step: int, *, stage_ended: int | None = None, max_steps: int = 30) -> None:
    """What a Trainer saves, each step with weights of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {"weight": torch.full((64, 64), float(step)), "bias": torch.arange(64) + step}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    texts = {
        "config.json": {"model_type": "qwen2_5_vl", "_name_or_path": str(folder.absolute())},
        "generation_config.json": {"eos_token_id": 2},
        "processor_config.json": {"processor_class": "Qwen2_5_VLProcessor"},
        "tokenizer.json": {"version": "1.0"},
        "tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast"},
    }
    if stage_ended:
        texts["ptst.json"] = {"step": step, "stage_ended": stage_ended, "stages": 2}
    for name, value in texts.items():
        (folder / name).write_text(json.dumps(value))
    for name, content in PRIVATE.items():
        (folder / name).write_bytes(content)
    log = [
        {"step": at, "reward": at / 30, "completions/mean_length": 60.0 - at, "completions/clipped_ratio": 0.1}
        for at in range(5, step + 1, 5)
    ]
    state = {
        "global_step": step,
        "max_steps": max_steps,
        "log_history": log,
        "best_model_checkpoint": str(folder.absolute()),
    }
    (folder / "trainer_state.json").write_text(json.dumps(state))


def write_run(folder: Path, steps: tuple[int, ...] = (10, 20, 30), *, finished: bool = True, **values) -> Path:
    """A run of two stages, which end at steps 20 and 30."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "open_vr1.json").write_text(json.dumps(manifest(**values)))
    for step in steps:
        write_checkpoint(folder / f"checkpoint-{step}", step, stage_ended={20: 1, 30: 2}.get(step))
    if finished:
        write_checkpoint(folder, 30)
    return folder
