"""The source of a cold start: the world's good rows, and faulty ones that are faulty as they are said to be."""

import io
from collections import Counter

import pytest
from datasets import load_dataset
from PIL import Image

from open_vr1.toy import world
from open_vr1.toy.cold_source import build, rows_and_faults
from open_vr1.toy.teacher import read_rows

SHARES = {
    "duplicates": 0.05,
    "near_duplicates": 0.1,
    "missing_pictures": 0.05,
    "corrupt_pictures": 0.1,
    "no_answer": 0.05,
}


def is_whole(picture):
    try:
        Image.open(io.BytesIO(picture)).load()
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def rows():
    return list(world.rows("train", 400, seed=3))


def test_the_good_rows_of_a_source_are_the_worlds(rows):
    made = list(rows_and_faults(3, 400, **SHARES))
    assert [row for row, fault in made if fault is None] == rows
    assert Counter(fault for _, fault in made if fault) == {name: share * 400 for name, share in SHARES.items()}


def test_faulty_rows_are_faulty_as_they_are_said_to_be():
    met, asked_before = set(), set()
    for row, fault in rows_and_faults(3, 400, **SHARES):
        picture = row["images"][0]["bytes"] if row["images"] else None
        plain = "".join(filter(str.isalpha, row["question"].lower().removeprefix("question:")))
        assert (row["id"] in met) == (fault == "duplicates")
        assert (picture is None) == (fault == "missing_pictures")
        assert picture is None or is_whole(picture) == (fault != "corrupt_pictures")
        assert (row["answer"] == "") == (fault == "no_answer")
        if fault == "near_duplicates":
            assert (picture, plain) in asked_before and (picture, row["question"]) not in asked_before
        met.add(row["id"])
        asked_before |= {(picture, plain), (picture, row["question"])}


def test_a_source_is_read_by_datasets_and_by_the_teacher(tmp_path):
    build(tmp_path, seed=3, rows=60, **SHARES)
    expected = [row for row, _ in rows_and_faults(3, 60, **SHARES)]
    assert read_rows(tmp_path) == read_rows(tmp_path / "rows.parquet") == expected
    assert load_dataset("parquet", data_files=str(tmp_path / "rows.parquet"), split="train").num_rows == len(expected)
