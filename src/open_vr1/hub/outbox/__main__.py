"""`make push-checkpoints`, `make outbox` and `make outbox-drain`."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from open_vr1.entry import entry_point
from open_vr1.errors import UserError
from open_vr1.hub.outbox.folder import OUTBOX, Destination, Entry, Outbox

HOUR = 3600.0


@entry_point
def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m open_vr1.hub.outbox", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    push = commands.add_parser("push", help="publish what a run has left")
    push.add_argument("--run", type=Path, required=True, help="the run's output folder")
    push.add_argument("--repo", help="the model repository; the recipe's hub_model_id by default")
    push.add_argument("--revision", help="the branch of the finished model; the recipe's hub_revision, or main")
    push.add_argument("--dry_run", action="store_true", help="print what would be published")
    show = commands.add_parser("show", help="what is published, and what waits")
    show.add_argument("--run", type=Path, help="the run's output folder; every one below outputs/ by default")
    drain = commands.add_parser("drain", help="publish what waits")
    drain.add_argument("--run", type=Path, required=True, help="the run's output folder")
    drain.add_argument("--follow", action="store_true", help="wait for more while the run trains")
    for command in (push, drain):
        command.add_argument(
            "--patience", type=float, default=HOUR, help="seconds for which a call is tried again (3600)"
        )
    given = parser.parse_args(argv)
    if given.command == "show":
        show_outboxes(given.run)
    elif given.command == "push":
        push_run(given.run, given.repo, given.revision, given.dry_run, given.patience)
    else:
        drain_run(_outbox(given.run), given.patience, given.follow)


def push_run(run: Path, repo: str | None, revision: str | None, dry_run: bool, patience: float) -> None:
    """Take everything whole that the run's folder holds into its outbox, and drain it."""
    from huggingface_hub import HfApi

    from open_vr1.hub.account import check_account, check_repo_id
    from open_vr1.hub.calls import Caller
    from open_vr1.hub.outbox.live import destination_of
    from open_vr1.hub.outbox.staging import MANIFEST, Stager

    if not (run / MANIFEST).is_file():
        raise UserError(f"RUN={run}: has no {MANIFEST}; write the output_dir of a make sft or make grpo")
    outbox = Outbox(run)
    then = outbox.destination or destination_of(json.loads((run / MANIFEST).read_text())["recipe"]["values"])
    repo = repo or (then and then.repo)
    if not repo:
        raise UserError(f"RUN={run}: its recipe has no hub_model_id; write REPO=<you or an organisation>/<name>")
    check_repo_id(repo)
    destination = Destination(repo, revision or (then.prefix if then else "main"))
    if dry_run:
        return tell_what_would_be_sent(outbox, destination)
    check_account(HfApi(), repo, Caller(patience=patience))
    outbox.address(destination)
    Stager(outbox).catch_up()
    return drain_run(outbox, patience)


def drain_run(outbox: Outbox, patience: float, follow: bool = False) -> None:
    import os
    import time

    from huggingface_hub.utils import disable_progress_bars

    from open_vr1.hub.calls import Caller, answers_within
    from open_vr1.hub.outbox.drain import FOLLOW_PATIENCE, Drain

    disable_progress_bars()
    if follow:
        os.nice(10)  # Training comes first.
        patience = FOLLOW_PATIENCE

    def say(words: str) -> None:
        print(f"{time.strftime('%FT%T')} {words}" if follow else words, flush=True)

    with answers_within():
        everything = Drain(outbox, Caller(patience=patience), say).run(follow)
    if not everything:
        raise UserError(f"not everything of {outbox.run} is published; make outbox RUN={outbox.run} says what and why")
    if not follow:
        show_outboxes(outbox.run)


def tell_what_would_be_sent(outbox: Outbox, to: Destination) -> None:
    from open_vr1.hub.outbox.staging import Stager

    print(f"would publish in {to.repo}, private until make release opens it:")
    for item, size in Stager(outbox).would_take():
        branch = to.prefix if item.kind == "final" else to.branch(item.step)
        print(f"  {branch:28} {size / 1e6:10,.1f} MB")


def show_outboxes(run: Path | None) -> None:
    runs = [run] if run else sorted(path.parent for path in Path("outputs").glob(f"**/{OUTBOX}"))
    for outbox in [_outbox(run) for run in runs]:
        to = outbox.destination
        drain = ", a drain is at work" if outbox.at_work("drain") else ""
        print(f"{outbox.run} -> {to.repo} ({to.prefix}){drain}")
        for entry in outbox:
            print(f"  {entry.folder.name:16} {entry.state:8} {_about(entry)}")
    if not runs:
        print(
            f"no {OUTBOX} below outputs/; a run has one with push_to_hub: true, or after make push-checkpoints RUN=..."
        )


def _about(entry: Entry) -> str:
    note = entry.note()
    if entry.state == "done":
        return ", ".join([note["revision"], *note["tags"], *(["its results wait"] if entry.results.is_file() else [])])
    return note.get("reason") or f"{entry.size / 1e6:,.1f} MB"


def _outbox(run: Path) -> Outbox:
    outbox = Outbox(run)
    if outbox.destination is None:
        raise UserError(f"RUN={run}: has no {OUTBOX}; make push-checkpoints RUN={run} REPO=owner/name makes one")
    return outbox


if __name__ == "__main__":
    sys.exit(main())
