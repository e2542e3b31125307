"""What tells one model from another, so that answers of an earlier one are never taken for this one's."""

from pathlib import Path

from open_vr1.recipe import Recipe
from open_vr1.run_facts import hub_commit

FILES = ("*.safetensors", "*.bin", "*.json", "*.jinja", "*.txt")


def identity(recipe: Recipe) -> str:
    """The model, and what it runs on here: another engine or precision gives other answers."""
    if recipe.args.endpoint:  # By its name, for addresses change.
        model, revision = recipe.model.model_name_or_path, recipe.model.model_revision
        return f"{model} {revision} served as {recipe.args.endpoint['model']}"
    return f"{_weights(recipe)} in {recipe.model.dtype} on {recipe.args.engine}"


def _weights(recipe: Recipe) -> str:
    """The files of a folder by size and time, the commit of a Hub id."""
    model, revision = recipe.model.model_name_or_path, recipe.model.model_revision
    folder = Path(model).expanduser()
    if not folder.is_dir():
        return f"{model} {hub_commit(model, revision, 'model') or revision}"
    # Not the trainer's own files beside it, which say nothing about what it answers.
    files = sorted(file for pattern in FILES for file in folder.glob(pattern) if _is_of_the_model(file))
    return " ".join(f"{file.name}:{file.stat().st_size}:{file.stat().st_mtime_ns}" for file in files)


def _is_of_the_model(file: Path) -> bool:
    return file.name not in {
        "trainer_state.json",
        "training_args.bin",
        "open_vr1.json",
        "results.json",
        "all_results.json",
    }
