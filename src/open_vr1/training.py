"""What `make sft` and `make grpo` have in common: the model, going on after a kill, and the end of a run.

A run's folder says which recipe it belongs to (`open_vr1.json`). The same command again goes on from the last whole
checkpoint; a changed recipe is refused, because the run would be neither the old one nor the new one; a finished run is
left as it is.
"""

import time
from pathlib import Path
from typing import Any

from accelerate.utils import broadcast_object_list
from transformers import AutoModelForImageTextToText, PreTrainedModel, PrinterCallback, ProcessorMixin, Trainer
from trl import get_quantization_config

from open_vr1.errors import UserError
from open_vr1.evals.callback import EvaluationCallback, evaluation_of
from open_vr1.hub.model_card import write_model_card
from open_vr1.hub.outbox.live import LivePublication, fetch_state, publication_of
from open_vr1.manifest import MANIFEST_FILE, RunManifest, read_manifest, recorded_code, recorded_values
from open_vr1.manifest_callback import ManifestCallback
from open_vr1.progress import ProgressLine
from open_vr1.recipe import Recipe
from open_vr1.resume import last_checkpoint
from open_vr1.vision_parts import vision_parameters

FINISHED_FILE = "trainer_state.json"
CARD = "README.md"
# Keys that say how a run is watched and kept, and where its vLLM server is. They may change while it pauses.
BESIDE_THE_RUN = {
    "disable_tqdm",
    "env",
    "eval_devices",
    "eval_recipe",
    "eval_where",
    "guardrail_limits",
    "guardrail_steps",
    "guardrails",
    "hub_keep_state",
    "hub_model_id",
    "hub_outbox_gib",
    "hub_revision",
    "hub_wait_minutes",
    "log_completions",
    "logging_steps",
    "num_completions_to_print",
    "project",
    "push_to_hub",
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
    checkpoint = recipe.training.resume_from_checkpoint or last_checkpoint(folder)
    if not checkpoint and recipe.values.get("hub_keep_state"):
        # With the manifest, so that the run goes on under its id.
        [checkpoint] = broadcast_object_list([fetch_state(recipe) if recipe.training.process_index == 0 else None])
        if checkpoint and not Path(checkpoint).is_dir():
            raise UserError(
                f"{recipe.path}: hub_keep_state: this machine does not see {checkpoint}, which the first one has fetched; "
                "write an output_dir on a disk that all of them share"
            )
    has_progress = bool(checkpoint) or any([*folder.glob("checkpoint-*"), *folder.glob("*.safetensors")])
    goes_on = True
    if (folder / MANIFEST_FILE).is_file():
        try:
            check_same_recipe(recipe)
        except UserError:
            if has_progress:
                raise
            goes_on = False  # It failed before it had anything that could be lost: mend the recipe, run it again.
    elif has_progress:
        raise UserError(
            f"{recipe.path}: output_dir: {folder} holds checkpoints but no {MANIFEST_FILE} that says whose they are; "
            "write another output_dir"
        )
    if recipe.training.process_index == 0:
        RunManifest.begin(recipe, folder, goes_on)
    if checkpoint:
        print(f"going on from {checkpoint}", flush=True)
    return checkpoint


def check_same_recipe(recipe: Recipe) -> None:
    folder = Path(recipe.training.output_dir)
    then = read_manifest(folder)["recipe"]["values"] if (folder / MANIFEST_FILE).is_file() else {}
    now = recorded_values(recipe)
    _check_same_code(recipe, folder)
    changed = [key for key in sorted({*then, *now} - BESIDE_THE_RUN) if then.get(key) != now.get(key)]
    if changed:
        key = changed[0]
        raise UserError(
            f"{recipe.path}: {key}: {folder} holds a run with {key}: {then.get(key)!r}, and the recipe says "
            f"{now.get(key)!r}; write the old value to go on with that run, or another output_dir to start a new one"
            + (f" (also changed: {', '.join(changed[1:])})" if changed[1:] else "")
        )


def _check_same_code(recipe: Recipe, folder: Path) -> None:
    """A reward that has changed is another recipe, though its name is the same."""
    if not (folder / MANIFEST_FILE).is_file():
        return
    then, now = read_manifest(folder)["recipe"].get("own_code", {}), recorded_code(recipe)
    for path in sorted(then.keys() & now.keys()):
        if then[path]["sha256"] != now[path]["sha256"]:
            raise UserError(
                f"{recipe.path}: {path} has changed since the run in {folder} began; put back what {MANIFEST_FILE} there "
                "has under recipe.own_code to go on with that run, or write another output_dir to start a new one"
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


def train_to_the_end(
    trainer: Trainer,
    recipe: Recipe,
    processor: ProcessorMixin,
    checkpoint: str | None,
    publication: LivePublication | None = None,
    evaluation: EvaluationCallback | None = None,
) -> None:
    """Train, then leave the model and its processor in the run's folder, loadable like any checkpoint, publish and evaluate it."""
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(ProgressLine())
    manifest = ManifestCallback(recipe, trainer)
    trainer.add_callback(manifest)
    if publication:  # After the manifest, which it takes along.
        trainer.add_callback(publication)
    if evaluation:  # After the publication, so that results find their checkpoint in the outbox.
        trainer.add_callback(evaluation)
    trainer.train(resume_from_checkpoint=checkpoint)
    trainer.save_model(recipe.training.output_dir)
    if trainer.is_world_process_zero():
        processor.save_pretrained(recipe.training.output_dir)
    trainer.accelerator.wait_for_everyone()
    manifest.save()
    trainer.save_state()
    if trainer.is_world_process_zero():
        print(f"the model is in {recipe.training.output_dir}", flush=True)
    leave_together(trainer)
    finish(recipe, publication, evaluation)


def finish(
    recipe: Recipe, publication: LivePublication | None = None, evaluation: EvaluationCallback | None = None
) -> None:
    """What comes after the training: the card, the rest of the publishing, the last evaluation. Once more after a kill, it goes on."""
    folder = Path(recipe.training.output_dir)
    if recipe.training.process_index == 0 and not (folder / CARD).is_file():
        write_model_card(folder, read_manifest(folder), place=None)
    try:
        if publication := publication or publication_of(recipe):
            publication.finish()
    finally:
        if evaluation := evaluation or evaluation_of(recipe):
            evaluation.finish()


def leave_together(trainer: Trainer) -> None:
    """The end of a job of several processes, without which one of them may abort after all its work is done."""
    trainer.accelerator.wait_for_everyone()
    trainer.accelerator.end_training()
    if trainer.accelerator.num_processes > 1:
        # Gloo's threads let go of the last operation's Python objects a moment after it; at the interpreter's end they
        # would abort the process instead (10 to 30% of runs of two processes on a CPU).
        time.sleep(SECONDS_TO_LET_GO)


def trl_arguments(recipe: Recipe) -> Any:
    """TRL's config of the recipe, with our progress line instead of its bar, and our way to the Hub instead of its own."""
    recipe.training.disable_tqdm = True
    recipe.training.push_to_hub = False
    return recipe.training
