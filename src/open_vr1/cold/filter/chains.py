"""A model's reply, or a released row's answer, as a chain of thought and the answer that it ends in."""

import re

from open_vr1.prompts import ANSWER_CLOSE, ANSWER_OPEN, FINAL_ANSWER, THINK_CLOSE, THINK_OPEN

BLOCK = re.compile(rf"\s*{THINK_OPEN}(?P<thinking>.*?){THINK_CLOSE}(?P<reply>.*)", re.DOTALL | re.IGNORECASE)
ANSWER = re.compile(rf"{ANSWER_OPEN}(.*?)(?:{ANSWER_CLOSE}|$)", re.DOTALL | re.IGNORECASE)
STATED = re.compile(
    rf"^[ \t>#*_`-]*{FINAL_ANSWER.removesuffix(':')}[ \t*_`]*:[ \t]*(.*)$", re.MULTILINE | re.IGNORECASE
)
WRAPPING = re.compile(r"^[\s*_`]+|[\s*_`]+$")


def split_reply(text: str, reasoning: str = "") -> tuple[str, str, str]:
    """
    Thinking, reply and stated answer.

    Args:
        text (`str`):
            What the model wrote: with its thinking in think tags, or after thinking, or all in one.
        reasoning (`str`, *optional*):
            Its thinking where the endpoint gives it apart.
    """
    found = BLOCK.fullmatch(text)
    if reasoning:
        thinking, reply = reasoning, found["reply"] if found else text
    elif found:
        thinking, reply = found["thinking"], found["reply"]
    elif THINK_CLOSE in text:  # Some chat templates write the opening tag into the prompt.
        thinking, _, reply = text.partition(THINK_CLOSE)
    else:
        thinking, reply = _before_final_answer(text), text
    return thinking.strip(), reply.strip(), _stated(reply)


def _before_final_answer(text: str) -> str:
    lines = list(STATED.finditer(text))
    return text[: lines[-1].start()] if lines else text


def _stated(reply: str) -> str:
    """The last final answer of a reply; none if it states none."""
    blocks = ANSWER.findall(reply)
    said = STATED.findall(blocks[-1] if blocks else reply)
    answer = said[-1] if said else blocks[-1] if blocks else ""
    return WRAPPING.sub("", answer)
