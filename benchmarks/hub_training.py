"""What publishing adds to a training step: the same tiny run with it and without it, one after the other, on a local Hub.

Two figures that are not the same. What the training process itself does for a checkpoint, links and a note, is of any size of
model the same; and what the drain and the Hub take from the machine's other cores while it trains.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

REPO = "open-vr1/benchmark"
SAVE_STEPS = 5
WARM_UP = 5
RECIPE = """
task: sft
build:
  - {{path: base, with: "open_vr1.toy.model:build", args: {{seed: 0}}}}
  - {{path: world, with: "open_vr1.toy.world:build", args: {{seed: 0, train: 640, validation: 4, test: 4}}}}
model_name_or_path: base
dtype: float32
datasets: [{{path: world/train.parquet}}]
columns: {{prompt: question, solution: answer}}
max_pixels: 12544
output_dir: {folder}
max_steps: {steps}
per_device_train_batch_size: 32
learning_rate: 1.0e-4
save_steps: {save_steps}
save_total_limit: 1
logging_steps: 10
bf16: false
use_cpu: true
report_to: none
hub_model_id: {repo}
push_to_hub: {publish}
"""


def training(repeats: int, tiny: bool) -> dict[str, Any]:
    """Seconds of a step with publishing and without, and of taking a checkpoint into the outbox."""
    steps = 10 if tiny else 60
    with tempfile.TemporaryDirectory(prefix="hub-training-") as name:
        folder = Path(name)
        hub = subprocess.Popen(
            [sys.executable, "-m", "tests.hub_server", "--port", "0", "--folder", str(folder / "hub")],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            exports = [hub.stdout.readline().removeprefix("export ").strip().split("=", 1) for _ in range(2)]
            pairs = [
                [_run(folder, dict(exports), number, steps, publish) for publish in (False, True)]
                for number in range(1 if tiny else repeats)
            ]
        finally:
            hub.terminate()
            hub.wait()
    plain, published = (min(run["step_s"] for run in runs) for runs in zip(*pairs, strict=True))
    publishing = [run for _, run in pairs]
    taken = [seconds for run in publishing for seconds in run["taken_s"]]
    return {
        "step_s": {"plain": plain, "published": published, "ratio": published / plain},
        "checkpoints": len(taken),
        "taking_in_ms": {"median": 1e3 * statistics.median(taken), "largest": 1e3 * max(taken)},
        "taking_in_share_of_training": sum(taken) / sum(run["wall_s"] for run in publishing),
    }


def _run(folder: Path, hub: dict[str, str], number: int, steps: int, publish: bool) -> dict[str, Any]:
    name = f"{'published' if publish else 'plain'}-{number}"
    recipe = folder / f"{name}.yaml"
    values = {"folder": name, "steps": steps, "save_steps": SAVE_STEPS, "publish": str(publish).lower()}
    recipe.write_text(RECIPE.format(**values, repo=f"{REPO}-{number}"))
    root = Path(__file__).parents[1]
    environment = {**os.environ, **hub, "HF_HOME": str(folder / "home"), "PYTHONPATH": f"{root / 'src'}:{root}"}
    done = subprocess.run(
        [sys.executable, __file__, str(recipe)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    print(f"{name}: {done.stdout.splitlines()[-1]}", flush=True)
    return json.loads(done.stdout.splitlines()[-1])


def train_and_time(recipe: str) -> None:
    """One run, in a process of its own; its last line has the times."""
    from open_vr1 import sft, training
    from open_vr1.hub.outbox.live import LivePublication

    begun, taken = [], []

    class Clock(training.ProgressLine):
        def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
            begun.append(time.perf_counter())

        def on_train_end(self, *args: Any, **kwargs: Any) -> None:
            begun.append(time.perf_counter())
            super().on_train_end(*args, **kwargs)

    take_in = LivePublication.on_save

    def timed(self: Any, *args: Any, **kwargs: Any) -> None:
        started = time.perf_counter()
        take_in(self, *args, **kwargs)
        taken.append(time.perf_counter() - started)

    training.ProgressLine, LivePublication.on_save = Clock, timed
    if sft.main(["--config", recipe]):
        sys.exit(2)
    steps = [after - before for before, after in pairwise(begun)][WARM_UP:]
    print(json.dumps({"step_s": statistics.mean(steps), "taken_s": taken, "wall_s": begun[-1] - begun[0]}))


if __name__ == "__main__":
    train_and_time(sys.argv[1])
