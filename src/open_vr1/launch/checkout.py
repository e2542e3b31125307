"""
Which commit a job runs, and whether it holds what is being launched.

    make grpo RECIPE=recipes/vr1_tiny/ptst.yaml LAUNCHER=hf-jobs REVISION=v0.1.0

A job fetches the repository; what lies changed in this folder does not go with it.
"""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from open_vr1.errors import UserError

REPOSITORY = "https://github.com/open-vr1/open-vr1"


@dataclass(frozen=True)
class Commit:
    """
    What a job runs.

    Args:
        revision (`str`):
            Commit or tag.
        warnings (`list[str]`):
            How the job may differ from what is in this folder.
    """

    revision: str
    warnings: list[str]


def commit_to_run(recipe: Path, revision: str | None) -> Commit:
    """
    The commit of this folder, or the one that was asked for.

    Args:
        recipe (`Path`):
            The recipe's file. The job must find the same one in the commit.
        revision (`str`, *optional*):
            Commit or tag. This folder's commit by default.
    """
    if recipe.is_absolute() or ".." in recipe.parts:
        raise UserError(f"RECIPE={recipe}: a job has this repository alone; write a path inside it")
    head = _git("rev-parse", "HEAD")
    if head is None and revision is None:
        raise UserError("REVISION: this folder is no git checkout; write the commit or the tag that the job is to run")
    known = _git("rev-parse", "--verify", "--quiet", f"{revision or 'HEAD'}^{{commit}}")
    if known is None:
        return Commit(revision, [f"{revision} is not in this checkout: nothing of it has been checked"])
    _check_recipe(recipe, revision or head, known)
    warnings = []
    if _git("status", "--porcelain", "--untracked-files=no"):
        warnings.append("this folder has changes that are not committed; the job runs without them")
    if not _git("branch", "--remotes", "--contains", known) and not _git("tag", "--points-at", known):
        warnings.append(f"no remote branch here holds {known[:12]}; the job fails unless it has been pushed")
    return Commit(revision or known, warnings)


def _check_recipe(recipe: Path, name: str, commit: str) -> None:
    blob = _git("rev-parse", "--verify", "--quiet", f"{commit}:./{recipe}")
    if blob is None:
        raise UserError(f"RECIPE={recipe}: it is not in commit {name[:12]}, which the job runs; commit and push it")
    if blob != _git("hash-object", str(recipe)):
        raise UserError(
            f"RECIPE={recipe}: it differs from the one in commit {name[:12]}, which the job runs; commit and push it"
        )


def _git(*words: str) -> str | None:
    """What git says, or `None` where it fails."""
    try:
        done = subprocess.run(["git", *words], check=False, capture_output=True, text=True, timeout=60)
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
