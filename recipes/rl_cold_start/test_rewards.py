"""The reward reads the last box and nothing else, and leaves the comparison to the verifier."""

from pathlib import Path

import pytest

from open_vr1.recipe_file import read_file
from open_vr1.rewards import accuracy
from open_vr1.rewards.registry import resolve

FOLDER = Path(__file__).parent


@pytest.fixture
def reward(monkeypatch):
    """As the recipe names it."""
    monkeypatch.chdir(FOLDER.parent.parent)
    return resolve(read_file(FOLDER / "grpo_7b.yaml").values["reward_funcs"])[0]


@pytest.mark.parametrize(
    ("completion", "solution"),
    [
        ("So x = 10.\n\n\\boxed{10}", "10"),
        ("\\boxed{\\frac{3}{5}}", "0.6"),
        ("\\(\\boxed{ 25\\pi }\\)", "25\\pi"),
        ("It is \\boxed{B}.", "B"),
        ("<think> \\boxed{24} </think>", "24"),
    ],
)
def test_the_right_answer_in_a_box_is_rewarded(reward, completion, solution):
    assert reward([completion], solution=[solution]) == [1.0]


def test_the_last_of_several_boxes_counts(reward):
    tries = ["First \\boxed{12}, but then \\boxed{10}", "First \\boxed{10}, but then \\boxed{12}"]
    assert reward(tries, solution=["10", "10"]) == [1.0, 0.0]
    assert accuracy(tries, solution=["10", "10"]) == [0.0, 0.0]


@pytest.mark.parametrize(
    "completion",
    ["10", "Final Answer: 10", "<think> a </think><answer> 10 </answer>", "The answer is 10.", "boxed{10}", ""],
)
def test_a_right_answer_without_a_box_is_not_rewarded(reward, completion):
    assert reward([completion], solution=["10"]) == [0.0]


def test_a_last_box_that_was_cut_open_is_no_answer(reward):
    assert reward(["\\boxed{10}, or better \\boxed{1"], solution=["10"]) == [0.0]


def test_a_box_in_a_box_is_the_last(reward):
    assert reward(["\\boxed{x = \\boxed{10}}"], solution=["10"]) == [1.0]


def test_a_gold_that_cannot_be_compared_with_has_no_reward(reward):
    assert reward(["\\boxed{10}", "no box"], solution=["", ""]) == [None, None]


def test_the_choices_of_a_row_are_known(reward):
    assert reward(["\\boxed{B}"], solution=["45"], choices=[["30", "45"]]) == [1.0]


def test_what_was_read_is_logged_under_its_own_name(reward):
    columns, metrics = {}, {}
    reward(["\\boxed{9}", "9"], solution=["9", "9"], log_extra=columns.__setitem__, log_metric=metrics.__setitem__)
    assert columns["boxed_accuracy/answer"] == ["9", ""]
    assert columns["boxed_accuracy/reason"] == ["correct", "no_answer_block"]
    assert metrics["reasons/boxed_accuracy/correct"] == 0.5


def test_the_example_rows_reward_their_own_chains(reward):
    columns = {}
    for name, column in (("grpo_7b", "solution"), ("sft_7b", "completion")):
        rows = read_examples(name)
        columns[column] = [row["answer"] for row in rows]
    assert reward(columns["completion"], solution=columns["solution"]) == [1.0] * len(columns["solution"])


def read_examples(name):
    from datasets import load_dataset

    return load_dataset("json", data_files=str(FOLDER / "examples" / f"{name}.jsonl"), split="train")
