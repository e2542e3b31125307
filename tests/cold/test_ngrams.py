"""The wording of a question as hashes: what is the same wording, and that hashes are the same everywhere."""

import subprocess
import sys
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_vr1.cold.decontaminate.ngrams import fingerprint, words

QUESTION = "In the figure, $\\angle ABC = 35^\\circ$ and AB = 1,200.5 cm. Find the area of \\triangle ABC."
SPELLINGS = [
    "<image>\nIn the figure, \\angle ABC=35^\\circ and AB = 1200.5cm. Find the area of \\triangle ABC",
    "in the FIGURE  \u2220ABC = 35\u00b0 and AB=1,200.5 cm; find the area of \u25b3ABC?",
    "In the \ufb01gure, $\\angle\\mathrm{ABC} = 35^{\\circ}$ and $\\text{AB} = 1,200.5$ cm. Find the area of $\\triangle{ABC}$.",
]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_another_spelling_is_the_same_wording(spelling):
    assert words(spelling) == words(QUESTION)
    assert np.array_equal(fingerprint(spelling).ngrams, fingerprint(QUESTION).ngrams)
    assert fingerprint(spelling).whole == fingerprint(QUESTION).whole


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \n$$.,!?", []),
        ("\\dfrac{1}{2}x \\leq 3.5", ["frac", "1", "2", "x", "le", "3.5"]),
        ("如图，在△ABC中", ["如", "图", "在", "triangle", "abc", "中"]),
        ("x_1 + x2", ["x", "1", "x", "2"]),
        ("1,000,000 and 1,2,3", ["1000000", "and", "1", "2", "3"]),
        ("\\left( \\leftarrow \\right)", ["leftarrow"]),
    ],
)
def test_words(text, expected):
    assert words(text) == expected


def test_the_hashes_of_a_known_question_are_what_they_were():
    found = fingerprint("How many more apples than pears are there in the picture?")
    assert found.ngrams.tolist() == [86912558273744249, 7445262554395347233, 8775160911092148448, 13364523729315196393]
    assert found.whole == 9815613038887800050


def test_another_process_gives_the_same_hashes():
    code = (
        f"from open_vr1.cold.decontaminate.ngrams import fingerprint; print(fingerprint({QUESTION!r}).ngrams.tolist())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONHASHSEED": "77", "PYTHONPATH": ":".join(sys.path)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == str(fingerprint(QUESTION).ngrams.tolist()), done.stderr


WORDS = st.lists(st.sampled_from("abcdefgh"), max_size=30)


@given(WORDS, st.integers(1, 9))
def test_there_is_a_hash_for_each_different_ngram(text, n):
    different = {tuple(text[i : i + n]) for i in range(len(text) - n + 1)}
    found = fingerprint(" ".join(text), n).ngrams
    assert len(found) == len(different) and np.array_equal(found, np.unique(found))


@given(WORDS, WORDS)
def test_ngrams_are_shared_as_their_words_are(one, other):
    def ngrams(text: list[str]) -> set[tuple[str, ...]]:
        return {tuple(text[i : i + 3]) for i in range(len(text) - 2)}

    shared = np.intersect1d(fingerprint(" ".join(one), 3).ngrams, fingerprint(" ".join(other), 3).ngrams)
    assert len(shared) == len(ngrams(one) & ngrams(other))
    assert (fingerprint(" ".join(one)).whole == fingerprint(" ".join(other)).whole) == (one == other)


@given(st.text())
def test_any_text_has_hashes(text):
    # An encoding that Unicode takes for the same text is the same wording.
    composed, decomposed = (fingerprint(unicodedata.normalize(form, text), 2) for form in ("NFC", "NFD"))
    assert composed.whole == decomposed.whole and np.array_equal(composed.ngrams, decomposed.ngrams)
