"""
Spaces, Jobs and buckets as far as a launcher needs them: what was asked for is kept and can be read back. Nothing runs:
a test says how far a job has come, `hub.jobs[id]["status"]["stage"] = "COMPLETED"`. Jobs and buckets live as long as the
server, and buckets hold no files.
"""

import json
from typing import Any

from huggingface_hub import SpaceHardware

from . import errors
from .app import Call, Reply, route
from .repos import Repo, may_write, new_id, now

FINISHED = ("COMPLETED", "CANCELED", "ERROR", "DELETED")
SPEC = ("command", "arguments", "environment", "flavor", "labels", "volumes", "dockerImage", "spaceId", "network")


# Spaces


@route("GET", "/api/spaces/{repo}/runtime")
async def runtime(call: Call) -> dict:
    return running(call.hub.repos.visible("space", call.words["repo"], call.account))


def running(repo: Repo) -> dict:
    flavor = repo.space.get("hardware", "cpu-basic")
    return {
        "stage": repo.space.get("stage", "RUNNING"),
        "hardware": {"current": flavor, "requested": flavor},
        "gcTimeout": repo.space.get("sleepTimeSeconds"),
        "storage": None,
        "volumes": repo.space.get("volumes"),
    }


async def space_to_write(call: Call) -> tuple[Repo, dict]:
    body = await call.json()
    return call.hub.repos.writable("space", call.words["repo"], call.account), body


def changed(call: Call, repo: Repo, **values: Any) -> dict:
    repo.space |= {key: value for key, value in values.items() if value is not None}
    call.hub.repos.save(repo)
    return running(repo)


def check_flavor(flavor: str) -> None:
    if flavor not in {known.value for known in SpaceHardware}:
        raise errors.bad_request(f"Invalid hardware flavor: {flavor}")


@route("POST", "/api/spaces/{repo}/hardware")
async def hardware(call: Call) -> dict:
    repo, body = await space_to_write(call)
    check_flavor(body["flavor"])
    return changed(call, repo, hardware=body["flavor"], sleepTimeSeconds=body.get("sleepTimeSeconds"))


@route("POST", "/api/spaces/{repo}/sleeptime")
async def sleep_time(call: Call) -> dict:
    repo, body = await space_to_write(call)
    return changed(call, repo, sleepTimeSeconds=body["seconds"])


@route("POST", "/api/spaces/{repo}/pause")
async def pause(call: Call) -> dict:
    repo, _ = await space_to_write(call)
    return changed(call, repo, stage="PAUSED")


@route("POST", "/api/spaces/{repo}/restart")
async def restart(call: Call) -> dict:
    repo, _ = await space_to_write(call)
    return changed(call, repo, stage="RUNNING")


def kept(repo: Repo, what: str) -> dict[str, dict]:
    """Secrets or variables by key; those given when the Space was made came as a list."""
    return {item["key"]: item for item in repo.space.get(what, [])}


def shown(repo: Repo, what: str) -> dict[str, dict]:
    hidden = ("value",) if what == "secrets" else ()
    items = kept(repo, what)
    return {key: {name: value for name, value in item.items() if name not in hidden} for key, item in items.items()}


@route("GET", "/api/spaces/{repo}/{what}")
async def get_values(call: Call) -> dict:
    repo = call.hub.repos.writable("space", call.words["repo"], call.account)
    return shown(repo, call.words["what"])


@route("POST", "/api/spaces/{repo}/{what}")
async def set_value(call: Call) -> dict:
    repo, body = await space_to_write(call)
    items = {**kept(repo, call.words["what"]), body["key"]: {**body, "updatedAt": now()}}
    changed(call, repo, **{call.words["what"]: list(items.values())})
    return shown(repo, call.words["what"])


@route("DELETE", "/api/spaces/{repo}/{what}")
async def delete_value(call: Call) -> dict:
    repo, body = await space_to_write(call)
    items = kept(repo, call.words["what"])
    items.pop(body["key"], None)
    changed(call, repo, **{call.words["what"]: list(items.values())})
    return shown(repo, call.words["what"])


# Jobs


@route("GET", "/api/jobs/hardware")
async def jobs_hardware(call: Call) -> list[dict]:
    return []


@route("POST", "/api/jobs/{namespace}")
async def run_job(call: Call) -> dict:
    spec = await call.json()
    account, namespace = call.logged_in(), call.words["namespace"]
    may_write(account, namespace, f"jobs of {namespace}")
    if not (spec.get("dockerImage") or spec.get("spaceId")):
        raise errors.bad_request("A job needs an image")
    job = {
        "id": new_id(),
        "createdAt": now(),
        "owner": {"id": namespace, "name": namespace, "type": "user" if namespace == account.name else "org"},
        "initiator": {"id": account.name, "name": account.name, "type": "user"},
        "status": {"stage": "RUNNING", "message": None},
        "secrets": {name: "***" for name in spec.get("secrets") or {}},
        "logs": [],
        "spec": spec,
        **{key: spec[key] for key in SPEC if key in spec},
    }
    call.hub.jobs[job["id"]] = job
    return public(job)


def public(job: dict) -> dict:
    return {key: value for key, value in job.items() if key not in ("logs", "spec")}


def job_of(call: Call) -> dict:
    job, namespace = call.hub.jobs.get(call.words["job"]), call.words["namespace"]
    if not job or job["owner"]["name"] != namespace or namespace not in call.logged_in().namespaces:
        raise errors.not_found("Job not found")
    return job


@route("GET", "/api/jobs/{namespace}")
async def list_jobs(call: Call) -> list[dict]:
    names = call.logged_in().namespaces
    owner = call.words["namespace"]
    found = [public(job) for job in call.hub.jobs.values() if job["owner"]["name"] == owner and owner in names]
    stage = call.query.get("stage")
    return [job for job in reversed(found) if stage in (None, job["status"]["stage"])]


@route("GET", "/api/jobs/{namespace}/{job}")
async def inspect_job(call: Call) -> dict:
    return public(job_of(call))


@route("POST", "/api/jobs/{namespace}/{job}/cancel")
async def cancel_job(call: Call) -> None:
    job = job_of(call)
    may_write(call.account, call.words["namespace"], "jobs")
    if job["status"]["stage"] not in FINISHED:
        job["status"]["stage"] = "CANCELED"


@route("GET", "/api/jobs/{namespace}/{job}/logs")
async def job_logs(call: Call) -> Reply:
    """The lines that a test put into `hub.jobs[id]["logs"]`, then the end."""
    lines = [{"data": line, "timestamp": now()} for line in job_of(call)["logs"]]
    text = "".join(f"data: {json.dumps(line)}\n\n" for line in lines).encode()
    return Reply(headers={"Content-Type": "text/event-stream"}, content=iter([text]), length=len(text))


# Buckets


@route("POST", "/api/buckets/{namespace}/{name}")
async def create_bucket(call: Call) -> dict:
    namespace = call.logged_in().name if call.words["namespace"] == "me" else call.words["namespace"]
    name = f"{namespace}/{call.words['name']}"
    may_write(call.account, namespace, f"bucket {name}")
    url = f"{call.hub.url}/buckets/{name}"
    if name in call.hub.buckets:
        raise errors.conflict("You already created this bucket", url=url)
    call.hub.buckets.add(name)
    return {"url": url, "name": name}
