"""
The page: figures, plots, and every sample to leaf through, of one evaluation (`report.html`) or of several (`compare.html`).

    from open_vr1.evals.compare.page import write_eval_report
    write_eval_report("outputs/demo/final/eval")

It is complete in itself and its policy lets a browser fetch nothing, and run nothing but the one script that it names by its
digest. Samples are data to that script, which writes them as text: what a model wrote never becomes markup.
"""

import base64
import hashlib
import json
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from open_vr1 import __version__
from open_vr1.evals.compare.contrast import Cell, Table, contrast, protocol
from open_vr1.evals.compare.inputs import Evaluation, known, read_evaluation
from open_vr1.evals.compare.plots import buckets, colours, draw_plots
from open_vr1.evals.compare.samples import samples
from open_vr1.evals.compare.table import MARK, WARNING, explained, notes_of, p_value, points, share
from open_vr1.report.canvas import Plot
from open_vr1.report.page import page_environment
from open_vr1.report.theme import DARK, LIGHT

HERE = Path(__file__).parent
REPORT = "report.html"
OPEN_PLOTS = 4
READ = ("correct", "wrong")


def write_eval_report(folder: str | Path) -> Path:
    """
    Write `report.html` and `plots/*.png` into an evaluation's folder.

    Args:
        folder (`str` or `Path`):
            Where `make evaluate` left `results.json` and `samples/`.

    Returns:
        `Path`: the page.
    """
    evaluation = read_evaluation(folder)
    tables = contrast([evaluation])
    plots = draw_plots(tables, [evaluation])
    write_plots(Path(folder) / "plots", plots)
    return write_page(Path(folder) / REPORT, [evaluation], tables, plots)


def write_plots(folder: Path, plots: Sequence[Plot]) -> list[tuple[str, str]]:
    """Each plot as PNG; returns their titles and files, seen from the folder above."""
    if plots:
        folder.mkdir(parents=True, exist_ok=True)
    for plot in plots:
        (folder / f"{plot.name}.png").write_bytes(plot.png())
    return [(plot.title, f"{folder.name}/{plot.name}.png") for plot in plots]


def write_page(place: Path, evaluations: Sequence[Evaluation], tables: Sequence[Table], plots: Sequence[Plot]) -> Path:
    """Write the page whole, or leave the earlier one."""
    place.parent.mkdir(parents=True, exist_ok=True)
    unfinished = place.with_suffix(".html.tmp")
    # A model can write half a character; the page shows a question mark in its place.
    unfinished.write_text(render(evaluations, tables, plots), encoding="utf-8", errors="replace")
    os.replace(unfinished, place)
    return place


def render(evaluations: Sequence[Evaluation], tables: Sequence[Table], plots: Sequence[Plot]) -> str:
    """The whole page as one HTML document."""
    of = colours(evaluations)
    benchmarks = [table for table in tables if any(table.benchmark in one.benchmarks for one in evaluations)]
    by_name = {table.benchmark: table for table in benchmarks}
    data = samples(evaluations)
    data["models"] = [{"name": one.name, "colour": of[one.training]} for one in evaluations]
    names = list(dict.fromkeys(name for one in evaluations for name in one.benchmarks))
    data["benchmarks"] = [by_name[name].title for name in names]
    script = (HERE / "samples.js").read_text(encoding="utf-8")
    environment = page_environment(HERE, p_value=p_value, share=share)
    return environment.get_template("evaluations.html.jinja").render(
        heading=" and ".join(dict.fromkeys(one.training for one in evaluations)),
        kind="evaluation" if len(evaluations) == 1 else "comparison",
        summary=_summary(tables, benchmarks),
        evaluations=evaluations,
        models=_models(evaluations),
        tables=tables,
        explained=explained(tables),
        points=points,
        unverified=[t.title for t in benchmarks if (found := known(t.benchmark)) and found.schema == "unverified"],
        warnings=[(table.title, note) for table in benchmarks for note in notes_of(table)],
        warning=f"{MARK} {WARNING}",
        figures=[(table, _figures(evaluations[0], table)) for table in benchmarks] if len(evaluations) == 1 else [],
        readings=[(cell, table, _reading(cell, table)) for table in benchmarks for cell in table.cells],
        buckets=[(table, buckets(table)) for table in benchmarks] if len(evaluations) == 1 else [],
        protocols=_protocols(evaluations, benchmarks),
        main_plots=plots[:OPEN_PLOTS],
        more_plots=plots[OPEN_PLOTS:],
        svg=lambda plot: Markup(plot.svg()),
        colour_of=lambda one: of[one.training],
        limit=data["limit"],
        count=len(data["questions"]),
        data=as_data(data),
        script=Markup(script),
        digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        light=LIGHT,
        dark=DARK,
        version=__version__,
    )


def as_data(value: Any) -> Markup:
    """JSON that can stand inside a `script` element, whatever is in it."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)


def _summary(tables: Sequence[Table], benchmarks: Sequence[Table]) -> str:
    cells = tables[0].cells
    if len({cell.evaluation.name for table in benchmarks for cell in table.cells}) == 1:
        shown = benchmarks[:3]
        said = [
            f"{table.title} {table.cells[0].accuracy.value:.1%} "
            f"({table.cells[0].accuracy.low:.1%} to {table.cells[0].accuracy.high:.1%})"
            for table in shown
        ]
        more = len(benchmarks) - len(shown)
        return ", ".join(said) + (f", and {more} more" if more else "")
    if len(cells) < 2:
        return "No benchmark was answered by all of them"
    # Of a training's checkpoints the last one speaks for all.
    last = list({cell.evaluation.training: cell for cell in cells[1:]}.values())
    return "; ".join(_told(cell, cells[0]) for cell in last[:2]) + (
        f"; {len(last) - 2} more below" if len(last) > 2 else ""
    )


def _models(evaluations: Sequence[Evaluation]) -> dict[str, str]:
    """What each path on the command line is of."""
    found: dict[str, list[Evaluation]] = {}
    for one in evaluations:
        found.setdefault(one.training, []).append(one)
    words = {}
    for name, own in found.items():
        model, revision = own[-1].results.get("model") or own[-1].folder, own[-1].results.get("revision")
        words[name] = f"{model}{f' at {revision}' if revision else ''}"
        if len(own) > 1:
            words[name] += f" and checkpoints before it, {len(own)} evaluations"
    return words


def _told(cell: Cell, first: Cell) -> str:
    said = f"{cell.evaluation.name}: {cell.accuracy.value:.1%}"
    if cell.difference is None:
        return f"{said}, on other questions than {first.evaluation.name}"
    found = cell.difference.estimate
    side = "above" if found.value > 0 else "below"
    said += f", {100 * abs(found.value):.1f} points {side} {first.evaluation.name} ({100 * found.low:+.1f} to {100 * found.high:+.1f})"
    if cell.apart:
        return f"{said}, but not asked in the same way"
    return said if cell.corrected < 0.05 else f"{said}: cannot be told apart"


def _figures(one: Evaluation, table: Table) -> list[dict[str, Any]]:
    return [row for row in one.figures(table.benchmark) if isinstance(row.get("value"), int | float)]


def _reading(cell: Cell, table: Table) -> dict[str, Any]:
    """What came of reading the answers: how many of each reason, lengths, the judge."""
    rows = cell.evaluation.rows.get(table.benchmark, [])
    reasons = Counter(row["reason"] for row in rows)
    unread = {reason: count for reason, count in reasons.most_common() if reason not in READ}
    judged = [row for row in rows if row["judge_score"] is not None]
    return {
        "answers": len(rows),
        "unread": unread,
        "tokens": cell.evaluation.reading(table.benchmark).get("tokens"),
        "judged": len(judged),
        "judge_accuracy": sum(row["judge_score"] for row in judged) / len(judged) if judged else None,
        "judge_differs": sum((row["judge_score"] >= 0.5) != ((row["score"] or 0) >= 0.5) for row in judged),
        "judge_failed": sum(row["judge_error"] is not None for row in rows),
    }


def _protocols(evaluations: Sequence[Evaluation], benchmarks: Sequence[Table]) -> list[tuple[str, dict[str, Any]]]:
    """How it was asked: what all share once, under no name, then what a model or benchmark has besides."""
    found = {
        (one.name, table.benchmark): (f"{one.name}, {table.title}", protocol(one, table.benchmark))
        for one in evaluations
        for table in benchmarks
        if table.benchmark in one.benchmarks
    }
    settings = [said for _, said in found.values()]
    shared = {key: value for key, value in settings[0].items() if all(s.get(key, s) == value for s in settings)}
    rest = [(name, {k: v for k, v in said.items() if k not in shared}) for name, said in found.values()]
    return [("", {k: v for k, v in shared.items() if v is not None}), *((name, said) for name, said in rest if said)]
