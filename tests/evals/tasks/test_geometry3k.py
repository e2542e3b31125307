"""Geometry3K on rows made by hand, with the columns that lmms_eval/tasks/geometry3k/utils.py reads, and `id`."""

import pytest
from PIL import Image

from open_vr1.evals.figures import estimate
from open_vr1.evals.tasks import geometry3k
from open_vr1.prompts import format_completion

PICTURE = Image.new("RGB", (4, 4))


def row(**columns):
    return {
        "id": 2401,
        "images": [PICTURE],
        "problem": "<image>Find $x$.",
        "choices": ["6", "4\\sqrt{2}", "\\frac{9}{2}", "A"],
        "answer": "4\\sqrt{2}",
        "ground_truth": "B",
        **columns,
    }


def verdict(said, **columns):
    question = geometry3k.read(row(**columns))
    return geometry3k.BENCHMARK.score(format_completion("I look.", said), question, False)


@pytest.mark.parametrize(
    ("gold", "right", "wrong"),
    [
        ("B", ["B", "(B)", "4\\sqrt{2}", "\\sqrt{32}", "x = 4\\sqrt{2}"], ["A", "6", "B or C", "5.66", "Because"]),
        ("C", ["C", "4.5", "\\frac{9}{2}", "9/2"], ["B", "4", "C) 6"]),
        ("6", ["6", "A", "6.0"], ["B", "60"]),
        ("D", ["D"], ["A", "6"]),
    ],
)
def test_the_gold_is_a_letter_or_the_text_of_a_choice(gold, right, wrong):
    assert {text: verdict(text, ground_truth=gold).score for text in right} == dict.fromkeys(right, 1.0)
    assert {text: verdict(text, ground_truth=gold).score for text in wrong} == dict.fromkeys(wrong, 0.0)


def test_missing_choices_leave_the_letter():
    for choices in (None, []):
        assert verdict("B", choices=choices).score == 1.0
        assert verdict("6", choices=choices).score == 0.0


def test_the_picture_stands_where_the_problem_has_it_and_several_are_kept():
    (chat,) = geometry3k.doc_to_messages(row())
    assert [part["type"] for part in chat["content"]] == ["image", "text"]
    assert chat["content"][1]["text"].startswith("Find $x$.\nChoices: A: 6 B:")
    (chat,) = geometry3k.doc_to_messages(row(problem="<image> or <image>?", images=[PICTURE, PICTURE]))
    assert [part["type"] for part in chat["content"]] == ["image", "text", "image", "text"]


def test_what_cannot_be_read_is_wrong_and_a_missing_gold_is_no_question():
    question = geometry3k.read(row())
    assert geometry3k.BENCHMARK.score("Answer: B", question, None).reason == "no_answer_block"
    assert geometry3k.BENCHMARK.score("<think> B", question, True).reason == "truncated"
    assert verdict("B", ground_truth=None).score is None


def test_accuracy_is_of_all_questions():
    outcomes = [geometry3k.read(row(id=i)).outcome(score) for i, score in enumerate([1.0, 0.0, 1.0, 1.0])]
    assert estimate(geometry3k.BENCHMARK.figures["accuracy"], [outcomes]).value == 0.75
