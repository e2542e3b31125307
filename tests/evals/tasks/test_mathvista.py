"""MathVista, on rows in the format of lmms_eval/tasks/mathvista/utils.py."""

import pytest

from open_vr1.evals.benchmark import messages, prompt_text
from open_vr1.evals.registry import benchmark

from .rows import UNREADABLE, figure_of, mathvista_row, said

MATHVISTA = benchmark("mathvista")


def verdict(given: str, **row):
    return MATHVISTA.score(said(given), MATHVISTA.read(mathvista_row(**row)), None)


CHOICES = {"choices": ["2√3", "4", "6"], "answer": "4", "question_type": "multi_choice", "answer_type": "text"}
FLOAT = {"answer": "1.2", "answer_type": "float", "precision": 1.0}
LIST = {"answer": "[2001, 2003]", "answer_type": "list"}
YEARS = {"answer": "7", "unit": "years"}


@pytest.mark.parametrize(
    ("answer", "row"),
    [
        ("12", {}),
        ("12.0", {}),
        ("12 cm", {}),
        ("B", CHOICES),
        ("option B", CHOICES),
        ("4", CHOICES),
        ("1.2", FLOAT),
        ("1.24", FLOAT),
        ("1.16", FLOAT),
        ("\\frac{6}{5}", FLOAT),
        ("0.21", {"answer": "0.21", "answer_type": "float", "precision": 2}),
        ("-0.04", {"answer": "0.0", "answer_type": "float", "precision": 1}),
        ("[2001, 2003]", LIST),
        ("(2001, 2003)", LIST),
        ("2001, 2003", LIST),
        ("2001 and 2003", LIST),
        ("7", YEARS),
        ("7 years", YEARS),
        ("Yes", {"choices": ["Yes", "No"], "answer": "Yes", "question_type": "multi_choice", "answer_type": "text"}),
        ("50", {"answer": "50%", "answer_type": "text"}),
    ],
)
def test_right_answers(answer, row):
    assert verdict(answer, **row).score == 1


@pytest.mark.parametrize(
    ("answer", "row"),
    [
        ("12.4", {}),  # The authors' rule would cut it to 12.
        ("13", {}),
        ("C", CHOICES),
        ("5", CHOICES),  # No choice; the authors' rule would take the most similar one.
        ("A or B", CHOICES),
        ("1.26", FLOAT),
        ("1.1", FLOAT),
        ("[2003, 2001]", LIST),
        ("[2001, 2002, 2003]", LIST),
        ("2001", LIST),
        ("7 months", YEARS),
    ],
)
def test_wrong_answers(answer, row):
    assert verdict(answer, **row).score == 0


def test_the_text_of_a_choice_may_be_the_letter_of_another():
    row = {**CHOICES, "choices": ["D", "B", "A", "C"], "answer": "D"}
    assert verdict("A", **row).score == 1  # Choice A is the point D.
    assert verdict("D", **row).score == 0  # Choice D is the point C.


@pytest.mark.parametrize("case", UNREADABLE)
@pytest.mark.parametrize("row", [{}, CHOICES, FLOAT, LIST])
def test_an_answer_that_cannot_be_read_is_wrong(case, row):
    completion, truncated, reason = UNREADABLE[case]
    verdict = MATHVISTA.score(completion, MATHVISTA.read(mathvista_row(**row)), truncated)
    assert (verdict.score, verdict.reason) == (0.0, reason)


@pytest.mark.parametrize("choices", [None, [], "", "nan"])
def test_a_row_without_choices_is_asked_without(choices):
    question = MATHVISTA.read(mathvista_row(choices=choices))
    assert question.choices is None
    assert prompt_text(question) == "How long is AB?"


def test_the_words_have_choices_and_unit_and_the_official_ones_are_the_authors():
    row = mathvista_row(**CHOICES)
    assert prompt_text(MATHVISTA.read(row)) == "How long is AB?\nChoices: A: 2√3 B: 4 C: 6"
    assert prompt_text(MATHVISTA.read(row), "official") == row["query"]
    assert prompt_text(MATHVISTA.read(mathvista_row(**YEARS))) == "How long is AB? (Unit: years)"


def test_a_question_is_read_without_its_picture_and_asked_with_it():
    row = mathvista_row()
    (message,) = messages(MATHVISTA.read(row), MATHVISTA.pictures(row))
    assert [part["type"] for part in message["content"]] == ["image", "text"]
    without = {key: value for key, value in row.items() if key != "decoded_image"}
    assert MATHVISTA.read(without) == MATHVISTA.read(row)


def test_a_mark_in_the_words_says_where_the_picture_goes():
    row = mathvista_row(question="In <image> find AB.")
    (message,) = messages(MATHVISTA.read(row), MATHVISTA.pictures(row))
    assert [part["type"] for part in message["content"]] == ["text", "image", "text"]


def outcomes(*answers: tuple[float, str, list[str]]):
    return [
        MATHVISTA.read(mathvista_row(pid=str(number), metadata={"task": task, "skills": skills})).outcome(score)
        for number, (score, task, skills) in enumerate(answers)
    ]


def test_the_columns_of_the_paper_are_the_skills_and_tasks_of_the_rows():
    asked = outcomes(
        (1, "geometry problem solving", ["geometry reasoning", "algebraic reasoning"]),
        (0, "geometry problem solving", ["geometry reasoning"]),
        (1, "math word problem", ["arithmetic reasoning"]),
        (1, "math word problem", ["algebraic reasoning", "arithmetic reasoning"]),
        (0, "textbook question answering", ["algebraic reasoning", "scientific reasoning"]),
    )
    by_hand = {
        "accuracy": 3 / 5,
        "GEO": 1 / 2,
        "ALG": 2 / 3,  # The first, the fourth, the fifth.
        "GPS": 1 / 2,
        "MWP": 2 / 2,
        "ARI": 2 / 2,
        "SCI": 0 / 1,
        "TQA": 0 / 1,
        "STA": None,
        "NUM": None,
        "LOG": None,
        "FQA": None,
        "VQA": None,
    }
    assert {name: figure_of(MATHVISTA, name, asked) for name in MATHVISTA.figures} == by_hand


def test_rows_of_one_pid_are_counted_each():
    right, wrong = (MATHVISTA.read(mathvista_row()).outcome(score) for score in (1.0, 0.0))
    assert figure_of(MATHVISTA, "accuracy", [right, wrong]) == 1 / 2
