"""Running: everything once, going on after a kill, one failure among others, no two processes on one run."""

import json
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from open_vr1.sweep import runner
from open_vr1.sweep.__main__ import main
from open_vr1.sweep.grid import read_sweep
from open_vr1.sweep.runner import Runner

from .conftest import calls

JUDGED = {"seeds": [0, 1], "variants": {"a": {}, "b": {"beta": 0.1}}, "eval": {"recipe": "eval.yaml", "start": True}}
NAMES = ["a/seed0", "b/seed0", "a/seed1", "b/seed1"]


def sweep_of(grid: Path):
    return read_sweep("grpo.yaml", grid)


def wait_for(path: Path, seconds: float = 20) -> str:
    deadline = time.monotonic() + seconds
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return path.read_text()


@pytest.mark.parametrize("jobs", [1, 3])
def test_every_run_is_trained_and_then_judged_and_says_so_on_one_line(jobs, write_grid, stand_in, capsys):
    assert Runner(sweep_of(write_grid(**JUDGED)), jobs, stand_in).run() == {}
    made = calls()
    for name in NAMES:
        folder = f"outputs/sweeps/grid/{name}"
        assert made.index(f"grpo {folder}") < made.index(f"evaluate {folder}/eval")
    assert len(made) == 2 * len(NAMES) + 1
    begun_first = made[:1] if jobs == 1 else made  # Of several at a time, each writes when it has got that far.
    assert "evaluate outputs/sweeps/grid/starts/model" in begun_first
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(NAMES) + 1 and all("accuracy 0.500" in line for line in lines)
    assert sorted(line.split()[1].rstrip(":") for line in lines) == sorted([*NAMES, "start/model"])


def test_what_is_finished_is_not_run_again_and_what_is_missing_is(write_grid, stand_in):
    sweep = sweep_of(write_grid(**JUDGED))
    Runner(sweep, 1, stand_in).run()
    calls()
    Runner(sweep, 1, stand_in).run()
    assert calls() == []
    (sweep.runs[2].folder / "trainer_state.json").unlink()
    (sweep.runs[1].folder / "eval" / "results.json").unlink()
    Runner(sweep, 1, stand_in).run()
    assert calls() == ["evaluate outputs/sweeps/grid/b/seed0/eval", "grpo outputs/sweeps/grid/a/seed1"]


def test_a_changed_evaluation_judges_again_and_trains_nothing(write_grid, stand_in):
    Runner(sweep_of(write_grid(**JUDGED)), 1, stand_in).run()
    calls()
    changed = JUDGED | {"eval": {"recipe": "eval.yaml", "temperature": 0.5}}
    Runner(sweep_of(write_grid(**changed)), 1, stand_in).run()
    assert calls() == [f"evaluate outputs/sweeps/grid/{name}/eval" for name in NAMES]


def test_a_run_that_fails_is_reported_and_the_others_go_on(write_grid, stand_in, capsys):
    Path("plan.json").write_text(json.dumps({"b/seed0": {"fail": "the loss is not a number"}}))
    failed = Runner(sweep_of(write_grid(**JUDGED)), 1, stand_in).run()
    assert list(failed) == ["b/seed0"] and "error: the loss is not a number" in failed["b/seed0"]
    assert "outputs/sweeps/grid/b/seed0/log.txt" in failed["b/seed0"] and "exit status 2" in failed["b/seed0"]
    assert "b/seed0: FAILED" in capsys.readouterr().out
    assert sum(line.startswith("evaluate") and "seed" in line for line in calls()) == 3


def test_a_process_that_leaves_nothing_has_failed(write_grid, workplace):
    failed = Runner(sweep_of(write_grid(variants={"a": {}})), 1, ["true"]).run()
    assert list(failed) == ["a/seed0"] and "no output" in failed["a/seed0"]


def test_processes_side_by_side_share_the_cores(write_grid, monkeypatch):
    sweep = sweep_of(write_grid(variants={"a": {}}))
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    threads = [Runner(sweep, jobs)._environment().get("OMP_NUM_THREADS") for jobs in (1, 2, 3, 16)]
    assert threads == [None, "4", "2", "1"]
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert Runner(sweep, 2)._environment()["OMP_NUM_THREADS"] == "7"


def test_the_command_ends_in_a_table_and_with_2_where_a_run_failed(write_grid, stand_in, monkeypatch, capsys):
    monkeypatch.setattr(runner, "PYTHON", stand_in)
    Path("plan.json").write_text(json.dumps({"b/seed1": {"fail": "no luck"}}))
    command = ["--config", "grpo.yaml", "--grid", str(write_grid(**JUDGED)), "--jobs", "2"]
    assert main(command) == 2
    said = capsys.readouterr()
    assert "1 of 5" in said.err and "b/seed1: error: no luck" in said.err
    assert "b (1 of 2 seeds)" in said.out and Path("outputs/sweeps/grid/table.md").read_text() in said.out
    Path("plan.json").unlink()
    assert main(command) == 0
    assert "of 2 seeds" not in Path("outputs/sweeps/grid/table.md").read_text()
    assert Path("outputs/sweeps/grid/accuracy.png").is_file()
    assert main([*command[:-1], "0"]) == 2 and "--jobs 0" in capsys.readouterr().err


def run_apart(stand_in: list[str]) -> None:
    Runner(read_sweep("grpo.yaml", "grid.yaml"), 1, stand_in).run()


@pytest.fixture
def started(write_grid, stand_in):
    """A sweep that hangs in the training of a/seed1, once it does."""
    write_grid(**JUDGED)
    Path("plan.json").write_text(json.dumps({"a/seed1": {"sleep": 60}}))
    # Forked, because a new Python would spend seconds on importing TRL.
    process = multiprocessing.get_context("fork").Process(target=run_apart, args=[stand_in])
    process.start()
    training = int(wait_for(Path("outputs/sweeps/grid/a/seed1/sleeping")))
    Path("plan.json").write_text("{}")
    calls()
    yield process, training
    for number in (process.pid, training):
        try:
            os.kill(number, signal.SIGKILL)
        except ProcessLookupError:
            pass
    process.join()


def test_a_stopped_sweep_stops_its_processes_and_goes_on_with_the_same_command(started, stand_in):
    process, training = started
    process.terminate()
    process.join(timeout=20)
    assert process.exitcode not in (0, None)
    with pytest.raises(ProcessLookupError):
        os.kill(training, 0)
    assert Runner(read_sweep("grpo.yaml", "grid.yaml"), 1, stand_in).run() == {}
    done = calls()
    assert done[0] == "grpo outputs/sweeps/grid/a/seed1" and not any("seed0" in line for line in done)


@pytest.mark.parametrize("finishes", [False, True])
def test_a_process_that_outlived_its_sweep_is_waited_for_and_its_work_is_kept(finishes, started, stand_in, capsys):
    process, training = started
    process.kill()
    process.join()

    def end(seconds: float) -> None:
        if finishes:
            log = {"log_history": [{"step": 4, "train_runtime": 1.0}]}
            Path("outputs/sweeps/grid/a/seed1/trainer_state.json").write_text(json.dumps(log))
        os.kill(training, signal.SIGKILL)

    second = Runner(read_sweep("grpo.yaml", "grid.yaml"), 1, stand_in)
    second.stopped.wait = end
    assert second.run() == {}
    assert "still at work" in capsys.readouterr().out
    assert calls().count("grpo outputs/sweeps/grid/a/seed1") == (0 if finishes else 1)
