"""
What teachers have answered, on disk the moment it arrives: a run that is killed asks again only for what was under way.

One SQLite file for each task, opened by that task alone. A reply is kept under a hash of everything that was asked, so it is
found again after a change that does not concern it and never after one that does.
"""

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from open_vr1.errors import UserError

SCHEMA = """
CREATE TABLE IF NOT EXISTS replies
    (key BLOB PRIMARY KEY, prompt_tokens INTEGER, completion_tokens INTEGER, reply TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outcomes
    (made_from TEXT, row INTEGER, failed INTEGER, outcome TEXT NOT NULL, PRIMARY KEY (made_from, row)) WITHOUT ROWID;
"""


class Replies:
    """
    The replies to one task, and what has come out for each of its rows.

    Args:
        path (`Path`):
            The SQLite file.
        read_only (`bool`, *optional*, defaults to `False`):
            Leave it to others to write.
    """

    def __init__(self, path: Path, read_only: bool = False):
        self.path = path
        self._file = self._open_read_only() if read_only else self._open()

    def _open(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._refusing():
            file = sqlite3.connect(self.path, isolation_level=None, timeout=1)
            # The lock lasts as long as the connection: no other run can write, and no shared memory is needed, which
            # network file systems do not have. What a killed process has written survives it without syncing each row.
            file.execute("PRAGMA locking_mode = EXCLUSIVE")
            file.execute("PRAGMA journal_mode = WAL")
            file.execute("PRAGMA synchronous = NORMAL")
            file.executescript(SCHEMA)
            return file

    def _open_read_only(self) -> sqlite3.Connection:
        with self._refusing():
            file = sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True, timeout=1)
            if file.execute("SELECT count(*) FROM sqlite_master WHERE name = 'outcomes'").fetchone() == (1,):
                return file
            # Its writer was killed before it wrote anything.
            file.close()
            empty = sqlite3.connect(":memory:")
            empty.executescript(SCHEMA)
            return empty

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()

    def reply(self, key: bytes) -> dict[str, Any] | None:
        found = self._first("SELECT reply FROM replies WHERE key = ?", key)
        return json.loads(found[0]) if found else None

    def keep_reply(self, key: bytes, reply: dict[str, Any]) -> None:
        values = (key, reply["prompt_tokens"], reply["completion_tokens"], json.dumps(reply))
        self._write("INSERT OR REPLACE INTO replies VALUES (?, ?, ?, ?)", values)

    def keep_outcome(self, made_from: str, row: int, outcome: dict[str, Any]) -> None:
        values = (made_from, row, int("failed" in outcome), json.dumps(outcome))
        self._write("INSERT OR REPLACE INTO outcomes VALUES (?, ?, ?, ?)", values)

    def outcome(self, made_from: str, row: int) -> dict[str, Any] | None:
        query = "SELECT outcome FROM outcomes WHERE made_from = ? AND row = ?"
        found = self._first(query, made_from, row)
        return json.loads(found[0]) if found else None

    def outcomes(self, made_from: str) -> Iterator[tuple[int, dict[str, Any]]]:
        """Rows and what came out for them, in order of the rows."""
        query = "SELECT row, outcome FROM outcomes WHERE made_from = ? ORDER BY row"
        with self._refusing():
            for row, outcome in self._file.execute(query, (made_from,)):
                yield row, json.loads(outcome)

    def finished(self, made_from: str, with_failed: bool = True) -> set[int]:
        """Rows that need no further request."""
        query = "SELECT row FROM outcomes WHERE made_from = ? AND failed <= ?"
        with self._refusing():
            return {row for (row,) in self._file.execute(query, (made_from, int(with_failed)))}

    def counts(self, made_from: str) -> tuple[int, int]:
        """Rows that are answered and rows that failed."""
        query = "SELECT count(*), coalesce(sum(failed), 0) FROM outcomes WHERE made_from = ?"
        total, failed = self._first(query, made_from)
        return total - failed, failed

    def tokens(self) -> tuple[int, int, int]:
        """Rows that are answered, and all tokens in and out so far."""
        (rows,) = self._first("SELECT count(*) FROM outcomes WHERE NOT failed")
        query = "SELECT coalesce(sum(prompt_tokens), 0), coalesce(sum(completion_tokens), 0) FROM replies"
        return (rows, *self._first(query))

    def _first(self, query: str, *values: Any) -> tuple[Any, ...] | None:
        with self._refusing():
            return self._file.execute(query, values).fetchone()

    def _write(self, statement: str, values: tuple[Any, ...]) -> None:
        with self._refusing():
            self._file.execute(statement, values)

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        """What SQLite says, as what the user can do about it."""
        try:
            yield
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise UserError(f"{self.path}: another run is writing to it; wait for that one, or stop it") from error
            raise UserError(
                f"{self.path}: {error}; mend that (is the disk full?), what is in the file stays"
            ) from error
        except sqlite3.DatabaseError as error:
            raise UserError(f"{self.path}: {error}; delete this file: what is in it will be asked again") from error


def request_key(payload: dict[str, Any], pictures: list[str], sample: int) -> bytes:
    """A request's name: what is asked of which model, with pictures by their SHA-256, and which of the samples it is."""
    text = json.dumps([payload, pictures, sample], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).digest()
