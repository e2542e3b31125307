"""The inspector: score completions from JSON lines and say why.

    python -m open_vr1.rewards score rollouts.jsonl
    make rewards FILE=rollouts.jsonl

A line is `{"id": str, "completion": str, "solution": str, "choices": [str]?, "reward_funcs": [str]?}`; rewards of length
also read `"completion_ids": [int]?` and `"max_completion_length": int?`. One line comes out for each, in the same order:
`{"id", "rewards": {name: number or null}, "answer", "reason"}`, or `{"error", "line"}` for a line that is malformed.
"""

import argparse
import dataclasses
import json
import sys
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

from open_vr1.errors import UserError
from open_vr1.rewards.answers import read_answer
from open_vr1.rewards.base import Reward
from open_vr1.rewards.registry import REWARDS, resolve

DEFAULT_REWARDS = ("accuracy", "format", "hard_format_result")
_FIELDS = {"id": str, "completion": str, "solution": str}


@lru_cache(maxsize=256)
def _rewards(names: tuple[str, ...]) -> list:
    return resolve(names)


def _is_list_of(kind: type, value: Any) -> bool:
    return isinstance(value, list) and all(type(item) is kind for item in value)


def _checked(row: Any) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise UserError(f"a line must be an object, this is a {type(row).__name__}")
    for key, kind in _FIELDS.items():
        if key not in row:
            raise UserError(f"{key!r} is missing")
        if not isinstance(row[key], kind):
            raise UserError(f"{key!r} must be a string, this is a {type(row[key]).__name__}")
    for key, kind in (("choices", str), ("reward_funcs", str), ("completion_ids", int)):
        if row.get(key) is not None and not _is_list_of(kind, row[key]):
            raise UserError(f"{key!r} must be a list of {'strings' if kind is str else 'integers'}")
    if type(row.get("max_completion_length", 1)) is not int:
        raise UserError("'max_completion_length' must be an integer")
    return row


def score_row(row: dict[str, Any]) -> dict[str, Any]:
    """Score one checked row."""
    tokens, choices = row.get("completion_ids"), row.get("choices")
    rewards, reason = {}, None
    for reward in _rewards(tuple(row.get("reward_funcs") or DEFAULT_REWARDS)):
        if not isinstance(reward, Reward):
            values = reward(completions=[row["completion"]], **{k: [row[k]] for k in row if k != "completion"})
            rewards[reward.__name__] = values[0]
            continue
        if reward.needs_tokens and tokens is None:
            raise UserError(f"the reward {reward.__name__} needs 'completion_ids'")
        if "max_completion_length" in row:
            reward = dataclasses.replace(reward, max_completion_length=row["max_completion_length"])
        score = reward.score(row["completion"], row["solution"], choices, tokens)
        rewards[reward.__name__] = score.value
        if reason is None or reward.needs_gold and not reason[0]:
            reason = reward.needs_gold, score.reason
    candidates = read_answer(row["completion"]).candidates
    answer = candidates[0] if candidates and (len(candidates) == 1 or reason and reason[1] == "correct") else None
    if reason and reason[1] == "two_answers":
        answer = None
    return {"id": row["id"], "rewards": rewards, "answer": answer, "reason": reason[1] if reason else ""}


def score_lines(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """Score JSON lines; blank ones are passed over, malformed ones yield an error with their number."""
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            yield score_row(_checked(json.loads(line)))
        except (UserError, ValueError, RecursionError) as error:
            yield {"error": str(error) or type(error).__name__, "line": number}


def _lines(path: str) -> Iterator[bytes]:
    if path == "-":
        yield from sys.stdin.buffer
        return
    try:
        with open(path, "rb") as file:
            yield from file
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; give a file of JSON lines") from error


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    text = f"{value:.3g}" if isinstance(value, (int, float)) else " ".join(str(value).split())
    return text if len(text) <= 40 else text[:39] + "…"


def as_table(results: list[dict[str, Any]]) -> str:
    """The results for people, with the means below."""
    good = [result for result in results if "error" not in result]
    names = list(dict.fromkeys(name for result in good for name in result["rewards"]))
    rows = [["id", *names, "answer", "reason"]]
    for result in results:
        if "error" in result:
            rows.append([f"line {result['line']}", *["–"] * len(names), "–", f"error: {result['error']}"])
        else:
            values = [result["rewards"].get(name) for name in names]
            rows.append([_cell(cell) for cell in (result["id"], *values, result["answer"], result["reason"])])
    means = []
    for name in names:
        values = [result["rewards"][name] for result in good if result["rewards"].get(name) is not None]
        means.append(_cell(sum(values) / len(values)) if values else "–")
    rows.append(["mean", *means, "", f"{len(good)} scored, {len(results) - len(good)} malformed"])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m open_vr1.rewards", description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    score = commands.add_parser("score", help=f"score JSON lines with any of {', '.join(REWARDS)}")
    score.add_argument("file", nargs="?", default="-", help="JSON lines; standard input when left out")
    score.add_argument("--table", action="store_true", help="print a table instead of JSON lines")
    options = parser.parse_args(arguments)
    results = score_lines(_lines(options.file))
    if options.table:
        print(as_table(list(results)))
        return
    for result in results:
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        sys.stderr.close()
