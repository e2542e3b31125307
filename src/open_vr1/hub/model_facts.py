"""
What a run manifest (`open_vr1.json`) says for a model card: base model, licence, data, stages, hardware, code.

Nothing is guessed: what the manifest and the folders that it names do not say is left out.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from open_vr1.build import STAMP
from open_vr1.hub.cards import ROOT
from open_vr1.hub.lists import allowed, commercial_use
from open_vr1.hub.names import hub_id, without_paths

FROM_SCRATCH = "built from scratch"
OUTBOX = "_outbox/repo.json"
STAGE_LENGTHS = ("max_completion_length", "num_generations", "steps")
# Without a stage or a recipe that says how long an answer may be.
SNIPPET_TOKENS = 2048


@dataclass(frozen=True)
class Base:
    """
    A model on the Hub that this one descends from.

    Args:
        repo (`str`):
            Its Hub id.
        revision (`str`, *optional*):
            The commit, tag or branch that was taken.
        is_parent (`bool`):
            Whether the training began with this very model, and not with a local one that came of it.
    """

    repo: str
    revision: str | None
    is_parent: bool


def ancestors(manifest: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The manifest, and as much as it knows of the one of the model that it began with, and so on."""
    while manifest:
        yield manifest
        manifest = (manifest.get("model") or {}).get("made_by")


def base_model(manifest: Mapping[str, Any]) -> Base | None:
    """The nearest ancestor that is on the Hub."""
    for generation, ancestor in enumerate(ancestors(manifest)):
        model = ancestor.get("model") or {}
        name, revision = model.get("name"), model.get("commit") or model.get("revision")
        published = _published(name)
        if published:
            return Base(*published, is_parent=generation == 0)
        if not model.get("made_by") and hub_id(name):
            return Base(name, revision, is_parent=generation == 0)
    return None


def _published(folder: str | None) -> tuple[str, str | None] | None:
    """Repo and branch that a local model was published to."""
    file = Path(folder or "") / OUTBOX
    if not folder or not file.is_file():
        return None
    place = json.loads(file.read_text())
    prefix = place.get("prefix")
    return place["repo"], None if prefix in (None, "", "main") else prefix


def license_of(manifest: Mapping[str, Any], base: Base | None) -> dict[str, str]:
    """`license`, and with `other` its name and link: the base model's, or our own where there is none."""
    if base and base.repo in allowed()["base_models"]:
        return dict(allowed()["base_models"][base.repo])
    for ancestor in ancestors(manifest):
        facts = recipe_facts(ancestor)
        if facts.get("license") and facts.get("base_model") == (base.repo if base else FROM_SCRATCH):
            return {key: facts[key] for key in ("license", "license_name", "license_link") if facts.get(key)}
    if base:
        return {
            "license": "other",
            "license_name": "see-base-model",
            "license_link": f"https://huggingface.co/{base.repo}",
        }
    if is_toy(manifest):
        return {"license": "apache-2.0"}
    if local := _license_in_a_card(manifest):
        return local
    return {"license": "other", "license_name": "not-stated", "license_link": "#licence"}


def _license_in_a_card(manifest: Mapping[str, Any]) -> dict[str, str]:
    """What the card of the local model that the training began with says."""
    card = _local_card((manifest.get("model") or {}).get("name") or "")
    link = card.get("license_link")
    if not card.get("license") or (link and not link.startswith("http")):
        return {}
    return {key: card[key] for key in ("license", "license_name", "license_link") if card.get(key)}


def recipe_facts(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What the README of the recipe's folder begins with, where it is a recipe of this repository."""
    path = Path((manifest.get("recipe") or {}).get("path") or "")
    readme = ROOT / path.parent / "README.md"
    if path.is_absolute() or ".." in path.parts or path.parts[:1] != ("recipes",) or not readme.is_file():
        return {}
    return _front_matter(readme)


VISION_R1 = {"title": "Vision-R1", "arxiv": "2503.06749"}
# Rewards that look for the tags, so what they have trained writes them.
OF_TAGS = {"hard_format_result", "format", "format_lenient", "format_plus_accuracy", "tag_count"}


def paper_of(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Whose recipe it is: what the folder's README says, or the paper of this repository."""
    return recipe_facts(manifest).get("paper") or VISION_R1


def writes_tags(manifest: Mapping[str, Any]) -> bool:
    """Whether it is known that the model thinks and answers in tags: of rewards for them, or of chains that we have put into them."""
    for ancestor in ancestors(manifest):
        values = (ancestor.get("recipe") or {}).get("values") or {}
        if OF_TAGS & set(values.get("reward_funcs") or ()):
            return True
        if values.get("task") == "sft":
            columns = [
                values.get("columns") or {},
                *(entry.get("columns") or {} for entry in values.get("datasets") or []),
            ]
            return not any("completion" in names for names in columns)
    return False


def is_toy(manifest: Mapping[str, Any]) -> bool:
    """Whether it all began with random weights of the toy model."""
    *_, first = ancestors(manifest)
    name = (first.get("model") or {}).get("name") or ""
    builds = ((first.get("recipe") or {}).get("values") or {}).get("build") or []
    makers = [entry["with"] for entry in builds if entry["path"] == name]
    stamp = Path(name) / STAMP
    if name and stamp.is_file():
        makers.append(json.loads(stamp.read_text())["with"])
    return any(maker.startswith("open_vr1.toy.") for maker in makers)


# ----- Data


def data_rows(manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The datasets that were trained on, for the table."""
    return [_data_row(entry) for entry in manifest.get("data") or []]


def trained_on(manifest: Mapping[str, Any]) -> list[str]:
    """Hub ids of the datasets of this run and of those before it, and of the model that it all began with."""
    repos = [row["repo"] for ancestor in ancestors(manifest) for row in data_rows(ancestor)]
    base = base_model(manifest)
    return list(dict.fromkeys(repo for repo in [*repos, base.repo if base else None] if repo))


def benchmark_rows(manifest: Mapping[str, Any]) -> list[str]:
    """Benchmarks that are known to have been trained on."""
    known = allowed()["contamination"]
    return list(dict.fromkeys(name for repo in trained_on(manifest) if repo in known for name in known[repo]["has"]))


def _data_row(entry: Mapping[str, Any]) -> dict[str, Any]:
    card = _local_card(entry["path"])
    repo = hub_id(entry["path"]) or hub_id(card.get("pretty_name"))
    license_ = allowed()["datasets"].get(repo) or card.get("license")
    parts = [entry.get("name"), entry.get("split")]
    return {
        "repo": repo,
        "name": repo or without_paths(entry["path"]),
        "part": ", ".join(part for part in parts if part),
        "rows": entry.get("rows"),
        "revision": entry.get("commit") or entry.get("revision"),
        "fingerprint": entry.get("fingerprint"),
        "license": license_,
        "commercial": commercial_use(license_) if license_ else None,
    }


def _local_card(path: str) -> dict[str, Any]:
    """The front matter of a local dataset's or model's card. A single file has the card of its folder."""
    place = Path(path)
    readme = (place.parent if place.is_file() else place) / "README.md"
    return _front_matter(readme) if path and place.exists() and readme.is_file() else {}


def _front_matter(readme: Path) -> dict[str, Any]:
    found = re.match(r"---\n(.*?)\n---\n", readme.read_text(), re.DOTALL)
    return (yaml.safe_load(found[1]) or {}) if found else {}


# ----- Stages


def read_state(file: Path) -> dict[str, Any]:
    """The trainer's own state, as the checkpoint carries it."""
    return json.loads(file.read_text()) if file.is_file() else {}


def stage_rows(manifest: Mapping[str, Any], step: int | None) -> list[dict[str, Any]]:
    """The stages with their first and last step, and which of them the checkpoint of this step belongs to."""
    rows, first = [], 1
    for number, stage in enumerate(manifest.get("stages") or [], start=1):
        last = first + stage["steps"] - 1
        rows.append(
            {
                "number": number,
                "first": first,
                "last": last,
                **{key: stage[key] for key in STAGE_LENGTHS},
                "own": {key: value for key, value in stage.items() if _is_setting(key, value)},
                "here": step is not None and first <= step <= last,
                "ends_here": step == last,
            }
        )
        first = last + 1
    return rows


def _is_setting(key: str, value: Any) -> bool:
    settings = ("temperature", "learning_rate", "warmup_steps", "beta", "epsilon", "epsilon_high")
    return (key in settings and value is not None) or (key.startswith("reset_") and value is True)


def longest_answer(manifest: Mapping[str, Any], stages: list[dict[str, Any]]) -> int:
    """Tokens that an answer of this checkpoint may have."""
    own = [stage["max_completion_length"] for stage in stages if stage["here"]]
    values = manifest["recipe"].get("values") or {}
    every = [stage["max_completion_length"] for stage in stages]
    return (own or every[-1:] or [values.get("max_completion_length") or SNIPPET_TOKENS])[0]


# ----- Machine and code


def duration(seconds: float) -> str:
    hours, minutes = divmod(round(seconds / 60), 60)
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} minutes"


def hardware_lines(manifest: Mapping[str, Any]) -> list[str]:
    """What the run has had and taken, as measured."""
    machine, clock = manifest.get("hardware") or {}, manifest.get("wall_clock") or {}
    processes = machine.get("processes")
    lines = []
    if machine.get("accelerator"):
        lines.append(f"accelerators: {machine['accelerator']}")
    cpu = [
        machine.get("cpu"),
        f"{machine['cores']} cores" if machine.get("cores") else None,
        f"{machine['memory_gib']:g} GiB of memory" if machine.get("memory_gib") else None,
    ]
    if any(cpu):
        lines.append("machine: " + ", ".join(part for part in cpu if part))
    if processes:
        lines.append(f"training processes: {processes}")
    if clock.get("seconds"):
        starts = clock.get("starts") or 1
        line = f"wall-clock: {duration(clock['seconds'])}" + (f" in {starts} starts" if starts > 1 else "")
        if machine.get("accelerator") and processes:
            line += f", {clock['seconds'] * processes / 3600:.1f} accelerator hours of training processes"
        lines.append(line)
    return lines


def repository_url(manifest: Mapping[str, Any]) -> str | None:
    """The repository as a link, without what a remote's address may carry of its user."""
    address = (manifest.get("git") or {}).get("repository") or ""
    found = re.fullmatch(r"(?:https?://|ssh://|git@)(?:[^@/]*@)?([\w.-]+)[:/]([\w./~-]+?)(?:\.git)?/?", address)
    return f"https://{found[1]}/{found[2]}" if found else None


def recipe_url(manifest: Mapping[str, Any]) -> str | None:
    """The recipe as it is in the commit."""
    repository, path = repository_url(manifest), manifest["recipe"].get("path")
    if not repository or not path or Path(path).is_absolute() or path.split("/")[0] != "recipes":
        return None
    return f"{repository}/blob/{manifest['git']['commit']}/{path}"
