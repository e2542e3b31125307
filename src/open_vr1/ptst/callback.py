"""
What happens at a stage switch besides the training itself: the length limit is raised wherever a copy of it lives, the
switch is announced on one line, the stage is logged, and the checkpoint at the end of a stage is saved and marked.

Nothing is remembered: the stage is looked up from `global_step` every time, so a resumed run cannot be out of step.
`PTSTTrainer` adds this callback itself:

    python -m open_vr1.grpo --config recipes/vr1_tiny/ptst.yaml
"""

import json
from pathlib import Path
from typing import Any

from tqdm import tqdm
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from trl import GRPOTrainer

from open_vr1.ptst.schedule import Schedule

MARK = "ptst.json"


def set_max_completion_length(trainer: GRPOTrainer, length: int) -> None:
    """Writes the length limit to every place that TRL reads it from, and to the rewards that depend on it."""
    trainer.max_completion_length = length
    trainer.args.max_completion_length = length
    if trainer.use_vllm:
        trainer.vllm_generation.max_completion_length = length
    else:
        trainer.generation_config.max_new_tokens = length
        trainer.generation_kwargs["max_new_tokens"] = length
    for reward in trainer.reward_funcs:
        if hasattr(reward, "max_completion_length"):
            reward.max_completion_length = length


class PTSTCallback(TrainerCallback):
    """
    Args:
        schedule (`Schedule`):
            The stages.
        trainer (`GRPOTrainer`):
            The trainer whose length limit is raised.
    """

    def __init__(self, schedule: Schedule, trainer: GRPOTrainer):
        self.schedule = schedule
        self.trainer = trainer

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._enter(state)
        if state.global_step < self.schedule.max_steps:
            self._announce(state)

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._enter(state)
        if state.global_step in self.schedule.boundaries:
            self._announce(state)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        trained = state.global_step - 1
        stage = self.schedule.stage(trained)
        # One value each, and not one per step: TRL logs the mean, and a mean of two stages is neither.
        metrics = self.trainer._metrics["train"]
        metrics["ptst/stage"] = [self.schedule.stage_index(trained) + 1]
        metrics["ptst/max_completion_length"] = [stage.max_completion_length]
        metrics["ptst/num_generations"] = [stage.num_generations]
        if state.global_step in self.schedule.boundaries:
            control.should_save = True

    def mark(self, folder: str | Path, global_step: int) -> None:
        """Leaves a note in the checkpoint that ends a stage."""
        if global_step not in self.schedule.boundaries:
            return
        index = self.schedule.stage_index(global_step - 1)
        stage = self.schedule.stages[index]
        note = {
            "step": global_step,
            "stage_ended": index + 1,
            "stages": len(self.schedule.stages),
            "max_completion_length": stage.max_completion_length,
            "num_generations": stage.num_generations,
            "steps": stage.steps,
        }
        (Path(folder) / MARK).write_text(json.dumps(note, indent=2) + "\n")

    def _enter(self, state: TrainerState) -> None:
        set_max_completion_length(self.trainer, self.schedule.stage(state.global_step).max_completion_length)

    def _announce(self, state: TrainerState) -> None:
        if not state.is_world_process_zero:
            return
        step = state.global_step
        index = self.schedule.stage_index(step)
        stage = self.schedule.stages[index]
        tqdm.write(
            f"PTST stage {index + 1}/{len(self.schedule.stages)} from step {step} to {self.schedule.boundaries[index]}: "
            f"max_completion_length {stage.max_completion_length}, num_generations {stage.num_generations}"
        )
