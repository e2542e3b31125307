"""
GRPO with pictures on a real vLLM server, a build for the CPU, started as docs/ptst.md says: `make test-vllm`.

TRL sends weights to a server between GPUs only. `Transfer` takes its place, so the server's weights stay as they were;
pictures, prompts, completions and the caches are the server's own.
"""

import importlib.util
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from itertools import groupby, pairwise
from pathlib import Path
from urllib.parse import urlparse

import pytest

if importlib.util.find_spec("vllm") is None:
    pytest.skip("needs a vLLM that runs on a CPU: make test-vllm", allow_module_level=True)

import requests
import torch
from safetensors import safe_open
from trl.generation.vllm_client import VLLMClient
from trl.generation.vllm_generation import VLLMGeneration
from vllm.distributed.weight_transfer.packed_tensor import pack_tensors, unpack_tensor
from vllm.model_executor.models.qwen2_5_vl import Qwen2_5_VLForConditionalGeneration

from open_vr1.data_sources import load_processor
from open_vr1.errors import UserError
from open_vr1.ptst import vllm

from .real_vllm import LORA, STAGES, gaps_of, make_real_trainer

DOCS = Path(__file__).parents[2] / "docs/ptst.md"
PIXELS = (112 * 112, 112 * 112)  # the tests' pictures are 16 tokens, and 4 by the model's folder
CONTEXT = 512
START_SECONDS = 500


def documented_command(values):
    """The command of the docs, as environment and words, with values put in for those of its options."""
    text = re.search(r"^VLLM_SERVER_DEV_MODE=1 vllm serve .*?(?=^```)", DOCS.read_text(), re.MULTILINE | re.DOTALL)[0]
    words = shlex.split(text.replace("\\\n", " "))
    for option, value in values.items():
        words[words.index(option) + 1] = value
    start = words.index("vllm")
    return dict(word.split("=", 1) for word in words[:start]), words[start:]


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def server_command(model, port):
    pictures = vllm._picture_arguments(load_processor(str(model), *PIXELS))["mm_processor_kwargs"]
    environment, words = documented_command(
        {"serve": str(model), "--max-model-len": str(CONTEXT), "--mm-processor-kwargs": json.dumps(pictures)}
    )
    # The CPU build is a package of another name, which the command `vllm` does not find.
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", *words[2:]]
    of_the_test = ["--host", "127.0.0.1", "--port", str(port), "--dtype", "float32", "--enforce-eager"]
    return {**environment, "VLLM_CPU_KVCACHE_SPACE": "1"}, [*command, *of_the_test]


@pytest.fixture(scope="module")
def server(toy_model, tmp_path_factory):
    port = free_port()
    environment, command = server_command(toy_model, port)
    log = tmp_path_factory.mktemp("server") / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            env={**os.environ, **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # it has children, which have to end with it
        )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until_healthy(url, process, log)
        yield url
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_until_healthy(url, process, log):
    end = time.monotonic() + START_SECONDS
    while not is_healthy(url):
        if process.poll() is not None or time.monotonic() > end:
            pytest.fail(f"the server did not start:\n{log.read_text()[-5000:]}", pytrace=False)
        time.sleep(1)


def is_healthy(url):
    try:
        return requests.get(f"{url}/health", timeout=10).status_code == 200
    except requests.ConnectionError:
        return False


class Transfer:
    """Stands in for TRL's weight transfer, which needs NCCL: vLLM packs the weights as for it, and they are kept."""

    def __init__(self, monkeypatch):
        self.updates = []
        self.events = []
        monkeypatch.setattr(VLLMClient, "init_communicator", lambda client, device: None)
        monkeypatch.setattr(VLLMClient, "update_named_params", lambda client, *args: self.update(*args))

    def update(self, metadata, named_params):
        chunk = pack_tensors(iter(named_params), lambda item: item[1], buffer_size_bytes=2**30)
        sent = [(name, str(dtype).removeprefix("torch."), shape) for name, dtype, shape in described(chunk)]
        assert sent == metadata
        self.updates.append(
            dict(unpack_tensor(chunk.packed_tensor, chunk.names, chunk.shapes, chunk.dtypes, chunk.tensor_sizes))
        )
        self.events.append("weights")


def described(chunk):
    return zip(chunk.names, chunk.dtypes, chunk.shapes, strict=True)


@pytest.fixture
def transfer(monkeypatch):
    return Transfer(monkeypatch)


@pytest.fixture
def answers(transfer, monkeypatch):
    """The server's answers so far, by path; their paths are also among the transfer's events, in order."""
    answers = {}
    request = requests.Session.request

    def request_and_note(session, method, url, **kwargs):
        answer = request(session, method, url, **kwargs)
        if method == "POST":
            path = urlparse(url).path
            answers.setdefault(path, []).append(answer)
            transfer.events.append(path)
        return answer

    monkeypatch.setattr(requests.Session, "request", request_and_note)
    return answers


@pytest.fixture
def make(server, toy_model, tmp_path, transfer, answers):
    def make(**config):
        settings = {"vllm_mode": "server", "vllm_server_base_url": server, "pixels": PIXELS, **config}
        return make_real_trainer(toy_model, tmp_path, **settings)

    return make


def vllm_names(names):
    return set(Qwen2_5_VLForConditionalGeneration.hf_to_vllm_mapper.apply_list(list(names)))


def names_in(model):
    with safe_open(model / "model.safetensors", framework="pt") as checkpoint:
        return checkpoint.keys()


@pytest.mark.parametrize("pictures", [1, 2])
def test_a_server_samples_from_the_trainers_prompts_in_both_stages(make, transfer, answers, toy_model, pictures):
    trainer = make(pictures=pictures)
    trainer.train()
    gaps = gaps_of(trainer)
    assert gaps[0] < 1e-2  # The weights are the same until the first step has changed them...
    assert len(gaps) == 6 and max(gaps[1:]) > 1e-2  # ...and what is measured would show it if they were not.
    assert [generation["lengths"] for generation in trainer.generations] == [[8]] * 3 + [[20]] * 3

    image_token = trainer.processing_class.image_token_id
    generated = answers["/inference/v1/generate"]
    assert len(generated) == 12
    for answer in generated:
        asked = json.loads(answer.request.body)
        assert answer.json()["usage"]["prompt_tokens"] == len(asked["token_ids"])
        assert asked["token_ids"].count(image_token) == 16 * pictures
        assert not any(image_token in choice["token_ids"] for choice in answer.json()["choices"])

    of_a_step = ["weights", "/reset_prefix_cache", "/reset_encoder_cache", "/v1/chat/completions/render"]
    assert [event for event, _ in groupby(transfer.events)] == [*of_a_step, "/inference/v1/generate"] * 6
    assert {answer.status_code for of_path in answers.values() for answer in of_path} == {200}

    assert all(vllm_names(update) == vllm_names(names_in(toy_model)) for update in transfer.updates)
    for before, after in pairwise(transfer.updates):
        assert sum(not torch.equal(before[name], after[name]) for name in before) > len(before) / 2


def test_an_image_token_is_not_sampled_however_probable(make, monkeypatch):
    image_token = make().processing_class.image_token_id
    wanted = {"ignore_eos": True, "logit_bias": {image_token: 50.0}}
    make(generation_kwargs=wanted).train()
    monkeypatch.setattr(vllm, "_without_picture_tokens", lambda kwargs, processing_class: kwargs)
    with pytest.raises(ValueError, match="image tokens|Image features"):
        make(generation_kwargs=wanted).train()


def test_another_pixel_budget_is_refused_before_the_server_sees_a_picture_of_another_size(make, server, answers):
    trainer = make(pixels=None)
    wanted = json.dumps(vllm._picture_arguments(trainer.processing_class)["mm_processor_kwargs"])
    with pytest.raises(UserError, match=re.escape(f"--mm-processor-kwargs '{wanted}'")) as refused:
        trainer.train()
    print(refused.value)
    assert trainer.state.global_step == 0 and "/inference/v1/generate" not in answers
    assert is_healthy(server)


def test_a_context_too_short_for_the_last_stage_is_refused_before_the_first(make, answers):
    trainer = make(stages=[STAGES[0], {**STAGES[1], "max_completion_length": CONTEXT - 20}])
    with pytest.raises(UserError, match=f"vllm serve --max-model-len: {CONTEXT} does not hold") as refused:
        trainer.train()
    print(refused.value)
    assert trainer.state.global_step == 0 and "/inference/v1/generate" not in answers


def changed(update, other):
    return {name for name in update if not torch.equal(update[name], other[name])}


def test_what_is_packed_for_a_server_has_the_adapters_in_it(make, transfer, toy_model, monkeypatch):
    make(trainer_kwargs={"peft_config": LORA}).train()
    merged = transfer.updates.copy()
    assert all(vllm_names(update) == vllm_names(names_in(toy_model)) for update in merged)
    assert len(changed(merged[0], merged[-1])) == 9

    transfer.updates.clear()
    monkeypatch.setattr(vllm.PictureGeneration, "_iter_named_params", VLLMGeneration._iter_named_params)
    make(trainer_kwargs={"peft_config": LORA}).train()
    for name, weight in transfer.updates[-1].items():  # TRL's way, the base model's to a rounding
        torch.testing.assert_close(weight, merged[0][name], rtol=1e-4, atol=1e-6)
