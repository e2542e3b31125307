"""Checkpoints that are evaluated while a run trains: none is lost, none is asked twice, and the training does not notice."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from huggingface_hub import hf_hub_download

from open_vr1.errors import UserError
from open_vr1.evals import runner as module
from open_vr1.evals.callback import EvaluationCallback, evaluation_of, same_random_numbers
from open_vr1.evals.identity import identity
from open_vr1.evals.queue import EvalQueue, Job
from open_vr1.evals.runner import Runner
from open_vr1.hub.outbox.drain import Drain
from open_vr1.hub.outbox.folder import Destination, Outbox
from open_vr1.hub.outbox.staging import Stager
from open_vr1.recipe import read_recipe
from tests.evals.results import figure
from tests.hub.runs import write_run
from tests.small_runs import write_recipes

# Plays make evaluate: says when it begins and ends, looks at the weights, and may be told to fail or to take its time.
EVALUATE = """
import json, os, pathlib, sys, time
words = dict(zip(sys.argv[1::2], sys.argv[2::2]))
model, out = pathlib.Path(words["--model_name_or_path"]), pathlib.Path(words["--output_dir"])
log = open(os.environ["CALLS"], "a")
print("begin", model.name, os.environ["CUDA_VISIBLE_DEVICES"] or "cpu", file=log, flush=True)
assert (model / "model.safetensors").is_file() and (model / "open_vr1.json").is_file()
time.sleep(float(os.environ.get("SECONDS_TAKEN", 0)))
if model.name in os.environ.get("FAILS", ""):
    sys.exit("error: the recipe is wrong")
out.mkdir(parents=True, exist_ok=True)
(out / "results.json").write_text(json.dumps({"model": str(model), "accuracy": 0.5, "benchmarks": [json.loads(FIGURE)]}))
print("end", model.name, file=log, flush=True)
"""


@pytest.fixture
def fake(tmp_path, monkeypatch) -> Path:
    """The command that plays the evaluation; its calls are in the file `calls`."""
    program = tmp_path / "fake.py"
    program.write_text(f"FIGURE = {json.dumps(json.dumps(figure()))}\n{EVALUATE}")
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    monkeypatch.setattr(module, "EVALUATE", (sys.executable, str(program)))
    monkeypatch.setattr(module, "POLL_SECONDS", 0.05)
    return program


@pytest.fixture
def run(tmp_path) -> Path:
    return write_run(tmp_path / "run")


def calls(tmp_path: Path) -> list[str]:
    file = tmp_path / "calls"
    return file.read_text().splitlines() if file.exists() else []


def add(run: Path, *steps: int, **keys) -> EvalQueue:
    queue = EvalQueue(run)
    for step in steps:
        assert queue.add(Job(f"checkpoint-{step}", "eval.yaml", **keys))
    return queue


def accuracy_of(folder: Path) -> float:
    return json.loads((folder / "results.json").read_text())["accuracy"]


# ----- The runner


def test_checkpoints_are_evaluated_in_order_and_one_at_a_time(run, fake, tmp_path):
    queue = add(run, 20, 10, 30)
    Runner(queue).run()
    order = [words for step in (10, 20, 30) for words in (f"begin checkpoint-{step} cpu", f"end checkpoint-{step}")]
    assert calls(tmp_path) == order and queue.accuracies() == {f"checkpoint-{step}": 0.5 for step in (10, 20, 30)}
    for step in (10, 20, 30):
        assert accuracy_of(run / f"checkpoint-{step}/eval") == accuracy_of(run / f"evals/checkpoint-{step}") == 0.5
        content = json.loads((run / f"evals/checkpoint-{step}/results.json").read_text())
        assert content["model"] == str(run / f"checkpoint-{step}")


def test_rotation_takes_nothing_away_and_nothing_is_held_afterwards(run, fake):
    queue = add(run, 10)
    shutil.rmtree(run / "checkpoint-10")
    Runner(queue).run()
    assert accuracy_of(run / "evals/checkpoint-10") == 0.5 and not (run / "checkpoint-10").exists()
    assert not list(queue.held.glob("*checkpoint*")) and not list(queue.held.glob(".checkpoint*"))


def test_holding_a_checkpoint_takes_no_room_and_no_optimizer(run):
    queue = add(run, 10)
    held = queue.held / "checkpoint-10"
    assert os.path.samefile(held / "model.safetensors", run / "checkpoint-10/model.safetensors")
    assert not (held / "optimizer.pt").exists()


def test_a_checkpoint_is_asked_once(run, fake, tmp_path):
    queue = add(run, 10)
    assert not queue.add(Job("checkpoint-10", "eval.yaml"))
    Runner(queue).run()
    assert not queue.add(Job("checkpoint-10", "eval.yaml")) and len(calls(tmp_path)) == 2


def test_a_held_checkpoint_is_the_same_model_to_an_evaluation(run):
    """So that its replies are taken for it when somebody evaluates the checkpoint itself."""
    held = add(run, 10).held / "checkpoint-10"

    def who(folder: Path) -> str:
        model = SimpleNamespace(model_name_or_path=str(folder), model_revision="main", dtype="bfloat16")
        return identity(SimpleNamespace(model=model, args=SimpleNamespace(endpoint=None, engine="vllm")))

    assert who(held) == who(run / "checkpoint-10")


def test_what_a_kill_has_left_of_holding_is_made_again(run, fake):
    queue = EvalQueue(run)
    (queue.held / "checkpoint-10").mkdir(parents=True)
    (queue.held / ".checkpoint-10.draft").mkdir()
    assert not queue.jobs()
    add(run, 10)
    Runner(queue).run()
    assert set(queue.accuracies()) == {"checkpoint-10"}


def test_devices_are_those_that_were_named(run, fake, tmp_path):
    Runner(add(run, 10, devices="6,7")).run()
    assert calls(tmp_path)[0] == "begin checkpoint-10 6,7"


def test_what_fails_is_tried_once_more_after_the_others_and_then_let_go(run, fake, tmp_path, monkeypatch):
    monkeypatch.setenv("FAILS", "checkpoint-10")
    queue = add(run, 10, 20)
    Runner(queue).run()
    assert [words.split()[1] for words in calls(tmp_path) if "begin" in words] == [
        "checkpoint-10",
        "checkpoint-20",
        "checkpoint-10",
    ]
    assert "the recipe is wrong" in queue.failures()["checkpoint-10"] and set(queue.accuracies()) == {"checkpoint-20"}
    assert not queue.jobs() and not (queue.held / "checkpoint-10").exists()
    monkeypatch.setenv("FAILS", "")
    assert queue.add(Job("checkpoint-10", "eval.yaml"))  # Asked for again, it gets another chance.
    Runner(queue).run()
    assert not queue.failures() and accuracy_of(run / "evals/checkpoint-10") == 0.5


def start_runner(run: Path, fake: Path) -> subprocess.Popen:
    words = f"import sys; import open_vr1.evals.runner as r; r.EVALUATE = (sys.executable, {str(fake)!r}); r.main([{str(run)!r}])"
    return subprocess.Popen([sys.executable, "-c", words])


def wait_for(condition, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_killed_runner_is_gone_on_from_and_its_evaluation_is_not_started_twice(run, fake, tmp_path, monkeypatch):
    monkeypatch.setenv("SECONDS_TAKEN", "2")
    queue = add(run, 10)
    first = start_runner(run, fake)
    wait_for(lambda: calls(tmp_path))
    assert queue.at_work()
    first.send_signal(signal.SIGKILL)
    first.wait()
    Runner(queue).run()
    assert calls(tmp_path) == ["begin checkpoint-10 cpu", "end checkpoint-10"]
    assert accuracy_of(run / "checkpoint-10/eval") == 0.5 and not queue.jobs()


def test_a_second_runner_leaves_it_to_the_first(run, fake, tmp_path, monkeypatch):
    monkeypatch.setenv("SECONDS_TAKEN", "2")
    queue = add(run, 10)
    first = start_runner(run, fake)
    wait_for(lambda: calls(tmp_path))
    Runner(queue).run()
    assert queue.jobs() and first.wait(60) == 0 and len(calls(tmp_path)) == 2


def test_the_finished_model_has_the_results_of_the_same_weights(run, fake, tmp_path):
    queue = add(run, 30)
    assert queue.add(Job("final", "eval.yaml", same_as="checkpoint-30"))
    Runner(queue).run()
    assert len(calls(tmp_path)) == 2 and accuracy_of(run / "eval") == accuracy_of(run / "evals/final") == 0.5
    assert json.loads((run / "eval/results.json").read_text())["model"] == str(run)


# ----- On the Hub


@pytest.mark.parametrize("published", [True, False])
def test_results_reach_the_card_of_their_revision_whenever_that_is_published(
    hub, run, fake, tmp_path, caller, monkeypatch, published
):
    monkeypatch.setattr("open_vr1.hub.model_plots.write_plots", lambda *_: [])
    outbox = Outbox(run)
    outbox.address(Destination("open-vr1/run"))
    Stager(outbox).catch_up()
    drain = lambda: Drain(outbox, caller, lambda _: None).run()
    queue = add(run, 10, publish=True)
    shutil.rmtree(run / "checkpoint-10")
    if published:
        drain()
    Runner(queue).run()
    if not published:
        drain()
    card = hf_hub_download("open-vr1/run", "README.md", revision="main-step-000000010", cache_dir=tmp_path / "cache")
    assert "| accuracy | 0.5 |" in Path(card).read_text()
    other = hf_hub_download("open-vr1/run", "README.md", revision="main-step-000000020", cache_dir=tmp_path / "cache")
    assert "Not evaluated." in Path(other).read_text()


def test_a_hub_that_is_away_costs_no_results(run, fake):
    queue = add(run, 10, publish=True)
    Runner(queue).run()
    assert accuracy_of(run / "evals/checkpoint-10") == 0.5 and not queue.failures()
    assert "later: make push-results RUN=" in (queue.held / "runner.log").read_text()


# ----- Elsewhere


@pytest.fixture
def launcher(tmp_path, monkeypatch) -> Path:
    """Plays open_vr1.launch, and writes down its words."""
    program, said = tmp_path / "launch.py", tmp_path / "launched"
    program.write_text(
        f"import sys; open({str(said)!r}, 'a').write(' '.join(sys.argv[1:]) + '\\n'); print('job 77, log x')"
    )
    monkeypatch.setattr(module, "LAUNCH", (sys.executable, str(program)))
    monkeypatch.setattr(module, "POLL_SECONDS", 0.05)
    return said


def test_a_slurm_job_is_submitted_once_and_its_results_are_taken(run, launcher, monkeypatch):
    queue = add(run, 10, where="slurm")
    (job,) = queue.jobs()
    monkeypatch.setattr(module, "_is_in_queue", lambda job: job == "77")
    worker = Runner(queue)
    assert worker.advance(job) and not worker.advance(job) and not Runner(queue).advance(job)
    (words,) = launcher.read_text().splitlines()
    assert words == (
        f"slurm -m open_vr1.evaluate --config eval.yaml --model_name_or_path {run}/.evals/checkpoint-10 "
        f"--output_dir {run}/evals/checkpoint-10"
    )
    (run / "evals/checkpoint-10/results.json").write_text(
        json.dumps({"model": "m", "accuracy": 0.25, "benchmarks": []})
    )
    assert worker.advance(job) and accuracy_of(run / "checkpoint-10/eval") == 0.25 and not queue.jobs()


def test_a_slurm_job_that_ends_without_results_has_failed(run, launcher, monkeypatch):
    queue = add(run, 10, where="slurm")
    monkeypatch.setattr(module, "_is_in_queue", lambda job: False)
    Runner(queue).run()
    assert "job 77 has ended without results" in queue.failures()["checkpoint-10"] and not queue.jobs()
    assert len(launcher.read_text().splitlines()) == 2


def test_a_machine_of_the_hub_is_asked_for_when_the_revision_is_there(run, launcher):
    outbox = Outbox(run)
    outbox.address(Destination("open-vr1/run"))
    Stager(outbox).checkpoint(10)
    queue = add(run, 10, where="hf-jobs", publish=True)
    (job,) = queue.jobs()
    assert not Runner(queue).advance(job) and not launcher.exists()
    (entry,) = outbox
    entry.mark_done(revision="main-step-000000010", commit="c" * 40, tags=[], bytes=1)
    Runner(queue).run()
    assert launcher.read_text() == (
        "hf-jobs -m open_vr1.evaluate --config eval.yaml --model_name_or_path open-vr1/run --model_revision "
        "main-step-000000010 --push_to_hub true --output_dir outputs/eval/open-vr1--run/main-step-000000010\n"
    )
    assert not queue.add(job), "it is asked for once"


# ----- The recipe and the training


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ("eval_recipe: nowhere.yaml", "eval_recipe: nowhere.yaml"),
        ("eval_recipe: tiny/sft.yaml", "tiny/sft.yaml is a recipe for sft"),
        ("eval_where: slurm", "needs to know what to ask"),
        ("{recipe}\neval_where: home", "eval_where: 'home'"),
        ("{recipe}\neval_where: slurm\neval_devices: '1'", "eval_devices: is for eval_where: process"),
        ("{recipe}\neval_where: hf-jobs", "takes what is published"),
    ],
)
def test_wrong_keys_are_refused_before_anything_is_loaded(tmp_path, monkeypatch, keys, says):
    monkeypatch.chdir(tmp_path)
    write_recipes(Path())
    with Path("tiny/sft.yaml").open("a") as file:
        file.write(keys.format(recipe="eval_recipe: tiny/eval.yaml"))
    with pytest.raises(UserError) as refused:
        read_recipe("tiny/sft.yaml", "sft")
    assert says in str(refused.value)


def recipe(run: Path, device: str = "cpu", world_size: int = 1, **args) -> SimpleNamespace:
    keys = {"eval_recipe": "eval.yaml", "eval_where": "process", "eval_devices": None, **args}
    training = SimpleNamespace(
        output_dir=str(run), process_index=0, world_size=world_size, device=SimpleNamespace(type=device)
    )
    return SimpleNamespace(path="sft.yaml", args=SimpleNamespace(**keys), training=training, values={})


def test_a_run_on_gpus_has_to_say_where_its_evaluations_go(run):
    with pytest.raises(UserError, match="eval_devices: this key is missing"):
        evaluation_of(recipe(run, "cuda"))
    for keys in ({"eval_devices": "cpu"}, {"eval_devices": "7"}, {"eval_where": "slurm"}):
        assert evaluation_of(recipe(run, "cuda", **keys))
    with pytest.raises(UserError, match="other 3 processes would wait"):
        evaluation_of(recipe(run, "cuda", world_size=4, eval_where="here"))
    assert evaluation_of(recipe(run, eval_recipe=None)) is None


def test_failures_and_results_are_told_once_and_stop_nothing(run, tmp_path, capsys, monkeypatch):
    callback = EvaluationCallback(recipe(run))
    monkeypatch.setattr(callback, "_keep_running", lambda: None)
    state = SimpleNamespace(global_step=10)
    callback.queue.results.mkdir()
    callback.on_save(None, state, None)
    callback.queue.fail("checkpoint-10", "the recipe is wrong")
    callback.on_save(None, SimpleNamespace(global_step=999), None)  # Not even its folder is there.
    callback.on_save(None, SimpleNamespace(global_step=20), None)
    said = capsys.readouterr().out
    assert said.count("warning: evaluation of checkpoint-10 has failed: the recipe is wrong") == 1
    assert "checkpoint-999" in said and [job.name for job in callback.queue.jobs()] == [
        "checkpoint-20",
        "checkpoint-10",
    ]


def test_a_runner_that_does_not_come_up_is_told(run, capsys, monkeypatch):
    monkeypatch.setattr("open_vr1.evals.callback.RUNNER", (sys.executable, "-m", "open_vr1.no_such_module"))
    callback = EvaluationCallback(recipe(run))
    callback.on_save(None, SimpleNamespace(global_step=10), None)
    callback.runner.wait(60)
    callback._tell()
    assert "warning: what evaluates has ended with exit code 1" in capsys.readouterr().out


def test_an_evaluation_in_the_training_draws_none_of_its_random_numbers():
    def draw():
        return random.random(), np.random.rand(), torch.rand(1).item()

    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(1)
    expected = [draw(), draw()]
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(1)
    first = draw()
    with same_random_numbers():
        torch.manual_seed(7), random.seed(7), draw()
    assert [first, draw()] == expected


@pytest.mark.soak(sample=1)
@pytest.mark.parametrize("where", ["process", "here"])
def test_a_real_run_leaves_results_of_every_checkpoint_that_rotation_deletes(tmp_path, monkeypatch, where):
    pytest.importorskip("lmms_eval")
    from open_vr1 import sft

    monkeypatch.chdir(tmp_path)
    write_recipes(Path())
    words = ["--save_total_limit", "1", "--eval_recipe", "tiny/eval.yaml", "--eval_where", where]
    assert sft.main(["--config", "tiny/sft.yaml", *words]) == 0
    queue = EvalQueue("outputs/cold")
    wait_for(lambda: not queue.jobs(), 240)
    assert set(queue.accuracies()) == {"checkpoint-1", "checkpoint-2", "final"} and not queue.failures()
    assert not Path("outputs/cold/checkpoint-1").exists() and Path("outputs/cold/eval/results.json").is_file()


@pytest.mark.soak(sample=1)
@pytest.mark.parametrize("where", ["here", "process"])
def test_a_run_that_publishes_has_results_on_the_card_of_every_revision(hub, tmp_path, monkeypatch, where):
    pytest.importorskip("lmms_eval")
    from open_vr1 import sft

    monkeypatch.chdir(tmp_path)
    write_recipes(Path())
    words = ["--eval_recipe", "tiny/eval.yaml", "--eval_where", where, "--push_to_hub", "true"]
    assert sft.main(["--config", "tiny/sft.yaml", *words, "--hub_model_id", "open-vr1/tiny"]) == 0
    queue = EvalQueue("outputs/cold")
    wait_for(lambda: not queue.jobs() and not Outbox("outputs/cold").with_results(), 240)
    for revision in ("main", "final", "main-step-000000001", "main-step-000000002"):
        card = hf_hub_download("open-vr1/tiny", "README.md", revision=revision, cache_dir=tmp_path / "cache")
        assert "| toy world test |" in Path(card).read_text(), revision
