"""
The rows of evaluation benchmarks, one at a time: streamed from the Hub, or from parquet files of this machine.

    for row in hub_rows(read_benchmarks()["mathvista"]): ...

Which benchmarks there are and which of their columns matter is in benchmarks.yaml, or in a file of your own like it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from open_vr1.cold.hashes import Unreadable
from open_vr1.errors import UserError
from open_vr1.image_columns import as_lists

BENCHMARKS = Path(__file__).with_name("benchmarks.yaml")
# Rows in memory with their pictures.
BATCH = 64


@dataclass(frozen=True)
class Benchmark:
    """
    Where an evaluation benchmark is and which of its columns matter.

    Args:
        name (`str`):
            Its key in benchmarks.yaml.
        dataset (`str`):
            The Hub's id.
        splits (`Sequence[str]`):
            Every split to compare with.
        pictures (`Sequence[str]`):
            Columns with a picture or a list of pictures.
        config (`str` or `Sequence[str]`, *optional*):
            The dataset's configuration, or several.
        question (`str`, *optional*):
            The column with the wording.
        id (`str`, *optional*):
            The column that names a row.
        revision (`str`, *optional*):
            Of the dataset on the Hub.
        checked (`bool`, *optional*, defaults to `False`):
            Whether all of this was seen somewhere.
        note (`str`, *optional*):
            What to know about it.
    """

    name: str
    dataset: str
    splits: Sequence[str]
    pictures: Sequence[str]
    config: str | Sequence[str] = ""
    question: str = ""
    id: str = ""
    revision: str = ""
    checked: bool = False
    note: str = ""

    @property
    def configs(self) -> Sequence[str]:
        return [self.config] if isinstance(self.config, str) else self.config

    @property
    def columns(self) -> list[str]:
        return [column for column in (self.id, self.question, *self.pictures) if column]


@dataclass(frozen=True)
class BenchmarkRow:
    """A row of a benchmark. `pictures` are the bytes of each, or why there are none."""

    id: str
    question: str
    pictures: Sequence[bytes | Unreadable]


def read_benchmarks(path: Path = BENCHMARKS) -> dict[str, Benchmark]:
    """The benchmarks of a file like benchmarks.yaml, by name."""
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path}: it cannot be read: {error}") from error
    if not isinstance(found, dict) or not found:
        raise UserError(f"{path}: it holds no benchmark; write `name:` with dataset, splits, pictures below it")
    return {str(name): _benchmark(path, str(name), values) for name, values in found.items()}


def _benchmark(path: Path, name: str, values: Any) -> Benchmark:
    if not isinstance(values, dict):
        raise UserError(f"{path}: {name}: {values!r} is no mapping; write dataset, splits, pictures below it")
    known = {field.name for field in fields(Benchmark)} - {"name"}
    for key in values:
        if key not in known:
            raise UserError(f"{path}: {name}.{key}: there is no such key; write one of {', '.join(sorted(known))}")
    for key in ("dataset", "splits", "pictures"):
        if key not in values:
            raise UserError(f"{path}: {name}.{key}: it is missing; see {BENCHMARKS}")
    for key in ("splits", "pictures"):
        if not isinstance(values[key], list) or not all(isinstance(part, str) for part in values[key]):
            raise UserError(f"{path}: {name}.{key}: {values[key]!r} is no list of names; write [a, b]")
    if not values["pictures"] and not values.get("question"):
        raise UserError(f"{path}: {name}: there is nothing to compare; write pictures, question or both")
    return Benchmark(name, **values)


def local_rows(benchmark: Benchmark, source: Path) -> Iterator[BenchmarkRow]:
    """The rows of a benchmark in parquet files of this machine, a few at a time."""
    for split, path in _files(benchmark, source):
        try:
            with pq.ParquetFile(path) as file:
                columns = file.schema_arrow.names
                for column in benchmark.columns:
                    if column not in columns:
                        raise UserError(
                            f"{path}: benchmark {benchmark.name} needs column {column}; "
                            f"the file has {', '.join(columns)}. Write its columns in a benchmarks.yaml of your own"
                        )
                number = 0
                for batch in file.iter_batches(BATCH, columns=benchmark.columns):
                    yield from _batch_rows(benchmark, split, number, batch, path)
                    number += len(batch)
        except (OSError, pa.ArrowException, TypeError) as error:
            raise UserError(
                f"{path}: benchmark {benchmark.name} cannot be read from it: {error}. Download it again"
            ) from error


def _files(benchmark: Benchmark, source: Path) -> list[tuple[str, Path]]:
    """Split and path of each parquet file."""
    if source.is_file():
        return [(benchmark.splits[0], source)]
    if not source.exists():
        raise UserError(f"{source}: there is no such file or folder with benchmark {benchmark.name}; check the path")
    found = []
    for split in benchmark.splits:
        files = sorted({*source.rglob(f"{split}.parquet"), *source.rglob(f"{split}-*.parquet")})
        if not files:
            raise UserError(
                f"{source}: there is no {split}.parquet or {split}-*.parquet of benchmark {benchmark.name} in it; "
                "write the path of the parquet file itself"
            )
        found += [(split, path) for path in files]
    return found


def _batch_rows(
    benchmark: Benchmark, split: str, number: int, batch: pa.RecordBatch, path: Path
) -> Iterator[BenchmarkRow]:
    pictures = [as_lists(batch.column(column), path.parent) for column in benchmark.pictures]
    for i in range(len(batch)):
        values = [one for column in pictures for one in column[i].as_py() or []]
        yield _row(
            benchmark, split, number + i, {name: batch.column(name)[i].as_py() for name in _names(benchmark)}, values
        )


def hub_rows(benchmark: Benchmark) -> Iterator[BenchmarkRow]:
    """The rows of a benchmark on the Hub, streamed: nothing is kept on disk."""
    from datasets import load_dataset

    for config in benchmark.configs:
        for split in benchmark.splits:
            where = f"benchmark {benchmark.name}: {benchmark.dataset} {config} {split}".replace("  ", " ")
            try:
                rows = load_dataset(
                    benchmark.dataset,
                    config or None,
                    split=split,
                    revision=benchmark.revision or None,
                    streaming=True,
                ).decode(False)
                label = f"{config}/{split}" if len(benchmark.configs) > 1 else split
                for number, row in enumerate(rows):
                    yield _row(benchmark, label, number, row, _pictures(benchmark, row))
            except UserError:
                raise
            except KeyError as error:
                raise UserError(f"{where}: there is no column {error}; check its entry in {BENCHMARKS}") from error
            except Exception as error:  # Names, splits, connections and files each have errors of their own.
                raise UserError(
                    f"{where}: it cannot be read from the Hub: {error}. Check the entry in {BENCHMARKS} and the "
                    "connection, or take the index or a parquet file from a machine that reaches the Hub"
                ) from error


def _names(benchmark: Benchmark) -> list[str]:
    return [column for column in (benchmark.id, benchmark.question) if column]


def _pictures(benchmark: Benchmark, row: Mapping[str, Any]) -> list[Any]:
    found = []
    for column in benchmark.pictures:
        value = row[column]
        found += value if isinstance(value, list) else [value]
    return [value for value in found if value is not None]


def _row(benchmark: Benchmark, split: str, number: int, row: Mapping[str, Any], pictures: list[Any]) -> BenchmarkRow:
    name = row[benchmark.id] if benchmark.id else number
    question = row[benchmark.question] if benchmark.question else ""
    read = [_bytes(one) for one in pictures if one is not None]
    return BenchmarkRow(f"{split}/{name}", "" if question is None else str(question), read)


def _bytes(picture: Any) -> bytes | Unreadable:
    """A picture's file: its own bytes, or those that its path leads to, also inside an archive or on the Hub."""
    from datasets.utils.file_utils import xopen

    if isinstance(picture, bytes):
        return picture
    path = picture if isinstance(picture, str) else picture["path"]
    if not isinstance(picture, str) and picture["bytes"] is not None:
        return picture["bytes"]
    try:
        with xopen(path, "rb") as file:
            return file.read()
    except OSError as error:
        return Unreadable(str(error))
