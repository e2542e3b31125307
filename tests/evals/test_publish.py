"""Results on the card of the revision that was measured, and the answers beside it: once, whole, and nothing else is touched."""

import json
import shutil
from pathlib import Path

import pytest
from datasets import load_dataset
from huggingface_hub import hf_hub_download

from open_vr1.errors import UserError
from open_vr1.hub import results_push
from open_vr1.hub.card_check import check_card
from open_vr1.hub.card_results import amended
from open_vr1.hub.commits import remote_files
from open_vr1.hub.outbox.drain import Drain
from open_vr1.hub.outbox.folder import Destination, Entry, Outbox
from open_vr1.hub.outbox.staging import Stager
from open_vr1.hub.results import Benchmark, read_results
from open_vr1.hub.results_push import main, publish_results
from tests.evals.results import figure, write_evaluation
from tests.hub.runs import write_run

REPO, DETAILS = "open-vr1/run", "open-vr1/run-details"
BRANCH = "main-step-000000010"


@pytest.fixture(autouse=True)
def no_plots(monkeypatch):
    """They take most of a test's time, and have tests of their own."""
    monkeypatch.setattr("open_vr1.hub.model_plots.write_plots", lambda *_: [])


@pytest.fixture
def waiting(tmp_path) -> Path:
    """A run whose checkpoints are all in its outbox."""
    run = write_run(tmp_path / "run")
    outbox = Outbox(run)
    outbox.address(Destination(REPO))
    Stager(outbox).catch_up()
    return run


@pytest.fixture
def run(waiting, hub, caller) -> Path:
    """One that is published."""
    assert drain(waiting, caller)
    return waiting


def drain(run: Path, caller, said: list | None = None) -> bool:
    return Drain(Outbox(run), caller, (said if said is not None else []).append).run()


def read(hub, name: str, tmp_path: Path, revision: str = BRANCH, repo: str = REPO, **kind) -> str:
    path = hf_hub_download(repo, name, revision=revision, cache_dir=tmp_path / "cache", **kind)
    return Path(path).read_text()


def titles(hub, revision: str = BRANCH) -> list[str]:
    return [commit.title for commit in hub.api().list_repo_commits(REPO, revision=revision)]


def evaluate(run: Path, *figures: dict, source: str = "checkpoint-10") -> Path:
    return write_evaluation(run / source / "eval", str(run / source), *figures)


def test_results_are_on_the_card_of_their_revision_and_all_else_stays(hub, run, tmp_path, caller, upload_path):
    api = hub.api()
    before, files = read(hub, "README.md", tmp_path), remote_files(api, REPO, revision=BRANCH)
    others = {ref.name: ref.target_commit for ref in api.list_repo_refs(REPO).branches if ref.name != BRANCH}
    publish_results(evaluate(run, figure("mathvista", 0.75)), caller=caller)
    card = read(hub, "README.md", tmp_path)
    assert "| test | accuracy | 0.75 | 0.375 to 0.75 | 4 |" in card and check_card(card, "model") == []
    gone = [line for line in before.splitlines() if line not in card.splitlines()]
    assert gone == ["Not evaluated.", "- Nobody has measured this checkpoint on held-out questions."]
    after = remote_files(api, REPO, revision=BRANCH)
    assert set(after) - set(files) == {"eval_results.json", ".eval_results/mathvista_test.yaml"}
    assert {name for name in files if files[name].blob_id != after[name].blob_id} == {"README.md"}
    assert others == {ref.name: ref.target_commit for ref in api.list_repo_refs(REPO).branches if ref.name != BRANCH}


def test_the_same_results_again_are_no_commit(hub, run, caller):
    folder = evaluate(run)
    publish_results(folder, caller=caller)
    before = titles(hub)
    assert before[0] == "Results: toy test" and len(before) == 3
    publish_results(folder, caller=caller)
    assert titles(hub) == before and not Entry(run / "_outbox/000000010").results.exists()


def test_other_benchmarks_and_other_protocols_are_added_and_the_same_is_replaced(hub, run, tmp_path, caller):
    publish_results(evaluate(run, figure("toy", 0.25), figure("mathvista", 0.5)), caller=caller)
    publish_results(evaluate(run, figure("toy", 0.3), figure("geometry", 0.1)), caller=caller)
    publish_results(
        evaluate(run, figure("toy", 0.9, temperature=0.6), figure("mathvista", 0.6, seed=1)), caller=caller
    )
    card, merged = read(hub, "README.md", tmp_path), tmp_path / "merged.json"
    merged.write_text(read(hub, "eval_results.json", tmp_path))
    found = {(one.name, one.value) for one in read_results(merged, merged=True)}
    assert found == {
        ("toy test", 0.3),
        ("toy test", 0.9),
        ("mathvista test", 0.5),
        ("mathvista test", 0.6),
        ("geometry test", 0.1),
    }
    assert all(f"| accuracy | {value} |" in card for _, value in found) and "| 0.25 |" not in card
    assert "- 2, toy test: temperature 0.6" in card and check_card(card, "model") == []
    there = remote_files(hub.api(), REPO, revision=BRANCH)
    assert {".eval_results/mathvista_test.yaml", ".eval_results/mathvista_test_2.yaml"} <= set(there)


def test_a_revision_that_moves_meanwhile_keeps_both_changes(hub, run, tmp_path, caller, monkeypatch):
    api, look = hub.api(), results_push.remote_files
    card = read(hub, "README.md", tmp_path)

    def somebody_is_first(*args, **kwargs):
        found = look(*args, **kwargs)
        monkeypatch.setattr(results_push, "remote_files", look)
        theirs = card.replace("## Citation", "Somebody's words.\n\n## Citation").encode()
        api.upload_file(repo_id=REPO, path_or_fileobj=theirs, path_in_repo="README.md", revision=BRANCH)
        return found

    monkeypatch.setattr(results_push, "remote_files", somebody_is_first)
    publish_results(evaluate(run), log=False, caller=caller)
    card = read(hub, "README.md", tmp_path)
    assert "Somebody's words." in card and "| accuracy | 0.5 |" in card


@pytest.mark.parametrize("fault", ["lost", "busy"])
def test_a_hub_that_fails_now_and_then_gets_one_commit(hub, run, caller, fault):
    where = {"method": "POST", "path": "/commit/"}
    if fault == "lost":
        hub.faults.lose_answer(**where)
    else:
        hub.faults.status(503, **where, times=2)
    publish_results(evaluate(run), log=False, caller=caller)
    assert len(titles(hub)) == 3


def test_results_of_the_finished_model_are_on_main_and_at_its_tag(hub, run, tmp_path, caller):
    publish_results(write_evaluation(run / "eval", str(run)), caller=caller)
    for revision in ("main", "final"):
        assert "| accuracy | 0.5 |" in read(hub, "README.md", tmp_path, revision)


def test_the_tag_of_a_stage_goes_along_also_after_a_kill(hub, run, tmp_path, caller, monkeypatch):
    folder = evaluate(run, source="checkpoint-20")
    take = results_push._take_along
    monkeypatch.setattr(results_push, "_take_along", lambda api, repo, *_: api.delete_tag(repo, tag="stage-1"))
    publish_results(folder, log=False, caller=caller)
    monkeypatch.setattr(results_push, "_take_along", take)
    publish_results(folder, log=False, caller=caller)
    assert "| accuracy | 0.5 |" in read(hub, "README.md", tmp_path, "stage-1")


def test_results_of_a_checkpoint_that_waits_are_published_with_it(hub, waiting, tmp_path, caller, capsys):
    publish_results(evaluate(waiting), caller=caller)
    shutil.rmtree(waiting / "checkpoint-10")
    assert "wait with" in capsys.readouterr().out and len(load_dataset(DETAILS, "toy")) == 1
    assert drain(waiting, caller)
    assert "| accuracy | 0.5 |" in read(hub, "README.md", tmp_path)
    assert not any(title.startswith("Results") for title in titles(hub))
    assert not Entry(waiting / "_outbox/000000010").results.exists()


def test_results_that_come_while_it_is_being_published_follow_it(hub, waiting, tmp_path, caller, monkeypatch):
    """The drain has rendered the card when they arrive."""
    folder, done = evaluate(waiting), Entry.mark_done
    shutil.move(folder, tmp_path / "late")

    def late(entry, **facts):
        if entry.folder.name == "000000010":
            results_push.put_beside(entry, read_results(tmp_path / "late/results.json"))
        done(entry, **facts)

    monkeypatch.setattr(Entry, "mark_done", late)
    assert drain(waiting, caller) and "| accuracy | 0.5 |" in read(hub, "README.md", tmp_path)


def test_results_that_another_process_has_just_published_are_no_error(hub, run, caller, monkeypatch):
    """A drain and a runner may both be at it."""
    entry, push = Entry(run / "_outbox/000000010"), results_push.push_waiting

    def second(*args):
        push(*args)
        return push(*args)

    monkeypatch.setattr(results_push, "push_waiting", second)
    publish_results(evaluate(run), log=False, caller=caller)
    assert len(titles(hub)) == 3 and entry.note()["results"] == hub.api().repo_info(REPO, revision=BRANCH).sha


def test_results_of_a_checkpoint_go_to_its_own_branch_or_nowhere(hub, run, tmp_path, caller):
    """Not to main, also where its place in the outbox is gone."""
    shutil.rmtree(run / "_outbox/000000010")
    publish_results(evaluate(run), log=False, caller=caller)
    assert "| accuracy | 0.5 |" in read(hub, "README.md", tmp_path) and "Not evaluated." in read(
        hub, "README.md", tmp_path, "main"
    )


def test_a_branch_that_holds_no_weights_yet_gets_no_results(hub, tmp_path, caller):
    run = write_run(tmp_path / "run", (10,), finished=False)
    outbox = Outbox(run)
    outbox.address(Destination(REPO))
    Stager(outbox).catch_up()
    drain(run, caller)
    with pytest.raises(UserError, match="holds no weights yet"):
        publish_results(evaluate(run), REPO, "main", caller=caller)


def test_results_that_the_hub_refuses_hold_nothing_back_and_are_kept(hub, run, caller, monkeypatch):
    entry = Entry(run / "_outbox/000000010")
    entry.results.write_text("{}")
    said = []
    assert drain(run, caller, said) and "no list of results" in said[0]
    assert (entry.folder / "results_failed.json").read_text() == "{}"


def test_without_a_network_results_wait_or_the_command_for_later_is_said(waiting, tmp_path):
    publish_results(evaluate(waiting))
    assert Entry(waiting / "_outbox/000000010").results.is_file()
    folder = write_evaluation(tmp_path / "eval", REPO)
    with pytest.raises(UserError, match=r"later: make push-results RUN="):
        publish_results(folder)


def test_a_control_is_refused(hub, run, caller):
    with pytest.raises(UserError, match="grey_images: asked without the pictures"):
        publish_results(evaluate(run, figure(grey_images=True)), caller=caller)
    assert len(titles(hub)) == 2 and not hub.api().repo_exists(DETAILS, repo_type="dataset")


def test_results_of_another_run_another_step_or_another_model_are_refused(hub, run, tmp_path, caller):
    other = write_run(tmp_path / "other", (10,), finished=False)
    manifest = json.loads((other / "open_vr1.json").read_text())
    manifest["run"]["id"] = "ffff"
    (other / "open_vr1.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match="holds run 0123456789ab"):
        publish_results(evaluate(other), REPO, BRANCH, caller=caller)
    with pytest.raises(UserError, match="is step 20, and .* is step 10"):
        publish_results(evaluate(run), REPO, "main-step-000000020", caller=caller)
    with pytest.raises(UserError, match="write REPO=open-vr1/another"):
        publish_results(write_evaluation(tmp_path / "hub", "open-vr1/another"), REPO, caller=caller)
    with pytest.raises(UserError, match="is no branch of"):
        publish_results(write_evaluation(tmp_path / "own", REPO), REPO, "step-10", caller=caller)


def test_a_model_on_the_hub_is_found_by_name_and_a_tag_by_its_branch(hub, run, tmp_path):
    folder = write_evaluation(tmp_path / "eval", REPO, revision="stage-1")
    assert main([str(folder), "--no_log"]) == 0
    assert "| accuracy | 0.5 |" in read(hub, "README.md", tmp_path, "main-step-000000020")


def test_a_card_that_somebody_has_written_keeps_every_word():
    card = """---
# Theirs.
license: mit
model-index:
- name: their-name
  results: []
tags: [a,   b]
---
# Mine

## Results

My own table.

## End
"""
    text = amended(card, read_results_of(figure()), "run")
    kept = [line for line in card.splitlines() if line not in ("model-index:", "- name: their-name", "  results: []")]
    assert [line for line in kept if line not in text.splitlines()] == []
    assert text.count("model-index:") == 1 and "- name: their-name\n  results:\n" in text
    assert text.index("My own table.") < text.index("| accuracy | 0.5 |")
    assert amended(text, read_results_of(figure()), "run") == text
    assert "# run\n" in amended("", read_results_of(figure()), "run")


def read_results_of(*figures):
    return [Benchmark(**{key: value for key, value in one.items() if key != "task"}) for one in figures]


# ----- The answers


def test_the_answers_load_as_a_private_dataset(hub, run, caller, tmp_path):
    publish_results(evaluate(run, figure("toy"), figure("mathvista")), caller=caller)
    assert hub.api().repo_info(DETAILS, repo_type="dataset").private
    card = read(hub, "README.md", tmp_path, "main", DETAILS, repo_type="dataset")
    assert check_card(card, "dataset") == [] and str(tmp_path) not in card
    (split,) = load_dataset(DETAILS, "toy").keys()
    assert split.startswith("main_step_000000010_")
    rows = load_dataset(DETAILS, "toy", split=split)
    assert rows[1]["completion"] == "<think> 1 </think><answer> 2 </answer>" and len(rows) == 4
    assert rows[0]["groups"] == [{"kind": "kind", "names": ["count", "colour"]}]


def test_each_revision_and_each_way_of_asking_is_a_split_of_its_own(hub, run, caller):
    publish_results(evaluate(run), caller=caller)
    publish_results(evaluate(run, figure(temperature=0.6)), caller=caller)
    publish_results(evaluate(run, source="checkpoint-20"), caller=caller)
    publish_results(evaluate(run, source="checkpoint-20"), caller=caller)
    assert len(load_dataset(DETAILS, "toy")) == 3
    assert len(hub.api().list_repo_commits(DETAILS, repo_type="dataset")) == 4


def test_the_answers_are_public_when_that_is_asked_and_stay_here_when_that_is(hub, run, caller):
    folder = evaluate(run)
    publish_results(folder, log=False, caller=caller)
    assert not hub.api().repo_exists(DETAILS, repo_type="dataset")
    publish_results(folder, public=True, caller=caller)
    assert not hub.api().repo_info(DETAILS, repo_type="dataset").private


def test_a_dataset_of_somebody_elses_is_not_written_to(hub, run, caller):
    hub.api().create_repo(DETAILS, repo_type="dataset")
    hub.api().upload_file(repo_id=DETAILS, repo_type="dataset", path_or_fileobj=b"x", path_in_repo="a.csv")
    with pytest.raises(UserError, match=r"holds a\.csv"):
        publish_results(evaluate(run), caller=caller)
