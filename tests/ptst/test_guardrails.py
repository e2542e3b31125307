"""Each guardrail on a run that is built to set it off, and all of them on the logs of the demo, which is well."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_vr1.errors import UserError
from open_vr1.ptst.guardrails import GUARDRAILS, GuardrailCallback, signs
from open_vr1.recipe import read_recipe
from open_vr1.rewards.answers import answer_share

from .runs import make_trainer

# The logs of `make demo`, three seeds.
HEALTHY = [json.loads(line) for line in (Path(__file__).parent / "data" / "demo_logs.jsonl").read_text().splitlines()]
LETTER = 70
WITHOUT_PICTURES = {"suppress_tokens": [259, 261, 262]}


def run(tiny, tmp_path, steps, worth=None, length=6, stop=False, limits=None, **config):
    """A run with the reward `worth` of a completion's tokens, and what was seen of it."""
    stages = [{"max_completion_length": length, "num_generations": 8, "steps": steps}]
    defaults = {"num_rows": 2, "per_device_train_batch_size": 16, "logging_steps": 1, "lr_scheduler_type": "constant"}
    trainer = make_trainer(tiny, tmp_path, stages, **{**defaults, **config})
    trainer.worth = worth or trainer.worth
    trainer.add_callback(GuardrailCallback(stop, 10, limits or {}, source="recipes/x/ptst.yaml", staged=True))
    trainer.train()
    return trainer, signs(trainer.state.log_history, 10, limits)


def test_completions_that_shrink_to_nothing(tiny, tmp_path, capsys):
    ends = {"learning_rate": 5e-3, "generation_kwargs": WITHOUT_PICTURES}
    _, seen = run(tiny, tmp_path, 40, lambda ids: -float(len(ids)), length=12, **ends)
    assert seen.keys() == {"length_collapse"}
    said = [line for line in capsys.readouterr().out.splitlines() if "length_collapse" in line]
    assert len(said) == 1
    assert said[0].startswith("warning: recipes/x/ptst.yaml: length_collapse at step ")
    assert "loss_type" in said[0] and "ptst_stages[0].beta" in said[0]


def test_groups_that_all_get_the_same_reward(tiny, tmp_path):
    _, seen = run(tiny, tmp_path, 12, lambda ids: 1.0)
    assert "100% of the groups" in seen["zero_variance"] and "mean reward 1.00" in seen["zero_variance"]
    assert "ptst_stages[0].num_generations" in seen["zero_variance"]


def test_completions_that_are_cut_off(tiny, tmp_path):
    _, seen = run(tiny, tmp_path, 12)
    assert seen.keys() == {"clipped"}
    assert "ptst_stages[0].max_completion_length" in seen["clipped"]


def test_a_policy_that_stops_trying(tiny, tmp_path):
    def worth(ids):
        return float(ids.count(LETTER))

    trainer, seen = run(tiny, tmp_path, 60, worth, learning_rate=1e-2)
    assert "ptst_stages[0].epsilon_high" in seen["entropy_collapse"]
    assert "entropy_collapse" not in signs(trainer.state.log_history[:30])


def test_answers_that_take_the_place_of_thinking(tiny, tmp_path, monkeypatch):
    from .runs import RecordingTrainer

    score = RecordingTrainer._calculate_rewards

    def as_if_written(self, inputs, prompts, completions, completion_ids):
        thinking, answer = ("long and careful", "3") if self.state.global_step < 5 else ("hm", "it is 3, as I see it")
        text = f"<think> {thinking} </think><answer> {answer} </answer>"
        written = [[{"role": "assistant", "content": text}] for _ in completions]
        return score(self, inputs, prompts, written, completion_ids)

    monkeypatch.setattr(RecordingTrainer, "_calculate_rewards", as_if_written)
    _, seen = run(tiny, tmp_path, 15, limits={"clipped": 1.0})
    assert seen.keys() == {"answer_share"}
    assert "7% at the beginning" in seen["answer_share"] and "reward_funcs" in seen["answer_share"]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_demo_sets_none_off_at_any_step(seed):
    logs = [row for row in HEALTHY if row["seed"] == seed]
    assert len(logs) == 12 and all(guardrail.metric in row for row in logs for guardrail in GUARDRAILS.values())
    for end in range(len(logs) + 1):
        assert signs(logs[:end]) == {}


@given(st.integers(1, 20), st.integers(1, 30), st.floats(0.6, 1.0))
def test_a_sign_has_to_last_in_one_stage(every, steps, ratio):
    """However often a run logs, `clipped` is said once the stage has gone on for as many steps, and not before."""
    logs = [{"step": step, "completions/clipped_ratio": ratio, "ptst/stage": 1} for step in range(every, 61, every)]
    logs += [{"step": 60 + row["step"], "completions/clipped_ratio": ratio, "ptst/stage": 2} for row in logs]
    first_stage = len(logs) // 2
    for end in range(1, len(logs) + 1):
        covered = logs[end - 1]["step"] - (0 if end <= first_stage else logs[first_stage - 1]["step"])
        assert ("clipped" in signs(logs[:end], steps)) == (covered >= steps)


def test_a_stopped_run_is_saved_and_says_what_to_do(tiny, tmp_path):
    with pytest.raises(
        UserError, match="clipped at step 10: .*max_completion_length.*checkpoint-10.*guardrails: warn"
    ):
        run(tiny, tmp_path, 20, stop=True)
    assert json.loads((tmp_path / "checkpoint-10" / "trainer_state.json").read_text())["global_step"] == 10


def test_a_sign_is_said_again_only_after_it_has_passed(capsys):
    ratios = [0.9, 0.9, 0.1, 0.1, 0.9]
    callback = GuardrailCallback(False, 1, {}, source="r.yaml", staged=False)
    state = type("State", (), {"log_history": [], "global_step": 0, "max_steps": 9, "is_world_process_zero": True})
    for step, ratio in enumerate(ratios, 1):
        state.global_step = step
        state.log_history.append({"step": step, "completions/clipped_ratio": ratio})
        callback.on_log(None, state, None)
    said = capsys.readouterr().out.splitlines()
    assert [line.partition(": clipped at ")[2].partition(":")[0] for line in said] == ["step 1", "step 5"]
    assert all(line.endswith("Raise max_completion_length") for line in said)


@pytest.mark.parametrize(
    "completion, share",
    [
        ("<think> abc </think><answer> d </answer>", 0.25),
        ("<think> abcd", 0.0),
        ("abcd", 1.0),
        ("<answer>abcd</answer>", 1.0),
        ("<think></think>", 0.0),
        ("", 0.0),
    ],
)
def test_the_answers_share_of_a_completion(completion, share):
    assert answer_share(completion) == share


@pytest.mark.parametrize(
    "override, words",
    [
        (["--guardrails", "halt"], "guardrails: 'halt' is none of warn, stop, off"),
        (["--guardrail_steps", "0"], "guardrail_steps: 0"),
        (["--guardrail_limits", "{cliped: 0.2}"], "guardrail_limits.cliped: no guardrail; the nearest is clipped"),
        (["--guardrail_limits", "{clipped: 20}"], "guardrail_limits.clipped: 20.* between 0 and 1"),
    ],
)
def test_a_wrong_guardrail_key_is_refused(override, words):
    with pytest.raises(UserError, match=words):
        read_recipe("recipes/vr1_tiny/ptst.yaml", "grpo", override)
