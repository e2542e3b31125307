"""MathVision on rows made by hand, with the columns that lmms_eval/tasks/mathvision/utils.py and the dataset's card name."""

import pytest
from PIL import Image

from open_vr1.evals.benchmark import messages
from open_vr1.evals.figures import estimate
from open_vr1.evals.tasks import mathvision, mathvision_testmini
from open_vr1.prompts import format_completion

PICTURE = Image.new("RGB", (4, 4))


def row(**columns):
    return {
        "id": "4",
        "question": "Which bridge is the longest? <image1>",
        "options": [],
        "image": "images/4.jpg",
        "decoded_image": PICTURE,
        "answer": "7",
        "solution": None,
        "level": 1,
        "subject": "metric geometry - length",
        **columns,
    }


def verdict(said, truncated=None, **columns):
    question = mathvision.BENCHMARK.read(row(**columns))
    return mathvision.BENCHMARK.score(format_completion("I look.", said), question, truncated)


CHOICES = ["$\\frac{1}{2}$", "$2$", "$3$", "$4$", "$5$"]


@pytest.mark.parametrize(
    ("gold", "options", "right", "wrong"),
    [
        ("B", CHOICES, ["B", "(B)", "option B", "2", "B) 2"], ["C", "3", "B or C", "2.5"]),
        ("A", CHOICES, ["A", "0.5", "\\frac{1}{2}"], ["2", "50"]),
        ("D", ["A", "B", "C", "D", "E"], ["D", "(D)"], ["A", "It is D or E", "Drawing"]),
        ("D", ["<image2>", "<image3>", "<image4>", "<image5>", "<image6>"], ["D"], ["<image5>"]),
        ("72", [], ["72", "72.0", "$72$", "x = 72", "72 cm"], ["73", "7", "between 70 and 72"]),
        ("3/4", [], ["0.75", "\\frac{3}{4}", "75%"], ["0.7"]),
        ("2,5", [], ["5, 2", "2 and 5"], ["2", "2, 6"]),
        ("10\\sqrt{2}", [], ["\\sqrt{200}"], ["14.14"]),
        ("80%", [], ["80", "0.8", "80 percent"], ["8%"]),
    ],
)
def test_the_gold_is_a_letter_a_number_or_an_expression(gold, options, right, wrong):
    assert {text: verdict(text, answer=gold, options=options).score for text in right} == dict.fromkeys(right, 1.0)
    assert {text: verdict(text, answer=gold, options=options).score for text in wrong} == dict.fromkeys(wrong, 0.0)


def test_choices_that_are_drawn_are_not_written_out():
    for options in (["A", "B", "C", "D", "E"], ["<image2>", "<image3>", "<image4>", "<image5>", "<image6>"]):
        assert "Choices" not in mathvision.doc_to_text(row(options=options, answer="D"))
    assert mathvision.doc_to_text(row(options=CHOICES)).endswith("E: $5$")


def test_the_picture_stands_where_the_words_have_it_and_in_front_where_one_picture_holds_several():
    (chat,) = mathvision.doc_to_messages(row())
    assert [part["type"] for part in chat["content"]] == ["text", "image"]
    question = mathvision.read(row(question="Take <image1> from <image2>."))
    (chat,) = messages(question, [PICTURE])
    assert [part["type"] for part in chat["content"]] == ["image", "text"]
    assert "<image" not in chat["content"][1]["text"]


def test_what_cannot_be_read_is_wrong_and_a_missing_gold_is_no_question():
    question = mathvision.read(row())
    assert mathvision.BENCHMARK.score("It must be 7.", question, None).reason == "no_answer_block"
    assert mathvision.BENCHMARK.score("<think> it is 7", question, True).reason == "truncated"
    assert verdict("7", answer=None).score is None
    assert mathvision.read(row(options=None, subject=None, level=None)).groups == {}


def test_figures_by_subject_and_level_are_those_worked_out_by_hand():
    scores = [("algebra", 1, 1.0), ("algebra", 5, 0.0), ("topology", 5, 1.0), ("logic", 3, 1.0), ("logic", 5, 0.0)]
    outcomes = [
        mathvision.read(row(id=str(i), subject=subject, level=level)).outcome(score)
        for i, (subject, level, score) in enumerate(scores)
    ]
    figures = {name: estimate(figure, [outcomes]).value for name, figure in mathvision.FIGURES.items()}
    assert next(iter(figures)) == "accuracy"
    assert figures["accuracy"] == pytest.approx(3 / 5)
    assert (figures["algebra"], figures["topology"], figures["logic"]) == (0.5, 1.0, 0.5)
    assert (figures["level 1"], figures["level 3"], figures["level 5"]) == (1.0, 1.0, pytest.approx(1 / 3))


def test_testmini_is_read_and_scored_alike():
    assert mathvision_testmini.BENCHMARK.read is mathvision.BENCHMARK.read
    assert mathvision_testmini.process_results(row(), ["<answer> 7 </answer>"])["accuracy"][0].score == 1.0
