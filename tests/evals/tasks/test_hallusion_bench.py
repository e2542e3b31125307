"""HallusionBench on rows made by hand, with the columns that lmms_eval/tasks/hallusion_bench/utils.py reads."""

import pytest
from PIL import Image

from open_vr1.evals.figures import estimate
from open_vr1.evals.tasks import hallusion_bench
from open_vr1.prompts import format_completion

PICTURE = Image.new("RGB", (4, 4))


def row(**columns):
    return {
        "category": "VD",
        "subcategory": "illusion",
        "visual_input": "1",
        "set_id": "0",
        "figure_id": "0",
        "sample_note": "circle",
        "question_id": "0",
        "question": "Is the right orange circle as large as the left one?",
        "gt_answer_details": "The right orange circle is as large as the left one.",
        "gt_answer": "1",
        "filename": "./hallusion_bench/VD/illusion/0_0.png",
        "image": PICTURE,
        **columns,
    }


def verdict(said, **columns):
    question = hallusion_bench.read(row(**columns))
    return hallusion_bench.BENCHMARK.score(format_completion("I look.", said), question, False)


@pytest.mark.parametrize("gold", ["0", 0])
def test_no_is_said_by_no_alone(gold):
    right = ["No", "no.", "False", "No, the left one is larger."]
    wrong = ["Yes", "unknown", "I do not know", "not sure", "No idea", "Nothing", "yes or no", "", "0"]
    assert {text: verdict(text, gt_answer=gold).score for text in right} == dict.fromkeys(right, 1.0)
    assert {text: verdict(text, gt_answer=gold).score for text in wrong} == dict.fromkeys(wrong, 0.0)


def test_yes_is_said_by_yes_alone():
    right = ["Yes", "yes, they are equal", "True"]
    wrong = ["No", "yesterday", "eyes", "yes, but also no", "They are equal"]
    assert {text: verdict(text).score for text in right} == dict.fromkeys(right, 1.0)
    assert {text: verdict(text).score for text in wrong} == dict.fromkeys(wrong, 0.0)


def test_what_cannot_be_read_is_wrong_and_a_missing_gold_is_no_question():
    question = hallusion_bench.read(row())
    assert hallusion_bench.BENCHMARK.score("Yes", question, None).reason == "no_answer_block"
    assert hallusion_bench.BENCHMARK.score("<think> yes", question, True).reason == "truncated"
    assert [verdict("yes", gt_answer=gold).score for gold in (None, "2", "")] == [None] * 3


def outcomes(answers):
    return [
        hallusion_bench.read(row(set_id=scene, figure_id=figure, question_id=number)).outcome(score)
        for (scene, figure, number), score in answers.items()
    ]


def test_the_three_accuracies_are_those_worked_out_by_hand():
    answers = {
        ("0", "0", "0"): 1.0,
        ("0", "0", "1"): 1.0,
        ("0", "1", "0"): 1.0,
        ("0", "1", "1"): 0.0,
        ("1", "0", "0"): 1.0,
        ("1", "1", "0"): 1.0,
        ("1", "2", "0"): 0.0,
    }
    figures = {
        name: estimate(figure, [outcomes(answers)]).value for name, figure in hallusion_bench.BENCHMARK.figures.items()
    }
    # Figures: 0_0 whole, 0_1 not; 1_0 and 1_1 whole, 1_2 not. Questions: 0_0 with both figures; 0_1 not; 1_0 not.
    assert figures["aAcc"] == pytest.approx(5 / 7)
    assert figures["fAcc"] == pytest.approx(3 / 5)
    assert figures["qAcc"] == pytest.approx(1 / 3)
    assert figures["average"] == pytest.approx((5 / 7 + 3 / 5 + 1 / 3) / 3)


def test_figures_and_questions_of_one_number_in_two_scenes_are_not_the_same():
    questions = [hallusion_bench.read(row(subcategory=name)) for name in ("illusion", "chart")]
    assert len({question.family for question in questions}) == 2
    assert len({question.groups["figure"] for question in questions}) == 2
    assert len({question.groups["question"] for question in questions}) == 2


def test_figures_and_questions_lie_inside_one_family():
    read = [
        hallusion_bench.read(row(set_id=scene, figure_id=figure, question_id=number))
        for scene in "01"
        for figure in "012"
        for number in "01"
    ]
    for kind in ("figure", "question"):
        assert len({(question.groups[kind], question.family) for question in read}) == len(
            {question.groups[kind] for question in read}
        )
    assert len({question.id for question in read}) == len(read)


def test_a_question_that_was_asked_without_a_picture_is_of_no_figure():
    question = hallusion_bench.read(row(category="VS", figure_id="0"))
    assert "figure" not in question.groups
    assert question.groups["question"] == ("VS_illusion_0_0",)
    assert "figure" in hallusion_bench.read(row(category="VS", figure_id="1")).groups
