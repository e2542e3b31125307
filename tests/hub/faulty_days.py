"""
A run that trains, rotates and publishes while everything goes wrong, in processes that can be killed.

`Trainer` stands for a training job with `save_total_limit: 1`: it writes checkpoints, takes them into the outbox and deletes
the one before. Killed at any moment and started again, it goes on from its last whole checkpoint, as ours do.
"""

import multiprocessing
import random
import shutil
import signal
import time
from pathlib import Path

from .runs import write_checkpoint, write_run

STEPS = (10, 20, 30)
STAGE_ENDS = {20: 1, 30: 2}
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.hub.faulty_days", "open_vr1.hub.outbox.drain", "open_vr1.hub.model_card"])


def train(run: Path, seconds_a_step: float) -> None:
    """A training job in its own process."""
    from open_vr1.hub.outbox.folder import Outbox
    from open_vr1.hub.outbox.staging import Stager

    outbox = Outbox(run)
    with outbox.alone("training"):
        stager = Stager(outbox, keep_state=True)
        stager.catch_up()
        done = [int(path.parent.name[11:]) for path in run.glob("checkpoint-*/trainer_state.json")]
        for step in STEPS:
            if step <= max(done, default=0):
                continue
            time.sleep(seconds_a_step)
            write_checkpoint(run / f"checkpoint-{step}", step, stage_ended=STAGE_ENDS.get(step))
            for older in STEPS[: STEPS.index(step)]:
                shutil.rmtree(run / f"checkpoint-{older}", ignore_errors=True)
            stager.checkpoint(step)
        write_checkpoint(run, STEPS[-1])
        stager.final()


def drain(run: Path, endpoint: str, token: str, xet: bool, follow: bool) -> None:
    """A drain in its own process."""
    import sys

    from huggingface_hub import HfApi, constants
    from huggingface_hub.utils import disable_progress_bars

    from open_vr1.hub import model_plots
    from open_vr1.hub.calls import Caller, answers_within
    from open_vr1.hub.outbox.drain import Drain
    from open_vr1.hub.outbox.folder import Outbox

    model_plots.write_plots = lambda *_: []  # They take most of the time, and have tests of their own.
    # The first process of this kind has read another Hub's address.
    constants.ENDPOINT, constants.HF_HUB_DISABLE_XET = endpoint, not xet
    constants.HUGGINGFACE_CO_URL_TEMPLATE = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    disable_progress_bars()
    caller = Caller(patience=40, first_pause=0.02, longest_pause=0.1)
    log = (run.parent / "drain.log").open("a", buffering=1)
    sys.stderr = log
    api = HfApi(endpoint=endpoint, token=token)
    with answers_within(2.0):
        Drain(Outbox(run), caller, lambda words: print(words, file=log), api).run(follow)


class FaultyDay:
    """
    One run under random faults and kills.

    Args:
        hub (`LocalHub`):
            The Hub.
        folder (`Path`):
            Where the run is.
        seed (`int`):
            What goes wrong, and when.
    """

    def __init__(self, hub, folder: Path, seed: int):
        self.hub, self.random = hub, random.Random(seed)
        self.run = write_run(folder / "run", (), finished=False)
        self.xet = self.random.random() < 0.5
        self.seconds_a_step = self.random.choice([0.0, 0.05, 0.3])
        self.happened: list[str] = []

    def go(self) -> None:
        from open_vr1.hub.outbox.folder import Destination, Outbox

        Outbox(self.run).address(Destination("open-vr1/run"))
        for _ in range(self.random.randint(1, 4)):
            self.inject()
        trainer, drain = self.start_trainer(), self.start_drain(follow=True)
        for _ in range(self.random.randint(0, 4)):
            time.sleep(self.random.uniform(0, 0.8))
            if self.random.random() < 0.5:
                trainer = self.restart(trainer, self.start_trainer, "trainer")
            else:
                drain = self.restart(drain, lambda: self.start_drain(follow=True), "drain")
        self.wait_for(trainer)
        if not Path(self.run, "trainer_state.json").is_file() or not Outbox(self.run).has(_final()):
            self.wait_for(self.start_trainer())
        # The faults end, and somebody says make outbox-drain.
        self.hub.faults.clear()
        drain.kill()
        drain.join()
        self.wait_for(self.start_drain(follow=False))

    def inject(self) -> None:
        faults, choose = self.hub.faults, self.random
        where = choose.choice(
            [
                {"method": "POST", "path": "/commit/"},
                {"method": "POST", "path": "/preupload/"},
                {"method": "POST", "path": "/branch/|/tag/"},
                {"method": "POST", "path": "/repos/create$|/super-squash/"},
                {"method": "GET", "path": "/refs|/commits/|/revision/"},
                {"method": "GET", "path": "/tree/|/resolve/"},
                {"method": None, "path": "^/storage/|/cas/|/info/lfs/|xet-write-token"},
            ]
        )
        more = {**where, "times": choose.randint(1, 3), "before": choose.randint(0, 4)}
        kind = choose.choice(["cut", "lose", "409", "412", "429", "500", "503", "expired", "slow"])
        if kind == "409" and "create" in where["path"]:
            kind = "500"  # The Hub's own 409 there means that it exists.
        self.happened.append(f"{kind} {more}")
        if kind == "cut":
            faults.cut(**more)
        elif kind == "lose":
            faults.lose_answer(**more)
        elif kind == "expired":
            faults.token_expired(**more)
        elif kind == "slow":
            faults.delay(2.5, **more)  # Longer than is waited for an answer.
        else:
            faults.status(int(kind), **more, retry_after=0.1 if kind == "429" else None)

    def start_trainer(self):
        return self._start(train, self.run, self.seconds_a_step)

    def start_drain(self, follow: bool):
        return self._start(drain, self.run, self.hub.url, self.hub.tokens["write"], self.xet, follow)

    def restart(self, process, start, name: str):
        self.happened.append(f"kill -9 {name}")
        process.kill()
        process.join()
        assert process.exitcode in (0, -signal.SIGKILL), process.exitcode
        return start()

    def _start(self, target, *args):
        process = CONTEXT.Process(target=target, args=args, daemon=True)
        process.start()
        return process

    def wait_for(self, process) -> None:
        process.join(60)
        assert process.exitcode == 0, f"{process.exitcode} after {self.happened}"


def _final():
    from open_vr1.hub.outbox.folder import Item

    return Item("final", STEPS[-1])
