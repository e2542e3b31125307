"""What each stage of a GRPO recipe samples and trains on, in numbers."""

from dataclasses import asdict, dataclass
from typing import Any

from open_vr1.plan.memory import Step
from open_vr1.ptst.sampler import Geometry
from open_vr1.ptst.schedule import schedule_of
from open_vr1.recipe import Recipe


@dataclass(frozen=True)
class StagePlan:
    """
    One stage.

    Args:
        steps (`int`):
            Optimizer steps.
        max_completion_length (`int`):
            Most tokens of a completion.
        num_generations (`int`):
            Completions of a prompt.
        prompts_per_step (`float`):
            Prompts that one optimizer step learns from.
        completions_per_step (`float`):
            Their completions.
        most_tokens_per_step (`float`):
            Tokens of these completions if all reach the limit.
    """

    steps: int
    max_completion_length: int
    num_generations: int
    prompts_per_step: float
    completions_per_step: float
    most_tokens_per_step: float

    def as_json(self) -> dict[str, Any]:
        return {key: int(value) if value == int(value) else value for key, value in asdict(self).items()}


def stage_plans(recipe: Recipe, processes: int) -> list[StagePlan]:
    schedule, geometry = schedule_of(recipe), _geometry(recipe, processes)
    plans = []
    for index, stage in enumerate(schedule.stages):
        # A generation serves `cycle` micro-batches, and a step takes as many as it accumulates.
        prompts = geometry.prompts(schedule, index) * geometry.gradient_accumulation_steps / geometry.cycle
        completions = prompts * stage.num_generations
        tokens = completions * stage.max_completion_length
        plans.append(
            StagePlan(stage.steps, stage.max_completion_length, stage.num_generations, prompts, completions, tokens)
        )
    return plans


def steps_on_a_process(recipe: Recipe, processes: int, prompt: int) -> list[Step]:
    """The largest micro-batch of each stage, for prompts of so many tokens."""
    schedule, geometry = schedule_of(recipe), _geometry(recipe, processes)
    steps = []
    for index, stage in enumerate(schedule.stages):
        generated = geometry.kept_rows(schedule, index)
        rows = generated // geometry.steps_per_generation
        steps.append(Step(rows, prompt + stage.max_completion_length, generated))
    return steps


def _geometry(recipe: Recipe, processes: int) -> Geometry:
    training = recipe.training
    return Geometry(
        per_device_train_batch_size=training.per_device_train_batch_size,
        world_size=processes,
        gradient_accumulation_steps=training.gradient_accumulation_steps,
        steps_per_generation=training.steps_per_generation,
        num_iterations=training.num_iterations,
        constant=recipe.args.ptst_constant,
    )
