"""The one answer reader: where in a completion the answer stands, and what it says.

    read_answer("<think> 3 + 5 </think><answer> Final Answer:8 </answer>").candidates == ("8",)

The `<answer>` block is read when there is one, and then nothing else; without one the `\\boxed{}`es outside the
thinking; without those the "Final Answer:" lines. Whatever stands inside the thinking is thinking. Every step is a
single pass over the text, so a megabyte of unclosed tags costs what a megabyte of prose costs.
"""

import re
from dataclasses import dataclass

from prompts import ANSWER_CLOSE, ANSWER_OPEN, FINAL_ANSWER, THINK_CLOSE, THINK_OPEN

_THINK_TAG = re.compile(f"{THINK_OPEN}|{THINK_CLOSE}")
_TAG = re.compile(f"{THINK_OPEN}|{THINK_CLOSE}|{ANSWER_OPEN}|{ANSWER_CLOSE}")
_BOX_TOKEN = re.compile(r"\\(?:boxed|fbox)\s*\{|\\[{}]|[{}]")
_FINAL_ANSWER = re.compile(
    re.escape(FINAL_ANSWER.rstrip(":")) + r"\s*(?::|\bis\b:?)\s*(?:The final answer is:?\s*)?", re.IGNORECASE
)
_I_HOPE = re.compile(r"\.?\s*I hope it is correct\b.*", re.IGNORECASE | re.DOTALL)  # How Minerva's answers end.
_JOINING_WORDS = re.compile(r"\b(?:or|and|either|maybe|perhaps|also)\b|[$*,;/|&.:\s]", re.IGNORECASE)
_BARE_ANSWER = re.compile(r"\(?[A-Za-z]\)?|[+-]?[0-9][0-9.,/]*%?")


@dataclass(frozen=True, slots=True)
class Reading:
    """
    What the reader found.

    Args:
        candidates (`tuple[str, ...]`):
            The distinct answers given, in order. More than one is a hedge unless all of them mean the same.
        reason (`str`, *optional*):
            Why there is no candidate: `no_answer_block`, `empty_answer` or `truncated`.
    """

    candidates: tuple[str, ...]
    reason: str | None = None


def outside_thinking(completion: str) -> tuple[str, bool]:
    """
    The text outside the thinking, and whether a thinking was left open at the end.

    A `</think>` that nothing opened closes a thinking that began before the completion did (the chat template can open
    it), so everything up to it is thinking.
    """
    outside, position, thinking = [], 0, False
    for tag in _THINK_TAG.finditer(completion):
        if tag.group() == THINK_OPEN:
            if not thinking:
                outside.append(completion[position : tag.start()])
            thinking = True
        else:
            if not thinking:
                outside.clear()
            thinking, position = False, tag.end()
    if not thinking:
        outside.append(completion[position:])
    return "\n".join(outside), thinking


def answer_share(completion: str) -> float:
    """The part of what a completion says, tags apart, that stands outside its thinking: 1 where it does not think."""
    outside, _ = outside_thinking(completion)
    everything, answer = (sum(map(len, _TAG.sub(" ", text).split())) for text in (completion, outside))
    return answer / everything if everything else 0.0


def answer_blocks(outside: str) -> tuple[list[str], bool]:
    """The contents of the `<answer>` blocks, and whether a block was left open at the end."""
    blocks, position = [], outside.find(ANSWER_OPEN)
    while position != -1:
        start = position + len(ANSWER_OPEN)
        end = outside.find(ANSWER_CLOSE, start)
        if end == -1:
            return blocks, True
        blocks.extend(outside[start:end].split(ANSWER_OPEN))
        position = outside.find(ANSWER_OPEN, end)
    return blocks, False


def boxed(text: str) -> list[tuple[int, int, str]]:
    """The outermost closed boxes of a text as (start, end, content)."""
    if "box" not in text:
        return []
    found, stack = [], []
    for token in _BOX_TOKEN.finditer(text):
        word = token.group()
        if word.endswith("{") and word != "\\{":
            stack.append((token.start(), token.end(), len(word) > 1))
        elif word == "}" and stack:
            start, content, is_box = stack.pop()
            if is_box:
                while found and found[-1][0] > start:
                    found.pop()
                found.append((start, token.end(), text[content : token.start()]))
    return found


def _after_final_answer(text: str) -> list[str]:
    if "answer" not in text.lower():
        return []
    markers = list(_FINAL_ANSWER.finditer(text))
    ends = [marker.start() for marker in markers[1:]] + [len(text)]
    return [_I_HOPE.sub("", text[marker.end() : end], count=1) for marker, end in zip(markers, ends)]


def _unwrap(block: str) -> list[str]:
    """The answers in one block: what its boxes hold, else what follows "Final Answer:", else all of it."""
    pieces = _after_final_answer(block) or [block]
    answers = []
    for piece in pieces:
        boxes = boxed(piece)
        if not boxes:
            answers.append(piece)
            continue
        answers.extend(content for _, _, content in boxes)
        around, position = [], 0
        for start, end, _ in boxes:
            around.append(piece[position:start])
            position = end
        rest = _JOINING_WORDS.sub("", "".join([*around, piece[position:]])[:200])
        if _BARE_ANSWER.fullmatch(rest):
            answers.append(rest)
    return answers


def _distinct(answers: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(stripped for answer in answers if (stripped := answer.strip())))


def read_answer(completion: str) -> Reading:
    """Read the answer of a completion."""
    outside, thinking_open = outside_thinking(completion)
    blocks, answer_open = answer_blocks(outside)
    if blocks:
        candidates = _distinct([answer for block in blocks for answer in _unwrap(block)])
        return Reading(candidates, None if candidates else "empty_answer")
    if answer_open:
        return Reading((), "truncated")
    boxes = boxed(outside)
    if boxes:
        candidates = _distinct([content for _, _, content in boxes])
        return Reading(candidates, None if candidates else "empty_answer")
    answers = _after_final_answer(outside)
    if answers:
        candidates = _distinct([answer.strip().split("\n", 1)[0] for answer in answers])
        return Reading(candidates, None if candidates else "empty_answer")
    return Reading((), "truncated" if thinking_open else "no_answer_block")


def read_gold(solution: str) -> str:
    """The answer of a dataset row, whether the row holds it bare, boxed, after "Final Answer:" or in a whole completion."""
    if "<" not in solution and "box" not in solution and "answer" not in solution.lower():
        return solution.strip()
    reading = read_answer(solution)
    if reading.candidates:
        return reading.candidates[-1] if len(reading.candidates) == 1 else ""
    return solution.strip() if reading.reason == "no_answer_block" else ""
