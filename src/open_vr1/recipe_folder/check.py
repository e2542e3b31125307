"""
Everything that is wrong with the recipe folders, as CI says it: `make check-recipes`. Offline, no weights, no GPU.

    make check-recipes                 # reads and plans all; tries out what has changed since the main branch
    make check-recipes ARGS=vr1_new    # this folder alone, and tries it out
    make check-recipes ALL=1           # tries out all

Reading and planning takes seconds: README, facts, commands, index, every recipe on the machines that its README names. Trying
out (`dry_run`) trains each recipe for two steps a stage with a toy model and toy rows, renders the card that its checkpoints would
have, and runs the tests of the folder's own code.
"""

import argparse
import os
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from open_vr1.cold.steps import disk_errors
from open_vr1.entry import entry_point
from open_vr1.errors import UserError
from open_vr1.plan.__main__ import plan_file
from open_vr1.plan.models import find_config
from open_vr1.recipe import TASKS
from open_vr1.recipe_file import read_file
from open_vr1.recipe_folder import code_files, grid_files, read_text, recipe_files, recipe_folders
from open_vr1.recipe_folder.changes import changed_folders
from open_vr1.recipe_folder.commands import Command, command_problems, commands_in
from open_vr1.recipe_folder.dry_run import OUTPUTS, dry_run
from open_vr1.recipe_folder.facts import disagreements, gpu_gib, read_facts
from open_vr1.recipe_folder.index import index_problems
from open_vr1.sweep.grid import read_sweep

# What no program can see. .github/PULL_REQUEST_TEMPLATE.md has the same.
CHECKLIST = (
    "`make check-recipes` finds nothing wrong, and its dry run trains what I changed",
    "The README says what was run, on what hardware and with which command, and what was not run",
    "Every number was measured by whoever opens this, or has its source beside it",
    "What differs from the paper, or from the recipe that this began as, stands in the README with its reason",
    "The licences of model and rows allow this, and rows that are benchmarks are called so",
    "Code of the folder's own reads no secrets and reaches no network while it is imported",
)
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")
NAME = re.compile(r"[\w.-]+", re.ASCII)
FIRST_LINE = re.compile(r"# [A-Z].*\.")


@entry_point
def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m open_vr1.recipe_folder.check", description=__doc__)
    parser.add_argument("names", nargs="*", help="folders; all by default")
    parser.add_argument("--all", action="store_true", help="try out every recipe, not only what has changed")
    parser.add_argument("--no_dry_run", action="store_true", help="only read and plan")
    given = parser.parse_args(argv)

    folders = recipe_folders(given.names)
    wrong = [problem for folder in folders for problem in problems(folder)] + index_problems(folders)
    if wrong:
        raise UserError("\n".join([*wrong, f"{len(wrong)} to mend in {len(folders)} recipe folders"]))
    files = sum(len(recipe_files(folder)) for folder in folders)
    print(f"{files} recipes in {len(folders)} folders: nothing is wrong", flush=True)
    if given.no_dry_run:
        return

    tried = folders if given.all or given.names else changed_folders(folders)
    if not tried:
        print("no folder differs from the main branch, so none is tried out; ALL=1 tries all")
        return
    with disk_errors(OUTPUTS):
        wrong = [problem for folder in tried for problem in dry_run(folder)]
    if wrong:
        raise UserError("\n".join([*wrong, f"{len(wrong)} to mend in {len(tried)} recipe folders"]))
    print("\nall of it works at toy size. Before you open a pull request:")
    print("\n".join(f"  [ ] {sentence}" for sentence in CHECKLIST))


def problems(folder: Path) -> list[str]:
    """What is wrong with a recipe folder, each with its file, its place and what to write. Nothing is trained."""
    readme = folder / "README.md"
    if not recipe_files(folder):
        return [f"{folder}: no recipe in it; write one, like recipes/vr1_7b/ptst.yaml"]
    if not readme.exists():
        return [f"{readme}: missing; copy recipes/vr1_7b/README.md and change it", *_recipe_problems(folder, {}, [])]
    if wrong := _unusable(folder):
        return wrong
    facts, wrong = read_facts(readme)
    commands = []
    try:
        for command in commands_in(readme):
            if found := command_problems(command):
                wrong += found
            else:
                commands.append(command)
    except UserError as error:
        wrong.append(str(error))
    wrong += _link_problems(readme) + _grid_problems(folder, commands) + _code_problems(folder)
    return [*wrong, *_recipe_problems(folder, facts, commands), *disagreements(folder, facts)]


def _unusable(folder: Path) -> list[str]:
    """Files that cannot be read, and names that make would take for two words."""
    wrong = []
    for file in sorted([folder, folder / "README.md", *folder.glob("*.yaml")]):
        if not NAME.fullmatch(file.name):
            wrong.append(f"{file}: make cannot be given this name; write letters, digits, _, - and .")
        elif file != folder:
            try:
                read_text(file)
            except UserError as error:
                wrong.append(str(error))
    return wrong


def _link_problems(readme: Path) -> list[str]:
    return [
        f"{readme}:{number}: {link}: this link leads nowhere; write a file that is there"
        for number, line in enumerate(read_text(readme).splitlines(), 1)
        for link in LINK.findall(line)
        if not re.match(r"\w+:", link) and not os.path.exists(readme.parent / link.strip("<>"))
    ]


def _grid_problems(folder: Path, commands: Sequence[Command]) -> list[str]:
    wrong, swept = [], set()
    for command in commands:
        if command.target == "sweep" and {"RECIPE", "GRID"} <= command.variables.keys():
            swept.add(Path(command.variables["GRID"]))
            try:
                read_sweep(command.variables["RECIPE"], command.variables["GRID"])
            except UserError as error:
                wrong += str(error).splitlines()
    return wrong + [
        f"{folder / 'README.md'}: no command runs {file}; add it in a ```bash block"
        for file in grid_files(folder)
        if file not in swept
    ]


def _code_problems(folder: Path) -> list[str]:
    """Code of the folder's own has a test beside it: nobody who reviews it has a GPU at hand."""
    return [
        f"{file}: no test_{file.name} beside it; write one that fails when {file.name} is wrong"
        for file in code_files(folder)
        if not file.with_name(f"test_{file.name}").is_file()
    ]


def _recipe_problems(folder: Path, facts: dict[str, Any], commands: Sequence[Command]) -> list[str]:
    wrong = []
    for file in recipe_files(folder):
        first = (read_text(file).splitlines() or [""])[0]
        if not FIRST_LINE.fullmatch(first):
            wrong.append(f"{file}:1: {first!r}: the first line says what the recipe is; write # and a sentence")
        of_file = [command for command in commands if Path(command.variables.get("RECIPE", "")) == file]
        started = [command for command in of_file if command.target in {task.target for task in TASKS.values()}]
        if facts and not started:
            wrong.append(f"{folder / 'README.md'}: no command runs {file}; add it in a ```bash block")
        count = facts.get("processes", {}).get(file.stem)
        if "processes" in facts and count is None:
            wrong.append(f"{folder / 'README.md'}:1: processes: nothing for {file.stem}; add {file.stem}: 8")
        elif started and count is not None and started[0].processes != count:
            wrong.append(
                f"{started[0].place}: trains with {started[0].processes} processes, and processes says {count} for "
                f"{file.stem}; write one of them in both places"
            )
        wrong += _place_problems(file)
        wrong += _plan_problems(file, started or [Command(str(file), "plan", {})], facts.get("hardware"), count)
    return wrong


def _place_problems(file: Path) -> list[str]:
    """Where results go: into a folder that no other recipe has, and to the Hub only when whoever runs it says so."""
    values = _values(file)
    output, wrong = values.get("output_dir"), []
    others = [path for folder in recipe_folders() for path in recipe_files(folder) if path != file]
    if twin := next((path for path in others if output and _writes_to(path) == Path(str(output))), None):
        wrong.append(
            f"{file}: output_dir: {output} is where {twin} writes; write outputs/{file.parent.name}/{file.stem}"
        )
    if values.get("push_to_hub"):
        wrong.append(
            f'{file}: push_to_hub: true: publishes for everybody; remove it and say ARGS="--push_to_hub true"'
        )
    return wrong


def _writes_to(file: Path) -> Path:
    return Path(str(_values(file).get("output_dir")))


def _values(file: Path) -> dict[str, Any]:
    """What a recipe says, as far as it can be read."""
    try:
        return read_file(file).values
    except UserError:
        return {}


def _plan_problems(file: Path, commands: Sequence[Command], hardware: str | None, count: Any) -> list[str]:
    wrong: list[str] = []
    for number, command in enumerate(commands):
        words = shlex.split(command.variables.get("ARGS", ""))
        processes = count if number == 0 and isinstance(count, int) else command.processes
        environment = dict(os.environ)  # A recipe's `env:` is its own.
        try:
            plan = plan_file(
                file, words, command.variables.get("ACCELERATE", ""), processes, gpu_gib(file, hardware), offline=True
            )
            known = not plan.model or find_config(plan.model, offline=True)
        except UserError as error:
            wrong += str(error).splitlines()
            continue
        finally:
            os.environ.clear()
            os.environ.update(environment)
        wrong += plan.errors + plan.misfits
        if not known:
            wrong.append(
                f"{file}: model_name_or_path: {plan.model}: its shape is not known offline; save its config.json as "
                f"{file.parent / 'configs' / plan.model.replace('/', '--')}.json"
            )
        if command.target != "plan" and TASKS[plan.task].target != command.target:
            wrong.append(f"{command.place}: make {command.target}: {file} is for make {TASKS[plan.task].target}")
    return list(dict.fromkeys(wrong))


if __name__ == "__main__":
    sys.exit(main())
