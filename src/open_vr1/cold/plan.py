"""
What a recipe for cold data will ask for: requests, tokens, money or GPU-hours, and disk.

    make plan RECIPE=recipes/cold_200k/bridge.yaml

Tokens of a request are assumed until some have been answered: after a pilot (`ARGS="--until reason"` with a small `limit` for
each source) they are the mean of what was counted there.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from glob import glob
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from open_vr1.cold.arguments import ColdArguments, SourceEntry, TeacherEntry
from open_vr1.cold.bridge.executors import check_executor
from open_vr1.cold.bridge.prompting import NEEDED, read_prompt
from open_vr1.cold.bridge.replies import Replies
from open_vr1.cold.bridge.teachers import check_teacher
from open_vr1.cold.filter.rules import make_rules
from open_vr1.data_sources import looks_local
from open_vr1.errors import UserError
from open_vr1.recipe import Recipe

# Tokens in and out of a row's requests where nothing has been counted: guesses of the right order for charts and geometry.
ASSUMED = {"describe": (3000, 800), "reason": (700, 1500)}
REQUESTS = {"describe": 2, "reason": 1}
ASSUMED_PICTURE_BYTES = 80_000
# The pictures in `_build` and again in the dataset; text is a few kilobytes a row.
COPIES, TEXT_BYTES = 2, 12_000


@dataclass
class PassPlan:
    """What one pass asks of one model."""

    name: str
    model: str
    requests: int | None
    prompt_tokens: int | None
    completion_tokens: int | None
    counted_rows: int
    cost: float | None = None
    gpu_hours: float | None = None


@dataclass
class ColdPlan:
    """
    Args:
        recipe (`str`):
            The recipe's file.
        sources (`dict[str, int | None]`):
            Rows by source; `None` where nobody has said how many there are.
        passes (`list[PassPlan]`):
            What is asked of the teachers.
        disk (`int`, *optional*):
            Bytes.
        errors (`list[str]`):
            What stops the run.
        warnings (`list[str]`):
            What may stop it, and what is not known.
    """

    recipe: str
    sources: dict[str, int | None]
    passes: list[PassPlan] = field(default_factory=list)
    disk: int | None = None
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    misfits: list[str] = field(default_factory=list)
    task: str = "cold"
    model: None = None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def make_cold_plan(recipe: Recipe) -> ColdPlan:
    """The plan of a checked recipe with `task: cold`; reads no row and asks no teacher."""
    args: ColdArguments = recipe.args
    plan = ColdPlan(str(recipe.path), {entry["name"]: _rows(entry) for entry in args.sources})
    plan.errors = list(_wrong(args, str(recipe.path)))
    total = None if None in plan.sources.values() else sum(plan.sources.values())
    for name, count in plan.sources.items():
        if count is None:
            plan.warnings.append(
                f"sources: {name}: how many rows it has is not known here; write rows: ... for the plan"
            )
    for i, entry in enumerate(args.sources):
        for name in _missing(entry):
            plan.warnings.append(f"sources[{i}]: {name}: is not there yet")
    if args.vision:
        plan.passes = [
            _pass_plan(args, name, key, total) for name, key in (("describe", "vision"), ("reason", "reasoner"))
        ]
    if total is not None:
        plan.disk = total * (COPIES * ASSUMED_PICTURE_BYTES + TEXT_BYTES)
    return plan


def _wrong(args: ColdArguments, where: str) -> Iterator[str]:
    checks = [lambda: make_rules(args.rules, args.rule_options, where), lambda: check_executor(args.executor, where)]
    for key in ("vision", "reasoner"):
        if teacher := getattr(args, key):
            checks.append(lambda teacher=teacher, key=key: check_teacher(teacher, f"{where}: {key}", args.executor))
    checks += [lambda name=name: read_prompt(name, args.prompts_dir, f"{where}: prompts_dir") for name in NEEDED]
    for check in checks:
        try:
            check()
        except UserError as error:
            yield str(error)


def _rows(entry: SourceEntry) -> int | None:
    known = entry.get("rows") or _counted(Path(entry["path"]))
    return min(filter(None, (known, entry.get("limit"))), default=None)


def _missing(entry: SourceEntry) -> list[str]:
    """Files of this machine that the entry names and that are not there."""
    pictures = entry.get("pictures") or []
    names = [entry["path"], *([pictures] if isinstance(pictures, str) else pictures)]
    return [name for name in names if looks_local(name) and not glob(str(Path(name).expanduser()))]


def _counted(path: Path) -> int | None:
    """Rows of a local file whose format says so at a glance."""
    if path.is_file() and path.suffix == ".parquet":
        return pq.read_metadata(path).num_rows
    return None


def _pass_plan(args: ColdArguments, name: str, key: str, rows: int | None) -> PassPlan:
    teacher: TeacherEntry = getattr(args, key)
    samples = args.samples if name == "reason" else 1
    counted, prompt, completion = _counted_tokens(
        Path(args.output_dir) / "_build" / name, args.executor.get("tasks", 1)
    )
    if not counted:
        prompt, completion = (tokens * samples for tokens in ASSUMED[name])
    plan = PassPlan(name, teacher["model"], None, None, None, counted)
    if rows is None:
        return plan
    plan.requests = rows * REQUESTS[name] * samples
    plan.prompt_tokens, plan.completion_tokens = round(rows * prompt), round(rows * completion)
    if "price_input" in teacher and "price_output" in teacher:
        priced = plan.prompt_tokens * teacher["price_input"] + plan.completion_tokens * teacher["price_output"]
        plan.cost = round(priced / 1e6, 2)
    if "tokens_per_second" in teacher:
        seconds = plan.completion_tokens / teacher["tokens_per_second"]
        plan.gpu_hours = round(seconds / 3600 * teacher.get("gpus", 1), 1)
    return plan


def _counted_tokens(folder: Path, tasks: int) -> tuple[int, float, float]:
    """Rows that have been answered, and tokens in and out of each."""
    rows = prompt = completion = 0
    for path in sorted(folder.glob("replies-*.sqlite"))[:tasks]:
        with Replies(path, read_only=True) as replies:
            of_file = replies.tokens()
        rows, prompt, completion = rows + of_file[0], prompt + of_file[1], completion + of_file[2]
    return rows, prompt / max(rows, 1), completion / max(rows, 1)


def as_text(plan: ColdPlan) -> str:
    lines = [f"{plan.recipe}: cold data", ""]
    lines += [f"{'?' if rows is None else f'{rows:,}':>12}  rows of {name}" for name, rows in plan.sources.items()]
    for asked in plan.passes:
        source = (
            f"as counted over {asked.counted_rows:,} rows"
            if asked.counted_rows
            else "assumed, nothing has been counted yet"
        )
        lines += ["", f"{asked.name}, by {asked.model}; tokens {source}:"]
        if asked.requests is None:
            lines.append("  not known: the rows are not")
            continue
        lines.append(f"{asked.requests:>12,}  requests")
        lines.append(f"{asked.prompt_tokens / 1e6:>11,.1f}M  tokens in")
        lines.append(f"{asked.completion_tokens / 1e6:>11,.1f}M  tokens out")
        if asked.cost is not None:
            lines.append(f"{asked.cost:>12,.2f}  to pay, at the prices of the recipe")
        if asked.gpu_hours is not None:
            lines.append(f"{asked.gpu_hours:>12,.1f}  GPU-hours, at the tokens_per_second of the recipe")
        if asked.cost is None and asked.gpu_hours is None:
            lines.append("              cost: write price_input and price_output, or tokens_per_second and gpus")
    if plan.disk is not None:
        lines += ["", f"disk: {plan.disk / 2**30:,.1f} GiB, assuming pictures of {ASSUMED_PICTURE_BYTES // 1000} kB"]
    lines += [f"warning: {warning}" for warning in plan.warnings]
    return "\n".join(lines)
