"""
What is in a repository: every revision that somebody could ask for once it is public, older commits and pull requests too.
Nothing here writes. Run with `make release REPOS="..." TITLE="..." DRY_RUN=1`.

Of each revision a folder is made on this machine with its file names, all of them empty but the few that the checks read, so
that what checks a local folder checks the published one too.
"""

import json
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml
from huggingface_hub import HfApi
from huggingface_hub.hf_api import RepoFile

from open_vr1.hub.calls import Caller, HubRefusal
from open_vr1.hub.card_check import FRONT_MATTER
from open_vr1.hub.commits import remote_files
from open_vr1.hub.outbox.publishable import INDEX
from open_vr1.hub.release.names import Name, check_existence
from open_vr1.manifest import MANIFEST_FILE

CARD = "README.md"
ADAPTER = "adapter_config.json"
READ = (CARD, MANIFEST_FILE, INDEX, ADAPTER)
# A Space is a program that somebody has written by hand, and perhaps with a token in it.
PROGRAM = {".py", ".md", ".txt", ".toml", ".yaml", ".yml", ".json", ".html", ".js"}
LARGEST_TEXT = 1 << 20
AT_ONCE = 8
T = TypeVar("T")
U = TypeVar("U")


@dataclass
class Revision:
    """
    A commit that a branch or a tag stands at.

    Args:
        commit (`str`):
            Its digest.
        refs (`list[str]`):
            Branches and tags that stand there.
        files (`dict[str, RepoFile]`):
            Its files.
        texts (`list[str]`):
            Those that were read.
        folder (`Path`):
            All of their names on this machine, and the content of the texts.
    """

    commit: str
    refs: list[str]
    files: dict[str, RepoFile]
    texts: list[str]
    folder: Path

    @property
    def has_weights(self) -> bool:
        return any(name.endswith(".safetensors") for name in self.files)

    @property
    def card(self) -> dict[str, Any]:
        """The front matter of its card; nothing where it cannot be read, which the checks say."""
        found = FRONT_MATTER.match(self.text(CARD))
        try:
            content = yaml.safe_load(found[1]) if found else {}
        except yaml.YAMLError:
            return {}
        return content if isinstance(content, dict) else {}

    @property
    def manifest(self) -> dict[str, Any]:
        """What made it; nothing where it cannot be read."""
        try:
            content = json.loads(self.text(MANIFEST_FILE) or "{}")
        except ValueError:
            return {}
        return content if isinstance(content, dict) else {}

    def text(self, name: str) -> str:
        return (self.folder / name).read_text(errors="replace") if name in self.texts else ""


@dataclass
class Repo:
    """
    A repository of the release.

    Args:
        name (`Name`):
            Which.
        private (`bool`):
            Whether only its owners see it now.
        refs (`dict[str, str]`):
            Branches, tags and pull requests by their full name, with their commits.
        revisions (`list[Revision]`):
            Where branches and tags stand, main first.
        past (`dict[str, list[str]]`):
            Names of the files of every other commit that can be reached.
        variables (`dict[str, str]`, *optional*):
            A Space's settings that everybody will see.
    """

    name: Name
    private: bool
    refs: dict[str, str]
    revisions: list[Revision]
    past: dict[str, list[str]]
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def main(self) -> Revision:
        return next(revision for revision in self.revisions if "main" in revision.refs)

    @property
    def branches(self) -> list[str]:
        return sorted(ref.removeprefix("refs/heads/") for ref in self.refs if ref.startswith("refs/heads/"))

    @property
    def tags(self) -> list[str]:
        return sorted(ref.removeprefix("refs/tags/") for ref in self.refs if ref.startswith("refs/tags/"))

    @property
    def size(self) -> int:
        """Bytes of all files of all revisions, each content once."""
        files = [file for revision in self.revisions for file in revision.files.values()]
        return sum({file.lfs.sha256 if file.lfs else file.blob_id: file.size for file in files}.values())

    @property
    def named(self) -> dict[Name, str]:
        """The repositories that its cards speak of, with the first revision and key that does."""
        found: dict[Name, str] = {}
        for revision in self.revisions:
            for key, name in _named(self.name.kind, revision):
                found.setdefault(name, f"{revision.refs[0]}: {key}")
        found.pop(self.name, None)
        return found


LINKS = {
    "model": {"base_model": "model", "new_version": "model", "datasets": "dataset"},
    "dataset": {"source_datasets": "dataset"},
    "space": {"models": "model", "datasets": "dataset"},
}


def _named(kind: str, revision: Revision) -> Iterable[tuple[str, Name]]:
    card = revision.card
    for key, of in LINKS[kind].items():
        value = card.get(key) or []
        for name in value if isinstance(value, list) else [value]:
            if isinstance(name, str) and name.count("/") == 1 and "|" not in name:  # `original`, `extended|...`
                yield key, Name(of, name)
    base = _adapter(revision).get("base_model_name_or_path")
    if isinstance(base, str) and base.count("/") == 1:
        yield f"{ADAPTER}: base_model_name_or_path", Name("model", base)


def _adapter(revision: Revision) -> dict[str, Any]:
    try:
        content = json.loads(revision.text(ADAPTER) or "{}")
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


class Reader:
    """
    Reads repositories.

    Args:
        api (`HfApi`):
            The client.
        caller (`Caller`):
            How long to try.
        folder (`Path`):
            Where the revisions' folders are made.
    """

    def __init__(self, api: HfApi, caller: Caller, folder: Path):
        self.api, self.caller, self.folder = api, caller, folder

    def read(self, names: list[Name]) -> list[Repo]:
        """Everything that the checks and the page ask for, or a `UserError` about what is not there."""
        check_existence(self.api, self.caller, names)
        return [self._repo(name) for name in names]

    def refs(self, name: Name) -> dict[str, str]:
        found = self.caller.call(self.api.list_repo_refs, **name.place, include_pull_requests=True)
        every = [*found.branches, *found.tags, *(found.pull_requests or [])]
        return {ref.ref: ref.target_commit for ref in every}

    def _repo(self, name: Name) -> Repo:
        info = self.caller.call(self.api.repo_info, **name.place)
        refs = self.refs(name)
        heads: dict[str, list[str]] = {}
        for ref, commit in refs.items():
            if ref.startswith(("refs/heads/", "refs/tags/")):
                heads.setdefault(commit, []).append(ref.split("/", 2)[2])
        order = sorted(heads, key=lambda commit: ("main" not in heads[commit], sorted(heads[commit])))
        revisions = _all(lambda commit: self._revision(name, commit, heads[commit]), order)
        older = sorted(self._reachable(name, refs) - set(heads))
        past = dict(zip(older, _all(lambda commit: list(self._files(name, commit)), older), strict=True))
        return Repo(name, bool(info.private), refs, revisions, past, self._variables(name))

    def _revision(self, name: Name, commit: str, refs: list[str]) -> Revision:
        files = self._files(name, commit)
        folder = self.folder / str(name) / commit
        for path in files:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).touch()
        texts = [path for path, file in files.items() if path in READ or (name.kind == "space" and _is_text(file))]
        for path in texts:
            self._fetch(name, commit, path, folder)
        return Revision(commit, sorted(refs, key=lambda ref: (ref != "main", ref)), files, texts, folder)

    def _files(self, name: Name, commit: str) -> dict[str, RepoFile]:
        return self.caller.call(remote_files, self.api, name.id, repo_type=name.kind, revision=commit)

    def _fetch(self, name: Name, commit: str, path: str, folder: Path) -> None:
        place = {**name.place, "revision": commit, "cache_dir": self.folder / ".cache"}
        found = self.caller.call(self.api.hf_hub_download, filename=path, **place)
        (folder / path).write_bytes(Path(found).read_bytes())

    def _reachable(self, name: Name, refs: dict[str, str]) -> set[str]:
        """Commits stay readable after a branch has moved on, and after it is gone where a tag is left."""

        def commits(head: str) -> list[str]:
            listed = self.caller.call(self.api.list_repo_commits, **name.place, revision=head)
            return [commit.commit_id for commit in listed]

        return {commit for listed in _all(commits, set(refs.values())) for commit in listed}

    def _variables(self, name: Name) -> dict[str, str]:
        if name.kind != "space":
            return {}
        try:
            found = self.caller.call(self.api.get_space_variables, name.id)
        except HubRefusal:  # Who may not read them may not open it either, which the checks say.
            return {}
        return {key: variable.value for key, variable in found.items()}


def _is_text(file: RepoFile) -> bool:
    return Path(file.path).suffix in PROGRAM and file.size <= LARGEST_TEXT


def _all(work: Callable[[T], U], things: Iterable[T]) -> list[U]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(work, things))
