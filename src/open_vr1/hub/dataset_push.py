"""
A dataset becomes the next version of a repository: looked at first, then one commit, compared, tagged, and opened if asked.

    push = DatasetPush(HfApi(), folder, "open-vr1/cold-200k", card, caller=Caller())
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
from open_vr1.hub.cold_folder import RUN_MANIFEST, ColdFolder
from open_vr1.hub.commits import KEPT, Difference, Digests, Tell, commit_files, difference, remote_files
from open_vr1.hub.versions import Version, breaking_changes, versions_of

CARD = "README.md"
OURS = re.compile(r"(data|rl)/train-\d{5}-of-\d{5}\.parquet")
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
        card (`Path`):
            The card to publish as `README.md`.
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
        card: Path,
        *,
        version: Version | None = None,
        caller: Caller | None = None,
    ):
        self.api, self.folder, self.repo, self.version = api, folder, repo, version
        self.caller = caller or Caller()
        self.card = DatasetCard(card.read_text(), ignore_metadata_errors=False).data
        self.files = {CARD: card, **folder.files}
        self.digests = Digests(self.files, folder.sha256)

    # ----- Looking

    def look(self) -> Plan:
        """Compare with what is there."""
        info = self._info()
        return self._look_at(info) if info else self.look_at_nothing()

    def look_at_nothing(self) -> Plan:
        """The plan for a repository that is not there."""
        return Plan(self.version or Version(), Difference("", add=list(self.files)))

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
        remote = self.caller.call(remote_files, self.api, self.repo, **DATASET, revision=info.sha)
        self._check_ours(info, remote)
        changes = self.caller.call(difference, self.api, self.repo, self.digests, **DATASET, revision=info.sha)
        refs = self.caller.call(self.api.list_repo_refs, self.repo, **DATASET)
        versions = versions_of({tag.name: tag.target_commit for tag in refs.tags})
        plan = Plan(Version(), changes, exists=True, private=info.private, remote=remote)
        plan.last = next(reversed(versions), None)
        here = [version for version, commit in versions.items() if commit == info.sha] if not changes else []
        if self.version in versions and self.version not in here:
            self._check_same(self.version, versions[self.version])
            plan.version, plan.tagged, plan.changes = self.version, True, Difference(versions[self.version])
        elif self.version or here:
            plan.version = self.version or here[-1]
            plan.tagged = plan.version in here
        elif plan.last:
            plan.breaking = self._breaking(plan.last)
            plan.version = plan.last.next(bool(plan.breaking))
        return plan

    def _check_ours(self, info: DatasetInfo, remote: Mapping[str, RepoFile]) -> None:
        """Whatever else lies there would be deleted, so it has to be ours."""
        tags = (info.card_data.get("tags") if info.card_data else None) or []
        known = {CARD, *KEPT} if TAG in tags else KEPT
        strange = [name for name in remote if name not in known and not (TAG in tags and _is_ours(name))]
        if strange:
            listed = ", ".join(strange[:3]) + (f" and {len(strange) - 3} more" if len(strange) > 3 else "")
            raise UserError(
                f"REPO={self.repo}: holds what open-vr1 has not put there: {listed}; write another REPO, or delete that first"
            )

    def _check_same(self, version: Version, commit: str) -> None:
        if self.caller.call(difference, self.api, self.repo, self.digests, **DATASET, revision=commit):
            raise UserError(
                f"VERSION={version}: {self.repo} has a version of this name with other content; write a later one, or leave "
                "VERSION out for the next"
            )

    def _breaking(self, last: Version) -> list[str]:
        info = self.caller.call(self.api.repo_info, self.repo, **DATASET, revision=str(last))
        return breaking_changes(info.card_data, self.card) if info.card_data else ["the last version has no card"]

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


def _is_ours(name: str) -> bool:
    return name in (CARD, RUN_MANIFEST) or OURS.fullmatch(name) is not None
