"""
The rule `contradiction`: the thinking concludes one thing and the answer states another.

Only what can be compared safely is: letters and texts of choices, yes and no, plain numbers, and short texts. A chain
that speaks of its stated answer after its last other conclusion may have changed its mind and passes.
"""

import re
from collections.abc import Sequence

from open_vr1.cold.filter.rules.base import Check, any_of, read, short
from open_vr1.cold.rows import Candidate
from open_vr1.rewards.answers import boxed
from open_vr1.rewards.equality import kind_of, text_key
from open_vr1.rewards.letters import choice_texts, gold_letter, named_by_text
from open_vr1.rewards.quantities import read_quantity, tidy
from open_vr1.rewards.verify import compare_answer

_TAIL = 700
_LETTER = r"[(\[*\"'$ ]{0,3}(?:\\(?:text|mathrm|textbf)\{)?\(?(?P<%s>[A-Z])\b(?!['’](?!\s))[)\]*\"'$}.:]*"
_CONCLUSION = re.compile(
    r"\b(?P<cue>(?:answer|(?:correct|right|best|final)\s+(?:option|choice|one|result|value))s?"
    r"(?:\s+(?:here|then|to\s+(?:the|this)\s+(?:question|problem)|for\s+\w+(?:\s+\w+)?))?)\b\**\s*"
    r"(?:(?P<modal>is|should\s+be|must\s+be|would\s+be|will\s+be|has\s+to\s+be|are|was|equals|becomes|remains|"
    r"comes\s+out\s+(?:to|as)(?:\s+be)?)\b|[:=])"
    r"\**:?\s*(?P<value>[^\n]{1,160})"
    r"|\b(?:option|choice|answer)\s+"
    + _LETTER
    % "named"
    + r"\s*(?:\([^()\n]{1,60}\)\s*)?,?\s*(?:is|must be|should be|seems|has to be)\s+(?:the\s+)?"
    r"(?:correct|right|best|answer|one|only)\b"
    r"|(?:^|(?<=[\s(*]))"
    + _LETTER
    % "alone"
    + r"\s*(?:\([^()\n]{1,60}\)\s*)?(?:is|must be|should be)\s+(?:the\s+)?(?:correct|right|best)\b"
    r"|\b(?:go|going|went|stick|sticking)\s+with\s+(?:(?:option|choice|answer)\s+)?"
    + _LETTER % "chosen"
    + r"(?![ -]?[a-z0-9=+^])",
    re.IGNORECASE,
)
_NOT_MEANT = re.compile(
    r"\b(?:if|whether|suppose|supposing|assume|assuming|unless|not|isn't|wasn't|can't|cannot|wrong|incorrect|"
    r"why|how|would|could|might|may"
    r"|maybe|perhaps|possible|possibly|check|expected|previous|initial|first|intermediate|trap|distractor|"
    r"thought|said|says)\b[^.;:!?\n]{0,40}$",
    re.IGNORECASE,
)
_HEDGED = re.compile(
    r"\s*(?:not\b|n't|either\b|neither\b|none\b|one of|among|between|likely not|never|in\s|given by|obtained|"
    r"found|based|clear|correct|right"
    r"|wrong|consistent|incorrect|simple|simply the|straightforward|obvious|confirmed|determined|the (?:one|"
    r"same)\b|supposed|expected to|asked|wanted|needed)",
    re.IGNORECASE,
)
_FLUFF = re.compile(
    r"(?:\s|[*:\"'])*(?:(?:therefore|thus|hence|indeed|then|so|simply|just|definitely|clearly|probably|likely|"
    r"most likely|approximately|about|around"
    r"|roughly|exactly|again|still|actually|also|now|equal to|option|choice|letter|number|the|a|an|that|"
    r"all)\b,?(?:\s|[*:\"'])*|[≈~=]\s*)*",
    re.IGNORECASE,
)
_END = re.compile(
    r"[.!?](?=\s|$|[\"')*])|[;\n]|,(?=\s)|\s(?:because|since|as|which|but|where|so|and so|given|—|–|-)\s|\s\("
)
_NUMBER = re.compile(r"(?<![\w.^_])[-−]?\d[\d,]*(?:\.\d+)?(?![\w^]*\^)")
_STEP = re.compile(
    r"(?:^|(?<=[.!?\n])\s*)\W{0,3}(?:so|thus|therefore|hence|in conclusion|consequently|to conclude|this means|"
    r"that means|finally|overall)\b,?\s+(?P<rest>[^\n]{1,240})",
    re.IGNORECASE,
)
_AGAINST = any_of(
    r"\b(?:not|isn't|aren't|wasn't|doesn't|don't|didn't|can't|cannot|wrong|incorrect|false|too|eliminat\w*|"
    r"rul(?:e|es|ed|ing) out|exclud\w*|unlike|instead of|rather than)\b"
)
_SIGNS = re.compile(r"\^?\s?\\circ|°|\\?%|\bdegrees?\b|\$|\\\(|\\\)", re.IGNORECASE)
_COPULA = re.compile(r"\b(?:is|are|was|be|equals|equal to|becomes|get|gives)\b|[=≈]")
_NUMERALS = dict(
    zip(
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"],
        range(13),
    )
)


def contradiction() -> Check:
    """The thinking's own conclusion is another answer."""

    def check(candidate: Candidate) -> str | None:
        thinking, stated = candidate.thinking, candidate.stated.strip()
        if not stated or not thinking or len(stated) > 200:
            return None
        concluded = _last_conclusion(thinking)
        if concluded is None:
            return _last_step(candidate)
        start, end, value, letter = concluded
        if _agrees(value, letter, stated, candidate.choices) is not False:
            return None
        if mentions(thinking[end:], stated, candidate.choices):
            return None
        return short(f"concludes {read(thinking).quote(start, end, 0)!r} but states {short(stated, 60)!r}")

    return check


def _last_conclusion(thinking: str) -> tuple[int, int, str, bool] | None:
    """Where the last conclusion in the end of a thinking stands, what it is, and whether it is a letter by its form."""
    offset = max(0, len(thinking) - max(_TAIL, len(thinking) // 4))
    offset = max(offset, len(thinking) - 20_000)
    tail = thinking[offset:]
    found = None
    boxes = boxed(tail)
    if boxes:
        start, end, content = boxes[-1]
        found = (offset + start, offset + end, content, False)
    position = 0
    while match := _CONCLUSION.search(tail, position):
        letter = match["named"] or match["alone"] or match["chosen"]
        position = match.end() if letter else match.start("value")
        if _NOT_MEANT.search(tail[max(match.start() - 60, 0) : match.start()]):
            continue
        if letter:
            if letter.isupper():
                found = _later(found, (offset + match.start(), offset + match.end(), letter, True))
            continue
        value = match["value"][_FLUFF.match(match["value"]).end() :]
        if not value or _HEDGED.match(match["value"]) or _HEDGED.match(value):
            continue
        cut = _END.search(value, 1)
        value, stop = (value[: cut.start()], cut) if cut else (value, None)
        if stop and stop.group().startswith("?"):
            continue
        length = match.start("value") + match["value"].find(value) + len(value)
        found = _later(found, (offset + match.start(), offset + length, value, False))
    return found


def _later(one: tuple | None, other: tuple) -> tuple:
    return other if one is None or other[0] >= one[0] - 40 else one


def _agrees(value: str, letter: bool, stated: str, choices: Sequence[str]) -> bool | None:
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
        if not named and (number := _NUMBER.match(value)):
            named |= set(named_by_text(texts, number.group()))
        if not named:
            key = f" {_plain(value)} "
            named |= {index for index, text in enumerate(texts) if (plain := _plain(text)) and f" {plain} " in key}
        if named and wanted not in named and f" {_plain(texts[wanted])} " in f" {_plain(value)} ":
            return True
    if not named:
        return None
    return wanted in named


def _agrees_on_text(value: str, stated: str) -> bool | None:
    kind = kind_of(stated)
    if kind == "yes_no":
        said = re.match(r"(yes|no|true|false)\b", value, re.IGNORECASE)
        return compare_answer(said[1], stated) == "correct" if said else None
    wanted, said = _number(stated), _number(value)
    if wanted is not None:
        return None if said is None else _close(said, wanted)
    if said is not None or kind != "text" or len(stated) > 60:
        return None
    ours, theirs = _plain(value).split(), _plain(stated).split()
    if not ours or len(ours) > 4 or {word[:4] for word in ours} & {word[:4] for word in theirs}:
        return None
    return False if kind_of(value) == "text" and value[0].isalnum() else None


def _number(text: str) -> float | None:
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


def _close(one: float, other: float) -> bool:
    """Whether two numbers are the same up to rounding, percent and the prefixes of units."""
    if one == other:
        return True
    if not one or not other or (one < 0) != (other < 0):
        return False
    return any(
        abs(one * scale - other) <= 0.01 * abs(other) for scale in (1, 10, 100, 1000, 0.1, 0.01, 0.001, 60, 1 / 60)
    )


def _plain(text: str) -> str:
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
    plain = f" {_plain(rest)} "
    if any((name := _plain(each)) and f" {name} " in plain for each in names):
        return True
    wanted = _number(tidy(names[0]))
    return wanted is not None and any(abs(number - wanted) <= 0.01 * abs(wanted) for number in _numbers(rest))


def _numbers(text: str) -> list[float]:
    found = [
        float(digits.replace(",", "").replace("−", "-")) for digits in _NUMBER.findall(text) if digits[-1].isdigit()
    ]
    return found + [float(_NUMERALS[word]) for word in re.findall(r"[a-z]+", text.lower()) if word in _NUMERALS]


def _words_of(stated: str, text: str) -> bool:
    """Whether a text has a word that begins like one of the answer, so that it may speak of it in other words."""
    lower = text.lower()
    return any(word[:4] in lower for word in _plain(stated).split()) or len(stated.split()) > 3


def _last_step(candidate: Candidate) -> str | None:
    """Without "the answer is": a last "So … is …" that gives another value, while the stated one is nowhere near."""
    tail = candidate.thinking[-_TAIL:]
    last = None
    for match in _STEP.finditer(tail):
        last = match
    if last is None or tail[last.end() :].strip():
        return None
    parts = _COPULA.split(last["rest"])
    if len(parts) < 2 or len(parts[-1].split()) > 6 or parts[-1].rstrip().endswith("?") or _HEDGED.match(parts[-1]):
        return None
    value = parts[-1][_FLUFF.match(parts[-1]).end() :].strip(" .*!")
    # Choices are often listed on the way to the last step, so that only the step itself counts.
    around = last["rest"] if candidate.choices else tail
    if mentions(around, candidate.stated, candidate.choices):
        return None
    if not candidate.choices and _number(tidy(candidate.stated)) is None and _words_of(candidate.stated, tail):
        return None
    if _agrees(value, False, candidate.stated, candidate.choices) is not False:
        return None
    return short(f"concludes {short(last.group().strip(), 90)!r} but states {short(candidate.stated, 60)!r}")
