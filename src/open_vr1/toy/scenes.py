"""Pictures with questions whose answers need looking: counting, comparing, reading a bar chart, measuring a rectangle.

A scene is data; `draw` paints it and `ask` words a question about it, with the facts a chain of thought may state. A cell
is one visual token of Qwen2.5-VL (28 x 28 pixels) and a unit of length half of one, so a picture costs four or six tokens.
"""

import random
from dataclasses import dataclass, field

from PIL import Image, ImageDraw

CELL = 28
UNIT = CELL // 2
WIDTH, HEIGHT = 3 * CELL, 2 * CELL
COLOURS = {"red": (214, 39, 40), "green": (44, 160, 44), "blue": (31, 119, 230)}
GRID, FRAME = (215, 215, 215), (60, 60, 60)
SHAPES = ("circle", "square", "triangle")
ROWS, COLUMNS = 2, 2
PLACES = ("left", "middle", "right")
KINDS = ("count", "compare", "bars", "rectangle")
LEVELS = (1, 2, 3)


@dataclass(frozen=True)
class Scene:
    """What is in one picture. `items` are (row, column, shape, colour), (colour, height) or (x, y, width, height, colour)."""

    kind: str
    level: int
    items: tuple
    jitter: tuple[tuple[int, int], ...] = ()


@dataclass
class Question:
    """
    A question about a scene, its answer, and the steps that lead there: `look` states what is seen, `work` what follows.
    `rivals` are answers that somebody in doubt might think of.
    """

    text: str
    answer: str
    look: str
    work: str
    rivals: list[str]
    choices: list[str] = field(default_factory=list)

    @property
    def solution(self) -> str:
        """The letter of the right choice, or the answer itself when the question is open."""
        return chr(ord("A") + self.choices.index(self.answer)) if self.choices else self.answer


def make_scene(kind: str, level: int, rng: random.Random) -> Scene:
    """A random scene; the level sets how much there is to see."""
    if kind in ("count", "compare"):
        cells = rng.sample(
            [(row, column) for row in range(ROWS) for column in range(COLUMNS)], level + rng.randint(0, 1)
        )
        items = tuple((*cell, rng.choice(SHAPES), rng.choice(list(COLOURS))) for cell in sorted(cells))
        jitter = tuple((rng.randint(-3, 3), rng.randint(-3, 3)) for _ in items)
        return Scene(kind, level, items, jitter)
    if kind == "bars":
        colours = rng.sample(list(COLOURS), min(level + 1, len(PLACES)))
        return Scene(kind, level, tuple((colour, rng.randint(1, 4)) for colour in colours))
    width, height = rng.randint(1, 2 * level), rng.randint(1, min(1 + level, HEIGHT // UNIT))
    x, y = rng.randint(0, WIDTH // UNIT - width), rng.randint(0, HEIGHT // UNIT - height)
    return Scene("rectangle", level, ((x, y, width, height, rng.choice(list(COLOURS))),))


def draw(scene: Scene) -> Image.Image:
    width = WIDTH if scene.kind in ("bars", "rectangle") else COLUMNS * CELL
    image = Image.new("RGB", (width, HEIGHT), "white")
    pen = ImageDraw.Draw(image)
    if scene.kind == "bars":
        _draw_bars(pen, scene)
    elif scene.kind == "rectangle":
        _draw_rectangle(pen, scene)
    else:
        _draw_shapes(pen, scene)
    # Qwen's vision tower knows only where patches lie to each other. A frame tells a patch where it lies in the picture.
    pen.rectangle((0, 0, image.width - 1, image.height - 1), outline=FRAME, width=2)
    return image


def _draw_shapes(pen: ImageDraw.ImageDraw, scene: Scene) -> None:
    for (row, column, shape, colour), (dx, dy) in zip(scene.items, scene.jitter, strict=True):
        left, top = column * CELL + 5 + dx, row * CELL + 5 + dy
        box = (left, top, left + 18, top + 18)
        if shape == "circle":
            pen.ellipse(box, fill=COLOURS[colour])
        elif shape == "square":
            pen.rectangle(box, fill=COLOURS[colour])
        else:
            pen.polygon([(left + 9, top), (left, top + 18), (left + 18, top + 18)], fill=COLOURS[colour])


def _draw_bars(pen: ImageDraw.ImageDraw, scene: Scene) -> None:
    for y in range(0, HEIGHT, UNIT):
        pen.line([(0, y), (WIDTH, y)], fill=GRID)
    for i, (colour, height) in enumerate(scene.items):
        pen.rectangle((i * CELL + 5, HEIGHT - height * UNIT, i * CELL + 22, HEIGHT), fill=COLOURS[colour])


def _draw_rectangle(pen: ImageDraw.ImageDraw, scene: Scene) -> None:
    for x in range(0, WIDTH, UNIT):
        pen.line([(x, 0), (x, HEIGHT)], fill=GRID)
    for y in range(0, HEIGHT, UNIT):
        pen.line([(0, y), (WIDTH, y)], fill=GRID)
    ((x, y, width, height, colour),) = scene.items
    left, top = x * UNIT, y * UNIT
    pen.rectangle((left, top, left + width * UNIT - 1, top + height * UNIT - 1), fill=COLOURS[colour])


def ask(scene: Scene, rng: random.Random) -> Question:
    """A question about the scene; about half of those with a natural set of wrong answers are multiple choice."""
    question = {"count": _ask_count, "compare": _ask_compare, "bars": _ask_bars, "rectangle": _ask_rectangle}[
        scene.kind
    ](scene, rng)
    if not question.choices and rng.random() < 0.2:
        question.choices = _near_numbers(int(question.answer), rng)
    return question


def _near_numbers(answer: int, rng: random.Random) -> list[str]:
    # The range is drawn first so that the answer's place among its neighbours gives nothing away.
    lowest = max(0, answer - rng.randint(0, 3))
    return [str(lowest + i) for i in range(4)]


def _neighbours(answer: int) -> list[str]:
    return [str(near) for near in range(max(0, answer - 2), answer + 3) if near != answer]


def _tiles(scene: Scene) -> list[str]:
    """What each tile shows, the empty ones too."""
    cells = {(row, column): f"{colour} {shape}" for row, column, shape, colour in scene.items}
    return [cells.get((row, column), "none") for row in range(ROWS) for column in range(COLUMNS)]


def _count_along(scene: Scene, *wanted: str) -> tuple[str, list[int]]:
    """Tile by tile what it shows and how many of each wanted kind there are so far; and how many in the end."""
    counts, seen = [0] * len(wanted), []
    for number, shown in enumerate(_tiles(scene), start=1):
        counts = [
            count + (set(kind.split()) <= set(shown.split())) for count, kind in zip(counts, wanted, strict=True)
        ]
        seen.append(f"{number} {shown} {' '.join(map(str, counts))}")
    return ", ".join(seen) + ".", counts


def _ask_count(scene: Scene, rng: random.Random) -> Question:
    _, _, shape, colour = rng.choice(scene.items)
    wanted, noun = rng.choice(
        [(shape, f"{shape}s"), (colour, f"{colour} shapes"), (f"{colour} {shape}", f"{colour} {shape}s")]
    )
    look, (count,) = _count_along(scene, wanted)
    return Question(
        text=f"How many {noun} are there?",
        answer=str(count),
        look=look,
        work=f"{noun} {count}.",
        rivals=_neighbours(count),
    )


def _ask_compare(scene: Scene, rng: random.Random) -> Question:
    one, other = rng.sample(SHAPES, 2)
    look, (first, second) = _count_along(scene, one, other)
    choices = [f"{one}s", f"{other}s", "the same number"]
    answer = choices[2] if first == second else choices[first < second]
    compared = f"{one}s {first}, {other}s {second}, so {answer}."
    rivals = [choice for choice in choices if choice != answer]
    return Question(f"Are there more {one}s or {other}s?", answer, look, compared, rivals, choices)


def _ask_bars(scene: Scene, rng: random.Random) -> Question:
    heights = dict(scene.items)
    one, other = rng.sample(list(heights), 2)
    look = ", ".join(f"{place} {colour} {height}" for place, (colour, height) in zip(PLACES, scene.items)) + "."
    form = rng.choice(["height", "sum", "difference"])
    if form == "height":
        text, answer, work = f"How high is the {one} bar?", heights[one], f"{one} {heights[one]}"
    elif form == "sum":
        text, answer = f"How high are the {one} bar and the {other} bar together?", heights[one] + heights[other]
        work = f"{one} {heights[one]} + {other} {heights[other]} = {answer}"
    else:
        text = f"How far apart in height are the {one} bar and the {other} bar?"
        (low, lower), (high, higher) = sorted((heights[colour], colour) for colour in (one, other))
        answer, work = high - low, f"{higher} {high} - {lower} {low} = {high - low}"
    return Question(text, str(answer), look, f"{work}.", _neighbours(answer))


def _ask_rectangle(scene: Scene, rng: random.Random) -> Question:
    ((_, _, width, height, colour),) = scene.items
    look = f"The {colour} rectangle is {width} wide and {height} high."
    if rng.random() < 0.5:
        text, answer, work = f"What is the area of the {colour} rectangle?", width * height, f"{width} x {height}"
    else:
        text, answer = f"What is the perimeter of the {colour} rectangle?", 2 * (width + height)
        work = f"2 x {width + height}"
    return Question(text, str(answer), look, f"{work} = {answer}.", _neighbours(answer))
