"""What the Space's tests share: its modules, and tiny checkpoints that have learned its first examples by heart."""

import sys
from pathlib import Path

import pytest

SPACE = Path(__file__).parents[2] / "spaces/reasoner"
sys.path.insert(0, str(SPACE))

HOSTILE = "<img src=x onerror=alert(1)> ![a](https://evil.example/a.png)"
SECOND_THOUGHTS = "".join(f" Maybe {i}? No." for i in range(15)) + rf" {HOSTILE} So $\frac{{1}}{{2}}$."
LEARNED = 3  # of the examples, the first ones
LOSS, MOST_STEPS = 0.03, 300


def learn_by_heart(base: Path, folder: Path, second_thoughts: str = "") -> None:
    """The base model after seconds of training on the Space's first examples alone."""
    import torch
    from PIL import Image
    from transformers import AutoModelForImageTextToText, AutoProcessor

    from examples import EXAMPLES
    from open_vr1.prompts import build_prompt, format_completion
    from open_vr1.toy.world import rows

    model, processor = AutoModelForImageTextToText.from_pretrained(base), AutoProcessor.from_pretrained(base)
    world = {row["id"]: row for row in rows("test", 51, seed=1)}
    texts = []
    for example in EXAMPLES[:LEARNED]:
        row = world[example.id]
        prompt = processor.apply_chat_template(
            build_prompt(example.question, 1), add_generation_prompt=True, tokenize=False
        )
        texts.append(f"{prompt}{format_completion(row['thinking'] + second_thoughts, row['answer'])}<|im_end|>")
    pictures = [Image.open(example.picture).convert("RGB") for example in EXAMPLES[:LEARNED]]
    batch = processor(text=texts, images=pictures, padding=True, return_tensors="pt")
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    model.train()
    for _ in range(MOST_STEPS):
        loss = model(**batch, labels=labels).loss
        if loss < LOSS:
            break
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert loss < LOSS
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders `base` (random weights), `short` and `long` (the same answers after longer thinking)."""
    import torch

    from open_vr1.toy.model import build

    folder = tmp_path_factory.mktemp("checkpoints")
    build(folder / "base")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        learn_by_heart(folder / "base", folder / "short")
        learn_by_heart(folder / "short", folder / "long", SECOND_THOUGHTS)
    return folder
