"""
Everything that is wrong with the recipe folders, as CI says it: `make check-recipes`. Offline, no weights.

A folder has a README.md, which begins with facts that a program can read and shows the commands to type, and the recipes.
Each recipe is planned for the machines that its README names.
"""

import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from open_vr1.accelerate_configs import accelerate_config
from open_vr1.entry import entry_point
from open_vr1.errors import UserError
from open_vr1.plan.__main__ import plan_file
from open_vr1.plan.models import find_config
from open_vr1.recipe import TASKS
from open_vr1.recipe_types import nearest
from open_vr1.sweep.grid import read_sweep

RECIPES = Path("recipes")
NOT_RECIPES = ("accelerate_configs",)
FRONT_MATTER = {
    "base_model": "the Hub id of the model that it begins with, built from scratch, or none where it makes data",
    "license": "of what it makes, as the Hub writes it: apache-2.0; other with license_name and license_link",
    "datasets": "a list of the datasets it names",
    "hardware": "what it is meant for, like 8 x 80 GB",
    "processes": "training processes of each recipe, like {sft: 8, ptst: 8}",
    "run": "no, or what has been run, like yes, three seeds",
}
LICENSES = (
    "apache-2.0",
    "mit",
    "bsd-3-clause",
    "cc-by-4.0",
    "cc-by-sa-4.0",
    "cc-by-nc-4.0",
    "cc-by-nc-sa-4.0",
    "other",
)
VARIABLES = [
    "RECIPE",
    "MODEL",
    "REVISION",
    "RUNS",
    "GRID",
    "JOBS",
    "ACCELERATE",
    "PROCESSES",
    "GPU_GIB",
    "JSON",
    "OFFLINE",
    "LAUNCHER",
    "NODES",
    "VLLM_NODES",
    "SITE",
    "FLAVOR",
    "TIMEOUT",
    "SEED",
    "ARGS",
    "FILE",
]
PATHS = ("RECIPE", "GRID")
FIRST_LINE = re.compile(r"# [A-Z].*\.")
GPUS_PER_NODE = 8


@dataclass(frozen=True)
class Command:
    """A line to type in a README."""

    place: str
    target: str
    variables: dict[str, str]

    @property
    def processes(self) -> int:
        if "NODES" in self.variables:
            return GPUS_PER_NODE * int(self.variables["NODES"])
        return int(self.variables.get("PROCESSES", accelerate_config(self.variables.get("ACCELERATE", "")).processes))


@entry_point
def main(argv: Sequence[str] | None = None) -> None:
    folders = recipe_folders(sys.argv[1:] if argv is None else argv)
    wrong = [problem for folder in folders for problem in problems(folder)]
    if wrong:
        raise UserError("\n".join([*wrong, f"{len(wrong)} to mend in {len(folders)} recipe folders"]))
    files = sum(len(recipe_files(folder)) for folder in folders)
    print(f"{files} recipes in {len(folders)} folders: nothing is wrong")


def recipe_folders(names: Sequence[str] = ()) -> list[Path]:
    """The folders of these names, or all."""
    there = sorted(path for path in RECIPES.iterdir() if path.is_dir() and path.name not in NOT_RECIPES)
    if unknown := [name for name in names if RECIPES / Path(name).name not in there]:
        known = [path.name for path in there]
        raise UserError(f"{unknown[0]}: no folder in {RECIPES}; the nearest is {nearest(unknown[0], known)}")
    return [path for path in there if not names or path.name in {Path(name).name for name in names}]


def problems(folder: Path) -> list[str]:
    """What is wrong with a recipe folder, each with its file, its place and what to write."""
    readme = folder / "README.md"
    if not recipe_files(folder):
        return [f"{folder}: no recipe in it; write one, like recipes/vr1_7b/ptst.yaml"]
    if not readme.is_file():
        return [f"{readme}: missing; copy recipes/vr1_7b/README.md and change it", *_recipe_problems(folder, {}, [])]
    facts, wrong = _front_matter(readme)
    commands = []
    for command in _commands(readme):
        if found := _command_problems(command):
            wrong += found
        else:
            commands.append(command)
    wrong += [problem for command in commands for problem in _grid_problems(command)]
    swept = {Path(command.variables.get("GRID", "")) for command in commands}
    wrong += [
        f"{readme}: no command runs {file}; add it in a ```bash block" for file in _grids(folder) if file not in swept
    ]
    return [*wrong, *_recipe_problems(folder, facts, commands), *_agreement(folder, facts), *_index(folder)]


def recipe_files(folder: Path) -> list[Path]:
    return sorted(set(folder.glob("*.yaml")) - set(_grids(folder)))


def _grids(folder: Path) -> list[Path]:
    """Grids for sweeps, which have no task."""
    return sorted(folder.glob("sweep*.yaml"))


# ----- The README


def _front_matter(readme: Path) -> tuple[dict[str, Any], list[str]]:
    found = re.match(r"---\n(.*?)\n---\n", readme.read_text(), re.DOTALL)
    example = "\n".join(f"{key}: ..." for key in FRONT_MATTER).replace("\n", ", ")
    if not found:
        return {}, [f"{readme}:1: no front matter; begin with --- lines around {example}"]
    try:
        facts = yaml.safe_load(found[1])
    except yaml.YAMLError as error:
        return {}, [f"{readme}:1: front matter: no YAML ({str(error).splitlines()[0]})"]
    if not isinstance(facts, dict):
        return {}, [f"{readme}:1: front matter: no mapping; write {example}"]
    wrong = [f"{readme}:1: {key}: missing; write {words}" for key, words in FRONT_MATTER.items() if key not in facts]
    license_, others = facts.get("license"), ("license_name", "license_link")
    if "license" in facts and license_ not in LICENSES:
        hint = f"the nearest is {nearest(license_, LICENSES)} of {', '.join(LICENSES)}"
        wrong.append(f"{readme}:1: license: {license_!r} is not one that the Hub knows here; {hint}")
    if license_ == "other":
        wrong += [
            f"{readme}:1: {key}: missing, and license is other; write it" for key in others if not facts.get(key)
        ]
    for key, kind, words in (
        ("datasets", list, "a list"),
        ("processes", dict, "a mapping"),
        ("hardware", str, "text"),
    ):
        if key in facts and not isinstance(facts[key], kind):
            wrong.append(f"{readme}:1: {key}: {facts[key]!r} is not {words}; write {FRONT_MATTER[key]}")
            del facts[key]
    return facts, wrong


def _commands(readme: Path) -> Iterator[Command]:
    inside = False
    for number, line in enumerate(readme.read_text().splitlines(), 1):
        if line.startswith("```"):
            inside = line.strip() == "```bash"
        elif inside and line.strip():
            words = shlex.split(line, comments=True)
            if words[:1] == ["make"] and len(words) > 1:
                variables = dict(word.partition("=")[::2] for word in words[2:])
                yield Command(f"{readme}:{number}", words[1], variables)


def _command_problems(command: Command) -> list[str]:
    targets = re.findall(r"^([a-z][a-z-]*):", Path("Makefile").read_text(), re.MULTILINE)
    if command.target not in targets:
        return [
            f"{command.place}: make {command.target}: no such target; the nearest is {nearest(command.target, targets)}"
        ]
    wrong = []
    for name, value in command.variables.items():
        if name not in VARIABLES:
            wrong.append(f"{command.place}: {name}: no such variable; the nearest is {nearest(name, VARIABLES)}")
        elif name in PATHS and not Path(value).is_file():
            wrong.append(f"{command.place}: {name}={value}: there is no such file; write one that is there")
    try:
        accelerate_config(command.variables.get("ACCELERATE", ""))
    except UserError as error:
        wrong.append(f"{command.place}: {error}")
    return wrong


def _grid_problems(command: Command) -> list[str]:
    if command.target != "sweep" or not {"RECIPE", "GRID"} <= command.variables.keys():
        return []
    try:
        read_sweep(command.variables["RECIPE"], command.variables["GRID"])
    except UserError as error:
        return str(error).splitlines()
    return []


def _index(folder: Path) -> list[str]:
    index = RECIPES / "README.md"
    if f"[{folder.name}]({folder.name}/README.md)" in index.read_text():
        return []
    return [
        f"{index}: no row for {folder.name}; add | [{folder.name}]({folder.name}/README.md) | what it trains | ... |"
    ]


# ----- The recipes


def _recipe_problems(folder: Path, facts: dict[str, Any], commands: Sequence[Command]) -> list[str]:
    wrong = []
    for file in recipe_files(folder):
        first = (file.read_text().splitlines() or [""])[0]
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
        wrong += _plan_problems(file, started or [Command(str(file), "plan", {})], facts.get("hardware"), count)
    return wrong


def _plan_problems(file: Path, commands: Sequence[Command], hardware: str | None, count: int | None) -> list[str]:
    wrong: list[str] = []
    for number, command in enumerate(commands):
        words = shlex.split(command.variables.get("ARGS", ""))
        processes = count if number == 0 and isinstance(count, int) else command.processes
        try:
            plan = plan_file(
                file, words, command.variables.get("ACCELERATE", ""), processes, _gpu_gib(file, hardware), offline=True
            )
        except UserError as error:
            wrong += str(error).splitlines()
            continue
        wrong += plan.errors + plan.misfits
        if plan.model and find_config(plan.model, offline=True) is None:
            wrong.append(
                f"{file}: model_name_or_path: {plan.model}: its shape is not known offline; save its config.json in "
                "src/open_vr1/plan/configs and name it in names.yaml there"
            )
        if command.target != "plan" and TASKS[plan.task].target != command.target:
            wrong.append(f"{command.place}: make {command.target}: {file} is for make {TASKS[plan.task].target}")
    return list(dict.fromkeys(wrong))


def _gpu_gib(file: Path, hardware: str | None) -> float | None:
    """`8 x 80 GB; ptst_lora: 1 x 80 GB` says 80 GB for each recipe; the last number that a recipe's name precedes counts."""
    own = re.search(rf"\b{file.stem}: [^;]*?x (\d+) GB", hardware or "")
    found = own or re.search(r"x (\d+) GB", hardware or "")
    return int(found[1]) * 1e9 / 2**30 if found else None


def _agreement(folder: Path, facts: dict[str, Any]) -> list[str]:
    """What the README's facts and the recipes both say."""
    readme, wrong, bases = folder / "README.md", [], set()
    for file in recipe_files(folder):
        try:
            values = yaml.safe_load(file.read_text())
        except yaml.YAMLError:
            continue
        if not isinstance(values, dict):
            continue
        bases.add(values.get("model_name_or_path", "none"))
        for entry in [*(values.get("datasets") or []), *(values.get("sources") or [])]:
            path = entry.get("path") if isinstance(entry, dict) else None
            if path and "datasets" in facts and path.count("/") == 1 and path not in facts["datasets"]:
                wrong.append(f"{readme}:1: datasets: {path} of {file.name} is not among them; add it")
    base = facts.get("base_model")
    if base is not None and base not in {*bases, "built from scratch"}:
        wrong.append(
            f"{readme}:1: base_model: no recipe here begins with {base}; write one of {', '.join(map(str, bases))}"
        )
    return wrong


if __name__ == "__main__":
    sys.exit(main())
