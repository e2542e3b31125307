"""Running: everything once, going on after a kill, one failure among others, no two processes on one run."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

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
    assert len(made) == 2 * len(NAMES) + 1 and "evaluate outputs/sweeps/grid/starts/model" in made
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


SOURCE = Path(__file__).parents[2] / "src"
# The sweep as a process of its own, with the stand-in for Python.
DRIVER = """
import sys
from open_vr1.sweep.grid import read_sweep
from open_vr1.sweep.runner import Runner
Runner(read_sweep("grpo.yaml", "grid.yaml"), 1, sys.argv[1:]).run()
"""


@pytest.fixture
def started(write_grid, stand_in):
    """A sweep that hangs in the training of a/seed1, once it does."""
    write_grid(**JUDGED)
    Path("plan.json").write_text(json.dumps({"a/seed1": {"sleep": 60}}))
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER, *stand_in], env={**os.environ, "PYTHONPATH": str(SOURCE)}
    )
    training = int(wait_for(Path("outputs/sweeps/grid/a/seed1/sleeping")))
    Path("plan.json").write_text("{}")
    calls()
    yield process, training
    for number in (process.pid, training):
        try:
            os.kill(number, signal.SIGKILL)
        except ProcessLookupError:
            pass
    process.wait()


def test_a_stopped_sweep_stops_its_processes_and_goes_on_with_the_same_command(started, stand_in):
    process, training = started
    process.terminate()
    assert process.wait(timeout=20) != 0
    with pytest.raises(ProcessLookupError):
        os.kill(training, 0)
    assert Runner(read_sweep("grpo.yaml", "grid.yaml"), 1, stand_in).run() == {}
    done = calls()
    assert done[0] == "grpo outputs/sweeps/grid/a/seed1" and not any("seed0" in line for line in done)


def test_a_process_that_outlived_its_sweep_is_waited_for(started, stand_in, capsys):
    process, training = started
    process.kill()
    process.wait()
    runner = Runner(read_sweep("grpo.yaml", "grid.yaml"), 1, stand_in)
    runner.stopped.wait = lambda seconds: os.kill(training, signal.SIGKILL)
    assert runner.run() == {}
    assert "still at work" in capsys.readouterr().out
    assert calls().count("grpo outputs/sweeps/grid/a/seed1") == 1
