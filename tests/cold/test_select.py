"""Which rows are drawn: the seed's, the same share of every source, and for reinforcement learning what can be verified."""

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_vr1.cold.arguments import ColdArguments
from open_vr1.cold.filter import KEPT
from open_vr1.cold.select import _quotas, answer_kind, select, shard_sizes
from open_vr1.cold.store import ROWS, RowStore

SOURCES = {"a": 60, "b": 30, "c": 10}


def write_rows(folder: Path, pass_rates: list[float | None] | None = None) -> tuple[Path, RowStore]:
    names = [name for name, count in SOURCES.items() for _ in range(count)]
    rows = [
        {
            "index": 2 * i,
            "id": f"{name}/{i}",
            "source": name,
            "answer": "7" if i % 4 else "a long walk by the sea",
            "choices": [],
        }
        for i, name in enumerate(names)
    ]
    skipped = [
        {"index": 2 * i + 1, "id": f"x/{i}", "source": "x", "answer": "7", "choices": []} for i in range(len(names))
    ]
    table = pa.Table.from_pylist(sorted(rows + skipped, key=lambda row: row["index"]), schema=ROWS)
    pq.write_table(table, folder / "rows-00000.parquet")
    rates = pass_rates or [None] * len(rows)
    kept = [{**row, "pass_rate": rate} for row, rate in zip(rows, rates, strict=True)]
    pq.write_table(pa.Table.from_pylist(kept, schema=KEPT), folder / "kept.parquet")
    return folder / "kept.parquet", RowStore(folder)


def drawn(folder: Path, pass_rates: list[float | None] | None = None, **keys) -> tuple[dict, dict[str, np.ndarray]]:
    args = ColdArguments(task="cold", output_dir="x", sources=[{"name": "a", "path": "x"}], **keys)
    counts = select(args, *write_rows(folder, pass_rates), folder, "recipe.yaml")
    with np.load(folder / "places.npz") as places:
        return counts, dict(places)


def test_every_row_has_its_own_place(tmp_path):
    _, places = drawn(tmp_path)
    assert sorted(places["default"]) == list(range(100))
    assert list(places["default"]) != list(range(100))


def test_the_seed_decides(tmp_path):
    first = drawn(tmp_path, target_rows=40)[1]["default"]
    assert np.array_equal(first, drawn(tmp_path, target_rows=40)[1]["default"])
    assert not np.array_equal(first, drawn(tmp_path, target_rows=40, seed=1)[1]["default"])


def test_a_larger_target_keeps_the_rows_of_a_smaller_one(tmp_path):
    """One may grow a dataset without losing a row that somebody has seen."""
    fewer = drawn(tmp_path, target_rows=20)[1]["default"] >= 0
    more = drawn(tmp_path, target_rows=50)[1]["default"] >= 0
    assert (more | ~fewer).all()


@pytest.mark.parametrize("target", [1, 10, 33, 99])
def test_every_source_gives_the_same_share(tmp_path, target):
    counts, _ = drawn(tmp_path, target_rows=target)
    assert counts["default"] == target
    for name, count in counts["default_by_source"].items():
        assert abs(count - target * SOURCES[name] / 100) < 1


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=20), st.data())
def test_quotas_add_up_and_no_source_gives_more_than_it_has(sizes, data):
    target = data.draw(st.integers(1, sum(sizes)))
    quotas = _quotas(np.array(sizes), target)
    assert sum(quotas) == target and all(quota <= size for quota, size in zip(quotas, sizes, strict=True))


def test_rows_that_the_dataset_leaves_over_come_first_for_reinforcement_learning(tmp_path):
    counts, places = drawn(tmp_path, target_rows=60, rl={"rows": 50})
    left_over = [i for i in range(100) if places["default"][i] < 0 and i % 4]
    assert all(places["rl"][i] >= 0 for i in left_over)
    assert counts["rl_also_in_default"] == 50 - len(left_over)


def test_only_answers_that_can_be_verified_are_for_reinforcement_learning(tmp_path):
    counts, places = drawn(tmp_path, rl={"rows": 1000})
    assert counts["rl"] == 75 and counts["rl_by_kind"] == {"number": 75}
    assert (places["rl"][::4] < 0).all()


def test_pass_rates_bound_the_difficulty(tmp_path):
    rates = [i / 99 for i in range(100)]
    bounds = {"rows": 1000, "min_pass_rate": 0.2, "max_pass_rate": 0.8}
    _, places = drawn(tmp_path, rates, rl=bounds)
    assert {round(rates[i], 3) for i in np.flatnonzero(places["rl"] >= 0)} == {
        round(rate, 3) for i, rate in enumerate(rates) if i % 4 and 0.2 <= rate <= 0.8
    }


@given(st.integers(1, 10_000), st.integers(1, 100))
def test_files_are_as_equal_as_can_be(rows, shards):
    sizes = shard_sizes(rows, shards)
    assert sum(sizes) == rows and max(sizes) - min(sizes) <= 1 and min(sizes) >= 1 and len(sizes) <= shards


def test_kinds_of_answers():
    answers = [
        ("B", ["x", "y"]),
        ("12 cm", []),
        ("yes", []),
        ("\\frac{1}{2}", []),
        ("a long walk by the sea", []),
        ("", []),
    ]
    assert Counter(answer_kind(*answer) for answer in answers) == Counter(
        ["choice", "number", "yes_no", "number", "text", ""]
    )
