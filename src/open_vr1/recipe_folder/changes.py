"""
Which recipe folders differ from the main branch: what `make check-recipes` tries out, on a laptop and in CI.

A folder counts that has a commit, a change or a new file that `origin/main` has not; in a pull request's workflow, that its
base branch has not (`GITHUB_BASE_REF`). Outside a checkout all count.
"""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path


def changed_folders(folders: Sequence[Path]) -> list[Path]:
    """Those of the folders that differ from the main branch."""
    base = next((commit for name in _bases() if (commit := _git("merge-base", "HEAD", name))), None)
    if base is None:
        return list(folders)
    changed = _git("diff", "--name-only", "--relative", "-z", base) or ""
    new = _git("ls-files", "--others", "--exclude-standard", "-z") or ""
    paths = [Path(name) for name in f"{changed}\0{new}".split("\0") if name]
    return [folder for folder in folders if any(path.is_relative_to(folder) for path in paths)]


def _bases() -> list[str]:
    branch = os.environ.get("GITHUB_BASE_REF") or "main"
    return [f"origin/{branch}", branch]


def _git(*words: str) -> str | None:
    """What git says, or `None` where it fails."""
    try:
        done = subprocess.run(["git", *words], check=False, capture_output=True, text=True, timeout=60)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
