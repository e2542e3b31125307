"""What vLLM is given of a model with adapters: what PEFT would make of it for good, with the model left as it was."""

import copy

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers import AutoModelForImageTextToText

from open_vr1.ptst.adapters import can_be_copied, merged_weights

KINDS = {
    "lora": {},
    "dora": {"use_dora": True},
    "a module trained as a whole": {"modules_to_save": ["merger"]},
}


def with_adapters(model, **kind):
    model = get_peft_model(model, LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "qkv"], **kind))
    torch.manual_seed(0)
    for name, param in model.named_parameters():
        if "lora_B" in name or "modules_to_save" in name:
            nn.init.normal_(param, std=0.1)
    return model


@pytest.mark.parametrize("kind", KINDS)
def test_the_weights_are_those_of_the_model_that_peft_merges_for_good(tiny, kind):
    model = with_adapters(AutoModelForImageTextToText.from_pretrained(tiny), **KINDS[kind])
    before = {name: param.detach().clone() for name, param in model.named_parameters()}
    weights = dict(merged_weights(model))
    expected = dict(copy.deepcopy(model).merge_and_unload().named_parameters())
    torch.testing.assert_close(weights, {name: param.data for name, param in expected.items()})
    assert all(torch.equal(param, before[name]) for name, param in model.named_parameters())

    base = dict(AutoModelForImageTextToText.from_pretrained(tiny).named_parameters())
    assert sum(not torch.equal(weights[name], base[name]) for name in base) >= 3


def half_precision_layer():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 64)).to(torch.bfloat16)
    model = get_peft_model(model, LoraConfig(r=4, lora_alpha=8, target_modules=["0"]))
    layer = model.base_model.model[0]
    return model, layer.base_layer.weight, layer.lora_B.default.weight


def drift(sync):
    """How much of a layer in bfloat16 is not as it was after 100 syncs of an adapter in training."""
    model, weight, up = half_precision_layer()
    before = weight.detach().clone()
    for _ in range(100):
        up.data += 1e-3 * torch.randn_like(up)
        sync(model)
    return (weight != before).float().mean().item()


def merge_and_unmerge(model):
    model.merge_adapter()
    model.unmerge_adapter()


def test_a_hundred_syncs_leave_the_base_model_bit_for_bit():
    assert drift(lambda model: list(merged_weights(model))) == 0
    assert drift(merge_and_unmerge) > 0.3


def test_quantized_weights_are_left_to_trl():
    model, weight, _ = half_precision_layer()
    assert can_be_copied(model)
    weight.requires_grad_(False)
    weight.data = torch.zeros(64, 64, dtype=torch.uint8)
    assert not can_be_copied(model)
