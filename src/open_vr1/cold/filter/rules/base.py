"""What the rules share: their type, and a chain of thought read once for all of them."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache

from open_vr1.cold.filter.rewording import PROTECTED
from open_vr1.cold.rows import Candidate

Check = Callable[[Candidate], str | None]

MAX_EVIDENCE = 200
_REACH = 120
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
_CLASS_OR_SPACE = re.compile(r"\[[^\]]*\]| \??")


@dataclass(frozen=True)
class Rule:
    """
    A named rule.

    Args:
        name (`str`):
            What a recipe calls it.
        definition (`str`):
            What it rejects, in one sentence.
        make (`Callable[..., Check]`):
            Makes a check; its keyword arguments are the options, with their defaults.
    """

    name: str
    definition: str
    make: Callable[..., Check]


class Reading:
    """A text read once: small letters with straight apostrophes, its words and its sentences."""

    def __init__(self, text: str):
        self.text = text
        self.lower = text.replace("\u2019", "'").replace("\u2018", "'").lower()
        self._places: dict[tuple[str, ...], list[tuple[int, int]]] = {}

    @cached_property
    def words(self) -> list[str]:
        """Its words in small letters, numbers among them."""
        return _WORD.findall(self.lower)

    @cached_property
    def sentences(self) -> list[str]:
        """Its sentences and lines in small letters."""
        plain = self.lower.replace("\n", ". ").replace("? ", ". ").replace("! ", ". ")
        return [part for part in map(str.strip, plain.split(". ")) if part]

    @cached_property
    def unquoted(self) -> str:
        """Small letters with formulas, code and quotations blanked out."""
        if not any(sign in self.lower for sign in "\"'$\\`“"):
            return self.lower
        return PROTECTED.sub(lambda match: " " * (match.end() - match.start()), self.lower)

    def search(self, pattern: re.Pattern, near: tuple[str, ...], also: tuple[str, ...] = ()) -> str | None:
        """
        What a pattern finds outside quotations, quoted with what is around it.

        Args:
            pattern (`re.Pattern`):
                For small letters.
            near (`tuple[str, ...]`):
                Words one of which is in whatever the pattern finds. To look for them costs much less than the pattern.
            also (`tuple[str, ...]`, *optional*):
                More such words.
        """
        if near not in self._places:
            self._places[near] = self._around(near)
        for start, end in self._places[near]:
            if also and not any(word in self.lower[start:end] for word in also):
                continue
            if match := pattern.search(self.unquoted, start, end):
                return self.quote(*match.span())
        return None

    def _around(self, words: tuple[str, ...]) -> list[tuple[int, int]]:
        """The places around words, those that overlap made one."""
        found = []
        for word in words:
            position = self.lower.find(word)
            while position != -1:
                found.append(position)
                position = self.lower.find(word, position + _REACH)
        places: list[tuple[int, int]] = []
        for position in sorted(found):
            # A word that comes again within the reach of the first is not looked for there, hence twice the reach.
            start, end = max(position - _REACH, 0), position + 2 * _REACH
            if places and start <= places[-1][1]:
                places[-1] = (places[-1][0], max(end, places[-1][1]))
            else:
                places.append((start, end))
        return places

    def quote(self, start: int, end: int, around: int = 30) -> str:
        """What stands at a place of `lower` or `unquoted`, with a little of what is around it."""
        text = self.text if len(self.text) == len(self.lower) else self.lower
        start, end = max(start - around, 0), min(end + around, len(text))
        shown = " ".join(text[start:end].split())
        return short("…" * (start > 0) + shown + "…" * (end < len(text)))


@lru_cache(maxsize=4)
def read(text: str) -> Reading:
    """The reading of a text; the last few are kept, because every rule asks for the same one."""
    return Reading(text)


def short(text: object, limit: int = MAX_EVIDENCE) -> str:
    """A text that is short enough to be evidence."""
    text = str(text)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def any_of(*patterns: str) -> re.Pattern:
    """One pattern for text in small letters; a space outside brackets stands for any few blanks."""
    joined = "|".join(f"(?:{pattern})" for pattern in patterns)
    blanks = {" ": r"\s{1,3}", " ?": r"\s{0,3}"}
    return re.compile(_CLASS_OR_SPACE.sub(lambda match: blanks.get(match[0], match[0]), joined))


def word_set(words: str) -> frozenset[str]:
    """The words of a list that is written as a text."""
    return frozenset(words.split())


def phrases(text: str) -> tuple[str, ...]:
    """The parts of a text between its bars."""
    return tuple(text.split("|"))
