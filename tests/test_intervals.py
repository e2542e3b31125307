"""Intervals: the textbook's where there is one, and as wide as they say where there is none."""

import numpy as np
import pytest

from open_vr1.intervals import paired_difference, pooled_accuracy, student_t, wilson_interval


def test_students_t_is_the_tables():
    table = {1: 12.706, 2: 4.303, 3: 3.182, 5: 2.571, 10: 2.228, 30: 2.042, 1000: 1.962}
    assert all(student_t(freedom) == pytest.approx(value, abs=0.02) for freedom, value in table.items())


def test_one_run_alone_has_wilsons_interval():
    right = np.array([[1] * 60 + [0] * 40])
    found = pooled_accuracy(right)
    assert found.value == 0.6
    assert (found.low, found.high) == pytest.approx(wilson_interval(0.6, 100), abs=0.003)


def test_runs_that_give_the_same_answers_are_one_run():
    answers = np.random.default_rng(0).random(500) < 0.7
    one, three = pooled_accuracy(answers[None]), pooled_accuracy(np.tile(answers, (3, 1)))
    assert three.high - three.low == pytest.approx(one.high - one.low, rel=0.02)


def test_seeds_that_differ_widen_the_interval():
    alike = np.tile([1] * 70 + [0] * 30, (3, 10))
    apart = np.array([[1] * right + [0] * (1000 - right) for right in (550, 700, 850)])
    reach = [found.high - found.low for found in map(pooled_accuracy, (alike, apart))]
    # Two degrees of freedom: 4.3 standard errors of 0.15 / sqrt(3) on either side, kept between 0 and 1.
    assert reach[0] < 0.06 and reach[1] > 0.5


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_all_right_and_all_wrong_still_have_an_interval(share):
    found = pooled_accuracy(np.full((3, 50), share))
    assert 0 <= found.low <= found.high <= 1 and found.high - found.low > 0.02
    assert min(abs(found.low - share), abs(found.high - share)) < 1e-9


def runs(rng, hardness, lift, spread):
    """Three runs of which each question is as hard for all and each run a little better or worse."""
    logits = lift + hardness + rng.normal(0, spread, (3, 1)) + rng.normal(0, 0.7, (3, hardness.size))
    return rng.random(logits.shape) < 1 / (1 + np.exp(-logits))


def test_no_difference_is_seen_about_one_time_in_twenty_and_a_large_one_always():
    rng = np.random.default_rng(0)
    seen = {0.0: 0, 2.0: 0}
    for lift in seen:
        for _ in range(200):
            hardness = rng.normal(0, 1.5, 400)
            pair = [runs(rng, hardness, rise, spread=0.15) for rise in (lift, 0.0)]
            seen[lift] += paired_difference(*pair).excludes_zero
    assert seen[0.0] <= 20 and seen[2.0] == 200


def test_questions_shared_by_both_make_a_difference_surer_than_the_two_intervals():
    rng = np.random.default_rng(1)
    answers = rng.random((1, 1000)) < 0.6
    better = answers | (rng.random((1, 1000)) < 0.08)
    first, second, difference = pooled_accuracy(better), pooled_accuracy(answers), paired_difference(better, answers)
    assert first.low < second.high and difference.excludes_zero
    assert difference.value == pytest.approx(first.value - second.value)
