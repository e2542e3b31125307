"""The plan's memory, part by part, against torch's own count of the tensors of a real step of the tiny recipes."""

import tempfile
import weakref
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import TrainerCallback

from open_vr1 import grpo, sft, training
from open_vr1.plan import Cluster, make_plan
from open_vr1.plan.memory import Step, memory_parts
from open_vr1.plan.models import find_config

TOLERANCE = 0.15
SIZES = "{seed: 0, train: 96, rl: 32, validation: 8, test: 8}"


class Live(TorchDispatchMode):
    """Bytes of the tensors that were made while it lasts and still live, and the most that ever did."""

    def __init__(self):
        super().__init__()
        self.known, self.now, self.peak = set(), 0, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        given = {leaf.untyped_storage()._cdata for leaf in tree_leaves((args, kwargs)) if torch.is_tensor(leaf)}
        for leaf in tree_leaves(made):
            if torch.is_tensor(leaf) and leaf.untyped_storage()._cdata not in given | self.known:
                self._watch(leaf.untyped_storage())
        return made

    def _watch(self, storage):
        key, size = storage._cdata, storage.nbytes()
        self.known.add(key)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._gone, key, size)

    def _gone(self, key, size):
        self.known.discard(key)
        self.now -= size


@contextmanager
def saved_for_backward(parts):
    """Bytes that autograd saves while each module runs, by name; each storage once, weights not at all."""
    counts, seen, running = Counter(), {}, []
    weights = {weight.untyped_storage()._cdata for module in parts.values() for weight in module.parameters()}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if running and storage._cdata not in weights and storage._cdata not in seen:
            seen[storage._cdata] = storage
            counts[running[-1]] += storage.nbytes()
        return tensor

    hooks = []
    for name, module in parts.items():
        hooks.append(module.register_forward_pre_hook(lambda *_, name=name: running.append(name)))
        hooks.append(module.register_forward_hook(lambda *_: running.pop() and None))
    try:
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            yield counts
    finally:
        for hook in hooks:
            hook.remove()


class Gradients(TrainerCallback):
    def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs):
        self.bytes = sum(weight.grad.nbytes for weight in model.parameters() if weight.grad is not None)


@pytest.fixture(scope="module")
def recipes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plan")
    for path in Path("recipes/vr1_tiny").glob("*.yaml"):
        text = (
            path.read_text().replace("outputs/vr1_tiny", str(folder)).replace("report_to: trackio", "report_to: none")
        )
        text = text.replace(f"{folder}/cold_data", f"{folder}/world/train.parquet")
        lines = [
            f"    args: {SIZES}" if line.strip().startswith("args: {seed: 0, rl") else line
            for line in text.splitlines()
        ]
        (folder / path.name).write_text("\n".join(lines).replace(f"{folder}/cold", f"{folder}/base") + "\n")
    training_of = {"sft": ["--max_steps", "1", "--per_device_train_batch_size", "8"], "ptst": []}
    return folder, training_of


def one_step(recipes, name, monkeypatch, words):
    """A trainer that is ready to train the recipe, and the recipe's plan."""
    folder, _ = recipes
    made = []
    monkeypatch.setattr(training, "train_to_the_end", lambda *args: made.append(args))
    words = [*words, "--output_dir", str(tempfile.mkdtemp(dir=folder)), "--save_strategy", "no"]
    main = {"sft": sft.main, "ptst": grpo.main}[name]
    assert main(["--config", str(folder / f"{name}.yaml"), *words]) == 0
    trainer, recipe, *_ = made[0]
    return trainer, recipe, make_plan(recipe, Cluster(1, "none"), offline=True)


def batch_of(trainer):
    batch = next(iter(trainer.get_train_dataloader()))
    trainer.current_gradient_accumulation_steps = 1
    trainer.model.train()
    return batch


def assert_close(measured, planned):
    assert planned == pytest.approx(measured, rel=TOLERANCE), f"planned {planned:,}, torch counts {measured:,}"


def test_what_stays_is_what_a_step_leaves(recipes, monkeypatch):
    trainer, _, plan = one_step(recipes, "sft", monkeypatch, recipes[1]["sft"])
    gradients = Gradients()
    trainer.add_callback(gradients)
    trainer.train()
    assert_close(sum(weight.nbytes for weight in trainer.model.parameters()), plan.memory["weights"])
    assert_close(gradients.bytes, plan.memory["gradients"])
    states = [value for state in trainer.optimizer.state.values() for value in state.values()]
    assert_close(sum(value.nbytes for value in states if torch.is_tensor(value)), plan.memory["optimizer"])


def planned_for(recipe, batch):
    """The plan's parts for the batch that there is, whose rows and pictures are smaller than the recipe allows."""
    rows, tokens = batch["input_ids"].shape
    config = find_config(recipe.model.model_name_or_path, offline=True)
    recipe.args.max_pixels = len(batch["pixel_values"]) // rows * config.vision_config.patch_size**2
    return memory_parts(recipe, config, Cluster(1, "none"), Step(rows, tokens))


def test_activations_and_vision_are_what_autograd_saves(recipes, monkeypatch):
    trainer, recipe, _ = one_step(recipes, "sft", monkeypatch, recipes[1]["sft"])
    batch = trainer._prepare_inputs(batch_of(trainer))
    planned, model = planned_for(recipe, batch), trainer.model.model
    with saved_for_backward({"activations": model.language_model, "vision": model.visual}) as measured:
        trainer.compute_loss(trainer.model, batch)
    assert_close(measured["activations"], planned["activations"])
    assert_close(measured["vision"], planned["vision"])


@pytest.mark.parametrize("checkpointing", ["false", "true"])
def test_the_peak_of_a_step_is_what_lives_at_once(recipes, monkeypatch, checkpointing):
    words = [*recipes[1]["sft"], "--gradient_checkpointing", checkpointing]
    trainer, recipe, _ = one_step(recipes, "sft", monkeypatch, words)
    batch = trainer._prepare_inputs(batch_of(trainer))
    planned = planned_for(recipe, batch)
    live = Live()
    with live:
        trainer.compute_loss(trainer.model, batch).backward()
    parts = ("activations", "vision", "log-probabilities", "gradients")
    assert_close(live.peak + batch["pixel_values"].nbytes, sum(planned[part] for part in parts))


def test_the_cache_of_a_generation(recipes, monkeypatch):
    trainer, _, plan = one_step(recipes, "ptst", monkeypatch, ["--max_prompt_length", "64"])
    rows, tokens = plan.micro_batch.generated_rows, plan.micro_batch.tokens
    with torch.no_grad():
        cache = trainer.model(input_ids=torch.ones(rows, tokens, dtype=torch.long), use_cache=True).past_key_values
    assert_close(sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers), plan.memory["KV cache"])
