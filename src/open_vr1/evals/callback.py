"""
Evaluates every checkpoint while a run trains, and the finished model.

    eval_recipe: recipes/vr1_7b/eval.yaml
    eval_where: process      # or slurm, hf-jobs, here
    eval_devices: "7"        # a GPU that the training leaves free; cpu for none

Training links the checkpoint's files, starts the runner (`open_vr1.evals.runner`) and goes on. What an evaluation does, or that
there is none, never stops it: results and failures are told at the next checkpoint and at the end. With `push_to_hub: true` the
results reach the card of their revision. `eval_where: here` is for small models: the training waits, its random numbers stay.
"""

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from open_vr1.console import say
from open_vr1.errors import UserError
from open_vr1.evals.queue import FINAL, EvalQueue, Job
from open_vr1.hub.outbox.live import NOT_FOR_THE_DRAIN
from open_vr1.recipe import Recipe

CPU = "cpu"
# An evaluation is no process of the training job.
OF_THE_JOB = ("ACCELERATE_", "FSDP_", "TORCHELASTIC_", "PET_")
RUNNER = (sys.executable, "-m", "open_vr1.evals.runner")


def evaluation_of(recipe: Recipe) -> "EvaluationCallback | None":
    """What evaluates a run's checkpoints; `None` if its recipe does not ask for it, or in another process than the first."""
    args, training = recipe.args, recipe.training
    if not args.eval_recipe:
        return None
    if args.eval_where == "here" and training.world_size > 1:
        raise UserError(
            f"{recipe.path}: eval_where: here: the other {training.world_size - 1} processes would wait and give up; write "
            "process, slurm or hf-jobs"
        )
    if args.eval_where == "process" and args.eval_devices is None and training.device.type != CPU:
        raise UserError(
            f"{recipe.path}: eval_devices: this key is missing, and an evaluation on the GPUs that are trained on may take the "
            'memory that the training needs; write the number of a free GPU, like "7", or cpu, or eval_where: slurm'
        )
    return EvaluationCallback(recipe) if training.process_index == 0 else None


class EvaluationCallback(TrainerCallback):
    """
    Leaves each checkpoint for its evaluation and keeps the runner going.

    Args:
        recipe (`Recipe`):
            A recipe with `eval_recipe`.
    """

    def __init__(self, recipe: Recipe):
        self.recipe, self.args = recipe, recipe.args
        self.queue = EvalQueue(recipe.training.output_dir)
        self.told: set[str] = set(self.queue.accuracies())
        self.runner: subprocess.Popen | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._carefully(self._keep_running)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self._evaluate(f"checkpoint-{state.global_step}")

    def finish(self) -> None:
        """The finished model too. Its weights are the last checkpoint's, where one was saved at the last step."""
        steps = [int(path.name.removeprefix("checkpoint-")) for path in self.queue.run.glob("checkpoint-*")]
        last = f"checkpoint-{max(steps)}" if steps and self._is_last(max(steps)) else None
        self._evaluate(FINAL, last)
        if waiting := self.queue.jobs():
            say(
                f"{len(waiting)} evaluations go on; their results will be in {self.queue.results}, and what they say in "
                f"{self.queue.held / 'runner.log'}. After a kill: python {' '.join(RUNNER[1:])} {self.queue.run}"
            )

    def _is_last(self, step: int) -> bool:
        state = self.queue.run / "trainer_state.json"
        return state.is_file() and json.loads(state.read_text())["global_step"] == step

    def _evaluate(self, name: str, same_as: str | None = None) -> None:
        devices = None if self.args.eval_devices == CPU else self.args.eval_devices
        publish = bool(self.recipe.values.get("push_to_hub"))
        job = Job(name, self.args.eval_recipe, self.args.eval_where, devices, publish, same_as)
        self._carefully(lambda: self.queue.add(job))
        self._carefully(self._run_here if job.where == "here" else self._keep_running)
        self._tell()

    def _carefully(self, work: Any) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001  # Nothing about an evaluation may stop a training run.
            say(f"warning: {self.queue.held}: {type(error).__name__}: {error}")

    def _keep_running(self) -> None:
        """Start a runner where there is none and something waits. A second one would end at once."""
        if not self.queue.jobs() or self.queue.at_work():
            return
        environment = {
            name: value
            for name, value in os.environ.items()
            if name not in NOT_FOR_THE_DRAIN and not name.startswith(OF_THE_JOB)
        }
        with (self.queue.held / "runner.log").open("a") as log:
            # A session of its own, so that neither Ctrl-C nor the end of this process is its end.
            self.runner = subprocess.Popen(
                [*RUNNER, str(self.queue.run)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=environment,
            )

    def _run_here(self) -> None:
        from open_vr1.evals.runner import Runner

        with same_random_numbers():
            Runner(self.queue).run_here()

    def _tell(self) -> None:
        """Once of each."""
        if self.runner and self.runner.poll():
            say(
                f"warning: what evaluates has ended with exit code {self.runner.poll()}: {self.queue.held / 'runner.log'}"
            )
            self.runner = None
        for name, accuracy in self.queue.accuracies().items():
            if name not in self.told and accuracy is not None:
                self.told.add(name)
                say(f"evaluation of {name}: accuracy {accuracy:.3f}")
        for name, reason in self.queue.failures().items():
            if (words := f"evaluation of {name} has failed: {reason}") not in self.told:
                self.told.add(words)
                say(f"warning: {words}")


@contextmanager
def same_random_numbers() -> Iterator[None]:
    """What is drawn inside changes nothing of what is drawn after it."""
    import numpy as np
    import torch

    before = random.getstate(), np.random.get_state()
    with torch.random.fork_rng():
        yield
    random.setstate(before[0])
    np.random.set_state(before[1])
