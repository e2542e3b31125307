"""Run a pass of the bridge with one of datatrove's executors: on this machine, on Slurm or on Ray; and tell how far it is."""

import inspect
import json
import os
import shlex
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from open_vr1.cold.arguments import ExecutorEntry, TeacherEntry
from open_vr1.cold.bridge.endpoint import check_endpoint
from open_vr1.cold.bridge.passes import AddDescriptions, AskTeacher, Pass, ReadRows
from open_vr1.cold.bridge.teachers import own_programs, served
from open_vr1.cold.steps import write_json
from open_vr1.console import Line
from open_vr1.errors import UserError
from open_vr1.recipe_types import nearest

KINDS = ("local", "slurm", "ray")
# What other keys of the recipe say, or nobody.
OURS = {"self", "pipeline", "tasks", "workers", "logging_dir", "skip_completed", "depends"}
LOOK_EVERY = 0.5


def run_pass(work: Pass, entry: ExecutorEntry, rows: int, line: Line) -> bool:
    """
    Ask the teacher about every row that it has not been asked about; returns whether all are done.

    Args:
        work (`Pass`):
            The pass.
        entry (`ExecutorEntry`):
            The recipe's `executor`.
        rows (`int`):
            Rows to ask about in all.
        line (`Line`):
            Where to tell.
    """
    tasks = entry.get("tasks", 1)
    job = _Job(work.state / "job.json")
    if job.is_queued():
        line.end(f"Slurm job {job.id} has not ended; run the same command again once it has")
        return False
    # A job that has ended has asked again for what failed; without one, nobody has.
    if work.again and not job.id:
        shutil.rmtree(work.state / "completions", ignore_errors=True)
    job.forget()
    if work.finished_tasks() < tasks:
        with _served(work) as asked:
            if asked.url:
                check_endpoint(asked.teacher, asked.url, asked.key)
            with _watched(asked, rows, tasks, line):
                job.note(_execute(asked, entry))
    if work.finished_tasks() < tasks:
        submitted = f"Slurm job {job.id} is submitted; " if job.id else ""
        finished = f"{work.finished_tasks()} of {tasks} tasks finished"
        line.end(f"{submitted}{finished}; run the same command again once all have ended; logs: {work.state}")
        return False
    answered, failed = _count(work, tasks)
    line.end(f"{answered:,} rows answered, {failed:,} not")
    return True


def _execute(work: Pass, entry: ExecutorEntry) -> str | None:
    """Have the pass done, or on Slurm submitted; returns the job's id there."""
    executor = executor_for(work, entry)
    try:
        executor.run()
    except subprocess.CalledProcessError as error:
        said = f"{' '.join(map(str, error.cmd))} ended with {error.returncode}"
        raise UserError(f"{work.key}: {said}; what it wants goes into executor.options of the recipe") from error
    return getattr(executor, "job_id", None)


def executor_for(work: Pass, entry: ExecutorEntry) -> Any:
    """One of datatrove's executors."""
    kind, tasks = entry.get("kind", "local"), entry.get("tasks", 1)
    options = {
        "tasks": tasks,
        "workers": entry.get("workers", -1),
        "logging_dir": str(work.state),
        **entry.get("options", {}),
    }
    if kind == "local" and options["workers"] > tasks:
        options["workers"] = tasks
    if kind == "slurm":
        options = {"job_name": f"cold_{work.name}", "qos": None, **_own_environment(options), **options}
    pipeline = [ReadRows(work), *([AddDescriptions(work)] if work.described else []), AskTeacher(work)]
    return _executor_class(kind)(pipeline, **options)


def _own_environment(options: Mapping[str, Any]) -> dict[str, str]:
    """Jobs find this environment's programs, unless the recipe names another environment."""
    if any(options.get(name) for name in ("env_command", "venv_path", "condaenv")):
        return {}
    return {"env_command": f"export PATH={shlex.quote(own_programs())}:$PATH"}


def check_executor(entry: ExecutorEntry, where: str) -> None:
    """Refuse a kind or an option that datatrove does not have, and a machine that cannot do it."""
    kind, options = entry.get("kind", "local"), entry.get("options", {})
    if kind not in KINDS:
        raise UserError(
            f"{where}: executor.kind: {kind!r} is none of {', '.join(KINDS)}; the nearest is {nearest(kind, KINDS)}"
        )
    if entry.get("tasks", 1) < 1:
        raise UserError(f"{where}: executor.tasks: {entry['tasks']} is too few; write 1 or more")
    if (workers := entry.get("workers", -1)) < 1 and workers != -1:
        raise UserError(
            f"{where}: executor.workers: {workers} is too few; write 1 or more, or -1 for all tasks at a time"
        )
    known = [name for name in inspect.signature(_executor_class(kind).__init__).parameters if name not in OURS]
    for name in options:
        if name not in known:
            near = f"the nearest is {nearest(name, known)}"
            raise UserError(f"{where}: executor.options.{name}: no option of datatrove's that can be set here; {near}")
    if kind == "slurm":
        _check_slurm(options, f"{where}: executor.options")


def check_machine(entry: ExecutorEntry, where: str) -> None:
    """Refuse an executor that this machine does not have."""
    kind = entry.get("kind", "local")
    if kind == "slurm" and not shutil.which("sbatch"):
        raise UserError(
            f"{where}: executor.kind: there is no sbatch here; run this on a login node, or write kind: local"
        )
    if kind == "slurm" and "SLURM_ARRAY_TASK_ID" in os.environ:
        raise UserError(
            f"{where}: executor.kind: this is a task of a Slurm array; run this on a login node, or write kind: local"
        )
    if kind == "ray" and not find_spec("ray"):
        raise UserError(
            f"{where}: executor.kind: ray is not installed in {sys.prefix}; install it there, or write kind: local"
        )


def _check_slurm(options: Mapping[str, Any], key: str) -> None:
    for name, example in (("time", '"20:00:00"'), ("partition", "the name of one")):
        if not options.get(name):
            raise UserError(f"{key}.{name}: this key is missing; Slurm needs it: {name}: {example}")
    # YAML reads 10:00:00 as a number to the base of sixty, which Slurm would take for minutes.
    if not isinstance(options["time"], str):
        raise UserError(f'{key}.time: {options["time"]!r} is a number; write it in quotes, as in "20:00:00"')


def _executor_class(kind: str) -> type:
    module, name = {
        "local": ("datatrove.executor.local", "LocalPipelineExecutor"),
        "slurm": ("open_vr1.cold.bridge.slurm", "SlurmExecutor"),
        "ray": ("datatrove.executor.ray", "RayPipelineExecutor"),
    }[kind]
    return getattr(import_module(module), name)


@contextmanager
def _served(work: Pass) -> Iterator[Pass]:
    """The pass with its teacher's address; a teacher that the recipe starts is there for as long as it is needed."""
    if not (entry := work.teacher.get("serve")):
        yield replace(work, url=work.teacher.get("url"))
        return
    with served(entry, f"{work.key}.serve") as url:
        yield replace(work, url=url)


class _Job:
    """The Slurm job that asks for a pass, if one does."""

    def __init__(self, path: Path):
        self.path = path
        self.id = json.loads(path.read_text())["id"] if path.exists() else None

    def is_queued(self) -> bool:
        """Whether it waits or runs; Slurm soon forgets the others."""
        if not self.id or not shutil.which("squeue"):
            return False
        command = ["squeue", "--noheader", "--jobs", str(self.id)]
        return bool(subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip())

    def note(self, job_id: str | None) -> None:
        if job_id:
            self.id = job_id
            write_json(self.path, {"id": job_id})

    def forget(self) -> None:
        self.id = None
        self.path.unlink(missing_ok=True)


# ----- How far it is


@contextmanager
def _watched(work: Pass, rows: int, tasks: int, line: Line) -> Iterator[None]:
    over = threading.Event()
    before, _ = _count(work, tasks)
    for old in work.state.glob("progress-*.json"):
        old.unlink()

    def watch() -> None:
        started = time.monotonic()
        while not over.wait(LOOK_EVERY):
            _tell(work, rows, before, time.monotonic() - started, line)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _tell(work: Pass, rows: int, before: int, seconds: float, line: Line) -> None:
    now: Counter = Counter()
    for file in work.state.glob("progress-*.json"):
        now.update(json.loads(file.read_text()))
    words = [
        f"{now['failed']:,} failed, {now['retries']:,} asked again, {now['completion_tokens'] / seconds:,.0f} tokens/s"
    ]
    if (spent := cost(work.teacher, now["prompt_tokens"], now["completion_tokens"])) is not None:
        words.append(f"{spent:,.2f} spent")
    line.tell(before + now["done"], rows, " | ".join(words))


def cost(teacher: TeacherEntry, prompt_tokens: float, completion_tokens: float) -> float | None:
    """What so many tokens cost; `None` where the recipe names no prices."""
    if "price_input" not in teacher or "price_output" not in teacher:
        return None
    return (prompt_tokens * teacher["price_input"] + completion_tokens * teacher["price_output"]) / 1e6


def _count(work: Pass, tasks: int) -> tuple[int, int]:
    answered, failed = 0, 0
    for good, bad in work.counts(tasks):
        answered, failed = answered + good, failed + bad
    return answered, failed
