"""
How a thinking ends that does not say "the answer is": its last result, and a result that it sets aside.

Part of the rule `contradiction`. What a sentence on the way says may be a step, so that a last result counts only where
the stated answer is nowhere near it.
"""

import re

from open_vr1.cold.filter.rules.agreement import END, FLUFF, HEDGED, agrees, mentions, near, number, plain, rounds_to
from open_vr1.cold.filter.rules.base import short
from open_vr1.cold.rows import Candidate
from open_vr1.rewards.quantities import tidy

_TAIL = 700
_STEP = re.compile(
    r"(?:^|(?<=[.!?\n])\s*)\W{0,3}(?:so|thus|therefore|hence|in conclusion|consequently|to conclude|this means|"
    r"that means|finally|overall)\b,?\s+(?P<rest>[^\n]{1,240})",
    re.IGNORECASE,
)
_COPULA = re.compile(r"\b(?:is|are|was|be|equals|equal to|becomes|get|gives)\b|[=≈]")

_ADVERBS = (
    r"(?:(?:\w+ly|once\s+more|still|then|just|keep|kept|both|always|again|also|am|are|have|had|do|ended?|up)\s+){0,3}"
)
_RESULT = re.compile(
    r"\b(?:"
    # What the thinking settles on. These count among choices too, where much is named on the way.
    rf"(?P<settled>(?:i|we)(?:'ve|'m|'re)?\s+{_ADVERBS}(?:arrived?\s+at|arriving\s+at|(?:end|ended|wind|wound)\s+up\s+"
    r"(?:with|at)|left\s+with|concluded?|c[oa]me\s+(?:to|out\s+at|up\s+with)|reach(?:ed)?|land(?:ed)?\s+(?:on|at)"
    r"|settled?\s+on"
    r"|(?:choose|chose|pick|picked|select|selected|take)\b(?=\s+(?:option|choice|answer|\W?[A-Z]\b)))"
    r"|i(?:'ll|'d|\s+will|\s+would)\s+(?:choose|pick|select|take)"
    r"|(?:so|thus|hence|therefore)[,:]?\s+(?:it's\s+|it\s+is\s+)?(?=\W?[\w.,]+(?:\s+\w+){0,3}\)?[.!]?\s*$)"
    r"|(?:that|which|this)\s+(?:just\s+|only\s+)?leaves(?:\s+only|\s+just)?|leaving(?:\s+only|\s+just)?|(?:it"
    r"|this)\s+(?:must|has\s+(?:got\s+)?to|can\s+only)\s+be"
    r"|(?:my|the\s+final)\s+(?:\w+\s+)?(?:result|conclusion|verdict|outcome|total|count|tally|finding"
    r"|choice)\s+(?:is|comes\s+to|:))"
    rf"|(?:i|we)(?:'ve|'m|'re)?\s+{_ADVERBS}(?:get|got|getting|obtain(?:ed)?|calculated?|computed?|count(?:ed)?|find"
    r"|found"
    r"|derived?)"
    r"|(?:which|that|this|it|everything|all|together)\s+(?:\w+ly\s+|then\s+|all\s+)?(?:gives|makes|yields|totals"
    r"|comes\s+(?:out\s+)?(?:to|at|as)"
    r"|(?:adds|sums)\s+up\s+to|amounts\s+to|results\s+in|works\s+out\s+(?:to|as|at))"
    r"|they\s+(?:\w+ly\s+|then\s+|all\s+)?(?:come\s+to|make|give|(?:add|sum)\s+up\s+to|total|amount\s+to)|(?:brings"
    r"|takes|puts)\s+(?:the|our|my)\s+\w+\s+(?:up\s+)?to"
    r"|there\s+(?:are|is|remains?)\s+(?:still\s+|only\s+)?(?=\S+\s+(?:\w+\s+){0,3}(?:left|remaining|in\s+total"
    r"|altogether|in\s+all|overall)\b)"
    r"|(?:comes?|amounts?|adds?\s+up|works?\s+out)\s+(?:out\s+)?(?:to|at|as)|leads\s+(?:me|us)\s+to"
    r"|=(?=\s*-?\d[\d.,]*\s*[a-z]{0,12}[.!]?\s*$)"
    r"|giving|making|yielding|for\s+a\s+total\s+of|the\s+(?:\w+\s+)?(?:result|total|sum|difference|count"
    r"|outcome)\s+(?:is|comes\s+to|equals|:)"
    r")(?:[\s:*]+(?:us|me|you|with|that|to|at|as)\b)?(?:\s+(?:it\s+is|it's|(?:an?|the)\s+(?:value|total|sum|count"
    r"|result|number|grand\s+total|difference)\s+of))?[\s:*]*(?P<value>[^\n]{1,160})",
    re.IGNORECASE,
)
_WORK = (
    r"(?:calculations?|computations?|counting|count|tally|reasoning|analysis|derivation|working|work|math|maths"
    r"|arithmetic|results?"
    r"|estimate|solution|steps|logic|conclusion|figures|measurements?|method|approach|algebra|finding|answer)"
)
_OWN = (
    rf"(?:(?:my|the|this|our)\s+(?:own\s+|actual\s+|careful\s+|direct\s+)?{_WORK}\s+(?:\w+ly\s+|keeps?\s+|both\s+)?"
    r"(?:says?|saying|gives?|giving|gave|shows?|showed|showing|suggests?|implies|is|was|are|of|yields?|(?:comes?"
    r"|came|coming)\s+"
    r"(?:out\s+)?(?:to|as|at)|(?:points?|leads?|led|leading|pointing|brings\s+me|adds\s+up)\s+to|says\s+it\s+is"
    r"|being|indicates?)"
    r"|(?:i|we)(?:'ve)?\s+(?:keep\s+|still\s+|actually\s+|really\s+|clearly\s+|always\s+|\w+ly\s+)?(?:get|got"
    r"|getting|calculated?|computed?"
    r"|count|counted|find|found|arrived?\s+at|derived?|obtain|obtained|ended\s+up\s+with|reached|believe|think"
    r"|see)(?:\s+it\s+is|\s+it's)?"
    r"|(?:everything|all\s+(?:of\s+)?this|it\s+all|the\s+evidence|the\s+picture)\s+(?:points?|leads?|adds\s+up)\s+to"
    r"|(?:getting|finding|counting|computing|arriving\s+at|calculating|obtaining|deriving|reaching))"
)
_WRITE = (
    r"(?:i(?:'ll|'d|'m)?|we(?:'ll)?|let\s+me|let's)\s+(?:(?:will|would|should|must|have\s+to|need\s+to|had\s+better"
    r"|am|going\s+to|still|just|simply"
    r"|instead|rather|nevertheless|nonetheless|then|now|\w+ly)\s+){0,4}"
    r"(?:write|answer|put(?:\s+down)?|state|report|give|say|go\s+with|choose|select|pick|submit|enter|record|output"
    r"|respond(?:\s+with)?"
    r"|present|note\s+down|use|settle\s+(?:on|for)|choosing|writing|going\s+with|answering|stating|reporting)\b"
    r"(?:\s+(?:the\s+(?:final\s+)?answer|it|my\s+answer|this))?(?:\s+(?:as|is|with|down|that))?"
)
_WRITES = re.compile(rf"\b{_WRITE}", re.IGNORECASE)
# "Although my calculation says 7, I'll write 8." and "I get 7, but I'll write 8."
_SET_ASIDE = re.compile(
    r"\b(?P<conceding>although|though|while|whilst|despite|in\s+spite\s+of|regardless\s+of|contrary\s+to|ignoring"
    r"|disregarding"
    rf"|setting\s+aside|notwithstanding|whatever|no\s+matter\s+that|against)?(?:\s+(?:the\s+fact\s+)?that)?\s*\b{_OWN}"
    r"[\s:*]+(?P<own>(?:[^\n.]|\.(?=\d)){1,80}?)[,.;]?\s+"
    r"(?:(?P<but>but|yet|still|nevertheless|nonetheless|however|even\s+so|all\s+the\s+same|anyway|and\s+yet"
    r"|that\s+said),?\s+)?"
    rf"{_WRITE}[\s:*\"]+(?P<written>[^\n]{{1,60}})",
    re.IGNORECASE,
)
# A result that is rounded, converted, corrected or gone on from is not set aside.
_GOES_ON = re.compile(
    r"\b(?:first|initial\w*|earlier|original\w*|previous\w*|mistak\w*|errors?|wrong\w*|incorrect\w*|forgot\w*"
    r"|round\w*|nearest|closest"
    r"|units?|asks?|asked|asking|wants?|convert\w*|simplif\w*|hours?|minutes|percent\w*|half|twice|add|adding"
    r"|subtract\w*|divid\w*"
    r"|multipl\w*|at\s+(?:a|the)\s+(?:first\s+)?glance|decimals?|digits?|significant|form|equivalent|same\s+as"
    r"|intermediate|plus"
    r"|minus|times|if|which\s+is|i\.e|that\s+is)\b",
    re.IGNORECASE,
)
_REVISED = re.compile(r"\b(?:wait|but|however|actually|instead|mistake|hmm|let\s+me|hold\s+on)\b|\?", re.IGNORECASE)
_MORE_TO_DO = re.compile(
    r"\b(?:then|more|another|dozens?|half|twice|double|triple|third|quarter|mean|average|add|adding|subtract\w*"
    r"|divid\w*|multipl\w*|minus|plus|times|squar\w+"
    r"|root|rest|convert\w*|each|per)\b|[=√]",
    re.IGNORECASE,
)
_SUPPOSED = re.compile(
    r"\b(?:if|when|whether|suppose|assum\w+|unless|not|never|can't|cannot|could|would|might|may|maybe|perhaps|first"
    r"|initially|wrong\w*"
    r"|example|check\w*|verif\w*|confirm\w*|each|every|then\s+multiply)\b[^.;:!?\n]{0,60}$",
    re.IGNORECASE,
)


def set_aside(candidate: Candidate) -> str | None:
    """A result of its own that the thinking knowingly gives up for the stated answer."""
    tail = candidate.thinking[-_TAIL:].replace("\u2019", "'")
    if not _WRITES.search(tail):
        return None
    position = 0
    while match := _SET_ASIDE.search(tail, position):
        position = match.start("own")
        if not match["conceding"] and not match["but"]:
            continue
        if _GOES_ON.search(tail[max(match.start() - 60, 0) : match.end()]):
            continue
        own, written = _value(match["own"]), _value(match["written"])
        if not own or not written or rounds_to(own, candidate.stated):
            continue
        if not agrees(written, False, candidate.stated, candidate.choices):
            continue
        if agrees(own, False, candidate.stated, candidate.choices) is False:
            return short(f"sets its own result aside: {short(match.group(), 120)!r}")
    return None


def last_result(candidate: Candidate) -> str | None:
    """Without "the answer is": a last result that is another value, while the stated one is nowhere near."""
    return _last_step(candidate) or _last_weak(candidate)


def _last_weak(candidate: Candidate) -> str | None:
    tail = candidate.thinking[-_TAIL:].replace("\u2019", "'")
    if not candidate.choices and number(tidy(candidate.stated)) is None:
        return None
    last, position = None, 0
    while match := _RESULT.search(tail, position):
        position = match.start("value")
        if not _SUPPOSED.search(tail[max(match.start() - 60, 0) : match.start()]):
            last = match
    if last is None:
        return None
    after = tail[last.start("value") :]
    if _REVISED.search(after) or _MORE_TO_DO.search(after):
        return None
    value = _value(last["value"])
    if not value or len(value.split()) > 6 or re.search(r"\s[-+*/×÷]\s|=", value):
        return None
    around = after if candidate.choices and last["settled"] else tail
    if near(around, candidate.stated, candidate.choices):
        return None
    if agrees(value, False, candidate.stated, candidate.choices) is not False:
        return None
    return short(f"ends in {short(last.group().strip(), 90)!r} but states {short(candidate.stated, 60)!r}")


def _value(text: str) -> str:
    """The value that a text begins with, up to where its clause ends."""
    text = text[FLUFF.match(text).end() :]
    cut = END.search(text, 1)
    return (text[: cut.start()] if cut else text).strip(" .*!:\"'")


def _words_of(stated: str, text: str) -> bool:
    """Whether a text has a word that begins like one of the answer, so that it may speak of it in other words."""
    lower = text.lower()
    return any(word[:4] in lower for word in plain(stated).split()) or len(stated.split()) > 3


def _last_step(candidate: Candidate) -> str | None:
    """Without "the answer is": a last "So … is …" that gives another value, while the stated one is nowhere near."""
    tail = candidate.thinking[-_TAIL:]
    last = None
    for match in _STEP.finditer(tail):
        last = match
    if last is None or tail[last.end() :].strip():
        return None
    parts = _COPULA.split(last["rest"])
    if len(parts) < 2 or len(parts[-1].split()) > 6 or parts[-1].rstrip().endswith("?") or HEDGED.match(parts[-1]):
        return None
    if re.search(r"\b(?:each|every|per)\b", last["rest"], re.IGNORECASE):
        return None
    value = parts[-1][FLUFF.match(parts[-1]).end() :].strip(" .*!")
    # Choices are often listed on the way to the last step, so that only the step itself counts.
    around = last["rest"] if candidate.choices else tail
    if mentions(around, candidate.stated, candidate.choices):
        return None
    if not candidate.choices and number(tidy(candidate.stated)) is None and _words_of(candidate.stated, tail):
        return None
    if agrees(value, False, candidate.stated, candidate.choices) is not False:
        return None
    return short(f"concludes {short(last.group().strip(), 90)!r} but states {short(candidate.stated, 60)!r}")
