"""
The dataset's files: a global shuffle that holds no more than one file's text, and pictures with their own bytes.

Kept rows are dealt into one bucket for each file; then each file's rows are put in order, given their pictures and written in
groups of a hundred, so that the Hub's viewer and streaming readers need little at a time. What is written is a function of the
rows, the recipe and the seed alone: no time, no path, no order of arrival.

A row is 60 KB of picture and 5 KB of text, so what is done for each byte of the one and in Python for each row is what counts:
columns go through as they are, pictures are read into the buffer that is written.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

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
# The Hub's viewer refuses groups of more than 286 MiB.
GROUP_BYTES = 200_000_000
# Reading, encoding, hashing and waiting for the disk take turns in a file, so two of them keep each other's gaps filled.
FILES_AT_ONCE = 2
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
# Made once: it takes as long as the text of twenty rows.
SCHEMAS = {config: features.arrow_schema for config, features in FEATURES.items()}
FOLDERS = {"default": "data", "rl": "rl"}
BUCKET = pa.schema(
    {
        "place": pa.int64(),
        **{name: pa.string() for name in ("id", "source", "license", "question", "answer", "thinking")},
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
FROM_KEPT = ["id", "source", "thinking", "description", "pass_rate", "sample", "rewordings"]
FROM_GATHERED = ["index", "license", "question", "choices", "answer", "pictures"]
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
            self.indices, self.places = file["indices"], {config: file[config] for config in FOLDERS}
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
        with ThreadPoolExecutor(FILES_AT_ONCE) as pool:
            for done, _ in enumerate(pool.map(self._write_file, *zip(*missing)), start=1):
                tell(len(files) - len(missing) + done, len(files))
        return [json.loads(self._record(*file).read_text()) for file in files]

    def name(self, config: str, number: int) -> str:
        return f"{FOLDERS[config]}/train-{number:05d}-of-{len(self.sizes[config]):05d}.parquet"

    def _record(self, config: str, number: int) -> Path:
        return self.folder / f"{config}-{number:05d}.json"

    def _bucket(self, config: str, number: int) -> Path:
        return self.folder / f"{config}-{number:05d}.bucket"

    # ----- First: every row into the bucket of its file

    def _deal(self, files: list[tuple[str, int]]) -> None:
        ends = {config: np.cumsum(sizes) for config, sizes in self.sizes.items()}
        with ExitStack() as stack:
            buckets = {
                file: stack.enter_context(pa.ipc.new_stream(str(self._bucket(*file)), BUCKET)) for file in files
            }
            for start, rows in self._rows():
                for config in self.sizes:
                    places = self.places[config][start : start + len(rows)]
                    numbers = np.where(places < 0, -1, np.searchsorted(ends[config], places, side="right"))
                    order = np.argsort(numbers, kind="stable")
                    placed = rows.set_column(0, "place", pa.array(places)).take(order)
                    of_file, first = np.unique(numbers[order], return_index=True)
                    for number, begin, end in zip(of_file.tolist(), first, [*first[1:], len(rows)]):
                        if bucket := buckets.get((config, number)):
                            bucket.write_table(placed.slice(begin, end - begin))

    def _rows(self) -> Iterator[tuple[int, pa.Table]]:
        """Kept rows in order, each with its source's fields: a table of some of them, and the number of its first row."""
        done = 0
        with pq.ParquetFile(self.kept) as file:
            kept = _Reader(file.iter_batches(BATCH, columns=FROM_KEPT))
            for gathered in self.store.batches(FROM_GATHERED):
                there = gathered["index"].to_numpy()
                end = int(np.searchsorted(self.indices, there[-1], side="right"))
                indices = self.indices[done:end]
                if not len(indices):
                    continue
                columns = dict(zip(FROM_GATHERED, gathered.take(pa.array(np.searchsorted(there, indices)))))
                columns |= dict(zip(FROM_KEPT, kept.next(len(indices)).columns))
                columns["place"] = indices
                columns["marks"] = [[mark] if (mark := self.marks.get(index)) else [] for index in indices.tolist()]
                columns["in_default"] = self.places["default"][done:end] >= 0
                yield done, pa.table([columns[name] for name in BUCKET.names], schema=BUCKET)
                done = end

    # ----- Then: the files

    def _write_file(self, config: str, number: int) -> None:
        bucket = self._bucket(config, number)
        with pa.OSFile(str(bucket)) as source:
            table = pa.ipc.open_stream(source).read_all().combine_chunks().sort_by("place")
        path = self.folder / self.name(config, number)
        path.parent.mkdir(exist_ok=True)
        schema = SCHEMAS[config]
        with replacing(path) as draft:
            # Every thread with a store of its own, as it closes packs that another may be reading.
            with (
                closing(RowStore(self.store.folder)) as store,
                pq.ParquetWriter(draft, schema, **write_options(schema)) as writer,
            ):
                for rows in _groups(table):
                    writer.write_table(self._finished(config, rows, store), row_group_size=GROUP)
            with draft.open("rb") as file:
                # From the page cache; while it is written, Python would have to copy it first.
                digest, size = hashlib.file_digest(file, "sha256").hexdigest(), file.tell()
        record = {"path": self.name(config, number), "rows": len(table), "bytes": size, "sha256": digest}
        write_json(self._record(config, number), record)
        bucket.unlink()

    def _finished(self, config: str, rows: pa.Table, store: RowStore) -> pa.Table:
        """A group of rows as they are published, with the bytes of their pictures."""
        columns: dict[str, Any] = {name: rows[name].combine_chunks() for name in rows.column_names}
        counts = columns["pictures"].value_lengths().to_pylist()
        questions, choices, answers = (columns[name].to_pylist() for name in ("question", "choices", "answer"))
        columns["prompt"] = [
            build_prompt(question_text(question, options), count)
            for question, options, count in zip(questions, choices, counts)
        ]
        if config == "default":
            texts = map(format_completion, columns["thinking"].to_pylist(), answers)
            columns["completion"] = [
                [{"role": "assistant", "content": [{"type": "text", "text": text}]}] for text in texts
            ]
        else:
            columns["kind"] = list(map(answer_kind, answers, choices))
        flat, ends = columns["pictures"].flatten(), pa.array(np.cumsum([0, *counts]), pa.int32())
        images = pa.StructArray.from_arrays([store.pictures(flat), flat.field("name")], ["bytes", "path"])
        columns["images"] = pa.ListArray.from_arrays(ends, images)
        columns["pictures"] = pa.ListArray.from_arrays(ends, flat.field("sha256"))
        schema = SCHEMAS[config]
        columns["provenance"] = self._provenance(columns, len(rows), schema.field("provenance").type)
        return pa.table([columns[name] for name in schema.names], schema=schema)

    def _provenance(self, columns: Mapping[str, Any], count: int, struct: pa.StructType) -> pa.StructArray:
        same = {name: pa.array([value] * count, struct.field(name).type) for name, value in self.provenance.items()}
        return pa.StructArray.from_arrays(
            [same.get(field.name, columns.get(field.name)) for field in struct], fields=list(struct)
        )


class _Reader:
    """Rows of a file in order, as many at a time as are asked for."""

    def __init__(self, batches: Iterator[pa.RecordBatch]):
        self.batches, self.rest = batches, None

    def next(self, count: int) -> pa.Table:
        rest = [self.rest] if self.rest else []
        while sum(map(len, rest)) < count:
            rest.append(pa.Table.from_batches([next(self.batches)]))
        rows = pa.concat_tables(rest)
        self.rest = rows.slice(count)
        return rows.slice(0, count)


def _groups(table: pa.Table) -> Iterator[pa.Table]:
    """Rows in groups of a hundred, fewer where their pictures are large."""
    pictures = table["pictures"].combine_chunks()
    ends = np.cumsum([0, *pictures.flatten().field("length").to_pylist()])[pictures.offsets.to_numpy()]
    start = 0
    while start < len(table):
        fit = int(np.searchsorted(ends, ends[start] + GROUP_BYTES, side="right")) - 1
        end = min(max(fit, start + 1), start + GROUP, len(table))
        yield table.slice(start, end - start)
        start = end


def write_options(schema: pa.Schema) -> dict[str, Any]:
    """
    Pictures as they are, text compressed.

    Pages are not cut by content, as `push_to_hub` has it for groups of 100 MB: in ours a column's text is one page either way.
    Measured with the Hub's chunking on 1,000 rows, 59 MB: with one row taken out, 3.0 MB are new to the Hub, with pages cut by
    content 3.7; with a thinking edited 0.4 and 0.3. And it costs a third of the writing.
    """
    leaves = [column.path for column in _leaves(schema)]
    pictures = [path for path in leaves if path.startswith("images.") and path.endswith("bytes")]
    others = [path for path in leaves if path not in pictures]
    return {
        "compression": dict.fromkeys(others, "zstd") | dict.fromkeys(pictures, "none"),
        "use_dictionary": others,
        "write_statistics": others,
        "write_page_index": True,
    }


def _leaves(schema: pa.Schema) -> Iterator[Any]:
    empty = pa.BufferOutputStream()
    pq.write_table(schema.empty_table(), empty)
    parquet = pq.ParquetFile(pa.BufferReader(empty.getvalue())).schema
    return (parquet.column(i) for i in range(len(parquet)))
