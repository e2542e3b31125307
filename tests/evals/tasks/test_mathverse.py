"""MathVerse, on rows in the format of lmms_eval/tasks/mathverse/utils.py."""

import pytest

from open_vr1.evals.benchmark import messages, prompt_text
from open_vr1.evals.registry import benchmark
from open_vr1.evals.tasks.mathverse import NO_WORDS, VERSIONS

from .rows import UNREADABLE, figure_of, mathverse_row, said

MATHVERSE = benchmark("mathverse")
FREE = {"question": "Find the length.", "question_for_eval": "Find the length.", "question_type": "free-form"}


def verdict(given: str, version: str = "Text Dominant", **row):
    return MATHVERSE.score(said(given), MATHVERSE.read(mathverse_row(version, **row)), None)


@pytest.mark.parametrize(
    ("answer", "row"),
    [
        ("B", {}),
        ("60°", {}),
        ("B: 60", {}),
        ("B", {"answer": "(B)"}),
        ("B", {"answer": "60°"}),
        ("C, A", {"answer": "A\nC"}),
        ("A and C", {"answer": "A\nC"}),
        ("20.46", {**FREE, "answer": "Border $=20.46 \\mathrm{~cm}$"}),
        ("20.46 cm", {**FREE, "answer": "Border $=20.46 \\mathrm{~cm}$"}),
        ("(1, 2)", {**FREE, "answer": "$=(1,2)$"}),
        ("1.25", {**FREE, "answer": "=\\frac{5}{4}"}),
        ("17%", {**FREE, "answer": "$17 \\%$"}),
        ("\\sqrt{50}", {**FREE, "answer": "5\\sqrt{2}"}),
        ("Ada", {**FREE, "answer": "Ada"}),
    ],
)
def test_right_answers(answer, row):
    assert verdict(answer, **row).score == 1


@pytest.mark.parametrize(
    ("answer", "row"),
    [
        ("A", {}),
        ("80°", {}),
        ("Because of B", {}),
        ("A", {"answer": "A\nC"}),
        ("A, B, C", {"answer": "A\nC"}),
        ("20.46 m", {**FREE, "answer": "Border $=20.46 \\mathrm{~cm}$"}),
        ("20.5", {**FREE, "answer": "20.46"}),
    ],
)
def test_wrong_answers(answer, row):
    assert verdict(answer, **row).score == 0


def test_a_gold_that_cannot_be_compared_with_is_not_scored():
    gold = "domain: (-\\infty, 2] and range: [3, \\infty)"
    assert verdict("1", **FREE, answer=gold).reason == "gold_unparsable"


@pytest.mark.parametrize("case", UNREADABLE)
def test_an_answer_that_cannot_be_read_is_wrong(case):
    completion, truncated, reason = UNREADABLE[case]
    verdict = MATHVERSE.score(completion, MATHVERSE.read(mathverse_row()), truncated)
    assert (verdict.score, verdict.reason) == (0.0, reason)


def test_choices_are_lettered_as_in_training_and_the_official_words_are_the_authors():
    row = mathverse_row()
    words = "In triangle ABC, angle A is 80°. How large is angle B?\nChoices: A: 40° B: 60° C: 100° D: 140°"
    assert prompt_text(MATHVERSE.read(row)) == words
    assert prompt_text(MATHVERSE.read(row), "official") == row["query_cot"]


@pytest.mark.parametrize("words", ["", None])
def test_a_vision_only_question_has_everything_in_its_picture(words):
    row = mathverse_row("Vision Only", question=words)
    question = MATHVERSE.read(row)
    assert prompt_text(question) == NO_WORDS  # Neither the question nor a choice leaks out of `question_for_eval`.
    (message,) = messages(question, MATHVERSE.pictures(row))
    assert [part["type"] for part in message["content"]] == ["image", "text"]
    for answer, score in (("B", 1), ("60", 1), ("C", 0), ("100°", 0)):
        assert verdict(answer, "Vision Only", question=words).score == score


def test_a_vision_only_row_without_the_words_to_judge_by_is_scored_by_letter():
    row = {"question": "", "question_for_eval": None}
    assert verdict("B", "Vision Only", **row).score == 1
    assert verdict("C", "Vision Only", **row).score == 0


@pytest.mark.parametrize("no_picture", ["", None])
def test_text_only_has_no_picture(no_picture):
    text_only = benchmark("mathverse_text_only")
    row = mathverse_row("Text Only", image=no_picture)
    (message,) = messages(text_only.read(row), text_only.pictures(row))
    assert [part["type"] for part in message["content"]] == ["text"]
    assert figure_of(text_only, "text_only", [text_only.read(row).outcome(1.0)]) == 1


RIGHT = {  # Of two problems, by version.
    "Text Dominant": (1, 1),
    "Text Lite": (1, 0),
    "Vision Intensive": (1, 0),
    "Vision Dominant": (0, 0),
    "Vision Only": (0,),  # The second problem was not asked so: the averages part.
    "Text Only": (1, 1),
}


def outcomes(*versions: str):
    return [
        MATHVERSE.read(mathverse_row(version, problem_index=str(problem))).outcome(float(score))
        for version in versions
        for problem, score in enumerate(RIGHT[version])
    ]


def test_every_average_that_is_called_mathverse_has_a_name_of_its_own():
    by_hand = {
        "accuracy": (2 + 1 + 1 + 0 + 0) / 9,
        "text_dominant": 1.0,
        "text_lite": 0.5,
        "vision_intensive": 0.5,
        "vision_dominant": 0.0,
        "vision_only": 0.0,
        "text_only": 1.0,
        "average_of_five_versions": (1.0 + 0.5 + 0.5 + 0.0 + 0.0) / 5,
        "average_of_six_versions": (1.0 + 0.5 + 0.5 + 0.0 + 0.0 + 1.0) / 6,
        "all_questions": (2 + 1 + 1 + 0 + 0 + 2) / 11,
        "plane_geometry": (2 + 1 + 1 + 0 + 0 + 2) / 11,
        "solid_geometry": None,
        "functions": None,
    }
    asked = outcomes(*VERSIONS.values())
    assert {name: figure_of(MATHVERSE, name, asked) for name in MATHVERSE.figures} == pytest.approx(by_hand)


def test_an_average_of_which_a_version_is_missing_is_left_out():
    asked = outcomes("Text Dominant", "Text Lite", "Vision Intensive", "Vision Dominant", "Vision Only")
    assert figure_of(MATHVERSE, "average_of_six_versions", asked) is None
    assert figure_of(MATHVERSE, "average_of_five_versions", asked) == pytest.approx(2 / 5)
    fewer = outcomes("Text Dominant", "Vision Only")
    assert figure_of(MATHVERSE, "average_of_five_versions", fewer) is None
    assert figure_of(MATHVERSE, "accuracy", fewer) == pytest.approx(2 / 3)


def test_the_versions_of_a_problem_are_one_family_and_have_names_of_their_own():
    questions = [MATHVERSE.read(mathverse_row(version)) for version in VERSIONS.values()]
    assert len({question.id for question in questions}) == 6
    assert {question.family for question in questions} == {"1"}
