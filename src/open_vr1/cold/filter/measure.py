"""How well the rules do where the truth is known: precision and recall of each, and what it missed."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from open_vr1.cold.arguments import MeasureEntry
from open_vr1.functions import find_function

MISSES = 20


def measure(entry: MeasureEntry, source: str, filtered: Path) -> dict[str, Any]:
    """
    Compare the filter's verdicts with the truth.

    Args:
        entry (`MeasureEntry`):
            A function that yields row id and the rule that should reject it, or `None`.
        source (`str`):
            The source's name, which precedes the ids.
        filtered (`Path`):
            The filter's folder.

    Returns:
        For each rule: `planted`, how many it should reject; `caught`, how many of those any rule has rejected;
        `caught_by_it`; `false`, good rows that it has rejected. And the first rows that were `missed`.
    """
    truth = {f"{source}/{row}": rule for row, rule in find_function(entry["with"])(**entry.get("args", {}))}
    planted, caught, by_it, false = Counter(), Counter(), Counter(), Counter()
    missed = []
    for row, rule, text in _verdicts(filtered):
        should = truth.get(row)
        planted[should] += 1
        if rule:
            caught[should] += 1
            by_it[rule] += rule == should
            false[rule] += should is None
        elif should and len(missed) < MISSES:
            missed.append({"id": row, "planted": should, "text": text})
    rules = sorted({rule for rule in [*planted, *false] if rule})
    return {
        "good_rows": planted[None],
        "rules": {
            rule: {"planted": planted[rule], "caught": caught[rule], "caught_by_it": by_it[rule], "false": false[rule]}
            for rule in rules
        },
        "missed": missed,
    }


def _verdicts(filtered: Path) -> Iterator[tuple[str, str | None, str]]:
    """Row, the rule that rejected it if one did, and its chain."""
    for name, rule in (("kept", None), ("rejects", "rule")):
        columns = ["id", "thinking", *([rule] if rule else [])]
        with pq.ParquetFile(filtered / f"{name}.parquet") as file:
            for batch in file.iter_batches(1000, columns=columns):
                for row in batch.to_pylist():
                    yield row["id"], row.get("rule"), row["thinking"]
