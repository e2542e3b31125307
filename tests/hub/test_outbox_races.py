"""Two of everything at once, and what a kill at the worst moment leaves behind."""

import json
import os
import shutil
import signal
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from huggingface_hub import hf_hub_download

from open_vr1.errors import UserError
from open_vr1.hub.calls import Caller
from open_vr1.hub.outbox import live
from open_vr1.hub.outbox import publisher as publishing
from open_vr1.hub.outbox.__main__ import main
from open_vr1.hub.outbox.drain import Drain
from open_vr1.hub.outbox.folder import Destination, Outbox
from open_vr1.hub.outbox.publisher import Publisher
from open_vr1.hub.outbox.staging import Stager

from .runs import write_run

REPO = "open-vr1/run"


@pytest.fixture(autouse=True)
def no_plots(monkeypatch):
    monkeypatch.setattr("open_vr1.hub.model_plots.write_plots", lambda *_: [])


def outbox_of(folder: Path, prefix: str = "main", **more) -> Outbox:
    outbox = Outbox(write_run(folder, **more))
    outbox.address(Destination(REPO, prefix))
    return outbox


def recipe_for(folder: Path) -> SimpleNamespace:
    folder.mkdir(parents=True, exist_ok=True)
    training = SimpleNamespace(output_dir=str(folder))
    return SimpleNamespace(path="tiny/ptst.yaml", values={"hub_model_id": REPO}, training=training)


def drain(outbox, caller) -> list[str]:
    """What an unsuccessful drain has said; nothing of a successful one."""
    said = []
    return [] if Drain(outbox, caller, said.append).run() else said


def branches(hub) -> set[str]:
    return {ref.name for ref in hub.api().list_repo_refs(REPO).branches}


def test_of_two_runs_that_claim_a_repository_at_once_one_gets_it(hub, tmp_path, caller, monkeypatch):
    outboxes = [outbox_of(tmp_path / name, run_id=name * 6) for name in ("aa", "bb")]
    manifests = [json.loads((outbox.run / "open_vr1.json").read_text()) for outbox in outboxes]
    first, second = (Publisher(outbox, hub.api(), caller) for outbox in outboxes)
    look, looked = publishing.remote_files, []

    def look_then_lose(*args, **kwargs):
        found = look(*args, **kwargs)
        if not looked:
            looked.append(True)
            first.claim(manifests[0])
        return found

    monkeypatch.setattr(publishing, "remote_files", look_then_lose)
    with pytest.raises(UserError, match="belongs to another run .*aaaa"):
        second.claim(manifests[1])
    assert first.claimed and not second.claimed


def test_a_conflict_while_the_repository_is_made_is_not_taken_for_its_existence(hub, tmp_path, caller):
    outbox = outbox_of(tmp_path / "run")
    Stager(outbox).catch_up()
    fault = hub.faults.status(409, method="POST", path="/repos/create$")
    assert not drain(outbox, caller) and fault.hits and len(branches(hub)) == 4


def test_an_entry_that_never_gets_through_holds_up_no_other(hub, tmp_path):
    outbox = outbox_of(tmp_path / "run")
    Stager(outbox).catch_up()
    hub.faults.status(504, method="POST", path="/commit/main-step-000000010", times=None)
    impatient = Caller(patience=0.2, first_pause=0.01, longest_pause=0.05)
    assert any("504 for" in line for line in drain(outbox, impatient))
    assert [entry.folder.name for entry in outbox.entries("waiting")] == ["000000010"]
    assert {"main-step-000000020", "main-step-000000030"} <= branches(hub)


def test_a_second_drain_waits_for_the_first(hub, tmp_path, capsys):
    outbox = outbox_of(tmp_path / "run", steps=(10,), finished=False)
    Stager(outbox).catch_up()
    holder = os.fork()
    if holder == 0:
        with outbox.alone("drain"):
            time.sleep(1.5)
            os._exit(0)
    while not outbox.at_work("drain"):
        time.sleep(0.01)
    assert main(["drain", "--run", str(outbox.run)]) == 0
    os.waitpid(holder, 0)
    said = capsys.readouterr().out
    assert said.index("waiting for that one") < said.index("published as main-step-000000010")


def test_looking_whether_a_run_trains_does_not_stop_one_from_starting(tmp_path):
    outbox = Outbox(tmp_path / "run")
    with outbox.alone("training"):
        pass
    looker = os.fork()
    if looker == 0:
        while True:
            outbox.at_work("training")
    try:
        for _ in range(200):
            with outbox.alone("training") as alone:
                assert alone
    finally:
        os.kill(looker, signal.SIGKILL)
        os.waitpid(looker, 0)


def test_a_state_that_was_never_sent_to_the_end_is_no_state(hub, tmp_path):
    hub.api().create_repo(f"{REPO}-state", private=True)
    assert live.fetch_state(recipe_for(tmp_path / "run")) is None


def test_what_a_killed_fetch_has_left_is_not_gone_on_from(hub, tmp_path, caller):
    outbox = outbox_of(tmp_path / "run")
    Stager(outbox, keep_state=True).checkpoint(20)
    assert not drain(outbox, caller)
    stale = tmp_path / "new/.state.draft/checkpoint-10"
    stale.mkdir(parents=True)
    (stale / "half").write_text("x")
    found = live.fetch_state(recipe_for(tmp_path / "new"))
    assert Path(found) == tmp_path / "new/checkpoint-20"
    for path in (outbox.run / "checkpoint-20").iterdir():
        assert (Path(found) / path.name).read_bytes() == path.read_bytes()
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["checkpoint-20", "open_vr1.json"]


def test_each_run_of_a_repository_has_a_state_of_its_own(hub, tmp_path, caller):
    for name, prefix in (("aa", "main"), ("bb", "run2")):
        outbox = outbox_of(tmp_path / name, prefix, run_id=name * 6)
        Stager(outbox, keep_state=True).checkpoint(10)
        assert not drain(outbox, caller)
    assert hub.api().repo_exists(f"{REPO}-state") and hub.api().repo_exists(f"{REPO}-run2-state")


def test_another_runs_state_is_not_overwritten(hub, tmp_path, caller):
    first = outbox_of(tmp_path / "aa", run_id="aaaaaa")
    Stager(first, keep_state=True).checkpoint(10)
    assert not drain(first, caller)
    second = outbox_of(tmp_path / "bb", run_id="bbbbbb")
    Stager(second, keep_state=True).checkpoint(20)
    assert any(f"{REPO}-state belongs to another run" in line for line in drain(second, caller))


def test_a_state_that_was_half_deleted_is_forgotten(hub, tmp_path, caller):
    outbox = outbox_of(tmp_path / "run", finished=False)
    stager = Stager(outbox, keep_state=True)
    stager.checkpoint(10)
    shutil.copytree(outbox.folder / "state-000000010", tmp_path / "copy")
    stager.checkpoint(20)
    half = outbox.folder / "state-000000010"
    half.mkdir()
    shutil.copy(tmp_path / "copy/entry.json", half)
    assert not drain(outbox, caller) and not half.exists()


def test_a_kill_between_a_checkpoint_and_its_state_loses_neither(tmp_path):
    outbox = outbox_of(tmp_path / "run", steps=(10, 20), finished=False)
    Stager(outbox).checkpoint(20)
    taken = Stager(outbox, keep_state=True).catch_up()
    assert [item.name for item in taken] == ["000000010", "state-000000020"]
    assert Stager(outbox, keep_state=True).catch_up() == []


def test_a_waiting_state_takes_no_room_from_checkpoints(tmp_path):
    outbox = outbox_of(tmp_path / "run", steps=(10, 15), finished=False)
    (outbox.run / "checkpoint-10/optimizer.pt").write_bytes(bytes(3_000_000))
    stager = Stager(outbox, limit_gib=2_000_000 / 2**30, keep_state=True)
    stager.checkpoint(10)
    stager.checkpoint(15)
    assert not outbox.entries("skipped")


def test_the_final_card_lists_checkpoints_that_another_machine_has_sent(hub, tmp_path, caller):
    first = outbox_of(tmp_path / "one", steps=(10, 20), finished=False)
    Stager(first).catch_up()
    assert not drain(first, caller)
    second = outbox_of(tmp_path / "two", steps=(30,))
    Stager(second).catch_up()
    assert not drain(second, caller)
    card = Path(hf_hub_download(REPO, "README.md", cache_dir=tmp_path / "cache")).read_text()
    assert all(f"main-step-0000000{step}" in card for step in (10, 20, 30))


def test_a_dry_run_lists_each_branch_once(hub, tmp_path, capsys):
    outbox = outbox_of(tmp_path / "run", steps=(10,), finished=False)
    Stager(outbox, keep_state=True).checkpoint(10)
    assert main(["push", "--run", str(outbox.run), "--dry_run"]) == 0
    assert capsys.readouterr().out.count("main-step-000000010") == 1


def test_a_disk_that_is_full_in_the_middle_of_a_drain_loses_nothing(hub, tmp_path, caller, monkeypatch):
    outbox = outbox_of(tmp_path / "run")
    Stager(outbox).catch_up()
    real, full = Path.write_text, threading.Event()
    full.set()

    def write_text(path, *args, **kwargs):
        if full.is_set() and outbox.folder in path.parents:
            raise OSError(28, "No space left on device", str(path))
        return real(path, *args, **kwargs)

    monkeypatch.setattr(Path, "write_text", write_text)
    impatient = Caller(patience=0.2, first_pause=0.01, longest_pause=0.05)
    assert any("No space left on device" in line for line in _said_by(outbox, impatient))
    full.clear()
    assert not drain(outbox, caller)
    assert len(branches(hub)) == 4


def _said_by(outbox, caller) -> list[str]:
    said = []
    try:
        Drain(outbox, caller, said.append).run()
    except OSError as error:  # Where even a note cannot be written.
        said.append(str(error))
    return said
