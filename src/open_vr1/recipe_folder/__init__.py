"""
What a contributor works with: the recipe folders of `recipes/`, made, checked and tried out.

    make new-recipe NAME=mine FROM=vr1_7b
    make check-recipes

A folder has a README.md, which begins with facts that a program reads (`facts`) and shows the commands to type (`commands`), and
recipes, which `check` plans and `dry_run` trains at toy size. `index` writes the table of all of them, `new` a folder to begin with.
"""

from collections.abc import Sequence
from pathlib import Path

from open_vr1.errors import UserError
from open_vr1.recipe_types import nearest

RECIPES = Path("recipes")
NOT_RECIPES = ("accelerate_configs", "__pycache__")


def recipe_folders(names: Sequence[str] = ()) -> list[Path]:
    """The folders of these names, or all."""
    if not RECIPES.is_dir():
        raise UserError(f"{RECIPES}: there is no such folder here; run from the repository")
    there = sorted(path for path in RECIPES.iterdir() if path.name not in NOT_RECIPES and _holds_something(path))
    known = [path.name for path in there]
    if unknown := [name for name in names if Path(name).name not in known]:
        raise UserError(f"{unknown[0]}: no folder in {RECIPES}; the nearest is {nearest(unknown[0], known)}")
    return [path for path in there if not names or path.name in {Path(name).name for name in names}]


def _holds_something(path: Path) -> bool:
    """Another branch's folder stays, with what Python has cached in it."""
    return path.is_dir() and path.name[0] != "." and any(inside.name not in NOT_RECIPES for inside in path.iterdir())


def read_text(file: Path) -> str:
    """What stands in a file, without the mark that some editors begin it with."""
    try:
        return file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror}); put a file of text there") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{file}: this is not text in UTF-8 ({error}); save it as UTF-8") from error


def recipe_files(folder: Path) -> list[Path]:
    """Each is one run."""
    return sorted(set(folder.glob("*.yaml")) - set(grid_files(folder)))


def grid_files(folder: Path) -> list[Path]:
    """Grids for sweeps, which have no task."""
    return sorted(folder.glob("sweep*.yaml"))


def code_files(folder: Path) -> list[Path]:
    """Rewards and sources of the folder's own."""
    return sorted(path for path in folder.glob("*.py") if not path.name.startswith("test_"))
