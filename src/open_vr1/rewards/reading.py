"""Counting, charts and text in pictures."""

from dataclasses import dataclass
from typing import Any, ClassVar

from open_vr1.rewards.answers import read_answer, read_gold
from open_vr1.rewards.base import Reward, Score
from open_vr1.rewards.outcome import Accuracy
from open_vr1.rewards.quantities import read_quantity, tidy
from open_vr1.rewards.verify import REASONS

MAX_OCR = 10_000


def edit_distance(first: str, second: str) -> int:
    """Levenshtein distance, bit-parallel (Hyyrö 2003): one pass over `second` with integers as wide as `first`."""
    if not first or not second:
        return len(first) + len(second)
    mask, last = (1 << len(first)) - 1, 1 << (len(first) - 1)
    positions: dict[str, int] = {}
    for position, character in enumerate(first):
        positions[character] = positions.get(character, 0) | 1 << position
    up, down, distance = mask, 0, len(first)
    for character in second:
        equal = positions.get(character, 0)
        diagonal = ((((equal & up) + up) ^ up) | equal | down) & mask
        right = (down | ~(diagonal | up)) & mask
        left = diagonal & up
        distance += bool(right & last) - bool(left & last)
        right = (right << 1 | 1) & mask
        up = (left << 1 | ~(diagonal | right)) & mask
        down = right & diagonal
    return distance


@dataclass
class Counting(Accuracy):
    """1 where the answer is exactly the gold's whole number, whatever is counted; `None` where the gold is none."""

    __name__: ClassVar[str] = "counting"

    tolerance: float = 0.0

    def score(self, text: str, solution: Any, choices: list[str] | None, tokens: list[int] | None) -> Score:
        gold = None if solution is None else read_quantity(tidy(read_gold(str(solution))))
        if gold is None or gold.value.denominator != 1:
            return Score(None, None, "gold_unparsable")
        return super().score(text, str(gold.value), None, tokens)


@dataclass
class ChartAccuracy(Accuracy):
    """
    ChartQA's relaxed accuracy: a number may be 5% off, anything else must be right.

    Args:
        tolerance (`float`, *optional*, defaults to `0.05`):
            How far a number may be off, relative to the gold.
    """

    __name__: ClassVar[str] = "chart_accuracy"

    tolerance: float = 0.05


@dataclass
class OCR(Reward):
    """
    1 minus the edit distance over the longer length, after lower-casing and joining white space.

    Args:
        threshold (`float`, *optional*, defaults to `0.5`):
            A similarity below it scores 0, as in ANLS.
    """

    __name__: ClassVar[str] = "ocr"
    reasons: ClassVar[tuple[str, ...]] = (*REASONS, "close")
    needs_gold: ClassVar[bool] = True

    threshold: float = 0.5

    def score(self, text: str, solution: Any, choices: list[str] | None, tokens: list[int] | None) -> Score:
        reading = read_answer(text)
        answer = reading.candidates[0] if len(reading.candidates) == 1 else None
        gold = "" if solution is None else " ".join(read_gold(str(solution)).casefold().split())
        if not gold or len(gold) > MAX_OCR:
            return Score(None, answer, "gold_unparsable")
        if answer is None:
            return Score(0.0, None, reading.reason or "two_answers")
        if len(answer) > 2 * MAX_OCR:
            return Score(0.0, answer, "too_long")
        given = " ".join(answer.casefold().split())
        similarity = 1 - edit_distance(gold, given) / max(len(gold), len(given))
        if similarity == 1:
            return Score(1.0, answer, "correct")
        return Score(similarity, answer, "close") if similarity >= self.threshold else Score(0.0, answer, "wrong")


counting = Counting()
chart_accuracy = ChartAccuracy()
ocr = OCR()
