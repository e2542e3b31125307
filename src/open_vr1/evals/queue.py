"""
The evaluations that a run has asked for, on disk. A name that is there is whole.

    .evals/checkpoint-100/           a checkpoint's files, held by hard links whatever rotation deletes
    .evals/checkpoint-100.json       what is asked of it
    .evals/runner.log                what the runner and the evaluations have said
    evals/checkpoint-100/            what `make evaluate` leaves: results.json, samples/, its manifest
    evals/checkpoint-100/failed.json why there is nothing, and how often it was tried; submitted.json: who does it elsewhere
"""

import contextlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from open_vr1.cold.steps import write_json
from open_vr1.hub.outbox.folder import LOCK_SECONDS, link, locked
from open_vr1.hub.outbox.publishable import allowed_files
from open_vr1.run_facts import MANIFEST_FILE

HELD, RESULTS, FINAL = ".evals", "evals", "final"
NOTE = "submitted.json"
TIMES = 2


@dataclass(frozen=True)
class Job:
    """
    One evaluation.

    Args:
        name (`str`):
            `"checkpoint-100"`, or `"final"`.
        recipe (`str`):
            The recipe of `make evaluate`.
        where (`str`, *optional*, defaults to `"process"`):
            Where: see `eval_where` of a recipe.
        devices (`str`, *optional*):
            GPUs of a process of its own, as `CUDA_VISIBLE_DEVICES` has them. The CPU by default.
        publish (`bool`, *optional*, defaults to `False`):
            Whether the results are for the Hub.
        same_as (`str`, *optional*):
            The evaluation of the same weights, if there is one.
    """

    name: str
    recipe: str
    where: str = "process"
    devices: str | None = None
    publish: bool = False
    same_as: str | None = None

    @property
    def step(self) -> float:
        return float("inf") if self.name == FINAL else int(self.name.removeprefix("checkpoint-"))


class EvalQueue:
    """
    The evaluations of a run.

    Args:
        run (`Path`):
            The run's output folder.
    """

    def __init__(self, run: str | Path):
        self.run = Path(run)
        self.held, self.results = self.run / HELD, self.run / RESULTS

    def model(self, name: str) -> Path:
        """The folder that the run itself has it in."""
        return self.run if name == FINAL else self.run / name

    def add(self, job: Job) -> bool:
        """Hold a checkpoint for its evaluation, unless that is done or waits."""
        place, source = self.held / job.name, self.model(job.name)
        if self._file(job.name).is_file() or self._known(job.name, "results.json") or self._known(job.name, NOTE):
            return False
        names = allowed_files(source)
        size = sum((source / name).stat().st_size for name in names)
        if (free := shutil.disk_usage(self.run).free) < size:
            raise OSError(f"the disk has {free / 1e9:.1f} GB left, and {job.name} would hold {size / 1e9:.1f}")
        draft = self.held / f".{job.name}.draft"
        shutil.rmtree(draft, ignore_errors=True)
        for name in names:
            (draft / name).parent.mkdir(parents=True, exist_ok=True)
            link(source / name, draft / name)
        if (self.run / MANIFEST_FILE).is_file():  # For what it was trained on; the run goes on writing its own.
            shutil.copy(self.run / MANIFEST_FILE, draft)
        (self.results / job.name / "failed.json").unlink(missing_ok=True)
        self.let_go(job.name)  # What a kill has left.
        draft.rename(place)
        write_json(
            self._file(job.name), asdict(job)
        )  # Not among the model's files, which tell one model from another.
        return True

    def _file(self, name: str) -> Path:
        return self.held / f"{name}.json"

    def _known(self, name: str, file: str) -> bool:
        return (self.results / name / file).is_file()

    def jobs(self) -> list[Job]:
        """What waits, in its order; what has failed once comes after the others."""
        jobs = [Job(**json.loads(file.read_text())) for file in self.held.glob("[!.]*.json")]
        return sorted(jobs, key=lambda job: (self.failure(job.name).get("times", 0), job.step))

    def note(self, name: str) -> dict[str, Any]:
        """What is known of a job elsewhere."""
        return _read(self.results / name / NOTE)

    def failure(self, name: str) -> dict[str, Any]:
        return _read(self.results / name / "failed.json")

    def failures(self) -> dict[str, str]:
        files = sorted(self.results.glob("*/failed.json"))
        return {file.parent.name: _read(file).get("reason", "") for file in files}

    def accuracies(self) -> dict[str, float]:
        """The headline of each evaluation that is done."""
        files = sorted(self.results.glob("*/results.json"))
        return {
            file.parent.name: _read(file).get("accuracy")
            for file in files
            if not self._file(file.parent.name).is_file()
        }

    def fail(self, name: str, reason: str) -> None:
        """Tried again, and then let go: a recipe that is wrong would fill the disk with checkpoints."""
        times = self.failure(name).get("times", 0) + 1
        (self.results / name).mkdir(parents=True, exist_ok=True)
        write_json(self.results / name / "failed.json", {"reason": reason, "times": times})
        (self.results / name / NOTE).unlink(missing_ok=True)
        if times >= TIMES:
            self.let_go(name)

    def let_go(self, name: str) -> None:
        """In one step, so that nobody sees half of it."""
        self._file(name).unlink(missing_ok=True)
        gone = self.held / f".{name}.gone"
        shutil.rmtree(gone, ignore_errors=True)
        with contextlib.suppress(FileNotFoundError):
            (self.held / name).rename(gone)
        shutil.rmtree(gone, ignore_errors=True)

    # ----- Who is at work

    @contextlib.contextmanager
    def alone(self) -> Iterator[bool]:
        """Whether this process is the only runner; it ends with the process."""
        self.held.mkdir(parents=True, exist_ok=True)
        with (self.held / "runner.lock").open("w") as file:
            yield locked(file, LOCK_SECONDS)

    def at_work(self) -> bool:
        file = self.held / "runner.lock"
        if not file.is_file():
            return False
        with file.open("r+") as handle:
            return not locked(handle)


def _read(file: Path) -> dict[str, Any]:
    try:
        return json.loads(file.read_text())
    except (FileNotFoundError, NotADirectoryError):
        return {}
