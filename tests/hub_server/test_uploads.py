"""Commits by the real clients, in both upload paths: what goes in comes out, conflicts are seen, nothing is sent twice."""

import hashlib
import random

import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete, HfFileSystem, constants
from huggingface_hub.errors import BadRequestError, HfHubHTTPError, RemoteEntryNotFoundError
from huggingface_hub.utils import get_session, hf_raise_for_status

MODEL, DATASET = "open-vr1/model", "open-vr1/data"


def noise(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)


# Every way in which Xet packs a chunk: as it is, by repetition, and numbers by their bytes.
FILES = {
    "config.json": b"{}",
    "empty.txt": b"",
    "folder/notes.txt": "größer\n".encode() * 100,
    "noise.bin": noise(700_001),
    "repeated.bin": b"the same again and \0" * 40_000,
    "same.bin": b"ab\0\1" * 500_001,  # Its chunks are one chunk, many times.
    "folder/model.safetensors": b"".join(
        (1_000_000 + number).to_bytes(3, "little") + b"\x3f" for number in range(150_000)
    )
    + b"odd",
}


@pytest.fixture
def api(hub, upload_path):
    api = hub.api()
    api.create_repo(MODEL)
    return api


@pytest.fixture
def folder(tmp_path):
    for name, content in FILES.items():
        file = tmp_path / "folder" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return tmp_path / "folder"


def downloaded(api, path, repo=MODEL, **more) -> dict[str, bytes]:
    """The files of a revision, as a client with an empty cache gets them."""
    local = path / hashlib.sha1(repr(more).encode()).hexdigest()
    api.snapshot_download(repo, local_dir=local, ignore_patterns=".gitattributes", **more)
    return {
        str(file.relative_to(local)): file.read_bytes()
        for file in local.rglob("*")
        if file.is_file() and ".cache" not in file.parts
    }


def test_a_folder_comes_back_as_it_was(hub, api, folder, upload_path, tmp_path):
    info = api.upload_folder(repo_id=MODEL, folder_path=folder, commit_message="All of it")
    assert info.oid == api.repo_info(MODEL).sha
    assert downloaded(api, tmp_path) == FILES
    large = {
        file.path: file.lfs.sha256
        for file in api.list_repo_tree(MODEL, recursive=True)
        if hasattr(file, "lfs") and file.lfs
    }
    assert large == {
        name: hashlib.sha256(FILES[name]).hexdigest()
        for name in ("noise.bin", "repeated.bin", "same.bin", "folder/model.safetensors")
    }
    sent = {"xet": "/v1/xorbs/", "lfs": "^/storage/"}
    assert {path: bool(hub.log.calls(None, pattern)) for path, pattern in sent.items()} == {
        path: path == upload_path for path in sent
    }


def test_what_one_path_brought_the_other_gets(api, folder, monkeypatch, tmp_path):
    api.upload_folder(repo_id=MODEL, folder_path=folder)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", not constants.HF_HUB_DISABLE_XET)
    assert downloaded(api, tmp_path) == FILES


def test_a_folder_that_is_there_is_not_sent_again(hub, api, folder):
    first = api.upload_folder(repo_id=MODEL, folder_path=folder)
    hub.log.clear()
    assert api.upload_folder(repo_id=MODEL, folder_path=folder).oid == first.oid
    assert not hub.log.calls("POST", "/commit/")
    assert sum(call.received for call in hub.log.calls(path="^/storage/|/v1/xorbs/")) == 0


def test_a_changed_folder_makes_one_commit_of_what_changed(hub, api, folder, tmp_path):
    api.upload_folder(repo_id=MODEL, folder_path=folder)
    (folder / "config.json").write_text('{"a": 1}')
    for name in ("noise.bin", "repeated.bin", "same.bin"):
        (folder / name).unlink()
    hub.log.clear()
    api.upload_folder(repo_id=MODEL, folder_path=folder, delete_patterns="*.bin")
    assert len(hub.log.calls("POST", "/commit/")) == 1
    left = {name: content for name, content in FILES.items() if not name.endswith(".bin")}
    assert downloaded(api, tmp_path) == {**left, "config.json": b'{"a": 1}'}


def test_ignored_files_stay_at_home(api, folder, tmp_path):
    (folder / ".gitignore").write_text("# weights\n*.bin\nfolder/\n")
    api.upload_folder(repo_id=MODEL, folder_path=folder)
    assert set(downloaded(api, tmp_path)) == {".gitignore", "config.json", "empty.txt"}


def test_one_commit_adds_deletes_and_copies(api, folder, tmp_path):
    api.upload_folder(repo_id=MODEL, folder_path=folder)
    api.create_branch(MODEL, branch="staging")
    api.upload_file(path_or_fileobj=noise(5000, 1), path_in_repo="staged.bin", repo_id=MODEL, revision="staging")
    api.create_commit(
        MODEL,
        [
            CommitOperationAdd("new.bin", noise(3000, 2)),
            CommitOperationAdd("new.txt", b"new"),
            CommitOperationCopy("config.json", "copied.json"),
            CommitOperationCopy("noise.bin", "copied.bin"),
            CommitOperationCopy("staged.bin", "staged.bin", src_revision="staging"),
            CommitOperationDelete("folder/"),
            CommitOperationDelete("empty.txt"),
        ],
        commit_message="All at once",
    )
    kept = {name: FILES[name] for name in ("config.json", "noise.bin", "repeated.bin", "same.bin")}
    assert downloaded(api, tmp_path) == {
        **kept,
        "new.bin": noise(3000, 2),
        "new.txt": b"new",
        "copied.json": FILES["config.json"],
        "copied.bin": FILES["noise.bin"],
        "staged.bin": noise(5000, 1),
    }


def test_a_commit_that_cannot_be_done_changes_nothing(api, folder):
    before = api.upload_folder(repo_id=MODEL, folder_path=folder).oid
    with pytest.raises(RemoteEntryNotFoundError):
        api.create_commit(
            MODEL,
            [CommitOperationAdd("a.txt", b"a"), CommitOperationDelete("missing.txt")],
            commit_message="Half",
        )
    assert api.repo_info(MODEL).sha == before and not api.file_exists(MODEL, "a.txt")


def test_a_commit_on_a_parent_that_is_no_longer_the_last_is_refused(api):
    parent = api.repo_info(MODEL).sha
    add = [CommitOperationAdd("a.txt", b"1")]
    first = api.create_commit(MODEL, add, commit_message="One", parent_commit=parent)
    other = [CommitOperationAdd("a.txt", b"2")]
    with pytest.raises(HfHubHTTPError, match="412") as caught:
        api.create_commit(MODEL, other, commit_message="Two", parent_commit=parent)
    assert caught.value.response.status_code == 412
    api.create_commit(MODEL, other, commit_message="Two", parent_commit=first.oid)
    assert [commit.title for commit in api.list_repo_commits(MODEL)][:2] == ["Two", "One"]


def test_branches_hold_different_files(api, tmp_path):
    first = api.list_repo_commits(MODEL)[-1].commit_id
    for step in (100, 200):
        branch = f"main-step-{step:09d}"
        api.create_branch(MODEL, branch=branch, revision=first)
        api.create_commit(
            MODEL, [CommitOperationAdd("model.bin", noise(9000, step))], commit_message="Save", revision=branch
        )
    for step in (100, 200):
        assert downloaded(api, tmp_path, revision=f"main-step-{step:09d}") == {"model.bin": noise(9000, step)}
    assert downloaded(api, tmp_path) == {}


def test_commits_do_not_go_to_tags(api):
    api.create_tag(MODEL, tag="v1")
    with pytest.raises(BadRequestError, match="is a tag"):
        api.create_commit(MODEL, [CommitOperationAdd("a.txt", b"")], commit_message="No", revision="v1")


def test_a_large_file_goes_in_parts(hub, api, upload_path, tmp_path):
    hub.multipart = 100_000
    file = tmp_path / "large.bin"
    file.write_bytes(noise(950_000))
    api.upload_file(path_or_fileobj=file, path_in_repo="large.bin", repo_id=MODEL)
    assert downloaded(api, tmp_path)["large.bin"] == file.read_bytes()
    assert len(hub.log.calls("PUT", r"^/storage/\w+/\d+$")) == (10 if upload_path == "lfs" else 0)
    assert not list((hub.folder / "store/parts").iterdir()) and not list((hub.folder / "store/incoming").iterdir())


def test_an_open_file_can_be_sent(api, tmp_path):
    (tmp_path / "file.bin").write_bytes(noise(20_000))
    with (tmp_path / "file.bin").open("rb") as file:
        api.upload_file(path_or_fileobj=file, path_in_repo="file.bin", repo_id=MODEL)
    assert downloaded(api, tmp_path)["file.bin"] == noise(20_000)


def test_what_another_repository_has_is_not_sent_again(hub, api, upload_path):
    content = noise(300_000)
    api.create_repo(DATASET, repo_type="dataset")
    api.upload_file(path_or_fileobj=content, path_in_repo="a.bin", repo_id=MODEL)
    hub.log.clear()
    api.upload_file(path_or_fileobj=content, path_in_repo="b.bin", repo_id=DATASET, repo_type="dataset")
    assert sum(call.received for call in hub.log.calls(path="^/storage/|/v1/xorbs/")) == 0
    if upload_path == "xet":  # The client copies across repositories only what is in Xet storage.
        copy = [CommitOperationCopy("a.bin", "c.bin", src_repo_id=MODEL, src_repo_type="model")]
        api.create_commit(DATASET, copy, commit_message="Copy", repo_type="dataset")
        assert api.file_exists(DATASET, "c.bin", repo_type="dataset")


def test_a_grown_file_sends_only_its_end(hub, api, upload_path, tmp_path):
    if upload_path == "lfs":
        pytest.skip("LFS knows whole files only")
    for size in (2_000_000, 2_100_000):
        (tmp_path / "file.bin").write_bytes(noise(2_100_000)[:size])
        hub.log.clear()
        api.upload_file(path_or_fileobj=tmp_path / "file.bin", path_in_repo="file.bin", repo_id=MODEL)
    assert 100_000 <= sum(call.received for call in hub.log.calls(path="/v1/xorbs/")) < 400_000
    assert downloaded(api, tmp_path / "local")["file.bin"] == noise(2_100_000)


def test_a_commit_names_only_what_has_been_sent(hub, api):
    lines = b'{"key": "header", "value": {"summary": "x"}}\n{"key": "lfsFile", "value": {"path": "a.bin", "algo": "sha256", "oid": "%s", "size": 1}}'
    answer = get_session().post(
        f"{hub.url}/api/models/{MODEL}/commit/main",
        content=lines % (b"0" * 64),
        headers={"Authorization": f"Bearer {hub.tokens['write']}"},
    )
    with pytest.raises(BadRequestError, match="is missing"):
        hf_raise_for_status(answer)


def test_what_is_stored_can_be_checked_and_written_like_a_disk(hub, api, folder):
    api.upload_folder(repo_id=MODEL, folder_path=folder)
    checked = api.verify_repo_checksums(MODEL, local_dir=str(folder))
    assert checked.checked_count == len(FILES) and not checked.mismatches
    (folder / "noise.bin").write_bytes(noise(700_001, 1))
    assert [found["path"] for found in api.verify_repo_checksums(MODEL, local_dir=str(folder)).mismatches] == [
        "noise.bin"
    ]
    early = CommitOperationAdd("early.bin", noise(3000))
    api.preupload_lfs_files(MODEL, [early])
    api.create_commit(MODEL, [early], commit_message="What was sent before")
    disk = HfFileSystem(endpoint=hub.url, token=api.token)
    with disk.open(f"{MODEL}/note.txt", "w") as file:
        file.write("note")
    assert disk.glob(f"{MODEL}/*.txt") == [f"{MODEL}/empty.txt", f"{MODEL}/note.txt"]
    disk.rm(f"{MODEL}/note.txt")
    assert {"early.bin"} == set(api.list_repo_files(MODEL)) - set(FILES) - {".gitattributes"}
