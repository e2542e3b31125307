"""`make space`: the Hub holds exactly the Space's files, its variable and its machine; what somebody has done by hand is not lost."""

import json
import re
from pathlib import Path

import pytest
import yaml
from huggingface_hub import CommitOperationAdd, CommitOperationDelete

from open_vr1.hub.commits import Digests, difference
from open_vr1.space.__main__ import main
from open_vr1.space.folder import SPACE as REASONER
from open_vr1.space.folder import staged

from .spaces import COLD, MODEL, PUSHED, SPACE, card, push_model, push_run

WRITES = ("POST", "PUT", "DELETE")
REPO = {"repo_type": "space"}


@pytest.fixture
def deploy(folder):
    return lambda *words, model=MODEL: main([model, "--folder", str(folder), *words])


def files(api, repo=SPACE):
    return sorted(set(api.list_repo_files(repo, **REPO)) - {".gitattributes"})


def text_of(api, name, repo=SPACE):
    return Path(api.hf_hub_download(repo, name, **REPO)).read_text()


def front(api, repo=SPACE):
    return yaml.safe_load(text_of(api, "README.md", repo).split("---\n")[1])


def commits(api, repo=SPACE):
    return [commit.title for commit in api.list_repo_commits(repo, **REPO)]


def by_hand(api, *operations):
    api.create_commit(SPACE, list(operations), commit_message="Update app.py", **REPO)


def writes(hub):
    """Calls that change something; asking how a file would be sent does not."""
    sent = [call for call in hub.log.calls() if call.method in WRITES]
    return [f"{call.method} {call.path}" for call in sent if "/preupload/" not in call.path]


# ----- A first deploy


def test_a_space_holds_exactly_the_files_by_either_way_of_sending_them(upload_path, api, deploy, folder, tmp_path):
    assert deploy() == 0
    assert files(api) == PUSHED
    here = staged(folder, tmp_path / "again", title="run reasoner", models=[MODEL, COLD])
    compared = difference(api, SPACE, Digests(here), **REPO)
    assert sorted(compared.same) == PUSHED and not compared
    assert commits(api) == [f"open-vr1: {MODEL}, {COLD}", "initial commit"]


def test_a_space_is_private_on_zerogpu_and_knows_its_checkpoints(api, deploy):
    assert deploy() == 0
    assert api.space_info(SPACE).private and api.space_info(SPACE).sdk == "gradio"
    assert api.get_space_runtime(SPACE).requested_hardware == "zero-a10g"
    variables = api.get_space_variables(SPACE)
    assert set(variables) == {"CHECKPOINTS"}
    assert json.loads(variables["CHECKPOINTS"].value) == [
        {"label": "cold start", "model": COLD, "revision": "main"},
        {"label": "stage 1", "model": MODEL, "revision": "stage-1"},
        {"label": "stage 2", "model": MODEL, "revision": "main"},
    ]


def test_the_card_names_the_models_and_keeps_every_other_key(api, deploy):
    assert deploy() == 0
    given = yaml.safe_load(card().split("---\n")[1])
    assert front(api) == {**given, "title": "run reasoner", "models": [MODEL, COLD]}


def test_the_end_says_where_it_is_and_how_to_open_it(hub, api, deploy, capsys):
    assert deploy() == 0
    *_, where, last = capsys.readouterr().out.splitlines()
    assert where == f"{hub.url}/spaces/{SPACE}"
    assert f'make release REPOS="spaces/{SPACE}" TITLE=' in last


def test_what_was_deployed_passes_the_checks_of_a_release(api, deploy, capsys):
    from open_vr1.hub.release.__main__ import main as release

    assert deploy() == 0
    assert release([f"spaces/{SPACE}", "--title", "T", "--dry_run"]) == 0
    assert "every check passed" in capsys.readouterr().out


def test_another_name_another_machine_and_other_revisions_are_taken(api, deploy):
    words = ["--repo", "writer/mine", "--hardware", "l4x1", "--revisions", "stage-1", "main", "--public"]
    assert deploy(*words) == 0
    info, runtime = api.space_info("writer/mine"), api.get_space_runtime("writer/mine")
    assert not info.private and (runtime.requested_hardware, runtime.sleep_time) == ("l4x1", 3600)
    shown = json.loads(api.get_space_variables("writer/mine")["CHECKPOINTS"].value)
    assert [entry["revision"] for entry in shown] == ["main", "stage-1"]


# ----- Again


@pytest.mark.parametrize("words", [[], ["--hardware", "l4x1", "--public"]])
def test_the_same_command_again_changes_nothing(hub, api, deploy, capsys, words):
    assert deploy(*words) == 0
    hub.log.clear()
    assert deploy(*words) == 0
    assert writes(hub) == []
    assert f"{SPACE}: unchanged" in capsys.readouterr().out


def test_a_file_that_is_gone_here_is_gone_there_after_one_commit(api, deploy, folder):
    assert deploy() == 0
    (folder / "style.css").unlink()
    (folder / "app.py").write_text("import gradio\n")
    (folder / "reader.py").write_text("")
    assert deploy() == 0
    assert files(api) == ["README.md", "app.py", "examples/cones.png", "reader.py", "requirements.txt"]
    assert len(commits(api)) == 3


def test_another_model_changes_card_and_variable_alone(hub, api, deploy):
    assert deploy() == 0
    hub.log.clear()
    assert deploy("--repo", SPACE, model=COLD) == 0
    assert json.loads(api.get_space_variables(SPACE)["CHECKPOINTS"].value)[0]["model"] == COLD
    assert front(api)["models"] == [COLD] and files(api) == PUSHED
    assert not [call for call in writes(hub) if "/hardware" in call or "/create" in call]


def test_a_space_keeps_its_machine_until_another_is_asked_for(api, deploy):
    assert deploy("--hardware", "cpu-basic") == 0 and deploy() == 0
    assert api.get_space_runtime(SPACE).requested_hardware == "cpu-basic"
    assert deploy("--hardware", "zero-a10g") == 0
    assert api.get_space_runtime(SPACE).requested_hardware == "zero-a10g"


# ----- By hand


def test_files_that_somebody_has_added_are_named_and_kept(api, deploy, folder, capsys):
    assert deploy() == 0
    by_hand(api, CommitOperationAdd("NOTES.md", b"mine"))
    (folder / "style.css").unlink()
    assert deploy() == 0
    assert files(api) == sorted({*PUSHED, "NOTES.md"} - {"style.css"})
    assert re.search(r"kept, added there by hand: 1 files, 4 bytes\n    NOTES.md", capsys.readouterr().out)
    assert deploy() == 0
    said = capsys.readouterr().out
    assert f"{SPACE}: unchanged" in said and "delete:" not in said and "NOTES.md" in files(api)


def test_a_file_that_somebody_has_changed_is_replaced_only_when_asked(hub, api, deploy, capsys):
    assert deploy() == 0
    by_hand(api, CommitOperationAdd("app.py", b"print('mine')"))
    hub.log.clear()
    assert deploy() == 2 and writes(hub) == []
    error = capsys.readouterr().err
    assert "changed there by hand: app.py" in error and "REPLACE=1" in error
    assert deploy("--replace") == 0 and files(api) == PUSHED
    assert "replaced, changed there by hand: 1 files" in capsys.readouterr().out


def test_a_change_by_hand_that_is_made_here_too_is_no_conflict(api, deploy, folder):
    assert deploy() == 0
    by_hand(api, CommitOperationAdd("app.py", b"print('mended')"), CommitOperationDelete("style.css"))
    (folder / "app.py").write_text("print('mended')")
    assert deploy() == 0 and files(api) == PUSHED


def test_a_space_that_somebody_else_has_made_is_left_as_it_is(hub, api, deploy, capsys):
    api.create_repo(SPACE, **REPO, space_sdk="gradio")
    by_hand(api, CommitOperationAdd("app.py", b"theirs"), CommitOperationAdd("weights.txt", b"1"))
    hub.log.clear()
    assert deploy() == 2 and writes(hub) == []
    assert "app.py" in capsys.readouterr().err
    assert deploy("--replace") == 0
    assert files(api) == sorted([*PUSHED, "weights.txt"])


def test_somebody_elses_commit_in_between_is_not_written_over(hub, api, deploy, folder, capsys, monkeypatch):
    from open_vr1.space.deploy import Deployment

    assert deploy() == 0
    look = Deployment.look

    def look_then_somebody_commits(self):
        plan = look(self)
        by_hand(api, CommitOperationAdd("app.py", b"theirs"))
        return plan

    monkeypatch.setattr(Deployment, "look", look_then_somebody_commits)
    (folder / "app.py").write_text("ours")
    assert deploy() == 2
    assert "has moved" in capsys.readouterr().err
    assert text_of(api, "app.py") == "theirs"


# ----- Looking only


def test_a_dry_run_says_all_of_it_and_sends_nothing(hub, api, deploy, capsys):
    assert deploy("--dry_run") == 0
    assert {call.method for call in hub.log.calls()} <= {"GET", "HEAD"}
    said = capsys.readouterr().out
    for words in [
        *PUSHED,
        "zero-a10g",
        "variable CHECKPOINTS: [",
        "cold start: open-vr1/run-cold@main",
        "stays private",
    ]:
        assert words in said
    assert said.endswith("DRY_RUN: nothing was sent\n")


def test_a_dry_run_without_the_hub_says_what_can_be_known_here(deploy, hurried, capsys, monkeypatch, hub):
    hub.faults.cut(times=None)
    assert deploy("--dry_run") == 0
    said = capsys.readouterr().out
    assert "not looked for the checkpoints" in said and "not compared with" in said
    assert all(name in said for name in PUSHED)


# ----- Before anything is sent


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda folder: (folder / "README.md").write_text("# No front matter\n"), "begins with no front matter"),
        (lambda folder: (folder / "README.md").write_text("---\na: [\n---\n"), "is no YAML"),
        (lambda folder: (folder / "README.md").write_text(card(emoji=None)), "emoji: is missing"),
        (lambda folder: (folder / "README.md").write_text(card(sdk="docker")), "sdk: docker; write gradio"),
        (lambda folder: (folder / "README.md").write_text(card(colorTo="mauve")), "colorTo: mauve; write one of blue"),
        (lambda folder: (folder / "README.md").write_text(card(short_description="x" * 61)), "longer than 60"),
        (lambda folder: (folder / "app.py").unlink(), "app_file: app.py: there is no such file"),
        (lambda folder: (folder / "requirements.txt").unlink(), "requirements.txt: is missing"),
        (lambda folder: (folder / "app.py").write_text("TOKEN = 'hf_" + "a" * 30 + "'"), "is an access token"),
    ],
)
def test_a_space_that_could_not_start_is_refused_before_the_first_call(hub, deploy, folder, capsys, change, says):
    change(folder)
    assert deploy() == 2
    assert says in capsys.readouterr().err and not hub.log.calls()


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("outputs/demo/final", "make push-checkpoints RUN=outputs/demo/final REPO=owner/name, or make space-local"),
        ("vr1 7b", "is no repository; write MODEL=<your name>/vr1-7b"),
        ("open-vr1/nothing", "the Hub has no such model"),
    ],
)
def test_a_model_that_no_space_could_load_is_refused(hub, deploy, capsys, model, says):
    assert deploy("--repo", SPACE, model=model) == 2
    assert says in capsys.readouterr().err and writes(hub) == []


def test_a_repository_of_others_is_refused_with_ones_own(api, deploy, capsys):
    assert deploy("--repo", "google/reasoner") == 2
    assert "REPO=writer/reasoner" in capsys.readouterr().err


def test_the_front_matter_that_the_hub_refuses_is_an_error_in_words(api, deploy, folder, capsys):
    (folder / "README.md").write_text(card(license={"a": 1}))
    assert deploy() == 2
    error = capsys.readouterr().err
    assert 'Invalid metadata in README.md. - "license" must be a string' in error
    assert "mend the front matter" in error and "there already: the Space, private" in error


# ----- Private models


@pytest.fixture
def private(hub):
    push_run(hub.api(), private=True)
    hub.log.clear()
    return hub.api()


def test_a_private_model_needs_a_token_and_the_space_says_how(private, deploy, capsys):
    assert deploy() == 0
    said = capsys.readouterr().out
    assert f"{MODEL} is private" in said and "export SPACE_TOKEN=hf_" in said
    assert set(private.get_space_secrets(SPACE)) == set()


def test_a_token_becomes_a_secret_and_is_never_said(hub, private, deploy, capsys, monkeypatch):
    monkeypatch.setenv("SPACE_TOKEN", hub.tokens["read"])
    assert deploy() == 0
    assert set(private.get_space_secrets(SPACE)) == {"HF_TOKEN"}
    monkeypatch.delenv("SPACE_TOKEN")
    assert deploy() == 0  # It has one now.
    out, err = capsys.readouterr()
    assert hub.tokens["read"] not in out + err and "cannot load it" not in out


def test_a_token_that_may_not_read_the_model_is_refused(hub, private, deploy, capsys, monkeypatch):
    monkeypatch.setenv("SPACE_TOKEN", hub.tokens["none"])
    assert deploy() == 2 and writes(hub) == []
    assert f"SPACE_TOKEN: it may not read {MODEL}" in capsys.readouterr().err


def test_a_private_model_is_not_shown_to_everybody(hub, private, deploy, capsys):
    assert deploy("--public") == 2 and writes(hub) == []
    assert f'make release REPOS="{MODEL} {COLD} spaces/{SPACE}"' in capsys.readouterr().err
    private.create_repo(SPACE, **REPO, space_sdk="gradio", private=False)
    assert deploy() == 2
    assert f"REPO={SPACE}: is public" in capsys.readouterr().err


def test_a_model_behind_terms_needs_a_token_too(hub, deploy, capsys):
    push_model(hub.api(), MODEL)
    hub.api().update_repo_settings(MODEL, gated="auto")
    assert deploy() == 0
    assert f"{MODEL} is gated: the Space cannot load it without a token" in capsys.readouterr().out


# ----- The Space that this repository has


@pytest.mark.skipif(not REASONER.is_dir(), reason="spaces/reasoner is not there yet")
def test_the_space_of_this_repository_can_be_deployed(api, tmp_path):
    assert main([MODEL]) == 0
    here = staged(REASONER, tmp_path / "again", title="run reasoner", models=[MODEL, COLD])
    assert files(api) == sorted(here)
