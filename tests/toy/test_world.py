"""The toy world: its answers and chains are true of its pictures, and its splits never share a picture."""

import io
import random
import re
from collections import Counter

import numpy as np
import pytest
from datasets import load_dataset
from PIL import Image

from open_vr1.hub.card_check import check_card
from open_vr1.toy.chains import draw_doubts
from open_vr1.toy.scenes import CELL, COLOURS, COLUMNS, FRAME, GRID, KINDS, LEVELS, ROWS, UNIT, ask, draw, make_scene
from open_vr1.toy.world import SPLITS, build, rows

BACKGROUNDS = {(255, 255, 255), GRID, FRAME}
NAMES = {rgb: name for name, rgb in COLOURS.items()}


def picture_of(row):
    """A row's picture with its frame taken off and what touched it continued to the edge."""
    picture = np.asarray(Image.open(io.BytesIO(row["images"][0]["bytes"])))
    return Image.fromarray(np.pad(picture[2:-2, 2:-2], ((2, 2), (2, 2), (0, 0)), mode="edge"))


def see_shapes(picture):
    """What a picture shows, read from its pixels alone: (row, "colour shape" or "none")."""
    seen = []
    for row in range(ROWS):
        for column in range(COLUMNS):
            box = (column * CELL, row * CELL, (column + 1) * CELL, (row + 1) * CELL)
            cell = picture.crop(box)
            filled = [(x, y) for x in range(CELL) for y in range(CELL) if cell.getpixel((x, y)) not in BACKGROUNDS]
            if not filled:
                seen.append((row, "none"))
                continue
            left, right = min(x for x, _ in filled), max(x for x, _ in filled)
            top, bottom = min(y for _, y in filled), max(y for _, y in filled)
            if ((left + right) // 2, (top + bottom) // 2) not in filled:
                shape = "circle"  # the only hollow one
            else:
                shape = "square" if (left, top) in filled else "triangle"
            seen.append((row, f"{NAMES[cell.getpixel(filled[0])]} {shape}"))
    return seen


def see_bars(picture):
    heights = {}
    for x in range(picture.width):
        column = [picture.getpixel((x, y)) for y in range(picture.height)]
        inked = [pixel for pixel in column if pixel not in BACKGROUNDS]
        if inked:
            heights[NAMES[inked[0]]] = len(inked) // UNIT
    return heights


def see_rectangle(picture, place):
    """Width and height of the rectangle in the left or the right half."""
    middle = picture.width // 2
    half = picture.crop((0, 0, middle, picture.height) if place == "left" else (middle, 0, *picture.size))
    half = np.asarray(half).copy()
    half[:, :2], half[:, -2:] = half[:, 2:4], half[:, -4:-2]  # the line between the halves
    inked = np.array([[tuple(pixel) not in BACKGROUNDS for pixel in row] for row in half.tolist()])
    return round(inked.any(axis=0).sum() / UNIT), round(inked.any(axis=1).sum() / UNIT)


def answer_by_looking(row):
    """The answer to a row's question from its pixels, without the generator's own facts."""
    picture, question = picture_of(row), row["question"]
    colours, shapes = "|".join(COLOURS), "circle|square|triangle"
    if row["kind"] == "count":
        colour = re.search(rf"\b({colours})\b", question)
        shape = re.search(rf"\b({shapes})s\b", question)
        asked = {match[1] for match in (colour, shape) if match}
        return str(sum(asked <= set(seen.split()) for _, seen in see_shapes(picture)))
    if row["kind"] == "compare":
        one, other = re.findall(rf"({shapes})s", question)
        counts = Counter(seen.split()[-1] for _, seen in see_shapes(picture))
        if counts[one] == counts[other]:
            return "the same number"
        return f"{max((one, other), key=counts.__getitem__)}s"
    if row["kind"] == "bars":
        asked = [see_bars(picture)[colour] for colour in re.findall(rf"\b({colours})\b", question)]
        return str(asked[0] if len(asked) == 1 else sum(asked) if "together" in question else abs(asked[0] - asked[1]))
    width, height = see_rectangle(picture, re.search("left|right", question)[0])
    return str(width * height if "area" in question else 2 * (width + height))


def asked_nouns(row):
    """The kinds of tile that a question asks about, like `["red circles"]` or `["circles", "squares"]`."""
    return re.findall(r"(?:many|more|or) (.+?)(?= are| or|\?)", row["question"])


@pytest.fixture(scope="module")
def some_rows():
    return list(rows("train", 240, seed=3))


def test_every_answer_is_what_the_pixels_show(some_rows):
    for row in some_rows:
        seen = answer_by_looking(row)
        expected = row["choices"]["ABCD".index(row["answer"])] if row["choices"] else row["answer"]
        assert seen == expected, row["question"]


def test_every_statement_of_a_chain_is_what_the_pixels_show(some_rows):
    for row in some_rows:
        thinking, picture = row["thinking"], picture_of(row)
        if thinking.startswith("Maybe"):
            answer = answer_by_looking(row)
            guesses = re.findall(r"Maybe (.+?)\? (Yes|No)\.", thinking)
            assert all((guess == answer) == (verdict == "Yes") for guess, verdict in guesses)
            assert set(re.findall(r"No, it is (.+?)\.", thinking)) == {answer}
        elif row["kind"] in ("count", "compare"):
            tiles = [shown for _, shown in see_shapes(picture)]
            wanted = [set(noun.replace(" shapes", "").removesuffix("s").split()) for noun in asked_nouns(row)]
            counts, seen = [0] * len(wanted), []
            for number, shown in enumerate(tiles, start=1):
                hits = [words <= set(shown.split()) for words in wanted]
                counts = [count + hit for count, hit in zip(counts, hits, strict=True)]
                marks = ["yes"] if len(wanted) == 1 else ["first", "second"]
                mark = next((mark for mark, hit in zip(marks, hits, strict=True) if hit), "no")
                seen.append(f"{number} {shown} {mark} {' '.join(map(str, counts))}")
            assert thinking.startswith(f"{', '.join(seen)}. ")
            stated = re.findall(rf"({'|'.join(asked_nouns(row))}) (\d)", thinking)
            assert stated and set(stated) == set(zip(asked_nouns(row), map(str, counts), strict=True))
        elif row["kind"] == "bars":
            heights = see_bars(picture)
            places = dict(zip(heights, ("left", "middle", "right"), strict=False))
            stated = re.findall(rf"({'|'.join(COLOURS)}) (left|middle|right) (\d)", thinking)
            assert [colour for colour, _, _ in stated] == re.findall(rf"\b({'|'.join(COLOURS)})\b", row["question"])
            assert all((place, int(height)) == (places[colour], heights[colour]) for colour, place, height in stated)
        else:
            place, width, height = re.match(r"(left|right) (\d) wide (\d) high\.", thinking).groups()
            assert (int(width), int(height)) == see_rectangle(picture, place) and place in row["question"]


def test_the_choices_a_chain_tries_are_wrong_up_to_the_answer(some_rows):
    for row in (row for row in some_rows if row["choices"]):
        tried = re.findall(r"([A-D]): (.+?) (yes|no)\b", row["thinking"])
        assert [choice for _, choice, _ in tried] == row["choices"][: len(tried)]
        assert [mark for _, _, mark in tried] == ["no"] * (len(tried) - 1) + ["yes"]
        assert tried[-1][0] == row["answer"]


def test_the_arithmetic_of_a_chain_is_right(some_rows):
    for row in some_rows:
        for sum_of_terms, total in re.findall(r"((?:\d+ [+x-] )+\d+) = (\d+)", row["thinking"]):
            assert eval(sum_of_terms.replace("x", "*")) == int(total)


def test_every_kind_and_level_is_asked_open_and_as_multiple_choice(some_rows):
    assert {(row["kind"], row["level"]) for row in some_rows} == {(kind, level) for kind in KINDS for level in LEVELS}
    for kind in set(KINDS) - {"compare"}:
        assert {bool(row["choices"]) for row in some_rows if row["kind"] == kind} == {True, False}


def test_choices_differ_and_hold_the_answer(some_rows):
    for row in some_rows:
        assert len(set(row["choices"])) == len(row["choices"])
        if row["choices"]:
            assert row["answer"] in "ABCD"[: len(row["choices"])]


def test_harder_levels_show_more():
    rng = random.Random(0)
    for kind in ("count", "compare"):
        sizes = [sum(len(make_scene(kind, level, rng).items) for _ in range(50)) for level in LEVELS]
        assert sizes == sorted(set(sizes))


def test_splits_never_share_a_picture_whatever_their_seed_and_size():
    pictures = {
        split: {picture_of(row).tobytes() for seed in (0, 1) for row in rows(split, 150, seed)} for split in SPLITS
    }
    assert all(len(seen) > 150 for seen in pictures.values())
    for split in SPLITS:
        assert not pictures[split] & set().union(*(pictures[other] for other in SPLITS if other != split))


def test_a_seed_fixes_every_row():
    assert list(rows("test", 20, seed=1)) == list(rows("test", 20, seed=1))
    assert list(rows("test", 20, seed=1)) != list(rows("test", 20, seed=2))


def test_the_share_of_overthinking_chains_is_the_one_asked_for():
    for share in (0, 0.5):
        thinking = [row["thinking"] for row in rows("train", 400, 0, overthinking=share)]
        doubting = [chain for chain in thinking if "No, it is" in chain]
        assert abs(len(doubting) / 400 - share) < 0.08


def concluded(row):
    """The answer that a chain comes to, in words: by its choices, its last doubt or guess, or its last sentence."""
    thinking = row["thinking"]
    if row["choices"]:
        return re.findall(r"[A-D]: ([^:]+?) yes", thinking)[-1].split(" no, ")[-1]
    if thinking.startswith("Maybe"):
        return (re.findall(r"No, it is (.+?)\.", thinking) or re.findall(r"Maybe (.+?)\? Yes", thinking))[-1]
    return re.findall(r"(\d+)\.$", thinking)[-1]


@pytest.mark.parametrize("share", [0.25, 0.5])
def test_wrong_chains_are_as_many_as_asked_for_and_end_in_the_answer_that_is_stated(share):
    right, planted = list(rows("train", 800, 4)), list(rows("train", 800, 4, wrong=share))
    wrong = [row for row in planted if row["stated"] != row["answer"]]
    assert abs(len(wrong) / 800 - share) < 0.05
    for row, before in zip(planted, right, strict=True):
        assert {**row, "stated": None, "thinking": None} == {**before, "stated": None, "thinking": None}
        assert (row["thinking"] == before["thinking"]) == (row["stated"] == row["answer"])
        stated = row["choices"]["ABCD".index(row["stated"])] if row["choices"] else row["stated"]
        assert concluded(row) == stated
    doubting = [sum("?" in row["thinking"] for row in part) / len(part) for part in (wrong, planted)]
    assert abs(doubting[0] - doubting[1]) < 0.08


def test_without_wrong_chains_every_chain_states_the_answer(some_rows):
    assert all(row["stated"] == row["answer"] for row in some_rows)


def test_harder_questions_are_doubted_more():
    rng = random.Random(0)
    means = [sum(draw_doubts(0.5, level, rng) for _ in range(2000)) / 2000 for level in LEVELS]
    assert means == sorted(means) and means[2] > means[0] + 0.5


def test_the_built_files_hold_the_rows_that_were_asked_for(tmp_path):
    build(tmp_path, seed=0, train=12, rl=8)
    train = load_dataset("parquet", data_files=str(tmp_path / "train.parquet"), split="train", cache_dir=str(tmp_path))
    assert len(train) == 12 and train[0]["images"][0].width == COLUMNS * CELL
    rl = load_dataset("parquet", data_files=str(tmp_path / "rl.parquet"), split="train", cache_dir=str(tmp_path))
    assert len(rl) == 8 and not set(rl["id"]) & set(train["id"])


def test_a_picture_is_drawn_the_same_every_time():
    scene = make_scene("count", 2, random.Random(5))
    assert draw(scene).tobytes() == draw(scene).tobytes()
    assert ask(scene, random.Random(1)) == ask(scene, random.Random(1))


def test_its_card_has_nothing_wrong(tmp_path):
    build(tmp_path, train=8, rl=4)
    assert check_card(tmp_path, "dataset") == []
