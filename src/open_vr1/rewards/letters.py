"""Multiple choice: which letter an answer names, and which choice a text is.

A letter is only read where it stands as one ("B", "(B)", "B.", "B) 45°", "option B"), never out of a word: "Apples" and
"An answer" name no choice.
"""

import re
from functools import lru_cache

from open_vr1.rewards.equality import compare, kind_of, strip_lead_in, text_key
from open_vr1.rewards.quantities import tidy

_WORD = r"(?:(?:the\s+)?(?:final\s+|correct\s+)?(?:option|choice|answer)\s*(?:is\b)?\s*:?\s*)?"
_ALONE = re.compile(rf"{_WORD}[(\[{{]?\s*([A-Za-z])\s*[)\]}}]?\s*[.:)]?", re.IGNORECASE)
_WITH_TEXT = re.compile(rf"{_WORD}(?:\(\s*([A-Za-z])\s*\)|([A-Za-z])\s*\)|([A-Z])\s*[.:])\s*[.:]?\s*(\S.*)", re.DOTALL)
_WITH_BARE_TEXT = re.compile(r"(?:(?:[Oo]ption|[Cc]hoice)\s+)?([A-Z])\s*[,\-]?\s+(\S.*)", re.DOTALL)
_JOINED = r"\s*(?:\bor\b|\band\b|[,/&;+|]|\s)\s*"
_SEVERAL = re.compile(
    rf"(?:either|both|options?|choices?|answers?|\s)*\(?([A-Z])\)?[.:]?(?:{_JOINED}(?:or|and|maybe|perhaps)?\s*(?:option\s+)?\(?([A-Z])\)?[.:]?)+",
    re.IGNORECASE,
)
_SECOND_LETTER = re.compile(
    r"(?:^|[\s,;/])\(?([A-Z])[).:](?:\s|$)|\b(?:or|and|maybe|perhaps|actually|wait)\b\W*(?:option\s+)?\(?([A-Z])\)?(?![A-Za-z])"
)
_TAKEN_BACK = re.compile(r"\W*(?:is|was|are|isn't|wasn't|not|cannot|can't)\b", re.IGNORECASE)
_LETTERS_UP_TO_H = re.compile(r"[A-Ha-h]")

TWO = "two"


def _index(letter: str) -> int:
    return ord(letter.upper()) - ord("A")


@lru_cache(maxsize=8192)
def choice_texts(choices: tuple[str, ...]) -> tuple[str, ...]:
    """The choices without the letter that a data set may have put before them, tidied."""
    texts = []
    for position, choice in enumerate(choices):
        match = _WITH_TEXT.fullmatch(choice.strip())
        letter = match and (match[1] or match[2] or match[3])
        texts.append(tidy(match[4] if letter and _index(letter) == position else choice))
    return tuple(texts)


@lru_cache(maxsize=8192)
def gold_letter(gold: str, choices: tuple[str, ...]) -> int | None:
    """
    The index of the choice that a tidied gold names by letter or by text, or `None` where it is neither.

    Without choices only a letter that stands alone, or A to H before a text, is a multiple-choice gold.
    """
    match = _ALONE.fullmatch(gold)
    if match and (not choices or _index(match[1]) < len(choices)):
        return _index(match[1])
    texts = choice_texts(choices)
    named = named_by_text(texts, gold) if texts else ()
    if named:
        return named[0]
    match = _WITH_TEXT.fullmatch(gold)
    if match:
        letter = match[1] or match[2] or match[3]
        if _index(letter) < len(choices) if choices else _LETTERS_UP_TO_H.fullmatch(letter):
            return _index(letter)
    return None


def _same_choice(text: str, answer: str, exact_paths_only: bool) -> str:
    if kind_of(text) is None:
        return "correct" if text_key(text) == text_key(answer) and text else "wrong"
    return compare(text, answer, 0.0, exact_paths_only)


@lru_cache(maxsize=8192)
def named_by_text(texts: tuple[str, ...], answer: str) -> tuple[int, ...]:
    """The choices that a text is: the ones with these very words, else the ones that mean the same."""
    same = tuple(i for i, text in enumerate(texts) if text_key(text) == text_key(answer))
    return same or tuple(i for i, text in enumerate(texts) if _same_choice(text, answer, True) == "correct")


def read_letter(answer: str, texts: tuple[str, ...]) -> int | str | None:
    """The index of the choice that an answer names by letter, `TWO` where it names several, `None` where it names none."""
    match = _ALONE.fullmatch(answer)
    if match:
        return _index(match[1]) if not texts or _index(match[1]) < len(texts) else None
    if _SEVERAL.fullmatch(answer):
        letters = {letter.upper() for letter in re.findall(r"(?<![A-Za-z])[A-Za-z](?![A-Za-z])", answer)}
        return TWO if len(letters) > 1 else _index(letters.pop())
    match = _WITH_TEXT.fullmatch(answer)
    bare = None if match else _WITH_BARE_TEXT.fullmatch(answer)
    if not match and not bare:
        return None
    letter = _index(bare[1] if bare else match[1] or match[2] or match[3])
    rest = tidy(bare[2] if bare else match[4])
    if texts and letter >= len(texts):
        return None
    equal = named_by_text(texts, rest) if texts else ()
    if letter in equal:
        return letter
    if equal:
        return TWO
    if bare or _TAKEN_BACK.match(rest):
        return None
    others = {_index(first or second) for first, second in _SECOND_LETTER.findall(rest)} - {letter}
    return TWO if any(other < (len(texts) or 26) for other in others) else letter


def compare_choice(gold: int, answer: str, choices: tuple[str, ...]) -> str:
    """`correct`, `wrong` or another of the reasons of `equality.compare`, for a gold that is one of the choices."""
    texts = choice_texts(choices)
    in_these_words = len(answer) > 1 and [i for i, text in enumerate(texts) if text_key(text) == text_key(answer)]
    letter = None if in_these_words else read_letter(answer, texts)
    if letter is None and not in_these_words and (shorter := strip_lead_in(answer)) != answer:
        answer = shorter
        letter = read_letter(answer, texts)
    if letter == TWO:
        return "two_answers"
    if letter is not None:
        return "correct" if letter == gold else "wrong"
    if not texts:
        return "unreadable"
    named = named_by_text(texts, answer)
    if not named:
        return _same_choice(texts[gold], answer, False)
    if gold not in named:
        return "wrong"
    return "correct" if len({text_key(texts[i]) for i in named}) == 1 else "two_answers"
