"""The repositories of a Hub, kept in a folder, and who may do what with them."""

import json
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from . import errors
from .history import HEADS, Change, Commit, Entry, History, regular
from .objects import Store

KINDS = {"model": "models", "dataset": "datasets", "space": "spaces"}
# What the Hub's own .gitattributes lists, as far as our files go.
LARGE = (
    "arrow",
    "bin",
    "gz",
    "h5",
    "jpg",
    "npy",
    "npz",
    "onnx",
    "parquet",
    "png",
    "pt",
    "pth",
    "safetensors",
    "tar",
    "zip",
)
ATTRIBUTES = "".join(f"*.{suffix} filter=lfs diff=lfs merge=lfs -text\n" for suffix in LARGE).encode()
# A Space is made with a card, without which it could not be shown.
SPACE_CARD = "---\ntitle: {name}\ncolorFrom: gray\ncolorTo: gray\nsdk: {sdk}\napp_file: app.py\npinned: false\n---\n"


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


@dataclass(frozen=True)
class Account:
    """Whom a token belongs to. `writes` says what the token may do, the organisations say where."""

    name: str
    role: str
    organisations: tuple[str, ...] = ()

    @property
    def writes(self) -> bool:
        return self.role == "write"

    @property
    def namespaces(self) -> tuple[str, ...]:
        return (self.name, *self.organisations)


@dataclass
class Repo:
    kind: str
    id: str
    created: str = field(default_factory=now)
    private: bool = False
    gated: str | bool = False
    granted: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    discussions: list[dict[str, Any]] = field(default_factory=list)
    space: dict[str, Any] = field(default_factory=dict)
    history: History = field(default_factory=History)

    @property
    def namespace(self) -> str:
        return self.id.partition("/")[0]

    @property
    def web_path(self) -> str:
        return self.id if self.kind == "model" else f"{KINDS[self.kind]}/{self.id}"

    @property
    def api_path(self) -> str:
        return f"/api/{KINDS[self.kind]}/{self.id}"

    def is_member(self, account: Account | None) -> bool:
        return account is not None and self.namespace in account.namespaces

    def may_see(self, account: Account | None) -> bool:
        return not self.private or self.is_member(account)

    def may_download(self, account: Account | None) -> bool:
        if not self.gated or self.is_member(account):
            return True
        return account is not None and account.name in self.granted

    def settings(self) -> dict[str, Any]:
        kept = {name: value for name, value in vars(self).items() if name != "history"}
        return {**kept, "refs": self.history.refs, "messages": self.history.messages}


class Repos:
    """Settings and refs of a repository are a JSON file, its commits a journal of what each one changed."""

    def __init__(self, folder: Path, store: Store):
        self.folder = folder
        self.store = store
        self._repos: dict[tuple[str, str], Repo] = {}
        self._moved: dict[tuple[str, str], str] = {}
        for file in sorted(folder.glob("*/*/*/repo.json")):
            repo = self._load(file.parent)
            self._repos[repo.kind, repo.id] = repo

    def __iter__(self) -> Iterator[Repo]:
        return iter(self._repos.values())

    def get(self, kind: str, name: str) -> Repo | None:
        return self._repos.get((kind, self._moved.get((kind, name), name)))

    def visible(self, kind: str, name: str, account: Account | None) -> Repo:
        repo = self.get(kind, name)
        if not repo or not repo.may_see(account):
            raise errors.repo_not_found(account is not None)
        return repo

    def writable(self, kind: str, name: str, account: Account | None) -> Repo:
        repo = self.visible(kind, name, account)
        may_write(account, repo.namespace, f"{kind} {name}")
        return repo

    def create(self, kind: str, name: str, account: Account, **settings: Any) -> Repo:
        if (kind, name) in self._repos:
            raise errors.conflict(f"You already created this {kind} repo")
        repo = Repo(kind, name, **settings)
        self._repos[kind, name] = repo
        self._moved.pop((kind, name), None)
        first = {".gitattributes": ATTRIBUTES}
        if kind == "space":
            first["README.md"] = SPACE_CARD.format(name=name.partition("/")[2], sdk=repo.space["sdk"]).encode()
        changes = [Change(path, regular(content, self.store.add(content))) for path, content in first.items()]
        self.commit(repo, HEADS + "main", changes, "initial commit", "", account.name)
        return repo

    def commit(self, repo: Repo, ref: str, changes: list[Change], title: str, message: str, author: str) -> Commit:
        commit = repo.history.commit(ref, changes, title, message, author, now())
        self._journal(repo, commit)
        repo.history.refs[ref] = commit.oid
        self.save(repo)
        return commit

    def squash(self, repo: Repo, branch: str, title: str, author: str) -> Commit:
        """The branch's tree as its only commit."""
        tree = repo.history.resolve(branch).tree
        changes = [Change(path, entry) for path, entry in tree.items()]
        commit = repo.history.commit(None, changes, title, "", author, now(), parent=None)
        self._journal(repo, commit)
        repo.history.refs[HEADS + branch] = commit.oid
        self.save(repo)
        return commit

    def delete(self, repo: Repo) -> None:
        del self._repos[repo.kind, repo.id]
        shutil.rmtree(self._path(repo))

    def move(self, repo: Repo, name: str) -> None:
        """The old name goes on leading to the repository, until the server ends."""
        if (repo.kind, name) in self._repos:
            raise errors.conflict(f"{name} exists")
        old = self._path(repo)
        del self._repos[repo.kind, repo.id]
        self._moved[repo.kind, repo.id] = name
        repo.id = name
        self._repos[repo.kind, name] = repo
        self._path(repo).parent.mkdir(parents=True, exist_ok=True)
        old.rename(self._path(repo))
        self.save(repo)

    def save(self, repo: Repo) -> None:
        target = self._path(repo) / "repo.json"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.with_suffix(".new").write_text(json.dumps(repo.settings(), indent=1))
        target.with_suffix(".new").replace(target)

    def _path(self, repo: Repo) -> Path:
        return self.folder / KINDS[repo.kind] / repo.id

    def _journal(self, repo: Repo, commit: Commit) -> None:
        before = repo.history.commits[commit.parent].tree if commit.parent else {}
        paths = before.keys() | commit.tree.keys()
        changed = {path: commit.tree.get(path) for path in paths if before.get(path) != commit.tree.get(path)}
        self._path(repo).mkdir(parents=True, exist_ok=True)
        with (self._path(repo) / "commits.jsonl").open("a") as file:
            file.write(json.dumps([*commit[:-1], changed]) + "\n")

    def _load(self, path: Path) -> Repo:
        settings = json.loads((path / "repo.json").read_text())
        history = History(refs=settings.pop("refs"), messages=settings.pop("messages"))
        for line in (path / "commits.jsonl").read_text().splitlines():
            *facts, changed = json.loads(line)
            before = history.commits[facts[1]].tree if facts[1] else {}
            tree = {**before, **{path: entry and Entry(*entry) for path, entry in changed.items()}}
            commit = Commit(*facts, {path: entry for path, entry in tree.items() if entry})
            history.commits[commit.oid] = commit
        return Repo(**settings, history=history)


def may_write(account: Account | None, namespace: str, what: str) -> None:
    if account is None:
        raise errors.log_in()
    if not account.writes or namespace not in account.namespaces:
        raise errors.forbidden(f"You don't have the rights to write to {what} (token role: {account.role})")


def new_id() -> str:
    return secrets.token_hex(12)
