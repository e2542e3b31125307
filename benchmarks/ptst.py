"""PTST in one run against the same stages as chained runs, and our trainer against TRL's at equal work, on a CPU.

    python benchmarks/ptst.py --steps 4

First, three stages as one `python -m open_vr1.grpo` and as three of them, each going on from the model of the one before, on
the same prompts in the same order; a process's start counts, as it does for who chains runs. Then one stage of `PTSTTrainer`
and of TRL's `GRPOTrainer` on the same rows in turn, the share of the time that goes into processing pictures (448 x 448
pixels, which a tiny model answers in tens of milliseconds), and what of the pictures is kept until it is trained on. The
last line is one JSON object.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

STAGES = ((16, 8), (24, 4), (32, 2))
PROMPTS = 4
GROUP = STAGES[0][1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=4, help="steps of each stage (4)")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each side, the fastest counts (3)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        chained = compare_with_chained_runs(Path(folder), given.steps, given.repeats)
        stock = compare_with_trl(Path(folder), given.steps, given.repeats)
    print(json.dumps(chained | stock))


# ----- One run against three


def compare_with_chained_runs(folder: Path, steps: int, repeats: int) -> dict[str, float]:
    from open_vr1.toy import model, world

    model.build(folder / "base")
    world.build(folder / "world", rl=PROMPTS * steps * len(STAGES))
    cut_rows(folder / "world", PROMPTS * steps)
    seconds: dict[str, list[float]] = {"ptst": [], "chained": []}
    for repeat in range(repeats):
        one = recipe(folder, f"ptst_{repeat}", "base", "rl", STAGES, steps)
        seconds["ptst"].append(timed_run(one))
        spent, start = 0.0, "base"
        for number, stage in enumerate(STAGES):
            name = f"chained_{repeat}_{number}"
            spent += timed_run(recipe(folder, name, start, f"rl_{number}", (stage,), steps))
            start = name
        seconds["chained"].append(spent)
        print(f"run {repeat}: one run {seconds['ptst'][-1]:.1f} s, {len(STAGES)} chained {spent:.1f} s", flush=True)
    ours, theirs = min(seconds["ptst"]), min(seconds["chained"])
    return {"ptst_s": round(ours, 2), "chained_s": round(theirs, 2), "ptst_vs_chained": round(ours / theirs, 3)}


def cut_rows(world: Path, rows: int) -> None:
    """One file for each stage, which holds the rows that PTST gives to that stage."""
    from datasets import load_dataset

    table = load_dataset("parquet", data_files=str(world / "rl.parquet"), split="train", cache_dir=str(world))
    for number in range(len(STAGES)):
        table.select(range(rows * number, rows * (number + 1))).to_parquet(world / f"rl_{number}.parquet")


def recipe(folder: Path, name: str, start: str, rows: str, stages: tuple, steps: int) -> Path:
    values = {
        "task": "grpo",
        "model_name_or_path": str(folder / start),
        "dtype": "float32",
        "datasets": [{"path": str(folder / "world" / f"{rows}.parquet")}],
        "columns": {"prompt": "question", "solution": "answer"},
        "shuffle_dataset": False,
        "reward_funcs": ["tag_count"],
        "ptst_stages": [
            {"max_completion_length": length, "num_generations": group, "steps": steps} for length, group in stages
        ],
        "output_dir": str(folder / name),
        "per_device_train_batch_size": PROMPTS * stages[0][1],
        "save_strategy": "no",
        "report_to": "none",
        "bf16": False,
        "use_cpu": True,
        "gradient_checkpointing": False,
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def timed_run(path: Path) -> float:
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "open_vr1.grpo", "--config", str(path)], check=False, capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(done.stdout[-2000:] + done.stderr[-4000:])
    return time.monotonic() - started


# ----- Our trainer against TRL's


def compare_with_trl(folder: Path, steps: int, repeats: int) -> dict[str, float]:
    train(folder, "ours", 1)  # what is loaded lazily is loaded
    best: dict[str, tuple[float, float, int]] = {}
    for repeat in range(repeats):
        for side in ("ours", "trl"):
            measured = train(folder, side, steps)
            best[side] = min(best.get(side, measured), measured)
        print(f"run {repeat}: ours {best['ours'][0]:.1f} s, TRL {best['trl'][0]:.1f} s at best", flush=True)
    (ours, our_pictures, our_bytes), (theirs, their_pictures, their_bytes) = best["ours"], best["trl"]
    return {
        "ours_s": round(ours, 2),
        "trl_s": round(theirs, 2),
        "speedup_vs_trl": round(theirs / ours, 2),
        "picture_share_ours": round(our_pictures / ours, 3),
        "picture_share_trl": round(their_pictures / theirs, 3),
        "kept_patches_mb_ours": round(our_bytes / 1e6, 1),
        "kept_patches_mb_trl": round(their_bytes / 1e6, 1),
    }


def train(folder: Path, side: str, steps: int) -> tuple[float, float, int]:
    """Seconds of a run, those of them that went into processing pictures, and the bytes of patches it keeps."""
    from transformers import AutoModelForImageTextToText, AutoProcessor, Qwen2VLImageProcessor
    from trl import GRPOConfig, GRPOTrainer

    from open_vr1.ptst.schedule import Schedule
    from open_vr1.ptst.trainer import PTSTTrainer
    from open_vr1.rewards import tag_count

    stage = {"max_completion_length": STAGES[0][0], "num_generations": GROUP, "steps": steps}
    schedule = Schedule.from_recipe([stage])
    args = GRPOConfig(
        output_dir=str(folder / side),
        per_device_train_batch_size=PROMPTS * GROUP,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
        bf16=False,
        use_cpu=True,
        gradient_checkpointing=False,
        logging_strategy="no",
        **schedule.trainer_values(),
    )
    own: dict[str, Any] = {"schedule": schedule} if side == "ours" else {}
    processor = AutoProcessor.from_pretrained(folder / "base", padding_side="left")
    processor.image_processor.size = {"shortest_edge": 56 * 56, "longest_edge": 448 * 448}
    trainer = {"ours": PTSTTrainer, "trl": GRPOTrainer}[side](
        model=AutoModelForImageTextToText.from_pretrained(folder / "base"),
        args=args,
        train_dataset=large_pictures(PROMPTS * steps),
        processing_class=processor,
        reward_funcs=[tag_count],
        **own,
    )
    spent = [0.0]
    process = Qwen2VLImageProcessor.__call__

    def timed(self: Any, *positional: Any, **named: Any) -> Any:
        started = time.monotonic()
        try:
            return process(self, *positional, **named)
        finally:
            spent[0] += time.monotonic() - started

    Qwen2VLImageProcessor.__call__ = timed
    started = time.monotonic()
    try:
        trainer.train()
    finally:
        Qwen2VLImageProcessor.__call__ = process
    return time.monotonic() - started, spent[0], kept_bytes(trainer)


def kept_bytes(trainer: Any) -> int:
    """Patches of pictures that wait for their micro-batch: on the device in TRL's trainer, off it in ours."""
    waiting = [batch["pixel_values"] for batch in trainer._buffered_inputs if "pixel_values" in batch]
    shelf = getattr(trainer, "shelf", None)
    return sum(patches.nbytes for patches in [*waiting, *(shelf.patches.values() if shelf else ())])


def large_pictures(count: int) -> Any:
    from datasets import Dataset, Features, Image, List, Value
    from PIL import Image as Picture

    from open_vr1.prompts import build_prompt

    part = {"type": Value("string"), "text": Value("string")}
    features = Features(
        {
            "prompt": List({"role": Value("string"), "content": List(part)}),
            "images": List(Image()),
            "solution": Value("string"),
        }
    )
    rows = [
        {
            "prompt": build_prompt(f"How many squares are in picture {i}?", 1),
            "images": [Picture.effect_noise((448, 448), 40 + i).convert("RGB")],
            "solution": "1",
        }
        for i in range(count)
    ]
    return Dataset.from_list(rows, features=features)


if __name__ == "__main__":
    main()
