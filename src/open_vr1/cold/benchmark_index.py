"""
What an evaluation benchmark looks like and how it is worded, without the benchmark: one parquet file of hashes each.

    index = Index.load(build_index(read_benchmarks()["mathvista"], Path("outputs/benchmarks")))

A machine with network makes the files from the Hub, row by row; one without it takes them, or reads a parquet file of the
benchmark itself. Which benchmarks there are and which of their columns matter is in benchmarks.yaml.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml

from open_vr1.cold.hashes import Look, Unreadable, look_at
from open_vr1.cold.ngrams import WORDS, fingerprint
from open_vr1.errors import UserError
from open_vr1.image_columns import as_lists

BENCHMARKS = Path(__file__).with_name("benchmarks.yaml")
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
    return Benchmark(name, **values)


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
                if len(batch) == 10 * BATCH:
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
            looks.append(asdict(look_at(data)))
        except Unreadable:
            failed += 1
    wording = fingerprint(row.question, words)
    return {"id": row.id, "whole": wording.whole, "ngrams": wording.ngrams, "pictures": looks}, failed


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
    if not pictures and not benchmark.question:
        raise UserError(f"benchmark {benchmark.name}: neither pictures nor question is set; write at least one")
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
            table = pq.read_table(path)
        except FileNotFoundError as error:
            raise UserError(f"{path}: there is no such index; build_index makes it") from error
        except (OSError, pa.ArrowException) as error:
            raise UserError(f"{path}: it cannot be read as the index of a benchmark: {error}. {again}") from error
        about = {
            key.decode(): value.decode()
            for key, value in (table.schema.metadata or {}).items()
            if key != b"ARROW:schema"
        }
        if not table.schema.equals(SCHEMA) or "version" not in about:
            raise UserError(f"{path}: it is a parquet file, but not the index of a benchmark. {again}")
        if about["version"] != VERSION:
            raise UserError(f"{path}: it is of version {about['version']}, hashes are now of {VERSION}. {again}")
        return cls.of(table.combine_chunks(), about["name"], int(about["words"]), int(about["unreadable"]))

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
            fine=fine[compared],
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
    """Hashes of 8 or 32 bytes as rows of 1 or 4 unsigned integers."""
    values = column.to_pylist() if isinstance(column, pa.Array) else column
    return np.frombuffer(b"".join(values), "<u8").astype(np.uint64).reshape(-1, words)


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
        "pictures": [asdict(look) for look in pictures],
    }
