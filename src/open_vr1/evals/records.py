"""
The log of an evaluation: one row for each answer, in `samples/<benchmark>.parquet` of its folder.

    from open_vr1.evals.records import read_samples
    wrong = [row for row in read_samples("outputs/demo/final/eval") if row["score"] < 1]
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from open_vr1.errors import UserError

FOLDER = "samples"
PICTURE = pa.struct([("sha256", pa.string()), ("width", pa.int32()), ("height", pa.int32())])
SCHEMA = pa.schema(
    [
        ("benchmark", pa.string()),
        ("id", pa.string()),
        ("row", pa.int64()),  # Of the benchmark's split: with `dataset` in results.json this finds the pictures.
        ("sample", pa.int32()),  # Of `samples` answers to one question.
        ("family", pa.string()),
        ("groups", pa.map_(pa.string(), pa.list_(pa.string()))),
        ("question", pa.string()),
        ("choices", pa.list_(pa.string())),
        ("gold", pa.string()),
        ("pictures", pa.list_(PICTURE)),
        ("completion", pa.string()),  # As the model wrote it, thinking and all.
        ("answer", pa.string()),
        ("score", pa.float64()),
        ("reason", pa.string()),
        ("well_formed", pa.bool_()),
        ("tokens", pa.int32()),
        ("clipped", pa.bool_()),
        ("seed", pa.int64()),
        ("judge_score", pa.float64()),
        ("judge_reply", pa.string()),
        ("judge_error", pa.string()),
    ]
)


def write_samples(folder: Path, benchmark: str, rows: Iterable[dict[str, Any]]) -> Path:
    """Write the log of one benchmark whole, or leave the earlier one."""
    place = folder / FOLDER / f"{benchmark}.parquet"
    place.parent.mkdir(parents=True, exist_ok=True)
    part = place.with_suffix(".part")
    pq.write_table(pa.Table.from_pylist(list(rows), SCHEMA), part, compression="zstd")
    os.replace(part, place)
    return place


def read_samples(folder: str | Path, benchmark: str | None = None) -> list[dict[str, Any]]:
    """The rows of one benchmark's log or of all, with `groups` as a mapping."""
    places = sorted((Path(folder) / FOLDER).glob(f"{benchmark or '*'}.parquet"))
    if not places:
        raise UserError(f"{Path(folder) / FOLDER}: no log of {benchmark or 'an evaluation'}; run make evaluate first")
    rows = [row for place in places for row in pq.read_table(place).to_pylist()]
    return [{**row, "groups": {kind: tuple(names) for kind, names in row["groups"] or ()}} for row in rows]


def benchmarks_in(folder: str | Path) -> Sequence[str]:
    return [place.stem for place in sorted((Path(folder) / FOLDER).glob("*.parquet"))]
