"""
A recipe folder to begin with, from one that is there: `make new-recipe`.

    make new-recipe NAME=mine FROM=vr1_7b                     # all its recipes
    make new-recipe NAME=mine FROM=vr1_7b ONLY="sft ptst"     # two of them

The recipes are copies that write elsewhere and would be published under your name; code and examples of the folder come along.
The README has the facts and the commands; what only you can say in it is marked TODO, which `make check-recipes` finds.
"""

import argparse
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from open_vr1.entry import entry_point
from open_vr1.errors import UserError
from open_vr1.recipe import TASKS
from open_vr1.recipe_file import read_file
from open_vr1.recipe_folder import RECIPES, code_files, grid_files, read_text, recipe_files, recipe_folders
from open_vr1.recipe_folder.commands import Command, commands_in
from open_vr1.recipe_folder.facts import FACTS, OF_OTHERS, PAPER, TO_WRITE, read_facts
from open_vr1.recipe_folder.index import main as write_index
from open_vr1.recipe_types import nearest

NAME = re.compile(r"[a-z][a-z0-9_]*")
README = """---
{facts}---

# {name}

{todo}: what this is for and what is new in it, in two or three sentences. Begun as a copy of [{source}](../{source}/README.md).
**Not run with this repository.**

## Run it

```bash
{commands}
```

| recipe | what | makes | run |
| --- | --- | --- | --- |
{rows}

## What differs from {source}

| | chosen | why |
| --- | --- | --- |
| {todo}: a key | its value | the reason, or the source |
"""


@entry_point
def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m open_vr1.recipe_folder.new", description=__doc__)
    parser.add_argument("name", help="the new folder's")
    parser.add_argument("source", help="the folder to begin from")
    parser.add_argument("--only", nargs="+", default=[], help="some of its recipes, like sft ptst")
    given = parser.parse_args(argv)
    if not NAME.fullmatch(given.name):
        raise UserError(f"NAME={given.name}: write small letters, digits and _, like my_reasoner")
    folder = RECIPES / given.name
    if folder.exists():
        raise UserError(f"NAME={given.name}: {folder} is there already; write another name, or delete it")
    (source,) = recipe_folders([given.source])
    copied = _chosen(source, given.only)
    with tempfile.TemporaryDirectory(prefix=f".{given.name}.", dir=RECIPES) as parent:
        draft = Path(parent, given.name)
        _copy(source, copied, draft)
        draft.rename(folder)
    write_index([])
    print(f"{folder} is there: {', '.join(path.name for path in sorted(folder.iterdir()))}")
    print(f"next: edit it; make plan RECIPE={folder / copied[0].name}; make check-recipes ARGS={given.name}")


def _chosen(source: Path, only: Sequence[str]) -> list[Path]:
    known = [file.stem for file in recipe_files(source)]
    for name in only:
        if name not in known:
            raise UserError(f"ONLY={name}: {source} has no {name}.yaml; the nearest is {nearest(name, known)}")
    return [file for file in recipe_files(source) if not only or file.stem in only]


def _copy(source: Path, files: Sequence[Path], folder: Path) -> None:
    folder.mkdir()
    kept = [*files, *(grid_files(source) if len(files) == len(recipe_files(source)) else [])]
    renamed = _renamed(source, files, folder.name)
    for file in [*kept, *code_files(source), *source.glob("test_*.py")]:
        (folder / file.name).write_text(_rewritten(read_text(file), renamed))
    for beside in ("examples", "configs"):
        if (source / beside).is_dir():
            shutil.copytree(source / beside, folder / beside)
    (folder / "README.md").write_text(_readme(source, files, folder.name, renamed))


def _renamed(source: Path, files: Sequence[Path], name: str) -> dict[str, str]:
    """What stands for the old folder, and what for the new one. What only the old one makes is still taken from there."""
    renamed = {f"{RECIPES}/{source.name}/": f"{RECIPES}/{name}/"}
    for file in files:
        values = read_file(file).values
        made = [values.get("output_dir"), *(entry["path"] for entry in values.get("build") or [])]
        renamed |= {path: _own_path(path, source.name, name) for path in made if path}
        if hub := values.get("hub_model_id"):
            renamed[hub] = (
                f"you/{hub.partition('/')[2].replace(source.name.replace('_', '-'), name.replace('_', '-'))}"
            )
    return renamed


def _own_path(path: str, source: str, name: str) -> str:
    parts = Path(path).parts
    return str(Path(*(re.sub(rf"^{source}(?![a-z0-9])", name, part) for part in parts)))


def _rewritten(text: str, renamed: Mapping[str, str]) -> str:
    longest_first = sorted(renamed, key=len, reverse=True)
    found = re.compile(
        "|".join(rf"{re.escape(old)}(?![\w-])" if old[-1] != "/" else re.escape(old) for old in longest_first)
    )
    return found.sub(lambda match: renamed[match[0]], text)


def _readme(source: Path, files: Sequence[Path], name: str, renamed: Mapping[str, str]) -> str:
    kept = grid_files(source) if len(files) == len(recipe_files(source)) else []
    # The first of each, as it is meant to be run.
    commands: dict[tuple[str, ...], Command] = {}
    for command in commands_in(source / "README.md"):
        if Path(command.variables.get("RECIPE", "")) in files:
            grid = command.variables.get("GRID", "")
            if not grid or Path(grid) in kept:
                commands.setdefault((command.target, command.variables["RECIPE"], grid), command)
    return README.format(
        facts="".join(map(_fact, *zip(*_facts(source, files).items()))),
        name=name,
        source=source.name,
        todo=TO_WRITE,
        commands="\n".join(_rewritten(_line(command), renamed) for command in commands.values()),
        rows="\n".join(_row(file, renamed) for file in files),
    )


def _fact(key: str, value: Any) -> str:
    """A line of the README's beginning."""
    if value is False:
        return f"{key}: no\n"
    written = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=1000)
    return f"{key}: {written.removesuffix('...' + chr(10)).strip()}\n"


def _line(command: Command) -> str:
    words = [f'{key}="{value}"' if " " in value else f"{key}={value}" for key, value in command.variables.items()]
    return " ".join(["make", command.target, *words])


def _row(file: Path, renamed: Mapping[str, str]) -> str:
    values = read_file(file).values
    output = values.get("output_dir")
    makes = f"`{renamed.get(output, output)}`" if output else "`eval` in the model's folder"
    what = file.read_text().splitlines()[0].removeprefix("# ")
    return f"| `{file.name}` | {what} | {makes} | no |"


def _facts(source: Path, files: Sequence[Path]) -> dict[str, Any]:
    """The old folder's, as far as they are the new one's too."""
    facts, wrong = read_facts(source / "README.md")
    if not FACTS.keys() <= facts.keys():
        raise UserError("\n".join(wrong))
    values = [read_file(file).values for file in files]
    bases = [entry["model_name_or_path"] for entry in values if "model_name_or_path" in entry]
    entries = [entry for recipe in values for key in ("datasets", "sources") for entry in recipe.get(key) or []]
    used = list(dict.fromkeys(entry["path"] for entry in entries if entry["path"].count("/") == 1))
    trained = [
        name for recipe in values if TASKS[recipe["task"]].trainer_config for name in [recipe["model_name_or_path"]]
    ]
    own = {
        "summary": f"{TO_WRITE} what it trains, in a few words",
        "base_model": facts["base_model"]
        if facts["base_model"] in (*bases, "built from scratch")
        else (trained or bases or ["none"])[0],
        "datasets": used or facts["datasets"],
        "processes": {file.stem: facts["processes"][file.stem] for file in files if file.stem in facts["processes"]},
        "run": False,
    }
    return {key: own.get(key, facts.get(key)) for key in (*FACTS, *OF_OTHERS, PAPER) if key in own or key in facts}


if __name__ == "__main__":
    sys.exit(main())
