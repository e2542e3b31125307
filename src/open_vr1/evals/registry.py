"""The benchmarks by name, and where their rows are: a benchmark is a YAML file and a module of one name in `tasks/`.

Any other name in a recipe's `benchmarks` stands for rows of one's own, with `path` and, where they have other names, `columns`:

    benchmarks:
      - mathvista
      - {name: mathverse, path: /data/mathverse, split: testmini}
      - {name: my_exam, path: exam.jsonl, columns: {prompt: question, solution: answer}}
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

from open_vr1.errors import UserError
from open_vr1.evals.own_rows import USED
from open_vr1.recipe_arguments import BenchmarkEntry, EvalArguments
from open_vr1.recipe_file import RecipeFile
from open_vr1.recipe_types import nearest

TASKS = Path(__file__).parent / "tasks"
VERIFIED = TASKS / "_verified.yaml"
PREFIX = "vr1_"
FORMATS = {
    ".parquet": ("parquet", {}),
    ".jsonl": ("json", {}),
    ".json": ("json", {}),
    ".csv": ("csv", {}),
    ".tsv": ("csv", {"sep": "\t"}),
}


@dataclass(frozen=True)
class Asked:
    """
    A benchmark as a recipe asks it.

    Args:
        name (`str`):
            What it is called.
        is_ours (`bool`):
            Whether it is one of `tasks/`; otherwise it is rows of the user's own.
        path (`str`):
            Hub id, folder or file.
        config (`str`, *optional*):
            Configuration of the dataset.
        split (`str`):
            Split of the dataset.
        revision (`str`, *optional*):
            Branch, tag or commit.
        loaded_from (`dict[str, Any]`):
            The same in the words of a task file.
        columns (`dict[str, str]`):
            Our column names to those of the user's own rows.
    """

    name: str
    is_ours: bool
    path: str
    config: str | None
    split: str
    revision: str | None
    loaded_from: dict[str, Any]
    columns: dict[str, str]

    @property
    def place(self) -> dict[str, Any]:
        """Where its rows are, as an entry of a recipe's `datasets` has it."""
        return {"path": self.path, "split": self.split, "revision": self.revision}


def names() -> tuple[str, ...]:
    return tuple(sorted(file.stem for file in TASKS.glob("*.yaml") if not file.stem.startswith("_")))


def benchmark(name: str) -> Any:
    """The `Benchmark` of this name."""
    return import_module(f"open_vr1.evals.tasks.{name}").BENCHMARK


@lru_cache
def task_file(name: str) -> dict[str, Any]:
    """What a task file says, functions by their names."""
    return yaml.load((TASKS / f"{name}.yaml").read_text(), _TaskFile)


def is_unverified(name: str) -> bool:
    """Whether nobody knows if its rows look as the task reads them."""
    return benchmark(name).schema == "unverified" and name not in yaml.safe_load(VERIFIED.read_text())


class _TaskFile(yaml.SafeLoader):
    pass


_TaskFile.add_constructor("!function", lambda loader, node: node.value)


def resolve(entry: str | BenchmarkEntry) -> Asked:
    """A recipe's entry with what its task file says."""
    entry = {"name": entry} if isinstance(entry, str) else entry
    name, revision = entry["name"], entry.get("revision")
    is_ours = name in names()
    content = task_file(name) if is_ours else {}
    split = entry.get("split", content.get("test_split", "train"))
    if "path" in entry:
        path, config = entry["path"], entry.get("config")
        loaded_from = _loaded_from(path, config, split, revision)
    else:
        config = entry.get("config", content.get("dataset_name"))
        options = dict(content.get("dataset_kwargs") or {})
        path = options.get("data_files", {}).get(split, content["dataset_path"])
        options |= {"revision": revision} if revision else {}
        loaded_from = {
            "dataset_path": content["dataset_path"],
            "dataset_name": config,
            "dataset_kwargs": options or None,
        }
    columns = entry.get("columns", {})
    return Asked(name, is_ours, path, config, split, revision, {**loaded_from, "test_split": split}, columns)


def _loaded_from(path: str, config: str | None, split: str, revision: str | None) -> dict[str, Any]:
    """A file, a folder or a Hub id in the words of a task file."""
    place = Path(path).expanduser()
    if place.suffix in FORMATS:
        kind, options = FORMATS[place.suffix]
        return {
            "dataset_path": kind,
            "dataset_name": None,
            "dataset_kwargs": {"data_files": {split: path if "://" in path else str(place)}, **options},
        }
    return {
        "dataset_path": str(place) if place.is_dir() else path,
        "dataset_name": config,
        "dataset_kwargs": {"revision": revision} if revision else None,
    }


def check_benchmarks(file: RecipeFile, args: EvalArguments) -> None:
    """Refuse a recipe that asks nothing, or what is not there; and keys of a training, which would do nothing or harm here."""
    for key in ("datasets", "eval_datasets", "dataset_name"):
        if getattr(args, key):
            raise file.error(key, "an evaluation asks benchmarks; write benchmarks: [{name: mine, path: ...}]")
    for key in ("max_prompt_length", "max_bad_rows"):
        if getattr(args, key):
            raise file.error(key, "would leave out questions, and figures would be of other ones; remove it")
    for key in ("freeze_vision_tower", "freeze_projector"):
        if getattr(args, key):
            raise file.error(key, "nothing is trained in an evaluation; remove it")
    if not args.benchmarks:
        raise UserError(f"{file.path}: benchmarks: this key is missing; write benchmarks: [mathvista, mathverse]")
    for i, entry in enumerate(args.benchmarks):
        if problem := problem_of(entry, args.prompt_style, args.benchmarks[:i]):
            raise file.error(("benchmarks", i), problem)


def problem_of(entry: str | BenchmarkEntry, style: str, earlier: Sequence[str | BenchmarkEntry]) -> str | None:
    """What is wrong with an entry of a recipe."""
    entry = {"name": entry} if isinstance(entry, str) else entry
    name = entry["name"]
    if not name.isidentifier():
        return f"{name!r} is no name; write letters, digits and underscores"
    if name in [other if isinstance(other, str) else other["name"] for other in earlier]:
        return f"{name} is there twice; remove one, or give your own rows another name"
    if name not in names():
        if "path" not in entry:
            return (
                f"{name} is none of {', '.join(names())}; the nearest is {nearest(name, names())}. "
                "For rows of your own write {name: ..., path: ...}"
            )
        if style == "official":
            return f"{name}: rows of your own have no official prompt; write prompt_style: trained or boxed"
        if wrong := [column for column in entry.get("columns", {}) if column not in USED]:
            return f"{name}: columns.{wrong[0]}: nothing asks for it; write one of {', '.join(USED)} before the colon"
    elif "columns" in entry:
        return f"{name}: columns are for rows of your own; remove them, or give these rows another name"
    return None
