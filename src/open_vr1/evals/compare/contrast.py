"""
The comparison itself: each evaluation's figures on each benchmark, and how far it is from the first one's.

Only questions that both have answered are compared, and only where both rows ask the same and want the same. What was asked in
another way is named in words next to the figure.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from open_vr1.evals.compare.inputs import Evaluation, answers, headline, title
from open_vr1.evals.compare.statistics import Difference, Drawn, average, difference, drawn, holm
from open_vr1.evals.figures import Outcome, draw, estimate, interval, mean
from open_vr1.intervals import Estimate

OVERALL = "overall"
# What results.json says of all benchmarks at once; each row's own `protocol` comes on top.
ASKED_ALIKE = ("prompt_style", "system_prompt", "engine", "dtype", "min_pixels", "max_pixels", "limit")
# Another seed is another draw of the same protocol.
NO_PROTOCOL = ("seed",)


@dataclass
class Cell:
    """
    One evaluation on one benchmark, or on all of them.

    Args:
        evaluation (`Evaluation`):
            Whose.
        accuracy (`Estimate`):
            The headline figure.
        questions (`int`):
            How many were asked.
        length (`Estimate`, *optional*):
            Mean length in tokens.
        format_rate (`float`, *optional*):
            Share of answers in the exact format.
        clipped (`float`, *optional*):
            Share cut off at the limit.
        difference (`Difference`, *optional*):
            From the first evaluation, on what both have answered.
        paired (`int`):
            Questions behind the difference.
        corrected (`float`, *optional*):
            The test's p-value, corrected for all comparisons (Holm).
        apart (`list[str]`):
            What was not the same as in the first evaluation.
    """

    evaluation: Evaluation
    accuracy: Estimate
    questions: int
    length: Estimate | None = None
    format_rate: float | None = None
    clipped: float | None = None
    difference: Difference | None = None
    paired: int = 0
    corrected: float | None = None
    apart: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Table:
    """One benchmark, or all together: a cell for each evaluation that has it."""

    benchmark: str
    title: str
    metric: str
    cells: list[Cell]


def contrast(evaluations: Sequence[Evaluation]) -> list[Table]:
    """What is compared, benchmark by benchmark; first the average where all have several."""
    benchmarks = list(dict.fromkeys(name for one in evaluations for name in one.benchmarks))
    tables, pairs, draws = [], {}, Draws()
    for name in benchmarks:
        there = [one for one in evaluations if name in one.benchmarks]
        cells = [_cell(one, name, draws) for one in there]
        for one, cell in zip(there[1:], cells[1:], strict=True):
            first_rows, rows, notes = pair(there[0].rows[name], one.rows[name])
            cell.apart = protocol_apart(there[0], one, name) + notes
            cell.paired = len({row["id"] for row in rows})
            if rows:
                pairs[name, one.name] = draws.of(one, name, rows), draws.of(there[0], name, first_rows)
                cell.difference = difference(*pairs[name, one.name])
        tables.append(Table(name, title(name), headline(name)[0], cells))
    shared = [table for table in tables if len(table.cells) == len(evaluations)]
    if len(shared) > 1:
        tables.insert(0, _overall(evaluations, shared, pairs, draws))
    _correct(tables)
    return tables


class Draws:
    """Bootstrap draws, each made once: those of the first evaluation are wanted for every other one."""

    def __init__(self):
        self._figures: dict[Any, Drawn] = {}
        self._lengths: dict[Any, tuple[float, np.ndarray, int]] = {}

    def of(self, one: Evaluation, benchmark: str, rows: Sequence[dict[str, Any]]) -> Drawn:
        key = one.name, benchmark, frozenset(row["id"] for row in rows)
        if key not in self._figures:
            self._figures[key] = drawn(headline(benchmark)[1], answers(rows))
        return self._figures[key]

    def lengths(self, one: Evaluation, benchmark: str) -> tuple[float, np.ndarray, int]:
        key = one.name, benchmark
        if key not in self._lengths:
            rows = one.rows[benchmark]
            tokens = [Outcome(row["id"], row["family"] or row["id"], {}, row["tokens"] or 0) for row in rows]
            self._lengths[key] = draw(mean(), [tokens])
        return self._lengths[key]


def pair(
    first: Sequence[dict[str, Any]], other: Sequence[dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[str]]:
    """The rows of both whose question both have answered, and in words what was left out."""
    asked = [
        {row["id"]: (row["question"], row["gold"], row["choices"] or []) for row in rows} for rows in (first, other)
    ]
    both = asked[0].keys() & asked[1].keys()
    changed = {question for question in both if asked[0][question] != asked[1][question]}
    notes = []
    if len(both) < max(map(len, asked)):
        notes.append(f"{len(both):,} questions in common of {len(asked[0]):,} and {len(asked[1]):,}")
    if changed:
        notes.append(f"{len(changed):,} questions of the same name ask or want something else and are left out")
    kept = both - changed
    return [row for row in first if row["id"] in kept], [row for row in other if row["id"] in kept], notes


def protocol(evaluation: Evaluation, benchmark: str) -> dict[str, Any]:
    """How a benchmark was asked, by what people call each setting."""
    row = next(iter(evaluation.figures(benchmark)), {})
    rows = {key: row.get(key) for key in ("dataset", "dataset_revision", "split")}
    general = {key: evaluation.results[key] for key in ASKED_ALIKE if key in evaluation.results}
    settings = {**general, **(row.get("protocol") or {}), **rows}
    return {key.replace("_", " "): None if value is False else value for key, value in settings.items()}


def protocol_apart(first: Evaluation, other: Evaluation, benchmark: str) -> list[str]:
    """In words, each setting that is another one than in the first."""
    theirs, ours = protocol(first, benchmark), protocol(other, benchmark)
    return [
        f"{key} {_said(ours.get(key))}, not {_said(theirs.get(key))}"
        for key in dict.fromkeys([*theirs, *ours])
        if key not in NO_PROTOCOL and ours.get(key) != theirs.get(key)
    ]


def _said(value: Any) -> str:
    words = "none" if value is None else str(value)
    return words if len(words) <= 40 else f"{words[:37]}..."


def _cell(one: Evaluation, benchmark: str, draws: Draws) -> Cell:
    rows = one.rows[benchmark]
    metric, figure = headline(benchmark)
    written = next((row for row in one.figures(benchmark) if row.get("metric") == metric), None)
    if written and written.get("ci95"):
        accuracy = Estimate(written["value"], *written["ci95"])
    else:
        accuracy = estimate(figure, answers(rows))
    return Cell(
        one,
        accuracy,
        len({row["id"] for row in rows}),
        _length(draws.lengths(one, benchmark)),
        float(np.mean([bool(row["well_formed"]) for row in rows])),
        float(np.mean([bool(row["clipped"]) for row in rows])),
    )


def _length(*figures: tuple[float, np.ndarray, int]) -> Estimate:
    value, draws = float(np.mean([one[0] for one in figures])), np.mean([one[1] for one in figures], axis=0)
    return Estimate(value, *map(float, np.quantile(draws, [0.025, 0.975])))


def _overall(
    evaluations: Sequence[Evaluation],
    shared: Sequence[Table],
    pairs: dict[tuple[str, str], tuple[Drawn, Drawn]],
    draws: Draws,
) -> Table:
    """The plain average over the benchmarks that every evaluation has."""
    names = [table.benchmark for table in shared]
    cells = []
    for index, one in enumerate(evaluations):
        own = [table.cells[index] for table in shared]
        together = average([(name, draws.of(one, name, one.rows[name])) for name in names])
        cell = Cell(
            one,
            interval(together.value, together.draws, len(together.parts)),
            sum(part.questions for part in own),
            _length(*(draws.lengths(one, name) for name in names)),
            float(np.mean([part.format_rate for part in own])),
            float(np.mean([part.clipped for part in own])),
        )
        if index and all(part.difference for part in own):
            found = [(name, pairs[name, one.name]) for name in names]
            cell.difference = difference(*(average([(name, both[side]) for name, both in found]) for side in (0, 1)))
            cell.paired = sum(part.paired for part in own)
            cell.apart = list(dict.fromkeys(note for part in own for note in part.apart))
        cells.append(cell)
    return Table(OVERALL, f"Average of {len(shared)} benchmarks", "plain average", cells)


def _correct(tables: Sequence[Table]) -> None:
    compared = [cell for table in tables for cell in table.cells if cell.difference]
    for cell, corrected in zip(compared, holm([cell.difference.p for cell in compared]), strict=True):
        cell.corrected = corrected
