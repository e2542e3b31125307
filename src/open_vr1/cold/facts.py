"""What a run has counted, gathered for the card and the report: rows in and out of every step, by source, by licence."""

import json
from collections import Counter
from collections.abc import Mapping
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import yaml
from datasets import DatasetInfo

from open_vr1.cold.decontaminate.matches import KINDS
from open_vr1.cold.filter.rules import RULES
from open_vr1.cold.shards import FEATURES, FOLDERS
from open_vr1.cold.statistics import count_dataset
from open_vr1.hub.cards import render_card, size_category
from open_vr1.hub.lists import commercial_use
from open_vr1.hub.model_facts import recipe_facts
from open_vr1.hub.names import hub_id, without_paths

if TYPE_CHECKING:
    from open_vr1.cold.run import ColdRun


def gather_facts(run: "ColdRun") -> dict[str, Any]:
    """Everything that the card and the report state."""
    steps = {name: run.counts(name) for name in ("gather", "decontaminate", "filter", "select", "shards")}
    passes = {name: sum_counts(work.counts(run.tasks)) for name, work in run.passes.items()}
    return {
        "recipe": run.where,
        "name": run.args.dataset_name,
        "folder": run.folder.name,
        "license": run.args.license,
        "steps": steps,
        "passes": passes,
        "funnel": funnel(steps),
        "rules": [
            {"name": name, "definition": RULES[name].definition, "options": _options(name, run.args.rule_options)}
            for name, _ in run.rules
        ],
        "sources": [_source(entry) for entry in run.args.sources],
        "source_datasets": _source_datasets(run),
        "decontaminate": run.args.decontaminate,
        "compared": _compared(run) if run.args.decontaminate else [],
        "provenance": run.provenance,
        "samples": run.args.samples,
        "seed": run.args.seed,
        "target_rows": run.args.target_rows,
        "licenses": _licenses(run.folder),
        "sizes": _sizes(steps["shards"]["files"]),
        "statistics": count_dataset(run.kept, run.places, run.store),
    }


def _source(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": entry["name"], "repo": hub_id(entry["path"]), "revision": entry.get("revision")}


def _source_datasets(run: "ColdRun") -> list[str]:
    """Hub ids of the sources; of sources that were downloaded first, those that the README beside the recipe names."""
    repos = [hub_id(entry["path"]) for entry in run.args.sources]
    if None in repos:
        repos += [hub_id(name) for name in recipe_facts({"recipe": {"path": run.where}}).get("datasets", [])]
    return [repo for repo in dict.fromkeys(repos) if repo and repo != run.args.dataset_name]


def _compared(run: "ColdRun") -> list[dict[str, Any]]:
    """Each benchmark with the rows of it that were compared and our rows that matched them, by the kind of match."""
    found = json.loads((run.build / "decontaminate" / "matches.json").read_text())["benchmarks"]
    read = run.counts("decontaminate")["benchmarks"]
    compared = []
    for name, counts in read.items():
        benchmark = Path(name).stem if name.endswith(".parquet") else name
        matches = {kind: found.get(benchmark, {}).get(kind, {}).get("rows", 0) for kind in KINDS}
        compared.append({"name": benchmark, **counts, "matches": matches})
    return compared


def _options(rule: str, given: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """A rule's options as they were: the recipe's over the rule's own."""
    own = {name: parameter.default for name, parameter in signature(RULES[rule].make).parameters.items()}
    return {**own, **given.get(rule, {})}


def sum_counts(counts: Any) -> dict[str, int]:
    answered, failed = 0, 0
    for good, bad in counts:
        answered, failed = answered + good, failed + bad
    return {"answered": answered, "failed": failed}


def funnel(steps: dict[str, Any]) -> list[dict[str, Any]]:
    """Each step and rule with the rows that came in, that it took out, and that went on."""
    stages = [("gather", rule, count) for rule, count in steps["gather"]["rejected"].items()]
    stages += [
        ("decontaminate", kind, count) for kind, count in steps["decontaminate"].get("dropped_by_kind", {}).items()
    ]
    stages += [("filter", rule, count) for rule, count in steps["filter"]["rejected"].items()]
    stages += [("select", "not drawn", steps["select"]["kept"] - steps["select"]["default"])]
    left = steps["gather"]["rows"] + sum(steps["gather"]["rejected"].values())
    made = []
    for step, rule, out in stages:
        made.append({"step": step, "rule": rule, "rows_in": left, "out": out, "rows_out": left - out})
        left -= out
    return made


def dataset_card(facts: dict[str, Any]) -> str:
    """
    The dataset's `README.md`.

    Args:
        facts (`dict[str, Any]`):
            Of `gather_facts`. Whoever publishes the dataset gives the repo as its `name`, and as `tag` that of the version.
    """
    counted = {config: facts["sizes"][config]["rows"] for config in facts["sizes"]}
    infos = {config: _info(config, facts["sizes"][config]) for config in facts["sizes"]}
    licenses = [{**entry, "commercial": commercial_use(entry["license"])} for entry in facts["licenses"]]
    uses = Counter()
    for entry in licenses:
        uses[entry["commercial"]] += entry["rows"]
    card = render_card(
        "dataset_cards/cold.md.jinja",
        **{"tag": None, **facts, "licenses": licenses},
        counted=counted,
        size_category=size_category(counted["default"]),
        infos=infos,
        uses=uses,
        columns={config: list(FEATURES[config]) for config in counted},
    )
    return without_paths(card)


def _info(config: str, size: dict[str, int]) -> str:
    """`dataset_info` as the Hub writes it, for one configuration."""
    info = DatasetInfo(features=FEATURES[config], config_name=config)
    entry = {"config_name": config, **info._to_yaml_dict()}
    entry |= {
        "splits": [{"name": "train", "num_bytes": size["bytes"], "num_examples": size["rows"]}],
        "download_size": size["bytes"],
        "dataset_size": size["bytes"],
    }
    return yaml.safe_dump([entry], sort_keys=False)


def _sizes(files: list[dict[str, Any]]) -> dict[str, dict[str, int]]:
    sizes: dict[str, dict[str, int]] = {}
    for config, folder in FOLDERS.items():
        own = [file for file in files if file["path"].startswith(f"{folder}/")]
        if own:
            sizes[config] = {key: sum(file[key] for file in own) for key in ("rows", "bytes")} | {"files": len(own)}
    return sizes


def _licenses(folder: Path) -> list[dict[str, Any]]:
    """Rows of the dataset by source and licence."""
    counted: Counter = Counter()
    for path in sorted((folder / FOLDERS["default"]).glob("*.parquet")):
        table = pq.read_table(path, columns=["source", "license"]).to_pydict()
        counted.update(zip(table["source"], table["license"], strict=True))
    return [
        {"source": source, "license": license_, "rows": rows} for (source, license_), rows in sorted(counted.items())
    ]
