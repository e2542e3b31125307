"""
What a run is made of, as its manifest records it: the code's commit, packages, machine, model and rows.

Each is one function of a checked recipe, or of nothing. None raises where something cannot be known: it is null then. Print
what `make rerun` compares with

    python -c "from open_vr1.run_facts import *; print(git_state(), package_versions(), hardware())"
"""

import hashlib
import json
import os
import platform
import re
import subprocess
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from open_vr1.recipe import Recipe

MANIFEST_FILE = "open_vr1.json"
PACKAGES = ("torch", "transformers", "trl", "accelerate", "datasets", "huggingface-hub", "peft", "math-verify")
IF_INSTALLED = ("torchvision", "vllm", "liger-kernel", "deepspeed", "flash-attn", "bitsandbytes", "datatrove")
COMMIT = re.compile(r"[0-9a-f]{40}")
# What rows are read from; pictures that lie beside them in files of their own are not hashed.
ROW_FILES = {".parquet", ".jsonl", ".json", ".arrow", ".csv"}
# What describes a folder of rows, and differs between two that hold the same ones.
BESIDE_ROWS = {"built.json", MANIFEST_FILE, "dataset_info.json", "dataset_dict.json", "state.json"}
BYTES_TO_MENTION = 5_000_000_000
SECONDS_FOR_THE_HUB = 10
GIB = 2**30


# ----- Code and machine


def git_state() -> dict[str, Any] | None:
    """Commit, changes and origin of the checkout that this code runs from; `None` outside one."""
    here = Path(__file__).with_name("__init__.py")
    # An installed package may lie in the checkout of something else.
    if _git(here.parent, "ls-files", "--error-unmatch", here.name) is None:
        return None
    return {
        "commit": _git(here.parent, "rev-parse", "HEAD"),
        "dirty": bool(_git(here.parent, "status", "--porcelain", "--untracked-files=no")),
        "repository": web_address(_git(here.parent, "remote", "get-url", "origin") or ""),
    }


def web_address(remote: str) -> str | None:
    """Where a remote is shown, without the name or token that its URL may carry; `None` for a folder."""
    found = re.fullmatch(
        r"(?:https?://|ssh://|git://)?(?:[^/@\s]*@)?([\w.-]+\.\w+)(?::\d+)?[:/]+([^\s?#]+?)(?:\.git)?/?", remote
    )
    return f"https://{found[1]}/{found[2]}" if found and not remote.startswith(("/", ".", "file:")) else None


def _git(folder: Path, *words: str) -> str | None:
    """What git says, or `None` where it fails."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words], check=False, capture_output=True, text=True, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def package_versions() -> dict[str, str]:
    """The packages that a result may depend on, as far as they are installed."""
    versions = {}
    for name in (*PACKAGES, *IF_INSTALLED):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            pass
    return versions


def hardware(processes: int = 1, cpu_only: bool = False) -> dict[str, Any]:
    """The machine of this process, with one accelerator for each process where there are any."""
    import torch

    has_gpu = torch.cuda.is_available() and not cpu_only
    return {
        "processes": processes,
        "accelerator": f"{processes} x {torch.cuda.get_device_name(0)}" if has_gpu else None,
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB),
    }


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    named = re.search(r"model name\s*: (.+)", info.read_text()) if info.is_file() else None
    return named[1].strip() if named else platform.processor() or platform.machine()


# ----- Model and rows


def model_facts(recipe: "Recipe") -> dict[str, Any] | None:
    """The model that a run began from, and the run that made it where that one has left its manifest."""
    if not recipe.model:
        return None
    name, revision = recipe.model.model_name_or_path, recipe.model.model_revision
    given = "model_revision" in recipe.values
    folder = Path(name).expanduser()
    if folder.exists():
        return {"name": name, "revision": None, "commit": None, "made_by": _made_by(folder)}
    commit = hub_commit(name, revision, "model")
    return {"name": name, "revision": revision if given else None, "commit": commit, "made_by": None}


def _made_by(folder: Path) -> dict[str, Any] | None:
    """The manifest of a checkpoint, or of the run whose folder it lies in, without what only that run needs."""
    for place in (folder, folder.resolve().parent) if folder.name.startswith("checkpoint-") else (folder,):
        try:
            made = json.loads((place / MANIFEST_FILE).read_text())
            recipe = {key: made["recipe"][key] for key in ("path", "sha256")}
            facts = {key: made[key] for key in ("run", "git", "model", "data")}
            return {**facts, "recipe": recipe}
        except (OSError, ValueError, KeyError):
            continue
    return None


def data_facts(recipe: "Recipe") -> dict[str, list[dict[str, Any]]]:
    """
    The sources of a run's rows, each with what tells whether it has changed: a hash here, a commit on the Hub.

    Returns:
        `dict`: `data`, what was trained on, asked or made into cold data, and `eval_data`, what a training was watched with.
    """
    args = recipe.args
    if args.task == "cold":
        return {"data": [_source(entry, entry.get("config")) for entry in args.sources], "eval_data": []}
    if args.task == "eval":
        from open_vr1.evals.registry import resolve

        asked = [resolve(entry) for entry in args.benchmarks]
        return {"data": [_source(benchmark.place, benchmark.config) for benchmark in asked], "eval_data": []}
    data = args.datasets
    watched = args.eval_datasets if recipe.training and recipe.training.eval_strategy != "no" else []
    entries = {"data": data, "eval_data": watched}
    return {key: [_source(entry, entry.get("name")) for entry in entries[key]] for key in entries}


def _source(entry: Mapping[str, Any], name: str | None) -> dict[str, Any]:
    path = Path(entry["path"]).expanduser()
    local = path.exists()
    return {
        "path": entry["path"],
        "name": name,
        "split": entry.get("split", "train"),
        "revision": entry.get("revision"),
        "commit": None if local else hub_commit(entry["path"], entry.get("revision"), "dataset"),
        "fingerprint": fingerprint(path) if local else None,
        "rows": None,
    }


def fingerprint(path: Path) -> str:
    """A hash of what rows are read from: the same for the same rows, wherever they lie."""
    manifest = path / "_build" / "manifest.json"
    if manifest.is_file():  # What make cold has made, it has hashed.
        files = json.loads(manifest.read_text())["files"]
        return _combined((file["path"], file["sha256"]) for file in files)
    files = [path] if path.is_file() else _row_files(path)
    if (size := sum(file.stat().st_size for file in files)) > BYTES_TO_MENTION:
        print(f"hashing the {size / 1e9:.0f} GB of {path}, for the run's manifest", flush=True)
    if path.is_file():
        return _hash(path)
    return _combined((file.relative_to(path).as_posix(), _hash(file)) for file in files)


def _row_files(folder: Path) -> list[Path]:
    files = [
        file
        for file in folder.rglob("*")
        if file.is_file() and file.name not in BESIDE_ROWS and not _is_hidden(file.relative_to(folder))
    ]
    return sorted([file for file in files if file.suffix in ROW_FILES] or files)


def _is_hidden(path: Path) -> bool:
    return any(part.startswith((".", "_")) for part in path.parts)


def _combined(files: Iterator[tuple[str, str]]) -> str:
    return hashlib.sha256("".join(f"{name} {digest}\n" for name, digest in sorted(files)).encode()).hexdigest()


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hub_commit(name: str, revision: str | None, kind: str) -> str | None:
    """The commit of a Hub revision: asked of the Hub, or what this machine's cache has last been told."""
    from huggingface_hub import HfApi, constants
    from huggingface_hub.file_download import repo_folder_name
    from huggingface_hub.utils import httpx, validate_repo_id

    from open_vr1.data_sources import looks_local
    from open_vr1.plan import is_offline

    revision = revision or "main"
    if COMMIT.fullmatch(revision):
        return revision
    try:
        validate_repo_id(name)
    except ValueError:
        return None
    if looks_local(name):
        return None
    if not (is_offline() or constants.HF_HUB_OFFLINE):
        try:
            return HfApi().repo_info(name, revision=revision, repo_type=kind, timeout=SECONDS_FOR_THE_HUB).sha
        except (OSError, httpx.HTTPError):
            pass
    noted = Path(constants.HF_HUB_CACHE, repo_folder_name(repo_id=name, repo_type=kind), "refs", revision)
    return noted.read_text().strip() if noted.is_file() else None
