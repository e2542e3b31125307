"""
Runs what is not finished yet: training, then evaluation, each a process of its own with its output in the run's `log.txt`.

A run goes on from its last checkpoint by itself, so the same command goes on with a killed sweep. A run that fails does not
stop the others. Every process holds a lock on its folder for as long as it lives: one that outlives a killed sweep is waited
for, not joined by a second one.
"""

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from open_vr1.console import say
from open_vr1.sweep.grid import Evaluation, Run, Sweep

MODULES = {"sft": "open_vr1.sft", "grpo": "open_vr1.grpo", "eval": "open_vr1.evaluate"}
PYTHON = (sys.executable, "-m")
LOG, LOCK, RECIPE, RESULTS, FINISHED = "log.txt", ".lock", "recipe.yaml", "results.json", "trainer_state.json"
POLL = 0.5


class Failed(Exception):
    """A process that did not end well."""


class Runner:
    """
    Runs a sweep.

    Args:
        sweep (`Sweep`):
            What to run.
        jobs (`int`, *optional*, defaults to `1`):
            Processes at a time.
        python (`Sequence[str]`, *optional*):
            What runs a module.
    """

    def __init__(self, sweep: Sweep, jobs: int = 1, python: Sequence[str] | None = None):
        self.sweep = sweep
        self.jobs = jobs
        self.python = list(python or PYTHON)
        self.stopped = threading.Event()
        self.guard = threading.Lock()
        self.processes: set[subprocess.Popen] = set()

    def run(self) -> dict[str, str]:
        """Run everything that is not finished; returns what failed, by name, and why."""
        # The starts first: an evaluation that cannot work is seen before hours of training.
        work: dict[str, Callable[[], str]] = {
            f"start/{start.folder.name}": lambda start=start: self._judge(start) for start in self.sweep.starts
        }
        work |= {run.name: lambda run=run: self._run(run) for run in self.sweep.runs}
        failed: dict[str, str] = {}
        with ThreadPoolExecutor(self.jobs) as pool, _signals_stop():
            futures = {pool.submit(job): name for name, job in work.items()}
            try:
                for number, future in enumerate(as_completed(futures), start=1):
                    name = futures[future]
                    try:
                        said = future.result()
                    except Failed as error:
                        failed[name] = said = str(error)
                        said = f"FAILED: {said}"
                    say(f"[{number}/{len(futures)}] {name}: {said}")
            finally:
                # Nothing is left to stop where the loop has come to its end.
                self._stop()
                pool.shutdown(cancel_futures=True)
        return failed

    def _run(self, run: Run) -> str:
        said = "was finished"
        if not (run.folder / FINISHED).is_file():
            began = time.monotonic()
            self._call(self.sweep.task, run.folder, run.recipe.values, run.folder / FINISHED)
            said = f"trained after {(time.monotonic() - began) / 60:.1f} min"
        return f"{said}, {self._judge(run.evaluation)}" if run.evaluation else said

    def _judge(self, evaluation: Evaluation) -> str:
        """Evaluate, unless that has been done with this recipe."""
        recipe, results = evaluation.folder / RECIPE, evaluation.folder / RESULTS
        if not (recipe.is_file() and recipe.read_text() == _text(evaluation.values)):
            results.unlink(missing_ok=True)
        if not results.is_file():
            self._call("eval", evaluation.folder, evaluation.values, results)
        return f"accuracy {json.loads(results.read_text())['accuracy']:.3f}"

    def _call(self, task: str, folder: Path, values: dict[str, Any], makes: Path) -> None:
        """Run a recipe to its end, unless a process that outlived its sweep has done so meanwhile."""
        folder.mkdir(parents=True, exist_ok=True)
        with self._locked(folder) as lock:
            if makes.is_file():
                return
            (folder / RECIPE).write_text(_text(values))
            with (folder / LOG).open("ab") as log:
                began = log.tell()
                status = self._wait([*self.python, MODULES[task], "--config", str(folder / RECIPE)], log, lock)
            if self.stopped.is_set():
                raise Failed("stopped")
            if status or not makes.is_file():
                raise Failed(f"{_last_words(folder / LOG, began)} (exit status {status}; see {folder / LOG})")

    def _wait(self, command: list[str], log: Any, lock: Any) -> int:
        with self.guard:
            if self.stopped.is_set():
                raise Failed("stopped")
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[lock.fileno()],
                env=self._environment(),
            )
            self.processes.add(process)
        try:
            return process.wait()
        finally:
            with self.guard:
                self.processes.discard(process)

    def _environment(self) -> dict[str, str]:
        """The sweep's own; processes side by side share the cores instead of each taking all of them."""
        threads = max(1, (os.cpu_count() or 1) // self.jobs)
        return {"OMP_NUM_THREADS": str(threads), **os.environ} if self.jobs > 1 else dict(os.environ)

    @contextmanager
    def _locked(self, folder: Path) -> Iterator[Any]:
        """The folder's lock, which the process that is started under it inherits."""
        with (folder / LOCK).open("w") as lock:
            waited = False
            while not self.stopped.is_set():
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if not waited:
                        say(f"{folder}: a process of an earlier start is still at work here; waiting for its end")
                    waited = True
                    self.stopped.wait(POLL)
            yield lock

    def _stop(self) -> None:
        with self.guard:
            self.stopped.set()
            for process in self.processes:
                process.terminate()


@contextmanager
def _signals_stop() -> Iterator[None]:
    """SIGTERM ends the sweep as Ctrl-C does, and with it the processes that it has started."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _text(values: dict[str, Any]) -> str:
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=110)


def _last_words(log: Path, began: int) -> str:
    """The last line that a process wrote: of a `UserError` its message, of a crash the exception."""
    lines = [line for line in log.read_bytes()[began:].decode(errors="replace").splitlines() if line.strip()]
    return next((line for line in reversed(lines) if line.startswith("error: ")), lines[-1] if lines else "no output")
