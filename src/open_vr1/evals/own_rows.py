"""Rows of one's own as a benchmark: the format of training rows, `prompt`, `images`, `solution`, and `choices` where there are any."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from open_vr1.evals.benchmark import Benchmark, Question, Row
from open_vr1.evals.figures import groups_of
from open_vr1.prompts import chat_text

USED = ("id", "prompt", "images", "solution", "choices", "kind")


def own_benchmark(name: str, columns: Mapping[str, str]) -> Benchmark:
    """
    The benchmark of rows with these columns.

    Args:
        name (`str`):
            What the recipe calls it.
        columns (`Mapping[str, str]`):
            Our column names to the rows'.
    """
    named = {column: columns.get(column, column) for column in USED}
    return Benchmark(name, name, partial(_read, named), partial(_pictures, named), schema="your own rows")


def _read(columns: Mapping[str, str], row: Row) -> Question:
    prompt, name, choices = row[columns["prompt"]], row.get(columns["id"]), row.get(columns["choices"])
    if not prompt:
        raise ValueError(
            f"column {columns['prompt']}: there are no words in it; write the question, or remove the row"
        )
    return Question(
        id="" if name is None else str(name),
        text=prompt if isinstance(prompt, str) else chat_text(prompt, "user"),
        gold=row[columns["solution"]],
        choices=[str(choice) for choice in choices] if choices else None,
        groups=groups_of({"kind": row.get(columns["kind"])}),
    )


def _pictures(columns: Mapping[str, str], row: Row) -> list[Any]:
    return [picture.convert("RGB") for picture in row[columns["images"]] or () if picture is not None]
