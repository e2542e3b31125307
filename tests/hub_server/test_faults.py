"""Each fault does to the real client what it says, and no more."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd, hf_hub_url
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import get_session, httpx

from .test_uploads import noise

MODEL = "open-vr1/model"
COMMIT = {"method": "POST", "path": "/commit/"}


@pytest.fixture
def api(hub, upload_path):
    api = hub.api()
    api.create_repo(MODEL)
    return api


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "model.bin").write_bytes(noise(200_000))
    (folder / "config.json").write_text("{}")
    return folder


def commit(api, name="a.txt", **more):
    return api.create_commit(MODEL, [CommitOperationAdd(name, b"1")], commit_message="Add", **more)


def titles(api) -> list[str]:
    return [commit.title for commit in api.list_repo_commits(MODEL)]


@pytest.mark.parametrize("status", [409, 412, 429, 500, 503])
def test_a_status_comes_so_often_and_before_anything_is_done(hub, api, status):
    fault = hub.faults.status(status, **COMMIT, times=2)
    for _ in range(2):
        with pytest.raises(HfHubHTTPError) as caught:
            commit(api)
        assert caught.value.response.status_code == status
    assert titles(api) == ["initial commit"]
    commit(api)
    assert titles(api) == ["Add", "initial commit"] and fault.hits == 2
    assert [call.faults for call in hub.log.calls(**COMMIT)] == [("status",), ("status",), ()]


def test_the_first_calls_can_be_let_through(hub, api):
    hub.faults.status(500, **COMMIT, before=1)
    commit(api)
    with pytest.raises(HfHubHTTPError, match="500"):
        commit(api, "b.txt")
    commit(api, "c.txt")


def test_a_fault_hits_what_it_names(hub, api):
    hub.faults.status(500, method="POST", path="/commit/refs%2Fpr%2F1$", times=None)
    api.create_pull_request(MODEL, "Better")
    commit(api)
    for _ in range(3):
        with pytest.raises(HfHubHTTPError, match="500"):
            commit(api, revision="refs/pr/1")
    hub.faults.clear()
    commit(api, revision="refs/pr/1")


def test_a_client_that_retries_waits_as_long_as_it_is_told(hub, api, waits):
    hub.faults.status(429, method="POST", path="/preupload/", times=2, retry_after=7)
    commit(api)
    assert waits == [8, 8]  # The client adds a second.


def test_a_cut_connection_ends_a_commit_before_it_is_made(hub, api):
    hub.faults.cut(**COMMIT)
    with pytest.raises(httpx.TransportError):
        commit(api)
    assert titles(api) == ["initial commit"]
    assert [call.status for call in hub.log.calls(**COMMIT)] == [0]


def test_a_lost_answer_leaves_the_commit_made(hub, api):
    hub.faults.lose_answer(**COMMIT)
    with pytest.raises(httpx.TransportError):
        commit(api)
    assert titles(api) == ["Add", "initial commit"]
    parent = api.list_repo_commits(MODEL)[-1].commit_id
    with pytest.raises(HfHubHTTPError, match="412"):
        commit(api, "b.txt", parent_commit=parent)
    # Who tries again finds it done.
    assert commit(api).oid == api.repo_info(MODEL).sha
    assert titles(api) == ["Add", "initial commit"]


def test_a_folder_survives_what_the_client_retries(hub, api, folder, upload_path, waits, monkeypatch, tmp_path):
    hub.faults.status(503, method="POST", path="/preupload/")
    if upload_path == "xet":  # The other path does not retry a commit.
        hub.faults.status(500, **COMMIT)
        hub.faults.lose_answer(**COMMIT)
    else:
        hub.faults.cut(method="PUT", path="^/storage/")
        hub.faults.status(503, method="POST", path="/verify$")
    api.upload_folder(repo_id=MODEL, folder_path=folder)
    assert len(waits) == 3
    path = api.hf_hub_download(MODEL, "model.bin", cache_dir=tmp_path / "cache")
    assert Path(path).read_bytes() == noise(200_000)


@pytest.mark.parametrize("where", ["/v1/xorbs/", "/v1/shards"])
def test_faults_reach_the_content_store(hub, api, folder, upload_path, where):
    if upload_path == "lfs":
        pytest.skip("does not use it")
    fault = hub.faults.status(403, path=where, times=None)
    with pytest.raises(Exception, match="(?i)403|forbidden"):
        api.upload_folder(repo_id=MODEL, folder_path=folder)
    assert fault.hits and titles(api) == ["initial commit"]
    hub.faults.clear()
    api.upload_folder(repo_id=MODEL, folder_path=folder)
    assert api.file_exists(MODEL, "model.bin")


def test_an_expired_token_is_refused_until_it_works_again(hub, api):
    hub.faults.token_expired(**COMMIT)
    with pytest.raises(HfHubHTTPError, match="Invalid credentials") as caught:
        commit(api)
    assert caught.value.response.status_code == 401
    commit(api)


def test_a_delay_holds_one_call_up(hub, api):
    hub.faults.delay(0.4, method="GET", path="/refs$")
    started = time.monotonic()
    api.list_repo_refs(MODEL)
    assert time.monotonic() - started >= 0.4
    assert hub.log.calls("GET", "/refs$")[0].seconds >= 0.4


def test_a_delay_and_an_error_can_meet(hub, api):
    hub.faults.delay(0.2, **COMMIT)
    hub.faults.status(500, **COMMIT)
    with pytest.raises(HfHubHTTPError, match="500"):
        commit(api)
    assert hub.log.calls(**COMMIT)[0].faults == ("delay", "status")


def test_a_download_that_breaks_off_is_taken_up_again(hub, api, folder, upload_path, waits, tmp_path):
    if upload_path == "xet":
        pytest.skip("hf_xet retries by itself, by a clock that we cannot turn")
    api.upload_folder(repo_id=MODEL, folder_path=folder)
    hub.faults.cut(method="GET", path="^/storage/", after=150_000)
    path = api.hf_hub_download(MODEL, "model.bin", cache_dir=tmp_path / "cache")
    assert Path(path).read_bytes() == noise(200_000)
    assert len(hub.log.calls("GET", "^/storage/")) == 2


def test_a_file_can_be_cut_at_a_byte(hub, api, folder):
    api.upload_folder(repo_id=MODEL, folder_path=folder)
    hub.faults.cut(method="GET", path="^/storage/", after=150_000)
    came = bytearray()
    url = hf_hub_url(MODEL, "model.bin", endpoint=hub.url)
    with httpx.stream("GET", url, follow_redirects=True) as answer, pytest.raises(httpx.RemoteProtocolError):
        for piece in answer.iter_bytes():
            came += piece
    assert came == noise(200_000)[:150_000]


def test_a_connection_that_is_cut_takes_no_other_with_it(hub, api):
    hub.faults.cut(method="GET", path="/refs$")
    with httpx.Client() as other:
        url = f"{hub.url}/api/models/{MODEL}"
        assert other.get(url).status_code == 200
        with pytest.raises(httpx.TransportError):
            api.list_repo_refs(MODEL)
        assert other.get(url).status_code == get_session().get(url).status_code == 200


def test_commits_at_the_same_time_all_come_one_after_the_other(hub, api):
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda number: commit(api, f"{number}.txt").oid, range(40)))
    history = [commit.commit_id for commit in api.list_repo_commits(MODEL)]
    assert sorted(history[:-1]) == sorted(made) and len(api.list_repo_files(MODEL)) == 41


def test_of_commits_on_the_same_parent_one_is_made(hub, api):
    parent = api.repo_info(MODEL).sha

    def attempt(number):
        try:
            return commit(api, f"{number}.txt", parent_commit=parent).oid
        except HfHubHTTPError as error:
            return error.response.status_code

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(attempt, range(16)))
    assert outcomes.count(412) == 15 and api.repo_info(MODEL).sha in outcomes
