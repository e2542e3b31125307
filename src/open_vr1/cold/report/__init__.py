"""
The quality report of `make cold`: what came in, what went out and why, and what is left, to read before anyone trains on it.

`report.html` is complete in itself and loads nothing; its plots lie beside it as PNG. The same data makes the same bytes: what
is shown is chosen by a hash of the row's id, never by how well it reads.
"""

import os
import warnings
from pathlib import Path
from typing import Any

from open_vr1.cold.report.counts import count_chains
from open_vr1.cold.report.page import render_page
from open_vr1.cold.report.plots import draw_plots


def write_report(facts: dict[str, Any], build: Path, folder: Path) -> None:
    """
    Write `report.html` and its plots as PNG.

    Args:
        facts (`dict`):
            What the run has counted, of `gather_facts`. With `measured`, where it is known what was planted, the page also
            says how much of it each rule has found.
        build (`Path`):
            The run's `_build`; the dataset's files lie beside it.
        folder (`Path`):
            Where the files go.
    """
    chains = count_chains(build / "filter" / "kept.parquet")
    with warnings.catch_warnings():
        # A source's name may have letters that the plots' font lacks; the page has them.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        plots = draw_plots(facts, chains)
        for plot in plots.values():
            (folder / f"{plot.name}.png").write_bytes(plot.png())
        html = render_page(facts, chains, plots, build)
    draft = folder / "report.html.tmp"
    # A model can write half a character; the page shows a question mark in its place.
    draft.write_text(html, encoding="utf-8", errors="replace")
    os.replace(draft, folder / "report.html")
