"""The statistics of a comparison: small cases by hand, and how often the test cries wolf."""

from itertools import product

import numpy as np
import pytest

from open_vr1.evals.compare.statistics import (
    average,
    by_length,
    difference,
    drawn,
    family_parts,
    holm,
    length_edges,
    paired_test,
    sign_test,
)
from open_vr1.evals.figures import Outcome, average_over, mean, worst_of_family


def outcomes(scores, families=None, kinds=None):
    return [
        Outcome(
            str(index),
            str(families[index] if families else index),
            {"kind": (kinds[index],)} if kinds else {},
            float(score),
        )
        for index, score in enumerate(scores)
    ]


def test_mcnemar_by_hand():
    # 1 of 8 questions on which they differ went the other way: 2 * (1 + 8) / 256.
    parts = np.array([1, 1, 1, 1, 1, 1, 1, -1, 0, 0, 0]) / 11
    assert paired_test(parts) == (pytest.approx(18 / 256), "McNemar's exact test")
    assert sign_test(3, 3) == pytest.approx(0.25)
    assert sign_test(2, 4) == 1.0
    assert paired_test(np.zeros(5))[0] == 1.0


def test_mcnemar_of_thousands_of_questions_is_exact_and_quick():
    assert sign_test(2500, 5000) == 1.0
    # The normal approximation, with a correction for continuity: z = (150 - 0.5) / sqrt(1250).
    assert sign_test(2350, 5000) == pytest.approx(2.35e-5, rel=0.05)


def test_sign_flips_of_unequal_parts_are_counted():
    parts = np.array([0.5, 0.25, 0.25, -0.1])
    signs = np.array(list(product((1, -1), repeat=4)))
    by_hand = (np.abs(signs @ parts) >= parts.sum() - 1e-9).mean()
    assert paired_test(parts) == (pytest.approx(by_hand), "exact sign flips of families")


def test_sampled_sign_flips_agree_with_the_exact_distribution():
    sizes = np.repeat([1, 2, 3], 20)
    signs = np.where(np.random.default_rng(0).random(60) < 0.62, 1, -1)
    # The distribution of the sum, by adding one part after the other.
    chances = {0: 1.0}
    for size in sizes:
        added = {}
        for total, chance in chances.items():
            for sign in (1, -1):
                added[total + sign * size] = added.get(total + sign * size, 0.0) + chance / 2
        chances = added
    total = abs((sizes * signs).sum())
    exact = sum(chance for sum_, chance in chances.items() if abs(sum_) >= total)
    sampled, name = paired_test(sizes * signs * 1.0)
    assert 0.01 < exact < 0.5 and "20,000" in name
    assert sampled == pytest.approx(exact, abs=0.012)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []


@pytest.mark.parametrize("sizes", [(1,), (1, 3)], ids=["one question a family", "families of one to three"])
def test_models_that_are_alike_are_told_apart_no_more_often_than_the_level(sizes):
    random = np.random.default_rng(1)
    found, tries = 0, 400
    for _ in range(tries):
        families = [family for family in range(60) for _ in range(random.choice(sizes))]
        # How hard a family is, is common to both models, and each has its own luck with a whole family.
        hard = random.random(60)
        scores = [(random.random(60) < hard) ^ (random.random(60) < 0.2) for _ in range(2)]
        first, model = (family_parts(mean(), [outcomes(own[families], families)]) for own in scores)
        found += paired_test(np.array([model[key] - first[key] for key in first]))[0] < 0.05
    # 400 throws at 5% are above 33 twice in a thousand such tests.
    assert found <= 33


def test_a_real_difference_is_found():
    random = np.random.default_rng(2)
    first = (random.random(400) < 0.5).astype(float)
    model = np.maximum(first, random.random(400) < 0.2)
    found = difference(*(drawn(mean(), [outcomes(scores)]) for scores in (model, first)))
    assert found.estimate.value == pytest.approx((model - first).mean())
    assert found.estimate.low > 0 and found.p < 1e-6 and found.families == 400


@pytest.mark.parametrize("shift", [0.0, 0.1])
def test_the_interval_of_a_difference_covers_it(shift):
    random = np.random.default_rng(3)
    covered, tries = 0, 40
    for _ in range(tries):
        first = random.random(150) < 0.5
        model = first ^ (random.random(150) < 0.2)
        model = model | (~first & (random.random(150) < shift / 0.4))
        # Of the wrong half, a fifth turned right by luck; of the rest, shift / 0.4 more do.
        true = 0.5 * 0.8 * shift / 0.4
        estimate = difference(*(drawn(mean(), [outcomes(scores)]) for scores in (model, first))).estimate
        covered += estimate.low <= true <= estimate.high
    assert covered >= 33  # Fewer than 33 of 40 at 95% would be seen once in a thousand such tests.


def test_two_models_that_answer_alike_may_still_differ_a_little():
    same = drawn(mean(), [outcomes([1, 0, 1, 1])])
    found = difference(same, same)
    assert found.p == 1.0 and found.estimate.value == 0
    assert found.estimate.low < 0 < found.estimate.high < 1


@pytest.mark.parametrize("figure", [mean(), average_over("kind"), worst_of_family()], ids=["mean", "groups", "worst"])
def test_the_parts_of_families_add_up_to_the_figure(figure):
    random = np.random.default_rng(4)
    families = list(np.repeat(range(20), 3))
    kinds = [("a", "b", "b")[family % 3] for family in families]
    answers = [outcomes(random.integers(0, 2, 60), families, kinds) for _ in range(2)]
    whole = drawn(figure, answers)
    assert sum(whole.parts.values()) == pytest.approx(whole.value)
    both = average([("x", whole), ("y", drawn(mean(), answers))])
    assert sum(both.parts.values()) == pytest.approx(both.value)


def test_asking_more_often_counts_as_one_question():
    # Two answers to each of two questions, right twice and once: parts of 2/4 and 1/4.
    answers = [outcomes([1, 1]), outcomes([1, 0])]
    assert family_parts(mean(), answers) == pytest.approx({"0": 0.5, "1": 0.25})


def test_buckets_hold_every_answer_once_and_their_accuracy():
    lengths = [5, 10, 10, 200, 300, 999]
    edges = length_edges(lengths, buckets=3)
    rows = list(zip(lengths, outcomes([1, 1, 0, 1, 0, 0]), strict=True))
    found = by_length(rows, edges)
    assert edges[0] == 0 and sum(bucket.count for bucket in found) == len(lengths)
    assert by_length(rows, [0, 100])[0].accuracy.value == pytest.approx(2 / 3)
    assert by_length(rows, [0, 100])[0].words == "0 to 99" and by_length(rows, [0, 100])[1].words == "100 or more"
    assert by_length(rows, [0, 2000])[1].accuracy is None
    assert length_edges([]) == [0] and length_edges([7, 7, 7]) == [0]
