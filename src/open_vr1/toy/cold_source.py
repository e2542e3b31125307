"""
A source for `make cold` at toy scale: rows of the toy world, and among them rows as bad as real sources have.

    build:
      - path: outputs/vr1_tiny/cold_source
        with: open_vr1.toy.cold_source:build
        args: {seed: 0, rows: 16000, near_duplicates: 0.01, corrupt_pictures: 0.005}

The good rows are the first of the world's train split with that seed, in their order; the faulty ones come on top of them.
"""

import random
from collections.abc import Iterator
from pathlib import Path

from datasets import Dataset

from open_vr1.toy import world

# The same question to a reader, another one to a computer.
REWORDINGS = (
    lambda question: question[0].lower() + question[1:],
    lambda question: question.upper(),
    lambda question: question.removesuffix("?"),
    lambda question: question.replace("?", " ?"),
    lambda question: question.replace(" ", "  "),
    lambda question: f" {question}\n",
    lambda question: f"Question: {question}",
)


def build(path: Path, seed: int = 0, rows: int = 1000, **faults: float) -> None:
    """
    Write the source: a folder with `rows.parquet`, in the columns of the toy world.

    Args:
        path (`Path`):
            The folder to write to.
        seed (`int`, *optional*, defaults to `0`):
            Seed of the world and of the faults.
        rows (`int`, *optional*, defaults to `1000`):
            How many good rows.
        **faults (`float`):
            Shares of `rows`, as `rows_and_faults` takes them.
    """
    Path(path).mkdir(parents=True, exist_ok=True)
    table = Dataset.from_list([row for row, _ in rows_and_faults(seed, rows, **faults)], features=world.FEATURES)
    table.to_parquet(Path(path) / "rows.parquet")


def rows_and_faults(
    seed: int = 0,
    rows: int = 1000,
    duplicates: float = 0.0,
    near_duplicates: float = 0.0,
    missing_pictures: float = 0.0,
    corrupt_pictures: float = 0.0,
    no_answer: float = 0.0,
) -> Iterator[tuple[dict, str | None]]:
    """
    The source's rows in their order, each with the name of its fault or `None`.

    Args:
        seed (`int`, *optional*, defaults to `0`):
            Seed of the world and of the faults.
        rows (`int`, *optional*, defaults to `1000`):
            How many good rows.
        duplicates (`float`, *optional*, defaults to `0.0`):
            As many rows, as a share of `rows`, come a second time under their id; every other one of them with another
            row's picture and question.
        near_duplicates (`float`, *optional*, defaults to `0.0`):
            So many have the picture and the question of an earlier row, the question worded a little differently.
        missing_pictures (`float`, *optional*, defaults to `0.0`):
            So many have no picture.
        corrupt_pictures (`float`, *optional*, defaults to `0.0`):
            So many have a picture whose file breaks off.
        no_answer (`float`, *optional*, defaults to `0.0`):
            So many have an empty answer.
    """
    shares = {
        "duplicates": duplicates,
        "near_duplicates": near_duplicates,
        "missing_pictures": missing_pictures,
        "corrupt_pictures": corrupt_pictures,
        "no_answer": no_answer,
    }
    faults = [fault for fault, share in shares.items() for _ in range(round(share * rows))]
    made = list(world.rows("train", rows + len(faults), seed))
    good, spare = made[:rows], made[rows:]
    rng = random.Random(f"faults-{seed}")
    behind: dict[int, list[tuple[dict, str]]] = {}
    for number, (fault, row) in enumerate(zip(faults, spare, strict=True)):
        # Behind the row that it repeats, if it repeats one: the first of two is the good one.
        earlier = rng.randrange(rows)
        place = rng.randrange(earlier, rows)
        behind.setdefault(place, []).append((_faulty(fault, row, good[earlier], number, rng), fault))
    for place, row in enumerate(good):
        yield row, None
        yield from behind.get(place, [])


def _faulty(fault: str, row: dict, earlier: dict, number: int, rng: random.Random) -> dict:
    if fault == "duplicates":
        return earlier if number % 2 else {**row, "id": earlier["id"]}
    if fault == "near_duplicates":
        return {**earlier, "id": row["id"], "question": rng.choice(REWORDINGS)(earlier["question"])}
    if fault == "missing_pictures":
        return {**row, "images": []}
    if fault == "corrupt_pictures":
        picture = row["images"][0]
        whole = picture["bytes"]
        return {**row, "images": [{**picture, "bytes": whole[: rng.randrange(16, len(whole) * 3 // 4)]}]}
    return {**row, "answer": ""}
