"""Answers of a real vLLM, a build for the CPU, against those of transformers: `make test-vllm` has the environment."""

import importlib.util
import os

import pytest

if importlib.util.find_spec("vllm") is None:
    pytest.skip("needs a vLLM that runs on a CPU: make test-vllm", allow_module_level=True)

from datasets import load_dataset

from open_vr1.evals.engines import Prompt
from open_vr1.evals.engines.transformers import TransformersEngine
from open_vr1.evals.engines.vllm import VLLMEngine, _devices_of_this_process
from open_vr1.evals.tasks.toy import doc_to_messages
from open_vr1.recipe import read_recipe
from open_vr1.toy.model import build as build_model
from open_vr1.toy.world import build as build_world

RECIPE = """
task: eval
model_name_or_path: model
dtype: float32
benchmarks: [{name: toy, path: world/test.parquet}]
engine: vllm
vllm: {max_model_len: 512, enforce_eager: true, mm_processor_cache_gb: 0}
max_completion_length: 12
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vllm")
    build_model(folder / "model", seed=0)
    build_world(folder / "world", seed=0, test=6)
    (folder / "eval.yaml").write_text(RECIPE)
    return folder


@pytest.fixture
def prompts(place, monkeypatch):
    monkeypatch.chdir(place)
    monkeypatch.setitem(os.environ, "VLLM_CPU_KVCACHE_SPACE", "1")
    rows = load_dataset("parquet", data_files="world/test.parquet", split="train")
    return [Prompt(str(i), 100 + i, lambda row=row: doc_to_messages(row)) for i, row in enumerate(rows)]


def replies(engine, prompts):
    answered = {}
    engine.answer(prompts, lambda part: answered.update({prompt.key: reply for prompt, reply in part}))
    return [answered[prompt.key] for prompt in prompts]


def test_vllm_answers_as_transformers_do_and_again_with_the_same_seeds(prompts):
    ours = replies(
        TransformersEngine(read_recipe("eval.yaml", "eval", ["--engine", "transformers", "--vllm", "{}"])), prompts
    )
    engine = VLLMEngine(read_recipe("eval.yaml", "eval"))
    theirs = replies(engine, prompts)
    same = sum(one == other for one, other in zip(ours, theirs, strict=True))
    # Greedy ties of a random model may break otherwise in another kernel.
    assert same >= len(prompts) - 1, list(zip(ours, theirs, strict=True))
    engine.args.temperature = 1.0
    drawn = replies(engine, prompts)
    assert replies(engine, prompts[::-1])[::-1] == drawn != theirs
    assert all(reply.tokens <= 12 and reply.clipped == (reply.tokens == 12) for reply in drawn)


def test_each_process_has_gpus_of_its_own(monkeypatch):
    for name, value in {"RANK": "3", "LOCAL_RANK": "3", "WORLD_SIZE": "4", "MASTER_ADDR": "a"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "8,9,10,11,12,13,14,15")
    with _devices_of_this_process(2):
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "14,15" and "WORLD_SIZE" not in os.environ
    assert os.environ["WORLD_SIZE"] == "4" and os.environ["RANK"] == "3"
