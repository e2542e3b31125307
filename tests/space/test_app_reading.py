"""The Space reads replies as training does, and a growing one as far as it goes."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_vr1.prompts import format_completion
from open_vr1.rewards.answers import read_answer
from open_vr1.rewards.formats import strict_format
from reading import TAGS, read_reply
from tests.space.conftest import SPACE

ROOT = Path(__file__).parents[2]
GOLDEN = [json.loads(line) for line in (ROOT / "tests/rewards/data/golden.jsonl").read_text().splitlines()]
texts = st.lists(st.sampled_from([*TAGS, " ", "8", "Final Answer:", "\\boxed{3}", "so\n", "<", "</"])).map("".join)


def test_prompts_and_answers_are_read_by_the_training_codes_own_files():
    """After a change: cp src/open_vr1/prompts.py spaces/reasoner/, and answers.py with `from prompts import`."""
    assert (SPACE / "prompts.py").read_text() == (ROOT / "src/open_vr1/prompts.py").read_text()
    answers = (ROOT / "src/open_vr1/rewards/answers.py").read_text()
    assert (SPACE / "answers.py").read_text() == answers.replace("from open_vr1.prompts import", "from prompts import")


def agrees(completion):
    reply = read_reply(completion, done=True)
    assert reply.answers == read_answer(completion).candidates
    assert reply.in_format == (strict_format(completion) == "well_formed")
    if not reply.in_format and not any(tag in completion.strip().removeprefix("<think>") for tag in TAGS):
        assert reply.thinking == completion.strip().removeprefix("<think>").strip()
    elif not reply.in_format:
        assert reply.thinking == completion.strip()


def test_finished_replies_are_read_as_the_rewards_read_them():
    for case in GOLDEN:
        agrees(case["completion"])


@given(texts)
def test_whatever_a_model_writes_is_read_as_the_rewards_read_it(completion):
    agrees(completion)


@given(texts, st.integers(0, 60))
def test_no_tag_of_the_format_is_shown_while_a_reply_in_it_grows(thought, end):
    for tag in TAGS:
        thought = thought.replace(tag, "")
    reply = read_reply(format_completion(thought, "8")[:end], done=False)
    assert reply.in_format
    assert not any(tag in shown for tag in TAGS for shown in (reply.thinking, *reply.answers))


def test_the_answer_appears_after_the_thinking_letter_by_letter():
    whole = format_completion("Three and five.", "eight")
    seen = [read_reply(whole[:end], done=False) for end in range(len(whole))]
    assert seen[len("<think> Three")].thinking == "Three"
    assert next(reply.answers for reply in seen if reply.answers) == ("e",)
    assert seen[-1].answers == ("eight",) and seen[-1].thinking == "Three and five."


@pytest.mark.parametrize("text", ["The answer is 8.", "8 <think> no", "I see</think><answer>8</answer>"])
def test_a_reply_that_does_not_begin_with_its_thinking_is_shown_as_it_is(text):
    assert read_reply(text, done=False).thinking == text and not read_reply(text, done=True).in_format
