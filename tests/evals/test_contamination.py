"""What the manifests of a model and of the runs before it say of a benchmark's rows, found without being asked for."""

import json
from pathlib import Path

import pytest

from open_vr1.evals.contamination import flag
from open_vr1.evals.registry import names
from open_vr1.hub.lists import allowed
from open_vr1.hub.results import is_named
from tests.hub.checkpoints import manifest

RL, COLD = "Osilly/Vision-R1-rl", "Osilly/Vision-R1-cold"
HAS, SHARES = "which was trained on, has its rows", "which was trained on, has rows of the same origins"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def source(path: str, split: str = "train") -> dict:
    return {"path": path, "name": None, "split": split, "revision": None, "commit": None, "fingerprint": None}


def write(folder: str, began_with: dict | None = None, task: str = "grpo", values: dict | None = None, *data: dict):
    facts = manifest(data=list(data))
    facts["run"]["task"] = task
    facts["recipe"]["values"] = values or {}
    facts["model"] = {"name": "unknown/base", "revision": None, "commit": None, "made_by": None, **(began_with or {})}
    Path(folder).mkdir(parents=True, exist_ok=True)
    (Path(folder) / "open_vr1.json").write_text(json.dumps(facts))
    return facts


def row(task: str, **changes) -> dict:
    return {"task": task, "name": task, "dataset": None, "split": None, "contamination": None, **changes}


def said(task: str, model: str, **changes) -> str | None:
    (flagged,) = flag([row(task, **changes)], model)
    return flagged["contamination"]


def test_what_the_run_was_trained_on_is_flagged():
    write("run", None, "grpo", None, source(RL))
    assert said("wemath", "run") == f"{RL}, {HAS}" and said("mathvista", "run") == f"{RL}, {SHARES}"


def test_what_nobody_has_looked_for_stays_null():
    write("run", None, "grpo", None, source(RL))
    assert said("mathverse", "run") is None and said("mathvista", "nowhere") is None
    Path("bare").mkdir()
    assert said("mathvista", "bare") is None


def test_a_checkpoint_has_the_manifest_of_its_run():
    write("run", None, "grpo", None, source(RL))
    Path("run/checkpoint-10").mkdir()
    assert said("wemath", "run/checkpoint-10") == f"{RL}, {HAS}"


def test_the_cold_start_before_it_counts_too():
    """Also where the second manifest does not say what the first run was trained on, as older ones do not."""
    cold = write("cold", None, "sft", None, source(COLD))
    bare = {key: cold[key] for key in ("run", "recipe", "git", "model")}
    for made_by in ({**bare, "data": cold["data"]}, bare, None):
        write("final", {"name": "cold", "made_by": made_by}, "grpo", None, source("unknown/rl"))
        assert said("mathvision", "final") == f"{COLD}, {HAS}"


def test_the_model_that_it_all_began_with_counts():
    write("run", {"name": "Osilly/Vision-R1-CI-7B"}, "grpo", None, source("unknown/rl"))
    assert said("geometry3k", "run") == f"Osilly/Vision-R1-CI-7B, {HAS}"
    assert said("mathvision", "Osilly/Vision-R1-7B") == f"Osilly/Vision-R1-7B, {HAS}"


def test_the_sources_of_cold_data_count_unless_the_benchmark_was_taken_out():
    write("outputs/data", None, "cold", None, source("Xkev/LLaVA-CoT-100k"))
    write("run", None, "sft", None, source("outputs/data"))
    assert said("chartqa", "run") == f"Xkev/LLaVA-CoT-100k, {SHARES}"
    against = {"decontaminate": {"against": ["chartqa"]}}
    write("outputs/data", None, "cold", against, source("Xkev/LLaVA-CoT-100k"))
    assert "taken out of outputs/data" in said("chartqa", "run")
    assert said("mathvista", "run") == f"Xkev/LLaVA-CoT-100k, {SHARES}"
    against["decontaminate"]["near_picture"] = "mark"
    write("outputs/data", None, "cold", against, source("Xkev/LLaVA-CoT-100k"))
    assert said("chartqa", "run") == f"Xkev/LLaVA-CoT-100k, {SHARES}"


def test_training_on_the_benchmark_itself_is_said():
    write("run", None, "grpo", None, source("AI4Math/MathVerse", "testmini"), source("DynaMath/DynaMath_Sample"))
    assert "it is this benchmark" in said("mathverse", "run", dataset="AI4Math/MathVerse", split="testmini")
    other = said("dynamath", "run", dataset="DynaMath/DynaMath_Sample", split="sample_variant1")
    assert "split train, was trained on: other rows" in other


def test_flagging_twice_says_everything_once():
    write("run", None, "grpo", None, source(RL), source(RL))
    once = flag(
        [row("mathvista", name="MathVista testmini", contamination="12 pictures are training rows too")], "run"
    )
    assert flag(once, "run") == once
    assert once[0]["contamination"] == f"12 pictures are training rows too; {RL}, {SHARES}"


def test_a_run_that_began_with_itself_ends():
    write("run", {"name": "run"}, "grpo", None, source(RL))
    assert said("wemath", "run") == f"{RL}, {HAS}"


def test_a_manifest_on_the_hub_is_found_at_its_revision(hub):
    api = hub.api()
    api.create_repo("open-vr1/run", private=True)
    api.create_branch("open-vr1/run", branch="main-step-000000010")
    write("there", None, "grpo", None, source(RL))
    api.upload_file(
        repo_id="open-vr1/run",
        path_or_fileobj="there/open_vr1.json",
        path_in_repo="open_vr1.json",
        revision="main-step-000000010",
    )
    (flagged,) = flag([row("wemath")], "open-vr1/run", "main-step-000000010")
    assert flagged["contamination"] == f"{RL}, {HAS}"
    (flagged,) = flag([row("wemath")], "open-vr1/run")
    assert flagged["contamination"] is None


def test_the_names_of_our_benchmarks_are_those_of_the_list():
    """A benchmark of ours that the list speaks of is found by the name that we have for it."""
    listed = {name for facts in allowed()["contamination"].values() for name in (*facts["has"], *facts["shares"])}
    ours = ("mathvista", "mathvision", "wemath", "geometry3k", "chartqa")
    assert all(is_named(name, listed) for name in ours)
    others = [name for name in names() if not name.startswith(ours)]
    assert others and not any(is_named(name, listed) for name in others)
