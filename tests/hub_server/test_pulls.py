"""Pull requests: opened by the client in either way, read at their ref, changed, merged, in conflict."""

import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationDelete
from huggingface_hub.errors import BadRequestError, HfHubHTTPError

MODEL = "open-vr1/model"


@pytest.fixture
def api(hub, upload_path):
    api = hub.api()
    api.create_repo(MODEL)
    commit(api, {"a.txt": b"a", "b.bin": b"\0b", "c.txt": b"c"})
    return api


def commit(api, files: dict[str, bytes | None], **more):
    changes = [
        CommitOperationDelete(name) if content is None else CommitOperationAdd(name, content)
        for name, content in files.items()
    ]
    return api.create_commit(MODEL, changes, commit_message="Change", **more)


def files(api, revision="main") -> set[str]:
    return set(api.list_repo_files(MODEL, revision=revision)) - {".gitattributes"}


def test_a_pull_request_is_opened_filled_and_merged(api):
    pull = api.create_pull_request(MODEL, "Better", description="Because")
    assert (pull.num, pull.status, pull.git_reference) == (1, "draft", "refs/pr/1")
    commit(api, {"a.txt": b"better", "b.bin": None, "new.bin": b"\0new"}, revision=pull.git_reference)
    assert files(api) == {"a.txt", "b.bin", "c.txt"} and files(api, "refs/pr/1") == {"a.txt", "c.txt", "new.bin"}
    commit(api, {"c.txt": b"other"})
    api.comment_discussion(MODEL, 1, "Fine")
    with pytest.raises(BadRequestError, match="draft"):
        api.merge_pull_request(MODEL, 1)
    api.change_discussion_status(MODEL, 1, "open")
    api.merge_pull_request(MODEL, 1, comment="Thanks")
    assert files(api) == {"a.txt", "c.txt", "new.bin"}
    details = api.get_discussion_details(MODEL, 1)
    assert details.status == "merged" and details.merge_commit_oid == api.repo_info(MODEL).sha
    said = [event.content for event in details.events if event.type == "comment"]
    assert said == ["Because", "Fine", "Thanks"]
    refs = api.list_repo_refs(MODEL, include_pull_requests=True)
    assert [ref.ref for ref in refs.pull_requests] == ["refs/pr/1"]


def test_a_commit_can_open_a_pull_request(api):
    info = commit(api, {"a.txt": b"better"}, create_pr=True)
    assert (info.pr_num, info.pr_revision) == (1, "refs/pr/1")
    assert api.repo_info(MODEL, revision="refs/pr/1").sha == info.oid != api.repo_info(MODEL).sha


def test_a_folder_can_open_a_pull_request(api, tmp_path):
    (tmp_path / "new.bin").write_bytes(b"\0new" * 1000)
    info = api.upload_folder(repo_id=MODEL, folder_path=tmp_path, create_pr=True)
    assert files(api, info.pr_revision) == {"a.txt", "b.bin", "c.txt", "new.bin"}
    assert "new.bin" not in files(api)


def test_a_pull_request_in_conflict_is_not_merged(api):
    pull = commit(api, {"a.txt": b"theirs", "c.txt": None}, create_pr=True)
    commit(api, {"a.txt": b"ours"})
    assert api.get_discussion_details(MODEL, pull.pr_num).conflicting_files == ["a.txt"]
    with pytest.raises(HfHubHTTPError, match="409"):
        api.merge_pull_request(MODEL, pull.pr_num)
    assert files(api) == {"a.txt", "b.bin", "c.txt"}


def test_discussions_are_listed_renamed_and_closed(hub, api):
    for number in range(12):
        api.create_discussion(MODEL, f"Question {number}")
    api.create_pull_request(MODEL, "Better")
    api.rename_discussion(MODEL, 1, "An answer")
    api.change_discussion_status(MODEL, 2, "closed", comment="Enough")
    found = list(api.get_repo_discussions(MODEL))
    assert [discussion.num for discussion in found] == list(range(13, 0, -1))
    assert found[-1].title == "An answer" and found[-2].status == "closed"
    pulls = list(api.get_repo_discussions(MODEL, discussion_type="pull_request"))
    assert [(pull.num, pull.is_pull_request) for pull in pulls] == [(13, True)]
    assert [item.num for item in api.get_repo_discussions(MODEL, discussion_status="closed")] == [2]
    with pytest.raises(HfHubHTTPError, match="403"):
        hub.api("read").rename_discussion(MODEL, 1, "Mine")
