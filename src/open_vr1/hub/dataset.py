"""
`make push-cold`: publish the dataset that `make cold` has made.

    make push-cold DATASET=outputs/vr1_tiny/cold_data REPO=open-vr1/cold-200k DRY_RUN=1

The same command goes on after a kill, sends nothing that is there, and makes the next version of what has changed.
"""

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from open_vr1.console import Line, say
from open_vr1.entry import entry_point, stoppable
from open_vr1.errors import UserError

if TYPE_CHECKING:
    from open_vr1.hub.cold_folder import ColdFolder
    from open_vr1.hub.dataset_push import DatasetPush, Plan

DRY_PATIENCE = 5.0


@entry_point
def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m open_vr1.hub.dataset", description="Publish a cold dataset.")
    parser.add_argument("folder", type=Path, help="the output folder of make cold")
    parser.add_argument("repo", help="the dataset's repository, owner/name")
    parser.add_argument("--version", help="its tag, such as v2.0 (the next one)")
    parser.add_argument("--public", action="store_true", help="let everybody see it in the end")
    parser.add_argument("--dry_run", action="store_true", help="only say what would happen")
    given = parser.parse_args(argv)
    with stoppable(), tempfile.TemporaryDirectory(prefix="open-vr1-card-") as drafts:
        _run(given, Path(drafts))


def _run(given: argparse.Namespace, drafts: Path) -> None:
    from huggingface_hub import HfApi
    from huggingface_hub.utils import disable_progress_bars

    from open_vr1.hub.account import check_account, check_repo_id
    from open_vr1.hub.calls import Caller, HubUnreachable, NoToken
    from open_vr1.hub.cold_folder import checked_folder
    from open_vr1.hub.dataset_push import DatasetPush
    from open_vr1.hub.versions import read_version

    # ----- What can be known here
    check_repo_id(given.repo)
    version = read_version(given.version) if given.version else None
    line = Line("check")
    with checked_folder(given.folder, lambda done, total: line.tell(done / 1e6, total / 1e6, "MB")) as folder:
        line.end(_summary(folder))
        card = _write_card(folder, given.repo, drafts / "README.md")
        for words in _license_lines(folder):
            say(words)

        # ----- What is there
        disable_progress_bars()
        api = HfApi()
        caller = Caller(patience=DRY_PATIENCE, tell=say) if given.dry_run else Caller(tell=say)
        push = DatasetPush(api, folder, given.repo, card, version=version, caller=caller)
        try:
            check_account(api, given.repo, caller)
        except (NoToken, HubUnreachable) as error:
            if not given.dry_run:
                raise
            say(f"not checked whether the token may write to {given.repo}: {error}")
        try:
            plan = push.look()
        except HubUnreachable as error:
            if not given.dry_run:
                raise
            say(f"not compared with {given.repo}: {error}; if nothing is there, this is what would happen:")
            plan = push.look_at_nothing()

        # ----- What changes
        for words in _plan_lines(push, plan, given.public, each=given.dry_run):
            say(words)
        if given.dry_run:
            say("DRY_RUN: nothing was sent")
            return
        line = Line("send")
        push.publish(plan, public=given.public, tell=lambda done, total: line.tell(done / 1e6, total / 1e6, "MB"))
        if plan.changes:
            line.end(f"{plan.version} of {given.repo} holds every file, compared with what the Hub has")
        for words in _last_lines(given.repo, plan, given.public):
            say(words)


def _write_card(folder: "ColdFolder", repo: str, path: Path) -> Path:
    from huggingface_hub import get_token

    path.write_text(folder.card(repo))
    texts = [path, *(file for name, file in folder.files.items() if name.endswith(".json"))]
    token = get_token()
    for file in texts:
        if token and token in file.read_text():
            raise UserError(
                f"{file}: holds your Hub token; take it out, and make a new one, as this one has been written down"
            )
    return path


# ----- What is said


def _summary(folder: "ColdFolder") -> str:
    rows = ", ".join(f"{config} {count:,} rows" for config, count in folder.rows.items())
    return f"{folder.path} is whole: {len(folder.files)} files, {_size(folder.size)}; {rows}"


def _license_lines(folder: "ColdFolder") -> Iterator[str]:
    from open_vr1.hub.licenses import is_non_commercial, is_unknown

    for config, counted in folder.licenses.items():
        listed = ", ".join(f"{name} {rows:,}" for name, rows in Counter(counted).most_common())
        restricted = sum(rows for name, rows in counted.items() if is_non_commercial(name))
        unknown = sum(rows for name, rows in counted.items() if is_unknown(name))
        yield f"licences of {config}: {listed}; non-commercial {restricted:,} rows, unknown {unknown:,}"


def _plan_lines(push: "DatasetPush", plan: "Plan", public: bool, each: bool) -> Iterator[str]:
    where = f"{push.repo} at {push.api.endpoint}"
    if not plan.exists:
        yield f"{where}: is not there, or not for this token to see; made as a private dataset"
    elif not plan.private:
        yield f"{where}: is public"
    else:
        yield f"{where}: is private"
    sizes = {name: path.stat().st_size for name, path in push.files.items()}
    sizes |= {name: file.size for name, file in plan.remote.items() if name in plan.changes.delete}
    for verb, names in (("send", plan.changes.add), ("delete", plan.changes.delete), ("unchanged", plan.changes.same)):
        if names:
            yield f"  {verb}: {len(names)} files, {_size(sum(sizes[name] for name in names))}"
        if each:
            yield from (f"    {name}  {_size(sizes[name])}" for name in names)
    yield f"  version: {_version_words(plan)}"
    if plan.private:
        yield f"  then: {'opened to everybody' if public else 'stays private'}"


def _version_words(plan: "Plan") -> str:
    if plan.tagged:
        return f"{plan.version}, which is there with exactly these files: nothing to send"
    if plan.last is None:
        return f"{plan.version}, the first"
    if not plan.changes:
        return f"{plan.version}: the files are there, the tag is missing"
    why = f": {'; '.join(plan.breaking)}" if plan.breaking else ""
    return f"{plan.version}, after {plan.last}{why}"


def _last_lines(repo: str, plan: "Plan", public: bool) -> Iterator[str]:
    if plan.private and not public:
        yield f"it is private; make release REPOS=datasets/{repo} shows what would be seen and opens it"
    yield f'load it: datasets.load_dataset("{repo}", revision="{plan.version}")'


def _size(count: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:,.0f} {unit}" if unit == "bytes" else f"{count:,.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} GB"


if __name__ == "__main__":
    sys.exit(main())
