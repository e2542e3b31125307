"""
Figures of a benchmark, and how far each can be trusted: 95% intervals by a bootstrap over families of questions.

A figure says what each family of questions has won and out of what; its value is the sum of the first over the sum of the
second, or the average of several such shares. That is enough for everything that our benchmarks report (means, subsets,
worst cases, averages of averages), and drawing families anew then costs two matrix products. Variants of one problem are one
family, and so are the `samples` answers to one question: asking more often does not make more questions.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from open_vr1.intervals import Estimate, wilson_interval

DRAWS = 4000


@dataclass(frozen=True)
class Outcome:
    """How one question went: its score from 0 to 1, and what it belongs to."""

    id: str
    family: str
    groups: Mapping[str, tuple[str, ...]]
    score: float


Share = Mapping[str, tuple[float, float]]  # By family: won, out of.
Figure = Callable[[Sequence[Outcome]], Sequence[Share]]


def share(values: Sequence[tuple[str, float, float]]) -> Share:
    """The share of (family, won, out of), of which a family may have several."""
    sums: dict[str, tuple[float, float]] = {}
    for family, won, out_of in values:
        before = sums.get(family, (0.0, 0.0))
        sums[family] = (before[0] + won, before[1] + out_of)
    return sums


def mean(kind: str | None = None, *names: str) -> Figure:
    """The mean score, of all questions or of those with one of these names in a kind of group."""

    def figure(outcomes: Sequence[Outcome]) -> list[Share]:
        chosen = [outcome for outcome in outcomes if kind is None or set(names) & set(outcome.groups.get(kind, ()))]
        return [share([(outcome.family, outcome.score, 1.0) for outcome in chosen])]

    return figure


def average_over(kind: str, *names: str) -> Figure:
    """
    The plain average of the means of these groups, however many questions each has; of all groups by default.

    Where one of the groups that are named was not asked, there is no such average: of the rest it would be another figure.
    """

    def figure(outcomes: Sequence[Outcome]) -> list[Share]:
        there = names or tuple(sorted({name for outcome in outcomes for name in outcome.groups.get(kind, ())}))
        parts = [part for name in there for part in mean(kind, name)(outcomes)]
        return parts if all(parts) else []

    return figure


def worst_of_family(of: int = 1) -> Figure:
    """The share of families of which every question is right, among those of which at least `of` questions were asked."""

    def figure(outcomes: Sequence[Outcome]) -> list[Share]:
        scores: dict[str, list[float]] = {}
        for outcome in outcomes:
            scores.setdefault(outcome.family, []).append(outcome.score)
        return [{family: (min(each), 1.0) for family, each in scores.items() if len(each) >= of}]

    return figure


def all_of_group(kind: str) -> Figure:
    """The share of groups of a kind of which every question is right; a group lies within one family."""

    def figure(outcomes: Sequence[Outcome]) -> list[Share]:
        worst: dict[tuple[str, str], float] = {}
        for outcome in outcomes:
            for name in outcome.groups.get(kind, ()):
                key = outcome.family, name
                worst[key] = min(outcome.score, worst.get(key, 1.0))
        return [share([(family, score, 1.0) for (family, _), score in worst.items()])]

    return figure


def average_of_figures(*figures: Figure) -> Figure:
    """The plain average of several figures of the same questions."""

    def figure(outcomes: Sequence[Outcome]) -> list[Share]:
        return [part for each in figures for part in each(outcomes)]

    return figure


def draw(figure: Figure, answers: Sequence[Sequence[Outcome]], seed: int = 0) -> tuple[float, np.ndarray, int]:
    """
    A figure, the same of `DRAWS` bootstrap draws of the families, and the number of families behind it.

    Args:
        figure (`Figure`):
            What to work out.
        answers (`Sequence[Sequence[Outcome]]`):
            One list of outcomes for each time the questions were asked. The figure is of each time, averaged.
        seed (`int`, *optional*, defaults to `0`):
            Seed of the draws.
    """
    times = [figure(outcomes) for outcomes in answers]
    parts = [_summed(shares) for shares in zip(*times, strict=True)]
    parts = [part for part in parts if sum(out_of for _, out_of in part.values()) > 0]
    if not parts:
        return float("nan"), np.full(DRAWS, np.nan), 0
    families = sorted({family for part in parts for family in part})
    won, out_of = (
        np.array([[part.get(family, (0.0, 0.0))[side] for family in families] for part in parts]) for side in (0, 1)
    )
    value = float((won.sum(axis=1) / out_of.sum(axis=1)).mean())
    often = _often(len(families), seed)
    with np.errstate(invalid="ignore", divide="ignore"):
        drawn = np.nanmean((often @ won.T) / (often @ out_of.T), axis=1)
    return value, drawn, len(families)


@lru_cache(maxsize=2)
def _often(families: int, seed: int) -> np.ndarray:
    """How often each family is in each draw; the same for all figures of as many families."""
    shares = np.full(families, 1 / families)
    return np.random.default_rng(seed).multinomial(families, shares, size=DRAWS).astype(np.float32)


def count(figure: Figure, outcomes: Sequence[Outcome]) -> int:
    """How many questions, or families of them, a figure is of."""
    return round(sum(out_of for part in figure(outcomes) for _, out_of in part.values()))


def estimate(figure: Figure, answers: Sequence[Sequence[Outcome]], seed: int = 0) -> Estimate:
    """A figure with its 95% interval."""
    return interval(*draw(figure, answers, seed))


def interval(value: float, drawn: np.ndarray, families: int) -> Estimate:
    """Wilson's where everything is right or wrong, of which draws can tell nothing."""
    if not families or np.ptp(drawn) == 0:
        low, high = wilson_interval(value, families) if families and 0 <= value <= 1 else (value, value)
        return Estimate(value, low, high)
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return Estimate(value, float(low), float(high))


def _summed(shares: Sequence[Share]) -> dict[str, tuple[float, float]]:
    return dict(share([(family, *pair) for part in shares for family, pair in part.items()]))


def average_of(figures: Sequence[tuple[float, np.ndarray, int]]) -> Estimate:
    """The plain average of several figures, each of other questions."""
    values = [value for value, _, _ in figures]
    drawn = np.mean([draws for _, draws, _ in figures], axis=0)
    return interval(float(np.mean(values)), drawn, sum(families for _, _, families in figures))


def groups_of(values: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Groups as a benchmark's row has them: one name, several, or none."""
    return {
        kind: tuple(map(str, names if isinstance(names, list | tuple) else [names]))
        for kind, names in values.items()
        if names is not None and names != ""
    }
