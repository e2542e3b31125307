"""
Make the folders that a recipe needs and can make itself: its `build:` entries.

    build:
      - path: outputs/tiny/world
        with: open_vr1.toy.world:build
        args: {seed: 0}

calls `open_vr1.toy.world.build(path, seed=0)` where the folder is missing. The call gets a folder beside it that takes
its name once the call has returned, so a folder under its own name is always whole. `built.json` in it says what made
it, also which code; a folder without that file is the user's own and stays as it is. `make sft RECIPE=...` and
`make grpo RECIPE=...` begin with this.
"""

import hashlib
import inspect
import json
import logging
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from open_vr1.errors import UserError
from open_vr1.functions import NoFunction, find_function
from open_vr1.recipe_arguments import BuildEntry

if TYPE_CHECKING:
    from open_vr1.recipe import Recipe

STAMP = "built.json"

logger = logging.getLogger(__name__)


def make_inputs(recipe: "Recipe") -> None:
    """Make what is missing; a checkpoint that is missing and that no entry makes is refused before anything is made."""
    from open_vr1.data_sources import check_model

    model = recipe.model.model_name_or_path
    if model not in [entry["path"] for entry in recipe.args.build]:
        check_model(model)
    run_builds(recipe)


def run_builds(recipe: "Recipe") -> None:
    """Make what is missing, in the recipe's order. Among the processes of a node, the first makes it."""
    turn = recipe.training.main_process_first(desc="build") if recipe.training else nullcontext()
    with turn:
        for entry in recipe.args.build:
            _build(entry, recipe.path)


def _build(entry: BuildEntry, source: Path) -> None:
    path = Path(entry["path"])
    function = _function(entry, source)
    wanted = {
        "with": entry["with"],
        "args": json.loads(json.dumps(entry.get("args", {}), default=str)),
        "code": _fingerprint(function),
    }
    if path.exists():
        _check_built_alike(path, wanted, source)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    print(f"building {path} with {entry['with']}", flush=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as parent:
        draft = Path(parent, path.name)
        draft.mkdir()
        function(draft, **entry.get("args", {}))
        (draft / STAMP).write_text(json.dumps(wanted, indent=2) + "\n")
        try:
            draft.rename(path)
        except OSError:
            _check_built_alike(path, wanted, source)


def _check_built_alike(path: Path, wanted: dict[str, Any], source: Path) -> None:
    stamp = path / STAMP
    if not stamp.is_file():
        return
    found = json.loads(stamp.read_text())
    if any(found[key] != wanted[key] for key in ("with", "args")):
        raise UserError(
            f"{source}: build: {path} was made by {_call(found)}, and the recipe now says {_call(wanted)}; "
            f"delete {path} to have it made again, or write another path"
        )
    if found.get("code", wanted["code"]) != wanted["code"]:
        logger.warning(
            "%s: build: %s was made by other code of %s; delete it to have it made again", source, path, wanted["with"]
        )


def _fingerprint(function: Callable[..., None]) -> str:
    """Another one whenever a file beside the function's own has changed."""
    folder = Path(inspect.getfile(function)).parent
    beside = sorted(path for path in folder.glob("*.py") if not path.name.startswith("test_"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in beside)).hexdigest()[:12]


def _call(made: dict[str, Any]) -> str:
    return f"{made['with']}({', '.join(f'{name}={value!r}' for name, value in made['args'].items())})"


def _function(entry: BuildEntry, source: Path) -> Callable[..., None]:
    where = f"{source}: build: {entry['with']}"
    try:
        function = find_function(entry["with"])
    except NoFunction as error:
        raise UserError(f"{where}: {error}") from error
    try:
        inspect.signature(function).bind(entry["path"], **entry.get("args", {}))
    except TypeError as error:
        raise UserError(f"{where}: it does not take these args: {error}") from error
    return function
