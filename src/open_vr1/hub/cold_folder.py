"""
The folder that `make cold` has left, checked completely before any of it is published.

    with checked_folder(Path("outputs/vr1_tiny/cold_data"), tell) as folder: ...

Every file is there, whole and as the manifest says; every file can be read and none has lost a row; no name of a place on this
machine stands in a picture's path.
"""

import errno
import fcntl
import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from open_vr1.cold.facts import dataset_card
from open_vr1.cold.shards import FOLDERS, SCHEMAS
from open_vr1.errors import UserError

RUN_MANIFEST = "open_vr1.json"
BLOCK = 8 << 20
# Two segments or more after what an absolute path begins with, at the start of a word; no address has one there.
LOCAL_PATH = re.compile(r"(?:^|(?<=[\s\"'`(=\[|]))(?:file://|~?/[\w.+@-]+/|[A-Za-z]:\\)[^\s\"'`)\]|]+", re.MULTILINE)
Tell = Callable[[float, float], None]


@dataclass
class ColdFolder:
    """
    A finished dataset.

    Args:
        path (`Path`):
            The folder.
        facts (`dict[str, Any]`):
            What the run has counted, for the card.
        files (`dict[str, Path]`):
            What is published as it is, by its path in the repository.
        sha256 (`dict[str, str]`):
            Digests of the parquet files.
        rows (`dict[str, int]`):
            Rows by configuration.
        licenses (`dict[str, Counter]`):
            Rows by configuration and licence.
    """

    path: Path
    facts: dict[str, Any]
    files: dict[str, Path]
    sha256: dict[str, str]
    rows: dict[str, int]
    licenses: dict[str, Counter]
    _states: dict[str, tuple[int, int]] = field(default_factory=dict, repr=False)

    @property
    def size(self) -> int:
        return sum(size for size, _ in self._states.values())

    def card(self, repo: str) -> str:
        """The dataset's card under the repository's name."""
        recipe = Path(self.facts["recipe"])
        # Where the recipe lies on this machine tells nobody anything.
        shown = "/".join(recipe.parts[-2:]) if recipe.is_absolute() else str(recipe)
        text = dataset_card({**self.facts, "name": repo, "recipe": shown})
        if found := LOCAL_PATH.search(text):
            raise UserError(
                f"DATASET={self.path}: the card would name a place on this machine, {found[0]}; write a name that others know in "
                f"{self.path / '_build/facts.json'}"
            )
        return text

    def check_unchanged(self) -> None:
        """What was hashed is what was sent only if nobody has written in between."""
        for name, state in self._states.items():
            if _state(self.files[name]) != state:
                raise UserError(
                    f"DATASET={self.path}: {name} was changed while it was published; run the same command again"
                )


@contextmanager
def checked_folder(path: Path, tell: Tell) -> Iterator[ColdFolder]:
    """
    A finished dataset, which `make cold` cannot change for as long as it is open.

    Args:
        path (`Path`):
            The output folder of `make cold`.
        tell (`Callable[[float, float], None]`):
            Is told the bytes that have been read and those that have to be.
    """
    if not path.is_dir():
        raise UserError(f"DATASET={path}: is no folder; write the output_dir of a finished make cold")
    with _no_writer(path):
        _check_finished(path)
        manifest, facts = _read(path, "manifest.json"), _read(path, "facts.json")
        if manifest.get("files") != facts.get("steps", {}).get("shards", {}).get("files"):
            raise _unfinished(path, "its facts.json is about other files than its manifest.json")
        yield _read_files(path, manifest["files"], facts, tell)


def _unfinished(path: Path, why: str) -> UserError:
    return UserError(f"DATASET={path}: {why}; run make cold RECIPE=... to its end first")


@contextmanager
def _no_writer(path: Path) -> Iterator[None]:
    """A run of `make cold` holds this lock for itself; readers share it."""
    try:
        lock = (path / "_build" / "lock").open()
    except FileNotFoundError:  # A copy of the folder without it: nobody runs there.
        yield
        return
    with lock:
        try:
            fcntl.lockf(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                raise UserError(f"DATASET={path}: make cold is writing to it; wait until it has finished") from error
        yield


def _check_finished(path: Path) -> None:
    begun = {file.parent for file in (path / "_build").glob("*/begun.json")}
    if open_steps := sorted(step.name for step in begun if not (step / "done.json").exists()):
        raise _unfinished(path, f"the step {open_steps[0]} was begun and has not finished")


def _read(path: Path, name: str) -> dict[str, Any]:
    try:
        return json.loads((path / "_build" / name).read_text())
    except FileNotFoundError as error:
        raise _unfinished(path, f"there is no _build/{name}") from error
    except ValueError as error:
        raise _unfinished(path, f"_build/{name} cannot be read ({error})") from error


def _read_files(path: Path, entries: list[dict[str, Any]], facts: dict[str, Any], tell: Tell) -> ColdFolder:
    files = {entry["path"]: path / entry["path"] for entry in entries}
    _check_names(path, files)
    folder = ColdFolder(path, facts, files, {}, {}, {})
    for entry in entries:  # What is missing or cut is said before minutes of hashing.
        _check_size(path, entry)
    done, total = 0, sum(entry["bytes"] for entry in entries)
    for entry in entries:
        name = entry["path"]
        folder._states[name] = _state(files[name])
        for read in _hashed(folder, name):
            tell(done + read, total)
        done += entry["bytes"]
        if folder.sha256[name] != entry["sha256"]:
            raise UserError(
                f"DATASET={path}: {name} was changed after it was made: its SHA-256 is {folder.sha256[name][:12]}..., the manifest "
                f"says {entry['sha256'][:12]}...; run make cold RECIPE=... again"
            )
        _read_parquet(folder, entry)
    for config, size in facts["sizes"].items():
        if folder.rows.get(config) != size["rows"]:
            raise _unfinished(
                path, f"{config} has {folder.rows.get(config, 0):,} rows and should have {size['rows']:,}"
            )
    if (path / RUN_MANIFEST).exists():
        files[RUN_MANIFEST] = path / RUN_MANIFEST
    return folder


def _check_names(path: Path, files: dict[str, Path]) -> None:
    if not files:
        raise _unfinished(path, "_build/manifest.json names no file")
    for name in FOLDERS.values():
        for file in sorted((path / name).glob("[!.]*")):
            if f"{name}/{file.name}" not in files:
                raise UserError(
                    f"DATASET={path}: {name}/{file.name} is not in _build/manifest.json; move it out of {path / name}"
                )


def _check_size(path: Path, entry: dict[str, Any]) -> None:
    try:
        size = (path / entry["path"]).stat().st_size
    except FileNotFoundError as error:
        raise _unfinished(path, f"{entry['path']} is missing") from error
    if size != entry["bytes"]:
        raise UserError(
            f"DATASET={path}: {entry['path']} has {size:,} bytes and should have {entry['bytes']:,}; run make cold RECIPE=... again"
        )


def _state(file: Path) -> tuple[int, int]:
    stat = file.stat()
    return stat.st_size, stat.st_mtime_ns


def _hashed(folder: ColdFolder, name: str) -> Iterator[int]:
    """Put the digest into the folder; yields how much has been read."""
    digest, read, block = hashlib.sha256(), 0, memoryview(bytearray(BLOCK))
    with folder.files[name].open("rb", buffering=0) as file:
        while count := file.readinto(block):
            digest.update(block[:count])
            read += count
            yield read
    folder.sha256[name] = digest.hexdigest()


def _read_parquet(folder: ColdFolder, entry: dict[str, Any]) -> None:
    """Count the file's rows by licence, and look at what its pictures are called."""
    name = entry["path"]
    config = next(config for config, place in FOLDERS.items() if name.startswith(f"{place}/"))
    try:
        with pq.ParquetFile(folder.files[name]) as file:
            schema, table = file.schema_arrow, file.read(["license", "images.list.element.path"])
    except (pa.ArrowException, OSError) as error:
        raise UserError(
            f"DATASET={folder.path}: {name} cannot be read: {error}; run make cold RECIPE=... again"
        ) from error
    if len(table) != entry["rows"]:
        raise UserError(
            f"DATASET={folder.path}: {name} has {len(table):,} rows and should have {entry['rows']:,}; run make cold RECIPE=... again"
        )
    if not schema.equals(SCHEMAS[config]):
        raise UserError(
            f"DATASET={folder.path}: {name} has other columns than this version of open-vr1 makes; run make cold RECIPE=... again"
        )
    paths = pc.list_flatten(table["images"].combine_chunks()).field("path")
    local = pc.filter(paths, pc.match_substring_regex(paths, r"^(/|~|\\|[A-Za-z]:[\\/]|file:)"))
    if len(local):
        raise UserError(
            f"DATASET={folder.path}: {name} names a picture by its place on this machine, {local[0].as_py()}; give the source "
            "relative names and run make cold RECIPE=... again"
        )
    folder.rows[config] = folder.rows.get(config, 0) + len(table)
    folder.licenses.setdefault(config, Counter()).update(table["license"].to_pylist())
