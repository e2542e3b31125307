"""
Keep or reject each chain of thought: wording that gives the text away is mended, then every rule is asked in turn.

A row is kept with the first of its chains that passes all rules, and rejected with what stopped the chain that came
furthest. Nothing is thrown away: a reject keeps its text, its rule and the evidence.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from open_vr1.cold.filter.chains import split_reply
from open_vr1.cold.filter.rewording import reword
from open_vr1.cold.filter.rules import RULES
from open_vr1.cold.rows import Candidate
from open_vr1.cold.steps import replacing

WRONG_ANSWER = "wrong_answer"
NO_REPLY = "no_reply"
KEPT = pa.schema(
    {
        "index": pa.int64(),
        "id": pa.string(),
        "source": pa.string(),
        "thinking": pa.string(),
        "stated": pa.string(),
        "description": pa.string(),
        "pass_rate": pa.float64(),
        "sample": pa.int32(),
        "rewordings": pa.int32(),
        "words": pa.int32(),
    }
)
REJECTS = pa.schema(
    {
        "index": pa.int64(),
        "id": pa.string(),
        "source": pa.string(),
        "step": pa.string(),
        "rule": pa.string(),
        "evidence": pa.string(),
        "question": pa.string(),
        "choices": pa.list_(pa.string()),
        "answer": pa.string(),
        "thinking": pa.string(),
        "stated": pa.string(),
        "description": pa.string(),
        "words": pa.int32(),
    }
)
BATCH = 500

Rules = Sequence[tuple[str, Callable[[Candidate], str | None]]]


@dataclass
class Judged:
    """A chain with what the rules say of it: the rule that stopped it, none if it passed."""

    candidate: Candidate
    sample: int
    rewordings: int
    rule: str = ""
    evidence: str = ""
    came: int = 0
    passed: bool = False


def filter_rows(
    rows: Iterator[dict[str, Any]],
    outcomes: Iterator[tuple[int, dict[str, Any]]] | None,
    dropped: Mapping[int, str],
    rules: Rules,
    folder: Path,
    tell: Callable[[int, int], None],
) -> dict[str, Any]:
    """
    Write `kept.parquet` and `rejects.parquet`; returns what was counted.

    Args:
        rows (`Iterator[dict]`):
            Gathered rows in order.
        outcomes (`Iterator`, *optional*):
            What the reasoner has said, by row in order. Without it the sources' own chains are judged.
        dropped (`Mapping[int, str]`):
            Rows that an evaluation benchmark has.
        rules (`Rules`):
            Names and checks, in order.
        folder (`Path`):
            Where the files go.
        tell (`Callable`):
            Is told how many rows are done and how many kept.
    """
    counts = _Counts(rules)
    with (
        replacing(folder / "kept.parquet") as kept_draft,
        replacing(folder / "rejects.parquet") as rejects_draft,
        pq.ParquetWriter(kept_draft, KEPT, compression="zstd") as kept_file,
        pq.ParquetWriter(rejects_draft, REJECTS, compression="zstd") as rejects_file,
    ):
        judged = (
            _judge_row(row, outcome, rules, counts)
            for row, outcome in _joined(rows, outcomes)
            if row["index"] not in dropped
        )
        while batch := list(islice(judged, BATCH)):
            kept = [row for is_kept, row in batch if is_kept]
            kept_file.write_table(pa.Table.from_pylist(kept, schema=KEPT))
            rejects_file.write_table(
                pa.Table.from_pylist([row for is_kept, row in batch if not is_kept], schema=REJECTS)
            )
            tell(counts.rows, counts.kept)
    return counts.as_json()


class _Counts:
    """Rows in and out of each rule, and what the answers were worth."""

    def __init__(self, rules: Rules):
        self.rows = self.kept = self.chains = self.rewordings = self.reworded = 0
        self.names = [name for name, _ in rules]
        self.rejected: Counter = Counter()
        self.rejected_by_source: Counter = Counter()
        self.asked_by_source: Counter = Counter()
        self.right_by_source: Counter = Counter()
        self.kept_by_source: Counter = Counter()

    def chain(self, source: str, chains: int, right: int) -> None:
        self.rows += 1
        self.chains += chains
        self.asked_by_source[source] += chains
        self.right_by_source[source] += right

    def keep(self, source: str, rewordings: int) -> None:
        self.kept += 1
        self.kept_by_source[source] += 1
        self.rewordings += rewordings
        self.reworded += rewordings > 0

    def reject(self, row: dict[str, Any], rule: str, evidence: str) -> dict[str, Any]:
        if rule == NO_REPLY:
            self.rows += 1
        self.rejected[rule] += 1
        self.rejected_by_source[row["source"], rule] += 1
        made = {"thinking": "", "stated": "", "description": "", **row}
        words = len(made["thinking"].split())
        return {**made, "step": "filter", "rule": rule, "evidence": evidence, "words": words}

    def as_json(self) -> dict[str, Any]:
        return {
            "rows": self.rows,
            "kept": self.kept,
            "chains": self.chains,
            "reworded": self.reworded,
            "rewordings": self.rewordings,
            "rejected": {name: self.rejected[name] for name in (NO_REPLY, *self.names)},
            "rejected_by_source": {
                f"{source}/{rule}": n for (source, rule), n in sorted(self.rejected_by_source.items())
            },
            "chains_by_source": dict(sorted(self.asked_by_source.items())),
            "right_by_source": dict(sorted(self.right_by_source.items())),
            "kept_by_source": dict(sorted(self.kept_by_source.items())),
        }


def _joined(
    rows: Iterator[dict[str, Any]], outcomes: Iterator[tuple[int, dict[str, Any]]] | None
) -> Iterator[tuple[dict[str, Any], dict[str, Any] | None]]:
    """Each row with its outcome, both in order; none for a row that was never asked about."""
    if outcomes is None:
        for row in rows:
            yield row, {"samples": [{"text": row["original"], "reasoning": "", "finish_reason": "stop"}]}
        return
    ahead = next(outcomes, None)
    for row in rows:
        while ahead and ahead[0] < row["index"]:
            ahead = next(outcomes, None)
        yield row, ahead[1] if ahead and ahead[0] == row["index"] else None


def _judge_row(
    row: dict[str, Any], outcome: dict[str, Any] | None, rules: Rules, counts: _Counts
) -> tuple[bool, dict[str, Any]]:
    head = {"index": row["index"], "id": row["id"], "source": row["source"]}
    text = {name: row[name] for name in ("question", "choices", "answer")}
    samples = (outcome or {}).get("samples")
    if samples is None:
        reason = (outcome or {}).get("failed", "it was not asked about")
        return False, counts.reject(head | text, NO_REPLY, reason)
    answered = [(number, sample) for number, sample in enumerate(samples) if "failed" not in sample]
    chains = [_read(row, outcome, sample, number) for number, sample in answered]
    # The last rule remembers what it has let pass, so nothing is asked of it once a chain is kept.
    kept = next((chain for chain in chains if _passes(chain, rules)), None)
    right = sum(_answer_is_right(chain, rules) for chain in chains)
    counts.chain(row["source"], len(chains), right)
    best = kept or max(chains, key=lambda chain: chain.came)
    candidate = best.candidate
    said = {"thinking": candidate.thinking, "stated": candidate.stated, "description": candidate.description}
    if kept is None:
        return False, counts.reject(head | text | said, best.rule, best.evidence)
    counts.keep(row["source"], kept.rewordings)
    return True, {
        **head,
        **said,
        "pass_rate": right / len(chains) if len(chains) > 1 else row["pass_rate"],
        "sample": kept.sample,
        "rewordings": kept.rewordings,
        "words": len(candidate.thinking.split()),
    }


def _read(row: dict[str, Any], outcome: dict[str, Any], sample: dict[str, Any], number: int) -> Judged:
    thinking, reply, stated = split_reply(sample["text"], sample["reasoning"])
    thinking, rewordings = reword(thinking)
    candidate = Candidate(
        row_id=row["id"],
        question=row["question"],
        answer=row["answer"],
        thinking=thinking,
        stated=stated,
        choices=row["choices"],
        description=outcome.get("description", ""),
        reply=reply,
        finish_reason=sample["finish_reason"],
        pictures=[picture["sha256"] for picture in row["pictures"]],
    )
    return Judged(candidate, number, rewordings)


def _passes(chain: Judged, rules: Rules) -> bool:
    for chain.came, (name, check) in enumerate(rules):
        if (evidence := check(chain.candidate)) is not None:
            chain.rule, chain.evidence = name, evidence
            return False
    chain.passed = True
    return True


def _answer_is_right(chain: Judged, rules: Rules) -> bool:
    """Whether the answer matches, also where the chain was stopped before that was asked, or it never is."""
    names = [name for name, _ in rules]
    if WRONG_ANSWER in names[: len(names) if chain.passed else chain.came]:
        return True
    return chain.rule != WRONG_ANSWER and RULES[WRONG_ANSWER].make()(chain.candidate) is None
