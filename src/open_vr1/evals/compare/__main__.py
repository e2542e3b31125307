"""Compare evaluations; see `open_vr1.evals.compare`.

make compare RUNS="outputs/vr1_tiny/cold outputs/vr1_tiny/final" OUTPUT=outputs/compare/tiny
"""

import argparse
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from open_vr1.entry import entry_point
from open_vr1.errors import UserError

FOLDER = Path("outputs/compare")
LONGEST_NAME = 100


@entry_point
def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m open_vr1.evals.compare",
        description="Compare evaluations on the questions that they share; the first is what the others are compared with.",
    )
    parser.add_argument(
        "runs",
        nargs="+",
        type=Path,
        help="an evaluation's folder, a model's or checkpoint's that has one in eval/, or a training run's with evaluated checkpoints",
    )
    parser.add_argument("--output_dir", type=Path, help=f"where to write ({FOLDER}/<names of the runs>)")
    given = parser.parse_args(argv)

    # ----- What there is to compare
    from open_vr1.evals.compare.inputs import read_evaluations, short_names

    evaluations = read_evaluations(given.runs)
    if len(evaluations) < 2:
        raise UserError(
            f"RUNS: {given.runs[0]}: one evaluation cannot be compared; name another, or see its {given.runs[0]}/report.html"
        )
    folder = given.output_dir or FOLDER / _slug("-and-".join(short_names(given.runs)))

    # ----- Comparing
    from open_vr1.evals.compare.contrast import contrast
    from open_vr1.evals.compare.page import write_page, write_plots
    from open_vr1.evals.compare.plots import draw_plots
    from open_vr1.evals.compare.table import as_json, markdown, text

    tables = contrast(evaluations)

    # ----- What is left of it
    plots = draw_plots(tables, evaluations)
    files = write_plots(folder / "plots", plots)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "compare.json").write_text(json.dumps(as_json(tables), indent=2) + "\n")
    (folder / "compare.md").write_text(markdown(tables, files))
    page = write_page(folder / "compare.html", evaluations, tables, plots)
    print(text(tables))
    print(f"\n{page}, compare.md, compare.json and plots/ are in {folder}")


def _slug(names: str) -> str:
    return re.sub(r"[^\w.-]+", "-", names)[:LONGEST_NAME].strip("-.")


if __name__ == "__main__":
    sys.exit(main())
