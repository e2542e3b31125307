"""
What `ACCELERATE=zero3` stands for: `recipes/accelerate_configs/zero3.yaml`, its processes and how they share a model.
"""

from dataclasses import dataclass
from pathlib import Path

import yaml

from open_vr1.errors import UserError
from open_vr1.recipe_types import nearest

FOLDER = Path("recipes/accelerate_configs")


@dataclass(frozen=True)
class AccelerateConfig:
    """
    Args:
        path (`Path`, *optional*):
            The file; `None` where one process trains without accelerate.
        processes (`int`, *optional*, defaults to `1`):
            Processes of one machine.
        sharding (`str`, *optional*, defaults to `"none"`):
            `"none"`, `"ddp"`, `"zero2"`, `"zero3"` or `"fsdp"`.
    """

    path: Path | None = None
    processes: int = 1
    sharding: str = "none"

    @property
    def sharded_by(self) -> str | None:
        """What holds the weights, where it is not the processes themselves."""
        return {"zero2": "DeepSpeed", "zero3": "DeepSpeed", "fsdp": "FSDP"}.get(self.sharding)


def accelerate_config(name: str) -> AccelerateConfig:
    """The configuration of that name; one process for an empty name."""
    if not name:
        return AccelerateConfig()
    path = FOLDER / f"{name}.yaml"
    if not path.is_file():
        known = config_names()
        hint = f"the nearest is {nearest(name, known)} of {', '.join(known)}" if known else f"{FOLDER} is empty"
        raise UserError(f"ACCELERATE={name}: there is no {path}; {hint}")
    values = yaml.safe_load(path.read_text())
    zero = f"zero{values.get('deepspeed_config', {}).get('zero_stage')}"
    sharding = {"DEEPSPEED": zero, "FSDP": "fsdp"}.get(values["distributed_type"], "ddp")
    return AccelerateConfig(path, int(values["num_processes"]), sharding)


def config_names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))
