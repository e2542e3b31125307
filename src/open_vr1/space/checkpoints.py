"""
The checkpoints that a Space lets its visitors compare: the finished model first, then the cold start that it came of, then the ends
of its stages. The variable `CHECKPOINTS` has them as they are shown: in the order of the training, the one asked at the start last.

    find_here(Path("outputs/demo/final"))     # a run's folder; open_vr1.space.published finds those of a Hub repository

What a run began with is the cold start only if its own manifest says that it is one, and that it is the very run.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from open_vr1.data_sources import how_to_make
from open_vr1.errors import UserError
from open_vr1.prompts import SYSTEM_PROMPTS
from open_vr1.run_facts import MANIFEST_FILE

COLD_START = "cold start"
STAGE_MARK = "ptst.json"
ADAPTER = "adapter_config.json"
# What AutoProcessor and AutoModelForImageTextToText need, each under any of its names.
NEEDED = {
    "config.json": {"config.json"},
    "model.safetensors": {"model.safetensors", "model.safetensors.index.json"},
    "processor_config.json": {"processor_config.json", "preprocessor_config.json"},
    "tokenizer.json": {"tokenizer.json", "vocab.json", "tokenizer.model"},
}
MERGE = "merge it into its base first (docs/publishing.md, A Space)"


@dataclass(frozen=True)
class Checkpoint:
    """
    One entry of the Space's selector.

    Args:
        label (`str`):
            What the visitor reads.
        model (`str`):
            A Hub id or a local folder.
        revision (`str`, *optional*):
            Branch, tag or commit.
        system_prompt (`str`, *optional*):
            The words that it was trained with.
    """

    label: str
    model: str
    revision: str | None = None
    system_prompt: str | None = None

    def __str__(self) -> str:
        return f"{self.label}: {self.model}" + (f"@{self.revision}" if self.revision else "")


@dataclass
class Found:
    """
    What there is of a model.

    Args:
        checkpoints (`list[Checkpoint]`):
            The default first.
        left_out (`list[str]`, *optional*):
            What is not among them, and why.
        closed (`dict[str, str]`, *optional*):
            Repositories that not everybody may read, with `"private"` or `"gated"`.
    """

    checkpoints: list[Checkpoint]
    left_out: list[str] = field(default_factory=list)
    closed: dict[str, str] = field(default_factory=dict)

    @property
    def models(self) -> list[str]:
        return list(dict.fromkeys(checkpoint.model for checkpoint in self.checkpoints))


def as_variable(checkpoints: Collection[Checkpoint]) -> str:
    """The value of `CHECKPOINTS`, whose last entry is the default."""
    default, *others = [{key: value for key, value in asdict(entry).items() if value} for entry in checkpoints]
    return json.dumps([*others, default], ensure_ascii=False)


def why_not(files: Collection[str]) -> str | None:
    """What keeps a checkpoint of these files from being loaded."""
    if ADAPTER in files:
        return f"is a LoRA adapter, and the Space loads whole models; {MERGE}"
    missing = [name for name, kinds in NEEDED.items() if kinds.isdisjoint(files)]
    return f"has no {', '.join(missing)}, so it cannot be loaded" if missing else None


# ----- What a manifest says


def task_of(manifest: Mapping[str, Any]) -> str | None:
    return (manifest.get("run") or {}).get("task")


def prompt_of(manifest: Mapping[str, Any]) -> str | None:
    """The system prompt of the run's recipe, in words."""
    named = ((manifest.get("recipe") or {}).get("values") or {}).get("system_prompt")
    return SYSTEM_PROMPTS.get(named, named)


def final_label(manifest: Mapping[str, Any], stage: int | None, otherwise: str) -> str:
    """A finished model is the end of its last stage."""
    if task_of(manifest) == "sft":
        return COLD_START
    stage = stage or len(manifest.get("stages") or [])
    return f"stage {stage}" if stage else otherwise


def is_cold_start(manifest: Mapping[str, Any], of: Mapping[str, Any]) -> bool:
    """Whether the model of this manifest is the cold start that the run `of` began with."""
    made_by = (of.get("model") or {}).get("made_by") or {}
    same = not made_by or made_by["run"]["id"] == (manifest.get("run") or {}).get("id")
    return task_of(manifest) == "sft" and same


# ----- A folder on this machine


def find_here(folder: Path) -> Found:
    """The checkpoints of a run's folder, or the one of a folder with a model in it."""
    check_here(folder)
    place, stage = folder.absolute(), _json(folder / STAGE_MARK).get("stage_ended")
    if place.name.startswith("checkpoint-"):
        label = f"stage {stage}" if stage else place.name.replace("checkpoint-", "step ")
        return Found([Checkpoint(label, str(place), None, prompt_of(_json(place.parent / MANIFEST_FILE)))])
    manifest = _json(folder / MANIFEST_FILE)
    final = Checkpoint(final_label(manifest, stage, place.name), str(place), None, prompt_of(manifest))
    found = Found([final])
    _add_cold_start(found, folder, manifest)
    for number, end in _stage_ends(folder):
        label = f"stage {number}"
        if label == final.label:
            continue
        if reason := why_not(_names(end)):
            found.left_out.append(f"{label}: {end} {reason}")
        else:
            found.checkpoints.append(Checkpoint(label, str(end.absolute()), None, final.system_prompt))
    return found


def check_here(folder: Path, key: str = "MODEL") -> None:
    """Refuse a folder that holds no model, with the command that makes it."""
    if not folder.is_dir():
        maker = "make demo makes it" if folder.parts[:2] == ("outputs", "demo") else how_to_make(folder)
        raise UserError(
            f"{key}={folder}: there is no such folder; {maker or 'write the folder of a model, or a Hub id'}"
        )
    if reason := why_not(_names(folder)):
        ends = [str(end) for _, end in _stage_ends(folder)]
        hint = f"; the run is not finished: write {key}={ends[-1]}" if ends and ADAPTER not in _names(folder) else ""
        raise UserError(f"{key}={folder}: {reason}{hint}")


def _add_cold_start(found: Found, folder: Path, manifest: Mapping[str, Any]) -> None:
    """It lies where it lay when the run began, or beside the run: outputs may have been moved together."""
    model = manifest.get("model") or {}
    if (
        task_of(manifest) == "sft"
        or not model.get("name")
        or (model.get("made_by") or {}).get("run", {}).get("task") != "sft"
    ):
        return
    began = Path(model["name"])
    for place in (began, folder.absolute().parent / began.name):
        made = _json(place / MANIFEST_FILE)
        if is_cold_start(made, manifest) and not why_not(_names(place)):
            found.checkpoints.append(Checkpoint(COLD_START, str(place.absolute()), None, prompt_of(made)))
            return
    found.left_out.append(f"{COLD_START}: {model['name']} is not there any more, or is another run's now")


def _stage_ends(folder: Path) -> list[tuple[int, Path]]:
    """Checkpoints that end a stage, in order."""
    marks = [(_json(mark).get("stage_ended"), mark.parent) for mark in folder.glob(f"checkpoint-*/{STAGE_MARK}")]
    return sorted((number, end) for number, end in marks if number)


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


def _json(file: Path) -> dict[str, Any]:
    """A file's object; nothing where there is none."""
    try:
        content = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
