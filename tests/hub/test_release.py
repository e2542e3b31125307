"""A release is shown and checked before anything changes, and opened completely, whatever goes wrong on the way."""

import json
import os
import re
import shutil
import sys

import pytest
from huggingface_hub import HfApi
from huggingface_hub.hf_file_system import HfFileSystemFile

from open_vr1.hub.release.__main__ import main
from tests.hub_server.objects import Store
from tests.hub_server.plugin import point_clients_at
from tests.hub_server.repos import Repos
from tests.hub_server.server import local_hub

from .releases import BASE, DATA, MODEL, NAMES, ROWS, SPACE, TERMS, dataset_card, publish_all, send, shard

TITLE = "open-vr1 1.0"
PATIENCE = ["--patience", "0.2"]
YES = ["--title", TITLE, "--yes", *PATIENCE]
KINDS = {DATA: "dataset", MODEL: "model", SPACE: "space"}
CHECKPOINT = "main-step-000000020"
WRITES = [
    ("POST", "/api/collections$"),
    ("POST", "/items$"),
    ("PUT", f"/{DATA}/settings"),
    ("PUT", f"/{MODEL}/settings"),
    ("PUT", f"/{SPACE}/settings"),
    ("PATCH", "/api/collections/"),
]


@pytest.fixture(scope="module")
def stock(tmp_path_factory):
    """What a Hub holds before a release; publishing it once is enough for all tests."""
    folder = tmp_path_factory.mktemp("stock")
    with pytest.MonkeyPatch.context() as patch, local_hub(folder / "server") as hub:
        point_clients_at(hub, folder / "home", patch)
        publish_all(hub.api(), folder)
    return folder / "server"


@pytest.fixture
def hub(hub, stock, monkeypatch):
    shutil.copytree(stock, hub.folder, dirs_exist_ok=True)
    hub.store = Store(hub.folder / "store")
    hub.repos = Repos(hub.folder / "repos", hub.store)
    monkeypatch.setattr("open_vr1.hub.calls.random.uniform", lambda low, high: 0.01)
    return hub


def private(hub):
    return {name for name, kind in KINDS.items() if hub.repos.get(kind, name).private}


def writes(hub):
    return [f"{call.method} {call.path}" for call in hub.log.calls() if call.method not in ("GET", "HEAD")]


def opened(hub):
    """Everybody sees every repository, and the one collection with its items in order."""
    nobody = hub.api("")
    (collection,) = hub.collections.values()
    items = nobody.get_collection(collection["slug"]).items
    assert [(item.item_type, item.item_id) for item in items] == [(kind, name) for name, kind in KINDS.items()]
    assert all(nobody.repo_exists(name, repo_type=kind) for name, kind in KINDS.items())
    return not private(hub)


def refused(hub, capsys, *said, names=NAMES):
    """One line of error for each, and nothing was changed."""
    before = private(hub)
    hub.log.clear()
    assert main([*names, *YES]) == 2
    errors = capsys.readouterr().err
    for words in said:
        assert words in errors, errors
    assert not writes(hub) and private(hub) == before and not hub.collections
    return errors


def test_a_release_makes_everything_public_and_lists_it_in_one_collection(hub, capsys):
    assert private(hub) == set(KINDS)
    assert main([*NAMES, *YES]) == 0, capsys.readouterr().err
    assert opened(hub)
    out = capsys.readouterr().out
    slug = next(iter(hub.collections))
    for link in (f"/collections/{slug}", f"/datasets/{DATA}", f"/{MODEL}", f"/spaces/{SPACE}"):
        assert hub.url + link in out
    notes = {item["id"]: item["note"]["text"] for item in hub.collections[slug]["items"]}
    assert notes[DATA] == f"{ROWS} rows (default); version v1.0; 3 rows non-commercial"
    assert notes[MODEL].startswith("2 checkpoints as branches; licence other (see-base-model")


def test_it_shows_what_becomes_public_and_calls_out_the_rows_that_may_not_be_sold(hub, capsys):
    assert main([*NAMES, *YES, "--dry_run"]) == 0
    out = capsys.readouterr().out
    for name in NAMES:
        assert f"{name}: private -> public" in out
    assert "main: 2 checkpoints, steps 20 to 30; stages that end there: 1, 2; finished" in out
    assert "tags: final, stage-1, stage-2" in out
    for source, (license_, count) in TERMS.items():
        assert re.search(rf"{count}  {license_} +{source}", out), out
    counted = "3 rows NON-COMMERCIAL, 2 rows LICENCE NOT KNOWN HERE"
    assert f"in all: {counted}" in out
    assert "licence on the card: other (mixed, #licences)\n" in out
    assert f"made from {BASE}: apache-2.0" in out
    assert f"trained on {DATA}, {ROWS} rows: part of this release; {counted}" in out


def test_a_dry_run_calls_nothing_that_writes(hub, capsys):
    hub.log.clear()
    assert main([*NAMES, *YES, "--dry_run"]) == 0
    assert not writes(hub) and private(hub) == set(KINDS) and not hub.collections
    assert "every check passed" in capsys.readouterr().out


def test_a_second_release_changes_nothing(hub):
    main([*NAMES, *YES])
    hub.log.clear()
    assert main([*NAMES, *YES]) == 0
    assert not writes(hub) and opened(hub)


def test_the_rows_are_read_without_their_pictures_and_texts(hub, monkeypatch):
    rows = [(f"drawn/{n}", "drawn", "apache-2.0") for n in range(5)]
    large = shard(rows, question=[os.urandom(300_000).hex() for _ in rows])
    change(hub, DATA, {"data/train-00000-of-00002.parquet": large})
    fetch, fetched = HfFileSystemFile._fetch_range, []

    def counted(file, start, end):
        fetched.append(end - start)
        return fetch(file, start, end)

    monkeypatch.setattr(HfFileSystemFile, "_fetch_range", counted)
    assert main([NAMES[0], *YES, "--dry_run"]) == 0
    assert 0 < sum(fetched) < len(large) / 10, fetched


# ----- Who says yes


def test_without_a_terminal_and_without_yes_nothing_is_even_read(hub, capsys, monkeypatch):
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    hub.log.clear()
    assert main([*NAMES, "--title", TITLE]) == 2
    assert "YES=1" in capsys.readouterr().err and not hub.log.calls()


@pytest.mark.parametrize("answer", ["", "y", "no", "yes"])
def test_only_a_typed_yes_opens(hub, monkeypatch, capsys, answer):
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda question: answer)
    done = main([*NAMES, "--title", TITLE, *PATIENCE])
    assert (done == 0, private(hub)) == ((True, set()) if answer == "yes" else (False, set(KINDS)))


@pytest.mark.parametrize("role", ["read", "none", ""])
def test_who_may_not_write_is_told_before_anything_changes(hub, monkeypatch, capsys, role):
    monkeypatch.setenv("HF_TOKEN", hub.tokens[role]) if role else monkeypatch.delenv("HF_TOKEN")
    said = {"read": f"{MODEL}: the token may not do this", "none": "not for this token to see", "": "not there"}[role]
    refused(hub, capsys, said)


# ----- Names


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("run", "REPOS: run: has no owner; write owner/name"),
        ("open-vr1/a b", "is no repository's name"),
        ("dataset/open-vr1/cold", "is no repository's name"),
        ("open-vr1/rum", "the nearest is open-vr1/run"),
        ("open-vr1/cold", "the nearest is datasets/open-vr1/cold"),
        ("writer/run", "writer has none"),
        (MODEL, "is there twice"),
    ],
)
def test_a_name_that_leads_nowhere_is_told_with_the_nearest(hub, capsys, name, said):
    refused(hub, capsys, said, names=[MODEL, name, "--namespace", "open-vr1"])


def test_repositories_of_several_owners_need_the_collections_owner(hub, capsys):
    refused(hub, capsys, "NAMESPACE: the repositories belong to open-vr1, writer", names=[MODEL, "writer/mine"])


def test_a_collection_of_somebody_else_is_refused(hub, capsys):
    refused(hub, capsys, "NAMESPACE=others: writer does not belong to it", names=[*NAMES, "--namespace", "others"])


# ----- Checks


def change(hub, repo, files, revision="main"):
    """Send or delete files of a revision, and let its tags follow."""
    api, kind = hub.api(), KINDS[repo]
    refs = hub.repos.get(kind, repo).history.refs
    before = refs[f"refs/heads/{revision}"]
    gone = [name for name, content in files.items() if content is None]
    for name in gone:
        api.delete_file(name, repo, repo_type=kind, revision=revision)
    if kept := {name: content for name, content in files.items() if content is not None}:
        send(api, repo, kind, kept, revision)
    for ref in [ref for ref, commit in refs.items() if ref.startswith("refs/tags/") and commit == before]:
        refs[ref] = refs[f"refs/heads/{revision}"]


def text(hub, repo, name, revision="main"):
    entry = hub.repos.get(KINDS[repo], repo).history.resolve(revision).tree[name]
    return hub.store.content(entry.sha256).decode()


@pytest.mark.parametrize(
    ("repo", "files", "revision", "said"),
    [
        (MODEL, {"model.safetensors": None}, CHECKPOINT, f"{MODEL}@{CHECKPOINT}: model.safetensors: missing"),
        (MODEL, {"model.safetensors": None}, "main", f"{MODEL}@main: model.safetensors: missing"),
        (MODEL, {"processor_config.json": None}, CHECKPOINT, "processor_config.json: missing, so it cannot be loaded"),
        (
            MODEL,
            {"open_vr1.json": None},
            CHECKPOINT,
            f"{MODEL}@{CHECKPOINT}: open_vr1.json: there is no such manifest",
        ),
        (MODEL, {"open_vr1.json": b"{"}, CHECKPOINT, f"{MODEL}@{CHECKPOINT}: open_vr1.json: this is no run manifest"),
        (MODEL, {"README.md": None}, CHECKPOINT, f"{MODEL}@{CHECKPOINT}: README.md: there is no card"),
        (MODEL, {"README.md": b"A card.\n"}, CHECKPOINT, f"{MODEL}@{CHECKPOINT}: README.md: front matter: missing"),
        (MODEL, {"optimizer.pt": b"moments"}, CHECKPOINT, f"{MODEL}@{CHECKPOINT}: optimizer.pt: not for the public"),
        (DATA, {"README.md": dataset_card(ROWS + 1).encode()}, "main", "the card says 11 rows, and its files have 10"),
        (DATA, {"cache.pkl": b"pickle"}, "main", "cache.pkl: not for the public"),
        (SPACE, {"app.py": None}, "main", "app.py: not there, so the Space cannot start"),
        (SPACE, {"README.md": b"---\nsdk: gardio\n---\n\nA Space.\n"}, "main", "sdk: 'gardio' is none"),
        (SPACE, {".env": b"A=1"}, "main", ".env: not for the public"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_one_revision_that_is_not_right_holds_everything_back(hub, capsys, repo, files, revision, said):
    change(hub, repo, files, revision)
    errors = refused(hub, capsys, said)
    assert errors.splitlines()[-1] == "error: nothing was changed; failed checks: 1", errors


def test_a_dataset_whose_newest_commit_has_no_tag_is_held_back(hub, capsys):
    hub.api().delete_tag(DATA, repo_type="dataset", tag="v1.0")
    refused(hub, capsys, "which has no tag", "make push-cold")


def test_files_of_two_generations_are_held_back(hub, capsys):
    change(hub, DATA, {"data/train-00000-of-00001.parquet": shard([("a/1", "a", "mit")])})
    refused(hub, capsys, "the card says 10 rows, and its files have 11")


@pytest.mark.parametrize("content", [b"no parquet at all", b"PAR1" + b"x" * 100 + b"PAR1"])
def test_a_file_that_is_no_parquet_is_held_back(hub, capsys, content):
    change(hub, DATA, {"data/train-00001-of-00002.parquet": content})
    refused(hub, capsys, "data/train-00001-of-00002.parquet: cannot be read as parquet")


def test_a_pickle_that_only_an_older_commit_has_is_held_back(hub, capsys):
    change(hub, MODEL, {"optimizer.pt": b"moments"}, CHECKPOINT)
    change(hub, MODEL, {"optimizer.pt": None}, CHECKPOINT)
    refused(hub, capsys, "optimizer.pt: in the older commit", "super_squash_history")


def test_a_pickle_that_only_a_pull_request_has_is_held_back(hub, capsys):
    api = hub.api()
    pull = api.create_pull_request(MODEL, title="More")
    send(api, MODEL, "model", {"weights.bin": b"pickle"}, pull.git_reference)
    refused(hub, capsys, "weights.bin: in the older commit")


def test_the_private_state_of_a_run_is_never_opened(hub, capsys):
    api = hub.api()
    api.create_repo("open-vr1/run-state", private=True)
    send(api, "open-vr1/run-state", "model", {"checkpoint-30/optimizer.pt": b"moments"})
    refused(hub, capsys, "checkpoint-30/optimizer.pt: not for the public", names=["open-vr1/run-state"])


def test_a_token_in_a_manifest_a_program_or_a_variable_is_held_back_and_not_shown(hub, capsys):
    token = "hf_" + "a" * 30
    manifest = json.loads(text(hub, MODEL, "open_vr1.json"))
    change(hub, MODEL, {"open_vr1.json": json.dumps({**manifest, "note": token}).encode()})
    change(hub, SPACE, {"app.py": f"TOKEN = '{token}'".encode()})
    hub.api().add_space_variable(SPACE, "KEY", token)
    errors = refused(hub, capsys)
    assert f"{MODEL}@main: open_vr1.json: hf_aaa… is an access token" in errors
    assert f"spaces/{SPACE}@main: app.py: hf_aaa… is an access token" in errors
    assert f"spaces/{SPACE}: variable KEY: hf_aaa… is an access token" in errors and token not in errors


def test_a_card_that_names_what_nobody_sees_is_held_back(hub, capsys):
    errors = refused(hub, capsys, f"spaces/{SPACE}: main: models: {MODEL} is not public", names=[NAMES[2]])
    assert "add it to REPOS" in errors
    refused(hub, capsys, f"{MODEL}: main: datasets: datasets/{DATA} is not public", names=NAMES[1:])
    hub.repos.get("model", BASE).private = True
    refused(hub, capsys, f"{MODEL}: main: base_model: {BASE} is not public")


def test_every_failed_check_is_told_at_once(hub, capsys):
    change(hub, MODEL, {"processor_config.json": None}, CHECKPOINT)
    change(hub, SPACE, {"app.py": None})
    hub.api().delete_tag(DATA, repo_type="dataset", tag="v1.0")
    errors = refused(hub, capsys, "processor_config.json", "app.py", "has no tag")
    assert errors.splitlines()[-1] == "error: nothing was changed; failed checks: 3"


# ----- What goes wrong on the way


@pytest.mark.soak(sample=8)
@pytest.mark.parametrize(("method", "path"), WRITES, ids=lambda value: value.strip("/$"))
@pytest.mark.parametrize("kind", ["cut", "lost answer", "500", "429"])
def test_a_fault_that_passes_is_waited_for(hub, capsys, method, path, kind):
    fault = {"method": method, "path": path}
    if kind == "cut":
        rule = hub.faults.cut(**fault)
    elif kind == "lost answer":
        rule = hub.faults.lose_answer(**fault)
    else:
        rule = hub.faults.status(int(kind), **fault)
    assert main([*NAMES, *YES]) == 0, capsys.readouterr().err
    assert rule.hits == 1 and opened(hub)


@pytest.mark.soak(sample=9)
@pytest.mark.parametrize(("method", "path"), WRITES, ids=lambda value: value.strip("/$"))
@pytest.mark.parametrize("status", [402, 403, 500])
def test_after_a_refusal_it_says_how_far_it_came_and_the_same_command_goes_on(hub, capsys, method, path, status):
    hub.faults.status(status, method=method, path=path, times=None)
    assert main([*NAMES, *YES]) == 2
    errors = capsys.readouterr().err
    open_now = [str(name) for name in NAMES if name.split("/", name.count("/") - 1)[-1] not in private(hub)]
    assert f"public already: {', '.join(open_now) or 'nothing'}; not opened:" in errors, errors
    assert "the same command goes on" in errors
    if status != 500:
        assert f"{status} for /api/" in errors
    # What is open never leads to what is closed.
    assert private(hub) in [set(KINDS), {MODEL, SPACE}, {SPACE}, set()]
    hub.faults.clear()
    assert main([*NAMES, *YES]) == 0
    assert opened(hub)


def test_when_it_is_stopped_it_says_how_far_it_came(hub, capsys, monkeypatch):
    real = HfApi.update_repo_settings

    def stop(api, repo_id, **settings):
        if repo_id == SPACE:
            raise KeyboardInterrupt
        return real(api, repo_id, **settings)

    monkeypatch.setattr(HfApi, "update_repo_settings", stop)
    assert main([*NAMES, *YES]) == 130
    assert f"public already: datasets/{DATA}, {MODEL}; not opened: spaces/{SPACE}" in capsys.readouterr().err
    monkeypatch.setattr(HfApi, "update_repo_settings", real)
    assert main([*NAMES, *YES]) == 0 and opened(hub)


def test_what_has_changed_since_it_was_checked_is_not_opened(hub, capsys, monkeypatch):
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)

    def think(question):
        send(hub.api(), MODEL, "model", {"optimizer.pt": b"moments"})
        return "yes"

    monkeypatch.setattr("builtins.input", think)
    assert main([*NAMES, "--title", TITLE, *PATIENCE]) == 2
    assert f"{MODEL}: has changed since it was checked" in capsys.readouterr().err
    assert MODEL in private(hub)


def test_a_pull_request_to_what_is_public_already_holds_up_nothing(hub, monkeypatch):
    hub.repos.get("dataset", DATA).private = False
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    pull = {"title": "A typo", "repo_type": "dataset"}
    monkeypatch.setattr("builtins.input", lambda question: hub.api().create_pull_request(DATA, **pull) and "yes")
    assert main([*NAMES, "--title", TITLE, *PATIENCE]) == 0
    assert opened(hub)


def test_what_others_name_is_opened_first_whatever_the_order(hub):
    hub.log.clear()
    assert main([*reversed(NAMES), *YES]) == 0
    flips = [call.path for call in hub.log.calls() if call.method == "PUT"]
    assert [path.split("/")[-2] for path in flips] == ["cold", "run", "reasoner"]


def test_a_collection_that_is_there_is_put_in_order_and_keeps_what_others_have_added(hub):
    api = hub.api()
    slug = api.create_collection(TITLE, namespace="open-vr1").slug
    for kind, name in (("model", BASE), ("space", SPACE)):
        api.add_collection_item(slug, name, kind, note="old")
    assert main([*NAMES, *YES]) == 0
    items = api.get_collection(slug).items
    assert [item.item_id for item in items] == [DATA, MODEL, SPACE, BASE]
    assert [item.note for item in items][2:] == ["Try it", "old"]
