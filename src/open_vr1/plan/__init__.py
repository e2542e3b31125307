"""
What a recipe will do, what it needs and what is wrong with it, before it costs money.

    make plan RECIPE=recipes/vr1_7b/ptst.yaml ACCELERATE=zero3 GPU_GIB=80
    make -s plan RECIPE=recipes/vr1_7b/ptst.yaml ACCELERATE=zero3 JSON=1

Loads no weights. Works offline for every model that a recipe here names: their configs come with the package.
Memory is an estimate; tests compare its parts with torch's own count on the tiny run.
"""

import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from open_vr1.plan.memory import (
    ASSUMED_PROMPT,
    ASSUMED_ROW,
    Cluster,
    Step,
    memory_parts,
    picture_tokens,
    trainable,
    vllm_cache_tokens,
)
from open_vr1.plan.models import build_on_meta, dtype_of, find_config
from open_vr1.plan.stages import StagePlan, stage_plans, steps_on_a_process
from open_vr1.recipe import Recipe

GIB = 2**30
# The estimate's own error, as it has been measured on the tiny run.
MARGIN = 0.15


@dataclass
class Plan:
    """
    Args:
        recipe (`str`):
            The recipe's file.
        task (`str`):
            Its task.
        model (`str`):
            Its model.
        cluster (`Cluster`):
            Where it runs.
        stages (`list[StagePlan]`):
            What it samples; empty but for GRPO.
        total_steps (`int`, *optional*):
            Optimizer steps in all, where the recipe says them.
        memory (`dict[str, int]`):
            Bytes on a GPU by part and in `total`; empty where the model's shape is not known.
        fullest (`int`):
            The stage, from 0, that needs them.
        micro_batch (`Step`, *optional*):
            The micro-batch that needs them.
        disk (`dict[str, int]`):
            Bytes of a `checkpoint` and of all that are `kept`.
        hub (`dict[str, int]`):
            `revisions` that are published, `bytes` that they take on the Hub, and `waiting`: what the outbox holds of them on the
            disk if the Hub is away all the time.
        hours (`float`, *optional*):
            Wall-clock time, where it has been measured.
        measured (`str`, *optional*):
            On what, and by which command.
        errors (`list[str]`):
            What stops the run.
        misfits (`list[str]`):
            What stops it if the estimate is right.
        warnings (`list[str]`):
            What may stop it.
    """

    recipe: str
    task: str
    model: str
    cluster: Cluster
    stages: list[StagePlan] = field(default_factory=list)
    total_steps: int | None = None
    memory: dict[str, int] = field(default_factory=dict)
    fullest: int = 0
    micro_batch: Step | None = None
    disk: dict[str, int] = field(default_factory=dict)
    hub: dict[str, int] = field(default_factory=dict)
    hours: float | None = None
    measured: str | None = None
    errors: list[str] = field(default_factory=list)
    misfits: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return {
            "recipe": self.recipe,
            "task": self.task,
            "model": self.model,
            **asdict(self.cluster),
            "stages": [stage.as_json() for stage in self.stages],
            "total_steps": self.total_steps,
            "memory_gib_per_gpu": _in_gib(self.memory) or None,
            "memory_of_stage": self.fullest + 1 if self.stages else None,
            "disk_gib": _in_gib(self.disk) or None,
            "hub_gib": round(self.hub.get("bytes", 0) / GIB, 3),
            "hub_revisions": self.hub.get("revisions", 0),
            "outbox_gib": round(self.hub.get("waiting", 0) / GIB, 3),
            "wall_clock_hours": self.hours,
            "wall_clock_measured": self.measured or "not measured",
            "errors": self.errors + self.misfits,
            "warnings": self.warnings,
        }


def make_plan(recipe: Recipe, cluster: Cluster, offline: bool) -> Plan:
    """
    The plan of a recipe that has been read.

    Args:
        recipe (`Recipe`):
            The recipe, read for as many processes as the cluster has.
        cluster (`Cluster`):
            Where it runs.
        offline (`bool`):
            Do not ask the Hub.
    """
    from open_vr1.plan.existence import missing

    plan = Plan(str(recipe.path), recipe.args.task, recipe.model.model_name_or_path, cluster)
    plan.errors, plan.warnings = missing(recipe, offline)
    if recipe.training is None:
        return plan
    if recipe.args.task == "grpo":
        plan.stages = stage_plans(recipe, cluster.processes)
        plan.total_steps = sum(stage.steps for stage in plan.stages)
    elif recipe.training.max_steps > 0:
        plan.total_steps = recipe.training.max_steps
    config = find_config(plan.model, offline)
    if config is None:
        plan.warnings.append(
            f"{recipe.path}: model_name_or_path: {plan.model}: its shape is not known here, so memory and disk are not "
            "estimated"
        )
    elif getattr(config, "vision_config", None) is None:
        plan.errors.append(
            f"{recipe.path}: model_name_or_path: {plan.model}: a {config.model_type} takes no pictures; write a model that does"
        )
    else:
        _estimate(plan, recipe, config)
    if not recipe.overrides:  # Or it would be another run that was measured.
        plan.hours, plan.measured = _measured_hours(recipe, plan.total_steps)
    return plan


def is_offline() -> bool:
    """Whether the Hub is not to be asked: `OFFLINE=1`, or the Hub client's own switch."""
    return any(
        os.environ.get(name, "").lower() in ("1", "true", "yes", "on") for name in ("OFFLINE", "HF_HUB_OFFLINE")
    )


def _estimate(plan: Plan, recipe: Recipe, config: Any) -> None:
    where = str(recipe.path)
    if recipe.args.task == "grpo":
        prompt = recipe.args.max_prompt_length or ASSUMED_PROMPT
        if not recipe.args.max_prompt_length:
            plan.warnings.append(f"{where}: max_prompt_length: not set; memory is for {ASSUMED_PROMPT} tokens")
        elif picture_tokens(recipe, config) >= prompt:
            plan.warnings.append(
                f"{where}: max_prompt_length: {prompt} has no room for a picture of max_pixels, which takes "
                f"{picture_tokens(recipe, config)} tokens; such rows are dropped"
            )
        steps = steps_on_a_process(recipe, plan.cluster.processes, prompt)
    else:
        longest = recipe.args.max_row_length or ASSUMED_ROW
        if not recipe.args.max_row_length:
            plan.warnings.append(f"{where}: max_row_length: not set; memory is for {ASSUMED_ROW} tokens a row")
        steps = [Step(recipe.training.per_device_train_batch_size, longest)]
    memories = [memory_parts(recipe, config, plan.cluster, step) for step in steps]
    plan.fullest = max(range(len(steps)), key=lambda i: memories[i]["total"])
    plan.memory, plan.micro_batch = memories[plan.fullest], steps[plan.fullest]
    plan.disk, plan.hub = _storage(plan, recipe, config)
    _check_fit(plan, where)
    cache = vllm_cache_tokens(recipe, config, plan.cluster)
    longest = max(step.tokens for step in steps)
    if cache is not None and cache < longest:
        plan.misfits.append(
            f"{where}: vllm_gpu_memory_utilization: {recipe.training.vllm_gpu_memory_utilization} leaves vLLM room for "
            f"{max(cache, 0)} tokens beside its weights, and one completion with its prompt has {longest}; raise it, or "
            "vllm_tensor_parallel_size"
        )


def _check_fit(plan: Plan, where: str) -> None:
    if plan.cluster.gpu_bytes is None:
        return
    needed, there = plan.memory["total"], plan.cluster.gpu_bytes
    largest = max((key for key in plan.memory if key != "total"), key=plan.memory.__getitem__)
    words = (
        f"{where}: a GPU of {there / GIB:.0f} GiB is to hold an estimated {needed / GIB:.1f} GiB, most of it {largest}; "
        "lower per_device_train_batch_size, shard more (ACCELERATE=zero3) or train adapters (use_peft)"
    )
    if needed > there * (1 + MARGIN):
        plan.misfits.append(words)
    elif needed > there * (1 - MARGIN):
        plan.warnings.append(words)


def _storage(plan: Plan, recipe: Recipe, config: Any) -> tuple[dict[str, int], dict[str, int]]:
    training = recipe.training
    model, learning, width = trainable(recipe, build_on_meta(config, dtype_of(recipe.model.dtype, config)))
    everything = sum(weight.numel() for weight in model.parameters())
    weights = learning * width if recipe.model.use_peft else everything * model.dtype.itemsize
    state = 0 if training.save_only_model else plan.memory["optimizer"] * _shards(plan.cluster)
    checkpoint = weights + state
    saves = 1
    if plan.total_steps and str(getattr(training.save_strategy, "value", training.save_strategy)) == "steps":
        every = training.save_steps if training.save_steps >= 1 else training.save_steps * plan.total_steps
        saves = max(1, int(plan.total_steps // every))
    kept = saves
    if training.save_total_limit:
        # Those that end a stage are kept beside the limit.
        kept = min(saves, training.save_total_limit + len(plan.stages))
    disk = {"checkpoint": checkpoint, "kept": checkpoint * kept + weights}
    if not training.push_to_hub:
        return disk, {}
    # What rotation deletes stays on the disk until it is published.
    waiting = weights * max(0, saves - kept)
    if recipe.args.hub_outbox_gib is not None:
        waiting = min(waiting, int(recipe.args.hub_outbox_gib * GIB))
    hub = {"revisions": saves + 1, "bytes": weights * (saves + 1), "waiting": waiting}
    if recipe.args.hub_keep_state:
        hub["bytes"] += checkpoint
        hub["waiting"] += checkpoint
    return disk, hub


def _shards(cluster: Cluster) -> int:
    return cluster.processes if cluster.sharding in ("zero2", "zero3", "fsdp") else 1


def _measured_hours(recipe: Recipe, steps: int | None) -> tuple[float | None, str | None]:
    name = f"{recipe.path.parent.name}/{recipe.path.stem}"
    for row in yaml.safe_load((Path(__file__).parent / "throughput.yaml").read_text()):
        if row["recipe"] == name and steps:
            return row["seconds_per_step"] * steps / 3600, f"{row['hardware']}, {row['source']}"
    return None, None


def _in_gib(parts: dict[str, int]) -> dict[str, float]:
    return {name: round(size / GIB, 4) for name, size in parts.items()}
