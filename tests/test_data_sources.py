"""Processors and checkpoints: the pixel budget is saved, and what is not there is named with what makes it."""

from pathlib import Path

import pytest
from PIL import Image as PILImage

from open_vr1.data_sources import check_model, load_processor
from open_vr1.errors import UserError
from tests.ptst.tiny import build_tiny


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    path = tmp_path_factory.mktemp("tiny")
    build_tiny(path)
    return str(path)


def test_the_pixel_budget_is_saved_with_the_processor(tiny, tmp_path):
    load_processor(tiny, 56 * 56, 84 * 84).save_pretrained(tmp_path / "saved")
    for processor in (load_processor(tiny, 56 * 56, 84 * 84), load_processor(str(tmp_path / "saved"))):
        size = processor.image_processor.size
        assert (size["shortest_edge"], size["longest_edge"]) == (56 * 56, 84 * 84)
        assert processor.tokenizer.padding_side == "left"
        grid = processor(text=["<|image_pad|>"], images=[PILImage.new("RGB", (500, 500))])["image_grid_thw"]
        assert (grid[0].prod() * 14 * 14).item() == 84 * 84


def test_a_pixel_budget_that_crosses_the_models_own_names_both_keys(tiny):
    with pytest.raises(UserError, match="min_pixels.*max_pixels"):
        load_processor(tiny, min_pixels=10**6)


def test_a_checkpoint_that_is_not_there_names_the_command_that_makes_it():
    Path("recipes/tiny").mkdir(parents=True)
    Path("recipes/tiny/eval.yaml").write_text("task: eval\nbuild: [{path: outputs/cold, with: a:b}]\n")
    Path("recipes/tiny/sft.yaml").write_text("task: sft\noutput_dir: outputs/cold\n")
    for name in ("outputs/cold", "outputs/cold/checkpoint-5"):
        with pytest.raises(UserError, match="make sft RECIPE=recipes/tiny/sft.yaml"):
            load_processor(name)
    Path("outputs/cold").mkdir(parents=True)
    with pytest.raises(UserError, match="no checkpoint in this folder.*make sft"):
        check_model("outputs/cold")
    with pytest.raises(UserError, match="someone/never-made.*HF_HUB_OFFLINE"):
        load_processor("someone/never-made")
