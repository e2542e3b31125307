"""Fill the card templates of `model_cards/` and `dataset_cards/`.

A card states only what its run knows. A figure that was not measured is left out, never guessed.
"""

import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

ROOT = Path(__file__).parents[3]
# As the Hub wants a size written: the largest bound that the rows do not reach.
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def render_card(template: str, **facts: Any) -> str:
    """
    One card as text.

    Args:
        template (`str`):
            Path below the repository, e.g. `"model_cards/vision_reasoner.md.jinja"`.
        **facts:
            What the template names.
    """
    environment = Environment(
        loader=FileSystemLoader(ROOT),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["fence"] = fenced
    return environment.get_template(template).render(**facts)


def fenced(text: str, language: str = "") -> str:
    """The text as a code block, whatever fences are in it."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def size_category(rows: int) -> str:
    return next((words for bound, words in SIZES if rows < bound), "1M<n<10M")
