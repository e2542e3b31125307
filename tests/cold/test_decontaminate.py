"""Rows that a benchmark has are found by pictures and by wording, others are not, however they come."""

import importlib.util
import json
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset, Features, Image, List, Value, load_dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from open_vr1.cold.decontaminate import index as benchmark_index
from open_vr1.cold.decontaminate.benchmarks import Benchmark, read_benchmarks
from open_vr1.cold.decontaminate.index import SCHEMA, Index, build_index, look_row
from open_vr1.cold.decontaminate.matches import Decontamination, Match, Row, decontaminate, summarise
from open_vr1.cold.decontaminate.ngrams import fingerprint
from open_vr1.cold.hashes import Look, look_at
from open_vr1.errors import UserError
from open_vr1.toy import scenes

spec = importlib.util.spec_from_file_location("cold_pictures", Path("benchmarks/cold_pictures.py"))
drawings = importlib.util.module_from_spec(spec)
spec.loader.exec_module(drawings)

LONG = "The two chords AB and CD of the circle meet at the point P so that AP is {} and PB is 6, find the length of CP"
DEFAULTS = Decontamination()


def index_of(rows: list[tuple[str, str, list[Look]]], name: str = "mathvista") -> Index:
    return Index.of(pa.Table.from_pylist([look_row(*row) for row in rows], SCHEMA), name)


def only(rows: list[Row], indexes: list[Index], options: Decontamination = DEFAULTS) -> list[Match | None]:
    """The single match of each row."""
    verdicts = list(decontaminate(rows, indexes, options))
    assert all(len(verdict.matches) <= 1 for verdict in verdicts)
    return [verdict.matches[0] if verdict.matches else None for verdict in verdicts]


def look_of(picture: Any) -> Look:
    return look_at(drawings.as_png(picture))


@pytest.fixture(scope="module")
def pictures() -> dict[str, list]:
    """A few pictures of each kind, none of them twice."""
    drawn = {kind: [draw(random.Random(f"{kind} {i}")) for i in range(6)] for kind, draw in drawings.KINDS.items()}
    chance = random.Random(0)
    drawn["scenes"] = [scenes.draw(scenes.make_scene(kind, 3, chance)).convert("RGB") for kind in scenes.KINDS]
    return drawn


@pytest.mark.parametrize("copy", ["JPEG 30", "JPEG 95", "0.3 x", "0.5 x, JPEG 50", "2 x", "blurred"])
def test_a_copy_is_found_and_nothing_else_is(pictures, copy):
    for kind in set(drawings.KINDS) - {"centred figures"}:
        index = index_of([(f"test/{i}", "", [look_of(picture)]) for i, picture in enumerate(pictures[kind])])
        chance = random.Random(0)
        rows = [
            Row(str(i), "", [look_at(drawings.COPIES[copy](picture, chance))])
            for i, picture in enumerate(pictures[kind])
        ]
        found = only(rows, [index])
        assert [match and match.benchmark_row for match in found] == [f"test/{i}" for i in range(len(rows))], kind
        assert {match.kind for match in found} == {"near_picture"}


def test_figures_that_are_their_own_mirror_image_are_found_mostly(pictures):
    index = index_of([(f"test/{i}", "", [look_of(picture)]) for i, picture in enumerate(pictures["centred figures"])])
    rows = [Row("", "", [look_at(drawings.as_jpeg(picture, 75))]) for picture in pictures["centred figures"]]
    assert sum(match is not None for match in only(rows, [index])) >= 5


def test_slightly_cut_copies_are_found_mostly(pictures):
    for kind in ("line drawings", "bar charts", "pages of text", "photographs"):
        index = index_of([(f"test/{i}", "", [look_of(picture)]) for i, picture in enumerate(pictures[kind])])
        rows = [
            Row("", "", [look_of(drawings.cropped(one, 0.01, random.Random(i)))])
            for i, one in enumerate(pictures[kind])
        ]
        assert sum(match is not None for match in only(rows, [index])) >= 5, kind


def test_the_same_picture_in_another_format_is_the_same(pictures):
    for group in pictures.values():
        index = index_of([(f"test/{i}", "", [look_of(picture)]) for i, picture in enumerate(group)])
        rows = [Row("a", "", [look_at(drawings.as_png(picture, compress_level=9))]) for picture in group]
        found = only(rows, [index])
        assert [(match.kind, match.benchmark_row) for match in found] == [
            ("same_picture", f"test/{i}") for i in range(len(rows))
        ]


def test_different_pictures_of_a_kind_are_kept(pictures):
    for kind, group in pictures.items():
        index = index_of([(f"test/{i}", "", [look_of(picture)]) for i, picture in enumerate(group[::2])])
        assert only([Row("a", "", [look_of(picture)]) for picture in group[1::2]], [index]) == [None] * len(
            group[1::2]
        ), kind


def test_blank_pictures_match_nothing():
    blank = look_of(drawings.Image.new("RGB", (300, 200), "white"))
    index = index_of([("test/0", "", [blank])])
    assert only([Row("a", "", [blank])], [index]) == [None]


def test_a_stretched_picture_is_another(pictures):
    picture = pictures["line drawings"][0]
    index = index_of([("test/0", "", [look_of(picture)])])
    wide = picture.resize((picture.width * 2, picture.height))
    assert only([Row("a", "", [look_of(wide)])], [index]) == [None]
    assert only([Row("a", "", [look_of(wide)])], [index], Decontamination(near_shape=3))[0].kind == "near_picture"


def test_any_picture_of_a_row_with_any_of_a_benchmark_row(pictures):
    first, second, third = (look_of(picture) for picture in pictures["bar charts"][:3])
    index = index_of([("test/0", "", []), ("test/7", "", [first, second])])
    assert only([Row("a", "", [third, second]), Row("b", "", [third]), Row("c", "")], [index]) == [
        Match("same_picture", "mathvista", "test/7"),
        None,
        None,
    ]


def test_the_action_is_the_strongest_and_the_evidence_names_all(pictures):
    picture = pictures["photographs"][0]
    indexes = [
        index_of([("testmini/512", LONG.format(4), [look_of(picture)])]),
        index_of([("test/1", LONG.format(4), [])], "mathverse"),
    ]
    row = Row("a", LONG.format(4), [look_at(drawings.as_jpeg(picture, 40))])
    [verdict] = decontaminate([row], indexes)
    assert verdict.action == "drop" and [match.kind for match in verdict.matches] == [
        "near_picture",
        "same_text",
        "same_text",
    ]
    near, text, other = verdict.evidence.split("; ")
    assert near.startswith("near_picture: mathvista testmini/512, distance ") and near.endswith(" of 256")
    count = len(fingerprint(LONG.format(4)).ngrams)
    assert text == f"same_text: mathvista testmini/512, {count} of {count} n-grams"
    assert other.startswith("same_text: mathverse test/1, ")
    marked = Decontamination(near_picture="off")
    assert [verdict.action for verdict in decontaminate([row], indexes, marked)] == ["mark"]
    off = Decontamination(same_picture="off", near_picture="off", same_text="off")
    assert [(verdict.action, verdict.evidence) for verdict in decontaminate([row], indexes, off)] == [("keep", "")]
    # With the exact kind off a copy is still near.
    same = Row("b", "", [look_of(picture)])
    assert only([same], indexes, Decontamination(same_picture="off"))[0].distance_fine == 0


@pytest.mark.parametrize(
    ("question", "row"),
    [
        (LONG.format(4), "test/1"),
        (LONG.format(4).upper().replace("the", "$the$") + "!", "test/1"),
        ("Look at the picture. " + LONG.format(4) + " and say why", "test/1"),
        (LONG.format(5), None),
        (LONG.format(4)[:60] + " quite another end of what was a question once upon a time, was it not", None),
        ("Find x", None),
        ("", None),
    ],
)
def test_wording(question, row):
    index = index_of(
        [
            ("test/0", "What is the sum of the first ten even numbers after one hundred?", []),
            ("test/1", LONG.format(4), []),
        ]
    )
    options = Decontamination(text_share=0.7)
    [match] = only([Row("a", question)], [index], options)
    assert (match and match.benchmark_row) == row
    if match:
        assert match.kind == "same_text" and match.shared >= 0.7 * match.ngrams


def test_a_short_question_counts_with_a_near_picture_only(pictures):
    mine, other = pictures["line drawings"][:2]
    index = index_of(
        [
            ("test/0", "Find x.", [look_of(other)]),
            ("test/1", "find x", [look_of(mine)]),
            ("test/2", "Find y.", [look_of(mine)]),
        ]
    )
    near = look_at(drawings.as_jpeg(mine, 50))
    text = Decontamination(near_picture="off")
    [match] = only([Row("a", "Find $x$", [near])], [index], text)
    assert match.benchmark_row == "test/1" and "the whole question" in match.evidence
    assert only([Row("a", "Find $x$"), Row("b", "Find z", [near])], [index], text) == [None, None]
    assert only([Row("a", "Find x", [look_of(pictures["line drawings"][2])])], [index], text) == [None]


def test_a_phrase_of_its_makers_is_not_counted(pictures):
    phrase = "Answer the question in the picture with one word or one number and nothing else please"
    near, far = (look_of(picture) for picture in pictures["line drawings"][:2])
    rows = [(f"test/{i}", phrase, [near if i == 7 else far]) for i in range(20)]
    index = index_of([*rows, ("test/99", f"{phrase} {LONG.format(4)}", [])])
    few = Decontamination(common_rows=10, near_picture="off", same_picture="off")
    # Nothing is left of a question that is but the phrase: it is compared as a whole, with a picture.
    found = only([Row("a", phrase), Row("b", f"{phrase} {LONG.format(4)}"), Row("c", phrase, [near])], [index], few)
    assert [match and match.benchmark_row for match in found] == [None, "test/99", "test/7"]
    assert found[1].ngrams < len(fingerprint(f"{phrase} {LONG.format(4)}").ngrams)


def fine(seed: int) -> bytes:
    return random.Random(seed).randbytes(32)


looks = st.builds(
    lambda seed, flips, coarse, width: Look(
        width, 100, f"{seed}{flips}", f"{seed}{flips}{width}", bytes([0] * 7 + [coarse]),
        (int.from_bytes(fine(seed), "little") ^ sum(1 << 5 * flip for flip in flips)).to_bytes(32, "little"),
    ),
    st.integers(0, 2),
    st.frozensets(st.integers(0, 50), max_size=40),
    st.integers(0, 255),
    st.sampled_from([100, 110, 150]),
)  # fmt: skip
questions = st.lists(st.sampled_from("abcd"), max_size=12).map(" ".join)
rows = st.lists(st.tuples(questions, st.lists(looks, max_size=3)), max_size=12)


def slow_match(
    question: str, pictures: list[Look], index: list[tuple[str, str, list[Look]]], options: Decontamination
) -> set:
    """All rules again, pair by pair."""
    found = {}

    def near(one: Look, other: Look) -> tuple[int, int] | None:
        coarse = (int.from_bytes(one.hash64, "big") ^ int.from_bytes(other.hash64, "big")).bit_count()
        one_fine, other_fine = (int.from_bytes(look.hash256, "big") for look in (one, other))
        ones = min(128, max(one_fine.bit_count(), other_fine.bit_count()))
        apart = (one_fine ^ other_fine).bit_count()
        shape = max(
            one.width * other.height / one.height / other.width, other.width * one.height / other.height / one.width
        )
        close = coarse <= options.near_distance and apart * 128 <= options.near_distance_fine * ones
        return (apart, coarse) if close and shape <= options.near_shape + 1e-9 and one_fine and other_fine else None

    def nearest(names: list[str]) -> tuple | None:
        distances = [
            (*near(mine, theirs), number, name)
            for number, (name, _, others) in enumerate(index) if name in names
            for theirs in others for mine in pictures if near(mine, theirs)
        ]  # fmt: skip
        return min(distances, default=None)

    digests = {digest for look in pictures for digest in (look.sha256, look.pixels)}
    same = [
        name
        for name, _, others in index
        if digests & {digest for look in others for digest in (look.sha256, look.pixels)}
    ]
    if same:
        found["same_picture"] = (same[0], None, None, None, None)
    elif best := nearest([name for name, _, _ in index]):
        found["near_picture"] = (best[3], best[1], best[0], None, None)

    def ngrams(text: str) -> set[tuple[str, ...]]:
        words = text.split()
        return {tuple(words[i : i + options.words]) for i in range(len(words) - options.words + 1)}

    counted = {
        one for one in ngrams(question) if sum(one in ngrams(other) for _, other, _ in index) <= options.common_rows
    }
    if counted:
        shared = [len(counted & ngrams(other)) for _, other, _ in index]
        if shared and max(shared) >= options.text_share * len(counted):
            found["same_text"] = (index[shared.index(max(shared))][0], None, None, max(shared), len(counted))
    elif question and (best := nearest([name for name, other, _ in index if other == question])):
        found["same_text"] = (best[3], best[1], best[0], None, None)
    return {(kind, *figures) for kind, figures in found.items()}


@settings(max_examples=200, deadline=None)
@given(rows, rows, st.integers(1, 5), st.integers(0, 9), st.integers(0, 60), st.integers(1, 4), st.randoms())
def test_fast_and_slow_agree_in_any_batches_and_order(
    mine, theirs, batch_size, distance, fine_distance, common, chance
):
    options = Decontamination(near_distance=distance, near_distance_fine=fine_distance, words=3, common_rows=common)
    theirs = [(f"test/{i}", *row) for i, row in enumerate(theirs)]
    index = Index.of(pa.Table.from_pylist([look_row(*row, words=3) for row in theirs], SCHEMA), "b", words=3)
    order = list(range(len(mine)))
    chance.shuffle(order)
    verdicts = list(decontaminate([Row(str(i), *mine[i]) for i in order], [index], options, batch_size))
    assert [verdict.row_id for verdict in verdicts] == list(map(str, order))
    for i, verdict in zip(order, verdicts, strict=True):
        found = {(m.kind, m.benchmark_row, m.distance, m.distance_fine, m.shared, m.ngrams) for m in verdict.matches}
        assert found == slow_match(*mine[i], theirs, options)


def test_a_crowd_of_nearly_blank_pictures_fits_into_small_tiles(monkeypatch):
    chance = random.Random(0)
    crowd = [Look(100, 100, f"{i}", f"p{i}", bytes(8), chance.randbytes(32)) for i in range(400)]
    index = index_of([(f"test/{i}", "", [look]) for i, look in enumerate(crowd)])
    rows = [Row(str(i), "", [Look(100, 100, "", "", bytes(8), look.hash256)]) for i, look in enumerate(crowd)]
    monkeypatch.setattr("open_vr1.cold.decontaminate.matches.TILE", 256)
    assert [match.benchmark_row for match in only(rows, [index])] == [f"test/{i}" for i in range(400)]


# Benchmarks from parquet files, from the Hub, and as files of hashes.

BENCHMARK = Benchmark("mathvista", "AI4Math/MathVista", ["testmini", "test"], ["image"], question="question", id="pid")


def saved(folder: Path, pictures: dict[str, list], name: str = "testmini-00000-of-00001.parquet") -> Path:
    """A benchmark as the Hub keeps it."""
    features = Features(
        {"pid": Value("string"), "question": Value("string"), "image": Image(), "images": List(Image())}
    )
    charts = [{"bytes": drawings.as_png(picture), "path": None} for picture in pictures["bar charts"]]
    values = {
        "pid": [f"{100 + i}" for i in range(6)],
        "question": [LONG.format(4), "Find x", None, "", "Find x", "Find y"],
        "image": [*charts[:3], {"bytes": b"not a picture", "path": "x.png"}, None, charts[5]],
        "images": [charts[:2], [], [charts[2]], charts[3:5], [], []],
    }
    path = folder / name
    folder.mkdir(exist_ok=True)
    Dataset.from_dict(values, features=features).to_parquet(path)
    return path


def test_a_local_benchmark_is_read_and_survives_the_disk(tmp_path, pictures):
    saved(tmp_path / "mathvista", pictures)
    saved(tmp_path / "mathvista", pictures, "test-00000-of-00001.parquet")
    path = build_index(BENCHMARK, tmp_path / "indexes", tmp_path / "mathvista")
    assert path == tmp_path / "indexes" / "mathvista.parquet" and list(path.parent.iterdir()) == [path]
    index = Index.load(path)
    assert (index.name, index.words, index.unreadable) == ("mathvista", 8, 2)
    assert index.ids.to_pylist() == [f"{split}/{100 + i}" for split in ("testmini", "test") for i in range(6)]
    assert index.rows.tolist() == [0, 1, 2, 5, 6, 7, 8, 11]
    charts = pictures["bar charts"]
    rows = [Row("a", "", [look_of(charts[5])]), Row("b", LONG.format(4)), Row("c", "", [look_of(charts[4])])]
    found = only(rows, [index])
    assert [match and (match.kind, match.benchmark_row) for match in found] == [
        ("same_picture", "testmini/105"),
        ("same_text", "testmini/100"),
        None,
    ]


def test_a_column_of_lists_and_no_names(tmp_path, pictures):
    path = saved(tmp_path, pictures)
    benchmark = Benchmark("geometry3k", "hiyouga/geometry3k", ["test"], ["images", "image"])
    index = Index.load(build_index(benchmark, tmp_path / "indexes", path))
    assert index.ids.to_pylist() == [f"test/{i}" for i in range(6)] and not index.ngrams.size
    assert index.rows.tolist() == [0, 0, 0, 1, 2, 2, 3, 3, 5] and index.unreadable == 1


def test_the_hub_is_streamed(tmp_path, pictures, monkeypatch):
    path = saved(tmp_path, pictures)
    asked = []

    def from_hub(dataset, config, *, split, revision, streaming):
        asked.append((dataset, config, split, revision, streaming))
        return load_dataset("parquet", data_files=str(path), split="train", streaming=True)

    monkeypatch.setattr("datasets.load_dataset", from_hub)
    streamed = Index.load(build_index(BENCHMARK, tmp_path / "hub"))
    assert asked == [("AI4Math/MathVista", None, split, None, True) for split in ("testmini", "test")]
    saved(tmp_path / "files", pictures)
    saved(tmp_path / "files", pictures, "test-00000-of-00001.parquet")
    local = Index.load(build_index(BENCHMARK, tmp_path / "local", tmp_path / "files"))
    assert streamed.ids == local.ids and streamed.exact == local.exact and streamed.unreadable == local.unreadable
    assert all(
        np.array_equal(getattr(streamed, name), getattr(local, name))
        for name in ("rows", "coarse", "fine", "ngrams", "ngram_rows")
    )


def test_a_hub_that_is_not_reached_is_an_error_with_a_way_out(tmp_path):
    with pytest.raises(UserError, match="AI4Math/MathVista.*take the index or a parquet file"):
        build_index(BENCHMARK, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_broken_benchmark_is_named(tmp_path, pictures):
    path = saved(tmp_path, pictures)
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match=r"broken\.parquet: benchmark mathvista"):
        build_index(BENCHMARK, tmp_path / "indexes", broken)
    with pytest.raises(UserError, match="needs column sample_index; the file has pid, question"):
        build_index(Benchmark("mathverse", "", ["testmini"], ["image"], id="sample_index"), tmp_path / "indexes", path)
    with pytest.raises(UserError, match=r"no test\.parquet or test-\*\.parquet of benchmark mathvista"):
        build_index(BENCHMARK, tmp_path / "indexes", tmp_path)
    with pytest.raises(UserError, match="no such file or folder with benchmark mathvista"):
        build_index(BENCHMARK, tmp_path / "indexes", tmp_path / "nowhere")
    assert not list((tmp_path / "indexes").glob("*"))


def test_a_broken_index_is_named(tmp_path, pictures):
    path = saved(tmp_path, pictures)
    index = build_index(Benchmark("m", "", ["testmini"], ["image"]), tmp_path, path)
    with pytest.raises(UserError, match=r"nothing\.parquet: there is no such index"):
        Index.load(tmp_path / "nothing.parquet")
    with pytest.raises(UserError, match="not the index of a benchmark"):
        Index.load(path)
    table, about = pq.read_table(index), pq.read_metadata(index).metadata
    pq.write_table(table.replace_schema_metadata({**about, b"version": b"0"}), tmp_path / "old.parquet")
    with pytest.raises(UserError, match=r"old\.parquet: it is of version 0"):
        Index.load(tmp_path / "old.parquet")
    index.write_bytes(index.read_bytes()[:-9])
    with pytest.raises(UserError, match=r"m\.parquet: it cannot be read.*Delete it"):
        Index.load(index)


def test_ngrams_of_another_length_are_not_compared():
    with pytest.raises(UserError, match=r"decontaminate\.words: 5, but the index of mathvista has n-grams of 8"):
        list(decontaminate([], [index_of([("test/0", "Find x", [])])], Decontamination(words=5)))


@pytest.mark.parametrize("wrong", [{"same_text": "delete"}, {"near_distance": 65}, {"text_share": 0}, {"words": True}])
def test_options_out_of_range_are_named(wrong):
    with pytest.raises(UserError, match=rf"decontaminate\.{next(iter(wrong))}: .* write "):
        Decontamination(**wrong)


def test_the_list_of_benchmarks():
    found = read_benchmarks()
    wanted = "mathvista mathverse mm_math dynamath mathvision we_math mmmu mmstar chartqa geometry3k logicvista ai2d"
    assert set(wanted.split()) <= set(found)
    for benchmark in found.values():
        assert "/" in benchmark.dataset and benchmark.splits and benchmark.columns
        assert benchmark.checked or benchmark.note


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it holds no benchmark"),
        ("a: [", "it cannot be read"),
        ("a: b", "a: 'b' is no mapping"),
        (
            "a: {dataset: x/y, splits: [test], pictures: [image], colums: [b]}",
            r"a\.colums: there is no such key; write one of checked",
        ),
        ("a: {dataset: x/y, splits: [test]}", r"a\.pictures: it is missing"),
        ("a: {dataset: x/y, splits: [test], pictures: []}", "a: there is nothing to compare"),
        ("a: {dataset: x/y, splits: test, pictures: [image]}", r"a\.splits: 'test' is no list of names"),
    ],
)
def test_mistakes_in_a_list_of_benchmarks_are_named(tmp_path, text, message):
    path = tmp_path / "benchmarks.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=rf"benchmarks\.yaml: {message}"):
        read_benchmarks(path)


def test_the_summary_counts_rows_and_keeps_examples():
    indexes = [index_of([("test/0", LONG.format(4), [])]), index_of([("test/5", LONG.format(4), [])], "mathverse")]
    rows = [Row(f"{i}", LONG.format(4) if i % 2 else "Find x") for i in range(60)]
    summary = summarise(decontaminate(rows, indexes))
    assert summary["rows"] == 60 and summary["actions"] == {"keep": 30, "mark": 30, "drop": 0}
    assert list(summary["benchmarks"]) == ["mathverse", "mathvista"]
    kind = summary["benchmarks"]["mathvista"]["same_text"]
    assert kind["rows"] == 30 and len(kind["examples"]) == 20
    assert kind["examples"][0]["row"] == "1" and kind["examples"][0]["evidence"].startswith(
        "same_text: mathvista test/0, "
    )
    assert summarise([])["rows"] == 0 and benchmark_index.VERSION == "1"


@pytest.mark.parametrize("part", ["decontamination", "hashing"])
def test_the_benchmark_runs(run_watched, part):
    done = run_watched([sys.executable, "benchmarks/cold.py", "--part", part, "--tiny"])
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["part"] == part and all(figures[key] > 0 for key in figures if key.endswith(("rows", "per_second")))
