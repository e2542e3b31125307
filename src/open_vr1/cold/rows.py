"""
What goes from step to step: a row as a source yields it, and a chain of thought as the rules see it.

No picture is held here: a `Picture` knows how to read its bytes, and they are read when they are needed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Picture:
    """
    One picture of a row.

    Args:
        name (`str`):
            Its file's name in the source, for people to find it.
        read (`Callable[[], bytes]`):
            The file's own bytes. Raises an `OSError` (`FileNotFoundError` where there is no such picture).
    """

    name: str
    read: Callable[[], bytes]


@dataclass(frozen=True)
class SourceRow:
    """
    A row as a source has it.

    Args:
        id (`str`):
            Its name in the source.
        pictures (`Sequence[Picture]`):
            In the order of the question's `<image>` marks.
        question (`str`):
            The question alone: no choices, no answer format.
        choices (`Sequence[str]`):
            What there is to choose from, without letters. None for an open question.
        answer (`str`):
            The gold answer: a letter where there are choices. Empty if the source has none.
        subset (`str`, *optional*):
            The dataset that the source took the row from, like `chartqa`.
        license (`str`, *optional*, defaults to `"unknown"`):
            Of the row and its pictures, as the Hub writes it.
        original (`str`, *optional*):
            The source's own answer text with its chain of thought.
        pass_rate (`float`, *optional*):
            Share of a model's tries that were right.
    """

    id: str
    pictures: Sequence[Picture]
    question: str
    choices: Sequence[str] = ()
    answer: str = ""
    subset: str = ""
    license: str = "unknown"
    original: str = ""
    pass_rate: float | None = None


@dataclass(frozen=True)
class BadRow:
    """A row that a source cannot give: `rule` is why in one word, `evidence` what was found."""

    id: str
    rule: str
    evidence: str


@dataclass(frozen=True)
class Candidate:
    """
    One chain of thought about a row, as the rules see it.

    Args:
        row_id (`str`):
            Which row.
        question (`str`):
            The question.
        answer (`str`):
            The gold answer.
        thinking (`str`):
            The chain of thought, reworded.
        stated (`str`):
            The answer that it ends in. Empty if it states none.
        choices (`Sequence[str]`, *optional*):
            What there was to choose from.
        description (`str`, *optional*):
            What the text model was told instead of the picture.
        reply (`str`, *optional*):
            What the model wrote after thinking.
        finish_reason (`str`, *optional*, defaults to `"stop"`):
            Why the model stopped: `"length"` if it was cut off.
        pictures (`Sequence[str]`, *optional*):
            SHA-256 of each picture.
    """

    row_id: str
    question: str
    answer: str
    thinking: str
    stated: str
    choices: Sequence[str] = ()
    description: str = ""
    reply: str = ""
    finish_reason: str = "stop"
    pictures: Sequence[str] = ()
