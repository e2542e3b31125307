"""
A step's folder in `_build/`: begun once, finished once, and made again when what it was made from has changed.

`begun.json` says from what, `done.json` that it is whole and what it counted. What a killed run left in a folder that has
been begun with the same inputs is the step's own to go on from.
"""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from open_vr1.errors import UserError

BEGUN, DONE = "begun.json", "done.json"
BROKEN_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EACCES, errno.EPERM, errno.EFBIG}
BROKEN_DISK |= {errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ESTALE}


def fingerprint(*parts: Any) -> str:
    """The same for the same values, in every process and on every machine."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


class StepFolder:
    """
    One step's folder.

    Args:
        path (`Path`):
            The folder.
        made_from (`str`):
            Fingerprint of everything that decides what is in it.
    """

    def __init__(self, path: Path, made_from: str):
        self.path = path
        self.made_from = made_from

    @property
    def counts(self) -> dict[str, Any] | None:
        """What the step counted, if it is finished."""
        done = _read_json(self.path / DONE)
        return done["counts"] if done and done["made_from"] == self.made_from else None

    def begin(self) -> Path:
        """The folder, empty unless an earlier start has begun with the same inputs."""
        begun = _read_json(self.path / BEGUN)
        if begun is None or begun["made_from"] != self.made_from:
            shutil.rmtree(self.path, ignore_errors=True)
            self.path.mkdir(parents=True)
            write_json(self.path / BEGUN, {"made_from": self.made_from})
        return self.path

    def finish(self, counts: Mapping[str, Any]) -> None:
        write_json(self.path / DONE, {"made_from": self.made_from, "counts": dict(counts)})


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=2) + "\n")


def write_text(path: Path, text: str) -> None:
    with replacing(path) as draft:
        draft.write_text(text)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A draft beside a file that takes its name at the end: under its own name a file is always whole."""
    draft = draft_of(path)
    try:
        yield draft
        with open(draft, "rb") as file:
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def draft_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.draft")


@contextmanager
def disk_errors(place: Path) -> Iterator[None]:
    """A full or broken disk as one message; what is finished stays, and the same command goes on."""
    try:
        yield
    except OSError as error:
        if error.errno not in BROKEN_DISK:
            raise
        reason = os.strerror(error.errno)
        raise UserError(
            f"{error.filename or place}: {reason}; mend that and run the same command again to go on"
        ) from error


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return None
