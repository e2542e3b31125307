"""
Whether what a recipe names is there: folders and files here, models and datasets on the Hub.

What does not exist is an error. A Hub that cannot be reached is a warning: training asks again, and fails only over what it
needs and has not.
"""

from collections.abc import Iterator
from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.utils import httpx

from open_vr1.data_sources import how_to_make, looks_local
from open_vr1.recipe import Recipe

SECONDS = 5


def missing(recipe: Recipe, offline: bool) -> tuple[list[str], list[str]]:
    """Errors and warnings."""
    errors, warnings = [], []
    for key, kind, name, revision in _named(recipe):
        where = f"{recipe.path}: {key}: {name}"
        path = Path(name).expanduser()
        if path.exists() or any(path.is_relative_to(entry["path"]) for entry in recipe.args.build):
            continue
        if looks_local(name):
            maker = how_to_make(path)
            known = warnings if maker else errors
            known.append(f"{where}: is not there; {maker or 'write a folder or file that is, or a Hub id owner/name'}")
        elif not offline:
            error, warning = _on_hub(kind, name, revision)
            errors += [f"{where}: {error}"] if error else []
            warnings += [f"{where}: {warning}"] if warning else []
    return errors, warnings


def _named(recipe: Recipe) -> Iterator[tuple[str, str, str, str | None]]:
    yield "model_name_or_path", "model", recipe.model.model_name_or_path, recipe.model.model_revision
    if recipe.args.task == "eval":
        from open_vr1.evals.registry import resolve

        for i, entry in enumerate(recipe.args.benchmarks):
            place = resolve(entry).place
            if "://" in place["path"]:
                continue
            yield f"benchmarks[{i}]", "dataset", place["path"], place.get("revision")
    for key in ("datasets", "eval_datasets"):
        for i, entry in enumerate(getattr(recipe.args, key)):
            yield f"{key}[{i}].path", "dataset", entry["path"], entry.get("revision")


def _on_hub(kind: str, name: str, revision: str | None) -> tuple[str | None, str | None]:
    try:
        HfApi().repo_info(name, repo_type=kind, revision=revision, timeout=SECONDS)
    except GatedRepoError:
        return "asks for its terms to be accepted on its Hub page first; do so and run hf auth login", None
    except RevisionNotFoundError:
        return f"has no revision {revision}; write one of its branches or tags", None
    except RepositoryNotFoundError:
        return f"is no {kind} on the Hub, or a private one; check the spelling, or run hf auth login", None
    except (OSError, HfHubHTTPError, httpx.HTTPError) as error:  # The Hub's switch for offline work is an OSError.
        return None, f"could not be looked up on the Hub ({type(error).__name__}); OFFLINE=1 does not ask"
    return None, None
