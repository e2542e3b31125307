"""Fill the card templates of `model_cards/` and `dataset_cards/`.

A card states only what its run knows. A figure that was not measured is left out, never guessed.
"""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

ROOT = Path(__file__).parents[3]


def render_card(template: str, **facts: Any) -> str:
    """
    One card as text.

    Args:
        template (`str`):
            Path below the repository, e.g. `"model_cards/training.md.jinja"`.
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
    return environment.get_template(template).render(**facts)
