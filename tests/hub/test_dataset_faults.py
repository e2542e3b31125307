"""
`make push-cold` while things go wrong: whatever happens at whichever call, in the end the Hub holds the one right commit, once,
under the one right tag.
"""

import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from open_vr1.hub.commits import Digests, difference
from open_vr1.hub.dataset import main

REPO = "open-vr1/cold-toy"
ROOT = Path(__file__).parents[2]
# Every call of an undisturbed run; a star is a digest.
BEFORE = [
    "GET /api/whoami-v2",
    "GET /api/datasets/REPO",
    "GET /api/models/REPO",
    "POST /api/repos/create",
    "GET /api/datasets/REPO/revision/main",
    "GET /api/datasets/REPO/tree/*",
    "POST /api/datasets/REPO/preupload/main",
    "POST /api/datasets/REPO/preupload/main #2",
    "POST /api/datasets/REPO/preupload/main #3",
]
SENDING = {
    "lfs": [
        "POST /datasets/REPO.git/info/lfs/objects/batch",
        "PUT /storage/*",
        "POST /datasets/REPO.git/info/lfs/objects/verify",
    ],
    "xet": [
        "GET /api/datasets/REPO/xet-write-token/main",
        "GET /cas/*/v1/chunks/default/*",
        "POST /cas/*/v1/xorb-grants/default/*",
        "POST /cas/*/v1/xorbs/default/*",
        "POST /cas/*/v2/shards",
        "POST /cas/*/v1/shards",
    ],
}
AFTER = [
    "POST /api/validate-yaml",
    "POST /api/datasets/REPO/commit/main",
    "GET /api/datasets/REPO/revision/*",
    "GET /api/datasets/REPO/tree/* #2",
    "GET /api/datasets/REPO/refs",
    "POST /api/datasets/REPO/tag/*",
    "PUT /api/datasets/REPO/settings",
]
CALLS = {path: [*BEFORE, *sending, *AFTER] for path, sending in SENDING.items()}
FAULTS = {
    "cut": lambda faults, **call: faults.cut(**call),
    "answer lost": lambda faults, **call: faults.lose_answer(**call),
    "conflict": lambda faults, **call: faults.status(409, **call),
    "moved": lambda faults, **call: faults.status(412, **call),
    "limited": lambda faults, **call: faults.status(429, **call, retry_after=0.1),
    "broken": lambda faults, **call: faults.status(500, **call),
    "token expired": lambda faults, **call: faults.token_expired(**call),
}
CASES = [(path, call, fault) for path, calls in CALLS.items() for call in calls for fault in FAULTS]


def calls_of(hub) -> list[str]:
    """The calls in the log, the second of a kind with its number."""
    seen: dict[str, int] = {}
    found = []
    for call in hub.log.calls():
        name = f"{call.method} {re.sub('[0-9a-f]{16,}', '*', call.path).replace(REPO, 'REPO')}"
        seen[name] = seen.get(name, 0) + 1
        found.append(name if seen[name] == 1 else f"{name} #{seen[name]}")
    return found


def place_of(call: str) -> dict:
    """The arguments that make a fault hit this call."""
    name, _, number = call.partition(" #")
    method, path = name.split()
    pattern = re.escape(path).replace(r"\*", "[0-9a-f]{16,}").replace("REPO", REPO)
    return {"method": method, "path": f"^{pattern}$", "before": int(number or 1) - 1}


def push(folder: Path) -> int:
    return main([str(folder), REPO, "--public"])


def check_published(hub, folder: Path) -> None:
    """Exactly these files, in one commit, under one tag, for everybody to see."""
    api = hub.api("")
    refs, info = api.list_repo_refs(REPO, repo_type="dataset"), api.repo_info(REPO, repo_type="dataset")
    assert [(tag.name, tag.target_commit) for tag in refs.tags] == [("v1.0", info.sha)]
    assert [branch.name for branch in refs.branches] == ["main"]
    titles = [commit.title for commit in api.list_repo_commits(REPO, repo_type="dataset")]
    assert titles == ["v1.0: 35 default rows", "initial commit"]
    files = {name: folder / name for name in ("data/train-00000-of-00001.parquet", "open_vr1.json")}
    compared = difference(api, REPO, Digests(files), repo_type="dataset")
    assert compared.same == list(files) and not compared.add and compared.delete == ["README.md"]


@pytest.mark.usefixtures("hurried")
def test_these_are_all_the_calls(hub, upload_path, finished):
    assert push(finished["one"]) == 0
    assert sorted(calls_of(hub)) == sorted(CALLS[upload_path])
    check_published(hub, finished["one"])


@pytest.mark.soak(sample=6)
@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize(("upload_path", "call", "fault"), CASES, indirect=["upload_path"])
def test_after_a_fault_there_is_one_commit_under_one_tag(hub, upload_path, finished, call, fault, capsys):
    injected = FAULTS[fault](hub.faults, **place_of(call))
    code = push(finished["one"])
    assert injected.hits
    if code:
        assert fault == "token expired" and capsys.readouterr().err.startswith("error: ")
        assert push(finished["one"]) == 0
    check_published(hub, finished["one"])


UPDATE = [
    *BEFORE[:2],
    "GET /api/datasets/REPO/tree/*",
    "GET /api/datasets/REPO/refs",
    "GET /api/datasets/REPO/revision/v1.0",
]
UPDATE += ["POST /api/datasets/REPO/commit/main", "GET /api/datasets/REPO/refs #2", "POST /api/datasets/REPO/tag/*"]


@pytest.mark.soak(sample=4)
@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("call", UPDATE)
@pytest.mark.parametrize("fault", FAULTS)
def test_after_a_fault_there_is_one_next_version(hub, finished, call, fault):
    assert push(finished["one"]) == 0
    injected = FAULTS[fault](hub.faults, **place_of(call))
    if push(finished["fewer"]):
        assert fault == "token expired" and push(finished["fewer"]) == 0
    assert injected.hits
    api = hub.api("")
    tags = {tag.name: tag.target_commit for tag in api.list_repo_refs(REPO, repo_type="dataset").tags}
    commits = api.list_repo_commits(REPO, repo_type="dataset")
    assert [(commit.title.partition(":")[0]) for commit in commits] == ["v1.1", "v1.0", "initial commit"]
    assert tags == {"v1.0": commits[1].commit_id, "v1.1": commits[0].commit_id}


# ----- The process ends


def start(hub, upload_path: str, home: Path, folder: Path) -> subprocess.Popen:
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src"), **hub.environment(home, xet=upload_path == "xet")}
    command = [sys.executable, "-m", "open_vr1.hub.dataset", str(folder), REPO, "--public"]
    return subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def wait_for_calls(hub, process: subprocess.Popen, count: int) -> None:
    while len(hub.log.calls()) < count and process.poll() is None:
        time.sleep(0.005)


@pytest.mark.soak(sample=2)
@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("upload_path", ["xet", "lfs"], indirect=True)
def test_a_killed_process_leaves_nothing_that_the_next_does_not_finish(hub, upload_path, finished, seed, tmp_path):
    chance = random.Random(seed)
    hub.faults.delay(0.02, times=None)
    for _ in range(chance.choice([1, 2])):
        hub.log.clear()
        with start(hub, upload_path, tmp_path / "home", finished["one"]) as process:
            wait_for_calls(hub, process, chance.randrange(len(CALLS[upload_path])))
            time.sleep(chance.uniform(0, 0.04))
            process.kill()
    assert push(finished["one"]) == 0
    check_published(hub, finished["one"])


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "ended"])
def test_a_stopped_process_says_how_to_go_on(hub, finished, tmp_path, sent):
    hub.faults.delay(0.5, path="/preupload/", times=None)
    with start(hub, "xet", tmp_path / "home", finished["one"]) as process:
        wait_for_calls(hub, process, CALLS["xet"].index("POST /api/datasets/REPO/preupload/main") + 1)
        process.send_signal(sent)
        _, error = process.communicate(timeout=30)
    assert process.returncode == 130
    assert error.strip().splitlines()[-1] == "stopped; what is finished is kept: run the same command again to go on"
    hub.faults.clear()
    assert push(finished["one"]) == 0
    check_published(hub, finished["one"])
