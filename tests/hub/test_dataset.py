"""`make push-cold`: what is published loads as it was made, and every change is a version of its own."""

import json
import re
import sys
import textwrap
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from datasets import Image, load_dataset

from open_vr1.cold.shards import FEATURES, FOLDERS
from open_vr1.hub.commits import remote_files
from open_vr1.hub.dataset import main

REPO = "open-vr1/cold-toy"
pytestmark = pytest.mark.usefixtures("hurried")


def push(folder: Path, *options: str, repo: str = REPO) -> int:
    return main([str(folder), repo, *options])


def rows_of(folder: Path, config: str) -> list[dict]:
    files = sorted((folder / FOLDERS[config]).glob("*.parquet"))
    return [row for file in files for row in pq.read_table(file).to_pylist()]


def loaded(config: str = "default", **options) -> list[dict]:
    rows = load_dataset(REPO, config, split="train", **options)
    assert rows.features == FEATURES[config]
    return list(rows.cast_column("images", [Image(decode=False)]))


def tags(api) -> dict[str, str]:
    return {tag.name: tag.target_commit for tag in api.list_repo_refs(REPO, repo_type="dataset").tags}


def titles(api) -> list[str]:
    return [commit.title for commit in api.list_repo_commits(REPO, repo_type="dataset")]


def names(api) -> set[str]:
    return set(remote_files(api, REPO, repo_type="dataset")) - {".gitattributes"}


def writes(hub) -> list[str]:
    return [str(call) for call in hub.log.calls() if call.method not in ("GET", "HEAD")]


# ----- What a reader gets


@pytest.mark.parametrize("streaming", [False, True], ids=["plain", "streaming"])
@pytest.mark.parametrize("revision", [None, "v1.0"], ids=["main", "tag"])
def test_columns_and_pictures_are_those_that_were_made(hub, upload_path, finished, streaming, revision):
    assert push(finished["all"]) == 0
    for config in FEATURES:
        assert loaded(config, streaming=streaming, revision=revision) == rows_of(finished["all"], config)


def test_a_process_of_its_own_loads_it_at_its_tag(hub, upload_path, finished, run_watched, tmp_path, capsys):
    if upload_path == "lfs":
        pytest.skip("one such process is slow enough")
    assert push(finished["all"]) == 0
    line = capsys.readouterr().out.splitlines()[-1].removeprefix("load it: ")
    code = f"""
        import datasets
        rows = {line}["train"].cast_column("images", [datasets.Image(decode=False)])
        print(len(rows), sum(len(picture["bytes"]) for row in rows for picture in row["images"]))
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = run_watched(command, env=hub.environment(tmp_path / "home", "read"), timeout=120)
    local = rows_of(finished["all"], "default")
    size = sum(len(picture["bytes"]) for row in local for picture in row["images"])
    assert done.stdout.split() == [str(len(local)), str(size)], done.stderr


def test_the_card_has_the_name_of_the_repository_and_no_place_on_this_machine(hub, finished):
    assert push(finished["all"]) == 0
    text = Path(hub.api().hf_hub_download(REPO, "README.md", repo_type="dataset")).read_text()
    assert f'load_dataset("{REPO}"' in text and f"# {REPO}" in text
    assert str(finished["all"].parent) not in text


def test_the_run_manifest_is_published_where_there_is_one(hub, cold_data):
    (cold_data / "open_vr1.json").write_text(json.dumps({"seed": 0}))
    assert push(cold_data) == 0
    assert "open_vr1.json" in names(hub.api())


def test_it_is_private_until_it_is_asked_to_be_public(hub, finished, capsys):
    push(finished["all"])
    assert hub.api().repo_info(REPO, repo_type="dataset").private
    assert f"make release REPOS=datasets/{REPO}" in capsys.readouterr().out
    hub.log.clear()
    push(finished["all"], "--public")
    assert not hub.api("").repo_info(REPO, repo_type="dataset").private
    assert [line.split("/")[-1] for line in writes(hub)] == ["settings"]
    assert "make release" not in capsys.readouterr().out


# ----- Versions


def test_the_same_dataset_again_sends_nothing(hub, upload_path, finished, capsys):
    push(finished["all"])
    hub.log.clear()
    capsys.readouterr()
    assert push(finished["all"]) == 0
    assert not writes(hub) and len(titles(hub.api())) == 2
    said = capsys.readouterr().out
    assert "nothing to send" in said and 'revision="v1.0")' in said


def test_a_changed_dataset_becomes_a_new_version_and_the_old_tag_still_loads(hub, upload_path, finished):
    push(finished["all"])
    assert push(finished["fewer"]) == 0
    assert list(tags(hub.api())) == ["v1.0", "v1.1"]
    assert loaded(revision="v1.0") == rows_of(finished["all"], "default")
    assert loaded(revision="v1.1") == loaded() == rows_of(finished["fewer"], "default")


def test_no_file_of_an_older_version_stays_beside_the_new_ones(hub, upload_path, finished):
    push(finished["all"])
    push(finished["one"])
    assert names(hub.api()) == {"README.md", "data/train-00000-of-00001.parquet"}
    push(finished["all"])
    files = [f"data/train-0000{i}-of-00003.parquet" for i in range(3)]
    files += [f"rl/train-0000{i}-of-00004.parquet" for i in range(4)]
    assert names(hub.api()) == {"README.md", *files}


def test_a_changed_card_alone_is_a_minor_version(hub, cold_data):
    push(cold_data)
    facts = json.loads((cold_data / "_build/facts.json").read_text())
    (cold_data / "_build/facts.json").write_text(json.dumps({**facts, "license": "cc-by-4.0"}))
    hub.log.clear()
    push(cold_data)
    assert list(tags(hub.api())) == ["v1.0", "v1.1"]
    assert not hub.log.calls(path="/storage/|/cas/")


def test_a_configuration_that_is_gone_makes_a_major_version(hub, finished, capsys):
    push(finished["all"])
    assert push(finished["one"]) == 0
    assert list(tags(hub.api())) == ["v1.0", "v2.0"]
    assert "v2.0, after v1.0: configuration rl is gone" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("old", "new", "version"),
    [
        ("  - name: source\n", "  - name: origin\n    dtype: string\n  - name: source\n", "v2.0"),
        ("  - name: answer\n    dtype: string\n", "  - name: answer\n    dtype: int64\n", "v2.0"),
        ("  - name: thinking\n    dtype: string\n", "", "v1.1"),
    ],
    ids=["a column is gone", "a column is another type", "a column is new"],
)
def test_what_breaks_a_readers_code_is_a_major_version(hub, finished, old, new, version):
    push(finished["all"])
    api = hub.api()
    text = Path(api.hf_hub_download(REPO, "README.md", repo_type="dataset")).read_text()
    earlier = text.replace(old, new, 1).encode()
    assert earlier != text.encode()
    api.upload_file(path_or_fileobj=earlier, path_in_repo="README.md", repo_id=REPO, repo_type="dataset")
    api.delete_tag(REPO, tag="v1.0", repo_type="dataset")
    api.create_tag(REPO, tag="v1.0", repo_type="dataset")
    push(finished["all"])
    assert list(tags(api)) == ["v1.0", version]


def test_a_version_can_be_named_and_is_refused_where_it_has_other_content(hub, finished, capsys):
    assert push(finished["all"], "--version", "v3.0") == 0
    hub.log.clear()
    assert push(finished["fewer"], "--version", "v3.0") == 2
    assert "VERSION=v3.0" in capsys.readouterr().err and not writes(hub)
    assert push(finished["fewer"]) == 0 and push(finished["all"], "--version", "v3.0") == 0
    assert list(tags(hub.api())) == ["v3.0", "v3.1"]


def test_a_commit_that_a_killed_run_has_not_tagged_is_tagged_by_the_next(hub, finished):
    push(finished["all"])
    api = hub.api()
    (commit,) = tags(api).values()
    api.delete_tag(REPO, tag="v1.0", repo_type="dataset")
    push(finished["all"])
    assert tags(api) == {"v1.0": commit} and len(titles(api)) == 2


def test_a_tag_that_somebody_else_makes_in_the_meantime_is_not_taken_for_ours(hub, finished, monkeypatch, capsys):
    from open_vr1.hub.dataset_push import DatasetPush

    def with_another_tag(self, *arguments):
        self.api.create_tag(REPO, tag="v1.0", repo_type="dataset", revision="main")
        self.api.upload_file(path_or_fileobj=b"a", path_in_repo="a.txt", repo_id=REPO, repo_type="dataset")
        return commit(self, *arguments)

    commit = DatasetPush._commit
    monkeypatch.setattr(DatasetPush, "_commit", with_another_tag)
    assert push(finished["all"]) == 2
    assert "somebody else has made v1.0" in capsys.readouterr().err


# ----- What would happen


def test_a_dry_run_only_asks(hub, finished, capsys):
    for _ in range(2):
        assert push(finished["fewer"], "--dry_run") == 0
        said = capsys.readouterr().out
        assert {call.method for call in hub.log.calls()} == {"GET"}
        assert re.search(r"is not there", said) and "send: 7 files" in said and "v1.0, the first" in said
        assert "licences of default: apache-2.0 20; non-commercial 0 rows, unknown 0" in said
    push(finished["all"], "--public")
    hub.log.clear()
    assert push(finished["fewer"], "--dry_run") == 0
    said = capsys.readouterr().out
    assert {call.method for call in hub.log.calls()} == {"GET"}
    assert "is public" in said and "v1.1, after v1.0" in said and "delete: 3 files" in said
    assert re.search(r"data/train-00000-of-00002.parquet  [\d.]+ kB", said)


def test_a_dry_run_needs_no_token_and_no_hub(hub, finished, capsys, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    assert push(finished["all"], "--dry_run") == 0
    assert "no token" in capsys.readouterr().out
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert push(finished["all"], "--dry_run") == 0
    said = capsys.readouterr().out
    assert f"not compared with {REPO}" in said and "send: 8 files" in said


def test_names_of_licences_say_whether_they_restrict():
    from open_vr1.hub.licenses import is_non_commercial, is_unknown

    restricted = ["cc-by-nc-sa-4.0", "CC BY-NC 4.0", "non-commercial", "research only"]
    assert all(map(is_non_commercial, restricted))
    assert not any(map(is_non_commercial, ["mit", "cc-by-4.0", "apache-2.0", "ncsa", "unknown"]))
    assert is_unknown("unknown") and not is_unknown("mit")


# ----- What is refused


@pytest.mark.parametrize(
    ("role", "said"),
    [("read", "may not write there"), ("none", f"REPO=stranger/{REPO.partition('/')[2]}"), ("", "hf auth login")],
)
def test_who_may_not_write_is_told_before_anything_is_sent(hub, finished, role, said, capsys, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", hub.tokens[role]) if role else monkeypatch.delenv("HF_TOKEN")
    assert push(finished["all"]) == 2
    assert said in capsys.readouterr().err and not writes(hub)


def test_an_account_publishes_to_its_own_name(hub, finished):
    assert push(finished["all"], repo="writer/cold-toy") == 0


@pytest.mark.parametrize(
    ("repo", "nearest"),
    [
        ("cold-200k", "<your name>/cold-200k"),
        ("datasets/open-vr1/cold", "open-vr1/cold"),
        ("https://huggingface.co/datasets/open-vr1/cold", "open-vr1/cold"),
        ("open-vr1/cold data", "open-vr1/cold-data"),
        ("open-vr1/cold--200k.", "open-vr1/cold-200k"),
        ("a/b/c", "a/b-c"),
        ("open-vr1/", "<your name>/open-vr1"),
    ],
)
def test_a_malformed_name_is_refused_with_the_nearest(finished, repo, nearest, capsys):
    assert push(finished["all"], repo=repo) == 2
    assert capsys.readouterr().err == f"error: REPO={repo}: is no repository; write REPO={nearest}\n"


def cut(folder):
    path = folder / "data/train-00001-of-00003.parquet"
    path.write_bytes(path.read_bytes()[:-10])


def alter(folder):
    path = folder / "data/train-00001-of-00003.parquet"
    data = bytearray(path.read_bytes())
    data[1000] ^= 1
    path.write_bytes(data)


def rename_a_picture(folder):
    """As if a source had named its pictures by their places on somebody's disk."""
    import hashlib

    name = "data/train-00000-of-00003.parquet"
    table = pq.read_table(folder / name)
    rows = table.to_pylist()
    rows[0]["images"][0]["path"] = "/home/me/pictures/1.png"
    pq.write_table(type(table).from_pylist(rows, table.schema), folder / name)
    data = (folder / name).read_bytes()
    for file in ("manifest.json", "facts.json"):
        content = json.loads((folder / "_build" / file).read_text())
        entries = content["files"] if "files" in content else content["steps"]["shards"]["files"]
        entries[0] |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        (folder / "_build" / file).write_text(json.dumps(content))


def edit_facts(folder, **facts):
    path = folder / "_build/facts.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **facts}))


SPOILED = {
    "is no folder": lambda folder: folder.rename(folder.with_name("elsewhere")),
    "there is no _build/manifest.json": lambda folder: (folder / "_build/manifest.json").unlink(),
    "there is no _build/facts.json": lambda folder: (folder / "_build/facts.json").unlink(),
    "_build/facts.json cannot be read": lambda folder: (folder / "_build/facts.json").write_text("{"),
    "data/train-00002-of-00003.parquet is missing": lambda folder: (
        folder / "data/train-00002-of-00003.parquet"
    ).unlink(),
    "and should have": cut,
    "data/train-00001-of-00003.parquet was changed after it was made": alter,
    "the step filter was begun and has not finished": lambda folder: (folder / "_build/filter/done.json").unlink(),
    "data/extra.parquet is not in _build/manifest.json": lambda folder: (folder / "data/extra.parquet").write_text(""),
    "names a picture by its place on this machine, /home/me/pictures/1.png": rename_a_picture,
    "the card would name a place on this machine, /srv/models/vl": lambda folder: edit_facts(
        folder, provenance={"vision": "/srv/models/vl", "reasoner": "r", "reasoner_saw_answer": False}
    ),
    "holds your Hub token": lambda folder: (folder / "open_vr1.json").write_text('{"key": "hf_localwrite"}'),
}


@pytest.mark.parametrize("said", SPOILED)
def test_a_spoiled_dataset_is_refused_before_the_first_call(hub, cold_data, said, capsys):
    SPOILED[said](cold_data)
    assert push(cold_data) == 2
    error = capsys.readouterr().err
    assert said in error and str(cold_data) in error and len(error.splitlines()) == 1
    assert not hub.log.calls()


def test_a_dataset_that_is_being_made_is_refused(hub, cold_data, capsys):
    import subprocess

    code = "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.lockf(f, fcntl.LOCK_EX); print(flush=True); input()"
    holder = [sys.executable, "-c", code, str(cold_data / "_build/lock")]
    with subprocess.Popen(holder, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        assert push(cold_data) == 2
        process.communicate(b"\n")
    assert "make cold is writing to it" in capsys.readouterr().err
    assert push(cold_data) == 0


def test_what_changes_while_it_is_sent_is_not_tagged(hub, cold_data, monkeypatch, capsys):
    from open_vr1.hub import dataset_push

    def and_meanwhile(*arguments, **options):
        done = commit_files(*arguments, **options)
        (cold_data / "data/train-00001-of-00003.parquet").touch()
        return done

    commit_files = dataset_push.commit_files
    monkeypatch.setattr(dataset_push, "commit_files", and_meanwhile)
    assert push(cold_data) == 2
    assert "was changed while it was published" in capsys.readouterr().err
    assert tags(hub.api()) == {}


def test_a_repository_with_other_peoples_files_is_left_alone(hub, finished, capsys):
    api = hub.api()
    api.create_repo(REPO, repo_type="dataset")
    api.upload_file(path_or_fileobj=b"a", path_in_repo="mine.csv", repo_id=REPO, repo_type="dataset")
    hub.log.clear()
    assert push(finished["all"]) == 2
    assert "holds what open-vr1 has not put there: mine.csv; write another REPO" in capsys.readouterr().err
    assert not writes(hub)


def test_a_strange_file_beside_our_own_is_not_deleted(hub, finished, capsys):
    push(finished["all"])
    hub.api().upload_file(path_or_fileobj=b"a", path_in_repo="mine.csv", repo_id=REPO, repo_type="dataset")
    assert push(finished["fewer"]) == 2
    assert "mine.csv" in capsys.readouterr().err and "mine.csv" in names(hub.api())


def test_a_name_that_a_model_has_is_refused(hub, finished, capsys):
    hub.api().create_repo(REPO)
    assert push(finished["all"]) == 2
    assert "is a model; write another name" in capsys.readouterr().err


def test_an_empty_repository_is_filled(hub, finished):
    hub.api().create_repo(REPO, repo_type="dataset", private=True)
    assert push(finished["all"]) == 0 and list(tags(hub.api())) == ["v1.0"]
