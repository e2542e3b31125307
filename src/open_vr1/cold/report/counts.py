"""
What is counted over the kept chains of thought: their lengths, and the words of a model that looks twice.

The paper counts such words in its Table 2 and does not say how. Here: whole words, in capital or small letters, every
occurrence; "checking" is not "check". Text is read in batches, and only counters are kept.
"""

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

# The paper's occurrences in Vision-R1-cold (Table 2), which has about this many rows.
PAPER = {"Wait": 585_719, "Hmm": 75_853, "Mistake": 26_697, "Alternatively": 188_187, "Check": 100_148}
PAPER_ROWS = 200_000
# ASCII, so that what is highlighted is what Arrow's expressions count.
MARKER = re.compile(rf"\b(?:{'|'.join(PAPER)})\b", re.IGNORECASE | re.ASCII)
BATCH = 500


@dataclass
class Chains:
    """
    Counters over chains of thought.

    Args:
        rows (`int`):
            Chains.
        lengths (`Counter`):
            How many have so many words.
        occurrences (`Counter`):
            Of each marker.
        having (`Counter`):
            Chains that have the marker at least once.
        having_any (`int`):
            Chains that have any.
    """

    rows: int = 0
    lengths: Counter[int] = field(default_factory=Counter)
    occurrences: Counter[str] = field(default_factory=Counter)
    having: Counter[str] = field(default_factory=Counter)
    having_any: int = 0

    @property
    def words(self) -> int:
        return sum(length * count for length, count in self.lengths.items())

    def quantile(self, share: float) -> int:
        """The least length that this share of the chains does not exceed."""
        reached = 0
        for length, count in sorted(self.lengths.items()):
            reached += count
            if reached >= share * self.rows:
                return length
        return 0


def count_chains(kept: Path) -> Chains:
    """Count over `kept.parquet`."""
    chains = Chains()
    with pq.ParquetFile(kept) as file:
        for batch in file.iter_batches(BATCH, columns=["thinking", "words"]):
            chains.rows += len(batch)
            chains.lengths.update(batch["words"].to_pylist())
            has_any = None
            for marker in PAPER:
                counts = pc.count_substring_regex(batch["thinking"], rf"\b{marker}\b", ignore_case=True)
                has = pc.greater(counts, 0)
                has_any = has if has_any is None else pc.or_(has_any, has)
                chains.occurrences[marker] += pc.sum(counts).as_py() or 0
                chains.having[marker] += pc.sum(has).as_py() or 0
            chains.having_any += pc.sum(has_any).as_py() or 0
    return chains
