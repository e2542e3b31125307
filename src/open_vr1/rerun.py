"""
Run again what a manifest describes, and say first in what this time differs.

    make rerun MANIFEST=outputs/vr1_tiny/final
    make rerun MANIFEST=open-vr1/vr1-7b@main-step-000000100 OUTPUT=outputs/again ARGS="--save_steps 50"

The recipe is written out again, with exactly the values of then and another `output_dir` (the old one with `-rerun`), and the
same task's entry point runs it. On the same machine and code, the weights come out bit for bit equal. Where the run was
published is left out, as a repository takes one run: ARGS can name another. MANIFEST is an `open_vr1.json`, a folder that has
one, or a Hub revision (`datasets/owner/name@v1.0` of a dataset), of which nothing else is downloaded. ACCELERATE=zero2 starts
as many processes as for make grpo. What a manifest does not hold, a path outside the working folder or a secret, ARGS must give.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

from open_vr1.entry import entry_point
from open_vr1.errors import UserError
from open_vr1.manifest import MANIFEST_FILE, read_manifest
from open_vr1.masking import is_masked
from open_vr1.recipe import TASKS, Recipe, read_recipe
from open_vr1.recipe_file import split_overrides
from open_vr1.rerun_differences import differences, is_publishing
from open_vr1.rerun_source import ask_before_a_stranger, find_manifest

ENTRY_POINTS = {
    "sft": "open_vr1.sft",
    "grpo": "open_vr1.grpo",
    "eval": "open_vr1.evaluate",
    "cold": "open_vr1.cold.__main__",
}
RECIPE = "recipe.yaml"


@entry_point
def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m open_vr1.rerun", description="Run again what a manifest describes.", allow_abbrev=False
    )
    parser.add_argument("manifest", help=f"{MANIFEST_FILE}, a folder that has one, or owner/name@revision")
    parser.add_argument(
        "--output_dir", "--output-dir", type=Path, help="the new run's folder; the old one with -rerun by default"
    )
    given, words = parser.parse_known_args(argv)
    place = find_manifest(given.manifest)
    manifest = read_manifest(place.path)
    task = manifest["run"]["task"]
    if task not in TASKS:
        raise UserError(f"{given.manifest}: run.task: {task!r} is none of {', '.join(TASKS)}")
    if place.on_hub:
        ask_before_a_stranger(manifest, given.manifest)

    folder = given.output_dir or new_folder(manifest, None if place.on_hub else place.path)
    config = write_recipe(manifest, folder, words, given.manifest)
    recipe = read_recipe(config, task, words)
    tell(manifest, recipe, folder)
    if status := import_module(ENTRY_POINTS[task]).main(["--config", str(config), *words]):
        sys.exit(status)


def new_folder(manifest: dict[str, Any], path: Path | None) -> Path:
    """The old folder's name with `-rerun`, beside the old one where it is known."""
    values = manifest["recipe"]["values"]
    old = values.get("output_dir") or f"{values.get('model_name_or_path')}/eval"
    if is_masked(old):
        beside = path.resolve().parent if path else Path("outputs", Path(old).name)
        return beside.with_name(f"{beside.name}-rerun")
    return Path(f"{old.rstrip('/')}-rerun")


def write_recipe(manifest: dict[str, Any], folder: Path, words: Sequence[str], where: str) -> Path:
    """The recipe of then with another `output_dir`, in the new run's folder; refused where a value was left out."""
    overridden = split_overrides(words)
    values = {key: value for key, value in manifest["recipe"]["values"].items() if not is_publishing(key)}
    values["output_dir"] = str(folder)
    masked = [key for key, value in values.items() if key not in overridden and is_masked(value)]
    if masked:
        key = masked[0]
        raise UserError(
            f"{where}: {key}: {values[key]!r} stands for what only the machine of then has; "
            f'write ARGS="--{key} ..."' + (f" (also left out: {', '.join(masked[1:])})" if masked[1:] else "")
        )
    text = f"# What {where} ran, again\n" + yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=110)
    path = folder / RECIPE
    if path.is_file() and path.read_text() == text:
        return path
    folder.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{RECIPE}.{os.getpid()}")  # Each process of a run writes the same.
    draft.write_text(text)
    draft.replace(path)
    return path


def tell(manifest: dict[str, Any], recipe: Recipe, folder: Path) -> None:
    """Make what the recipe makes itself, then print where the run goes and what is not as it was."""
    from open_vr1.build import run_builds

    run_builds(recipe)
    if recipe.training and recipe.training.process_index:
        return
    run = manifest["run"]
    print(f"{run['name']} (run {run['id']}) again, in {folder}")
    found = differences(manifest, recipe)
    print("nothing that is recorded differs from then" if not found else "in this it differs from then:")
    print("".join(f"  {line}\n" for line in found), flush=True)


if __name__ == "__main__":
    sys.exit(main())
