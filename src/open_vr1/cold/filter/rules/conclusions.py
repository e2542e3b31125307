"""
The rule `contradiction`: the thinking concludes one thing and the answer states another.

Only what can be compared safely is: letters and texts of choices, yes and no, plain numbers, and short texts. A chain
that speaks of its stated answer after its last other conclusion may have changed its mind and passes.
"""

import re
from collections.abc import Sequence

from open_vr1.cold.filter.rules.agreement import END, FLUFF, HEDGED, agrees, mentions, plain
from open_vr1.cold.filter.rules.base import Check, read, short
from open_vr1.cold.filter.rules.endings import last_result, set_aside
from open_vr1.cold.rows import Candidate
from open_vr1.rewards.answers import boxed

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


def contradiction() -> Check:
    """The thinking's own conclusion is another answer."""

    def check(candidate: Candidate) -> str | None:
        thinking, stated = candidate.thinking, candidate.stated.strip()
        if not stated or not thinking or len(stated) > 200:
            return None
        if found := set_aside(candidate):
            return found
        concluded = _last_conclusion(thinking, candidate.choices)
        if concluded is None:
            return last_result(candidate)
        start, end, value, letter = concluded
        if agrees(value, letter, stated, candidate.choices) is not False:
            return None
        if mentions(thinking[end:], stated, candidate.choices):
            return None
        return short(f"concludes {read(thinking).quote(start, end, 0)!r} but states {short(stated, 60)!r}")

    return check


def _last_conclusion(thinking: str, choices: Sequence[str]) -> tuple[int, int, str, bool] | None:
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
        value = match["value"][FLUFF.match(match["value"]).end() :]
        if not value:
            continue
        if (HEDGED.match(match["value"]) or HEDGED.match(value)) and not _is_choice(match["value"], choices):
            continue
        cut = END.search(value, 1)
        value, stop = (value[: cut.start()], cut) if cut else (value, None)
        if stop and stop.group().startswith("?"):
            continue
        length = match.start("value") + match["value"].find(value) + len(value)
        found = _later(found, (offset + match.start(), offset + length, value, False))
    return found


def _later(one: tuple | None, other: tuple) -> tuple:
    return other if one is None or other[0] >= one[0] - 40 else one


def _is_choice(value: str, choices: Sequence[str]) -> bool:
    """Whether a value begins like a choice, such as "the same number" or "none of these"."""
    said = plain(value) + " "
    return any(len(name := plain(str(choice))) > 3 and said.startswith(name + " ") for choice in choices)
