"""
What may not leave this machine, and what stands in its place: tokens become `<secret>`, folders outside this one `<local>/name`.

A path below the working folder is written as seen from it, so that it means the same in another checkout. `make rerun`
finds both marks again and asks for the values. Look at what is left of a recipe with

    python -c "from open_vr1.masking import Mask; print(Mask.here()(open('my.yaml').read()))"
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LOCAL, SECRET = "<local>", "<secret>"
SECRET_NAME = re.compile(r"(TOKEN|KEY|SECRET|PASSWORD)$", re.IGNORECASE)
HUB_TOKEN = re.compile(r"hf_[A-Za-z0-9]{16,}")
SHORTEST_SECRET = 8
# Not SECRET_NAME: a recipe's `eos_token` is a word, and its `api_key` the name of a variable.
SECRET_KEYS = {"token", "hub_token", "use_auth_token", "password"}
# Not the slash of an address, of `and/or`, of `</think>` or of `../data`. `{known}` are paths that may have spaces.
ABSOLUTE = r"(?<![\w./~<>*}})\]$])(?:file://)?(?:{known}/(?!/))[^\s\"'`,;:{{}}\[\]()<>|]*"
CREDENTIALS = re.compile(r"(?<=://)[^\s/@]+@")


def is_secret(name: str) -> bool:
    """Whether a variable of this name holds what nobody else may read."""
    return bool(SECRET_NAME.search(name))


@dataclass(frozen=True)
class Mask:
    """
    Takes secrets and paths of this machine out of anything that JSON can hold.

    Args:
        secrets (`tuple[str, ...]`):
            Words that may not be in it.
        folder (`Path`):
            The folder that paths are written as seen from.
        home (`Path`):
            The user's home.
        spaced (`tuple[str, ...]`, *optional*):
            Paths with spaces, whose end could not be told in a text.
    """

    secrets: tuple[str, ...]
    folder: Path
    home: Path
    spaced: tuple[str, ...] = ()

    @classmethod
    def here(cls, values: Any = None) -> "Mask":
        """The mask of this process: its Hub token, its variables, and what `values` has under the name of a secret."""
        from huggingface_hub import get_token

        words = [
            get_token(),
            *(value for name, value in os.environ.items() if is_secret(name)),
            *_named_secrets(values),
        ]
        secrets = {word for word in words if word and len(word) >= SHORTEST_SECRET}
        spaced = tuple({text for text in _texts(values) if " " in text and _is_path(text)})
        return cls(tuple(sorted(secrets, key=len, reverse=True)), Path.cwd(), Path.home(), spaced)

    def __call__(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {str(key): SECRET if _is_secret_item(key, item) else self(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self(item) for item in value]
        if isinstance(value, Path):
            return self._text(str(value))
        return self._text(value) if isinstance(value, str) else value

    def _text(self, text: str) -> str:
        for secret in self.secrets:
            text = text.replace(secret, SECRET)
        text = CREDENTIALS.sub("", HUB_TOKEN.sub(SECRET, text))
        folders = {str(folder) for folder in (*self._folders(), self.home) if folder != Path("/")}
        known = sorted({*folders, *self.spaced}, key=len, reverse=True)
        pattern = ABSOLUTE.format(known="".join(f"{re.escape(path)}|" for path in known))
        return re.sub(pattern, lambda found: self._path(found[0]), text)

    def _folders(self) -> list[Path]:
        """The working folder, under its names; none where everything would be in it."""
        return [folder for folder in (self.folder, self.folder.resolve()) if len(folder.parts) > 1]

    def _path(self, text: str) -> str:
        path = Path(os.path.normpath(text.removeprefix("file://")))
        if path == self.home:
            return f"{LOCAL}/home"
        for folder in self._folders():
            if path.is_relative_to(folder):
                return str(path.relative_to(folder))
        # A word like the /no_think of a prompt is no path.
        return f"{LOCAL}/{path.name}" if len(path.parts) > 2 or os.path.exists(path) else text


def is_masked(value: Any) -> bool:
    """Whether something of this value was left out."""
    if isinstance(value, Mapping):
        return any(map(is_masked, value.values()))
    if isinstance(value, (list, tuple)):
        return any(map(is_masked, value))
    return isinstance(value, str) and (f"{LOCAL}/" in value or SECRET in value)


def _is_secret_item(key: Any, item: Any) -> bool:
    return str(key).lower() in SECRET_KEYS and isinstance(item, str)


def _is_path(text: str) -> bool:
    """Whether a text, which may have spaces, begins with a folder that is there."""
    path = Path(text)
    return path.is_absolute() and any(os.path.isdir(parent) for parent in path.parents if len(parent.parts) > 1)


def _texts(values: Any) -> Iterator[str]:
    if isinstance(values, Mapping):
        values = list(values.values())
    if isinstance(values, (list, tuple)):
        for item in values:
            yield from _texts(item)
    elif isinstance(values, str):
        yield values


def _named_secrets(values: Any) -> Iterator[str]:
    """What stands under a key such as `token`, however deep."""
    if isinstance(values, Mapping):
        for key, item in values.items():
            if _is_secret_item(key, item):
                yield item
            yield from _named_secrets(item)
    elif isinstance(values, (list, tuple)):
        for item in values:
            yield from _named_secrets(item)
