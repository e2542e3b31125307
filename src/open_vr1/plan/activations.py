"""
What a forward pass keeps for the backward pass, counted by torch itself: one layer runs on the meta device, where tensors have
sizes but no memory, and every tensor that autograd saves is counted once. No formula per architecture, so none to go stale.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

COUNTED = "open_vr1_plan"


class _Attention(torch.autograd.Function):
    """Keeps what a fused attention kernel keeps: its inputs, its output and a normaliser per query."""

    @staticmethod
    def forward(ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        batch, heads, length, width = query.shape
        output = query.new_empty(batch, length, heads, width)
        normaliser = torch.empty(batch, heads, length, device=query.device, dtype=torch.float32)
        ctx.save_for_backward(query, key, value, output, normaliser)
        return output

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple:
        raise NotImplementedError("only counted, never run")


def _expanding(module: nn.Module, query: Any, key: Any, value: Any, *args: Any, **kwargs: Any) -> tuple:
    """As torch's own attention is called with a mask: every head has its keys and values."""
    groups = getattr(module, "num_key_value_groups", 1)
    return _Attention.apply(query, *(part.repeat_interleave(groups, dim=1) for part in (key, value))), None


def _sharing(module: nn.Module, query: Any, key: Any, value: Any, *args: Any, **kwargs: Any) -> tuple:
    """As flash attention is called: heads share keys and values."""
    return _Attention.apply(query, key, value), None


def layer_bytes(text: nn.Module, rows: int, tokens: int, attention: str | None) -> int:
    """Bytes that one layer of the language model keeps for so many rows of so many tokens."""
    layer = text.layers[0]
    dtype = next(layer.parameters()).dtype
    hidden = torch.empty(rows, tokens, text.config.hidden_size, device="meta", dtype=dtype, requires_grad=True)
    with torch.device("meta"):
        places = torch.zeros(3, rows, tokens, dtype=torch.long)
        rotary = text.rotary_emb(hidden, places)
    flash = attention is not None and "flash" in attention
    return _kept(
        layer,
        "sdpa" if attention is None else attention,
        lambda: layer(hidden, attention_mask=None, position_ids=places[0], position_embeddings=rotary),
        _sharing if flash else _expanding,
    )


def block_bytes(vision: nn.Module, patches: int) -> int:
    """Bytes that one block of the vision tower keeps for so many patches."""
    block = vision.blocks[0]
    dtype = next(block.parameters()).dtype
    width = vision.config.hidden_size
    hidden = torch.empty(patches, width, device="meta", dtype=dtype, requires_grad=True)
    angles = torch.empty(patches, width // vision.config.num_heads, device="meta")
    pictures = torch.tensor([0, patches], dtype=torch.int32)
    return _kept(
        block,
        "sdpa",
        lambda: block(hidden, cu_seqlens=pictures, position_embeddings=(angles.cos(), angles.sin())),
        _sharing,
    )


def merger_bytes(vision: nn.Module, patches: int) -> int:
    """Bytes that the way from the vision tower to the language model keeps for so many patches."""
    mergers = [vision.merger, *getattr(vision, "deepstack_merger_list", ())]
    dtype = next(vision.merger.parameters()).dtype
    hidden = torch.empty(patches, vision.config.hidden_size, device="meta", dtype=dtype, requires_grad=True)
    return sum(_kept(merger, "sdpa", lambda merger=merger: merger(hidden), _sharing) for merger in mergers)


def _kept(module: nn.Module, attention: str, run: Callable[[], Any], counted: Callable) -> int:
    weights = {weight.untyped_storage()._cdata for weight in module.parameters()}
    seen: dict[int, torch.UntypedStorage] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in weights:
            seen[storage._cdata] = storage  # Kept, or another storage could come to have its address.
        return tensor

    configs = {id(part.config): part.config for part in module.modules() if hasattr(part, "config")}
    before = {key: config._attn_implementation for key, config in configs.items()}
    ALL_ATTENTION_FUNCTIONS.register(COUNTED, counted)
    for config in configs.values():
        config._attn_implementation = "eager" if attention == "eager" else COUNTED
    try:
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor), torch.enable_grad():
            run()
    finally:
        for key, config in configs.items():
            config._attn_implementation = before[key]
    return sum(storage.nbytes() for storage in seen.values())
