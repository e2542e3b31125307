"""
The outbox on disk. A name that is there is whole: entries are made as drafts and renamed, notes are replaced in one step.

    _outbox/repo.json                 where everything goes
    _outbox/000000100/entry.json      what it is; files/ what is sent, until it has been
    _outbox/000000100/done.json       the commit that holds it
    _outbox/000000100/failed.json     why it could not be sent; it is tried again
    _outbox/000000100/skipped.json    why it was not taken in
    _outbox/000000100/results.json    results that are to be published with it, or after it
    _outbox/final/, state-000000100/  the finished model; everything that going on elsewhere needs
"""

import contextlib
import errno
import fcntl
import json
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from open_vr1.cold.steps import write_json
from open_vr1.errors import UserError

OUTBOX = "_outbox"
FINAL = "final"
STATE = "state-"
LOCK_SECONDS = 0.5
# File systems that cannot lock: two drains at once do the same things twice, and nothing worse.
NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS}
NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EXDEV, errno.EMLINK}


@dataclass(frozen=True)
class Destination:
    """
    Where a run is published.

    Args:
        repo (`str`):
            The model repository.
        prefix (`str`, *optional*, defaults to `"main"`):
            The branch of the finished model, and what the names of its other branches and tags begin with.
    """

    repo: str
    prefix: str = "main"

    def branch(self, step: int) -> str:
        return f"{self.prefix}-step-{step:09d}"

    def step_of(self, branch: str) -> int | None:
        found = re.fullmatch(rf"{re.escape(self.prefix)}-step-(\d{{9}})", branch)
        return int(found[1]) if found else None

    def stage_of(self, tag: str) -> int | None:
        found = re.fullmatch(re.escape(self.tag("stage-")) + r"(\d+)", tag)
        return int(found[1]) if found else None

    def tag(self, name: str) -> str:
        """Tags of `main` have no prefix: `stage-1`, `final`."""
        return name if self.prefix == "main" else f"{self.prefix}-{name}"

    @property
    def state_repo(self) -> str:
        """The private one; each run has its own, as nothing but the newest state is kept in it."""
        return f"{self.repo}-{self.tag('state')}"


@dataclass(frozen=True)
class Item:
    """
    What an entry is.

    Args:
        kind (`str`):
            `"checkpoint"`, `"final"` or `"state"`.
        step (`int`):
            The optimizer step.
        stage_ended (`int`, *optional*):
            The PTST stage that ended with it.
        source (`str`):
            The folder that it was taken from, below the run's.
    """

    kind: str
    step: int
    stage_ended: int | None = None
    source: str = "."

    @property
    def name(self) -> str:
        if self.kind == "final":
            return FINAL
        return f"{STATE if self.kind == 'state' else ''}{self.step:09d}"


class Entry:
    """A folder of the outbox."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.files = folder / "files"
        self.results = folder / "results.json"

    @property
    def item(self) -> Item:
        return Item(**json.loads((self.folder / "entry.json").read_text()))

    @property
    def state(self) -> str:
        """`"done"`, `"skipped"`, `"failed"` or `"waiting"`."""
        return next((s for s in ("done", "skipped", "failed") if (self.folder / f"{s}.json").is_file()), "waiting")

    def note(self, state: str | None = None) -> dict[str, Any]:
        """What is known of its state."""
        file = self.folder / f"{state or self.state}.json"
        return json.loads(file.read_text()) if file.is_file() else {}

    def mark_done(self, **facts: Any) -> None:
        write_json(self.folder / "done.json", facts)
        (self.folder / "failed.json").unlink(missing_ok=True)
        shutil.rmtree(self.files, ignore_errors=True)

    def mark_failed(self, reason: str) -> None:
        write_json(self.folder / "failed.json", {"reason": reason, "times": self.note("failed").get("times", 0) + 1})

    @property
    def size(self) -> int:
        """Bytes that are held for it."""
        return sum(path.stat().st_size for path in self.files.rglob("*") if path.is_file())


class Outbox:
    """
    The outbox of a run.

    Args:
        run (`Path`):
            The run's output folder.
    """

    def __init__(self, run: str | Path):
        self.run = Path(run)
        self.folder = self.run / OUTBOX

    def __iter__(self) -> Iterator[Entry]:
        """Checkpoints in their order, then the finished model; states beside the checkpoints that they belong to."""
        entries = [Entry(path.parent) for path in self.folder.glob("[!.]*/entry.json")]
        place = lambda entry: (entry.item.kind == "final", entry.item.step, entry.item.kind == "state")
        return iter(sorted(entries, key=place))

    def entries(self, *states: str) -> list[Entry]:
        return [entry for entry in self if entry.state in states]

    def with_results(self) -> list[Entry]:
        """What has been published, and has results that have not."""
        return [entry for entry in self.entries("done") if entry.results.is_file()]

    @property
    def destination(self) -> Destination | None:
        file = self.folder / "repo.json"
        return Destination(**json.loads(file.read_text())) if file.is_file() else None

    def address(self, destination: Destination) -> None:
        """Say where everything goes. What is published somewhere stays there."""
        then = self.destination
        if then and then != destination and self.entries("done"):
            raise UserError(
                f"{self.folder}: its checkpoints are published in {then.repo} ({then.prefix}), not in {destination.repo} "
                f"({destination.prefix}); write REPO={then.repo} REVISION={then.prefix}, or move {self.folder} away to begin anew "
                "(what waits in it may be nowhere else)"
            )
        if then != destination:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_json(self.folder / "repo.json", asdict(destination))

    def has(self, item: Item) -> bool:
        return (self.folder / item.name / "entry.json").is_file()

    def tidy(self) -> None:
        """Let go of what a process was killed over: files of what is done, folders that were being deleted, old states."""
        for entry in self.entries("done"):
            shutil.rmtree(entry.files, ignore_errors=True)
        for folder in self.folder.glob(".*.gone"):
            shutil.rmtree(folder, ignore_errors=True)
        self.drop_old_states()

    def drop_old_states(self) -> None:
        """Of the trainer's state only the newest is of use."""
        states = [entry for entry in self if entry.item.kind == "state"]
        for entry in states[:-1]:
            if entry.state != "done":
                self._drop(entry)

    def _drop(self, entry: Entry) -> None:
        """In one step, so that nobody sees half of it."""
        gone = self.folder / f".{entry.folder.name}.gone"
        shutil.rmtree(gone, ignore_errors=True)
        with contextlib.suppress(FileNotFoundError):
            entry.folder.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)

    def held(self) -> int:
        """Bytes of the checkpoints that wait."""
        return sum(entry.size for entry in self.entries("waiting", "failed") if entry.item.kind != "state")

    # ----- Taking in

    def take(self, item: Item, names: Iterable[str], extra: dict[str, str]) -> Entry:
        """
        A new entry with hard links to files of the run.

        Args:
            item (`Item`):
                What it is; `item.source` has the files.
            names (`Iterable[str]`):
                The files to link.
            extra (`dict[str, str]`):
                Texts of small files that change while the run goes on.
        """
        source, entry = self.run / item.source, Entry(self.folder / item.name)
        with self._draft(item) as draft:
            for name in names:
                target = draft / "files" / name
                target.parent.mkdir(parents=True, exist_ok=True)
                link(source / name, target)
            for name, text in extra.items():
                (draft / name).write_text(text)
        return entry

    def skip(self, item: Item, reason: str) -> None:
        with self._draft(item) as draft:
            (draft / "skipped.json").write_text(json.dumps({"reason": reason}))

    @contextlib.contextmanager
    def _draft(self, item: Item) -> Iterator[Path]:
        draft = self.folder / f".{item.name}.draft"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        yield draft
        (draft / "entry.json").write_text(json.dumps(asdict(item)))
        _sync(draft / "entry.json")
        place = self.folder / item.name
        shutil.rmtree(place, ignore_errors=True)  # One without entry.json, or one that was skipped.
        draft.rename(place)
        _sync(self.folder)

    # ----- Who is at work

    @contextlib.contextmanager
    def alone(self, role: str) -> Iterator[bool]:
        """Whether this process is the only one in its role, `"training"` or `"drain"`; it ends with the process."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / f"{role}.lock").open("w") as file:
            yield locked(file, LOCK_SECONDS)

    def at_work(self, role: str) -> bool:
        """Whether another process has that role. Not for one's own: looking would give the lock back."""
        file = self.folder / f"{role}.lock"
        if not file.is_file():
            return False
        with file.open("r+") as handle:
            return not locked(handle)


def locked(file: IO[str], seconds: float = 0.0) -> bool:
    """Whether the lock is this process's now. Who looks whether somebody holds it holds it for a moment."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            # Not flock: children would inherit it, and hold it when this process is killed.
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.01)
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            return True
        else:
            return True


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # Some file systems have none for folders.
            raise
    finally:
        os.close(handle)


def link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        shutil.copy2(source, target)
