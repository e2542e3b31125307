"""The model card's curves, from the trainer's log that a checkpoint carries: `plots/*.png` beside its `README.md`.

They are the run report's plots (`open_vr1.report`), over all the steps that the run is meant to have, with every stage and this
checkpoint's own step marked. The same log gives the same bytes.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from open_vr1.cold.steps import replacing
from open_vr1.hub.model_facts import read_state
from open_vr1.report.canvas import Plot, add_legend
from open_vr1.report.inputs import Log, Run, Stage
from open_vr1.report.plots import CURVES, reward_curve, sft_plot, training_plot
from open_vr1.report.theme import LIGHT

FOLDER = "plots"
STATE = "trainer_state.json"


def write_plots(
    folder: Path, stages: Sequence[Mapping[str, Any]], step: int | None, total_steps: int | None
) -> list[dict[str, str]]:
    """
    Write the plots that the log has data for.

    Args:
        folder (`Path`):
            The checkpoint.
        stages (`Sequence[Mapping]`):
            The stages of `model_facts.stage_rows`.
        step (`int`, *optional*):
            The checkpoint's step.
        total_steps (`int`, *optional*):
            Steps that the run is meant to have.

    Returns:
        `list[dict]`: `path`, `title` and `caption` of each, for the card.
    """
    rows = [row for row in read_state(folder / STATE).get("log_history", []) if "step" in row]
    if not rows:
        return []
    written = []
    for plot in _draw(folder, rows, stages, total_steps):
        if step:
            _mark_checkpoint(plot, step)
        path = folder / FOLDER / f"{plot.name}.png"
        path.parent.mkdir(exist_ok=True)
        with replacing(path) as draft:
            draft.write_bytes(plot.png())
        written.append({"path": f"{FOLDER}/{path.name}", "title": plot.title, "caption": plot.caption})
    return written


def _draw(
    folder: Path, rows: list[dict[str, Any]], stages: Sequence[Mapping[str, Any]], total_steps: int | None
) -> list[Plot]:
    log = Log(rows)
    if not log.series("reward"):
        plots = [sft_plot(Run(folder, {}, [], [], log, None, []))]
    else:
        planned = tuple(
            Stage(row["number"], row["first"] - 1, row["last"], row["max_completion_length"], row["num_generations"])
            for row in stages
        )
        run = Run(folder, {}, [], [], None, log, [], planned, max(total_steps or 0, log.last_step))
        curves = [reward_curve(run), CURVES["length"], CURVES["clipped"]]
        plots = [training_plot(run, curve) for curve in curves]
    return [plot for plot in plots if plot]


def _mark_checkpoint(plot: Plot, step: int) -> None:
    (axes,) = plot.figure.axes
    if step > axes.get_xlim()[1]:
        return
    dots = (0, (1, 1))
    axes.axvline(step, color=LIGHT["ink"], linewidth=1.8, linestyle=dots, label="this checkpoint", clip_on=False)
    for legend in list(plot.figure.legends):
        legend.remove()
    add_legend(axes)
