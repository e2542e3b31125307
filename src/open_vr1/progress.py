"""One line that says where a training run is: step, stage, length limit, reward, time left; and lines beside it."""

import sys
import time
from typing import Any, TextIO

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from open_vr1.console import CLEAR

# What is shown of the logs, in this order: a key of the trainer's logs and how it reads.
SHOWN = (
    ("ptst/max_completion_length", "limit {:.0f}"),
    ("reward", "reward {:.2f}"),
    ("completions/mean_length", "length {:.0f}"),
    ("completions/clipped_ratio", "clipped {:.0%}"),
    ("loss", "loss {:.3f}"),
    ("eval_loss", "validation loss {:.3f}"),
)


class ProgressLine(TrainerCallback):
    """
    Rewrites one line on a terminal, and writes a line for every log elsewhere.

    Args:
        stream (`TextIO`, *optional*, defaults to standard output):
            Where the line goes.
    """

    def __init__(self, stream: TextIO | None = None):
        self.stream = stream or sys.stdout
        self.started = 0.0
        self.first_step = 0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.started, self.first_step = time.monotonic(), state.global_step

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        shown = {key: float(value) for key, value in (logs or {}).items() if key in dict(SHOWN)}
        if state.is_world_process_zero and shown:
            self._write(self._line(state, shown, (logs or {}).get("ptst/stage")))

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if state.is_world_process_zero and self.stream.isatty():
            self.stream.write("\n")

    def _line(self, state: TrainerState, shown: dict[str, float], stage: Any) -> str:
        parts = [f"step {state.global_step}/{state.max_steps}"]
        if stage is not None:
            parts.append(f"stage {float(stage):.0f}")
        # GRPO's loss says nothing about how well the run is going.
        parts += [
            form.format(shown[key])
            for key, form in SHOWN
            if key in shown and not ("reward" in shown and "loss" in key)
        ]
        done = state.global_step - self.first_step
        if done:
            left = (time.monotonic() - self.started) / done * (state.max_steps - state.global_step)
            parts.append(f"{left // 60:.0f}:{left % 60:02.0f} left")
        return " | ".join(parts)

    def _write(self, line: str) -> None:
        if self.stream.isatty():
            self.stream.write(f"{CLEAR}{line}")
        else:
            self.stream.write(f"{line}\n")
        self.stream.flush()
