"""
The weights of a model with adapters as vLLM wants them: merged, and under the names of the model without adapters.

TRL 1.16 merges all adapters into the weights, hands these out and takes the adapters out again, which goes wrong twice:

- The weights come back a rounding off, at every sync. In bfloat16 that adds up (trl#6688), and the adapters that are saved
  no longer fit the base model that they will be loaded on.
- vLLM packs what goes to a server by the gigabyte, and the last pack after the adapters are out again: that one, which of
  a small model is all there is, is sent without them.

Here each weight is merged into a copy, and comes back bit for bit.
"""

from collections import defaultdict
from collections.abc import Iterator

import torch
from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn


def can_be_copied(model: PeftModel) -> bool:
    """Whether the adapted weights are plain numbers, and not quantized ones, which a merge replaces."""
    return all(weight.is_floating_point() for layer in _tuned(model) for weight in _weights(layer))


def merged_weights(model: PeftModel) -> Iterator[tuple[str, torch.Tensor]]:
    """Names and weights of the model that the adapters make; sharded ones must have been gathered."""
    layers = defaultdict(list)
    for layer in _tuned(model):
        for weight in _weights(layer):
            layers[id(weight)].append(layer)
    for name, weight in model.named_parameters():
        if model.prefix in name or "original_module" in name:
            continue
        name = (
            name.removeprefix("base_model.model.").replace(".base_layer", "").replace("modules_to_save.default.", "")
        )
        yield name, _merged(weight, layers[id(weight)]) if id(weight) in layers else weight.data


def _tuned(model: PeftModel) -> list[BaseTunerLayer]:
    return [module for module in model.modules() if isinstance(module, BaseTunerLayer)]


def _weights(layer: BaseTunerLayer) -> list[nn.Parameter]:
    return list(layer.get_base_layer().parameters(recurse=False))


@torch.no_grad()
def _merged(weight: nn.Parameter, layers: list[BaseTunerLayer]) -> torch.Tensor:
    kept = [(of_layer, of_layer.data.clone()) for of_layer in _weights(layers[0])]
    for layer in layers:
        layer.merge()
    merged = weight.data.clone()
    for layer in reversed(layers):
        layer.unmerge()
    for of_layer, data in kept:
        of_layer.data.copy_(data)
    return merged
