"""A fixed distance from the gold, and apart from that the verifier."""

import pytest

from open_vr1.evals.benchmark import Question
from open_vr1.evals.tolerance import verify_within
from tests.evals.tasks.rows import UNREADABLE, said


def verdict(gold: object, answer: str, absolute: float = 0.001):
    return verify_within(absolute, said(answer), Question("1", "How much?", gold))


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("2.0944", "2.095"),
        ("2.0944", "2\\pi/3"),
        ("100.5", "100.501"),
        ("-4.25", "-4.249"),
        ("0", "0.001"),
        ("0.0", "-0.0005"),
        (12.5, "12.5 cm"),
        ("2\\sqrt{2}", "2.829"),
        ("0.6667", "2/3"),
        ("50%", "0.5"),
    ],
)
def test_a_number_within_the_distance_is_right(gold, answer):
    assert verdict(gold, answer).score == 1


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("2.0944", "2.0966"),
        ("100.5", "100.502"),
        ("0", "0.002"),
        ("0", "zero or one"),
        ("-4.25", "4.25"),
        ("2\\sqrt{2}", "2.831"),
        ("5 cm", "5.0001 m"),
        ("1.5", "1.5 or 1.6"),
    ],
)
def test_one_beyond_it_is_not(gold, answer):
    assert verdict(gold, answer).score == 0


def test_the_distance_does_not_grow_with_the_gold():
    assert verdict("100000", "100000.0009").score == 1
    assert verdict("100000", "100000.002").score == 0


def test_what_is_no_number_is_compared_as_ever():
    assert verdict("Oct", "october").score == 0
    assert verdict("Oct", "oct").score == 1
    assert verdict("", "5").reason == "gold_unparsable"


@pytest.mark.parametrize("case", UNREADABLE)
def test_an_answer_that_cannot_be_read_keeps_its_reason(case):
    completion, truncated, reason = UNREADABLE[case]
    verdict = verify_within(0.001, completion, Question("1", "How much?", "0"), truncated)
    assert (verdict.score, verdict.reason) == (0.0, reason)
