"""
The shape of a recipe's model without its weights: its config comes with this package or from a folder, and its parameters are
made on torch's meta device, where they take no memory.

`configs/names.yaml` says which config stands for which repository; a recipe folder can bring others in `configs/`; a model that is in
neither is looked up.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

import torch
import yaml
from transformers import AutoConfig, AutoModelForImageTextToText, PreTrainedConfig, PreTrainedModel

from open_vr1.data_sources import looks_local, recipe_that_makes
from open_vr1.errors import UserError

CONFIGS = Path(__file__).parent / "configs"


@cache
def config_names() -> dict[str, str]:
    """The config file that stands for each model we know."""
    table = yaml.safe_load((CONFIGS / "names.yaml").read_text())
    return {model: file for file, models in table.items() for model in models}


def find_config(model: str, offline: bool, came_from: tuple[str, ...] = ()) -> PreTrainedConfig | None:
    """The config of a folder, of a model we know, or of a repository; `None` where it cannot be had."""
    if (Path(model) / "config.json").is_file():
        return AutoConfig.from_pretrained(model)
    if file := _config_file(model):
        return _read_config(file)
    if looks_local(model):
        base = _begun_with(Path(model))
        # Two recipes may begin with each other's outputs.
        return find_config(base, offline, (*came_from, model)) if base and base not in (*came_from, model) else None
    try:
        return AutoConfig.from_pretrained(model, local_files_only=offline)
    except (OSError, ValueError):
        return None


def _read_config(file: Path) -> PreTrainedConfig:
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        return AutoConfig.for_model(values.pop("model_type"), **values)
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:100]
        raise UserError(f"{file}: no config.json that transformers knows ({reason}); save the model's own") from error


def _config_file(model: str) -> Path | None:
    """Our own, or one that a contributor's folder has: `recipes/mine/configs/Qwen--Qwen2-VL-2B-Instruct.json`."""
    if model in config_names():
        return CONFIGS / config_names()[model]
    return next(iter(sorted(Path("recipes").glob(f"*/configs/{model.replace('/', '--')}.json"))), None)


def _begun_with(path: Path) -> str | None:
    """What a recipe's output has the shape of: the model that it begins with, or the function that builds it."""
    made = recipe_that_makes(path)
    if not made:
        return None
    built = [entry["with"] for entry in made[1].get("build") or [] if path.is_relative_to(entry["path"])]
    return built[0] if built else made[1].get("model_name_or_path")


def build_on_meta(config: PreTrainedConfig, dtype: torch.dtype) -> PreTrainedModel:
    with torch.device("meta"):
        return AutoModelForImageTextToText.from_config(config, dtype=dtype)


def dtype_of(name: str | None, config: PreTrainedConfig) -> torch.dtype:
    """What a recipe's `dtype` means: the checkpoint's own for `auto`."""
    if name in (None, "auto"):
        return config.dtype or torch.float32
    return getattr(torch, name)


def text_part(model: Any) -> Any:
    return model.model.language_model


def vision_part(model: Any) -> Any | None:
    return getattr(model.model, "visual", None)
