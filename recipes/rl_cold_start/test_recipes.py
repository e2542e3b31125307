"""The recipes are what the README says of the authors' runs."""

from pathlib import Path

import pytest

from open_vr1.elsewhere import Elsewhere
from open_vr1.plan.stages import stage_plans
from open_vr1.recipe import read_recipe
from open_vr1.recipe_file import read_file

FOLDER = Path(__file__).parent
RL_ROWS = 31818
OF_A_SIZE = {"model_name_or_path", "output_dir", "hub_model_id", "vllm_gpu_memory_utilization"}


@pytest.fixture(autouse=True)
def from_the_repository(monkeypatch):
    monkeypatch.chdir(FOLDER.parent.parent)


@pytest.mark.parametrize("size", ["3b", "7b"])
def test_grpo_learns_from_a_generation_of_512_prompts_in_four_steps_twice_over_the_rows(size):
    recipe = read_recipe(FOLDER / f"grpo_{size}.yaml", "grpo", elsewhere=Elsewhere(8, "DeepSpeed"))
    (stage,) = stage_plans(recipe, 8)
    assert (stage.prompts_per_step, stage.num_generations) == (128, 10)
    assert recipe.training.steps_per_generation == 4 * recipe.training.gradient_accumulation_steps
    assert stage.steps == 4 * (RL_ROWS // 512 * 2)


@pytest.mark.parametrize("size", ["3b", "7b"])
def test_the_cold_start_learns_from_64_rows_a_step(size):
    values = read_file(FOLDER / f"sft_{size}.yaml").values
    assert values["per_device_train_batch_size"] * values["gradient_accumulation_steps"] * 8 == 64


@pytest.mark.parametrize("task", ["sft", "grpo", "eval"])
def test_the_two_sizes_differ_in_the_model_alone(task):
    small, large = (read_file(FOLDER / f"{task}_{size}.yaml").values for size in ("3b", "7b"))
    assert {key for key in {*small, *large} if small.get(key) != large.get(key)} <= OF_A_SIZE


def test_the_words_before_a_question_are_the_same_in_cold_start_and_evaluation():
    names = ("sft_3b", "sft_7b", "eval_3b", "eval_7b", "teacher")
    assert len({read_file(FOLDER / f"{name}.yaml").values["system_prompt"] for name in names}) == 1
