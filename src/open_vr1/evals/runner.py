"""
Evaluates the checkpoints that a run has left for it, one at a time and in their order.

    python -m open_vr1.evals.runner outputs/vr1_7b/final

The training starts it and does not wait for it: it survives the training's end, and the same command goes on after a kill. Results
go to `evals/checkpoint-100/` of the run, to `checkpoint-100/eval/` where rotation has left that, and to the card on the Hub.
What fails is tried once more, told by the training, and touches nothing else.
"""

import argparse
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from open_vr1.cold.steps import write_json
from open_vr1.entry import entry_point
from open_vr1.errors import UserError
from open_vr1.evals.queue import NOTE, EvalQueue, Job
from open_vr1.hub.outbox.folder import Outbox

EVALUATE = (sys.executable, "-m", "open_vr1.evaluate")
LAUNCH = (sys.executable, "-m", "open_vr1.launch")
POLL_SECONDS = 20.0
GIVE_UP_SECONDS = 24 * 3600.0
PUBLISH_SECONDS = 300.0
QUOTED = 300


@entry_point
def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m open_vr1.evals.runner", description=__doc__)
    parser.add_argument("run", type=Path, help="the run's output folder")
    queue = EvalQueue(parser.parse_args(argv).run)
    os.nice(10)  # Training comes first.
    Runner(queue).run()


class Runner:
    """
    Works on the evaluations of a run.

    Args:
        queue (`EvalQueue`):
            The run's evaluations.
    """

    def __init__(self, queue: EvalQueue):
        self.queue = queue

    def run(self) -> None:
        """Until nothing waits; another runner does it where there is one."""
        while self.queue.jobs():
            with self.queue.alone() as alone:
                if not alone:
                    return
                since = time.monotonic()
                while jobs := self.queue.jobs():
                    # The first that anything can be done about, so that each is asked in its turn.
                    if any(self.advance(job) for job in jobs):
                        since = time.monotonic()
                    elif time.monotonic() - since > GIVE_UP_SECONDS:
                        self._say(f"{len(jobs)} evaluations still wait elsewhere; given up")
                        return
                    else:
                        time.sleep(POLL_SECONDS)

    def run_here(self) -> None:
        """All that waits, in this process."""
        from open_vr1.evaluate import main as evaluate

        for job in self.queue.jobs():
            try:
                if not self._take_over(job):
                    if code := evaluate(self.words(job)):
                        raise UserError(f"exit code {code}; what it said stands above")
                    self.hand_over(job)
            except Exception as error:  # noqa: BLE001  # The training goes on.
                self._fail(job, str(error))

    def advance(self, job: Job) -> bool:
        """Whether anything has changed."""
        try:
            if self._take_over(job):
                return True
            return {"slurm": self._on_slurm, "hf-jobs": self._on_hf_jobs}.get(job.where, self._in_a_process)(job)
        except Exception as error:  # noqa: BLE001  # One that fails must not hold back the others.
            self._fail(job, f"{type(error).__name__}: {error}" if not isinstance(error, UserError) else str(error))
            return True

    def words(self, job: Job) -> list[str]:
        """The command line of `make evaluate`."""
        held, results = self.queue.held / job.name, self.queue.results / job.name
        return ["--config", job.recipe, "--model_name_or_path", str(held), "--output_dir", str(results)]

    # ----- Where it is done

    def _in_a_process(self, job: Job) -> bool:
        log = self.queue.held / "runner.log"
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": job.devices or ""}
        with log.open("ab") as out, (self.queue.held / "child.lock").open("w") as lock:
            # The child has the lock too, so one that has outlived its runner is waited for.
            with suppress(OSError):
                fcntl.flock(lock, fcntl.LOCK_EX)
            if not self._results(job).is_file():
                began = out.tell()
                code = subprocess.run(
                    [*EVALUATE, *self.words(job)],
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    pass_fds=(lock.fileno(),),
                    check=False,
                ).returncode
                if code or not self._results(job).is_file():
                    raise UserError(f"exit code {code}: {_last_line(log, began)} (see {log})")
        self.hand_over(job)
        return True

    def _on_slurm(self, job: Job) -> bool:
        """A job of its own, which sees the same folders."""
        submitted = self.queue.note(job.name).get("job")
        if not submitted:
            self._submit(job, "slurm", self.words(job))
            return True
        if self._results(job).is_file():
            self.hand_over(job)
            return True
        if not _is_in_queue(submitted) and not self._results(job).is_file():
            raise UserError(f"Slurm's job {submitted} has ended without results; see its log")
        return False

    def _on_hf_jobs(self, job: Job) -> bool:
        """A machine of the Hub, as soon as the revision is there; it publishes its results itself."""
        from open_vr1.hub.results_push import entry_of

        entry, published = entry_of(self.queue.model(job.name))
        if entry is None:
            raise UserError(f"{job.name} is not in {Outbox(self.queue.run).folder}, so no other machine gets it")
        if entry.state != "done":
            return False
        branch = entry.note()["revision"]
        words = ["--config", job.recipe, "--model_name_or_path", published.repo, "--model_revision", branch]
        words += [
            "--push_to_hub",
            "true",
            "--output_dir",
            f"outputs/eval/{published.repo.replace('/', '--')}/{branch}",
        ]
        self._submit(job, "hf-jobs", words)
        self.queue.let_go(job.name)
        return True

    def _submit(self, job: Job, launcher: str, words: Sequence[str]) -> None:
        (self.queue.results / job.name).mkdir(parents=True, exist_ok=True)
        command = [*LAUNCH, launcher, "-m", "open_vr1.evaluate", *words]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        with (self.queue.held / "runner.log").open("a") as log:
            log.write(done.stdout + done.stderr)
        if done.returncode:
            raise UserError(" ".join(done.stderr.split())[-QUOTED:] or f"exit code {done.returncode}")
        found = re.search(r"^job ([^\s,:]+)", done.stdout, re.MULTILINE)
        write_json(self.queue.results / job.name / NOTE, {"job": found[1] if found else "unknown"})

    # ----- When it is done

    def _results(self, job: Job) -> Path:
        return self.queue.results / job.name / "results.json"

    def _take_over(self, job: Job) -> bool:
        """The results of the same weights."""
        if not job.same_as or not (self.queue.results / job.same_as / "results.json").is_file():
            return False
        shutil.copytree(self.queue.results / job.same_as, self.queue.results / job.name, dirs_exist_ok=True)
        self.hand_over(job)
        return True

    def hand_over(self, job: Job) -> None:
        """The results to wherever they belong; then the checkpoint is held no longer."""
        file, model = self._results(job), self.queue.model(job.name)
        content = json.loads(file.read_text())
        write_json(file, {**content, "model": str(model)})
        (file.parent / "failed.json").unlink(missing_ok=True)
        if (model / "config.json").is_file() or (model / "adapter_config.json").is_file():
            with suppress(OSError):  # Rotation may be deleting it just now.
                shutil.copytree(file.parent, model / "eval", dirs_exist_ok=True)
        if job.publish:
            self._publish(job)
        self.queue.let_go(job.name)
        self._say(f"{job.name}: accuracy {content.get('accuracy')}")

    def _publish(self, job: Job) -> None:
        from open_vr1.hub.calls import Caller
        from open_vr1.hub.results_push import publish_results

        folder = self.queue.results / job.name
        try:
            publish_results(folder, caller=Caller(patience=PUBLISH_SECONDS, tell=self._say))
        except Exception as error:  # noqa: BLE001  # The results are there, and can be published later.
            self._say(f"warning: {job.name}: {error}; later: make push-results RUN={folder}")

    def _fail(self, job: Job, reason: str) -> None:
        self._say(f"error: {job.name}: {reason}")
        self.queue.fail(job.name, reason)

    def _say(self, words: str) -> None:
        with (self.queue.held / "runner.log").open("a") as log:
            log.write(f"{time.strftime('%FT%T')} {words}\n")


def _is_in_queue(job: str) -> bool:
    """Whether Slurm still has a job; it is thought so where Slurm does not answer."""
    try:
        done = subprocess.run(["squeue", "--noheader", "--jobs", job], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return True
    return bool(done.stdout.strip()) or (done.returncode != 0 and "invalid job id" not in done.stderr.lower())


def _last_line(log: Path, began: int) -> str:
    with log.open("rb") as file:
        file.seek(began)
        lines = file.read().decode(errors="replace").strip().splitlines()
    return lines[-1][-QUOTED:] if lines else "it said nothing"


if __name__ == "__main__":
    sys.exit(main())
