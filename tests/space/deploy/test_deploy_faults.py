"""
`make space` when the Hub says no: payment required, forbidden and the rest, at every kind of call. Each ends in what happened, what is
there and what to do, never in a traceback; and once it is mended the same command makes the Space what it should be.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import constants
from huggingface_hub.utils import _http

from open_vr1.space.__main__ import main

from .spaces import COLD, MODEL, PUSHED, SPACE

ROOT = Path(__file__).parents[3]
REPO = {"repo_type": "space"}
CREATE = {"method": "POST", "path": "^/api/repos/create$"}
HARDWARE = {"method": "POST", "path": f"^/api/spaces/{SPACE}/hardware$"}
COMMIT = {"method": "POST", "path": f"^/api/spaces/{SPACE}/commit/"}
VARIABLES = {"method": "POST", "path": f"^/api/spaces/{SPACE}/variables$"}
LOCAL = f"make space-local MODEL={MODEL}"


@pytest.fixture(autouse=True)
def quickly(hurried, monkeypatch):
    """The client's own pauses take no time either."""
    monkeypatch.setattr(_http.time, "sleep", lambda _: None)


@pytest.fixture
def deploy(folder):
    return lambda *words: main([MODEL, "--folder", str(folder), *words])


@pytest.fixture
def told(capsys):
    """The lines on standard error, each of which is an error of ours."""

    def read() -> str:
        err = capsys.readouterr().err
        assert all(line.startswith("error: ") for line in err.splitlines()), err
        return err

    return read


def files(api, repo=SPACE):
    return sorted(set(api.list_repo_files(repo, **REPO)) - {".gitattributes"})


# ----- Payment required


def test_a_free_account_is_told_what_it_may_have(hub, api, deploy, told):
    hub.faults.status(402, **CREATE, times=None)
    assert deploy("--repo", "writer/run-reasoner", "--hardware", "cpu-basic") == 2
    error = told()
    assert "could not make the Space: the Hub asks for a paid plan" in error and "Gradio Spaces on cpu-basic" in error
    assert "there already: nothing: no Space was made and nothing was sent" in error
    assert (
        "HARDWARE=zero-a10g: a free account" in error and "HARDWARE=cpu-basic: needs PRO" in error and LOCAL in error
    )
    assert not api.repo_exists("writer/run-reasoner", **REPO)


def test_an_organisation_without_a_plan_is_told_whose_account_would_do(hub, api, deploy, told):
    hub.faults.status(402, **CREATE, times=None)
    assert deploy() == 2
    error = told()
    assert "open-vr1 needs Team or Enterprise" in error and "REPO=writer/run-reasoner" in error
    assert f"{hub.url}/organizations/open-vr1/settings/billing" in error
    hub.faults.clear()
    assert deploy() == 0 and files(api) == PUSHED


@pytest.mark.parametrize("status", [402, 403])
def test_a_machine_that_is_refused_does_not_lose_the_deploy(hub, api, deploy, told, status):
    hub.faults.status(status, **CREATE, message="ZeroGPU is not for open-vr1.")
    assert deploy() == 2
    error = told()
    assert error.startswith("error: HARDWARE=zero-a10g: ") and "ZeroGPU is not for open-vr1." in error
    assert "the Space has all of its files and runs on cpu-basic" in error
    again = f"make space MODEL={MODEL} REPO={SPACE} HARDWARE=zero-a10g"
    assert again in error
    assert files(api) == PUSHED and set(api.get_space_variables(SPACE)) == {"CHECKPOINTS"}
    assert api.get_space_runtime(SPACE).requested_hardware == "cpu-basic"
    assert deploy("--repo", SPACE, "--hardware", "zero-a10g") == 0
    assert api.get_space_runtime(SPACE).requested_hardware == "zero-a10g"


@pytest.mark.parametrize("status", [402, 403, 500])
def test_a_machine_that_is_refused_later_leaves_the_space_with_its_files(hub, api, deploy, folder, told, status):
    assert deploy("--hardware", "cpu-basic") == 0
    (folder / "style.css").unlink()
    hub.faults.status(status, **HARDWARE, times=None)
    assert deploy("--hardware", "l4x1", "--public") == 2
    error = told()
    assert error.startswith("error: HARDWARE=l4x1: ") and "runs on cpu-basic" in error and LOCAL in error
    assert "style.css" not in files(api) and not api.space_info(SPACE).private
    hub.faults.clear()
    assert deploy("--hardware", "l4x1") == 0
    assert api.get_space_runtime(SPACE).requested_hardware == "l4x1"


def test_a_machine_that_there_is_not_is_named(api, deploy, told):
    assert deploy("--hardware", "h9000") == 2
    error = told()
    assert "Invalid hardware flavor: h9000" in error and "write cpu-basic, zero-a10g" in error
    assert files(api) == PUSHED


# ----- Forbidden


def test_a_token_that_may_only_read_is_refused_before_anything_is_sent(hub, api, deploy, told, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", hub.tokens["read"])
    hub.log.clear()
    assert deploy() == 2
    assert "may not write there" in told() and {call.method for call in hub.log.calls()} <= {"GET", "HEAD"}


def test_who_may_not_make_a_space_is_told_whom_to_ask(hub, api, deploy, told):
    hub.faults.status(403, **CREATE, times=None)
    assert deploy() == 2
    error = told()
    assert "nothing: no Space was made" in error and "ask an admin of open-vr1" in error
    assert f"use a token that may write to open-vr1: {hub.url}/settings/tokens" in error


@pytest.mark.parametrize(
    ("where", "there"),
    [
        (VARIABLES, "there already: the Space, private, on zero-a10g; "),
        (COMMIT, "there already: the Space, private, on zero-a10g, its variable CHECKPOINTS; "),
    ],
)
@pytest.mark.parametrize("status", [401, 402, 403])
def test_what_is_there_already_is_said_and_the_same_command_goes_on(hub, api, deploy, told, status, where, there):
    hub.faults.status(status, **where, times=None)
    assert deploy() == 2
    error = told()
    assert there in error and "the same command goes on" in error
    hub.faults.clear()
    assert deploy() == 0 and files(api) == PUSHED
    assert len(api.list_repo_commits(SPACE, **REPO)) == 2


def test_no_token_at_all_names_the_two_ways_to_have_one(api, deploy, told, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    assert deploy() == 2
    assert "run hf auth login, or set HF_TOKEN" in told()


# ----- Every kind of call, every fault

MODELS = [f"GET ^/api/models/{MODEL}$", "GET ^/api/models/.*/tree/", "GET ^/api/models/.*/refs$", "HEAD /resolve/"]
MODELS += ["GET /resolve/", f"GET ^/api/models/{COLD}$"]
FIRST = ["GET ^/api/whoami-v2$", f"GET ^/api/spaces/{SPACE}$", "POST ^/api/repos/create$"]
FIRST += [f"{method} ^/api/spaces/{SPACE}/{path}" for method, path in (("POST", "variables"), ("GET", "revision/"))]
FIRST += [f"GET ^/api/spaces/{SPACE}/tree/", f"POST ^/api/spaces/{SPACE}/preupload/"]
SENDING = {
    "lfs": ["POST info/lfs/objects/batch$", "PUT ^/storage/", "POST info/lfs/objects/verify$"],
    "xet": ["GET xet-write-token/", "GET ^/cas/", "POST ^/cas/"],
}
LAST = ["POST ^/api/validate-yaml$", f"POST ^/api/spaces/{SPACE}/commit/"]
AGAIN = [f"GET ^/api/spaces/{SPACE}/{path}" for path in ("commits/", "variables$", "runtime$", "secrets$")]
AGAIN += [f"POST ^/api/spaces/{SPACE}/hardware$", f"PUT ^/api/spaces/{SPACE}/settings$"]
PASSING = {
    "conflict": lambda faults, **call: faults.status(409, **call),
    "moved": lambda faults, **call: faults.status(412, **call),
    "limited": lambda faults, **call: faults.status(429, **call, retry_after=0.01),
    "broken": lambda faults, **call: faults.status(500, **call),
    "away": lambda faults, **call: faults.status(503, **call),
    "cut": lambda faults, **call: faults.cut(**call),
    "answer lost": lambda faults, **call: faults.lose_answer(**call),
}
LASTING = {
    "bad request": lambda faults, **call: faults.status(400, **call),
    "token expired": lambda faults, **call: faults.token_expired(**call),
    "payment required": lambda faults, **call: faults.status(402, **call),
    "forbidden": lambda faults, **call: faults.status(403, **call),
    "gone": lambda faults, **call: faults.status(404, **call),
}
FAULTS = PASSING | LASTING
CASES = [("lfs", call, fault) for call in [*MODELS, *FIRST, *SENDING["lfs"], *LAST, *AGAIN] for fault in FAULTS]
# Xet's own client pauses between its attempts, and nothing of ours decides how long.
CASES += [("xet", call, fault) for call in SENDING["xet"] for fault in LASTING]
STATES = ("nothing was changed", "there already: ", "the Space has all of its files", f"MODEL={MODEL}: ", "has moved")


def test_these_are_all_the_kinds_of_calls(upload_path, hub, api, deploy, folder):
    hub.log.clear()
    assert deploy() == 0
    (folder / "style.css").unlink()
    assert deploy("--hardware", "l4x1", "--public") == 0
    kinds = [*MODELS, *FIRST, *SENDING[upload_path], *LAST, *AGAIN]
    for call in hub.log.calls():
        assert any(fits(kind, call) for kind in kinds), str(call)
    for kind in kinds:
        assert any(fits(kind, call) for call in hub.log.calls()), kind


def fits(kind: str, call) -> bool:
    method, _, path = kind.partition(" ")
    return call.method == method and re.search(path, call.path) is not None


@pytest.mark.soak(sample=20)
@pytest.mark.parametrize(("upload_path", "call", "fault"), CASES, indirect=["upload_path"])
def test_a_fault_that_stays_ends_in_guidance_and_is_mended_by_the_same_command(
    hub, upload_path, api, deploy, folder, told, call, fault
):
    if call in AGAIN:
        assert deploy("--hardware", "cpu-basic") == 0
        (folder / "style.css").unlink()
    method, _, path = call.partition(" ")
    injected = FAULTS[fault](hub.faults, method=method, path=path, times=None)
    words = ["--hardware", "l4x1", "--public"] if call in AGAIN else []
    code, error = deploy(*words), told()
    assert injected.hits and code in (0, 2) and (code == 2) == bool(error)
    assert not error or any(state in error for state in STATES), error
    hub.faults.clear()
    assert deploy(*words) == 0
    assert files(api) == [name for name in PUSHED if (folder / name).exists()]
    titles = [commit.title for commit in api.list_repo_commits(SPACE, **REPO)]
    assert titles.count("initial commit") == 1 and len(titles) == len(words and [1]) + 2


@pytest.mark.soak(sample=8)
@pytest.mark.parametrize("fault", PASSING)
@pytest.mark.parametrize("call", [*FIRST, *SENDING["lfs"], *LAST])
@pytest.mark.parametrize("upload_path", ["lfs"], indirect=True)
def test_after_a_fault_that_passes_there_is_one_commit_with_every_file(hub, upload_path, api, deploy, call, fault):
    method, _, path = call.partition(" ")
    injected = FAULTS[fault](hub.faults, method=method, path=path)
    assert deploy() == 0 and injected.hits
    assert files(api) == PUSHED
    assert len(api.list_repo_commits(SPACE, **REPO)) == 2


def test_a_process_of_its_own_ends_with_guidance_and_without_a_traceback(hub, api, folder, tmp_path):
    hub.faults.status(402, **CREATE, times=None)
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src"), **hub.environment(tmp_path / "home")}
    command = [sys.executable, "-m", "open_vr1.space", MODEL, "--folder", str(folder)]
    done = subprocess.run(command, env=env, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert all(line.startswith("error: ") for line in done.stderr.splitlines()) and LOCAL in done.stderr


def test_without_the_hub_it_says_so_and_what_works_here(api, deploy, told, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert deploy() == 2
    error = told()
    assert "HF_HUB_OFFLINE is set" in error and "nothing was changed" in error and LOCAL in error
