"""The Xet upload path: tokens, and a content store that takes chunks in xorbs and files as lists of chunks."""

import re
import secrets
import struct
import time

from . import errors
from .app import Call, Reply, route
from .content_routes import span
from .objects import Recipe, Term
from .xorbs import Xorb, files_of

TOKEN_SECONDS = 3600


@route("GET", "/api/{kinds}/{repo}/xet-read-token/{revision}")
async def read_token(call: Call) -> Reply:
    repo = call.repo()
    repo.history.resolve(call.words["revision"])
    if not repo.may_download(call.account):
        raise errors.gated(repo.id, call.account is not None)
    return token_for(call, "read")


@route("GET", "/api/{kinds}/{repo}/xet-write-token/{revision}")
async def write_token(call: Call) -> Reply:
    repo = call.repo_to_write()
    if not call.flag("create_pr"):
        repo.history.resolve(call.words["revision"])
    return token_for(call, "write")


def token_for(call: Call, scope: str) -> Reply:
    """hf_xet reads the body, huggingface_hub the headers."""
    token, expires = f"xet_{secrets.token_hex(16)}", int(time.time()) + TOKEN_SECONDS
    call.hub.xet_tokens[token] = scope
    url = f"{call.hub.url}/cas/{call.hub.id}"
    headers = {"X-Xet-Cas-Url": url, "X-Xet-Access-Token": token, "X-Xet-Token-Expiration": str(expires)}
    return Reply(json={"casUrl": url, "accessToken": token, "exp": expires}, headers=headers)


def permitted(call: Call, scope: str) -> None:
    granted = call.hub.xet_tokens.get(call.token or "")
    if call.words["id"] != call.hub.id or granted not in (scope, "write"):
        raise errors.HubError(401, "Invalid Xet token")


# The client asks first for chunks that others have sent, for direct uploads and for version 2, and does without.
@route("GET", "/cas/{id}/v1/chunks/{space}/{hash}")
@route("POST", "/cas/{id}/v1/xorb-grants/{path}")
@route("POST", "/cas/{id}/v2/shards")
@route("GET", "/cas/{id}/v2/reconstructions/{hash}")
async def not_offered(call: Call) -> None:
    raise errors.not_found("Not found")


@route("POST", "/cas/{id}/v1/xorbs/{space}/{hash}")
async def put_xorb(call: Call) -> dict:
    permitted(call, "write")
    store, name = call.hub.store, call.words["hash"]
    if not re.fullmatch("[0-9a-f]{64}", name):
        raise errors.bad_request(f"Invalid hash: {name}")
    with store.writer() as writer:
        async for piece in call.pieces():
            writer.write(piece)
        writer.flush()
        try:
            Xorb.read(writer.path)
        except ValueError as error:
            raise errors.bad_request(f"Invalid xorb: {error}") from error
        new = not store.has_xorb(name)
        if new:
            writer.keep(store.xorb_path(name))
    return {"was_inserted": new}


@route("POST", "/cas/{id}/v1/shards")
async def put_shard(call: Call) -> dict:
    permitted(call, "write")
    store = call.hub.store
    try:
        files = files_of(await call.body())
    except (ValueError, struct.error) as error:
        raise errors.bad_request(f"Invalid shard: {error}") from error
    for file in files:
        terms = tuple(Term(*term) for term in file.terms)
        for term in terms:
            if not store.has_xorb(term.xorb):
                raise errors.bad_request(f"Xorb {term.xorb} never came")
            if sum(store.xorb(term.xorb).sizes[term.start : term.end]) != term.size:
                raise errors.bad_request(f"Chunks {term.start} to {term.end} of {term.xorb} are not {term.size} bytes")
        if not file.sha256:
            raise errors.bad_request(f"File {file.hash} comes without its SHA-256")
        store.add_recipe(Recipe(file.hash, file.sha256, sum(term.size for term in terms), terms))
    return {"result": 1}


@route("GET", "/cas/{id}/v1/reconstructions/{hash}")
async def reconstruction(call: Call) -> dict:
    """Which chunks make up a file, or the part of it that a Range header asks for, and where to get them."""
    permitted(call, "read")
    store, recipe = call.hub.store, call.hub.store.recipe(call.words["hash"])
    start, end = span(call.request.headers.get("Range"), recipe.size) or (0, recipe.size)
    skip, terms = store.cut(recipe, start, end)
    sources = {
        xorb: [source(call, xorb, *chunks) for chunks in merged([term for term in terms if term.xorb == xorb])]
        for xorb in {term.xorb for term in terms}
    }
    wanted = [
        {"hash": term.xorb, "unpacked_length": term.size, "range": {"start": term.start, "end": term.end}}
        for term in terms
    ]
    return {"offset_into_first_range": skip, "terms": wanted, "fetch_info": sources}


def merged(terms: list[Term]) -> list[tuple[int, int]]:
    """Ranges of chunks without overlap: the client takes one that begins where another does for that other."""
    ranges: list[tuple[int, int]] = []
    for start, end in sorted((term.start, term.end) for term in terms):
        if ranges and start <= ranges[-1][1]:
            start, end = ranges[-1][0], max(end, ranges.pop()[1])
        ranges.append((start, end))
    return ranges


def source(call: Call, xorb: str, start: int, end: int) -> dict:
    first, last = call.hub.store.xorb(xorb).span(start, end)
    url = f"{call.hub.url}/cas/{call.hub.id}/data/{xorb}?signature={call.hub.sign(xorb)}"
    return {"range": {"start": start, "end": end}, "url": url, "url_range": {"start": first, "end": last}}


@route("GET", "/cas/{id}/data/{hash}")
async def get_xorb(call: Call) -> Reply:
    name, store = call.words["hash"], call.hub.store
    if call.query.get("signature") != call.hub.sign(name):
        raise errors.forbidden("Invalid signature")
    if not store.has_xorb(name):
        raise errors.not_found(f"No xorb {name}")
    path = store.xorb_path(name)
    size = path.stat().st_size
    start, end = span(call.request.headers.get("Range"), size) or (0, size)
    headers = {"Content-Range": f"bytes {start}-{end - 1}/{size}", "Content-Type": "application/octet-stream"}
    return Reply(206, headers=headers, content=store.read_whole(path, start, end), length=end - start)
