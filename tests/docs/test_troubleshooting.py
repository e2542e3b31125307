"""docs/troubleshooting.md quotes what is printed: each of our messages is brought about here, each of others' stands in their source."""

import importlib.util
import json
import logging
import re
import runpy
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError
from huggingface_hub.utils import httpx
from transformers import TrainerControl, TrainerState, TrainingArguments

from open_vr1 import evaluate, grpo, rerun, sft
from open_vr1.hub import dataset
from open_vr1.hub.calls import Caller, HubRefusal
from open_vr1.launch import __main__ as launch
from open_vr1.plan import __main__ as plan
from open_vr1.ptst.guardrails import GuardrailCallback
from open_vr1.rewards.registry import resolve
from tests.docs.pages import ROOT, blocks
from tests.docs.test_quickstart import FILES

PAGE = (ROOT / "docs/troubleshooting.md").read_text()
OURS, _, THEIRS = PAGE.partition("## From other projects")
QUOTED = [line for block in blocks(OURS, "") for line in block.splitlines()]
TINY, SFT, PTST = "recipes/vr1_tiny/ptst.yaml", "my/sft.yaml", "my/ptst.yaml"
MAKE = shutil.which("make")
ELSEWHERE = ["--output_dir", "my/new"]
# What a person types, as the program and its words, where `my/` is that of docs/quickstart.md.
TYPED = {
    "recipe that is not there": (grpo, ["--config", "recipes/vr1_tiny/pst.yaml"]),
    "unknown key": (grpo, ["--config", TINY, "--learning_rte", "1e-6"]),
    "other task": (grpo, ["--config", "recipes/vr1_tiny/sft.yaml"]),
    "no GPU": (grpo, ["--config", "recipes/vr1_7b/ptst.yaml"]),
    "no checkpoint at a boundary": (grpo, ["--config", PTST, "--save_steps", "500"]),
    "groups that are split": (grpo, ["--config", TINY, "--per_device_train_batch_size", "100"]),
    "length said twice": (grpo, ["--config", TINY, "--max_completion_length", "100"]),
    "too small a GPU": (
        plan,
        ["--config", "recipes/vr1_7b/ptst.yaml", "--accelerate", "zero3", "--gpu_gib", "24"],
    ),
    "no cold start": (grpo, ["--config", TINY, "--build", "[]"]),
    "no Hub": (sft, ["--config", SFT, "--model_name_or_path", "Qwen/Qwen2.5-VL-3B-Instruct", *ELSEWHERE]),
    "no rows": (sft, ["--config", SFT, "--datasets", "[{path: my/none.jsonl}]", *ELSEWHERE]),
    "no column": (grpo, ["--config", PTST, "--columns", "{prompt: question, images: picture}", *ELSEWHERE]),
    "no picture": (sft, ["--config", SFT, "--datasets", "[{path: my/few.jsonl}]", *ELSEWHERE]),
    "rows too long": (sft, ["--config", SFT, "--max_row_length", "10", *ELSEWHERE]),
    "changed recipe": (sft, ["--config", SFT, "--learning_rate", "1e-3"]),
    "folder of others": (sft, ["--config", SFT, "--output_dir", "my/other"]),
    "other build": (
        sft,
        ["--config", SFT, "--build", "[{path: my/base, with: open_vr1.toy.model:build, args: {seed: 1}}]", *ELSEWHERE],
    ),
    "no vLLM": (evaluate, ["--config", "my/eval.yaml", "--engine", "vllm", "--model_name_or_path", "my/cold"]),
    "no sbatch": (launch, ["slurm", "-m", "open_vr1.sft", "--config", SFT]),
    "no manifest": (rerun, ["outputs/none"]),
    "no cold data": (dataset, ["outputs/none", "you/cold"]),
}


# Where others' words stand in what is installed; and what is not installed everywhere, with who has seen it.
SOURCES = {
    "The tokenizer has new PAD/BOS/EOS tokens that differ from the model config and generation config": "transformers/trainer_utils.py",
    "There were missing keys in the checkpoint model loaded": "transformers/trainer.py",
    "Image features and image tokens do not match, tokens": "transformers/models/qwen2_5_vl/modeling_qwen2_5_vl.py",
    "vLLM is not available and": "trl/generation/vllm_generation.py",
    "Repository Not Found for url": "huggingface_hub/utils/_http.py",
    "Cannot access gated repo for url": "huggingface_hub/utils/_http.py",
}
NOT_EVERYWHERE = {
    "CUDA out of memory": "in torch's CUDA library, which a CPU build lacks",
    "Watchdog caught collective operation timeout": "in torch's CUDA library, which a CPU build lacks",
    "'NoneType' object has no attribute 'splitlines'": "in vLLM; seen on 0.31, see docs/ptst.md",
}


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory):
    """Somebody's folder with the recipes, the files of the quickstart, and a cold start of one step."""
    folder = tmp_path_factory.mktemp("newcomer")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in ("recipes", "slurm"):
            Path(name).symlink_to(ROOT / name)
        Path("my/other/checkpoint-1").mkdir(parents=True)
        for name, text in FILES.items():
            Path(name).write_text(text.replace("max_steps: 100", "max_steps: 1").replace("512, seed", "8, seed"))
        runpy.run_path("my/rows.py")
        rows = [json.loads(line) for line in Path("my/train.jsonl").read_text().splitlines()]
        rows[3]["picture"] = "gone.png"
        Path("my/few.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
        assert sft.main(["--config", SFT]) == 0
    return folder


@pytest.fixture
def poor_machine(newcomer, monkeypatch, tmp_path):
    """Working there without GPU, vLLM and Slurm."""
    monkeypatch.chdir(newcomer)
    monkeypatch.setattr("transformers.training_args.is_torch_bf16_gpu_available", lambda: False)
    monkeypatch.setattr("open_vr1.evals.engines.find_spec", lambda name: None)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/bash").symlink_to(shutil.which("bash"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))


def test_the_messages_of_the_page_are_those_that_the_product_prints(newcomer, poor_machine, capsys, caplog):
    printed = [line for program, words in TYPED.values() for line in errors_of(program, words, capsys)]
    printed = [line.replace(f"{newcomer}/", "") for line in printed]
    printed += [*errors_of_make(newcomer), *warning_of_a_guardrail(capsys), *warnings_of_rewards(caplog)]
    printed += [*refusals_of_the_hub(), *pause_for_the_hub()]
    assert sorted(printed) == sorted(QUOTED)


def errors_of(program: Any, words: list[str], capsys: pytest.CaptureFixture) -> list[str]:
    capsys.readouterr()
    assert program.main(words) == 2, words
    shutil.rmtree("my/new", ignore_errors=True)
    return [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]


def errors_of_make(folder: Path) -> Iterator[str]:
    """Without any Python, with one that has no venv, and without a recipe."""
    workspace = folder / "clone"
    python = workspace / "bin/python3"
    python.parent.mkdir(parents=True)
    for name in ("Makefile", "setup.py", "constraints.txt"):
        shutil.copy(ROOT / name, workspace)
    yield first_error_of_make(workspace, "demo")
    python.write_text('#!/bin/sh\n[ "$1" = -c ]\n')
    python.chmod(0o755)
    yield first_error_of_make(workspace, "demo")
    yield first_error_of_make(workspace, "grpo")


def first_error_of_make(workspace: Path, target: str) -> str:
    command, path = [MAKE, target], {"PATH": str(workspace / "bin")}
    done = subprocess.run(command, cwd=workspace, env=path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    return done.stderr.splitlines()[0]


def warning_of_a_guardrail(capsys: pytest.CaptureFixture) -> list[str]:
    rows = [{"step": step, "ptst/stage": 2.0, "completions/clipped_ratio": 0.51} for step in range(1, 11)]
    state = TrainerState(log_history=rows, global_step=10, max_steps=20, is_world_process_zero=True)
    guardrails = GuardrailCallback(stop=False, steps=10, limits={}, source=PTST, staged=True)
    guardrails.on_log(TrainingArguments(use_cpu=True), state, TrainerControl())
    return capsys.readouterr().out.splitlines()


def warnings_of_rewards(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Of one that is always 0, and of one that cannot read a gold in four."""
    answer = "<think> a </think><answer> Final Answer:8 </answer>"
    caplog.clear()
    for golds in (["7"], ["8", "7", "7", "\\frac{"]):
        (reward,) = resolve(["hard_format_result"])
        for _ in range(50):
            reward([answer] * len(golds), solution=golds)
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def refusals_of_the_hub() -> Iterator[str]:
    refusals = ((401, "Invalid credentials"), (402, "storage limit reached"), (403, "no rights in this namespace"))
    for error in (LocalTokenNotFoundError("no token"), *(answer(status, said) for status, said in refusals)):
        with pytest.raises(HubRefusal) as refused:
            Caller().call(raises(error))
        yield f"error: {refused.value}"


def pause_for_the_hub() -> list[str]:
    told: list[str] = []
    answers = iter([raises(answer(503, None)), lambda: "done"])
    assert Caller(first_pause=0.9, tell=told.append).call(lambda: next(answers)()) == "done"
    return told


def answer(status: int, said: str | None) -> HfHubHTTPError:
    request = httpx.Request("POST", "https://hub.example/api/repos/create")
    return HfHubHTTPError("", response=httpx.Response(status, request=request), server_message=said)


def raises(error: Exception):
    def call():
        raise error

    return call


def test_words_of_others_stand_in_their_source():
    quoted = re.findall(r"^\| `(.+?)` \| \w+ \|", THEIRS, re.MULTILINE)
    assert set(quoted) == {*SOURCES, *NOT_EVERYWHERE}
    for message, file in SOURCES.items():
        package, _, path = file.partition("/")
        source = Path(importlib.util.find_spec(package).origin).parent / path
        joined = re.sub(r'"\s*\n\s*f?"', "", source.read_text())
        assert message in joined, message
