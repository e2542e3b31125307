"""
Going on from a checkpoint with the weights that are in it.

transformers saves Qwen2.5-VL under the names of its first release (`visual.`, `model.layers.`) and translates them when a
model is loaded, but not when a Trainer resumes: 5.17 logs a warning and goes on with the weights it was started with
(transformers#43701). `ResumableTrainer` goes before the trainer class it mends:

    class PTSTTrainer(ResumableTrainer, GRPOTrainer): ...

`last_checkpoint` passes over a folder that a killed job left half-written.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from peft import PeftModel
from transformers import Trainer
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR


class ResumableTrainer(Trainer):
    """Loads full-model checkpoints the way `from_pretrained` does, and ends each checkpoint with its trainer state."""

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        target = self.model if model is None else model
        # An adapter's names are not translated, and FSDP keeps the names of the model it wraps.
        if isinstance(target, PeftModel) or self.is_fsdp_enabled:
            super()._load_from_checkpoint(resume_from_checkpoint, model)
            return
        saved = type(target).from_pretrained(resume_from_checkpoint, dtype=target.dtype)
        target.load_state_dict(saved.state_dict())

    def _save_rng_state(self, output_dir: str) -> None:
        super()._save_rng_state(output_dir)
        # The main process writes the trainer state next: then every process's part of the checkpoint is there.
        self.accelerator.wait_for_everyone()


def last_checkpoint(output_dir: str | Path) -> str | None:
    """The newest checkpoint that was written to its end, as `resume_from_checkpoint` wants it."""
    # The trainer state is what a Trainer writes last.
    complete = [folder for folder in _checkpoints(output_dir) if (folder / TRAINER_STATE_NAME).is_file()]
    return str(complete[-1]) if complete else None


def drop_old_checkpoints(output_dir: str | Path, limit: int | None, keep: Sequence[str], best: str | None) -> None:
    """
    Delete the oldest checkpoints until there are `limit` of them.

    Args:
        output_dir (`str` or `Path`):
            The run's folder.
        limit (`int`, *optional*):
            As `save_total_limit`: nothing is deleted without one.
        keep (`Sequence[str]`):
            Files that mark a checkpoint as one to keep. It does not count.
        best (`str`, *optional*):
            The best checkpoint, which is kept.
    """
    counted = [folder for folder in _checkpoints(output_dir) if not any((folder / file).is_file() for file in keep)]
    for folder in counted[:-limit] if limit and limit > 0 else ():
        if best is None or folder.resolve() != Path(best).resolve():
            shutil.rmtree(folder, ignore_errors=True)


def _checkpoints(output_dir: str | Path) -> list[Path]:
    """The checkpoints, oldest step first."""
    found = [
        path for path in Path(output_dir).glob(f"{PREFIX_CHECKPOINT_DIR}-*") if path.name.split("-")[-1].isdigit()
    ]
    return sorted(found, key=lambda path: int(path.name.split("-")[-1]))
