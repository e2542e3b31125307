"""Sources: the releases as they are, whatever is wrong with them, in little memory."""

import json
import tracemalloc
from collections import Counter
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_vr1.cold.rows import BadRow, SourceRow
from open_vr1.cold.sources import SourceEntry, check_source, read_source
from open_vr1.cold.sources.fields import Layout, read_row
from open_vr1.cold.sources.lookup import Pictures
from open_vr1.errors import UserError
from open_vr1.recipe_types import convert
from tests.cold import releases
from tests.cold.releases import chat, cold_reply, cot_reply, picture, write_json, write_lines, write_release

WHERE = "cold.yaml: sources[0]: test"


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    return write_release(tmp_path_factory.mktemp("release"))


def read(entry: SourceEntry, **more) -> list[SourceRow | BadRow]:
    return list(read_source({"name": "test", **entry, **more}, WHERE))


def rules(rows: list[SourceRow | BadRow]) -> dict[str, str]:
    return {row.id: row.rule for row in rows if isinstance(row, BadRow)}


def one_row(folder: Path, row: dict, **more) -> SourceRow | BadRow:
    (folder / "a.png").write_bytes(picture(1))
    write_lines(folder / "rows.jsonl", [row])
    found = read({"path": str(folder / "rows.jsonl"), **more})
    assert len(found) == 1
    return found[0]


def test_the_llava_cot_half_of_the_release_is_read_with_its_faults(release):
    rows = read(release.llava_cot)
    assert rules(rows) == {"gone-4": "missing_picture", "silent-6": "no_answer"}
    good = [row for row in rows if isinstance(row, SourceRow)]
    assert [(row.id, row.question, row.answer) for row in good] == [
        ("coco-1", "How many circles are there?", "3"),
        ("sqa-2", "Which is higher?", "B"),
        ("geoqa-3", "What is the area?", "12"),
        ("coco-1", "How many squares are there?", "1"),
        ("cut-5", "How high is the red bar?", "2"),
    ]
    assert good[1].choices == ("red", "blue")
    assert good[1].original == cold_reply("option B")
    assert [row.subset for row in good] == ["coco", "sqa", "geoqa+", "coco", "chartqa"]
    assert {row.license for row in good} == {"cc-by-nc-sa-4.0"}


def test_the_mulberry_half_of_the_release_is_read_with_its_faults(release):
    rows = read(release.mulberry)
    assert [row.rule for row in rows if isinstance(row, BadRow)] == ["no_such_choice"]
    good = [row for row in rows if isinstance(row, SourceRow)]
    assert [(row.question, row.choices, row.answer, row.subset) for row in good] == [
        ("Find x.", ("30°", "45°", "60°", "90°"), "C", "geoqa_plus"),
        ("How high is the blue bar?", (), "4", "dvqa"),
        ("Find y.", (), "A", "geo3k"),
    ]


def test_the_originals_have_the_conclusion_as_gold_and_follow_ups_as_rows_of_their_own(release):
    rows = read(release.llava_cot_100k)
    assert rules(rows) == {"g3": "no_answer"}
    good = [row for row in rows if isinstance(row, SourceRow)]
    assert [(row.id, row.question, row.choices, row.answer, row.license) for row in good] == [
        ("c1#1", "How many?", (), "3", "apache-2.0"),
        ("c1#2", "What colour are they?", (), "Red", "apache-2.0"),
        ("s2", "Which?", ("red", "blue"), "B", "cc-by-nc-sa-4.0"),
    ]
    (row,) = read(release.mulberry_sft)
    assert (row.question, row.choices, row.answer, row.subset) == ("Find x.", ("30°", "45°"), "B", "geoqa_plus")
    assert row.original == releases.mulberry_reply("option B")


def test_every_picture_has_the_bytes_of_its_file_whatever_archive_it_is_in(release):
    read_count = 0
    for entry in (release.llava_cot, release.mulberry, release.llava_cot_100k, release.mulberry_sft):
        check_source(entry, WHERE)
        for row in read(entry):
            if isinstance(row, SourceRow):
                name = row.pictures[0].name
                for top in ("llava_cot_images/", "mulberry_images/", "/"):
                    name = name.removeprefix(top)
                assert row.pictures[0].read() == release.pictures[name]
                read_count += 1
    assert read_count == 12


def test_the_entries_of_a_recipe_are_of_the_types_that_they_say(release):
    for entry in (
        release.llava_cot,
        release.llava_cot_100k,
        {"name": "x", "path": "y", "format": "chat", "limit": None},
    ):
        assert convert(dict(entry), SourceEntry, ("sources", 0)) == entry


def test_ids_that_are_made_stay_when_rows_move(release, tmp_path):
    rows = json.loads(Path(release.mulberry["path"]).read_text())
    write_json(tmp_path / "moved.json", rows[::-1])
    moved = read({**release.mulberry, "path": str(tmp_path / "moved.json")})
    assert [row.id for row in moved][::-1] == [row.id for row in read(release.mulberry)]
    assert max(Counter(row.id for row in moved).values()) == 1


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        ({"image": "a.png", "question": "Q?", "answer": ""}, "no_answer"),
        ({"image": "a.png", "question": "<image>", "answer": "1"}, "no_question"),
        ({"image": "", "question": "Q?", "answer": "1"}, "no_picture"),
        ({"image": [], "question": "Q?", "answer": "1"}, "no_picture"),
        ({"image": "b.png", "question": "Q?", "answer": "1"}, "missing_picture"),
        ({"image": "../a.png", "question": "Q?", "answer": "1"}, "missing_picture"),
        ({"image": "/etc/passwd", "question": "Q?", "answer": "1"}, "missing_picture"),
        ({"image": "file:///etc/passwd", "question": "Q?", "answer": "1"}, "missing_picture"),
        ({"image": "a\0.png", "question": "Q?", "answer": "1"}, "missing_picture"),
        ({"image": "a" * 500, "question": "Q?", "answer": "1"}, "missing_picture"),
        ({"image": "\ud83d.png", "question": "Q?", "answer": "1"}, "missing_picture"),
        ({"image": "a.png", "question": "Q\ud83d?", "answer": "1"}, "malformed"),
        ({"image": 7, "question": "Q?", "answer": "1"}, "malformed"),
        ({"image": "a.png", "question": ["Q?"], "answer": "1"}, "malformed"),
        ({"image": "a.png", "question": "<image><image>Q?", "answer": "1"}, "malformed"),
        ({"image": "a.png", "question": "Q?", "answer": {"a": 1}}, "malformed"),
        ({"image": "a.png", "question": "Q?", "answer": "A", "choices": ["x"]}, "malformed"),
        ({"image": "a.png", "question": "Q?", "answer": "C", "choices": ["x", "y"]}, "no_such_choice"),
        ({"image": "a.png", "question": "Q?", "answer": 7, "choices": ["x", "y"]}, "no_such_choice"),
        ({"image": "a.png", "question": "Q?", "answer": 1, "choices": ["1", "2"]}, "malformed"),
        ({"image": "a.png", "question": "Q?", "answer": "1", "pass_rate": 3}, "malformed"),
        ({"image": "a.png", "conversations": "Q?"}, "malformed"),
        ({"image": "a.png", "conversations": []}, "no_question"),
        ({"image": "a.png", "conversations": chat("Q?", None)}, "no_answer"),
        ({"image": "a.png", "conversations": chat("Q?", cot_reply("")[:-14])}, "no_answer"),
        ({"image": "a.png", "conversations": chat("Q?", cold_reply(""))}, "no_answer"),
        ({"image": "a.png", "conversations": chat("Q?", cold_reply("1") + cold_reply("2"))}, "no_answer"),
        ({"image": "a.png", "conversations": chat("Q?", "1", ("gpt", "human"))}, "malformed"),
        ({"image": "a.png", "conversations": chat("Q?", "1", ("human", "narrator"))}, "malformed"),
        ({"image": "a.png", "conversations": [{"from": "human"}]}, "malformed"),
    ],
)
def test_what_is_wrong_with_a_row_is_a_bad_row(tmp_path, row, rule):
    bad = one_row(tmp_path, row)
    assert isinstance(bad, BadRow) and bad.rule == rule and bad.evidence
    assert (bad.id + bad.evidence).encode()


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["a.png", "A: x", "<image>", "B"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["from", "role", "value", "type", "text", "bytes", "path"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)
ROW = {
    "id": "x",
    "images": "a.png",
    "question": "Q? Choices: A: x B: y",
    "choices": ["x", "y"],
    "answer": "B",
    "subset": "s",
}
ROW |= {"license": "mit", "original": "So B.", "pass_rate": 0.5, "conversations": chat("Q?", cold_reply("B"))}


@given(st.sampled_from(list(ROW)), ANYTHING, st.sampled_from(["rows", "chat"]))
def test_no_value_of_a_field_stops_a_source(field, value, format):
    layout = Layout(format, {name: name for name in ROW}, {})
    for row in read_row("row-0", {**ROW, field: value}, layout, Pictures([])):
        assert isinstance(row, (SourceRow, BadRow))


@pytest.mark.parametrize(
    ("more", "answer"),
    [
        ({"answer": "2 \\sqrt { 221 }"}, "2 \\sqrt { 221 }"),
        ({"answer": "<answer> Final Answer:8 </answer>"}, "8"),
        ({"answer": "$\\boxed{8}$"}, "8"),
        ({"answer": 8}, "8"),
        ({"answer": ["8"]}, "8"),
        ({"answer": 1, "choices": ["x", "y"]}, "B"),
        ({"answer": "y", "choices": ["x", "y"]}, "B"),
        ({"answer": "B (45°)", "choices": ["A. 30°", "B. 45°"]}, "B"),
        (
            {"answer": "(b)", "question": "Q?\nA. x\nB. y\nAnswer with the option's letter from the given choices."},
            "B",
        ),
        ({"answer": "option B"}, "B"),
        ({"answer": "U.S."}, "U.S."),
        ({"answer": "3.5."}, "3.5"),
    ],
)
def test_golds_are_read_however_a_column_writes_them(tmp_path, more, answer):
    row = one_row(tmp_path, {"image": "a.png", "question": "Q?", **more})
    assert (row.question, row.answer) == ("Q?", answer)


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        (cold_reply("option B"), "B"),
        (cold_reply("option B.\nAnswer:B"), "B"),
        (cold_reply("12 cm"), "12 cm"),
        (cold_reply("7").replace(" </answer>", "\n</answer>\n"), "7"),
        (cot_reply("The answer is B."), "B"),
        (cot_reply("The car is red."), "The car is red"),
        (cot_reply("1").replace("CONCLUSION", "conclusion"), "1"),
        (releases.mulberry_reply("\n The final answer is: option A"), "A"),
        (releases.mulberry_reply("3.5"), "3.5"),
        ("### The final answer is: 8\n\nThank you.", "8"),
        ("Wait.\n\nThe sum is \\boxed{8}.", "8"),
        ("Red.", "Red"),
    ],
)
def test_replies_state_their_answers_in_the_manner_of_their_release(tmp_path, reply, answer):
    row = one_row(tmp_path, {"image": "a.png", "conversations": chat("<image>Q?", reply)})
    assert (row.answer, row.original) == (answer, reply)


@pytest.mark.parametrize(
    "question", ["Points A: 1 and b. Which?", "Choices: none", "Choices: A: B: ", "Which?\nA. one"]
)
def test_what_are_no_choices_stays_in_the_question(tmp_path, question):
    row = one_row(tmp_path, {"image": "a.png", "question": question, "answer": "B"})
    assert (row.question, row.choices, row.answer) == (question.strip(), (), "B")


def test_marks_inside_a_question_stay_and_match_its_pictures(tmp_path):
    question = "Is <image> or <image> larger?"
    row = one_row(tmp_path, {"images": ["a.png", "./a.png"], "question": question, "answer": "neither"})
    assert (row.question, len(row.pictures)) == (question, 2)


def test_messages_of_parts_are_read_like_texts(tmp_path):
    parts = [{"type": "image"}, {"type": "text", "text": "How many?"}]
    messages = [
        {"role": "system", "content": "Hi."},
        {"role": "user", "content": parts},
        {"role": "assistant", "content": "3"},
    ]
    row = one_row(tmp_path, {"image": "a.png", "messages": messages})
    assert (row.question, row.answer, row.original) == ("How many?", "3", "3")


def test_a_broken_line_is_one_bad_row_and_a_cut_one_ends_the_source(tmp_path):
    (tmp_path / "a.png").write_bytes(picture(1))
    line = json.dumps({"id": "x", "image": "a.png", "question": "Q?", "answer": "1"}) + "\n"
    path = tmp_path / "rows.jsonl"
    path.write_text(line + "{no json\n[1]\n" + line)
    assert rules(read({"path": str(path)})) == {"line-2": "malformed", "line-3": "malformed"}
    path.write_text(line + line[:20])
    stream = read_source({"name": "test", "path": str(path)}, WHERE)
    assert next(stream).id == "x"
    with pytest.raises(UserError, match=rf"sources\[0\].*rows.jsonl.*middle of line 2.*byte {len(line)}"):
        next(stream)


@pytest.mark.parametrize("fault", ["cut", "broken"])
def test_a_broken_array_gives_the_rows_before_the_fault_and_then_an_error(tmp_path, fault):
    (tmp_path / "a.png").write_bytes(picture(1))
    path = tmp_path / "rows.json"
    write_json(path, [{"id": str(i), "image": "a.png", "question": "Ä?" * 50, "answer": "1"} for i in range(3000)])
    data = path.read_bytes()
    place = data.index(b'"id": "2000"')
    path.write_bytes(data[: place + 30] if fault == "cut" else data[:place] + b"?" + data[place:])
    check_source({"name": "test", "path": str(path)}, WHERE)
    stream = read_source({"name": "test", "path": str(path)}, WHERE)
    assert [row.id for row in islice(stream, 2000)] == [str(i) for i in range(2000)]
    what = "ends in the middle of row 2000" if fault == "cut" else "row 2000 is no JSON"
    with pytest.raises(UserError, match=rf"rows.json: .*{what}.*byte {data.rindex(b'{', 0, place)};"):
        next(stream)


def test_a_large_array_is_read_in_little_memory(tmp_path):
    (tmp_path / "a.png").write_bytes(picture(1))
    row = {"image": "a.png", "conversations": chat("Q?", f"<think> {'wait ' * 4000} </think>" + cold_reply("1"))}
    text = json.dumps(row)
    with (tmp_path / "rows.json").open("w") as file:
        count = 50_000_000 // len(text)
        file.write(f"[{', '.join([text] * count)}]")
    tracemalloc.start()
    try:
        rows = sum(
            isinstance(row, SourceRow)
            for row in read_source({"name": "t", "path": str(tmp_path / "rows.json")}, WHERE)
        )
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert rows == count
    assert peak < 4_000_000
