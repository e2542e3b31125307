"""Sources of rows with a column for each field: parquet, saved datasets, folders, streams; and what is refused."""

import pyarrow as pa
import pytest
from datasets import Dataset, Features, Image, List, Value
from pyarrow import parquet

from open_vr1.cold.rows import BadRow
from open_vr1.cold.sources import check_source, read_source
from open_vr1.errors import UserError
from tests.cold.releases import picture, write_json, write_lines

WHERE = "cold.yaml: sources[0]: test"


def geometry3k(count: int = 3) -> Dataset:
    rows = [
        {"images": [{"bytes": picture(i), "path": None}], "problem": "<image>Find x.", "answer": str(i)}
        for i in range(count)
    ]
    features = Features({"images": List(Image()), "problem": Value("string"), "answer": Value("string")})
    return Dataset.from_list(rows, features=features)


def answers(entry: dict) -> list[tuple[str, str, bytes]]:
    entry = {"name": "test", **entry}
    check_source(entry, WHERE)
    return [(row.question, row.answer, row.pictures[0].read()) for row in read_source(entry, WHERE)]


EXPECTED = [("Find x.", str(i), picture(i)) for i in range(3)]


def test_geometry3k_is_read_the_same_from_wherever_it_is(tmp_path, monkeypatch):
    (tmp_path / "folder/data").mkdir(parents=True)
    geometry3k().to_parquet(tmp_path / "folder/data/train-00000-of-00001.parquet")
    geometry3k(1).to_parquet(tmp_path / "folder/data/test-00000-of-00001.parquet")
    geometry3k().save_to_disk(tmp_path / "saved")
    assert answers({"path": str(tmp_path / "folder/data/train-00000-of-00001.parquet")}) == EXPECTED
    assert answers({"path": str(tmp_path / "folder")}) == EXPECTED
    assert answers({"path": str(tmp_path / "folder"), "split": "test"}) == EXPECTED[:1]
    assert answers({"path": str(tmp_path / "folder"), "data_files": "**/train*.parquet", "limit": 2}) == EXPECTED[:2]
    assert answers({"path": str(tmp_path / "saved")}) == EXPECTED
    assert answers({"path": str(tmp_path / "folder"), "config": "default"}) == EXPECTED
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", False)
    assert answers({"path": str(tmp_path / "folder"), "config": "default"}) == EXPECTED


@pytest.mark.parametrize("kind", ["struct", "bytes", "path", "list"])
def test_pictures_of_parquet_are_read_in_every_shape(tmp_path, kind):
    (tmp_path / "1.png").write_bytes(picture(1))
    values = {
        "struct": {"bytes": picture(1), "path": "coco/1.png"},
        "bytes": picture(1),
        "path": "1.png",
        "list": [{"bytes": None, "path": "1.png"}],
    }
    rows = [{"image": values[kind], "query": "Q?", "solution": "1"}] * 40
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
    assert answers({"path": str(tmp_path / "rows.parquet")}) == [("Q?", "1", picture(1))] * 40


def test_columns_licences_and_subsets_are_taken_from_where_the_recipe_says(tmp_path):
    (tmp_path / "1.png").write_bytes(b"1")
    row = {"uid": 7, "file": "1.png", "q": "Q?", "gold": "1", "kind": "IconQA", "chain": "So 1.", "rate": 0.25}
    write_lines(tmp_path / "rows.jsonl", [row, {**row, "uid": 8, "kind": "Other"}, {**row, "uid": 9, "terms": "mit"}])
    columns = {"id": "uid", "images": "file", "question": "q", "answer": "gold", "subset": "kind", "original": "chain"}
    columns |= {"pass_rate": "rate", "license": "terms"}
    entry = {"name": "test", "path": str(tmp_path / "rows.jsonl"), "columns": columns}
    rows = list(read_source(entry, WHERE))
    assert [row.id for row in rows] == ["7", "8", "9"]
    assert [row.subset for row in rows] == ["iconqa", "other", "iconqa"]
    assert [row.license for row in rows] == ["cc-by-nc-sa-4.0", "unknown", "mit"]
    assert (rows[0].original, rows[0].pass_rate) == ("So 1.", 0.25)
    by_subset = read_source({**entry, "license": {"Other": "cc0-1.0", "*": "cc-by-4.0"}}, WHERE)
    assert [row.license for row in by_subset] == ["cc-by-4.0", "cc0-1.0", "mit"]


def test_a_conversation_in_parquet_is_a_chat(tmp_path):
    turns = [{"from": "human", "value": "<image>\nQ?"}, {"from": "gpt", "value": "<CONCLUSION> 1 </CONCLUSION>"}]
    rows = [{"id": "a", "image": picture(1), "conversations": turns}]
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
    assert answers({"path": str(tmp_path / "rows.parquet")}) == [("Q?", "1", picture(1))]


def test_what_cannot_work_is_refused_with_the_key_and_what_to_write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    rows = [{"image": "1.png", "question": "Q?", "answer": "1"}]
    write_json(tmp_path / "rows.json", rows)
    write_json(tmp_path / "none.json", [])
    (tmp_path / "rows.csv").write_text("a,b\n")
    (tmp_path / "empty.json").write_text("")
    (tmp_path / "cut.parquet").write_bytes(b"PAR1 and no more")
    (tmp_path / "cut.json").write_text('[{"image": "1.p')
    (tmp_path / "folder").mkdir()
    write_lines(tmp_path / "folder/rows.jsonl", rows)
    geometry3k().save_to_disk(tmp_path / "saved")
    for entry, message in [
        ({"path": "gone/rows.json"}, "path: gone/rows.json: there is no such file or folder; check the path"),
        ({"path": "rows.csv"}, "path: rows.csv: .csv is not read; write a .parquet"),
        ({"path": "empty.json"}, "empty.json: this file is empty"),
        ({"path": "none.json"}, r"columns: there is no column for images"),
        ({"path": "cut.parquet"}, "cut.parquet: this parquet file is not whole"),
        ({"path": "cut.json"}, "cut.json: the file ends in the middle of row 0"),
        ({"path": "folder"}, "folder: it has no train.parquet.*write data_files: rows.jsonl"),
        ({"path": "someone/never-made"}, "HF_HUB_OFFLINE"),
        ({"path": "rows.json", "columns": {"picture": "image"}}, "columns: picture: .*nearest is"),
        (
            {"path": "rows.json", "columns": {"images": "img"}},
            "columns: images: there is no column img; write one of image,",
        ),
        ({"path": "rows.json", "format": "chat"}, r"no column for conversations \(format: chat\)"),
        ({"path": "rows.json", "limit": 0}, "limit: 0 leaves no row"),
        ({"path": "rows.json"}, "none of the first 1 rows can be used .1 missing_picture.: 1.png is not in"),
    ]:
        with pytest.raises(UserError, match=rf"cold.yaml: sources\[0\]: test: .*{message}"):
            check_source({"name": "test", **entry}, WHERE)


def test_the_limit_counts_bad_rows_so_that_reports_add_up(tmp_path):
    (tmp_path / "1.png").write_bytes(b"1")
    row = {"image": "1.png", "question": "Q?", "answer": "1"}
    write_lines(tmp_path / "rows.jsonl", [row, {**row, "answer": ""}, row, row])
    rows = list(read_source({"name": "test", "path": str(tmp_path / "rows.jsonl"), "limit": 3}, WHERE))
    assert [isinstance(row, BadRow) for row in rows] == [False, True, False]
