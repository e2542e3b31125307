"""
Which rows are shown: those whose ids hash lowest, so the same on every run and nobody's choice.

First the ids alone are read, then the few groups of rows that hold what was chosen: nothing here grows with the dataset.
"""

import hashlib
import heapq
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

BATCH = 5000


@dataclass(frozen=True, order=True)
class Place:
    """Where a row stands; the smaller hash comes first."""

    rank: str
    path: Path
    number: int


def choose(files: Sequence[Path], group: str, each: int) -> tuple[dict[str, list[Place]], Counter[str]]:
    """
    Some rows of each group, and how many rows each group has.

    Args:
        files (`Sequence[Path]`):
            Parquet files with a column `id`.
        group (`str`):
            The column that names a row's group.
        each (`int`):
            The most rows of a group.
    """
    chosen: dict[str, list[Place]] = defaultdict(list)
    sizes: Counter[str] = Counter()
    for path in files:
        number = 0
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(BATCH, columns=["id", group]):
                found = defaultdict(list)
                for row_id, name in zip(batch["id"].to_pylist(), batch[group].to_pylist(), strict=True):
                    found[name].append(Place(rank(row_id), path, number))
                    number += 1
                for name, places in found.items():
                    sizes[name] += len(places)
                    chosen[name] = heapq.nsmallest(each, [*chosen[name], *places])
    return dict(chosen), sizes


def rank(row_id: str) -> str:
    return hashlib.blake2b(f"report/{row_id}".encode(errors="replace"), digest_size=8).hexdigest()


def in_turn(groups: Sequence[Sequence[Any]], count: int) -> list[Any]:
    """The first of every group, then the second of every group, until there are as many as asked for."""
    rounds = max(map(len, groups), default=0)
    return [group[turn] for turn in range(rounds) for group in groups if turn < len(group)][:count]


def fetch(places: Sequence[Place], columns: Sequence[str]) -> list[dict[str, Any]]:
    """The rows at these places, in the order of the places."""
    wanted: dict[Path, set[int]] = defaultdict(set)
    for place in places:
        wanted[place.path].add(place.number)
    rows = {}
    for path, numbers in wanted.items():
        with pq.ParquetFile(path, buffer_size=1 << 16, pre_buffer=False) as file:
            start = 0
            for group in range(file.num_row_groups):
                end = start + file.metadata.row_group(group).num_rows
                if numbers & set(range(start, end)):
                    number = start
                    for batch in file.iter_batches(16, row_groups=[group], columns=columns, use_threads=False):
                        for i in range(len(batch)):
                            if number in numbers:
                                rows[path, number] = batch.slice(i, 1).to_pylist()[0]
                            number += 1
                start = end
    return [rows[place.path, place.number] for place in places]
