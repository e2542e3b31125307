"""
Check a recipe for other machines than this one: with their number of processes, and without asking for their GPUs here.

`make grpo LAUNCHER=slurm` reads a recipe so, on a login node, before anything is submitted:

    read_recipe("recipes/vr1_tiny/ptst.yaml", "grpo", elsewhere=Elsewhere(processes=16, sharded_by="DeepSpeed"))
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Elsewhere:
    """
    Where a run will be.

    Args:
        processes (`int`):
            Processes that train, on all machines together.
        sharded_by (`str`, *optional*):
            What `accelerate launch` shards the weights with there: `"DeepSpeed"` or `"FSDP"`.
    """

    processes: int
    sharded_by: str | None = None


@contextmanager
def many_processes(elsewhere: Elsewhere | None) -> Iterator[None]:
    """While this lasts, TRL's configs count the processes of the run, by which a batch must hold whole groups."""
    from transformers import TrainingArguments

    if elsewhere is None:
        yield
        return
    theirs = TrainingArguments.world_size
    TrainingArguments.world_size = property(lambda _: elsewhere.processes)
    try:
        yield
    finally:
        TrainingArguments.world_size = theirs
