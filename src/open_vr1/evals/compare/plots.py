"""
The comparison's plots: accuracy against length, along a training, and by length.

A colour is a model or a whole training run, whose checkpoints are joined by arrows in the order of their steps; the first
checkpoint of each stage says so.
"""

from collections.abc import Sequence
from itertools import cycle, pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from open_vr1.evals.compare.contrast import Cell, Table
from open_vr1.evals.compare.inputs import Evaluation, outcome
from open_vr1.evals.compare.statistics import Bucket, by_length, length_edges
from open_vr1.report.canvas import PAD, PAD_OVER_STAGES, Plot, add_legend, mark_stages, new_axes, share_axis, step_axis
from open_vr1.report.inputs import Log, Run
from open_vr1.report.theme import LIGHT

COLOURS = ("final", "cold", "stage", "extra", "base", "ink")
MARKERS = "osD^vP"


def colours(evaluations: Sequence[Evaluation]) -> dict[str, str]:
    """The colour's name for each path on the command line."""
    trainings = list(dict.fromkeys(one.training for one in evaluations))
    return {name: COLOURS[index % len(COLOURS)] for index, name in enumerate(trainings)}


def marker(training: str, of: dict[str, str]) -> str:
    """Another shape each time that the colours begin anew."""
    return MARKERS[list(of).index(training) // len(COLOURS) % len(MARKERS)]


def draw_plots(tables: Sequence[Table], evaluations: Sequence[Evaluation]) -> list[Plot]:
    """Every plot that there is something to show in, those of all benchmarks together first."""
    of = colours(evaluations)
    plots = []
    for table in tables:
        if len(table.cells) > 1:
            plots.append(length_plot(table, of))
        plots.append(steps_plot(table, of))
        plots.append(buckets_plot(table, of))
    return [plot for plot in plots if plot]


def length_plot(table: Table, of: dict[str, str]) -> Plot:
    """Each model as a dot with both intervals, the checkpoints of a run joined."""
    figure, axes = new_axes(f"Accuracy and length\n{table.title}", "Mean completion length in tokens", height=3.5)
    for training, cells in _by_training(table.cells).items():
        colour = LIGHT[of[training]]
        for cell in cells:
            _cross(axes, cell, colour)
        dots = [(cell.length.value, cell.accuracy.value) for cell in cells]
        axes.plot(*zip(*dots, strict=True), marker(training, of), color=colour, markersize=6, zorder=3, label=training)
        for start, end in pairwise(dots):
            arrow = {"arrowstyle": "->", "color": colour, "linewidth": 1.4, "shrinkA": 4, "shrinkB": 4}
            axes.annotate("", end, start, arrowprops=arrow)
        _label_path(axes, cells, colour)
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    axes.margins(0.12)
    axes.set_xlim(left=max(0, axes.get_xlim()[0]))
    add_legend(axes)
    caption = "Bars are 95% intervals of both." + (
        " Arrows join the checkpoints of one run; a stage is named at the first checkpoint in it."
        if any(cell.evaluation.step is not None for cell in table.cells)
        else ""
    )
    return Plot(f"length_{table.benchmark}", f"Accuracy and length: {table.title}", caption, figure)


def steps_plot(table: Table, of: dict[str, str]) -> Plot | None:
    """Accuracy along the steps of the trainings, with the boundaries of stages where all have the same."""
    paths = {
        training: [cell for cell in cells if cell.evaluation.step is not None]
        for training, cells in _by_training(table.cells).items()
    }
    paths = {training: cells for training, cells in paths.items() if len(cells) > 1}
    if not paths:
        return None
    stages = {cells[0].evaluation.stages for cells in paths.values()}
    shown = next(iter(stages)) if len(stages) == 1 else ()
    last = max(cell.evaluation.step for cells in paths.values() for cell in cells)
    last = max(last, shown[-1].end) if shown else last
    title = f"Accuracy along the training: {table.title}"
    figure, axes = new_axes(
        title.replace(": ", "\n"), "Training step", height=3.3, pad=PAD_OVER_STAGES if shown else PAD
    )
    for training, cells in paths.items():
        steps, colour = [cell.evaluation.step for cell in cells], LIGHT[of[training]]
        values = [cell.accuracy.value for cell in cells]
        axes.plot(steps, values, f"{marker(training, of)}-", color=colour, linewidth=1.4, markersize=5, label=training)
        for step, cell in zip(steps, cells, strict=True):
            axes.plot([step] * 2, [cell.accuracy.low, cell.accuracy.high], color=colour, linewidth=1.6, alpha=0.6)
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    step_axis(axes, last * 1.02)
    if shown:
        mark_stages(axes, Run(cells[0].evaluation.folder, {}, [], [], None, Log([]), [], shown, last))
    add_legend(axes)
    return Plot(f"steps_{table.benchmark}", title, "Bars are 95% intervals.", figure)


def buckets(table: Table) -> dict[str, list[Bucket]]:
    """Each model's accuracy by length, cut at the same lengths; one alone is cut as in its `results.json`."""
    rows = {cell.evaluation.name: cell.evaluation.rows.get(table.benchmark, []) for cell in table.cells}
    written = table.cells[0].evaluation.reading(table.benchmark).get("by_length")
    if len(rows) == 1 and written:
        edges = sorted({bucket["from"] or 0 for bucket in written})
    else:
        edges = length_edges([row["tokens"] or 0 for own in rows.values() for row in own])
    return {name: by_length([(row["tokens"] or 0, outcome(row)) for row in own], edges) for name, own in rows.items()}


def buckets_plot(table: Table, of: dict[str, str]) -> Plot | None:
    """Accuracy by length, side by side; of a training run only the first and the last checkpoint."""
    found = buckets(table)
    paths = _by_training(table.cells)
    cells = [cell for own in paths.values() for cell in ([own[0], own[-1]] if len(own) > 1 else own)]
    if any(len(found[cell.evaluation.name]) < 2 for cell in cells):
        return None
    title = f"Accuracy by length: {table.title}"
    words = [bucket.words for bucket in found[cells[0].evaluation.name]]
    figure, axes = new_axes(
        title.replace(": ", "\n"), "", height=1.5 + (0.16 + 0.16 * len(cells)) * len(words), values="x"
    )
    thickness = 0.8 / len(cells)
    for row, cell in enumerate(cells):
        colour, offset = LIGHT[of[cell.evaluation.training]], (row - (len(cells) - 1) / 2) * thickness
        last = cell is paths[cell.evaluation.training][-1]
        drawn = [(place, bucket) for place, bucket in enumerate(found[cell.evaluation.name]) if bucket.accuracy]
        places = [place + offset for place, _ in drawn]
        values = [bucket.accuracy.value for _, bucket in drawn]
        label = cell.evaluation.name
        axes.barh(places, values, 0.86 * thickness, color=colour, alpha=0.5 if last else 0.2, label=label)
        for y, (_, bucket) in zip(places, drawn, strict=True):
            ends = [bucket.accuracy.low, bucket.accuracy.high]
            axes.plot(ends, [y, y], color=colour, linewidth=2.2, solid_capstyle="butt", clip_on=False)
    axes.set_yticks(range(len(words)), words, color=LIGHT["ink"])
    axes.invert_yaxis()
    share_axis(axes.xaxis)
    if len(cells) > 1:
        add_legend(axes)
    counts = [bucket.count for cell in cells for bucket in found[cell.evaluation.name]]
    caption = (
        f"By completion length in tokens, {min(counts):,} to {max(counts):,} answers each; lines are 95% intervals. "
        "Long answers are to harder questions too: this says nothing of what length does."
    )
    return Plot(f"by_length_{table.benchmark}", title, caption, figure)


def _by_training(cells: Sequence[Cell]) -> dict[str, list[Cell]]:
    found: dict[str, list[Cell]] = {}
    for cell in cells:
        found.setdefault(cell.evaluation.training, []).append(cell)
    return found


def _cross(axes: Axes, cell: Cell, colour: str) -> None:
    x, y = cell.length, cell.accuracy
    axes.plot([x.value] * 2, [y.low, y.high], color=colour, linewidth=1.8, alpha=0.55, solid_capstyle="butt")
    if np.isfinite(x.low):
        axes.plot([x.low, x.high], [y.value] * 2, color=colour, linewidth=1.8, alpha=0.55, solid_capstyle="butt")


def _label_path(axes: Axes, cells: Sequence[Cell], colour: str) -> None:
    """The step of the first and the last checkpoint, and each stage at its first one."""
    before, sides = None, cycle([(1, 1), (1, -1), (-1, 1), (-1, -1)])
    for index, cell in enumerate(cells):
        step, stage = cell.evaluation.step, cell.evaluation.stage
        new_stage = stage is not None and stage != before
        before = stage
        if step is None or not (new_stage or index in (0, len(cells) - 1)):
            continue
        right, up = next(sides)
        axes.annotate(
            f"step {step}{f', stage {stage}' if new_stage else ''}",
            (cell.length.value, cell.accuracy.value),
            xytext=(6 * right, 5 * up),
            textcoords="offset points",
            ha="left" if right > 0 else "right",
            va="bottom" if up > 0 else "top",
            fontsize=8,
            color=colour,
        )
