"""The plan at the beginning of a training run, for the machine that it is on."""

import os

import torch

from open_vr1.errors import UserError
from open_vr1.plan import Cluster, is_offline, make_plan
from open_vr1.plan.page import as_text
from open_vr1.recipe import Recipe, sharded_by


def tell_plan(recipe: Recipe) -> None:
    """Print what the run will do and need; a `UserError` if something that it names does not exist."""
    processes = recipe.training.world_size
    engine = sharded_by()
    zero = f"zero{os.environ.get('ACCELERATE_DEEPSPEED_ZERO_STAGE', '3')}"
    sharding = {"DeepSpeed": zero, "FSDP": "fsdp"}.get(engine, "ddp" if processes > 1 else "none")
    memory = None
    if torch.cuda.is_available() and not recipe.training.use_cpu:
        memory = torch.cuda.get_device_properties(0).total_memory
    plan = make_plan(recipe, Cluster(processes, sharding, memory), is_offline())
    if plan.errors:
        raise UserError("\n".join(plan.errors))
    if recipe.training.process_index == 0:
        # An estimate stops nobody.
        plan.warnings, plan.misfits = plan.warnings + plan.misfits, []
        print(as_text(plan), end="\n\n", flush=True)
