"""
Where rows and checkpoints come from: a `datasets:` entry as a loaded dataset, a model's processor with its pixel budget.

What exists here is read from here and the Hub is not asked. What looks like a folder of this machine but does not exist
is an error, with the command that makes it where a recipe says so.
"""

import re
from pathlib import Path
from typing import Any

import yaml
from datasets import Dataset, DatasetDict, load_dataset, load_from_disk
from datasets.exceptions import DatasetNotFoundError

from open_vr1.errors import UserError
from open_vr1.recipe import TASKS
from open_vr1.recipe_arguments import DatasetEntry

FORMATS = {".parquet": "parquet", ".jsonl": "json", ".json": "json"}
UNREACHABLE = (
    "the Hub cannot be reached and this machine has no copy. Download it while connected (hf download {id}) and set "
    "HF_HUB_OFFLINE=1, or write the path of a local one"
)


def open_source(entry: DatasetEntry, where: str) -> tuple[Dataset, Path]:
    """The rows of an entry as they are, and the folder that paths in them are relative to."""
    path = Path(entry["path"]).expanduser()
    if not path.exists():
        if looks_local(entry["path"]):
            raise UserError(f"{where}: there is no such file or folder; {how_to_make(path) or 'check the path'}")
        return _from_hub(entry, where), Path()
    try:
        return _from_file(entry, path, where) if path.is_file() else _from_folder(entry, path, where)
    except UserError:
        raise
    except Exception as error:  # A broken file makes each reader raise errors of its own.
        raise UserError(f"{where}: it cannot be read: {_reason(error)}") from error


def _from_file(entry: DatasetEntry, path: Path, where: str) -> tuple[Dataset, Path]:
    if path.suffix not in FORMATS:
        raise UserError(f"{where}: {path.suffix or 'no suffix'} is not read; write a {', '.join(FORMATS)} file")
    if path.stat().st_size == 0:
        raise UserError(f"{where}: there is no row in it")
    return _read_files(entry, [path]), path.parent


def _from_folder(entry: DatasetEntry, path: Path, where: str) -> tuple[Dataset, Path]:
    split = _split(entry)
    if (path / "dataset_info.json").exists() or (path / "dataset_dict.json").exists():
        saved = load_from_disk(str(path))
        if not isinstance(saved, DatasetDict):
            return saved, path
        if split not in saved:
            raise UserError(f"{where}: there is no split {split}; write split: {' or '.join(saved)}")
        return saved[split], path
    if not entry.get("data_files") and not entry.get("name"):
        folder = path / (entry.get("data_dir") or "")
        for suffix in FORMATS:
            found = [*folder.glob(f"{split}{suffix}"), *folder.glob(f"{split}-*{suffix}")]
            found += [*folder.glob(f"data/{split}{suffix}"), *folder.glob(f"data/{split}-*{suffix}")]
            if found:
                return _read_files(entry, sorted(found)), found[0].parent
    return load_dataset(str(path), **_load_arguments(entry)), path


def _read_files(entry: DatasetEntry, files: list[Path]) -> Dataset:
    data_files = {_split(entry): [str(file) for file in files]}
    return load_dataset(FORMATS[files[0].suffix], data_files=data_files, split=entry.get("split", "train"))


def _from_hub(entry: DatasetEntry, where: str) -> Dataset:
    try:
        return load_dataset(entry["path"], revision=entry.get("revision"), **_load_arguments(entry))
    except DatasetNotFoundError as error:
        raise UserError(
            f"{where}: the Hub has no such dataset, or it is private or gated; check the name or run hf auth login"
        ) from error
    except OSError as error:
        raise UserError(f"{where}: {UNREACHABLE.format(id=entry['path'] + ' --repo-type dataset')}") from error
    except Exception as error:  # Wrong splits, configurations and files each have errors of their own.
        raise UserError(f"{where}: it cannot be loaded: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    cause = error.__cause__ or error
    return str(cause) or type(cause).__name__


def _load_arguments(entry: DatasetEntry) -> dict[str, Any]:
    return {
        "split": "train",
        **{key: entry[key] for key in ("name", "data_dir", "data_files", "split") if key in entry},
    }


def _split(entry: DatasetEntry) -> str:
    """The split's name without a slice like `[:100]`."""
    return re.match(r"[^\[]*", entry.get("split", "train"))[0]


def looks_local(name: str) -> bool:
    """Whether a name can only mean something on this machine."""
    return name.startswith((".", "/", "~", "outputs/")) or name.count("/") > 1 or Path(name).suffix in FORMATS


def check_model(name: str) -> None:
    """Refuses a checkpoint that should be on this machine and is not."""
    path = Path(name).expanduser()
    if path.is_dir():
        if not any(path.glob("*config.json")):
            hint = how_to_make(path) or "write the folder of a checkpoint"
            raise UserError(f"model_name_or_path: {name}: there is no checkpoint in this folder; {hint}")
    elif looks_local(name):
        raise UserError(
            f"model_name_or_path: {name}: there is no such folder; {how_to_make(path) or 'check the path'}"
        )


def load_processor(
    model: str, min_pixels: int | None = None, max_pixels: int | None = None, revision: str = "main"
) -> Any:
    """
    A model's processor, padding on the left, with the recipe's pixel budget, which is saved with it.

    Args:
        model (`str`):
            A folder or a Hub id.
        min_pixels (`int`, *optional*):
            Smaller pictures are enlarged to this many pixels.
        max_pixels (`int`, *optional*):
            Larger pictures are reduced to this many pixels.
        revision (`str`, *optional*, defaults to `"main"`):
            Branch, tag or commit of a Hub id.
    """
    from transformers import AutoProcessor

    check_model(model)
    local = Path(model).expanduser().is_dir()
    try:
        if not local:  # One question: the processor would ask for each of its files in turn.
            _download_one_of(model, ("config.json", "adapter_config.json"), revision)
        processor = AutoProcessor.from_pretrained(model, revision=revision, local_files_only=local)
    except Exception as error:
        reason = f"it has no usable processor: {error}" if local else UNREACHABLE.format(id=model)
        raise UserError(f"model_name_or_path: {model}: {reason}") from error
    processor.tokenizer.padding_side = "left"
    if min_pixels or max_pixels:
        _set_pixel_budget(processor.image_processor, model, min_pixels, max_pixels)
    return processor


def _download_one_of(model: str, names: tuple[str, ...], revision: str) -> None:
    """The first of these files that the revision has: an adapter's may have no `config.json`."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.utils import EntryNotFoundError

    for name in names[:-1]:
        try:
            hf_hub_download(model, name, revision=revision)
            return
        except EntryNotFoundError:
            continue
    hf_hub_download(model, names[-1], revision=revision)


def _set_pixel_budget(image_processor: Any, model: str, min_pixels: int | None, max_pixels: int | None) -> None:
    size = dict(image_processor.size)
    if not {"shortest_edge", "longest_edge"} <= size.keys():
        raise UserError(f"max_pixels: the image processor of {model} has no pixel budget, only {size}; remove the key")
    budget = (min_pixels or size["shortest_edge"], max_pixels or size["longest_edge"])
    if budget[0] > budget[1]:
        raise UserError(f"min_pixels: {budget[0]} is more than max_pixels: {budget[1]} of {model}; write both keys")
    image_processor.size = type(image_processor.size)(shortest_edge=budget[0], longest_edge=budget[1])


def how_to_make(path: Path) -> str | None:
    """The command of the recipe that writes a path."""
    found = recipe_that_makes(path)
    return f"make it with make {TASKS[found[1]['task']].target} RECIPE={found[0]}" if found else None


def recipe_that_makes(path: Path) -> tuple[Path, dict[str, Any]] | None:
    """The file and the values of the recipe that writes a path, in training or as cold data."""
    for file in sorted(Path("recipes").glob("*/*.yaml")):
        try:
            recipe = yaml.safe_load(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError):
            continue
        task = TASKS.get(str(recipe.get("task"))) if isinstance(recipe, dict) else None
        if not task or not (task.trainer_config or task.target == "cold"):
            continue
        builds = recipe.get("build") or []
        made = [recipe.get("output_dir"), *(entry.get("path") for entry in builds if isinstance(entry, dict))]
        if any(path.is_relative_to(place) for place in made if isinstance(place, str)):
            return file, recipe
    return None
