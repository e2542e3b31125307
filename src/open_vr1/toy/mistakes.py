"""
The mistakes that the scripted teacher makes on purpose, at set rates: which reply gets which, and how it then reads.

What is drawn depends on the seed, the row and the sample alone. So a request that is sent again gets the same reply, and
the truth, which chains are bad and why, can be had without asking the teacher.
"""

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from open_vr1.prompts import FINAL_ANSWER

TEMPLATES = Path(__file__).parent / "mistakes.yaml"
SLOT = re.compile(r"\{(question|thinking|gold|gold_text|wrong|wrong_text|loop)\}")
FURTHEST_OFF = 2


@dataclass(frozen=True)
class Reply:
    """
    What the text model answers.

    Args:
        thinking (`str`):
            The chain of thought.
        text (`str`):
            What comes after it.
        finish (`str`, *optional*, defaults to `"stop"`):
            Why it stopped: `"length"` if it was cut off.
        kind (`str`, *optional*):
            The mistake in it.
    """

    thinking: str
    text: str
    finish: str = "stop"
    kind: str | None = None


@cache
def templates() -> dict[str, list[dict[str, Any]]]:
    """The templates of each kind, as `mistakes.yaml` has them."""
    return yaml.safe_load(TEMPLATES.read_text(encoding="utf-8"))


def check_rates(rates: Mapping[str, float]) -> None:
    """Raises a `ValueError` for a kind that there is not and for shares that are none."""
    for kind in rates:
        if kind not in templates():
            raise ValueError(f"mistakes: {kind} is none of {', '.join(templates())}")
    if min(rates.values(), default=0) < 0 or sum(rates.values()) > 1 + 1e-9:
        raise ValueError(f"mistakes: the rates {dict(rates)} are not shares of the replies")


def draw_from(rates: Mapping[str, float], rng: random.Random) -> str | None:
    """One of the names with the probability that it is given, or `None` with what is left. Order does not matter."""
    point = rng.random()
    for name in sorted(rates):
        point -= rates[name]
        if point < 0:
            return name
    return None


def draw_mistake(
    row: Mapping[str, Any], seed: int, rates: Mapping[str, float], sample: int
) -> tuple[str | None, random.Random]:
    """The kind of mistake in a sample about a row, `None` for none, and where the chance in its wording comes from."""
    rng = random.Random(f"mistake-{seed}-{row['id']}-{sample}")
    return draw_from(rates, rng), rng


def own_mistake(row: Mapping[str, Any]) -> str | None:
    """`"wrong_answer"` if the row's own chain goes astray, as `rows(wrong=...)` makes them."""
    return "wrong_answer" if row["answer"] and row["stated"] != row["answer"] else None


def good_reply(row: Mapping[str, Any]) -> Reply:
    """The row's own chain and the answer that it ends in."""
    stated = row["stated"]
    text = f"The answer is {_in_words(row, stated)}.\n\n{FINAL_ANSWER} {stated}"
    return Reply(row["thinking"], text, kind=own_mistake(row))


def bad_reply(row: Mapping[str, Any], kind: str, rng: random.Random, measure: bool | None = None) -> Reply:
    """
    A reply about a row with a mistake in it.

    Args:
        row (`Mapping`):
            The toy row.
        kind (`str`):
            The kind of mistake.
        rng (`random.Random`):
            Where chance comes from: the template and the wrong answer.
        measure (`bool`, *optional*):
            Only templates that are, or are not, kept back to measure with. All of them if not given.
    """
    template = rng.choice([entry for entry in templates()[kind] if measure in (None, entry["measure"])])
    gold, wrong = row["answer"] or row["stated"], _wrong(row, rng)
    slots = {
        "question": row["question"],
        "thinking": row["thinking"],
        "gold": gold,
        "gold_text": _in_words(row, gold),
        "wrong": wrong,
        "wrong_text": _in_words(row, wrong),
    }
    slots["loop"] = " ".join([_fill(template.get("loop", ""), slots)] * template.get("times", 1))
    thinking = _fill(template["thinking"], slots)
    if "cut" in template:
        thinking = thinking[: max(1, int(template["cut"] * len(thinking)))].rstrip(" .,")
    text = _fill(template["reply"], slots) if "reply" in template else good_reply(row).text
    return Reply(thinking, text, template.get("finish", "stop"), kind)


def _fill(template: str, slots: Mapping[str, str]) -> str:
    return SLOT.sub(lambda slot: slots[slot[1]], template)


def _in_words(row: Mapping[str, Any], answer: str) -> str:
    return row["choices"][ord(answer) - ord("A")] if row["choices"] else answer


def _wrong(row: Mapping[str, Any], rng: random.Random) -> str:
    """An answer that is not the gold one: another letter, or a number nearby."""
    gold = row["answer"] or row["stated"]
    if row["choices"]:
        return rng.choice([letter for letter in map(chr, range(65, 65 + len(row["choices"]))) if letter != gold])
    lowest = max(0, int(gold) - FURTHEST_OFF)
    return rng.choice([str(near) for near in range(lowest, int(gold) + FURTHEST_OFF + 1) if near != int(gold)])
