"""math-verify's own published cases: where we agree, and every difference with its reason (docs/rewards.md has the list)."""

import json
import random
from collections import Counter
from pathlib import Path

import pytest

from open_vr1.rewards.verify import verify

ROOT = Path(__file__).parents[2]
ROWS = [
    json.loads(line)
    for line in Path(__file__).with_name("data").joinpath("math_verify_cases.jsonl").read_text().splitlines()
]
SAMPLE = random.Random(0).sample(ROWS, 90)


def check(rows):
    assert {row["test"]: verify(row["completion"], row["gold"]).score for row in rows} == {
        row["test"]: row["ours"] for row in rows
    }


def test_a_sample_of_math_verifys_cases_has_the_score_that_is_recorded(warm_worker):
    check(SAMPLE)


@pytest.mark.soak
def test_all_of_math_verifys_cases_have_the_score_that_is_recorded(warm_worker):
    check(ROWS)


def test_every_difference_has_a_reason_and_the_docs_count_them():
    assert all(("why" in row) == (row["theirs"] != row["ours"]) for row in ROWS)
    docs = ROOT.joinpath("docs/rewards.md").read_text()
    for why, number in Counter(row["why"] for row in ROWS if "why" in row).items():
        assert f"| `{why}` | {number} |" in docs
    assert f"{sum('why' not in row for row in ROWS)} of {len(ROWS)}" in docs
