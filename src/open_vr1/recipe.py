"""
Read and check a recipe: one YAML file is one run.

A recipe is a flat mapping. Its keys are those of TRL's `SFTConfig` or `GRPOConfig`, of TRL's `ModelConfig` and of
`open_vr1.recipe_arguments`; `task:` says which. Everything that can be wrong with it is said before a weight or a row
is loaded, with the file, the line, the key and what to write instead. Any key can be overridden on the command line:

    make sft RECIPE=recipes/vr1_tiny/sft.yaml ARGS="--learning_rate 2e-6"
"""

import os
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from math import lcm
from pathlib import Path
from typing import Any, get_origin, get_type_hints

from open_vr1.cold.arguments import ColdArguments
from open_vr1.elsewhere import Elsewhere, many_processes
from open_vr1.errors import UserError
from open_vr1.functions import NoFunction, check_function
from open_vr1.hub.recipe_keys import check_publishing, refuse_tokens
from open_vr1.recipe_arguments import (
    EvalArguments,
    GRPOArguments,
    PublishedArguments,
    RecipeArguments,
    SFTArguments,
)
from open_vr1.recipe_file import RecipeFile, read_file
from open_vr1.recipe_types import InvalidValue, convert, field_choices, members_of, nearest

__all__ = [
    "TASKS",
    "ColdArguments",
    "EvalArguments",
    "GRPOArguments",
    "Recipe",
    "RecipeArguments",
    "SFTArguments",
    "read_recipe",
]

# Steps that any generation cycle divides: a run without stages has no boundary that could cut one.
ANY_CYCLE = lcm(*range(1, 65))
# TRL finds a wrong word for these only once the model is loaded or in the first step.
GRPO_CHOICES = {
    "importance_sampling_level": ["token", "sequence"],
    "loss_type": ["grpo", "dr_grpo", "dapo", "bnpo", "cispo", "sapo", "luspo", "vespo"],
    "multi_objective_aggregation": ["sum_then_normalize", "normalize_then_sum"],
    "scale_rewards": ["group", "batch", "none"],
    "vllm_importance_sampling_mode": ["token_mask", "token_truncate", "sequence_mask", "sequence_truncate"],
    "vllm_mode": ["colocate", "server"],
}


@dataclass(frozen=True)
class Task:
    """What a `task:` is run with: a make target, our dataclass, the name of TRL's in `trl`, and whether a model is loaded."""

    target: str
    arguments: type[RecipeArguments] | type[ColdArguments]
    trainer_config: str | None = None
    has_model: bool = True


TASKS = {
    "sft": Task("sft", SFTArguments, "SFTConfig"),
    "grpo": Task("grpo", GRPOArguments, "GRPOConfig"),
    "eval": Task("evaluate", EvalArguments),
    "cold": Task("cold", ColdArguments, has_model=False),
}


@dataclass
class Recipe:
    """
    A checked recipe.

    Args:
        path (`Path`):
            The YAML file.
        values (`dict[str, Any]`):
            What it says, overrides merged in, each value of its key's type.
        args (`RecipeArguments` or `ColdArguments`):
            Our keys.
        training (`SFTConfig` or `GRPOConfig`, *optional*):
            TRL's keys. `None` where nothing is trained.
        model (`ModelConfig`, *optional*):
            TRL's keys about the model. `None` for cold data.
        overrides (`tuple[str, ...]`, *optional*):
            The words of the command line that changed any of them.
        text (`str`, *optional*):
            The file.
        environment (`dict[str, str]`, *optional*):
            Its `env:`, which is set by now.
        read_at (`float`, *optional*):
            When it was read, on the clock of `time.monotonic`: the beginning of the command.
    """

    path: Path
    values: dict[str, Any]
    args: RecipeArguments | ColdArguments
    training: Any
    model: Any
    overrides: tuple[str, ...] = ()
    text: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    read_at: float = field(default_factory=time.monotonic)


def recipe_from_command_line(task: str, argv: Sequence[str] | None = None) -> Recipe:
    """The recipe of `--config FILE [--key value ...]`."""
    words = list(sys.argv[1:] if argv is None else argv)
    if len(words) < 2 or words[0] != "--config":
        target = TASKS[task].target
        raise UserError(f"no recipe given; write make {target} RECIPE=recipes/<name>/<recipe>.yaml")
    return read_recipe(words[1], task, words[2:])


def read_recipe(
    path: str | Path, task: str, overrides: Sequence[str] = (), elsewhere: Elsewhere | None = None
) -> Recipe:
    """
    Read a recipe and check all of it, or raise a `UserError`.

    Args:
        path (`str` or `Path`):
            The YAML file.
        task (`str`):
            The task to run, a key of `TASKS`.
        overrides (`Sequence[str]`, *optional*):
            Words of the command line, like `["--learning_rate", "2e-6"]`.
        elsewhere (`Elsewhere`, *optional*):
            The machines that the recipe will run on. This process's own by default.
    """
    file = read_file(path, overrides)
    _check_task(file, task)
    environment = _set_environment(file)
    refuse_tokens(file)

    classes = [TASKS[task].arguments, *_trainer_config(task), *_model_config(task)]
    values = _typed_values(file, task, classes)
    filled = dict(values)
    if task == "sft":
        filled.setdefault("max_length", None)
    if task == "grpo":
        filled.update(_stage_values(file, values, elsewhere or _here()))
    if elsewhere and TASKS[task].trainer_config:
        filled["use_cpu"] = True  # TrainingArguments would look for the run's GPU on this machine...
        filled.pop("tf32", None)  # ...and for an Ampere one.
    built = {}
    for cls in classes:
        own = {f.name for f in fields(cls) if f.init}
        try:
            with many_processes(elsewhere):
                built[cls] = cls(**{key: filled[key] for key in filled if key in own})
        except Exception as error:
            raise _refusal(file, error) from error
    args = built[classes[0]]
    model = built[classes[-1]] if TASKS[task].has_model else None
    _check_builds(file, args)
    if model:
        _check_needs(file, args, model)
        _check_liger(file, elsewhere)
    training = built[classes[1]] if len(classes) == 3 else None
    return Recipe(file.path, values, args, training, model, tuple(overrides), file.text, environment)


def _check_task(file: RecipeFile, task: str) -> None:
    said = file.values.get("task")
    if said == task:
        return
    if "task" not in file.values:
        raise UserError(f"{file.path}: task: this key is missing; write task: {task} (there are {', '.join(TASKS)})")
    if not isinstance(said, str) or said not in TASKS:
        raise file.error("task", f"{said!r} is none of {', '.join(TASKS)}; the nearest is {nearest(said, TASKS)}")
    target = TASKS[said].target
    raise file.error("task", f"this is a recipe for {said}; run make {target} RECIPE={file.path}")


def _set_environment(file: RecipeFile) -> dict[str, str]:
    """TRL's `env:` mapping, set before TRL is imported."""
    variables = file.values.pop("env", None) or {}
    if not isinstance(variables, dict):
        raise file.error("env", f"{variables!r} is not a mapping; write env: {{NAME: value}}")
    for name in variables:
        if not re.fullmatch(r"[A-Za-z_]\w*", str(name)):
            raise file.error(("env", name), f"{name!r} cannot name a variable; write letters, digits and _")
    environment = {str(name): str(value) for name, value in variables.items()}
    os.environ.update(environment)
    return environment


def _trainer_config(task: str) -> list[type]:
    import trl

    return [getattr(trl, name)] if (name := TASKS[task].trainer_config) else []


def _model_config(task: str) -> list[type]:
    if not TASKS[task].has_model:
        return []
    from trl import ModelConfig

    return [ModelConfig]


def _typed_values(file: RecipeFile, task: str, classes: Sequence[type]) -> dict[str, Any]:
    """Every value in the type of its key; unknown keys, wrong types and wrong words are errors."""
    known = {}
    for cls in classes:
        hints = get_type_hints(cls)
        known.update({f.name: (hints[f.name], field_choices(f)) for f in fields(cls) if f.init})
    if task == "grpo":
        known.update({key: (known[key][0], choices) for key, choices in GRPO_CHOICES.items()})
    values, wrong = {}, []
    for key, value in file.values.items():
        if key not in known:
            wrong.append(file.error(key, _unknown_key(key, task, known)))
            continue
        hint, choices = known[key]
        try:
            values[key] = convert(_as_given(file, key, value, hint), hint, (key,), choices)
        except InvalidValue as error:
            wrong.append(file.error(error.key, str(error)))
    if wrong:
        raise UserError("\n".join(map(str, wrong)))
    return values


def _as_given(file: RecipeFile, key: str, value: Any, hint: Any) -> Any:
    """A shell has no quotes left: an overridden text key takes its word as it is, a list key takes a single word."""
    words = file.overrides.get(key, [])
    kinds = members_of(hint)
    if len(words) == 1 and value is not None and not isinstance(value, (list, dict)):
        if str in kinds and bool not in kinds:
            return words[0]
        if not isinstance(value, bool) and any(get_origin(kind) is list for kind in kinds):
            return [value]
    return value


def _unknown_key(key: str, task: str, known: Sequence[str]) -> str:
    others = [
        name
        for name in TASKS
        if name != task
        and any(
            key == f.name
            for cls in (TASKS[name].arguments, *_trainer_config(name), *_model_config(name))
            for f in fields(cls)
        )
    ]
    message = f"unknown key; the nearest is {nearest(key, known)}"
    return f"{message} (recipes for {' and '.join(others)} have {key}, this one is for {task})" if others else message


def _stage_values(file: RecipeFile, values: dict[str, Any], where: Elsewhere) -> dict[str, Any]:
    """What the PTST stages give to TRL's config, once every batch is known to hold whole groups."""
    from trl import GRPOConfig

    from open_vr1.ptst.schedule import SET_BY_STAGES, Schedule
    from open_vr1.ptst.stage import Stage

    source = str(file.path)
    try:
        if values.get("ptst_stages") is not None:
            schedule = Schedule.from_recipe(values["ptst_stages"], source)
            schedule.check(values, where.processes, values.get("ptst_constant", "prompts"), where.sharded_by)
            filled = schedule.trainer_values()
            return {key: filled[key] for key in filled if key not in values}
        group, length = (
            values.get(key) or getattr(GRPOConfig, key) for key in ("num_generations", "max_completion_length")
        )
        only_stage = Stage(length, group, steps=ANY_CYCLE)
        batches = {key: value for key, value in values.items() if key not in SET_BY_STAGES}
        Schedule((only_stage,), source).check({**batches, "save_strategy": "no"}, where.processes)
        return {}
    except UserError as error:
        raise _with_line(file, error) from error


def _here() -> Elsewhere:
    """Where this process is, as `accelerate launch` has told it."""
    return Elsewhere(int(os.environ.get("WORLD_SIZE", "1")), sharded_by())


def sharded_by() -> str | None:
    """What `accelerate launch` has been told to shard the weights with."""
    launched = (("ACCELERATE_USE_DEEPSPEED", "DeepSpeed"), ("ACCELERATE_USE_FSDP", "FSDP"))
    return next((name for variable, name in launched if os.environ.get(variable, "").lower() in ("true", "1")), None)


def _with_line(file: RecipeFile, error: UserError) -> UserError:
    """The same message with the line of the key that it names."""
    message = str(error).removeprefix(f"{file.path}: ")
    named = re.match(r"[\w.\[\]]+", message)
    key = tuple(int(part) if part.isdigit() else part for part in re.findall(r"\w+", named[0])) if named else ()
    return UserError(f"{file.place(key)}: {message}")


def _refusal(file: RecipeFile, error: Exception) -> UserError:
    """A dataclass's own refusal, with the line of the first key of the recipe that it names."""
    words = re.findall(r"\w+", str(error))
    key = next((word for word in words if word in file.values), None)
    return UserError(f"{file.place((key,) if key else ())}: {error}")


def _check_needs(file: RecipeFile, args: RecipeArguments, model: Any) -> None:
    """Keys that have to be there, and names that have to exist."""
    if not model.model_name_or_path:
        raise UserError(f"{file.path}: model_name_or_path: this key is missing; write a Hub id or a folder")
    if isinstance(args, EvalArguments):
        from open_vr1.evals.registry import check_benchmarks

        check_benchmarks(file, args)
    elif not args.datasets:
        raise UserError(f"{file.path}: datasets: this key is missing; write datasets: [{{path: ...}}]")
    if isinstance(args, PublishedArguments):
        check_publishing(file)
    if isinstance(args, GRPOArguments):
        _check_rewards(file, args)
        _check_engine_length(file, args)
        _check_guardrails(file, args)
    if args.task == "sft" and file.values.get("max_length") is not None:
        message = "would cut the end off a long row, its answer; write max_row_length, which drops such rows"
        raise file.error("max_length", f"{file.values['max_length']} {message}")


def _check_builds(file: RecipeFile, args: RecipeArguments | ColdArguments) -> None:
    for i, entry in enumerate(args.build):
        try:
            check_function(entry["with"])
        except NoFunction as error:
            raise file.error(("build", i, "with"), str(error)) from error


def _check_rewards(file: RecipeFile, args: GRPOArguments) -> None:
    from open_vr1.rewards import registry

    if not args.reward_funcs:
        raise UserError(f"{file.path}: reward_funcs: this key is missing; write a list of rewards")
    try:
        registry.check(args.reward_funcs, file.values.get("reward_weights"), args.reward_options)
    except UserError as error:
        raise _with_line(file, error) from error


def _check_engine_length(file: RecipeFile, args: GRPOArguments) -> None:
    """vLLM's context has to hold the longest prompt and the last stage's completion."""
    length = file.values.get("vllm_max_model_length")
    if not file.values.get("use_vllm") or length is None:
        return
    stages = args.ptst_stages or [{"max_completion_length": file.values.get("max_completion_length", 0)}]
    completion = max(stage["max_completion_length"] for stage in stages)
    if length < completion + (args.max_prompt_length or 1):
        needed = f"{completion} tokens of completion and {args.max_prompt_length or 'those'} of the prompt"
        raise file.error(
            "vllm_max_model_length",
            f"{length} does not hold {needed}; write {completion + (args.max_prompt_length or 1)} or more",
        )


def _check_guardrails(file: RecipeFile, args: GRPOArguments) -> None:
    from open_vr1.ptst.guardrails import GUARDRAILS

    if args.guardrail_steps < 1:
        raise file.error("guardrail_steps", f"{args.guardrail_steps} steps show nothing; write 1 or more")
    for name, limit in args.guardrail_limits.items():
        if name not in GUARDRAILS:
            known = ", ".join(GUARDRAILS)
            raise file.error(
                ("guardrail_limits", name), f"no guardrail; the nearest is {nearest(name, GUARDRAILS)} of {known}"
            )
        if not 0 <= limit <= 1:
            raise file.error(("guardrail_limits", name), f"{limit} is no share; write a number between 0 and 1")


def _check_liger(file: RecipeFile, elsewhere: Elsewhere | None) -> None:
    import torch

    has_gpu = elsewhere is not None or torch.cuda.is_available()
    if file.values.get("use_liger_kernel") and (file.values.get("use_cpu") or not has_gpu):
        message = "liger's kernels are written in Triton, which needs a GPU, and there is none; remove the key"
        if file.values.get("use_cpu"):
            message = (
                "liger's kernels are written in Triton, which needs a GPU, and use_cpu is true; remove one of them"
            )
        raise file.error("use_liger_kernel", message)
