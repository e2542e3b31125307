"""
`make space`: deploy the Gradio app of `spaces/reasoner/` as a Space on a published model, private at first.

    make space MODEL=open-vr1/vr1-7b DRY_RUN=1
    make space MODEL=open-vr1/vr1-7b REPO=you/vr1-7b-reasoner HARDWARE=zero-a10g

The same command again sends what has changed, and nothing else. `make space-local MODEL=...` opens the app here.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from open_vr1.console import Line, say
from open_vr1.entry import entry_point
from open_vr1.errors import UserError
from open_vr1.space.checkpoints import Checkpoint, Found, as_variable
from open_vr1.space.folder import SPACE, staged

if TYPE_CHECKING:
    from huggingface_hub import HfApi

    from open_vr1.hub.calls import Caller
    from open_vr1.space.deploy import Deployment, Plan
    from open_vr1.space.published import Published

PATIENCE, DRY_PATIENCE = 600.0, 5.0
# Not an argument: those can be read by every process of the machine.
TOKEN_VARIABLE = "SPACE_TOKEN"


@entry_point
def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m open_vr1.space", description="Deploy a Space on a model.")
    parser.add_argument("model", help="the model's repository, owner/name")
    parser.add_argument("--repo", help="the Space's repository (<model>-reasoner)")
    parser.add_argument("--revisions", nargs="+", default=[], help="branches or tags to show, the default first")
    parser.add_argument("--hardware", help="its machine (a new Space gets zero-a10g, another keeps its own)")
    parser.add_argument("--public", action="store_true", help="let everybody see it in the end")
    parser.add_argument("--replace", action="store_true", help="replace files that were changed on the Hub by hand")
    parser.add_argument("--dry_run", action="store_true", help="only say what would happen")
    parser.add_argument("--folder", type=Path, default=SPACE, help="the Space's files (spaces/reasoner)")
    parser.add_argument("--patience", type=float, help="seconds for which a call is tried again (600)")
    given = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="open-vr1-space-") as folder:
        _run(given, Path(folder))


def _run(given: argparse.Namespace, folder: Path) -> None:
    from huggingface_hub import HfApi
    from huggingface_hub.utils import disable_progress_bars

    from open_vr1.hub.account import check_repo_id
    from open_vr1.hub.calls import Caller, HubRefusal, HubUnreachable, answers_within
    from open_vr1.space.deploy import Deployment
    from open_vr1.space.guidance import Ask, advice
    from open_vr1.space.published import Published

    # ----- What can be known here
    _check_model(given.model)
    repo = given.repo or f"{given.model}-reasoner"
    check_repo_id(repo)
    title = f"{given.model.partition('/')[2]} reasoner"
    staged(given.folder, folder / "checked", title=title, models=[given.model])

    # ----- What is there
    disable_progress_bars()
    api = HfApi()
    patience = given.patience or (DRY_PATIENCE if given.dry_run else PATIENCE)
    caller, ask = Caller(patience=patience, tell=say), Ask(given.model, repo, None, api.endpoint, given.hardware)
    with answers_within():
        try:
            found = _find(given, Published(api, caller, folder / "cache"))
            ask = replace(ask, user=_account(given, api, repo, caller))
            files = staged(given.folder, folder / "files", title=title, models=found.models)
            options = {"hardware": given.hardware, "replace": given.replace, "token": os.environ.get(TOKEN_VARIABLE)}
            deployment = Deployment(api, repo, files, found, ask, caller=caller, **options)
            plan = _look(given, deployment)
            _check_readable(deployment, plan, given.public, caller)
        except (HubRefusal, HubUnreachable) as error:
            lines = [str(error), "nothing was changed", *advice(error, ask, about_hardware=False)]
            raise UserError("\n".join(lines)) from error

        # ----- What changes
        for words in _plan_lines(deployment, plan, given.public, each=given.dry_run):
            say(words)
        if given.dry_run:
            say("DRY_RUN: nothing was sent")
            return
        line = Line("send")
        refused = deployment.publish(
            plan, public=given.public, tell=lambda done, total: line.tell(done / 1e6, total / 1e6, "MB")
        )
        for words in _last_lines(deployment, plan, given.public):
            say(words)
    if refused:
        raise UserError(_refused(given, repo, plan, refused))


# ----- Looking, which a dry run does as far as it can


def _find(given: argparse.Namespace, published: "Published") -> Found:
    from open_vr1.hub.calls import HubUnreachable

    try:
        return published.find(given.model, given.revisions)
    except HubUnreachable as error:
        if not given.dry_run:
            raise
        say(f"not looked for the checkpoints of {given.model}: {error}")
        return Found([Checkpoint(name, given.model, name) for name in given.revisions or ["main"]])


def _account(given: argparse.Namespace, api: "HfApi", repo: str, caller: "Caller") -> str | None:
    from open_vr1.hub.account import check_account
    from open_vr1.hub.calls import HubUnreachable, NoToken

    try:
        return check_account(api, repo, caller)
    except (NoToken, HubUnreachable) as error:
        if not given.dry_run:
            raise
        say(f"not checked whether the token may write to {repo}: {error}")
        return None


def _look(given: argparse.Namespace, deployment: "Deployment") -> "Plan":
    from open_vr1.hub.calls import HubUnreachable

    try:
        return deployment.look()
    except HubUnreachable as error:
        if not given.dry_run:
            raise
        say(f"not compared with {deployment.repo}: {error}; if nothing is there, this is what would happen:")
        return deployment.look_at_nothing()


# ----- What is refused


def _check_model(model: str) -> None:
    """A Space has no other place to load from than the Hub."""
    from open_vr1.data_sources import looks_local
    from open_vr1.hub.account import is_repo_id, nearest_repo_id
    from open_vr1.hub.outbox.folder import Outbox

    if Path(model).is_dir() or looks_local(model):
        there = Outbox(model).destination
        publish = f"make space MODEL={there.repo}" if there else f"make push-checkpoints RUN={model} REPO=owner/name"
        raise UserError(
            f"MODEL={model}: is a folder, and a Space loads from the Hub; {publish}, or make space-local MODEL={model}"
        )
    if not is_repo_id(model):
        raise UserError(f"MODEL={model}: is no repository; write MODEL={nearest_repo_id(model)}")


def _check_readable(deployment: "Deployment", plan: "Plan", public: bool, caller: "Caller") -> None:
    """Whether the Space may have its models, and whether everybody may see them then."""
    from huggingface_hub import HfApi

    from open_vr1.hub.calls import HubRefusal

    private = _private(deployment)
    if private and (public or not plan.private):
        state = "PUBLIC=1" if plan.private else f"REPO={deployment.repo}: is public"
        raise UserError(
            f"{state}: {', '.join(private)} is private, and anybody could ask it through the Space; leave PUBLIC out or write "
            f"another REPO, then open them together: {_release(deployment)}"
        )
    if not deployment.token:
        return
    reader = HfApi(endpoint=deployment.api.endpoint, token=deployment.token)
    for name in deployment.found.closed:
        try:
            caller.call(reader.auth_check, name)
        except HubRefusal as error:
            raise UserError(f"{TOKEN_VARIABLE}: it may not read {name}: {error}") from error


def _private(deployment: "Deployment") -> list[str]:
    return [name for name, kind in deployment.found.closed.items() if kind == "private"]


def _release(deployment: "Deployment") -> str:
    """The command that opens the Space, together with what it shows."""
    return f'make release REPOS="{" ".join([*_private(deployment), f"spaces/{deployment.repo}"])}" TITLE=...'


# ----- What is said


def _plan_lines(deployment: "Deployment", plan: "Plan", public: bool, each: bool) -> Iterator[str]:
    from open_vr1.hub.release.page import size
    from open_vr1.space.deploy import VARIABLE

    where = f"{deployment.repo} at {deployment.api.endpoint}"
    if not plan.exists:
        yield f"{where}: is not there, or not for this token to see; made as a private Space"
    else:
        yield f"{where}: is {'private' if plan.private else 'public'}"
    for checkpoint in deployment.found.checkpoints:
        yield f"  shows {checkpoint}"
    for words in deployment.found.left_out:
        yield f"  left out: {words}"
    sizes = {**plan.sizes, **{name: path.stat().st_size for name, path in deployment.digests.files.items()}}
    changes = plan.changes
    kinds = {"send": changes.add, "delete": changes.delete, "unchanged": changes.same}
    kinds |= {"kept, added there by hand": plan.kept, "replaced, changed there by hand": plan.replaced}
    for verb, names in kinds.items():
        if names:
            yield f"  {verb}: {len(names)} files, {size(sum(sizes[name] for name in names))}"
        if each or verb.startswith(("kept", "replaced")):
            yield from (f"    {name}  {size(sizes[name])}" for name in names)
    if plan.variable:
        yield f"  variable {VARIABLE}: {as_variable(deployment.found.checkpoints)}"
    yield f"  hardware: {_hardware_words(deployment, plan)}"
    yield from _token_lines(deployment, plan)
    if plan.private:
        yield f"  then: {'opened to everybody' if public else 'stays private'}"


def _hardware_words(deployment: "Deployment", plan: "Plan") -> str:
    from open_vr1.space.deploy import SLEEP_SECONDS
    from open_vr1.space.guidance import FREE

    hardware = plan.hardware or plan.runs_on
    if not plan.hardware:
        return f"{hardware or 'what the Hub gives it'}, as it is"
    if hardware in FREE:
        return hardware
    owner = deployment.repo.partition("/")[0]
    return (
        f"{hardware}, which {owner} pays for while it is awake; it sleeps after {SLEEP_SECONDS // 60} minutes unused"
    )


def _token_lines(deployment: "Deployment", plan: "Plan") -> Iterator[str]:
    from open_vr1.space.deploy import SECRET

    if deployment.token:
        yield f"  secret {SECRET}: from {TOKEN_VARIABLE}"
    elif deployment.found.closed and not plan.has_token:
        closed = ", ".join(f"{name} is {kind}" for name, kind in deployment.found.closed.items())
        yield (
            f"  {closed}: the Space cannot load it without a token. Make one that may only read it at "
            f"{deployment.api.endpoint}/settings/tokens, export {TOKEN_VARIABLE}=hf_... and run this again"
        )


def _last_lines(deployment: "Deployment", plan: "Plan", public: bool) -> Iterator[str]:
    if plan:
        yield f"{deployment.repo} holds every file, compared with what the Hub has; it is built now, which takes minutes"
    else:
        yield f"{deployment.repo}: unchanged"
    yield f"{deployment.api.endpoint}/spaces/{deployment.repo}"
    if plan.private and not public:
        yield f"it is private; {_release(deployment)} shows what would be seen and opens it"


def _refused(given: argparse.Namespace, repo: str, plan: "Plan", refused: str) -> str:
    from open_vr1.space.guidance import CPU

    runs_on = (plan.runs_on or "what it has had") if plan.exists else CPU
    again = f"make space MODEL={given.model} REPO={repo} HARDWARE={plan.hardware}"
    reason, *lines = refused.splitlines()
    return "\n".join(
        [
            f"HARDWARE={plan.hardware}: {reason}",
            f"the Space has all of its files and runs on {runs_on}; once that is mended: {again}",
            *lines,
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
