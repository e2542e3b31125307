"""
A dataset becomes the next version of a repository: looked at first, then one commit, compared, tagged, and opened if asked.

    push = DatasetPush(HfApi(), folder, "open-vr1/cold-200k", drafts)
    push.publish(push.look())

Looking calls nothing that writes. What a killed run has left, a repository without files or a commit without a tag, the next one
finishes.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from huggingface_hub import DatasetCard, HfApi
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError
from huggingface_hub.hf_api import DatasetInfo, RepoFile

from open_vr1.errors import UserError
from open_vr1.hub.calls import Caller, HubRefusal, status_of
from open_vr1.hub.cold_folder import ColdFolder
from open_vr1.hub.commits import KEPT, Difference, Digests, Tell, commit_files, compare, remote_files
from open_vr1.hub.versions import Version, breaking_changes, versions_of
from open_vr1.run_facts import MANIFEST_FILE

CARD = "README.md"
OURS = (r"(data|rl)/train-\d{5}-of-\d{5}\.parquet", re.escape(CARD), re.escape(MANIFEST_FILE))
TAG = "open-vr1"
DATASET = {"repo_type": "dataset"}


@dataclass
class Plan:
    """
    What publishing will do.

    Args:
        version (`Version`):
            The tag that the files get or have.
        changes (`Difference`):
            Files to send and to delete; empty where main has them all.
        exists (`bool`, *optional*, defaults to `False`):
            Whether the repository is there.
        private (`bool`, *optional*, defaults to `True`):
            Whether only its owners see it.
        tagged (`bool`, *optional*, defaults to `False`):
            Whether the version is there.
        last (`Version`, *optional*):
            The newest version that is there.
        breaking (`list[str]`, *optional*):
            What readers of that one would miss.
        remote (`dict[str, RepoFile]`, *optional*):
            Files that are there.
    """

    version: Version
    changes: Difference
    exists: bool = False
    private: bool = True
    tagged: bool = False
    last: Version | None = None
    breaking: list[str] = field(default_factory=list)
    remote: Mapping[str, RepoFile] = field(default_factory=dict)


class DatasetPush:
    """
    One dataset on its way to one repository.

    Args:
        api (`HfApi`):
            The client.
        folder (`ColdFolder`):
            The dataset.
        repo (`str`):
            The repository's id.
        drafts (`Path`):
            A folder for the card.
        version (`Version`, *optional*):
            Another version than the next one.
        caller (`Caller`, *optional*):
            How long to try. An hour by default.
    """

    def __init__(
        self,
        api: HfApi,
        folder: ColdFolder,
        repo: str,
        drafts: Path,
        *,
        version: Version | None = None,
        caller: Caller | None = None,
    ):
        self.api, self.folder, self.repo, self.version = api, folder, repo, version
        self.caller = caller or Caller()
        self.files = {CARD: drafts / CARD, **folder.files}
        self.digests = Digests(self.files, folder.sha256)

    # ----- Looking

    def look(self) -> Plan:
        """Compare with what is there."""
        info = self._info()
        return self._look_at(info) if info else self.look_at_nothing()

    def look_at_nothing(self) -> Plan:
        """The plan for a repository that is not there."""
        version = self.version or Version()
        self._write_card(version)
        return Plan(version, Difference("", add=list(self.files)))

    def _write_card(self, version: Version) -> None:
        self.files[CARD].write_text(self.folder.card(self.repo, str(version)))

    def _info(self) -> DatasetInfo | None:
        info = self.caller.call(self._find, "dataset")
        if info is None and self.caller.call(self._find, "model"):
            owner = self.repo.partition("/")[0]
            raise UserError(
                f"REPO={self.repo}: is a model; write another name for the dataset, like REPO={owner}/cold-200k"
            )
        return info

    def _find(self, kind: str) -> DatasetInfo | None:
        try:
            return self.api.repo_info(self.repo, repo_type=kind)
        except RepositoryNotFoundError:
            return None

    def _look_at(self, info: DatasetInfo) -> Plan:
        remote = self._remote(info.sha)
        self._check_ours(info, remote)
        refs = self.caller.call(self.api.list_repo_refs, self.repo, **DATASET)
        versions = versions_of({tag.name: tag.target_commit for tag in refs.tags})
        last = next(reversed(versions), None)
        there = {"exists": True, "private": info.private, "last": last, "remote": remote}
        if self.version in versions:
            same = self._compare(self.version, self._remote(versions[self.version]), versions[self.version])
            if same:
                raise UserError(
                    f"VERSION={self.version}: {self.repo} has a version of this name with other content; write a later one, or "
                    "leave VERSION out for the next"
                )
            return Plan(self.version, same, tagged=True, **there)
        if last and not self.version and versions[last] == info.sha:
            same = self._compare(last, remote, info.sha)
            if not same:
                return Plan(last, same, tagged=True, **there)
        breaking = self._breaking(last) if last else []
        version = self.version or (last.next(bool(breaking)) if last else Version())
        return Plan(version, self._compare(version, remote, info.sha), breaking=breaking, **there)

    def _remote(self, commit: str) -> dict[str, RepoFile]:
        return self.caller.call(remote_files, self.api, self.repo, **DATASET, revision=commit)

    def _compare(self, version: Version, remote: Mapping[str, RepoFile], commit: str) -> Difference:
        """The card is that of the version; that `make cold` was started again, and did nothing, is no change."""
        self._write_card(version)
        changes = compare(self.digests, remote, commit)
        if MANIFEST_FILE in remote and changes.add == [MANIFEST_FILE] and not changes.delete:
            return Difference(commit, same=[*changes.same, MANIFEST_FILE])
        return changes

    def _check_ours(self, info: DatasetInfo, remote: Mapping[str, RepoFile]) -> None:
        """Whatever else lies there would be deleted, so it has to be ours."""
        tags = (info.card_data.get("tags") if info.card_data else None) or []
        ours = OURS if TAG in tags else ()
        strange = [name for name in remote if name not in KEPT and not any(re.fullmatch(form, name) for form in ours)]
        if strange:
            listed = ", ".join(strange[:3]) + (f" and {len(strange) - 3} more" if len(strange) > 3 else "")
            raise UserError(
                f"REPO={self.repo}: holds what open-vr1 has not put there: {listed}; write another REPO, or delete that first"
            )

    def _breaking(self, last: Version) -> list[str]:
        info = self.caller.call(self.api.repo_info, self.repo, **DATASET, revision=str(last))
        card = DatasetCard(self.folder.card(self.repo, str(last)), ignore_metadata_errors=False).data
        return breaking_changes(info.card_data, card) if info.card_data else ["the last version has no card"]

    # ----- Publishing

    def publish(self, plan: Plan, *, public: bool = False, tell: Tell | None = None) -> None:
        """
        Do it.

        Args:
            plan (`Plan`):
                What [`DatasetPush.look`] has found.
            public (`bool`, *optional*, defaults to `False`):
                Whether everybody may see it in the end.
            tell (`Callable[[int, int], None]`, *optional*):
                Is told the bytes that have been sent and those that have to be.
        """
        if not plan.exists:
            self.caller.call(self._create)
        commit = plan.changes.head
        if plan.changes:
            commit = self._commit(plan, tell)
        if not plan.tagged:
            self.caller.call(self._tag, str(plan.version), commit)
        if public and plan.private:
            self.caller.call(self.api.update_repo_settings, self.repo, **DATASET, private=False)

    def _create(self) -> None:
        """Also where the answer to an earlier attempt was lost; not every conflict says that it is there."""
        try:
            self.api.create_repo(self.repo, **DATASET, private=True)
        except HfHubHTTPError as error:
            if status_of(error) != 409 or self._find("dataset") is None:
                raise

    def _commit(self, plan: Plan, tell: Tell | None) -> str:
        rows = ", ".join(f"{count:,} {config}" for config, count in self.folder.rows.items())
        done = commit_files(
            self.api,
            self.repo,
            self.files,
            **DATASET,
            message=f"{plan.version}: {rows} rows",
            sha256=self.folder.sha256,
            caller=self.caller,
            tell=tell,
        )
        self.folder.check_unchanged()
        return done.oid

    def _tag(self, name: str, commit: str) -> None:
        """Also where the answer to an earlier attempt was lost."""
        tags = {tag.name: tag.target_commit for tag in self.api.list_repo_refs(self.repo, **DATASET).tags}
        if name not in tags:
            self.api.create_tag(self.repo, **DATASET, tag=name, revision=commit)
        elif tags[name] != commit:
            raise HubRefusal(
                f"{self.repo}: somebody else has made {name} in the meantime; look at it, then run the same command again"
            )
