"""
The two binary formats of Xet storage, as far as a server must read them.

A xorb is a row of chunks, each behind a header of eight bytes: version, packed size (3 bytes), scheme, unpacked size
(3 bytes). A shard says which chunks of which xorbs make up a file: records of 48 bytes, each list ended by a record
whose hash is all ones.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow

HEADER = 8
STORED, LZ4, GROUPED_LZ4 = 0, 1, 2
RECORD = struct.Struct("<32sIIII")
SHARD_HEADER = 48
END = b"\xff" * 32
VERIFIED, WITH_METADATA = 1 << 31, 1 << 30
FOOTER = b"XETBLOB"


class Chunk(NamedTuple):
    offset: int
    packed: int
    scheme: int
    size: int


@dataclass(frozen=True)
class Xorb:
    path: Path
    index: tuple[Chunk, ...]

    @classmethod
    def read(cls, path: Path) -> "Xorb":
        """Raises ValueError for what is no xorb."""
        index, offset, length = [], 0, path.stat().st_size
        with path.open("rb") as file:
            while offset < length:
                file.seek(offset)
                header = file.read(HEADER)
                if header[: len(FOOTER)] == FOOTER:
                    break
                packed = int.from_bytes(header[1:4], "little")
                chunk = Chunk(offset + HEADER, packed, header[4], int.from_bytes(header[5:8], "little"))
                offset = chunk.offset + packed
                if len(header) < HEADER or header[0] != 0 or chunk.scheme > GROUPED_LZ4 or offset > length:
                    raise ValueError(f"no chunk at byte {chunk.offset - HEADER}")
                index.append(chunk)
        if not index:
            raise ValueError("no chunks")
        return cls(path, tuple(index))

    @cached_property
    def sizes(self) -> list[int]:
        return [chunk.size for chunk in self.index]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """First and last byte of some chunks, headers included."""
        last = self.index[end - 1]
        return self.index[start].offset - HEADER, last.offset + last.packed - 1

    def chunks(self, start: int, end: int) -> Iterator[bytes]:
        """Some chunks, unpacked."""
        with self.path.open("rb") as file:
            for chunk in self.index[start:end]:
                file.seek(chunk.offset)
                yield unpack(file.read(chunk.packed), chunk.scheme, chunk.size)


def unpack(data: bytes, scheme: int, size: int) -> bytes:
    if scheme == STORED:
        return data
    data = pyarrow.Codec("lz4").decompress(data, decompressed_size=size, asbytes=True)
    if scheme == LZ4:
        return data
    # Every fourth byte stands together: sizes differ by one where four does not divide.
    whole = np.empty(size, np.uint8)
    position = 0
    for group in range(4):
        length = len(whole[group::4])
        whole[group::4] = np.frombuffer(data, np.uint8, length, position)
        position += length
    return whole.tobytes()


def name(digest: bytes) -> str:
    """A hash is written as four numbers of eight bytes, each with its bytes turned round."""
    return "".join(digest[start : start + 8][::-1].hex() for start in range(0, 32, 8))


class ShardFile(NamedTuple):
    hash: str
    sha256: str | None
    terms: list[tuple[str, int, int, int]]


def files_of(shard: bytes) -> list[ShardFile]:
    """The files that a shard registers; raises ValueError or struct.error for what is no shard."""
    position = SHARD_HEADER

    def record() -> tuple[bytes, int, int, int, int]:
        nonlocal position
        position += RECORD.size
        return RECORD.unpack_from(shard, position - RECORD.size)

    files = []
    while (header := record())[0] != END:
        digest, flags, count, *_ = header
        terms = []
        for _ in range(count):
            xorb, _, size, start, end = record()
            terms.append((name(xorb), start, end, size))
        if flags & VERIFIED:
            position += RECORD.size * count
        sha256 = name(record()[0]) if flags & WITH_METADATA else None
        files.append(ShardFile(name(digest), sha256, terms))
    return files
