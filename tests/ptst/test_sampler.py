from itertools import islice

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from trl.trainer.utils import RepeatSampler

from open_vr1.errors import UserError
from open_vr1.ptst.sampler import Geometry, StagedRepeatSampler
from open_vr1.ptst.schedule import Schedule, Stage


@st.composite
def runs(draw):
    """Any schedule with any batch that fits it."""
    stages = draw(
        st.lists(st.builds(Stage, st.just(8), st.sampled_from([2, 4, 8]), st.integers(1, 6)), min_size=1, max_size=3)
    )
    geometry = Geometry(
        per_device_train_batch_size=draw(st.sampled_from([2, 4, 8])),
        world_size=draw(st.integers(1, 3)),
        gradient_accumulation_steps=draw(st.integers(1, 4)),
        steps_per_generation=draw(st.integers(1, 4)),
        num_iterations=draw(st.integers(1, 2)),
        constant=draw(st.sampled_from(["prompts", "rollouts"])),
    )
    schedule = Schedule(tuple(stages))
    try:
        schedule.check_batch(**vars(geometry))
    except UserError:
        assume(False)
    return schedule, geometry


def stream(run, num_rows=7, seed=3, **kwargs):
    return list(StagedRepeatSampler(num_rows, *run, seed=seed, **kwargs))


def generations(run, rows):
    """Each generation batch of a stream, as its stage and the kept rows of all processes in order."""
    schedule, g = run
    batch = g.slice_rows * g.world_size
    for number, start in enumerate(range(0, len(rows), batch * g.cycle)):
        repeats = [rows[start + i * batch : start + (i + 1) * batch] for i in range(g.cycle)]
        assert all(repeat == repeats[0] for repeat in repeats)
        stage = schedule.stage_index(number * g.cycle // g.gradient_accumulation_steps)
        kept = g.kept_rows(schedule, stage)
        slices = [repeats[0][p * g.slice_rows : (p + 1) * g.slice_rows] for p in range(g.world_size)]
        yield stage, [row for mine in slices for row in mine[:kept]]


@given(runs(), st.integers(1, 40), st.integers(0, 9))
def test_the_stream_is_a_function_of_its_arguments_and_as_long_as_it_says(run, num_rows, seed):
    sampler = StagedRepeatSampler(num_rows, *run, seed=seed)
    first = list(sampler)
    torch.rand(3)
    assert first == list(sampler) == stream(run, num_rows, seed)
    assert len(first) == len(sampler)


@given(runs())
def test_every_generation_batch_is_whole_groups_of_its_stage(run):
    for stage, rows in generations(run, stream(run)):
        group = run[0].stages[stage].num_generations
        assert len(rows) % group == 0
        assert all(len(set(rows[i : i + group])) == 1 for i in range(0, len(rows), group))


@given(runs(), st.integers(1, 40))
def test_no_prompt_is_skipped_or_repeated_within_an_epoch_whatever_the_stages(run, num_rows):
    prompts = []
    for stage, rows in generations(run, stream(run, num_rows)):
        prompts += rows[:: run[0].stages[stage].num_generations]
    for start in range(0, len(prompts), num_rows):
        epoch = prompts[start : start + num_rows]
        assert len(set(epoch)) == len(epoch)


@given(runs())
def test_what_is_held_constant_is_constant(run):
    sizes = [
        (len(rows), len(rows) // run[0].stages[stage].num_generations) for stage, rows in generations(run, stream(run))
    ]
    rows, prompts = zip(*sizes, strict=True)
    assert len(set(prompts if run[1].constant == "prompts" else rows)) == 1


@given(runs())
def test_chained_runs_with_trls_own_sampler_see_the_same_prompts(run):
    schedule, g = run
    order = list(islice(StagedRepeatSampler(50, *run, seed=5)._prompts(), 4000))
    staged = list(generations(run, stream(run, num_rows=50, seed=5)))
    seen = 0
    for index, stage in enumerate(schedule.stages):
        prompts = g.prompts(schedule, index)
        needed = stage.steps * g.gradient_accumulation_steps // g.cycle * prompts
        part = order[seen : seen + needed]
        chained = RepeatSampler(part, stage.num_generations, batch_size=prompts, shuffle=False)
        of_stage = [row for number, rows in staged if number == index for row in rows]
        assert of_stage == [part[i] for i in chained]
        seen += needed


def test_a_single_stage_sees_what_trls_sampler_sees_epoch_after_epoch():
    schedule = Schedule((Stage(8, 2, 9),))
    geometry = Geometry(4, 1, 1, 1, 1, "prompts")
    theirs = RepeatSampler(range(6), 2, batch_size=2, seed=11)
    assert stream((schedule, geometry), num_rows=6, seed=11) == [*theirs, *theirs, *theirs]


def test_epochs_differ_in_order_unless_shuffling_is_off():
    run = Schedule((Stage(8, 2, 6),)), Geometry(4, 1, 1, 1, 1, "prompts")
    shuffled, plain = stream(run, num_rows=6)[::2], stream(run, num_rows=6, shuffle=False)[::2]
    assert shuffled[:6] != shuffled[6:] and sorted(shuffled[:6]) == sorted(shuffled[6:])
    assert plain == [0, 1, 2, 3, 4, 5] * 2


@pytest.mark.parametrize("seed", [1, 2])
def test_another_seed_is_another_order(seed):
    run = Schedule((Stage(8, 2, 6),)), Geometry(8, 1, 1, 1, 1, "prompts")
    assert stream(run, num_rows=30, seed=seed) != stream(run, num_rows=30, seed=0)
