"""What is compared with what: finding evaluations, pairing questions, naming what is not the same, and the files that come out."""

import json
import re
from pathlib import Path

import pytest

from open_vr1.errors import UserError
from open_vr1.evals.compare.__main__ import main
from open_vr1.evals.compare.contrast import OVERALL, contrast, pair
from open_vr1.evals.compare.inputs import read_evaluations, short_names
from open_vr1.evals.compare.plots import draw_plots
from open_vr1.evals.compare.table import WARNING, markdown, text

from .evaluations import evaluation, row, scored

STAGE = {"ptst/max_completion_length": 64, "ptst/num_generations": 16}


@pytest.fixture
def two(tmp_path):
    """The second turns three of four wrong answers right and one of six right ones wrong."""
    first = evaluation(tmp_path / "first", scored(1, 1, 1, 1, 1, 1, 0, 0, 0, 0))
    second = evaluation(tmp_path / "second", scored(1, 1, 1, 1, 1, 0, 1, 1, 1, 0))
    return [first, second]


@pytest.fixture
def training(tmp_path):
    run = tmp_path / "run"
    for step, place in {10: "checkpoint-10/eval", 20: "evals/checkpoint-20", 9: "checkpoint-9/eval"}.items():
        evaluation(run / place, scored(*[1] * (step // 2), *[0] * (12 - step // 2)))
    evaluation(run / "eval", scored(*[1] * 12))
    log = [{"step": step, "reward": 0.5, "ptst/stage": 1 + (step > 10), **STAGE} for step in range(1, 31)]
    (run / "trainer_state.json").write_text(json.dumps({"global_step": 30, "log_history": log}))
    return run


def only(tables):
    (table,) = tables
    return table.cells


def test_the_difference_and_its_test_are_of_the_same_questions(two):
    first, second = only(contrast(read_evaluations(two)))
    assert first.difference is None and second.paired == 10 and not second.apart
    assert second.difference.estimate.value == pytest.approx(0.2)
    # They differ on 4 questions, of which 1 went the other way: 2 * (1 + 4) / 16.
    assert second.difference.p == pytest.approx(0.625) and second.corrected == pytest.approx(0.625)


def test_a_model_s_own_folder_finds_its_evaluation(two, tmp_path):
    model = tmp_path / "model"
    evaluation(model / "eval", scored(1, 0))
    assert [one.name for one in read_evaluations([*two, model])] == ["first", "second", "model"]


def test_the_checkpoints_of_a_training_come_in_order_with_their_stages(training):
    found = read_evaluations([training])
    assert [one.step for one in found] == [9, 10, 20, 30]
    assert [one.stage for one in found] == [1, 1, 2, 2]
    assert {one.training for one in found} == {"run"} and found[-1].folder == training / "eval"


def test_the_final_model_stands_for_the_checkpoint_of_its_step(training):
    evaluation(training / "checkpoint-30/eval", scored(0))
    found = read_evaluations([training])
    assert [one.step for one in found] == [9, 10, 20, 30] and found[-1].folder == training / "eval"


def test_a_checkpoint_s_own_evaluation_comes_before_its_copy(training):
    evaluation(training / "evals/checkpoint-10", scored(0))
    assert read_evaluations([training])[1].folder == training / "checkpoint-10/eval"


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["a/one", "b/two"], ["one", "two"]),
        (["a/final", "b/final/eval"], ["a/final", "b/final"]),
        (["run/checkpoint-10", "run/checkpoint-20"], ["run/checkpoint-10", "run/checkpoint-20"]),
        (["outputs/eval/org--model/main", "outputs/x"], ["org/model@main", "x"]),
    ],
)
def test_names_are_as_short_as_can_be(paths, names):
    assert short_names([Path(path) for path in paths]) == names


def test_what_is_no_evaluation_is_named_with_the_command_that_makes_one(tmp_path):
    (tmp_path / "model").mkdir()
    with pytest.raises(UserError, match="make evaluate RECIPE=.* MODEL=.*model"):
        read_evaluations([tmp_path / "model"])


def test_an_evaluation_is_named_once(two):
    with pytest.raises(UserError, match="there twice"):
        read_evaluations([two[0], two[1], two[0]])


@pytest.mark.parametrize("content", ["{", "[]", '{"benchmarks": 3}', '{"benchmarks": ["toy"]}'])
def test_broken_results_are_named(two, content):
    (two[0] / "results.json").write_text(content)
    with pytest.raises(UserError, match="results.json"):
        read_evaluations(two)


# ----- Only what is comparable


@pytest.mark.parametrize(
    "other",
    [
        {"temperature": 1.0},
        {"samples": 4},
        {"max_completion_length": 128},
        {"grey_images": True},
        {"general": {"prompt_style": "official"}},
        {"general": {"system_prompt": "r1_zero"}},
    ],
    ids=str,
)
def test_another_protocol_is_said_in_the_table(two, tmp_path, other):
    third = evaluation(tmp_path / "third", scored(*[1] * 10), **other)
    tables = contrast(read_evaluations([*two, third]))
    (key,) = other.get("general", other)
    for shown in (text(tables), markdown(tables)):
        assert shown.count(WARNING) == 1 and key.replace("_", " ") in shown.replace("\\", "")
        assert len(re.findall(r"to [+-][\d.]+\) \(!\)", shown)) == 1
    assert not only(tables)[1].apart


def test_another_revision_of_the_rows_is_another_protocol(two):
    place = two[1] / "results.json"
    results = json.loads(place.read_text())
    results["benchmarks"][0]["dataset_revision"] = "v2"
    place.write_text(json.dumps(results))
    assert only(contrast(read_evaluations(two)))[1].apart == ["dataset revision v2, not none"]


def test_another_seed_is_the_same_protocol(two, tmp_path):
    third = evaluation(tmp_path / "third", scored(*[1] * 10), seed=7)
    assert not only(contrast(read_evaluations([two[0], third])))[1].apart


def test_only_questions_that_both_have_answered_are_compared(two, tmp_path):
    fewer = evaluation(tmp_path / "fewer", scored(1, 1, 1, 0))
    cell = only(contrast(read_evaluations([two[0], fewer])))[1]
    assert cell.paired == 4 and cell.difference.estimate.value == pytest.approx(-0.25)
    assert cell.apart == ["4 questions in common of 10 and 4"]


def test_a_question_that_wants_something_else_is_no_pair():
    first, other = [row(0), row(1)], [row(0), row(1, gold="7")]
    kept, kept_too, (note,) = pair(first, other)
    assert [one["id"] for one in kept] == [one["id"] for one in kept_too] == ["test-0-000000"]
    assert note.startswith("1 questions of the same name ask or want something else")


def test_nothing_in_common_is_no_difference(two, tmp_path):
    other = evaluation(tmp_path / "other", [row(number) for number in range(50, 60)])
    tables = contrast(read_evaluations([two[0], other]))
    assert only(tables)[1].difference is None and "0 questions in common" in text(tables)


def test_several_answers_to_a_question_are_one_question(two, tmp_path):
    rows = [
        {**row(number, float(number % 2 or sample)), "sample": sample} for number in range(10) for sample in (0, 1)
    ]
    cell = only(contrast(read_evaluations([two[0], evaluation(tmp_path / "twice", rows)])))[1]
    assert cell.questions == cell.paired == 10 and cell.difference.families == 10
    assert cell.difference.estimate.value == pytest.approx(0.75 - 0.6) and "sign flips" in cell.difference.test


def test_a_gold_that_cannot_be_read_earns_nothing(two, tmp_path):
    rows = scored(*[1] * 9) + [row(9, score=None, reason="gold_unparsable")]
    cell = only(contrast(read_evaluations([two[0], evaluation(tmp_path / "gold", rows)])))[1]
    assert cell.difference.estimate.value == pytest.approx(0.9 - 0.6)


def test_all_comparisons_of_a_table_are_corrected_together(two, tmp_path):
    better = evaluation(tmp_path / "better", scored(*[1] * 10))
    cells = only(contrast(read_evaluations([*two, better])))
    # 2 / 16 for the third, of two comparisons.
    assert cells[2].difference.p == pytest.approx(0.125) and cells[2].corrected == pytest.approx(0.25)


def test_several_benchmarks_are_averaged_over_those_that_all_have(two, tmp_path):
    for folder, scores in zip(two, [(1, 0, 0, 0), (1, 1, 1, 0)], strict=True):
        evaluation(folder, scored(*scores), benchmark="gone")
    evaluation(two[0], scored(1, 1), benchmark="alone")
    overall, *tables = contrast(read_evaluations(two))
    assert overall.benchmark == OVERALL and overall.title == "Average of 2 benchmarks"
    assert [cell.accuracy.value for cell in overall.cells] == pytest.approx([(0.6 + 0.25) / 2, (0.8 + 0.75) / 2])
    assert overall.cells[1].difference.estimate.value == pytest.approx((0.2 + 0.5) / 2)
    assert [(table.benchmark, len(table.cells)) for table in tables] == [("toy", 2), ("gone", 2), ("alone", 1)]


def test_the_plots_have_a_point_for_every_model_and_a_line_for_every_stage(training, two):
    evaluations = read_evaluations([two[0], training])
    plots = {plot.name: plot for plot in draw_plots(contrast(evaluations), evaluations)}
    (lengths,), (steps,) = plots["length_toy"].figure.axes, plots["steps_toy"].figure.axes
    dots = [line for line in lengths.lines if line.get_marker() == "o"]
    assert sorted(len(line.get_xdata()) for line in dots) == [1, 4]
    assert [note.get_text() for note in lengths.texts if note.get_text()] == [
        "step 9, stage 1",
        "step 20, stage 2",
        "step 30",
    ]
    assert [line.get_xdata()[0] for line in steps.lines if line.get_linestyle() == "--"] == [10]
    assert all(plot.png().startswith(b"\x89PNG") for plot in plots.values())


# ----- The command


def test_the_command_leaves_a_table_a_page_and_plots(two, tmp_path, capsys):
    assert main([*map(str, two), "--output_dir", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "80.0%" in printed and "+20.0" in printed
    content = json.loads((tmp_path / "out/compare.json").read_text())
    first, second = content["benchmarks"][0]["models"]
    assert first["against_the_first"] is None
    assert second["against_the_first"]["value"] == pytest.approx(0.2) and second["against_the_first"]["n"] == 10
    page = (tmp_path / "out/compare.md").read_text()
    for file in re.findall(r"!\[.*\]\((.*)\)", page):
        assert (tmp_path / "out" / file).is_file()
    assert (tmp_path / "out/compare.html").is_file() and "+20.0" in page


def test_one_evaluation_alone_is_no_comparison(two, tmp_path, capsys):
    assert main([str(two[0]), "--output_dir", str(tmp_path / "out")]) == 2
    assert "one evaluation cannot be compared" in capsys.readouterr().err and not (tmp_path / "out").exists()
