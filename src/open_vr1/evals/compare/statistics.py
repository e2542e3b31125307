"""
Is one model better than another on the same questions? Differences with intervals, exact tests, and their correction.

Of a figure that adds up over families of questions (all of ours do), each family has its part in the difference of two
models. If the models were alike, swapping their answers to any family would be as likely as not: the test flips the signs of
the parts. Where every part that is not zero is as large as any other, which is the case of one answer to each question, that is
McNemar's exact test.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from open_vr1.evals.figures import Figure, Outcome, draw, estimate, mean, share
from open_vr1.intervals import Estimate, wilson_interval

FLIPS = 20_000
ENUMERATED = 16
TINY = 1e-12

Answers = Sequence[Sequence[Outcome]]


@dataclass(frozen=True)
class Drawn:
    """A figure of one model: its value, its bootstrap draws, and each family's part in it, which add up to the value."""

    value: float
    draws: np.ndarray
    parts: Mapping[str, float]


@dataclass(frozen=True)
class Difference:
    """
    How much better a model is than another.

    Args:
        estimate (`Estimate`):
            The difference with its 95% interval.
        p (`float`):
            Of the two-sided test that the models are alike.
        test (`str`):
            Which test that is.
        families (`int`):
            Families of questions that both have answered.
    """

    estimate: Estimate
    p: float
    test: str
    families: int


def drawn(figure: Figure, answers: Answers) -> Drawn:
    """A figure with what is needed to compare it; two of the same questions have draws of the same families."""
    value, draws, _ = draw(figure, answers)
    return Drawn(value, draws, family_parts(figure, answers))


def family_parts(figure: Figure, answers: Answers) -> dict[str, float]:
    """What each family adds to a figure."""
    times = [figure(outcomes) for outcomes in answers]
    sums = [
        share([(family, *pair) for shares in part for family, pair in shares.items()])
        for part in zip(*times, strict=True)
    ]
    sums = [(part, sum(out_of for _, out_of in part.values())) for part in sums]
    sums = [(part, out_of) for part, out_of in sums if out_of > 0]
    parts: dict[str, float] = {}
    for part, out_of in sums:
        for family, (won, _) in part.items():
            parts[family] = parts.get(family, 0.0) + won / out_of / len(sums)
    return parts


def average(figures: Sequence[tuple[str, Drawn]]) -> Drawn:
    """The plain average of several benchmarks' figures, each with its name."""
    parts = {f"{name}/{family}": part / len(figures) for name, one in figures for family, part in one.parts.items()}
    draws = np.mean([one.draws for _, one in figures], axis=0)
    return Drawn(float(np.mean([one.value for _, one in figures])), draws, parts)


def difference(model: Drawn, first: Drawn) -> Difference:
    """How much better a model is than the first, of the same questions."""
    families = sorted({*model.parts, *first.parts})
    parts = np.array([model.parts.get(family, 0.0) - first.parts.get(family, 0.0) for family in families])
    value = model.value - first.value
    return Difference(
        _difference_interval(value, model.draws - first.draws, len(families)), *paired_test(parts), len(families)
    )


def _difference_interval(value: float, draws: np.ndarray, families: int) -> Estimate:
    if not families or not np.isfinite(value):
        return Estimate(value, value, value)
    if np.ptp(draws) > TINY:
        low, high = np.nanquantile(draws, [0.025, 0.975])
        return Estimate(value, float(low), float(high))
    # Draws of what is all alike say nothing: as far as a share of the families seen to be 0 may lie from 0.
    reach = wilson_interval(0.0, families)[1]
    return Estimate(value, max(-1.0, value - reach), min(1.0, value + reach))


def paired_test(parts: np.ndarray) -> tuple[float, str]:
    """The p-value of the parts of a difference if each might as well have the other sign, and the test's name."""
    parts = parts[np.abs(parts) > TINY]
    if len(parts) == 0:
        return 1.0, "McNemar's exact test"
    sizes = np.abs(parts)
    if np.ptp(sizes) < TINY:
        return sign_test(int((parts > 0).sum()), len(parts)), "McNemar's exact test"
    total = abs(parts.sum()) - TINY
    if len(parts) <= ENUMERATED:
        signs = 1 - 2 * ((np.arange(2 ** len(parts))[:, None] >> np.arange(len(parts))) & 1)
        return float((np.abs(signs @ parts) >= total).mean()), "exact sign flips of families"
    random = np.random.default_rng(0)
    reached = 0
    for _ in range(FLIPS // 1000):
        signs = random.integers(0, 2, size=(1000, len(parts)), dtype=np.int8) * 2.0 - 1.0
        reached += int((np.abs(signs @ parts) >= total).sum())
    return (1 + reached) / (1 + FLIPS), f"{FLIPS:,} sign flips of families"


def sign_test(better: int, count: int) -> float:
    """The two-sided p-value of `better` heads of `count` throws of a fair coin, exactly."""
    ways, tail = 1, 0
    for k in range(min(better, count - better) + 1):
        tail += ways
        ways = ways * (count - k) // (k + 1)
    return min(1.0, 2 * tail / 2**count)


def holm(ps: Sequence[float]) -> list[float]:
    """Holm's correction: the same for as many comparisons as there are, so that one false find in all of them is rare."""
    order = sorted(range(len(ps)), key=ps.__getitem__)
    corrected, largest = [0.0] * len(ps), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(ps) - rank) * ps[index]))
        corrected[index] = largest
    return corrected


# ----- By length


@dataclass(frozen=True)
class Bucket:
    """Answers of `low <= tokens < high` and how many of them are right; `high` is `None` in the last."""

    low: int
    high: int | None
    count: int
    accuracy: Estimate | None

    @property
    def words(self) -> str:
        return f"{self.low:,} or more" if self.high is None else f"{self.low:,} to {self.high - 1:,}"


def length_edges(lengths: Sequence[int], buckets: int = 5) -> list[int]:
    """Where to cut lengths into buckets of about as many answers, at round numbers; begins with 0."""
    if not len(lengths):
        return [0]
    cuts = np.quantile(lengths, [part / buckets for part in range(1, buckets)])
    return sorted({0, *(_rounded(cut) for cut in cuts if min(lengths) < _rounded(cut) <= max(lengths))})


def _rounded(number: float) -> int:
    """To two digits."""
    size = 10 ** max(0, math.floor(math.log10(max(number, 1))) - 1)
    return int(round(number / size) * size)


def by_length(outcomes: Sequence[tuple[int, Outcome]], edges: Sequence[int]) -> list[Bucket]:
    """The accuracy of answers by their length in tokens."""
    ends = [*edges[1:], None]
    found = []
    for low, high in zip(edges, ends, strict=True):
        inside = [outcome for tokens, outcome in outcomes if tokens >= low and (high is None or tokens < high)]
        found.append(Bucket(low, high, len(inside), estimate(mean(), [inside]) if inside else None))
    return found
