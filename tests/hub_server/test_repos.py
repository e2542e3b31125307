"""Repositories as a whole: who may create, see and change them, which error they get, and what refs and history say."""

import pytest
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import get_session

MODEL = "open-vr1/model"


@pytest.fixture
def api(hub):
    return hub.api()


@pytest.fixture
def model(api):
    """A model with one file besides what every repository begins with."""
    api.create_repo(MODEL)
    api.upload_file(path_or_fileobj=b"{}", path_in_repo="config.json", repo_id=MODEL)
    return MODEL


@pytest.mark.parametrize(("role", "name"), [("write", "writer"), ("read", "reader"), ("none", "stranger")])
def test_a_token_says_who_it_is(hub, role, name):
    who = hub.api(role).whoami()
    assert who["name"] == name
    assert [org["name"] for org in who["orgs"]] == ([] if role == "none" else ["open-vr1"])


@pytest.mark.parametrize("kind", ["model", "dataset", "space"])
def test_a_repository_can_be_created_once(hub, api, kind):
    sdk = {"space_sdk": "gradio"} if kind == "space" else {}
    url = api.create_repo("open-vr1/thing", repo_type=kind, **sdk)
    assert (url.repo_id, url.repo_type) == ("open-vr1/thing", kind) and url.startswith(hub.url)
    assert api.create_repo("open-vr1/thing", repo_type=kind, exist_ok=True, **sdk) == url
    with pytest.raises(HfHubHTTPError, match="409"):
        api.create_repo("open-vr1/thing", repo_type=kind, **sdk)
    card = ["README.md"] if kind == "space" else []
    assert api.list_repo_files("open-vr1/thing", repo_type=kind) == [".gitattributes", *card]
    assert api.repo_info("open-vr1/thing", repo_type=kind).private is False


def test_a_name_without_namespace_is_the_users_own(api):
    assert api.create_repo("mine").repo_id == "writer/mine"


@pytest.mark.parametrize("name", ["../../elsewhere", "a--b", "a..b", "a.git", ""])
def test_a_name_that_the_hub_does_not_allow_is_refused(hub, name):
    headers = {"Authorization": f"Bearer {hub.tokens['write']}"}
    body = {"name": name, "organization": "open-vr1"}
    answer = get_session().post(f"{hub.url}/api/repos/create", headers=headers, json=body)
    assert answer.status_code == 400


@pytest.mark.parametrize("role", ["read", "none"])
def test_only_writers_of_a_namespace_create_there(hub, role):
    with pytest.raises(HfHubHTTPError, match="403"):
        hub.api(role).create_repo(MODEL)


def test_nobody_creates_without_logging_in(hub):
    with pytest.raises(HfHubHTTPError, match="401"):
        hub.api("").create_repo("open-vr1/model")


def test_who_may_not_create_a_repository_that_exists_gets_it(hub, model):
    assert hub.api("read").create_repo(model, exist_ok=True).repo_id == model


def test_a_private_repository_is_not_there_for_others(hub, api):
    api.create_repo(MODEL, private=True)
    assert hub.api("read").repo_info(MODEL).private
    for role in ("none", ""):
        with pytest.raises(RepositoryNotFoundError):
            hub.api(role).repo_info(MODEL)
        assert not hub.api(role).repo_exists(MODEL)
        assert list(hub.api(role).list_models()) == []
    api.update_repo_settings(MODEL, private=False)
    assert hub.api("").repo_exists(MODEL)


def test_a_gated_repository_shows_what_it_is_and_keeps_its_files(hub, api, model, tmp_path):
    api.update_repo_settings(model, gated="auto")
    for role in ("none", ""):
        assert hub.api(role).repo_info(model).gated == "auto"
        with pytest.raises(GatedRepoError):
            hub.api(role).hf_hub_download(model, "config.json", cache_dir=tmp_path / f"as{role}")
        with pytest.raises(GatedRepoError):
            hub.api(role).auth_check(model)
    assert hub.api("read").hf_hub_download(model, "config.json", cache_dir=tmp_path / "member")
    api.grant_access(model, "stranger")
    assert hub.api("none").hf_hub_download(model, "config.json", cache_dir=tmp_path / "granted")


def test_writing_needs_the_right_to(hub, model):
    api = hub.api("read")
    for attempt in (
        lambda: api.upload_file(path_or_fileobj=b"", path_in_repo="a.txt", repo_id=model),
        lambda: api.create_branch(model, branch="mine"),
        lambda: api.update_repo_settings(model, private=True),
        lambda: api.delete_repo(model),
    ):
        with pytest.raises(HfHubHTTPError, match="403"):
            attempt()


def test_a_wrong_token_is_not_a_missing_repository(hub, model):
    api = hub.api()
    api.token = "hf_wrong"
    with pytest.raises(HfHubHTTPError, match="Invalid credentials") as caught:
        api.repo_info(model)
    assert not isinstance(caught.value, RepositoryNotFoundError)


@pytest.mark.parametrize("name", ["open-vr1/missing", "missing"])
def test_what_is_missing_has_an_error_of_its_own(api, model, tmp_path, name):
    with pytest.raises(RepositoryNotFoundError):
        api.repo_info(name)
    with pytest.raises(RevisionNotFoundError):
        api.repo_info(model, revision="missing")
    with pytest.raises(RevisionNotFoundError):
        api.hf_hub_download(model, "config.json", revision="missing", cache_dir=tmp_path)
    with pytest.raises(RemoteEntryNotFoundError):
        api.hf_hub_download(model, "missing.json", cache_dir=tmp_path)
    with pytest.raises(RemoteEntryNotFoundError):
        list(api.list_repo_tree(model, "missing"))
    assert api.file_exists(model, "config.json") and not api.file_exists(model, "missing.json")
    assert not api.revision_exists(model, "missing")


def test_deleted_is_gone_and_moved_is_found_under_both_names(api, model):
    api.move_repo(model, "open-vr1/renamed")
    assert api.repo_info("open-vr1/renamed").id == api.repo_info(model).id == "open-vr1/renamed"
    api.delete_repo("open-vr1/renamed")
    with pytest.raises(RepositoryNotFoundError):
        api.delete_repo("open-vr1/renamed")
    api.delete_repo("open-vr1/renamed", missing_ok=True)


def test_repositories_are_listed_by_author_and_in_pages(hub, api):
    names = [f"open-vr1/model-{number}" for number in range(5)]
    for name in [*names, "writer/other"]:
        api.create_repo(name)
    hub.page = 2
    assert {model.id for model in api.list_models(author="open-vr1")} == set(names)
    assert len(hub.log.calls("GET", "^/api/models$")) == 3


def test_branches_and_tags(api, model):
    first = api.list_repo_commits(model)[-1].commit_id
    api.create_branch(model, branch="main-step-000000100", revision=first)
    api.create_branch(model, branch="main-step-000000100", exist_ok=True)
    api.create_branch(model, branch="with/slash")
    with pytest.raises(HfHubHTTPError, match="409"):
        api.create_branch(model, branch="main-step-000000100")
    with pytest.raises(RevisionNotFoundError):
        api.create_branch(model, branch="other", revision="missing")
    api.create_tag(model, tag="v1.0", revision="main-step-000000100", tag_message="first")
    with pytest.raises(HfHubHTTPError, match="409"):
        api.create_tag(model, tag="v1.0")
    api.create_tag(model, tag="v1.0", exist_ok=True)
    refs = api.list_repo_refs(model)
    branches = {branch.name: branch.target_commit for branch in refs.branches}
    assert set(branches) == {"main", "main-step-000000100", "with/slash"}
    assert branches["main-step-000000100"] == first != branches["main"]
    assert [(tag.ref, tag.target_commit) for tag in refs.tags] == [("refs/tags/v1.0", first)]
    assert api.list_repo_files(model, revision="v1.0") == [".gitattributes"]
    assert "config.json" in api.list_repo_files(model, revision="with/slash")
    api.delete_branch(model, branch="with/slash")
    api.delete_tag(model, tag="v1.0")
    assert [branch.name for branch in api.list_repo_refs(model).branches] == ["main", "main-step-000000100"]
    assert api.list_repo_refs(model).tags == []
    with pytest.raises(RevisionNotFoundError):
        api.delete_tag(model, tag="v1.0")


def test_history_names_who_did_what_and_a_squash_forgets_it(api, model):
    api.upload_file(path_or_fileobj=b"1", path_in_repo="a.txt", repo_id=model, commit_message="Add a")
    commits = api.list_repo_commits(model)
    assert [commit.title for commit in commits] == [
        "Add a",
        "Upload config.json with huggingface_hub",
        "initial commit",
    ]
    assert commits[0].authors == ["writer"] and commits[0].created_at >= commits[-1].created_at
    # A commit is a revision, also by the beginning of its name.
    assert api.repo_info(model, revision=commits[1].commit_id[:9]).sha == commits[1].commit_id
    files = api.list_repo_files(model)
    api.super_squash_history(model, commit_message="All")
    assert [commit.title for commit in api.list_repo_commits(model)] == ["All"]
    assert api.list_repo_files(model) == files


def test_the_card_is_part_of_the_information(api, model):
    card = b"---\nlicense: apache-2.0\ntags: [open-vr1]\npipeline_tag: image-text-to-text\n---\n# A model\n"
    api.upload_file(path_or_fileobj=card, path_in_repo="README.md", repo_id=model)
    info = api.model_info(model, files_metadata=True)
    assert info.card_data.license == "apache-2.0" and info.pipeline_tag == "image-text-to-text"
    assert "open-vr1" in info.tags
    assert {file.rfilename: file.size for file in info.siblings}["README.md"] == len(card)


def test_a_card_that_cannot_be_read_is_refused(api, model):
    with pytest.raises(ValueError, match="Invalid metadata in README.md"):
        api.upload_file(path_or_fileobj=b"---\nlicense: [\n---\n", path_in_repo="README.md", repo_id=model)
    with pytest.warns(UserWarning, match="empty or missing yaml metadata"):
        api.upload_file(path_or_fileobj=b"# No metadata", path_in_repo="README.md", repo_id=model)
