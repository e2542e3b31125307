"""The report's plots, drawn with matplotlib: as PNG to keep, and as SVG that takes the page's font and colours.

Shares are drawn on an axis from 0 to 1 and lengths and losses from 0. Nothing here touches pyplot or its settings.
"""

import io
import math
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from .inputs import Log, Measurement, Run
from .theme import LIGHT, series_colour

SIZE = (4.7, 3.1)
PHASES = ("cold", "final")


@dataclass(frozen=True)
class Plot:
    """A figure with the name of its file and the sentence below it."""

    name: str
    title: str
    caption: str
    figure: Figure

    def png(self) -> bytes:
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format="png", dpi=200, facecolor=LIGHT["ground"])
        return buffer.getvalue()

    def svg(self) -> str:
        """Inline SVG: ids unique in the page, colours and font left to the page's CSS."""
        buffer = io.StringIO()
        with rc_context({"svg.fonttype": "none", "svg.hashsalt": self.name}):
            self.figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
        svg = buffer.getvalue()
        svg = svg[svg.index("<svg") :]
        svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
        svg = re.sub(r'width="[\d.]+pt" height="[\d.]+pt"', "", svg, count=1)
        svg = re.sub(r"font: ((?:\w+ )*[\d.]+px) [^;\"]+", r"font: \1 var(--font)", svg)
        svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{self.name}-", svg)
        for name, colour in LIGHT.items():
            svg = svg.replace(colour, f"var(--{name})")
        return svg.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1)


def draw_plots(run: Run) -> list[Plot]:
    """Every plot that the run has data for, in the order of the page."""
    candidates = [
        _training_plot(run, "reward", "Reward", _reward_lines(run.grpo), "Mean reward of the step's completions."),
        _accuracy_plot(run),
        _training_plot(
            run,
            "length",
            "Completion length",
            {"completions/mean_length": "all", "completions/mean_terminated_length": "those that ended by themselves"},
            "Mean length of the step's completions, in tokens, with the stage's limit.",
            share=False,
            limit=True,
        ),
        _training_plot(
            run,
            "clipped",
            "Clipped completions",
            {"completions/clipped_ratio": "clipped"},
            "Share of the step's completions cut off at the stage's length limit.",
        ),
        _sft_plot(run),
        _kinds_plot(run),
        _samples_plot(run),
        _training_plot(
            run,
            "no_signal",
            "Groups without a signal",
            {"frac_reward_zero_std": "groups"},
            "Share of groups whose completions all earned the same reward, so that they teach nothing.",
        ),
        _training_plot(
            run,
            "entropy",
            "Entropy",
            {"entropy": "entropy"},
            "Mean entropy of the next-token distribution, in nats.",
            share=False,
        ),
        _training_plot(
            run,
            "kl",
            "KL divergence",
            {"kl": "KL"},
            "Estimated divergence from the reference model, in nats a token.",
            share=False,
        ),
    ]
    return [plot for plot in candidates if plot]


def _axes(title: str, xlabel: str, height: float = SIZE[1]) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(SIZE[0], height), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold", color=LIGHT["ink"], pad=24)
    axes.set_xlabel(xlabel, fontsize=9, color=LIGHT["muted"])
    axes.tick_params(labelsize=9, colors=LIGHT["muted"], length=0)
    axes.grid(axis="y", color=LIGHT["grid"], linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_facecolor("none")
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(LIGHT["muted"])
    return figure, axes


def _share_axis(axis) -> None:
    axis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    axis.set_major_locator(MaxNLocator(5))


def _legend(axes: Axes, columns: int = 3) -> None:
    axes.figure.legend(
        *axes.get_legend_handles_labels(),
        loc="outside lower left",
        ncols=columns,
        fontsize=8.5,
        frameon=False,
        labelcolor=LIGHT["ink"],
        handlelength=1.6,
        columnspacing=1.2,
    )


def _mark_stages(axes: Axes, run: Run) -> None:
    """A line at each boundary, and each stage's name and settings above it where there is room for them."""
    stages = run.stages
    span = run.grpo.last_step
    for stage in stages:
        if stage.start > 0:
            axes.axvline(stage.start, color=LIGHT["muted"], linewidth=1, linestyle=(0, (4, 3)))
        share = (stage.end - stage.start) / span
        label = f"Stage {stage.number}" if share > 0.12 else f"{stage.number}"
        if share > 0.28 and stage.max_length and stage.group_size:
            label += f"\n≤ {stage.max_length:g} tokens × {stage.group_size:g}"
        axes.annotate(
            label,
            ((stage.start + stage.end) / 2, 1),
            xycoords=("data", "axes fraction"),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=8,
            color=LIGHT["muted"],
            linespacing=1.2,
        )


def _running_mean(run: Run, points: list[tuple[float, float]], window: int) -> list[float]:
    """Centred, and within a stage only: what changed at a boundary must not be smeared over it."""
    boundaries = [stage.start for stage in run.stages][1:]
    steps = np.array([step for step, _ in points])
    values = np.array([value for _, value in points])
    stage = np.searchsorted(boundaries, steps, side="left")
    half = window // 2
    means = []
    for index in range(len(points)):
        near = slice(max(0, index - half), index + half + 1)
        means.append(float(values[near][stage[near] == stage[index]].mean()))
    return means


def _training_plot(
    run: Run, name: str, title: str, lines: dict[str, str], caption: str, share: bool = True, limit: bool = False
) -> Plot | None:
    series = {key: run.grpo.series(key) for key in lines} if run.grpo else {}
    series = {key: points for key, points in series.items() if len(points) > 1}
    if not series:
        return None
    figure, axes = _axes(title, "GRPO step")
    longest = max(map(len, series.values()))
    window = 2 * (longest // 30) + 1
    lowest, highest = 0.0, 0.0
    for (key, points), colour in zip(series.items(), ("final", "cold", "stage", "extra", "base")):
        steps, values = zip(*points)
        lowest, highest = min(lowest, *values), max(highest, *values)
        if window > 1:
            axes.plot(steps, values, color=LIGHT[colour], linewidth=0.8, alpha=0.35)
        axes.plot(steps, _running_mean(run, points, window), color=LIGHT[colour], linewidth=2, label=lines[key])
    if limit:
        limits = [(stage.start, stage.end, stage.max_length) for stage in run.stages if stage.max_length]
        for index, (start, end, height) in enumerate(limits):
            label = "the stage's limit" if index == 0 else None
            axes.plot([start, end], [height, height], color=LIGHT["ink"], linewidth=1.4, label=label)
            highest = max(highest, height)
        for (_, end, height), (start, _, next_height) in zip(limits, limits[1:]):
            axes.plot([end, start], [height, next_height], color=LIGHT["ink"], linewidth=1.4)
    axes.set_xlim(0, run.grpo.last_step)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    if share and lowest >= 0 and highest <= 1:
        axes.set_ylim(0, 1)
        _share_axis(axes.yaxis) if name != "reward" else None
    else:
        axes.set_ylim(lowest * 1.05, highest * 1.05 or 1)
    if len(axes.get_legend_handles_labels()[0]) > 1:
        _legend(axes)
    _mark_stages(axes, run)
    if window > 1:
        caption += f" Thin: as logged; thick: mean over {window} logs, within the stage."
    return Plot(name, title, caption, figure)


def _reward_lines(log: Log | None) -> dict[str, str]:
    """The reward, and its parts where it has more than one; five lines at most."""
    parts = {key: key.split("/")[1].replace("_", " ") for key in (log.keys if log else []) if _is_reward_part(key)}
    return {"reward": "reward"} | (dict(list(parts.items())[:4]) if len(parts) > 1 else {})


def _is_reward_part(key: str) -> bool:
    return key.startswith("rewards/") and key.endswith("/mean")


def _accuracy_plot(run: Run) -> Plot | None:
    """Held-out accuracy along the training; without a training log, from model to model."""
    measured = [m for m in run.path if m.accuracy is not None]
    if not measured:
        return None
    places = _places_by_step(run, measured) if run.grpo else dict(enumerate_names(measured))
    figure, axes = _axes("Held-out accuracy", "GRPO step" if run.grpo else "")
    placed = [m for m in measured if m.name in places]
    axes.plot([places[m.name] for m in placed], [m.accuracy for m in placed], color=LIGHT["base"], linewidth=1.4)
    for m in placed:
        x, colour = places[m.name], LIGHT[series_colour(m.name)]
        if m.ci95:
            axes.plot([x, x], m.ci95, color=colour, linewidth=2.2, solid_capstyle="butt", clip_on=False)
        axes.plot(x, m.accuracy, "o", color=colour, markersize=7, clip_on=False, zorder=3)
        side = -1 if run.grpo and x == max(places.values()) and len(placed) > 1 else 1
        axes.annotate(
            f"{m.accuracy:.1%}\n{m.short_label}",
            (x, m.accuracy),
            xytext=(9 * side, 0),
            textcoords="offset points",
            ha="left" if side > 0 else "right",
            va="center",
            fontsize=8.5,
            color=colour,
        )
    base = run.measured("base")
    if run.grpo and base and base.accuracy is not None:
        _level(axes, base.accuracy, f"base {base.accuracy:.1%}", "base")
    if "chance" in run.results:
        _level(axes, run.results["chance"], f"chance {run.results['chance']:.1%}", "muted")
    axes.set_ylim(0, 1)
    _share_axis(axes.yaxis)
    if run.grpo:
        axes.set_xlim(0, run.grpo.last_step)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        _mark_stages(axes, run)
    else:
        axes.set_xticks([])
        axes.set_xlim(-0.3, len(measured) - 0.3)
    counts = {m.n for m in measured if m.n}
    over = f" on {counts.pop()} questions" if len(counts) == 1 else ""
    caption = f"Share of unseen questions answered right{over}; the bars are 95% intervals."
    return Plot("accuracy", "Held-out accuracy", caption, figure)


def enumerate_names(measured: list[Measurement]) -> list[tuple[str, float]]:
    return [(m.name, float(index)) for index, m in enumerate(measured)]


def _places_by_step(run: Run, measured: list[Measurement]) -> dict[str, float]:
    """The step after which each model was evaluated; base lies before all steps and has none."""
    ends = {f"stage_{stage.number}": stage.end for stage in run.stages}
    ends |= {"cold": 0.0, "final": run.grpo.last_step}
    return {m.name: ends[m.name] for m in measured if m.name in ends}


def _level(axes: Axes, height: float, label: str, colour: str) -> None:
    axes.axhline(height, color=LIGHT[colour], linewidth=1.2, linestyle=(0, (1, 2)))
    axes.annotate(
        label,
        (0.5, height),
        xycoords=("axes fraction", "data"),
        xytext=(0, 2),
        textcoords="offset points",
        ha="center",
        va="bottom",
        fontsize=8,
        color=LIGHT[colour],
    )


def _sft_plot(run: Run) -> Plot | None:
    train = run.sft.series("loss") if run.sft else []
    validation = run.sft_eval_loss()
    if len(train) + len(validation) < 2:
        return None
    figure, axes = _axes("Cold start: loss", "SFT step")
    if train:
        axes.plot(*zip(*train), color=LIGHT["base"], linewidth=1.4, label="training")
    if validation:
        axes.plot(*zip(*validation), "o-", color=LIGHT["cold"], linewidth=2, markersize=4, label="validation")
    axes.set_ylim(bottom=0)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    _legend(axes)
    return Plot("sft_loss", "Cold start: loss", "Mean cross-entropy of the completion's tokens, in nats.", figure)


def _kinds_plot(run: Run) -> Plot | None:
    models = [m for m in run.path if m.name in PHASES and m.by_kind]
    if not models:
        return None
    kinds = sorted({kind for m in models for kind in m.by_kind})
    figure, axes = _axes("Accuracy by kind of question", "", height=1.5 + 0.48 * len(kinds))
    thickness = 0.78 / len(models)
    for row, m in enumerate(models):
        colour = LIGHT[series_colour(m.name)]
        for index, kind in enumerate(k for k in kinds):
            if kind not in m.by_kind:
                continue
            share, n = m.by_kind[kind]["accuracy"], m.by_kind[kind]["n"]
            y = index + (row - (len(models) - 1) / 2) * thickness
            axes.barh(y, share, height=thickness * 0.86, color=colour, alpha=0.55, label=m.short_label if not index else None)
            axes.plot(wilson_interval(share, n), [y, y], color=colour, linewidth=2, solid_capstyle="butt", clip_on=False)
    axes.set_yticks(range(len(kinds)), [kind.replace("_", " ") for kind in kinds], color=LIGHT["ink"])
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    _share_axis(axes.xaxis)
    axes.grid(axis="y", visible=False)
    axes.grid(axis="x", color=LIGHT["grid"], linewidth=0.8)
    axes.title.set_position((0, 1))
    _legend(axes)
    sizes = [int(value["n"]) for m in models for value in m.by_kind.values()]
    size = f"{min(sizes)}" if min(sizes) == max(sizes) else f"{min(sizes)} to {max(sizes)}"
    caption = f"{size} unseen questions of each kind; the lines are 95% intervals (Wilson)."
    return Plot("by_kind", "Accuracy by kind of question", caption, figure)


def wilson_interval(share: float, n: float) -> tuple[float, float]:
    """The 95% Wilson score interval of a share of `n`."""
    z2 = 1.959964**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = math.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    return max(0.0, middle - half), min(1.0, middle + half)


def _samples_plot(run: Run) -> Plot | None:
    """Every sampled completion as a dot: how long it was, and whether it was right."""
    rows: list[tuple[str, str, str, list[float]]] = []
    is_right: Callable = lambda reading: bool(reading["correct"])  # noqa: E731
    for phase, label in zip(PHASES, ("cold start", "final")):
        readings = [s[phase] for s in run.samples if phase in s and "length" in s[phase] and "correct" in s[phase]]
        if len(readings) < 12:
            return None
        for wanted, word in ((True, "right"), (False, "wrong")):
            rows.append((phase, label, word, [r["length"] for r in readings if is_right(r) == wanted]))
    figure, axes = _axes("Length and correctness", "Completion length in tokens", height=3.1)
    for y, (phase, _, word, lengths) in enumerate(rows):
        # The golden ratio spreads neighbours evenly without chance.
        spread = [(index * 0.618034) % 1 * 0.56 - 0.28 for index in range(len(lengths))]
        hollow = {"facecolors": "none"} if word == "wrong" else {"facecolors": LIGHT[phase]}
        axes.scatter(lengths, np.add(y, spread), s=16, edgecolors=LIGHT[phase], linewidths=0.9, alpha=0.75, **hollow)
        if lengths:
            middle = float(np.median(lengths))
            axes.plot([middle, middle], [y - 0.4, y + 0.4], color=LIGHT["ink"], linewidth=2.2)
    axes.set_yticks(range(len(rows)), [f"{label},\n{word} ({len(lengths)})" for _, label, word, lengths in rows])
    axes.tick_params(axis="y", labelcolor=LIGHT["ink"])
    axes.invert_yaxis()
    axes.set_xlim(left=0)
    axes.grid(axis="y", visible=False)
    axes.grid(axis="x", color=LIGHT["grid"], linewidth=0.8)
    caption = "One dot for each completion in samples.jsonl: filled is right, hollow is wrong; the black line is the median."
    return Plot("samples_length", "Length and correctness", caption, figure)
