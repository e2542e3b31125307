"""What takes rows out beside the filter's rules, which bring their own definitions, in one sentence each."""

from collections.abc import Mapping
from typing import Any

DEFINITIONS = {
    "duplicate_id": "Another row of the source has the same id.",
    "malformed": "The source's row has not the form of its kind.",
    "no_question": "The row asks nothing.",
    "no_answer": "The source gives no answer, or none that can be read.",
    "no_such_choice": "The source's answer is none of the choices.",
    "no_picture": "The row names no picture.",
    "missing_picture": "The picture that the row names is not there.",
    "corrupt_picture": "The picture cannot be decoded.",
    "picture_marks": "The question marks more or fewer pictures than the row has.",
    "same_picture": "A benchmark has the same picture, byte for byte or pixel for pixel.",
    "near_picture": "A benchmark has a picture that is nearly the same.",
    "same_text": "A benchmark has most of the question's wording.",
    "no_reply": "The teacher gave no reply that could be used.",
    "not drawn": "More rows were kept than the recipe asks for.",
}


def shown_options(options: Mapping[str, Any]) -> str:
    """`min_words: 3, max_words: 4000`"""
    return ", ".join(f"{key}: {value}" for key, value in options.items())
