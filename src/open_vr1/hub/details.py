"""
The log of an evaluation on the Hub: the private dataset `<repo>-details`, one configuration for each benchmark.

    make push-results RUN=outputs/vr1_7b/final PUBLIC=1

Each revision, asked in each way, has a folder of its own and is a split, so nothing is written over by another evaluation.
`index.json` says what is there; the card is made from it.
"""

import hashlib
import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from huggingface_hub import HfApi

from open_vr1.errors import UserError
from open_vr1.evals.records import SCHEMA, benchmarks_in, read_samples
from open_vr1.hub.calls import Caller, HubRefusal
from open_vr1.hub.cards import render_card, size_category
from open_vr1.hub.commits import KEPT, Moved, commit_files, remote_files
from open_vr1.hub.names import tokens_in, without_paths
from open_vr1.hub.results import read_results, table_rows

TEMPLATE = "dataset_cards/details.md.jinja"
CARD, INDEX = "README.md", "index.json"
DATASET = {"repo_type": "dataset"}
# `datasets` knows no mappings of Arrow's.
GROUPS = pa.list_(pa.struct([("kind", pa.string()), ("names", pa.list_(pa.string()))]))
PUBLISHED = SCHEMA.set(SCHEMA.get_field_index("groups"), pa.field("groups", GROUPS))


def details_repo(repo: str) -> str:
    return f"{repo}-details"


def push_details(api: HfApi, folder: Path, repo: str, revision: str, caller: Caller, *, public: bool = False) -> str:
    """
    Publish the answers that an evaluation has left.

    Args:
        api (`HfApi`):
            The client.
        folder (`Path`):
            What `make evaluate` has left.
        repo (`str`):
            The model's repository.
        revision (`str`):
            The revision that was asked.
        caller ([`Caller`]):
            How long to try.
        public (`bool`, *optional*, defaults to `False`):
            Whether everybody may see it.

    Returns:
        `str`: the dataset's id.
    """
    name = details_repo(repo)
    logs = _logs(folder, revision)
    caller.call(_ensure_repo, api, name)
    with tempfile.TemporaryDirectory(prefix="open-vr1-log-") as drafts:
        files = {log["path"]: _write(folder, log, Path(drafts) / log["path"]) for log in logs}
        while True:
            head = caller.call(api.repo_info, name, **DATASET).sha
            index = _merged(_index(api, name, head, caller), logs)
            texts = {INDEX: json.dumps({"logs": index}, indent=2) + "\n", CARD: _card(name, repo, index)}
            for path, text in texts.items():
                if found := tokens_in(text):
                    raise UserError(
                        f"{folder}: a token stands in its protocol ({found[0]}); take it out of the recipe"
                    )
                (Path(drafts) / path).write_text(text)
            files |= {path: Path(drafts) / path for path in texts}
            message = f"{revision}: {', '.join(log['benchmark'] for log in logs)}"
            try:
                commit_files(
                    api, name, files, **DATASET, message=message, parent=head, caller=caller, keep_others=True
                )
            except Moved:  # Another evaluation came in between.
                continue
            break
    if public and caller.call(api.repo_info, name, **DATASET).private:
        caller.call(api.update_repo_settings, name, **DATASET, private=False)
    return name


def _ensure_repo(api: HfApi, name: str) -> None:
    if not api.repo_exists(name, **DATASET):
        api.create_repo(name, **DATASET, private=True)


def _logs(folder: Path, revision: str) -> list[dict[str, Any]]:
    """What there is of each benchmark, and how it was asked; a `UserError` for a control, which is no result."""
    results = folder / "results.json"
    benchmarks = read_results(results)
    rows = json.loads(results.read_text())["benchmarks"]
    tasks = {row.get("task", row["name"]): benchmark for row, benchmark in zip(reversed(rows), reversed(benchmarks))}
    logs = []
    for task in benchmarks_in(folder):
        if task not in tasks:  # Of an earlier evaluation, of which nobody knows how it was asked.
            continue
        figure = tasks[task]
        way = hashlib.sha256(json.dumps([figure.protocol, figure.n], sort_keys=True).encode()).hexdigest()[:8]
        place = re.sub(r"[^\w.-]", "-", revision)
        logs.append(
            {
                "benchmark": task,
                "revision": revision,
                "split": re.sub(r"\W", "_", f"{revision}_{way}", flags=re.ASCII),
                "path": f"{place}/{way}/{task}.parquet",
                "asked": without_paths(table_rows([figure])[0]["asked"]),
                "rows": len(read_samples(folder, task)),
            }
        )
    if not logs:
        raise UserError(f"{folder}: has no log of answers; run make evaluate again")
    return logs


def _write(folder: Path, log: Mapping[str, Any], place: Path) -> Path:
    place.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        {**row, "groups": [{"kind": kind, "names": list(names)} for kind, names in row["groups"].items()]}
        for row in read_samples(folder, log["benchmark"])
    ]
    pq.write_table(pa.Table.from_pylist(rows, PUBLISHED), place, compression="zstd")
    return place


def _index(api: HfApi, name: str, head: str, caller: Caller) -> list[dict[str, Any]]:
    """What is there by now."""
    there = caller.call(remote_files, api, name, **DATASET, revision=head)
    if INDEX in there:
        with tempfile.TemporaryDirectory() as cache:
            path = caller.call(api.hf_hub_download, name, INDEX, **DATASET, revision=head, cache_dir=cache)
            return json.loads(Path(path).read_text())["logs"]
    if others := sorted(set(there) - KEPT - {CARD}):
        raise HubRefusal(
            f"{name}: holds {others[0]} and no {INDEX}, so it is somebody else's work; delete or rename it"
        )
    return []


def _merged(known: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    logs = {log["path"]: log for log in known} | {log["path"]: log for log in new}
    return [logs[path] for path in sorted(logs)]


def _card(name: str, model: str, index: Sequence[Mapping[str, Any]]) -> str:
    benchmarks: dict[str, list[Mapping[str, Any]]] = {}
    for log in sorted(index, key=lambda log: (log["benchmark"], log["path"])):
        benchmarks.setdefault(log["benchmark"], []).append(log)
    size = size_category(sum(log["rows"] for log in index))
    return render_card(TEMPLATE, name=name, model=model, benchmarks=benchmarks, size_category=size)
