"""
The rule `near_duplicate`: a row that says again what one about the same pictures said.

It remembers what it let through, so a row must reach it last, after every other rule. It keeps hashes and no text: the
shingles of a thinking as their `_SKETCH` smallest hashes (a bottom-k sketch, from which the Jaccard index of two texts
is estimated to about 0.06), a question as the hash of its words and a sketch of their order.
"""

import re
import zlib
from array import array
from hashlib import blake2b
from typing import NamedTuple

import numpy as np

from open_vr1.cold.filter.rules.base import Check, read, short, word_set
from open_vr1.cold.rows import Candidate

_SKETCH = 64
_SHINGLE = 3
_FEW_WORDS = 8
_SAME = 0.95
_TOKEN = re.compile(r"[^\W_]+(?:['.][^\W_]+)*'*|[<>=≤≥≠+*/^√π-]")
_LAST_SENTENCE = re.compile(
    r"(?:return|answer|respond|give|write|provide|please|express|choose|select|round)\b[^.?!\n]{0,120}"
    r"(?:final answer|answer|option|letter|choice|word|phrase|number|options)[^.?!\n]{0,80}[.?!]?\s*$",
    re.IGNORECASE,
)
# Words that a question can have or not have, or swap for one another, and still be the same one.
_FILLERS = word_set(
    "a an the is are was were be of in on at to for from by with and or as it its this that these those there "
    "here what which who find determine calculate compute evaluate work out get give tell me us please can "
    "could you do does did we know based according given shown image picture figure diagram photo following "
    "below above see look seen value answer question then so has have let's display displayed depicted depict "
    "if your return choose select correct equal equals ="
)


class _Entry(NamedTuple):
    row_id: bytes
    question: bytes
    order: bytes
    choices: int
    answer: int
    thinking: bytes


def near_duplicate(thinking_threshold: float = 0.7, question_threshold: float = 0.7) -> Check:
    """
    Says again what a row about the same pictures said.

    Args:
        thinking_threshold (`float`, *optional*, defaults to `0.7`):
            Jaccard index of the shingles of three words from which two thinkings with one answer are the same.
        question_threshold (`float`, *optional*, defaults to `0.7`):
            Jaccard index of the pairs of words from which two questions with the same words are the same.
    """
    for name, value in (("thinking_threshold", thinking_threshold), ("question_threshold", question_threshold)):
        if not 0 < value <= 1:
            raise ValueError(f"{name} is {value}; write a number above 0, up to 1")
    kept: dict[bytes, list[_Entry]] = {}

    def check(candidate: Candidate) -> str | None:
        entry = _entry(candidate)
        # Rows without pictures are compared where they ask for the same words, or every one would meet every other.
        key = _digest("|".join(candidate.pictures)) if candidate.pictures else b"-" + entry.question
        entries = kept.setdefault(key, [])
        hashes = _hashes(entry.thinking)
        for other in entries:
            if found := _alike(entry, hashes, other, thinking_threshold, question_threshold):
                return short(f"{found} as row {other.row_id.decode('utf-8', 'replace')}")
        entries.append(entry)
        return None

    return check


def _alike(
    entry: _Entry, hashes: frozenset[int], other: _Entry, thinking_threshold: float, question_threshold: float
) -> str | None:
    if entry.question == other.question and (entry.choices == other.choices or 0 in (entry.choices, other.choices)):
        same = _jaccard(entry.order, other.order, question_threshold)
        if same:
            return f"the same question ({same:.0%})"
    # Questions about one picture can share most of a chain; then their answers differ.
    threshold = thinking_threshold if entry.answer == other.answer else max(_SAME, thinking_threshold)
    same = _jaccard(entry.thinking, other.thinking, threshold, hashes)
    return f"the same thinking ({same:.0%})" if same else None


def _entry(candidate: Candidate) -> _Entry:
    words = _telling(candidate.question)
    choices = sorted({" ".join(choice.lower().split()) for choice in candidate.choices})
    return _Entry(
        row_id=candidate.row_id.encode("utf-8", "replace")[:64],
        question=_digest(" ".join(sorted(words))),
        order=_sketch(["^", *words, "$"], 2, _SKETCH // 2),
        choices=zlib.crc32("\0".join(choices).encode("utf-8", "replace")) if choices else 0,
        answer=zlib.crc32(_answer(candidate).encode("utf-8", "replace")),
        thinking=_sketch(read(candidate.thinking).words, _SHINGLE, _SKETCH),
    )


def _answer(candidate: Candidate) -> str:
    """The text of the choice where the gold is a letter, so that shuffled choices give the same answer."""
    answer = candidate.answer.strip().casefold()
    index = ord(answer) - ord("a") if len(answer) == 1 else -1
    return candidate.choices[index].strip().casefold() if 0 <= index < len(candidate.choices) else answer


def _telling(question: str) -> list[str]:
    """The words that make a question what it is: labels keep their case, other words lose their endings."""
    question = _LAST_SENTENCE.sub("", question.replace("<image>", " ").replace("\u2019", "'").replace("\u2212", "-"))
    words = []
    for token in _TOKEN.findall(question):
        lower = token.lower()
        label = token[:1].isupper() and (len(token) == 1 or token.isupper())
        if lower in _FILLERS and (not label or lower in ("a", "i")):
            continue
        words.append(token if label else _stem(lower))
    return words


def _stem(word: str) -> str:
    word = word.removesuffix("'s")
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def _digest(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "replace"), digest_size=16).digest()


def _sketch(words: list[str], size: int, keep: int) -> bytes:
    """The smallest hashes of the runs of `size` words of a text."""
    encoded = "\n".join(words).encode("utf-8", "replace").split(b"\n") if words else []
    hashed = np.fromiter(map(zlib.crc32, encoded), dtype=np.uint64, count=len(encoded))
    if len(hashed) > size:
        runs = np.zeros(len(hashed) - size + 1, dtype=np.uint64)
        for offset in range(size):
            runs = (runs + hashed[offset : offset + len(runs)]) * np.uint64(0x9E3779B97F4A7C15)
            runs ^= runs >> np.uint64(29)
    else:
        runs = hashed
    return np.unique((runs >> np.uint64(16)).astype(np.uint32))[:keep].tobytes()


def _jaccard(one: bytes, other: bytes, at_least: float, hashes: frozenset[int] | None = None) -> float:
    """
    The Jaccard index of the texts that two sketches were made of, estimated; 0 where it is below a threshold.

    Args:
        one (`bytes`):
            A sketch.
        other (`bytes`):
            A sketch.
        at_least (`float`):
            The threshold.
        hashes (`frozenset[int]`, *optional*):
            The hashes of `one`, from whoever compares it with many.
    """
    if one == other:
        return 1.0
    hashes = _hashes(one) if hashes is None else hashes
    theirs = array("I", other)
    limit = max(len(hashes), len(theirs))
    shared = hashes.intersection(theirs)
    if not shared or len(shared) < at_least * limit:
        return 0.0
    union = sorted(hashes.union(theirs))[:limit]
    share = sum(value <= union[-1] for value in shared) / len(union)
    return share if share >= at_least else 0.0


def _hashes(sketch: bytes) -> frozenset[int]:
    return frozenset(array("I", sketch))
