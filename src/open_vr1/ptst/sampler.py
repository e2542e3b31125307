"""
The prompts of a staged run, in order: a pure function of seed, schedule, batch geometry and dataset size.

TRL's sampler repeats each prompt for one group size and starts over at every epoch from the same seed, so that a run that
is resumed past its first epoch sees the first epoch's prompts again. This one writes down the whole run as one pass, so
that a trainer that skips `n` batches is exactly where the uninterrupted run was. Within an epoch each prompt comes once,
also across a stage boundary; epochs follow one another without a gap.

    python -m pytest tests/ptst/test_sampler.py
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch.utils.data import Sampler

from open_vr1.ptst.schedule import Schedule


@dataclass(frozen=True)
class Geometry:
    """
    How a generation batch is cut up, named as in GRPOConfig.

    Args:
        per_device_train_batch_size (`int`):
            Rows of a micro-batch on one process, in the stage with the largest group.
        world_size (`int`):
            Processes.
        gradient_accumulation_steps (`int`):
            Micro-batches per optimizer step.
        steps_per_generation (`int`):
            Micro-batches per generation batch.
        num_iterations (`int`):
            How often each generation batch is trained on.
        constant (`str`):
            `"prompts"`: every step has the same number of prompts, so rows shrink with the group size. `"rollouts"`:
            every step has the same number of rows.
    """

    per_device_train_batch_size: int
    world_size: int
    gradient_accumulation_steps: int
    steps_per_generation: int
    num_iterations: int
    constant: str

    @property
    def slice_rows(self) -> int:
        """Rows of a generation batch that one process is sent."""
        return self.per_device_train_batch_size * self.steps_per_generation

    @property
    def cycle(self) -> int:
        """Micro-batches that one generation batch serves."""
        return self.steps_per_generation * self.num_iterations

    def prompts(self, schedule: Schedule, stage_index: int) -> int:
        """Prompts of a generation batch."""
        group = schedule.stages[stage_index].num_generations
        rows = self.slice_rows * self.world_size
        return rows // (schedule.max_generations if self.constant == "prompts" else group)

    def kept_rows(self, schedule: Schedule, stage_index: int) -> int:
        """Rows of a process's slice that are trained on; the rest is filler at its end."""
        group = schedule.stages[stage_index].num_generations
        return self.prompts(schedule, stage_index) * group // self.world_size


class StagedRepeatSampler(Sampler[int]):
    """
    Row numbers of a whole run, in the order in which the processes' batches are cut from them.

    Args:
        num_rows (`int`):
            Rows of the dataset.
        schedule (`Schedule`):
            Must have passed `check_batch` for this geometry.
        geometry (`Geometry`):
            The batch.
        seed (`int`):
            Of the shuffling.
        shuffle (`bool`, *optional*, defaults to `True`):
            Whether each epoch has its own order.
    """

    def __init__(self, num_rows: int, schedule: Schedule, geometry: Geometry, seed: int, shuffle: bool = True):
        self.num_rows = num_rows
        self.schedule = schedule
        self.geometry = geometry
        self.seed = seed
        self.shuffle = shuffle

    def __len__(self) -> int:
        g = self.geometry
        return self.schedule.max_steps * g.gradient_accumulation_steps * g.slice_rows * g.world_size

    def __iter__(self) -> Iterator[int]:
        g = self.geometry
        prompts = self._prompts()
        for micro_batch in range(0, self.schedule.max_steps * g.gradient_accumulation_steps, g.cycle):
            stage_index = self.schedule.stage_index(micro_batch // g.gradient_accumulation_steps)
            group = self.schedule.stages[stage_index].num_generations
            batch = [next(prompts) for _ in range(g.prompts(self.schedule, stage_index))]
            rows = self._with_filler([row for row in batch for _ in range(group)], stage_index)
            for _ in range(g.cycle):
                yield from rows

    def _prompts(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed)
        while True:
            if self.shuffle:
                yield from torch.randperm(self.num_rows, generator=generator).tolist()
            else:
                yield from range(self.num_rows)

    def _with_filler(self, rows: list[int], stage_index: int) -> list[int]:
        kept = self.geometry.kept_rows(self.schedule, stage_index)
        filler = self.geometry.slice_rows - kept
        padded = []
        for start in range(0, len(rows), kept):
            mine = rows[start : start + kept]
            padded += mine + [mine[-1]] * filler
        return padded
