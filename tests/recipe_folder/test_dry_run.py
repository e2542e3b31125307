"""What the dry run makes of recipes that TRL takes, and what it does not believe."""

import sys
from pathlib import Path

import pytest
import yaml

from open_vr1.elsewhere import Elsewhere
from open_vr1.recipe import read_recipe
from open_vr1.recipe_folder import dry_run, probe

GRPO = {
    "task": "grpo",
    "model_name_or_path": "some/model",
    "datasets": [{"path": "some/rows", "fraction": 0.01}],
    "columns": {"prompt": "problem", "solution": "answer"},
    "reward_funcs": ["accuracy"],
    "output_dir": "outputs/mine/final",
    "per_device_train_batch_size": 4,
    "gradient_accumulation_steps": 4,
    "max_steps": 40,
    "save_steps": 4,
}
SFT = {
    "task": "sft",
    "model_name_or_path": "some/model",
    "datasets": [{"path": "some/rows"}],
    "columns": {"prompt": "question", "completion": "response"},
    "output_dir": "outputs/mine/cold",
    "save_steps": 4,
}
EVALUATED = {"eval_datasets": [{"path": "some/rows", "split": "test"}], "eval_strategy": "steps", "eval_steps": 4}
STAGES = [{"max_completion_length": 64, "num_generations": 16, "steps": 40, "learning_rate": 1e-5}]
KINDS = {
    "learnt from twice": {**GRPO, "num_iterations": 2},
    "several updates of each generation, twice": {**GRPO, "num_iterations": 2, "steps_per_generation": 8},
    "a generation of four updates": {**GRPO, "generation_batch_size": 512},
    "stages learnt from twice": {**GRPO, "num_iterations": 2, "max_steps": None, "ptst_stages": STAGES},
    "evaluated": {**GRPO, **EVALUATED, "per_device_eval_batch_size": 8},
    "evaluated in smaller groups": {**GRPO, **EVALUATED, "num_generations_eval": 4, "per_device_eval_batch_size": 8},
    "the best is kept": {**SFT, **EVALUATED, "load_best_model_at_end": True},
    "for a GPU": {**SFT, "optim": "paged_adamw_8bit", "activation_offloading": True},
}


def folder_of_eight() -> Path:
    """Where the recipe of a folder goes that trains with eight processes."""
    file = Path("recipes/mine/mine.yaml")
    file.parent.mkdir(parents=True)
    file.with_name("README.md").write_text("---\nprocesses: {mine: 8}\n---\n")
    return file


@pytest.mark.parametrize("kind", KINDS)
def test_a_recipe_that_is_right_is_right_at_toy_size(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = folder_of_eight()
    given = {key: value for key, value in KINDS[kind].items() if value is not None}
    file.write_text(yaml.safe_dump(given))
    task = given["task"]
    read_recipe(file, task, elsewhere=Elsewhere(8, None))
    values = dry_run.toy_values(file, tmp_path)
    toy = tmp_path / "toy.yaml"
    toy.write_text(yaml.safe_dump(values))
    made = read_recipe(toy, task).training
    assert made.max_steps % made.save_steps == 0 and made.max_steps <= 8
    assert "paged" not in made.optim
    if "generation_batch_size" in given:
        assert made.steps_per_generation == 4 * made.gradient_accumulation_steps and made.max_steps == 8


def test_a_run_that_ends_before_its_last_step_without_a_word_has_not_trained(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = folder_of_eight()
    file.write_text(yaml.safe_dump(GRPO))
    monkeypatch.setattr(dry_run, "_run", lambda command, log: None)
    assert "ended before its last step" in dry_run._try(file)[0]


def test_a_reward_that_ends_the_program_is_found():
    def ends(completions, **columns):
        sys.exit(0)

    assert "SystemExit: 0; give a number or None" in probe.problems(ends)[0]


def test_a_reward_that_raises_for_many_at_once_is_found():
    def single(completions, **columns):
        (_,) = completions
        return [1.0]

    (problem,) = probe.problems(single)
    assert "completions at once: ValueError" in problem
