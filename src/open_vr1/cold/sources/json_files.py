"""
JSON and JSONL files row by row, in a memory that does not depend on the file's size.

A line of JSONL that does not parse is one bad row. An array has no lines to go on from, so what does not parse ends it;
and a file of either kind that ends in the middle of a row was not downloaded whole. Both are errors, after the rows
before them.
"""

import json
import re
from codecs import getincrementaldecoder
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from open_vr1.cold.rows import BadRow
from open_vr1.errors import UserError

BLOCK = 1 << 18
EVIDENCE = 200
# Decoders name the place where a value ends too early up to this many characters before the end, like in `"\u12`.
NEAR_THE_END = 16
_SPACE = re.compile(r"[ \t\r\n]*")
_DECODE = json.JSONDecoder(strict=False).raw_decode


def read_json(path: Path, where: str) -> Iterator[tuple[str, Any] | BadRow]:
    """The rows of a JSON array or of JSON lines, whichever the file begins like, each with its place in the file."""
    with path.open("rb") as file:
        window = _Window(file)
        if window.next_mark() == "[":
            yield from _read_array(window, path, where)
            return
        file.seek(0)
        yield from _read_lines(file, path, where)


def _read_lines(file: BinaryIO, path: Path, where: str) -> Iterator[tuple[str, Any] | BadRow]:
    start = 0
    for number, line in enumerate(file, start=1):
        text = line.decode("utf-8-sig", errors="replace").strip()
        try:
            if text:
                yield f"line-{number}", json.loads(text, strict=False)
        except (ValueError, RecursionError) as error:
            if not line.endswith(b"\n"):
                raise UserError(
                    f"{where}: {path}: the file ends in the middle of line {number}, which starts at byte {start}; "
                    "download it again"
                ) from error
            yield BadRow(f"line-{number}", "malformed", f"{error}: {text[:EVIDENCE]}")
        start += len(line)


def _read_array(window: "_Window", path: Path, where: str) -> Iterator[tuple[str, Any]]:
    window.at += 1
    number = 0
    while (mark := window.next_mark()) != "]":
        try:
            yield f"row-{number}", window.value()
            mark = window.next_mark()
        except (ValueError, RecursionError) as error:
            raise _broken(window, path, number, where) from error
        if mark == ",":
            window.at += 1
        elif mark != "]":
            raise _broken(window, path, number + 1, where)
        number += 1


def _broken(window: "_Window", path: Path, number: int, where: str) -> UserError:
    what = f"the file ends in the middle of row {number}" if window.ended else f"row {number} is no JSON"
    return UserError(f"{where}: {path}: {what}, which starts at byte {window.position}; download it again")


class _Window:
    """A part of a file as text, moved along as it is read. `at` is where to read on."""

    def __init__(self, file: BinaryIO):
        self.file, self.decoder = file, getincrementaldecoder("utf-8-sig")(errors="replace")
        self.text, self.at, self.ended = "", 0, False
        self.dropped = 0

    @property
    def position(self) -> int:
        return self.dropped + len(self.text[: self.at].encode(errors="replace"))

    def more(self) -> bool:
        """Forgets what is read and reads on, twice as far for a value that is longer than the window."""
        block = self.file.read(max(BLOCK, len(self.text) - self.at))
        self.ended = not block
        self.dropped = self.position
        self.text = self.text[self.at :] + self.decoder.decode(block, final=self.ended)
        self.at = 0
        return bool(block)

    def next_mark(self) -> str:
        """The next character that is not white space, or nothing at the end of the file."""
        while True:
            self.at = _SPACE.match(self.text, self.at).end()
            if self.at < len(self.text):
                return self.text[self.at]
            if not self.more():
                return ""

    def value(self) -> Any:
        """Reads one value."""
        while True:
            try:
                value, end = _DECODE(self.text, self.at)
            except json.JSONDecodeError as error:
                unfinished = error.msg.startswith("Unterminated") or error.pos >= len(self.text) - NEAR_THE_END
                if not (unfinished and self.more()):
                    raise
                continue
            # A number that reaches the end of the window may go on after it.
            if end < len(self.text) or not self.more():
                self.at = min(end, len(self.text))
                return value
