"""The report's plots: the trainers' logs along their steps, then the evaluations of `eval_plots.py`.

Shares are drawn on an axis from 0 to 1, lengths and losses from 0, and every boundary between stages is marked.
"""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from .canvas import PAD, PAD_OVER_STAGES, Plot, add_legend, mark_stages, new_axes, share_axis, step_axis
from .eval_plots import accuracy_plot, kinds_plot, samples_plot
from .inputs import Log, Run
from .theme import LIGHT

LINE_COLOURS = ("final", "extra", "stage", "cold", "base")


@dataclass(frozen=True)
class Curve:
    """A plot of the GRPO log; `lines` maps its keys to their names in the legend, `kind` is what the values are."""

    name: str
    title: str
    caption: str
    lines: dict[str, str]
    kind: str


CURVES = {
    curve.name: curve
    for curve in (
        Curve(
            "length",
            "Completion length",
            "Mean length of the step's completions in tokens; finished are those that ended before the limit.",
            {"completions/mean_length": "all", "completions/mean_terminated_length": "finished"},
            "length",
        ),
        Curve(
            "clipped",
            "Clipped completions",
            "Share of the step's completions that were cut off at the stage's length limit.",
            {"completions/clipped_ratio": "clipped"},
            "share",
        ),
        Curve(
            "no_signal",
            "Groups without a signal",
            "Share of groups whose completions all earned the same reward, so that they teach nothing.",
            {"frac_reward_zero_std": "groups"},
            "share",
        ),
        Curve("entropy", "Entropy", "Mean entropy of the next token, in nats.", {"entropy": "entropy"}, "number"),
        Curve(
            "kl",
            "KL divergence",
            "Estimated divergence from the reference model, in nats a token.",
            {"kl": "KL"},
            "number",
        ),
    )
}


def draw_plots(run: Run) -> list[Plot]:
    """Every plot that the run has data for, in the order of the page."""
    plots = [
        training_plot(run, reward_curve(run)),
        accuracy_plot(run),
        training_plot(run, CURVES["length"]),
        training_plot(run, CURVES["clipped"]),
        sft_plot(run),
        kinds_plot(run),
        samples_plot(run),
        *(training_plot(run, CURVES[name]) for name in ("no_signal", "entropy", "kl")),
    ]
    return [plot for plot in plots if plot]


def reward_curve(run: Run) -> Curve:
    return Curve("reward", "Reward", "Mean reward of the step's completions.", _reward_lines(run.grpo), "number")


def _reward_lines(log: Log | None) -> dict[str, str]:
    """The reward, and its parts where it has more than one; as many as there are colours."""
    keys = log.keys if log else []
    parts = [key for key in keys if key.startswith("rewards/") and key.endswith("/mean")]
    if len(parts) < 2:
        parts = []
    names = {"reward": "reward"} | {key: key.split("/")[1].replace("_", " ") for key in parts}
    return dict(list(names.items())[: len(LINE_COLOURS)])


def training_plot(run: Run, curve: Curve) -> Plot | None:
    series = {key: run.grpo.series(key) for key in curve.lines} if run.grpo else {}
    series = {key: points for key, points in series.items() if len(points) > 1}
    if not series:
        return None
    figure, axes = new_axes(curve.title, "GRPO step", pad=PAD_OVER_STAGES if run.stages else PAD)
    window = 2 * (max(map(len, series.values())) // 30) + 1
    for order, ((key, points), colour) in enumerate(zip(series.items(), LINE_COLOURS)):
        steps, values = zip(*points)
        if window > 1:
            axes.plot(steps, values, color=LIGHT[colour], linewidth=0.8, alpha=0.35)
        means = _running_mean(run, points, window)
        axes.plot(steps, means, color=LIGHT[colour], linewidth=2, label=curve.lines[key], zorder=3 - order / 10)
    if curve.kind == "length":
        _draw_limits(axes, run)
    lowest, highest = _value_range(axes)
    if curve.kind == "share":
        share_axis(axes.yaxis)
    elif curve.name == "reward" and lowest >= 0 and highest <= 1:
        axes.set_ylim(0, 1)
    else:
        axes.set_ylim(1.08 * min(0, lowest), 1.08 * max(0, highest) or 1)
    step_axis(axes, run.last_step)
    if len(axes.get_legend_handles_labels()[0]) > 1:
        add_legend(axes)
    mark_stages(axes, run)
    smoothed = f" Thin: as logged; thick: mean over {window} logs, within the stage." if window > 1 else ""
    return Plot(curve.name, curve.title, curve.caption + smoothed, figure)


def _value_range(axes: Axes) -> tuple[float, float]:
    values = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in axes.get_lines()])
    return float(values.min()), float(values.max())


def _draw_limits(axes: Axes, run: Run) -> None:
    """The stages' length limits as one line of steps."""
    limited = [stage for stage in run.stages if stage.max_length]
    if limited:
        steps = [step for stage in limited for step in (stage.start, stage.end)]
        limits = [stage.max_length for stage in limited for _ in range(2)]
        axes.plot(steps, limits, color=LIGHT["ink"], linewidth=1.4, label="the stage's limit")


def _running_mean(run: Run, points: list[tuple[float, float]], window: int) -> list[float]:
    """Centred, and within a stage only: what changed at a boundary must not be smeared over it."""
    steps, values = np.array(points).T
    stage = np.searchsorted([stage.start for stage in run.stages][1:], steps, side="left")
    half = window // 2
    means = []
    for index in range(len(points)):
        near = slice(max(0, index - half), index + half + 1)
        means.append(float(values[near][stage[near] == stage[index]].mean()))
    return means


def sft_plot(run: Run) -> Plot | None:
    train = run.sft.series("loss") if run.sft else []
    validation = run.sft_eval_loss()
    if len(train) + len(validation) < 2:
        return None
    figure, axes = new_axes("Cold start: loss", "SFT step")
    if train:
        axes.plot(*zip(*train), color=LIGHT["base"], linewidth=1.4, label="training")
    if validation:
        axes.plot(*zip(*validation), "o-", color=LIGHT["cold"], linewidth=2, markersize=4, label="validation")
    axes.set_ylim(bottom=0)
    step_axis(axes, 1.02 * max(step for step, _ in [*train, *validation]))
    add_legend(axes)
    return Plot("sft_loss", "Cold start: loss", "Mean cross-entropy of the completion's tokens, in nats.", figure)
