"""Collections: a named list of models, datasets, Spaces and papers. They live as long as the server."""

import re

from . import errors
from .app import Call, route
from .repos import KINDS, may_write, new_id, now

DESCRIPTION, NOTE = 150, 500


def found(call: Call) -> dict:
    collection = call.hub.collections.get(call.words["slug"])
    member = call.account and collection and collection["owner"]["name"] in call.account.namespaces
    if not collection or (collection["private"] and not member):
        raise errors.not_found("Collection not found")
    return collection


async def found_to_write(call: Call) -> tuple[dict, dict]:
    body = await call.json()
    collection = found(call)
    may_write(call.account, collection["owner"]["name"], collection["slug"])
    collection["lastUpdated"] = now()
    return collection, body


def short(text: str | None, limit: int, what: str) -> str | None:
    if text is not None and len(text) > limit:
        raise errors.bad_request(f"{what} must have at most {limit} characters")
    return text


@route("POST", "/api/collections")
async def create(call: Call) -> dict:
    body = await call.json()
    may_write(call.logged_in(), body["namespace"], body["namespace"])
    for other in call.hub.collections.values():
        if (other["title"], other["owner"]["name"]) == (body["title"], body["namespace"]):
            raise errors.conflict("This collection exists", slug=other["slug"])
    words = re.sub(r"[^a-z0-9]+", "-", body["title"].lower()).strip("-")
    collection = {
        "slug": f"{body['namespace']}/{words}-{new_id()}",
        "title": body["title"],
        "description": short(body.get("description"), DESCRIPTION, "description"),
        "owner": {"name": body["namespace"], "type": "org"},
        "private": bool(body.get("private")),
        "theme": "orange",
        "position": len(call.hub.collections),
        "upvotes": 0,
        "items": [],
        "lastUpdated": now(),
    }
    call.hub.collections[collection["slug"]] = collection
    return collection


@route("GET", "/api/collections")
async def listing(call: Call) -> list[dict]:
    owners = call.query.get("owner")
    names = call.account.namespaces if call.account else ()
    return [
        {key: value for key, value in collection.items() if key != "position"}
        for collection in call.hub.collections.values()
        if owners in (None, collection["owner"]["name"])
        and (not collection["private"] or collection["owner"]["name"] in names)
    ]


@route("GET", "/api/collections/{owner}/{name}")
async def get(call: Call) -> dict:
    return found(slug(call))


def slug(call: Call) -> Call:
    call.words["slug"] = f"{call.words['owner']}/{call.words['name']}"
    return call


@route("PATCH", "/api/collections/{owner}/{name}")
async def update(call: Call) -> dict:
    collection, body = await found_to_write(slug(call))
    short(body.get("description"), DESCRIPTION, "description")
    collection |= {key: body[key] for key in ("title", "description", "private", "theme", "position") if key in body}
    return {"success": True, "data": collection}


@route("DELETE", "/api/collections/{owner}/{name}")
async def delete(call: Call) -> None:
    collection, _ = await found_to_write(slug(call))
    del call.hub.collections[collection["slug"]]


@route("POST", "/api/collections/{owner}/{name}/items")
async def add_item(call: Call) -> dict:
    collection, body = await found_to_write(slug(call))
    kind, name = body["item"]["type"], body["item"]["id"]
    if any((item["type"], item["id"]) == (kind, name) for item in collection["items"]):
        raise errors.conflict("Item already in collection")
    if kind in KINDS:
        call.hub.repos.visible(kind, name, call.account)
    note = short(body.get("note"), NOTE, "note")
    item = {"_id": new_id(), "id": name, "type": kind, **({"note": {"text": note, "html": note}} if note else {})}
    collection["items"].append(item)
    number(collection)
    return collection


def number(collection: dict) -> None:
    for position, item in enumerate(collection["items"]):
        item["position"] = position


def found_item(call: Call, collection: dict) -> dict:
    for item in collection["items"]:
        if item["_id"] == call.words["item"]:
            return item
    raise errors.not_found("No such item")


@route("PATCH", "/api/collections/{owner}/{name}/items/{item}")
async def update_item(call: Call) -> None:
    collection, body = await found_to_write(slug(call))
    item = found_item(call, collection)
    if "note" in body:
        item["note"] = {"text": short(body["note"], NOTE, "note"), "html": body["note"]}
    if "position" in body:
        collection["items"].remove(item)
        collection["items"].insert(body["position"], item)
        number(collection)


@route("DELETE", "/api/collections/{owner}/{name}/items/{item}")
async def delete_item(call: Call) -> None:
    collection, _ = await found_to_write(slug(call))
    collection["items"].remove(found_item(call, collection))
    number(collection)
