"""
The text of a recipe: YAML with the line of every key, and the command line's overrides merged into it.

Knows no key but its own mistakes: a missing file, YAML that cannot be read, a key written twice. Imports neither torch
nor trl, so that these come out at once. See what is read with

    python -m open_vr1.sft --config recipes/vr1_tiny/sft.yaml --learning_rate 2e-6
"""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from open_vr1.errors import UserError

Key = tuple[str | int, ...]


@dataclass
class RecipeFile:
    """
    A recipe as written, with the place of each key.

    Args:
        path (`Path`):
            The YAML file.
        values (`dict[str, Any]`):
            Its top-level mapping, overrides merged in.
        lines (`dict[Key, int]`):
            Line of each key and list item, counted from 1.
        overrides (`dict[str, list[str]]`):
            The words that the command line gave for a key.
        text (`str`):
            The file.
    """

    path: Path
    values: dict[str, Any]
    lines: dict[Key, int]
    overrides: dict[str, list[str]]
    text: str

    def error(self, key: Key | str, message: str) -> UserError:
        """A `UserError` that says where the key stands."""
        key = (key,) if isinstance(key, str) else key
        return UserError(f"{self.place(key)}: {key_name(key)}: {message}")

    def place(self, key: Key = ()) -> str:
        if key and key[0] in self.overrides:
            return f"{self.path}, overridden on the command line"
        line = next((self.lines[key[:n]] for n in range(len(key), 0, -1) if key[:n] in self.lines), None)
        return f"{self.path}:{line}" if line else str(self.path)


def key_name(key: Key) -> str:
    """`("datasets", 0, "path")` as `datasets[0].path`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in key).removeprefix(".")


def read_file(path: str | Path, overrides: Sequence[str] = ()) -> RecipeFile:
    """
    Read a recipe and merge overrides into it.

    Args:
        path (`str` or `Path`):
            The YAML file.
        overrides (`Sequence[str]`, *optional*):
            Words of the command line: `--key value`, `--key=value`, `--flag` for true, or several words for a list.
            Values are read as YAML and replace the file's.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(_no_such_recipe(path))
    lines: dict[Key, int] = {}
    try:
        text = path.read_text(encoding="utf-8")
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if not isinstance(node, yaml.MappingNode):
            raise UserError(f"{path}: a recipe is a mapping of keys to values, like `task: sft`; this file is not one")
        _note_lines(node, (), lines, path)
        values = loader.construct_document(node)
    except yaml.YAMLError as error:
        raise UserError(_not_yaml(path, error)) from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: this is not a text file in UTF-8: {error}") from error
    for key in values:
        if not isinstance(key, str):
            raise UserError(f"{path}:{lines[(key,)]}: {key!r} is not the name of a key; keys are words")
    words = split_overrides(overrides)
    values.update({key: _override_value(key, given) for key, given in words.items()})
    return RecipeFile(path, values, lines, words, text)


def split_overrides(words: Sequence[str]) -> dict[str, list[str]]:
    """`["--lr", "1", "--flag", "--names=a"]` as `{"lr": ["1"], "flag": [], "names": ["a"]}`; the last one wins."""
    given: dict[str, list[str]] = {}
    key = None
    for word in words:
        if word.startswith("--") and len(word) > 2:
            key, equals, value = word[2:].partition("=")
            key = key.replace("-", "_")
            given[key] = [value] if equals else []
        elif key is None:
            raise UserError(f"command line: {word!r} belongs to no key; write overrides as --key value")
        else:
            given[key].append(word)
    return given


def _override_value(key: str, words: list[str]) -> Any:
    if not words:
        return True
    try:
        values = [yaml.safe_load(word) for word in words]
    except yaml.YAMLError as error:
        raise UserError(
            f"command line: --{key} {' '.join(words)}: the value is not YAML: {_problem(error)}"
        ) from error
    return values[0] if len(values) == 1 else values


def _note_lines(node: yaml.Node, key: Key, lines: dict[Key, int], path: Path) -> None:
    if isinstance(node, yaml.SequenceNode):
        for i, item in enumerate(node.value):
            lines[(*key, i)] = item.start_mark.line + 1
            _note_lines(item, (*key, i), lines, path)
    elif isinstance(node, yaml.MappingNode):
        for key_node, value_node in node.value:
            name = yaml.SafeLoader("").construct_object(key_node) if isinstance(key_node, yaml.ScalarNode) else None
            line = key_node.start_mark.line + 1
            child = (*key, name)
            if child in lines and name != "<<":
                raise UserError(
                    f"{path}:{line}: {key_name(child)}: this key is written twice, first on line {lines[child]}; "
                    "remove one of the two"
                )
            lines[child] = line
            _note_lines(value_node, child, lines, path)


def _not_yaml(path: Path, error: yaml.YAMLError) -> str:
    mark, began = getattr(error, "problem_mark", None), getattr(error, "context_mark", None)
    where = f"{path}:{mark.line + 1}" if mark else str(path)
    return f"{where}: this is not YAML: {_problem(error)}" + (f" from line {began.line + 1}" if began else "")


def _problem(error: yaml.YAMLError) -> str:
    """The error in one line."""
    return ", ".join(filter(None, (getattr(error, "problem", None), getattr(error, "context", None)))) or str(error)


def _no_such_recipe(path: Path) -> str:
    recipes = (found for found in Path("recipes").glob("*/*.yaml") if found.parent.name != "accelerate_configs")
    known = sorted({str(found) for found in (*recipes, *path.parent.glob("*.yaml"))})
    if path.is_dir():
        inside = [found.name for found in sorted(path.glob("*.yaml"))]
        return f"{path}: this is a folder; name a recipe in it" + (f": {', '.join(inside)}" if inside else "")
    nearest = get_close_matches(str(path), known, n=3, cutoff=0.4) or known[:3]
    if not nearest:
        return f"{path}: there is no such recipe; run make in the folder that has recipes/"
    return f"{path}: there is no such recipe; did you mean {' or '.join(nearest)}?"
