"""Figures of the finished dataset for its card: how long the chains of thought are, how many pictures there are and of what size.

Of the rows of `default` alone. Nothing is read but numbers that earlier steps have counted, so it takes seconds at any size.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from open_vr1.cold.store import RowStore

PERCENTILES = (5, 50, 95)


def count_dataset(kept: Path, places: Path, store: RowStore) -> dict[str, Any]:
    """
    Count the rows that were selected.

    Args:
        kept (`Path`):
            The filter's `kept.parquet`.
        places (`Path`):
            The selection's `places.npz`.
        store (`RowStore`):
            The gathered rows and pictures.
    """
    with np.load(places) as file:
        selected = file["default"] >= 0
        indices = file["indices"][selected]
    words = pq.read_table(kept, columns=["words"])["words"].to_numpy()[selected]
    pictures = [_pictures(batch, indices) for batch in store.batches(["index", "pictures"])]
    of_all = {key: np.concatenate([part[key] for part in pictures]) for key in pictures[0]}
    return {
        "thinking_words": _spread(words),
        "pictures": len(of_all["sha256"]),
        "different_pictures": len(np.unique(of_all["sha256"])),
        "pictures_a_row": _spread(of_all["in_row"]),
        "picture_width": _spread(of_all["width"]),
        "picture_height": _spread(of_all["height"]),
        "picture_bytes": _spread(of_all["length"]),
    }


def _pictures(batch: pa.RecordBatch, indices: np.ndarray) -> dict[str, np.ndarray]:
    """What is known of the pictures of those rows of a batch that are in `indices`, both in order."""
    there = batch["index"].to_numpy()
    begin, end = np.searchsorted(indices, [there[0], there[-1] + 1])
    rows = batch.take(pa.array(np.searchsorted(there, indices[begin:end])))
    pictures = rows["pictures"].flatten()
    fields = {name: pictures.field(name).to_numpy(zero_copy_only=False) for name in ("width", "height", "length")}
    hashes = np.array(pictures.field("sha256").to_pylist(), dtype="U64")
    return {**fields, "sha256": hashes, "in_row": np.diff(rows["pictures"].offsets.to_numpy())}


def _spread(values: Sequence[int] | np.ndarray) -> dict[str, float]:
    """Mean, percentiles that are values themselves, and the largest."""
    if not len(values):
        return {}
    points = np.percentile(values, PERCENTILES, method="lower")
    named = {f"p{share}": int(point) for share, point in zip(PERCENTILES, points, strict=True)}
    return {"mean": round(float(np.mean(values)), 1), **named, "max": int(np.max(values))}
