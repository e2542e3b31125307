"""Repositories as publishing leaves them, private: a dataset with a tag, a model from the outbox, a Space. What is released."""

import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from huggingface_hub import CommitOperationAdd, HfApi

from open_vr1.hub.calls import Caller
from open_vr1.hub.outbox.drain import Drain
from open_vr1.hub.outbox.folder import Destination, Outbox
from open_vr1.hub.outbox.staging import Stager

from .runs import write_run

DATA, MODEL, SPACE, BASE = "open-vr1/cold", "open-vr1/run", "open-vr1/reasoner", "open-vr1/base"
NAMES = [f"datasets/{DATA}", MODEL, f"spaces/{SPACE}"]
# Licence of each row by source.
TERMS = {"drawn": ("apache-2.0", 5), "crawled": ("cc-by-nc-4.0", 3), "found": ("unknown", 2)}
ROWS = sum(count for _, count in TERMS.values())


def publish_all(api: HfApi, folder: Path) -> None:
    publish_base(api)
    publish_dataset(api)
    publish_model(api, folder)
    publish_space(api)


def publish_base(api: HfApi) -> None:
    """The model that training began with, which others have published."""
    api.create_repo(BASE, private=False)
    send(api, BASE, "model", {"README.md": b"---\nlicense: apache-2.0\n---\n\n# Base\n"})


def publish_dataset(api: HfApi) -> None:
    api.create_repo(DATA, repo_type="dataset", private=True)
    rows = [(f"{source}/{n}", source, license_) for source, (license_, count) in TERMS.items() for n in range(count)]
    halves = {f"data/train-0000{n}-of-00002.parquet": shard(rows[n::2]) for n in range(2)}
    commit = send(api, DATA, "dataset", {"README.md": dataset_card(ROWS).encode(), **halves})
    api.create_tag(DATA, repo_type="dataset", tag="v1.0", revision=commit)


def shard(rows: list[tuple[str, str, str]], question: list[str] | None = None) -> bytes:
    columns = dict(zip(("id", "source", "license"), map(list, zip(*rows, strict=True)), strict=True))
    file = io.BytesIO()
    pq.write_table(pa.table({**columns, "question": question or ["?"] * len(rows)}), file, row_group_size=2)
    return file.getvalue()


def dataset_card(rows: int) -> str:
    front = {
        "license": "other",
        "license_name": "mixed",
        "license_link": "#licences",
        "pretty_name": DATA,
        "language": ["en"],
        "task_categories": ["image-text-to-text"],
        "size_categories": ["n<1K"],
        "tags": ["open-vr1"],
        "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": "data/train-*"}]}],
        "dataset_info": [
            {"config_name": "default", "splits": [{"name": "train", "num_bytes": 1, "num_examples": rows}]}
        ],
    }
    return f"---\n{yaml.safe_dump(front, sort_keys=False)}---\n\n# Cold\n\nRows.\n\n## Licences\n\nMixed.\n"


def publish_model(api: HfApi, folder: Path) -> None:
    """Two checkpoints, at the ends of the two stages, and the finished model."""
    run = write_run(folder / "run", (20, 30))
    manifest = json.loads((run / "open_vr1.json").read_text())
    manifest["model"]["name"] = BASE
    manifest["data"] = [
        {"path": DATA, "name": None, "split": "train", "revision": "v1.0", "commit": None, "rows": ROWS}
    ]
    (run / "open_vr1.json").write_text(json.dumps(manifest))
    outbox = Outbox(run)
    outbox.address(Destination(MODEL))
    Stager(outbox).catch_up()
    assert Drain(outbox, Caller(patience=20), lambda _: None, api).run()


def publish_space(api: HfApi) -> None:
    api.create_repo(SPACE, repo_type="space", space_sdk="gradio", private=True)
    front = {"title": "Reasoner", "sdk": "gradio", "app_file": "app.py", "license": "apache-2.0", "models": [MODEL]}
    card = f"---\n{yaml.safe_dump(front)}---\n\n# Reasoner\n"
    send(api, SPACE, "space", {"README.md": card.encode(), "app.py": b"print('a Space')\n"})


def send(api: HfApi, repo: str, kind: str, files: dict[str, bytes], revision: str = "main") -> str:
    operations = [CommitOperationAdd(name, content) for name, content in files.items()]
    place = {"repo_type": kind, "revision": revision, "commit_message": "Files"}
    return api.create_commit(repo, operations, **place).oid
