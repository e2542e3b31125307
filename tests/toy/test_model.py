"""The tiny model is a Qwen2.5-VL like any other, only small."""

import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor, Qwen2_5_VLForConditionalGeneration

from open_vr1.prompts import build_prompt, format_completion
from open_vr1.toy.model import build, build_tokenizer


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("tiny")
    build(path, seed=1)
    return path


def test_it_loads_with_the_auto_classes_and_answers(folder):
    model, processor = AutoModelForImageTextToText.from_pretrained(folder), AutoProcessor.from_pretrained(folder)
    assert isinstance(model, Qwen2_5_VLForConditionalGeneration)
    text = processor.apply_chat_template(build_prompt("How many?", 1), add_generation_prompt=True)
    inputs = processor(text=text, images=[Image.new("RGB", (84, 84))], return_tensors="pt")
    assert (inputs["input_ids"] == model.config.image_token_id).sum() == 9
    assert model.generate(**inputs, max_new_tokens=4, do_sample=False).shape[1] == inputs["input_ids"].shape[1] + 4


def test_it_has_about_a_million_parameters(folder):
    model = AutoModelForImageTextToText.from_pretrained(folder)
    assert 500_000 < sum(parameter.numel() for parameter in model.parameters()) < 1_500_000


def test_the_seed_fixes_the_weights_and_nothing_else_does(folder, tmp_path):
    torch.manual_seed(99)
    build(tmp_path / "again", seed=1)
    build(tmp_path / "other", seed=2)
    first, again, other = (
        AutoModelForImageTextToText.from_pretrained(path).state_dict()
        for path in (folder, tmp_path / "again", tmp_path / "other")
    )
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_the_tokenizer_is_the_same_every_time_and_encodes_any_text():
    tokenizer = build_tokenizer()
    assert tokenizer.get_vocab() == build_tokenizer().get_vocab()
    for text in (format_completion("Top: red circle. 1 + 1 = 2.", "2"), "Größe 😀 \\frac{1}{2}\t\n"):
        ids = tokenizer(text).input_ids
        assert tokenizer.decode(ids) == text


def test_a_chat_has_no_system_turn_unless_it_is_given_one(folder):
    processor = AutoProcessor.from_pretrained(folder)
    plain = processor.apply_chat_template(build_prompt("Why?", 1), add_generation_prompt=True)
    assert plain == (
        "<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>Why?<|im_end|>\n<|im_start|>assistant\n"
    )
    asked = processor.apply_chat_template(build_prompt("Why?", 1, "Be brief."), add_generation_prompt=True)
    assert asked.startswith("<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n")
