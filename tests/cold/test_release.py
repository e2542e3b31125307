"""`recipes/cold_200k/from_release.yaml` on a small release in the exact released layouts, with archives of pictures."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from open_vr1.cold.run import ColdRun
from tests.cold.releases import write_release
from tests.cold.small import run

RECIPES = Path("recipes/cold_200k")


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> ColdRun:
    """The recipe as it is, but for where things are and for limits that ten short rows cannot meet."""
    folder = tmp_path_factory.mktemp("release")
    release = write_release(folder)
    recipe = yaml.safe_load((RECIPES / "from_release.yaml").read_text())
    for entry, made in zip(recipe["sources"], (release.llava_cot, release.mulberry), strict=True):
        entry |= {"path": made["path"], "pictures": made["pictures"]}
    recipe |= {
        "output_dir": str(folder / "dataset"),
        "max_bad_rows": 0.6,
        "decontaminate": None,
        "rule_options": {"length": {"min_words": 5}},
    }
    (folder / "from_release.yaml").write_text(yaml.safe_dump(recipe))
    return run(folder / "from_release.yaml")


@pytest.fixture(scope="module")
def rows(finished) -> dict[str, dict]:
    tables = [pq.read_table(path) for path in sorted((finished.folder / "data").glob("*.parquet"))]
    return {row["question"]: row for table in tables for row in table.to_pylist()}


def test_both_layouts_become_one_dataset(rows):
    """Two column names, two pairs of roles, three ways to write an answer."""
    assert {question: (row["source"], row["answer"]) for question, row in rows.items()} == {
        "How many circles are there?": ("llava_cot/coco", "3"),
        "Which is higher?": ("llava_cot/sqa", "B"),
        "What is the area?": ("llava_cot/geoqa+", "12"),
        "Find x.": ("mulberry/geoqa_plus", "C"),
        "How high is the blue bar?": ("mulberry/dvqa", "4"),
        "Find y.": ("mulberry/geo3k", "A"),
    }
    assert rows["Find x."]["choices"] == ["30°", "45°", "60°", "90°"]


def test_the_released_chains_are_kept_word_for_word(rows):
    for row in rows.values():
        assert row["thinking"] == "Hmm, let me look. Wait, I should check. So that is it."
        text = row["completion"][0]["content"][0]["text"]
        assert text == f"<think> {row['thinking']} </think><answer> Final Answer:{row['answer']} </answer>"


def test_the_pictures_are_inside(rows):
    assert all(row["images"][0]["bytes"].startswith(b"\x89PNG") for row in rows.values())
    assert rows["Find x."]["images"][0]["path"] == "mulberry_images/geoqa_plus/images/12.png"


def test_what_cannot_be_used_is_listed(finished):
    assert finished.counts("gather")["rejected"] == {
        "duplicate_id": 1,
        "missing_picture": 1,
        "corrupt_picture": 1,
        "no_answer": 1,
        "no_such_choice": 1,
    }


def test_nobody_was_asked(finished, rows):
    assert not (finished.build / "describe").exists()
    provenance = rows["Find x."]["provenance"]
    assert (provenance["vision"], provenance["reasoner"], provenance["prompts"]) == (None, None, [])
