"""A stage's own settings, as the run that has them shows them."""

import json

import pytest
import torch
from peft import LoraConfig
from transformers import TrainerCallback

from open_vr1.errors import UserError
from open_vr1.ptst.callback import MARK, enter
from open_vr1.ptst.stage import Stage

from .runs import SaveEveryStep, make_trainer

FIRST = {"max_completion_length": 4, "num_generations": 4, "steps": 4}
LORA = LoraConfig(target_modules=["q_proj", "v_proj"], init_lora_weights=False)


class EveryStep(TrainerCallback):
    """Writes down what a function of the trainer says before each step."""

    def __init__(self, trainer, look):
        self.trainer = trainer
        self.look = look
        self.seen = []

    def on_step_begin(self, args, state, control, **kwargs):
        self.seen.append(self.look(self.trainer))


def run(tiny, tmp_path, stages, look=lambda trainer: None, **config):
    config = {"num_rows": 2, "per_device_train_batch_size": 4, "logging_steps": 1, **config}
    trainer = make_trainer(tiny, tmp_path, stages, **config)
    watch = EveryStep(trainer, look)
    trainer.add_callback(watch)  # After PTSTCallback, which changes what is looked at.
    trainer.train()
    return trainer, watch.seen


def logged(trainer, key):
    return [row.get(key) for row in trainer.state.log_history if "ptst/stage" in row]


def test_a_stages_temperature_is_sampled_at(tiny, tmp_path):
    nearly_greedy = {**FIRST, "max_completion_length": 12, "temperature": 1e-4}
    trainer, _ = run(tiny, tmp_path, [{**FIRST, "max_completion_length": 12}, nearly_greedy], learning_rate=1e-9)
    spread = [len(set(generation["rewards"])) for generation in trainer.generations]
    assert min(spread[:4]) > 1
    assert spread[4:] == [1] * 4


def test_log_probabilities_are_those_of_the_stages_temperature(tiny, tmp_path):
    trainer = make_trainer(tiny, tmp_path, [FIRST], per_device_train_batch_size=4, beta=0.1)
    ids = torch.tensor([[5, 60, 70, 80, 90]])
    top_level = {"temperature": 1.0, "beta": 0.1, "epsilon": 0.2, "epsilon_high": None}
    for temperature in (0.5, 1.0, 1.7):
        enter(trainer, Stage(4, 4, 4, temperature=temperature).over(top_level))
        for model in (trainer.model, trainer.ref_model):
            with torch.no_grad():
                logits = model(input_ids=ids).logits[:, 1:-1] / temperature
                ours, _, _ = trainer._get_per_token_logps_and_entropies(model, ids, torch.ones_like(ids), 3)
            theirs = logits.log_softmax(-1).gather(-1, ids[:, 2:, None])[..., 0]
            torch.testing.assert_close(ours, theirs)


def test_a_stages_learning_rate_starts_its_schedule_anew_and_lasts_until_the_next(tiny, tmp_path):
    stages = [FIRST, {**FIRST, "learning_rate": 6e-4, "warmup_steps": 2, "steps": 4}, FIRST]
    _, rates = run(
        tiny, tmp_path, stages, lambda trainer: trainer.lr_scheduler.get_last_lr()[0], lr_scheduler_type="linear"
    )
    first = [1e-3, 7.5e-4, 5e-4, 2.5e-4]
    # Warmed up over 2 steps, then down to 0 over the other 6 of its own stage and the one after.
    anew = [0.0, 3e-4, 6e-4, 5e-4, 4e-4, 3e-4, 2e-4, 1e-4]
    assert rates == pytest.approx([*first, *anew])


def test_without_a_rate_of_their_own_stages_share_one_schedule(tiny, tmp_path):
    _, rates = run(
        tiny,
        tmp_path,
        [FIRST, FIRST],
        lambda trainer: trainer.lr_scheduler.get_last_lr()[0],
        lr_scheduler_type="linear",
    )
    assert rates == pytest.approx([1e-3 * (8 - step) / 8 for step in range(8)])


def test_a_stages_beta_and_epsilon_hold_in_that_stage_alone(tiny, tmp_path):
    stages = [FIRST, {**FIRST, "beta": 0.2, "epsilon": 0.1}, {**FIRST, "epsilon_high": 0.4}]
    trainer, seen = run(tiny, tmp_path, stages, lambda t: (t.beta, t.epsilon_low, t.epsilon_high), num_rows=3)
    assert seen == [(0.0, 0.2, 0.2)] * 4 + [(0.2, 0.1, 0.1)] * 4 + [(0.0, 0.2, 0.4)] * 4
    assert [kl is not None for kl in logged(trainer, "kl")] == [False] * 4 + [True] * 4 + [False] * 4


def adam_steps(trainer):
    steps = {int(state["step"]) for state in trainer.optimizer.state.values()}
    return steps.pop() if steps else 0


@pytest.mark.parametrize("reset", [True, False])
def test_an_optimizer_starts_anew_where_the_stage_says_so(tiny, tmp_path, reset):
    _, seen = run(tiny, tmp_path, [FIRST, {**FIRST, "reset_optimizer": reset}], adam_steps)
    assert seen == [0, 1, 2, 3, 0, 1, 2, 3] if reset else [0, 1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("peft", [None, LORA], ids=["full", "lora"])
@pytest.mark.parametrize("reset", [True, False])
def test_kl_is_measured_from_the_policy_that_the_stage_begins_with(tiny, tmp_path, reset, peft):
    stages = [FIRST, {**FIRST, "reset_reference": reset}]
    trainer, _ = run(tiny, tmp_path, stages, beta=0.2, learning_rate=1e-2, trainer_kwargs={"peft_config": peft})
    kl = logged(trainer, "kl")
    assert kl[3] > 1e-6
    assert (kl[4] == pytest.approx(0, abs=1e-9)) == reset
    assert kl[7] > 1e-6
    assert not list(tmp_path.glob("*/ref")), "the reference adapter would be loaded in the place of the trained one"


def test_a_reference_whose_checkpoint_is_gone_stops_the_resumed_run(tiny, tmp_path):
    stages = [FIRST, {**FIRST, "reset_reference": True}]
    make = {"per_device_train_batch_size": 4, "beta": 0.2}
    make_trainer(tiny, tmp_path, stages, callbacks=[SaveEveryStep()], **make).train()
    (tmp_path / "checkpoint-4").rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="reset_reference: .*checkpoint-4 is not there"):
        make_trainer(tiny, tmp_path, stages, **make).train(resume_from_checkpoint=str(tmp_path / "checkpoint-6"))


def test_checkpoints_that_end_a_stage_outlive_the_limit(tiny, tmp_path):
    stages = [FIRST, {**FIRST, "temperature": 0.9}]
    saved = {"save_strategy": "steps", "save_steps": 1, "save_total_limit": 1}
    make_trainer(tiny, tmp_path, stages, per_device_train_batch_size=4, **saved).train()
    assert sorted(path.name for path in tmp_path.glob("checkpoint-*")) == [
        "checkpoint-4",
        "checkpoint-7",
        "checkpoint-8",
    ]
    mark = json.loads((tmp_path / "checkpoint-8" / MARK).read_text())
    assert (mark["stage_ended"], mark["temperature"]) == (2, 0.9)


def test_a_switch_says_what_the_stage_changes(tiny, tmp_path, capsys):
    run(tiny, tmp_path, [FIRST, {**FIRST, "temperature": 0.9, "reset_optimizer": True}])
    assert "PTST stage 2/2 from step 4 to 8: max_completion_length 4, num_generations 4, temperature 0.9, " in (
        capsys.readouterr().out
    )
