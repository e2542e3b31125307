"""Whether a conclusion and a stated answer are the same, and whether a text speaks of an answer."""

import re
from collections.abc import Sequence

from open_vr1.cold.filter.rules.base import any_of
from open_vr1.rewards.equality import kind_of, text_key
from open_vr1.rewards.letters import choice_texts, gold_letter, named_by_text
from open_vr1.rewards.quantities import read_quantity, tidy
from open_vr1.rewards.verify import compare_answer

_NUMBER = re.compile(r"(?<![\w.^_])[-−]?\d[\d,]*(?:\.\d+)?(?![\w^]*\^)")
_AGAINST = any_of(
    r"\b(?:not|isn't|aren't|wasn't|doesn't|don't|didn't|can't|cannot|wrong|incorrect|false|too|eliminat\w*|"
    r"rul(?:e|es|ed|ing) out|exclud\w*|unlike|instead of|rather than)\b"
)
_SIGNS = re.compile(r"\^?\s?\\circ|°|\\?%|\bdegrees?\b|\$|\\\(|\\\)", re.IGNORECASE)
_NUMERALS = dict(
    zip(
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"],
        range(13),
    )
)
# Other words for small numbers, to be generous about what a thinking may speak of.
_IN_WORDS = {"no": 0, "none": 0, "nothing": 0, "single": 1, "once": 1, "only": 1, "both": 2, "twice": 2, "pair": 2}
_IN_WORDS |= {"couple": 2, "double": 2, "half": 0.5, "halves": 0.5, "quarter": 0.25, "dozen": 12, "thirteen": 13}
_IN_WORDS |= {"fourteen": 14, "fifteen": 15, "sixteen": 16, "eighteen": 18, "twenty": 20, "thirty": 30, "hundred": 100}
_FRACTION = re.compile(r"(?<![\d.])(\d{1,9})\s?/\s?(\d{1,9})(?![\d.])|frac\{(\d{1,9})\}\{(\d{1,9})\}")
HEDGED = re.compile(
    r"\s*(?:not\b|n't|either\b|neither\b|none\b|one of|among|between|likely not|never|in\s|given by|obtained|"
    r"found|based|clear|correct|right"
    r"|wrong|consistent|incorrect|simple|simply the|straightforward|obvious|confirmed|determined|the (?:one|"
    r"same)\b|supposed|expected to|asked|wanted|needed)",
    re.IGNORECASE,
)
_SCALES = (1, 10, 100, 1000, 1e6, 1e9, 0.1, 0.01, 0.001, 1e-6, 1e-9, 60, 1 / 60)
FLUFF = re.compile(
    r"(?:\s|[*:\"'])*(?:(?:therefore|thus|hence|indeed|then|so|simply|just|definitely|clearly|probably|likely|"
    r"most likely|approximately|about|around"
    r"|roughly|exactly|again|still|actually|also|now|equal to|option|choice|letter|number|the|a|an|that|"
    r"all)\b,?(?:\s|[*:\"'])*|[≈~=]\s*)*",
    re.IGNORECASE,
)
END = re.compile(
    r"[.!?](?=\s|$|[\"')*])|[;\n]|,(?=\s)|\s(?:because|since|as|which|but|where|so|and so|given|—|–|-)\s|\s\("
)


def agrees(value: str, letter: bool, stated: str, choices: Sequence[str]) -> bool | None:
    """Whether a conclusion is the stated answer; `None` where that cannot be told."""
    value = tidy(value.strip(" *\"'.`"))
    stated = tidy(stated)
    if not value or not stated:
        return None
    if choices:
        return _agrees_on_choice(value, letter, stated, tuple(str(choice) for choice in choices))
    if re.fullmatch(r"(?:option )?\(?[A-H]\)?\.?", stated, re.IGNORECASE):
        found = re.match(r"\(?([A-H])(?:[).:,]|\s|$)", value)
        return found[1] == stated.strip("().").upper()[-1] if found else None
    if letter:
        return None
    return _agrees_on_text(value, stated)


def _agrees_on_choice(value: str, letter: bool, stated: str, choices: tuple[str, ...]) -> bool | None:
    wanted = gold_letter(stated, choices)
    if wanted is None:
        return None
    texts = choice_texts(choices)
    named = set()
    head = re.match(r"\(?([A-Z])(?:[).:,](?!\d)|\s*$|\s+[(=\-–—])", value)
    if letter or head:
        index = ord((value if letter else head[1])[0]) - ord("A")
        named |= {index} if index < len(choices) else set()
    if not letter:
        named |= set(named_by_text(texts, value))
        if not named and (digits := _NUMBER.match(value)):
            named |= set(named_by_text(texts, digits.group()))
        if not named:
            key = f" {plain(value)} "
            named |= {index for index, text in enumerate(texts) if (name := plain(text)) and f" {name} " in key}
        if named and wanted not in named and f" {plain(texts[wanted])} " in f" {plain(value)} ":
            return True
    if not named:
        return None
    return wanted in named


def _agrees_on_text(value: str, stated: str) -> bool | None:
    kind = kind_of(stated)
    if kind == "yes_no":
        said = re.match(r"(yes|no|true|false)\b", value, re.IGNORECASE)
        return compare_answer(said[1], stated) == "correct" if said else None
    wanted, said = number(stated), number(value)
    if wanted is not None:
        return None if said is None else close(said, wanted)
    if said is not None or kind != "text" or len(stated) > 60:
        return None
    ours, theirs = plain(value).split(), plain(stated).split()
    if not ours or len(ours) > 4 or {word[:4] for word in ours} & {word[:4] for word in theirs}:
        return None
    return False if kind_of(value) == "text" and value[0].isalnum() else None


def number(text: str) -> float | None:
    """The one plain number in a short text, words of measure aside."""
    text = _without_signs(text).strip().rstrip(".")
    if text.lower() in _NUMERALS:
        return float(_NUMERALS[text.lower()])
    found = _NUMBER.findall(text)
    if len(found) != 1 or re.search(r"[√π\\/^*+<>=]|\d\s*[-:]\s*\d", text):
        return None
    if not read_quantity(text) and not text.startswith(found[0]):
        return None
    try:
        return float(found[0].replace(",", "").replace("−", "-"))
    except ValueError:
        return None


def close(one: float, other: float) -> bool:
    """Whether two numbers are the same up to rounding, percent and the prefixes of units."""
    if one == other:
        return True
    if not one or not other or (one < 0) != (other < 0):
        return False
    return any(abs(one * scale - other) <= 0.01 * abs(other) for scale in _SCALES)


def plain(text: str) -> str:
    """Words alone, to look for one text in another."""
    return " ".join(re.findall(r"[^\W_]+(?:\.\d+)?", text_key(_without_signs(text))))


def _without_signs(text: str) -> str:
    """A text without the signs of degrees and percent, and without those of a formula around it."""
    return _SIGNS.sub("", text)


def mentions(text: str, stated: str, choices: Sequence[str]) -> bool:
    """Whether a text speaks of the stated answer otherwise than to reject it."""
    text = text[-4000:]
    sentences = [part for part in re.split(r"(?<=[.!?])\s+|\n", text) if part and not _AGAINST.search(part.lower())]
    rest = " ".join(sentences)
    index = gold_letter(tidy(stated), tuple(map(str, choices))) if choices else None
    names = [stated]
    if index is not None and index < len(choices):
        names = [choice_texts(tuple(map(str, choices)))[index]]
        if re.search(rf"(?<![A-Za-z]){chr(ord('A') + index)}(?![A-Za-z'’])", rest):
            return True
    key = f" {plain(rest)} "
    if any((name := plain(each)) and f" {name} " in key for each in names):
        return True
    wanted = number(tidy(names[0]))
    return wanted is not None and any(abs(each - wanted) <= 0.01 * abs(wanted) for each in numbers(rest))


def numbers(text: str) -> list[float]:
    found = [
        float(digits.replace(",", "").replace("−", "-")) for digits in _NUMBER.findall(text) if digits[-1].isdigit()
    ]
    return found + [float(_NUMERALS[word]) for word in re.findall(r"[a-z]+", text.lower()) if word in _NUMERALS]


def near(text: str, stated: str, choices: Sequence[str]) -> bool:
    """Whether a text speaks of the stated answer in any way at all: to reject it, as a fraction, in another unit."""
    index = gold_letter(tidy(stated), tuple(map(str, choices))) if choices else None
    names = [stated]
    if index is not None and index < len(choices):
        names = [choice_texts(tuple(map(str, choices)))[index]]
        if re.search(rf"(?<![A-Za-z]){chr(ord('A') + index)}(?![A-Za-z'’])", text):
            return True
    words = plain(text).split()
    key = f" {' '.join(words)} "
    if any((name := plain(each)) and f" {name} " in key for each in names):
        return True
    wanted = number(tidy(names[0]))
    if wanted is None:
        stems = {word[:4] for word in plain(names[0]).split() if len(word) > 3}
        return not choices or any(word[:4] in stems for word in words)
    said = numbers(text) + [_IN_WORDS[word] for word in words if word in _IN_WORDS]
    for match in _FRACTION.finditer(text):
        above, below = float(match[1] or match[3]), float(match[2] or match[4])
        said += [above / below] if below else []
    return any(close(each, wanted) for each in said)


def rounds_to(value: str, stated: str) -> bool:
    """Whether a number is the stated one before it was rounded."""
    one, other = number(tidy(value)), number(tidy(stated))
    return one is not None and other is not None and abs(one - other) < 1 and one != int(one) and other == int(other)
