"""The outbox publishes every checkpoint once, whole, and nothing else."""

import json
import shutil
from pathlib import Path

import pytest
from huggingface_hub import hf_hub_download

from open_vr1.hub.commits import remote_files
from open_vr1.hub.outbox.__main__ import main
from open_vr1.hub.outbox.drain import Drain
from open_vr1.hub.outbox.folder import Destination, Outbox
from open_vr1.hub.outbox.staging import Stager

from .runs import PRIVATE, write_checkpoint, write_run

REPO = "open-vr1/run"
BRANCHES = {"main", "main-step-000000010", "main-step-000000020", "main-step-000000030"}
TAGS = {"stage-1", "stage-2", "final"}


@pytest.fixture(autouse=True)
def no_plots(monkeypatch, request):
    """They take most of a test's time, and have tests of their own."""
    if "upload_path" not in request.fixturenames:
        monkeypatch.setattr("open_vr1.hub.model_plots.write_plots", lambda *_: [])


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path / "run")


@pytest.fixture
def outbox(run):
    outbox = Outbox(run)
    outbox.address(Destination(REPO))
    return outbox


def drain(outbox, caller, said=None):
    return Drain(outbox, caller, (said if said is not None else []).append).run()


def refs(api):
    found = api.list_repo_refs(REPO)
    return {ref.name for ref in found.branches}, {ref.name: ref.target_commit for ref in found.tags}


def test_every_checkpoint_is_a_branch_and_every_stage_end_and_the_final_model_a_tag(
    hub, upload_path, outbox, run, caller, tmp_path
):
    Stager(outbox).catch_up()
    assert drain(outbox, caller)
    api = hub.api()
    branches, tags = refs(api)
    assert (branches, set(tags)) == (BRANCHES, TAGS)
    assert tags["stage-1"] == api.repo_info(REPO, revision="main-step-000000020").sha
    assert tags["final"] == api.repo_info(REPO).sha and api.repo_info(REPO).private
    for step, source in ((10, "checkpoint-10"), (30, "checkpoint-30")):
        path = hf_hub_download(
            REPO, "model.safetensors", revision=f"main-step-{step:09d}", cache_dir=tmp_path / "cache"
        )
        assert Path(path).read_bytes() == (run / source / "model.safetensors").read_bytes()
    card = Path(hf_hub_download(REPO, "README.md", cache_dir=tmp_path / "cache")).read_text()
    assert all(branch in card for branch in BRANCHES)


def test_a_revision_holds_what_loading_needs_and_nothing_of_this_machine(hub, outbox, run, caller, tmp_path):
    Stager(outbox).catch_up()
    drain(outbox, caller)
    api = hub.api()
    for branch in BRANCHES:
        there = remote_files(api, REPO, revision=branch)
        assert {"config.json", "model.safetensors", "tokenizer.json", "README.md", "open_vr1.json"} <= set(there)
        assert not set(PRIVATE) & set(there)
        for name in there:
            path = hf_hub_download(REPO, name, revision=branch, cache_dir=tmp_path / "cache")
            content = Path(path).read_bytes()
            assert str(tmp_path).encode() not in content and hub.tokens["write"].encode() not in content
    # The run's own files are as they were.
    assert json.loads((run / "checkpoint-10/trainer_state.json").read_text())["best_model_checkpoint"]


def test_a_second_drain_and_a_second_push_do_nothing(hub, outbox, run, caller):
    Stager(outbox).catch_up()
    drain(outbox, caller)
    before = refs(hub.api())
    hub.log.clear()
    assert Stager(outbox).catch_up() == [] and drain(outbox, caller)
    assert refs(hub.api()) == before and not [call for call in hub.log.calls() if call.method != "GET"]


def test_what_rotation_deletes_is_published_all_the_same(hub, outbox, run, caller):
    Stager(outbox).checkpoint(10)
    shutil.rmtree(run / "checkpoint-10")
    assert drain(outbox, caller)
    assert "main-step-000000010" in refs(hub.api())[0]


def test_a_changed_checkpoint_does_not_change_what_was_taken_in(outbox, run):
    entry = Stager(outbox).checkpoint(10)[0]
    before = (outbox.folder / entry.name / "files/model.safetensors").read_bytes()
    shutil.rmtree(run / "checkpoint-10")
    write_checkpoint(run / "checkpoint-10", 11)
    assert (outbox.folder / entry.name / "files/model.safetensors").read_bytes() == before


def test_published_files_are_let_go(outbox, caller, hub):
    Stager(outbox).catch_up()
    assert outbox.held() > 0
    drain(outbox, caller)
    assert outbox.held() == 0 and not list(outbox.folder.glob("*/files"))


def test_half_an_entry_is_no_entry(outbox):
    (outbox.folder / ".000000010.draft/files").mkdir(parents=True)
    (outbox.folder / "000000020/files").mkdir(parents=True)
    assert list(outbox) == []
    assert len(Stager(outbox).catch_up()) == 4


def test_the_repository_of_another_run_is_refused_and_a_prefix_of_its_own_is_not(hub, outbox, caller, tmp_path):
    Stager(outbox).catch_up()
    drain(outbox, caller)
    before = refs(hub.api())
    second = write_run(tmp_path / "second", run_id="ba9876543210")
    other = Outbox(second)
    other.address(Destination(REPO))
    Stager(other).catch_up()
    said = []
    assert not drain(other, caller, said)
    assert "belongs to another run (tiny/ptst, 0123456789ab" in said[0] and "hub_revision" in said[0]
    assert refs(hub.api()) == before
    other.address(Destination(REPO, "run2"))
    assert drain(other, caller)
    branches, tags = refs(hub.api())
    assert branches == BRANCHES | {branch.replace("main", "run2") for branch in BRANCHES}
    assert set(tags) == TAGS | {f"run2-{tag}" for tag in TAGS}


def test_a_repository_with_somebody_elses_files_is_refused(hub, outbox, caller):
    api = hub.api()
    api.create_repo(REPO)
    api.upload_file(path_or_fileobj=b"theirs", path_in_repo="model.safetensors", repo_id=REPO)
    Stager(outbox).catch_up()
    said = []
    assert not drain(outbox, caller, said)
    assert "holds model.safetensors and no open_vr1.json" in said[0]
    assert refs(api)[0] == {"main"}


def test_a_checkpoint_without_whole_weights_is_refused_before_anything_is_sent(hub, outbox, run, caller):
    (run / "checkpoint-20/processor_config.json").unlink()
    weights = run / "checkpoint-10/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    Stager(outbox).catch_up()
    said = []
    assert not drain(outbox, caller, said)
    assert any("processor_config.json: not there" in line for line in said)
    assert any("it was cut short" in line for line in said)
    assert refs(hub.api())[0] == BRANCHES - {"main-step-000000010", "main-step-000000020"}
    # Mended, they go with the next command.
    for step in (10, 20):
        write_checkpoint(run / f"checkpoint-{step}", step, stage_ended={20: 1}.get(step))
    Stager(outbox).catch_up()
    assert drain(outbox, caller) and refs(hub.api())[0] == BRANCHES


def test_a_token_in_a_file_is_never_sent(hub, outbox, run, caller):
    (run / "checkpoint-10/config.json").write_text(json.dumps({"note": hub.tokens["write"]}))
    (run / "checkpoint-20/config.json").write_text(json.dumps({"note": str(run.absolute() / "x")}))
    (run / "checkpoint-30/tokenizer.json").write_text(json.dumps({"vocab": {f"{Path.home()}/": 1}}))
    Stager(outbox).catch_up()
    said = []
    assert not drain(outbox, caller, said)
    assert sum("a token or a folder of this machine" in line for line in said) == 2
    assert refs(hub.api())[0] == BRANCHES - {"main-step-000000010", "main-step-000000020"}


def test_a_full_outbox_leaves_out_what_ends_no_stage_and_says_so(outbox, run):
    stager = Stager(outbox, limit_gib=0)
    for step in (10, 20, 30):
        stager.checkpoint(step)
    assert {entry.folder.name: entry.state for entry in outbox} == {
        "000000010": "skipped",
        "000000020": "waiting",
        "000000030": "waiting",
    }
    assert "hub_outbox_gib is 0" in outbox.entries("skipped")[0].note()["reason"]
    # A run that goes on holds to it; the command that takes in all that is left does not.
    assert [item.name for item in Stager(outbox, limit_gib=0).catch_up()] == ["final"]
    assert [item.name for item in Stager(outbox).catch_up()] == ["000000010"]


def test_a_disk_without_room_for_the_next_checkpoint_takes_in_no_more(outbox, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(100, 90, 10))
    assert Stager(outbox).checkpoint(10) == []
    assert "the next checkpoint needs" in outbox.entries("skipped")[0].note()["reason"]
    assert len(Stager(outbox).checkpoint(20)) == 1


def test_what_was_refused_is_tried_again_once_it_is_mended(hub, outbox, caller):
    Stager(outbox).catch_up()
    hub.faults.token_expired(method="POST", path="/commit/", times=None)
    said = []
    assert not drain(outbox, caller, said)
    assert all("hf auth login" in line for line in said) and len(outbox.entries("failed")) == 4
    hub.faults.clear()
    assert drain(outbox, caller)
    assert refs(hub.api())[0] == BRANCHES


def test_the_newest_state_alone_is_kept_in_a_private_repository(hub, outbox, run, caller):
    stager = Stager(outbox, keep_state=True)
    for step in (10, 20):
        stager.checkpoint(step)
    assert [entry.folder.name for entry in outbox if entry.item.kind == "state"] == ["state-000000020"]
    drain(outbox, caller)
    stager.checkpoint(30)
    drain(outbox, caller)
    api = hub.api()
    there = remote_files(api, f"{REPO}-state")
    assert {name.split("/")[0] for name in there} == {".gitattributes", "checkpoint-30", "open_vr1.json"}
    assert {f"checkpoint-30/{name}" for name in PRIVATE} <= set(there)
    assert api.repo_info(f"{REPO}-state").private and len(api.list_repo_commits(f"{REPO}-state")) == 1


def test_a_state_does_not_go_into_a_public_repository(hub, outbox, run, caller):
    hub.api().create_repo(f"{REPO}-state", private=False)
    Stager(outbox, keep_state=True).checkpoint(10)
    said = []
    assert not drain(outbox, caller, said)
    assert "holds pickles" in said[-1] and set(remote_files(hub.api(), f"{REPO}-state")) <= {".gitattributes"}


def test_a_run_is_published_with_one_command(hub, run, capsys):
    assert main(["push", "--run", str(run), "--dry_run"]) == 0
    assert not hub.log.calls() and "main-step-000000010" in capsys.readouterr().out
    assert main(["push", "--run", str(run)]) == 0
    assert refs(hub.api())[0] == BRANCHES
    assert "000000020        done     main-step-000000020, stage-1" in capsys.readouterr().out
    assert main(["push", "--run", str(run), "--repo", "me/run"]) == 2
    assert "REPO=me/run: the token is writer's, who is not in me; write REPO=writer/run" in capsys.readouterr().err
    assert main(["push", "--run", str(run), "--repo", "open-vr1/other"]) == 2
    assert "published in open-vr1/run" in capsys.readouterr().err


def test_a_drain_that_cannot_finish_ends_with_an_error(hub, run, capsys):
    hub.faults.status(503, path="/api/(models|repos)", times=None)
    assert main(["push", "--run", str(run), "--patience", "0.2"]) == 2
    assert "make outbox-drain RUN=" in capsys.readouterr().out
    hub.faults.clear()
    assert main(["drain", "--run", str(run)]) == 0
    assert refs(hub.api())[0] == BRANCHES


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["push", "--run", "nowhere"], "RUN=nowhere: has no open_vr1.json"),
        (["drain", "--run", "nowhere"], "REPO=owner/name"),
    ],
)
def test_a_folder_that_is_no_run_is_refused(arguments, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2 and said in capsys.readouterr().err
