"""Pictures with questions whose answers need looking: counting, comparing, reading a bar chart, measuring a rectangle.

A scene is data; `draw` paints it and `ask` words a question about it, with the facts a chain of thought may state. A cell
is one visual token of Qwen2.5-VL (28 x 28 pixels) and a unit of length half of one, so a picture costs four to eight tokens.

Every question takes two looks that depend on each other: find what is asked about, then count or measure it. A model of
two layers can do so step by step in words and can hardly do so at a glance.
"""

import random
from dataclasses import dataclass, field

from PIL import Image, ImageDraw

CELL = 28
UNIT = CELL // 2
HEIGHT = 2 * CELL
COLOURS = {"red": (214, 39, 40), "green": (44, 160, 44), "blue": (31, 119, 230)}
GRID, FRAME = (215, 215, 215), (60, 60, 60)
SHAPES = ("circle", "square", "triangle")
ROWS, COLUMNS = 2, 2
BAR_PLACES = ("left", "middle", "right")
RECTANGLE_PLACES = ("left", "right")
KINDS = ("count", "compare", "bars", "rectangle")
LEVELS = (1, 2, 3)


@dataclass(frozen=True)
class Scene:
    """What is in one picture. `items` are (row, column, shape, colour), (colour, height) or (width, height, colour)."""

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
        return Scene(kind, level, items, _jitter(items, 2, rng))
    if kind == "bars":
        colours = rng.sample(list(COLOURS), min(level + 1, len(BAR_PLACES)))
        items = tuple((colour, rng.randint(1, 4)) for colour in colours)
        return Scene(kind, level, items, _jitter(items, 3, rng))
    longest = level + 1
    items = tuple(
        (rng.randint(1, longest), rng.randint(1, longest), rng.choice(list(COLOURS))) for _ in RECTANGLE_PLACES
    )
    return Scene("rectangle", level, items)


def _jitter(items: tuple, most: int, rng: random.Random) -> tuple[tuple[int, int], ...]:
    return tuple((rng.randint(-most, most), rng.randint(-most, most)) for _ in items)


def draw(scene: Scene) -> Image.Image:
    columns = {"bars": len(BAR_PLACES), "rectangle": 2 * len(RECTANGLE_PLACES)}.get(scene.kind, COLUMNS)
    image = Image.new("RGB", (columns * CELL, HEIGHT), "white")
    pen = ImageDraw.Draw(image)
    if scene.kind == "bars":
        _draw_bars(pen, scene, image.width)
    elif scene.kind == "rectangle":
        _draw_rectangles(pen, scene, image.width)
    else:
        _draw_shapes(pen, scene)
    # Qwen's vision tower knows only where patches lie to each other. A frame tells a patch where it lies in the picture.
    pen.rectangle((0, 0, image.width - 1, image.height - 1), outline=FRAME, width=2)
    return image


def _draw_shapes(pen: ImageDraw.ImageDraw, scene: Scene) -> None:
    for (row, column, shape, colour), (dx, dy) in zip(scene.items, scene.jitter, strict=True):
        left, top = column * CELL + 4 + dx, row * CELL + 4 + dy
        box = (left, top, left + 20, top + 20)
        if shape == "circle":
            pen.ellipse(box, outline=COLOURS[colour], width=4)
        elif shape == "square":
            pen.rectangle(box, fill=COLOURS[colour])
        else:
            pen.polygon([(left + 10, top), (left, top + 20), (left + 20, top + 20)], fill=COLOURS[colour])


def _draw_bars(pen: ImageDraw.ImageDraw, scene: Scene, width: int) -> None:
    for y in range(0, HEIGHT, UNIT):
        pen.line([(0, y), (width, y)], fill=GRID)
    for i, ((colour, height), (left, right)) in enumerate(zip(scene.items, scene.jitter, strict=True)):
        box = (i * CELL + 5 + left, HEIGHT - height * UNIT, i * CELL + 22 + right, HEIGHT)
        pen.rectangle(box, fill=COLOURS[colour])


def _draw_rectangles(pen: ImageDraw.ImageDraw, scene: Scene, width: int) -> None:
    for x in range(0, width, UNIT):
        pen.line([(x, 0), (x, HEIGHT)], fill=GRID)
    for y in range(0, HEIGHT, UNIT):
        pen.line([(0, y), (width, y)], fill=GRID)
    for i, (wide, high, colour) in enumerate(scene.items):
        left = i * 2 * CELL
        pen.rectangle((left, HEIGHT - high * UNIT, left + wide * UNIT - 1, HEIGHT), fill=COLOURS[colour])
    pen.line([(width // 2, 0), (width // 2, HEIGHT)], fill=FRAME, width=2)


def ask(scene: Scene, rng: random.Random) -> Question:
    """A question about the scene: comparisons are multiple choice, and one in five of the others."""
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
    """Tile by tile what it shows, whether it is wanted, and how many are so far of each kind; and how many in the end."""
    marks = ("yes",) if len(wanted) == 1 else ("first", "second")
    counts, seen = [0] * len(wanted), []
    for number, shown in enumerate(_tiles(scene), start=1):
        hits = [set(kind.split()) <= set(shown.split()) for kind in wanted]
        counts = [count + hit for count, hit in zip(counts, hits, strict=True)]
        mark = marks[hits.index(True)] if any(hits) else "no"
        seen.append(f"{number} {shown} {mark} {' '.join(map(str, counts))}")
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
    seen = {colour: (place, height) for place, (colour, height) in zip(BAR_PLACES, scene.items, strict=False)}
    one, other = rng.sample(list(seen), 2)
    (place, height), (other_place, other_height) = seen[one], seen[other]
    look = f"{one} {place} {height}"
    form = rng.choice(["height", "sum", "difference"])
    if form == "height":
        return Question(f"How high is the {one} bar?", str(height), f"{look}.", "", _neighbours(height))
    look += f", {other} {other_place} {other_height}."
    if form == "sum":
        text, answer = f"How high are the {one} bar and the {other} bar together?", height + other_height
        work = f"{height} + {other_height} = {answer}."
    else:
        text, answer = f"How far apart in height are the {one} bar and the {other} bar?", abs(height - other_height)
        work = f"{max(height, other_height)} - {min(height, other_height)} = {answer}."
    return Question(text, str(answer), look, work, _neighbours(answer))


def _ask_rectangle(scene: Scene, rng: random.Random) -> Question:
    place, (wide, high, _) = rng.choice(list(zip(RECTANGLE_PLACES, scene.items, strict=True)))
    look = f"{place} {wide} wide {high} high."
    if rng.random() < 0.5:
        text, answer, work = f"What is the area of the {place} rectangle?", wide * high, f"{wide} x {high} ="
    else:
        text, answer = f"What is the perimeter of the {place} rectangle?", 2 * (wide + high)
        work = f"{wide} + {high} = {wide + high}. 2 x {wide + high} ="
    return Question(text, str(answer), look, f"{work} {answer}.", _neighbours(answer))
