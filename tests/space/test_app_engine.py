"""The Space's engine on real tiny models: it asks as training asked, streams, stops, and keeps what fits."""

import shutil
import threading
from contextlib import closing
from itertools import pairwise

import pytest
import torch
from transformers import AutoProcessor

from asking import check_picture
from engine import Shelf, build_inputs, write
from examples import EXAMPLES
from open_vr1.prompts import build_prompt, question_text
from open_vr1.toy.world import rows
from reading import read_reply
from settings import Checkpoint


@pytest.fixture(scope="module")
def shelf():
    return Shelf()


@pytest.fixture(scope="module")
def world():
    return {row["id"]: row for row in rows("test", 51, seed=1)}


def ask(shelf, folder, example, tokens=400, temperature=0, max_seconds=60):
    checkpoint = Checkpoint(folder.name, str(folder))
    model, processor = shelf.take(checkpoint)
    inputs, begins_thinking = build_inputs(processor, checkpoint, check_picture(example.picture), example.question)
    return write(model, processor, inputs, begins_thinking, tokens, temperature, max_seconds)


def test_examples_are_rows_of_the_toy_worlds_test_split(world):
    for example in EXAMPLES:
        row = world[example.id]
        assert example.picture.read_bytes() == row["images"][0]["bytes"]
        assert example.question == question_text(row["question"], row["choices"])


def test_a_question_becomes_the_tokens_that_training_makes_of_it(checkpoints, world):
    from datasets import Dataset, Image, List

    processor = AutoProcessor.from_pretrained(checkpoints / "base")
    for example in EXAMPLES:
        row = world[example.id]
        for system_prompt in (None, "Think first."):
            chat = build_prompt(question_text(row["question"], row["choices"]), 1, system_prompt)
            picture = Dataset.from_list([{"images": row["images"]}]).cast_column("images", List(Image()))[0]["images"][
                0
            ]
            trained = processor.apply_chat_template(
                [{**message, "content": [_with(part, picture) for part in message["content"]]} for message in chat],
                add_generation_prompt=True,
                tokenize=True,
                return_dict=True,
                return_tensors="pt",
            )
            checkpoint = Checkpoint("base", str(checkpoints / "base"), system_prompt=system_prompt)
            asked, _ = build_inputs(processor, checkpoint, check_picture(example.picture), example.question)
            assert torch.equal(asked["input_ids"], trained["input_ids"])
            assert torch.equal(asked["pixel_values"], trained["pixel_values"])


def _with(part, picture):
    return {"type": "image", "image": picture} if part["type"] == "image" else part


def test_what_was_learned_comes_back_with_the_tokens_counted(shelf, checkpoints, world):
    example = EXAMPLES[0]
    row = world[example.id]
    ends = {}
    for name in ("short", "long"):
        *_, ends[name] = ask(shelf, checkpoints / name, example)
        reply = read_reply(ends[name].text, done=True)
        assert ends[name].end == "finished" and reply.in_format
        assert reply.answers == (row["answer"],)
        tokenizer = AutoProcessor.from_pretrained(checkpoints / name).tokenizer
        whole = tokenizer(ends[name].text + "<|im_end|>")["input_ids"]
        assert ends[name].tokens == len(whole)
        assert ends[name].thinking_tokens == whole.index(tokenizer.convert_tokens_to_ids("</think>")) + 1
    assert ends["long"].thinking_tokens > ends["short"].thinking_tokens


def test_a_reply_grows_by_what_it_already_said(shelf, checkpoints, monkeypatch):
    monkeypatch.setattr("engine.SECONDS_BETWEEN", 0)
    seen = list(ask(shelf, checkpoints / "long", EXAMPLES[0]))
    assert len(seen) > 20 and [progress.end for progress in seen[:-1]] == [None] * (len(seen) - 1)
    for earlier, later in pairwise(seen):
        assert later.text.startswith(earlier.text) and later.tokens >= earlier.tokens
    answers = [read_reply(progress.text, done=False).answers for progress in seen]
    thought = next(i for i, progress in enumerate(seen) if "</think>" in progress.text)
    assert not any(answers[:thought]) and answers[-1]


def test_a_reply_is_cut_off_at_its_tokens_and_after_its_seconds(shelf, checkpoints):
    *_, cut = ask(shelf, checkpoints / "long", EXAMPLES[0], tokens=9)
    assert (cut.end, cut.tokens, cut.thinking_tokens) == ("tokens", 9, 9)
    *_, late = ask(shelf, checkpoints / "base", EXAMPLES[0], tokens=3000, max_seconds=0.3)
    assert late.end == "seconds" and late.tokens < 3000


def test_a_model_stops_writing_when_nobody_listens(shelf, checkpoints, monkeypatch):
    monkeypatch.setattr("engine.SECONDS_BETWEEN", 0)
    model, _ = shelf.take(Checkpoint("base", str(checkpoints / "base")))
    generate, ended = model.generate, threading.Event()
    monkeypatch.setattr(model, "generate", lambda **options: (generate(**options), ended.set()))
    with closing(ask(shelf, checkpoints / "base", EXAMPLES[0], tokens=100_000)) as stream:
        next(stream)
        assert not ended.wait(0.2)
    assert ended.wait(10)


def test_a_mistake_in_the_model_reaches_who_asked(shelf, checkpoints, monkeypatch):
    model, _ = shelf.take(Checkpoint("base", str(checkpoints / "base")))
    monkeypatch.setattr(model, "generate", lambda **_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        list(ask(shelf, checkpoints / "base", EXAMPLES[0]))


def test_a_template_that_opens_the_thinking_is_read_as_thinking(shelf, checkpoints, tmp_path):
    folder = tmp_path / "opens"
    shutil.copytree(checkpoints / "short", folder)
    template = (folder / "chat_template.jinja").read_text()
    assistant = "<|im_start|>assistant\n"
    assert assistant in template
    (folder / "chat_template.jinja").write_text(template.replace(assistant, assistant + "<think>"))
    *_, last = ask(shelf, folder, EXAMPLES[0])
    assert last.text.startswith("<think>") and read_reply(last.text, done=True).in_format


def test_the_checkpoint_that_was_not_asked_for_the_longest_makes_room(checkpoints, monkeypatch):
    shelf = Shelf()
    base, short, long = (Checkpoint(name, str(checkpoints / name)) for name in ("base", "short", "long"))
    shelf.take(base), shelf.take(short), shelf.take(base)
    monkeypatch.setattr(shelf, "_free_bytes", lambda: 0 if len(shelf._loaded) > 1 else 10**12)
    shelf.take(long)
    assert [checkpoint in shelf for checkpoint in (base, short, long)] == [True, False, True]
