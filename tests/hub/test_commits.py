"""A revision holds exactly the files that it was told to hold, whatever happens on the way."""

import time

import pytest

from open_vr1.hub.calls import Caller, HubRefusal, HubUnreachable, answers_within
from open_vr1.hub.commits import commit_files, remote_files

REPO = "open-vr1/thing"
COMMIT = {"method": "POST", "path": "/commit/"}


@pytest.fixture
def api(hub, upload_path):
    api = hub.api()
    api.create_repo(REPO, private=True)
    return api


@pytest.fixture
def files(tmp_path):
    contents = {
        "model.safetensors": bytes(range(256)) * 4000,
        "config.json": b"{}",
        "plots/reward.png": b"\x89PNG" * 50,
    }
    for name, content in contents.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    return {name: tmp_path / name for name in contents}


def titles(api):
    return [commit.title for commit in api.list_repo_commits(REPO)]


def holds(api, files):
    there = remote_files(api, REPO)
    return set(there) - {".gitattributes"} == set(files) and all(
        there[name].size == path.stat().st_size for name, path in files.items()
    )


def commit(api, files, caller, **more):
    return commit_files(api, REPO, files, message="Publish", caller=caller, **more)


def test_one_commit_holds_all_files_and_the_same_call_again_sends_nothing(api, files, caller, hub):
    first = commit(api, files, caller)
    assert first.sent == sum(path.stat().st_size for path in files.values())
    hub.log.clear()
    second = commit(api, files, caller)
    assert (second.oid, second.sent, bool(second.difference)) == (first.oid, 0, False)
    assert titles(api) == ["Publish", "initial commit"] and holds(api, files)
    assert not [call for call in hub.log.calls() if call.method != "GET"]


def test_files_that_are_no_longer_wanted_go_with_the_same_commit(api, files, caller):
    commit(api, files, caller)
    files["config.json"].write_text('{"changed": true}')
    del files["plots/reward.png"]
    changed = commit(api, files, caller)
    assert changed.difference.add == ["config.json"] and changed.difference.delete == ["plots/reward.png"]
    assert titles(api) == ["Publish", "Publish", "initial commit"] and holds(api, files)


FAULTS = {
    "conflict": lambda faults: faults.status(409, **COMMIT),
    "moved": lambda faults: faults.status(412, **COMMIT),
    "limited": lambda faults: faults.status(429, **COMMIT, retry_after=0.2),
    "busy": lambda faults: faults.status(500, **COMMIT, times=3),
    "cut": lambda faults: faults.cut(**COMMIT),
    "answer lost": lambda faults: faults.lose_answer(**COMMIT, times=2),
    "preupload": lambda faults: faults.status(503, method="POST", path="/preupload/"),
    "tree": lambda faults: faults.cut(method="GET", path="/tree/", times=2, before=1),
    "info": lambda faults: faults.status(500, method="GET", path=f"/api/models/{REPO}/revision"),
    "storage": lambda faults: faults.status(503, method=None, path="^/storage/|/cas/", times=1),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_after_a_fault_there_is_one_commit_with_all_files(api, files, caller, hub, fault):
    injected = FAULTS[fault](hub.faults)
    commit(api, files, caller)
    assert injected.hits
    assert titles(api) == ["Publish", "initial commit"] and holds(api, files)


def test_a_hub_that_asks_for_a_pause_gets_it(api, files, caller, hub):
    hub.faults.status(429, **COMMIT, retry_after=0.5)
    started = time.monotonic()
    commit(api, files, caller)
    assert time.monotonic() - started >= 0.5


def test_another_commit_in_between_is_looked_at_again(api, files, caller, hub, monkeypatch):
    real, called = api.create_commit, []

    def first_somebody_else(*args, **kwargs):
        if not called:
            called.append(True)
            api.upload_file(path_or_fileobj=b"theirs", path_in_repo="theirs.txt", repo_id=REPO)
        return real(*args, **kwargs)

    monkeypatch.setattr(api, "create_commit", first_somebody_else)
    commit(api, files, caller)
    assert called and holds(api, files)


@pytest.mark.parametrize(("status", "said"), [(403, "write access"), (401, "hf auth login"), (402, "paid plan")])
def test_a_refusal_is_not_tried_again_and_says_what_to_do(api, files, caller, hub, status, said):
    fault = hub.faults.status(status, **COMMIT, times=None)
    with pytest.raises(HubRefusal, match=said):
        commit(api, files, caller)
    assert fault.hits == 1


def test_a_token_that_may_only_read_is_refused(hub, api, files, caller):
    with pytest.raises(HubRefusal, match="hf auth whoami"):
        commit(hub.api("read"), files, caller)


def test_a_hub_that_stays_away_is_given_up_after_a_while(api, files, hub):
    hub.faults.status(503, path="/api/", times=None)
    impatient = Caller(patience=0.3, first_pause=0.05, tell=lambda _: None)
    with pytest.raises(HubUnreachable, match="503 for /api/"):
        commit(api, files, impatient)


def test_what_arrived_wrong_is_not_taken_for_published(api, files, caller, monkeypatch):
    def somebody_changes_it(*args, **kwargs):
        done = real(*args, **kwargs)
        files["config.json"].write_text("other")
        return done

    real = api.create_commit
    monkeypatch.setattr(api, "create_commit", somebody_changes_it)
    with pytest.raises(HubRefusal, match="does not hold what was sent: config.json"):
        commit(api, files, caller)


def test_an_error_of_our_own_is_no_matter_of_the_hub(caller):
    with pytest.raises(ZeroDivisionError):
        caller.call(lambda: 1 / 0)


def test_a_hub_that_holds_the_line_and_says_nothing_is_asked_again(api, files, caller, hub):
    hub.faults.delay(3, **COMMIT)
    started = time.monotonic()
    with answers_within(0.3):
        commit(api, files, caller)
    assert time.monotonic() - started < 3 and titles(api).count("Publish") == 1
