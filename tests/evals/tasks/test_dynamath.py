"""DynaMath, on rows in the format of lmms_eval/tasks/dynamath/reasoning/utils.py."""

import pytest

from open_vr1.evals.benchmark import prompt_text
from open_vr1.evals.figures import estimate
from open_vr1.evals.registry import benchmark
from open_vr1.evals.tasks.dynamath import VARIANTS

from .rows import UNREADABLE, dynamath_row, figure_of, said

DYNAMATH = benchmark("dynamath")
CHOICES = {
    "question": "Which city has more rain? Choices: (A) Bergen (B) Lima (C) Cairo",
    "ground_truth": "A",
    "answer_type": "multiple choice",
}
TEXT = {"answer_type": "text"}


def verdict(given: str, **row):
    return DYNAMATH.score(said(given), DYNAMATH.read(dynamath_row(**row)), None)


@pytest.mark.parametrize(
    ("answer", "row"),
    [
        ("2.0944", {}),
        ("2.095", {}),
        ("\\frac{2\\pi}{3}", {}),
        ("2.094", {"answer_type": None}),
        ("0.0003", {"ground_truth": "0"}),
        ("12", {"ground_truth": 12}),
        ("A", CHOICES),
        ("(A) Bergen", CHOICES),
        ("Bergen", CHOICES),
        ("C", {**CHOICES, "question": "Which? choice: (A) (B) (C) (D)", "ground_truth": "C"}),
        ("Oct", {**TEXT, "ground_truth": "Oct"}),
        ("6:20", {**TEXT, "ground_truth": "6:20"}),
        ("(-1.503, 2.251)", {**TEXT, "ground_truth": "(-1.503, 2.251)"}),
        ("12, 7, 30", {**TEXT, "ground_truth": "12, 7, 30"}),
    ],
)
def test_right_answers(answer, row):
    assert verdict(answer, **row).score == 1


@pytest.mark.parametrize(
    ("answer", "row"),
    [
        ("2.1", {}),
        ("2.0956", {}),
        ("0.01", {"ground_truth": "0"}),
        ("Lima", CHOICES),
        ("Because", CHOICES),
        ("o", {**TEXT, "ground_truth": "Oct"}),  # The authors' rule takes any part of the gold.
        ("310.0005", {**TEXT, "ground_truth": "310"}),
    ],
)
def test_wrong_answers(answer, row):
    assert verdict(answer, **row).score == 0


@pytest.mark.parametrize("case", UNREADABLE)
@pytest.mark.parametrize("row", [{}, CHOICES, {"ground_truth": "0"}])
def test_an_answer_that_cannot_be_read_is_wrong(case, row):
    completion, truncated, reason = UNREADABLE[case]
    verdict = DYNAMATH.score(completion, DYNAMATH.read(dynamath_row(**row)), truncated)
    assert (verdict.score, verdict.reason) == (0.0, reason)


def test_choices_in_the_words_are_lettered_as_in_training():
    words = prompt_text(DYNAMATH.read(dynamath_row(**CHOICES)))
    assert words == "Which city has more rain?\nChoices: A: Bergen B: Lima C: Cairo"


def test_the_authors_gave_no_words_of_their_own():
    with pytest.raises(ValueError, match="trained"):
        prompt_text(DYNAMATH.read(dynamath_row()), "official")


def variants(seed: int, right: int, of: int = VARIANTS, **row):
    return [DYNAMATH.read(dynamath_row(seed, variant, **row)).outcome(float(variant < right)) for variant in range(of)]


def test_the_average_is_over_variants_and_the_worst_case_over_seed_questions():
    asked = variants(1, 10) + variants(2, 9) + variants(3, 0) + variants(4, 10, subject="Algebra")
    assert figure_of(DYNAMATH, "accuracy", asked) == pytest.approx((10 + 9 + 0 + 10) / 40)
    assert figure_of(DYNAMATH, "worst_case", asked) == 2 / 4
    assert figure_of(DYNAMATH, "algebra", asked) == 1
    assert figure_of(DYNAMATH, "analytic_geometry", asked) == pytest.approx(19 / 30)
    assert figure_of(DYNAMATH, "high_school", asked) == pytest.approx(29 / 40)
    assert figure_of(DYNAMATH, "undergraduate", asked) is None


def test_a_seed_question_of_which_variants_are_missing_has_no_worst_case():
    asked = variants(1, 10) + variants(2, 3, of=3)
    assert figure_of(DYNAMATH, "worst_case", asked) == 1 / 1
    assert figure_of(DYNAMATH, "accuracy", asked) == 13 / 13
    assert figure_of(DYNAMATH, "worst_case", variants(2, 3, of=3)) is None


def test_rows_without_the_columns_that_nobody_verified_are_read_too():
    bare = {key: dynamath_row()[key] for key in ("id", "question_id", "question", "ground_truth")}
    question = DYNAMATH.read(bare)
    assert DYNAMATH.score(said("2.0941"), question, None).score == 1
    assert figure_of(DYNAMATH, "accuracy", [question.outcome(1.0)]) == 1
    assert figure_of(DYNAMATH, "algebra", [question.outcome(1.0)]) is None


@pytest.mark.parametrize("numbered", [("1_1", "1_2"), (1, 2)])
def test_variants_have_names_of_their_own_however_they_are_numbered(numbered):
    questions = [DYNAMATH.read(dynamath_row(seed, question_id=number)) for seed in (1, 2) for number in numbered]
    assert len({question.id for question in questions}) == 4
    assert [question.family for question in questions] == ["1", "1", "2", "2"]


def test_the_interval_knows_that_variants_stand_and_fall_together():
    together = estimate(DYNAMATH.figures["accuracy"], [variants(1, 10) + variants(2, 0) + variants(3, 10)])
    apart = estimate(DYNAMATH.figures["accuracy"], [[*variants(1, 7), *variants(2, 6), *variants(3, 7)]])
    assert together.value == apart.value
    assert together.high - together.low > apart.high - apart.low
