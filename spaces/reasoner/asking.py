"""What a visitor asks, checked before any model sees it: every problem is a sentence that says what to do."""

import re
import warnings
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps

from prompts import IMAGE_PLACEHOLDER

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
MAX_MEGABYTES = 10
MAX_MEGAPIXELS = 40
MAX_RATIO = 100
MAX_LETTERS = 2000
_MARK = re.compile(r"<\|[^<>|]*\|>")


class Problem(Exception):
    """Why something cannot be asked, in the visitor's words."""


@dataclass(frozen=True)
class Question:
    text: str
    picture: Image.Image


def check_picture(path: str | None) -> Image.Image:
    """The picture in a file, upright and in RGB as in training."""
    if not path:
        raise Problem("Choose a picture first: drop one here, paste one, or take an example.")
    megabytes = Path(path).stat().st_size / 1e6
    if megabytes > MAX_MEGABYTES:
        raise Problem(
            f"This file has {megabytes:.0f} MB, and at most {MAX_MEGABYTES} MB are read: choose a smaller one."
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            picture = Image.open(path, formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise Problem(
            f"This picture has far more than the {MAX_MEGAPIXELS} megapixels that are read: make it smaller."
        ) from error
    except Exception as error:
        raise Problem(
            "This file cannot be read as a picture: choose a PNG, JPEG, WebP, GIF, BMP or TIFF file."
        ) from error
    megapixels = picture.width * picture.height / 1e6
    if megapixels > MAX_MEGAPIXELS:
        raise Problem(
            f"This picture has {megapixels:.0f} megapixels, and at most {MAX_MEGAPIXELS} are read: make it smaller."
        )
    if max(picture.size) > MAX_RATIO * min(picture.size):
        raise Problem(
            f"This picture is more than {MAX_RATIO} times as long as it is wide: cut out the part that matters."
        )
    try:
        return ImageOps.exif_transpose(picture).convert("RGB")
    except Exception as error:
        raise Problem("This picture is damaged and cannot be read to its end: choose another file.") from error


def check_question(text: str | None) -> str:
    """The question as the model gets it."""
    text = (text or "").strip()
    if not text:
        raise Problem("Write a question about the picture.")
    if len(text) > MAX_LETTERS:
        raise Problem(
            f"This question has {len(text)} characters, and at most {MAX_LETTERS} are read: make it shorter."
        )
    if mark := _MARK.search(text):
        raise Problem(f"{mark[0]} is a sign of the model's own: leave it out of the question.")
    if text.count(IMAGE_PLACEHOLDER) > 1:
        raise Problem(
            f"The question has {IMAGE_PLACEHOLDER} more than once, and there is one picture: leave the others out."
        )
    if not text.replace(IMAGE_PLACEHOLDER, "").strip():
        raise Problem("Write a question about the picture.")
    return text
