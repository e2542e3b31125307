"""The one verifier: is this completion's answer the gold? Shared by the rewards, the cold-data filter and evaluation.

    verify("<think> … </think><answer> Final Answer:option B </answer>", "45°", ["30°", "45°"]).reason == "correct"

It differs from the paper, whose reward code was never released, in that it is defined: docs/rewards.md has what counts as
equal. It never raises on anything a model writes, and a gold that cannot be compared with scores `None`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from open_vr1.rewards.answers import read_answer, read_gold
from open_vr1.rewards.equality import DEFAULT_TOLERANCE, compare, gold_is_readable, kind_of
from open_vr1.rewards.letters import compare_choice, gold_letter
from open_vr1.rewards.quantities import tidy

MAX_ANSWER = 4000
MAX_GOLD = 20_000
MAX_CANDIDATES = 8

REASONS = (
    "correct",
    "wrong",
    "unreadable",
    "no_answer_block",
    "empty_answer",
    "truncated",
    "two_answers",
    "too_long",
    "timeout",
    "crashed",
    "gold_unparsable",
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    What the verifier says of one completion.

    Args:
        score (`float`, *optional*):
            1 or 0, or `None` where the gold cannot be compared with.
        answer (`str`, *optional*):
            The answer that was read, if there is exactly one.
        reason (`str`):
            One of `REASONS`.
    """

    score: float | None
    answer: str | None
    reason: str


def verify(
    completion: str,
    gold: object,
    choices: Sequence[str] | None = None,
    tolerance: float = DEFAULT_TOLERANCE,
    truncated: bool | None = None,
) -> Verdict:
    """
    Read a completion's answer and compare it with the gold.

    Args:
        completion (`str`):
            What the model wrote, with its tags.
        gold (`object`):
            The row's solution: text, or a number.
        choices (`Sequence[str]`, *optional*):
            The texts of the choices, first A, then B and so on.
        tolerance (`float`, *optional*, defaults to `1e-6`):
            How far a number may be off, relative to the gold.
        truncated (`bool`, *optional*):
            Whether generation stopped at the length limit; `None` where nobody knows, and an open tag then tells.
    """
    reading = read_answer(completion)
    usable_gold = read_usable_gold(gold, choices)
    if not reading.candidates:
        reason = reading.reason
        if reason == "truncated" and truncated is False or reason == "no_answer_block" and truncated:
            reason = "no_answer_block" if truncated is False else "truncated"
        return Verdict(
            None if usable_gold is None else 0.0, None, "gold_unparsable" if usable_gold is None else reason
        )
    answer = reading.candidates[0] if len(reading.candidates) == 1 else None
    if usable_gold is None:
        return Verdict(None, answer, "gold_unparsable")
    if len(reading.candidates) > MAX_CANDIDATES:
        return Verdict(0.0, None, "two_answers")
    if len(reading.candidates) > 1 and usable_gold[1] is None and kind_of(usable_gold[0]) == "list":
        answer = ", ".join(reading.candidates)  # The elements of one answer, each in a box of its own.
        reason = compare_answer(answer, gold, choices, tolerance)
        return Verdict(1.0, answer, reason) if reason == "correct" else Verdict(0.0, None, "two_answers")
    reasons = [compare_answer(candidate, gold, choices, tolerance) for candidate in reading.candidates]
    if all(reason == "correct" for reason in reasons):
        return Verdict(1.0, reading.candidates[0], "correct")
    if len(reasons) > 1:
        return Verdict(0.0, None, "two_answers")
    return Verdict(0.0, None if reasons[0] == "two_answers" else answer, reasons[0])


def compare_answer(
    answer: str, gold: object, choices: Sequence[str] | None = None, tolerance: float = DEFAULT_TOLERANCE
) -> str:
    """Compare an answer that has been read already with the gold; the result is one of `REASONS`."""
    usable_gold = read_usable_gold(gold, choices)
    if usable_gold is None:
        return "gold_unparsable"
    text, letter = usable_gold
    if len(answer) > MAX_ANSWER and answer != text:
        return "too_long"
    answer = tidy(answer)
    if not answer:
        return "empty_answer"
    if letter is not None:
        return compare_choice(letter, answer, _as_texts(choices))
    listed = _as_texts(choices)
    if listed and isinstance(named := gold_letter(answer, listed), int) and len(answer) == 1:
        answer = tidy(listed[named])
    return compare(text, answer, tolerance)


def read_usable_gold(gold: object, choices: Sequence[str] | None = None) -> tuple[str, int | None] | None:
    """The tidied gold and, where it names a choice, the choice's index; `None` where nothing can be compared with it."""
    return None if gold is None else _usable_gold(str(gold), _as_texts(choices))


@lru_cache(maxsize=8192)
def _usable_gold(gold: str, choices: tuple[str, ...]) -> tuple[str, int | None] | None:
    text = tidy(read_gold(gold)) if len(gold) <= MAX_GOLD else ""
    if not text:
        return None
    letter = gold_letter(text, choices)
    if letter is None and not gold_is_readable(text):
        return None
    return text, letter


def _as_texts(choices: Sequence[str] | None) -> tuple[str, ...]:
    return tuple(str(choice) for choice in choices) if choices is not None and len(choices) else ()
