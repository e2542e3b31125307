"""
Which files of a checkpoint anybody may see, whether they are all there, and whether they say too much.

What is not on the list stays at home: optimizer states, pickles, logs. What has to be there for `from_pretrained` is asked
for before anything is sent.
"""

import json
import re
import struct
from pathlib import Path
from typing import Any

from open_vr1.cold.steps import write_json
from open_vr1.errors import UserError
from open_vr1.hub.names import tokens_in

WEIGHTS = re.compile(r"(model|adapter_model)(-\d{5}-of-\d{5})?\.safetensors")
INDEX = "model.safetensors.index.json"
ALLOWED = re.compile(
    rf"""({WEIGHTS.pattern}
    | (model|adapter_model)\.safetensors\.index\.json
    | (config|generation_config|adapter_config|trainer_state|ptst)\.json
    | (processor_config|preprocessor_config|image_processor|video_preprocessor_config|chat_template)\.json
    | (tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab)\.json
    | merges\.txt | tokenizer\.model | chat_template\.jinja | additional_chat_templates/[\w.-]+\.jinja
    )""",
    re.VERBOSE,
)
# What the drain makes beside them.
MADE = re.compile(r"README\.md|open_vr1\.json|eval_results\.json|plots/[\w.-]+\.png|\.eval_results/[\w.-]+\.yaml")
TEXTS = {".json", ".md", ".yaml", ".jinja"}
# Words of the base model's, among which there may well be a "/root".
VOCABULARY = {"tokenizer.json", "vocab.json", "added_tokens.json"}


class NotPublishable(UserError):
    """A checkpoint that cannot be a revision as it is."""


def allowed_files(folder: Path) -> list[str]:
    """Those of a checkpoint's files that are published, by their path in it."""
    names = [path.name for path in folder.iterdir() if path.is_file()]
    names += [str(path.relative_to(folder)) for path in folder.glob("additional_chat_templates/*.jinja")]
    return sorted(name for name in names if ALLOWED.fullmatch(name))


def missing_files(folder: Path) -> list[str]:
    """What a revision needs in order to be loaded, and the folder has not."""
    there = set(allowed_files(folder))
    adapter = "adapter_config.json" in there
    wanted = {
        "config.json": {"config.json", "adapter_config.json"},
        "processor_config.json": {"processor_config.json", "preprocessor_config.json"},
        "tokenizer.json": {"tokenizer.json", "vocab.json", "tokenizer.model"},
        "tokenizer_config.json": {"tokenizer_config.json"},
        "trainer_state.json": {"trainer_state.json"},
    }
    missing = [name for name, kinds in wanted.items() if not kinds & there]
    if INDEX in there:
        shards = set(json.loads((folder / INDEX).read_text())["weight_map"].values())
        missing += sorted(shards - there)
    elif not {"adapter_model.safetensors" if adapter else "model.safetensors"} & there:
        missing.insert(0, "adapter_model.safetensors" if adapter else "model.safetensors")
    return missing


def check_complete(folder: Path) -> None:
    """Everything there, and no weights cut short."""
    if missing := missing_files(folder):
        raise NotPublishable(
            f"{folder}: {', '.join(missing)}: not there, so it could not be loaded"
            + ("; save whole weights: FSDP needs fsdp_state_dict_type FULL_STATE_DICT, ZeRO-3 "
               "stage3_gather_16bit_weights_on_model_save" if "safetensors" in missing[0] else "")
        )  # fmt: skip
    for path in folder.glob("*.safetensors"):
        if (size := path.stat().st_size) != (whole := _safetensors_size(path)):
            raise NotPublishable(f"{path}: has {size} bytes of {whole}: it was cut short")


def _safetensors_size(path: Path) -> int:
    """The size that the file's own header gives it."""
    with path.open("rb") as file:
        start = file.read(8)
        if len(start) < 8:
            return 8
        length = struct.unpack("<Q", start)[0]
        try:
            header = json.loads(file.read(length))
        except ValueError:
            return 8 + length
    ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    return 8 + length + max(ends, default=0)


def clean(folder: Path, base: tuple[str, str | None] | None) -> None:
    """
    Take this machine's paths out of what trainers write.

    Args:
        folder (`Path`):
            The files to publish. Hard links in it are replaced, never written to: they are the checkpoint's.
        base (`tuple[str, str | None]`, *optional*):
            Hub id and revision of the model that an adapter belongs to.
    """
    _rewrite(folder / "trainer_state.json", lambda state: _without(state, "best_model_checkpoint"))
    for name in ("config.json", "generation_config.json", "tokenizer_config.json"):
        _rewrite(folder / name, lambda config: _without(config, "_name_or_path", "name_or_path"))
    adapter = folder / "adapter_config.json"
    if adapter.is_file():
        if base is None:
            raise NotPublishable(
                f"{adapter}: base_model_name_or_path: {json.loads(adapter.read_text())['base_model_name_or_path']} is no "
                "model on the Hub, so nobody could load the adapter; publish the base first: make push-checkpoints RUN=..."
            )
        _rewrite(adapter, lambda config: {**config, "base_model_name_or_path": base[0], "revision": base[1]})


def _rewrite(path: Path, change: Any) -> None:
    if not path.is_file():
        return
    value = json.loads(path.read_text())
    changed = change(value)
    if changed != value:
        write_json(path, changed)


def _without(value: dict[str, Any], *keys: str) -> dict[str, Any]:
    """The keys that hold a path are emptied; a Hub id stays."""
    local = [key for key in keys if value.get(key) and _is_path(str(value[key]))]
    return {**value, **dict.fromkeys(local)}


def _is_path(text: str) -> bool:
    return text.startswith(("/", ".", "~", "outputs/")) or text.count("/") > 1 or Path(text).exists()


def check_discreet(folder: Path, *private: Path) -> None:
    """
    No token, no folder of this machine, no file that is not on the list.

    Args:
        folder (`Path`):
            The files to publish.
        *private (`Path`):
            Folders that nobody else should read of, beside home and the working one.
    """
    private = tuple(f"{place}/" for place in (*private, Path.home(), Path.cwd()) if str(place) != "/")
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = str(path.relative_to(folder))
        if not (ALLOWED.fullmatch(name) or MADE.fullmatch(name)):
            raise NotPublishable(f"{path}: is not on the list of files that are published")
        if path.suffix not in TEXTS or path.name in VOCABULARY:
            continue
        text = path.read_text(errors="replace")
        if tokens_in(text) or any(place in text for place in private):
            raise NotPublishable(
                f"{path}: a token or a folder of this machine stands in it; take it out of the recipe, and write paths "
                "relative to the repository"
            )
