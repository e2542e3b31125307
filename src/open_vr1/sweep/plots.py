"""The sweep's plots as PNG: accuracy with intervals and mean length by variant, and what was logged over the steps.

Points are seeds; bars are 95% intervals. Over the steps the line is the mean over seeds, a few steps smoothed, within the band
from the lowest to the highest seed.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from open_vr1.report.canvas import Plot, add_legend, new_axes, step_axis
from open_vr1.report.theme import LIGHT
from open_vr1.sweep.compare import Variant, compare, middle
from open_vr1.sweep.grid import Sweep
from open_vr1.sweep.results import Result

COLOURS = [LIGHT[name] for name in ("final", "cold", "stage", "extra", "base", "ink")]
DASHES = ("-", (0, (4, 2)), (0, (1, 1.5)))
ROW_HEIGHT, MARGIN = 0.34, 1.1
SMOOTHED = 5
CURVES = {
    "reward": ("reward", "Reward in training"),
    "completions/mean_length": ("length_over_steps", "Completion length in training"),
    "completions/clipped_ratio": ("clipped_over_steps", "Clipped completions in training"),
    "kl": ("kl", "KL divergence, nats a token"),
    "grad_norm": ("grad_norm", "Gradient norm"),
}


def write_plots(sweep: Sweep, results: Sequence[Result]) -> None:
    for plot in draw_plots(compare(sweep, results)):
        (sweep.folder / f"{plot.name}.png").write_bytes(plot.png())


def draw_plots(variants: Sequence[Variant]) -> list[Plot]:
    """Every plot that there is data for."""
    plots = [_accuracy(variants), _length(variants)]
    plots += [_over_steps(key, name, title, variants) for key, (name, title) in CURVES.items()]
    return [plot for plot in plots if plot]


def _accuracy(variants: Sequence[Variant]) -> Plot | None:
    shown = [variant for variant in variants if variant.accuracy]
    if not shown:
        return None
    title = "Accuracy with 95% interval"
    figure, axes = _rows(title, shown)
    for row, variant in enumerate(shown):
        found = variant.accuracy
        axes.plot([found.low, found.high], [row, row], color=_colour(row), linewidth=2.5, solid_capstyle="round")
        axes.plot(found.value, row, "o", color=_colour(row), markersize=7)
        if variant.began_at:
            before = {"markeredgecolor": LIGHT["muted"], "markerfacecolor": "none", "markersize": 6}
            label = None if axes.get_legend_handles_labels()[0] else "before training"
            axes.plot(middle(variant.began_at), row, "D", label=label, **before)
        seeds = variant.judged("accuracy")
        axes.plot(seeds, [row + 0.26] * len(seeds), ".", color=LIGHT["muted"], markersize=4)
    if any(variant.began_at for variant in shown):
        add_legend(axes)
    axes.xaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    return Plot("accuracy", title, title, figure)


def _length(variants: Sequence[Variant]) -> Plot | None:
    shown = [variant for variant in variants if variant.judged("mean_length")]
    if not shown:
        return None
    title = "Mean length of an answer, tokens"
    figure, axes = _rows(title, shown)
    for row, variant in enumerate(shown):
        lengths = variant.judged("mean_length")
        axes.barh(row, middle(lengths), height=0.55, color=_colour(row), alpha=0.75)
        axes.plot(lengths, [row] * len(lengths), ".", color=LIGHT["ink"], markersize=4)
    axes.set_xlim(left=0)
    return Plot("length", title, title, figure)


def _rows(title: str, variants: Sequence[Variant]) -> tuple:
    """A plot with one row for each variant, the first on top."""
    figure, axes = new_axes(title, "", height=MARGIN + ROW_HEIGHT * len(variants), values="x")
    axes.set_yticks(range(len(variants)), [variant.name for variant in variants], color=LIGHT["ink"])
    axes.set_ylim(len(variants) - 0.5, -0.6)
    return figure, axes


def _over_steps(key: str, name: str, title: str, variants: Sequence[Variant]) -> Plot | None:
    shown = [(row, variant) for row, variant in enumerate(variants) if any(key in r.curves for r in variant.results)]
    if not shown:
        return None
    figure, axes = new_axes(title, "step")
    last = 0
    for row, variant in shown:
        curves = [result.curves[key] for result in variant.results if key in result.curves]
        steps = sorted(set.intersection(*({step for step, _ in curve} for curve in curves)))
        values = np.array([[dict(curve)[step] for step in steps] for curve in curves], dtype=float)
        smooth = np.array([_smoothed(line) for line in values])
        if len(curves) > 1:
            axes.fill_between(
                steps, smooth.min(axis=0), smooth.max(axis=0), color=_colour(row), alpha=0.12, linewidth=0
            )
        dash = DASHES[row // len(COLOURS) % len(DASHES)]
        axes.plot(steps, smooth.mean(axis=0), color=_colour(row), linewidth=1.8, linestyle=dash, label=variant.name)
        last = max(last, *steps)
    _from_zero(axes)
    step_axis(axes, last)
    add_legend(axes)
    return Plot(name, title, title, figure)


def _from_zero(axes: Axes) -> None:
    low, high = axes.get_ylim()
    axes.set_ylim(min(0, low), high)


def _smoothed(values: np.ndarray) -> np.ndarray:
    """The mean over a few steps around each."""
    half = SMOOTHED // 2
    return np.array([values[max(0, i - half) : i + half + 1].mean() for i in range(len(values))])


def _colour(row: int) -> str:
    return COLOURS[row % len(COLOURS)]
