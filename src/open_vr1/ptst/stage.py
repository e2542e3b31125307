"""
One stage of a PTST schedule, as a recipe writes it. Pure, imports neither torch nor trl.

    - {max_completion_length: 8192, num_generations: 8, steps: 100, temperature: 0.8, reset_reference: true}

Three keys are needed; the others are the recipe's own keys, for this stage alone, or start something anew with it. What the
paper says and does not say about each is in docs/ptst.md.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from difflib import get_close_matches
from typing import Any

from open_vr1.errors import UserError

EXAMPLE = "{max_completion_length: 4096, num_generations: 16, steps: 100}"
FROM_TOP_LEVEL = ("temperature", "beta", "epsilon")
LEAST = {"max_completion_length": 1, "num_generations": 2, "steps": 1, "warmup_steps": 0}
# Above 0, or from 0 on.
POSITIVE = ("temperature", "learning_rate", "epsilon", "epsilon_high")
FLAGS = ("reset_optimizer", "reset_reference")


@dataclass(frozen=True)
class Stage:
    """
    One stage of the schedule.

    Args:
        max_completion_length (`int`):
            Most tokens that a completion may have.
        num_generations (`int`):
            Completions per prompt: the group that a reward is compared with.
        steps (`int`):
            Optimizer steps that the stage lasts.
        temperature (`float`, *optional*, defaults to the recipe's):
            Sampling temperature.
        learning_rate (`float`, *optional*):
            Starts the recipe's `lr_scheduler_type` anew at this rate; it then runs until the next stage that has one.
        warmup_steps (`int`, *optional*, defaults to `0`):
            Steps over which `learning_rate` is reached.
        beta (`float`, *optional*, defaults to the recipe's):
            Weight of the KL term.
        epsilon (`float`, *optional*, defaults to the recipe's):
            Clipping of the probability ratio, and its upper side too where neither place has `epsilon_high`.
        epsilon_high (`float`, *optional*, defaults to the recipe's):
            Upper side of the clipping.
        reset_optimizer (`bool`, *optional*, defaults to `False`):
            Begin with an optimizer that has seen nothing.
        reset_reference (`bool`, *optional*, defaults to `False`):
            Measure KL from here on against the policy that the stage begins with.
    """

    max_completion_length: int
    num_generations: int
    steps: int
    temperature: float | None = None
    learning_rate: float | None = None
    warmup_steps: int | None = None
    beta: float | None = None
    epsilon: float | None = None
    epsilon_high: float | None = None
    reset_optimizer: bool = False
    reset_reference: bool = False

    def over(self, top_level: Mapping[str, Any]) -> "Stage":
        """The stage with the recipe's `temperature`, `beta`, `epsilon` and `epsilon_high` where it has none of its own."""
        own = {key: getattr(self, key) for key in FROM_TOP_LEVEL}
        filled = {key: top_level[key] if value is None else value for key, value in own.items()}
        highs = (self.epsilon_high, top_level["epsilon_high"], filled["epsilon"])
        return replace(self, **filled, epsilon_high=next(high for high in highs if high is not None))

    def written(self) -> dict[str, Any]:
        """The keys that say something, as a recipe would write them."""
        return {key: value for key, value in asdict(self).items() if value not in (None, False)}


def read_stage(row: Any, where: str) -> Stage:
    """The stage that a recipe writes as `row`, or a `UserError` that says what to write instead."""
    names = [f.name for f in fields(Stage)]
    if not isinstance(row, Mapping):
        raise UserError(f"{where}: {row!r} is not a stage; write {EXAMPLE}")
    for key in row:
        if key not in names:
            nearest = get_close_matches(str(key), names, n=1, cutoff=0.0)[0]
            raise UserError(f"{where}.{key}: unknown key; did you mean {nearest}? A stage has {', '.join(names)}")
    for name in names[:3]:
        if name not in row:
            raise UserError(f"{where}.{name}: missing; a stage looks like {EXAMPLE}")
    return Stage(**{name: _value(name, value, f"{where}.{name}") for name, value in row.items() if value is not None})


def whole_number(value: Any, least: int, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise UserError(f"{where}: {value!r} is not a whole number; write {least} or more, without quotes")
    if value < least:
        raise UserError(f"{where}: {value} is too small; write {least} or more")
    return value


def _value(name: str, value: Any, where: str) -> Any:
    if name in FLAGS:
        if not isinstance(value, bool):
            raise UserError(f"{where}: {value!r} is not true or false; write one of them, without quotes")
        return value
    if name in LEAST:
        return whole_number(value, LEAST[name], where)
    return _number(value, name in POSITIVE, where)


def _number(value: Any, positive: bool, where: str) -> float:
    wanted = "a number above 0" if positive else "a number from 0 on"
    try:
        number = float("nan") if isinstance(value, bool) else float(value)  # YAML reads 1e-6 as text.
    except (TypeError, ValueError):
        raise UserError(f"{where}: {value!r} is not a number; write {wanted}") from None
    if not 0 <= number < float("inf") or (positive and number == 0):
        raise UserError(f"{where}: {value!r} cannot be; write {wanted}")
    return number
