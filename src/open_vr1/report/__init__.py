"""The run report: one self-contained `report.html` to look at and send around, and its plots as PNG beside it.

Reads what a run left in its folder (`results.json`, the trainer's logs, `samples.jsonl`) and leaves out of the page what
the folder doesn't have. The page makes no request: pictures and plots are inside it, and it has no script.

    python -m open_vr1.report --run outputs/demo
"""

import argparse
import os
import sys
from pathlib import Path

from ..errors import UserError
from .inputs import read_run
from .page import render_page
from .plots import draw_plots


def write_report(run_dir: Path) -> Path:
    """
    Write `report.html` and `plots/*.png` into a run's folder.

    Args:
        run_dir (`Path`):
            An output folder: of the demo, of `make sft` or of `make grpo`, finished or still training.

    Returns:
        `Path`: the page.
    """
    run = read_run(Path(run_dir))
    plots = draw_plots(run)
    if plots:
        (run.folder / "plots").mkdir(exist_ok=True)
    for plot in plots:
        (run.folder / "plots" / f"{plot.name}.png").write_bytes(plot.png())
    page = run.folder / "report.html"
    unfinished = page.with_suffix(".html.tmp")
    # A model can write half a character; the page shows a question mark in its place.
    unfinished.write_text(render_page(run, plots), encoding="utf-8", errors="replace")
    os.replace(unfinished, page)
    return page


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m open_vr1.report", description="Write a run's report.html and plots."
    )
    parser.add_argument("--run", type=Path, required=True, help="the run's output folder, such as outputs/demo")
    try:
        print(write_report(parser.parse_args(argv).run))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0
