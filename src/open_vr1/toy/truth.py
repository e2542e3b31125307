"""
What the rules of `make cold` should find in the toy world, for a recipe's `measure:` key.

    measure:
      with: open_vr1.toy.truth:planted_faults
      args: {rows: outputs/vr1_tiny/source, seed: 0, mistakes: {wrong_answer: 0.03}}

A row that asks what an earlier one has asked about the same picture, with whatever choices, is a near duplicate, unless the
earlier one was rejected for a mistake.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from open_vr1.toy.teacher import planted, read_rows


def planted_faults(
    rows: str | Path, seed: int, mistakes: Mapping[str, float], asked_from: int | None = None
) -> Iterator[tuple[str, str | None]]:
    """
    Row id and the rule that should reject the row, `None` for a good one.

    Args:
        rows (`str` or `Path`):
            The teacher's rows.
        seed (`int`):
            The teacher's seed.
        mistakes (`Mapping[str, float]`):
            The teacher's rates.
        asked_from (`int`, *optional*, defaults to `seed`):
            The seed of the requests, the recipe's `seed`.
    """
    read = [row for row in read_rows(Path(rows)) if row["images"] and row["images"][0]["bytes"]]
    kinds = {
        row_id: kind for row_id, _, kind in planted(read, seed, mistakes, [seed if asked_from is None else asked_from])
    }
    kept = set()
    for row in read:
        kind = kinds[row["id"]]
        if kind is None:
            asked = (hashlib.sha256(row["images"][0]["bytes"]).digest(), _words(row["question"]))
            kind = "near_duplicate" if asked in kept else None
            kept.add(asked)
        yield row["id"], kind


def _words(question: str) -> str:
    return " ".join(re.findall(r"\w+", question.lower().removeprefix("question:")))
