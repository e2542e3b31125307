"""Run a pass of the bridge with one of datatrove's executors: on this machine, on Slurm or on Ray; and tell how far it is."""

import inspect
import json
import shutil
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from typing import Any

from open_vr1.cold.arguments import ExecutorEntry, TeacherEntry
from open_vr1.cold.bridge.endpoint import check_endpoint
from open_vr1.cold.bridge.passes import AddDescriptions, AskTeacher, Pass, ReadRows
from open_vr1.console import Line
from open_vr1.errors import UserError
from open_vr1.recipe_types import nearest

KINDS = ("local", "slurm", "ray")
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
    if work.again:
        shutil.rmtree(work.state / "completions", ignore_errors=True)
    if work.finished_tasks() < tasks:
        with _served(work) as served:
            if served.url:
                check_endpoint(served.teacher, served.url, served.key)
            with _watched(served, rows, tasks, line):
                executor_for(served, entry).run()
    if work.finished_tasks() < tasks:
        line.end(
            f"{work.finished_tasks()} of {tasks} tasks finished; run the same command again once the jobs have ended"
        )
        return False
    answered, failed = _count(work, tasks)
    line.end(f"{answered:,} rows answered, {failed:,} not")
    return True


def executor_for(work: Pass, entry: ExecutorEntry) -> Any:
    """One of datatrove's executors."""
    kind, tasks = entry.get("kind", "local"), entry.get("tasks", 1)
    options = {
        "tasks": tasks,
        "workers": entry.get("workers", -1),
        "logging_dir": str(work.state),
        **entry.get("options", {}),
    }
    pipeline = [ReadRows(work), *([AddDescriptions(work)] if work.described else []), AskTeacher(work)]
    return _executor_class(kind)(pipeline, **options)


def check_executor(entry: ExecutorEntry, where: str) -> None:
    """Refuse a kind or an option that datatrove does not have."""
    kind = entry.get("kind", "local")
    if kind not in KINDS:
        raise UserError(
            f"{where}: executor.kind: {kind!r} is none of {', '.join(KINDS)}; the nearest is {nearest(kind, KINDS)}"
        )
    if entry.get("tasks", 1) < 1:
        raise UserError(f"{where}: executor.tasks: {entry['tasks']} is too few; write 1 or more")
    known = inspect.signature(_executor_class(kind).__init__).parameters
    for name in entry.get("options", {}):
        if name not in known:
            raise UserError(
                f"{where}: executor.options.{name}: datatrove's executor has no such option; the nearest is {nearest(name, known)}"
            )
    if kind == "slurm":
        for name in ("time", "partition"):
            if name not in entry.get("options", {}):
                raise UserError(f"{where}: executor.options.{name}: this key is missing; Slurm needs it")


def _executor_class(kind: str) -> type:
    module, name = {
        "local": ("datatrove.executor.local", "LocalPipelineExecutor"),
        "slurm": ("datatrove.executor.slurm", "SlurmPipelineExecutor"),
        "ray": ("datatrove.executor.ray", "RayPipelineExecutor"),
    }[kind]
    return getattr(import_module(module), name)


@contextmanager
def _served(work: Pass) -> Iterator[Pass]:
    """The pass with its teacher's address; a teacher that the recipe starts is there for as long as it is needed."""
    entry = work.teacher.get("serve")
    if not entry:
        yield replace(work, url=work.teacher.get("url"))
        return
    module, _, function = entry["with"].partition(":")
    with getattr(import_module(module), function)(**entry.get("args", {})) as url:
        yield replace(work, url=url)


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
