"""Where `make rerun` gets its manifest from, and what a manifest from the Hub may not do unseen.

A recipe can name functions to call and servers to ask. Whoever runs a file of this machine could have read it; one that comes
from the Hub by name is refused where it would run code that is not open-vr1's or talk to an address that it brings along.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from open_vr1.errors import UserError
from open_vr1.functions import NAMED as FUNCTION
from open_vr1.manifest import MANIFEST_FILE

ON_HUB = re.compile(r"(?P<kind>datasets/)?(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>.+))?")
OURS = re.compile(r"open_vr1\.toy\.[\w.]+:\w+")


@dataclass(frozen=True)
class Place:
    """
    A manifest on this machine.

    Args:
        path (`Path`):
            The file.
        on_hub (`bool`):
            Whether it was downloaded just now.
    """

    path: Path
    on_hub: bool


def find_manifest(name: str) -> Place:
    """The manifest of a file, a folder or a Hub revision."""
    path = Path(name).expanduser()
    if path.is_dir():
        path /= MANIFEST_FILE
    found = None if path.exists() or name.startswith(("outputs/", ".", "/", "~")) else ON_HUB.fullmatch(name)
    if not found:
        return Place(path, on_hub=False)
    kind = "dataset" if found["kind"] else "model"
    return Place(_download(name, found["repo"], found["revision"], kind), on_hub=True)


def _download(name: str, repo: str, revision: str | None, kind: str) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import (
        EntryNotFoundError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )
    from huggingface_hub.utils import httpx

    where = f"MANIFEST={name}"
    try:
        return Path(hf_hub_download(repo, MANIFEST_FILE, revision=revision, repo_type=kind))
    except RepositoryNotFoundError as error:
        other = "a dataset is datasets/owner/name" if kind == "model" else "a model is owner/name"
        raise UserError(
            f"{where}: there is no such file or folder, and no such {kind} on the Hub that you may read ({other}); "
            "check the name or run hf auth login"
        ) from error
    except RevisionNotFoundError as error:
        raise UserError(f"{where}: {repo} has no revision {revision}; write one of its branches or tags") from error
    except LocalEntryNotFoundError as error:
        raise UserError(
            f"{where}: there is no such file or folder, and the Hub cannot be asked; download {MANIFEST_FILE} while "
            "connected and name the file"
        ) from error
    except EntryNotFoundError as error:
        raise UserError(
            f"{where}: {revision or 'main'} has no {MANIFEST_FILE}; name a revision that open-vr1 has published"
        ) from error
    except (OSError, ValueError, httpx.HTTPError) as error:
        raise UserError(f"{where}: it cannot be downloaded: {str(error).splitlines()[0]}; try again") from error


def ask_before_a_stranger(manifest: Mapping[str, Any], name: str) -> None:
    """Refuse a manifest from the Hub that brings code or addresses of its own."""
    found = list(_reaches(manifest["recipe"]["values"]))
    if found:
        raise UserError(
            f"MANIFEST={name}: its recipe would use {', '.join(found)}, which is not open-vr1's own; "
            f"read it, and to run it download {MANIFEST_FILE} and write MANIFEST=<that file>"
        )


def _reaches(values: Any, key: str = "") -> Iterator[str]:
    """What a recipe calls, writes to or asks beyond open-vr1, as `key: value`."""
    if isinstance(values, Mapping):
        for name, value in values.items():
            yield from _reaches(value, f"{key}.{name}".strip("."))
        return
    if isinstance(values, list):
        for i, value in enumerate(values):
            yield from _reaches(value, f"{key}[{i}]")
        return
    name = key.rpartition(".")[2]
    text = values if isinstance(values, str) else ""
    code = FUNCTION.fullmatch(text) and not OURS.fullmatch(text)
    outside = name == "path" and (Path(text).is_absolute() or ".." in Path(text).parts)
    launches = key.startswith(("env.", "executor.options.")) or ".server_options." in key
    if code or outside or launches or "://" in text or (name == "trust_remote_code" and values):
        yield f"{key}: {values}"
