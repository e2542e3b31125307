"""The rules on fifty chains written by hand, by somebody who had not seen a rule; docs/cold.md states what comes out."""

import json
from pathlib import Path

import pytest

from open_vr1.cold.filter.rewording import reword
from open_vr1.cold.filter.rules import make_rules
from open_vr1.cold.rows import Candidate

LINES = (Path(__file__).parent / "data" / "chains.jsonl").read_text().splitlines()
CHAINS = {row["row_id"]: row for row in map(json.loads, LINES)}
GOOD = [name for name, row in CHAINS.items() if row["label"] is None]
BAD = [name for name in CHAINS if name not in GOOD]


def rejected_by(row: dict) -> str | None:
    """The rule that stops a chain, of rules that have seen no other."""
    candidate = Candidate(
        row_id=row["row_id"],
        question=row["question"],
        answer=row["answer"],
        thinking=reword(row["thinking"])[0],
        stated=row["stated"],
        choices=row["choices"] or (),
        reply=row["reply"],
        finish_reason=row["finish_reason"],
    )
    return next((name for name, check in make_rules(None, None, "test") if check(candidate) is not None), None)


@pytest.mark.parametrize("name", GOOD)
def test_a_good_chain_is_kept(name):
    assert rejected_by(CHAINS[name]) is None


def test_the_page_counts_what_is_found():
    found = sum(rejected_by(CHAINS[name]) is not None for name in BAD)
    page = " ".join(Path("docs/cold.md").read_text().split())
    assert f"of {len(GOOD)} good ones none is rejected; of {len(BAD)} bad ones {found} are" in page
