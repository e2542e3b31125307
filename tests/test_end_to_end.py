"""The whole path on the tiny model: cold start, two stages of PTST, evaluation, a kill in the middle and going on."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText, AutoProcessor

from open_vr1 import evaluate, grpo, sft
from open_vr1.cold.__main__ import main as make_cold_data
from open_vr1.evals.records import read_samples
from open_vr1.hub.card_check import check_card
from open_vr1.vision_parts import vision_parameters

ROOT = Path(__file__).parent.parent
SIZES = "{seed: 0, rl: 16, validation: 8, test: 12}"
WORLD = "{seed: 0, rl: 1600, validation: 400, test: 1000}"
STAGES = """
  - {max_completion_length: 8, num_generations: 4, steps: 2}
  - {max_completion_length: 12, num_generations: 2, steps: 2}
"""
CHANGED = {
    "max_steps": 4,
    "eval_steps": 2,
    "save_steps": 2,
    "logging_steps": 1,
    "per_device_train_batch_size": 8,
    "report_to": "none",
    # A model that has hardly been trained gets no answer right, and a reward of zero trains nothing.
    "reward_funcs": "['tests.test_end_to_end:variety']",
}


def variety(completions, **columns):
    return [float(len(set(completion[0]["content"]))) for completion in completions]


@pytest.fixture(scope="module")
def recipes(tmp_path_factory):
    """The tiny recipes with fewer rows and steps, in a folder of their own."""
    folder = tmp_path_factory.mktemp("run")
    for path in (ROOT / "recipes" / "vr1_tiny").glob("*.yaml"):
        text = path.read_text().replace("outputs/vr1_tiny", str(folder))
        text = text.replace(WORLD, SIZES).replace("rows: 16000", "rows: 64")
        lines = []
        for line in text.splitlines():
            key = line.strip().partition(":")[0]
            if key in CHANGED:
                line = f"{key}: {CHANGED[key]}"
            elif key == "ptst_stages":
                line += STAGES.rstrip()
            elif line.strip().startswith("- {max_completion_length"):
                continue
            lines.append(line)
        (folder / path.name).write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="module")
def cold(recipes):
    """A cold start whose vision side is frozen, as the paper's is."""
    assert make_cold_data(["--config", str(recipes / "cold.yaml")]) == 0
    frozen = ["--freeze_vision_tower", "true", "--freeze_projector", "true"]
    assert sft.main(["--config", str(recipes / "sft.yaml"), *frozen]) == 0
    return recipes / "cold"


@pytest.fixture(scope="module")
def final(recipes, cold):
    assert grpo.main(["--config", str(recipes / "ptst.yaml")]) == 0
    return recipes / "final"


def changed(before: Path, after: Path) -> dict[str, bool]:
    first = AutoModelForImageTextToText.from_pretrained(before).state_dict()
    second = AutoModelForImageTextToText.from_pretrained(after).state_dict()
    return {name: not torch.equal(first[name], second[name]) for name in first}


def test_the_cold_start_trains_the_language_model_and_leaves_what_is_frozen(recipes, cold):
    parts = vision_parameters(AutoModelForImageTextToText.from_pretrained(cold))
    frozen = {*parts["tower"], *parts["projector"]}
    moved = changed(recipes / "base", cold)
    assert frozen and not any(moved[name] for name in frozen)
    assert all(moved[name] for name in moved if name not in frozen)


def test_ptst_trains_every_part_in_both_stages(cold, final):
    stage_end = final / "checkpoint-2"
    assert json.loads((stage_end / "ptst.json").read_text())["stage_ended"] == 1
    assert all(changed(cold, stage_end).values()) and all(changed(stage_end, final).values())


def test_each_stage_has_its_length_and_group_size(final):
    log = json.loads((final / "trainer_state.json").read_text())["log_history"]
    stages = [(row["ptst/max_completion_length"], row["ptst/num_generations"]) for row in log if "ptst/stage" in row]
    assert stages == [(8, 4), (8, 4), (12, 2), (12, 2)]


def test_every_output_loads_and_keeps_its_pixel_budget(recipes, cold, final):
    for folder in (recipes / "base", cold, final, final / "checkpoint-2"):
        AutoModelForImageTextToText.from_pretrained(folder)
        processor = AutoProcessor.from_pretrained(folder)
        if folder != recipes / "base":
            assert processor.image_processor.size["longest_edge"] == 12544


def test_every_run_leaves_a_card_with_nothing_wrong(recipes, cold, final):
    for folder in (cold, final):
        assert check_card(folder, "model") == []
    card = (final / "README.md").read_text()
    assert "trained with GRPO under PTST" in card and "](plots/length.png)" in card
    assert not (final / "checkpoint-2" / "README.md").exists()


def test_a_finished_run_is_left_as_it_is(recipes, final, capsys):
    weights = (final / "model.safetensors").stat().st_mtime_ns
    assert grpo.main(["--config", str(recipes / "ptst.yaml")]) == 0
    assert "is finished" in capsys.readouterr().out
    assert (final / "model.safetensors").stat().st_mtime_ns == weights


def test_a_changed_recipe_does_not_go_on_with_another_run(recipes, final, capsys):
    assert grpo.main(["--config", str(recipes / "ptst.yaml"), "--learning_rate", "7e-5"]) == 2
    message = capsys.readouterr().err
    assert "learning_rate" in message and "7e-05" in message and "output_dir" in message


def test_evaluation_scores_every_question_once(recipes, final, capsys):
    config = ["--config", str(recipes / "eval.yaml"), "--model_name_or_path", str(final)]
    assert evaluate.main([*config, "--max_completion_length", "6"]) == 0
    results = json.loads((final / "eval" / "results.json").read_text())
    samples = read_samples(final / "eval")
    assert results["n"] == len({sample["id"] for sample in samples}) == 12
    assert results["accuracy"] == sum(sample["score"] for sample in samples) / 12
    assert max(sample["tokens"] for sample in samples) <= 6
    assert "accuracy" in capsys.readouterr().out.splitlines()[-1]


def test_a_run_never_leaves_the_machine(recipes, cold, run_watched, tmp_path):
    command = [sys.executable, "-m", "open_vr1.grpo", "--config", recipes / "ptst.yaml"]
    done = run_watched([*command, "--output_dir", tmp_path / "run"])
    assert done.returncode == 0, done.stderr
    assert "stage 2 | limit 12 | reward" in done.stdout and "left" in done.stdout


def start(recipes: Path, output_dir: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "open_vr1.grpo", "--config", str(recipes / "ptst.yaml")]
    command += ["--output_dir", str(output_dir), "--save_steps", "1"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=ROOT, env=os.environ)


def test_a_killed_run_ends_as_an_uninterrupted_one(recipes, cold, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    same = ["--config", str(recipes / "ptst.yaml"), "--save_steps", "1", "--output_dir"]
    assert grpo.main([*same, str(whole)]) == 0
    process = start(recipes, killed)
    try:
        deadline = time.monotonic() + 120
        while not (killed / "checkpoint-1" / "trainer_state.json").exists():
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not (killed / "trainer_state.json").exists()
    assert grpo.main([*same, str(killed)]) == 0
    first, second = (json.loads((run / "trainer_state.json").read_text()) for run in (whole, killed))
    assert first["global_step"] == second["global_step"] == 4
    timing = {
        "step_time",
        "train_runtime",
        "train_samples_per_second",
        "train_steps_per_second",
        "total_flos",
        "train_loss",
    }
    logs = [
        [
            {key: row[key] for key in row if key not in timing and "profiling" not in key}
            for row in state["log_history"]
        ]
        for state in (first, second)
    ]
    assert logs[0] == logs[1]
    weights = [load_file(run / "model.safetensors") for run in (whole, killed)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    clocks = [json.loads((run / "open_vr1.json").read_text())["wall_clock"] for run in (whole, killed)]
    assert [clock["starts"] for clock in clocks] == [1, 2]
