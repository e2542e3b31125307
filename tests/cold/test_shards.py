"""The dataset's files: the same rows whatever they are dealt into, the same bytes every time, and pictures as they came."""

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Image, load_dataset
from PIL import Image as Picture

from open_vr1.cold import gather as gather_module
from open_vr1.cold import shards as shards_module
from open_vr1.cold import store as store_module
from open_vr1.cold.arguments import ColdArguments
from open_vr1.cold.filter import KEPT
from open_vr1.cold.gather import gather
from open_vr1.cold.select import select
from open_vr1.cold.shards import FEATURES, Shards
from open_vr1.cold.store import RowStore
from open_vr1.prompts import build_prompt, format_completion, question_text

ROWS = 260
REJECTED = 30
PROVENANCE = {
    "recipe": "abc",
    "vision": None,
    "reasoner": "toy",
    "prompts": ["reasoning:1", "description:2"],
    "reasoner_saw_answer": False,
}
MARKS = {4: "near_picture: mathvista 7", 150: "same_text: mathverse 8"}


def picture(number: int) -> bytes:
    file = io.BytesIO()
    Picture.new("RGB", (8 + number % 40, 9), (number % 256, 80, 90)).save(file, "PNG")
    return file.getvalue()


def source_row(number: int) -> dict[str, Any]:
    """Of one to three pictures, some of them shown before; with and without choices."""
    shown = [picture(number // 2 + i) for i in range(1 + number % 3)]
    return {
        "id": f"row-{number}",
        "images": [{"bytes": data, "path": f"images/{number}-{i}.png"} for i, data in enumerate(shown)],
        "question": f"In figure {number} {'<image>' * len(shown) * (number % 2)} what is it?",
        "choices": ["cat", "dog"] if number % 5 == 0 else [],
        # Rows without an answer are rejects, and fill a whole part of the gathered rows.
        "answer": "" if 40 <= number < 40 + REJECTED else "B" if number % 5 == 0 else str(number),
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Gathered rows in small parts, of which two in three are kept, and 120 of these selected."""
    folder = tmp_path_factory.mktemp("shards")
    pq.write_table(pa.Table.from_pylist([source_row(i) for i in range(ROWS)]), folder / "rows.parquet")
    (folder / "gather").mkdir()
    args = ColdArguments(
        task="cold",
        output_dir=str(folder),
        sources=[{"name": "toy", "path": str(folder / "rows.parquet"), "license": "mit"}],
        max_bad_rows=0.2,
        target_rows=120,
        rl={"rows": 30},
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gather_module, "PART", 10)
        gather(args, folder / "gather", "cold.yaml", lambda *_: None)
    store = RowStore(folder / "gather")
    kept = [kept_row(row) for row in store if row["index"] % 3]
    pq.write_table(pa.Table.from_pylist(kept, schema=KEPT), folder / "kept.parquet", row_group_size=7)
    select(args, folder / "kept.parquet", store, folder, "cold.yaml")
    return folder


def kept_row(row: dict[str, Any]) -> dict[str, Any]:
    head = {name: row[name] for name in ("index", "id", "source")}
    text = {"thinking": f"I look at {row['id']}.", "stated": row["answer"], "description": f"Of {row['id']}."}
    return {**head, **text, "pass_rate": 0.5 if row["index"] % 2 else None, "sample": 1, "rewordings": 2, "words": 4}


def write(folder: Path, target: Path, shards: int) -> list[dict[str, Any]]:
    target.mkdir(exist_ok=True)
    store = RowStore(folder / "gather")
    made = Shards(target, store, folder / "kept.parquet", folder / "places.npz", MARKS, PROVENANCE, shards)
    return made.write(lambda *_: None)


@pytest.fixture(scope="module")
def written(folder) -> Path:
    write(folder, folder / "three", 3)
    return folder / "three"


def rows_of(target: Path, name: str = "data") -> list[dict[str, Any]]:
    return [row for path in sorted((target / name).glob("*.parquet")) for row in pq.read_table(path).to_pylist()]


def bytes_of(target: Path) -> dict[str, bytes]:
    return {str(path.relative_to(target)): path.read_bytes() for path in target.rglob("*") if path.is_file()}


def test_the_number_of_files_changes_no_row_and_no_place(folder, written, tmp_path):
    for shards in (1, 7, 1000):
        target = tmp_path / str(shards)
        files = write(folder, target, shards)
        assert sum(file["path"].startswith("data/") for file in files) == min(shards, 120)
        assert rows_of(target) == rows_of(written) and rows_of(target, "rl") == rows_of(written, "rl")


def test_rows_are_shuffled_over_all_files(written):
    ids = [int(row["id"].rpartition("-")[2]) for row in rows_of(written)]
    assert len(set(ids)) == 120 and ids != sorted(ids)
    assert max(ids[:40]) > ROWS / 2 and min(ids[:40]) < ROWS / 2


def test_the_same_rows_make_the_same_bytes(folder, written, tmp_path, monkeypatch):
    monkeypatch.setattr(shards_module, "FILES_AT_ONCE", 1)
    write(folder, tmp_path, 3)
    assert bytes_of(tmp_path) == bytes_of(written)


@pytest.mark.parametrize("open_packs", [1, 64])
def test_every_row_is_what_its_source_and_its_chain_say(folder, tmp_path, monkeypatch, open_packs):
    monkeypatch.setattr(store_module, "OPEN_PACKS", open_packs)
    write(folder, tmp_path, 2)
    index = {row["id"]: row["index"] for row in RowStore(folder / "gather")}
    for row in rows_of(tmp_path):
        source = source_row(int(row["id"].rpartition("-")[2]))
        assert row["images"] == source["images"]
        text = question_text(source["question"], source["choices"])
        assert row["prompt"] == build_prompt(text, len(source["images"]))
        (message,) = row["completion"]
        assert message["role"] == "assistant"
        assert message["content"] == [{"type": "text", "text": format_completion(row["thinking"], source["answer"])}]
        for name in ("question", "choices", "answer"):
            assert row[name] == source[name]
        assert row["thinking"] == f"I look at {row['id']}." and row["description"] == f"Of {row['id']}."
        assert (row["source"], row["license"]) == ("toy", "mit")
        assert row["provenance"] == {
            **PROVENANCE,
            "sample": 1,
            "rewordings": 2,
            "pass_rate": 0.5 if index[row["id"]] % 2 else None,
            "marks": [mark] if (mark := MARKS.get(index[row["id"]])) else [],
            "pictures": [hashlib.sha256(shown["bytes"]).hexdigest() for shown in source["images"]],
        }


def test_rows_for_reinforcement_learning_say_whether_they_are_in_the_dataset_too(written):
    rows, default = rows_of(written, "rl"), {row["id"] for row in rows_of(written)}
    assert len(rows) == 30
    for row in rows:
        assert row["in_default"] == (row["id"] in default)
        assert row["kind"] == ("choice" if row["choices"] else "number")


def test_groups_are_small(folder, written, tmp_path, monkeypatch):
    def groups(path: Path) -> list[int]:
        metadata = pq.read_metadata(path)
        return [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]

    write(folder, tmp_path / "one", 1)
    assert groups(tmp_path / "one" / "data" / "train-00000-of-00001.parquet") == [100, 20]
    # The Hub's viewer shows no group of 300 MB: large pictures make smaller groups, down to one row.
    monkeypatch.setattr(shards_module, "GROUP_BYTES", 300)
    write(folder, tmp_path / "large", 1)
    path = tmp_path / "large" / "data" / "train-00000-of-00001.parquet"
    sizes = groups(path)
    assert sum(sizes) == 120 and max(sizes) < 20
    start, lengths = 0, [sum(len(one["bytes"]) for one in row["images"]) for row in pq.read_table(path).to_pylist()]
    for size in sizes:
        assert size == 1 or sum(lengths[start : start + size]) <= 300
        assert sum(lengths[start : start + size + 1]) > 300 or start + size == 120
        start += size
    assert rows_of(tmp_path / "large") == rows_of(written)


def test_the_records_say_what_the_files_are(folder, written):
    files = write(folder, written, 3)
    assert [file["path"] for file in files] == [
        *(f"data/train-0000{i}-of-00003.parquet" for i in range(3)),
        *(f"rl/train-0000{i}-of-00004.parquet" for i in range(4)),
    ]
    for file in files:
        data = (written / file["path"]).read_bytes()
        assert (file["bytes"], file["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
        assert file["rows"] == pq.read_metadata(written / file["path"]).num_rows


def test_a_killed_step_goes_on_with_the_files_that_are_missing(folder, written, tmp_path):
    whole = bytes_of(written)
    write(folder, tmp_path, 3)
    # Killed while one was written, and after another one had got its name.
    (tmp_path / "default-00001.json").unlink()
    draft = tmp_path / "data" / "train-00001-of-00003.parquet"
    draft.rename(draft.with_name(f".{draft.name}.draft")).write_bytes(b"PAR1 half")
    (tmp_path / "rl-00002.json").unlink()
    (tmp_path / "rl-00002.bucket").write_bytes(b"half")
    others = {
        path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.parquet") if "00002-of-00004" not in path.name
    }
    write(folder, tmp_path, 3)
    assert bytes_of(tmp_path) == whole
    assert {path: path.stat().st_mtime_ns for path in others} == others


def test_a_finished_step_writes_nothing(folder, written):
    before = {path: path.stat().st_mtime_ns for path in written.rglob("*")}
    write(folder, written, 3)
    assert {path: path.stat().st_mtime_ns for path in written.rglob("*")} == before


def test_a_pack_that_was_cut_leaves_no_file(folder, tmp_path):
    (tmp_path / "gather").mkdir()
    for path in (folder / "gather").iterdir():
        (tmp_path / "gather" / path.name).write_bytes(path.read_bytes()[: 10 if path.suffix == ".pack" else None])
    for name in ("kept.parquet", "places.npz"):
        (tmp_path / name).symlink_to(folder / name)
    with pytest.raises(OSError, match=r"pictures-\d+\.pack ends before the picture at \d+; delete "):
        write(tmp_path, tmp_path / "out", 1)
    assert not list((tmp_path / "out").rglob("*train-00000-of-00001.parquet*"))


@pytest.mark.parametrize(("config", "name"), [("default", "data"), ("rl", "rl")])
def test_load_dataset_knows_the_columns_and_decodes_the_pictures(written, tmp_path, config, name):
    files = str(written / name / "*.parquet")
    loaded = load_dataset("parquet", data_files=files, split="train", cache_dir=str(tmp_path))
    assert loaded.features == FEATURES[config]
    schema = pq.read_schema(next((written / name).glob("*.parquet")))
    assert json.loads(schema.metadata[b"huggingface"])["info"]["features"]["images"]["feature"]["_type"] == "Image"
    raw = loaded.cast_column("images", [Image(decode=False)])
    for row, with_bytes in zip(loaded, raw, strict=True):
        assert len(row["images"]) == len(with_bytes["images"])
        for shown, file in zip(row["images"], with_bytes["images"]):
            assert shown.size == Picture.open(io.BytesIO(file["bytes"])).size
