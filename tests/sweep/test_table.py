"""The table: each figure is what a second calculation makes of the same logs and answers."""

import json
import math

import numpy as np
import pytest

from open_vr1.evals.records import write_samples
from open_vr1.intervals import Estimate, student_t
from open_vr1.sweep.compare import compare
from open_vr1.sweep.grid import read_sweep
from open_vr1.sweep.plots import draw_plots, write_plots
from open_vr1.sweep.results import overthinking, read_results
from open_vr1.sweep.table import tables, write_tables

STAGES = [
    {"max_completion_length": 8, "num_generations": 4, "steps": 2},
    {"max_completion_length": 16, "num_generations": 2, "steps": 2},
]
OUT = dict.fromkeys(("max_steps", "max_completion_length", "num_generations"))
STAGED = {**OUT, "ptst_stages": STAGES, "save_steps": 2}
RIGHT = {"one": ["110100", "111100"], "two": ["010000", "110100"]}


def row(step, length, clipped=0.0, **more):
    figures = {"completions/mean_length": length, "completions/clipped_ratio": clipped, "reward_std": 0.5}
    return {"step": step, "step_time": 2.0, "reward": step / 10, "grad_norm": step / 2, **figures, **more}


def leave(run, log, right):
    """What training and evaluation would leave."""
    run.evaluation.folder.mkdir(parents=True)
    (run.folder / "trainer_state.json").write_text(json.dumps({"log_history": log}))
    samples = [
        {
            "id": str(i),
            "completion": "Wait" if i < 2 else "so",
            "score": float(mark),
            "tokens": 10 * i,
            "groups": {"kind": [str(i % 2)]},
        }
        for i, mark in enumerate(right)
    ]
    write_samples(run.evaluation.folder, "toy", samples)
    accuracy = right.count("1") / len(right)
    summary = {"accuracy": accuracy, "mean_length": 25.0, "clipped_ratio": 0.125, "n": len(right), "temperature": 1.0}
    (run.evaluation.folder / "results.json").write_text(
        json.dumps(summary | {"max_completion_length": 16, "ci95": [0, 1]})
    )


@pytest.fixture
def finished(write_grid):
    variants = {"one": STAGED, "two": {"num_iterations": 2, "beta": 0.1}}
    grid = write_grid(seeds=[0, 1], variants=variants, eval={"recipe": "eval.yaml", "start": True})
    sweep = read_sweep("grpo.yaml", grid)
    for run in sweep.runs:
        lengths = {"one": [4, 6, 10, 12], "two": [5, None, 7, None]}[run.variant]
        log = [row(i + 1, length, clipped=0.25) for i, length in enumerate(lengths) if length]
        log += [{"step": 4, "train_runtime": 99.0}]
        leave(run, log, RIGHT[run.variant][run.seed])
    (start,) = sweep.starts
    start.folder.mkdir(parents=True)
    (start.folder / "results.json").write_text('{"accuracy": 0.25, "ci95": [0.1, 0.4], "mean_length": 30.0}')
    write_samples(start.folder, "toy", [{"id": "0", "completion": "Wait", "score": 0.0, "tokens": 30}])
    return sweep


def test_generated_tokens_are_those_of_the_completions(finished):
    training = {result.variant: result.training for result in read_results(finished)}
    # Eight completions a step, then four, as the group halves and the prompts stay.
    assert training["one"]["generated_tokens"] == 8 * (4 + 6) + 4 * (10 + 12)
    assert training["one"]["completions"] == 8 + 8 + 4 + 4
    assert training["one"]["mean_length"] == pytest.approx((8 * 10 + 4 * 22) / 24)
    # Each generation serves two steps.
    assert (training["two"]["generated_tokens"], training["two"]["completions"]) == (8 * (5 + 7), 16)
    assert training["one"]["clipped_ratio"] == 0.25 and training["one"]["seconds"] == 4 * 2.0


def test_tokens_are_the_same_however_often_they_are_logged(finished):
    (run,) = (run for run in finished.runs if run.name == "one/seed0")
    log = [row(2, 5), row(4, 11), {"step": 4, "train_runtime": 99.0}]
    (run.folder / "trainer_state.json").write_text(json.dumps({"log_history": log}))
    assert read_results(finished)[0].training["generated_tokens"] == 8 * 10 + 4 * 22


def test_pooled_accuracy_and_difference_are_the_analysis_of_variance(finished):
    one, two = compare(finished, read_results(finished))
    marks = {name: np.array([[int(mark) for mark in run] for run in runs]) for name, runs in RIGHT.items()}
    difference = marks["two"] - marks["one"]
    seeds, questions = difference.shape
    grand = difference.mean()
    between_seeds = questions * sum((line.mean() - grand) ** 2 for line in difference) / (seeds - 1)
    between_questions = seeds * sum((line.mean() - grand) ** 2 for line in difference.T) / (questions - 1)
    rest = sum(
        (difference[s, q] - difference[s].mean() - difference[:, q].mean() + grand) ** 2
        for s in range(seeds)
        for q in range(questions)
    ) / ((seeds - 1) * (questions - 1))
    total = max(between_seeds + between_questions - rest, between_seeds, between_questions)
    freedom = total**2 / (
        between_seeds**2 / (seeds - 1)
        + between_questions**2 / (questions - 1)
        + rest**2 / ((seeds - 1) * (questions - 1))
    )
    reach = student_t(max(freedom, seeds - 1)) * math.sqrt(total / difference.size)
    assert one.differences == {} and one.accuracy.value == pytest.approx(7 / 12)
    assert two.differences["right"].value == pytest.approx(4 / 12 - 7 / 12)
    assert (two.differences["right"].low, two.differences["right"].high) == pytest.approx(
        (grand - reach, grand + reach)
    )


def test_the_table_says_each_figure_and_which_difference_lies_outside(finished):
    variants = compare(finished, read_results(finished))
    text = tables(finished, variants, {})
    head, _, one, two = ([cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()[:4])
    one, two = dict(zip(head, one)), dict(zip(head, two))
    assert one["before"] == two["before"] == "25.0%"
    assert variants[1].differences["doubting"].value == variants[1].differences["length"].value == 0
    assert one["accuracy by seed"] == "50.0%, 66.7%" and one["pooled (95% interval)"].startswith("58.3% (")
    assert (one["outside the interval"], two["outside the interval"]) == ("—", "no")
    assert two["against one"].startswith("-25.0 (") and one["generated tokens"] == "168"
    assert one["clipped"] == "12.5%" and one["clipped in training"] == "25.0%" and one["mean length"] == "25"
    variants[1].differences["right"] = Estimate(-0.25, -0.3, -0.2)
    assert "| lower |" in tables(finished, variants, {})


def test_doubting_and_the_longer_half_are_counted_within_each_kind():
    samples = [
        {"completion": text, "score": float(right), "tokens": length, "groups": {"kind": (kind,)}}
        for text, right, length, kind in [
            ("Wait, hmm", False, 9, "a"),
            ("so", True, 1, "a"),
            ("awaited", True, 90, "b"),
            ("Maybe 3? No. Maybe 4? Yes.", True, 95, "b"),
        ]
    ]
    found = overthinking(samples)
    assert found["doubting_share"] == 0.5 and found["doubts"] == 1.0
    assert (found["accuracy_doubting"], found["accuracy_plain"]) == (0.5, 1.0)
    assert (found["accuracy_shorter_half"], found["accuracy_longer_half"]) == (1.0, 0.5)


def test_a_run_that_is_missing_is_left_out_and_said(finished):
    (finished.runs[3].evaluation.folder / "results.json").unlink()
    results = read_results(finished)
    assert [(result.variant, result.seed) for result in results] == [("one", 0), ("two", 0), ("one", 1)]
    variants = compare(finished, results)
    assert "two (1 of 2 seeds)" in tables(finished, variants, {})
    assert variants[1].differences["right"].value == pytest.approx(1 / 6 - 3 / 6)


def test_tables_and_plots_are_written_beside_the_runs(finished):
    results = read_results(finished)
    write_tables(finished, results)
    write_plots(finished, results)
    written = json.loads((finished.folder / "results.json").read_text())
    assert written["variants"]["one"]["accuracy"]["value"] == pytest.approx(7 / 12)
    assert written["variants"]["two"]["runs"]["seed1"]["training"]["generated_tokens"] == 96
    plots = {path.stem for path in finished.folder.glob("*.png")}
    assert {"accuracy", "length", "reward", "length_over_steps", "grad_norm"} <= plots and "kl" not in plots


def test_the_accuracy_plot_shows_the_tables_figures(finished):
    variants = compare(finished, read_results(finished))
    (axes,) = next(plot for plot in draw_plots(variants) if plot.name == "accuracy").figure.axes
    drawn = [line.get_xdata() for line in axes.get_lines()]
    assert list(drawn[0]) == [variants[0].accuracy.low, variants[0].accuracy.high]
    assert [list(line.get_xdata()) for line in axes.get_lines() if line.get_marker() == "D"] == [[0.25], [0.25]]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["one", "two"]
