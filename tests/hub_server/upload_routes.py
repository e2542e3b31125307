"""Writing: what kind of upload each file takes, LFS storage, and the commit itself."""

import base64
import fnmatch
import hashlib
import re
from typing import Any

import yaml

from . import errors
from .app import Call, Reply, route
from .history import PULLS, Change, Commit, large, regular
from .pull_routes import open_pull
from .repos import LARGE

# A regular file is text of at most this size.
REGULAR_BYTES = 10_000_000
OPERATIONS = 25_000


@route("POST", "/api/{kinds}/{repo}/preupload/{revision}")
async def preupload(call: Call) -> dict:
    body = await call.json()
    repo = call.repo_to_write()
    commit = repo.history.resolve(call.words["revision"])
    if len(body["files"]) > 256:
        raise errors.bad_request("At most 256 files")
    ignored = body.get("gitIgnore")
    if ignored is None and (entry := commit.tree.get(".gitignore")):
        ignored = call.hub.store.content(entry.sha256).decode()
    patterns = [line.strip() for line in (ignored or "").splitlines() if line.strip() and line[0] != "#"]
    files = []
    for file in body["files"]:
        path = file["path"]
        known = commit.tree.get(path)
        current = known and (known.sha256 if known.lfs else known.oid)
        mode = "lfs" if is_large(path, file["size"], base64.b64decode(file["sample"])) else "regular"
        answer = {"path": path, "uploadMode": mode, "shouldIgnore": any(fits(path, rule) for rule in patterns)}
        files.append({**answer, **({"oid": current} if current else {})})
    return {"files": files, "commitOid": commit.oid}


def is_large(path: str, size: int, sample: bytes) -> bool:
    return path.rpartition(".")[2].lower() in LARGE or size > REGULAR_BYTES or b"\0" in sample


def fits(path: str, rule: str) -> bool:
    """The plain part of .gitignore: names, globs and folders, no exceptions."""
    rule = rule.strip("/")
    parts = path.split("/")
    whole = ["/".join(parts[:end]) for end in range(1, len(parts) + 1)]
    return any(fnmatch.fnmatch(name, rule) for name in (*parts, *whole))


@route("POST", "/api/validate-yaml")
async def validate_yaml(call: Call) -> Reply:
    body = await call.json()
    content = body["content"].replace("\r\n", "\n")
    if not content.startswith("---\n"):
        return Reply(json={"errors": [], "warnings": [{"message": "empty or missing yaml metadata in repo card"}]})
    try:
        card = yaml.safe_load(content[4:].partition("\n---")[0])
        if not isinstance(card, dict):
            raise yaml.YAMLError("metadata is not a mapping")
        for key in ("license", "pipeline_tag", "library_name", "sdk"):
            if not isinstance(card.get(key, ""), str | list):
                raise yaml.YAMLError(f'"{key}" must be a string')
        if body.get("repoType") == "space" and "sdk" not in card:
            raise yaml.YAMLError('"sdk" is required')
    except yaml.YAMLError as error:
        return Reply(400, {"error": "Invalid metadata", "errors": [{"message": str(error)}], "warnings": []})
    return Reply(json={"errors": [], "warnings": []})


# LFS


@route("POST", "/{prefix}{repo}.git/info/lfs/objects/batch")
async def lfs_batch(call: Call) -> dict:
    body = await call.json()
    call.repo_to_write()
    if body["operation"] != "upload":
        raise errors.bad_request("only uploads")
    parts = call.hub.multipart if "multipart" in body.get("transfers", []) else None
    objects = [upload_of(call, item["oid"], item["size"], parts) for item in body["objects"]]
    return {"transfer": "multipart" if parts else "basic", "objects": objects}


def upload_of(call: Call, oid: str, size: int, parts: int | None) -> dict:
    """Where to send an object; nowhere if it is here."""
    if not re.fullmatch("[0-9a-f]{64}", oid):
        raise errors.bad_request(f"Invalid oid: {oid}")
    known = {"oid": oid, "size": size, "authenticated": True}
    if call.hub.store.size(oid) is not None:
        return known
    url, signed = f"{call.hub.storage_url}/storage/{oid}", f"signature={call.hub.sign(oid)}"
    repo = f"{call.hub.url}/{call.words['prefix']}{call.words['repo']}.git/info/lfs/objects"
    verify = {"href": f"{repo}/verify"}
    if not parts or size <= parts:
        return {**known, "actions": {"upload": {"href": f"{url}?{signed}"}, "verify": verify}}
    count = -(-size // parts)
    header = {f"{number:05d}": f"{url}/{number}?{signed}" for number in range(1, count + 1)}
    upload = {"href": f"{url}/complete?{signed}&parts={count}", "header": {"chunk_size": str(parts), **header}}
    return {**known, "actions": {"upload": upload, "verify": verify}}


def signed_object(call: Call) -> str:
    if call.query.get("signature") != call.hub.sign(call.words["sha256"]):
        raise errors.forbidden("Invalid signature")
    return call.words["sha256"]


@route("PUT", "/storage/{sha256}")
async def lfs_put(call: Call) -> None:
    oid = signed_object(call)
    with call.hub.store.writer() as writer:
        async for piece in call.pieces():
            writer.write(piece)
        if writer.sha256 != oid:
            raise errors.bad_request("The content does not have this SHA-256")
        writer.keep(call.hub.store.path(oid))


@route("PUT", "/storage/{sha256}/{number}")
async def lfs_put_part(call: Call) -> Reply:
    oid = signed_object(call)
    with call.hub.store.writer() as writer:
        async for piece in call.pieces():
            writer.write(piece)
        writer.keep(call.hub.store.folder / "parts" / f"{oid}.{int(call.words['number'])}")
        return Reply(headers={"ETag": f'"{writer.sha256}"'})


@route("POST", "/storage/{sha256}/complete")
async def lfs_complete(call: Call) -> None:
    body = await call.json()
    oid, store = signed_object(call), call.hub.store
    if [part["partNumber"] for part in body["parts"]] != list(range(1, int(call.query["parts"]) + 1)):
        raise errors.bad_request("Not all the parts")
    files = [store.folder / "parts" / f"{oid}.{part['partNumber']}" for part in body["parts"]]
    with store.writer() as writer:
        for file, part in zip(files, body["parts"], strict=True):
            digest = hashlib.sha256()
            if not file.exists():
                raise errors.bad_request(f"{file.name} never came")
            with file.open("rb") as source:
                while block := source.read(1 << 20):
                    digest.update(block)
                    writer.write(block)
            if digest.hexdigest() != part["etag"].strip('"'):
                raise errors.bad_request(f"{file.name} is another one")
        if writer.sha256 != oid:
            raise errors.bad_request("The content does not have this SHA-256")
        writer.keep(store.path(oid))
    for file in files:
        file.unlink()


@route("POST", "/{prefix}{repo}.git/info/lfs/objects/verify")
async def lfs_verify(call: Call) -> None:
    body = await call.json()
    call.repo_to_write()
    if call.hub.store.size(body["oid"]) != body["size"]:
        raise errors.not_found(f"No object {body['oid']} of {body['size']} bytes")


@route("POST", "/api/{kinds}/{repo}/lfs-files/duplicate")
async def lfs_duplicate(call: Call) -> dict:
    """All repositories share one store: to be here is to be there."""
    body = await call.json()
    call.repo()
    call.hub.repos.writable(body["target"]["type"], body["target"]["name"], call.account)
    missing = [file for file in body["files"] if call.hub.store.size(file["sha256"]) is None]
    return {"failed": [{"sha256": file["sha256"], "error": "not found"} for file in missing]}


# Commits


@route("POST", "/api/{kinds}/{repo}/commit/{revision}")
async def commit(call: Call) -> dict:
    repo = call.repo_to_write()
    history, as_pull = repo.history, call.flag("create_pr")
    revision = call.words["revision"]
    history.resolve(revision)
    header: dict[str, Any] = {}
    changes: list[Change] = []
    async for line in call.lines():
        if line["key"] == "header":
            header = line["value"]
        else:
            changes.append(change_of(call, line["key"], line["value"]))
    if not header.get("summary"):
        raise errors.bad_request("A commit needs a summary")
    if len(changes) > OPERATIONS:
        raise errors.HubError(413, "Too many operations in one commit")
    # No await from here on: nothing happens between the check of the parent and the commit.
    title, message, author = header["summary"], header.get("description") or "", call.logged_in().name
    if not header.get("parentCommit") in (None, history.resolve(revision).oid):
        raise errors.commit_happened()
    if as_pull:
        pull = open_pull(call, repo, title, message, start=history.resolve(revision), status="open")
        new = call.hub.repos.commit(repo, f"{PULLS}{pull['num']}", changes, title, message, author)
        return {**done(call, new), "pullRequestUrl": f"{call.hub.url}/{repo.web_path}/discussions/{pull['num']}"}
    new = call.hub.repos.commit(repo, history.branch_of(revision), changes, title, message, author)
    return done(call, new)


def done(call: Call, commit: Commit) -> dict:
    url = f"{call.hub.url}/{call.repo().web_path}/commit/{commit.oid}"
    return {"success": True, "commitOid": commit.oid, "commitUrl": url, "hookOutput": ""}


def change_of(call: Call, key: str, value: dict) -> Change:
    path, store = value["path"], call.hub.store
    if {"", ".", ".."} & set(path.rstrip("/").split("/")) or path.split("/")[0] == ".git":
        raise errors.bad_request(f"Invalid path: {path}")
    if key in ("deletedFile", "deletedFolder"):
        return Change(path, None, folder=key == "deletedFolder")
    if key == "file":
        content = (
            base64.b64decode(value["content"]) if value.get("encoding") == "base64" else value["content"].encode()
        )
        return Change(path, regular(content, store.add(content)))
    if key == "lfsFile":
        size = store.size(value["oid"])
        if size is None or value.get("size", size) != size:
            raise errors.bad_request(f"Your push was rejected because LFS object {value['oid']} is missing: {path}")
        return Change(path, large(value["oid"], size))
    raise errors.bad_request(f"Unknown operation: {key}")
