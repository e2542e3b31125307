"""
The run manifest: `open_vr1.json` in the folder of every run, enough to know what was run and to run it again.

    make grpo RECIPE=recipes/vr1_tiny/ptst.yaml
    make rerun MANIFEST=outputs/vr1_tiny/final

It holds the recipe as text and as values, what the command line changed, code of the recipe's own, the code's commit, package
versions, the model and who made it, fingerprints of the rows, seeds, hardware and wall-clock: `open_vr1.run_facts`. It goes to the
Hub with every revision, so no token and no path of this machine is in it: `open_vr1.masking`. A run that is killed and started
again keeps its `id`; `starts` counts, `seconds` add up. Process zero writes, and the file is always whole.
"""

import hashlib
import json
import platform
import re
import secrets
import shlex
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from open_vr1 import __version__
from open_vr1.cold.steps import write_json
from open_vr1.errors import UserError
from open_vr1.functions import own_code
from open_vr1.masking import LOCAL, Mask
from open_vr1.run_facts import (
    MANIFEST_FILE,
    PACKAGES,
    data_facts,
    git_state,
    hardware,
    model_facts,
    package_versions,
)

if TYPE_CHECKING:
    from open_vr1.recipe import Recipe

__all__ = ["KEYS", "MANIFEST_FILE", "PACKAGES", "RunManifest", "read_manifest", "recorded_values"]

FORMAT = 1
KEYS = ("open_vr1", "format", "run", "recipe", "git", "python", "packages", "model", "data", "seeds", "hardware")
KEYS += ("stages", "wall_clock")


class RunManifest:
    """
    The manifest of a run that is going on.

    Args:
        folder (`Path`):
            The run's folder.
        facts (`dict[str, Any]`):
            What the file holds.
        read_at (`float`):
            When this start began, on the clock of `time.monotonic`.
    """

    def __init__(self, folder: Path, facts: dict[str, Any], read_at: float):
        self.path = folder / MANIFEST_FILE
        self.facts = facts
        self.read_at = read_at
        self.seconds_before = facts["wall_clock"]["seconds"]

    @classmethod
    def begin(
        cls, recipe: "Recipe", folder: str | Path, goes_on: bool = True, rows: Mapping[str, int] | None = None
    ) -> "RunManifest":
        """
        Write the manifest of a run that begins or goes on.

        Args:
            recipe (`Recipe`):
                A checked recipe, whose model and rows are there.
            folder (`str` or `Path`):
                The run's folder.
            goes_on (`bool`, *optional*, defaults to `True`):
                Whether a manifest that lies there is of the same run. Without, this is another one.
            rows (`Mapping[str, int]`, *optional*):
                How many rows are left of `data` and `eval_data`.
        """
        folder = Path(folder)
        before = read_manifest(folder) if goes_on and (folder / MANIFEST_FILE).is_file() else None
        manifest = cls(folder, _facts(recipe, before), recipe.read_at)
        manifest.count_rows(rows or {})
        manifest.write()
        return manifest

    @classmethod
    def go_on(cls, recipe: "Recipe", folder: str | Path) -> "RunManifest":
        """The manifest that this start has begun, before it has trained."""
        return cls(Path(folder), read_manifest(folder), recipe.read_at)

    def count_rows(self, rows: Mapping[str, int]) -> None:
        """Note how many rows of `data` and `eval_data` are left. Known of one source alone, not of each in a mixture."""
        for key, count in rows.items():
            if len(self.facts[key]) == 1:
                self.facts[key][0]["rows"] = count

    def save(self) -> None:
        """Write it with the time until now."""
        self.facts["wall_clock"]["seconds"] = round(self.seconds_before + time.monotonic() - self.read_at, 1)
        self.write()

    def write(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_json(self.path, self.facts)


def read_manifest(place: str | Path) -> dict[str, Any]:
    """The manifest of a run's folder, or of a file, or a `UserError`."""
    path = Path(place)
    path = path / MANIFEST_FILE if path.is_dir() else path
    try:
        facts = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise UserError(f"{path}: there is no such manifest; name a run's folder, which has one") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: this is no run manifest: {error}") from error
    if not isinstance(facts, dict) or "format" not in facts:
        raise UserError(f"{path}: this is no run manifest; name the {MANIFEST_FILE} of a run")
    if facts["format"] != FORMAT:
        raise UserError(
            f"{path}: format: {facts['format']!r} is not {FORMAT}, which this version reads; "
            f"take open-vr1 {facts.get('open_vr1')}, which wrote it"
        )
    if missing := [key for key in KEYS if key not in facts]:
        raise UserError(f"{path}: {', '.join(missing)}: missing from this manifest; take it from the run again")
    return facts


def recorded_values(recipe: "Recipe") -> dict[str, Any]:
    """A recipe's values as the manifest has them: `env:` among them, secrets and paths of this machine masked."""
    values = {**({"env": recipe.environment} if recipe.environment else {}), **recipe.values}
    plain = json.loads(json.dumps(values, default=str))
    return Mask.here(plain)(plain)


def recorded_code(recipe: "Recipe") -> dict[str, dict[str, str]]:
    """Code of the recipe's own as the manifest has it; the hash is that of the file, whatever is masked in its text."""
    files = own_code(recipe.values)
    mask = Mask.here([recipe.environment, recipe.values, list(files)])
    return {mask(path): mask(file) for path, file in files.items()}


def run_name(path: Path) -> str:
    """`recipes/vr1_tiny/ptst.yaml` as `vr1_tiny/ptst`."""
    return "/".join(part for part in (path.parent.name, path.stem) if part not in ("", LOCAL))


def make_command(target: str, recipe: str, overrides: list[str]) -> str:
    """The command that runs this, for a shell."""
    words = " ".join(map(_shell_word, overrides)).replace("$", "$$")
    quoted = shlex.quote(words) if re.search(r'["$`\\!]', words) else f'"{words}"'
    return f"make {target} RECIPE={_shell_word(recipe)}" + (f" ARGS={quoted}" if overrides else "")


def _shell_word(word: str) -> str:
    return word if re.fullmatch(r"[\w@%+=:,./-]+", word, re.ASCII) else shlex.quote(word)


def _facts(recipe: "Recipe", before: dict[str, Any] | None) -> dict[str, Any]:
    from open_vr1.recipe import TASKS

    task, training = recipe.args.task, recipe.training
    values = recorded_values(recipe)
    mask = Mask.here([recipe.environment, recipe.values, recipe.overrides, str(recipe.path.absolute())])
    path, overrides = mask(recipe.path), mask(recipe.overrides)
    facts = {
        "open_vr1": __version__,
        "format": FORMAT,
        "run": {
            "id": before["run"]["id"] if before else secrets.token_hex(6),
            "task": task,
            "name": run_name(Path(path)),
            "command": make_command(TASKS[task].target, path, overrides),
        },
        "recipe": {
            "path": path,
            "sha256": hashlib.sha256(recipe.text.encode()).hexdigest(),
            "text": mask(recipe.text),
            "values": values,
            "overrides": overrides,
            "own_code": recorded_code(recipe),
        },
        "git": git_state(),
        "python": platform.python_version(),
        "packages": package_versions(),
        "model": mask(model_facts(recipe)),
        **mask(data_facts(recipe)),
        "seeds": _seeds(recipe),
        "hardware": hardware(training.world_size if training else 1, bool(training and training.use_cpu)),
        "stages": values.get("ptst_stages") or [],
    }
    clock = {"started": datetime.now(UTC).isoformat(timespec="seconds"), "seconds": 0.0, "starts": 0}
    clock = dict(before["wall_clock"] if before else clock)
    return {**facts, "wall_clock": {**clock, "starts": clock["starts"] + 1}}


def _seeds(recipe: "Recipe") -> dict[str, int | None]:
    training = recipe.training
    return {"seed": (training or recipe.args).seed, "data_seed": training.data_seed if training else None}
