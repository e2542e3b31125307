"""Grounding: boxes `[x1, y1, x2, y2]`, sets of them, and points, in the coordinates of the gold.

Nothing is rescaled: the answer and the gold must use the same frame (pixels of the resized picture, or 0 to 1000).
"""

import json
import math
import re
from dataclasses import dataclass
from typing import Any, ClassVar

from open_vr1.rewards.answers import read_answer, read_gold
from open_vr1.rewards.base import Reward, Score
from open_vr1.rewards.quantities import read_quantity, tidy

Box = tuple[float, float, float, float]

MAX_BOXES = 500
MAX_TEXT = 50_000
_FENCE = re.compile(r"```(?:json)?\s*(.*?)\s*```", re.DOTALL)
_NUMBERS = re.compile(r"[\[({]([^\[\](){}]*)[\])}]")
_BOX_KEYS = ("bbox_2d", "bbox", "box")
_REASONS = ("scored", "unreadable", "no_answer_block", "empty_answer", "truncated", "two_answers", "gold_unparsable")


def _numbers(text: str) -> tuple[float, ...] | None:
    """The numbers of "[1, 2, 3, 4]", "(1, 2)" or "(1,2),(3,4)", if the text is nothing else."""
    text = tidy(text[:400])
    groups = _NUMBERS.findall(text)
    if not groups or _NUMBERS.sub("", text).strip("[](){} ,"):
        return None
    quantities = [read_quantity(part.strip()) for group in groups for part in group.split(",")]
    if not all(quantities):
        return None
    return tuple(float(quantity.value) for quantity in quantities)


def _as_box(numbers: Any) -> Box | None:
    """Four finite numbers that span an area."""
    if not isinstance(numbers, (list, tuple)) or len(numbers) != 4:
        return None
    if not all(type(number) in (int, float) and abs(number) < 1e9 for number in numbers):
        return None
    left, top, right, bottom = map(float, numbers)
    return (left, top, right, bottom) if left < right and top < bottom else None


def _load(text: str) -> Any:
    text = text.strip()
    if fenced := _FENCE.fullmatch(text):
        text = fenced[1]
    try:
        return json.loads(text) if len(text) <= MAX_TEXT else None
    except (ValueError, RecursionError):
        return None


def read_box(text: str) -> Box | None:
    """One box, as `[x1, y1, x2, y2]`, `(x1, y1), (x2, y2)` or a JSON object with `bbox_2d`, `bbox` or `box`."""
    value = _load(text)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, dict):
        value = next((value[key] for key in _BOX_KEYS if key in value), None)
    return _as_box(value) or _as_box(_numbers(text))


def read_boxes(text: str) -> list[tuple[Box, str]] | None:
    """A JSON list of boxes or of objects with a box and a `label`; `None` where it is anything else."""
    value = _load(text)
    if isinstance(value, dict) or _as_box(value):
        value = [value]
    if not isinstance(value, list) or len(value) > MAX_BOXES:
        return None
    boxes = []
    for item in value:
        label = ""
        if isinstance(item, dict):
            label = item.get("label", "")
            item = next((item[key] for key in _BOX_KEYS if key in item), None)
        box = _as_box(item)
        if box is None or not isinstance(label, str):
            return None
        boxes.append((box, label.strip().casefold()))
    return boxes


def area(box: Box) -> float:
    return max(box[2] - box[0], 0.0) * max(box[3] - box[1], 0.0)


def iou_of(first: Box, second: Box) -> float:
    """Intersection over union, 0 to 1."""
    overlap = area(
        (max(first[0], second[0]), max(first[1], second[1]), min(first[2], second[2]), min(first[3], second[3]))
    )
    return overlap / (area(first) + area(second) - overlap)


def giou_of(first: Box, second: Box) -> float:
    """IoU minus the empty share of the smallest box around both, -1 to 1 (arXiv 1902.09630)."""
    hull = area(
        (min(first[0], second[0]), min(first[1], second[1]), max(first[2], second[2]), max(first[3], second[3]))
    )
    overlap = area(
        (max(first[0], second[0]), max(first[1], second[1]), min(first[2], second[2]), min(first[3], second[3]))
    )
    union = area(first) + area(second) - overlap
    return overlap / union - (hull - union) / hull


def match_boxes(gold: list[tuple[Box, str]], given: list[tuple[Box, str]], threshold: float) -> float:
    """
    Sum of the IoU of matched pairs over the larger number of boxes; 1 where both are empty.

    Pairs are taken greedily from the highest IoU down; both boxes must have the same label unless the gold has none.
    """
    if not gold or not given:
        return float(not gold and not given)
    pairs = sorted(
        (
            (iou, -i, -j)
            for i, (wanted, label) in enumerate(gold)
            for j, (found, found_label) in enumerate(given)
            if (not label or label == found_label) and (iou := iou_of(wanted, found)) >= threshold
        ),
        reverse=True,
    )
    total, used_gold, used_given = 0.0, set(), set()
    for iou, i, j in pairs:
        if i not in used_gold and j not in used_given:
            total += iou
            used_gold.add(i)
            used_given.add(j)
    return total / max(len(gold), len(given))


@dataclass
class _Grounding(Reward):
    reasons: ClassVar[tuple[str, ...]] = _REASONS
    needs_gold: ClassVar[bool] = True
    worst: ClassVar[float] = 0.0

    def read_gold(self, text: str) -> Any:
        return read_box(text)

    def read(self, text: str) -> Any:
        return read_box(text)

    def value(self, gold: Any, given: Any) -> float:
        raise NotImplementedError

    def score(self, text: str, solution: Any, choices: list[str] | None, tokens: list[int] | None) -> Score:
        reading = read_answer(text)
        answer = reading.candidates[0] if len(reading.candidates) == 1 else None
        gold = None if solution is None else self.read_gold(read_gold(str(solution)))
        if gold is None:
            return Score(None, answer, "gold_unparsable")
        if not reading.candidates:
            return Score(self.worst, None, reading.reason)
        given = [self.read(candidate) for candidate in reading.candidates[:2]]
        if len(given) > 1 and given[0] != given[1] or len(reading.candidates) > 2:
            return Score(self.worst, None, "two_answers")
        if given[0] is None:
            return Score(self.worst, answer, "unreadable")
        return Score(self.value(gold, given[0]), answer, "scored")


@dataclass
class IoU(_Grounding):
    """Intersection over union of the answered box and the gold box; 0 where the answer is no box."""

    __name__: ClassVar[str] = "iou"

    def value(self, gold: Box, given: Box) -> float:
        return iou_of(gold, given)


@dataclass
class GIoU(_Grounding):
    """Generalised IoU, -1 to 1, which still has a slope where the boxes do not touch; -1 where the answer is no box."""

    __name__: ClassVar[str] = "giou"
    worst: ClassVar[float] = -1.0

    def value(self, gold: Box, given: Box) -> float:
        return giou_of(gold, given)


@dataclass
class Detection(_Grounding):
    """
    Set matching of a JSON list of boxes; see `match_boxes`.

    Args:
        threshold (`float`, *optional*, defaults to `0.5`):
            The IoU from which on two boxes can match.
    """

    __name__: ClassVar[str] = "detection"

    threshold: float = 0.5

    def read_gold(self, text: str) -> Any:
        return read_boxes(text)

    def read(self, text: str) -> Any:
        return read_boxes(text)

    def value(self, gold: list, given: list) -> float:
        return match_boxes(gold, given, self.threshold)


@dataclass
class PointInBox(_Grounding):
    """1 where the answered point `(x, y)` lies in the gold box or on its edge, else 0."""

    __name__: ClassVar[str] = "point_in_box"

    def read(self, text: str) -> Any:
        numbers = _numbers(text)
        return numbers if numbers and len(numbers) == 2 and all(map(math.isfinite, numbers)) else None

    def value(self, gold: Box, given: tuple[float, float]) -> float:
        return float(gold[0] <= given[0] <= gold[2] and gold[1] <= given[1] <= gold[3])


iou = IoU()
giou = GIoU()
detection = Detection()
point_in_box = PointInBox()
