"""
The temperature that log-probabilities are computed at, changed while a run goes on.

TRL's fused head divides the logits by a temperature that it is given once, when the trainer is made. A stage that samples at
another temperature has to be trained at that one, or every probability ratio is wrong. `PTSTTrainer` uses this by itself,
for stages like

    - {max_completion_length: 8192, num_generations: 8, steps: 100, temperature: 0.8}
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from trl.trainer import grpo_trainer


class FusedHead:
    """
    Args:
        forward (`Callable`):
            The function that TRL's `add_fused_lm_head` puts in the place of a model's `forward`.
    """

    def __init__(self, forward: Callable):
        self.variables = dict(zip(forward.__code__.co_freevars, forward.__closure__, strict=True))

    def set_temperature(self, temperature: float) -> None:
        self.variables["temperature"].cell_contents = temperature


@contextmanager
def fused_heads() -> Iterator[list[FusedHead]]:
    """The heads that a `GRPOTrainer` made while this lasts gives to its models: the policy and the KL reference."""
    add = grpo_trainer.add_fused_lm_head
    heads = []

    def add_and_keep(model: Any, **kwargs: Any) -> None:
        add(model, **kwargs)
        heads.append(FusedHead(model.forward.__func__))

    grpo_trainer.add_fused_lm_head = add_and_keep
    try:
        yield heads
    finally:
        grpo_trainer.add_fused_lm_head = add
