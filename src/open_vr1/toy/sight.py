"""
What the scripted teacher sees in a toy picture, what it says about it, and what somebody who has only read that knows.

    facts = look(picture)                  # from the pixels
    facts_in(f"... {describe(facts)} ...") == facts     # from the words alone

A description names every shape with the corners of its box, as vision models do. So no two pictures of the toy world share
a description, and who reads one knows which picture it is about: that is all the text model is told.
"""

import io
import re
from dataclasses import dataclass

import numpy as np
from PIL import Image

from open_vr1.toy.scenes import BAR_PLACES, CELL, COLOURS, COLUMNS, HEIGHT, RECTANGLE_PLACES, ROWS, UNIT

CODES = {(red << 16) + (green << 8) + blue: name for name, (red, green, blue) in COLOURS.items()}
TILE_PLACES = ("top left", "top right", "bottom left", "bottom right")
SIZE = re.compile(r"(\d+) pixels wide and (\d+) pixels high")
THING = re.compile(r"(\w+) (\w+) from \((\d+), (\d+)\) to \((\d+), (\d+)\)")


@dataclass(frozen=True)
class Thing:
    """Something in a picture: its colour, what it is, and the corners of its box."""

    colour: str
    noun: str
    left: int
    top: int
    right: int
    bottom: int

    def __str__(self) -> str:
        return f"{self.colour} {self.noun} from ({self.left}, {self.top}) to ({self.right}, {self.bottom})"

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in units. The frame may hide two pixels of either."""
        return round((self.right - self.left + 1) / UNIT), round((self.bottom - self.top + 1) / UNIT)


@dataclass(frozen=True)
class Facts:
    """What is in a picture: its width and height in pixels, and its things in the order of their places."""

    width: int
    height: int
    things: tuple[Thing, ...]


def look(picture: bytes) -> Facts:
    """The facts of a picture, from its pixels. Raises an `OSError` if it cannot be decoded."""
    with Image.open(io.BytesIO(picture)) as image:
        pixels = np.asarray(image.convert("RGB"), dtype=np.int32)
    codes = (pixels[..., 0] << 16) + (pixels[..., 1] << 8) + pixels[..., 2]
    height, width = codes.shape
    seen = (_thing(codes, region, width) for region in _regions(width))
    return Facts(width, height, tuple(filter(None, seen)))


def _regions(width: int) -> list[tuple[int, int, int, int]]:
    """Where there may be something, as (left, top, right, bottom): tiles, columns of bars, or halves."""
    if width == COLUMNS * CELL:
        return [
            (column * CELL, row * CELL, (column + 1) * CELL, (row + 1) * CELL)
            for row in range(ROWS)
            for column in range(COLUMNS)
        ]
    step = CELL if width == len(BAR_PLACES) * CELL else len(RECTANGLE_PLACES) * CELL
    return [(left, 0, left + step, HEIGHT) for left in range(0, width, step)]


def _thing(codes: np.ndarray, region: tuple[int, int, int, int], width: int) -> Thing | None:
    left, top, right, bottom = region
    inside = codes[top:bottom, left:right]
    for code, colour in CODES.items():
        inked = inside == code
        rows, columns = inked.any(axis=1).nonzero()[0], inked.any(axis=0).nonzero()[0]
        if rows.size:
            box = columns[0], rows[0], columns[-1], rows[-1]
            noun = _shape(inked, box) if width == COLUMNS * CELL else "bar" if right - left == CELL else "rectangle"
            return Thing(
                colour, noun, *(int(edge) for edge in (left + box[0], top + box[1], left + box[2], top + box[3]))
            )
    return None


def _shape(inked: np.ndarray, box: tuple[int, int, int, int]) -> str:
    left, top, right, bottom = box
    if not inked[(top + bottom) // 2, (left + right) // 2]:
        return "circle"  # the only hollow one
    return "square" if inked[top, left] else "triangle"


def caption(facts: Facts) -> str:
    """What a picture shows at a glance: not enough to answer from."""
    nouns = [thing.noun for thing in facts.things]
    if "bar" in nouns:
        return f"A bar chart with {len(nouns)} coloured bars on grey grid lines."
    if "rectangle" in nouns:
        return "Two coloured rectangles side by side on a grey grid."
    return f"A white picture of four tiles with {len(nouns)} coloured {'shape' if len(nouns) == 1 else 'shapes'}."


def describe(facts: Facts) -> str:
    """A detailed description: with it and without the picture, every question about the picture can be answered."""
    sentences = [caption(facts), f"The picture is {facts.width} pixels wide and {facts.height} pixels high."]
    if facts.width == COLUMNS * CELL:
        sentences += _tiles(facts)
    elif facts.width == len(BAR_PLACES) * CELL:
        sentences.append(f"The grid lines are {UNIT} pixels apart, and each step is one unit of height.")
        for place, bar in zip(BAR_PLACES, facts.things, strict=False):
            sentences.append(f"The {place} column has a {bar}, so it is {bar.size[1]} high.")
    else:
        sentences.append(f"The squares of the grid measure {UNIT} by {UNIT} pixels, one unit by one unit.")
        for place, rectangle in zip(RECTANGLE_PLACES, facts.things, strict=True):
            wide, high = rectangle.size
            sentences.append(f"The {place} half has a {rectangle}, so it is {wide} wide and {high} high.")
    return " ".join([*sentences, "There is nothing else in the picture and no text."])


def _tiles(facts: Facts) -> list[str]:
    shown = {(thing.top // CELL) * COLUMNS + thing.left // CELL: thing for thing in facts.things}
    return [
        f"Tile {i + 1}, at the {place}, has a {shown[i]}."
        if i in shown
        else f"Tile {i + 1}, at the {place}, is empty."
        for i, place in enumerate(TILE_PLACES)
    ]


def facts_in(text: str) -> Facts | None:
    """The facts of the description that a text holds; `None` if it holds none."""
    size, things = SIZE.search(text), THING.findall(text)
    if not size or not things:
        return None
    return Facts(
        int(size[1]), int(size[2]), tuple(Thing(colour, noun, *map(int, box)) for colour, noun, *box in things)
    )
