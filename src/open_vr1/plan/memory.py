"""
What a training step needs on each GPU, by part, in bytes.

Weights, gradients and optimizer follow from the parameters and from how they are sharded; what a forward pass keeps is
counted on the meta device (`activations.py`); vLLM takes the share of the GPU that the recipe gives it. A GPU holds the parts
that stay, and the larger of a generation and a training step.
"""

from dataclasses import dataclass
from math import ceil
from typing import Any

import torch
from peft import get_peft_model
from transformers import PreTrainedModel
from trl import get_peft_config

from open_vr1.plan.activations import block_bytes, layer_bytes, merger_bytes
from open_vr1.plan.models import build_on_meta, dtype_of, text_part, vision_part
from open_vr1.recipe import Recipe
from open_vr1.vision_parts import vision_parameters

DEFAULT_MAX_PIXELS = 12_845_056  # Qwen2.5-VL's processor where nobody says otherwise
ASSUMED_PROMPT = 1024
ASSUMED_ROW = 4096
# TRL computes log-probabilities for this many tokens and this many words of the vocabulary at a time.
TOKENS_AT_A_TIME, WORDS_AT_A_TIME = 4096, 32768


@dataclass(frozen=True)
class Cluster:
    """
    Where a recipe runs.

    Args:
        processes (`int`):
            Training processes, one GPU each.
        sharding (`str`):
            `"none"`, `"ddp"`, `"zero2"`, `"zero3"` or `"fsdp"`.
        gpu_bytes (`int`, *optional*):
            Memory of one GPU, where it is known.
    """

    processes: int
    sharding: str
    gpu_bytes: int | None = None


@dataclass(frozen=True)
class Step:
    """
    The largest micro-batch of a stage on one process.

    Args:
        rows (`int`):
            Rows of a micro-batch.
        tokens (`int`):
            Tokens of its longest row, prompt and pictures included.
        generated_rows (`int`, *optional*, defaults to `0`):
            Completions that a process samples at a time.
    """

    rows: int
    tokens: int
    generated_rows: int = 0


def memory_parts(recipe: Recipe, config: Any, cluster: Cluster, step: Step) -> dict[str, int]:
    """Bytes by part; `total` is the peak."""
    dtype = dtype_of(recipe.model.dtype, config)
    model = build_on_meta(config, dtype)
    parts = _staying(recipe, model, cluster)
    parts["activations"] = _activations(recipe, model, step)
    parts["log-probabilities"] = _log_probabilities(model, step)
    parts["vision"] = _vision(recipe, model, step)
    training = parts["activations"] + parts["log-probabilities"] + parts["vision"]
    generation, apart = _generation(recipe, model, cluster, step)
    if generation:
        parts[generation[0]] = generation[1]
    staying = sum(parts[key] for key in parts if key in STAYING)
    of_generation = generation[1] if generation else 0
    parts["total"] = staying + (max(training, of_generation) if apart else training + of_generation)
    return parts


STAYING = ("weights", "gradients", "optimizer", "KL reference", "communication")


def trainable(recipe: Recipe, model: PreTrainedModel) -> tuple[PreTrainedModel, int, int]:
    """The model as the run has it, its trainable parameters, and their bytes each."""
    if recipe.model.use_peft:
        model = get_peft_model(model, get_peft_config(recipe.model))
        count = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
        return model, count, 4  # peft keeps adapters in float32.
    frozen = {"tower": recipe.args.freeze_vision_tower, "projector": recipe.args.freeze_projector}
    names = {name for part, of_part in vision_parameters(model).items() if frozen[part] for name in of_part}
    count = sum(weight.numel() for name, weight in model.named_parameters() if name not in names)
    return model, count, model.dtype.itemsize


def _staying(recipe: Recipe, model: PreTrainedModel, cluster: Cluster) -> dict[str, int]:
    total = sum(weight.numel() for weight in model.parameters())
    width = model.dtype.itemsize
    _, learning, learning_width = trainable(recipe, model)
    share = cluster.processes
    if cluster.sharding in ("zero2", "zero3"):
        # DeepSpeed computes in bf16 and keeps a float32 copy of what is trained beside Adam's two moments.
        parts = {
            "weights": 2 * total // (share if cluster.sharding == "zero3" else 1),
            "gradients": 2 * learning // share,
            "optimizer": (4 + _moments(recipe, 4)) * learning // share,
            "communication": _largest_layer(model) * 2 * 2 if cluster.sharding == "zero3" else 0,
        }
    elif cluster.sharding == "fsdp":
        # accelerate makes what FSDP shards float32 and computes in bf16.
        parts = {
            "weights": 4 * total // share,
            "gradients": 4 * learning // share,
            "optimizer": _moments(recipe, 4) * learning // share,
            "communication": _largest_layer(model) * (2 + 4),
        }
    else:
        parts = {
            "weights": width * total + (learning_width * learning if recipe.model.use_peft else 0),
            "gradients": learning_width * learning,
            "optimizer": _moments(recipe, learning_width) * learning,
            "communication": learning_width * learning if cluster.sharding == "ddp" else 0,
        }
    if _largest_beta(recipe) and not recipe.model.use_peft:
        parts["KL reference"] = width * total // (share if cluster.sharding in ("zero3", "fsdp") else 1)
    return parts


def _largest_beta(recipe: Recipe) -> float:
    stages = getattr(recipe.args, "ptst_stages", None) or []
    return max([getattr(recipe.training, "beta", 0.0), *(float(stage.get("beta") or 0) for stage in stages)])


def _moments(recipe: Recipe, width: int) -> int:
    """Bytes of optimizer state for each parameter."""
    name = str(getattr(recipe.training.optim, "value", recipe.training.optim))
    if "8bit" in name:
        return 2
    if "adafactor" in name or name == "sgd":
        return 0
    return width if "lion" in name else 2 * width


def _largest_layer(model: PreTrainedModel) -> int:
    """Parameters that are gathered at a time: a layer, or the embedding if that is larger."""
    text = text_part(model)
    layer = sum(weight.numel() for weight in text.layers[0].parameters())
    return max(layer, text.embed_tokens.weight.numel())


def _activations(recipe: Recipe, model: PreTrainedModel, step: Step) -> int:
    text = text_part(model)
    layers, width = len(text.layers), _compute_width(recipe, model)
    kept = layer_bytes(text, step.rows, step.tokens, recipe.model.attn_implementation)
    kept = kept * width // model.dtype.itemsize
    embedded = step.rows * step.tokens * text.config.hidden_size * width
    attention = recipe.model.attn_implementation or "sdpa"
    mask = 0 if "flash" in attention else step.rows * step.tokens**2
    if recipe.training.gradient_checkpointing:
        return layers * embedded + kept + mask
    return layers * kept + mask


def _compute_width(recipe: Recipe, model: PreTrainedModel) -> int:
    return 2 if recipe.values.get("bf16", True) and not recipe.values.get("use_cpu") else model.dtype.itemsize


def _log_probabilities(model: PreTrainedModel, step: Step) -> int:
    """The fused head: hidden states, their gradient, the head's gradient, and a block of logits."""
    text = text_part(model).config
    tokens = step.rows * step.tokens
    width = model.dtype.itemsize
    # The buffer has its full width however small the vocabulary is.
    block = min(tokens, TOKENS_AT_A_TIME) * (WORDS_AT_A_TIME * width + 2 * min(text.vocab_size, WORDS_AT_A_TIME) * 4)
    states = tokens * text.hidden_size * (width + 4)
    return states + text.vocab_size * text.hidden_size * 4 + block


def patches_per_picture(recipe: Recipe, config: Any) -> int:
    """As many as the language model's picture tokens are made of."""
    settings = config.vision_config
    merged = settings.spatial_merge_size**2
    return ceil((recipe.args.max_pixels or DEFAULT_MAX_PIXELS) / (settings.patch_size**2 * merged)) * merged


def picture_tokens(recipe: Recipe, config: Any) -> int:
    return patches_per_picture(recipe, config) // config.vision_config.spatial_merge_size**2


def _vision(recipe: Recipe, model: PreTrainedModel, step: Step) -> int:
    """Patches of one picture a row, and what the tower keeps of them where it learns."""
    vision = vision_part(model)
    if vision is None:
        return 0
    settings = model.config.vision_config
    patches = step.rows * patches_per_picture(recipe, model.config)
    pixels = patches * 3 * settings.temporal_patch_size * settings.patch_size**2 * 4
    width = _compute_width(recipe, model)
    if recipe.args.freeze_vision_tower or recipe.model.use_peft:
        learns = not (recipe.args.freeze_projector or recipe.model.use_peft)
        return pixels + learns * merger_bytes(vision, patches) * width // model.dtype.itemsize
    merged, kept = (count(vision, patches) * width // model.dtype.itemsize for count in (merger_bytes, block_bytes))
    if recipe.training.gradient_checkpointing:
        return pixels + merged + len(vision.blocks) * patches * settings.hidden_size * width + kept
    return pixels + merged + len(vision.blocks) * kept


def kv_bytes_per_token(model: PreTrainedModel) -> int:
    text = text_part(model).config
    head = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    return 2 * text.num_hidden_layers * text.num_key_value_heads * head * model.dtype.itemsize


def _generation(
    recipe: Recipe, model: PreTrainedModel, cluster: Cluster, step: Step
) -> tuple[tuple[str, int] | None, bool]:
    """What sampling takes, and whether it is free again while the model trains."""
    if not step.generated_rows:
        return None, True
    training = recipe.training
    if not training.use_vllm:
        return ("KV cache", step.generated_rows * step.tokens * kv_bytes_per_token(model)), True
    if training.vllm_mode == "server" or cluster.gpu_bytes is None:
        return None, True
    share = int(training.vllm_gpu_memory_utilization * cluster.gpu_bytes)
    return ("vLLM with its KV cache", share), bool(training.vllm_enable_sleep_mode)


def vllm_cache_tokens(recipe: Recipe, config: Any, cluster: Cluster) -> int | None:
    """Tokens that a colocated engine can hold beside its weights; `None` where there is no such engine."""
    training = recipe.training
    if not getattr(training, "use_vllm", False) or training.vllm_mode == "server" or cluster.gpu_bytes is None:
        return None
    model = build_on_meta(config, torch.bfloat16)
    weights = 2 * sum(weight.numel() for weight in model.parameters()) // training.vllm_tensor_parallel_size
    share = training.vllm_gpu_memory_utilization * cluster.gpu_bytes - weights
    return int(share * training.vllm_tensor_parallel_size // kv_bytes_per_token(model))
