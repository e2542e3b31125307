"""
One look at a picture: whether it can be read at all, and by what to know it again.

    look_at(path.read_bytes())   ->   Look(width=600, height=400, sha256=..., pixels=..., hash64=..., hash256=...)

Two digests know an exact copy, also one that was saved again without loss; two perceptual hashes know a copy that was saved
as JPEG, resized or cropped a little. The coarse one (differences between neighbours on a grid of 8 x 8) is cheap to compare and
finds whom to compare; the fine one (signs of 256 low frequencies) tells drawings on white apart, which look alike at a coarse
look. All arithmetic after decoding is on integers, so a hash is the same on every machine, and stored ones stay valid as
long as the golden hashes of tests/cold/test_hashes.py do.
"""

import hashlib
import io
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, ImageOps

# What bitmaps come in. Pillow opens more than that; EPS, for one, would start an interpreter.
FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF", "JPEG2000")
# Below Pillow's own limit, which only warns at first; a picture of this size takes 200 MB as RGB.
MAX_PIXELS = 64_000_000
GRID = 8
# Grey levels by which neighbours must differ: flat areas stay flat under the noise that JPEG puts on them.
STEP = 2
SIDE = 64
# Large pictures are first averaged down to at least this many times the size: four times as fast, and hashes stay.
GAP = 3.0
FREQUENCIES = 16
# Grey levels within which a picture is taken as blank: JPEG gives a flat colour as much.
FLAT = 4
# A wave below this is as good as none: 32 grey levels summed over the thumbnail, more than JPEG leaves. Figures that are their
# own mirror image have half of the frequencies at zero, and those bits would be dice.
NOISE = 32 * 4096**2
# Cosines as integers, so that equal pictures have equal hashes whichever library multiplies the matrices.
COSINES = np.round(
    4096 * np.cos(np.pi * np.outer(np.arange(FREQUENCIES), 2 * np.arange(SIDE) + 1) / (2 * SIDE))
).astype(np.int64)


class Unreadable(Exception):
    """A picture that cannot be used; `reason` says why in a few words."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Look:
    """
    What is known of a picture after it was decoded once.

    Args:
        width (`int`):
            In pixels, upright.
        height (`int`):
            In pixels, upright.
        sha256 (`str`):
            Of the file's bytes.
        pixels (`str`):
            SHA-256 of the size and the pixels as they are seen: upright, on white, as RGB. A lossless copy has the same.
        hash64 (`bytes`):
            The coarse perceptual hash, 8 bytes.
        hash256 (`bytes`):
            The fine perceptual hash, 32 bytes; all zero if there is no brightness to compare.
        blank (`bool`, *optional*, defaults to `False`):
            Whether it is one colour all over, like the placeholders of rows without a picture.
    """

    width: int
    height: int
    sha256: str
    pixels: str
    hash64: bytes
    hash256: bytes
    blank: bool = False


def look_at(data: bytes) -> Look:
    """
    Decode a picture and describe it. Of an animation the first frame counts.

    Args:
        data (`bytes`):
            The file. Raises [`Unreadable`] if it is broken, cut off, too large or no picture.
    """
    picture = as_seen(data)
    digest = hashlib.sha256(b"%dx%d " % picture.size)
    digest.update(picture.tobytes())
    grey = picture.convert("L")
    small = np.asarray(grey.resize((SIDE, SIDE), Image.Resampling.LANCZOS, reducing_gap=GAP), dtype=np.int64)
    flat = int(small.max() - small.min()) <= FLAT
    return Look(
        *picture.size,
        sha256=hashlib.sha256(data).hexdigest(),
        pixels=digest.hexdigest(),
        hash64=bytes(GRID * GRID // 8) if flat else _difference_hash(grey),
        hash256=bytes(FREQUENCIES**2 // 8) if flat else _frequency_hash(small),
        blank=flat and all(high - low <= FLAT for low, high in picture.getextrema()),
    )


def as_seen(data: bytes) -> Image.Image:
    """A picture as RGB, upright, what is transparent shown on white."""
    if not data:
        raise Unreadable("it is empty")
    try:
        picture = Image.open(io.BytesIO(data), formats=_formats())
        # Before anything is decoded: a file of a few kilobytes can hold a picture that fills the memory.
        if picture.width * picture.height > MAX_PIXELS:
            raise Unreadable(f"it has {picture.width} x {picture.height} pixels, more than {MAX_PIXELS:,}")
        picture.load()
        # In place, and below only where it is not RGB yet: each copy takes a tenth of the time that a photograph does.
        ImageOps.exif_transpose(picture, in_place=True)
        return _as_rgb(picture)
    except Unreadable:
        raise
    except Exception as error:  # Broken files make image libraries raise anything.
        raise Unreadable(str(error).partition(" <_io")[0] or type(error).__name__) from error


@cache
def _formats() -> list[str]:
    """The formats that this machine's Pillow can read. It asks for those that it has not loaded yet, and fails."""
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _as_rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith(("I", "F")):
        picture = _as_eight_bits(picture)
    if picture.has_transparency_data:
        shown = Image.new("RGBA", picture.size, "white")
        shown.alpha_composite(picture.convert("RGBA"))
        picture = shown
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def _as_eight_bits(picture: Image.Image) -> Image.Image:
    """Grey levels of 16 or 32 bits or as fractions. Pillow would cut off all above 255."""
    levels = np.nan_to_num(np.asarray(picture, dtype=np.float64), posinf=0, neginf=0)
    most = levels.max()
    if picture.mode.startswith("I;16") or most > 255:
        levels = levels / 257
    elif picture.mode == "F" and most <= 1:
        levels = levels * 255
    return Image.fromarray(np.clip(np.round(levels), 0, 255).astype(np.uint8))


def _difference_hash(grey: Image.Image) -> bytes:
    """A bit for each of 8 x 8 places: whether it gets brighter from there to the right."""
    small = np.asarray(grey.resize((GRID + 1, GRID), Image.Resampling.BILINEAR, reducing_gap=GAP), dtype=np.int64)
    return np.packbits(small[:, 1:] - small[:, :-1] > STEP).tobytes()


def _frequency_hash(small: np.ndarray) -> bytes:
    """A bit for each of 16 x 16 low frequencies of a cosine transform: whether its wave is there, and not upside down."""
    waves = (COSINES @ small @ COSINES.T).ravel()
    # The mean brightness says nothing about what is drawn.
    waves[0] = 0
    return np.packbits(waves > NOISE).tobytes()
