"""Run a sweep and compare its runs; see `open_vr1.sweep`.

make sweep RECIPE=recipes/vr1_tiny/ptst.yaml GRID=recipes/vr1_tiny/sweep.yaml JOBS=2
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from open_vr1.entry import entry_point
from open_vr1.errors import UserError


@entry_point
def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m open_vr1.sweep", description="Run a recipe many times over.")
    parser.add_argument("--config", type=Path, required=True, help="the recipe that every run begins from")
    parser.add_argument("--grid", type=Path, required=True, help="the grid file: what differs")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time (1)")
    parser.add_argument("--output_dir", type=Path, help="where to write (outputs/sweeps/<name of the grid file>)")
    given = parser.parse_args(argv)
    if given.jobs < 1:
        raise UserError(f"--jobs {given.jobs} runs nothing; write 1 or more")

    # ----- What there is to run, all of it checked
    from open_vr1.sweep.grid import check_start, read_sweep
    from open_vr1.sweep.runner import Runner

    sweep = read_sweep(given.config, given.grid, given.output_dir)
    check_start(sweep)

    # ----- Running
    print(f"{len(sweep.runs)} runs in {sweep.folder}, {given.jobs} at a time", flush=True)
    failed = Runner(sweep, given.jobs).run()

    # ----- What came out
    from open_vr1.sweep.results import read_results
    from open_vr1.sweep.table import write_tables

    results = read_results(sweep)
    if results:
        write_tables(sweep, results)
        from open_vr1.sweep.plots import write_plots

        write_plots(sweep, results)
        print((sweep.folder / "table.md").read_text())
        print(f"table.md, results.json and the plots are in {sweep.folder}")
    if failed:
        listed = "".join(f"\n  {name}: {reason}" for name, reason in failed.items())
        count = len(sweep.runs) + len(sweep.starts)
        raise UserError(f"{len(failed)} of {count} did not end well; the same command tries them again{listed}")


if __name__ == "__main__":
    sys.exit(main())
