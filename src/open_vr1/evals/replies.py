"""
What a model has answered, on disk the moment it arrives: a run that is killed asks only for what is missing.

One file of JSON lines for each process of a run. What was generated together is one line, so a batch is there as a whole or
not at all, and a reply is kept under a hash of everything that decides it: it is found again after a change that does not
concern it and never after one that does.
"""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from open_vr1.errors import UserError
from open_vr1.evals.engines import Prompt, Reply
from open_vr1.hub.outbox.folder import locked

FOLDER = "replies"


@contextmanager
def alone(folder: Path, process: int = 0) -> Iterator[None]:
    """Two evaluations that write the same files would ask everything twice; the lock goes with the process that holds it."""
    if process:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        if not locked(file):
            raise UserError(
                f"output_dir: {folder}: another evaluation is at work in it; wait for it, or write another output_dir"
            )
        yield


class Replies:
    """
    The replies of a run.

    Args:
        folder (`Path`):
            Where the files of all its processes lie.
        process (`int`, *optional*, defaults to `0`):
            Which of them this is.
    """

    def __init__(self, folder: Path, process: int = 0):
        self.path = folder / f"{process:05d}.jsonl"
        folder.mkdir(parents=True, exist_ok=True)
        self._known: dict[str, Reply] = {}
        for file in sorted(folder.glob("*.jsonl")):
            self._known |= _read(file)
        self._file = self.path.open(
            "ab", buffering=0
        )  # What a full disk has refused is not to be tried again at the end.
        if self._file.tell() and not _ends_a_line(self.path):
            self._file.write(b"\n")

    def __contains__(self, key: str) -> bool:
        return key in self._known

    def __getitem__(self, key: str) -> Reply:
        return self._known[key]

    def __len__(self) -> int:
        return len(self._known)

    def keep(self, answered: Sequence[tuple[Prompt, Reply]]) -> None:
        answers = [[prompt.key, reply.text, reply.tokens, reply.clipped] for prompt, reply in answered]
        left = memoryview(json.dumps(answers).encode() + b"\n")
        try:
            while left:
                left = left[self._file.write(left) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            raise UserError(f"{self.path}: {error.strerror}; make room and run the same command again") from error
        self._known |= {prompt.key: reply for prompt, reply in answered}

    def close(self) -> None:
        self._file.close()


def _read(file: Path) -> dict[str, Reply]:
    replies = {}
    for line in file.read_bytes().split(b"\n"):
        try:
            replies |= {key: Reply(*rest) for key, *rest in json.loads(line)}
        except (ValueError, TypeError):
            continue  # Where a process was killed in the middle of a line.
    return replies


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() == b"\n"
