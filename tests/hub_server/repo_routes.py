"""Accounts, and repositories as a whole: create, move, delete, settings, information, refs, history."""

import re
from typing import Any

import yaml

from . import errors
from .app import Call, Reply, route
from .history import HEADS, PULLS, TAGS, Commit, Entry, pointer
from .repos import KINDS, Repo, may_write
from .space_routes import check_flavor

SPACE_KEYS = ("sdk", "hardware", "secrets", "variables", "sleepTimeSeconds", "volumes")
NAME = r"(?!.*(--|\.\.|\.git$))[A-Za-z0-9_][\w.-]{0,95}"


@route("GET", "/api/whoami-v2")
async def whoami(call: Call) -> dict:
    account = call.logged_in()
    return {
        "type": "user",
        "id": account.name,
        "name": account.name,
        "fullname": account.name,
        "orgs": [{"type": "org", "id": name, "name": name, "fullname": name} for name in account.organisations],
        "auth": {"type": "access_token", "accessToken": {"displayName": account.role, "role": account.role}},
    }


def named(call: Call, body: dict) -> tuple[str, str]:
    """Kind and full name of the repository that a body is about."""
    kind = body.get("type") or "model"
    name, namespace = body.get("name"), body.get("organization") or call.logged_in().name
    if kind not in KINDS:
        raise errors.bad_request(f"Invalid type: {kind}")
    return kind, checked_name(f"{namespace}/{name}")


def checked_name(name: str) -> str:
    if not re.fullmatch(rf"[\w.-]+/{NAME}", name):
        raise errors.bad_request(f"Invalid repo name: {name}")
    return name


def is_private(body: dict) -> bool | None:
    if "visibility" in body:
        return body["visibility"] == "private"
    return body.get("private")


@route("POST", "/api/repos/create")
async def create(call: Call) -> dict:
    body = await call.json()
    account = call.logged_in()
    kind, name = named(call, body)
    may_write(account, name.partition("/")[0], f"{kind} {name}")
    settings: dict[str, Any] = {"private": bool(is_private(body))}
    if kind == "space":
        if not body.get("sdk"):
            raise errors.bad_request("sdk is required")
        check_flavor(body.get("hardware") or "cpu-basic")
        settings["space"] = {key: body[key] for key in SPACE_KEYS if key in body}
    if existing := call.hub.repos.get(kind, name):
        raise errors.conflict(f"You already created this {kind} repo", url=f"{call.hub.url}/{existing.web_path}")
    repo = call.hub.repos.create(kind, name, account, **settings)
    return {"url": f"{call.hub.url}/{repo.web_path}", "name": repo.id}


@route("DELETE", "/api/repos/delete")
async def delete(call: Call) -> None:
    repo = call.hub.repos.writable(*named(call, await call.json()), call.account)
    call.hub.repos.delete(repo)


@route("POST", "/api/repos/move")
async def move(call: Call) -> None:
    body = await call.json()
    repo = call.hub.repos.writable(body.get("type") or "model", body["fromRepo"], call.account)
    may_write(call.account, checked_name(body["toRepo"]).partition("/")[0], body["toRepo"])
    call.hub.repos.move(repo, body["toRepo"])


@route("PUT", "/api/{kinds}/{repo}/settings")
async def settings(call: Call) -> dict:
    body = await call.json()
    repo = call.repo_to_write()
    private = is_private(body)
    repo.private = repo.private if private is None else private
    repo.gated = body.get("gated", repo.gated)
    call.hub.repos.save(repo)
    return {"private": repo.private, "gated": repo.gated}


@route("POST", "/api/{kinds}/{repo}/user-access-request/grant")
async def grant(call: Call) -> None:
    repo = call.repo_to_write()
    repo.granted.append((await call.json())["user"])
    call.hub.repos.save(repo)


def checked(call: Call) -> Repo:
    repo = call.repo()
    if not repo.may_download(call.account):
        raise errors.gated(repo.id, call.account is not None)
    return repo


@route("GET", "/api/{kinds}/{repo}/auth-check")
async def auth_check(call: Call) -> None:
    checked(call)


@route("GET", "/api/{kinds}/{repo}/auth-check/write")
async def auth_check_write(call: Call) -> None:
    call.repo_to_write()


# Information


def card_of(call: Call, commit: Commit) -> dict | None:
    """The front matter of the README, where there is one that can be read."""
    if not (entry := commit.tree.get("README.md")):
        return None
    text = call.hub.store.content(entry.sha256).decode(errors="replace").replace("\r\n", "\n")
    if not text.startswith("---\n"):
        return None
    try:
        card = yaml.safe_load(text[4:].partition("\n---")[0])
    except yaml.YAMLError:
        return None
    return card if isinstance(card, dict) else None


def lfs_facts(entry: Entry) -> dict:
    return {"size": entry.size, "pointerSize": len(pointer(entry.sha256, entry.size))}


def sibling(path: str, entry: Entry, blobs: bool) -> dict:
    if not blobs:
        return {"rfilename": path}
    lfs = {"lfs": {"sha256": entry.sha256, **lfs_facts(entry)}} if entry.lfs else {}
    return {"rfilename": path, "blobId": entry.oid, "size": entry.size, **lfs}


def facts(call: Call, repo: Repo, commit: Commit, *, files: bool = True) -> dict:
    card = card_of(call, commit) or {}
    tags = card.get("tags") or []
    known = {
        "_id": repo.id,
        "id": repo.id,
        "author": repo.namespace,
        "sha": commit.oid,
        "lastModified": commit.date,
        "createdAt": repo.created,
        "private": repo.private,
        "gated": repo.gated,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": tags if isinstance(tags, list) else [tags],
        "cardData": card,
        "usedStorage": sum({entry.sha256: entry.size for entry in commit.tree.values()}.values()),
    }
    if repo.kind == "model":
        known |= {"modelId": repo.id} | {
            key: card[key] for key in ("pipeline_tag", "library_name") if isinstance(card.get(key), str)
        }
    if repo.kind == "space":
        known |= {"sdk": repo.space.get("sdk")}
    if files:
        known["siblings"] = [sibling(*item, call.flag("blobs")) for item in sorted(commit.tree.items())]
    return known


@route("GET", "/api/{kinds}/{repo}")
async def info(call: Call) -> dict:
    repo = call.repo()
    return facts(call, repo, repo.history.resolve("main"))


@route("GET", "/api/{kinds}/{repo}/revision/{revision}")
async def info_at(call: Call) -> dict:
    repo = call.repo()
    return facts(call, repo, repo.history.resolve(call.words["revision"]))


@route("GET", "/api/{kinds}/{name}")
async def info_without_namespace(call: Call) -> None:
    raise errors.repo_not_found(call.account is not None)


@route("GET", "/api/{kinds}")
async def listing(call: Call) -> Reply:
    author, search = call.query.get("author"), call.query.get("search", "")
    found = [
        repo
        for repo in call.hub.repos
        if repo.kind == call.kind
        and repo.may_see(call.account)
        and author in (None, repo.namespace)
        and search in repo.id
    ]
    found.sort(key=lambda repo: repo.created, reverse=True)
    return page(call, [facts(call, repo, repo.history.resolve("main"), files=False) for repo in found], call.hub.page)


def page(call: Call, items: list, size: int) -> Reply:
    """A part of a list, with a link to the next part."""
    size = min(size, int(call.query.get("limit", size)))
    start = int(call.query.get("cursor", 0))
    headers = {}
    if start + size < len(items):
        query = "&".join(f"{name}={value}" for name, value in call.query.items() if name != "cursor")
        headers["Link"] = f'<{call.hub.url}{call.path}?{query}&cursor={start + size}>; rel="next"'
    return Reply(json=items[start : start + size], headers=headers)


# Refs and history


@route("GET", "/api/{kinds}/{repo}/refs")
async def refs(call: Call) -> dict:
    repo = call.repo()

    def under(start: str) -> list[dict]:
        found = [(ref, oid) for ref, oid in repo.history.refs.items() if ref.startswith(start)]
        return [{"name": ref.removeprefix(start), "ref": ref, "targetCommit": oid} for ref, oid in found]

    answer = {"branches": under(HEADS), "tags": under(TAGS), "converts": []}
    if call.flag("include_prs"):
        answer["pullRequests"] = under(PULLS)
    return answer


@route("GET", "/api/{kinds}/{repo}/commits/{revision}")
async def commits(call: Call) -> Reply:
    repo = call.repo()
    history = [
        {
            "id": commit.oid,
            "title": commit.title,
            "message": commit.message,
            "authors": [{"user": commit.author}],
            "date": commit.date,
        }
        for commit in repo.history.log(repo.history.resolve(call.words["revision"]))
    ]
    return page(call, history, 50)


@route("POST", "/api/{kinds}/{repo}/branch/{name}")
async def create_branch(call: Call) -> None:
    body = await call.json()
    repo, ref = call.repo_to_write(), HEADS + call.words["name"]
    if ref in repo.history.refs:
        raise errors.conflict(f"Reference already exists: {ref}")
    repo.history.refs[ref] = repo.history.resolve(body.get("startingPoint") or "main").oid
    call.hub.repos.save(repo)


@route("DELETE", "/api/{kinds}/{repo}/branch/{name}")
async def delete_branch(call: Call) -> None:
    if call.words["name"] == "main":
        raise errors.forbidden("Cannot delete the main branch")
    drop(call, HEADS)


@route("POST", "/api/{kinds}/{repo}/tag/{name}")
async def create_tag(call: Call) -> None:
    body = await call.json()
    repo, ref = call.repo_to_write(), TAGS + body["tag"]
    if ref in repo.history.refs:
        raise errors.conflict(f"Tag reference exists already: {body['tag']}")
    repo.history.refs[ref] = repo.history.resolve(call.words["name"]).oid
    repo.history.messages[ref] = body.get("message") or ""
    call.hub.repos.save(repo)


@route("DELETE", "/api/{kinds}/{repo}/tag/{name}")
async def delete_tag(call: Call) -> None:
    drop(call, TAGS)


def drop(call: Call, start: str) -> None:
    repo = call.repo_to_write()
    if not repo.history.refs.pop(start + call.words["name"], None):
        raise errors.revision_not_found(call.words["name"])
    call.hub.repos.save(repo)


@route("POST", "/api/{kinds}/{repo}/super-squash/{branch}")
async def super_squash(call: Call) -> None:
    body = await call.json()
    repo = call.repo_to_write()
    if HEADS + call.words["branch"] not in repo.history.refs:
        raise errors.revision_not_found(call.words["branch"])
    title = body.get("message") or f"Super-squash branch '{call.words['branch']}'"
    call.hub.repos.squash(repo, call.words["branch"], title, call.logged_in().name)
