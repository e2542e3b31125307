"""
The steps of `make cold` in order, each from what the one before has left in `_build/`.

What a step is made from is hashed: the keys that concern it, the step before, and for the cheap steps the code. A step whose
hash has not changed is skipped; replies of teachers are kept by what was asked, so no change here asks twice.
"""

import errno
import fcntl
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from open_vr1.build import run_builds
from open_vr1.cold.bridge.endpoint import check_endpoint
from open_vr1.cold.bridge.executors import check_executor, check_machine, run_pass
from open_vr1.cold.bridge.passes import Pass, outcomes_of
from open_vr1.cold.bridge.prompting import read_prompt
from open_vr1.cold.bridge.teachers import check_teacher
from open_vr1.cold.decontaminate import check_against, decontaminate_rows
from open_vr1.cold.facts import dataset_card, gather_facts
from open_vr1.cold.filter import filter_rows
from open_vr1.cold.filter.measure import measure
from open_vr1.cold.filter.rules import make_rules
from open_vr1.cold.gather import gather
from open_vr1.cold.report import write_report
from open_vr1.cold.select import select
from open_vr1.cold.shards import FOLDERS, Shards
from open_vr1.cold.sources import check_source
from open_vr1.cold.steps import StepFolder, disk_errors, fingerprint, write_json, write_text
from open_vr1.cold.store import RowStore
from open_vr1.console import Line
from open_vr1.errors import UserError
from open_vr1.manifest import RunManifest
from open_vr1.recipe import Recipe
from open_vr1.recipe_types import nearest

STEPS = ("gather", "decontaminate", "describe", "reason", "filter", "select", "shards", "report")
PASSES = {"describe": "vision", "reason": "reasoner"}
# File systems that cannot lock.
NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS}


class ColdRun:
    """
    One run of a recipe for cold data.

    Args:
        recipe (`Recipe`):
            A recipe with `task: cold`.
    """

    def __init__(self, recipe: Recipe):
        self.recipe, self.args = recipe, recipe.args
        self.where = str(recipe.path)
        self.folder = Path(self.args.output_dir)
        self.build = self.folder / "_build"
        self.steps = [step for step in STEPS if self.args.vision or step not in PASSES]
        self.tasks = self.args.executor.get("tasks", 1)
        self.made_from: dict[str, str] = {}
        self.passes: dict[str, Pass] = {}

    def run(self) -> None:
        with disk_errors(self.folder), self._alone():
            self._check()
            with self._recorded():
                for number, step in enumerate(self.steps, start=1):
                    line = Line(f"{number}/{len(self.steps)} {step}")
                    if not getattr(self, f"_{step}")(line) or step == self.args.until:
                        return
        print(f"look at {self.build / 'report' / 'report.html'}")
        print(f'open it: datasets.load_dataset("{self.folder}")')

    # ----- Before anything is done

    def _check(self) -> None:
        """Everything that can be known to be wrong, before the first row is read."""
        args = self.args
        if args.until and args.until not in self.steps:
            known = f"the nearest is {nearest(args.until, self.steps)} of {', '.join(self.steps)}"
            raise UserError(f"{self.where}: until: {args.until!r} is no step of this recipe; {known}")
        self.rules = make_rules(args.rules, args.rule_options, self.where)
        if args.vision:
            check_executor(args.executor, self.where)
            check_machine(args.executor, self.where)
            for key in PASSES.values():
                check_teacher(getattr(args, key), f"{self.where}: {key}", args.executor)
        run_builds(self.recipe)
        for i, entry in enumerate(args.sources):
            check_source(entry, f"{self.where}: sources[{i}]: {entry['path']}", self.build / "archives")
        if args.decontaminate:
            check_against(args.decontaminate, self.where)
        self.made_from["gather"] = fingerprint([_state(entry) for entry in args.sources])
        if args.vision:
            self._check_tasks()
            self._prepare_passes()
            write_json(self.build / "tasks.json", self.tasks)

    def _check_tasks(self) -> None:
        """Rows are shared out by the number of tasks, so replies are only found again under the same number."""
        noted = self.build / "tasks.json"
        asked = any(self.build.glob("*/replies-*.sqlite"))
        if asked and noted.exists() and (begun := json.loads(noted.read_text())) != self.tasks:
            raise UserError(
                f"{self.where}: executor.tasks: {self.tasks}, but {self.folder} was begun with {begun}; write tasks: {begun}, "
                "or another output_dir"
            )

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Two runs that write the same files would spoil both; the lock goes with the process that holds it."""
        try:
            self.build.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"{self.where}: output_dir: {self.folder}: {error.strerror}; write another folder"
            ) from error
        with (self.build / "lock").open("w") as lock:
            try:
                # Not flock: children would inherit it, and hold it when this process is killed.
                fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise UserError(
                    f"{self.folder}: another run is writing to it; wait for that one, or stop it"
                ) from error
            except OSError as error:
                if error.errno not in NO_LOCKS:
                    raise
            yield

    @contextmanager
    def _recorded(self) -> Iterator[None]:
        """The run's manifest, with the time that this start has taken, however it ends."""
        manifest = RunManifest.begin(self.recipe, self.folder)
        try:
            yield
        finally:
            if gathered := self.counts("gather"):
                manifest.count_rows({"data": gathered["rows"]})
            manifest.save()

    def _prepare_passes(self) -> None:
        reasoning = "reasoning_with_answer" if self.args.reasoner_sees_answer else "reasoning"
        names = {"describe": ("pseudo_cot", "description"), "reason": (reasoning,)}
        before = [self.made_from["gather"], self.tasks]
        for name, key in PASSES.items():
            teacher = getattr(self.args, key)
            prompts = {
                prompt: read_prompt(prompt, self.args.prompts_dir, f"{self.where}: prompts_dir")
                for prompt in names[name]
            }
            samples = self.args.samples if name == "reason" else 1
            asked = [
                teacher["model"],
                teacher.get("generation"),
                teacher.get("serve"),
                [prompt.hash for prompt in prompts.values()],
            ]
            self.made_from[name] = fingerprint(before, asked, samples, self.args.seed)
            before = [self.made_from[name]]
            self.passes[name] = Pass(
                name=name,
                teacher=teacher,
                key=f"{self.where}: {key}",
                url=None,
                rows=self.build / "gather",
                skip=frozenset(self.verdicts("drop")),
                folder=self.build / name,
                made_from=self.made_from[name],
                prompts=prompts,
                seed=self.args.seed,
                samples=samples,
                described=self.passes.get("describe"),
                again=self.args.retry_failed,
            )
            last = self.steps.index(self.args.until) if self.args.until else len(self.steps)
            is_open = self.passes[name].finished_tasks() < self.tasks and self.steps.index(name) <= last
            if is_open and "url" in teacher:
                check_endpoint(teacher, teacher["url"], f"{self.where}: {key}")

    # ----- The steps; each says whether it is finished

    def _gather(self, line: Line) -> bool:
        step = self._step("gather")
        if step.counts is None:
            told = lambda rows, bad: line.tell(rows, None, listed(bad))
            step.finish(gather(self.args, step.begin(), self.where, told))
        counts = step.counts
        line.end(
            f"{counts['rows']:,} rows, {counts['pictures']:,} pictures{listed(counts['rejected'], '; not usable: ')}"
        )
        return True

    def _decontaminate(self, line: Line) -> bool:
        entry = self.args.decontaminate
        step = self._step("decontaminate", self.made_from["gather"], entry)
        if step.counts is None:
            folder = step.begin()
            step.finish(
                decontaminate_rows(entry, self.store, folder, self.where, line.tell) if entry else {"off": True}
            )
        counts = step.counts
        line.end("off" if "off" in counts else f"{counts['dropped']:,} rows dropped, {counts['marked']:,} marked")
        return True

    def _describe(self, line: Line) -> bool:
        return self._ask("describe", line)

    def _reason(self, line: Line) -> bool:
        return self._ask("reason", line)

    def _ask(self, name: str, line: Line) -> bool:
        dropped = self.verdicts("drop")
        work = replace(self.passes[name], skip=frozenset(dropped))
        return run_pass(work, self.args.executor, self.counts("gather")["rows"] - len(dropped), line)

    def _filter(self, line: Line) -> bool:
        answered = [list(work.counts(self.tasks)) for work in self.passes.values()]
        asked = [self.args.rules, self.args.rule_options, answered, [self.made_from[name] for name in self.passes]]
        step = self._step("filter", self.made_from["decontaminate"], asked, _code())
        if step.counts is None:
            outcomes = outcomes_of(*self.passes.values(), self.tasks) if self.passes else None
            dropped = self.verdicts("drop")
            total = self.counts("gather")["rows"] - len(dropped)
            told = lambda done, kept: line.tell(done, total, f"kept {kept / done:.1%}")
            step.finish(filter_rows(self.store.read(), outcomes, dropped, self.rules, step.begin(), told))
        counts = step.counts
        line.end(f"{counts['kept']:,} of {counts['rows']:,} rows kept{listed(counts['rejected'], '; rejected: ')}")
        if not counts["kept"]:
            raise UserError(f"{self.where}: no row has passed every rule; {step.path / 'rejects.parquet'} says why")
        return True

    def _select(self, line: Line) -> bool:
        step = self._step("select", self.made_from["filter"], self.args.target_rows, self.args.rl, self.args.seed)
        if step.counts is None:
            step.finish(select(self.args, self.kept, self.store, step.begin(), self.where))
        counts = step.counts
        rl = f", {counts['rl']:,} for reinforcement learning" if self.args.rl else ""
        line.end(f"{counts['default']:,} of {counts['kept']:,} rows{rl}")
        return True

    def _shards(self, line: Line) -> bool:
        step = self._step("shards", self.made_from["select"], self.args.shards, self.provenance)
        if step.counts is None:
            folder = step.begin()
            marks = self.verdicts("mark")
            shards = Shards(folder, self.store, self.kept, self.places, marks, self.provenance, self.args.shards)
            files = shards.write(lambda done, total: line.tell(done, total, "files"))
            self._publish(folder, files)
            step.finish({"files": files})
        files = step.counts["files"]
        size = sum(file["bytes"] for file in files)
        line.end(f"{len(files)} files, {sum(file['rows'] for file in files):,} rows, {size / 1e6:,.1f} MB")
        return True

    def _publish(self, folder: Path, files: list[dict[str, Any]]) -> None:
        """Put the finished folders where `load_dataset` looks for them."""
        there = {file["path"].partition("/")[0] for file in files}
        for name in FOLDERS.values():
            if (folder / name).is_dir() or name not in there:
                shutil.rmtree(self.folder / name, ignore_errors=True)
            if (folder / name).is_dir():
                (folder / name).rename(self.folder / name)
        write_json(self.build / "manifest.json", {"made_from": self.made_from["shards"], "files": files})

    def _report(self, line: Line) -> bool:
        step = self._step(
            "report", self.made_from["shards"], self.args.dataset_name, self.args.license, self.args.measure, _code()
        )
        if step.counts is None:
            facts = gather_facts(self)
            if self.args.measure:
                facts["measured"] = measure(self.args.measure, self.args.sources[0]["name"], self.build / "filter")
            write_json(self.build / "facts.json", facts)
            write_text(self.folder / "README.md", dataset_card(facts))
            write_report(facts, self.build, step.begin())
            step.finish({})
        line.end(f"{step.path / 'report.html'}")
        return True

    # ----- What steps have left

    def _step(self, name: str, *made_from: Any) -> StepFolder:
        if made_from:
            self.made_from[name] = fingerprint(*made_from)
        return StepFolder(self.build / name, self.made_from[name])

    def counts(self, name: str) -> dict[str, Any] | None:
        return StepFolder(self.build / name, self.made_from[name]).counts

    @cached_property
    def store(self) -> RowStore:
        return RowStore(self.build / "gather")

    @property
    def kept(self) -> Path:
        return self.build / "filter" / "kept.parquet"

    @property
    def places(self) -> Path:
        return self.build / "select" / "places.npz"

    def verdicts(self, action: str) -> dict[int, str]:
        """Rows that decontamination wants dropped or marked, with the evidence."""
        path = self.build / "decontaminate" / "verdicts.jsonl"
        if not self.args.decontaminate or not path.exists():
            return {}
        with path.open() as lines:
            verdicts = map(json.loads, lines)
            return {verdict["index"]: verdict["evidence"] for verdict in verdicts if verdict["action"] == action}

    @property
    def provenance(self) -> dict[str, Any]:
        """What is the same for every row."""
        prompts = [prompt for work in self.passes.values() for prompt in work.prompts.values()]
        return {
            "recipe": fingerprint(
                {key: value for key, value in self.recipe.values.items() if key not in ("output_dir", "until")}
            ),
            "vision": self.args.vision["model"] if self.args.vision else None,
            "reasoner": self.args.reasoner["model"] if self.args.reasoner else None,
            "prompts": [f"{prompt.name}:{prompt.hash}" for prompt in prompts],
            "reasoner_saw_answer": self.args.reasoner_sees_answer if self.passes else None,
        }


def listed(counts: Mapping[str, int], before: str = "") -> str:
    """`rule 3, other 2`, without those that are zero."""
    words = ", ".join(f"{name} {count:,}" for name, count in counts.items() if count)
    return before + words if words else ""


def _state(entry: Mapping[str, Any]) -> list[Any]:
    """A source's entry and the size and time of its files on this machine."""
    places = [
        entry["path"],
        *([entry["pictures"]] if isinstance(entry.get("pictures"), str) else entry.get("pictures", [])),
    ]
    stats = [
        (place, path.stat().st_size, path.stat().st_mtime_ns) for place in places if (path := Path(place)).is_file()
    ]
    return [dict(entry), stats]


def _code() -> str:
    """Another one whenever a rule may have changed."""
    files = sorted(Path(__file__).parent.rglob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]
