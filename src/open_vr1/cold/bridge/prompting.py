"""
What the teachers are asked: the files of `prompts/`, one for each request, filled with a row's own words.

A prompt is text with `{name}` where a value goes; braces of the values stay as they are. Its hash is in the provenance of every
row and in the key under which a reply is kept, so another wording is another request.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from open_vr1.errors import UserError
from open_vr1.recipe_types import nearest

FOLDER = Path(__file__).parent / "prompts"
NEEDED = {
    "pseudo_cot": {"question", "answer"},
    "description": {"question", "pseudo_cot"},
    "reasoning": {"question", "description"},
    "reasoning_with_answer": {"question", "description", "answer"},
}


@dataclass(frozen=True)
class Prompt:
    """A prompt's text and the short hash that names it."""

    name: str
    text: str

    @property
    def hash(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()[:12]

    def fill(self, **values: str) -> str:
        return re.sub(r"\{(\w+)\}", lambda found: values[found[1]], self.text)


def read_prompt(name: str, folder: str | None = None, where: str = "") -> Prompt:
    """
    One prompt, refused where it lacks a value that it has to hold or asks for one that there is not.

    Args:
        name (`str`):
            A key of `NEEDED`.
        folder (`str`, *optional*):
            A folder whose files come before ours.
        where (`str`, *optional*):
            The recipe's key, for messages.
    """
    own = Path(folder or FOLDER) / f"{name}.txt"
    if folder:
        _check_folder(Path(folder), where)
    path = own if own.is_file() else FOLDER / f"{name}.txt"
    try:
        prompt = Prompt(name, path.read_text(encoding="utf-8").strip())
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8") from error
    asked = set(re.findall(r"\{(\w+)\}", prompt.text))
    for word in sorted(asked - NEEDED[name]):
        raise UserError(
            f"{path}: {{{word}}}: there is no such value; the nearest is {{{nearest(word, NEEDED[name])}}}"
        )
    for word in sorted(NEEDED[name] - asked):
        raise UserError(f"{path}: {{{word}}} is missing; the teacher would not see it")
    return prompt


def _check_folder(folder: Path, where: str) -> None:
    """A file under a name that nothing asks for would be a prompt that is not used."""
    names = [f"{name}.txt" for name in NEEDED]
    if not folder.is_dir():
        raise UserError(f"{where}: {folder}: there is no such folder; write one with any of {', '.join(names)}")
    for file in sorted(folder.glob("*.txt")):
        if file.name not in names:
            raise UserError(f"{where}: {file}: there is no such prompt; the nearest is {nearest(file.name, names)}")
    if not any((folder / name).is_file() for name in names):
        raise UserError(f"{where}: {folder}: has none of {', '.join(names)}; write one, or remove the key")
