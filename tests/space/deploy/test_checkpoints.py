"""The checkpoints that a Space shows: what publishing and training name, labelled, each loadable, the finished model first."""

import json
import shutil
from pathlib import Path

import pytest

from open_vr1.errors import UserError
from open_vr1.hub.calls import Caller
from open_vr1.hub.outbox.drain import Drain
from open_vr1.hub.outbox.folder import Destination, Outbox
from open_vr1.hub.outbox.staging import Stager
from open_vr1.prompts import SYSTEM_PROMPTS
from open_vr1.space.checkpoints import Checkpoint, as_variable, find_here
from open_vr1.space.published import Published
from open_vr1.toy import model as toy
from tests.hub.checkpoints import write_lora
from tests.hub.runs import write_run
from tests.hub.snippets import blocks, execute

from .spaces import COLD, MODEL, cold_manifest, push_model, run_manifest, write_model

PAGE = Path("docs/publishing.md").read_text()


@pytest.fixture
def find(hub, tmp_path):
    return Published(hub.api(), Caller(patience=0.1, tell=lambda _: None), tmp_path / "cache").find


def shown(found):
    return [(entry.label, entry.model, entry.revision) for entry in found.checkpoints]


# ----- On the Hub


def test_a_published_run_shows_the_final_model_the_cold_start_and_the_earlier_stages(api, find):
    assert shown(find(MODEL)) == [
        ("stage 2", MODEL, "main"),
        ("cold start", COLD, "main"),
        ("stage 1", MODEL, "stage-1"),
    ]


def test_what_the_outbox_publishes_is_found(hub, find, tmp_path):
    run = write_run(tmp_path / "run", (10, 20, 30))
    outbox = Outbox(run)
    outbox.address(Destination(MODEL))
    Stager(outbox).catch_up()
    assert Drain(outbox, Caller(patience=20), lambda _: None, hub.api()).run()
    found = find(MODEL)
    assert shown(found) == [("stage 2", MODEL, "main"), ("stage 1", MODEL, "stage-1")]
    assert found.closed == {MODEL: "private"}


def test_a_cold_start_is_pinned_to_the_commit_that_the_run_began_with(hub, find):
    push_model(hub.api(), COLD, cold_manifest())
    commit = hub.api().model_info(COLD).sha
    push_model(hub.api(), COLD, cold_manifest(), extra={"later.txt": b"results"})
    model = {"name": COLD, "revision": None, "commit": commit, "made_by": None}
    push_model(hub.api(), MODEL, {**run_manifest(), "model": model})
    assert shown(find(MODEL))[1] == ("cold start", COLD, commit)


def test_a_base_model_is_no_cold_start(hub, find):
    push_model(hub.api(), COLD)  # Somebody's model, which no run of ours has made.
    model = {"name": COLD, "revision": None, "commit": None, "made_by": None}
    push_model(hub.api(), MODEL, {**run_manifest(), "model": model}, base_model=COLD)
    assert shown(find(MODEL)) == [("stage 2", MODEL, "main")]


def test_the_cold_start_of_another_run_is_left_out_with_what_to_do(hub, find):
    other = cold_manifest()
    push_model(hub.api(), COLD, {**other, "run": {**other["run"], "id": "0ther"}})
    push_model(hub.api(), MODEL, run_manifest(), base_model=COLD)
    found = find(MODEL)
    assert shown(found) == [("stage 2", MODEL, "main")]
    (words,) = found.left_out
    assert "make push-checkpoints RUN=outputs/tiny/cold" in words


def test_a_run_that_is_under_way_begins_with_its_last_stage(hub, find):
    push_model(hub.api(), MODEL, run_manifest(), without="model.safetensors")
    for step, tag in ((20, "stage-1"), (30, "stage-2")):
        push_model(hub.api(), MODEL, run_manifest(), branch=f"main-step-{step:09d}", tag=tag)
    found = find(MODEL)
    assert [label for label, *_ in shown(found)] == ["stage 2", "stage 1"]
    assert "main: has no model.safetensors" in found.left_out[0]


def test_somebody_elses_model_is_one_checkpoint(hub, find):
    push_model(hub.api(), MODEL)
    assert shown(find(MODEL)) == [("run", MODEL, "main")]


def test_a_published_cold_start_is_labelled_as_one(hub, find):
    push_model(hub.api(), COLD, cold_manifest())
    assert shown(find(COLD)) == [("cold start", COLD, "main")]


def test_revisions_are_exactly_those_that_were_named_each_with_a_label_of_its_own(api, find):
    push_model(api, MODEL, run_manifest(), branch="run2", tag="run2-stage-1")
    named = ["stage-2", "main", "run2-stage-1", "main-step-000000020", "stage-2"]
    labels = ["stage 2", "main", "run2 stage 1", "main-step-000000020"]
    assert [label for label, *_ in shown(find(MODEL, named))] == labels


def test_a_revision_that_is_not_there_is_named(api, find):
    with pytest.raises(UserError, match="REVISIONS=main stage-9: open-vr1/run: stage-9 is no branch or tag of it"):
        find(MODEL, ["main", "stage-9"])


@pytest.mark.parametrize("without", ["config.json", "model.safetensors", "processor_config.json", "tokenizer.json"])
def test_a_model_that_could_not_be_loaded_is_refused(hub, find, without):
    push_model(hub.api(), MODEL, without=without)
    with pytest.raises(UserError, match=f"MODEL={MODEL}: main has no {without}"):
        find(MODEL)


def test_an_adapter_is_refused_with_what_to_do(hub, find):
    push_model(hub.api(), MODEL, run_manifest(), extra={"adapter_config.json": b"{}"})
    with pytest.raises(UserError, match="is a LoRA adapter.*merge it"):
        find(MODEL)


def test_a_model_that_is_not_there_is_refused(hub, find):
    with pytest.raises(UserError, match="MODEL=open-vr1/nothing: the Hub has no such model"):
        find("open-vr1/nothing")


def test_a_system_prompt_is_resolved_to_its_words(hub, find):
    push_model(hub.api(), MODEL, run_manifest(system_prompt="r1_zero"))
    (entry,) = find(MODEL).checkpoints
    assert entry.system_prompt == SYSTEM_PROMPTS["r1_zero"]
    assert json.loads(as_variable([entry]))[0]["system_prompt"] == SYSTEM_PROMPTS["r1_zero"]


def test_the_variable_has_no_more_than_what_is_known():
    assert json.loads(as_variable([Checkpoint("stage 1", "o/m", "stage-1"), Checkpoint("step 3", "/x")])) == [
        {"label": "step 3", "model": "/x"},
        {"label": "stage 1", "model": "o/m", "revision": "stage-1"},
    ]


# ----- On this machine


@pytest.fixture
def outputs(tmp_path, monkeypatch):
    """As `make demo` leaves them: a cold start, and a run of two stages beside it."""
    monkeypatch.chdir(tmp_path)
    write_model(tmp_path / "outputs/demo/cold", cold_manifest())
    final = write_model(tmp_path / "outputs/demo/final", run_manifest("outputs/demo/cold"), stage_ended=2)
    write_model(final / "checkpoint-10")
    write_model(final / "checkpoint-20", stage_ended=1)
    write_model(final / "checkpoint-30", stage_ended=2)
    return tmp_path / "outputs/demo"


def test_a_runs_folder_shows_the_same_as_its_repository(outputs):
    final = outputs / "final"
    expected = [
        ("stage 2", str(final), None),
        ("cold start", str(outputs / "cold"), None),
        ("stage 1", str(final / "checkpoint-20"), None),
    ]
    assert shown(find_here(final.relative_to(outputs.parents[1]))) == expected


def test_outputs_that_were_moved_together_still_find_their_cold_start(outputs, tmp_path, monkeypatch):
    moved = shutil.move(outputs, tmp_path / "elsewhere")
    assert [label for label, *_ in shown(find_here(moved / "final"))] == ["stage 2", "cold start", "stage 1"]


def test_a_folder_that_another_cold_start_lies_in_now_is_left_out(outputs):
    made = cold_manifest()
    write_model(outputs / "cold", {**made, "run": {**made["run"], "id": "0ther"}})
    found = find_here(outputs / "final")
    assert [label for label, *_ in shown(found)] == ["stage 2", "stage 1"]
    assert "outputs/demo/cold is not there any more" in found.left_out[0]


@pytest.mark.parametrize(("name", "label"), [("checkpoint-10", "step 10"), ("checkpoint-20", "stage 1")])
def test_one_checkpoint_of_a_run_is_shown_alone(outputs, name, label):
    assert shown(find_here(outputs / "final" / name)) == [(label, str(outputs / "final" / name), None)]


def test_a_plain_model_folder_is_one_checkpoint(tmp_path):
    assert shown(find_here(write_model(tmp_path / "tiny"))) == [("tiny", str(tmp_path / "tiny"), None)]


def test_a_run_that_is_not_finished_names_its_last_stage(outputs):
    (outputs / "final/model.safetensors").unlink()
    with pytest.raises(UserError, match="has no model.safetensors.*write MODEL=.*final/checkpoint-30"):
        find_here(outputs / "final")


def test_an_adapter_here_is_refused_too(outputs):
    (outputs / "final/adapter_config.json").write_text("{}")
    with pytest.raises(UserError, match="is a LoRA adapter"):
        find_here(outputs / "final")


def test_a_merged_adapter_is_loaded_as_the_page_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    toy.build(tmp_path / "base")
    adapter = write_lora(tmp_path / "outputs/vr1_7b/lora", tmp_path / "base")
    with pytest.raises(UserError, match="merge it"):
        find_here(adapter)
    execute(blocks(PAGE.partition("## A Space")[2])[0], tmp_path)
    assert shown(find_here(tmp_path / "outputs/vr1_7b/merged"))[0][0] == "merged"


def test_the_demo_that_was_not_made_names_the_command():
    with pytest.raises(UserError, match="MODEL=outputs/demo/never: there is no such folder; make demo makes it"):
        find_here(Path("outputs/demo/never"))
