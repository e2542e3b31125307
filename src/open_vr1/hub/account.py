"""
Whether a repository's name is one, and whether the token may write there: asked before anything is sent.

    check_repo_id("open-vr1/cold-200k"); check_account(HfApi(), "open-vr1/cold-200k", Caller())
"""

import re
from typing import Any

from huggingface_hub import HfApi

from open_vr1.errors import UserError
from open_vr1.hub.calls import Caller, HubRefusal

NAME = re.compile(r"(?!.*(?:--|\.\.))(?![-.])[\w.-]{1,96}(?<![-.])(?<!\.git)", re.ASCII)


def check_repo_id(repo: str, key: str = "REPO") -> None:
    """Refuse what is not `owner/name`, with the nearest that is."""
    if not is_repo_id(repo):
        raise UserError(f"{key}={repo}: is no repository; write {key}={nearest_repo_id(repo)}")


def is_repo_id(text: str) -> bool:
    owner, _, name = text.partition("/")
    return bool(NAME.fullmatch(owner) and NAME.fullmatch(name))


def nearest_repo_id(text: str) -> str:
    text = re.sub(r"^https?://[^/]+/", "", text.strip()).removesuffix(".git")
    parts = [_nearest_name(part) for part in re.sub(r"^(datasets|spaces|models)/", "", text).split("/")]
    owner, *names = [part for part in parts if part] or ["dataset"]
    return f"{owner}/{'-'.join(names)}" if names else f"<your name>/{owner}"


def _nearest_name(text: str) -> str:
    text = re.sub(r"[^\w.-]+", "-", text, flags=re.ASCII)
    return re.sub(r"\.{2,}", ".", re.sub(r"-{2,}", "-", text)).strip("-.")[:96]


def check_account(api: HfApi, repo: str, caller: Caller, key: str = "REPO") -> str:
    """The account's name, if its token may write to this repository."""
    account = caller.call(api.whoami)
    user, owner = account["name"], repo.partition("/")[0]
    organisations = {entry["name"]: entry for entry in account.get("orgs", ())}
    if owner != user and owner not in organisations:
        raise HubRefusal(
            f"{key}={repo}: the token is {user}'s, who is not in {owner}; write {key}={user}/{repo.partition('/')[2]}, or "
            f"use a token of a member of {owner}"
        )
    if organisations.get(owner, {}).get("roleInOrg") == "read":
        raise HubRefusal(
            f"{key}={repo}: {user} may only read in {owner}; ask {owner} for the role contributor or write"
        )
    token = account.get("auth", {}).get("accessToken", {})
    if token.get("role") == "read" or (token.get("role") == "fineGrained" and not _may_write(token, repo)):
        raise HubRefusal(
            f"{key}={repo}: the token {token.get('displayName', '')!r} of {user} may not write there; make one that may at "
            f"{api.endpoint}/settings/tokens"
        )
    return user


def _may_write(token: dict[str, Any], repo: str) -> bool:
    """Whether a fine-grained token names the repository or its owner with the right to write."""
    scopes = token.get("fineGrained", {}).get("scoped")
    if scopes is None:  # Not told: the Hub decides when it is asked to write.
        return True
    names = (repo, repo.partition("/")[0])
    return any(
        scope.get("entity", {}).get("name") in names and "repo.write" in scope.get("permissions", ())
        for scope in scopes
    )
