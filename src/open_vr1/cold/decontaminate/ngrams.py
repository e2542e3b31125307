"""
The wording of a question as numbers: 64-bit hashes of every `n` words in a row, and of the whole.

    fingerprint("What is the area of the shaded region of $\\triangle ABC$ in square units?").ngrams

Two questions that differ in case, punctuation, spacing, LaTeX marks or Unicode forms have the same hashes. Neither Python's
`hash()` nor anything else that differs between processes or machines is in them, so that they can be stored.
"""

import hashlib
import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

WORDS = 8
# What means the same in the LaTeX of one dataset and the Unicode of another.
SPOKEN = str.maketrans(
    {
        "△": " triangle ",
        "∆": " triangle ",
        "∠": " angle ",
        "⊥": " perp ",
        "∥": " parallel ",
        "°": " circ ",
        "×": " times ",
        "÷": " div ",
        "√": " sqrt ",
        "⊙": " odot ",
        "π": " pi ",
        "≤": " le ",
        "≥": " ge ",
        "≠": " ne ",
        "′": " prime ",
        "\u200b": None,
    }
)
# Marks of the datasets and commands that change how a formula looks, not what it says.
UNSPOKEN = re.compile(
    r"<image[^>]{0,20}>|\\(?:left|right|text(?:bf|it|rm)?|math(?:rm|bf|it|bb|cal)|operatorname|displaystyle|quad|qquad"
    r"|[dtc]frac|leq?|geq?)(?![a-z])"
)
SAME = {"\\leq": " le ", "\\le": " le ", "\\geq": " ge ", "\\ge": " ge "} | {
    f"\\{size}frac": " frac " for size in "dtc"
}
# A number with its decimals, a letter of a script without spaces, or a run of other letters.
WORD = re.compile(
    r"\d+(?:\.\d+)?|[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W\d_\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+"
)
THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")


@dataclass(frozen=True)
class Fingerprint:
    """
    A question as hashes.

    Args:
        ngrams (`np.ndarray` of `uint64`):
            Of every `n` words in a row, sorted, each once. Empty if there are fewer words.
        whole (`int`):
            Of all words; 0 if there is none.
    """

    ngrams: np.ndarray
    whole: int


def fingerprint(question: str, n: int = WORDS) -> Fingerprint:
    """The hashes of a question's wording, see [`Fingerprint`]."""
    found = words(question)
    whole = _hash(" ".join(found)) if found else 0
    if len(found) < n:
        return Fingerprint(np.empty(0, np.uint64), whole)
    hashes = np.fromiter(map(_hash_of_word, found), np.uint64, len(found))
    # Sums and products of unsigned integers wrap around, the same everywhere.
    windows = np.lib.stride_tricks.sliding_window_view(hashes, n)
    return Fingerprint(np.unique(_mix((windows * _weights(n)).sum(axis=1, dtype=np.uint64))), whole)


def words(question: str) -> list[str]:
    """The words and numbers of a question in plain spelling."""
    text = unicodedata.normalize("NFKC", question.translate(SPOKEN)).translate(SPOKEN).casefold()
    text = UNSPOKEN.sub(lambda found: SAME.get(found[0], " "), text)
    return WORD.findall(THOUSANDS.sub("", text))


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


@lru_cache(maxsize=100_000)
def _hash_of_word(word: str) -> int:
    return _hash(word)


@lru_cache(maxsize=8)
def _weights(n: int) -> np.ndarray:
    """An odd number for each place in a window, so that the order of words counts."""
    return np.array([_hash(f"place {place}") | 1 for place in range(n)], np.uint64)


def _mix(values: np.ndarray) -> np.ndarray:
    """SplitMix64's last step: sums of a few products have patterns in their low bits."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
