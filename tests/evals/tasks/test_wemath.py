"""We-Math, on rows in the format of lmms_eval/tasks/wemath/reasoning/utils.py."""

import importlib.util
import random

import pytest

from open_vr1.evals.benchmark import prompt_text
from open_vr1.evals.registry import benchmark

from .rows import UNREADABLE, figure_of, said, wemath_row

WEMATH = benchmark("wemath")


def verdict(given: str, **row):
    return WEMATH.score(said(given), WEMATH.read(wemath_row(**row)), None)


def test_a_choice_is_named_by_letter_or_by_text():
    for answer, score in (("B", 1), ("5 m", 1), ("5", 1), ("A", 0), ("4", 0), ("A or B", 0)):
        assert verdict(answer).score == score
    assert prompt_text(WEMATH.read(wemath_row())) == (
        "How large is the garden?\nChoices: A: 3 m B: 5 m C: 7 m D: No correct answer"
    )


@pytest.mark.parametrize("option", [None, "", "nan"])
def test_a_row_without_choices_is_scored_by_letter(option):
    assert verdict("B", option=option).score == 1
    assert verdict("C", option=option).score == 0


@pytest.mark.parametrize("case", UNREADABLE)
def test_an_answer_that_cannot_be_read_is_wrong(case):
    completion, truncated, reason = UNREADABLE[case]
    verdict = WEMATH.score(completion, WEMATH.read(wemath_row()), truncated)
    assert (verdict.score, verdict.reason) == (0.0, reason)


def problem(number: int, steps: str, whole: int | None):
    """The outcomes of a problem, like `problem(1, "10", 1)`: its first step right, its second wrong, the whole right."""
    name = f"{len(steps)}steps_{number}"
    parts = {str(step + 1): right for step, right in enumerate(steps)}
    if whole is not None:
        parts["multi"] = whole
    return [WEMATH.read(wemath_row(name, part)).outcome(float(right)) for part, right in parts.items()]


ASKED = [
    *problem(1, "11", 1),  # Mastered.
    *problem(2, "11", 0),  # Not generalised.
    *problem(3, "10", 1),  # By rote, strictly; mastered, loosely.
    *problem(4, "00", 1),  # By rote.
    *problem(5, "10", 0),  # Not enough known.
    *problem(1, "111", 1),  # Mastered. A name of its own, though its number is taken.
    *problem(2, "110", 1),  # By rote, strictly; mastered, loosely.
    *problem(3, "000", 0),  # Not enough known.
]


def test_the_scores_and_rates_are_those_that_one_works_out_by_hand():
    by_hand = {
        "score_strict": (2 + 1 / 2) / 8,
        "score_loose": (4 + 1 / 2) / 8,
        "IK": 2 / 8,
        "IG": 1 / 8,
        "CM_strict": 2 / 8,
        "RM_strict": 3 / 5,  # Of the five that are right as a whole.
        "CM_loose": 4 / 8,
        "RM_loose": 1 / 5,
        "one_step": (2 + 2 + 1 + 0 + 1 + 3 + 2 + 0) / 19,
        "two_steps": 3 / 5,
        "three_steps": 2 / 3,
        "all_questions": (11 + 3 + 2) / 27,
    }
    assert {name: figure_of(WEMATH, name, ASKED) for name in WEMATH.figures} == pytest.approx(by_hand)


def test_a_problem_that_was_not_asked_whole_and_in_every_step_has_no_class():
    whole_missing, step_missing = problem(6, "11", None), problem(7, "11", 1)[1:]
    for name in ("score_strict", "score_loose", "IK", "IG", "CM_strict", "RM_loose"):
        assert figure_of(WEMATH, name, [*ASKED, *whole_missing, *step_missing]) == figure_of(WEMATH, name, ASKED)
        assert figure_of(WEMATH, name, whole_missing) is None
    assert figure_of(WEMATH, "one_step", whole_missing) == 1


def test_nothing_right_as_a_whole_leaves_rote_memorisation_out():
    nothing = [*problem(1, "11", 0), *problem(2, "00", 0)]
    assert figure_of(WEMATH, "RM_strict", nothing) is None
    assert figure_of(WEMATH, "score_strict", nothing) == 1 / 4


@pytest.mark.skipif(importlib.util.find_spec("lmms_eval") is None, reason="needs the eval extra")
@pytest.mark.parametrize("share", [0.3, 0.7, 0.95])
def test_the_authors_own_sums_agree_on_the_whole_set(share):
    """Their sums are over 360 problems of two steps and 165 of three, which is all of testmini."""
    import pandas as pd
    from lmms_eval.tasks.wemath import wemath_utils as theirs

    chance = random.Random(share)
    rows, outcomes = [], []
    for steps, count in ((2, 360), (3, 165)):
        for number in range(count):
            for part in (*map(str, range(1, steps + 1)), "multi"):
                row = wemath_row(f"{steps}steps_{number}", part, image_path=None)
                right = chance.random() < share
                rows.append({**row, "joker": right})
                outcomes.append(WEMATH.read(row).outcome(float(right)))
    table = pd.DataFrame(rows)
    merged = [
        theirs.process_steps_data(table[table["key"].str.startswith(f"{steps}steps")].copy(), steps)
        for steps in (2, 3)
    ]
    counts, rates = theirs.compute_final_scores(theirs.calculate_metrics(*merged), 525)
    reported = theirs.update_main_results_df(counts, rates)
    for name, key in {
        "score_strict": "Score (Strict)",
        "score_loose": "Score (Loose)",
        "IK": "InsufficientKnowledge (Strict)",
        "IG": "InadequateGeneralization (Loose)",
        "CM_strict": "CompleteMastery (Strict)",
        "RM_strict": "RoteMemorization (Strict)",
        "CM_loose": "CompleteMastery (Loose)",
        "RM_loose": "RoteMemorization (Loose)",
    }.items():
        assert f"{figure_of(WEMATH, name, outcomes):.2%}" == reported[key].split()[0]
