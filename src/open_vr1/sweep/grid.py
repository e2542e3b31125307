"""
The grid file of a sweep: which runs there are, and what each of them is run with. All of it is checked before the first run.

    seeds: [0, 1, 2]
    common: {report_to: none}                  # for every run
    variants:                                  # name: keys of the recipe that differ
      short: {max_completion_length: 48}
      two_stage: {max_completion_length: null, ptst_stages: [...]}   # null takes a key out of the recipe
    grid: {beta: [0.0, 0.04], epsilon: [0.1, 0.2]}      # one more variant for each combination
    baseline: two_stage                        # what the others are compared with; else the first variant
    eval: {recipe: recipes/vr1_tiny/eval.yaml, start: true, max_questions: 500}

Any text may hold `{name}` and `{seed}`; `"{seed}"` alone is the number. `eval` names the recipe that judges every run, and keys
of it that differ; `start: true` also judges the models that the runs begin from.
"""

import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any
from zlib import crc32

import yaml

from open_vr1.errors import UserError
from open_vr1.recipe import TASKS, Recipe, read_recipe
from open_vr1.recipe_file import Key, RecipeFile, read_file
from open_vr1.recipe_types import nearest

KEYS = ("seeds", "common", "variants", "grid", "baseline", "eval")
SET_BY_SWEEP = ("task", "seed", "output_dir")
SWEEPS = Path("outputs/sweeps")
TRAINED = [task for task in TASKS if TASKS[task].trainer_config]


@dataclass(frozen=True)
class Evaluation:
    """
    One model that is judged.

    Args:
        folder (`Path`):
            Where its recipe and its results go.
        values (`dict[str, Any]`):
            The recipe.
    """

    folder: Path
    values: dict[str, Any]


@dataclass(frozen=True)
class Run:
    """
    One run of the sweep.

    Args:
        variant (`str`):
            The variant's name.
        seed (`int`):
            The run's seed.
        folder (`Path`):
            The run's `output_dir`.
        recipe (`Recipe`):
            The run's checked recipe.
        evaluation (`Evaluation`, *optional*):
            What judges the run's model.
        start (`Evaluation`, *optional*):
            What judges the model that the run begins from. Runs that begin alike share it.
    """

    variant: str
    seed: int
    folder: Path
    recipe: Recipe
    evaluation: Evaluation | None = None
    start: Evaluation | None = None

    @property
    def name(self) -> str:
        return f"{self.variant}/seed{self.seed}"


@dataclass(frozen=True)
class Sweep:
    """
    A checked sweep.

    Args:
        grid (`Path`):
            The grid file.
        folder (`Path`):
            Where everything goes.
        task (`str`):
            What every run is: a key of `TASKS`.
        seeds (`list[int]`):
            Seeds of each variant.
        variants (`list[str]`):
            Their names, in the file's order.
        baseline (`str`):
            The variant that the others are compared with.
        runs (`list[Run]`):
            Every variant with the first seed, then every one with the second.
    """

    grid: Path
    folder: Path
    task: str
    seeds: list[int]
    variants: list[str]
    baseline: str
    runs: list[Run]

    @property
    def starts(self) -> list[Evaluation]:
        found = {run.start.folder: run.start for run in self.runs if run.start}
        return list(found.values())


def read_sweep(recipe: str | Path, grid: str | Path, folder: str | Path | None = None) -> Sweep:
    """
    Read a recipe and a grid file and check every run, or raise a `UserError`.

    Args:
        recipe (`str` or `Path`):
            The recipe that every run begins from.
        grid (`str` or `Path`):
            The grid file.
        folder (`str` or `Path`, *optional*, defaults to `outputs/sweeps/<name of the grid file>`):
            Where everything goes.
    """
    base, file = read_file(recipe), read_file(grid)
    task = base.values.get("task")
    if task not in TRAINED:
        raise base.error("task", f"{task!r} does not train; sweep over a recipe for {' or '.join(TRAINED)}")
    _check_keys(file)
    seeds, variants = _seeds(file), _variants(file)
    folder = Path(folder or SWEEPS / Path(grid).stem)
    runs = [
        _plan(base, file, name, changes, seed, folder / name / f"seed{seed}")
        for seed in seeds
        for name, changes in variants.items()
    ]
    return Sweep(file.path, folder, task, seeds, list(variants), _baseline(file, variants), runs)


# ----- The file


def _check_keys(file: RecipeFile) -> None:
    for key in file.values:
        if key not in KEYS:
            raise file.error(key, f"unknown key; the nearest is {nearest(key, KEYS)} of {', '.join(KEYS)}")
    for key in ("common", "variants", "grid", "eval"):
        if not isinstance(file.values.get(key) or {}, dict):
            raise file.error(key, f"{file.values[key]!r} is not a mapping; write {key}: {{key: value}}")


def _seeds(file: RecipeFile) -> list[int]:
    seeds = file.values.get("seeds", [0])
    if not isinstance(seeds, list) or not seeds or any(type(seed) is not int for seed in seeds):
        raise file.error("seeds", f"{seeds!r} is not a list of whole numbers; write seeds: [0, 1, 2]")
    if len(set(seeds)) < len(seeds):
        raise file.error("seeds", f"{seeds!r} names a seed twice; each gives one run")
    return seeds


def _variants(file: RecipeFile) -> dict[str, dict[Key, Any]]:
    """Each variant's changes by the place in the file that asks for them."""
    variants: dict[str, dict[Key, Any]] = {}
    for name, changes in (file.values.get("variants") or {}).items():
        if not isinstance(name, str) or not re.fullmatch(r"\w[\w.=-]*", name):
            raise file.error(("variants", name), f"{name!r} cannot name a folder; write letters, digits, _ . = and -")
        if not isinstance(changes or {}, dict):
            raise file.error(("variants", name), f"{changes!r} is not a mapping; write {name}: {{key: value}}")
        variants[name] = {("variants", name, key): value for key, value in (changes or {}).items()}
    for name, changes in _combinations(file):
        if name in variants:
            raise file.error(("variants", name), "the grid makes a variant of this name too; rename this one")
        variants[name] = changes
    if not variants:
        raise UserError(f"{file.path}: there is no run in it; write variants: {{name: {{key: value}}}} or grid: ...")
    return variants


def _combinations(file: RecipeFile) -> Iterator[tuple[str, dict[Key, Any]]]:
    """A variant for every combination of the grid's values, named `beta=0.04-epsilon=0.1`."""
    grid = file.values.get("grid") or {}
    for key, values in grid.items():
        if not isinstance(values, list) or not values:
            raise file.error(("grid", key), f"{values!r} is not a list of values; write {key}: [{values}]")
    if not grid:
        return
    for places in product(*(range(len(values)) for values in grid.values())):
        chosen = {key: grid[key][place] for key, place in zip(grid, places, strict=True)}
        words = [f"{key}={_word(value, place)}" for (key, value), place in zip(chosen.items(), places, strict=True)]
        yield "-".join(words), {("grid", key, place): chosen[key] for key, place in zip(grid, places, strict=True)}


def _word(value: Any, place: int) -> str:
    """A value as part of a folder's name; what does not fit there by its place in the list."""
    text = str(value)
    return text if re.fullmatch(r"[\w.]+", text) else str(place)


def _baseline(file: RecipeFile, variants: Mapping[str, Any]) -> str:
    baseline = file.values.get("baseline", next(iter(variants)))
    if baseline not in variants:
        near = nearest(baseline, variants)
        raise file.error("baseline", f"there is no variant {baseline!r}; the nearest is {near}")
    return baseline


# ----- A run


def _plan(base: RecipeFile, file: RecipeFile, name: str, changes: dict[Key, Any], seed: int, folder: Path) -> Run:
    common = {("common", key): value for key, value in (file.values.get("common") or {}).items()}
    origin = {_changed_key(place): place for place in (*common, *changes)}
    for key in SET_BY_SWEEP:
        if key in origin:
            raise file.error(origin[key], "the sweep sets this key for every run; remove it")
    asked = {_changed_key(place): value for place, value in (common | changes).items()}
    words = {"name": name, "seed": seed}
    values = _merged(base.values, asked, words) | {"seed": seed, "output_dir": str(folder)}
    recipe = _checked(values, base, file, origin, f"variant {name}", base.values["task"])
    evaluation = start = None
    if file.values.get("eval"):
        evaluation = Evaluation(folder / "eval", _evaluation(file, values, str(folder), folder / "eval", words))
        if file.values["eval"].get("start"):
            began = values["model_name_or_path"]
            place = folder.parent.parent / "starts" / _start_name(began, values.get("system_prompt"))
            start = Evaluation(place, _evaluation(file, values, began, place, words))
    return Run(name, seed, folder, recipe, evaluation, start)


def _start_name(model: str, system_prompt: str | None) -> str:
    name = re.sub(r"[^\w.-]+", "_", model)
    return f"{name}-{crc32(system_prompt.encode()):08x}" if system_prompt else name


def _changed_key(place: Key) -> str:
    """The recipe's key that a place of the grid file changes."""
    return place[1] if place[0] in ("common", "grid") else place[2]


def _merged(values: Mapping[str, Any], changes: Mapping[str, Any], words: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**values, **_filled(changes, words)}
    return {key: value for key, value in merged.items() if key not in changes or value is not None}


def _filled(value: Any, words: Mapping[str, Any]) -> Any:
    """The value with `{name}` and `{seed}` filled in, at any depth."""
    if isinstance(value, dict):
        return {key: _filled(item, words) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, words) for item in value]
    if not isinstance(value, str):
        return value
    if value == "{seed}":
        return words["seed"]
    for word, meant in words.items():
        value = value.replace(f"{{{word}}}", str(meant))
    return value


def _evaluation(
    file: RecipeFile, trained: Mapping[str, Any], model: str, folder: Path, words: Mapping[str, Any]
) -> dict[str, Any]:
    """The evaluation of a model, asked with the system prompt that it was trained with."""
    asked = dict(file.values["eval"])
    source = asked.pop("recipe", None)
    asked.pop("start", None)
    if not isinstance(source, str):
        raise file.error("eval", "names no recipe; write eval: {recipe: recipes/vr1_tiny/eval.yaml}")
    for key in ("model_name_or_path", "output_dir", "task"):
        if key in asked:
            raise file.error(("eval", key), "the sweep sets this key for every run; remove it")
    base = read_file(source)
    values = _merged(base.values, asked, words) | {"model_name_or_path": model, "output_dir": str(folder)}
    if trained.get("system_prompt") is not None:
        values["system_prompt"] = trained["system_prompt"]
    _checked(values, base, file, {key: ("eval", key) for key in asked}, "eval", "eval")
    return values


def _checked(
    values: dict[str, Any], base: RecipeFile, file: RecipeFile, origin: Mapping[str, Key], what: str, task: str
) -> Recipe:
    """The recipe of these values; what is wrong with it is said of the file in which it is written."""
    environment = dict(os.environ)
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder, "recipe.yaml")
        draft.write_text(yaml.safe_dump(values, sort_keys=False, allow_unicode=True))
        try:
            recipe = read_recipe(draft, task)
        except UserError as error:
            raise _placed(str(error), draft, base, file, origin, what) from error
        finally:
            # A recipe's `env:` is meant for its own process.
            os.environ.clear()
            os.environ.update(environment)
    recipe.path = base.path
    return recipe


def _placed(
    message: str, draft: Path, base: RecipeFile, file: RecipeFile, origin: Mapping[str, Key], what: str
) -> UserError:
    message = re.sub(rf"^{re.escape(str(draft))}(:\d+)?: ", "", message).replace(str(draft), str(base.path))
    words = re.findall(r"\w+", message)
    key = next((word for word in words if word in origin), None)
    if key:
        return UserError(f"{file.place(origin[key])}: {what}: {message}")
    key = next((word for word in words if word in base.values), None)
    return UserError(f"{base.place((key,) if key else ())}: in {what} of {file.path}: {message}")


def check_start(sweep: Sweep) -> None:
    """What the folders hold belongs to these runs, and the models are there that they begin from."""
    from open_vr1.data_sources import check_model
    from open_vr1.manifest import MANIFEST_FILE
    from open_vr1.training import check_same_recipe

    for run in sweep.runs:
        model = run.recipe.model.model_name_or_path
        try:
            if model not in [entry["path"] for entry in run.recipe.args.build]:
                check_model(model)
        except UserError as error:
            raise UserError(f"{sweep.grid}: variant {run.variant}: {error}") from error
        if (run.folder / MANIFEST_FILE).is_file():
            check_same_recipe(run.recipe)
