"""
What happens at a stage switch besides the training itself: the length limit is raised wherever a copy of it lives, the
stage's other settings are put in place, optimizer and KL reference start anew where the stage says so, the switch is
announced on one line, the stage is logged, and the checkpoint at the end of a stage is saved and marked.

Nothing is remembered: the stage is looked up from `global_step` every time, so a resumed run cannot be out of step.
`PTSTTrainer` adds this callback itself:

    python -m open_vr1.grpo --config recipes/vr1_tiny/ptst.yaml
"""

import json
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from trl import GRPOTrainer

from open_vr1.console import say
from open_vr1.ptst.schedule import Schedule
from open_vr1.ptst.stage import Stage

MARK = "ptst.json"


def set_generation(trainer: GRPOTrainer, max_completion_length: int, temperature: float) -> None:
    """Writes the two to every place that TRL reads them from, and the length to the rewards that depend on it."""
    trainer.max_completion_length = trainer.args.max_completion_length = max_completion_length
    trainer.temperature = trainer.args.temperature = temperature
    if trainer.use_vllm:
        trainer.vllm_generation.max_completion_length = max_completion_length
        trainer.vllm_generation.temperature = temperature
    else:
        generation = {"max_new_tokens": max_completion_length, "temperature": temperature}
        trainer.generation_config.update(**generation)
        trainer.generation_kwargs.update(generation)
    for head in trainer.fused_heads:
        head.set_temperature(temperature)
    for reward in trainer.reward_funcs:
        if hasattr(reward, "max_completion_length"):
            reward.max_completion_length = max_completion_length


def enter(trainer: GRPOTrainer, stage: Stage) -> None:
    """Everything of a stage but the group size, which changes with the rows of a generation."""
    set_generation(trainer, stage.max_completion_length, stage.temperature)
    trainer.beta = stage.beta
    trainer.epsilon_low, trainer.epsilon_high = stage.epsilon, stage.epsilon_high


class PTSTCallback(TrainerCallback):
    """
    Args:
        schedule (`Schedule`):
            The stages.
        trainer (`PTSTTrainer`):
            The trainer that goes through them.
        top_level (`dict[str, Any]`):
            The recipe's settings, for stages without their own.
    """

    def __init__(self, schedule: Schedule, trainer: GRPOTrainer, top_level: dict[str, Any]):
        self.schedule = schedule
        self.trainer = trainer
        self.top_level = top_level

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._enter(state)
        start = self.schedule.reference_step(state.global_step)
        if 0 < start < state.global_step:
            self.trainer.renew_reference(start)
        if state.global_step < self.schedule.max_steps:
            self._announce(state)

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._enter(state)
        if state.global_step not in self.schedule.boundaries:
            return
        stage = self.schedule.stage(state.global_step)
        if stage.reset_optimizer:
            self.trainer.optimizer.state.clear()
        if stage.reset_reference:
            self.trainer.renew_reference(state.global_step)
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
            **stage.written(),
        }
        (Path(folder) / MARK).write_text(json.dumps(note, indent=2) + "\n")

    def _enter(self, state: TrainerState) -> None:
        enter(self.trainer, self.schedule.stage(state.global_step).over(self.top_level))

    def _announce(self, state: TrainerState) -> None:
        if not state.is_world_process_zero:
            return
        step = state.global_step
        index = self.schedule.stage_index(step)
        stage = self.schedule.stages[index]
        said = ", ".join(f"{key} {value}" for key, value in stage.written().items() if key != "steps")
        span = f"from step {step} to {self.schedule.boundaries[index]}"
        say(f"PTST stage {index + 1}/{len(self.schedule.stages)} {span}: {said}")
