"""
Keeps a training run's manifest true while it trains: the rows that are left, and the time at every checkpoint and at the end.

`make sft` and `make grpo` add it to their trainer; a kill loses the seconds since the last checkpoint and nothing else.
"""

from typing import Any

from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from open_vr1.manifest import RunManifest
from open_vr1.recipe import Recipe


class ManifestCallback(TrainerCallback):
    """
    Writes `open_vr1.json` on process zero.

    Args:
        recipe (`Recipe`):
            The run's recipe, whose folder holds the manifest that this start has begun.
        trainer ([`~transformers.Trainer`]):
            Its trainer.
    """

    def __init__(self, recipe: Recipe, trainer: Trainer):
        self.manifest = None
        if not trainer.is_world_process_zero():
            return
        self.manifest = RunManifest.go_on(recipe, recipe.training.output_dir)
        datasets = {"data": trainer.train_dataset, "eval_data": trainer.eval_dataset}
        self.manifest.count_rows({key: len(rows) for key, rows in datasets.items() if rows is not None})
        self.manifest.write()

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self.save()

    def save(self) -> None:
        """Note the time until now."""
        if self.manifest:
            self.manifest.save()
