"""
`make release`: show what will become public, check it, ask, and open it.

    make release REPOS="datasets/open-vr1/cold-200k open-vr1/vr1-7b" TITLE="open-vr1 1.0" DRY_RUN=1
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from open_vr1.console import say
from open_vr1.entry import entry_point
from open_vr1.errors import UserError

if TYPE_CHECKING:
    from open_vr1.hub.release.checks import Release
    from open_vr1.hub.release.names import Name

PATIENCE = 600.0


@entry_point
def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m open_vr1.hub.release", description="Open a release to everybody.")
    parser.add_argument("repos", nargs="+", help="owner/model, datasets/owner/name, spaces/owner/name")
    parser.add_argument("--title", required=True, help="the collection's title")
    parser.add_argument("--namespace", help="whose collection it is; the repositories' owner by default")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--dry_run", action="store_true", help="show and check, and change nothing")
    parser.add_argument(
        "--patience", type=float, default=PATIENCE, help="seconds for which a call is tried again (600)"
    )
    given = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="open-vr1-release-") as folder:
        _run(given, Path(folder))


def _run(given: argparse.Namespace, folder: Path) -> None:
    from huggingface_hub import HfApi
    from huggingface_hub.utils import disable_progress_bars

    from open_vr1.hub.calls import Caller, answers_within
    from open_vr1.hub.release.checks import Release, problems
    from open_vr1.hub.release.licenses import read_rows
    from open_vr1.hub.release.names import read_names
    from open_vr1.hub.release.opening import Opening
    from open_vr1.hub.release.page import Page
    from open_vr1.hub.release.reading import Reader

    # ----- What can be known here
    names = read_names(given.repos)
    namespace = given.namespace or _owner(names)
    _check_answerable(given)

    disable_progress_bars()
    api, caller = HfApi(), Caller(patience=given.patience, tell=say)
    with answers_within():
        # ----- What is there
        reader = Reader(api, caller, folder)
        release = Release(given.title, namespace, reader.read(names))
        release.rows = {
            repo.name: read_rows(api, caller, repo) for repo in release.repos if repo.name.kind == "dataset"
        }
        for line in Page(api, caller, release).lines():
            say(line)

        # ----- What is wrong with it
        if found := problems(api, caller, release):
            raise UserError("\n".join([*found, f"nothing was changed; failed checks: {len(found)}"]))
        say("every check passed")
        if given.dry_run:
            say("DRY_RUN: nothing was changed")
            return

        # ----- What changes
        if not given.yes:
            _ask(release)
        Opening(api, caller, reader, release, say).run()


def _owner(names: list["Name"]) -> str:
    owners = sorted({name.owner for name in names})
    if len(owners) > 1:
        raise UserError(f"NAMESPACE: the repositories belong to {', '.join(owners)}; write whose the collection is")
    return owners[0]


def _check_answerable(given: argparse.Namespace) -> None:
    if not (given.yes or given.dry_run or sys.stdin.isatty()):
        raise UserError(
            "YES: there is no terminal to ask on; write YES=1 to open it unasked, or DRY_RUN=1 to only look"
        )


def _ask(release: "Release") -> None:
    closed = sum(repo.private for repo in release.repos)
    question = f"Type yes to open {closed} repositories and the collection {release.title!r} to everybody: "
    try:
        answer = input(question)
    except EOFError:
        answer = ""
    if answer.strip().lower() != "yes":
        raise UserError("nothing was changed: the answer was not yes")


if __name__ == "__main__":
    sys.exit(main())
