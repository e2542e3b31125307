"""What all of the report's plots share: the figure's look, the stage marks, and the two ways to write it out.

A plot is written as PNG in light colours, and as SVG that takes the page's font and colours. Nothing here touches pyplot or
leaves a setting of matplotlib's changed.
"""

import io
import re
from dataclasses import dataclass

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from .inputs import Run
from .theme import LIGHT

WIDTH, HEIGHT = 4.3, 2.9
PAD, PAD_OVER_STAGES = 8, 30


@dataclass(frozen=True)
class Plot:
    """A figure with the name of its file and the sentence below it."""

    name: str
    title: str
    caption: str
    figure: Figure

    def png(self) -> bytes:
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format="png", dpi=200, facecolor=LIGHT["ground"], metadata={"Software": None})
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


def new_axes(
    title: str, xlabel: str, height: float = HEIGHT, values: str = "y", pad: float = PAD
) -> tuple[Figure, Axes]:
    """One empty plot; `values` is the axis that the values lie on, which gets the grid, `pad` the room below the title."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.09, h_pad=0.06)
    axes = figure.add_subplot()
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold", color=LIGHT["ink"], pad=pad)
    axes.set_xlabel(xlabel, fontsize=9, color=LIGHT["muted"])
    axes.tick_params(labelsize=9, colors=LIGHT["muted"], length=0)
    axes.grid(axis=values, color=LIGHT["grid"], linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(LIGHT["muted"])
    return figure, axes


def share_axis(axis: Axis) -> None:
    """0% to 100%, whatever the data's range."""
    axis.axes.set(**{f"{axis.axis_name}lim": (0, 1)})
    axis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    axis.set_major_locator(MaxNLocator(5))


def step_axis(axes: Axes, last_step: float) -> None:
    axes.set_xlim(0, last_step)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, steps=[1, 2, 5, 10]))


def add_legend(axes: Axes) -> None:
    axes.figure.legend(
        *axes.get_legend_handles_labels(),
        loc="outside lower left",
        ncols=3,
        fontsize=8.5,
        frameon=False,
        labelcolor=LIGHT["ink"],
        handlelength=1.6,
        columnspacing=1.2,
    )


def mark_stages(axes: Axes, run: Run) -> None:
    """A line at each boundary, and each stage's name and settings above it where there is room for them."""
    for stage in run.stages:
        if stage.start > 0:
            axes.axvline(stage.start, color=LIGHT["muted"], linewidth=1, linestyle=(0, (4, 3)))
        share = (stage.end - stage.start) / run.last_step
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
