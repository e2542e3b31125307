"""MMMU val on rows made by hand, with the columns that lmms_eval/tasks/mmmu/utils.py reads."""

import pytest
from PIL import Image

from open_vr1.evals.figures import estimate
from open_vr1.evals.tasks import mmmu
from open_vr1.prompts import format_completion

FIRST, SECOND = Image.new("RGB", (1, 1)), Image.new("RGB", (2, 2))
NO_PICTURES = {f"image_{i}": None for i in range(1, 8)}


def row(**columns):
    return {
        "id": "validation_Finance_12",
        "question": "What does <image 1> show?",
        "options": "['a profit', 'a loss', \"the bank's rate\", '6%']",
        "answer": "B",
        "question_type": "multiple-choice",
        **NO_PICTURES,
        "image_1": FIRST,
        **columns,
    }


def open_row(answer, **columns):
    return row(options="[]", answer=answer, question_type="open", **columns)


def verdict(said, doc):
    return mmmu.BENCHMARK.score(format_completion("I look.", said), mmmu.BENCHMARK.read(doc), False)


def parts(doc):
    (chat,) = mmmu.doc_to_messages(doc)
    return [part["url"] if part["type"] == "image" else part["text"] for part in chat["content"]]


def test_options_are_read_from_the_text_of_a_list_and_never_run():
    assert mmmu.read(row()).choices == ["a profit", "a loss", "the bank's rate", "6%"]
    for text in ("__import__('os').getcwd()", "['a', ", "[1, 2]", "", "nan", None):
        assert mmmu.read(row(options=text)).choices is None


def test_pictures_stand_where_the_words_and_the_choices_have_them():
    doc = row(question="Compare <image 2> with <image 1>.", image_2=SECOND)
    assert parts(doc)[:4] == ["Compare", SECOND, "with", FIRST]
    doc = row(question="Which is right?", options="['<image 1>', '<image 2>']", image_2=SECOND)
    assert parts(doc) == ["Which is right?\nChoices: A:", FIRST, "B:", SECOND]


def test_a_picture_that_is_mentioned_again_is_named_and_one_that_is_not_marked_comes_first():
    assert parts(row(question="<image 1> Look at <image 1>.", options="[]")) == [FIRST, "Look at image 1."]
    assert parts(row(question="What is this?", options="[]")) == [FIRST, "What is this?"]
    doc = row(question="<image 1> or <image 2>?", options="[]")  # The second is missing.
    assert parts(doc)[0] == FIRST
    assert len(parts(doc)) == 2


@pytest.mark.parametrize(
    ("doc", "right", "wrong"),
    [
        (row(), ["B", "(B)", "B. a loss", "a loss"], ["A", "a profit", "B or C", "a bank loss", ""]),
        (row(answer="D"), ["D", "6%", "6"], ["5%"]),
        (open_row("['24/7', '3.429']"), ["24/7", "\\frac{24}{7}", "3.429", "3.43", "3.43 ft/s"], ["3.4", "24", "7"]),
        (open_row("['$MgS$', 'MgS']"), ["MgS", "$MgS$"], ["MgO", "Mg"]),
        (open_row("0.10"), ["0.1", "10%", "0.104"], ["0.11", "1"]),
        (open_row("2000000"), ["2,000,000", "2 million"], ["2", "200000"]),
        (open_row("0.001"), ["0.001"], ["0", "0.004"]),
        (open_row("Transformation"), ["transformation"], ["Transformations of plants", "no transformation"]),
        (open_row("C"), ["C", "c"], ["D"]),
    ],
)
def test_the_gold_is_a_letter_a_text_a_number_or_several(doc, right, wrong):
    assert {text: verdict(text, doc).score for text in right} == dict.fromkeys(right, 1.0)
    assert {text: verdict(text, doc).score for text in wrong} == dict.fromkeys(wrong, 0.0)


def test_what_cannot_be_read_is_wrong_and_a_missing_gold_is_no_question():
    question = mmmu.read(open_row("['24/7', '3.429']"))
    assert question.gold == "24/7 or 3.429"
    assert mmmu.score("The answer is 24/7 or so", question).score == 0.0
    assert mmmu.score("<think> 24/7", question, True).reason == "truncated"
    assert verdict("1", open_row(None)).score is None


def test_all_questions_count_the_same_in_the_headline():
    scores = {
        "validation_Math_1": 1.0,
        "validation_Math_2": 0.0,
        "validation_Math_3": 0.0,
        "validation_Physics_1": 1.0,
    }
    scores |= {"validation_Art_Theory_3": 1.0, "validation_Architecture_and_Engineering_9": 0.0}
    outcomes = [mmmu.read(row(id=name)).outcome(score) for name, score in scores.items()]
    figures = {name: estimate(figure, [outcomes]).value for name, figure in mmmu.BENCHMARK.figures.items()}
    assert mmmu.BENCHMARK.headline == "accuracy"
    assert figures["accuracy"] == 3 / 6
    assert figures["Science"] == 2 / 4
    assert (figures["Math"], figures["Physics"]) == (pytest.approx(1 / 3), 1.0)
    assert (figures["Art and Design"], figures["Art_Theory"]) == (1.0, 1.0)
    assert figures["Tech and Engineering"] == figures["Architecture_and_Engineering"] == 0.0
    assert len(mmmu.DISCIPLINE_OF) == 30
