"""Pictures of the kinds that training rows have, and what happens to a copy on its way from one dataset to another."""

import io
import math
import random
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

FONT = ImageFont.load_default(14)


def line_drawing(chance: random.Random) -> Image.Image:
    """Geometry: a triangle or a quadrangle with letters, perhaps a line, a circle, a number. Nearly blank."""
    width, height = chance.choice([(400, 300), (300, 300), (500, 350), (640, 480)])
    picture = Image.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(picture)
    corners = [
        (chance.uniform(0.1, 0.9) * width, chance.uniform(0.1, 0.9) * height) for _ in range(chance.choice([3, 3, 4]))
    ]
    pen.polygon(corners, outline="black", width=2)
    if chance.random() < 0.5:
        pen.line([corners[0], tuple(np.mean(corners[1:3], axis=0))], fill="black", width=2)
    if chance.random() < 0.3:
        x, y, radius = (
            chance.uniform(0.3, 0.7) * width,
            chance.uniform(0.3, 0.7) * height,
            chance.uniform(0.1, 0.3) * height,
        )
        pen.ellipse([x - radius, y - radius, x + radius, y + radius], outline="black", width=2)
    for (x, y), letter in zip(corners, "ABCD"):
        pen.text((x + 4, y - 14), letter, fill="black", font=FONT)
    return picture


def bar_chart(chance: random.Random) -> Image.Image:
    """Charts of one maker: the same size, axes and grid, other bars."""
    picture = Image.new("RGB", (600, 400), "white")
    pen = ImageDraw.Draw(picture)
    bars = chance.choice([4, 5, 6])
    colour = chance.choice([(31, 119, 180), (255, 127, 14), (44, 160, 44)])
    for line in range(5):
        pen.line([(60, 350 - line * 70), (580, 350 - line * 70)], fill=(210, 210, 210))
        pen.text((30, 343 - line * 70), str(line * 20), fill="black", font=FONT)
    for bar in range(bars):
        left, height = 70 + bar * 510 / bars, chance.randrange(10, 290)
        pen.rectangle([left, 350 - height, left + 300 / bars, 350], fill=colour)
        pen.text((left, 355), chance.choice(["apples", "pears", "2019", "2020", "cars"]), fill="black", font=FONT)
    pen.text((250, 10), chance.choice(["Sales by year", "Population", "Votes"]), fill="black", font=FONT)
    return picture


def function_plot(chance: random.Random) -> Image.Image:
    """One curve on squared paper: all but the curve is the same in each."""
    picture = Image.new("RGB", (500, 500), "white")
    pen = ImageDraw.Draw(picture)
    for line in range(0, 501, 50):
        pen.line([(line, 0), (line, 500)], fill=(220, 220, 220))
        pen.line([(0, line), (500, line)], fill=(220, 220, 220))
    pen.line([(250, 0), (250, 500)], fill="black", width=2)
    pen.line([(0, 250), (500, 250)], fill="black", width=2)
    a, b, c = chance.uniform(-2, 2), chance.uniform(-3, 3), chance.uniform(-4, 4)
    curve = chance.choice(
        [lambda x: a * x + c, lambda x: a * x * x / 2 + b * x + c, lambda x: 3 * math.sin(a * x) + b]
    )
    pen.line([(250 + 5 * x, 250 - 50 * curve(x / 10)) for x in range(-50, 51)], fill="blue", width=3)
    return picture


def centred_figure(chance: random.Random) -> Image.Image:
    """One figure in the middle, its own mirror image: half of the frequencies of a picture like this are zero."""
    picture = Image.new("RGB", (400, 300), "white")
    pen = ImageDraw.Draw(picture)
    width, height = chance.uniform(20, 140), chance.uniform(20, 140)
    box = [200 - width, 150 - height, 200 + width, 150 + height]
    kind = chance.choice(["ellipse", "triangle", "rectangles"])
    if kind == "ellipse":
        pen.ellipse(box, outline="black", width=2)
    elif kind == "triangle":
        pen.polygon([(200, box[1]), (box[0], box[3]), (box[2], box[3])], outline="black", width=2)
    else:
        pen.rectangle(box, outline="black", width=2)
        inner = chance.uniform(10, width)
        pen.rectangle([200 - inner, 150 - height / 2, 200 + inner, 150 + height / 2], fill="grey")
    return picture


def page(chance: random.Random) -> Image.Image:
    """Lines of text, like a scanned problem."""
    picture = Image.new("RGB", (600, 400), "white")
    pen = ImageDraw.Draw(picture)
    for line in range(chance.randrange(3, 18)):
        words = ["".join(chance.choices("abcdefghijklmnop", k=chance.randrange(2, 9))) for _ in range(8)]
        pen.text((20, 15 + 20 * line), " ".join(words), fill="black", font=FONT)
    return picture


def photograph(chance: random.Random) -> Image.Image:
    """Noise with as much power at every scale, like photographs, and some grain; about 60 KB as JPEG."""
    width, height = chance.choice([(640, 480), (480, 640), (500, 375)])
    noise = np.random.default_rng(chance.randrange(2**32))
    sums = np.zeros((height, width, 3))
    for side in (4, 8, 16, 32, 64, 128):
        patch = Image.fromarray((noise.random((side, side, 3)) * 255).astype(np.uint8))
        sums += np.asarray(patch.resize((width, height), Image.Resampling.BICUBIC)) / side
    levels = (sums - sums.min()) / (sums.max() - sums.min()) * 255 + noise.normal(0, 10, (height, width, 1))
    return Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8))


KINDS: dict[str, Callable[[random.Random], Image.Image]] = {
    "line drawings": line_drawing,
    "centred figures": centred_figure,
    "bar charts": bar_chart,
    "function plots": function_plot,
    "pages of text": page,
    "photographs": photograph,
}


def as_jpeg(picture: Image.Image, quality: int) -> bytes:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return file.getvalue()


def as_png(picture: Image.Image, **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG", **{"compress_level": 1, **options})
    return file.getvalue()


def resized(picture: Image.Image, factor: float, how: Image.Resampling = Image.Resampling.BICUBIC) -> Image.Image:
    return picture.resize((max(1, round(picture.width * factor)), max(1, round(picture.height * factor))), how)


def cropped(picture: Image.Image, share: float, chance: random.Random) -> Image.Image:
    """Up to `share` of the width or height is gone on each side."""
    width, height = picture.size
    left, top, right, bottom = (chance.uniform(0, share) for _ in range(4))
    return picture.crop(
        (round(left * width), round(top * height), round((1 - right) * width), round((1 - bottom) * height))
    )


COPIES: dict[str, Callable[[Image.Image, random.Random], bytes]] = {
    "JPEG 30": lambda picture, chance: as_jpeg(picture, 30),
    "JPEG 95": lambda picture, chance: as_jpeg(picture, 95),
    "0.3 x": lambda picture, chance: as_png(resized(picture, 0.3)),
    "0.5 x, JPEG 50": lambda picture, chance: as_jpeg(resized(picture, 0.5), 50),
    "2 x": lambda picture, chance: as_png(resized(picture, 2)),
    "cut 1%": lambda picture, chance: as_png(cropped(picture, 0.01, chance)),
    "cut 2%": lambda picture, chance: as_png(cropped(picture, 0.02, chance)),
    "cut 4%": lambda picture, chance: as_png(cropped(picture, 0.04, chance)),
    "blurred": lambda picture, chance: as_png(picture.filter(ImageFilter.GaussianBlur(1))),
}
