"""
What somebody reads before they type yes: each repository with what becomes public, and under which licences.

    make release REPOS="..." TITLE="..." DRY_RUN=1
"""

import re
from collections import Counter
from collections.abc import Iterator

from huggingface_hub import HfApi

from open_vr1.hub.calls import Caller
from open_vr1.hub.lists import commercial_use
from open_vr1.hub.release.checks import Release
from open_vr1.hub.release.licenses import Origin, Rows, license_words, trained_on
from open_vr1.hub.release.names import Name, everybody, is_public
from open_vr1.hub.release.reading import Repo

STEP = re.compile(r"(.+)-step-(\d+)")
STAGE = re.compile(r"(?:(.+)-)?stage-(\d+)")
SHOWN_TERMS = 40
CALLED_OUT = {"no": "NON-COMMERCIAL", "unknown": "LICENCE NOT KNOWN HERE"}


class Page:
    """
    The lines about a release.

    Args:
        api (`HfApi`):
            The client.
        caller (`Caller`):
            How long to try.
        release (`Release`):
            What was read of it.
    """

    def __init__(self, api: HfApi, caller: Caller, release: Release):
        self.api, self.caller, self.release = api, caller, release

    def lines(self) -> Iterator[str]:
        yield f"{self.release.title}: what everybody will see, at {self.api.endpoint}"
        for repo in self.release.repos:
            yield ""
            yield f"{repo.name}: {'private -> public' if repo.private else 'public already'}"
            yield from (f"  {line}" for line in self._about(repo))
        yield ""

    def _about(self, repo: Repo) -> Iterator[str]:
        kind = repo.name.kind
        yield from _revisions(repo) if kind == "model" else _files(repo)
        yield f"licence on the card: {_called_out(license_words(repo.main.card), self._use(repo))}"
        if kind == "model":
            yield from self._origins(repo)
        elif kind == "dataset":
            yield from row_lines(self.release.rows[repo.name])
        elif repo.variables:
            yield f"variables, seen by everybody: {', '.join(repo.variables)}"

    def _use(self, repo: Repo) -> str | None:
        """What the licence of the whole means; where each row has its own, nothing."""
        stated, rows = repo.main.card.get("license"), self.release.rows.get(repo.name)
        if rows and rows.terms:
            return None
        return commercial_use(stated) if isinstance(stated, str) else "unknown"

    def _origins(self, repo: Repo) -> Iterator[str]:
        for name in repo.named:
            if name.kind == "model":
                yield f"made from {name}: {self._license_of(name)}"
        for origin in trained_on(repo):
            yield f"trained on {origin.name}{f', {origin.rows:,} rows' if origin.rows else ''}: {self._terms(origin)}"

    def _license_of(self, name: Name) -> str:
        inside = next((repo for repo in self.release.repos if repo.name == name), None)
        if inside:
            return f"{license_words(inside.main.card)}, part of this release"
        if not self.caller.call(is_public, self.api, name):
            return "not public"
        info = self.caller.call(everybody(self.api).repo_info, **name.place)
        return license_words(info.card_data.to_dict() if info.card_data else {})

    def _terms(self, origin: Origin) -> str:
        """The terms of training data: row by row where it is in the release, else as its card has them."""
        rows = self.release.rows.get(origin.repo) if origin.repo else None
        if rows and rows.terms:
            return f"part of this release; {_counted(rows)}"
        if origin.license:
            return _called_out(origin.license, origin.use)
        if origin.repo:
            license_ = self._license_of(origin.repo)
            return _called_out(license_, commercial_use(license_))
        return CALLED_OUT["unknown"]


def row_lines(rows: Rows) -> Iterator[str]:
    """A dataset's rows by source and licence, those that need care in capitals."""
    for config, count in rows.counted.items():
        yield f"{config}: {count:,} rows"
        terms = rows.terms.get(config, Counter())
        if not terms:
            yield "  its files have no column `license`: the card's licence is all that is known of its rows"
        for (source, license_), own in terms.most_common(SHOWN_TERMS):
            use = CALLED_OUT.get(commercial_use(license_), "")
            yield f"  {own:>12,}  {license_:<20} {source:<30} {use}".rstrip()
        if len(terms) > SHOWN_TERMS:
            yield f"  and {len(terms) - SHOWN_TERMS} more, which the card lists"
    if rows.terms:
        yield f"in all: {_counted(rows)}"


def note(repo: Repo, rows: Rows | None) -> str:
    """The line under an item of the collection."""
    card = repo.main.card
    if repo.name.kind == "dataset":
        parts = [f"{count:,} rows ({config})" for config, count in rows.counted.items()]
        version = next((tag for tag in repo.tags if tag in repo.main.refs), None)
        parts += [f"version {version}"] if version else []
        parts += [f"{rows.restricted('no'):,} rows non-commercial"] if rows.restricted("no") else []
    elif repo.name.kind == "model":
        checkpoints = sum(bool(STEP.fullmatch(branch)) for branch in repo.branches)
        parts = [f"{checkpoints} checkpoints as branches", f"licence {license_words(card)}"]
    else:
        parts = [str(card.get("short_description") or "Try it")]
    return "; ".join(parts)[:500]


def _revisions(repo: Repo) -> Iterator[str]:
    """A line for each run that is published there."""
    steps: dict[str, list[int]] = {}
    for branch in repo.branches:
        if found := STEP.fullmatch(branch):
            steps.setdefault(found[1], []).append(int(found[2]))
    for prefix in sorted({branch for branch in repo.branches if not STEP.fullmatch(branch)} | set(steps)):
        own = sorted(steps.get(prefix, []))
        span = f", steps {own[0]:,} to {own[-1]:,}" if own else ""
        stages = [found[2] for tag in repo.tags if (found := STAGE.fullmatch(tag)) and (found[1] or "main") == prefix]
        final = "final" if prefix == "main" else f"{prefix}-final"
        ends = f"stages that end there: {', '.join(stages)}" if stages else "no end of a stage"
        yield f"{prefix}: {len(own)} checkpoints{span}; {ends}; {'finished' if final in repo.tags else 'no final model'}"
    yield f"{len(repo.revisions)} revisions, {size(repo.size)}; tags: {', '.join(repo.tags) or 'none'}"


def _files(repo: Repo) -> Iterator[str]:
    count = len(repo.main.files)
    yield f"{count} files on main, {size(repo.size)} in all revisions; tags: {', '.join(repo.tags) or 'none'}"


def _called_out(words: str, use: str | None) -> str:
    return f"{words}: {CALLED_OUT[use]}" if use in CALLED_OUT else words


def _counted(rows: Rows) -> str:
    known = ", ".join(
        f"{rows.restricted(use):,} rows {words}" for use, words in CALLED_OUT.items() if rows.restricted(use)
    )
    return known or "every row may be used commercially, as far as its licence says"


def size(count: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:,.0f} {unit}" if unit == "bytes" else f"{count:,.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} TB"
