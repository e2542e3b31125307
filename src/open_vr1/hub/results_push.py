"""
`make push-results`: the results of an evaluation reach the card of the very revision that was measured.

    make push-results RUN=outputs/vr1_7b/final/checkpoint-100
    make push-results RUN=outputs/eval/you--vr1-7b/main REPO=you/vr1-7b REVISION=main

One commit on that branch: the card's table and `model-index`, `.eval_results/*.yaml`, and `eval_results.json` with all that is
known of the revision, to which the next results are added. Tags of that commit, like `final` and `stage-1`, go along. The log of
the answers goes to the private dataset `<repo>-details`: see `open_vr1.hub.details`. What is there already is not sent again.

The results of a checkpoint that waits in its run's outbox wait beside it, and are published with it.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi
from huggingface_hub.utils import disable_progress_bars

from open_vr1.cold.steps import write_json, write_text
from open_vr1.console import say
from open_vr1.entry import entry_point
from open_vr1.errors import UserError
from open_vr1.hub.calls import Caller, answers_within
from open_vr1.hub.card_results import amended
from open_vr1.hub.commits import Moved, commit_files, remote_files
from open_vr1.hub.model_facts import trained_on
from open_vr1.hub.names import hub_id
from open_vr1.hub.outbox.folder import FINAL, Destination, Entry, Outbox
from open_vr1.hub.outbox.publishable import check_discreet
from open_vr1.hub.results import MERGED, Benchmark, eval_result_files, flag_known, merge, merged_text, read_results
from open_vr1.run_facts import MANIFEST_FILE

RESULTS = "results.json"
TITLE = "Results: "
STATE = "trainer_state.json"


@dataclass(frozen=True)
class Measured:
    """
    What was measured, as far as this machine knows.

    Args:
        results (`Path`):
            The `results.json`.
        repo (`str`, *optional*):
            The model's repository.
        branch (`str`):
            Its branch.
        model (`Path`, *optional*):
            The folder of a local model.
        entry (`Entry`, *optional*):
            Its place in an outbox.
    """

    results: Path
    repo: str | None
    branch: str
    model: Path | None = None
    entry: Entry | None = None


@entry_point
def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m open_vr1.hub.results_push", description=__doc__)
    parser.add_argument(
        "folder", type=Path, help="what make evaluate has left, or the model's folder with eval/ in it"
    )
    parser.add_argument("--repo", help="the model's repository; the one that was measured or published by default")
    parser.add_argument("--revision", help="its branch; the one that was measured or published by default")
    parser.add_argument("--no_log", action="store_true", help="leave the log of the answers here")
    parser.add_argument("--public", action="store_true", help="let everybody see the log")
    given = parser.parse_args(argv)
    disable_progress_bars()
    publish_results(given.folder, given.repo, given.revision, log=not given.no_log, public=given.public)


def publish_results(
    folder: Path,
    repo: str | None = None,
    revision: str | None = None,
    *,
    log: bool = True,
    public: bool = False,
    caller: Caller | None = None,
) -> None:
    """
    Publish what an evaluation has left, or put it beside the checkpoint that waits to be published.

    Args:
        folder (`Path`):
            What `make evaluate` has left, or the model's folder with `eval/` in it.
        repo (`str`, *optional*):
            The model's repository. The one that was measured or published by default.
        revision (`str`, *optional*):
            Its branch. The one that was measured or published by default.
        log (`bool`, *optional*, defaults to `True`):
            Whether the answers go to the dataset `<repo>-details`.
        public (`bool`, *optional*, defaults to `False`):
            Whether everybody may see that dataset.
        caller ([`Caller`], *optional*):
            How long to try. An hour by default.
    """
    from open_vr1.hub.account import check_account, check_repo_id
    from open_vr1.hub.details import push_details
    from open_vr1.hub.outbox.live import offline

    measured = measured_by(folder, repo, revision)
    if not measured.repo:
        raise UserError(f"RUN={folder}: its model is in no repository that is known here; write REPO=<owner>/<name>")
    check_repo_id(measured.repo)
    benchmarks = read_results(measured.results)
    if measured.entry:
        put_beside(measured.entry, benchmarks)
    waits = measured.entry is not None and measured.entry.state != "done"
    if waits:
        say(f"the results wait with {measured.entry.folder}: make outbox-drain RUN={measured.entry.folder.parents[1]}")
    if reason := offline():
        if waits:
            return
        later = f"make push-results RUN={folder}" + (f" REPO={repo}" if repo else "")
        raise UserError(f"RUN={folder}: {reason}, so nothing is published now; later: {later}")
    api, caller = HfApi(), caller or Caller(tell=say)
    with answers_within():
        check_account(api, measured.repo, caller)
        if not waits:
            if measured.entry:
                branch, commit = measured.branch, push_waiting(api, measured.repo, measured.entry, caller)
            else:
                branch = branch_of(api, measured.repo, measured.branch, caller)
                commit = push_results(api, measured.repo, branch, benchmarks, caller, measured.model)
            say(f"the results are on the card: {api.endpoint}/{measured.repo}/tree/{branch} ({commit[:12]})")
        if log:
            place = push_details(api, measured.results.parent, measured.repo, measured.branch, caller, public=public)
            say(f"the answers are in {api.endpoint}/datasets/{place}")


def measured_by(folder: Path, repo: str | None = None, revision: str | None = None) -> Measured:
    """Which model an evaluation was of, and where that is published."""
    results = next((file for file in (folder / RESULTS, folder / "eval" / RESULTS) if file.is_file()), None)
    if results is None:
        raise UserError(
            f"RUN={folder}: has no {RESULTS}; write the folder of make evaluate, or of a model with eval/ in it"
        )
    read_results(results)
    content = json.loads(results.read_text())
    name = str(content.get("model") or "")
    places = [results.parent.parent, *([Path(name)] if name else [])]
    model = next((place for place in places if _is_model(place) or entry_of(place)[0]), None)
    if model is None:
        if repo and hub_id(name) and repo != name:
            raise UserError(f"REPO={repo}: {results} is of {name}; write REPO={name}, or leave it out")
        return Measured(results, repo or hub_id(name), revision or content.get("revision") or "main")
    entry, published = entry_of(model)
    published = published or Destination("")
    step = model.name.removeprefix("checkpoint-")
    branch = published.branch(int(step)) if step != model.name and step.isdecimal() else published.prefix
    if entry and repo in (None, published.repo) and revision in (None, branch):
        return Measured(results, published.repo, branch, model, entry)
    return Measured(results, repo or published.repo or None, revision or branch, model)


def _is_model(folder: Path) -> bool:
    return any((folder / name).is_file() for name in ("config.json", "adapter_config.json"))


def entry_of(model: Path) -> tuple[Entry | None, Destination | None]:
    """A local model's place in the outbox of its run, and where that is published."""
    if model.name.startswith("checkpoint-"):
        outbox, name = Outbox(model.parent), model.name.removeprefix("checkpoint-").zfill(9)
    else:
        outbox, name = Outbox(model), FINAL
    entry = Entry(outbox.folder / name)
    is_there = outbox.destination and (entry.folder / "entry.json").is_file() and entry.state != "skipped"
    return (entry if is_there else None), outbox.destination


# ----- Results that wait with their checkpoint


def put_beside(entry: Entry, benchmarks: Sequence[Benchmark]) -> None:
    """Added to what waits there already."""
    known = read_results(entry.results, merged=True) if entry.results.is_file() else []
    write_text(entry.results, merged_text(merge(known, benchmarks)))


def push_waiting(api: HfApi, repo: str, entry: Entry, caller: Caller) -> str:
    """The results that wait with a checkpoint that has been published; they wait no longer then."""
    try:
        text, benchmarks = entry.results.read_text(), read_results(entry.results, merged=True)
    except (FileNotFoundError, UserError):
        if entry.results.is_file():
            raise
        return entry.note("done")["results"]  # Another process was first.
    commit = push_results(api, repo, entry.note()["revision"], benchmarks, caller)
    write_json(entry.folder / "done.json", {**entry.note("done"), "results": commit})
    if entry.results.is_file() and entry.results.read_text() == text:  # Newer ones are sent by the next look.
        entry.results.unlink(missing_ok=True)
    return commit


# ----- On the Hub


def push_results(
    api: HfApi, repo: str, branch: str, benchmarks: Sequence[Benchmark], caller: Caller, model: Path | None = None
) -> str:
    """
    Add results to a revision's card.

    Args:
        api (`HfApi`):
            The client.
        repo (`str`):
            The model's repository.
        branch (`str`):
            The revision that was measured.
        benchmarks (`Sequence[Benchmark]`):
            The results.
        caller ([`Caller`]):
            How long to try.
        model (`Path`, *optional*):
            The folder of the model that was measured, to see that the revision holds the same one.

    Returns:
        `str`: the branch's commit.
    """
    while True:
        head = caller.call(api.repo_info, repo, revision=branch).sha
        try:
            oid, tags = _push_onto(api, repo, branch, head, benchmarks, caller, model)
        except Moved:  # Somebody else's commit came in between, and its card is to be amended.
            continue
        if tags:
            caller.call(_take_along, api, repo, branch, tags)
        return oid


def _push_onto(
    api: HfApi, repo: str, branch: str, head: str, benchmarks: Sequence[Benchmark], caller: Caller, model: Path | None
) -> tuple[str, list[str]]:
    """The commit, and the tags that this revision has had from the beginning."""
    there = caller.call(remote_files, api, repo, revision=head)
    with tempfile.TemporaryDirectory(prefix="open-vr1-results-") as name:
        cache, folder = Path(name) / "cache", Path(name) / "files"

        def fetched(file: str) -> Path | None:
            if file not in there:
                return None
            return Path(caller.call(api.hf_hub_download, repo, file, revision=head, cache_dir=cache))

        manifest = json.loads(file.read_text()) if (file := fetched(MANIFEST_FILE)) else None
        if model and manifest:
            _check_same_model(manifest, model, f"REPO={repo} REVISION={branch}")
        known = read_results(file, merged=True) if (file := fetched(MERGED)) else []
        merged = flag_known(merge(known, benchmarks), trained_on(manifest) if manifest else [repo])
        readme = fetched("README.md")
        texts = {MERGED: merged_text(merged), **eval_result_files(merged)}
        texts["README.md"] = amended(readme.read_text() if readme else "", merged, repo.partition("/")[2])
        for path, text in texts.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        check_discreet(folder)
        files = {path: folder / path for path in texts}
        title = TITLE + ", ".join(dict.fromkeys(benchmark.name for benchmark in benchmarks))
        commit = commit_files(
            api,
            repo,
            files,
            revision=branch,
            message=title,
            parent=head,
            caller=caller,
            keep_others=True,
        )
    return commit.oid, ((manifest or {}).get("revision") or {}).get("tags") or []


def _check_same_model(manifest: dict[str, Any], model: Path, where: str) -> None:
    """Results on the card of another model would be worse than none."""
    run = model.parent if model.name.startswith("checkpoint-") else model
    own = next((place / MANIFEST_FILE for place in (model, run) if (place / MANIFEST_FILE).is_file()), None)
    state = model / STATE
    if own:
        ours, theirs = json.loads(own.read_text())["run"]["id"], manifest["run"]["id"]
        if ours != theirs:
            raise UserError(f"{where}: holds run {theirs}, and {model} is of {ours}; write the repository of that run")
    if own and "revision" not in manifest:
        raise UserError(f"{where}: holds no weights yet; publish the model first: make push-checkpoints RUN={run}")
    step = (manifest.get("revision") or {}).get("step")
    if own and state.is_file() and step not in (None, measured_step := json.loads(state.read_text())["global_step"]):
        raise UserError(f"{where}: is step {step}, and {model} is step {measured_step}; write the branch of that step")


def branch_of(api: HfApi, repo: str, revision: str, caller: Caller) -> str:
    """The branch that a revision is: itself, or the one whose head a tag or a commit is."""
    refs = caller.call(api.list_repo_refs, repo)
    branches = {ref.name: ref.target_commit for ref in refs.branches}
    if revision in branches:
        return revision
    commit = next((ref.target_commit for ref in refs.tags if ref.name == revision), revision)
    found = [name for name, target in branches.items() if target == commit]
    if not found:
        known = ", ".join(sorted(branches)[:5]) + (", ..." if len(branches) > 5 else "")
        raise UserError(f"REVISION={revision}: is no branch of {repo} and the head of none; write one of {known}")
    return found[0]


def _take_along(api: HfApi, repo: str, branch: str, tags: Sequence[str]) -> None:
    """Tags that stand on the model go on to its results, also those that a killed push has left behind or has just deleted."""
    commits = api.list_repo_commits(repo, revision=branch)
    head, ours = commits[0].commit_id, takewhile(lambda commit: commit.title.startswith(TITLE), commits)
    behind = {commit.commit_id for commit in commits[: len(list(ours)) + 1]} - {head}
    there = {ref.name: ref.target_commit for ref in api.list_repo_refs(repo).tags}
    for tag in tags:
        if there.get(tag) in behind:
            api.delete_tag(repo, tag=tag)
        if tag not in there or there[tag] in behind:
            api.create_tag(repo, tag=tag, revision=head)


if __name__ == "__main__":
    sys.exit(main())
