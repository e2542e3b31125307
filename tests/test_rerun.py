"""`make rerun`: the same weights again, after every difference was told; nothing masked, nothing of a stranger runs."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from open_vr1 import evaluate, rerun, rerun_differences, sft
from open_vr1.cold.__main__ import main as make_cold_data
from open_vr1.errors import UserError
from open_vr1.evals.records import read_samples
from open_vr1.manifest import RunManifest, read_manifest
from open_vr1.recipe import read_recipe
from open_vr1.rerun import new_folder, write_recipe
from open_vr1.rerun_differences import differences
from open_vr1.rerun_source import ask_before_a_stranger, find_manifest
from tests.cold import small
from tests.hub_server.plugin import hub  # noqa: F401
from tests.small_runs import write_recipes

MODEL = "open-vr1/model"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a cold start that the command line changed, and its evaluation."""
    folder = tmp_path_factory.mktemp("runs")
    write_recipes(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert sft.main(["--config", "tiny/sft.yaml", "--learning_rate", "2e-3"]) == 0
        assert evaluate.main(["--config", "tiny/eval.yaml"]) == 0
    return folder


@pytest.fixture
def here(folder, monkeypatch):
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def manifest(here):
    return read_manifest("outputs/cold")


def refused(capsys, *arguments: str) -> str:
    assert rerun.main(list(arguments)) == 2
    return capsys.readouterr().err


def test_a_run_again_gives_the_same_weights_bit_for_bit(here, capsys):
    assert rerun.main(["outputs/cold/open_vr1.json"]) == 0
    first = read_manifest("outputs/cold")["run"]["id"]
    assert f"tiny/sft (run {first}) again, in outputs/cold-rerun" in capsys.readouterr().out
    weights = [load_file(f"outputs/{run}/model.safetensors") for run in ("cold", "cold-rerun")]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert read_manifest("outputs/cold-rerun")["run"]["id"] != first


def test_the_recipe_is_written_with_exactly_the_values_of_then(here, manifest):
    path = write_recipe(manifest, Path("outputs/written"), [], "x")
    assert yaml.safe_load(path.read_text()) == {**manifest["recipe"]["values"], "output_dir": "outputs/written"}
    recipe = read_recipe(path, "sft")
    assert recipe.values["learning_rate"] == 0.002 and recipe.args.build[0]["with"] == "open_vr1.toy.model:build"


def test_a_run_again_is_not_published_where_the_first_was(here, manifest):
    manifest["recipe"]["values"] |= {"push_to_hub": True, "hub_model_id": MODEL}
    path = write_recipe(manifest, Path("outputs/quiet"), [], "x")
    recipe = read_recipe(path, "sft")
    assert not recipe.training.push_to_hub and recipe.training.hub_model_id is None
    assert f"hub_model_id: was {MODEL!r}, and is left out" in "\n".join(differences(manifest, recipe))


def test_the_environment_of_a_recipe_is_set_again(here, monkeypatch):
    monkeypatch.setenv("OPEN_VR1_X", "")
    recipe = read_recipe("tiny/sft.yaml", "sft", ["--env", "{OPEN_VR1_X: 1}"])
    path = write_recipe(RunManifest.begin(recipe, "outputs/env").facts, Path("outputs/env-rerun"), [], "x")
    os.environ["OPEN_VR1_X"] = ""
    assert read_recipe(path, "sft").environment == {"OPEN_VR1_X": "1"} and os.environ["OPEN_VR1_X"] == "1"


def test_an_evaluation_gives_the_same_results_in_a_folder_of_its_own(here):
    assert rerun.main(["outputs/cold/eval", "--output_dir", "outputs/again"]) == 0
    first, second = (read_samples(place) for place in ("outputs/cold/eval", "outputs/again"))
    assert first == second and len(first) == 4


def test_cold_data_is_made_again_from_its_manifest(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small.write_source(Path(), rows=40)
    assert make_cold_data(["--config", str(small.recipe(Path(), until="decontaminate"))]) == 0
    assert rerun.main(["cold_data", "--seed", "7"]) == 0
    done = [json.loads(Path(f"{run}/_build/gather/done.json").read_text()) for run in ("cold_data", "cold_data-rerun")]
    assert done[0] == done[1]
    assert read_manifest("cold_data-rerun")["seeds"]["seed"] == 7


def test_every_difference_is_told(here, manifest, monkeypatch):
    manifest["git"] = {"commit": "a" * 40, "dirty": True, "repository": None}
    manifest["packages"]["torch"] = "1.0"
    manifest["packages"]["vllm"] = "0.1"
    manifest["hardware"] |= {"processes": 8, "accelerator": "8 x NVIDIA H200"}
    manifest["data"][0]["fingerprint"] = "b" * 64
    manifest["model"]["made_by"] = {"run": {"id": "c" * 12}}
    monkeypatch.setattr(rerun_differences, "git_state", lambda: {"commit": "d" * 40, "dirty": False})
    told = "\n".join(differences(manifest, read_recipe("tiny/sft.yaml", "sft")))
    assert "learning_rate: was 0.002, is 0.001, as ARGS says" in told
    assert f"git commit: was {'a' * 40}, is {'d' * 40}" in told and "changes that were not committed" in told
    assert f"package torch: was 1.0, is {torch.__version__.partition('+')[0]}" in told
    assert "package vllm: was 0.1, is none" in told
    assert "processes: was 8, is 1" in told and "accelerator: was 8 x NVIDIA H200, is none" in told
    assert "rows of world/train.parquet: their content has changed" in told
    assert "model base: was made by run cccccccccccc, is by run none" in told


def test_rows_that_are_gone_are_told_and_not_asked_of_the_hub(hub, here, manifest):  # noqa: F811
    for gone in ("outputs/gone", "world/gone.parquet", "no..thing"):
        told = differences(manifest, read_recipe("tiny/sft.yaml", "sft", ["--datasets", f"[{{path: {gone}}}]"]))
        assert f"rows of {gone}: they are not here as files, as they were then" in told
    assert not hub.log.calls()


def test_nothing_is_told_where_nothing_differs(here, manifest, monkeypatch):
    manifest["git"] = {"commit": "a" * 40, "dirty": False, "repository": None}
    monkeypatch.setattr(rerun_differences, "git_state", lambda: manifest["git"])
    path = write_recipe(manifest, Path("outputs/same"), [], "x")
    assert differences(manifest, read_recipe(path, "sft")) == []


def test_what_was_left_out_has_to_be_given(here, tmp_path, capsys):
    rows = tmp_path / "rows.parquet"
    shutil.copy("world/train.parquet", rows)
    entry = f"[{{path: {rows}}}]"
    RunManifest.begin(read_recipe("tiny/sft.yaml", "sft", ["--datasets", entry]), "outputs/local")
    message = refused(capsys, "outputs/local")
    assert "datasets: [{'path': '<local>/rows.parquet'}]" in message and 'ARGS="--datasets ..."' in message
    assert not Path("outputs/local-rerun").exists() and not Path("outputs/local/recipe.yaml").exists()
    path = write_recipe(read_manifest("outputs/local"), Path("outputs/given"), ["--datasets", entry], "x")
    assert read_recipe(path, "sft", ["--datasets", entry]).args.datasets[0]["path"] == str(rows)


def test_the_new_folder_lies_beside_the_old_one(manifest, tmp_path):
    assert new_folder(manifest, None) == Path("outputs/cold-rerun")
    manifest["recipe"]["values"]["output_dir"] = "<local>/cold"
    assert new_folder(manifest, tmp_path / "cold" / "open_vr1.json") == tmp_path.resolve() / "cold-rerun"
    assert new_folder(manifest, None) == Path("outputs/cold-rerun")
    del manifest["recipe"]["values"]["output_dir"]
    assert new_folder(manifest, None) == Path("base/eval-rerun")


@pytest.mark.parametrize("kind", ["model", "dataset"])
def test_a_hub_revision_names_a_manifest_and_nothing_else_is_downloaded(kind, hub, manifest):  # noqa: F811
    api, prefix = hub.api(), "" if kind == "model" else "datasets/"
    api.create_repo(MODEL, repo_type=kind)
    for path in ("open_vr1.json", "model.safetensors"):
        content = json.dumps(manifest).encode()
        api.upload_file(path_or_fileobj=content, path_in_repo=path, repo_id=MODEL, repo_type=kind)
    api.create_tag(MODEL, tag="v1.0", repo_type=kind)
    hub.log.clear()
    place = find_manifest(f"{prefix}{MODEL}@v1.0")
    assert place.on_hub and read_manifest(place.path) == manifest
    assert not [call for call in hub.log.calls() if "model.safetensors" in call.path]
    for name, message in (
        (f"{prefix}{MODEL}@v2.0", "has no revision v2.0"),
        (f"{prefix}open-vr1/other", "there is no such file or folder, and no such"),
    ):
        with pytest.raises(UserError, match=message):
            find_manifest(name)
    api.delete_file("open_vr1.json", MODEL, repo_type=kind)
    with pytest.raises(UserError, match="main has no open_vr1.json"):
        find_manifest(f"{prefix}{MODEL}")


def test_a_folder_that_is_missing_is_not_asked_of_the_hub(here, capsys):
    assert "outputs/nothing: there is no such manifest" in refused(capsys, "outputs/nothing")


def test_without_the_hub_a_name_says_what_to_do(capsys):
    assert "the Hub cannot be asked" in refused(capsys, f"{MODEL}@v1.0")


STRANGE = {
    "build": [{"path": "x", "with": "shutil:rmtree"}],
    "reward_funcs": ["their_module:reward"],
    "trust_remote_code": True,
    "env": {"LD_PRELOAD": "x.so"},
    "vision": {"model": "x", "url": "https://example.org/v1", "api_key": "HF_TOKEN"},
    "datasets": [{"path": "../../home"}],
    "executor": {"kind": "slurm", "options": {"env_command": "rm"}},
}


@pytest.mark.parametrize("key", STRANGE)
def test_a_manifest_from_the_hub_brings_no_code_and_no_address(key, manifest):
    ask_before_a_stranger(manifest, MODEL)
    manifest["recipe"]["values"][key] = STRANGE[key]
    with pytest.raises(UserError, match=f"{MODEL}: its recipe would use {key}"):
        ask_before_a_stranger(manifest, MODEL)
