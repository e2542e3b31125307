"""Thinking and answer of a reply, wherever an endpoint or a release puts them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_vr1.cold.filter.chains import split_reply
from open_vr1.prompts import format_completion

THINKING = "Wait, the bar reaches 5.\nSo it is 5."


@pytest.mark.parametrize(
    ("text", "reasoning"),
    [
        ("The bar shows it.\nFinal Answer: 5", THINKING),
        (f"<think>\n{THINKING}\n</think>\n\nFinal Answer: 5", ""),
        (f"{THINKING}\n</think>\nFinal Answer: 5", ""),
        (f"{THINKING}\nFinal Answer: 5", ""),
        (f"{THINKING}\n**Final Answer:** 5", ""),
        (f"{THINKING}\n\n### final answer: **5**", ""),
        (f"<think> {THINKING} </think><answer> Final Answer:5 </answer>", ""),
        (f"<THINK> {THINKING} </THINK><ANSWER>5</ANSWER>", ""),
        (f"<think>{THINKING}</think>Let me say it: Final Answer would be near.\nFinal Answer: 5\n", ""),
    ],
)
def test_thinking_and_answer_are_found(text, reasoning):
    thinking, _, stated = split_reply(text, reasoning)
    assert (thinking, stated) == (THINKING, "5")


@pytest.mark.parametrize(
    "text", ["The bar reaches 5.", "<think>Hmm</think>", "", "Final Answer:", "<answer> </answer>"]
)
def test_a_reply_without_an_answer_states_none(text):
    assert split_reply(text)[2] == ""


def test_the_last_of_several_answers_is_the_stated_one():
    assert split_reply("I think so.\nFinal Answer: 4\nNo, wait.\nFinal Answer: 5")[2] == "5"


def test_what_thinking_says_of_answers_is_not_the_stated_one():
    assert split_reply("<think>Final Answer: 4? No.</think>Final Answer: 5")[2] == "5"


@given(st.text(max_size=60).filter(lambda text: "<" not in text), st.from_regex(r"[A-Za-z0-9.]{1,8}", fullmatch=True))
def test_a_completion_in_our_format_comes_back(thinking, answer):
    assert split_reply(format_completion(thinking, answer)) == (
        thinking.strip(),
        f"<answer> Final Answer:{answer} </answer>",
        answer,
    )


@given(st.text(), st.text())
def test_no_text_breaks_it(text, reasoning):
    assert all(isinstance(part, str) for part in split_reply(text, reasoning))
