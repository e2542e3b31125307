"""The plots of evaluated models: accuracy along the training and by kind of question, and length against correctness."""

import numpy as np
from matplotlib.axes import Axes

from ..intervals import wilson_interval
from .canvas import PAD, PAD_OVER_STAGES, Plot, add_legend, mark_stages, new_axes, share_axis, step_axis
from .inputs import Measurement, Run
from .theme import LIGHT, series_colour

COMPARED = {"cold": "cold start", "final": "final"}
FEWEST_DOTS = 12
GOLDEN_RATIO = 0.618034


def accuracy_plot(run: Run) -> Plot | None:
    """Held-out accuracy at the steps after which it was measured; without a training log, model by model."""
    measured = [m for m in run.path if m.accuracy is not None]
    if not measured:
        return None
    places = _steps_of_models(run) if run.grpo else {m.name: float(index) for index, m in enumerate(measured)}
    # Where two were measured after the same step, the later one, `final`, is drawn.
    drawn = list({places[m.name]: m for m in measured if m.name in places}.values())
    figure, axes = new_axes(
        "Held-out accuracy", "GRPO step" if run.grpo else "", pad=PAD_OVER_STAGES if run.stages else PAD
    )
    axes.plot([places[m.name] for m in drawn], [m.accuracy for m in drawn], color=LIGHT["base"], linewidth=1.4)
    for index, m in enumerate(drawn):
        x, colour = places[m.name], LIGHT[series_colour(m.name)]
        if m.ci95:
            axes.plot([x, x], m.ci95, color=colour, linewidth=2.4, solid_capstyle="butt", clip_on=False)
        axes.plot(x, m.accuracy, "o", color=colour, markersize=7, clip_on=False, zorder=3)
        is_last = index == len(drawn) - 1 > 0
        neighbour = drawn[index - 1] if is_last else drawn[min(index + 1, len(drawn) - 1)]
        near_ticks = run.grpo is not None and m.accuracy < 0.12
        _label_point(axes, x, m, left=is_last, above=near_ticks or neighbour.accuracy < m.accuracy)
    base, chance = run.measured("base"), run.results.get("chance")
    if run.grpo and base and base.accuracy is not None:
        _draw_level(axes, base.accuracy, f"base {base.accuracy:.1%}", "base", "left")
    if chance is not None:
        _draw_level(axes, chance, f"chance {chance:.1%}", "muted", "right")
    share_axis(axes.yaxis)
    if run.grpo:
        step_axis(axes, run.last_step)
        mark_stages(axes, run)
    else:
        axes.set_xticks([])
        axes.set_xlim(-0.2, max(1, len(measured) - 1) + 0.2)
    counts = {m.n for m in drawn}
    number = f" {counts.pop():g}" if len(counts) == 1 and None not in counts else ""
    caption = f"Share of{number} unseen questions answered right; the bars are 95% intervals."
    return Plot("accuracy", "Held-out accuracy", caption, figure)


def _steps_of_models(run: Run) -> dict[str, float]:
    """The GRPO step after which each model was evaluated; the base model comes before the cold start and has none."""
    return {"cold": 0.0} | {f"stage_{s.number}": s.end for s in run.stages} | {"final": run.last_step}


def _label_point(axes: Axes, x: float, m: Measurement, left: bool, above: bool) -> None:
    axes.annotate(
        f"{m.accuracy:.1%}\n{m.short_label}",
        (x, m.accuracy),
        xytext=(-7 if left else 7, 4 if above else -4),
        textcoords="offset points",
        ha="right" if left else "left",
        va="bottom" if above else "top",
        fontsize=8.5,
        color=LIGHT[series_colour(m.name)],
    )


def _draw_level(axes: Axes, height: float, label: str, colour: str, side: str) -> None:
    axes.axhline(height, color=LIGHT[colour], linewidth=1.2, linestyle=(0, (1, 2)))
    axes.annotate(
        label,
        (0.015 if side == "left" else 0.985, height),
        xycoords=("axes fraction", "data"),
        xytext=(0, 2),
        textcoords="offset points",
        ha=side,
        va="bottom",
        fontsize=8,
        color=LIGHT[colour],
    )


def kinds_plot(run: Run) -> Plot | None:
    """Accuracy of cold start and final model for each kind of question."""
    models = [m for m in run.path if m.name in COMPARED and m.by_kind]
    if not models:
        return None
    kinds = sorted({kind for m in models for kind in m.by_kind})
    figure, axes = new_axes("Accuracy by kind of question", "", height=1.2 + 0.48 * len(kinds), values="x")
    thickness = 0.78 / len(models)
    for row, m in enumerate(models):
        colour = LIGHT[series_colour(m.name)]
        offset = (row - (len(models) - 1) / 2) * thickness
        places = [index + offset for index, kind in enumerate(kinds) if kind in m.by_kind]
        scores = [m.by_kind[kind] for kind in kinds if kind in m.by_kind]
        shares = [score["accuracy"] for score in scores]
        axes.barh(places, shares, height=0.86 * thickness, color=colour, alpha=0.5, label=m.short_label)
        for y, score in zip(places, scores):
            ends = wilson_interval(score["accuracy"], score["n"])
            axes.plot(ends, [y, y], color=colour, linewidth=2.4, solid_capstyle="butt", clip_on=False)
    axes.set_yticks(range(len(kinds)), [kind.replace("_", " ") for kind in kinds], color=LIGHT["ink"])
    axes.invert_yaxis()
    share_axis(axes.xaxis)
    add_legend(axes)
    sizes = sorted({int(score["n"]) for m in models for score in m.by_kind.values()})
    number = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    caption = f"{number} unseen questions of each kind; the lines are 95% intervals (Wilson)."
    return Plot("by_kind", "Accuracy by kind of question", caption, figure)


def samples_plot(run: Run) -> Plot | None:
    """Every sampled completion as a dot: how long it was, and whether it was right."""
    rows: list[tuple[str, bool, list[float]]] = []
    for phase in COMPARED:
        readings = [sample.get(phase) or {} for sample in run.samples]
        judged = [
            (r["correct"], r["length"])
            for r in readings
            if r.get("correct") is not None and r.get("length") is not None
        ]
        if len(judged) < FEWEST_DOTS:
            return None
        rows += [
            (phase, wanted, [length for correct, length in judged if correct == wanted]) for wanted in (True, False)
        ]
    figure, axes = new_axes("Length and correctness", "Completion length in tokens", values="x")
    for y, (phase, correct, lengths) in enumerate(rows):
        # Multiples of the golden ratio spread neighbours evenly, without chance.
        spread = [(index * GOLDEN_RATIO) % 1 * 0.56 - 0.28 for index in range(len(lengths))]
        fill = LIGHT[phase] if correct else "none"
        axes.scatter(
            lengths, np.add(y, spread), s=16, facecolors=fill, edgecolors=LIGHT[phase], linewidths=0.9, alpha=0.75
        )
        if lengths:
            axes.plot([np.median(lengths)] * 2, [y - 0.4, y + 0.4], color=LIGHT["ink"], linewidth=2.2)
    labels = [
        f"{COMPARED[phase]},\n{'right' if correct else 'wrong'} ({len(lengths)})" for phase, correct, lengths in rows
    ]
    axes.set_yticks(range(len(rows)), labels, color=LIGHT["ink"])
    axes.invert_yaxis()
    axes.set_xlim(left=0)
    caption = "One dot for each completion in samples.jsonl: filled is right, hollow is wrong; the upright line is the median."
    return Plot("samples_length", "Length and correctness", caption, figure)
