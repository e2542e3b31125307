"""Reading what a revision holds: listings of its tree, and its files, whole or in parts."""

import re
from urllib.parse import quote

from . import errors
from .app import Call, Reply, route
from .history import Commit, Entry, folders
from .repo_routes import checked, lfs_facts, page
from .repos import Repo

# The Hub's own limits; `hub.page` lowers the first.
EXPANDED_PAGE = 50


def described(call: Call, path: str, entry: Entry | None, folder: str | None, touched: dict[str, Commit]) -> dict:
    last = {}
    if commit := touched.get(path):
        last = {"lastCommit": {"id": commit.oid, "title": commit.title, "date": commit.date}}
    if not entry:
        return {"type": "directory", "oid": folder, "size": 0, "path": path, **last}
    found = {"type": "file", "oid": entry.oid, "size": entry.size, "path": path, **last}
    if entry.lfs:
        found["lfs"] = {"oid": entry.sha256, **lfs_facts(entry)}
        if xet := call.hub.store.xet_hash(entry.sha256):
            found["xetHash"] = xet
    return found


def listed(call: Call, repo: Repo, commit: Commit, paths: list[str], expand: bool) -> list[dict]:
    """What is at some paths, in their order; paths at which nothing is are left out."""
    under = folders(commit.tree)
    touched = repo.history.last_touched(commit) if expand else {}
    return [
        described(call, path, commit.tree.get(path), under.get(path), touched)
        for path in paths
        if path in commit.tree or path in under
    ]


@route("GET", "/api/{kinds}/{repo}/tree/{revision}")
@route("GET", "/api/{kinds}/{repo}/tree/{revision}/{path}")
async def tree(call: Call) -> Reply:
    repo = call.repo()
    commit = repo.history.resolve(call.words["revision"])
    top = call.words.get("path", "").strip("/")
    under = folders(commit.tree)
    if top and top not in under:
        raise errors.entry_not_found(top, commit.oid)
    paths = [path for path in sorted([*commit.tree, *under]) if not top or path.startswith(top + "/")]
    if not call.flag("recursive"):
        depth = top.count("/") + 1 if top else 0
        paths = [path for path in paths if path.count("/") == depth]
    expand = call.flag("expand")
    answer = page(call, paths, min(EXPANDED_PAGE, call.hub.page) if expand else call.hub.page)
    answer.json = listed(call, repo, commit, answer.json, expand)
    return answer


@route("POST", "/api/{kinds}/{repo}/paths-info/{revision}")
async def paths_info(call: Call) -> list[dict]:
    form = await call.form()
    repo = call.repo()
    commit = repo.history.resolve(call.words["revision"])
    expand = form.get("expand", [""])[0].lower() == "true"
    return listed(call, repo, commit, form.get("paths", []), expand)


@route("GET", "/{prefix}{repo}/resolve/{revision}/{path}")
async def resolve(call: Call) -> Reply:
    repo = checked(call)
    commit = repo.history.resolve(call.words["revision"])
    path = call.words["path"]
    if not (entry := commit.tree.get(path)):
        raise errors.entry_not_found(path, commit.oid)
    headers = {
        "X-Repo-Commit": commit.oid,
        "Accept-Ranges": "bytes",
        "Content-Disposition": f"inline; filename*=UTF-8''{quote(path.rpartition('/')[2])}",
    }
    if not entry.lfs:
        return sent(call, entry, {**headers, "ETag": f'"{entry.oid}"'})
    headers |= {"X-Linked-Etag": f'"{entry.sha256}"', "X-Linked-Size": str(entry.size)}
    if xet := call.hub.store.xet_hash(entry.sha256):
        token = f"{call.hub.url}{repo.api_path}/xet-read-token/{commit.oid}"
        headers |= {"X-Xet-Hash": xet, "Link": f'<{token}>; rel="xet-auth"'}
    # As on the Hub, another host serves large files: the client brings it no token, and does not follow a HEAD there.
    signature = call.hub.sign(entry.sha256)
    headers["Location"] = f"{call.hub.storage_url}/storage/{entry.sha256}?signature={signature}"
    return Reply(302, headers=headers)


@route("GET", "/storage/{sha256}")
async def storage(call: Call) -> Reply:
    sha256 = call.words["sha256"]
    if call.query.get("signature") != call.hub.sign(sha256):
        raise errors.forbidden("Invalid signature")
    size = call.hub.store.size(sha256)
    if size is None:
        raise errors.not_found("No such object")
    return sent(call, Entry("", sha256, size, lfs=True), {"ETag": f'"{sha256}"', "Accept-Ranges": "bytes"})


def sent(call: Call, entry: Entry, headers: dict[str, str]) -> Reply:
    """The file, or the part of it that a Range header asks for."""
    headers = {"Content-Type": "application/octet-stream", **headers}
    wanted = span(call.request.headers.get("Range"), entry.size)
    if not wanted:
        return Reply(200, headers=headers, content=call.hub.store.read(entry.sha256), length=entry.size)
    start, end = wanted
    headers["Content-Range"] = f"bytes {start}-{end - 1}/{entry.size}"
    return Reply(206, headers=headers, content=call.hub.store.read(entry.sha256, start, end), length=end - start)


def span(header: str | None, size: int) -> tuple[int, int] | None:
    """First byte, and the one after the last; `None` where the header asks for no part that we know how to send."""
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", header or "")
    if not match or match[0] == "bytes=-":
        return None
    first, last = match.groups()
    start = int(first) if first else max(0, size - int(last))
    end = min(size, int(last) + 1) if first and last else size
    if start >= end:
        raise errors.range_not_satisfiable(size)
    return start, end
