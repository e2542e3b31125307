"""What repositories store, on disk and named by its SHA-256: whole files, or lists of Xet chunks that make one up."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, Self

from . import errors
from .xorbs import Xorb

BLOCK = 1 << 20


class Term(NamedTuple):
    """Chunks `start` to `end` (not included) of a xorb, and how many bytes of the file they are."""

    xorb: str
    start: int
    end: int
    size: int


class Recipe(NamedTuple):
    """A file in Xet storage."""

    hash: str
    sha256: str
    size: int
    terms: tuple[Term, ...]


class Writer:
    """Takes a body piece by piece; `keep` gives it its name, and without `keep` it leaves nothing behind."""

    def __init__(self, folder: Path):
        descriptor, name = tempfile.mkstemp(dir=folder)
        self._file = os.fdopen(descriptor, "wb")
        self.path = Path(name)
        self.size = 0
        self._sha256 = hashlib.sha256()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self.path.unlink(missing_ok=True)

    def write(self, piece: bytes) -> None:
        self._file.write(piece)
        self._sha256.update(piece)
        self.size += len(piece)

    def flush(self) -> None:
        self._file.flush()

    @property
    def sha256(self) -> str:
        return self._sha256.hexdigest()

    def keep(self, target: Path) -> None:
        self._file.close()
        target.parent.mkdir(parents=True, exist_ok=True)
        self.path.replace(target)


class Store:
    def __init__(self, folder: Path):
        self.folder = folder
        for name in ("objects", "xorbs", "recipes", "parts", "incoming"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        # Not methods with a decorator: the cache would keep every store alive.
        self.xorb = lru_cache(64)(self._xorb)
        self.recipe = lru_cache(1024)(self._recipe)

    def writer(self) -> Writer:
        return Writer(self.folder / "incoming")

    # Whole files

    def path(self, sha256: str) -> Path:
        return self.folder / "objects" / sha256[:2] / sha256

    def add(self, content: bytes) -> str:
        with self.writer() as writer:
            writer.write(content)
            writer.keep(self.path(writer.sha256))
        return writer.sha256

    def size(self, sha256: str) -> int | None:
        """`None` for what is not stored, whole or as chunks."""
        if self.path(sha256).exists():
            return self.path(sha256).stat().st_size
        xet = self.xet_hash(sha256)
        return self.recipe(xet).size if xet else None

    def read(self, sha256: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Bytes `start` to `end` (not included), never more than a chunk of them in memory."""
        if self.path(sha256).exists():
            return self.read_whole(self.path(sha256), start, end)
        return self._read_chunks(self.recipe(self.xet_hash(sha256)), start, end)

    def content(self, sha256: str) -> bytes:
        return b"".join(self.read(sha256))

    @staticmethod
    def read_whole(path: Path, start: int, end: int | None) -> Iterator[bytes]:
        with path.open("rb") as file:
            file.seek(start)
            left = path.stat().st_size - start if end is None else end - start
            while left > 0 and (block := file.read(min(BLOCK, left))):
                left -= len(block)
                yield block

    # Xet

    def xorb_path(self, name: str) -> Path:
        return self.folder / "xorbs" / name

    def has_xorb(self, name: str) -> bool:
        return self.xorb_path(name).exists()

    def _xorb(self, name: str) -> Xorb:
        return Xorb.read(self.xorb_path(name))

    def xet_hash(self, sha256: str) -> str | None:
        """The Xet name of a file that came in as chunks; what came in whole has none."""
        link = self.folder / "recipes" / f"{sha256}.xet"
        return link.read_text() if link.exists() else None

    def add_recipe(self, recipe: Recipe) -> None:
        target = self.folder / "recipes" / f"{recipe.hash}.json"
        if not target.exists():
            target.write_text(json.dumps(recipe))
        (self.folder / "recipes" / f"{recipe.sha256}.xet").write_text(recipe.hash)

    def _recipe(self, xet_hash: str) -> Recipe:
        path = self.folder / "recipes" / f"{xet_hash}.json"
        if not path.exists():
            raise errors.not_found(f"no file {xet_hash}")
        name, sha256, size, terms = json.loads(path.read_text())
        return Recipe(name, sha256, size, tuple(Term(*term) for term in terms))

    def cut(self, recipe: Recipe, start: int, end: int) -> tuple[int, list[Term]]:
        """The fewest chunks that hold bytes `start` to `end` of a file, and how far into the first of them it starts."""
        position, skip, terms = 0, 0, []
        for term in recipe.terms:
            if position < end and position + term.size > start:
                sizes = self.xorb(term.xorb).sizes[term.start : term.end]
                first, last, before = 0, len(sizes), position
                while before + sizes[first] <= start:
                    before += sizes[first]
                    first += 1
                after = position + term.size
                while after - sizes[last - 1] >= end:
                    last -= 1
                    after -= sizes[last]
                if not terms:
                    skip = start - before
                terms.append(Term(term.xorb, term.start + first, term.start + last, after - before))
            position += term.size
        return skip, terms

    def _read_chunks(self, recipe: Recipe, start: int, end: int | None) -> Iterator[bytes]:
        end = recipe.size if end is None else end
        skip, terms = self.cut(recipe, start, end)
        left = end - start
        for term in terms:
            for chunk in self.xorb(term.xorb).chunks(term.start, term.end):
                piece = chunk[skip : skip + left]
                skip = 0
                left -= len(piece)
                yield piece
