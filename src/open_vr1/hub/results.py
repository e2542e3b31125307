"""
Evaluation results for the Hub: one `results.json` becomes the card's table, its `model-index` and `.eval_results/*.yaml`.

    make evaluate RECIPE=recipes/vr1_tiny/eval.yaml MODEL=outputs/demo/final     # writes eval/results.json

All three are made from the same rounded values, so they cannot disagree. A benchmark in `results.json` looks like

    {"name": "mathvista", "dataset": "AI4Math/MathVista", "dataset_revision": null, "split": "testmini",
     "metric": "accuracy", "value": 0.681, "ci95": [0.652, 0.709], "n": 1000,
     "protocol": {"temperature": 0.0, "top_p": 1.0, "max_completion_length": 8192, "samples": 1, "seed": 42, "prompt": null},
     "contamination": null}

`dataset` is a Hub id or a file, `prompt` the system prompt if there was one. `contamination` says what is known of benchmark
rows among the training rows; null is that nobody has looked.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import EvalResult, EvalResultEntry, eval_result_entries_to_yaml
from huggingface_hub.repocard_data import eval_results_to_model_index

from open_vr1.errors import UserError
from open_vr1.hub.lists import allowed
from open_vr1.hub.names import hub_id, without_paths

FOLDER = ".eval_results"
# All that is known of a revision, for the next results to be added to.
MERGED = "eval_results.json"
TASK = "image-text-to-text"
DECIMALS = 4


@dataclass(frozen=True)
class Benchmark:
    """
    One measured figure of one benchmark.

    Args:
        name (`str`):
            What the benchmark is called, like `"mathvista"`.
        dataset (`str`, *optional*):
            Hub id of its rows, or the file that they were read from.
        dataset_revision (`str`, *optional*):
            Commit or tag of the rows.
        split (`str`, *optional*):
            Split of the rows.
        metric (`str`):
            What was measured, like `"accuracy"`.
        value (`float`):
            The figure.
        ci95 (`tuple[float, float]`, *optional*):
            Its 95% interval.
        n (`int`):
            Questions asked.
        protocol (`Mapping[str, Any]`):
            How they were asked: `temperature`, `top_p`, `max_completion_length`, `samples`, `seed`, `prompt`.
        contamination (`str`, *optional*):
            What is known of the benchmark's rows among the training rows.
    """

    name: str
    dataset: str | None
    dataset_revision: str | None
    split: str | None
    metric: str
    value: float
    ci95: tuple[float, float] | None
    n: int
    protocol: Mapping[str, Any]
    contamination: str | None = None

    @property
    def asked(self) -> str:
        """The protocol in words, without what was left at nothing."""
        said = {key: value for key, value in self.protocol.items() if value is not None and value is not False}
        return ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in said.items())

    @property
    def measurement(self) -> str:
        """What was measured and how; a figure of the same measurement takes the place of an earlier one."""
        dataset = self.dataset and without_paths(self.dataset)
        what = [self.name, self.metric, self.split, dataset, self.dataset_revision, self.n, self.protocol]
        return json.dumps(what, sort_keys=True, default=str)


TYPES = {
    "name": (str,),
    "dataset": (str, type(None)),
    "dataset_revision": (str, type(None)),
    "split": (str, type(None)),
    "metric": (str,),
    "value": (int, float),
    "ci95": (list, type(None)),
    "n": (int,),
    "protocol": (dict,),
    "contamination": (str, type(None)),
}


def read_results(file: Path, merged: bool = False) -> list[Benchmark]:
    """
    The benchmarks of a `results.json`, or a `UserError` that says what is wrong with it.

    Args:
        file (`Path`):
            What `make evaluate` has written, or a revision's `eval_results.json`.
        merged (`bool`, *optional*, defaults to `False`):
            Whether it is of several evaluations, which may have asked the same in different ways.
    """
    try:
        content = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: not readable as JSON ({error}); write it again with make evaluate") from error
    rows = content.get("benchmarks") if isinstance(content, dict) else None
    if not isinstance(rows, list) or not rows:
        raise UserError(f"{file}: benchmarks: {rows!r} is no list of results; write it again with make evaluate")
    benchmarks = [_read(row, f"{file}: benchmarks[{i}]") for i, row in enumerate(rows)]
    slugs = [one.measurement if merged else f"{_slug(one.name)}/{one.metric}" for one in benchmarks]
    for benchmark, slug in zip(benchmarks, slugs, strict=True):
        if slugs.count(slug) > 1:
            raise UserError(f"{file}: benchmarks: {benchmark.name} is there twice with the same metric; keep one")
    return benchmarks


def merge(known: Sequence[Benchmark], new: Sequence[Benchmark]) -> list[Benchmark]:
    """All of them, with the new figure where both have one of the same measurement."""
    merged = {benchmark.measurement: benchmark for benchmark in known}
    return list((merged | {benchmark.measurement: benchmark for benchmark in new}).values())


def merged_text(benchmarks: Sequence[Benchmark]) -> str:
    """The file of a revision that [`read_results`] reads again."""
    rows = [
        {**asdict(benchmark), "dataset": benchmark.dataset and without_paths(benchmark.dataset)}
        for benchmark in benchmarks
    ]
    return json.dumps({"benchmarks": rows}, indent=2) + "\n"


def _read(row: Any, where: str) -> Benchmark:
    if not isinstance(row, dict):
        raise UserError(f"{where}: {row!r} is not an object; write one with {', '.join(TYPES)}")
    for key, kinds in TYPES.items():
        if key not in row:
            raise UserError(f"{where}.{key}: missing; write {'null' if type(None) in kinds else kinds[0].__name__}")
        if not isinstance(row[key], kinds) or isinstance(row[key], bool):
            names = " or ".join("null" if kind is type(None) else kind.__name__ for kind in kinds)
            raise UserError(f"{where}.{key}: {row[key]!r} cannot be; write {names}")
    numbers = [row["value"], *(row["ci95"] or [])]
    if (row["ci95"] is not None and len(numbers) != 3) or not all(map(_is_number, numbers)):
        raise UserError(f"{where}: value {row['value']!r}, ci95 {row['ci95']!r}: write numbers, two of them in ci95")
    if row["protocol"].get("grey_images"):
        raise UserError(
            f"{where}.protocol.grey_images: asked without the pictures, a control and no result; leave it out"
        )
    own = {field.name: row[field.name] for field in fields(Benchmark)}
    ci95 = tuple(round(end, DECIMALS) for end in row["ci95"]) if row["ci95"] else None
    return Benchmark(**{**own, "value": round(row["value"], DECIMALS), "ci95": ci95})


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def flag_known(benchmarks: Sequence[Benchmark], trained_on: Sequence[str]) -> list[Benchmark]:
    """The same with what is known of the datasets and models (Hub ids) that the training made use of."""
    flagged = []
    for benchmark in benchmarks:
        said = benchmark.contamination or ""
        new = [words for words in known_of(benchmark.name, trained_on) if words not in said]
        flagged.append(replace(benchmark, contamination="; ".join(filter(None, [said, *new])) or None))
    return flagged


def known_of(name: str, trained_on: Sequence[str]) -> list[str]:
    """What `allowed.yaml` knows of a benchmark's rows in these datasets and models."""
    said = []
    for repo in dict.fromkeys(trained_on):
        facts = allowed()["contamination"].get(repo)
        if facts and is_named(name, facts["has"]):
            said.append(f"{repo}, which was trained on, has its rows")
        elif facts and is_named(name, facts["shares"]):
            said.append(f"{repo}, which was trained on, has rows of the same origins")
    return said


def is_named(name: str, others: Sequence[str]) -> bool:
    """Whatever the spelling; `mathvista_testmini` is MathVista."""
    squeezed = _slug(name).replace("_", "")
    return any(squeezed.startswith(_slug(other).replace("_", "")) for other in others)


def table_rows(benchmarks: Sequence[Benchmark]) -> list[dict[str, str]]:
    """What the card's table shows, a row for each benchmark."""
    rows = [
        {
            "name": _linked(benchmark),
            "split": benchmark.split or "",
            "metric": benchmark.metric,
            "value": str(benchmark.value),
            "interval": "{} to {}".format(*benchmark.ci95) if benchmark.ci95 else "",
            "n": f"{benchmark.n:,}",
            "asked": benchmark.asked,
            "contamination": benchmark.contamination or "not checked",
        }
        for benchmark in benchmarks
    ]
    return [{key: _in_a_cell(text) for key, text in row.items()} for row in rows]


def _in_a_cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _linked(benchmark: Benchmark) -> str:
    dataset = hub_id(benchmark.dataset)
    return f"[{benchmark.name}](https://huggingface.co/datasets/{dataset})" if dataset else benchmark.name


def model_index(benchmarks: Sequence[Benchmark], model_name: str) -> list[dict[str, Any]]:
    """The front matter's `model-index`, as huggingface_hub builds it."""
    results = [
        EvalResult(
            task_type=TASK,
            dataset_type=hub_id(benchmark.dataset) or _slug(benchmark.name),
            dataset_name=benchmark.name,
            dataset_split=benchmark.split,
            dataset_revision=benchmark.dataset_revision,
            metric_type=benchmark.metric,
            metric_name=benchmark.metric,
            metric_value=benchmark.value,
        )
        for benchmark in benchmarks
    ]
    return eval_results_to_model_index(model_name, results)


def eval_result_files(benchmarks: Sequence[Benchmark]) -> dict[str, str]:
    """
    The files of `.eval_results` by their path in the repo, one for each benchmark whose rows are on the Hub, and for each way
    in which it was asked.

    The Hub shows those of datasets that it has as Benchmarks; the others do no harm.
    """
    entries: dict[str, list[EvalResultEntry]] = {}
    ways: dict[str, list[str]] = {}
    for benchmark in benchmarks:
        if dataset := hub_id(benchmark.dataset):
            slug = _slug(benchmark.name)
            known = ways.setdefault(slug, [])
            if benchmark.asked not in known:
                known.append(benchmark.asked)
            number = known.index(benchmark.asked) + 1
            entry = EvalResultEntry(
                dataset_id=dataset,
                task_id="default",
                value=benchmark.value,
                dataset_revision=benchmark.dataset_revision,
                notes=_notes(benchmark),
            )
            path = f"{FOLDER}/{slug}{f'_{number}' if number > 1 else ''}.yaml"
            entries.setdefault(path, []).append(entry)
    return {
        path: yaml.safe_dump(eval_result_entries_to_yaml(rows), sort_keys=False, width=110)
        for path, rows in entries.items()
    }


def _notes(benchmark: Benchmark) -> str:
    row = table_rows([benchmark])[0]
    interval = f", 95% interval {row['interval']}" if row["interval"] else ""
    return f"{row['metric']} of {row['n']} questions{interval}; {row['asked']}; contamination: {row['contamination']}"


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
