"""
Make a revision hold exactly these files: one atomic commit, then compared with what is there.

    commit_files(api, "open-vr1/cold-200k", {"data/train-00000-of-00032.parquet": path, ...}, repo_type="dataset")

The same call again finds nothing to do, also where an earlier one was killed or its answer was lost: what is sent is the
difference between the files and the revision.
"""

import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.hf_api import RepoFile

from open_vr1.errors import UserError
from open_vr1.hub.calls import Caller, HubRefusal

# The Hub's own file of every repository.
KEPT = frozenset({".gitattributes"})
Tell = Callable[[int, int], None]


@dataclass
class Difference:
    """
    What separates a revision from the files that it is to hold.

    Args:
        head (`str`):
            The revision's commit.
        add (`list[str]`):
            Files to send.
        delete (`list[str]`):
            Files that are there and should not be.
        same (`list[str]`):
            Files that are there already.
    """

    head: str
    add: list[str] = field(default_factory=list)
    delete: list[str] = field(default_factory=list)
    same: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.add or self.delete)


@dataclass(frozen=True)
class Commit:
    """
    A revision that holds what it should.

    Args:
        oid (`str`):
            The commit.
        sent (`int`):
            Bytes of the files that were sent.
        difference (`Difference`):
            What had to be changed.
    """

    oid: str
    sent: int
    difference: Difference


class Moved(UserError):
    """Somebody else's commit came first."""


class Digests:
    """
    The digests of local files, each computed once.

    Args:
        files (`Mapping[str, Path]`):
            The files by their path in the repository.
        sha256 (`Mapping[str, str]`, *optional*):
            Those that are known.
    """

    def __init__(self, files: Mapping[str, Path], sha256: Mapping[str, str] | None = None):
        self.files = files
        self._sha256 = dict(sha256 or {})

    def sha256(self, name: str) -> str:
        if name not in self._sha256:
            with self.files[name].open("rb") as file:
                self._sha256[name] = hashlib.file_digest(file, "sha256").hexdigest()
        return self._sha256[name]

    def known(self, name: str) -> str | None:
        return self._sha256.get(name)

    def learn(self, name: str, sha256: str) -> None:
        self._sha256[name] = sha256

    def equal(self, name: str, remote: RepoFile) -> bool:
        """Whether the Hub's file is this one, by size and by the digest that the Hub keeps of it."""
        if self.files[name].stat().st_size != remote.size:
            return False
        if remote.lfs:
            return self.sha256(name) == remote.lfs.sha256
        data = self.files[name].read_bytes()
        return hashlib.sha1(b"blob %d\0%b" % (len(data), data)).hexdigest() == remote.blob_id


def difference(
    api: HfApi, repo: str, digests: Digests, *, repo_type: str = "model", revision: str = "main"
) -> Difference:
    """Compare a revision with local files."""
    head = api.repo_info(repo, repo_type=repo_type, revision=revision).sha
    return compare(digests, remote_files(api, repo, repo_type=repo_type, revision=head), head)


def compare(digests: Digests, remote: Mapping[str, RepoFile], head: str) -> Difference:
    """What separates a commit, whose files are known, from local files."""
    found = Difference(head)
    for name in digests.files:
        known = name in remote and digests.equal(name, remote[name])
        (found.same if known else found.add).append(name)
    found.delete = [name for name in remote if name not in digests.files and name not in KEPT]
    return found


def remote_files(api: HfApi, repo: str, *, repo_type: str = "model", revision: str = "main") -> dict[str, RepoFile]:
    tree = api.list_repo_tree(repo, repo_type=repo_type, revision=revision, recursive=True)
    return {entry.path: entry for entry in tree if isinstance(entry, RepoFile)}


def commit_files(
    api: HfApi,
    repo: str,
    files: Mapping[str, Path],
    *,
    repo_type: str = "model",
    revision: str = "main",
    message: str,
    parent: str | None = None,
    sha256: Mapping[str, str] | None = None,
    caller: Caller | None = None,
    tell: Tell | None = None,
    keep_others: bool = False,
    keep: Collection[str] = (),
) -> Commit:
    """
    Make a branch hold exactly these files, beside the Hub's own.

    Args:
        api (`HfApi`):
            The client.
        repo (`str`):
            The repository's id.
        files (`Mapping[str, Path]`):
            Local files by their path in the repository.
        repo_type (`str`, *optional*, defaults to `"model"`):
            `"model"`, `"dataset"` or `"space"`.
        revision (`str`, *optional*, defaults to `"main"`):
            A branch that exists.
        message (`str`):
            The commit's message.
        parent (`str`, *optional*):
            The branch's head as the caller has seen it. Where it has moved, nothing is sent and `Moved` is raised.
        sha256 (`Mapping[str, str]`, *optional*):
            Digests that are known, which saves reading those files once more.
        caller (`Caller`, *optional*):
            How long to try. An hour by default.
        tell (`Callable[[int, int], None]`, *optional*):
            Is told the bytes that have been sent and those that have to be.
        keep_others (`bool`, *optional*, defaults to `False`):
            Leave the branch's other files as they are.
        keep (`Collection[str]`, *optional*):
            Other files that are left as they are.

    Returns:
        [`Commit`]: the branch's head, which has been compared with every file.
    """
    digests = Digests(files, sha256)
    work = _Commit(api, repo, repo_type, revision, message, digests, caller or Caller(), tell or (lambda *_: None))
    work.parent, work.keep_others, work.keep = parent, keep_others, keep
    return work.run()


class _Commit:
    def __init__(
        self,
        api: HfApi,
        repo: str,
        repo_type: str,
        revision: str,
        message: str,
        digests: Digests,
        caller: Caller,
        tell: Tell,
    ):
        self.api, self.repo, self.digests, self.caller, self.tell = api, repo, digests, caller, tell
        self.place = {"repo_type": repo_type, "revision": revision}
        self.message = message
        self.parent: str | None = None
        self.keep_others = False
        self.keep: Collection[str] = ()
        self.first: Difference | None = None
        self.operations: dict[str, CommitOperationAdd] = {}

    def run(self) -> Commit:
        oid = self.caller.call(self._until_equal)
        return Commit(oid, self.sizes_of(self.first.add), self.first)

    def sizes_of(self, names: list[str]) -> int:
        return sum(self.digests.files[name].stat().st_size for name in names)

    def _until_equal(self) -> str:
        """One attempt. After any failure the next begins by looking at what is there."""
        missing = self._missing(self.place["revision"])
        self.first = self.first or missing
        if not missing:
            return missing.head
        if self.parent and missing.head != self.parent:
            raise Moved(f"{self.repo}: {self.place['revision']} has moved from {self.parent} to {missing.head}")
        self._send(missing.add)
        deletions = [CommitOperationDelete(name) for name in missing.delete]
        oid = self.api.create_commit(
            self.repo,
            [*deletions, *(self.operations[name] for name in missing.add)],
            commit_message=self.message,
            parent_commit=missing.head,
            **self.place,
        ).oid
        self._verify(oid)
        return oid

    def _send(self, names: list[str]) -> None:
        """Every large file to the Hub's storage, one at a time; the small ones go with the commit."""
        done, total = 0, self.sizes_of(names)
        for name in names:
            self.tell(done, total)
            operation = self._operation(name)
            # Each with a patience of its own: what comes after hours of sending deserves as much as the first.
            self.caller.call(self.api.preupload_lfs_files, self.repo, [operation], free_memory=False, **self.place)
            if operation.upload_info.is_hashed:
                self.digests.learn(name, operation.upload_info.sha256.hex())
            done += operation.upload_info.size
        self.tell(done, total)

    def _operation(self, name: str) -> CommitOperationAdd:
        """The client reads a file only once where it is spared the digest, or finds it out while it sends."""
        if name not in self.operations:
            operation = CommitOperationAdd(name, self.digests.files[name])
            if known := self.digests.known(name):
                operation.upload_info.sha256 = bytes.fromhex(known)
            self.operations[name] = operation
        return self.operations[name]

    def _missing(self, revision: str) -> Difference:
        found = difference(self.api, self.repo, self.digests, **{**self.place, "revision": revision})
        kept = found.delete if self.keep_others else self.keep
        return replace(found, delete=[name for name in found.delete if name not in kept])

    def _verify(self, oid: str) -> None:
        left = self._missing(oid)
        if left:
            wrong = ", ".join([*left.add, *left.delete][:5])
            raise HubRefusal(
                f"{self.repo}: commit {oid} does not hold what was sent: {wrong}; run the same command again"
            )
