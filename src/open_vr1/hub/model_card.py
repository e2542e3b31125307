"""Provisional."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Place:
    repo: str
    revision: str
    step: int | None
    total_steps: int | None
    tags: tuple[str, ...] = ()
    revisions: tuple[Mapping, ...] = ()


def write_model_card(folder: Path, manifest: Mapping, place: Place | None, results: Path | None = None) -> None:
    (folder / "README.md").write_text(f"# {place.repo} {place.revision} {list(place.revisions)}\n")


def write_index_card(folder, manifest, repo, prefix, revisions) -> None:
    (folder / "README.md").write_text(f"# {repo} {prefix} {list(revisions)}\n")
