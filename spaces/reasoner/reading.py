"""A growing reply, read as far as it goes: the thinking, the answer, and whether it is in the trained format.

    read_reply("<think> 3 + 5 </think><answer> Final Answer:8 </answer>", done=True).answers == ("8",)

Of a finished reply the answers are exactly those that the rewards of the training read: `answers.py` and `prompts.py` are
copies of the training code's own files.
"""

import re
from dataclasses import dataclass

from answers import outside_thinking, read_answer
from prompts import ANSWER_CLOSE, ANSWER_OPEN, FINAL_ANSWER, THINK_CLOSE, THINK_OPEN

TAGS = (THINK_OPEN, THINK_CLOSE, ANSWER_OPEN, ANSWER_CLOSE)
_FORMAT = re.compile(r"\s*<think>(.*)</think>\s*<answer>(.*)</answer>\s*", re.DOTALL)
_FINAL_ANSWER = re.compile(r"\s*" + re.escape(FINAL_ANSWER) + r"?\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Reply:
    """
    What a reply says so far.

    Args:
        thinking (`str`):
            The thinking without its tags; all of a reply that is not in the format.
        answers (`tuple[str, ...]`):
            The distinct answers; of a reply that still grows, its answer so far.
        in_format (`bool`):
            Whether it is, or can still become, one thinking and one answer and nothing else.
    """

    thinking: str
    answers: tuple[str, ...]
    in_format: bool


def read_reply(text: str, done: bool) -> Reply:
    """
    Read a reply.

    Args:
        text (`str`):
            What the model has written, after a `<think>` that the prompt may have ended with.
        done (`bool`):
            Whether that is all.
    """
    if done:
        if (
            (found := _FORMAT.fullmatch(text))
            and all(text.count(tag) == 1 for tag in TAGS)
            and all(map(_said, found.groups()))
        ):
            return Reply(found[1].strip(), read_answer(text).candidates, True)
        started = text.strip().removeprefix(THINK_OPEN)  # Cut off while it was thinking, that is all there is to see.
        shown = text if any(tag in started for tag in TAGS) else started
        return Reply(shown.strip(), read_answer(text).candidates, False)
    text = _without_half_a_tag(text)
    if text.lstrip() and not text.lstrip().startswith(THINK_OPEN):
        return Reply(text.strip(), (), False)
    thinking, _, rest = text.lstrip().removeprefix(THINK_OPEN).partition(THINK_CLOSE)
    answer = rest.partition(ANSWER_OPEN)[2].partition(ANSWER_CLOSE)[0]
    answer = _FINAL_ANSWER.sub("", answer, count=1).strip()
    if FINAL_ANSWER.startswith(answer):  # Of these words, too, there may be more to come.
        answer = ""
    return Reply(thinking.strip(), (answer,) if answer else (), True)


def has_open_thinking(text: str) -> bool:
    """Whether the text ends inside its thinking."""
    return outside_thinking(text)[1]


def _said(part: str) -> bool:
    return bool(part.strip())


def _without_half_a_tag(text: str) -> str:
    """The text without the first letters of a tag at its end, which the next token may complete."""
    start = text.rfind("<")
    if start != -1 and any(tag.startswith(text[start:]) and tag != text[start:] for tag in TAGS):
        return text[:start]
    return text
