"""
A Space on the Hub is made to hold exactly these files and variables: looked at first, then made, one commit, its machine, opened if asked.

    deployment = Deployment(HfApi(), "open-vr1/vr1-7b-reasoner", files, found, caller=Caller())
    deployment.publish(deployment.look())

Looking calls nothing that writes. The same again goes on after any fault, and changes nothing where all is as it should be.
What somebody has added to the Space by hand is kept; what somebody has changed by hand is replaced only when asked.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from huggingface_hub import HfApi, SpaceInfo
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError
from huggingface_hub.hf_api import RepoFile

from open_vr1.errors import UserError
from open_vr1.hub.calls import Caller, HubRefusal, HubUnreachable, status_of
from open_vr1.hub.commits import KEPT, Difference, Digests, Tell, commit_files, compare
from open_vr1.space.checkpoints import Found, as_variable
from open_vr1.space.folder import CARD
from open_vr1.space.guidance import CPU, FREE, ZERO, Ask, advice, status_behind

SPACE = {"repo_type": "space"}
VARIABLE, SECRET = "CHECKPOINTS", "HF_TOKEN"
# By its title a commit is known as one of ours.
TITLE = "open-vr1: "
# Paid machines are paid by the hour until they sleep, and without this they never do.
SLEEP_SECONDS = 3600
# The Hub's word for "not on this machine, or not for you".
ABOUT_HARDWARE = (400, 402, 403)


@dataclass
class Plan:
    """
    What deploying will do.

    Args:
        changes (`Difference`):
            Files to send and to delete.
        exists (`bool`, *optional*, defaults to `False`):
            Whether the Space is there.
        private (`bool`, *optional*, defaults to `True`):
            Whether only its owners see it.
        kept (`list[str]`, *optional*):
            Files that somebody has added by hand.
        replaced (`list[str]`, *optional*):
            Files that somebody has changed by hand, and that are replaced.
        sizes (`dict[str, int]`, *optional*):
            Bytes of the files that are there.
        variable (`bool`, *optional*, defaults to `True`):
            Whether `CHECKPOINTS` has to be set.
        has_token (`bool`, *optional*, defaults to `False`):
            Whether the Space has a token to read private models with.
        hardware (`str`, *optional*):
            The machine to ask for; `None` where it has the one that it should have.
        runs_on (`str`, *optional*):
            The machine that it has asked for before.
    """

    changes: Difference
    exists: bool = False
    private: bool = True
    kept: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    sizes: Mapping[str, int] = field(default_factory=dict)
    variable: bool = True
    has_token: bool = False
    hardware: str | None = None
    runs_on: str | None = None

    def __bool__(self) -> bool:
        return bool(self.changes or self.variable or self.hardware) or not self.exists


class Deployment:
    """
    One Space on its way to one repository.

    Args:
        api (`HfApi`):
            The client.
        repo (`str`):
            The Space's repository.
        files (`Mapping[str, Path]`):
            Its files, by their path there.
        found (`Found`):
            The checkpoints that it shows.
        ask (`Ask`):
            Who asks for what, for guidance.
        hardware (`str`, *optional*):
            Its machine. By default a new Space gets ZeroGPU and an older one keeps what it has.
        replace (`bool`, *optional*, defaults to `False`):
            Whether files that were changed by hand are replaced.
        token (`str`, *optional*):
            What the Space reads private models with.
        caller (`Caller`, *optional*):
            How long to try. An hour by default.
    """

    def __init__(
        self,
        api: HfApi,
        repo: str,
        files: Mapping[str, Path],
        found: Found,
        ask: Ask,
        *,
        hardware: str | None = None,
        replace: bool = False,
        token: str | None = None,
        caller: Caller | None = None,
    ):
        self.api, self.repo, self.found, self.ask = api, repo, found, ask
        self.hardware, self.replace, self.token = hardware, replace, token
        self.caller = caller or Caller()
        self.digests = Digests(files)
        self.variable = as_variable(found.checkpoints)
        self.done: list[str] = []

    # ----- Looking

    def look(self) -> Plan:
        """Compare with what is there."""
        info = self.caller.call(self._find)
        return self._look_at(info) if info else self.look_at_nothing()

    def look_at_nothing(self) -> Plan:
        """The plan for a Space that is not there."""
        return Plan(Difference("", add=list(self.digests.files)), hardware=self.hardware or ZERO)

    def _find(self) -> SpaceInfo | None:
        try:
            return self.api.space_info(self.repo)
        except RepositoryNotFoundError:
            return None

    def _look_at(self, info: SpaceInfo) -> Plan:
        remote = self.caller.call(self._remote, info.sha)
        changes = compare(self.digests, remote, info.sha)
        by_hand = self._by_hand(remote)
        replaced = [name for name in changes.add if name in by_hand]
        if replaced and not self.replace:
            raise UserError(
                f"REPO={self.repo}: somebody has changed there by hand: {', '.join(replaced)}; copy what you need, then "
                "REPLACE=1 puts ours in its place (the old content stays in the Space's history), or write another REPO"
            )
        kept = [name for name in changes.delete if name in by_hand]
        changes.delete = [name for name in changes.delete if name not in by_hand]
        variables = self.caller.call(self.api.get_space_variables, self.repo)
        runtime = self.caller.call(self.api.get_space_runtime, self.repo)
        runs_on = runtime.requested_hardware or runtime.hardware
        return Plan(
            changes,
            exists=True,
            private=bool(info.private),
            kept=kept,
            replaced=replaced,
            sizes={name: file.size for name, file in remote.items()},
            variable=VARIABLE not in variables or variables[VARIABLE].value != self.variable,
            has_token=SECRET in self.caller.call(self.api.get_space_secrets, self.repo),
            hardware=self.hardware if self.hardware != runs_on else None,
            runs_on=runs_on,
        )

    def _remote(self, commit: str) -> dict[str, RepoFile]:
        """Its files, each with the commit that has touched it last."""
        tree = self.api.list_repo_tree(self.repo, **SPACE, revision=commit, recursive=True, expand=True)
        return {entry.path: entry for entry in tree if isinstance(entry, RepoFile)}

    def _by_hand(self, remote: Mapping[str, RepoFile]) -> set[str]:
        """What was touched last by a commit that is none of ours; the card that the Hub makes a Space with is nobody's."""
        first = self.caller.call(self.api.list_repo_commits, self.repo, **SPACE)[-1].commit_id
        ours = {name for name, file in remote.items() if file.last_commit.title.startswith(TITLE)}
        if CARD in remote and remote[CARD].last_commit.oid == first:
            ours.add(CARD)
        return remote.keys() - ours - KEPT

    # ----- Publishing

    def publish(self, plan: Plan, *, public: bool = False, tell: Tell | None = None) -> str | None:
        """
        Do it, or say how far it came and what to do.

        Args:
            plan (`Plan`):
                What [`Deployment.look`] has found.
            public (`bool`, *optional*, defaults to `False`):
                Whether everybody may see it in the end.
            tell (`Callable[[int, int], None]`, *optional*):
                Is told the bytes that have been sent and those that have to be.

        Returns:
            `str`, *optional*: what the Hub said to the machine that was asked for, if that was no.
        """
        refused = None
        if plan.exists:
            self.done.append("the Space")
        else:
            with self._step("make the Space", about_hardware=True):
                refused = self._create(plan.hardware)
            self.done.append(f"the Space, private, on {CPU if refused else plan.hardware}")
        if plan.variable:
            with self._step(f"set its variable {VARIABLE}"):
                self.caller.call(self.api.add_space_variable, self.repo, VARIABLE, self.variable)
            self.done.append(f"its variable {VARIABLE}")
        if self.token:
            with self._step(f"set its secret {SECRET}"):
                self.caller.call(self.api.add_space_secret, self.repo, SECRET, self.token)
            self.done.append(f"its secret {SECRET}")
        if plan.changes:
            with self._step("send its files"):
                self._commit(plan, tell)
        self.done.append("all of its files")
        if plan.exists and plan.hardware:
            refused = self._request(plan.hardware)
        if public and plan.private:
            with self._step("open it to everybody"):
                self.caller.call(self.api.update_repo_settings, self.repo, **SPACE, private=False)
        return refused

    def _create(self, hardware: str) -> str | None:
        """With the machine at once: a free account may have a Space on ZeroGPU, and none without."""
        try:
            self.caller.call(self._create_once, hardware)
        except HubRefusal as error:
            if hardware == CPU or status_behind(error) not in ABOUT_HARDWARE:
                raise
            try:
                self.caller.call(self._create_once, CPU)
            except HubRefusal as other:
                if str(other) == str(error):
                    raise error from error.__cause__
                raise HubRefusal(f"{error}; without HARDWARE={hardware}: {other}") from error.__cause__
            return "\n".join([str(error), *advice(error, self.ask, about_hardware=True)])
        return None

    def _create_once(self, hardware: str) -> None:
        """Also where the answer to an earlier attempt was lost; not every conflict says that it is there."""
        machine = {"space_hardware": hardware, **({} if hardware in FREE else {"space_sleep_time": SLEEP_SECONDS})}
        try:
            self.api.create_repo(self.repo, **SPACE, space_sdk="gradio", private=True, **machine)
        except HfHubHTTPError as error:
            if status_of(error) != 409 or self._find() is None:
                raise

    def _commit(self, plan: Plan, tell: Tell | None) -> None:
        commit_files(
            self.api,
            self.repo,
            self.digests.files,
            **SPACE,
            message=TITLE + ", ".join(self.found.models),
            parent=plan.changes.head or None,
            caller=self.caller,
            tell=tell,
            keep=plan.kept,
        )

    def _request(self, hardware: str) -> str | None:
        sleep = None if hardware in FREE else SLEEP_SECONDS
        try:
            self.caller.call(self.api.request_space_hardware, self.repo, hardware, sleep_time=sleep)
        except (HubRefusal, HubUnreachable) as error:
            return "\n".join([str(error), *advice(error, self.ask, about_hardware=True)])
        return None

    @contextmanager
    def _step(self, what: str, about_hardware: bool = False) -> Iterator[None]:
        try:
            yield
        except (HubRefusal, HubUnreachable) as error:
            raise self._stopped(what, str(error), *advice(error, self.ask, about_hardware)) from error
        except ValueError as error:  # The Hub has looked at the front matter.
            mend = f"mend the front matter of the Space's {CARD}"
            raise self._stopped(what, " ".join(str(error).split()), mend) from error

    def _stopped(self, what: str, why: str, *lines: str) -> UserError:
        there = ", ".join(self.done) or "nothing: no Space was made and nothing was sent"
        told = f"there already: {there}; once that is mended the same command goes on"
        return UserError("\n".join([f"REPO={self.repo}: could not {what}: {why}", told, *lines]))
