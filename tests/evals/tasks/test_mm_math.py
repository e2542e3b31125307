"""MM-Math, on rows whose format nobody could verify here: the columns that VLMEvalKit's scorer reads."""

import csv

import pytest
from datasets import load_dataset

from open_vr1.errors import UserError
from open_vr1.evals.benchmark import messages
from open_vr1.evals.registry import benchmark, resolve

from .rows import UNREADABLE, figure_of, mm_math_row, picture, said

MM_MATH = benchmark("mm_math")


def verdict(answer: str, gold: object = "\\boxed{5}"):
    return MM_MATH.score(said(answer), MM_MATH.read(mm_math_row(answer=gold)), None)


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("5", "\\boxed{5}"),
        ("5.01", "\\boxed{5}"),
        ("5 cm", "By Pythagoras, $AC=\\sqrt{9+16}$, so $\\boxed{5\\text{ cm}}$."),
        ("5", "The length is $3$ less.\nSo $AC=5$."),
        ("5", 5),
        ("36", "36^\\circ"),
        ("36°", "\\boxed{36^{\\circ}}"),
        ("2.83", "\\boxed{2\\sqrt{2}}"),
        ("\\sqrt{8}", "\\boxed{2\\sqrt{2}}"),
        ("3 or 4", "\\boxed{3} or \\boxed{4}"),
        ("4, 3", "$x_1$ and $x_2$.\n$3$ and $4$"),
        ("0.5", "\\boxed{50\\%}"),
        ("0.005", "\\boxed{0}"),
        ("y=x+1", "\\boxed{y=x+1}"),
    ],
)
def test_right_answers(answer, gold):
    assert verdict(answer, gold).score == 1


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("5.02", "\\boxed{5}"),
        ("500", "\\boxed{5}"),  # The authors' rule takes a hundredfold for a percentage.
        ("0", "\\boxed{1}"),  # And so 0, which is 0.01 from the hundredth of 1.
        ("5 m", "\\boxed{5\\text{ cm}}"),
        ("3", "\\boxed{3} or \\boxed{4}"),
        ("2.85", "\\boxed{2\\sqrt{2}}"),
    ],
)
def test_wrong_answers(answer, gold):
    assert verdict(answer, gold).score == 0


@pytest.mark.parametrize("gold", ["\\boxed{}", ""])
def test_a_gold_that_cannot_be_compared_with_is_not_scored(gold):
    assert (verdict("5", gold).score, verdict("5", gold).reason) == (None, "gold_unparsable")


@pytest.mark.parametrize("case", UNREADABLE)
def test_an_answer_that_cannot_be_read_is_wrong(case):
    completion, truncated, reason = UNREADABLE[case]
    verdict = MM_MATH.score(completion, MM_MATH.read(mm_math_row()), truncated)
    assert (verdict.score, verdict.reason) == (0.0, reason)


def test_the_figures_are_means_by_difficulty_grade_and_knowledge():
    rows = [
        (1, mm_math_row()),
        (0, mm_math_row(difficulty="hard", year="nine", knowledge_l1="Functions")),
        (1, mm_math_row(difficulty="hard", year="eight")),
    ]
    asked = [MM_MATH.read({**row, "index": number}).outcome(score) for number, (score, row) in enumerate(rows)]
    by_hand = {
        "accuracy": 2 / 3,
        "easy": 1 / 1,
        "medium": None,
        "hard": 1 / 2,
        "grade_seven": None,
        "grade_eight": 2 / 2,
        "grade_nine": 0 / 1,
        "transformations_of_shapes": None,
        "properties_of_shapes": 2 / 2,
        "functions": 0 / 1,
    }
    assert {name: figure_of(MM_MATH, name, asked) for name in MM_MATH.figures} == by_hand


def test_a_table_with_pictures_in_base64_is_asked_with_them(tmp_path):
    file = tmp_path / "MM-Math.tsv"
    rows = [mm_math_row(), mm_math_row(index=1, question="Two lines:\n$AB$ and\t$CD$. Which angle?", answer="36")]
    with file.open("w", newline="") as opened:
        table = csv.DictWriter(opened, rows[0], delimiter="\t")
        table.writeheader()
        table.writerows(rows)
    moved = resolve({"name": "mm_math", "path": str(file)}).loaded_from
    there = resolve("mm_math").loaded_from
    assert moved["dataset_path"] == there["dataset_path"]
    assert moved["dataset_kwargs"] == {**there["dataset_kwargs"], "data_files": {"test": str(file)}}
    read = load_dataset(moved["dataset_path"], cache_dir=str(tmp_path), **moved["dataset_kwargs"])["test"]
    for row, written in zip(read, rows, strict=True):
        assert MM_MATH.read(row) == MM_MATH.read(written)
        (message,) = messages(MM_MATH.read(row), MM_MATH.pictures(row))
        assert message["content"][0]["url"].getpixel((0, 0)) == (255, 0, 0)


def test_rows_with_pictures_in_them_or_without_any_are_asked_too():
    assert MM_MATH.pictures(mm_math_row(image=picture("blue")))[0].getpixel((0, 0)) == (0, 0, 255)
    assert MM_MATH.pictures(mm_math_row(image=None)) == []


@pytest.mark.parametrize("image", ["17", "images/17.png", "Tm8gcGljdHVyZQ=="])
def test_what_is_no_picture_is_named(image):
    with pytest.raises(UserError, match=r"row 3.*mm_math\.yaml"):
        MM_MATH.pictures(mm_math_row(index=3, image=image))
