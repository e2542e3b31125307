"""Whatever a visitor gives is asked as in training or refused with a sentence that says what to do."""

import io

import pytest
from PIL import Image

from asking import MAX_LETTERS, MAX_MEGABYTES, Problem, check_picture, check_question


def saved(tmp_path, picture, kind="PNG", **options):
    path = tmp_path / f"picture.{kind.lower()}"
    picture.save(path, kind, **options)
    return path


def refusal(check, given):
    with pytest.raises(Problem) as refused:
        check(given)
    return str(refused.value)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
@pytest.mark.parametrize("mode", ["RGB", "L", "P"])
def test_pictures_of_all_kinds_become_rgb(tmp_path, kind, mode):
    if (kind, mode) == ("JPEG", "P"):
        pytest.skip("JPEG has no palette")
    picture = check_picture(saved(tmp_path, Image.new("RGB", (30, 20), "red").convert(mode), kind))
    assert (picture.mode, picture.size) == ("RGB", (30, 20))


def test_a_photograph_taken_sideways_stands_upright(tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    assert check_picture(saved(tmp_path, Image.new("RGB", (30, 20)), "JPEG", exif=exif)).size == (20, 30)


def test_no_picture_is_asked_for():
    assert "Choose a picture" in refusal(check_picture, None)


def test_a_file_that_is_no_picture_is_refused(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no picture at all")
    assert "cannot be read" in refusal(check_picture, tmp_path / "a.png")


def test_a_picture_that_breaks_off_is_refused(tmp_path):
    file = io.BytesIO()
    Image.effect_noise((300, 300), 90).save(file, "PNG")
    (tmp_path / "a.png").write_bytes(file.getvalue()[:9000])
    assert "damaged" in refusal(check_picture, tmp_path / "a.png")


def test_too_many_bytes_are_refused_with_the_limit(tmp_path):
    (tmp_path / "a.png").write_bytes(bytes(MAX_MEGABYTES * 1_000_000 + 1_000_000))
    assert f"at most {MAX_MEGABYTES} MB" in refusal(check_picture, tmp_path / "a.png")


@pytest.mark.parametrize("size", [(8000, 6000), (30_000, 20_000)])
def test_too_many_pixels_are_refused_before_they_are_decoded(tmp_path, size):
    path = saved(tmp_path, Image.new("1", size))
    assert "megapixels" in refusal(check_picture, path)


def test_a_strip_is_refused(tmp_path):
    assert "100 times" in refusal(check_picture, saved(tmp_path, Image.new("RGB", (1001, 10))))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "Write a question"),
        (" \n", "Write a question"),
        ("<image>", "Write a question"),
        ("a" * (MAX_LETTERS + 1), f"at most {MAX_LETTERS}"),
        ("What is <|image_pad|>?", "<|image_pad|>"),
        ("<image> or <image>?", "more than once"),
    ],
)
def test_questions_that_cannot_be_asked_are_refused_with_the_reason(text, why):
    assert why in refusal(check_question, text)


def test_a_question_is_asked_as_it_is_written():
    assert check_question("  How many?\nChoices: A: 1 B: 2 ") == "How many?\nChoices: A: 1 B: 2"
