"""
Which of the kept rows make the dataset, in which order and in which file; and the rows for reinforcement learning.

Every draw is a hash of the seed and the row's id: the same rows for the same seed, and a row's luck does not depend on the
others. `target_rows` takes the same share of every source. Rows for reinforcement learning have an answer that the verifier can
compare with; those that the dataset itself leaves over come first, so that as few as possible have been learnt before.
"""

import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from open_vr1.cold.arguments import ColdArguments
from open_vr1.cold.steps import replacing
from open_vr1.cold.store import RowStore
from open_vr1.rewards.equality import gold_is_readable, kind_of
from open_vr1.rewards.verify import read_usable_gold

CONFIGS = ("default", "rl")
# Parquet files of the configuration rl: some ten thousand rows.
RL_SHARDS = 4
VERIFIABLE = ("choice", "number", "yes_no", "list", "expression")


def select(args: ColdArguments, kept: Path, store: RowStore, folder: Path, where: str) -> dict[str, Any]:
    """
    Write `places.npz`: for each kept row its place in each configuration, or -1; returns what was counted.

    Args:
        args (`ColdArguments`):
            The recipe's keys.
        kept (`Path`):
            The kept rows, `kept.parquet` of the filter.
        store (`RowStore`):
            The gathered rows.
        folder (`Path`):
            Where the file goes.
        where (`str`):
            The recipe, for messages.
    """
    indices, sources, names, pass_rates, ranks = _kept(kept, args.seed)
    kinds = _answer_kinds(store, indices) if args.rl else None
    default = _default(sources, len(names), ranks["select"], args.target_rows)
    rl = _rl(args, default, kinds, pass_rates, ranks["rl"]) if args.rl else np.zeros(len(indices), bool)
    places = {
        "default": _in_order(default, ranks["order"]),
        "rl": _in_order(rl, ranks["order"]),
    }
    with replacing(folder / "places.npz") as draft, draft.open("wb") as file:
        np.savez(file, indices=indices, **places)
    return {
        "kept": len(indices),
        "default": int(default.sum()),
        "rl": int(rl.sum()),
        "rl_also_in_default": int((rl & default).sum()),
        "default_by_source": {name: int((default & (sources == code)).sum()) for code, name in enumerate(names)},
        "rl_by_kind": dict(sorted(Counter(kinds[rl].tolist()).items())) if args.rl else {},
    }


def shard_sizes(rows: int, shards: int) -> list[int]:
    """Rows of each file: as equal as can be, and no file without a row."""
    shards = max(1, min(shards, rows))
    return [rows // shards + (i < rows % shards) for i in range(shards)]


def _kept(kept: Path, seed: int) -> tuple[np.ndarray, np.ndarray, list[str], np.ndarray, dict[str, np.ndarray]]:
    indices, codes, pass_rates = [], [], []
    ranks: dict[str, list[bytes]] = {"select": [], "rl": [], "order": []}
    names: dict[str, int] = {}
    with pq.ParquetFile(kept) as file:
        for batch in file.iter_batches(1000, columns=["index", "id", "source", "pass_rate"]):
            for row in batch.to_pylist():
                indices.append(row["index"])
                codes.append(names.setdefault(row["source"], len(names)))
                pass_rates.append(np.nan if row["pass_rate"] is None else row["pass_rate"])
                for purpose, drawn in ranks.items():
                    drawn.append(_rank(seed, purpose, row["id"]))
    drawn = {purpose: np.frombuffer(b"".join(values), ">u8") for purpose, values in ranks.items()}
    return np.array(indices, np.int64), np.array(codes, np.int32), list(names), np.array(pass_rates), drawn


def _rank(seed: int, purpose: str, row_id: str) -> bytes:
    return hashlib.blake2b(f"{seed}/{purpose}/{row_id}".encode(), digest_size=8).digest()


def _default(sources: np.ndarray, count: int, ranks: np.ndarray, target: int | None) -> np.ndarray:
    """The rows of the dataset: all, or the same share of every source."""
    if target is None or target >= len(sources):
        return np.ones(len(sources), bool)
    chosen = np.zeros(len(sources), bool)
    for code, quota in enumerate(_quotas(np.bincount(sources, minlength=count), target)):
        of_source = np.flatnonzero(sources == code)
        chosen[of_source[np.argsort(ranks[of_source], kind="stable")[:quota]]] = True
    return chosen


def _quotas(sizes: np.ndarray, target: int) -> list[int]:
    """Rows of each source, in proportion; what rounding leaves goes to the largest remainders."""
    exact = sizes * target / sizes.sum()
    quotas = np.floor(exact).astype(int)
    for code in np.argsort(quotas - exact, kind="stable")[: target - quotas.sum()]:
        quotas[code] += 1
    return quotas.tolist()


def _rl(
    args: ColdArguments, default: np.ndarray, kinds: np.ndarray, pass_rates: np.ndarray, ranks: np.ndarray
) -> np.ndarray:
    usable = np.isin(kinds, VERIFIABLE)
    known = ~np.isnan(pass_rates)
    usable &= ~known | (pass_rates >= args.rl.get("min_pass_rate", 0.0)) & (
        pass_rates <= args.rl.get("max_pass_rate", 1.0)
    )
    chosen = np.zeros(len(default), bool)
    order = np.lexsort((ranks, default, ~usable))
    chosen[order[: min(args.rl["rows"], int(usable.sum()))]] = True
    return chosen


def _answer_kinds(store: RowStore, indices: np.ndarray) -> np.ndarray:
    """What kind of answer each kept row has; empty where the verifier cannot compare with it."""
    kinds, wanted = [], iter(indices.tolist())
    index = next(wanted, None)
    for row in store.read(["index", "choices", "answer"]):
        if row["index"] == index:
            kinds.append(answer_kind(row["answer"], row["choices"]))
            index = next(wanted, None)
    return np.array(kinds)


def answer_kind(answer: str, choices: list[str]) -> str:
    gold = read_usable_gold(answer, choices)
    if gold is None:
        return ""
    text, letter = gold
    if letter is not None:
        return "choice"
    return kind_of(text) or "" if gold_is_readable(text) else ""


def _in_order(chosen: np.ndarray, ranks: np.ndarray) -> np.ndarray:
    """Each chosen row's place in the shuffled order, -1 for the others."""
    places = np.full(len(chosen), -1, np.int64)
    rows = np.flatnonzero(chosen)
    places[rows[np.argsort(ranks[rows], kind="stable")]] = np.arange(len(rows))
    return places
