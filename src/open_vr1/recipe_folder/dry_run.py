"""
Try out a recipe folder without its model, its rows and a GPU: the last part of `make check-recipes`.

Every training recipe is trained for two steps (two in each stage) as it is, but for what a laptop cannot hold: a toy model stands
for its model, toy pictures for its rows, lengths are cut to a dozen tokens in the same order, one process on a CPU takes two
groups a step. Rewards, their options, stages, group sizes, LoRA, freezing, loss and optimizer are the recipe's. Then the card
that its checkpoints would have on the Hub is made and checked, and the tests of the folder's own code are run.

Rows of the recipe's own layout take the place of the toy world's where the folder has some, with pictures beside them:
`recipes/<name>/examples/<recipe>.jsonl`. What is left of a trial lies in `outputs/dry_run/<name>/<recipe>`.
"""

import os
import re
import shutil
import subprocess
import sys
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from open_vr1.elsewhere import Elsewhere
from open_vr1.errors import UserError
from open_vr1.hub.cards import ROOT
from open_vr1.prompts import format_completion
from open_vr1.recipe import TASKS, read_recipe
from open_vr1.recipe_file import read_file
from open_vr1.recipe_folder import recipe_files
from open_vr1.recipe_folder.facts import read_facts
from open_vr1.recipe_folder.probe import own_rewards

OUTPUTS = Path("outputs/dry_run")
BASE = OUTPUTS / "base"
# Python arms it at its start: whatever wants to leave the machine is refused and written down.
TRIPWIRE = ROOT / "tests/tripwire"
ROWS = 8
GROUPS = 2
STEPS = 2
# For the shortest stage; each longer one has as many more.
LENGTH, LONGER_BY = 8, 4
SECONDS = 600
BATCH = ("per_device_train_batch_size", "gradient_accumulation_steps")
# What needs a GPU, the Hub or another program, or what two steps have no time for.
LEFT_OUT = {
    "activation_offloading",
    "attn_implementation",
    "build",
    "deepspeed",
    "eval_devices",
    "eval_recipe",
    "eval_where",
    "fsdp",
    "fsdp_config",
    "load_in_4bit",
    "load_in_8bit",
    "min_pixels",
    "model_revision",
    "num_train_epochs",
    "push_to_hub",
    "resume_from_checkpoint",
    "tf32",
    "torch_compile",
    "use_liger_kernel",
    "use_vllm",
}
LEFT_OUT_FAMILIES = ("hub_", "vllm_")
GPU_OPTIMIZER = re.compile(r"8bit|bnb|paged|apex")
OF_A_LAPTOP = {
    "model_name_or_path": str(BASE),
    "build": [{"path": str(BASE), "with": "open_vr1.toy.model:build", "args": {"seed": 0}}],
    "dtype": "float32",
    "max_pixels": 12544,
    "use_cpu": True,
    "bf16": False,
    "fp16": False,
    "dataloader_num_workers": 0,
    "logging_steps": 1,
    "save_strategy": "steps",
    "save_steps": 1,
    "report_to": "none",
}


def dry_run(folder: Path) -> list[str]:
    """What is wrong with a folder that only trying it out shows. Prints a line for each recipe as it goes on."""
    if wrong := _own_tests(folder):
        return wrong
    for file in recipe_files(folder):
        if TASKS[read_file(file).values["task"]].trainer_config:
            began = time.monotonic()
            found = _try(file) or _card_problems(file)
            print(f"{file}: {'FAILED' if found else 'trains'}, {time.monotonic() - began:.0f} s", flush=True)
            wrong += found
    return wrong


def _try(file: Path) -> list[str]:
    place = OUTPUTS / file.parent.name / file.stem
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    values = toy_values(file, place)
    recipe = place / file.name
    recipe.write_text(f"# {file} at toy size.\n" + yaml.safe_dump(values, sort_keys=False, allow_unicode=True))
    log = place / "log.txt"
    if own_rewards(values):
        probe = [sys.executable, "-m", "open_vr1.recipe_folder.probe", str(file)]
        if trouble := _run(probe, place / "probe.txt"):
            return [f"{file}: a reward of its own {trouble}"]
    command = [sys.executable, "-m", f"open_vr1.{values['task']}", "--config", str(recipe)]
    if trouble := _run(command, log):
        return [f"{file}: its dry run {trouble}; all of its output is in {log}, its recipe in {recipe}"]
    if not (place / "run" / "trainer_state.json").is_file():
        return [f"{file}: its dry run ended before its last step and said nothing; all of its output is in {log}"]
    return []


def _run(command: list[str], log: Path) -> str | None:
    """What went wrong, in a line."""
    network = log.with_name("network.txt")
    network.unlink(missing_ok=True)
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    environment |= {"PYTHONPATH": os.pathsep.join([str(TRIPWIRE), os.environ.get("PYTHONPATH", "")])}
    environment |= {"OPEN_VR1_NETWORK_LOG": str(network.absolute())}
    with log.open("w") as output:
        try:
            done = subprocess.run(
                command, check=False, stdout=output, stderr=subprocess.STDOUT, env=environment, timeout=SECONDS
            )
        except subprocess.TimeoutExpired:
            return f"was not done after {SECONDS} s"
    if network.is_file():
        return f"{network.read_text().splitlines()[0]}, and nobody else may have what is there; leave it to a build function"
    if done.returncode == 0:
        return None
    said = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    errors = [line for line in said if line.startswith(("error: ", "FAILED ", "ERROR "))]
    return f"failed: {(errors or said or [f'exit status {done.returncode}'])[-1].removeprefix('error: ')}"


# ----- The recipe at toy size


def toy_values(file: Path, place: Path) -> dict[str, Any]:
    """
    A recipe's values with its model, rows and sizes exchanged, and its rows written.

    Args:
        file (`Path`):
            The recipe.
        place (`Path`):
            Where rows and results go.
    """
    given = read_file(file).values
    values = {
        key: value for key, value in given.items() if key not in LEFT_OUT and not key.startswith(LEFT_OUT_FAMILIES)
    }
    values |= OF_A_LAPTOP | {"output_dir": str(place / "run")}
    if GPU_OPTIMIZER.search(values.get("optim", "")):
        values["optim"] = "adamw_torch"
    for key in ("datasets", "eval_datasets"):
        if values.get(key):
            entries = enumerate(values[key])
            values[key] = [_toy_entry(file, place / f"{key}_{i}.parquet", entry, values) for i, entry in entries]
    processes = read_facts(file.parent / "README.md")[0]["processes"][file.stem]
    values |= _sft_sizes(values) if values["task"] == "sft" else _grpo_sizes(values, processes)
    values.pop("generation_batch_size", None)  # Its sizes say it now.
    if values.get("eval_strategy", "no") != "no":
        # With every checkpoint, or the best of them could not be known.
        values |= {"eval_strategy": "steps", "eval_steps": values["save_steps"]}
        values["per_device_eval_batch_size"] = 2 if values["task"] == "sft" else _eval_group(values)
    return values


def _sft_sizes(values: Mapping[str, Any]) -> dict[str, Any]:
    return {"max_steps": STEPS, **{key: min(values[key], 2) for key in BATCH if key in values}}


def _grpo_sizes(values: Mapping[str, Any], processes: int) -> dict[str, Any]:
    """Two groups a step, cut into micro-batches and learnt from as often as in the recipe."""
    stages = values.get("ptst_stages")
    largest = max(stage["num_generations"] for stage in stages) if stages else values.get("num_generations", 8)
    rows, per_device = GROUPS * largest, values.get("per_device_train_batch_size", 8)
    per_device = per_device if rows % per_device == 0 else rows
    accumulation = rows // per_device
    updates = _updates_of_a_generation(values, processes)
    cycle = max(1, updates) * values.get("num_iterations", 1)
    sizes: dict[str, Any] = {**dict(zip(BATCH, (per_device, accumulation))), "save_steps": cycle}
    if updates:
        sizes["steps_per_generation"] = accumulation * updates
    if values.get("guardrails") == "stop":
        sizes["guardrails"] = "warn"  # What random weights do in two steps is no sign of anything.
    if not stages:
        return {**sizes, "max_completion_length": LENGTH, "max_steps": STEPS * cycle}
    lengths = sorted({stage["max_completion_length"] for stage in stages})
    cut = {length: LENGTH + LONGER_BY * i for i, length in enumerate(lengths)}
    sizes["ptst_stages"] = [
        {**stage, "max_completion_length": cut[stage["max_completion_length"]], "steps": STEPS * cycle}
        for stage in stages
    ]
    return sizes


def _updates_of_a_generation(values: Mapping[str, Any], processes: int) -> int:
    """How many steps the recipe makes of what it generates at once; 0 where it does not say so."""
    accumulation = values.get("gradient_accumulation_steps", 1)
    if values.get("generation_batch_size"):
        return values["generation_batch_size"] // (values.get(BATCH[0], 8) * accumulation * processes)
    return values.get("steps_per_generation", 0) // accumulation


def _eval_group(values: Mapping[str, Any]) -> int:
    stages = values.get("ptst_stages") or [values]
    return values.get("num_generations_eval") or stages[-1].get("num_generations", 8)


def _toy_entry(file: Path, path: Path, entry: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Rows under the column names that the recipe says its own rows have."""
    own = {name: entry[name] for name in ("columns", "fraction") if name in entry}
    examples = file.parent / "examples" / f"{file.stem}.jsonl"
    if examples.is_file():
        return {"path": str(examples), **own}
    from datasets import Dataset, Features, Value, disable_progress_bars

    from open_vr1.toy.world import FEATURES, rows

    names = {**(values.get("columns") or {}), **(entry.get("columns") or {})}
    # A column that only a reward of the folder's own knows holds the answer.
    ours = dict.fromkeys(names, "answer") | {"prompt": "question", "images": "images", "solution": "answer"}
    ours |= {"choices": "choices"}
    if values["task"] == "sft":
        ours |= {"thinking": "thinking", "answer": "answer"}
    columns = {names.get(name, name): theirs for name, theirs in ours.items()}
    made = [
        {**row, "completion": format_completion(row["thinking"], row["answer"])} for row in rows("train", ROWS, seed=0)
    ]
    if "completion" in names:
        columns[names["completion"]] = "completion"
    disable_progress_bars()
    features = {**FEATURES, "completion": Value("string")}
    Dataset.from_list(
        [{name: row[theirs] for name, theirs in columns.items()} for row in made],
        features=Features({name: features[theirs] for name, theirs in columns.items()}),
    ).to_parquet(path)
    return {"path": str(path), **own}


# ----- Card and own code


def _card_problems(file: Path) -> list[str]:
    """What is wrong with the card that the recipe's checkpoints would have on the Hub."""
    from open_vr1.hub.card_check import check_card
    from open_vr1.hub.model_card import Place, write_model_card
    from open_vr1.manifest import RunManifest

    facts = read_facts(file.parent / "README.md")[0]
    task = read_file(file).values["task"]
    recipe = read_recipe(file, task, elsewhere=Elsewhere(facts["processes"][file.stem], "DeepSpeed"))
    run = OUTPUTS / file.parent.name / file.stem / "run"
    folder = run.with_name("card")
    folder.mkdir()
    try:
        manifest = RunManifest.begin(recipe, folder, goes_on=False).facts
        for name in ("trainer_state.json", "config.json", "model.safetensors", "adapter_config.json"):
            if (run / name).is_file():
                (folder / name).hardlink_to(run / name)
        repo = recipe.training.hub_model_id or f"open-vr1/{file.parent.name}-{file.stem}"
        with warnings.catch_warnings(action="ignore"):  # Plots of a few steps, drawn for as many as the recipe has.
            write_model_card(folder, manifest, Place(repo, "main"))
        return [f"{file}: its card: {problem}" for problem in check_card(folder, "model")]
    except UserError as error:
        return [f"{file}: its card cannot be made: {error}"]


def _own_tests(folder: Path) -> list[str]:
    if not sorted(folder.glob("test_*.py")):
        return []
    log = OUTPUTS / folder.name / "tests.txt"
    log.parent.mkdir(parents=True, exist_ok=True)
    trouble = _run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "0", str(folder)], log)
    print(f"{folder}: its own tests {'FAILED' if trouble else 'pass'}", flush=True)
    return [f"{folder}: its own tests {trouble}; all of their output is in {log}"] if trouble else []
