"""The run manifest: every run leaves one, it adds up over kills, and nothing in it is secret or of this machine."""

import hashlib
import json
import os
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml

from open_vr1 import evaluate, grpo, run_facts, sft, training
from open_vr1.errors import UserError
from open_vr1.manifest import KEYS, RunManifest, make_command, read_manifest
from open_vr1.manifest_callback import ManifestCallback
from open_vr1.masking import Mask, is_masked
from open_vr1.recipe import read_recipe
from open_vr1.rerun_differences import differences
from open_vr1.run_facts import fingerprint, git_state, hub_commit, web_address
from open_vr1.training import check_same_recipe, claim_output_dir
from tests.cold import small
from tests.hub_server.plugin import hub  # noqa: F401
from tests.small_runs import write_recipes

TOKEN = "hf_" + "OpenSesame" * 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a cold start, a GRPO run from it and its evaluation."""
    folder = tmp_path_factory.mktemp("runs")
    write_recipes(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert sft.main(["--config", "tiny/sft.yaml", "--learning_rate", "2e-3"]) == 0
        assert grpo.main(["--config", "tiny/grpo.yaml"]) == 0
        assert evaluate.main(["--config", "tiny/eval.yaml", "--model_name_or_path", "outputs/final"]) == 0
    return folder


@pytest.fixture
def here(folder, monkeypatch):
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def recipes(tmp_path, monkeypatch):
    """Recipes whose inputs are there by name alone: for what needs no training."""
    write_recipes(tmp_path)
    (tmp_path / "base").mkdir()
    (tmp_path / "world").mkdir()
    for name in ("train", "rl", "validation", "test"):
        (tmp_path / "world" / f"{name}.parquet").write_text(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def begin(*overrides: str, task: str = "sft", folder: str = "outputs/cold") -> dict:
    return RunManifest.begin(read_recipe(f"tiny/{task}.yaml", task, overrides), folder).facts


def test_every_run_leaves_a_manifest_with_the_same_keys(here):
    for place, task in (("cold", "sft"), ("final", "grpo"), ("final/eval", "eval")):
        manifest = read_manifest(f"outputs/{place}")
        assert set(manifest) == {*KEYS, "eval_data"}
        assert (manifest["run"]["task"], manifest["format"]) == (task, 1)
        assert manifest["run"]["name"] == f"tiny/{task}"
        assert manifest["wall_clock"]["seconds"] > 0 and manifest["wall_clock"]["starts"] == 1


def test_it_holds_the_recipe_as_text_as_values_and_what_the_command_line_changed(here):
    recipe = read_manifest("outputs/cold")["recipe"]
    assert recipe["text"] == Path("tiny/sft.yaml").read_text()
    assert recipe["sha256"] == hashlib.sha256(recipe["text"].encode()).hexdigest()
    assert recipe["values"] == {**yaml.safe_load(recipe["text"]), "learning_rate": 0.002}
    assert recipe["overrides"] == ["--learning_rate", "2e-3"]
    command = read_manifest("outputs/cold")["run"]["command"]
    assert command == 'make sft RECIPE=tiny/sft.yaml ARGS="--learning_rate 2e-3"'


def test_a_models_manifest_says_by_which_runs_it_was_made_down_to_the_first(here):
    cold, final, results = (read_manifest(f"outputs/{place}") for place in ("cold", "final", "final/eval"))
    made = results["model"]["made_by"]
    assert made["run"] == final["run"] and made["model"] == final["model"]
    assert made["model"]["made_by"]["run"] == cold["run"] and cold["model"]["made_by"] is None
    assert set(made["recipe"]) == {"path", "sha256"} and results["model"]["name"] == "outputs/final"


def test_rows_are_known_by_their_content_and_counted(here):
    (entry,) = read_manifest("outputs/final")["data"]
    digest = hashlib.sha256(Path("world/rl.parquet").read_bytes()).hexdigest()
    assert (entry["path"], entry["split"], entry["rows"], entry["fingerprint"]) == (
        "world/rl.parquet",
        "train",
        8,
        digest,
    )
    assert read_manifest("outputs/final/eval")["data"][0]["rows"] == 4
    (watched,) = read_manifest("outputs/cold")["eval_data"]
    assert (watched["path"], watched["rows"]) == ("world/validation.parquet", 4)


def test_stages_seeds_packages_and_machine_are_recorded(here):
    manifest = read_manifest("outputs/final")
    assert [stage["num_generations"] for stage in manifest["stages"]] == [4, 2]
    assert manifest["seeds"] == {"seed": 3, "data_seed": None}
    assert manifest["packages"]["torch"] == torch.__version__.partition("+")[0]
    assert manifest["hardware"]["processes"] == 1 and manifest["hardware"]["accelerator"] is None
    assert manifest["hardware"]["cores"] == os.cpu_count()


def test_a_run_that_goes_on_keeps_its_id_and_adds_its_time(recipes):
    first = RunManifest.begin(read_recipe("tiny/sft.yaml", "sft"), "outputs/cold")
    first.read_at -= 100  # As if it had trained for that long.
    first.save()
    then = read_manifest("outputs/cold")
    recipe = read_recipe("tiny/sft.yaml", "sft")
    assert claim_output_dir(recipe) is None
    second = RunManifest.go_on(recipe, "outputs/cold")
    second.read_at -= 20
    second.save()
    now = read_manifest("outputs/cold")
    assert now["run"]["id"] == then["run"]["id"]
    assert now["wall_clock"]["starts"] == 2 and now["wall_clock"]["started"] == then["wall_clock"]["started"]
    assert 120 <= now["wall_clock"]["seconds"] < 150
    assert begin(folder="outputs/other")["run"]["id"] != then["run"]["id"]


def test_a_run_that_goes_on_from_the_state_on_the_hub_keeps_its_id_too(recipes, monkeypatch):
    then, manifest = begin(), Path("outputs/cold/open_vr1.json")
    state = manifest.rename("state.json")

    def fetch(recipe):
        state.rename(manifest)
        manifest.with_name("checkpoint-1").mkdir()
        return str(manifest.with_name("checkpoint-1"))

    monkeypatch.setattr(training, "fetch_state", fetch)
    keeping = ["--push_to_hub", "true", "--hub_model_id", "open-vr1/x", "--hub_keep_state", "true"]
    assert claim_output_dir(read_recipe("tiny/sft.yaml", "sft", keeping)) == "outputs/cold/checkpoint-1"
    now = read_manifest("outputs/cold")
    assert now["run"]["id"] == then["run"]["id"] and now["wall_clock"]["starts"] == 2


def test_a_kill_loses_the_time_since_the_last_checkpoint_alone(recipes):
    recipe = read_recipe("tiny/sft.yaml", "sft")
    claim_output_dir(recipe)
    trainer = SimpleNamespace(is_world_process_zero=lambda: True, train_dataset=[0] * 5, eval_dataset=None)
    callback = ManifestCallback(recipe, trainer)
    recipe.read_at -= 50
    assert read_manifest("outputs/cold")["wall_clock"]["seconds"] == 0
    ManifestCallback(recipe, trainer).on_save(recipe.training, None, None)
    assert 50 <= read_manifest("outputs/cold")["wall_clock"]["seconds"] < 80
    assert read_manifest("outputs/cold")["data"][0]["rows"] == 5
    callback.manifest.path.unlink()
    other = SimpleNamespace(**{**vars(trainer), "is_world_process_zero": lambda: False})
    ManifestCallback(recipe, other).on_save(recipe.training, None, None)
    assert not callback.manifest.path.exists()


def test_an_evaluation_is_a_run_of_its_own_each_time(recipes):
    recipe = read_recipe("tiny/eval.yaml", "eval")
    ids = {RunManifest.begin(recipe, "outputs/eval", goes_on=False).facts["run"]["id"] for _ in range(2)}
    assert len(ids) == 2


def test_a_changed_recipe_is_another_run_unless_it_only_says_how_the_run_is_watched(recipes):
    claim_output_dir(read_recipe("tiny/sft.yaml", "sft"))
    check_same_recipe(read_recipe("tiny/sft.yaml", "sft", ["--logging_steps", "5", "--env", "{OPEN_VR1_X: 1}"]))
    with pytest.raises(UserError, match="learning_rate.* holds a run with learning_rate: 0.001"):
        check_same_recipe(read_recipe("tiny/sft.yaml", "sft", ["--learning_rate", "1"]))
    os.environ.pop("OPEN_VR1_X")


def test_what_failed_before_its_first_checkpoint_leaves_its_folder_to_the_mended_recipe(recipes):
    claim_output_dir(read_recipe("tiny/sft.yaml", "sft"))
    failed = read_manifest("outputs/cold")["run"]["id"]
    mended = read_recipe("tiny/sft.yaml", "sft", ["--learning_rate", "1"])
    claim_output_dir(mended)
    manifest = read_manifest("outputs/cold")
    assert manifest["run"]["id"] != failed and manifest["recipe"]["values"]["learning_rate"] == 1
    Path("outputs/cold/checkpoint-1").mkdir()
    claim_output_dir(mended)
    assert read_manifest("outputs/cold")["run"]["id"] == manifest["run"]["id"]
    with pytest.raises(UserError, match="learning_rate.* holds a run with learning_rate: 1"):
        claim_output_dir(read_recipe("tiny/sft.yaml", "sft"))


def test_a_reward_of_ones_own_is_in_the_manifest_and_a_changed_one_does_not_go_on(recipes):
    reward = Path("tiny/rewards.py")
    reward.write_text("def one(completions, **columns):\n    return [1.0 for _ in completions]\n")
    words = ["--reward_funcs", "tiny/rewards.py:one", "--model_name_or_path", "base"]
    claim_output_dir(read_recipe("tiny/grpo.yaml", "grpo", words))
    assert read_manifest("outputs/final")["recipe"]["own_code"]["tiny/rewards.py"]["text"] == reward.read_text()
    Path("outputs/final/checkpoint-1").mkdir()
    claim_output_dir(read_recipe("tiny/grpo.yaml", "grpo", words))
    reward.write_text(reward.read_text().replace("1.0", "0.5"))
    with pytest.raises(UserError, match="tiny/rewards.py has changed since the run in outputs/final began"):
        claim_output_dir(read_recipe("tiny/grpo.yaml", "grpo", words))
    recipe = read_recipe("tiny/grpo.yaml", "grpo", words)
    assert any(
        "tiny/rewards.py: is not what it was" in line for line in differences(read_manifest("outputs/final"), recipe)
    )


@pytest.mark.parametrize("inside", [True, False])
def test_a_reward_named_with_its_whole_path_is_watched_too_and_the_path_stays_here(inside, recipes, tmp_path_factory):
    reward = (Path.cwd() if inside else tmp_path_factory.mktemp("some body")) / "own_rewards.py"
    reward.write_text("def one(completions, **columns):\n    return [1.0 for _ in completions]\n")
    words = ["--reward_funcs", f"{reward}:one", "--model_name_or_path", "base"]
    claim_output_dir(read_recipe("tiny/grpo.yaml", "grpo", words))
    (name,) = read_manifest("outputs/final")["recipe"]["own_code"]
    assert name == ("own_rewards.py" if inside else "<local>/own_rewards.py")
    Path("outputs/final/checkpoint-1").mkdir()
    claim_output_dir(read_recipe("tiny/grpo.yaml", "grpo", words))
    reward.write_text(reward.read_text().replace("1.0", "0.5"))
    with pytest.raises(UserError, match="own_rewards.py has changed since the run in outputs/final began"):
        claim_output_dir(read_recipe("tiny/grpo.yaml", "grpo", words))


def test_no_secret_and_no_folder_of_this_machine_gets_into_it(recipes, tmp_path_factory, monkeypatch):
    elsewhere = tmp_path_factory.mktemp("some body") / "rows.parquet"
    elsewhere.write_text("rows")
    monkeypatch.setenv("SESAME_API_KEY", "open-barley")
    monkeypatch.setenv("OPEN_VR1_X_SECRET", "")
    recipe = Path("tiny/sft.yaml")
    text = recipe.read_text().replace(
        "datasets: [{path: world/train.parquet}]", f"datasets: [{{path: '{elsewhere}'}}]"
    )
    text += f"run_name: in-{TOKEN} # open-barley\n"
    text += (
        f"model_init_kwargs: {{token: abcdefgh-word}}\nenv: {{OPEN_VR1_X_SECRET: pass-phrase, HERE: {recipes}/x}}\n"
    )
    recipe.write_text(text + f"project: {recipes}/outputs/tracks\n")
    manifest = begin("--resume_from_checkpoint", str(elsewhere.parent / "checkpoint-1"))
    written = Path("outputs/cold/open_vr1.json").read_text()
    for word in (
        TOKEN,
        "open-barley",
        "pass-phrase",
        "abcdefgh-word",
        str(recipes),
        str(elsewhere.parent),
        "some body",
    ):
        assert word not in written, word
    values = manifest["recipe"]["values"]
    assert values["datasets"][0]["path"] == manifest["data"][0]["path"] == "<local>/rows.parquet"
    assert values["project"] == "outputs/tracks" and values["env"]["HERE"] == "x"
    assert manifest["recipe"]["overrides"] == ["--resume_from_checkpoint", "<local>/checkpoint-1"]
    assert yaml.safe_load(manifest["recipe"]["text"])["datasets"] == values["datasets"]
    os.environ.pop("HERE")


def test_what_only_looks_like_a_path_or_a_secret_is_left_alone(tmp_path):
    mask = Mask((), tmp_path, Path("/home/somebody"))
    for text in (
        "/no_think",
        "km/h, 3/4 or and/or",
        "<think> </think>",
        "https://host.org/a/b",
        "../up/x",
        "data/*/x",
    ):
        assert mask(text) == text
    assert mask({"eos_token": "<|im_end|>", "api_key": "NAME_OF_VARIABLE"})["eos_token"] == "<|im_end|>"
    assert mask(mask("see /home/somebody/runs/x: ok")) == "see <local>/x: ok"
    assert is_masked({"a": ["<local>/x"]}) and not is_masked({"a": ["local/x", 3, None]})
    assert mask("https://me:word@host.org/a") == "https://host.org/a"


def test_a_recipe_with_a_token_is_refused_without_repeating_it(recipes):
    with pytest.raises(
        UserError, match="tiny/sft.yaml, overridden.*: hub_token: .*run hf auth login or set HF_TOKEN"
    ) as error:
        read_recipe("tiny/sft.yaml", "sft", ["--hub_token", TOKEN])
    assert TOKEN not in str(error.value)


def test_cold_data_leaves_a_manifest_and_is_known_by_the_hashes_of_its_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small.write_source(Path(), rows=40)
    path = small.recipe(Path())
    small.run(path, "--until", "gather")
    manifest = read_manifest("cold_data")
    assert manifest["run"]["task"] == "cold" and manifest["model"] is None and manifest["seeds"]["seed"] == 0
    (entry,) = manifest["data"]
    assert entry["path"] == "source/rows.parquet" and 0 < entry["rows"] < 40 + 20
    assert entry["fingerprint"] == fingerprint(Path("source/rows.parquet"))
    small.run(path, "--until", "gather")
    again = read_manifest("cold_data")
    assert again["run"]["id"] == manifest["run"]["id"] and again["wall_clock"]["starts"] == 2
    files = [{"path": "data/train-0.parquet", "sha256": "0" * 64}]
    Path("cold_data/_build/manifest.json").write_text(json.dumps({"files": files}))
    by_hashes = fingerprint(Path("cold_data"))
    Path("cold_data/data").mkdir()
    Path("cold_data/data/train-0.parquet").write_text("not read")
    assert fingerprint(Path("cold_data")) == by_hashes


def test_a_folders_fingerprint_is_of_its_rows_whatever_lies_beside_them(tmp_path):
    for name, built in (("one", "{}"), ("two", '{"code": 1}')):
        (tmp_path / name / "data").mkdir(parents=True)
        (tmp_path / name / "data" / "train.jsonl").write_text("rows")
        (tmp_path / name / "built.json").write_text(built)
    assert fingerprint(tmp_path / "one") == fingerprint(tmp_path / "two")
    (tmp_path / "two" / "data" / "train.jsonl").write_text("other rows")
    assert fingerprint(tmp_path / "one") != fingerprint(tmp_path / "two")


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout in which the code lies that runs."""
    package = tmp_path / "checkout" / "src"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    monkeypatch.setattr(run_facts, "__file__", str(package / "run_facts.py"))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    subprocess.run(["git", "init", "-q", package.parent], check=True)

    def git(*words: str) -> None:
        who = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
        subprocess.run(["git", "-C", package.parent, *who, *words], check=True, capture_output=True)

    return package, git


def test_the_commit_is_that_of_the_checkout_which_holds_the_code(checkout):
    package, git = checkout
    assert git_state() is None  # The checkout does not know this file.
    git("add", "-A")
    git("commit", "-m", "x")
    git("remote", "add", "origin", f"https://me:{TOKEN}@github.com/open-vr1/open-vr1.git")
    state = git_state()
    assert len(state["commit"]) == 40 and state["dirty"] is False
    assert state["repository"] == "https://github.com/open-vr1/open-vr1"
    (package / "__init__.py").write_text("changed = True")
    assert git_state()["dirty"] is True


def test_a_remote_is_shown_as_a_web_address_without_who_asked():
    for remote in ("git@github.com:o/n.git", "ssh://git@github.com:22/o/n", "https://x-token:abc@github.com/o/n.git"):
        assert web_address(remote) == "https://github.com/o/n"
    for folder in ("/srv/git/n.git", "../n", "file:///srv/n", ""):
        assert web_address(folder) is None


def test_a_hub_revision_is_recorded_as_its_commit_and_offline_as_the_cache_knows_it(hub, monkeypatch):  # noqa: F811
    api = hub.api()
    api.create_repo("open-vr1/model")
    api.upload_file(path_or_fileobj=b"{}", path_in_repo="config.json", repo_id="open-vr1/model")
    sha = api.repo_info("open-vr1/model").sha
    assert hub_commit("open-vr1/model", None, "model") == sha
    assert hub_commit("open-vr1/nothing", "main", "model") is None
    assert hub_commit("open-vr1/nothing", "a" * 40, "dataset") == "a" * 40
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert hub_commit("open-vr1/model", None, "model") is None
    monkeypatch.delenv("HF_HUB_OFFLINE")
    api.hf_hub_download("open-vr1/model", "config.json")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert hub_commit("open-vr1/model", "main", "model") == sha


def test_the_command_survives_a_shell():
    assert make_command("sft", "my recipe.yaml", ["--run_name", "it's $5"]).startswith(
        "make sft RECIPE='my recipe.yaml' "
    )
    words = ["--system_prompt", 'say "x" & $HOME, it\'s 5', "--ptst_stages", "[{steps: 2}]"]
    command = make_command("sft", "a.yaml", words)
    shown = subprocess.run(
        [
            "bash",
            "-c",
            command.replace("make sft RECIPE=a.yaml ", "") + "; eval \"printf '%s\\n' ${ARGS//\\$\\$/\\$}\"",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.splitlines() == words


def test_what_is_no_manifest_or_a_newer_one_is_said_in_one_line(tmp_path):
    for text, message in (
        ("{", "no run manifest"),
        ("[]", "no run manifest"),
        ('{"format": 2, "open_vr1": "9.0"}', "take open-vr1 9.0"),
        ('{"format": 1, "run": {}, "recipe": {}}', "open_vr1, git, .*: missing from this manifest"),
    ):
        (tmp_path / "open_vr1.json").write_text(text)
        with pytest.raises(UserError, match=message) as error:
            read_manifest(tmp_path)
        assert "\n" not in str(error.value)
    with pytest.raises(UserError, match="there is no such manifest"):
        read_manifest(tmp_path / "other")
