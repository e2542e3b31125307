"""Figures equal what they are by hand, and their intervals cover the truth as often as they say."""

import numpy as np
import pytest

from open_vr1.evals.figures import (
    Outcome,
    average_of,
    average_over,
    count,
    draw,
    estimate,
    groups_of,
    mean,
    worst_of_family,
)

RUNS = 2000


def outcomes(scores, families=None, groups=None):
    return [
        Outcome(str(i), families[i] if families else str(i), groups[i] if groups else {}, float(score))
        for i, score in enumerate(scores)
    ]


def test_a_mean_is_of_all_questions_or_of_those_in_a_group():
    asked = outcomes([1, 0, 1, 1], groups=[{"skill": ("a", "b")}, {"skill": ("a",)}, {"skill": ("b",)}, {}])
    assert estimate(mean(), [asked]).value == 3 / 4
    assert estimate(mean("skill", "a"), [asked]).value == 1 / 2
    assert estimate(mean("skill", "b"), [asked]).value == 2 / 2
    assert estimate(mean("skill", "a", "b"), [asked]).value == 2 / 3
    assert [count(mean("skill", name), asked) for name in ("a", "b", "c")] == [2, 2, 0]


def test_a_figure_of_no_question_has_no_families():
    assert draw(mean("skill", "c"), [outcomes([1])])[2] == 0


def test_an_average_over_groups_counts_each_group_once():
    asked = outcomes([1, 1, 1, 0], groups=[{"version": (name,)} for name in ("x", "x", "x", "y")])
    assert estimate(average_over("version"), [asked]).value == (3 / 3 + 0 / 1) / 2
    assert estimate(average_over("version", "x"), [asked]).value == 1.0
    # Of the rest it would be another figure.
    assert draw(average_over("version", "y", "missing"), [asked])[2] == 0


def test_the_worst_case_needs_every_variant():
    asked = outcomes([1, 1, 1, 0, 0, 0], families=["p", "p", "q", "q", "r", "r"])
    assert estimate(worst_of_family(), [asked]).value == 1 / 3 and count(worst_of_family(), asked) == 3


def test_several_answers_to_a_question_are_averaged_and_make_no_more_questions():
    one, other = outcomes([1, 0, 1, 0] * 25), outcomes([1, 1, 1, 0] * 25)
    assert estimate(mean(), [one, other]).value == pytest.approx(0.625)
    assert estimate(worst_of_family(), [one, other]).value == pytest.approx(0.625)
    same = estimate(mean(), [one] * 8)
    assert (same.low, same.high) == (estimate(mean(), [one]).low, estimate(mean(), [one]).high)


def test_variants_of_one_problem_widen_the_interval():
    scores = [float(i % 2) for i in range(100) for _ in range(6)]
    alone = estimate(mean(), [outcomes(scores)])
    together = estimate(mean(), [outcomes(scores, families=[str(i // 6) for i in range(600)])])
    assert alone.value == together.value
    assert together.high - together.low == pytest.approx(np.sqrt(6) * (alone.high - alone.low), rel=0.1)


@pytest.mark.parametrize("score", [0, 1])
def test_all_right_or_all_wrong_is_not_certain(score):
    figure = estimate(mean(), [outcomes([score] * 20)])
    assert figure.value == score and figure.high - figure.low == pytest.approx(0.161, abs=0.001)


def test_an_average_of_benchmarks_counts_each_once():
    many, few = draw(mean(), [outcomes([1] * 30 + [0] * 10)]), draw(mean(), [outcomes([1, 0])])
    average = average_of([many, few])
    assert average.value == (0.75 + 0.5) / 2 and average.low < average.value < average.high


def test_groups_are_names_however_a_row_has_them():
    assert groups_of({"a": "x", "b": ["y", 1], "c": None, "d": "", "e": 2}) == {
        "a": ("x",),
        "b": ("y", "1"),
        "e": ("2",),
    }


# ----- Coverage: the truth is what a run on endlessly many questions would have


def plain(share):
    return lambda random: [outcomes(random.random(300) < share)]


def several_answers(random):
    chance = random.beta(0.8, 0.6, size=250)
    return [outcomes(random.random(250) < chance) for _ in range(4)]


def pairs(random):
    """Two variants that are right together with chance p, drawn evenly: one is with 1/2, both are with 1/3."""
    chance = np.repeat(random.random(200), 2)
    return [outcomes(random.random(400) < chance, families=[str(i // 2) for i in range(400)])]


@pytest.mark.soak(sample=2)
@pytest.mark.parametrize(
    ("simulate", "figure", "truth"),
    [
        (plain(0.5), mean(), 0.5),
        (plain(0.7), mean(), 0.7),
        (plain(0.9), mean(), 0.9),
        (several_answers, mean(), 0.8 / 1.4),
        (pairs, mean(), 1 / 2),
        (pairs, worst_of_family(), 1 / 3),
    ],
    ids=["half", "most", "nearly all", "four answers each", "pairs", "worst of pairs"],
)
def test_the_interval_covers_the_truth(simulate, figure, truth):
    random, hits = np.random.default_rng(7), 0
    for _ in range(RUNS):
        interval = estimate(figure, simulate(random))
        hits += interval.low <= truth <= interval.high
    print(f"covered {hits / RUNS:.4f}")
    assert 0.93 <= hits / RUNS <= 0.97
