"""The comparison as text: a table for the terminal, `compare.md` for people and `compare.json` for programs."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from open_vr1.evals.compare.contrast import Cell, Table
from open_vr1.intervals import Estimate

NOTHING = "–"
WARNING = "NOT THE SAME PROTOCOL"
MARK = "(!)"


def share(value: float | None) -> str:
    return NOTHING if value is None or math.isnan(value) else f"{value:.1%}"


def with_interval(found: Estimate) -> str:
    return f"{found.value:.1%} ({found.low:.1%} to {found.high:.1%})"


def points(cell: Cell) -> str:
    """The difference in points, marked where it is not one of models alone."""
    if cell.difference is None:
        return NOTHING
    found = cell.difference.estimate
    value, low, high = (f"{100 * part:+.1f}" for part in (found.value, found.low, found.high))
    return f"{value} ({low} to {high}){f' {MARK}' if cell.apart else ''}"


def p_value(p: float | None) -> str:
    if p is None:
        return NOTHING
    return "< 0.0001" if p < 0.0001 else f"{p:.4f}" if p < 0.01 else f"{p:.2f}"


def length(found: Estimate | None) -> str:
    return NOTHING if found is None else f"{found.value:,.0f}"


COLUMNS: list[tuple[str, Callable[[Cell], str]]] = [
    ("model", lambda cell: cell.evaluation.name),
    ("accuracy (95% interval)", lambda cell: with_interval(cell.accuracy)),
    ("against the first", points),
    ("p", lambda cell: p_value(cell.difference.p if cell.difference else None)),
    ("corrected", lambda cell: p_value(cell.corrected)),
    ("tokens", lambda cell: length(cell.length)),
    ("format", lambda cell: share(cell.format_rate)),
    ("clipped", lambda cell: share(cell.clipped)),
    ("questions", lambda cell: f"{cell.questions:,}"),
]


def rows_of(table: Table) -> list[list[str]]:
    return [[title for title, _ in COLUMNS], *([cell(one) for _, cell in COLUMNS] for one in table.cells)]


def notes_of(table: Table) -> list[str]:
    """What is not the same, model by model."""
    return [f"{cell.evaluation.name}: {'; '.join(cell.apart)}" for cell in table.cells if cell.apart]


def explained(tables: Sequence[Table]) -> str:
    compared = [cell for table in tables for cell in table.cells if cell.difference]
    tests = sorted({cell.difference.test for cell in compared})
    if not compared:
        return "Intervals are 95%, from drawing families of questions anew."
    return (
        "Intervals are 95%, from drawing families of questions anew. Differences are in points, on the questions that both have "
        f"answered, against the first model that has the benchmark; p is of {' or '.join(tests)}, corrected for "
        f"{len(compared)} comparison{'' if len(compared) == 1 else 's'} (Holm)."
    )


def text(tables: Sequence[Table]) -> str:
    """For a terminal: columns that line up."""
    parts = []
    for table in tables:
        rows = rows_of(table)
        widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
        lines = [f"{table.title}, {table.metric}"]
        lines += ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows]
        lines += [f"{MARK} {WARNING} {note}" for note in notes_of(table)]
        parts.append("\n".join(lines))
    return "\n\n".join([*parts, explained(tables)])


def markdown(tables: Sequence[Table], plots: Sequence[tuple[str, str]] = ()) -> str:
    """`compare.md`; plots are (title, file)."""
    parts = ["# " + " and ".join(dict.fromkeys(c.evaluation.training for table in tables for c in table.cells))]
    for table in tables:
        rows = [[_escaped(cell) for cell in row] for row in rows_of(table)]
        lines = [rows[0], ["---", *["---:"] * (len(COLUMNS) - 1)], *rows[1:]]
        parts.append(f"## {_escaped(table.title)}, {table.metric}")
        parts.append("\n".join(f"| {' | '.join(line)} |" for line in lines))
        parts += [f"**{MARK} {WARNING}** {_escaped(note)}" for note in notes_of(table)]
    parts.append(explained(tables))
    parts += [f"![{title}]({file})" for title, file in plots]
    return "\n\n".join(parts) + "\n"


def _escaped(words: str) -> str:
    words = words.replace("\\", "\\\\")
    for sign in "|<*_`[":
        words = words.replace(sign, f"\\{sign}")
    return " ".join(words.split())


def as_json(tables: Sequence[Table]) -> dict[str, Any]:
    """`compare.json`."""
    return {
        "explained": explained(tables),
        "benchmarks": [
            {
                "task": table.benchmark,
                "name": table.title,
                "metric": table.metric,
                "models": list(map(_cell, table.cells)),
            }
            for table in tables
        ],
    }


def _cell(cell: Cell) -> dict[str, Any]:
    found = cell.difference
    return {
        "name": cell.evaluation.name,
        "folder": str(cell.evaluation.folder),
        "model": cell.evaluation.results.get("model"),
        "revision": cell.evaluation.results.get("revision"),
        "step": cell.evaluation.step,
        "stage": cell.evaluation.stage,
        "accuracy": cell.accuracy.value,
        "ci95": [cell.accuracy.low, cell.accuracy.high],
        "mean_length": cell.length.value,
        "format_rate": cell.format_rate,
        "clipped_ratio": cell.clipped,
        "n": cell.questions,
        "not_the_same": cell.apart,
        "against_the_first": found
        and {
            "value": found.estimate.value,
            "ci95": [found.estimate.low, found.estimate.high],
            "p": found.p,
            "p_corrected": cell.corrected,
            "test": found.test,
            "families": found.families,
            "n": cell.paired,
        },
    }
