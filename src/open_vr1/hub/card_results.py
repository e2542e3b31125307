"""
New results in a card that is there: its table and its `model-index`; every other word stays.

    amended(readme, benchmarks, "vr1-7b")

A card of ours has its results between two marks. In somebody else's they come at the end.
"""

import re
from collections.abc import Sequence

import yaml

from open_vr1.hub.card_check import FRONT_MATTER
from open_vr1.hub.cards import render_card
from open_vr1.hub.results import Benchmark, model_index, table_rows

TEMPLATE = "model_cards/results.md.jinja"
SECTION = re.compile(r"<!-- results of open-vr1 -->\n.*?<!-- end of results -->\n?", re.DOTALL)
# From its key to the next one; items of a list may begin in the first column.
MODEL_INDEX = re.compile(r"^model-index:.*\n?(?:^(?:[ \t-].*)?\n?)*?(?=^[^ \t\n-]|\Z)", re.MULTILINE)
UNMEASURED = re.compile(r"^- Nobody has measured this \w+ on held-out questions\.\n", re.MULTILINE)
UNCHECKED = '- Whether rows of the benchmarks marked "not checked" are among the training rows is not known.\n'


def amended(card: str, benchmarks: Sequence[Benchmark], name: str) -> str:
    """
    The card with these results and no others.

    Args:
        card (`str`):
            A `README.md`, or nothing.
        benchmarks (`Sequence[Benchmark]`):
            All that is known of this revision.
        name (`str`):
            What the model is called, where the card does not say so yet.
    """
    found = FRONT_MATTER.match(card)
    front, body = (found[1], card[found.end() :]) if found else ("", f"\n{card}" if card else f"\n# {name}\n")
    rows = table_rows(benchmarks)
    return f"---\n{_front_matter(front, benchmarks, name)}---\n{_limitations(_section(body, rows), rows)}"


def _front_matter(front: str, benchmarks: Sequence[Benchmark], name: str) -> str:
    then = (yaml.safe_load(front) or {}).get("model-index") or [{}]
    index = model_index(benchmarks, then[0].get("name") or name)
    text = yaml.safe_dump({"model-index": index}, sort_keys=False, width=110)
    without = MODEL_INDEX.sub("", front)
    return without + ("\n" if without and not without.endswith("\n") else "") + text


def _section(body: str, rows: list[dict[str, str]]) -> str:
    section = render_card(TEMPLATE, results=rows)
    if SECTION.search(body):
        return SECTION.sub(lambda _: section, body, count=1)
    return f"{body.rstrip()}\n\n{section}"


def _limitations(body: str, rows: list[dict[str, str]]) -> str:
    """What a card of ours says where nobody has measured or looked."""
    said = UNCHECKED if any(row["contamination"] == "not checked" for row in rows) else ""
    if UNCHECKED in body:
        return body.replace(UNCHECKED, said, 1)
    return UNMEASURED.sub(lambda _: said, body, count=1)
