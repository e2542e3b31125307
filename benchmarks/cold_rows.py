"""Rows as a source of cold data has them: pictures of 60 KB, each another file, and chains of thought of 200 to 600 words."""

import random
from collections.abc import Iterator
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from cold_pictures import as_jpeg, photograph

FILE, BATCH = 10_000, 500
DIFFERENT = 200
# Shares of rows whose chain some rule has to reject, and that show the picture of the row before.
WRONG, UNSURE, TELLING, SECOND = 0.04, 0.02, 0.02, 0.05
THINGS = [
    "bar",
    "line",
    "circle",
    "angle",
    "triangle",
    "column",
    "house",
    "window",
    "bottle",
    "table",
    "road",
    "tree",
    "label",
    "axis",
    "corner",
    "chair",
]
PLACES = [
    "left edge",
    "right edge",
    "top row",
    "bottom row",
    "centre",
    "second panel",
    "upper corner",
    "lower corner",
    "far end",
]
MEASURES = ["units", "squares", "steps", "centimetres", "points", "marks", "degrees", "items"]
SENTENCES = [
    "The {thing} at the {place} measures about {a} {measure}, which is {b} more than the {other} beside it.",
    "If we compare the {thing} with the {other}, the difference comes to {a} {measure} at the {place}.",
    "Now I look at the {place}, where the {thing} has {a} {measure} and the {other} has only {b}.",
    "Adding {a} and {b} for the {thing} at the {place} gives {sum}, so that part of the sum is clear.",
    "Let me note the {other} too: it stands near the {place} and shows {b} {measure} in all.",
    "Because the {thing} cannot be larger than {sum} {measure}, the value {a} at the {place} makes sense.",
    "The {other} seems to share its {place} with the {thing}, and together they have {sum} {measure}.",
    "We can leave out the {thing} for a moment, since the question asks for what is at the {place} of the {other}.",
    "Counting from the {place}, there are {a} {measure} until the {thing} and {b} more until the {other}.",
    "So what remains for the {other} at the {place} after {b} {measure} are taken from {sum} is {a}.",
]
COLUMNS = pa.schema(
    {
        "id": pa.string(),
        "images": pa.list_(pa.struct({"bytes": pa.binary(), "path": pa.string()})),
        "question": pa.string(),
        "answer": pa.string(),
        "original": pa.string(),
    }
)


def write_rows(folder: Path, count: int) -> list[Path]:
    """
    Parquet files of rows.

    Args:
        folder (`Path`):
            Where they go.
        count (`int`):
            How many rows in all.
    """
    folder.mkdir(parents=True)
    rows, paths = make_rows(count), []
    for number in range(-(-count // FILE)):
        paths.append(folder / f"train-{number:05d}.parquet")
        of_file = islice(rows, FILE)
        with pq.ParquetWriter(paths[-1], COLUMNS, compression="none", use_dictionary=False) as writer:
            while batch := list(islice(of_file, BATCH)):
                writer.write_table(pa.Table.from_pylist(batch, schema=COLUMNS))
    return paths


def make_rows(count: int) -> Iterator[dict[str, Any]]:
    chance, picture = random.Random("rows"), b""
    for number in range(count):
        if not picture or chance.random() >= SECOND:
            picture = make_picture(number)
        thing, place, answer = chance.choice(THINGS), chance.choice(PLACES), chance.randrange(10, 1000)
        yield {
            "id": f"row-{number}",
            "images": [{"bytes": picture, "path": f"pictures/{number:06d}.jpg"}],
            "question": f"How many {chance.choice(MEASURES)} does the {thing} at the {place} have in panel {number}?",
            "answer": str(answer),
            "original": make_reply(chance, answer),
        }


def make_reply(chance: random.Random, answer: int) -> str:
    """A chain of thought and its answer, which is now and then not the row's."""
    luck, length = chance.random(), chance.randrange(200, 600)
    sentences, words = [], 0
    while words < length:
        sentences.append(make_sentence(chance))
        words += sentences[-1].count(" ") + 1
    if luck < WRONG:
        answer += 1
    elif luck < WRONG + UNSURE:
        sentences.append("I am not sure about this at all, so I will just guess.")
    elif luck < WRONG + UNSURE + TELLING:
        sentences.insert(1, "According to the description that I was given, the text description says so.")
    sentences.append(f"Therefore the answer is {answer}.")
    return f"<think> {' '.join(sentences)} </think><answer> Final Answer:{answer} </answer>"


def make_sentence(chance: random.Random) -> str:
    a, b = chance.randrange(2, 400), chance.randrange(2, 400)
    return chance.choice(SENTENCES).format(
        thing=chance.choice(THINGS),
        other=chance.choice(THINGS),
        place=chance.choice(PLACES),
        measure=chance.choice(MEASURES),
        a=a,
        b=b,
        sum=a + b,
    )


def make_picture(number: int) -> bytes:
    """One of a few photographs, made another file by a comment in it."""
    comment = b"picture %d" % number
    data = _photograph(number % DIFFERENT)
    return data[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + data[2:]


@cache
def _photograph(number: int) -> bytes:
    return as_jpeg(photograph(random.Random(number)), 75)
