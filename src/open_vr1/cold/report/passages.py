"""Text to read: what is to be seen in it highlighted, and of long text the part that matters."""

import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from open_vr1.cold.report.counts import MARKER

# Letters and digits that a piece of evidence has in common with the text: fewer are found by chance.
FEWEST = 5
# And this many say that it is the beginning of a longer one.
ENOUGH = 12
_QUOTED = re.compile(r"'([^']*…[^']*)'")


@dataclass(frozen=True)
class Part:
    """A stretch of text: as it is (`""`), highlighted (`"mark"`), or a word about what was left out (`"gap"`)."""

    text: str
    kind: str = ""


Span = tuple[int, int]


def markers_in(text: str) -> list[Span]:
    """Where the counted words stand."""
    return [match.span() for match in MARKER.finditer(text)]


def evidence_in(text: str, evidence: str) -> list[Span]:
    """
    Where a rule's evidence stands in the text it was found in.

    Evidence may be in small letters, with other blanks or without punctuation, and may have words of the rule's own before it:
    so only letters and digits are compared, of the whole evidence, of what stands behind its colon, and of its quotations.
    """
    squeezed, places = _squeeze(text)
    for fragment in [evidence, evidence.partition(": ")[2], *_QUOTED.findall(evidence)]:
        needle, _ = _squeeze(fragment)
        if len(needle) >= FEWEST and needle in squeezed:
            found = re.finditer(re.escape(needle), squeezed)
            return _joined((places[match.start()], places[match.end() - 1] + 1) for match in found)
    # A rule may have put together what stands apart, such as the letters of one script: then its beginning is shown.
    needle, _ = _squeeze(evidence.partition(": ")[2])
    length = bisect_left(range(len(needle) + 1), True, key=lambda size: needle[:size] not in squeezed) - 1
    if length < ENOUGH:
        return []
    start = squeezed.index(needle[:length])
    return [(places[start], places[start + length - 1] + 1)]


def _squeeze(text: str) -> tuple[str, list[int]]:
    """Its letters and digits in small letters, and where each stood."""
    letters, places = [], []
    for place, character in enumerate(text):
        if character.isalnum():
            small = character.lower()
            letters.append(small)
            places += [place] * len(small)
    return "".join(letters), places


def _joined(spans: Iterable[Span]) -> list[Span]:
    """Spans with nothing or a blank between them as one."""
    made: list[Span] = []
    for start, end in spans:
        if made and start <= made[-1][1] + 1:
            made[-1] = (made[-1][0], end)
        else:
            made.append((start, end))
    return made


def passage(text: str, spans: Sequence[Span] = (), limit: int = 1500, focus: Span | None = None) -> list[Part]:
    """
    The text in parts, cut to about `limit` characters: around `focus`, or else its beginning and its end.

    Args:
        text (`str`):
            The whole text.
        spans (`Sequence[Span]`, *optional*):
            What to highlight, in order and apart from each other.
        limit (`int`, *optional*, defaults to `1500`):
            The most characters to show.
        focus (`Span`, *optional*):
            What must be seen.
    """
    if len(text) <= limit:
        windows = [(0, len(text))]
    elif focus:
        start = min(max(0, focus[0] - limit // 3), len(text) - limit)
        windows = [(start, start + limit)]
    else:
        windows = [(0, limit // 2), (len(text) - limit // 2, len(text))]
    parts, reached = [], 0
    for start, end in windows:
        parts += [_gap(start - reached), *_highlighted(text, start, end, spans)]
        reached = end
    return [part for part in [*parts, _gap(len(text) - reached)] if part.text]


def _gap(length: int) -> Part:
    return Part(f" […{length:,} characters…] " if length else "", "gap")


def _highlighted(text: str, start: int, end: int, spans: Sequence[Span]) -> list[Part]:
    parts = []
    for first, last in spans:
        if first >= end or last <= start:
            continue
        first, last = max(first, start), min(last, end)
        parts += [Part(text[start:first]), Part(text[first:last], "mark")]
        start = last
    return [*parts, Part(text[start:end])]
