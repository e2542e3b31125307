"""
Choices as benchmarks write them: in a column, in one string, or at the end of the question's words.

    split_choices("Find x.\\nChoices:\\nA:40°\\nB:60°") == ("Find x.", ["40°", "60°"])

Split off, they are lettered below the question as in the training rows, and an answer may name its choice by letter or by text.
"""

import re
from typing import Any

_HEADING = re.compile(r"\s*\b(?:choices?|options?)\s*:\s*(?=\(?\s*A\s*[:.)])", re.IGNORECASE)
# A mark has its choice behind it: We-Math has a stray semicolon before some letters at the end of a sentence (";C.;").
_MARK = re.compile(r"(?:^|(?<=[\s;,]))\(?([A-Z])\s*[:.)．]\s*(?=[^\s;])")


def split_choices(question: str) -> tuple[str, list[str] | None]:
    """The question's words and the choices below them; the words as they are where there is no such list."""
    headings = list(_HEADING.finditer(question))
    choices = read_choices(question[headings[-1].end() :]) if headings else None
    return (question[: headings[-1].start()], choices) if choices else (question, None)


def read_choices(text: Any) -> list[str] | None:
    """The choices of "A. 3;B. 4" or "(A) 3 (B) 4": letters that start with A and leave none out; `None` for anything else."""
    if not isinstance(text, str):
        return None
    starts: list[re.Match[str]] = []
    for mark in _MARK.finditer(text):
        if mark[1] == chr(ord("A") + len(starts)):
            starts.append(mark)
    if len(starts) < 2 or text[: starts[0].start()].strip():
        return None
    following = chr(ord("A") + len(starts))
    if re.search(rf"[\s;,]\(?{following}\s*[:)]\s*$", text):
        return None  # "(C) 4 (D)": the last choice is in the picture.
    ends = [mark.start() for mark in starts[1:]] + [len(text)]
    choices = [text[start.end() : end].strip().removesuffix(";").strip() for start, end in zip(starts, ends)]
    return choices if all(choices) else None


def listed_choices(choices: Any) -> list[str] | None:
    """A column of choices: a list of texts; what else stands there (`None`, `[]`, `""`, `"nan"`) is no choices."""
    return [str(choice) for choice in choices] if isinstance(choices, list | tuple) and choices else None


def letter_of(gold: Any, choices: list[str] | None) -> Any:
    """The letter of the choice whose text the gold is, so that the text "B" of choice A is not taken for the letter B."""
    return chr(ord("A") + choices.index(str(gold))) if choices and str(gold) in choices else gold
