"""One repository's files through time: commits, what a revision names, and what a commit's operations make of a tree."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from . import errors

HEADS, TAGS, PULLS = "refs/heads/", "refs/tags/", "refs/pr/"
SHORTEST_SHA = 7


class Entry(NamedTuple):
    """A file in a tree: where its bytes are, and the name git would give it."""

    oid: str
    sha256: str
    size: int
    lfs: bool


def blob_oid(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def regular(content: bytes, sha256: str) -> Entry:
    return Entry(blob_oid(content), sha256, len(content), lfs=False)


def pointer(sha256: str, size: int) -> bytes:
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()


def large(sha256: str, size: int) -> Entry:
    return Entry(blob_oid(pointer(sha256, size)), sha256, size, lfs=True)


class Commit(NamedTuple):
    oid: str
    parent: str | None
    title: str
    message: str
    author: str
    date: str
    tree: dict[str, Entry]


class Change(NamedTuple):
    """One operation of a commit: an entry at a path, or with `None` the path and what is under it gone."""

    path: str
    entry: Entry | None
    folder: bool = False


def apply(tree: dict[str, Entry], changes: list[Change]) -> dict[str, Entry]:
    new = dict(tree)
    for path, entry, folder in changes:
        if entry:
            new[path] = entry
        elif folder:
            under = [name for name in new if name.startswith(path.rstrip("/") + "/")]
            if not under:
                raise errors.entry_not_found(path)
            for name in under:
                del new[name]
        elif new.pop(path, None) is None:
            raise errors.entry_not_found(path)
    return new


def folders(tree: dict[str, Entry]) -> dict[str, str]:
    """Every folder of a tree with an id that changes when anything under it does."""
    digests: dict[str, Any] = {}
    for path, entry in sorted(tree.items()):
        for parent in PurePosixPath(path).parents:
            if parent.name:
                digests.setdefault(str(parent), hashlib.sha1()).update(f"{path}\0{entry.oid}\0".encode())
    return {path: digest.hexdigest() for path, digest in digests.items()}


@dataclass
class History:
    """`refs` maps full names such as refs/heads/main to commits."""

    commits: dict[str, Commit] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    messages: dict[str, str] = field(default_factory=dict)

    def commit(
        self, ref: str | None, changes: list[Change], title: str, message: str, author: str, date: str, **base: Any
    ) -> Commit:
        """A commit on top of `ref`, or on top of `parent` where one is given; it is not yet where any ref points."""
        parent = base["parent"] if base else self.refs.get(ref)
        tree = apply(self.commits[parent].tree if parent else {}, changes)
        facts = [parent, title, message, author, date, len(self.commits), sorted(tree.items())]
        oid = hashlib.sha1(repr(facts).encode()).hexdigest()
        new = Commit(oid, parent, title, message, author, date, tree)
        self.commits[oid] = new
        return new

    def ref_of(self, revision: str) -> str | None:
        """The full name of a branch, tag or pull request; the client may give either."""
        for name in (revision, HEADS + revision, TAGS + revision):
            if name in self.refs:
                return name
        return None

    def resolve(self, revision: str) -> Commit:
        if ref := self.ref_of(revision):
            return self.commits[self.refs[ref]]
        if re.fullmatch(rf"[0-9a-f]{{{SHORTEST_SHA},40}}", revision):
            found = [commit for oid, commit in self.commits.items() if oid.startswith(revision)]
            if len(found) == 1:
                return found[0]
        raise errors.revision_not_found(revision)

    def branch_of(self, revision: str) -> str:
        """The ref that a commit to `revision` moves."""
        ref = self.ref_of(revision)
        if not ref:
            raise errors.revision_not_found(revision)
        if ref.startswith(TAGS):
            raise errors.bad_request(f"{revision} is a tag: commits go to branches")
        return ref

    def log(self, start: Commit) -> Iterator[Commit]:
        commit: Commit | None = start
        while commit:
            yield commit
            commit = self.commits[commit.parent] if commit.parent else None

    def last_touched(self, start: Commit) -> dict[str, Commit]:
        """For every path of a tree, folders too, the commit in which it last changed."""
        touched: dict[str, Commit] = {}
        for commit in self.log(start):
            before = self.commits[commit.parent].tree if commit.parent else {}
            for path in start.tree.keys() | before.keys() | commit.tree.keys():
                if before.get(path) != commit.tree.get(path):
                    for name in (path, *map(str, PurePosixPath(path).parents)):
                        touched.setdefault(name, commit)
        return touched

    def pull_changes(self, number: int) -> list[Change]:
        """What merging a pull request does to main; raises a conflict where main has changed the same files."""
        theirs = self.resolve(f"{PULLS}{number}")
        ours = self.resolve("main")
        known = {commit.oid for commit in self.log(ours)}
        base = next((commit.tree for commit in self.log(theirs) if commit.oid in known), {})
        changed = [path for path in base.keys() | theirs.tree.keys() if base.get(path) != theirs.tree.get(path)]
        clashes = [path for path in changed if ours.tree.get(path) not in (base.get(path), theirs.tree.get(path))]
        if clashes:
            raise errors.conflict(f"This pull request has conflicts: {', '.join(sorted(clashes))}", files=clashes)
        merged = [Change(path, theirs.tree.get(path)) for path in sorted(changed)]
        return [change for change in merged if change.entry or change.path in ours.tree]
