"""The golden cases: what every kind of completion is worth, checked by hand. data/golden.jsonl has the fields of the inspector."""

import json
import time
from pathlib import Path

import pytest

from open_vr1.rewards.formats import strict_format
from open_vr1.rewards.outcome import hard_format_result
from open_vr1.rewards.verify import REASONS, verify
from open_vr1.rewards.worker import TIME_LIMIT

ROWS = [
    json.loads(line) for line in Path(__file__).with_name("data").joinpath("golden.jsonl").read_text().splitlines()
]


def expand(row: dict, key: str) -> str:
    if "expand" not in row:
        return row[key]
    piece, times = row["expand"]
    return row[key].replace("§", piece * times)


@pytest.mark.parametrize("row", ROWS, ids=[row["id"] for row in ROWS])
def test_a_golden_case_has_the_score_the_format_and_the_reason_that_it_should_have(row, warm_worker):
    completion, gold = expand(row, "completion"), expand(row, "solution")
    start = time.monotonic()
    verdict = verify(completion, gold, row.get("choices"))
    seconds = time.monotonic() - start
    well_formed = strict_format(completion) == "well_formed"
    assert (verdict.score, verdict.reason, float(well_formed)) == (row["accuracy"], row["reason"], row["format"])
    assert seconds < TIME_LIMIT + 1
    assert (verdict.answer is None) == (verdict.reason in NO_ANSWER) or verdict.reason == "gold_unparsable"
    hard = hard_format_result([completion], solution=[gold], choices=[row.get("choices")])
    assert hard == [None if verdict.score is None else float(verdict.score == 1 and well_formed)]


NO_ANSWER = ("no_answer_block", "empty_answer", "truncated", "two_answers")


def test_there_are_at_least_300_golden_cases_and_every_reason_but_a_crash_is_among_them():
    assert len(ROWS) >= 300
    assert {row["reason"] for row in ROWS} == set(REASONS) - {"crashed"}
