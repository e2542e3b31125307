"""
Functions that a recipe names: `package.module:function`, or one of a file in the recipe's own folder.

    reward_funcs: ["recipes/mine/rewards.py:politeness"]
    build:
      - {path: outputs/mine/rows, with: "recipes/mine/rows.py:build"}

So a recipe brings rewards and sources of its own without a change in src/. Paths start where `make` is called, as all paths of a
recipe. What was read of such files goes into the run's manifest (`own_code`).
"""

import ast
import hashlib
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from open_vr1.recipe_types import nearest

NAMED = re.compile(r"(?P<module>[A-Za-z_][\w.]*|[^:]+\.py):(?P<function>[A-Za-z_]\w*)", re.ASCII)
HOW = "write package.module:function, or recipes/<name>/<file>.py:function"


class NoFunction(ValueError):
    """There is no such function; the message says what to write."""


def find_function(name: str) -> Callable[..., Any]:
    """The function of that name. Raises a `NoFunction` that says why there is none; what its file does wrong is a reason too."""
    place, function = _split(name)
    try:
        module = _load(Path(place)) if place.endswith(".py") else import_module(place)
    except (Exception, SystemExit) as error:  # A file of the user's own can raise anything when it is run.
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise NoFunction(f"{place} cannot be imported ({reason})") from error
    found = getattr(module, function, None)
    if found is None:
        raise NoFunction(f"{place} has no function {function}; {_nearest(function, vars(module))}")
    if not callable(found):
        raise NoFunction(f"{name} is a {type(found).__name__} and cannot be called")
    return found


def check_function(name: str) -> None:
    """Raises the `NoFunction` of `find_function` as far as it can be known without running anything."""
    place, function = _split(name)
    if not place.endswith(".py"):
        if not _module_exists(place):
            raise NoFunction(f"there is no module {place}; {HOW}")
        return
    path = Path(place)
    if not path.is_file():
        raise NoFunction(f"there is no file {place}; {HOW}")
    try:
        defined = _defined(ast.parse(path.read_text(), place))
    except (SyntaxError, ValueError) as error:
        raise NoFunction(f"{place} is no Python: {error}") from error
    if function not in defined:
        raise NoFunction(f"{place} has no function {function}; {_nearest(function, defined)}")


def own_code(values: Any) -> dict[str, dict[str, str]]:
    """The files that a recipe's values name functions of, each with its `sha256` and `text`."""
    files = {}
    for text in _texts(values):
        found = NAMED.fullmatch(text)
        if found and found["module"].endswith(".py") and (path := Path(found["module"])).is_file():
            content = path.read_bytes()
            files[path.as_posix()] = {
                "sha256": hashlib.sha256(content).hexdigest(),
                "text": content.decode(errors="replace"),
            }
    return files


def _split(name: str) -> tuple[str, str]:
    found = NAMED.fullmatch(name)
    if not found:
        raise NoFunction(f"{name!r} is no function; {HOW}")
    return found["module"], found["function"]


def _load(path: Path) -> ModuleType:
    """The file as a module, which changes its name when the file changes."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no such file; {HOW}")
    content = path.read_bytes()
    digest = hashlib.sha256(f"{path.resolve()}".encode() + content).hexdigest()[:12]
    name = f"{path.stem}_{digest}"
    if name not in sys.modules:
        spec = spec_from_file_location(name, path)
        module = module_from_spec(spec)
        sys.modules[name] = module  # Dataclasses look their own module up.
        try:
            # Not exec_module, which takes an edit of the same second and length for what it has cached.
            exec(compile(content, path, "exec"), vars(module))  # noqa: S102
        except BaseException:
            del sys.modules[name]
            raise
    return sys.modules[name]


def _defined(tree: ast.Module) -> list[str]:
    """The names at the top of a file."""
    names = []
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.append(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names += [alias.asname or alias.name for alias in node.names]
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names += [target.id for target in targets if isinstance(target, ast.Name)]
    return names


def _nearest(name: str, names: Any) -> str:
    public = [other for other in names if not other.startswith("_")]
    return f"the nearest is {nearest(name, public)}" if public else "there is none in it"


def _module_exists(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except (ModuleNotFoundError, ValueError):
        return False


def _texts(values: Any) -> Iterator[str]:
    if isinstance(values, str):
        yield values
    elif isinstance(values, Mapping):
        for value in values.values():
            yield from _texts(value)
    elif isinstance(values, (list, tuple)):
        for value in values:
            yield from _texts(value)
