"""
The dataset's files: a global shuffle that holds no more than one file's text, and pictures with their own bytes.

Kept rows are dealt into one bucket for each file; then a file at a time is put in order, given its pictures and written in
groups of a hundred rows, so that the Hub's viewer and streaming readers need little at a time. What is written is a function
of the rows, the recipe and the seed alone: no time, no path, no order of arrival.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Features, Image, List, Value

from open_vr1.cold.select import RL_SHARDS, answer_kind, shard_sizes
from open_vr1.cold.steps import replacing, write_json
from open_vr1.cold.store import PICTURE, RowStore
from open_vr1.data import MESSAGES
from open_vr1.prompts import build_prompt, format_completion, question_text

GROUP = 100
PROVENANCE = {
    "recipe": Value("string"),
    "vision": Value("string"),
    "reasoner": Value("string"),
    "prompts": List(Value("string")),
    "reasoner_saw_answer": Value("bool"),
    "sample": Value("int32"),
    "rewordings": Value("int32"),
    "pass_rate": Value("float64"),
    "marks": List(Value("string")),
    "pictures": List(Value("string")),
}
SHARED = {"id": Value("string"), "images": List(Image()), "prompt": MESSAGES}
ABOUT = {"source": Value("string"), "license": Value("string"), "provenance": PROVENANCE}
FEATURES = {
    "default": Features(
        {
            **SHARED,
            "completion": MESSAGES,
            "question": Value("string"),
            "choices": List(Value("string")),
            "answer": Value("string"),
            "thinking": Value("string"),
            "description": Value("string"),
            **ABOUT,
        }
    ),
    "rl": Features(
        {
            **SHARED,
            "question": Value("string"),
            "choices": List(Value("string")),
            "answer": Value("string"),
            "kind": Value("string"),
            "pass_rate": Value("float64"),
            "in_default": Value("bool"),
            **ABOUT,
        }
    ),
}
FOLDERS = {"default": "data", "rl": "rl"}
BUCKET = pa.schema(
    {
        "place": pa.int64(),
        **{name: pa.string() for name in ("id", "source", "license", "question", "answer", "thinking", "stated")},
        "description": pa.string(),
        "choices": pa.list_(pa.string()),
        "pass_rate": pa.float64(),
        "sample": pa.int32(),
        "rewordings": pa.int32(),
        "marks": pa.list_(pa.string()),
        "in_default": pa.bool_(),
        "pictures": pa.list_(PICTURE),
    }
)
BATCH = 500


class Shards:
    """
    The files of one dataset in the making.

    Args:
        folder (`Path`):
            The step's folder; the files lie in `data` and `rl` in it.
        store (`RowStore`):
            The gathered rows and pictures.
        kept (`Path`):
            The filter's `kept.parquet`.
        places (`Path`):
            The selection's `places.npz`.
        marks (`Mapping[int, str]`):
            What decontamination has noted of rows that stay, by their index.
        provenance (`Mapping[str, Any]`):
            What is the same for every row: `recipe`, `vision`, `reasoner`, `prompts`, `reasoner_saw_answer`.
        shards (`int`):
            Files of the configuration `default`.
    """

    def __init__(
        self,
        folder: Path,
        store: RowStore,
        kept: Path,
        places: Path,
        marks: Mapping[int, str],
        provenance: Mapping[str, Any],
        shards: int,
    ):
        self.folder, self.store, self.kept = folder, store, kept
        self.marks, self.provenance = marks, provenance
        with np.load(places) as file:
            self.places = {config: file[config] for config in FOLDERS}
        rows = {config: int((places >= 0).sum()) for config, places in self.places.items()}
        self.sizes = {
            config: shard_sizes(count, shards if config == "default" else RL_SHARDS)
            for config, count in rows.items()
            if count
        }

    def write(self, tell: Callable[[int, int], None]) -> list[dict[str, Any]]:
        """Write what is not there yet; returns path, rows, bytes and SHA-256 of every file."""
        files = [(config, number) for config, sizes in self.sizes.items() for number in range(len(sizes))]
        missing = [file for file in files if not self._record(*file).exists()]
        if missing:
            self._deal(missing)
        for done, file in enumerate(missing):
            tell(len(files) - len(missing) + done, len(files))
            self._write_file(*file)
        return [pq_record(self._record(*file)) for file in files]

    def name(self, config: str, number: int) -> str:
        return f"{FOLDERS[config]}/train-{number:05d}-of-{len(self.sizes[config]):05d}.parquet"

    def _record(self, config: str, number: int) -> Path:
        return self.folder / f"{config}-{number:05d}.json"

    def _bucket(self, config: str, number: int) -> Path:
        return self.folder / f"{config}-{number:05d}.bucket"

    # ----- First: every row into the bucket of its file

    def _deal(self, files: list[tuple[str, int]]) -> None:
        bounds = {config: np.cumsum(sizes) for config, sizes in self.sizes.items()}
        with ExitStack() as stack:
            buckets = {
                file: _Bucket(stack.enter_context(pa.OSFile(str(self._bucket(*file)), "wb")), stack) for file in files
            }
            for number, row in enumerate(self._rows()):
                for config, ends in bounds.items():
                    place = int(self.places[config][number])
                    if place < 0:
                        continue
                    bucket = buckets.get((config, int(np.searchsorted(ends, place, side="right"))))
                    if bucket:
                        bucket.add({**row, "place": place, "in_default": bool(self.places["default"][number] >= 0)})
            for bucket in buckets.values():
                bucket.flush()

    def _rows(self) -> Iterator[dict[str, Any]]:
        """Kept rows in order, each with its source's fields."""
        columns = ["index", "license", "question", "choices", "answer", "pictures"]
        gathered = self.store.read(columns)
        with pq.ParquetFile(self.kept) as file:
            for batch in file.iter_batches(BATCH):
                for kept in batch.to_pylist():
                    row = next(row for row in gathered if row["index"] == kept["index"])
                    mark = self.marks.get(kept["index"])
                    yield {**row, **kept, "marks": [mark] if mark else []}

    # ----- Then: a file at a time

    def _write_file(self, config: str, number: int) -> None:
        bucket = self._bucket(config, number)
        with pa.OSFile(str(bucket)) as source:
            table = pa.ipc.open_stream(source).read_all().sort_by("place")
        path = self.folder / self.name(config, number)
        path.parent.mkdir(exist_ok=True)
        schema = FEATURES[config].arrow_schema
        with replacing(path) as draft, draft.open("wb") as file:
            hashed = _Hashed(file)
            with pq.ParquetWriter(hashed, schema, **_how(schema)) as writer:
                for start in range(0, len(table), GROUP):
                    rows = [self._row(config, row) for row in table.slice(start, GROUP).to_pylist()]
                    writer.write_table(pa.Table.from_pylist(rows, schema=schema), row_group_size=GROUP)
            file.flush()
        record = {
            "path": self.name(config, number),
            "rows": len(table),
            "bytes": hashed.size,
            "sha256": hashed.hexdigest(),
        }
        write_json(self._record(config, number), record)
        bucket.unlink()

    def _row(self, config: str, row: dict[str, Any]) -> dict[str, Any]:
        images = [{"bytes": self.store.picture(one), "path": one["name"]} for one in row["pictures"]]
        asked = question_text(row["question"], row["choices"])
        provenance = {
            **self.provenance,
            "sample": row["sample"],
            "rewordings": row["rewordings"],
            "pass_rate": row["pass_rate"],
            "marks": row["marks"],
            "pictures": [picture["sha256"] for picture in row["pictures"]],
        }
        made = {**row, "images": images, "prompt": build_prompt(asked, len(images)), "provenance": provenance}
        if config == "default":
            text = format_completion(row["thinking"], row["answer"])
            made["completion"] = [{"role": "assistant", "content": [{"type": "text", "text": text}]}]
        else:
            made["kind"] = answer_kind(row["answer"], row["choices"])
        return {name: made[name] for name in FEATURES[config]}


class _Bucket:
    """The rows of one file in order of arrival, on disk but for the last few."""

    def __init__(self, file: pa.NativeFile, stack: ExitStack):
        self.writer = stack.enter_context(pa.ipc.new_stream(file, BUCKET))
        self.rows: list[dict[str, Any]] = []

    def add(self, row: dict[str, Any]) -> None:
        self.rows.append(row)
        if len(self.rows) == GROUP:
            self.flush()

    def flush(self) -> None:
        self.writer.write_table(pa.Table.from_pylist(self.rows, schema=BUCKET))
        self.rows = []


class _Hashed:
    """A file that hashes what is written to it."""

    closed = False

    def __init__(self, file: BinaryIO):
        self.file, self.size = file, 0
        self._sha256 = hashlib.sha256()

    def write(self, data: Any) -> int:
        self._sha256.update(data)
        self.size += len(data)
        return self.file.write(data)

    def tell(self) -> int:
        return self.size

    def flush(self) -> None:
        self.file.flush()

    def close(self) -> None:
        pass

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False

    def hexdigest(self) -> str:
        return self._sha256.hexdigest()


def _how(schema: pa.Schema) -> dict[str, Any]:
    """Pictures as they are; text compressed; chunks cut by content, so that a new version shares what has not changed."""
    leaves = [column.path for column in _leaves(schema)]
    pictures = [path for path in leaves if path.startswith("images.") and path.endswith("bytes")]
    others = [path for path in leaves if path not in pictures]
    return {
        "compression": dict.fromkeys(others, "zstd") | dict.fromkeys(pictures, "none"),
        "use_dictionary": others,
        "write_statistics": others,
        "write_page_index": True,
        "use_content_defined_chunking": True,
    }


def _leaves(schema: pa.Schema) -> Iterator[Any]:
    empty = pa.BufferOutputStream()
    pq.write_table(schema.empty_table(), empty)
    parquet = pq.ParquetFile(pa.BufferReader(empty.getvalue())).schema
    return (parquet.column(i) for i in range(len(parquet)))


def pq_record(path: Path) -> dict[str, Any]:
    import json

    return json.loads(path.read_text())
