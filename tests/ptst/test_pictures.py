import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForImageTextToText, AutoProcessor, Qwen2VLImageProcessor, Trainer

from open_vr1.ptst.pictures import pictures_processed_once, send_pictures_on_demand

from .runs import make_trainer
from .tiny import build_rows


def counted(monkeypatch):
    """Pictures that really reach the image processor, call by call."""
    calls, process = [], Qwen2VLImageProcessor._preprocess

    def count(self, images, *args, **kwargs):
        calls.append(len(images))
        return process(self, images, *args, **kwargs)

    monkeypatch.setattr(Qwen2VLImageProcessor, "_preprocess", count)
    return calls


def test_a_repeated_picture_is_processed_once_and_gives_what_it_gave_before(tiny, monkeypatch):
    processor = AutoProcessor.from_pretrained(tiny)
    rows = build_rows(2, pictures=2)["images"]
    pictures = [*rows[0], *rows[1], *rows[0]]
    pictures[1] = pictures[1].resize((56, 28))
    text = ["<|image_pad|>" * 2] * 3
    batch = [pictures[:2], pictures[2:4], pictures[:2]]
    plain = processor(images=batch, text=text, padding=True, return_tensors="pt")
    calls = counted(monkeypatch)
    with pictures_processed_once(processor):
        for _ in range(2):
            once = processor(images=batch, text=text, padding=True, return_tensors="pt")
            assert plain.keys() == once.keys()
            assert all(torch.equal(plain[key], once[key]) for key in plain)
    assert calls == [4]
    processor(images=batch, text=text)
    assert calls == [4, 6]


def test_training_processes_each_picture_once_per_prompt(tiny, tmp_path, monkeypatch):
    stages = [{"max_completion_length": 3, "num_generations": 4, "steps": 2}]
    trainer = make_trainer(
        tiny, tmp_path, stages, pictures=2, per_device_train_batch_size=4, gradient_accumulation_steps=2
    )
    calls = counted(monkeypatch)
    trainer.train()
    assert calls == [4, 4], "two prompts with two pictures each, in each of two generations"


def test_a_generation_batch_keeps_each_picture_once(tiny, tmp_path):
    stages = [{"max_completion_length": 3, "num_generations": 4, "steps": 2}]
    batch = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 2}
    trainer = make_trainer(tiny, tmp_path, stages, pictures=2, **batch)
    trainer.train()
    patches_of_a_picture = (56 // 14) ** 2
    assert sum(map(len, trainer.shelf.patches.values())) == 2 * 2 * patches_of_a_picture, "two prompts of two pictures"
    assert not any("pixel_values" in micro_batch for micro_batch in trainer._buffered_inputs)
    micro_batch = trainer.shelf.restore(trainer._buffered_inputs[0])
    assert len(micro_batch["pixel_values"]) == micro_batch["image_grid_thw"].prod(-1).sum()


def test_pictures_are_sent_to_the_device_with_the_batch_that_needs_them(tiny, tmp_path, monkeypatch):
    """No second device here: what is sent is told by what passes through the one place that sends, or through the model."""
    sent, given = [], []
    send = Trainer._prepare_input

    def watched(self, data):
        if isinstance(data, torch.Tensor):
            sent.append(data.shape[-1])
        return send(self, data)

    monkeypatch.setattr(Trainer, "_prepare_input", watched)
    stages = [{"max_completion_length": 3, "num_generations": 4, "steps": 2}]
    trainer = make_trainer(tiny, tmp_path, stages, per_device_train_batch_size=4, gradient_accumulation_steps=2)
    trainer.model.model.visual.register_forward_pre_hook(lambda module, args: given.append(len(args[0])))
    trainer.train()
    width_of_a_patch = 3 * 2 * 14 * 14
    assert sent and width_of_a_patch not in sent
    assert given and all(given)


@pytest.mark.parametrize("peft", [False, True], ids=["full", "lora"])
@pytest.mark.parametrize("way", ["forward", "generate"])
def test_a_model_sends_for_its_pictures(tiny, peft, way):
    processor = AutoProcessor.from_pretrained(tiny, padding_side="left")
    model = AutoModelForImageTextToText.from_pretrained(tiny)
    model = get_peft_model(model, LoraConfig(target_modules=["q_proj"])) if peft else model
    send_pictures_on_demand(model, torch.device("meta"))
    row = build_rows(1)[0]
    inputs = processor(text="<|image_pad|>", images=row["images"], return_tensors="pt")
    seen = []
    visual = model.get_base_model().model.visual if peft else model.model.visual

    def stop(module, args, kwargs):
        seen.append((args[0] if args else kwargs["hidden_states"]).device.type)
        raise StopIteration

    visual.register_forward_pre_hook(stop, with_kwargs=True)
    with pytest.raises(StopIteration):
        model(**inputs) if way == "forward" else model.generate(**inputs, max_new_tokens=1)
    assert seen == ["meta"]
