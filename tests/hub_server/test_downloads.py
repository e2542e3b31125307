"""Reading by the real clients: revisions, ETags, caches, parts of files, listings."""

import hashlib
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd, HfFileSystem, get_hf_file_metadata, hf_hub_url
from huggingface_hub.errors import RepositoryNotFoundError
from huggingface_hub.utils import get_session

from tests.hub_server.xorbs import GROUPED_LZ4, LZ4, STORED

from .test_uploads import FILES, noise

MODEL = "open-vr1/model"


@pytest.fixture
def api(hub, upload_path):
    """With a model of two versions: the first is tagged v1."""
    api = hub.api()
    api.create_repo(MODEL)
    for version in (1, 2):
        files = {
            "config.json": b'{"version": %d}' % version,
            "model.bin": noise(400_000, version),
            "same.bin": noise(9),
        }
        api.create_commit(
            MODEL,
            [CommitOperationAdd(name, content) for name, content in files.items()],
            commit_message=f"Version {version}",
        )
        if version == 1:
            api.create_tag(MODEL, tag="v1")
    return api


def git_oid(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0%s" % (len(content), content)).hexdigest()


def test_metadata_say_where_from_and_which(hub, api, upload_path):
    known = {
        "config.json": (git_oid(b'{"version": 2}'), 14),
        "model.bin": (hashlib.sha256(noise(400_000, 2)).hexdigest(), 400_000),
    }
    for name, (etag, size) in known.items():
        found = get_hf_file_metadata(hf_hub_url(MODEL, name, endpoint=hub.url), token=api.token)
        assert (found.commit_hash, found.etag, found.size) == (api.repo_info(MODEL).sha, etag, size)
        assert (found.xet_file_data is not None) == (name == "model.bin" and upload_path == "xet")


def test_the_cache_holds_a_file_once_and_each_revision_finds_it(hub, api, tmp_path):
    def get(name, revision):
        return Path(api.hf_hub_download(MODEL, name, revision=revision, cache_dir=tmp_path))

    new, old = get("model.bin", "main"), get("model.bin", "v1")
    assert new.read_bytes() == noise(400_000, 2) and old.read_bytes() == noise(400_000, 1)
    assert get("same.bin", "main").resolve() == get("same.bin", "v1").resolve()
    assert new.parent.name == api.repo_info(MODEL).sha
    hub.log.clear()
    assert get("model.bin", "main") == new
    assert {call.method for call in hub.log.calls()} == {"HEAD"}


def test_a_snapshot_at_a_tag_a_branch_and_a_commit(api, tmp_path):
    first = api.list_repo_commits(MODEL)[1].commit_id
    for revision in ("v1", "refs/tags/v1", first):
        path = Path(api.snapshot_download(MODEL, revision=revision, cache_dir=tmp_path, allow_patterns="*.json"))
        assert path.name == first
        assert {file.name for file in path.iterdir()} == {"config.json"}
        assert (path / "config.json").read_bytes() == b'{"version": 1}'


def test_a_snapshot_brings_what_has_changed(hub, api, tmp_path):
    api.snapshot_download(MODEL, cache_dir=tmp_path)
    api.upload_file(path_or_fileobj=b"new", path_in_repo="new.txt", repo_id=MODEL)
    hub.log.clear()
    path = Path(api.snapshot_download(MODEL, cache_dir=tmp_path))
    assert (path / "new.txt").read_bytes() == b"new" and (path / "model.bin").read_bytes() == noise(400_000, 2)
    assert [call.path.rpartition("/")[2] for call in hub.log.calls("GET", "/resolve/|/storage/|/cas/.*/data/")] == [
        "new.txt"
    ]


def test_any_part_of_a_file_can_be_read(hub, api):
    content = FILES["folder/model.safetensors"] + noise(100_000) + FILES["repeated.bin"]
    api.upload_file(path_or_fileobj=content, path_in_repo="mixed.bin", repo_id=MODEL)
    files = HfFileSystem(endpoint=hub.url, token=api.token)
    size = len(content)
    for start, end in (
        (0, 1),
        (0, size),
        (size - 1, size),
        (70_000, 70_001),
        (599_999, 700_013),
        (123_457, 1_000_003),
    ):
        assert files.cat_file(f"{MODEL}/mixed.bin", start=start, end=end) == content[start:end]
    with files.open(f"{MODEL}/mixed.bin", block_size=10_000) as file:
        file.seek(-8, 2)
        assert file.read() == content[-8:]
    url = hf_hub_url(MODEL, "mixed.bin", endpoint=hub.url)
    for header, part in (
        ("bytes=-10", content[-10:]),
        (f"bytes={size - 5}-", content[-5:]),
        ("bytes=0-9", content[:10]),
    ):
        answer = get_session().get(url, headers={"Range": header}, follow_redirects=True)
        assert (answer.status_code, answer.content) == (206, part)
    answer = get_session().get(url, headers={"Range": f"bytes={size}-"}, follow_redirects=True)
    assert answer.status_code == 416


def test_every_way_of_packing_chunks_has_been_read(hub, api, upload_path):
    if upload_path == "lfs":
        pytest.skip("nothing is packed")
    for name, content in FILES.items():
        if len(content) > 100_000:
            api.upload_file(path_or_fileobj=content, path_in_repo=name, repo_id=MODEL)
    xorbs = [hub.store.xorb(path.name) for path in (hub.folder / "store/xorbs").iterdir()]
    assert {chunk.scheme for xorb in xorbs for chunk in xorb.index} == {STORED, LZ4, GROUPED_LZ4}
    for content in FILES.values():
        if len(content) > 100_000:
            sha256 = hashlib.sha256(content).hexdigest()
            for start, end in ((0, len(content)), (0, 70_000), (65_537, 300_001), (131_072, 131_073)):
                assert b"".join(hub.store.read(sha256, start, end)) == content[start:end]


def test_a_link_to_storage_is_for_those_who_got_it(hub, api):
    url = hf_hub_url(MODEL, "model.bin", endpoint=hub.url)
    link = get_session().get(url, follow_redirects=False).headers["Location"]
    # The storage is another host: it gets no token.
    assert not link.startswith(hub.url)
    assert get_session().get(link).content == noise(400_000, 2)
    assert get_session().get(link.replace("signature=", "signature=0")).status_code == 403


def test_files_of_a_private_repository_are_for_its_members(hub, api, tmp_path):
    api.update_repo_settings(MODEL, private=True)
    assert hub.api("read").hf_hub_download(MODEL, "model.bin", cache_dir=tmp_path / "member")
    for role in ("none", ""):
        with pytest.raises(RepositoryNotFoundError):
            hub.api(role).hf_hub_download(MODEL, "model.bin", cache_dir=tmp_path / "other")


def test_listings_come_in_pages_and_say_when_a_file_last_changed(hub, api):
    names = [f"folder/{number:03d}.txt" for number in range(25)]
    api.create_commit(MODEL, [CommitOperationAdd(name, name.encode()) for name in names], commit_message="Many")
    hub.page = 10
    hub.log.clear()
    found = list(api.list_repo_tree(MODEL, recursive=True, expand=True))
    assert len(hub.log.calls("GET", "/tree/")) == 3
    titles = {item.path: item.last_commit.title for item in found}
    assert titles["folder"] == titles["folder/007.txt"] == "Many"
    assert (
        titles["model.bin"] == "Version 2"
        and titles["same.bin"] == "Version 1"
        and titles[".gitattributes"] == "initial commit"
    )
    top = [item.path for item in api.list_repo_tree(MODEL)]
    assert top == [".gitattributes", "config.json", "folder", "model.bin", "same.bin"]
    assert [item.path for item in api.list_repo_tree(MODEL, "folder")] == names
    found = api.get_paths_info(MODEL, ["model.bin", "folder", "missing"])
    assert [(type(item).__name__, item.path) for item in found] == [
        ("RepoFile", "model.bin"),
        ("RepoFolder", "folder"),
    ]
    assert found[0].lfs.sha256 == hashlib.sha256(noise(400_000, 2)).hexdigest() and found[0].size == 400_000
