"""The rule `repetition`: a chain that runs in circles."""

import zlib
from collections import Counter
from itertools import pairwise

from open_vr1.cold.filter.rules.base import Check, Reading, read, short
from open_vr1.cold.rows import Candidate

_GRAM = 4
_MIN_RUN = 12
_LONG_SENTENCE = 6
_TAIL = 1500
_MIN_TAIL = 400


def repetition(max_sentence_repeats: int = 4, max_repeated_share: float = 0.4, min_tail_entropy: float = 0.1) -> Check:
    """
    Says the same again and again.

    Args:
        max_sentence_repeats (`int`, *optional*, defaults to `4`):
            How often a sentence of six words or more may stand in a thinking.
        max_repeated_share (`float`, *optional*, defaults to `0.4`):
            Largest share of runs of eight words that stood there before.
        min_tail_entropy (`float`, *optional*, defaults to `0.1`):
            Smallest compressed size of the end of a thinking, relative to its size.
    """
    if max_sentence_repeats < 1:
        raise ValueError(f"max_sentence_repeats is {max_sentence_repeats}; write 1 or more")
    for name, value in (("max_repeated_share", max_repeated_share), ("min_tail_entropy", min_tail_entropy)):
        if not 0 <= value <= 1:
            raise ValueError(f"{name} is {value}; write a number from 0 to 1")

    def check(candidate: Candidate) -> str | None:
        reading = read(candidate.thinking)
        words = reading.words
        grams = list(map(hash, zip(words, words[1:], words[2:], words[3:])))
        repeated = len(grams) - len(set(grams))
        return (
            _same_sentence(reading, max_sentence_repeats)
            or (_cycle(words, grams) if repeated >= _MIN_RUN else None)
            or (_repeated_share(grams, max_repeated_share) if repeated > max_repeated_share * len(grams) / 2 else None)
            or _flat_tail(candidate.thinking, min_tail_entropy)
        )

    return check


def _same_sentence(reading: Reading, limit: int) -> str | None:
    sentences = reading.sentences
    if len(sentences) == len(set(sentences)):
        return None
    for sentence, count in Counter(sentences).most_common(3):
        words = sentence.split()
        prose = sum(word.strip(".,;:!?*'\"()").isalpha() and len(word) > 2 for word in words)
        if count > limit and len(words) >= _LONG_SENTENCE and prose >= 3:
            return short(f"{count} times: {sentence}")
    run = 1
    for before, sentence in pairwise(sentences):
        run = run + 1 if sentence == before else 1
        if run >= 3 and len(sentence.split()) >= 3 and sum(map(str.isalpha, sentence)) >= 10:
            return short(f"{run} times in a row: {sentence}")
    return None


def _cycle(words: list[str], grams: list[int]) -> str | None:
    """A stretch of words that comes round at least three more times, at a constant distance."""
    last: dict[int, int] = {}
    distance, run = 0, 0
    for position, gram in enumerate(grams):
        before = last.get(gram)
        last[gram] = position
        if before is None or position - before != distance:
            distance, run = (position - before, 1) if before is not None else (0, 0)
            continue
        run += 1
        if run >= max(3 * distance - _GRAM, _MIN_RUN) and _is_loop(words[position - distance : position], run):
            block = " ".join(words[position - distance + _GRAM : position + _GRAM])
            return short(f"comes round {(run + _GRAM) // distance + 1} times: {block}")
    return None


def _is_loop(block: list[str], run: int) -> bool:
    """A table of zeros or the sides of a polygon come round without being a loop, up to a point."""
    return run >= 100 or any(len(word) > 2 and word.isalpha() for word in block)


def _repeated_share(grams: list[int], limit: float) -> str | None:
    total = len(grams) - _GRAM
    if total < 60:
        return None
    # Two runs of four that lie next to each other are hashed as one of eight.
    distinct = len(set(zip(grams, grams[_GRAM:])))
    share = 1 - distinct / total
    return f"{share:.0%} of its runs of eight words stood there before" if share > limit else None


def _flat_tail(thinking: str, limit: float) -> str | None:
    tail = thinking[-_TAIL:].strip()
    if len(tail) < _MIN_TAIL or not limit:
        return None
    data = tail.encode("utf-8", "replace")
    share = len(zlib.compress(data, 1)) / len(data)
    return short(f"its end compresses to {share:.0%}: …{tail[-80:]}") if share < limit else None
