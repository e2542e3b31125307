"""
Archives that were cut into parts, like `image.zip.part-aa` to `image.zip.part-ap`, as the one file that they were.

Nothing is joined on the disk: a read goes to the part that has the bytes.
"""

import io
import re
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO

from open_vr1.errors import UserError

_PART = re.compile(
    r"(?P<whole>.+\.(?:zip|tar)(?:\.gz)?)[.]?(?:part)?[-_.]?(?P<number>(?!gz|bz|xz)[a-z]{2,3}|\d{1,4})"
    r"|(?P<other>.+)\.part[-_.]?(?P<place>[a-z]{2,3}|\d{1,4})"
)


def split_name(name: str) -> tuple[str, int] | None:
    """The name of the whole file that a part belongs to and the part's place, from 0 or 1; `None` for a whole file."""
    match = _PART.fullmatch(name)
    if not match:
        return None
    place = match["number"] or match["place"]
    if place.isdigit():
        return match["whole"] or match["other"], int(place)
    count = 0
    for letter in place:
        count = count * 26 + ord(letter) - ord("a")
    return match["whole"] or match["other"], count + 1


def join_parts(files: Sequence[Path], where: str) -> list[tuple[Path, ...]]:
    """Files in their order, the parts of one archive together. Refuses an archive of which a part is missing."""
    groups: dict[Path, list[tuple[int, Path]]] = {}
    for file in files:
        whole, place = (file.is_file() and split_name(file.name)) or (file.name, 1)
        groups.setdefault(file.parent / whole, []).append((place, file))
    for whole, parts in groups.items():
        places = [place for place, _ in parts]
        if places[0] not in (0, 1) or places != list(range(places[0], places[0] + len(places))):
            listed = ", ".join(file.name for _, file in parts)
            raise UserError(
                f"{where}: pictures: {whole}: its parts do not follow each other: {listed}; download the missing ones "
                "and write them in their order"
            )
    return [tuple(file for _, file in parts) for parts in groups.values()]


def open_parts(parts: Sequence[Path]) -> BinaryIO:
    """One or more files as one that can be read from anywhere."""
    return parts[0].open("rb") if len(parts) == 1 else io.BufferedReader(_Parts(parts))


class _Parts(io.RawIOBase):
    def __init__(self, parts: Sequence[Path]):
        super().__init__()
        self._files = [part.open("rb", buffering=0) for part in parts]
        # Where each part begins, and where the last one ends.
        self._starts = [0, *accumulate(part.stat().st_size for part in parts)]
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._starts[-1]}[whence]
        if self._at < 0:
            raise OSError(f"there is nothing before the beginning, at {self._at}")
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: memoryview) -> int:
        part = bisect_right(self._starts, self._at) - 1
        if part >= len(self._files):
            return 0
        self._files[part].seek(self._at - self._starts[part])
        wanted = min(len(buffer), self._starts[part + 1] - self._at)
        count = self._files[part].readinto(memoryview(buffer)[:wanted])
        self._at += count
        return count

    def close(self) -> None:
        for file in getattr(self, "_files", ()):
            file.close()
        super().close()
