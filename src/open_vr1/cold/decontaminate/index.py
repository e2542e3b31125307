"""
What an evaluation benchmark looks like and how it is worded, without the benchmark: one parquet file of hashes each.

    index = Index.load(build_index(read_benchmarks()["mathvista"], Path("outputs/benchmarks")))

A machine with network makes the files from the Hub, row by row; one without it takes them, or reads a parquet file of the
benchmark itself.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from open_vr1.cold.decontaminate.benchmarks import Benchmark, BenchmarkRow, hub_rows, local_rows
from open_vr1.cold.decontaminate.ngrams import WORDS, fingerprint
from open_vr1.cold.hashes import Look, Unreadable, look_at
from open_vr1.errors import UserError

# Changes with anything that is hashed, so that files of another version are made again and not compared.
VERSION = "1"
LOOK = pa.struct(
    [
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("sha256", pa.string()),
        ("pixels", pa.string()),
        ("hash64", pa.binary(8)),
        ("hash256", pa.binary(32)),
        ("blank", pa.bool_()),
    ]
)
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("whole", pa.uint64()),
        ("ngrams", pa.list_(pa.uint64())),
        ("pictures", pa.list_(LOOK)),
    ]
)
ABOUT = (b"name", b"version", b"words", b"unreadable")
# Rows of the index written at a time.
GROUP = 640


def build_index(benchmark: Benchmark, folder: Path, source: Path | None = None, words: int = WORDS) -> Path:
    """
    Read a benchmark once and write its index as `folder/<name>.parquet`; the pictures pass one at a time.

    Args:
        benchmark ([`Benchmark`]):
            What to read.
        folder (`Path`):
            Where indexes are.
        source (`Path`, *optional*):
            A parquet file with the benchmark's columns, or a folder with one or several for each split. Without it the
            Hub is read.
        words (`int`, *optional*, defaults to `8`):
            Length of the n-grams.
    """
    rows = local_rows(benchmark, source) if source else hub_rows(benchmark)
    path = folder / f"{benchmark.name}.parquet"
    write_index(path, benchmark.name, rows, words)
    return path


def write_index(path: Path, name: str, rows: Iterable[BenchmarkRow], words: int = WORDS) -> None:
    """Hash rows as they come and write them; the file is there when it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{os.getpid()}.tmp")
    unreadable, batch = 0, []
    try:
        with pq.ParquetWriter(unfinished, SCHEMA) as writer:
            for row in rows:
                hashed, failed = _hashed(row, words)
                unreadable += failed
                batch.append(hashed)
                if len(batch) == GROUP:
                    writer.write_table(pa.Table.from_pylist(batch, SCHEMA))
                    batch = []
            writer.write_table(pa.Table.from_pylist(batch, SCHEMA))
            about = {"name": name, "version": VERSION, "words": str(words), "unreadable": str(unreadable)}
            writer.add_key_value_metadata(about)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def _hashed(row: BenchmarkRow, words: int) -> tuple[dict[str, Any], int]:
    """A row of the index, and how many of its pictures cannot be read."""
    looks, failed = [], 0
    for data in row.pictures:
        try:
            if isinstance(data, Unreadable):
                raise data
            looks.append(vars(look_at(data)))
        except Unreadable:
            failed += 1
    wording = fingerprint(row.question, words)
    return {"id": row.id, "whole": wording.whole, "ngrams": wording.ngrams, "pictures": looks}, failed


@dataclass(frozen=True)
class Index:
    """
    A benchmark's hashes as arrays. Rows and pictures are numbers; pictures without anything to compare are left out.

    Args:
        name (`str`):
            The benchmark.
        words (`int`):
            Length of its n-grams.
        unreadable (`int`):
            Pictures of the benchmark that could not be read, and are not compared.
        ids (`pa.StringArray`):
            Name of each row.
        exact (`Mapping[str, int]`):
            The first row of each digest, of files and of pixels.
        rows (`np.ndarray`):
            The row of each picture, rising.
        coarse (`np.ndarray` of `uint64`):
            The 64-bit hash of each picture.
        fine (`np.ndarray` of `uint64`, shape `(pictures, 4)`):
            The 256-bit hash of each picture.
        shape (`np.ndarray` of `float32`):
            Logarithm of width by height.
        ngrams (`np.ndarray` of `uint64`):
            All n-grams of all rows, sorted.
        ngram_rows (`np.ndarray`):
            The row of each.
        wholes (`np.ndarray` of `uint64`):
            The hash of each whole question, sorted.
        whole_rows (`np.ndarray`):
            The row of each.
    """

    name: str
    words: int
    unreadable: int
    ids: pa.StringArray
    exact: Mapping[str, int]
    rows: np.ndarray
    coarse: np.ndarray
    fine: np.ndarray
    shape: np.ndarray
    ngrams: np.ndarray
    ngram_rows: np.ndarray
    wholes: np.ndarray
    whole_rows: np.ndarray

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what [`write_index`] wrote. Raises a `UserError` that names the file if it is anything else."""
        again = f"Delete it and it is made again from the Hub or from a parquet file of the benchmark ({path.stem})"
        try:
            with pq.ParquetFile(path) as file:
                table, stored = file.read(), file.metadata.metadata or {}
        except FileNotFoundError as error:
            raise UserError(f"{path}: there is no such index; build_index makes it") from error
        except (OSError, pa.ArrowException) as error:
            raise UserError(f"{path}: it cannot be read as the index of a benchmark: {error}. {again}") from error
        about = {key.decode(): value.decode() for key, value in stored.items() if key in ABOUT}
        if not table.schema.equals(SCHEMA) or len(about) != len(ABOUT):
            raise UserError(f"{path}: it is a parquet file, but not the index of a benchmark. {again}")
        if about["version"] != VERSION:
            raise UserError(f"{path}: it is of version {about['version']}, hashes are now of {VERSION}. {again}")
        return cls.of(table, about["name"], int(about["words"]), int(about["unreadable"]))

    @classmethod
    def of(cls, table: pa.Table, name: str, words: int = WORDS, unreadable: int = 0) -> Self:
        """An index of a table with the columns `id`, `whole`, `ngrams` and `pictures`."""
        looks, picture_rows = _flat(table.column("pictures"))
        ngrams, ngram_rows = _flat(table.column("ngrams"))
        by_hash = np.argsort(ngrams.to_numpy(), kind="stable")
        wholes = table.column("whole").to_numpy()
        by_whole = np.argsort(wholes, kind="stable")
        arrays = dict(zip([field.name for field in LOOK], looks.flatten(), strict=True))
        fine = hashes_of(arrays["hash256"], 4)
        compared = fine.any(axis=1)
        return cls(
            name=name,
            words=words,
            unreadable=unreadable,
            ids=table.column("id").combine_chunks(),
            exact=_first_rows(arrays, picture_rows),
            rows=picture_rows[compared],
            coarse=hashes_of(arrays["hash64"], 1).ravel()[compared],
            fine=np.asfortranarray(fine[compared]),
            shape=shapes(arrays["width"].to_numpy(), arrays["height"].to_numpy())[compared],
            ngrams=ngrams.to_numpy()[by_hash],
            ngram_rows=ngram_rows[by_hash],
            wholes=wholes[by_whole],
            whole_rows=by_whole.astype(np.int32),
        )


def _flat(column: pa.ChunkedArray) -> tuple[pa.Array, np.ndarray]:
    """The values of a column of lists, and the row of each."""
    lists = column.combine_chunks()
    return lists.flatten(), pc.list_parent_indices(lists).to_numpy().astype(np.int32)


def hashes_of(column: pa.Array | Sequence[bytes], words: int) -> np.ndarray:
    """Hashes of 8 or 32 bytes as rows of 1 or 4 unsigned integers, each column in one piece."""
    values = column.to_pylist() if isinstance(column, pa.Array) else column
    return np.asfortranarray(np.frombuffer(b"".join(values), "<u8").astype(np.uint64).reshape(-1, words))


def shapes(widths: np.ndarray, heights: np.ndarray) -> np.ndarray:
    """The logarithm of width by height: a difference of two is how much one is stretched against the other."""
    return (np.log(widths) - np.log(heights)).astype(np.float32)


def _first_rows(arrays: Mapping[str, pa.Array], rows: np.ndarray) -> dict[str, int]:
    found: dict[str, int] = {}
    named = zip(
        arrays["sha256"].to_pylist(),
        arrays["pixels"].to_pylist(),
        arrays["blank"].to_pylist(),
        rows.tolist(),
        strict=True,
    )
    for sha256, pixels, blank, row in named:
        # One colour all over stands for no picture in many datasets.
        if not blank:
            found.setdefault(sha256, row)
            found.setdefault(pixels, row)
    return found


def look_row(id: str, question: str, pictures: Sequence[Look], words: int = WORDS) -> dict[str, Any]:
    """A row for [`Index.of`] of pictures that were looked at already."""
    wording = fingerprint(question, words)
    return {
        "id": id,
        "whole": wording.whole,
        "ngrams": wording.ngrams,
        "pictures": [vars(look) for look in pictures],
    }
