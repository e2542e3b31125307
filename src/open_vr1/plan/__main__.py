"""`make plan`: print a recipe's plan; exit 2 where something is wrong with it."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from open_vr1.accelerate_configs import accelerate_config
from open_vr1.elsewhere import Elsewhere
from open_vr1.entry import entry_point
from open_vr1.errors import UserError
from open_vr1.recipe import TASKS, read_recipe
from open_vr1.recipe_file import read_file


@entry_point
def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m open_vr1.plan", description=__doc__)
    parser.add_argument("--config", required=True, help="the recipe")
    parser.add_argument("--accelerate", default="", help="a name in recipes/accelerate_configs")
    parser.add_argument("--processes", type=int, help="training processes; the accelerate config's by default")
    parser.add_argument("--gpu_gib", type=float, help="memory of a GPU")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given, overrides = parser.parse_known_args(argv)
    try:
        plan = plan_file(given.config, overrides, given.accelerate, given.processes, given.gpu_gib)
    except UserError as error:
        if not given.json:
            raise
        print(json.dumps({"recipe": given.config, "errors": str(error).splitlines(), "warnings": []}))
        sys.exit(2)
    if plan.task == "cold":
        from open_vr1.cold.plan import as_text
    else:
        from open_vr1.plan.page import as_text

    print(json.dumps(plan.as_json()) if given.json else as_text(plan))
    wrong = plan.errors + plan.misfits
    if wrong and given.json:
        sys.exit(2)
    if wrong:
        raise UserError("\n".join(wrong))


def plan_file(
    path: str | Path,
    overrides: Sequence[str] = (),
    accelerate: str = "",
    processes: int | None = None,
    gpu_gib: float | None = None,
    offline: bool = False,
) -> Any:
    """The plan of a recipe's file for other machines than this one."""
    task = read_file(path, overrides).values.get("task")
    if not isinstance(task, str) or task not in TASKS:
        task = "grpo"  # The reader says what is wrong with it.
    machine = accelerate_config(accelerate)
    count = machine.processes if processes is None else processes
    if count < 1:
        raise UserError(f"PROCESSES={processes}: write 1 or more")
    recipe = read_recipe(path, task, overrides, elsewhere=Elsewhere(count, machine.sharded_by))
    if task == "cold":
        from open_vr1.cold.plan import make_cold_plan

        return make_cold_plan(recipe)
    from open_vr1.plan import Cluster, is_offline, make_plan

    gpu_bytes = int(gpu_gib * 2**30) if gpu_gib else None
    return make_plan(recipe, Cluster(count, machine.sharding, gpu_bytes), offline or is_offline())


if __name__ == "__main__":
    sys.exit(main())
