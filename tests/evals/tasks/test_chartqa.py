"""ChartQA on rows made by hand, with the columns that lmms_eval/tasks/chartqa/utils.py reads."""

import pytest
from PIL import Image

from open_vr1.evals.figures import estimate
from open_vr1.evals.tasks import chartqa
from open_vr1.prompts import format_completion

PICTURE = Image.new("RGB", (4, 4))


def row(**columns):
    base = {
        "type": "human_test",
        "question": "What is the value of the tallest bar?",
        "answer": "14",
        "image": PICTURE,
    }
    return {**base, **columns}


def verdict(said, **columns):
    return chartqa.BENCHMARK.score(format_completion("I look.", said), chartqa.read(row(**columns)), False)


@pytest.mark.parametrize(
    ("gold", "right", "wrong"),
    [
        ("14", ["14", "14.7", "13.3", "14.0", "$14"], ["14.71", "13.2", "14 or 15", "fourteen-ish", "14 million"]),
        ("-2.5", ["-2.5", "-2.6"], ["2.5", "-2.7"]),
        ("1,200", ["1200", "1,259"], ["1,261", "1.2"]),
        ("62%", ["62%", "62", "0.62", "60%"], ["58%"]),
        ("0.57", ["0.57", "57%", "0.58"], ["0.6", "57"]),
        ("0", ["0", "0.0"], ["0.01"]),
        ("2015", ["2015", "2010"], ["1900"]),  # A year is a number, as its authors have it.
        ("Yes", ["Yes", "yes.", "Yes, it is taller."], ["No", "unknown", "yes and no"]),
        ("No", ["no"], ["unknown", "Norway"]),
        ("Light blue", ["light blue", "Light Blue."], ["blue", "light blue or red", "dark blue"]),
        ("[2015, 2017]", ["2015, 2017", "[2015, 2017]"], ["2015"]),
        ("[Red, Blue]", ["[red, blue]"], ["red"]),
    ],
)
def test_a_number_may_be_off_by_five_percent_and_text_may_not(gold, right, wrong):
    assert {text: verdict(text, answer=gold).score for text in right} == dict.fromkeys(right, 1.0)
    assert {text: verdict(text, answer=gold).score for text in wrong} == dict.fromkeys(wrong, 0.0)


def test_what_cannot_be_read_is_wrong_and_a_missing_gold_is_no_question():
    question = chartqa.read(row())
    assert chartqa.score("The bar reaches 14", question).reason == "no_answer_block"
    assert chartqa.score("<think> 14", question, True).reason == "truncated"
    assert verdict("14", answer=None).score is None


def test_a_question_is_named_by_what_it_says_with_its_picture_or_without():
    without = {key: value for key, value in row().items() if key != "image"}
    assert chartqa.read(row()).id == chartqa.read(without).id
    assert len({chartqa.read(row(**change)).id for change in ({}, {"answer": "15"}, {"question": "?"})}) == 3
    assert chartqa.read(row()).id != chartqa.read(row(type="augmented_test")).id


def test_figures_of_people_and_of_captions_are_those_worked_out_by_hand():
    scores = [("human_test", 1.0), ("human_test", 0.0), ("human_test", 0.0), ("augmented_test", 1.0)]
    outcomes = [
        chartqa.read(row(type=made_by, question=f"Bar {i}?")).outcome(score)
        for i, (made_by, score) in enumerate(scores)
    ]
    figures = {name: estimate(figure, [outcomes]).value for name, figure in chartqa.BENCHMARK.figures.items()}
    assert figures == {"accuracy": 0.5, "human": pytest.approx(1 / 3), "augmented": 1.0}
