"""
What was asked for: the words of a make target, taken apart and checked for what no launcher lets through.

    make grpo RECIPE=recipes/vr1_tiny/ptst.yaml LAUNCHER=slurm NODES=2 ACCELERATE=zero3 ARGS="--learning_rate 2e-6"

runs `python -m open_vr1.launch slurm NODES=2 ACCELERATE=zero3 -m open_vr1.grpo --config recipes/vr1_tiny/ptst.yaml
--learning_rate 2e-6`. What follows `-m` is the command that runs elsewhere, word for word.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import get_token

from open_vr1.accelerate_configs import AccelerateConfig, accelerate_config, config_names
from open_vr1.elsewhere import Elsewhere
from open_vr1.errors import UserError
from open_vr1.masking import HUB_TOKEN, SHORTEST_SECRET, is_secret
from open_vr1.recipe import TASKS, Recipe, read_recipe
from open_vr1.recipe_file import read_file
from open_vr1.recipe_types import nearest

COMMON = ("ACCELERATE", "PROCESSES", "DRY_RUN")
SETTINGS = {
    "slurm": ("NODES", "VLLM_NODES", "SITE"),
    "hf-jobs": ("FLAVOR", "TIMEOUT", "NAMESPACE", "BUCKET", "IMAGE", "REPOSITORY", "REVISION", "SECRETS"),
}
LAUNCHERS = ("local", *SETTINGS)


@dataclass(frozen=True)
class Request:
    """
    A run for another machine.

    Args:
        launcher (`str`):
            A key of `SETTINGS`.
        settings (`dict[str, str]`):
            The launcher's variables as they were given to make.
        task (`str`):
            A key of `TASKS`.
        config (`Path`):
            The recipe's file.
        overrides (`tuple[str, ...]`):
            The words that follow it.
    """

    launcher: str
    settings: dict[str, str]
    task: str
    config: Path
    overrides: tuple[str, ...]

    @property
    def command(self) -> list[str]:
        """What Python or `accelerate launch` is to run."""
        return ["-m", f"open_vr1.{TASKS[self.task].target}", "--config", str(self.config), *self.overrides]

    @property
    def name(self) -> str:
        """`recipes/vr1_tiny/ptst.yaml` as `vr1_tiny-ptst`."""
        return re.sub(r"[^\w.-]", "-", f"{self.config.resolve().parent.name}-{self.config.stem}")

    @property
    def dry_run(self) -> bool:
        return self.settings.get("DRY_RUN", "0") not in ("", "0")

    @property
    def machine(self) -> AccelerateConfig:
        """The processes of one machine."""
        return accelerate_config(self.settings.get("ACCELERATE", ""))

    def number(self, name: str, default: int, least: int = 1) -> int:
        """A setting that counts something."""
        given = self.settings.get(name, str(default))
        if not given.isdecimal() or int(given) < least:
            raise UserError(f"{name}={given}: write a whole number of {least} or more")
        return int(given)

    def processes(self, default: int, machines: int = 1) -> int:
        """How many processes train on all machines together; one without `ACCELERATE`."""
        if "ACCELERATE" not in self.settings:
            for name, count in (("PROCESSES", self.number("PROCESSES", 1)), ("NODES", machines)):
                if count > 1:
                    raise UserError(
                        f"{name}={count}: without ACCELERATE one process trains; write ACCELERATE=zero3 or another of "
                        f"{', '.join(config_names())}"
                    )
            return 1
        processes = self.number("PROCESSES", default)
        if processes % machines:
            raise UserError(
                f"PROCESSES={processes}: it counts the processes of all {machines} nodes, which have equally many; write "
                f"a multiple of {machines}"
            )
        return processes

    def accelerate(self, processes: int) -> list[str]:
        """The words of `accelerate launch` that are the same on every machine; none without `ACCELERATE`."""
        if "ACCELERATE" not in self.settings:
            return []
        return ["--config_file", str(self.machine.path), "--num_processes", str(processes)]

    def peek(self) -> dict[str, Any]:
        """What the recipe says, before it is known for how many processes it has to be checked."""
        return read_file(self.config, self.overrides).values

    def read(self, processes: int) -> Recipe:
        """The recipe, checked for the machines that will run it."""
        return read_recipe(
            self.config, self.task, self.overrides, elsewhere=Elsewhere(processes, self.machine.sharded_by)
        )


def parse(argv: Sequence[str]) -> Request:
    """The request of `LAUNCHER NAME=value... -m open_vr1.TARGET --config FILE [--key value ...]`."""
    words = list(argv)
    launcher = words.pop(0) if words else ""
    if launcher not in SETTINGS:
        raise UserError(f"LAUNCHER={launcher}: there are {', '.join(LAUNCHERS[:-1])} and {LAUNCHERS[-1]}")
    split = words.index("-m") if "-m" in words else len(words)
    refuse_secrets(words, os.environ, get_token())
    settings = _settings(launcher, words[:split])
    tasks = {f"open_vr1.{task.target}": name for name, task in TASKS.items()}
    module, flag, config, *overrides = [*words[split + 1 :], "", "", ""][: max(3, len(words) - split - 1)]
    if module not in tasks or flag != "--config" or not config:
        raise UserError(f"write make grpo RECIPE=recipes/<name>/<recipe>.yaml LAUNCHER={launcher}")
    return Request(launcher, settings, tasks[module], Path(config), tuple(overrides))


def _settings(launcher: str, words: Sequence[str]) -> dict[str, str]:
    known = (*SETTINGS[launcher], *COMMON)
    settings = {}
    for word in words:
        name, _, value = word.partition("=")
        if name not in known:
            other = next((other for other in SETTINGS if name in SETTINGS[other]), None)
            hint = f"it is for LAUNCHER={other}" if other else f"the nearest is {nearest(name, known)}"
            raise UserError(f"{word}: LAUNCHER={launcher} has no {name}; {hint}")
        settings[name] = value
    return settings


def refuse_secrets(words: Sequence[str], environment: Mapping[str, str], token: str | None) -> None:
    """Command lines are recorded where others read them; a `UserError` that does not repeat the secret."""
    secrets = [token, *(value for name, value in environment.items() if is_secret(name))]
    secrets = [secret for secret in secrets if secret and len(secret) >= SHORTEST_SECRET]
    key = "the command line"
    for word in words:
        if HUB_TOKEN.search(word) or any(secret in word for secret in secrets):
            place = word.partition("=")[0] if re.match(r"--\w+=|[A-Z_]+=", word) else key
            raise UserError(
                f"{place}: a token or another secret stands here, and command lines are recorded where others read them; "
                "leave it out: docs/launch.md says how a job gets its token"
            )
        key = word if word.startswith("--") else key
