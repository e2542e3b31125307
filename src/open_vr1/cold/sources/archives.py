"""
Where pictures lie, read without unpacking: a folder, a zip, a tar.

A zip has a list of its members at its end. A tar has none, so it is read through once, from header to header, and the
list is kept in `cache_dir`. A compressed tar can only be read from its beginning, so it is refused.
"""

import json
import os
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from functools import lru_cache
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Protocol

from open_vr1.cold.sources.parts import open_parts
from open_vr1.errors import UserError

COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
FOLDERS_IN_MEMORY = 64


class Place(Protocol):
    """
    Somewhere that has pictures by name.

    Args:
        label (`str`):
            Its absolute path.
        own_name (`str`):
            Its name without suffix, which rows may put before the names in it.
        roots (`Sequence[str]`):
            Folders that everything in it lies in, innermost first, each with its slash; the last one is empty.
    """

    label: str
    own_name: str
    roots: Sequence[str]

    def has(self, name: str) -> bool: ...

    def folder(self, name: str) -> bool: ...

    def spelled(self, name: str) -> str | None:
        """The one member that is called so if case is ignored."""

    def read(self, name: str) -> bytes:
        """Raises an `OSError`."""


class Folder:
    """Pictures as files. Names with `..` never reach here; a link in the folder may lead out of it, as in Hub caches."""

    roots = ("",)

    def __init__(self, path: Path):
        self._path, self.label, self.own_name = path, str(path.absolute()), path.resolve().name
        self._spellings = lru_cache(maxsize=FOLDERS_IN_MEMORY)(self._list)

    def has(self, name: str) -> bool:
        return os.path.isfile(self._path / name)

    def folder(self, name: str) -> bool:
        return os.path.isdir(self._path / name)

    def spelled(self, name: str) -> str | None:
        found = ""
        for part in name.split("/"):
            part = self._spellings(found).get(part.casefold())
            if part is None:
                return None
            found += f"{'/' if found else ''}{part}"
        return found

    def _list(self, folder: str) -> dict[str, str | None]:
        try:
            return _by_case(os.listdir(self._path / folder))
        except OSError:
            return {}

    def read(self, name: str) -> bytes:
        return (self._path / name).read_bytes()


class _Archive:
    """What a zip and a tar have in common: a list of names."""

    def __init__(self, parts: Sequence[Path], names: Iterable[str]):
        self.label = str(parts[0].absolute())
        self.own_name = parts[0].name.partition(".")[0]
        self._names = names
        self._folders: set[str] = set()
        self.roots = _roots(names, self._folders)
        self._spellings: dict[str, str | None] | None = None

    def has(self, name: str) -> bool:
        return name in self._names

    def folder(self, name: str) -> bool:
        return name in self._folders

    def spelled(self, name: str) -> str | None:
        if self._spellings is None:
            self._spellings = _by_case(self._names)
        return self._spellings.get(name.casefold())


class Zip(_Archive):
    """A zip, whole or in parts. Its list takes about 1 KB of memory for each member."""

    def __init__(self, parts: Sequence[Path], where: str):
        try:
            self._zip = zipfile.ZipFile(open_parts(parts))
            infos = [info for info in self._zip.infolist() if not info.is_dir()]
            members = {name: info for info in infos if (name := clean(info.filename))}
            ends = sorted(members.values(), key=lambda info: info.header_offset)
            for info in {info.filename: info for info in ends[:1] + ends[-1:]}.values():
                if info.flag_bits & 1:
                    raise UserError(
                        f"{where}: pictures: {parts[0]}: it has a password; unpack it and write the folder"
                    )
                self._zip.open(info).close()
        except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
            raise UserError(
                f"{where}: pictures: {parts[0]}: this zip of {_size(parts)} bytes in {len(parts)} "
                f"{'file' if len(parts) == 1 else 'parts'} is not whole ({error}); download it, or the parts after it, again"
            ) from error
        self._members = members
        super().__init__(parts, members)

    def read(self, name: str) -> bytes:
        try:
            return self._zip.read(self._members[name])
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError) as error:
            raise OSError(f"{self.label}: {name}: {error}") from error


class Tar(_Archive):
    """A tar, whole or in parts. Its list takes about 200 bytes of memory for each member."""

    def __init__(self, parts: Sequence[Path], where: str, cache_dir: Path | None):
        self._file = open_parts(parts)
        try:
            self._members = _tar_members(tuple(parts), _stamp(parts), cache_dir)
        except tarfile.TarError as error:
            raise UserError(
                f"{where}: pictures: {parts[0]}: this tar of {_size(parts)} bytes is not whole ({error}); download it again"
            ) from error
        super().__init__(parts, self._members)

    def read(self, name: str) -> bytes:
        offset, size = self._members[name]
        self._file.seek(offset)
        data = self._file.read(size)
        if len(data) < size:
            raise OSError(f"{self.label}: {name}: it ends after {len(data)} of {size} bytes")
        return data


def open_place(parts: Sequence[Path], where: str, cache_dir: Path | None) -> Place:
    """A folder, or an archive by what it is and not by what it is called."""
    if parts[0].is_dir():
        return Folder(parts[0])
    with open_parts(parts) as file:
        head = file.read(512)
    for magic, name in COMPRESSED.items():
        if head.startswith(magic):
            raise UserError(
                f"{where}: pictures: {parts[0]}: pictures cannot be read one by one from a {name} file; decompress it once "
                f"({'gunzip' if name == 'gzip' else name + ' -d'}) and write the .tar, or unpack it and write the folder"
            )
    if head.startswith(b"PK"):
        return Zip(parts, where)
    if head[257:262] == b"ustar":
        return Tar(parts, where, cache_dir)
    raise UserError(f"{where}: pictures: {parts[0]}: it is no folder, zip or tar; write one of these")


def clean(name: str) -> str | None:
    """A relative name without `.`, doubled slashes and backslashes; `None` for one that leads out or is empty."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
    return None if not parts or ".." in parts or "\0" in name else "/".join(parts)


@lru_cache(maxsize=4)
def _tar_members(parts: tuple[Path, ...], stamp: str, cache_dir: Path | None) -> dict[str, tuple[int, int]]:
    cached = cache_dir and cache_dir / f"{parts[0].name}-{stamp}.json"
    if cached and cached.exists():
        return json.loads(cached.read_bytes())
    members = _read_headers(parts)
    if cached:
        cache_dir.mkdir(parents=True, exist_ok=True)
        half = cached.with_suffix(f".{os.getpid()}")
        half.write_text(json.dumps(members))
        half.replace(cached)
    return members


def _read_headers(parts: Sequence[Path]) -> dict[str, tuple[int, int]]:
    members, links, at = {}, {}, 0
    try:
        with open_parts(parts) as file, tarfile.open(fileobj=file, mode="r:") as tar:
            while (member := tar.next()) is not None:
                at = tar.offset
                tar.members.clear()  # Or it would keep a kilobyte of each.
                name = clean(member.name)
                if name and member.isreg():
                    members[name] = (member.offset_data, member.size)
                elif name and (member.islnk() or member.issym()):
                    links[name] = _target(member)
            # Every tar ends in blocks of zeros; tarfile does not miss them, nor a header that is cut.
            file.seek(tar.offset)
            if len(file.read(tarfile.BLOCKSIZE)) < tarfile.BLOCKSIZE:
                raise tarfile.ReadError("it has no end")
    except tarfile.TarError as error:
        raise tarfile.ReadError(f"{error} at byte {at}, after {len(members)} files") from error
    members.update({name: members[target] for name, target in links.items() if target in members})
    return members


def _target(link: tarfile.TarInfo) -> str | None:
    """The member that a link leads to."""
    if link.islnk():
        return clean(link.linkname)
    joined = os.path.normpath(str(PurePosixPath(link.name).parent / link.linkname))
    return None if joined.startswith("/") else clean(joined)


def _stamp(parts: Sequence[Path]) -> str:
    stats = [(str(part.absolute()), part.stat().st_size, part.stat().st_mtime_ns) for part in parts]
    return sha256(repr(stats).encode()).hexdigest()[:16]


def _size(parts: Sequence[Path]) -> int:
    return sum(part.stat().st_size for part in parts)


def _by_case(names: Iterable[str]) -> dict[str, str | None]:
    """Names by their spelling without case; `None` where several have the same one."""
    found: dict[str, str | None] = {}
    for name in names:
        key = name.casefold()
        found[key] = None if key in found else name
    return found


def _roots(names: Iterable[str], folders: set[str]) -> tuple[str, ...]:
    """The folders that all members lie in, innermost first; fills `folders` with all folders there are."""
    common: list[str] | None = None
    for name in names:
        parts = name.split("/")
        if parts[0] == "__MACOSX" or parts[-1].startswith("."):
            continue
        above = parts[:-1]
        folders.add("/".join(above))
        if common is None:
            common = above
        while common != above[: len(common)]:
            common = common[:-1]
    for folder in list(folders):
        while "/" in folder and (folder := folder.rpartition("/")[0]) not in folders:
            folders.add(folder)
    return tuple("/".join(common[:depth]) + "/" if depth else "" for depth in range(len(common or ()), -1, -1))
