"""GRPO with pictures on a real vLLM, a build for the CPU: `make test-vllm` has the environment. Skipped without it."""

import functools
import importlib.util
import os

import pytest

if importlib.util.find_spec("vllm") is None:
    pytest.skip("needs a vLLM that runs on a CPU: make test-vllm", allow_module_level=True)

import torch
from trl.generation import vllm_generation
from trl.generation.vllm_generation import VLLMGeneration

from open_vr1.ptst import vllm

from .real_vllm import LORA, gaps_of, make_real_trainer


@pytest.fixture
def run(toy_model, tmp_path, monkeypatch):
    """Trains and returns the trainer with, for each step, the largest gap between vLLM's log-probabilities and its own."""
    import vllm.model_executor.layers.utils as layers

    monkeypatch.setitem(os.environ, "VLLM_CPU_KVCACHE_SPACE", "1")
    # The CPU build packs weights away after loading them, and then has none that a new one could be loaded into.
    monkeypatch.setattr(
        layers,
        "dispatch_cpu_unquantized_gemm",
        lambda layer, remove_weight=False: setattr(layer, "cpu_linear", torch.nn.functional.linear),
    )
    limits = {"image": 2, "video": 0}
    engine = functools.partial(
        vllm_generation.LLM, dtype="float32", enforce_eager=True, limit_mm_per_prompt=limits, mm_processor_cache_gb=0
    )
    monkeypatch.setattr(vllm_generation, "LLM", engine)

    def run(**config):
        trainer = make_real_trainer(toy_model, tmp_path, vllm_mode="colocate", vllm_max_model_length=512, **config)
        trainer.train()
        return trainer, gaps_of(trainer)

    return run


@pytest.mark.parametrize("pictures", [1, 2])
def test_vllm_samples_from_the_model_that_is_trained_in_both_stages(run, pictures):
    trainer, gaps = run(pictures=pictures)
    assert len(gaps) == 6 and max(gaps) < 1e-2
    assert [generation["lengths"] for generation in trainer.generations] == [[8]] * 3 + [[20]] * 3


def test_vllm_resizes_pictures_as_the_trainer_not_as_the_models_folder(run, monkeypatch):
    _, gaps = run(pictures=2, pixels=(28 * 28, 28 * 28))
    assert len(gaps) == 6 and max(gaps) < 1e-2
    monkeypatch.setattr(vllm, "_picture_arguments", lambda processing_class: {})
    with pytest.raises(RuntimeError, match="another prompt"):
        run(pictures=2, pixels=(28 * 28, 28 * 28))


def test_vllm_samples_from_the_model_that_adapters_make(run):
    _, gaps = run(trainer_kwargs={"peft_config": LORA})
    # What is left is the share of the picture tokens, which vLLM does not sample: 0.000003 where it may.
    assert len(gaps) == 6 and max(gaps) < 3e-2


def test_adapters_that_are_not_synced_would_be_missed(run, monkeypatch):
    monkeypatch.setattr(vllm.PictureGeneration, "sync_weights", lambda self: None)
    assert max(run(trainer_kwargs={"peft_config": LORA})[1]) > 1e-1


def test_expanded_placeholders_would_be_sampled_from_another_prompt(run, monkeypatch):
    monkeypatch.setattr(vllm, "one_placeholder_per_picture", lambda prompt, image_token: prompt)
    with pytest.raises(RuntimeError, match="another prompt"):
        run()
    monkeypatch.setattr(vllm, "_check_same_prompts", lambda ours, used: None)
    assert max(run()[1]) > 0.1


def test_features_of_an_older_tower_would_be_sampled_from(run, monkeypatch):
    monkeypatch.setattr(vllm.PictureGeneration, "sync_weights", VLLMGeneration.sync_weights)
    assert max(run()[1]) > 1e-2


def test_weights_that_are_not_synced_would_be_sampled_from(run, monkeypatch):
    monkeypatch.setattr(vllm.PictureGeneration, "sync_weights", lambda self: None)
    assert max(run()[1]) > 1e-2
