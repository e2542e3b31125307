"""A look at a picture: what it takes for the same, what it refuses, and that stored hashes stay valid."""

import io
import random
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageDraw

from open_vr1.cold.hashes import MAX_PIXELS, Unreadable, look_at
from open_vr1.toy import scenes


def drawn(size: tuple[int, int] = (200, 120)) -> Image.Image:
    """Shapes whose pixels no version of Pillow draws otherwise: rectangles on whole pixels."""
    picture = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(picture)
    pen.rectangle([20, 30, 79, 99], fill=(200, 30, 40))
    pen.rectangle([100, 10, 119, 109], fill=(10, 90, 200))
    pen.rectangle([150, 60, 189, 69], fill=(0, 0, 0))
    return picture


def encoded(picture: Image.Image, kind: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def bits(a: bytes, b: bytes) -> int:
    return (int.from_bytes(a, "big") ^ int.from_bytes(b, "big")).bit_count()


def test_the_hashes_of_a_known_picture_are_what_they_were():
    look = look_at(encoded(drawn()))
    assert (look.width, look.height, look.blank) == (200, 120, False)
    assert look.pixels == "ebad6bb6c7fdf4329b4c65a6397f400d4e8fd84a150f5589c01c1502eb18693c"
    assert look.hash64.hex() == "0c2c2c3d3d3c2c0c"
    assert look.hash256.hex() == "3ec4e11dc1395acacbbb3dc59db15a8a5b92a5159911429a1990bd4576ce5aca"


@pytest.mark.parametrize(
    "copy",
    [
        encoded(drawn(), compress_level=1),
        encoded(drawn(), "BMP"),
        encoded(drawn(), "TIFF", compression="tiff_lzw"),
        encoded(drawn(), "WEBP", lossless=True),
        encoded(drawn(), "GIF"),
        encoded(drawn().convert("P", palette=Image.Palette.ADAPTIVE)),
        encoded(drawn().convert("RGBA")),
    ],
    ids=["png", "bmp", "tiff", "webp", "gif", "palette", "alpha"],
)
def test_a_lossless_copy_has_the_same_pixels(copy):
    look, original = look_at(copy), look_at(encoded(drawn()))
    assert look.pixels == original.pixels and look.sha256 != original.sha256
    assert (look.hash64, look.hash256) == (original.hash64, original.hash256)


def test_other_sizes_of_the_same_bytes_are_other_pixels():
    assert (
        look_at(encoded(Image.new("RGB", (4, 6), "red"))).pixels
        != look_at(encoded(Image.new("RGB", (6, 4), "red"))).pixels
    )


def test_it_is_seen_upright():
    turned = drawn().transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6
    look = look_at(encoded(turned, exif=exif))
    assert (look.width, look.height) == (200, 120) and look.pixels == look_at(encoded(drawn())).pixels


def test_what_is_transparent_is_white():
    clear = drawn().convert("RGBA")
    levels = np.array(clear)
    levels[(levels == 255).all(axis=2)] = 0
    clear = Image.fromarray(levels)
    assert look_at(encoded(clear)).pixels == look_at(encoded(drawn())).pixels
    keyed = encoded(drawn().convert("P", palette=Image.Palette.ADAPTIVE), transparency=0)
    assert look_at(keyed).width == 200


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "CMYK", "I;16", "I", "F"])
def test_every_mode_is_read(mode):
    grey = drawn().convert("L")
    levels = np.asarray(grey)
    kinds = {
        "I;16": levels.astype(np.uint16) * 257,
        "I": levels.astype(np.int32) * 257,
        "F": levels.astype(np.float32) / 255,
    }
    picture = (
        Image.fromarray(kinds[mode]) if mode in kinds else grey.convert("L" if mode == "LA" else "RGB").convert(mode)
    )
    look, reference = look_at(encoded(picture, "TIFF")), look_at(encoded(grey))
    assert (look.width, look.height) == (200, 120)
    # Not one in which all above 255 of 65,535 is white, or all is black.
    assert bits(look.hash256, reference.hash256) <= (60 if mode == "1" else 4)


def test_the_first_frame_of_an_animation_counts():
    frames = [drawn(), Image.new("RGB", (200, 120), "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert look_at(data).pixels == look_at(encoded(drawn())).pixels


@pytest.mark.parametrize("size", [(1, 1), (1, 400), (400, 1), (2, 3), (9, 8)])
def test_tiny_pictures_have_hashes(size):
    chance = np.random.default_rng(0)
    look = look_at(encoded(Image.fromarray(chance.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))))
    assert (look.width, look.height) == size and len(look.hash64) == 8 and len(look.hash256) == 32


@pytest.mark.parametrize("colour", ["white", "black", (200, 90, 10)])
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_one_colour_all_over_is_blank(colour, kind):
    look = look_at(encoded(Image.new("RGB", (300, 200), colour), kind))
    assert look.blank and not any(look.hash64) and not any(look.hash256)


def test_colours_of_the_same_brightness_are_not_blank():
    picture = Image.new("RGB", (100, 100), (255, 0, 0))
    picture.paste((0, 130, 0), (50, 0, 100, 100))
    look = look_at(encoded(picture))
    assert not look.blank and not any(look.hash256)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP"])
@pytest.mark.parametrize("share", [0.01, 0.5, 0.9])
def test_a_file_that_is_cut_off_is_refused(kind, share):
    noise = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), kind)
    with pytest.raises(Unreadable) as error:
        look_at(data[: int(len(data) * share)])
    assert error.value.reason and "0x" not in error.value.reason


@pytest.mark.parametrize(
    "data", [b"", b"<html>404</html>", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", b"\x89PNG\r\n\x1a\n"]
)
def test_what_is_no_picture_is_refused(data):
    with pytest.raises(Unreadable):
        look_at(data)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [int(MAX_PIXELS**0.5) + 1, 12_000, 60_000])
def test_a_bomb_is_refused_before_it_goes_off(side):
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    data = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(1000)))
        + chunk(b"IEND", b"")
    )
    with pytest.raises(Unreadable, match="pixels"):
        look_at(data)


def test_scenes_look_different_and_their_copies_alike():
    chance = random.Random(0)
    for kind in scenes.KINDS:
        picture = scenes.draw(scenes.make_scene(kind, 3, chance)).convert("RGB")
        original = look_at(encoded(picture))
        copy = look_at(encoded(picture.resize((picture.width * 2, picture.height * 2), Image.Resampling.BICUBIC)))
        assert bits(original.hash256, copy.hash256) <= 28
