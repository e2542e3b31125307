import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_vr1.errors import UserError
from open_vr1.ptst.schedule import Schedule, Stage

PAPER = [
    {"max_completion_length": 4096, "num_generations": 16, "steps": 100},
    {"max_completion_length": 8192, "num_generations": 8, "steps": 100},
    {"max_completion_length": 16384, "num_generations": 4, "steps": 100},
]
FITTING = {"per_device_train_batch_size": 8, "gradient_accumulation_steps": 8, "save_steps": 50}

stages = st.lists(
    st.builds(Stage, st.integers(1, 64), st.integers(2, 16), st.integers(1, 12)), min_size=1, max_size=4
).map(tuple)


def refusal(call) -> str:
    with pytest.raises(UserError) as error:
        call()
    return str(error.value)


@given(stages)
def test_every_step_belongs_to_the_stage_that_a_walk_through_the_stages_finds(stages):
    walked = [i for i, stage in enumerate(stages) for _ in range(stage.steps)]
    schedule = Schedule(stages)
    assert [schedule.stage_index(step) for step in range(schedule.max_steps)] == walked
    assert schedule.stage(schedule.max_steps) == stages[-1]


@given(stages)
def test_boundaries_are_exactly_the_steps_before_which_the_stage_changes_and_the_end(stages):
    schedule = Schedule(stages)
    switches = [s for s in range(1, schedule.max_steps) if schedule.stage_index(s) != schedule.stage_index(s - 1)]
    assert list(schedule.boundaries) == [*switches, schedule.max_steps]


def test_the_papers_schedule_keeps_64k_tokens_per_prompt_and_fits():
    schedule = Schedule.from_recipe(PAPER)
    assert {stage.max_completion_length * stage.num_generations for stage in schedule.stages} == {65536}
    assert schedule.boundaries == (100, 200, 300)
    schedule.check(FITTING, world_size=8)


def test_trainer_values_size_the_engine_for_the_longest_stage_and_the_batch_for_the_largest_group():
    assert Schedule.from_recipe(PAPER).trainer_values() == {
        "max_steps": 300,
        "max_completion_length": 16384,
        "num_generations": 16,
        "num_generations_eval": 4,
    }


@pytest.mark.parametrize(
    "stage, words",
    [
        ({"max_length": 4096, "num_generations": 16, "steps": 100}, ["max_length", "max_completion_length"]),
        ({"max_completion_length": 4096, "num_generation": 16, "steps": 1}, ["num_generation:", "num_generations?"]),
        ({"max_completion_length": 4096, "steps": 100}, ["num_generations", "missing"]),
        ({"max_completion_length": "4096", "num_generations": 16, "steps": 100}, ["'4096'", "whole number"]),
        ({"max_completion_length": 4096, "num_generations": 16, "steps": 1.5}, ["steps", "1.5", "whole number"]),
        ({"max_completion_length": 4096, "num_generations": True, "steps": 100}, ["num_generations", "True"]),
        ({"max_completion_length": 4096, "num_generations": 1, "steps": 100}, ["num_generations", "1", "2 or more"]),
        ({"max_completion_length": 4096, "num_generations": 16, "steps": 0}, ["steps", "0", "1 or more"]),
        (4096, ["4096", "{max_completion_length: 4096, num_generations: 16, steps: 100}"]),
    ],
)
def test_a_wrong_stage_is_refused_with_its_place_key_value_and_what_to_write(stage, words):
    message = refusal(lambda: Schedule.from_recipe([PAPER[0], stage], source="recipes/x/ptst.yaml"))
    assert message.startswith("recipes/x/ptst.yaml: ptst_stages[1]")
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    "own, words",
    [
        ({"temperature": 0}, ["temperature: 0", "above 0"]),
        ({"temperature": True}, ["temperature: True", "above 0"]),
        ({"learning_rate": "fast"}, ["learning_rate: 'fast'", "not a number"]),
        ({"beta": -0.1}, ["beta: -0.1", "from 0 on"]),
        ({"epsilon": [0.2]}, ["epsilon: [0.2]", "not a number"]),
        ({"warmup_steps": 1.5}, ["warmup_steps: 1.5", "whole number"]),
        ({"reset_optimizer": "yes"}, ["reset_optimizer: 'yes'", "true or false"]),
    ],
)
def test_a_wrong_setting_of_a_stage_is_refused_with_its_place_key_value_and_what_to_write(own, words):
    message = refusal(lambda: Schedule.from_recipe([PAPER[0], {**PAPER[1], **own}], source="recipes/x/ptst.yaml"))
    assert message.startswith("recipes/x/ptst.yaml: ptst_stages[1].")
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    "own, top_level, words",
    [
        ({"warmup_steps": 5}, {}, ["warmup_steps: 5", "learning_rate"]),
        ({"learning_rate": 1e-6, "warmup_steps": 100}, {}, ["warmup_steps: 100", "at most 99"]),
        ({"learning_rate": 1e-6}, {"lr_scheduler_type": "reduce_lr_on_plateau"}, ["reduce_lr_on_plateau", "cosine"]),
        ({"learning_rate": 1e-6}, {"learning_rate": 0.0}, ["learning_rate: 1e-06", "which is 0"]),
        ({"reset_reference": True}, {}, ["reset_reference: true", "beta is 0"]),
        (
            {"reset_reference": True},
            {"beta": 0.01, "sync_ref_model": True},
            ["reset_reference: true", "sync_ref_model"],
        ),
    ],
)
def test_a_setting_of_a_stage_that_would_do_nothing_is_refused(own, top_level, words):
    schedule = Schedule.from_recipe([PAPER[0], {**PAPER[1], **own}])
    message = refusal(lambda: schedule.check({**FITTING, **top_level}, world_size=8))
    assert "ptst_stages[1]." in message
    for word in words:
        assert word in message


@pytest.mark.parametrize("key", ["reset_optimizer", "reset_reference"])
def test_the_first_stage_has_nothing_to_reset(key):
    schedule = Schedule.from_recipe([{**PAPER[0], key: True}, PAPER[1]])
    assert f"ptst_stages[0].{key}: true" in refusal(lambda: schedule.check({**FITTING, "beta": 0.01}, world_size=8))


@pytest.mark.parametrize(
    "key, sharded_by, refused",
    [
        ("reset_optimizer", "DeepSpeed", True),
        ("reset_optimizer", "FSDP", False),
        ("reset_reference", "DeepSpeed", True),
        ("reset_reference", "FSDP", True),
    ],
)
def test_what_sharded_weights_cannot_do_is_refused(key, sharded_by, refused):
    schedule = Schedule.from_recipe([PAPER[0], {**PAPER[1], key: True}])
    values = {**FITTING, "beta": 0.01}
    schedule.check(values, world_size=8)
    if refused:
        message = refusal(lambda: schedule.check(values, world_size=8, sharded_by=sharded_by))
        assert f"ptst_stages[1].{key}" in message and sharded_by in message
    else:
        schedule.check(values, world_size=8, sharded_by=sharded_by)


def test_every_setting_of_a_stage_is_accepted_where_it_has_an_effect():
    own = {
        "temperature": 0.8,
        "learning_rate": "5e-7",
        "warmup_steps": 5,
        "beta": 0.01,
        "epsilon": 0.1,
        "epsilon_high": 0.28,
        "reset_optimizer": True,
        "reset_reference": True,
    }
    schedule = Schedule.from_recipe([PAPER[0], {**PAPER[1], **own}])
    schedule.check(FITTING, world_size=8)
    assert schedule.stages[1].learning_rate == 5e-7


def test_the_reference_is_that_of_the_last_stage_that_renewed_it():
    renewed = {"reset_reference": True}
    schedule = Schedule.from_recipe([PAPER[0], {**PAPER[1], **renewed}, PAPER[2], {**PAPER[2], **renewed}])
    steps = [0, 99, 100, 299, 300, 399, 400]
    assert [schedule.reference_step(step) for step in steps] == [0, 0, 100, 100, 300, 300, 300]


def test_a_learning_rate_lasts_until_the_next_stage_that_has_one():
    own = {"learning_rate": 1e-6}
    schedule = Schedule.from_recipe([PAPER[0], {**PAPER[1], **own}, PAPER[2], {**PAPER[2], **own}])
    spans = [(start, steps, stage and stage.learning_rate) for start, steps, stage in schedule.rate_segments()]
    assert spans == [(0, 100, None), (100, 200, 1e-6), (300, 100, 1e-6)]


@pytest.mark.parametrize("rows", [None, [], {}, "4096"])
def test_something_that_is_no_list_of_stages_is_refused(rows):
    assert "ptst_stages" in refusal(lambda: Schedule.from_recipe(rows))


def test_top_level_keys_that_the_stages_set_are_refused_by_name():
    message = refusal(lambda: Schedule.from_recipe(PAPER).check({**FITTING, "max_steps": 5, "num_generations": 4}))
    assert "num_generations, max_steps" in message


@pytest.mark.parametrize(
    "values, constant, message",
    [
        ({"per_device_train_batch_size": 6}, "prompts", "per_device_train_batch_size: 6"),
        ({"per_device_train_batch_size": 2}, "prompts", "per_device_train_batch_size: 2"),
        ({"per_device_train_batch_size": 3, "gradient_accumulation_steps": 4}, "rollouts", "batch_size: 3"),
        ({"save_steps": 30}, "prompts", "save_steps: 30"),
        ({"save_steps": 500}, "prompts", "save_steps: 500"),
        ({"steps_per_generation": 24}, "prompts", "ptst_stages[0].steps: 100"),
        ({"generation_batch_size": 100}, "prompts", "generation_batch_size: 100"),
        ({"eval_strategy": "steps", "per_device_eval_batch_size": 3}, "prompts", "per_device_eval_batch_size: 3"),
    ],
)
def test_a_misfit_is_refused_and_every_nearest_value_that_is_named_is_accepted(values, constant, message):
    schedule = Schedule.from_recipe(PAPER)
    text = refusal(lambda: schedule.check({**FITTING, **values}, constant=constant))
    assert message in text
    key = message.split(":")[0] if "[" not in message else "ptst_stages[0].steps"
    key = "per_device_train_batch_size" if key == "batch_size" else key
    for near in map(int, text.rpartition("nearest valid values: ")[2].split(" or ")):
        if key == "ptst_stages[0].steps":
            fixed = Schedule.from_recipe([{**row, "steps": near} for row in PAPER])
            fixed.check({**FITTING, **values, "save_steps": near}, constant=constant)
        else:
            schedule.check({**FITTING, **values, key: near}, constant=constant)


@given(
    stages,
    st.integers(1, 24),
    st.integers(1, 4),
    st.integers(1, 6),
    st.integers(1, 6),
    st.integers(1, 3),
    st.sampled_from(["prompts", "rollouts"]),
)
def test_an_accepted_batch_divides_into_whole_groups_rows_and_cycles(stages, rows, world, ga, spg, iters, constant):
    schedule = Schedule(stages)
    try:
        schedule.check_batch(
            per_device_train_batch_size=rows,
            world_size=world,
            gradient_accumulation_steps=ga,
            steps_per_generation=spg,
            num_iterations=iters,
            constant=constant,
        )
    except UserError:
        return
    largest = max(stage.num_generations for stage in stages)
    for stage, end in zip(stages, schedule.boundaries, strict=True):
        micro_rows = rows * stage.num_generations / largest if constant == "prompts" else rows
        assert micro_rows == int(micro_rows)
        assert micro_rows * world * spg % stage.num_generations == 0
        assert end * ga % (spg * iters) == 0


def test_saving_by_a_share_of_the_run_is_judged_by_the_steps_it_means():
    schedule = Schedule.from_recipe(PAPER)
    schedule.check({**FITTING, "save_steps": 1 / 3})
    assert "save_steps: 0.4" in refusal(lambda: schedule.check({**FITTING, "save_steps": 0.4}))


def test_saving_by_nothing_needs_no_fitting_save_steps():
    Schedule.from_recipe(PAPER).check({**FITTING, "save_steps": 30, "save_strategy": "no"})


def test_save_steps_inside_a_generation_cycle_are_refused():
    schedule = Schedule.from_recipe(PAPER)
    values = {**FITTING, "steps_per_generation": 16, "num_iterations": 2, "save_steps": 10}
    assert "between generation cycles of 4 steps" in refusal(lambda: schedule.check(values))
    schedule.check({**values, "save_steps": 20})


def test_a_loss_scaled_by_the_length_is_refused_only_where_the_length_changes():
    values = {**FITTING, "loss_type": "dr_grpo"}
    assert "dr_grpo" in refusal(lambda: Schedule.from_recipe(PAPER).check(values))
    Schedule.from_recipe([{**row, "max_completion_length": 4096} for row in PAPER]).check(values)


@pytest.mark.parametrize("key", ["max_tokens", "max_new_tokens"])
def test_generation_kwargs_that_override_the_length_are_refused(key):
    values = {**FITTING, "generation_kwargs": {key: 7}}
    assert f"generation_kwargs.{key}: 7" in refusal(lambda: Schedule.from_recipe(PAPER).check(values))


@pytest.mark.parametrize("value", [0, "8", 2.0, True])
def test_batch_keys_that_count_nothing_are_refused(value):
    for key in (
        "per_device_train_batch_size",
        "gradient_accumulation_steps",
        "num_iterations",
        "generation_batch_size",
    ):
        assert f"{key}: {value!r}" in refusal(
            lambda key=key: Schedule.from_recipe(PAPER).check({**FITTING, key: value})
        )


def test_an_unknown_constant_is_refused():
    assert "prompts, rollouts" in refusal(lambda: Schedule.from_recipe(PAPER).check(FITTING, constant="tokens"))


@pytest.mark.parametrize("world_size", [1, 3, 8])
@pytest.mark.parametrize("rows", range(1, 20))
def test_a_refused_batch_size_always_comes_with_one_that_fits(rows, world_size):
    schedule = Schedule.from_recipe(PAPER)
    try:
        schedule.check_batch(per_device_train_batch_size=rows, world_size=world_size)
    except UserError as error:
        nearest = list(map(int, str(error).rpartition(": ")[2].split(" or ")))
        assert nearest
        for near in nearest:
            schedule.check_batch(per_device_train_batch_size=near, world_size=world_size)
    else:
        assert rows * world_size % 16 == 0 and rows % 4 == 0


def test_the_schedule_imports_neither_torch_nor_trl():
    code = "import sys, open_vr1.ptst.schedule; sys.exit(bool({'torch', 'trl', 'transformers'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
