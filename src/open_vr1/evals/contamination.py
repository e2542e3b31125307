"""
What is known of a benchmark's rows among those that a model was trained on, said beside each of its figures.

    flag(results["benchmarks"], "outputs/vr1_7b/final")

Known are the datasets in the manifests (`open_vr1.json`) of the model's run and of the runs before it, the sources of a dataset
that `make cold` has made, the models that it all began with, and what `open_vr1/hub/allowed.yaml` says of each. Where nothing
is known of a benchmark it stays null: that nobody has looked is not that it is clean.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import hf_hub_download
from huggingface_hub.utils import httpx

from open_vr1.errors import UserError
from open_vr1.hub.model_facts import data_rows
from open_vr1.hub.names import hub_id, without_paths
from open_vr1.hub.results import is_named, known_of
from open_vr1.manifest import read_manifest
from open_vr1.run_facts import MANIFEST_FILE

Manifest = Mapping[str, Any]
# Of `decontaminate:` in a recipe of make cold. Both are dropped unless it says otherwise.
PICTURES = ("same_picture", "near_picture")
RUNS = 32


def flag(rows: Sequence[Mapping[str, Any]], model: str, revision: str | None = None) -> list[dict[str, Any]]:
    """
    The rows with `contamination` as far as it is known.

    Args:
        rows (`Sequence[Mapping[str, Any]]`):
            Figures as `results.json` has them, with `task` or without.
        model (`str`):
            The model that they are of: a folder or a Hub id.
        revision (`str`, *optional*):
            Its revision on the Hub.
    """
    runs = list(runs_behind(model, revision))
    entries = [entry for run in runs for entry in run.get("data") or ()]
    names = [model, *((run.get("model") or {}).get("name") for run in runs)]
    cold = [(entry, made) for entry in entries if (made := cold_run(entry))]
    flagged = []
    for row in rows:
        said = (row.get("contamination") or "").split("; ")
        said += [words for entry in entries if (words := _of_one_dataset(row, entry))]
        sources = [repo for repo in map(hub_id, names) if repo]
        sources += [made["repo"] for made in data_rows({"data": entries}) if made["repo"]]
        for entry, made in cold:
            if _is_taken_out(row, made):
                said.append(f"rows with its pictures were taken out of {_name(entry)}, which was trained on")
            else:
                sources += [source["repo"] for source in data_rows(made) if source["repo"]]
        for name in filter(None, (row.get("task"), row["name"])):
            said += known_of(name, sources)
        flagged.append({**row, "contamination": "; ".join(dict.fromkeys(filter(None, said))) or None})
    return flagged


def runs_behind(model: str, revision: str | None = None) -> Iterator[Manifest]:
    """The manifest of the run that made a model, then of the one that made the model which that began with, and so on."""
    run = manifest_of(model, revision)
    for _ in range(RUNS):
        if not run:
            return
        yield run
        began = run.get("model") or {}
        made_by = began.get("made_by")
        if (
            not made_by or "data" not in made_by
        ):  # Older manifests do not say what the runs before them were trained on.
            made_by = manifest_of(began.get("name"), began.get("commit") or began.get("revision")) or made_by
        run = made_by


def manifest_of(name: str | None, revision: str | None = None, kind: str = "model") -> Manifest | None:
    """The manifest of a folder or of a revision on the Hub; `None` where there is none, or the Hub does not answer."""
    folder = Path(name or "").expanduser()
    try:
        if name and folder.exists():
            beside = folder.resolve().parent if folder.name.startswith("checkpoint-") else folder
            place = folder if (folder / MANIFEST_FILE).is_file() else beside
        elif hub_id(name):
            place = hf_hub_download(name, MANIFEST_FILE, revision=revision, repo_type=kind)
        else:
            return None
        return read_manifest(place)
    except (UserError, OSError, ValueError, httpx.HTTPError):
        return None


def cold_run(entry: Mapping[str, Any]) -> Manifest | None:
    """What `make cold` has done for a dataset that was trained on, if it made it."""
    made = manifest_of(entry["path"], entry.get("commit") or entry.get("revision"), "dataset")
    return made if made and made["run"]["task"] == "cold" else None


def _is_taken_out(row: Mapping[str, Any], made: Manifest) -> bool:
    """Whether `make cold` was told to drop what shows a picture of this benchmark."""
    against = (made["recipe"].get("values") or {}).get("decontaminate") or {}
    if any(against.get(kind, "drop") != "drop" for kind in PICTURES):
        return False
    names = [name for name in against.get("against") or () if not name.endswith(".parquet")]
    return any(is_named(name, names) for name in (row.get("task"), row["name"]) if name)


def _of_one_dataset(row: Mapping[str, Any], entry: Mapping[str, Any]) -> str | None:
    if not row["dataset"] or entry["path"] != row["dataset"]:
        return None
    if not row["split"] or row["split"] == entry.get("split"):
        return f"{_name(entry)} was trained on, and it is this benchmark"
    return f"{_name(entry)}, split {entry.get('split')}, was trained on: other rows of the same dataset"


def _name(entry: Mapping[str, Any]) -> str:
    return without_paths(entry["path"])
