"""The grid file: its runs are those it says, each with its own recipe, and what is wrong with it is said where it stands."""

import json
import os
from pathlib import Path

import pytest

from open_vr1.errors import UserError
from open_vr1.manifest import KEYS
from open_vr1.sweep.grid import check_start, read_sweep


def read(grid: Path):
    return read_sweep("grpo.yaml", grid)


def test_every_variant_runs_with_every_seed_in_a_folder_of_its_own(write_grid):
    sweep = read(write_grid(seeds=[3, 5], variants={"a": None, "b": {"beta": 0.1}}))
    assert [run.name for run in sweep.runs] == ["a/seed3", "b/seed3", "a/seed5", "b/seed5"]
    for run in sweep.runs:
        assert run.recipe.training.output_dir == str(run.folder) == f"outputs/sweeps/grid/{run.name}"
        assert run.recipe.training.seed == run.seed
        assert run.recipe.training.beta == (0.1 if run.variant == "b" else 0.0)
    assert sweep.baseline == "a"


def test_the_grid_makes_a_variant_of_every_combination(write_grid):
    sweep = read(write_grid(variants={"plain": {}}, grid={"beta": [0.0, 0.5], "epsilon": [0.1, 0.2, 0.3]}))
    combined = {run.variant: (run.recipe.training.beta, run.recipe.training.epsilon) for run in sweep.runs[1:]}
    assert set(combined.values()) == {(beta, epsilon) for beta in (0.0, 0.5) for epsilon in (0.1, 0.2, 0.3)}
    assert combined["beta=0.5-epsilon=0.2"] == (0.5, 0.2) and len(combined) == 6


def test_values_that_no_folder_can_be_named_after_are_numbered(write_grid):
    sweep = read(write_grid(grid={"reward_funcs": [["accuracy"], ["format", "accuracy"]]}))
    assert [(run.variant, run.recipe.args.reward_funcs) for run in sweep.runs] == [
        ("reward_funcs=0", ["accuracy"]),
        ("reward_funcs=1", ["format", "accuracy"]),
    ]


def test_null_takes_a_key_out_and_stages_come_in(write_grid):
    stages = [{"max_completion_length": 8, "num_generations": 4, "steps": 2}] * 2
    out = dict.fromkeys(("max_steps", "max_completion_length", "num_generations"))
    (run,) = read(write_grid(variants={"staged": {**out, "ptst_stages": stages, "save_steps": 2}})).runs
    assert run.recipe.args.ptst_stages == stages and "max_steps" not in run.recipe.values


def test_common_keys_hold_for_every_run_and_a_variant_may_differ(write_grid):
    runs = read(write_grid(common={"beta": 0.3}, variants={"a": {}, "b": {"beta": 0.4}})).runs
    assert [run.recipe.training.beta for run in runs] == [0.3, 0.4]


def test_name_and_seed_are_filled_in_anywhere(write_grid):
    world = {"path": "world{seed}", "with": "open_vr1.toy.world:build", "args": {"seed": "{seed}"}}
    changes = {"build": [world], "run_name": "{name}-{seed}", "datasets": [{"path": "world{seed}/rl.parquet"}]}
    run = read(write_grid(seeds=[7], variants={"a": changes})).runs[0]
    assert run.recipe.args.build == [world | {"path": "world7", "args": {"seed": 7}}]
    assert run.recipe.args.datasets[0]["path"] == "world7/rl.parquet" and run.recipe.training.run_name == "a-7"


def test_the_evaluation_judges_the_runs_model_as_it_was_asked_in_training(write_grid):
    judging = {"recipe": "eval.yaml", "start": True, "max_questions": 5}
    runs = read(write_grid(variants={"a": {}, "zero": {"system_prompt": "r1_zero"}}, eval=judging)).runs
    for run in runs:
        assert run.evaluation.values["model_name_or_path"] == str(run.folder)
        assert run.start.values["model_name_or_path"] == "model" and run.evaluation.values["max_questions"] == 5
    prompts = [[place.values.get("system_prompt") for place in (run.evaluation, run.start)] for run in runs]
    assert prompts == [[None, None], ["r1_zero", "r1_zero"]]
    assert runs[0].start.folder != runs[1].start.folder


def test_runs_that_begin_alike_share_the_evaluation_of_their_start(write_grid):
    judging = {"recipe": "eval.yaml", "start": True}
    assert len(read(write_grid(seeds=[0, 1], variants={"a": {}, "b": {}}, eval=judging)).starts) == 1


WRONG = {
    "no such key": ("variants:\n  a:\n    betta: 0.1\n", r"grid.yaml:3: variant a: betta: unknown key.*beta"),
    "no such value": ("variants:\n  a: {}\n  b: {beta: much}\n", r"grid.yaml:3: variant b: beta: 'much' is not"),
    "in the grid": ("grid:\n  beta:\n    - 0.1\n    - much\n", r"grid.yaml:4: variant beta=much: beta: 'much'"),
    "in common": ("common:\n  beta: much\nvariants: {a: {}}\n", r"grid.yaml:2: variant a: beta: 'much'"),
    "stages": (
        "variants:\n  a:\n    ptst_stages: [{steps: 4, num_generations: 4, max_completion_length: 8}]\n",
        r"variant a: .*max_steps.* also set by ptst_stages",
    ),
    "its own key": ("variant: {a: {}}\n", r"grid.yaml:1: variant: unknown key; the nearest is variants"),
    "seeds": ("seeds: 3\nvariants: {a: {}}\n", r"grid.yaml:1: seeds: 3 is not a list"),
    "a seed twice": ("seeds: [1, 1]\nvariants: {a: {}}\n", r"seeds: \[1, 1\] names a seed twice"),
    "a name": ("variants:\n  a/b: {}\n", r"grid.yaml:2: variants.a/b: 'a/b' cannot name a folder"),
    "set by the sweep": ("variants:\n  a: {output_dir: x}\n", r"grid.yaml:2: variants.a.output_dir: the sweep sets"),
    "no list": ("grid:\n  beta: 0.1\n", r"grid.yaml:2: grid.beta: 0.1 is not a list"),
    "baseline": ("variants: {one: {}}\nbaseline: on\n", r"grid.yaml:2: baseline: .*nearest is one"),
    "nothing": ("seeds: [0]\n", r"grid.yaml: there is no run in it"),
    "eval": (
        "variants: {a: {}}\neval: {recipe: eval.yaml, tempreture: 1}\n",
        r"grid.yaml:2: eval: tempreture: unknown",
    ),
    "eval without": ("variants: {a: {}}\neval: {temperature: 1}\n", r"grid.yaml:2: eval: names no recipe"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_said_with_file_line_and_key(what, write_grid):
    text, message = WRONG[what]
    with pytest.raises(UserError, match=f"(?s){message}"):
        read(write_grid(text))
    assert not Path("outputs").exists()


def test_a_fault_of_the_recipe_is_said_of_the_recipe(write_grid):
    Path("grpo.yaml").write_text(Path("grpo.yaml").read_text() + "betta: 0.1\n")
    with pytest.raises(UserError, match=r"grpo.yaml:\d+: in variant a of grid.yaml: betta: unknown key"):
        read(write_grid(variants={"a": {}}))


def test_only_recipes_that_train_are_swept(write_grid):
    with pytest.raises(UserError, match="eval.yaml:2: task: 'eval' does not train"):
        read_sweep("eval.yaml", write_grid(variants={"a": {}}))


def test_a_variants_environment_stays_its_own(write_grid):
    read(write_grid(variants={"a": {"env": {"OPEN_VR1_SWEPT": "1"}}}))
    assert "OPEN_VR1_SWEPT" not in os.environ


def test_a_model_that_is_not_there_is_said_before_the_first_run(write_grid):
    sweep = read(write_grid(variants={"a": {}, "b": {"model_name_or_path": "./no_model"}}))
    with pytest.raises(UserError, match="variant b: model_name_or_path: ./no_model"):
        check_start(sweep)


def test_a_folder_with_another_run_in_it_is_refused(write_grid):
    sweep = read(write_grid(variants={"a": {"beta": 0.1}}))
    check_start(sweep)
    sweep.runs[0].folder.mkdir(parents=True)
    manifest = {**dict.fromkeys(KEYS), "format": 1, "recipe": {"values": {"beta": 0.2}}}
    (sweep.runs[0].folder / "open_vr1.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match="beta"):
        check_start(sweep)
