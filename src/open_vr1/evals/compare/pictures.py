"""
The pictures of an evaluation's questions, for its page: from the rows on this machine, never from a host.

The log holds which row a question is, not its pictures. Rows are a local file or folder, or what `datasets` keeps of a dataset that
this machine has loaded before.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from datasets import Dataset
from datasets.packaged_modules.cache.cache import Cache

from open_vr1.data_sources import open_source
from open_vr1.evals import registry
from open_vr1.evals.benchmark import Benchmark
from open_vr1.report.page import Picture, picture_of

SIDE, QUALITY = 448, 80
# Of a page, which has to stay one that a browser opens at once.
MOST_BYTES, MOST = 16_000_000, 1_500


class Album:
    """
    The pictures of one page, as many as it has room for.

    Args:
        benchmark (`str`):
            Whose.
        written (`dict`):
            The benchmark's row in `results.json`, which names the rows.
        room (`Room`):
            What is left of the page.
    """

    def __init__(self, benchmark: str, written: dict[str, Any], room: "Room"):
        self.benchmark: Benchmark | None = registry.benchmark(benchmark) if benchmark in registry.names() else None
        self.room = room
        self.name = written.get("dataset") or benchmark
        self.split = written.get("split")
        self.rows = _rows(benchmark, written.get("dataset"), self.split) if self.benchmark else None

    def where(self, row: int | None) -> str:
        """Where to look for the picture that is not shown."""
        place = "" if row is None else f"row {row:,}, "
        return f"{place}{f'split {self.split} of ' if self.split else ''}{self.name}"

    def of(self, logged: dict[str, Any]) -> list[Picture]:
        """The pictures of a row of the log; none where they cannot be found, are of another question, or no room is left."""
        number = logged["row"]
        if self.rows is None or number is None or not 0 <= number < len(self.rows) or self.room.full:
            return []
        try:
            row = self.rows[number]
            question = self.benchmark.read(row)
            if question.id != logged["id"] and question.text != logged["question"]:
                return []  # The rows have changed since.
            found = [
                picture_of(picture.convert("RGB"), SIDE, QUALITY)
                for picture in self.benchmark.pictures(row)[: self.room.left]
            ]
        except Exception:  # noqa: BLE001  # A page without a picture is better than none: decoders raise errors of all kinds.
            return []
        self.room.take(found)
        return found


class Room:
    """What is left of a page for pictures."""

    def __init__(self, pictures: int = MOST, size: int = MOST_BYTES):
        self.left, self.size = pictures, size

    @property
    def full(self) -> bool:
        return self.left <= 0 or self.size <= 0

    def take(self, pictures: Sequence[Picture]) -> None:
        self.left -= len(pictures)
        self.size -= sum(len(picture.url) for picture in pictures)


@lru_cache
def _rows(benchmark: str, dataset: str | None, split: str | None) -> Dataset | None:
    try:
        if dataset and Path(dataset).exists():
            return open_source(
                {"path": dataset, **({"split": split} if split and Path(dataset).is_dir() else {})}, dataset
            )[0]
        source = registry.resolve(benchmark)
        if dataset not in (None, source.path):
            return None
        kept = Cache(
            dataset_name=source.path.rpartition("/")[2],
            repo_id=source.path,
            config_name=source.config,
            version="auto",
            hash="auto",
        )
        kept.download_and_prepare()
        return kept.as_dataset(split=source.split)
    except Exception:  # noqa: BLE001  # Not on this machine, which each reader says with errors of its own.
        return None
