"""What `make sft` and `make grpo` have in common: the model, going on after a kill, and the end of a run.

A run's folder says which recipe it belongs to (`recipe.json`). The same command again goes on from the last whole
checkpoint; a changed recipe is refused, because the run would be neither the old one nor the new one; a finished run is
left as it is.
"""

import hashlib
import json
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from transformers import AutoModelForImageTextToText, PreTrainedModel, PrinterCallback, ProcessorMixin, Trainer
from trl import get_quantization_config

import open_vr1
from open_vr1.errors import UserError
from open_vr1.hub.model_card import write_model_card
from open_vr1.progress import ProgressLine
from open_vr1.recipe import TASKS, Recipe
from open_vr1.resume import last_checkpoint
from open_vr1.vision_parts import vision_parameters

PACKAGES = ("torch", "transformers", "trl", "accelerate", "datasets", "huggingface-hub", "peft", "math-verify")
RECIPE_FILE = "recipe.json"
FINISHED_FILE = "trainer_state.json"
# Keys that say how a run is watched and kept, and where its vLLM server is. They may change while it pauses.
BESIDE_THE_RUN = {
    "disable_tqdm",
    "guardrail_limits",
    "guardrail_steps",
    "guardrails",
    "log_completions",
    "logging_steps",
    "num_completions_to_print",
    "project",
    "report_to",
    "run_name",
    "save_total_limit",
    "vllm_group_port",
    "vllm_server_base_url",
    "vllm_server_host",
    "vllm_server_port",
    "vllm_server_timeout",
}
SECONDS_TO_LET_GO = 0.2


def is_finished(recipe: Recipe) -> bool:
    """Whether the run's folder holds its final model already; says so."""
    folder = Path(recipe.training.output_dir)
    if not (folder / FINISHED_FILE).is_file():
        return False
    check_same_recipe(recipe)
    print(f"{folder} is finished; for another run write another output_dir or delete the folder")
    return True


def claim_output_dir(recipe: Recipe) -> str | None:
    """
    Make the run's folder this recipe's own.

    Returns:
        `str`, *optional*: the checkpoint to go on from.
    """
    folder = Path(recipe.training.output_dir)
    if (folder / RECIPE_FILE).is_file():
        check_same_recipe(recipe)
    elif any(folder.glob("checkpoint-*")):
        raise UserError(
            f"{recipe.path}: output_dir: {folder} holds checkpoints but no {RECIPE_FILE} that says whose they are; "
            "write another output_dir"
        )
    if recipe.training.process_index == 0:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / RECIPE_FILE).write_text(json.dumps(recipe.values, indent=2, default=str) + "\n")
    checkpoint = recipe.training.resume_from_checkpoint or last_checkpoint(folder)
    if checkpoint:
        print(f"going on from {checkpoint}", flush=True)
    return checkpoint


def check_same_recipe(recipe: Recipe) -> None:
    file = Path(recipe.training.output_dir) / RECIPE_FILE
    then = json.loads(file.read_text()) if file.is_file() else {}
    now = json.loads(json.dumps(recipe.values, default=str))
    changed = [key for key in sorted({*then, *now} - BESIDE_THE_RUN) if then.get(key) != now.get(key)]
    if changed:
        key = changed[0]
        raise UserError(
            f"{recipe.path}: {key}: {file.parent} holds a run with {key}: {then.get(key)!r}, and the recipe says "
            f"{now.get(key)!r}; write the old value to go on with that run, or another output_dir to start a new one"
            + (f" (also changed: {', '.join(changed[1:])})" if changed[1:] else "")
        )


def load_model(recipe: Recipe) -> PreTrainedModel:
    """The recipe's model, with the parts frozen that the recipe freezes."""
    given, training = recipe.model, recipe.training
    model = AutoModelForImageTextToText.from_pretrained(
        given.model_name_or_path,
        revision=given.model_revision,
        trust_remote_code=training.trust_remote_code,
        attn_implementation=given.attn_implementation,
        dtype=given.dtype,
        quantization_config=get_quantization_config(given),
        **(training.model_init_kwargs or {}),
    )
    frozen = {"tower": recipe.args.freeze_vision_tower, "projector": recipe.args.freeze_projector}
    for part, names in vision_parameters(model).items():
        if frozen[part] and not names:
            raise UserError(f"{recipe.path}: the vision {part} of {type(model).__name__} is not known; freeze nothing")
        for name in names if frozen[part] else ():
            model.get_parameter(name).requires_grad_(False)
    return model


def train_to_the_end(trainer: Trainer, recipe: Recipe, processor: ProcessorMixin, checkpoint: str | None) -> None:
    """Train, then leave the model and its processor in the run's folder, loadable like any checkpoint."""
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(ProgressLine())
    trainer.train(resume_from_checkpoint=checkpoint)
    trainer.save_model(recipe.training.output_dir)
    if trainer.is_world_process_zero():
        processor.save_pretrained(recipe.training.output_dir)
    trainer.accelerator.wait_for_everyone()
    trainer.save_state()
    if trainer.is_world_process_zero():
        print(f"the model is in {recipe.training.output_dir}", flush=True)
    leave_together(trainer)
    if trainer.is_world_process_zero():
        write_model_card(Path(recipe.training.output_dir), manifest_of(recipe), place=None)


def leave_together(trainer: Trainer) -> None:
    """The end of a job of several processes, without which one of them may abort after all its work is done."""
    trainer.accelerator.wait_for_everyone()
    trainer.accelerator.end_training()
    if trainer.accelerator.num_processes > 1:
        # Gloo's threads let go of the last operation's Python objects a moment after it; at the interpreter's end they
        # would abort the process instead (10 to 30% of runs of two processes on a CPU).
        time.sleep(SECONDS_TO_LET_GO)


def manifest_of(recipe: Recipe) -> dict[str, Any]:
    """The run's `open_vr1.json`, or what the recipe alone says where a run has left none."""
    file = Path(recipe.training.output_dir) / "open_vr1.json"
    if file.is_file():
        return json.loads(file.read_text())
    text, task = recipe.path.read_text(), recipe.args.task
    return {
        "open_vr1": open_vr1.__version__,
        "run": {
            "task": task,
            "name": f"{recipe.path.parent.name}/{recipe.path.stem}",
            "command": f"make {TASKS[task].target} RECIPE={recipe.path}",
        },
        "recipe": {
            "path": str(recipe.path),
            "sha256": hashlib.sha256(text.encode()).hexdigest(),
            "text": text,
            "values": recipe.values,
        },
        "model": {"name": recipe.model.model_name_or_path, "revision": recipe.model.model_revision},
        "packages": {name: version(name) for name in PACKAGES},
        "seeds": {"seed": recipe.training.seed},
        "stages": recipe.values.get("ptst_stages"),
    }


def trl_arguments(recipe: Recipe) -> Any:
    """TRL's config of the recipe, with our progress line instead of its bar."""
    recipe.training.disable_tqdm = True
    return recipe.training
