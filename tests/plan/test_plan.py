"""What `make plan` says of the paper's recipes, of wrong ones, and of a Hub that knows, does not know or does not answer."""

import json
from pathlib import Path

import pytest
import yaml
from huggingface_hub.errors import RepositoryNotFoundError
from huggingface_hub.utils import httpx

from open_vr1.plan.__main__ import main, plan_file
from open_vr1.plan.models import CONFIGS, build_on_meta, find_config

PARAMETERS = {
    "Qwen/Qwen2.5-VL-3B-Instruct": 3.755,
    "Qwen/Qwen2.5-VL-7B-Instruct": 8.292,
    "Qwen/Qwen2.5-VL-32B-Instruct": 33.453,
    "Qwen/Qwen2.5-VL-72B-Instruct": 73.411,
    "Qwen/Qwen3-VL-8B-Instruct": 8.767,
}
PTST_7B = ["--config", "recipes/vr1_7b/ptst.yaml", "--accelerate", "zero3", "--gpu_gib", "80"]


@pytest.mark.parametrize("model", PARAMETERS)
def test_the_shapes_that_come_with_the_package_have_the_published_sizes(model):
    import torch

    weights = build_on_meta(find_config(model, offline=True), torch.bfloat16).parameters()
    assert sum(weight.numel() for weight in weights) / 1e9 == pytest.approx(PARAMETERS[model], abs=5e-4)


def test_the_7b_plan_shows_the_papers_stages(capsys):
    assert main([*PTST_7B, "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    stages = [(s["max_completion_length"], s["num_generations"], s["steps"]) for s in plan["stages"]]
    assert stages == [(4096, 16, 100), (8192, 8, 100)]
    assert [s["prompts_per_step"] for s in plan["stages"]] == [512, 512]
    assert [s["completions_per_step"] for s in plan["stages"]] == [8192, 4096]
    assert {s["most_tokens_per_step"] for s in plan["stages"]} == {512 * 65536}
    assert plan["errors"] == plan["warnings"] == [] and plan["wall_clock_measured"] == "not measured"
    assert plan["memory_gib_per_gpu"]["total"] < 80


def test_people_read_the_same_in_a_table(capsys):
    assert main(PTST_7B) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "recipes/vr1_7b/ptst.yaml: GRPO of Osilly/Vision-R1-CI-7B, processes: 8 x 80 GiB, zero3"
    assert lines[3].split() == ["1", "100", "4096", "x", "16", "512", "8,192", "33.6", "M"]
    assert "wall-clock: not measured" in lines


def test_the_docs_show_what_it_prints(capsys):
    assert main(PTST_7B) == 0
    assert f"```\n{capsys.readouterr().out}```" in Path("docs/plan.md").read_text()


PUBLISHED = ["--push_to_hub", "true", "--hub_model_id", "open-vr1/vr1-7b"]


def test_what_publishing_takes_is_in_the_plan(capsys):
    """40 checkpoints of 8.292 billion bf16 weights and the finished model; 4 of them are on the disk anyway."""
    assert main([*PTST_7B, "--json", *PUBLISHED]) == 0
    plan = json.loads(capsys.readouterr().out)
    one = PARAMETERS["Qwen/Qwen2.5-VL-7B-Instruct"] * 2e9 / 2**30
    assert plan["hub_revisions"] == 41
    assert plan["hub_gib"] == pytest.approx(41 * one, rel=1e-3) and plan["outbox_gib"] == pytest.approx(
        36 * one, rel=1e-3
    )
    assert main([*PTST_7B, *PUBLISHED, "--hub_outbox_gib", "100"]) == 0
    assert "in 41 revisions; up to 100.0 GiB of them wait on this disk" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--push_to_hub", "true", "--hub_model_id", "null"], "push_to_hub: needs to know where: write hub_model_id"),
        (["--hub_model_id", "vr1-7b"], "hub_model_id: 'vr1-7b' names no repository; write <your name>/vr1-7b"),
        (["--hub_model_id", "a/b c"], "hub_model_id: 'a/b c' names no repository"),
        ([*PUBLISHED, "--hub_revision", "a/b"], "hub_revision: 'a/b' names no branch"),
        ([*PUBLISHED, "--hub_strategy", "end"], "hub_strategy: 'end': every checkpoint is published"),
        ([*PUBLISHED, "--hub_private_repo", "false"], "hub_private_repo: False: a repository is made private"),
        (["--hub_model_id", "a/b", "--hub_keep_state", "true"], "hub_keep_state: is done while publishing"),
        ([*PUBLISHED, "--hub_outbox_gib", "-1"], "hub_outbox_gib is 0 or more, not -1"),
    ],
)
def test_a_wrong_word_about_the_hub_is_refused_before_anything_is_loaded(words, said, capsys):
    assert main([*PTST_7B, *words]) == 2
    assert said in capsys.readouterr().err


def test_a_measured_recipe_says_how_long_it_took_and_a_changed_one_does_not():
    assert plan_file("recipes/vr1_tiny/ptst.yaml").hours == pytest.approx(60 * 2.1 / 3600)
    assert plan_file("recipes/vr1_tiny/ptst.yaml", ["--learning_rate", "1e-5"]).hours is None


@pytest.mark.parametrize(
    "more, sharding, processes",
    [([], "none", 1), (["ddp"], "ddp", 8), (["zero2"], "zero2", 8), (["zero3"], "zero3", 8), (["fsdp"], "fsdp", 8)],
)
def test_sharding_takes_from_each_gpu_what_it_spreads(more, sharding, processes):
    plan = plan_file("recipes/vr1_7b/sft.yaml", [], *more)
    assert (plan.cluster.sharding, plan.cluster.processes) == (sharding, processes)
    billions = {part: size / 8.292e9 for part, size in plan.memory.items()}
    weights = {"none": 2, "ddp": 2, "zero2": 2, "zero3": 2 / 8, "fsdp": 4 / 8}[sharding]
    assert billions["weights"] == pytest.approx(weights, rel=0.01)
    learning = 1 - 0.677 / 8.292  # tower and merger are frozen
    optimizer = {"none": 4, "ddp": 4, "zero2": 12 / 8, "zero3": 12 / 8, "fsdp": 8 / 8}[sharding]
    assert billions["optimizer"] == pytest.approx(optimizer * learning, rel=0.01)


def test_more_of_anything_needs_more_memory():
    def total(*words, **cluster):
        return plan_file("recipes/vr1_7b/ptst.yaml", words, "zero3", **cluster).memory["total"]

    least = total()
    assert total("--per_device_train_batch_size", "8") > least
    assert total("--gradient_checkpointing", "false") > least
    assert total("--max_pixels", "1003520", "--max_prompt_length", "2048", "--vllm_max_model_length", "10240") > least
    assert total("--beta", "0") < least
    assert total(processes=16) < least


def test_what_does_not_fit_is_an_error_that_names_the_largest_part(capsys):
    assert main(["--config", "recipes/vr1_72b/ptst.yaml", "--gpu_gib", "80"]) == 2
    said = capsys.readouterr().err
    assert "error: recipes/vr1_72b/ptst.yaml: a GPU of 80 GiB is to hold an estimated" in said and "optimizer" in said


def test_an_engine_without_room_for_one_completion_is_an_error():
    words = ["--vllm_gpu_memory_utilization", "0.19"]
    plan = plan_file("recipes/vr1_7b/ptst.yaml", words, "zero3", gpu_gib=80)
    assert any("vllm_gpu_memory_utilization: 0.19 leaves vLLM room for" in misfit for misfit in plan.misfits)


@pytest.mark.parametrize("json_too", [[], ["--json"]])
def test_a_wrong_recipe_fails_with_every_wrong_key(tmp_path, capsys, json_too):
    text = Path("recipes/vr1_7b/ptst.yaml").read_text()
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(text.replace("beta: 0.01", "betta: 0.01").replace("epsilon: 0.2", "epsilon: narrow"))
    with pytest.raises(SystemExit) if json_too else pytest.MonkeyPatch.context():
        assert main(["--config", str(wrong), *json_too]) == 2
    out, err = capsys.readouterr()
    errors = json.loads(out)["errors"] if json_too else err.splitlines()
    assert len(errors) == 2 and "betta" in errors[0] and "epsilon" in errors[1]


@pytest.mark.parametrize("words, hint", [(["--accelerate", "zero4"], "zero3"), (["--processes", "0"], "1 or more")])
def test_a_wrong_cluster_is_refused(words, hint, capsys):
    assert main(["--config", "recipes/vr1_tiny/ptst.yaml", *words]) == 2
    assert hint in capsys.readouterr().err


def test_rows_that_are_nowhere_are_an_error_and_a_model_that_a_recipe_makes_a_warning():
    plan = plan_file("recipes/vr1_3b/ptst.yaml")
    assert any("make sft RECIPE=recipes/vr1_3b/sft.yaml" in warning for warning in plan.warnings)
    plan = plan_file("recipes/vr1_tiny/eval.yaml", ["--model_name_or_path", "./nowhere"])
    assert [error for error in plan.errors if "model_name_or_path: ./nowhere: is not there" in error]


@pytest.fixture
def hub(monkeypatch):
    """A Hub that answers every question in one way."""
    asked = []

    def answer(how):
        def repo_info(self, name, repo_type=None, **kwargs):
            asked.append((repo_type, name))
            if how is not None:
                raise how

        monkeypatch.setattr("huggingface_hub.HfApi.repo_info", repo_info)
        monkeypatch.delenv("HF_HUB_OFFLINE")
        return asked

    return answer


def test_a_hub_that_has_everything_is_asked_for_model_and_rows(hub):
    asked = hub(None)
    plan = plan_file("recipes/vr1_7b/ptst.yaml", [], "zero3")
    assert asked == [("model", "Osilly/Vision-R1-CI-7B"), ("dataset", "Osilly/Vision-R1-rl")]
    assert plan.errors == plan.warnings == []


def test_what_the_hub_does_not_have_is_an_error(hub):
    hub(RepositoryNotFoundError("404", response=httpx.Response(404, request=httpx.Request("GET", "https://hub"))))
    plan = plan_file("recipes/vr1_7b/ptst.yaml", [], "zero3")
    assert len(plan.errors) == 2 and "Osilly/Vision-R1-rl: is no dataset on the Hub" in plan.errors[1]


@pytest.mark.parametrize("failure", [httpx.ConnectError("no route"), httpx.ReadTimeout("slow"), OSError("no network")])
def test_a_hub_that_does_not_answer_is_a_warning(hub, failure):
    hub(failure)
    plan = plan_file("recipes/vr1_7b/ptst.yaml", [], "zero3")
    assert plan.errors == [] and len(plan.warnings) == 2
    assert type(failure).__name__ in plan.warnings[0] and "OFFLINE=1" in plan.warnings[0]


def test_offline_does_not_ask(hub, monkeypatch):
    asked = hub(None)
    monkeypatch.setenv("OFFLINE", "1")
    plan_file("recipes/vr1_7b/ptst.yaml", [], "zero3")
    assert asked == []


def test_every_model_of_a_recipe_has_its_shape_here():
    for file in Path("recipes").glob("*/*.yaml"):
        line = next((line for line in file.read_text().splitlines() if line.startswith("model_name_or_path")), None)
        if line:
            assert find_config(line.partition(": ")[2].partition(" #")[0], offline=True), file


def test_recipes_that_begin_with_each_others_outputs_have_no_shape_and_no_end_is_waited_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = Path("recipes/round")
    folder.mkdir(parents=True)
    for name, other in (("sft", "ptst"), ("ptst", "sft")):
        recipe = {"task": "sft", "model_name_or_path": f"outputs/round/{other}", "output_dir": f"outputs/round/{name}"}
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(recipe))
    assert find_config("outputs/round/sft", offline=True) is None


def test_a_folder_brings_the_shape_of_a_model_that_is_not_known_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_config("somebody/new-vl", offline=True) is None
    brought = Path("recipes/mine/configs/somebody--new-vl.json")
    brought.parent.mkdir(parents=True)
    brought.write_text((CONFIGS / "qwen2_5_vl_3b.json").read_text())
    assert find_config("somebody/new-vl", offline=True).model_type == "qwen2_5_vl"
