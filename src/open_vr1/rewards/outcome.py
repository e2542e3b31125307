"""Right answers and right format: the paper's `hard_format_result`, its Zero variant, and their parts.

The paper rewards 1 if and only if the format is strict and the answer right (section 3.4); its Zero run weighs format and
accuracy 1:1. A gold that cannot be compared with gives `None`, which TRL leaves out of the advantage.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from open_vr1.prompts import ANSWER_CLOSE, ANSWER_OPEN, THINK_CLOSE, THINK_OPEN
from open_vr1.rewards.base import Reward, Score
from open_vr1.rewards.equality import DEFAULT_TOLERANCE
from open_vr1.rewards.formats import FORMAT_REASONS, lenient_format, strict_format
from open_vr1.rewards.verify import REASONS, Verdict, verify


@dataclass
class Accuracy(Reward):
    """
    1 for the right answer, 0 for anything else, wherever `answers.read_answer` finds it.

    Args:
        tolerance (`float`, *optional*, defaults to `1e-6`):
            How far a number may be off, relative to the gold.
    """

    __name__: ClassVar[str] = "accuracy"
    reasons: ClassVar[tuple[str, ...]] = REASONS
    needs_gold: ClassVar[bool] = True

    tolerance: float = DEFAULT_TOLERANCE

    def verdict(self, text: str, solution: Any, choices: list[str] | None, tokens: list[int] | None) -> Verdict:
        return verify(text, solution, choices, self.tolerance, self.cut_off(tokens))

    def score(self, text: str, solution: Any, choices: list[str] | None, tokens: list[int] | None) -> Score:
        verdict = self.verdict(text, solution, choices, tokens)
        return Score(verdict.score, verdict.answer, verdict.reason)


@dataclass
class Format(Reward):
    """
    1 for the strict format, else 0.

    Args:
        allow_empty_think (`bool`, *optional*, defaults to `False`):
            Whether an empty thinking passes.
        think_is_open (`bool`, *optional*, defaults to `False`):
            Whether the chat template ends the prompt with `<think>`.
    """

    __name__: ClassVar[str] = "format"
    reasons: ClassVar[tuple[str, ...]] = FORMAT_REASONS

    allow_empty_think: bool = False
    think_is_open: bool = False

    def score(self, text: str, solution: Any, choices: list[str] | None, tokens: list[int] | None) -> Score:
        reason = strict_format(text, self.allow_empty_think, self.think_is_open)
        return Score(float(reason == "well_formed"), None, reason)


@dataclass
class LenientFormat(Reward):
    """
    1 for a closed thinking and a later answer block, whatever else is there.

    Args:
        think_is_open (`bool`, *optional*, defaults to `False`):
            Whether the chat template ends the prompt with `<think>`.
    """

    __name__: ClassVar[str] = "format_lenient"
    reasons: ClassVar[tuple[str, ...]] = FORMAT_REASONS

    think_is_open: bool = False

    def score(self, text: str, solution: Any, choices: list[str] | None, tokens: list[int] | None) -> Score:
        reason = lenient_format(text, self.think_is_open)
        return Score(float(reason == "well_formed"), None, reason)


@dataclass
class HardFormatResult(Accuracy):
    """
    The paper's reward: 1 if and only if the format is strict and the answer right.

    Args:
        allow_empty_think (`bool`, *optional*, defaults to `False`):
            Whether an empty thinking passes.
        think_is_open (`bool`, *optional*, defaults to `False`):
            Whether the chat template ends the prompt with `<think>`.
    """

    __name__: ClassVar[str] = "hard_format_result"
    reasons: ClassVar[tuple[str, ...]] = (*REASONS, "bad_format")

    allow_empty_think: bool = False
    think_is_open: bool = False

    def score(self, text: str, solution: Any, choices: list[str] | None, tokens: list[int] | None) -> Score:
        verdict = self.verdict(text, solution, choices, tokens)
        if verdict.score != 1.0:
            return Score(verdict.score, verdict.answer, verdict.reason)
        if strict_format(text, self.allow_empty_think, self.think_is_open) != "well_formed":
            return Score(0.0, verdict.answer, "bad_format")
        return Score(1.0, verdict.answer, "correct")


@dataclass
class FormatPlusAccuracy(HardFormatResult):
    """The Zero variant: half for the strict format, half for the right answer."""

    __name__: ClassVar[str] = "format_plus_accuracy"
    reasons: ClassVar[tuple[str, ...]] = REASONS

    def score(self, text: str, solution: Any, choices: list[str] | None, tokens: list[int] | None) -> Score:
        verdict = self.verdict(text, solution, choices, tokens)
        if verdict.score is None:
            return Score(None, verdict.answer, verdict.reason)
        well_formed = strict_format(text, self.allow_empty_think, self.think_is_open) == "well_formed"
        return Score((verdict.score + well_formed) / 2, verdict.answer, verdict.reason)


@dataclass
class TagCount(Reward):
    """A quarter for each of the four tags that appears exactly once."""

    __name__: ClassVar[str] = "tag_count"
    reasons: ClassVar[tuple[str, ...]] = ("all_tags", "some_tags", "no_tags")

    def score(self, text: str, solution: Any, choices: list[str] | None, tokens: list[int] | None) -> Score:
        once = sum(text.count(tag) == 1 for tag in (THINK_OPEN, THINK_CLOSE, ANSWER_OPEN, ANSWER_CLOSE))
        return Score(once / 4, None, "all_tags" if once == 4 else "some_tags" if once else "no_tags")


accuracy = Accuracy()
format = Format()
format_lenient = LenientFormat()
hard_format_result = HardFormatResult()
format_plus_accuracy = FormatPlusAccuracy()
tag_count = TagCount()
