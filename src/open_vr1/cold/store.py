"""
The rows that have been gathered, in parts: `rows-00000.parquet` holds their text and where their pictures are,
`pictures-00000.pack` the pictures' own bytes one after the other, each kept once however many rows show it.

Text is read in batches, a picture by one read at its place: nothing here grows with the dataset.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

PICTURE = pa.struct(
    {
        "sha256": pa.string(),
        "pixels": pa.string(),
        "hash64": pa.binary(8),
        "hash256": pa.binary(32),
        "width": pa.int32(),
        "height": pa.int32(),
        "blank": pa.bool_(),
        "name": pa.string(),
        "pack": pa.int32(),
        "offset": pa.int64(),
        "length": pa.int32(),
    }
)
ROWS = pa.schema(
    {
        "index": pa.int64(),
        "id": pa.string(),
        "source": pa.string(),
        "license": pa.string(),
        "question": pa.string(),
        "choices": pa.list_(pa.string()),
        "answer": pa.string(),
        "original": pa.string(),
        "pass_rate": pa.float64(),
        "pictures": pa.list_(PICTURE),
    }
)
BATCH = 1000
OPEN_PACKS = 64


class RowStore:
    """
    Gathered rows, by their index.

    Args:
        folder (`Path`):
            Where `gather` has put them.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._packs: dict[int, int] = {}

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self.read()

    def read(self, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
        """Rows in order, with these columns or all."""
        for batch in self.batches(columns):
            yield from batch.to_pylist()

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        for part in self.parts():
            with pq.ParquetFile(part) as file:
                yield from file.iter_batches(BATCH, columns=columns)

    def parts(self) -> list[Path]:
        return sorted(self.folder.glob("rows-*.parquet"))

    def picture(self, picture: dict[str, Any]) -> bytes:
        """The bytes of one of a row's `pictures`."""
        return self._read(picture["pack"], picture["offset"], picture["length"])

    def pictures(self, pictures: pa.StructArray) -> pa.Array:
        """The bytes of many, read into one buffer pack by pack."""
        places = [pictures.field(name).to_numpy() for name in ("pack", "offset", "length")]
        ends = np.concatenate([[0], np.cumsum(places[2])])
        data = pa.allocate_buffer(int(ends[-1]))
        view = memoryview(data).cast("B")
        for i in np.lexsort((places[1], places[0])).tolist():
            view[ends[i] : ends[i + 1]] = self._read(*(int(place[i]) for place in places))
        return pa.Array.from_buffers(pa.binary(), len(pictures), [None, pa.py_buffer(ends.astype(np.int32)), data])

    def _read(self, pack: int, offset: int, length: int) -> bytes:
        data = os.pread(self._pack(pack), length, offset)
        if len(data) < length:
            raise OSError(f"{pack_path(self.folder, pack)} ends before the picture at {offset}; delete {self.folder}")
        return data

    def _pack(self, number: int) -> int:
        if number not in self._packs:
            if len(self._packs) == OPEN_PACKS:
                os.close(self._packs.pop(next(iter(self._packs))))
            self._packs[number] = os.open(pack_path(self.folder, number), os.O_RDONLY)
        return self._packs[number]

    def close(self) -> None:
        while self._packs:
            os.close(self._packs.popitem()[1])


def part_path(folder: Path, number: int) -> Path:
    return folder / f"rows-{number:05d}.parquet"


def pack_path(folder: Path, number: int) -> Path:
    return folder / f"pictures-{number:05d}.pack"


def rejects_path(folder: Path, number: int) -> Path:
    return folder / f"rejects-{number:05d}.jsonl"
