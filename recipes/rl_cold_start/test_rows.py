"""Rows from a teacher's answers: right tries only, wrong ones without their box, bad folders refused."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from datasets import load_dataset

from open_vr1.data import load_rows
from open_vr1.errors import UserError
from open_vr1.evals.records import SCHEMA, write_samples
from open_vr1.functions import find_function
from open_vr1.recipe_arguments import SFTArguments
from open_vr1.recipe_file import read_file
from open_vr1.rewards.answers import boxed

FOLDER = Path(__file__).parent
EXAMPLES = FOLDER / "examples" / "grpo_7b.jsonl"
AREA, SINE, DIAMETER, TUESDAY = 1, 2, 4, 5


@pytest.fixture(autouse=True)
def from_the_repository(monkeypatch):
    monkeypatch.chdir(FOLDER.parent.parent)


@pytest.fixture
def build():
    """As the recipes name it."""
    return find_function(read_file(FOLDER / "sft_3b_reflection.yaml").values["build"][0]["with"])


@pytest.fixture
def answers(tmp_path):
    """What an evaluation of the example rows leaves, with tries written by hand."""
    tries = {
        AREA: [("6 times 8: \\boxed{48}", "wrong"), ("half of 6 times 8: \\boxed{24}", "correct")],
        SINE: [("\\boxed{0.8}", "wrong"), ("I see no number.", "no_answer_block")],
        DIAMETER: [("twice 5: \\boxed{B}", "correct"), ("2 r: \\boxed{B}", "correct")],
        TUESDAY: [("7 - 3 is", "no_answer_block"), ("\\boxed{4}", "correct")],
    }
    return write_answers(tmp_path / "answers", tries)


def write_answers(folder, tries, clipped=()):
    questions = [json.loads(line)["problem"] for line in EXAMPLES.read_text().splitlines()]
    empty = dict.fromkeys(SCHEMA.names)
    rows = [
        empty
        | {"row": row, "sample": i, "question": questions[row], "completion": text, "reason": reason}
        | {"score": float(reason == "correct"), "clipped": (row, i) in clipped}
        for row, texts in tries.items()
        for i, (text, reason) in enumerate(texts)
    ]
    write_samples(folder, "questions", reversed(rows))
    results = {"dataset": str(EXAMPLES), "split": "train", "dataset_revision": None}
    (folder / "results.json").write_text(json.dumps({"benchmarks": [results]}))
    return folder


def built(build, folder, answers, pattern):
    folder.mkdir()
    build(folder, answers=str(answers), pattern=pattern)
    rows = load_dataset("parquet", data_files=str(folder / "train.parquet"), split="train")
    return {row["problem"].removeprefix("<image>"): row for row in rows}


def test_the_first_right_try_of_a_question_makes_its_row(build, answers, tmp_path):
    rows = built(build, tmp_path / "rows", answers, "first_right")
    assert [row["answer"] for row in rows.values()] == [
        "half of 6 times 8: \\boxed{24}",
        "twice 5: \\boxed{B}",
        "\\boxed{4}",
    ]


def test_a_row_has_the_picture_of_its_question_inside(build, answers, tmp_path):
    built(build, tmp_path / "rows", answers, "first_right")
    asked = [json.loads(line) for line in EXAMPLES.read_text().splitlines()]
    rows = pq.read_table(tmp_path / "rows" / "train.parquet").to_pylist()
    assert len(rows) == 3
    for row in rows:
        (name,) = next(one["images"] for one in asked if one["problem"] == row["problem"])
        assert row["images"][0]["bytes"] == (EXAMPLES.parent / name).read_bytes()


def test_reflection_joins_a_wrong_try_and_a_right_one_with_one_box(build, answers, tmp_path):
    rows = built(build, tmp_path / "rows", answers, "reflection")
    (row,) = rows.values()
    assert row["answer"].startswith("6 times 8: 48\n\n")
    assert row["answer"].endswith("\n\nhalf of 6 times 8: \\boxed{24}")
    assert [content for _, _, content in boxed(row["answer"])] == ["24"]


def test_a_try_that_was_cut_off_is_not_learnt(build, tmp_path):
    tries = {AREA: [("24, so \\boxed{24} and", "correct"), ("\\boxed{24}", "correct")]}
    answers = write_answers(tmp_path / "answers", tries, clipped={(AREA, 0)})
    (row,) = built(build, tmp_path / "rows", answers, "first_right").values()
    assert row["answer"] == "\\boxed{24}"


def test_rows_that_are_not_those_that_were_asked_are_refused(build, answers, tmp_path):
    moved = write_answers(tmp_path / "moved", {AREA: [("\\boxed{24}", "correct")]})
    lines = EXAMPLES.read_text().splitlines()
    (tmp_path / "other.jsonl").write_text("\n".join(lines[1:]))
    results = {"dataset": str(tmp_path / "other.jsonl"), "split": "train", "dataset_revision": None}
    (moved / "results.json").write_text(json.dumps({"benchmarks": [results]}))
    with pytest.raises(UserError, match="row 1 is not what was asked there"):
        built(build, tmp_path / "rows", moved, "first_right")


def test_answers_of_which_none_fits_are_refused(build, tmp_path):
    answers = write_answers(tmp_path / "answers", {SINE: [("\\boxed{0.8}", "wrong")]})
    with pytest.raises(UserError, match="no question has tries for first_right"):
        built(build, tmp_path / "rows", answers, "first_right")


def test_a_folder_without_answers_is_refused_with_what_to_run(build, tmp_path):
    with pytest.raises(UserError, match="run make evaluate first"):
        built(build, tmp_path / "rows", tmp_path / "nothing", "first_right")


def test_an_unknown_pattern_is_refused_with_those_that_there_are(build, answers, tmp_path):
    with pytest.raises(UserError, match="there are first_right and reflection"):
        built(build, tmp_path / "rows", answers, "aha")


def test_every_pattern_recipe_learns_from_rows_that_its_own_build_makes():
    for file in FOLDER.glob("sft_3b_*.yaml"):
        values = read_file(file).values
        teacher = Path(values["build"][0]["args"]["answers"])
        assert [entry["path"] for entry in values["datasets"]] == [entry["path"] for entry in values["build"]]
        assert read_file(FOLDER / f"{teacher.name}.yaml").values["output_dir"] == str(teacher)


def test_the_pattern_recipes_differ_from_the_released_cold_start_in_their_rows_alone():
    released = read_file(FOLDER / "sft_3b.yaml").values
    theirs = {"build", "datasets", "output_dir", "hub_model_id"}
    for file in FOLDER.glob("sft_3b_*.yaml"):
        values = read_file(file).values
        assert {key for key in {*values, *released} if values.get(key) != released.get(key)} == theirs


def test_built_rows_are_read_as_the_recipe_reads_the_released_ones(build, answers, tmp_path):
    built(build, tmp_path / "rows", answers, "reflection")
    values = read_file(FOLDER / "sft_3b_reflection.yaml").values
    own = {key: values[key] for key in ("columns", "system_prompt")}
    (row,) = load_rows(SFTArguments(task="sft", datasets=[{"path": str(tmp_path / "rows")}], **own))
    said = [part["type"] for message in row["prompt"] for part in message["content"]]
    assert said == ["text", "image", "text"]
    assert row["completion"][0]["content"][0]["text"].endswith("\\boxed{24}")
