"""
Rows of a cold start from a teacher's answers, in the layout of the released ones. In a recipe:

    build:
      - path: outputs/rl_cold_start/rows/reflection
        with: "recipes/rl_cold_start/rows.py:build"
        args: {answers: outputs/rl_cold_start/teacher, pattern: reflection}

`answers` is the folder of an evaluation (`teacher.yaml` and those beside it): every question with several tries, right and wrong. This
is rejection sampling: a question without a right try makes no row. `first_right` takes the first right try as it is. `reflection`
puts a wrong try before it, without its box, and a turn between them; a question without a wrong try makes no row.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from datasets import Dataset, concatenate_datasets, disable_progress_bars
from datasets.table import embed_table_storage

from open_vr1.data_sources import open_source
from open_vr1.errors import UserError
from open_vr1.evals.records import read_samples
from open_vr1.image_columns import image_lists
from open_vr1.rewards.answers import boxed

TURN = "Wait, let me look at the picture again and check this."

Sample = Mapping[str, Any]


def build(path: Path, answers: str, pattern: str) -> None:
    """
    Write `train.parquet` with the columns `images`, `problem` and `answer`.

    Args:
        path (`Path`):
            The folder to write it in.
        answers (`str`):
            The folder of an evaluation of one benchmark, rows of one's own in the layout of Multimodal-RL-Data.
        pattern (`str`):
            A name from `PATTERNS`.
    """
    if pattern not in PATTERNS:
        raise UserError(f"build: pattern: {pattern!r}: there are {' and '.join(PATTERNS)}; write one of them")
    chains = dict(_chains(read_samples(answers), pattern))
    if not chains:
        raise UserError(f"build: answers: {answers}: no question has tries for {pattern}; write more samples there")
    asked, pictures = _asked(Path(answers))
    for row, (question, _) in chains.items():
        if row >= len(asked) or asked[row] != question:
            raise UserError(
                f"build: answers: {answers}: row {row} is not what was asked there; delete it and ask again"
            )
    disable_progress_bars()
    inside = pictures.select(list(chains)).with_format("arrow").map(embed_table_storage, batched=True, batch_size=100)
    text = [{"problem": question, "answer": chain} for question, chain in chains.values()]
    rows = concatenate_datasets([Dataset.from_list(text), inside.with_format(None)], axis=1)
    rows.to_parquet(path / "train.parquet")


def first_right(tries: Sequence[Sample]) -> str | None:
    """The first right try."""
    return next((one["completion"] for one in tries if one["score"] == 1), None)


def reflection(tries: Sequence[Sample]) -> str | None:
    """The first wrong try that came to an answer, a turn, and the first right one."""
    right = first_right(tries)
    wrong = next((one["completion"] for one in tries if one["reason"] == "wrong"), None)
    return None if right is None or wrong is None else f"{without_boxes(wrong)}\n\n{TURN}\n\n{right}"


PATTERNS = {"first_right": first_right, "reflection": reflection}


def without_boxes(text: str) -> str:
    """The text with what its boxes hold in their place."""
    for start, end, content in reversed(boxed(text)):
        text = f"{text[:start]}{content}{text[end:]}"
    return text


def _chains(samples: Sequence[Sample], pattern: str) -> Iterator[tuple[int, tuple[str, str]]]:
    """The row, the question and the chain of each question that has one."""
    for row, tries in groupby(sorted(samples, key=itemgetter("row", "sample")), itemgetter("row")):
        tries = [one for one in tries if not one["clipped"]]
        if chain := PATTERNS[pattern](tries):
            yield row, (tries[0]["question"], chain)


def _asked(answers: Path) -> tuple[list[str], Dataset]:
    """The questions and pictures of the dataset that was asked, as it was then."""
    results = json.loads((answers / "results.json").read_text())["benchmarks"][0]
    entry = {"path": results["dataset"], "split": results["split"], "revision": results["dataset_revision"]}
    source, base = open_source(entry, f"build: answers: {answers}: {results['dataset']}")
    return source["problem"][:], image_lists(source, "images", base)
