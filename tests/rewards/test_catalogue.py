"""Each reward of the catalogue by its definition."""

import json
import logging
import math
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from open_vr1.errors import UserError
from open_vr1.rewards import (
    accuracy,
    chart_accuracy,
    cosine_length,
    counting,
    detection,
    format,
    format_lenient,
    format_plus_accuracy,
    giou,
    hard_format_result,
    iou,
    ocr,
    point_in_box,
    repetition_penalty,
    soft_overlong,
    tag_count,
)
from open_vr1.rewards.boxes import giou_of, iou_of
from open_vr1.rewards.lengths import CosineLength, SoftOverlong
from open_vr1.rewards.outcome import Accuracy, Format, HardFormatResult
from open_vr1.rewards.registry import REWARDS


def completion(answer: str) -> str:
    return f"<think> I look. </think><answer> {answer} </answer>"


def score(reward, answer, gold, **columns):
    return reward([completion(answer)], solution=[gold], **columns)[0]


RIGHT, WRONG = completion("5"), completion("6")
RIGHT_BADLY, WRONG_BADLY = "so <answer>5</answer>", "so <answer>6</answer>"


@pytest.mark.parametrize(
    ("reward", "scores"),
    [
        (accuracy, [1, 0, 1, 0]),
        (format, [1, 1, 0, 0]),
        (hard_format_result, [1, 0, 0, 0]),
        (format_plus_accuracy, [1, 0.5, 0.5, 0]),
    ],
)
def test_the_papers_reward_needs_format_and_result_and_the_zero_variant_weighs_them_one_to_one(reward, scores):
    assert reward([RIGHT, WRONG, RIGHT_BADLY, WRONG_BADLY], solution=["5"] * 4) == scores


@pytest.mark.parametrize(
    "reward", [reward for reward in REWARDS.values() if reward.needs_gold], ids=lambda r: r.__name__
)
def test_a_gold_that_cannot_be_read_is_none_and_counted_for_every_reward_that_needs_it(reward):
    golds = ["", None] if reward is ocr else ["", None, "\\frac{1}{", "?"]
    reward.max_completion_length = 10
    metrics = {}
    for gold in golds:
        columns = {"solution": [gold] * 3, "completion_ids": [[1]] * 3, "log_metric": metrics.__setitem__}
        assert reward([RIGHT, RIGHT_BADLY, ""], **columns) == [None] * 3
        assert metrics[f"reasons/{reward.__name__}/gold_unparsable"] == 1
    reward.max_completion_length = None


def test_the_lenient_format_ignores_text_around_the_blocks_but_not_their_absence_or_order():
    good = [
        "Sure! <think>a</think> so <answer>5</answer> bye",
        RIGHT,
        "<think>a</think><answer>1</answer><answer>2</answer>",
    ]
    bad = ["<answer>5</answer><think>a</think>", "<think></think><answer>5</answer>", "<think>a</think><answer> </answer>", "<answer>5</answer>", "<think>a <answer>5</answer>", "5"]  # fmt: skip
    assert format_lenient(good) == [1] * 3 and format_lenient(bad) == [0] * 6
    assert format(good[:1]) == [0]


def test_a_template_that_opens_the_thinking_and_an_empty_thinking_are_options():
    opened = "I look. </think><answer>5</answer>"
    assert (format([opened]), Format(think_is_open=True)([opened])) == ([0], [1])
    assert Format(think_is_open=True)([RIGHT]) == [0]
    assert (accuracy([opened], solution=["5"]), HardFormatResult(think_is_open=True)([opened], solution=["5"])) == (
        [1],
        [1],
    )
    empty = "<think></think><answer>5</answer>"
    assert (format([empty]), Format(allow_empty_think=True)([empty])) == ([0], [1])


def test_a_tag_counts_a_quarter_if_it_is_there_exactly_once():
    assert tag_count([RIGHT, "", "<think></think>", "<think><think></think><answer></answer>"]) == [1, 0, 0.5, 0.75]


def test_the_tolerance_of_a_recipe_applies_to_numbers_and_never_to_choices():
    loose = Accuracy(tolerance=0.05)
    assert (score(accuracy, "3.14", "3.1"), score(loose, "3.14", "3.1")) == (0, 1)
    assert score(loose, "103", "A", choices=[["100", "103"]]) == 0
    assert (score(chart_accuracy, "104.9", "100"), score(chart_accuracy, "105.1", "100")) == (1, 0)
    assert (score(chart_accuracy, "rad", "red"), score(chart_accuracy, "Red", "red")) == (0, 1)


def test_counting_is_exact_and_needs_a_whole_number():
    assert [score(counting, answer, "5") for answer in ("5", "five", "5 apples", "6", "5.1", "many", "5 or 6")] == [
        1,
        1,
        1,
        0,
        0,
        0,
        0,
    ]
    assert score(counting, "10000000", "10000001") == 0
    assert score(counting, "5", "5.5") is None and score(counting, "5", "many") is None


def test_ocr_is_one_minus_the_edit_distance_and_zero_below_one_half():
    assert score(ocr, "hello  World", "Hello world") == 1
    assert score(ocr, "hallo", "hello") == pytest.approx(0.8)
    assert score(ocr, "xxlxx", "hello") == 0
    assert score(ocr, "x" * 15_000, "hello " * 300) == 0


@pytest.mark.parametrize("answer", ["[1, 1, 3, 3]", "(1,1),(3,3)", '{"bbox_2d": [1, 1, 3, 3]}', "```json\n[1,1,3,3]\n```", '[{"bbox_2d": [1,1,3,3]}]', "[1.0, 1, 3, 3.0]"])  # fmt: skip
def test_a_box_is_read_in_every_spelling(answer):
    assert score(iou, answer, "[1, 1, 3, 3]") == 1
    assert score(iou, answer, "[0, 0, 2, 2]") == pytest.approx(1 / 7)
    assert score(giou, answer, "[0, 0, 2, 2]") == pytest.approx(1 / 7 - 2 / 9)


@pytest.mark.parametrize("answer", ["[1,1,3]", "[3,3,1,1]", "[1,1,1,3]", "red", "[1,1,3,3] or [0,0,1,1]", "[NaN,1,3,3]", "[1,1,3,Infinity]", '{"bbox_2d": "x"}', "[" * 5000, "[true,1,3,3]"])  # fmt: skip
def test_what_is_no_box_scores_the_worst(answer):
    assert (score(iou, answer, "[1,1,3,3]"), score(giou, answer, "[1,1,3,3]")) == (0, -1)


boxes = st.tuples(*[st.integers(0, 50)] * 2, *[st.integers(1, 50)] * 2).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)


@settings(deadline=None, max_examples=100)
@given(boxes, boxes)
def test_iou_counts_cells_and_giou_lies_below_it(first, second):
    def cells(box):
        return {(x, y) for x in range(box[0], box[2]) for y in range(box[1], box[3])}

    overlap, union = cells(first) & cells(second), cells(first) | cells(second)
    assert iou_of(first, second) == pytest.approx(len(overlap) / len(union))
    assert -1 <= giou_of(first, second) <= iou_of(first, second) + 1e-9
    assert giou_of(first, second) == pytest.approx(giou_of(second, first))


def test_detection_matches_each_box_once_by_label_and_counts_misses_and_false_alarms():
    cat, dog, far = [0, 0, 10, 10], [20, 20, 30, 30], [100, 100, 110, 110]
    gold = json.dumps([{"bbox_2d": cat, "label": "cat"}, {"bbox_2d": dog, "label": "dog"}])
    named = [{"bbox_2d": dog, "label": "Dog"}, {"bbox_2d": cat, "label": "cat"}]
    assert score(detection, json.dumps(named), gold) == 1
    assert score(detection, json.dumps(named[:1]), gold) == 0.5
    assert score(detection, json.dumps([*named, {"bbox_2d": far, "label": "cat"}, named[0]]), gold) == 0.5
    assert score(detection, json.dumps([{"bbox_2d": cat, "label": "dog"}]), gold) == 0
    assert score(detection, json.dumps([[0, 0, 10, 5]]), json.dumps([cat])) == 0.5
    assert score(detection, json.dumps([[0, 0, 10, 4]]), json.dumps([cat])) == 0
    assert (score(detection, "[]", "[]"), score(detection, "[]", gold), score(detection, json.dumps([cat]), "[]")) == (
        1,
        0,
        0,
    )
    assert score(detection, "a cat", gold) == 0


def test_a_point_counts_on_the_edge_and_not_beyond():
    assert [score(point_in_box, p, "[1,1,3,3]") for p in ("(2,2)", "[1, 3]", "(3.1,2)", "2", "(2,2) or (9,9)")] == [
        1,
        1,
        0,
        0,
        0,
    ]


def test_cosine_falls_with_length_for_right_answers_rises_for_wrong_ones_and_is_clamped():
    reward = CosineLength(max_completion_length=100)
    lengths = [0, 50, 100, 200, 10_000]
    ids = [[1] * length for length in lengths]
    assert reward([RIGHT] * 5, solution=["5"] * 5, completion_ids=ids) == pytest.approx([1, 0.75, 0.5, 0.5, 0.5])
    assert reward([WRONG] * 5, solution=["5"] * 5, completion_ids=ids) == pytest.approx([-1, -0.75, -0.5, -0.5, -0.5])
    assert reward([RIGHT], solution=["B"], completion_ids=[[1]]) == pytest.approx([-1], abs=1e-3)


def test_length_rewards_follow_the_stage_and_name_what_is_missing():
    reward = SoftOverlong(max_completion_length=100)
    ids = [[1] * length for length in (80, 90, 100, 101)]
    assert reward([""] * 4, completion_ids=ids) == pytest.approx([0, -0.5, -1, -1])
    reward.max_completion_length = 200
    assert reward([""] * 4, completion_ids=ids) == [0] * 4
    for unset in (cosine_length, soft_overlong):
        with pytest.raises(UserError, match="max_completion_length"):
            unset([RIGHT], solution=["5"], completion_ids=[[1]])


def test_repetition_is_trls_penalty_over_token_ngrams():
    assert repetition_penalty([""] * 2, completion_ids=[list(range(50)), [7] * 50]) == pytest.approx(
        [0, -(1 - 1 / 31)]
    )


def test_a_cut_completion_is_told_from_one_that_stopped_by_itself():
    reward, metrics = Accuracy(max_completion_length=5), {}
    cut = "<think> and so on"
    reward(
        [cut, cut, RIGHT],
        solution=["5"] * 3,
        completion_ids=[[1] * 5, [1] * 4, [1] * 4],
        log_metric=metrics.__setitem__,
    )
    assert {key.split("/")[-1]: value for key, value in metrics.items() if value} == pytest.approx(
        {"truncated": 1 / 3, "no_answer_block": 1 / 3, "correct": 1 / 3}
    )


@pytest.mark.parametrize("reward", REWARDS.values(), ids=list(REWARDS))
def test_every_reward_takes_trls_arguments_and_says_why_for_each_completion(reward):
    extra, metrics = {}, {}
    reward.max_completion_length = 100
    arguments = {
        "prompts": ["p"] * 3,
        "completion_ids": [[1, 2]] * 3,
        "solution": ["[1,1,3,3]"] * 3,
        "choices": [None] * 3,
        "images": [[]] * 3,
        "trainer_state": None,
        "log_extra": extra.__setitem__,
        "log_metric": metrics.__setitem__,
    }
    texts = [completion("[1,1,3,3]"), "", "<think>"]
    plain = reward(completions=texts, **arguments)
    chat = reward(completions=[[{"role": "assistant", "content": text}] for text in texts], **arguments)
    assert plain == chat and len(plain) == 3
    assert all(value is None or math.isfinite(value) for value in plain)
    assert set(extra) == {f"{reward.__name__}/answer", f"{reward.__name__}/reason"}
    assert all(len(column) == 3 and all(isinstance(cell, str) for cell in column) for column in extra.values())
    assert set(extra[f"{reward.__name__}/reason"]) <= set(reward.reasons)
    assert list(metrics) == [f"reasons/{reward.__name__}/{reason}" for reason in reward.reasons]
    assert sum(metrics.values()) == pytest.approx(1)
    assert pickle.loads(pickle.dumps(reward)) == reward
    reward.max_completion_length = None


def test_a_constant_reward_and_a_large_share_of_none_are_warned_of_once(caplog):
    reward = Accuracy(warn_after=4)
    with caplog.at_level(logging.WARNING):
        for _ in range(7):
            reward([WRONG, WRONG], solution=["5", "5"])
        assert [record.message for record in caplog.records] == [
            "reward accuracy was 0.0 for every completion of 4 steps in a row: it teaches nothing"
        ]
        caplog.clear()
        for _ in range(4):
            reward([RIGHT, WRONG, RIGHT], solution=["5", "5", ""])
        assert ["None" in record.message for record in caplog.records] == [True]
        caplog.clear()
        for _ in range(20):
            reward([RIGHT, WRONG], solution=["5", "5"])
        assert not caplog.records


def test_a_missing_column_is_named():
    with pytest.raises(UserError, match="solution"):
        accuracy([RIGHT])
