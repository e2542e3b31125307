"""
Signs that a GRPO run is going wrong while its reward may still look well, each with the recipe key to turn.

A guardrail compares the mean of one logged metric over the last steps with a limit, or with what the metric was at the
beginning. It reads the trainer's own logs and remembers nothing else, so a resumed run judges as the uninterrupted one
does. In a recipe:

    guardrails: warn                          # or stop, or off
    guardrail_steps: 10                       # steps that a sign has to last, all in one stage
    guardrail_limits: {length_collapse: 0.2}  # only what differs from the limits below
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from open_vr1.console import say
from open_vr1.errors import UserError


@dataclass(frozen=True)
class Guardrail:
    """
    One sign.

    Args:
        metric (`str`):
            A key of the trainer's logs.
        limit (`float`):
            What the sign is measured by, between 0 and 1.
        fires (`Callable`):
            Whether it is there, by the metric now, the metric at the beginning, and the limit.
        words (`str`):
            What is seen, and the keys to turn. `{stage}` stands before a key that a stage can have.
    """

    metric: str
    limit: float
    fires: Callable[[float, float, float], bool]
    words: str


GUARDRAILS = {
    "length_collapse": Guardrail(
        "completions/mean_length",
        0.25,
        lambda now, first, limit: now < limit * first,
        "completions have {now:.0f} tokens, and had {first:.0f} at the beginning. Write loss_type: dapo where it is grpo, "
        "which favours short right answers; raise {stage}beta; or add a reward that wants thinking to reward_funcs",
    ),
    "zero_variance": Guardrail(
        "frac_reward_zero_std",
        0.8,
        lambda now, first, limit: now > limit,
        "{now:.0%} of the groups have one reward for all their completions and teach nothing (mean reward {reward:.2f}). "
        "Raise {stage}num_generations or {stage}temperature, or choose other rows in datasets: harder ones if the reward is "
        "high, easier ones if it is low",
    ),
    "clipped": Guardrail(
        "completions/clipped_ratio",
        0.5,
        lambda now, first, limit: now > limit,
        "{now:.0%} of the completions are cut off before their answer and get no reward for it. Raise "
        "{stage}max_completion_length",
    ),
    "entropy_collapse": Guardrail(
        "entropy",
        0.1,
        lambda now, first, limit: now < limit * first,
        "the policy's entropy is {now:.2g} nats a token, and was {first:.2g} at the beginning: it hardly tries anything new. "
        "Raise {stage}epsilon_high or entropy_coef, or lower {stage}learning_rate",
    ),
    "answer_share": Guardrail(
        "completions/answer_share",
        0.5,
        lambda now, first, limit: first <= limit < now,
        "the answer makes up {now:.0%} of a completion, and {first:.0%} at the beginning: the model answers without "
        "thinking, or thinks in its answer. Add hard_format_result or format to reward_funcs, or raise {stage}beta",
    ),
}


def signs(
    logs: Sequence[Mapping[str, Any]], steps: int = 10, limits: Mapping[str, float] | None = None
) -> dict[str, str]:
    """
    What the guardrails see in the logs of a run so far.

    Args:
        logs (`Sequence[Mapping]`):
            The trainer's `log_history`.
        steps (`int`, *optional*, defaults to `10`):
            Optimizer steps, all in the running stage, over which a metric is averaged.
        limits (`Mapping[str, float]`, *optional*):
            Limits that differ from those of `GUARDRAILS`.

    Returns:
        `dict[str, str]`: what is seen, by the name of the guardrail.
    """
    seen = {}
    for name, guardrail in GUARDRAILS.items():
        limit = (limits or {}).get(name, guardrail.limit)
        rows = [row for row in logs if row.get(guardrail.metric) is not None]
        now = _mean_of_last(rows, guardrail.metric, steps)
        if now is not None and guardrail.fires(now, rows[0][guardrail.metric], limit):
            reward = rows[-1].get("reward") or 0.0
            stage = f"ptst_stages[{rows[-1].get('ptst/stage', 1) - 1:.0f}]."
            words = guardrail.words.replace("{stage}", stage)
            seen[name] = words.format(now=now, first=rows[0][guardrail.metric], reward=reward)
    return seen


def _mean_of_last(rows: Sequence[Mapping[str, Any]], metric: str, steps: int) -> float | None:
    """The metric's mean over the last steps; `None` while the stage has not lasted as long."""
    total, covered = 0.0, 0
    for i in range(len(rows) - 1, -1, -1):
        if rows[i].get("ptst/stage") != rows[-1].get("ptst/stage"):
            return None
        steps_of_row = rows[i]["step"] - (rows[i - 1]["step"] if i else 0)
        total, covered = total + steps_of_row * rows[i][metric], covered + steps_of_row
        if covered >= steps:
            return total / covered
    return None


class GuardrailCallback(TrainerCallback):
    """
    Says what the guardrails see, once until it has passed; and stops the run at it, with a checkpoint, where asked to.

    Args:
        stop (`bool`):
            Whether to stop.
        steps (`int`):
            See [`signs`].
        limits (`Mapping[str, float]`):
            See [`signs`].
        source (`str`):
            The recipe that the messages name.
        staged (`bool`):
            Whether the recipe writes its keys in `ptst_stages`.
    """

    def __init__(self, stop: bool, steps: int, limits: Mapping[str, float], source: str, staged: bool):
        self.stop = stop
        self.steps = steps
        self.limits = limits
        self.source = source
        self.staged = staged
        self.said: set[str] = set()
        self.stopped_by: str | None = None

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        seen = signs(state.log_history, self.steps, self.limits)
        for name in seen.keys() - self.said:
            message = f"{self.source}: {name} at step {state.global_step}: {self._words(seen[name])}"
            if state.is_world_process_zero:
                say(f"warning: {message}")
            if self.stop and state.global_step < state.max_steps:
                self.stopped_by = message
                control.should_save = control.should_training_stop = True
        self.said = set(seen)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if self.stopped_by:
            raise UserError(
                f"{self.stopped_by}. Stopped here, because of guardrails: stop; the run is saved in "
                f"{args.output_dir}/checkpoint-{state.global_step}. Write guardrails: warn to go on with it, or start "
                "another run with what you have changed from an earlier checkpoint"
            )

    def _words(self, words: str) -> str:
        return words if self.staged else words.replace("ptst_stages[0].", "")
