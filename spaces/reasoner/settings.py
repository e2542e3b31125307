"""What the Space is told by its variables: which checkpoints there are, and how much a visitor may ask for.

    CHECKPOINTS='[{"label": "stage 1", "model": "you/vr1-7b", "revision": "stage-1"}]'

A variable that cannot be used stops the Space with one line that says what to write instead.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

EXAMPLE = '[{"label": "stage 1", "model": "you/vr1-7b", "revision": "stage-1"}]'
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
SHOWN = 200


class SettingError(Exception):
    """A variable of the Space that cannot be used: its name, its value and what to write instead, in one line."""


@dataclass(frozen=True)
class Checkpoint:
    """
    A model that visitors can ask.

    Args:
        label (`str`):
            What visitors call it.
        model (`str`):
            A Hub id or a folder.
        revision (`str`, *optional*):
            Branch, tag or commit of a Hub id.
        system_prompt (`str`, *optional*):
            The system prompt that it was trained with.
    """

    label: str
    model: str
    revision: str | None = None
    system_prompt: str | None = None

    @property
    def is_folder(self) -> bool:
        return Path(self.model).expanduser().is_dir()

    @property
    def source(self) -> str:
        """Where it comes from, without the folders above a local one."""
        name = Path(self.model).name if self.is_folder else self.model
        return f"{name} @ {self.revision}" if self.revision else name


@dataclass(frozen=True)
class Settings:
    """
    All variables of the Space.

    Args:
        checkpoints (`tuple[Checkpoint, ...]`):
            In the order in which they are shown; the last is asked unless the visitor ticks others.
        title (`str`):
            The page's title.
        max_new_tokens (`int`):
            The longest reply that a visitor can ask for.
        max_seconds (`int`):
            After this time a reply is cut off, with the loading of its model; on ZeroGPU also what is reserved for it.
    """

    checkpoints: tuple[Checkpoint, ...]
    title: str
    max_new_tokens: int
    max_seconds: int


def read_settings(variables: Mapping[str, str], on_zerogpu: bool = False) -> Settings:
    # A visitor without an account has two minutes there a day, and is refused where less is left than is reserved.
    seconds = 60 if on_zerogpu else 120
    return Settings(
        checkpoints=read_checkpoints(variables.get("CHECKPOINTS", "")),
        title=variables.get("TITLE", "").strip() or "Vision reasoner",
        max_new_tokens=_read_number(variables, "MAX_NEW_TOKENS", 2048),
        max_seconds=_read_number(variables, "MAX_SECONDS", seconds),
    )


def read_checkpoints(text: str) -> tuple[Checkpoint, ...]:
    if not text.strip():
        raise SettingError(f"CHECKPOINTS: this variable is missing; write CHECKPOINTS={EXAMPLE}")
    try:
        entries = json.loads(text)
    except ValueError as error:
        raise _refusal(text, f"is no JSON ({error})") from error
    if not isinstance(entries, list) or not entries:
        raise _refusal(text, "is not a list with an entry in it")
    checkpoints = tuple(_read_entry(entry, f"entry {i}") for i, entry in enumerate(entries, start=1))
    labels = [checkpoint.label for checkpoint in checkpoints]
    for label in labels:
        if labels.count(label) > 1:
            raise _refusal(text, f"has the label {label!r} twice")
    return checkpoints


def _read_entry(entry: Any, where: str) -> Checkpoint:
    names = [field.name for field in fields(Checkpoint)]
    if not isinstance(entry, dict):
        raise _refusal(json.dumps(entry), f"({where}) is not an object")
    for key, value in entry.items():
        if key not in names:
            raise _refusal(json.dumps(entry), f"({where}) has an unknown key {key!r}; there are {', '.join(names)}")
        if not (isinstance(value, str) and value.strip()) and not (value is None and key in names[2:]):
            raise _refusal(json.dumps(entry), f"({where}) has {key}: {json.dumps(value)}, which is not text")
    for key in names[:2]:
        if key not in entry:
            raise _refusal(json.dumps(entry), f"({where}) has no {key}")
    checkpoint = Checkpoint(**entry)
    if not checkpoint.is_folder and not HUB_ID.fullmatch(checkpoint.model):
        raise _refusal(json.dumps(entry), f"({where}) names a model that is neither a folder here nor a Hub id")
    return checkpoint


def _read_number(variables: Mapping[str, str], name: str, default: int) -> int:
    text = variables.get(name, "").strip()
    if not text:
        return default
    if not text.isdecimal() or int(text) < 1:
        raise SettingError(f"{name}: {text[:SHOWN]} is not a whole number above 0; write {name}={default}")
    return int(text)


def _refusal(text: str, problem: str) -> SettingError:
    shown = " ".join(text.split())
    shown = shown if len(shown) <= SHOWN else shown[:SHOWN] + "…"
    return SettingError(f"CHECKPOINTS: {shown} {problem}; write CHECKPOINTS={EXAMPLE}")
