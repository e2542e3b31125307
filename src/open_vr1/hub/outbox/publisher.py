"""
What happens to one entry on the Hub. Every step looks at what is there first, so all of it can be done again after any fault.

The repository is made private, and `make release` opens it. Its branch `main` (or the prefix that a second run needs) says
from the first minute whose it is, in `open_vr1.json`; checkpoints are branches from the repository's first commit, so each
holds its own files alone.
"""

import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi

from open_vr1.errors import UserError
from open_vr1.hub.calls import Caller, HubRefusal
from open_vr1.hub.commits import Commit, Moved, commit_files, remote_files
from open_vr1.hub.outbox.folder import FINAL, Destination, Entry, Item, Outbox
from open_vr1.hub.outbox.publishable import NotPublishable, check_complete, check_discreet, clean
from open_vr1.hub.outbox.staging import MANIFEST

# A repository that somebody has made by hand may have these.
NOBODYS = {".gitattributes", "README.md"}
Tell = Callable[[int, int], None]


class Publisher:
    """
    Sends the entries of one outbox.

    Args:
        outbox (`Outbox`):
            The outbox; its destination is known.
        api (`HfApi`):
            The client.
        caller (`Caller`):
            How long to try.
        tell (`Callable[[int, int], None]`):
            Is told the bytes that have been sent of an entry, and all of them.
    """

    def __init__(self, outbox: Outbox, api: HfApi, caller: Caller, tell: Tell = lambda sent, total: None):
        self.outbox, self.api, self.caller, self.tell = outbox, api, caller, tell
        self.to: Destination = outbox.destination
        self.claimed = False

    def publish(self, entry: Entry) -> None:
        """Send it, compare, tag, take note."""
        item = entry.item
        if item.kind == "state":
            return self._publish_state(entry, item)
        check_complete(entry.files)
        self.claim(self._manifest_of(entry))
        branch = self.to.prefix if item.kind == "final" else self.to.branch(item.step)
        tags = self._tags(item)
        self.caller.call(self._prepare, entry, item, branch, tags)
        if item.kind != "final":
            self._ensure_branch(self.to.repo, branch)
        commit = self._commit(self.to.repo, branch, entry.files, _title(item))
        for tag in tags:
            self._ensure_tag(tag, commit.oid)
        if item.stage_ended is not None and not self._finished():
            self._write_index(self._manifest_of(entry))
        entry.mark_done(revision=branch, commit=commit.oid, tags=tags, bytes=commit.sent)
        return None

    def publish_results(self, entry: Entry) -> None:
        """Results that came with a checkpoint are on its card, and come to nothing here; later ones are added to it."""
        from open_vr1.hub.results_push import push_waiting

        push_waiting(self.api, self.to.repo, entry, self.caller)

    # ----- The repository

    def claim(self, manifest: dict[str, Any]) -> None:
        """Make the repository and the prefix this run's own, or say whose they are."""
        if self.claimed:
            return
        self._ensure_repo(self.to.repo)
        self._ensure_branch(self.to.repo, self.to.prefix)
        while not self._claim_once(manifest):
            pass
        self.claimed = True

    def _claim_once(self, manifest: dict[str, Any]) -> bool:
        """False where another commit came in between, which has to be looked at."""
        head = self.caller.call(self.api.repo_info, self.to.repo, revision=self.to.prefix).sha
        there = self.caller.call(remote_files, self.api, self.to.repo, revision=head)
        if MANIFEST in there:
            self._check_owner(self.to.repo, head, manifest)
            return True
        if others := sorted(set(there) - NOBODYS):
            raise HubRefusal(
                f"hub_model_id: {self.to.repo}: its branch {self.to.prefix} holds {others[0]} and no {MANIFEST}, so it is "
                f"somebody else's work; write another hub_model_id, or a hub_revision of its own{_next_prefix(self.to)}"
            )
        try:
            self._write_index(manifest, parent=head)
        except Moved:
            return False
        return True

    def _check_owner(self, repo: str, commit: str, manifest: dict[str, Any]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            download = self.api.hf_hub_download
            path = self.caller.call(download, repo, MANIFEST, revision=commit, cache_dir=folder)
            theirs = json.loads(Path(path).read_text())
        if theirs["run"]["id"] != manifest["run"]["id"]:
            raise HubRefusal(
                f"hub_model_id: {repo} belongs to another run ({theirs['run']['name']}, {theirs['run']['id']}, begun "
                f"{theirs['wall_clock']['started']}), and this is {manifest['run']['id']}; write another hub_model_id, or a "
                f"hub_revision of its own{_next_prefix(self.to)}"
            )

    def _ensure_repo(self, repo: str) -> None:
        """A conflict is tried again: `exist_ok` would take one that is not about existence for an answer."""

        def ensure() -> None:
            if not self.api.repo_exists(repo):
                self.api.create_repo(repo, private=True)

        self.caller.call(ensure)

    def _ensure_branch(self, repo: str, branch: str) -> None:
        """From the first commit, so that it begins empty."""

        def ensure() -> None:
            if branch in {ref.name for ref in self.api.list_repo_refs(repo).branches}:
                return
            first = self.api.list_repo_commits(repo)[-1].commit_id
            self.api.create_branch(repo, branch=branch, revision=first)

        self.caller.call(ensure)

    def _ensure_tag(self, tag: str, commit: str) -> None:
        def ensure() -> None:
            there = {ref.name: ref.target_commit for ref in self.api.list_repo_refs(self.to.repo).tags}
            if there.get(tag) == commit:
                return
            if tag in there:
                self.api.delete_tag(self.to.repo, tag=tag)
            self.api.create_tag(self.to.repo, tag=tag, revision=commit)

        self.caller.call(ensure)

    def _commit(self, repo: str, branch: str, folder: Path, message: str, parent: str | None = None) -> Commit:
        files = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}
        return commit_files(
            self.api,
            repo,
            files,
            revision=branch,
            message=message,
            parent=parent,
            caller=self.caller,
            tell=self.tell,
        )

    # ----- What is sent beside the checkpoint's own files

    def _prepare(self, entry: Entry, item: Item, branch: str, tags: list[str]) -> None:
        from open_vr1.hub.card_check import check_card
        from open_vr1.hub.model_card import Place, write_model_card

        manifest = self._manifest_of(entry)
        for draft in entry.files.glob(".*.draft"):
            draft.unlink()
        clean(entry.files, exact_base(manifest))
        state = json.loads((entry.files / "trainer_state.json").read_text())
        revisions = self._revisions() if item.kind == "final" else []
        place = Place(self.to.repo, branch, item.step, state.get("max_steps"), tuple(tags), tuple(revisions))
        manifest["revision"] = {"repo": self.to.repo, "branch": branch, "step": item.step, "tags": tags}
        (entry.files / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
        places = (entry.results, self.outbox.run / item.source / "eval" / "results.json")
        results = next((file for file in places if file.is_file()), None)
        write_model_card(entry.files, manifest, place, results)
        if wrong := check_card(entry.files, "model"):
            raise NotPublishable(f"{entry.files / 'README.md'}: {'; '.join(wrong)}")
        check_discreet(entry.files, self.outbox.run.absolute())

    def _write_index(self, manifest: dict[str, Any], parent: str | None = None) -> None:
        """What the branch of the finished model holds until there is one."""
        from open_vr1.hub.model_card import Place, write_index_card

        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_index_card(folder, manifest, Place(self.to.repo, self.to.prefix, revisions=tuple(self._revisions())))
            (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
            check_discreet(folder, self.outbox.run.absolute())
            self._commit(self.to.repo, self.to.prefix, folder, "What is published here", parent)

    def _revisions(self) -> list[dict[str, Any]]:
        """The rows of the table of checkpoints: what is there, from whichever machine it came."""
        refs = self.caller.call(self.api.list_repo_refs, self.to.repo)
        tags = {ref.target_commit: ref.name for ref in refs.tags if self.to.stage_of(ref.name)}
        rows = []
        for ref in sorted(refs.branches, key=lambda ref: ref.name):
            if (step := self.to.step_of(ref.name)) is not None:
                tag = tags.get(ref.target_commit)
                stage = self.to.stage_of(tag) if tag else None
                rows.append({"revision": ref.name, "step": step, "stage": stage, "tag": tag})
        return rows

    def _manifest_of(self, entry: Entry) -> dict[str, Any]:
        file = entry.folder / MANIFEST
        if not file.is_file():
            raise UserError(
                f"{self.outbox.run}: {MANIFEST} is missing, which says what run this is; run the recipe again to have it "
                "written: a finished run is not trained again"
            )
        return json.loads(file.read_text())

    def _tags(self, item: Item) -> list[str]:
        if item.kind == "final":
            return [self.to.tag("final")]
        return [self.to.tag(f"stage-{item.stage_ended}")] if item.stage_ended is not None else []

    def _finished(self) -> bool:
        return any(entry.item.kind == "final" for entry in self.outbox.entries("done"))

    # ----- What going on elsewhere needs

    def _publish_state(self, entry: Entry, item: Item) -> None:
        """Everything of the newest checkpoint, pickles too, where only its owner sees it; nothing older is kept."""
        repo = self.to.state_repo
        self._ensure_repo(repo)
        info = self.caller.call(self.api.repo_info, repo)
        if not info.private:
            raise HubRefusal(
                f"hub_keep_state: {repo} is public, and a trainer's state holds pickles; make it private, or delete it"
            )
        if MANIFEST in self.caller.call(remote_files, self.api, repo, revision=info.sha):
            self._check_owner(repo, info.sha, self._manifest_of(entry))
        files = {
            f"{item.source}/{path.relative_to(entry.files)}": path
            for path in sorted(entry.files.rglob("*"))
            if path.is_file()
        }
        files[MANIFEST] = entry.folder / MANIFEST
        title = f"State at step {item.step}"
        commit = commit_files(self.api, repo, files, message=title, caller=self.caller, tell=self.tell)
        self.caller.call(self.api.super_squash_history, repo)
        entry.mark_done(revision="main", commit=commit.oid, tags=[], bytes=commit.sent)


def exact_base(manifest: Mapping[str, Any]) -> tuple[str, str | None] | None:
    """The Hub id and revision of the very model that a run began with, if it is on the Hub."""
    from open_vr1.data_sources import looks_local

    name = manifest["model"]["name"]
    folder = Path(name)
    if not looks_local(name) and not folder.exists():
        return name, manifest["model"]["revision"]
    for run, entry in ((folder, FINAL), (folder.parent, folder.name.removeprefix("checkpoint-").zfill(9))):
        published = Outbox(run)
        if published.destination and Entry(published.folder / entry).state == "done":
            return published.destination.repo, Entry(published.folder / entry).note()["commit"]
    return None


def _title(item: Item) -> str:
    return f"The model after {item.step} steps" if item.kind == "final" else f"Step {item.step}"


def _next_prefix(to: Destination) -> str:
    return ", like run2" if to.prefix == "main" else f" other than {to.prefix}"
