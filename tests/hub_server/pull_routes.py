"""Discussions and pull requests: a pull request is a discussion with a ref of its own, refs/pr/N."""

from typing import Any

from . import errors
from .app import Call, route
from .history import HEADS, PULLS, Commit
from .repos import Repo, new_id, now

OPEN = ("draft", "open")
PAGE = 10


def event(author: str, kind: str, **data: Any) -> dict:
    return {"id": new_id(), "type": kind, "author": {"name": author}, "createdAt": now(), "data": data}


def comment(author: str, text: str) -> dict:
    return event(author, "comment", edited=False, hidden=False, latest={"raw": text, "html": text})


def open_discussion(call: Call, repo: Repo, title: str, description: str, *, pull: bool, status: str) -> dict:
    account = call.logged_in()
    discussion = {
        "num": len(repo.discussions) + 1,
        "title": title,
        "author": {"name": account.name},
        "createdAt": now(),
        "status": status,
        "isPullRequest": pull,
        "events": [comment(account.name, description)],
        "mergeCommitId": None,
    }
    repo.discussions.append(discussion)
    return discussion


def open_pull(call: Call, repo: Repo, title: str, description: str, *, start: Commit, status: str) -> dict:
    pull = open_discussion(call, repo, title, description, pull=True, status=status)
    repo.history.refs[f"{PULLS}{pull['num']}"] = start.oid
    call.hub.repos.save(repo)
    return pull


@route("POST", "/api/{kinds}/{repo}/discussions")
async def create(call: Call) -> dict:
    body = await call.json()
    repo, account = call.repo(), call.logged_in()
    if account.role == "read":
        raise errors.forbidden("This token can only read")
    if body.get("pullRequest"):
        # Those that a program opens are drafts until it says otherwise.
        start = repo.history.resolve("main")
        discussion = open_pull(call, repo, body["title"], body.get("description", ""), start=start, status="draft")
    else:
        text = body.get("description", "")
        discussion = open_discussion(call, repo, body["title"], text, pull=False, status="open")
        call.hub.repos.save(repo)
    return {"num": discussion["num"], "url": f"{call.hub.url}/{repo.web_path}/discussions/{discussion['num']}"}


def shown(repo: Repo, discussion: dict) -> dict:
    return {**discussion, "repo": {"name": repo.id, "type": repo.kind}}


@route("GET", "/api/{kinds}/{repo}/discussions")
async def listing(call: Call) -> dict:
    repo = call.repo()
    kind, status, author = (call.query.get(name, "all") for name in ("type", "status", "author"))
    found = [
        shown(repo, discussion)
        for discussion in reversed(repo.discussions)
        if kind in ("all", "pull_request" if discussion["isPullRequest"] else "discussion")
        and status in ("all", "open" if discussion["status"] in OPEN else "closed")
        and author in ("all", discussion["author"]["name"])
    ]
    start = int(call.query.get("p", 0)) * PAGE
    return {"count": len(found), "start": start, "discussions": found[start : start + PAGE]}


def chosen(call: Call, repo: Repo) -> dict:
    number = call.words["number"]
    if not number.isdigit() or not 1 <= int(number) <= len(repo.discussions):
        raise errors.not_found(f"No discussion {number}")
    return repo.discussions[int(number) - 1]


@route("GET", "/api/{kinds}/{repo}/discussions/{number}")
async def details(call: Call) -> dict:
    repo = call.repo()
    discussion = chosen(call, repo)
    answer = shown(repo, discussion)
    if not discussion["isPullRequest"]:
        return answer
    history = repo.history
    clashes, changes = [], []
    if discussion["status"] in OPEN:
        try:
            changes = history.pull_changes(discussion["num"])
        except errors.HubError as error:
            clashes = error.body["files"]
    answer |= {
        "changes": {"base": HEADS + "main", "mergeCommitId": discussion["mergeCommitId"]},
        "filesWithConflicts": clashes,
    }
    if call.flag("diff"):
        answer["diff"] = "".join(f"{'+++' if change.entry else '---'} {change.path}\n" for change in changes)
    return answer


async def to_change(call: Call) -> tuple[Repo, dict, dict, str]:
    body = await call.json()
    repo, account = call.repo(), call.logged_in()
    discussion = chosen(call, repo)
    if account.role == "read" or not (repo.is_member(account) or discussion["author"]["name"] == account.name):
        raise errors.forbidden("You don't have the rights to change this discussion")
    return repo, discussion, body, account.name


def added(call: Call, repo: Repo, discussion: dict, new: dict) -> dict:
    discussion["events"].append(new)
    call.hub.repos.save(repo)
    return new


@route("POST", "/api/{kinds}/{repo}/discussions/{number}/comment")
async def add_comment(call: Call) -> dict:
    body = await call.json()
    repo, account = call.repo(), call.logged_in()
    discussion = chosen(call, repo)
    return {"newMessage": added(call, repo, discussion, comment(account.name, body["comment"]))}


@route("POST", "/api/{kinds}/{repo}/discussions/{number}/title")
async def rename(call: Call) -> dict:
    repo, discussion, body, author = await to_change(call)
    new = event(author, "title-change", **{"from": discussion["title"], "to": body["title"]})
    discussion["title"] = body["title"]
    return {"newTitle": added(call, repo, discussion, new)}


@route("POST", "/api/{kinds}/{repo}/discussions/{number}/status")
async def set_status(call: Call) -> dict:
    repo, discussion, body, author = await to_change(call)
    if discussion["status"] == "merged" or body["status"] not in ("open", "closed"):
        raise errors.bad_request(f"A discussion that is {discussion['status']} cannot be {body['status']}")
    if body.get("comment"):
        discussion["events"].append(comment(author, body["comment"]))
    discussion["status"] = body["status"]
    return {"newStatus": added(call, repo, discussion, event(author, "status-change", status=body["status"]))}


@route("POST", "/api/{kinds}/{repo}/discussions/{number}/merge")
async def merge(call: Call) -> None:
    body = await call.json()
    repo = call.repo_to_write()
    discussion, author = chosen(call, repo), call.logged_in().name
    if not discussion["isPullRequest"] or discussion["status"] != "open":
        raise errors.bad_request(f"This is no open pull request: {discussion['status']}")
    changes = repo.history.pull_changes(discussion["num"])
    title = f"{discussion['title']} (#{discussion['num']})"
    commit = call.hub.repos.commit(repo, HEADS + "main", changes, title, "", author)
    discussion |= {"status": "merged", "mergeCommitId": commit.oid}
    if body and body.get("comment"):
        discussion["events"].append(comment(author, body["comment"]))
    added(call, repo, discussion, event(author, "status-change", status="merged"))
