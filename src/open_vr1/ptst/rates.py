"""
The learning rate of a run whose stages have their own: each starts the recipe's `lr_scheduler_type` anew, as a run of its own
would, and keeps the optimizer. A stage warms up again like this:

    - {max_completion_length: 8192, num_generations: 8, steps: 100, learning_rate: 5.0e-7, warmup_steps: 5}
"""

from collections.abc import Callable

import torch
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import LambdaLR
from transformers import TrainingArguments, get_scheduler

from open_vr1.ptst.schedule import Schedule


def staged_rates(args: TrainingArguments, schedule: Schedule, optimizer: Optimizer) -> LambdaLR:
    """The learning-rate schedule over all stages, as shares of `args.learning_rate`."""
    segments = []
    for start, steps, stage in schedule.rate_segments():
        warmup = args.get_warmup_steps(steps) if stage is None else stage.warmup_steps or 0
        rate = args.learning_rate if stage is None else stage.learning_rate
        segments.append((start, rate / args.learning_rate, _shape(args, rate, warmup, steps)))

    def share(step: int) -> float:
        start, peak, shape = next(segment for segment in reversed(segments) if segment[0] <= step)
        return peak * shape(step - start)

    return LambdaLR(optimizer, share)


def _shape(args: TrainingArguments, rate: float, warmup_steps: int, steps: int) -> Callable[[int], float]:
    """The course of one schedule between 0 and 1, by the step."""
    name = args.lr_scheduler_type
    if name == "constant" and warmup_steps:
        name = "constant_with_warmup"
    # get_scheduler writes into the optimizer it is given.
    scratch = SGD([torch.zeros(1, requires_grad=True)], lr=rate)
    return get_scheduler(name, scratch, warmup_steps, steps, args.lr_scheduler_kwargs).lr_lambdas[0]
