"""
The table of all recipe folders in `recipes/README.md`, made from what their READMEs begin with: `make recipes-index`.

`make check-recipes` says where it has drifted. What stands outside the two marks is written by hand.
"""

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from open_vr1.entry import entry_point
from open_vr1.errors import UserError
from open_vr1.recipe_folder import RECIPES, read_text, recipe_files, recipe_folders
from open_vr1.recipe_folder.facts import read_facts

INDEX = RECIPES / "README.md"
BEGIN, END = "<!-- made by make recipes-index -->", "<!-- until here -->"
HEAD = ["| folder | what it trains | recipes | hardware | run so far |", "| --- | --- | --- | --- | --- |"]


@entry_point
def main(argv: Sequence[str] | None = None) -> None:
    text = read_text(INDEX)
    _check_marks(text)
    INDEX.write_text(re.sub(f"{BEGIN}.*?{END}", lambda _: table(), text, count=1, flags=re.DOTALL))
    print(f"{INDEX}: {len(recipe_folders())} folders")


def table() -> str:
    """The marked part, as it should be."""
    folders = sorted(recipe_folders(), key=_by_name)
    return "\n".join([BEGIN, *HEAD, *map(_row, folders), END])


def index_problems(folders: Sequence[Path]) -> list[str]:
    """Whether the table has these folders' rows as they should be, and no others than those of all folders."""
    try:
        text = read_text(INDEX)
        _check_marks(text)
    except UserError as error:
        return [str(error)]
    lines = text.splitlines()
    wrong = [
        f"{INDEX}: the row of {folder.name} is missing or old; run make recipes-index"
        for folder in folders
        if _row(folder) not in lines
    ]
    return wrong or ([] if table() in text else [f"{INDEX}: its table is old; run make recipes-index"])


def _check_marks(text: str) -> None:
    if not re.search(f"{BEGIN}.*?{END}", text, re.DOTALL):
        raise UserError(f"{INDEX}: {BEGIN} and {END} are not both there; put them around the table")


def _row(folder: Path) -> str:
    facts = read_facts(folder / "README.md")[0] if (folder / "README.md").is_file() else {}
    recipes = " ".join(f"[{file.stem}]({folder.name}/{file.name})" for file in recipe_files(folder))
    run = facts.get("run")
    cells = [
        f"[{folder.name}]({folder.name}/README.md)",
        facts.get("summary", ""),
        recipes,
        facts.get("hardware", ""),
        run if isinstance(run, str) else "no",
    ]
    return f"| {' | '.join(' '.join(str(cell).replace('|', '/').split()) for cell in cells)} |"


def _by_name(folder: Path) -> list[tuple[int, str]]:
    """`vr1_7b` before `vr1_32b`."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", folder.name)]


if __name__ == "__main__":
    sys.exit(main())
