"""A run that publishes while it trains: every checkpoint arrives, and whatever becomes of the Hub, the run goes on."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

from open_vr1 import grpo
from open_vr1.hub.card_check import check_card
from open_vr1.hub.commits import remote_files
from open_vr1.hub.outbox.__main__ import main as outbox_main
from open_vr1.hub.outbox.folder import Outbox
from tests.small_runs import write_recipes

ROOT = Path(__file__).parents[2]
REPO = "open-vr1/tiny"
STAGES = """
  - {max_completion_length: 6, num_generations: 4, steps: 2}
  - {max_completion_length: 8, num_generations: 2, steps: 2}
"""
REVISIONS = {"main", *(f"main-step-{step:09d}" for step in (1, 2, 3, 4))}
WORDS = ["--config", "tiny/grpo.yaml", "--push_to_hub", "true", "--hub_model_id", REPO]


@pytest.fixture(scope="module")
def recipes(tmp_path_factory):
    """A recipe of two stages of two steps, each saved, with its world and its model made once."""
    folder = tmp_path_factory.mktemp("live")
    write_recipes(folder)
    path = folder / "tiny/grpo.yaml"
    text = path.read_text().replace("outputs/cold", "base").partition("ptst_stages:")[0]
    text = text.replace("[accuracy]", "['tests.hub.test_live_training:reward']")
    path.write_text(f"{text}ptst_stages:{STAGES}save_total_limit: 1\nlearning_rate: 1.0e-3\n")
    return folder


@pytest.fixture
def run(recipes, tmp_path, monkeypatch):
    """Where the commands are run; the run's own folder is `outputs/final`."""
    for name in ("tiny", "base", "world"):
        if (recipes / name).exists():
            shutil.copytree(recipes / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    yield Path("outputs/final")
    for name in ("base", "world"):
        if not (recipes / name).exists() and (tmp_path / name).exists():
            shutil.copytree(tmp_path / name, recipes / name)


def reward(completions, **columns):
    """Differs between completions, so that something is learned."""
    time.sleep(float(os.environ.get("SLOW_REWARD", "0")))
    return [float(len(set(completion[0]["content"]))) for completion in completions]


def refs(api):
    found = api.list_repo_refs(REPO)
    return {ref.name for ref in found.branches}, {ref.name for ref in found.tags}


def test_every_checkpoint_is_published_while_it_trains_and_loads(hub, upload_path, run, tmp_path, capfd):
    assert grpo.main(WORDS) == 0
    api = hub.api()
    assert refs(api) == (REVISIONS, {"stage-1", "stage-2", "final"})
    assert hub.log.calls("POST", "/commit/")[0].path.endswith("/commit/main")
    assert api.endpoint in capfd.readouterr().out
    # The older ones are gone here.
    assert {path.name for path in run.glob("checkpoint-*")} <= {"checkpoint-2", "checkpoint-3", "checkpoint-4"}
    weights = {}
    for revision in (*REVISIONS, "stage-1", "final"):
        model = AutoModelForImageTextToText.from_pretrained(REPO, revision=revision, dtype=torch.float32)
        processor = AutoProcessor.from_pretrained(REPO, revision=revision)
        inputs = processor(text="2 + 2 =", return_tensors="pt")
        assert model.generate(**inputs, max_new_tokens=4).shape[1] > inputs["input_ids"].shape[1]
        weights[revision] = model.get_input_embeddings().weight.sum().item()
        card = api.hf_hub_download(REPO, "README.md", revision=revision, local_dir=tmp_path / "cards" / revision)
        assert check_card(Path(card).read_text(), "model") == []
    assert len(set(weights.values())) == 4 and weights["final"] == weights["main-step-000000004"] == weights["main"]
    assert weights["stage-1"] == weights["main-step-000000002"]
    # The Trainer's own pushing would send optimizer states.
    for revision in REVISIONS:
        assert not {
            name for name in remote_files(api, REPO, revision=revision) if name.endswith((".pt", ".pth", ".bin"))
        }
    _no_secret(hub, tmp_path)


def _no_secret(hub, *places):
    """The token is in none of the run's files and in nothing that the Hub was sent."""
    token = hub.tokens["write"].encode()
    for place in (*places, hub.folder):
        for path in place.rglob("*"):
            if path.is_file():
                assert token not in path.read_bytes(), path


def test_a_run_without_a_token_trains_to_the_end_and_is_published_later(hub, run, monkeypatch, capsys):
    monkeypatch.delenv("HF_TOKEN")
    assert grpo.main(WORDS) == 0
    said = capsys.readouterr().out
    assert "there is no token" in said and "make outbox-drain RUN=outputs/final" in said
    assert not hub.log.calls("POST")
    assert [entry.state for entry in Outbox(run)] == ["waiting"] * 5
    monkeypatch.setenv("HF_TOKEN", hub.tokens["write"])
    assert outbox_main(["drain", "--run", str(run)]) == 0
    assert refs(hub.api()) == (REVISIONS, {"stage-1", "stage-2", "final"})
    # And the finished run says so too.
    assert grpo.main(WORDS) == 0
    assert f"published: {hub.url}/{REPO}" in capsys.readouterr().out


def test_a_run_without_a_network_trains_to_the_end_and_is_published_later(hub, run, monkeypatch, capsys):
    hub.faults.status(503, path="/api/", times=None)
    monkeypatch.setattr("open_vr1.hub.outbox.live.CHECK_SECONDS", 0.2)
    assert grpo.main([*WORDS, "--hub_wait_minutes", "0.02"]) == 0
    assert "wait in outputs/final/_outbox; publish them" in capsys.readouterr().out
    hub.faults.clear()
    deadline = time.monotonic() + 60
    while Outbox(run).entries("waiting"):  # The drain has outlived the training, and goes on.
        assert time.monotonic() < deadline, (run / "_outbox/drain.log").read_text()
        time.sleep(0.2)
    assert refs(hub.api())[0] == REVISIONS


@pytest.mark.parametrize(("role", "said"), [("read", "may not write there"), ("none", "who is not in open-vr1")])
def test_a_token_that_may_not_push_ends_the_run_before_it_trains(hub, run, role, said, monkeypatch, capsys):
    hub.api().create_repo(REPO, private=True)
    monkeypatch.setenv("HF_TOKEN", hub.tokens[role])
    assert grpo.main(WORDS) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: tiny/grpo.yaml: push_to_hub: ") and said in error
    assert not list(run.glob("checkpoint-*"))


def test_another_runs_repository_ends_the_run_before_it_trains(hub, run, capsys):
    hub.api().create_repo(REPO)
    theirs = {"run": {"id": "other", "name": "vr1/ptst"}, "wall_clock": {"started": "then"}}
    hub.api().upload_file(path_or_fileobj=json.dumps(theirs).encode(), path_in_repo="open_vr1.json", repo_id=REPO)
    assert grpo.main(WORDS) == 2
    assert "belongs to another run (vr1/ptst, other, begun then)" in capsys.readouterr().err
    assert not list(run.glob("checkpoint-*"))


def _start(hub, tmp_path, *words) -> subprocess.Popen:
    environment = {**os.environ, **hub.environment(tmp_path / "home"), "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    environment["SLOW_REWARD"] = "2"
    command = [sys.executable, "-m", "open_vr1.grpo", *WORDS, *words]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_a_run_whose_machine_is_lost_goes_on_on_another_one(hub, run, tmp_path, capsys):
    """Killed after its state had been sent, its disk gone: the same command ends with the same weights."""
    process = _start(hub, tmp_path, "--hub_keep_state", "true")
    api = hub.api()
    while not (step := _kept_step(api)):
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.1)
    process.kill()
    process.wait()
    _stop_drain(run)
    assert (step := _kept_step(api)) < 4
    shutil.rmtree("outputs")
    assert grpo.main([*WORDS, "--hub_keep_state", "true"]) == 0
    assert f"going on from outputs/final/checkpoint-{step}" in capsys.readouterr().out
    assert refs(api) == (REVISIONS, {"stage-1", "stage-2", "final"})
    assert grpo.main(["--config", "tiny/grpo.yaml", "--output_dir", "outputs/undisturbed"]) == 0
    assert Path("outputs/undisturbed/model.safetensors").read_bytes() == (run / "model.safetensors").read_bytes()


def _kept_step(api) -> int | None:
    """The step whose state is in the private repository."""
    if not api.repo_exists(f"{REPO}-state"):
        return None
    names = [name for name in remote_files(api, f"{REPO}-state") if name.startswith("checkpoint-")]
    return int(names[0].partition("/")[0].removeprefix("checkpoint-")) if names else None


def _stop_drain(run):
    status = run / "_outbox/drain.json"
    if status.is_file():
        os.kill(json.loads(status.read_text())["pid"], signal.SIGKILL)
    while Outbox(run).at_work("drain"):
        time.sleep(0.05)


def test_an_adapter_is_published_once_its_base_is_and_loads_with_it(hub, run, monkeypatch, capsys):
    from peft import PeftModel

    lora = [
        "--use_peft",
        "true",
        "--lora_r",
        "4",
        "--lora_target_modules",
        "q_proj",
        "v_proj",
        "--output_dir",
        "outputs/lora",
    ]
    words = [*WORDS[:-1], "open-vr1/tiny-lora", *lora]
    assert grpo.main(words) == 2
    assert "is no model on the Hub, so nobody could load the adapter" in capsys.readouterr().err
    # The base is published, as a run would be, and the adapters that wait go after it.
    hub.api().create_repo("open-vr1/tiny-base")
    hub.api().upload_folder(repo_id="open-vr1/tiny-base", folder_path="base")
    base = Path("base/_outbox/final")
    base.mkdir(parents=True)
    (base / "entry.json").write_text('{"kind": "final", "step": 0, "stage_ended": null, "source": "."}')
    (base / "done.json").write_text('{"revision": "main", "commit": "", "tags": []}')
    (base.parent / "repo.json").write_text('{"repo": "open-vr1/tiny-base", "prefix": "main"}')
    assert outbox_main(["drain", "--run", "outputs/lora"]) == 0
    api = hub.api()
    config = api.hf_hub_download("open-vr1/tiny-lora", "adapter_config.json", revision="main-step-000000002")
    config = json.loads(Path(config).read_text())
    assert config["base_model_name_or_path"] == "open-vr1/tiny-base"
    model = AutoModelForImageTextToText.from_pretrained(config["base_model_name_or_path"], dtype=torch.float32)
    assert PeftModel.from_pretrained(model, "open-vr1/tiny-lora", revision="main-step-000000002")
