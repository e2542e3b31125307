"""
Publishing while a run trains: `push_to_hub: true` with a `hub_model_id`.

Before anything is loaded the repository is made, or it is found out that this token may not. After that nothing about the Hub
stops or slows the training: a Hub that cannot be reached is told of and waited for by the drain, and a run without a token or a
network is published later with `make outbox-drain RUN=...`.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, constants, get_token
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from open_vr1.console import Line, say
from open_vr1.errors import UserError
from open_vr1.hub.account import check_account
from open_vr1.hub.calls import Caller, HubUnreachable, answers_within
from open_vr1.hub.commits import remote_files
from open_vr1.hub.outbox.drain import STATUS
from open_vr1.hub.outbox.folder import Destination, Item, Outbox
from open_vr1.hub.outbox.publisher import Publisher
from open_vr1.hub.outbox.staging import MANIFEST, Stager
from open_vr1.recipe import Recipe

CHECK_SECONDS = 15.0
STATE_SECONDS = 600.0
POLL_SECONDS = 0.5
# Between two starts of a drain that ends at once.
RESTART_SECONDS = 10.0
# The drain is no process of the training job, and no load on it.
NOT_FOR_THE_DRAIN = ("WORLD_SIZE", "RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def destination_of(values: Mapping[str, Any]) -> Destination | None:
    """Where a recipe's run is published, by its values."""
    repo = values.get("hub_model_id")
    return Destination(repo, values.get("hub_revision") or "main") if repo else None


def publication_of(recipe: Recipe) -> "LivePublication | None":
    """
    What publishes a recipe's run while it trains, ready to; `None` if the recipe does not ask for it, or in another process
    than the first. The run's folder must have its manifest.
    """
    if not recipe.values.get("push_to_hub") or recipe.training.process_index != 0:
        return None
    publication = LivePublication(recipe)
    publication.prepare(json.loads((Path(recipe.training.output_dir) / MANIFEST).read_text()))
    return publication


class LivePublication(TrainerCallback):
    """
    Takes each checkpoint into the outbox and keeps the drain going.

    Args:
        recipe (`Recipe`):
            A recipe with `push_to_hub: true`.
    """

    def __init__(self, recipe: Recipe):
        self.recipe = recipe
        self.outbox = Outbox(recipe.training.output_dir)
        self.stager = Stager(self.outbox, recipe.args.hub_outbox_gib, recipe.args.hub_keep_state)
        self.drain: subprocess.Popen | None = None
        self.started = float("-inf")
        self.stack = ExitStack()
        self.told: set[str] = set()

    # ----- Before anything is loaded

    def prepare(self, manifest: Mapping[str, Any]) -> None:
        """Make the repository this run's own; a `UserError` if that is refused."""
        self.outbox.address(destination_of(self.recipe.values))
        if not self.stack.enter_context(self.outbox.alone("training")):
            raise UserError(f"{self.outbox.run}: another run is training in this folder; wait for it, or stop it")
        where = f"{self.recipe.path}: push_to_hub"
        if reason := offline():
            say(f"warning: {where}: {reason}, so nothing is published now; later: {self._command()}")
            return
        api, caller = HfApi(), Caller(patience=CHECK_SECONDS, tell=lambda _: None)
        publisher = Publisher(self.outbox, api, caller)
        try:
            with answers_within(CHECK_SECONDS):
                check_account(api, self.outbox.destination.repo, caller, "hub_model_id")
                publisher.claim(dict(manifest))
        except HubUnreachable as error:
            say(f"warning: {where}: {error}; training goes on, and the drain asks again")
        except UserError as error:
            raise UserError(f"{where}: {error}") from error

    # ----- While it trains

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if state.is_world_process_zero:
            self._carefully(self.stager.catch_up)
            self._keep_draining()

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if state.is_world_process_zero:
            self._carefully(lambda: self.stager.checkpoint(state.global_step))
            self._keep_draining()
            self._tell_of_failures()

    def _carefully(self, work: Any) -> None:
        """What goes wrong here is told, and tried again with the next checkpoint."""
        try:
            work()
        except Exception as error:  # noqa: BLE001  # Nothing about publishing may stop a training run.
            say(f"warning: {self.outbox.folder}: {type(error).__name__}: {error}; later: {self._command()}")

    def _keep_draining(self) -> None:
        """Start the drain where there is none: none yet, or it was killed."""
        running = self.drain is not None and self.drain.poll() is None
        if running or offline() or not self.outbox.entries("waiting", "failed") or self.outbox.at_work("drain"):
            return
        if time.monotonic() - self.started >= RESTART_SECONDS:
            self.started = time.monotonic()
            self._carefully(self._start_drain)

    def _start_drain(self) -> None:
        environment = {name: value for name, value in os.environ.items() if name not in NOT_FOR_THE_DRAIN}
        command = [sys.executable, "-m", "open_vr1.hub.outbox", "drain", "--run", str(self.outbox.run), "--follow"]
        with (self.outbox.folder / "drain.log").open("a") as log:
            # A session of its own, so that neither Ctrl-C nor the end of this process is its end.
            self.drain = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**environment, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"},
            )

    def _tell_of_failures(self) -> None:
        for entry in self.outbox.entries("failed", "skipped"):
            reason = f"{entry.folder.name} is not published: {entry.note()['reason']}"
            if reason not in self.told:
                self.told.add(reason)
                say(f"warning: {reason}")

    # ----- When it has trained

    def finish(self) -> None:
        """The finished model into the outbox; then wait for as long as something gets through."""
        self._carefully(self.stager.final)
        self._keep_draining()
        self.stack.close()
        if not offline():
            self._wait()
        self._tell_of_failures()
        if not self.outbox.has(Item("final", 0)):
            raise UserError(
                f"{self.outbox.run}: the model is trained, and not in the outbox; {self._command('push-checkpoints')}"
            )
        failed, waiting = self.outbox.entries("failed"), self.outbox.entries("waiting")
        if failed:
            raise UserError(
                f"{self.outbox.run}: the model is trained, and {len(failed)} of its revisions are not published: "
                f"{failed[0].note()['reason']}; mend that, then: {self._command()}"
            )
        if waiting:
            say(f"{len(waiting)} revisions wait in {self.outbox.folder}; publish them: {self._command()}")
        else:
            say(f"published: {HfApi().endpoint}/{self.outbox.destination.repo}")

    def _wait(self) -> None:
        line, last, since = Line("publishing"), None, time.monotonic()
        total = len(list(self.outbox))
        while left := self.outbox.entries("waiting"):
            if (now := (len(left), self._sent())) != last:
                last, since = now, time.monotonic()
            if time.monotonic() - since > 60 * self.recipe.args.hub_wait_minutes:
                break
            self._keep_draining()
            line.tell(total - len(left), total, left[0].folder.name)
            time.sleep(POLL_SECONDS)
        if self.drain is not None and not self.outbox.entries("waiting"):
            # Its last steps come after the last entry is done.
            with suppress(subprocess.TimeoutExpired):
                self.drain.wait(60 * self.recipe.args.hub_wait_minutes)

    def _sent(self) -> Any:
        try:
            status = json.loads((self.outbox.folder / STATUS).read_text())
        except (FileNotFoundError, ValueError):
            return None
        return status["entry"], status.get("sent")

    def _command(self, target: str = "outbox-drain") -> str:
        return f"make {target} RUN={self.outbox.run}"


def offline() -> str | None:
    """Why the Hub cannot be asked now, if that is known."""
    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    return None if get_token() else "there is no token (hf auth login, or HF_TOKEN)"


def fetch_state(recipe: Recipe) -> str | None:
    """
    The trainer's newest state from its private repository, into the run's folder.

    Returns:
        `str`, *optional*: the checkpoint to go on from.
    """
    to, run = destination_of(recipe.values), Path(recipe.training.output_dir)
    if reason := offline():
        say(f"warning: {recipe.path}: hub_keep_state: {reason}, so {to.state_repo} is not asked for a state")
        return None
    api, caller = HfApi(), Caller(patience=STATE_SECONDS, tell=say)
    with answers_within():
        try:
            if not caller.call(api.repo_exists, to.state_repo):
                return None
            commit = caller.call(api.repo_info, to.state_repo).sha
            names = caller.call(remote_files, api, to.state_repo, revision=commit)
            steps = {name.partition("/")[0] for name in names if name.startswith("checkpoint-")}
            if not steps:  # Its first state has not been sent to the end.
                return None
            place = run / ".state.draft"
            for older in set(place.glob("checkpoint-*")) - {place / step for step in steps}:
                shutil.rmtree(older)
            caller.call(api.snapshot_download, to.state_repo, revision=commit, local_dir=place)
        except UserError as error:
            raise UserError(f"{recipe.path}: hub_keep_state: {to.state_repo}: {error}") from error
    checkpoint = place / steps.pop()
    (place / MANIFEST).replace(run / MANIFEST)
    checkpoint.replace(run / checkpoint.name)
    shutil.rmtree(place, ignore_errors=True)
    return str(run / checkpoint.name)
