"""
Run a recipe on Slurm or on Hugging Face Jobs. The recipe is read and checked here, in full, before anything is submitted.

    make grpo RECIPE=recipes/vr1_tiny/ptst.yaml LAUNCHER=slurm NODES=2 ACCELERATE=zero3
    make grpo RECIPE=recipes/vr1_tiny/ptst.yaml LAUNCHER=hf-jobs FLAVOR=h200x8 ACCELERATE=zero3 DRY_RUN=1

`DRY_RUN=1` prints what would be submitted and does nothing else.
"""

import sys
from collections.abc import Sequence

from open_vr1.entry import entry_point
from open_vr1.launch import jobs, slurm
from open_vr1.launch.request import parse


@entry_point
def main(argv: Sequence[str] | None = None) -> None:
    request = parse(sys.argv[1:] if argv is None else argv)
    {"slurm": slurm.launch, "hf-jobs": jobs.launch}[request.launcher](request)


if __name__ == "__main__":
    sys.exit(main())
