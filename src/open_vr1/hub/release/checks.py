"""
Everything that speaks against opening a release, a line for each with what to do. Nothing here writes.

    make release REPOS="..." TITLE="..." DRY_RUN=1

What is public cannot be called back: whoever has looked has it. So every revision is checked, not only the newest.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from huggingface_hub import HfApi

from open_vr1.errors import UserError
from open_vr1.hub.calls import Caller, HubRefusal
from open_vr1.hub.card_check import check_card
from open_vr1.hub.names import tokens_in
from open_vr1.hub.outbox.publishable import missing_files
from open_vr1.hub.release.licenses import Rows
from open_vr1.hub.release.names import Name, is_public
from open_vr1.hub.release.reading import CARD, Repo, Revision
from open_vr1.manifest import read_manifest

# Pickles run code where they are loaded; the others are a trainer's own state, or secrets.
FORBIDDEN = re.compile(
    r"""(.*/)?(
      [^/]+\.(pt|pth|bin|ckpt|pkl|pickle|joblib|distcp|npz)
    | optimizer[^/]*\.safetensors
    | (global_step\d+|optimizer_\d+|pytorch_model_fsdp_\d+)/.*
    | \.env | \.netrc | id_(rsa|ed25519)
    )""",
    re.VERBOSE,
)
APP_FILES = {"gradio": "app.py", "streamlit": "app.py", "static": "index.html", "docker": "Dockerfile"}
PUSH = "make push-checkpoints RUN=... publishes it"


@dataclass
class Release:
    """
    What is to be opened together.

    Args:
        title (`str`):
            Of the collection.
        namespace (`str`):
            Whose collection it is.
        repos (`list[Repo]`):
            In the collection's order.
        rows (`dict[Name, Rows]`, *optional*):
            What its datasets hold.
    """

    title: str
    namespace: str
    repos: list[Repo]
    rows: dict[Name, Rows] = field(default_factory=dict)

    def __contains__(self, name: Name) -> bool:
        return any(repo.name == name for repo in self.repos)


def problems(api: HfApi, caller: Caller, release: Release) -> list[str]:
    """
    What is wrong with a release; an empty list if nothing is.

    Args:
        api (`HfApi`):
            The client.
        caller (`Caller`):
            How long to try.
        release (`Release`):
            What was read of it.
    """
    found = list(_rights(api, caller, release))
    for repo in release.repos:
        found += [*_forbidden(repo), *_tokens(repo)]
        if repo.name.kind == "model":
            found += _model(repo)
        elif repo.name.kind == "dataset":
            found += _dataset(repo, release.rows[repo.name])
        else:
            found += _space(repo)
    return [*found, *_links(api, caller, release)]


# ----- Who asks


def _rights(api: HfApi, caller: Caller, release: Release) -> Iterator[str]:
    account = caller.call(api.whoami)
    own = [account["name"], *(place["name"] for place in account.get("orgs", []))]
    if release.namespace not in own:
        yield f"NAMESPACE={release.namespace}: {account['name']} does not belong to it; write one of {', '.join(own)}"
    for repo in release.repos:
        if repo.private:
            try:
                caller.call(api.auth_check, **repo.name.place, write=True)
            except HubRefusal as error:
                yield f"{repo.name}: {error}"


# ----- What must not be in any revision


def _forbidden(repo: Repo) -> Iterator[str]:
    told: set[str] = set()
    for revision in repo.revisions:
        bad = [name for name in revision.files if FORBIDDEN.fullmatch(name)]
        told.update(bad)
        if bad:
            yield f"{_at(repo, revision)}: {', '.join(bad)}: not for the public; delete it there, its history too"
    for commit, names in repo.past.items():
        bad = [name for name in names if FORBIDDEN.fullmatch(name) and name not in told]
        told.update(bad)
        if bad:
            yield (
                f"{repo.name}: {', '.join(bad)}: in the older commit {commit[:8]}, which everybody could read; "
                "HfApi().super_squash_history forgets a branch's past, a pull request needs a new repository"
            )


def _tokens(repo: Repo) -> Iterator[str]:
    for revision in repo.revisions:
        for name in revision.texts:
            if name == CARD and repo.name.kind != "space":
                continue  # The check of the card says it.
            for token in tokens_in(revision.text(name)):
                yield f"{_at(repo, revision)}: {name}: {token} is an access token; revoke it, and publish without it"
    for key, value in repo.variables.items():
        for token in tokens_in(value):
            yield f"{repo.name}: variable {key}: {token} is an access token; make it a secret, and revoke it"


# ----- Models


def _model(repo: Repo) -> Iterator[str]:
    for revision in repo.revisions:
        yield from _card(repo, revision)
        yield from _manifest(repo, revision)
        if revision.has_weights or not _is_index(repo, revision):
            missing = _missing(revision)
            if missing:
                yield f"{_at(repo, revision)}: {', '.join(missing)}: missing, so it cannot be loaded; {PUSH}"


def _is_index(repo: Repo, revision: Revision) -> bool:
    """Whether it is the page of another run that is still under way, or a repository's first commit."""
    return "main" not in revision.refs and not any("-step-" in ref or ref in repo.tags for ref in revision.refs)


def _missing(revision: Revision) -> list[str]:
    try:
        return missing_files(revision.folder)
    except (ValueError, KeyError) as error:
        return [f"a readable index of the weights ({error})"]


def _manifest(repo: Repo, revision: Revision) -> Iterator[str]:
    try:
        read_manifest(revision.folder)
    except UserError as error:
        yield f"{_at(repo, revision)}: {str(error).replace(f'{revision.folder}/', '')}"


# ----- Datasets


def _dataset(repo: Repo, rows: Rows) -> Iterator[str]:
    yield from _card(repo, repo.main)
    if not any(ref in repo.tags for ref in repo.main.refs):
        yield (
            f"{repo.name}: main is at {repo.main.commit[:8]}, which has no tag, so nobody could name this version; "
            f"make push-cold DATASET=... REPO={repo.name.id} tags it"
        )
    for config in rows.missing:
        yield f"{repo.name}: {config}: no parquet file fits the card's pattern; push it again"
    for reason in rows.unreadable:
        yield f"{repo.name}: {' '.join(reason.split())}; push it again"
    for config, told in rows.told.items():
        if config not in rows.missing and rows.counted.get(config) != told:
            yield (
                f"{repo.name}: {config}: the card says {told:,} rows, and its files have {rows.counted.get(config, 0):,}; "
                f"make push-cold DATASET=... REPO={repo.name.id} writes both anew"
            )


# ----- Spaces


def _space(repo: Repo) -> Iterator[str]:
    sdk = repo.main.card.get("sdk")
    if sdk not in APP_FILES:
        yield f"{repo.name}: {CARD}: sdk: {sdk!r} is none; write one of {', '.join(APP_FILES)}"
        return
    app = repo.main.card.get("app_file") or APP_FILES[sdk]
    if sdk != "docker" and app not in repo.main.files:
        yield f"{repo.name}: {app}: not there, so the Space cannot start; add it, or name another as app_file"
    if sdk == "docker" and APP_FILES[sdk] not in repo.main.files:
        yield f"{repo.name}: {APP_FILES[sdk]}: not there, so the Space cannot start; add it"


# ----- What all have


def _card(repo: Repo, revision: Revision) -> Iterator[str]:
    for problem in check_card(revision.folder, repo.name.kind):
        yield f"{_at(repo, revision)}: {problem.replace(f'{revision.folder}/', '')}"


def _links(api: HfApi, caller: Caller, release: Release) -> Iterator[str]:
    """A card that leads to what nobody can see is worse than one that leads nowhere."""
    seen: dict[Name, bool] = {}
    for repo in release.repos:
        for name, where in repo.named.items():
            if name in release:
                continue
            if name not in seen:
                seen[name] = caller.call(is_public, api, name)
            if not seen[name]:
                yield (
                    f"{repo.name}: {where}: {name} is not public, so the link is dead; add it to REPOS, open it first, or "
                    "take it out of the card"
                )


def _at(repo: Repo, revision: Revision) -> str:
    return f"{repo.name}@{revision.refs[0]}"


# ----- In which order


def opening_order(repos: list[Repo]) -> list[Repo]:
    """What others name goes first, so that no open card leads to a closed repository."""
    by_name: Mapping[Name, Repo] = {repo.name: repo for repo in repos}
    placed: dict[Name, Repo] = {}
    begun: set[Name] = set()

    def place(name: Name) -> None:
        if name in begun or name not in by_name:
            return
        begun.add(name)
        for other in by_name[name].named:
            place(other)
        placed[name] = by_name[name]

    for repo in repos:
        place(repo.name)
    return list(placed.values())
