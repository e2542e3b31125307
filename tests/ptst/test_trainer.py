import json
import subprocess
import sys
from dataclasses import fields
from itertools import islice
from pathlib import Path

import pytest
import torch
from peft import LoraConfig
from transformers import AutoModelForImageTextToText, AutoProcessor
from trl import GRPOConfig, GRPOTrainer

from open_vr1.errors import UserError
from open_vr1.ptst.callback import MARK
from open_vr1.ptst.sampler import StagedRepeatSampler
from open_vr1.ptst.schedule import TRL_DEFAULTS

from .runs import LONG_CYCLE, SEED, SaveEveryStep, make_trainer
from .tiny import build_rows

SHORT_CYCLE = {
    "stages": [
        {"max_completion_length": 3, "num_generations": 4, "steps": 2},
        {"max_completion_length": 6, "num_generations": 2, "steps": 2},
    ],
    "per_device_train_batch_size": 4,
}
LORA = LoraConfig(target_modules=["q_proj", "v_proj"], init_lora_weights=False)
OWN_SETTINGS = {
    "temperature": 0.7,
    "learning_rate": 2e-3,
    "warmup_steps": 1,
    "beta": 0.3,
    "epsilon": 0.1,
    "reset_optimizer": True,
    "reset_reference": True,
}
CASES = {
    "short_cycle": SHORT_CYCLE,
    "constant_rollouts": {**SHORT_CYCLE, "constant": "rollouts"},
    "long_cycle": LONG_CYCLE,
    "own_settings": {
        **SHORT_CYCLE,
        "stages": [SHORT_CYCLE["stages"][0], {**SHORT_CYCLE["stages"][1], **OWN_SETTINGS}],
    },
}


def joined(batch, key):
    return [value for part in batch for value in part[key]]


def assert_run_is_the_schedules(case, processes):
    """Every generation of a run, on any number of processes, against the schedule read with a pencil."""
    largest = max(stage["num_generations"] for stage in case["stages"])
    accumulation = case.get("gradient_accumulation_steps", 1)
    per_generation = case.get("steps_per_generation", accumulation)
    cycle = per_generation * case.get("num_iterations", 1)
    rows = case["per_device_train_batch_size"] * per_generation * len(processes)
    generator = torch.Generator().manual_seed(SEED)
    order = [row for _ in range(20) for row in torch.randperm(case.get("num_rows", 5), generator=generator).tolist()]
    step, number = 0, 0
    for stage in case["stages"]:
        group = stage["num_generations"]
        prompts = rows // (group if case.get("constant") == "rollouts" else largest)
        for _ in range(stage["steps"] * accumulation // cycle):
            batch = [process["generations"][number] for process in processes]
            for part in batch:
                assert part["step"] == step
                assert part["num_generations"] == group
                assert part["lengths"] == [stage["max_completion_length"]]
            expected, order = order[:prompts], order[prompts:]
            assert joined(batch, "rows") == [row for row in expected for _ in range(group)]
            rewards = torch.tensor(joined(batch, "rewards")).view(-1, group)
            advantages = (rewards - rewards.mean(1, keepdim=True)) / (rewards.std(1, keepdim=True) + 1e-4)
            trained = torch.tensor(joined(batch, "advantages"))
            torch.testing.assert_close(trained, advantages.flatten())
            number += 1
            step += max(cycle // accumulation, 1)
    assert all(len(process["generations"]) == number and process["steps"] == step for process in processes)


@pytest.mark.parametrize("name", CASES)
def test_one_process_generates_what_the_schedule_says(tiny, tmp_path, name):
    trainer = make_trainer(tiny, tmp_path, **CASES[name])
    trainer.train()
    record = {"generations": trainer.generations, "steps": trainer.state.global_step}
    assert_run_is_the_schedules(CASES[name], [record])


def test_two_processes_generate_what_the_schedule_says_and_resume_inside_a_cycle(tiny, tmp_path):
    saved = {**LONG_CYCLE, "save_every_step": True}
    resumed = {**LONG_CYCLE, "resume_from": "long_cycle/checkpoint-3"}
    (tmp_path / "cases.json").write_text(json.dumps({**CASES, "long_cycle": saved, "resumed": resumed}))
    root = Path(__file__).parents[2]
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    subprocess.run([*launch, "-m", "tests.ptst.runs", str(tiny), str(tmp_path)], cwd=root, check=True, timeout=300)

    def records(name):
        return [json.loads((tmp_path / f"{name}_{rank}.json").read_text()) for rank in (0, 1)]

    for name, case in CASES.items():
        assert_run_is_the_schedules(case, records(name))
    for whole, part in zip(records("long_cycle"), records("resumed"), strict=True):
        assert part["steps"] == 8
        assert part["micro_batches"] == [m for m in whole["micro_batches"] if m[0] >= 3]
        assert part["generations"] == [g for g in whole["generations"] if g["step"] >= 3]


@pytest.mark.parametrize("own_settings", [{}, OWN_SETTINGS], ids=["plain", "own_settings"])
@pytest.mark.parametrize("peft", [None, LORA], ids=["full", "lora"])
def test_a_run_resumed_from_any_step_trains_on_as_if_it_had_never_stopped(tiny, tmp_path, peft, own_settings):
    first, second = LONG_CYCLE["stages"]
    case = {**LONG_CYCLE, "stages": [first, {**second, **own_settings}], "trainer_kwargs": {"peft_config": peft}}
    whole = make_trainer(tiny, tmp_path, callbacks=[SaveEveryStep()], **case)
    whole.train()
    weights = whole.model.state_dict()
    for step in range(1, 8):
        resumed = make_trainer(tiny, tmp_path / "resumed", **case)
        resumed.train(resume_from_checkpoint=str(tmp_path / f"checkpoint-{step}"))
        assert resumed.state.global_step == 8
        assert resumed.generations == [g for g in whole.generations if g["step"] >= step]
        assert resumed.micro_batches == [m for m in whole.micro_batches if m[0] >= step]
        for name, weight in resumed.model.state_dict().items():
            assert torch.equal(weight, weights[name]), f"{name} after a resume from step {step}"


@pytest.mark.parametrize(
    "cycle", [{}, {"gradient_accumulation_steps": 2, "num_iterations": 2}], ids=["one_batch", "micro_batches"]
)
def test_one_stage_trains_exactly_what_trls_trainer_trains(tiny, tmp_path, cycle):
    stages = [{"max_completion_length": 5, "num_generations": 2, "steps": 4}]
    ours = make_trainer(tiny, tmp_path, stages, num_rows=8, per_device_train_batch_size=4, **cycle)
    ours.train()
    theirs = GRPOTrainer(
        model=AutoModelForImageTextToText.from_pretrained(tiny),
        args=ours.args,
        train_dataset=build_rows(8),
        processing_class=AutoProcessor.from_pretrained(tiny, padding_side="left"),
        reward_funcs=[lambda completion_ids, **kwargs: [float(sum(ids) % 17) for ids in completion_ids]],
    )
    start = {name: weight.clone() for name, weight in theirs.model.state_dict().items()}
    theirs.train()
    for name, weight in theirs.model.state_dict().items():
        assert torch.equal(weight, ours.model.state_dict()[name]), name
    assert any(not torch.equal(weight, start[name]) for name, weight in theirs.model.state_dict().items())


def test_evaluation_keeps_its_own_length_and_group_size_in_every_stage(tiny, tmp_path):
    trainer = make_trainer(
        tiny,
        tmp_path,
        **SHORT_CYCLE,
        eval_strategy="steps",
        eval_steps=1,
        per_device_eval_batch_size=2,
        trainer_kwargs={"eval_dataset": build_rows(2), "eval_max_completion_length": 9},
    )
    trainer.train()
    evaluations = [g for g in trainer.generations if not g["training"]]
    assert [g["step"] for g in evaluations] == [1, 1, 2, 2, 3, 3, 4, 4]
    assert {tuple(g["lengths"]) for g in evaluations} == {(9,)}
    assert all(len(set(g["rows"])) == 1 and len(g["rows"]) == 2 for g in evaluations)
    training = [g for g in trainer.generations if g["training"]]
    assert [g["lengths"] for g in training] == [[3], [3], [6], [6]]
    assert trainer.max_completion_length == 6


def test_each_stage_ends_in_a_marked_checkpoint_and_is_logged_and_announced(tiny, tmp_path, capsys):
    trainer = make_trainer(tiny, tmp_path, **SHORT_CYCLE, logging_steps=1)
    trainer.train()
    marks = {path.parent.name: json.loads(path.read_text()) for path in tmp_path.glob(f"*/{MARK}")}
    assert {name: (mark["step"], mark["stage_ended"]) for name, mark in marks.items()} == {
        "checkpoint-2": (2, 1),
        "checkpoint-4": (4, 2),
    }
    logged = [
        (log["ptst/stage"], log["ptst/max_completion_length"], log["ptst/num_generations"])
        for log in trainer.state.log_history
        if "ptst/stage" in log
    ]
    assert logged == [(1, 3, 4), (1, 3, 4), (2, 6, 2), (2, 6, 2)]
    announced = [line for line in capsys.readouterr().out.splitlines() if line.startswith("PTST")]
    assert announced == [
        "PTST stage 1/2 from step 0 to 2: max_completion_length 3, num_generations 4",
        "PTST stage 2/2 from step 2 to 4: max_completion_length 6, num_generations 2",
    ]


def test_a_reward_that_depends_on_the_length_follows_the_stage(tiny, tmp_path):
    trainer = make_trainer(tiny, tmp_path, **SHORT_CYCLE)
    seen = []

    class Aware:
        max_completion_length = 0

        def __call__(self, completions, **kwargs):
            seen.append(self.max_completion_length)
            return [0.0] * len(completions)

    trainer.reward_funcs[0], plain = Aware(), trainer.reward_funcs[0]
    trainer.generations = [{} for _ in range(4)]
    trainer.train()
    assert seen == [3, 3, 6, 6]
    assert not hasattr(plain, "max_completion_length")


def test_a_batch_that_is_not_whole_groups_stops_the_run(tiny, tmp_path, monkeypatch):
    plan = StagedRepeatSampler.__iter__
    monkeypatch.setattr(StagedRepeatSampler, "__iter__", lambda self: islice(plan(self), 1, None))
    with pytest.raises(RuntimeError, match="not groups of 4 completions"):
        make_trainer(tiny, tmp_path, **SHORT_CYCLE, num_rows=50, gradient_accumulation_steps=2).train()


def test_what_the_schedule_takes_for_a_missing_key_is_what_trl_takes():
    defaults = {field.name: field.default for field in fields(GRPOConfig)}
    assert {key: defaults[key] for key in TRL_DEFAULTS} == TRL_DEFAULTS


@pytest.mark.parametrize(
    "config, words",
    [
        ({"max_steps": 5}, ["max_steps: 5", "write 4"]),
        ({"save_strategy": "steps", "save_steps": 3}, ["save_steps: 3", "nearest valid values: 2"]),
        ({"loss_type": "dr_grpo"}, ["dr_grpo"]),
        ({"ignore_data_skip": True}, ["ignore_data_skip"]),
    ],
)
def test_what_cannot_be_exact_is_refused_before_training(tiny, tmp_path, config, words):
    with pytest.raises(UserError) as error:
        make_trainer(tiny, tmp_path, **{**SHORT_CYCLE, **config})
    for word in words:
        assert word in str(error.value)
