"""Wording: what is mended, what is left alone, and that mending twice is mending once."""

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from open_vr1.cold.filter.rewording import reword

MENDED = [
    ("The description says that AB = 5.", "The image shows that AB = 5."),
    ("So the image description mentions four cats.", "So the image shows four cats."),
    ("The description of the diagram states that", "The diagram shows that"),
    ("as described in the text, AB = 5", "as shown in the image, AB = 5"),
    ("According to the caption, it is red.", "According to the image, it is red."),
    ("Based on the description provided, it is red.", "Based on the image, it is red."),
    ("the provided text description says", "the image shows"),
    ("The descriptions say so.", "The images show this."),
    ("The description doesn't mention it.", "The image doesn't show it."),
    ("The description has already mentioned it.", "The image has already shown it."),
    ("The description tells us about AB.", "The image shows us AB."),
    ("The description shows illustrates that", "The image shows that"),
    ("The description illustrates that", "The image illustrates that"),
    ("The description mentions and shows P.", "The image shows P."),
    ("in the image described in the description. The image description shows that", "in the image. The image shows that"),
    ("the image described. The description says that", "the image. The image shows that"),
    ("Let me re-read the description.", "Let me look again at the image."),
    ("Reading the description, I see", "Looking at the image, I see"),
    ("It is described as a square.", "It is shown as a square."),
    ("The described figure and the described square", "The figure and the depicted square"),
    ("The user described a square.", "The image shows a square."),
    ("The description of the square says it is red.", "The depiction of the square shows it is red."),
    ("THE DESCRIPTION SAYS AB = 5", "THE IMAGE SHOWS AB = 5"),
    ('The description says, "the description says"', 'The image shows, "the description says"'),
    ("Your description mentions it.", "The image shows it."),
    ("the description's first line", "the image's first line"),
    ("The caption of the image states that", "The image shows that"),
    ("According to the description provided by the user, x", "According to the image, x"),
    ("The detailed description above says that", "The image shows that"),
    ("The image is described as showing a boy.", "The image shows a boy."),
    ("From what's described, the line goes up.", "From what's shown, the line goes up."),
    ("the descriptions of the two images say", "the images show"),
    ("The text says that the store is open.", "The image shows that the store is open."),
]  # fmt: skip
LEFT_ALONE = [
    "The problem says that AB = 5.",
    "The job description says that he must travel.",
    'The text in the image says "STOP".',
    'The text says "STOP", and the text on the sign mentions Paris.',
    "Which description best fits the picture?",
    "The description column of the table lists apples.",
    "The caption below the photo reads 'Paris'.",
    "The motion is described by y = 3x.",
    "He wrote `the description says` and $the description says$.",
    "It says \"the description says that AB = 5\" and 'the caption says so'.",
    "As described earlier, I add both.",
    "The description of mitosis is right.",
    "The texture says a lot; a caption contest.",
    "The image shows that AB = 5.",
]


@pytest.mark.parametrize(("text", "expected"), MENDED)
def test_text_becomes_picture(text, expected):
    assert reword(text)[0] == expected
    assert reword(text)[1] >= 1


@pytest.mark.parametrize("text", LEFT_ALONE)
def test_other_senses_are_left_alone(text):
    assert reword(text) == (text, 0)


def test_replacements_are_counted():
    assert reword("The description says A. According to the caption, B. As described, C.")[1] == 3


PIECES = [
    "the",
    "The",
    "THE",
    "this",
    "your",
    "a",
    "image",
    "diagram",
    "picture",
    "description",
    "Description",
    "descriptions",
    "description's",
    "caption",
    "text",
    "provided",
    "given",
    "says",
    "shows",
    "states",
    "mention",
    "mentioned",
    "illustrates",
    "described",
    "as",
    "in",
    "by",
    "of",
    "from",
    "read",
    "re-read",
    "and",
    "or",
    "which",
    "that",
    "does",
    "not",
    "has",
    "user",
    "user's",
    "according",
    "to",
    "based",
    "on",
    ".",
    ",",
    "\n",
    '"',
    "'",
    "$",
    "so",
    "is",
    "it's",
    "above",
    "detailed",
    "above:",
    "x=5",
    "about",
    "us",
]
DOUBLED = re.compile(
    r"\b(shows|displays|depicts|illustrates) (shows|displays|depicts|illustrates|says|states|mentions)\b"
)
many = settings(deadline=None, max_examples=1500, suppress_health_check=list(HealthCheck), derandomize=True)


@many
@given(st.lists(st.sampled_from(PIECES), max_size=25).map(" ".join))
def test_rewording_twice_is_rewording_once(text):
    once, _ = reword(text)
    assert reword(once) == (once, 0)
    assert len(DOUBLED.findall(once)) <= len(DOUBLED.findall(text))


@many
@given(st.text(max_size=200) | st.text("the description says.\"'$\n", max_size=100))
def test_any_text_can_be_reworded(text):
    once, count = reword(text)
    assert reword(once) == (once, 0)
    assert (once == text) == (count == 0)


VERBS = ["says", "states", "mentions", "shows", "illustrates", "describes", "indicates", "displays"]
PHRASES = [
    "The description",
    "The image description",
    "The caption",
    "The provided text",
    "The description of the image",
]


@many
@given(st.sampled_from(PHRASES), st.sampled_from(VERBS), st.sampled_from(["that AB = 5", "a red cat", "shows x"]))
def test_a_sentence_keeps_one_verb(phrase, verb, rest):
    mended, _ = reword(f"{phrase} {verb} {rest}.")
    assert re.match(r"The image (shows|illustrates|indicates|displays) (that AB|a red|x)", mended), mended


def test_a_formula_stands_as_it_was():
    formula = r"\(\text{the description says}\) and \[ \text{as described} \]"
    assert reword(f"The description says {formula}.")[0] == f"The image shows {formula}."
