"""A plan as a person reads it, but for its errors."""

from open_vr1.plan import GIB, Plan

TASK_NAMES = {"grpo": "GRPO", "sft": "cold start", "eval": "evaluation"}


def as_text(plan: Plan) -> str:
    cluster = plan.cluster
    gpus = f"{cluster.processes} x {cluster.gpu_bytes / GIB:.0f} GiB" if cluster.gpu_bytes else f"{cluster.processes}"
    sharding = "" if cluster.sharding == "none" else f", {cluster.sharding}"
    paragraphs = [
        f"{plan.recipe}: {TASK_NAMES[plan.task]} of {plan.model}, processes: {gpus}{sharding}",
        _stages(plan),
        _memory(plan),
        _storage_and_time(plan),
    ]
    warnings = "\n".join(f"warning: {warning}" for warning in plan.warnings)
    return "\n\n".join(filter(None, [*paragraphs, warnings]))


def _stages(plan: Plan) -> str:
    if not plan.stages:
        return ""
    header = ("stage", "steps", "length x group", "prompts a step", "completions a step", "tokens a step, at most")
    rows = [
        (
            str(number),
            str(stage.steps),
            f"{stage.max_completion_length} x {stage.num_generations}",
            f"{stage.prompts_per_step:,g}",
            f"{stage.completions_per_step:,g}",
            _count(stage.most_tokens_per_step),
        )
        for number, stage in enumerate(plan.stages, 1)
    ]
    tokens = _count(sum(stage.steps * stage.most_tokens_per_step for stage in plan.stages))
    completions = f"{sum(stage.steps * stage.completions_per_step for stage in plan.stages):,.0f}"
    prompts = f"{sum(stage.steps * stage.prompts_per_step for stage in plan.stages):,.0f}"
    rows.append(("all", str(plan.total_steps), "", prompts, completions, tokens))
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in [header, *rows]
    )


def _memory(plan: Plan) -> str:
    if not plan.memory or plan.micro_batch is None:
        return ""
    of_stage = f", stage {plan.fullest + 1}" if len(plan.stages) > 1 else ""
    batch = f"{plan.micro_batch.rows} rows of {plan.micro_batch.tokens} tokens"
    lines = [f"memory of a process, estimated{of_stage}, for {batch}:"]
    parts = sorted(((name, size) for name, size in plan.memory.items() if name != "total"), key=lambda part: -part[1])
    lines += [f"{_size(size)}  {name}" for name, size in parts if size]
    return "\n".join([*lines, f"{_size(plan.memory['total'])}  at the most"])


def _storage_and_time(plan: Plan) -> str:
    lines = []
    if plan.disk:
        kept, one = (_size(plan.disk[key]).strip() for key in ("kept", "checkpoint"))
        lines.append(f"disk: {kept}, {one} a checkpoint")
        lines.append(f"to the Hub: {_published(plan)}")
    if plan.task in ("grpo", "sft"):
        hours = plan.hours
        time = "not measured" if hours is None else f"{hours:.1f} h" if hours >= 1 else f"{hours * 60:.1f} min"
        lines.append(f"wall-clock: {time}" + (f" ({plan.measured})" if plan.measured else ""))
    return "\n".join(lines)


def _published(plan: Plan) -> str:
    if not plan.hub:
        return "nothing while it trains (push_to_hub)"
    size, waiting = (_size(plan.hub[key]).strip() for key in ("bytes", "waiting"))
    later = f"; up to {waiting} of them wait on this disk while the Hub is away" if plan.hub["waiting"] else ""
    return f"{size} in {plan.hub['revisions']} revisions{later}"


def _count(number: float) -> str:
    for unit, size in (("G", 1e9), ("M", 1e6), ("K", 1e3)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number:g}"


def _size(number: float) -> str:
    return f"{number / GIB:8.1f} GiB" if number >= GIB / 10 else f"{number / 2**20:8.1f} MiB"
