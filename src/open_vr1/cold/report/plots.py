"""
The quality report's plots: the funnel, answers against the gold, lengths, and the words of a model that looks twice.

Names of sources come from data: they are drawn as they are, never read as formulas, and cut if they are long.
"""

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from open_vr1.cold.report.counts import PAPER, PAPER_ROWS, Chains
from open_vr1.intervals import wilson_interval
from open_vr1.report.canvas import Plot, add_legend, new_axes, share_axis
from open_vr1.report.theme import LIGHT

STEP_COLOURS = {"gather": "base", "decontaminate": "extra", "filter": "wrong", "select": "final"}
STEP_NAMES = {
    "gather": "not usable",
    "decontaminate": "a benchmark's",
    "filter": "rejected by a rule",
    "select": "not drawn",
}
MOST_SOURCES = 20
BAR = 0.23
LONGEST_NAME = 30
# Lengths from one to this many times as long are shown on a plain axis.
PLAIN = 20
FEW_WORDS = 300


def draw_plots(facts: dict[str, Any], chains: Chains) -> dict[str, Plot]:
    """Every plot that there is data for, by name."""
    plots = [funnel_plot(facts), alignment_plot(facts), lengths_plot(chains), markers_plot(chains)]
    return {plot.name: plot for plot in plots if plot}


def funnel_plot(facts: dict[str, Any]) -> Plot | None:
    """A bar for each rule that took rows out: what was left, and at its end what the rule took."""
    stages = [stage for stage in facts["funnel"] if stage["out"]]
    if not facts["funnel"] or not facts["funnel"][0]["rows_in"]:
        return None
    total, left = facts["funnel"][0]["rows_in"], facts["funnel"][-1]["rows_out"]
    names = ["rows read", *(stage["rule"] for stage in stages), "in the dataset"]
    figure, axes = _bars_axes("Rows left by each rule", "rows left", names)
    axes.barh([0], [total], color=LIGHT["grid"], height=0.72)
    seen = set()
    for place, stage in enumerate(stages, start=1):
        colour = LIGHT[STEP_COLOURS[stage["step"]]]
        label = None if stage["step"] in seen else STEP_NAMES[stage["step"]]
        seen.add(stage["step"])
        axes.barh([place], [stage["rows_out"]], color=LIGHT["grid"], height=0.72)
        axes.barh([place], [stage["out"]], left=stage["rows_out"], color=colour, height=0.72, label=label)
        _note(axes, total, place, f"−{stage['out']:,}", colour)
    axes.barh([len(names) - 1], [left], color=LIGHT["stage"], height=0.72)
    _note(axes, total, 0, f"{total:,}", LIGHT["muted"])
    _note(axes, total, len(names) - 1, f"{left:,}", LIGHT["stage"])
    axes.set_xlim(0, total * 1.2)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _thousands(value) if value <= 1.1 * total else ""))
    if seen:
        add_legend(axes)
    caption = (
        "Grey: the rows that a rule left; coloured: those it took out. Rules that took none are only in the table."
    )
    return Plot("funnel", "Rows left by each rule", caption, figure)


def alignment_plot(facts: dict[str, Any]) -> Plot | None:
    """The share of right chains by source, where there are sources to compare."""
    shares = alignment(facts)
    if len(shares) < 2:
        return None
    shown = shares[:MOST_SOURCES]
    figure, axes = _bars_axes("Answers that match the gold", "share of chains", [row["source"] for row in shown])
    for place, row in enumerate(shown):
        axes.plot([row["low"], row["high"]], [place, place], color=LIGHT["right"], linewidth=5, alpha=0.35)
        axes.plot([row["share"]], [place], "o", color=LIGHT["right"], markersize=6)
    share_axis(axes.xaxis)
    axes.set_xlim(-0.02, 1.02)
    rest = f" The {MOST_SOURCES} largest of {len(shares)} sources." if len(shares) > MOST_SOURCES else ""
    caption = "Dot: share of all chains whose answer the verifier finds equal to the gold; line: its 95% interval."
    return Plot("alignment", "Answers that match the gold", caption + rest, figure)


def alignment(facts: dict[str, Any]) -> list[dict[str, Any]]:
    """Chains, right ones and their share with Wilson's interval, the largest source first."""
    counts = facts["steps"]["filter"]
    if not any(rule["name"] == "wrong_answer" for rule in facts["rules"]):
        return []  # Nobody compared any answer.
    rows = []
    for source, asked in sorted(counts["chains_by_source"].items(), key=lambda item: (-item[1], item[0])):
        if asked:
            right = counts["right_by_source"].get(source, 0)
            low, high = wilson_interval(right / asked, asked)
            rows.append(
                {"source": source, "chains": asked, "right": right, "share": right / asked, "low": low, "high": high}
            )
    return rows


def lengths_plot(chains: Chains) -> Plot | None:
    """A histogram of words, on a logarithmic axis where lengths are of several magnitudes."""
    if not chains.rows:
        return None
    lengths = np.array(sorted(chains.lengths))
    counts = np.array([chains.lengths[length] for length in lengths.tolist()])
    edges, is_log = bins(int(lengths[0]), int(lengths[-1]))
    title = "Length of the kept chains"
    figure, axes = new_axes(title, "words" + (" (logarithmic)" if is_log else ""))
    # A chain without words has no place on a logarithmic axis but the first.
    heights, _ = np.histogram(np.maximum(lengths, edges[0]), bins=edges, weights=counts)
    axes.bar(
        edges[:-1],
        heights,
        np.diff(edges),
        align="edge",
        color=LIGHT["final"],
        edgecolor=LIGHT["ground"],
        linewidth=0.6,
    )
    if is_log:
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_locator(_round_places(edges[0], edges[-1]))
    else:
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _thousands(value)))
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _thousands(value)))
    median = chains.quantile(0.5)
    axes.axvline(median + 0.5, color=LIGHT["ink"], linewidth=1.2, linestyle=(0, (4, 3)))
    caption = f"Chains of each length in words; the dashed line is the median, {median:,}."
    caption += " Each bar spans the same factor." if is_log else ""
    return Plot("lengths", title, caption, figure)


def bins(shortest: int, longest: int, count: int = 30) -> tuple[np.ndarray, bool]:
    """Edges at whole numbers, the last beyond the longest, and whether they grow by a factor."""
    if longest > max(FEW_WORDS, PLAIN * max(1, shortest)):
        edges = np.floor(np.geomspace(max(1, shortest), longest + 1, count + 1)).astype(int)
        return np.unique([*edges[:-1], longest + 1]), True
    width = max(1, math.ceil((longest + 1 - shortest) / count))
    return np.arange(shortest, longest + 1 + width, width), False


def _round_places(low: float, high: float) -> FixedLocator:
    steps = (1, 2, 5) if high / low < 1000 else (1, 3)
    places = [digit * 10**power for power in range(8) for digit in steps]
    return FixedLocator([place for place in places if low <= place <= high])


def markers_plot(chains: Chains) -> Plot | None:
    """How often each marker occurs in a chain, with the paper's figure as a line."""
    if not chains.rows:
        return None
    title = "Words of a second look"
    figure, axes = _bars_axes(title, "occurrences a chain", list(PAPER))
    ours = [chains.occurrences[marker] / chains.rows for marker in PAPER]
    theirs = [count / PAPER_ROWS for count in PAPER.values()]
    axes.barh(range(len(PAPER)), ours, color=LIGHT["stage"], height=0.5, label="these chains")
    axes.plot(
        theirs, range(len(PAPER)), linestyle="none", marker="|", markersize=14, markeredgewidth=2,
        color=LIGHT["ink"], label="Vision-R1-cold",
    )  # fmt: skip
    axes.set_xlim(0, 1.08 * max(*ours, *theirs))
    add_legend(axes)
    return Plot(
        "markers", title, "Occurrences for each kept chain. The line is the paper's figure (see the note).", figure
    )


def _bars_axes(title: str, xlabel: str, names: list[str]) -> tuple[Any, Axes]:
    """Axes with a row for each name, from the top."""
    figure, axes = new_axes(title, xlabel, height=1.15 + BAR * len(names), values="x")
    axes.set_yticks(range(len(names)), [_short(name) for name in names], parse_math=False)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", labelcolor=LIGHT["ink"], labelsize=8.5)
    return figure, axes


def _note(axes: Axes, place: float, row: float, text: str, colour: str) -> None:
    axes.annotate(text, (place, row), (4, 0), textcoords="offset points", va="center", fontsize=8, color=colour)


def _short(name: str) -> str:
    """One printable line: names are data too."""
    shown = "".join(character if character.isprintable() else "·" for character in name)
    return shown if len(shown) <= LONGEST_NAME else "…" + shown[1 - LONGEST_NAME :]


def _thousands(value: float) -> str:
    """`0`, `250`, `2,500`, `360K`"""
    return f"{value / 1000:g}K" if value >= 10_000 else f"{value:,g}"
