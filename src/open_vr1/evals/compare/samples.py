"""
The samples of a page: every question with what each model answered, made small enough to be looked at in a browser.

Questions on which models differ, or that were answered wrong, get their pictures first. Completions share the page's room: the more
there are, the shorter they are cut, in the middle, and the page says so.
"""

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any

from open_vr1.evals.compare.inputs import Evaluation, score
from open_vr1.evals.compare.pictures import Album, Room
from open_vr1.report.page import take_apart

MOST_TEXT = 24_000_000
LONGEST, SHORTEST = 8_000, 500
LONGEST_QUESTION = 6_000
ANSWERS = 4

Question = dict[str, Any]


def samples(evaluations: Sequence[Evaluation]) -> dict[str, Any]:
    """What the page's script reads: `models`, `benchmarks` and `questions`, which name them by number."""
    names = list(dict.fromkeys(name for one in evaluations for name in one.benchmarks))
    count = sum(len(rows) for one in evaluations for rows in one.rows.values())
    limit = max(SHORTEST, min(LONGEST, MOST_TEXT // max(1, count)))
    by_benchmark = [_questions(name, number, evaluations, limit) for number, name in enumerate(names)]
    _add_pictures(names, by_benchmark, evaluations)
    questions = [question for asked in by_benchmark for question in asked.values()]
    for question in questions:
        del question["logged"]
    return {"limit": limit, "answers": ANSWERS, "questions": questions}


def _questions(name: str, number: int, evaluations: Sequence[Evaluation], limit: int) -> dict[str, Question]:
    found: dict[str, Question] = {}
    for index, one in enumerate(evaluations):
        for row in one.rows.get(name, []):
            question = found.setdefault(row["id"], _question(row, number, len(evaluations)))
            if question["models"][index] is None:
                question["models"][index] = {"scores": [], "answers": []}
            model = question["models"][index]
            model["scores"].append(score(row))
            if len(model["answers"]) < ANSWERS:
                model["answers"].append(_answer(row, limit))
    return found


def _question(row: dict[str, Any], benchmark: int, models: int) -> Question:
    return {
        "benchmark": benchmark,
        "id": row["id"],
        "groups": {kind: list(names) for kind, names in row["groups"].items()},
        "question": cut(row["question"] or "", LONGEST_QUESTION),
        "choices": [cut(choice or "", LONGEST_QUESTION) for choice in row["choices"] or []],
        "gold": cut(row["gold"] or "", LONGEST_QUESTION),
        "pictures": [],
        "missing": len(row["pictures"] or []),
        "models": [None] * models,
        "logged": row,
    }


def _answer(row: dict[str, Any], limit: int) -> dict[str, Any]:
    thinking, block, rest = take_apart(row["completion"] or "")
    answer = {
        "score": score(row),
        "reason": row["reason"],
        "answer": cut(row["answer"], limit) if row["answer"] is not None else None,
        "block": cut(block, limit) if block is not None else None,
        "thinking": cut(thinking, limit),
        "rest": cut(rest, limit),
        "tokens": row["tokens"],
        "clipped": bool(row["clipped"]),
        "judge": row["judge_reply"] if row["judge_score"] is not None else None,
    }
    return {key: value for key, value in answer.items() if value not in (None, "", False)}


def cut(text: str, limit: int) -> str:
    """The beginning and the end of what is longer."""
    if len(text) <= limit:
        return text
    head, tail = limit * 2 // 3, limit - limit * 2 // 3
    return f"{text[:head]}\n[… {len(text) - limit:,} characters are left out of this page …]\n{text[-tail:]}"


def _add_pictures(
    names: Sequence[str], by_benchmark: Sequence[dict[str, Question]], evaluations: Sequence[Evaluation]
) -> None:
    room = Room()
    albums = []
    for name in names:
        written = next((row for one in evaluations for row in one.figures(name)), {})
        albums.append(Album(name, written, room))
    for question in _in_turn(by_benchmark):
        album = albums[question["benchmark"]]
        pictures = album.of(question["logged"])
        question["pictures"] = [{"url": picture.url, "pixelated": picture.pixelated} for picture in pictures]
        question["missing"] = max(0, question["missing"] - len(pictures))
        if question["missing"]:
            question["where"] = album.where(question["logged"]["row"])


def _in_turn(by_benchmark: Sequence[dict[str, Question]]) -> Iterator[Question]:
    """The benchmarks by turns, what is worth a look first in each."""
    queues = [sorted(asked.values(), key=_dull) for asked in by_benchmark]
    for turn in zip_longest(*queues):
        yield from (question for question in turn if question)


def _dull(question: Question) -> bool:
    means = [sum(model["scores"]) / len(model["scores"]) for model in question["models"] if model]
    return min(means) == max(means) and (len(means) > 1 or means[0] == 1)
