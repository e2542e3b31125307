"""
The PTST schedule: which length limit and group size holds at which optimizer step. Pure, imports neither torch nor trl.

The paper's schedule, as a recipe writes it:

    ptst_stages:
      - {max_completion_length: 4096, num_generations: 16, steps: 100}
      - {max_completion_length: 8192, num_generations: 8, steps: 100}

The paper runs its stages one after the other and does not say what it keeps in between; here they are one run with one
optimizer, one learning-rate schedule and one KL reference, unless a stage says otherwise (`stage.py`). See the schedule of a recipe with
`python -m open_vr1.grpo --config recipes/vr1_tiny/ptst.yaml`, which prints each switch on one line.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, NoReturn

from open_vr1.errors import UserError
from open_vr1.ptst.stage import EXAMPLE, Stage, read_stage, whole_number

CONSTANTS = ("prompts", "rollouts")
# What GRPOConfig takes for a key that the recipe leaves out.
TRL_DEFAULTS = {
    "per_device_train_batch_size": 8,
    "per_device_eval_batch_size": 8,
    "gradient_accumulation_steps": 1,
    "steps_per_generation": None,
    "generation_batch_size": None,
    "num_generations_eval": None,
    "num_iterations": 1,
    "save_strategy": "steps",
    "save_steps": 500,
    "eval_strategy": "no",
    "loss_type": "dapo",
    "generation_kwargs": None,
    "learning_rate": 1e-6,
    "lr_scheduler_type": "linear",
    "temperature": 1.0,
    "beta": 0.0,
    "epsilon": 0.2,
    "epsilon_high": None,
    "sync_ref_model": False,
}
SET_BY_STAGES = ("max_completion_length", "num_generations", "max_steps")
LENGTH_DEPENDENT_LOSSES = ("dr_grpo",)
LENGTH_KWARGS = ("max_tokens", "max_new_tokens")
# They follow the evaluation loss or the gradients, not the step, so no stage can start them anew.
RATES_WITHOUT_STEPS = ("reduce_lr_on_plateau", "greedy")


@dataclass(frozen=True)
class Schedule:
    """
    The stages of one run.

    Args:
        stages (`tuple[Stage, ...]`):
            At least one, in the order they are trained.
        source (`str`, *optional*, defaults to `"recipe"`):
            The file that error messages name.
    """

    stages: tuple[Stage, ...]
    source: str = field(default="recipe", compare=False)

    @classmethod
    def from_recipe(cls, rows: Any, source: str = "recipe") -> "Schedule":
        """The schedule of a recipe's `ptst_stages`, or a `UserError` that says what to write instead."""
        if not isinstance(rows, list) or not rows:
            raise UserError(f"{source}: ptst_stages: {rows!r} is not a list of stages; write {EXAMPLE}")
        return cls(tuple(read_stage(row, f"{source}: ptst_stages[{i}]") for i, row in enumerate(rows)), source)

    @property
    def boundaries(self) -> tuple[int, ...]:
        """The step after the last one of each stage."""
        return tuple(accumulate(stage.steps for stage in self.stages))

    @property
    def max_steps(self) -> int:
        return self.boundaries[-1]

    @property
    def max_completion_length(self) -> int:
        return max(stage.max_completion_length for stage in self.stages)

    @property
    def max_generations(self) -> int:
        return max(stage.num_generations for stage in self.stages)

    def stage_index(self, step: int) -> int:
        """The stage, counted from 0, of a step counted from 0. A finished run stays in its last stage."""
        if step < 0:
            raise ValueError(f"step {step} is before the run")
        return min(bisect_right(self.boundaries, step), len(self.stages) - 1)

    def stage(self, step: int) -> Stage:
        return self.stages[self.stage_index(step)]

    def starts(self) -> Iterable[tuple[int, Stage]]:
        """Each stage with its first step."""
        return zip((0, *self.boundaries), self.stages, strict=False)

    def reference_step(self, step: int) -> int:
        """The step whose policy is the KL reference at a step."""
        return max((start for start, stage in self.starts() if stage.reset_reference and start <= step), default=0)

    def rate_segments(self) -> list[tuple[int, int, Stage | None]]:
        """
        Spans of the run with a learning-rate schedule of their own: first step, steps, and the stage that starts it.
        `None` stands for the recipe's own learning rate and warmup.
        """
        new = [(start, stage) for start, stage in self.starts() if stage.learning_rate is not None]
        if not new or new[0][0] != 0:
            new.insert(0, (0, None))
        ends = [*(start for start, _ in new[1:]), self.max_steps]
        return [(start, end - start, stage) for (start, stage), end in zip(new, ends, strict=True)]

    def trainer_values(self) -> dict[str, int]:
        """
        What GRPOConfig has to hold before it is built. The length is the longest one, so that an engine is built for it.
        `num_generations_eval` is meant for recipes that do not set their own.
        """
        return {
            "max_steps": self.max_steps,
            "max_completion_length": self.max_completion_length,
            "num_generations": self.max_generations,
            "num_generations_eval": self.stages[-1].num_generations,
        }

    def check(
        self,
        values: Mapping[str, Any],
        world_size: int = 1,
        constant: str = "prompts",
        sharded_by: str | None = None,
    ) -> None:
        """Everything below, for a recipe as it is written, before GRPOConfig is built."""
        doubled = [key for key in SET_BY_STAGES if key in values]
        if doubled:
            raise UserError(
                f"{self.source}: {', '.join(doubled)}: also set by ptst_stages, which holds a value per stage; "
                f"remove {'it' if len(doubled) == 1 else 'them'} from the top level"
            )
        v = {**TRL_DEFAULTS, **values}
        steps_per_generation = v["steps_per_generation"]
        if steps_per_generation is None and v["generation_batch_size"] is not None:
            for key in ("per_device_train_batch_size", "generation_batch_size"):
                whole_number(v[key], 1, f"{self.source}: {key}")
            rows = v["per_device_train_batch_size"] * world_size
            if v["generation_batch_size"] % rows:
                groups = math.lcm(*(stage.num_generations for stage in self.stages))
                accumulation, iterations = v["gradient_accumulation_steps"], v["num_iterations"]
                self._refuse(
                    "generation_batch_size",
                    v["generation_batch_size"],
                    f"is not a multiple of per_device_train_batch_size x processes = {rows}",
                    lambda n: (
                        n % math.lcm(rows, groups) == 0
                        and all(s.steps % _cycle_steps(accumulation, n // rows, iterations) == 0 for s in self.stages)
                    ),
                )
            steps_per_generation = v["generation_batch_size"] // rows
        self.check_batch(
            per_device_train_batch_size=v["per_device_train_batch_size"],
            world_size=world_size,
            gradient_accumulation_steps=v["gradient_accumulation_steps"],
            steps_per_generation=steps_per_generation,
            num_iterations=v["num_iterations"],
            save_steps=v["save_steps"] if v["save_strategy"] == "steps" else None,
            constant=constant,
        )
        if v["eval_strategy"] != "no":
            self.check_eval(v["per_device_eval_batch_size"], world_size, v["num_generations_eval"])
        self.check_lengths(v["loss_type"], v["generation_kwargs"])
        self.check_stages(v, sharded_by)

    def check_batch(
        self,
        *,
        per_device_train_batch_size: int,
        world_size: int = 1,
        gradient_accumulation_steps: int = 1,
        steps_per_generation: int | None = None,
        num_iterations: int = 1,
        save_steps: float | None = None,
        constant: str = "prompts",
    ) -> None:
        """
        Whole groups in every generation batch, whole micro-batches and whole generation cycles in every stage, and
        checkpoints at every stage boundary; otherwise a `UserError` with the nearest values that give them.

        Args:
            steps_per_generation (`int`, *optional*):
                As in GRPOConfig: defaults to `gradient_accumulation_steps`.
            save_steps (`float`, *optional*):
                Steps between checkpoints, or a share of the run below 1. `None` if none are saved by steps.
            constant (`str`, *optional*, defaults to `"prompts"`):
                What stays the same per step when the group size changes: `"prompts"` or `"rollouts"`.
        """
        if constant not in CONSTANTS:
            raise UserError(f"{self.source}: ptst_constant: {constant!r}: write one of {', '.join(CONSTANTS)}")
        if steps_per_generation is None:
            steps_per_generation = gradient_accumulation_steps
        counts = {
            "per_device_train_batch_size": per_device_train_batch_size,
            "gradient_accumulation_steps": gradient_accumulation_steps,
            "steps_per_generation": steps_per_generation,
            "num_iterations": num_iterations,
        }
        for key, value in counts.items():
            whole_number(value, 1, f"{self.source}: {key}")
        passes = world_size * steps_per_generation
        groups = [stage.num_generations for stage in self.stages]

        def whole_groups(rows: int) -> bool:
            if constant == "rollouts":
                return all(rows * passes % group == 0 for group in groups)
            return rows * passes % max(groups) == 0

        def whole_rows(rows: int) -> bool:
            return constant == "rollouts" or all(rows * group % max(groups) == 0 for group in groups)

        def fits(rows: int) -> bool:
            return whole_groups(rows) and whole_rows(rows)

        rows = per_device_train_batch_size
        if not whole_groups(rows):
            sizes = ", ".join(map(str, sorted(set(groups) if constant == "rollouts" else {max(groups)})))
            reason = (
                f"makes generation batches of {rows * passes} rows ({rows} rows x {world_size} processes x "
                f"{steps_per_generation} steps per generation), which do not hold whole groups of {sizes}"
            )
            self._refuse("per_device_train_batch_size", rows, reason, fits)
        if not whole_rows(rows):
            reason = (
                f"cannot shrink with the group sizes {groups}: with the same prompts at every step, a device "
                f"trains {rows} x num_generations / {max(groups)} rows at a time"
            )
            self._refuse("per_device_train_batch_size", rows, reason, fits)

        unit = _cycle_steps(gradient_accumulation_steps, steps_per_generation, num_iterations)
        for i, stage in enumerate(self.stages):
            if stage.steps % unit:
                self._refuse(
                    f"ptst_stages[{i}].steps",
                    stage.steps,
                    f"ends inside a generation cycle: completions serve {unit} steps (steps_per_generation "
                    f"{steps_per_generation} x num_iterations {num_iterations} / gradient_accumulation_steps "
                    f"{gradient_accumulation_steps})",
                    lambda n: n % unit == 0,
                )
        if save_steps is None:
            return
        every = math.ceil(save_steps * self.max_steps) if save_steps < 1 else int(save_steps)
        common = math.gcd(*self.boundaries)
        if every < 1 or common % every or every % unit:
            self._refuse(
                "save_steps",
                save_steps,
                f"does not put a checkpoint at each stage boundary {list(self.boundaries)}"
                + (f" and between generation cycles of {unit} steps" if unit > 1 else ""),
                lambda n: common % n == 0 and n % unit == 0,
                start=every,
            )

    def check_eval(self, per_device_eval_batch_size: int, world_size: int, num_generations_eval: int | None) -> None:
        """Whole groups in every evaluation batch."""
        group = num_generations_eval or self.stages[-1].num_generations
        if per_device_eval_batch_size * world_size % group:
            self._refuse(
                "per_device_eval_batch_size",
                per_device_eval_batch_size,
                f"x {world_size} processes does not hold whole groups of {group} (num_generations_eval, or else the "
                "last stage's num_generations)",
                lambda n: n * world_size % group == 0,
            )

    def check_lengths(self, loss_type: str, generation_kwargs: Mapping[str, Any] | None) -> None:
        """Nothing but the schedule sets the length, and no loss is scaled by it."""
        lengths = [stage.max_completion_length for stage in self.stages]
        if loss_type in LENGTH_DEPENDENT_LOSSES and len(set(lengths)) > 1:
            raise UserError(
                f"{self.source}: loss_type: {loss_type} divides by max_completion_length, so a switch between the "
                f"lengths {lengths} would rescale the loss; write grpo or dapo, or give every stage the same length"
            )
        for key in LENGTH_KWARGS:
            if key in (generation_kwargs or {}):
                raise UserError(
                    f"{self.source}: generation_kwargs.{key}: {generation_kwargs[key]} would override "
                    "max_completion_length in every stage; remove it"
                )

    def check_stages(self, values: Mapping[str, Any], sharded_by: str | None = None) -> None:
        """
        Everything that a stage says has an effect.

        Args:
            values (`Mapping`):
                The top level of the recipe.
            sharded_by (`str`, *optional*):
                `"DeepSpeed"` or `"FSDP"` where one of them holds the weights.
        """
        stages = [stage.over(values) for stage in self.stages]
        for i, stage in enumerate(self.stages):
            where = f"{self.source}: ptst_stages[{i}]"
            for key in ("reset_optimizer", "reset_reference"):
                if i == 0 and getattr(stage, key):
                    raise UserError(f"{where}.{key}: true, but a run begins with a new one anyway; remove it")
                if getattr(stage, key) and (sharded_by == "DeepSpeed" or (sharded_by and key == "reset_reference")):
                    raise UserError(
                        f"{where}.{key}: true is not there with {sharded_by}, which keeps its own copy; use "
                        "recipes/accelerate_configs/ddp.yaml, or start a second run from the first stage's checkpoint"
                    )
            if stage.warmup_steps is not None and stage.learning_rate is None:
                raise UserError(
                    f"{where}.warmup_steps: {stage.warmup_steps} warms up to nothing; write a learning_rate beside it"
                )
            if stage.reset_reference and not any(later.beta for later in stages[i:]):
                raise UserError(
                    f"{where}.reset_reference: true, but beta is 0 from here on, so nothing is compared with the "
                    "reference; write a beta or remove it"
                )
            if stage.reset_reference and values["sync_ref_model"]:
                raise UserError(f"{where}.reset_reference: true, but sync_ref_model moves the reference too; keep one")
            if stage.learning_rate is None:
                continue
            if values["lr_scheduler_type"] in RATES_WITHOUT_STEPS:
                raise UserError(
                    f"{where}.learning_rate: {stage.learning_rate} cannot start lr_scheduler_type "
                    f"{values['lr_scheduler_type']} anew, which is no function of the step; write linear or cosine"
                )
            if not values["learning_rate"]:
                raise UserError(
                    f"{where}.learning_rate: {stage.learning_rate} is set as a share of the recipe's learning_rate, "
                    "which is 0; write the first stage's rate there"
                )
            if (stage.warmup_steps or 0) >= stage.steps:
                raise UserError(
                    f"{where}.warmup_steps: {stage.warmup_steps} leaves none of the stage's {stage.steps} steps at "
                    f"its learning_rate; write at most {stage.steps - 1}"
                )

    def _refuse(
        self, key: str, value: Any, reason: str, valid: Callable[[int], bool], start: int | None = None
    ) -> NoReturn:
        nearest = _nearest(valid, value if start is None else start)
        raise UserError(f"{self.source}: {key}: {value} {reason}; nearest valid values: {_listed(nearest)}")


def schedule_of(recipe: Any) -> Schedule:
    """The stages of a recipe that has been read; a recipe without any is one stage."""
    args = recipe.training
    if not recipe.args.ptst_stages and args.max_steps < 1:
        raise UserError(f"{recipe.path}: max_steps: this key is missing; write max_steps: 200, or ptst_stages")
    only_stage = {
        "max_completion_length": args.max_completion_length,
        "num_generations": args.num_generations,
        "steps": args.max_steps,
    }
    return Schedule.from_recipe(recipe.args.ptst_stages or [only_stage], str(recipe.path))


def _cycle_steps(gradient_accumulation_steps: int, steps_per_generation: int, num_iterations: int) -> int:
    """The fewest optimizer steps after which a generation batch and a step end together."""
    cycle = steps_per_generation * num_iterations
    return cycle // math.gcd(cycle, gradient_accumulation_steps)


def _nearest(valid: Callable[[int], bool], value: int) -> list[int]:
    """The closest valid value on either side, where there is one; the search covers every divisor a batch can need."""
    below = next((n for n in range(value, 0, -1) if valid(n)), None)
    above = next((n for n in range(max(value, 0) + 1, max(value, 0) * 2 + 4097) if valid(n)), None)
    return [n for n in (below, above) if n is not None]


def _listed(values: Sequence[int]) -> str:
    return " or ".join(map(str, values))
