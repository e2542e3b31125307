"""
Rows as the source has them, from a file, a folder or the Hub, a few at a time.

A picture that comes with its row, as in parquet, is in memory as long as the row is. Of a parquet file one page is in
memory, which Arrow makes of up to 1,024 rows, whatever is in them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from glob import glob
from itertools import islice
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict, IterableDataset, load_dataset, load_from_disk
from datasets import config as datasets_config
from datasets.exceptions import DataFilesNotFoundError, DatasetNotFoundError

from open_vr1.cold.arguments import SourceEntry
from open_vr1.cold.rows import BadRow
from open_vr1.cold.sources.json_files import EVIDENCE, read_json
from open_vr1.data_sources import FORMATS, UNREACHABLE, how_to_make, looks_local
from open_vr1.errors import UserError

BATCH = 16
PEEK = 20

Rows = Iterator[tuple[str, dict[str, Any]] | BadRow]


@dataclass(frozen=True)
class Table:
    """
    A source that is there.

    Args:
        columns (`list[str]`):
            Of a file, those of its first rows.
        base (`Path`, *optional*):
            The folder of the rows. None for the Hub.
        rows (`Callable[[], Rows]`):
            Each row with its place, from the beginning. Raises a `UserError` where the source is broken.
    """

    columns: list[str]
    base: Path | None
    rows: Callable[[], Rows]

    def head(self) -> list[dict[str, Any]]:
        """The first rows, as far as they can be read."""
        found = []
        try:
            for item in islice(self.rows(), PEEK):
                if not isinstance(item, BadRow):
                    found.append(item[1])
        except UserError:
            if not found:
                raise
        return found


def open_table(entry: SourceEntry, where: str) -> Table:
    """Refuses what is not there or cannot be opened."""
    path = Path(entry["path"]).expanduser()
    if path.is_file():
        return _files_table([path], path.parent, where)
    if path.is_dir():
        return _folder_table(entry, path, where)
    if looks_local(entry["path"]):
        raise UserError(
            f"{where}: path: {entry['path']}: there is no such file or folder; {how_to_make(path) or 'check the path'}"
        )
    return _dataset_table(_load(entry, entry["path"], where), None, where)


def _folder_table(entry: SourceEntry, path: Path, where: str) -> Table:
    split = entry.get("split") or "train"
    if (path / "dataset_info.json").exists() or (path / "dataset_dict.json").exists():
        saved = load_from_disk(str(path))
        if isinstance(saved, DatasetDict) and split not in saved:
            raise UserError(f"{where}: split: there is no {split} in {path}; write split: {' or '.join(saved)}")
        return _dataset_table(saved[split] if isinstance(saved, DatasetDict) else saved, path, where)
    if entry.get("config"):
        return _dataset_table(_load(entry, str(path), where), path, where)
    given = entry.get("data_files")
    usual = ("{}{}", "{}-*{}", "data/{}{}", "data/{}-*{}")
    tried = [[name.format(split, suffix) for name in usual] for suffix in FORMATS]
    for patterns in [[given] if isinstance(given, str) else given] if given else tried:
        files = [Path(file) for pattern in patterns for file in sorted(glob(str(path / pattern), recursive=True))]
        if files:
            return _files_table(files, path, where)
    there = sorted(file.name for file in path.iterdir() if file.suffix in FORMATS)
    wanted = patterns if given else [f"{split}{suffix}" for suffix in FORMATS]
    raise UserError(
        f"{where}: path: {path}: it has no {' or '.join(wanted)}; write data_files: "
        f"{there[0] if there else 'the names of .parquet, .jsonl or .json files in it'}"
    )


def _files_table(files: list[Path], base: Path, where: str) -> Table:
    for file in files:
        if file.suffix not in FORMATS:
            raise UserError(
                f"{where}: path: {file}: {file.suffix or 'no suffix'} is not read; write a {', '.join(FORMATS)} file"
            )
        if file.stat().st_size == 0:
            raise UserError(f"{where}: path: {file}: this file is empty; download it again")
        if file.suffix == ".parquet":
            _open_parquet(file, where).close()

    def rows() -> Rows:
        for file in files:
            prefix = f"{file.stem}-" if len(files) > 1 else ""
            yield from (_parquet_rows if file.suffix == ".parquet" else _json_rows)(file, prefix, where)

    return _with_columns(Table([], base, rows))


def _with_columns(table: Table) -> Table:
    """With the columns that its first rows have."""
    return replace(table, columns=list(dict.fromkeys(name for row in table.head() for name in row)))


def _json_rows(file: Path, prefix: str, where: str) -> Rows:
    for item in read_json(file, where):
        if isinstance(item, BadRow):
            yield BadRow(prefix + item.id, item.rule, item.evidence)
        elif isinstance(item[1], dict):
            yield prefix + item[0], item[1]
        else:
            yield BadRow(prefix + item[0], "malformed", f"it is no object: {str(item[1])[:EVIDENCE]}")


def _open_parquet(file: Path, where: str) -> Any:
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    try:
        # Without a buffer size, or with pre-buffering, whole groups of rows are read with all their pictures.
        return ParquetFile(file, buffer_size=1 << 20, pre_buffer=False)
    except (ArrowException, OSError) as error:
        raise UserError(
            f"{where}: path: {file}: this parquet file is not whole ({error}); download it again"
        ) from error


def _parquet_rows(file: Path, prefix: str, where: str) -> Rows:
    number = 0
    try:
        with _open_parquet(file, where) as table:
            for batch in table.iter_batches(batch_size=BATCH):
                for row in batch.to_pylist():
                    yield f"{prefix}row-{number}", row
                    number += 1
    except (OSError, ValueError) as error:  # Arrow's errors are kinds of these.
        raise UserError(f"{where}: path: {file}: it cannot be read after row {number}: {error}") from error


def _load(entry: SourceEntry, path: str, where: str) -> Dataset | IterableDataset:
    keys = {"config": "name", "data_files": "data_files", "revision": "revision"}
    arguments = {theirs: entry[ours] for ours, theirs in keys.items() if entry.get(ours)}
    # What is only in the cache cannot be streamed; it is memory-mapped there.
    streaming = not datasets_config.HF_HUB_OFFLINE
    try:
        return load_dataset(path, split=entry.get("split") or "train", streaming=streaming, **arguments)
    except DatasetNotFoundError as error:
        raise UserError(
            f"{where}: path: the Hub has no dataset {path}, or it is private or gated; check the name or run hf auth login"
        ) from error
    except DataFilesNotFoundError as error:
        raise UserError(f"{where}: data_files: {path} has no such files; check the names: {error}") from error
    except OSError as error:
        raise UserError(f"{where}: path: {UNREACHABLE.format(id=path + ' --repo-type dataset')}") from error
    except Exception as error:  # Wrong splits, configurations and files each have errors of their own.
        raise UserError(f"{where}: path: {path}: it cannot be loaded: {error.__cause__ or error}") from error


def _dataset_table(dataset: Dataset | IterableDataset, base: Path | None, where: str) -> Table:
    def rows() -> Rows:
        number = 0
        try:
            for row in _undecoded(dataset):
                yield f"row-{number}", row
                number += 1
        except UserError:
            raise
        except Exception as error:  # Whatever a network, a file system or a loader may raise.
            raise UserError(
                f"{where}: path: it cannot be read after row {number}: {error.__cause__ or error}"
            ) from error

    table = Table(list(dataset.column_names or ()), base, rows)
    # A stream of JSON only knows them once it is read.
    return table if table.columns else _with_columns(table)


def _undecoded(dataset: Dataset | IterableDataset) -> Iterator[dict[str, Any]]:
    """Rows with the bytes of their pictures."""
    if isinstance(dataset, IterableDataset):
        yield from dataset.decode(False) if dataset.features else dataset
        return
    for batch in dataset.with_format("arrow").iter(BATCH):
        yield from batch.to_pylist()
