"""
Wording that gives the text away becomes wording of someone who looks at the picture.

    reword("The description says that AB = 5.") == ("The image shows that AB = 5.", 1)

The paper "replaces some words" and its released rows show how: without word boundaries and sometimes twice ("The image
shows illustrates that", "the image depicted. The image depicts shows that"). Here a noun phrase that names the text is
replaced as a whole and the verb behind it with it, formulas and quotations are left alone, and rewording what was
reworded changes nothing. What cannot be mended is for the rule `leakage` to find.
"""

import re
from collections.abc import Callable

MAX_PASSES = 6
_MARK = "\ue000"  # Stands behind a noun that was replaced while its verb is looked for.
_S = r"\s{1,3}"

PICTURE = (
    r"(?:image|picture|figure|diagram|photo(?:graph)?|chart|graph|plot|map|drawing|illustration|scene|screenshot"
    r"|table)"
)
_HOW = (
    r"(?:text(?:ual|-based)?|written|verbal|visual|provided|given|supplied|above|following|detailed|full|original"
    r"|initial|user(?:'s)?|accompanying|same)"
)
_KIND = rf"(?:(?:{_HOW}|{PICTURE}(?:'s)?),?{_S})"
_OF_PICTURE = (
    rf"(?:{_S}(?:(?:provided|supplied)(?:{_S}by{_S}the{_S}user)?|itself|above(?!{_S}the\b)|given(?!{_S}(?:that|the|"
    rf"by|an?)\b)|of{_S}(?:the|this|that|an?){_S}(?:(?:two|three|four|given|provided|whole|entire|"
    rf"actual){_S})?{PICTURE}s?\b))"
)
# What a description or a caption is where it is not the text that the reasoner was told.
_OTHER_DESCRIPTION = (
    r"(?![\w'-]*[-'](?!s\b)\w)(?!\s+(?:columns?|fields?|box|labels?|section|below|beneath|underneath|next|of|on"
    rf"|for{_S}(?:option|choice|each)|in{_S}(?:option|choice|row|column|the{_S}(?:box|table|legend|{PICTURE}))"
    rf"|(?:that|which){_S}best)\b)"
)
_OTHER_CAPTION = (
    r"(?!\s+(?:below|beneath|underneath|under|next|of|on|at|in|inside|within|above|beside|reads?|box|bar|line|text"
    r"|for|contest)\b)"
)
_OTHER_TEXT = (
    r"(?!\s+(?:in|on|of|at|inside|within|below|above|under|underneath|next|beside|around|near|along|box|boxes|label"
    r"|labels|reads?|written|colou?r|size|font|messages?)\b)"
)


def _all(pattern: str, least: int = 0) -> str:
    """As many as there are, and none given back: what `*+` says, which Python 3.11.2 gets wrong (Debian 12 has it)."""
    return rf"(?:{pattern}){{{least},8}}(?!{pattern})"


_HOWS, _OF_PICTURES, _DESCRIPTIONS = _all(_KIND), _all(_OF_PICTURE), _all(rf"{_S}description\b")
_GIVEN = _all(rf"(?:provided|given|supplied|above|accompanying|user's){_S}", least=1)
# Every phrase that names the text. Also what the rule `leakage` looks for.
TEXT_PHRASES = (
    (
        rf"\b(?P<det>the|this|that|these|those|your){_S}(?P<how>{_HOWS})"
        rf"(?:description(?P<many>s?)\b{_DESCRIPTIONS}(?P<of>{_OF_PICTURES}){_OTHER_DESCRIPTION}"
        rf"|caption(?P<many2>s?)\b(?P<of2>{_OF_PICTURES}){_OTHER_CAPTION})"
    ),
    (
        rf"\b(?P<det>the|this|that|your){_S}(?P<how>{_GIVEN})"
        rf"text\b(?:{_S}provided)?{_OTHER_TEXT}"
    ),
    rf"\b(?P<det>the|this|that|your){_S}text{_S}(?:provided|supplied|given(?!{_S}(?:that|the|by|an?)\b))",
    (
        rf"\b(?P<lead>(?:according{_S}to|based{_S}(?:only{_S}|solely{_S})?(?:up)?on|as{_S}per"
        rf"|(?:described|stated|mentioned|specified){_S}(?:in|by)){_S})(?P<det>the|this){_S}text\b{_OTHER_TEXT}"
    ),
    rf"\b(?P<lead>(?:from|in){_S})(?P<det>the){_S}text(?=,)",
    (
        rf"\b(?P<det>the|this){_S}text(?={_S}(?:also{_S}|explicitly{_S}|clearly{_S}|only{_S}|just{_S})?(?:describes?"
        rf"|mentions?|specif(?:y|ies)|(?:says?|states?|tells{_S}(?:us|me)|indicates?|notes?){_S}that)\b)"
    ),
    (
        rf"(?P<det>)(?P<lead>(?:^|(?<=[.!?:;\n])\s{{1,2}}))(?:(?:the|image|picture|text){_S})?(?:description|caption)"
        rf"(?={_S}(?:says|states|mentions|shows|indicates|notes|describes|specifies|does)\b)"
    ),
)
_PHRASES = [re.compile(pattern, re.IGNORECASE) for pattern in TEXT_PHRASES]
_DEPICTION = re.compile(
    rf"\b((?:the|this|that|your){_S}(?:(?:given|provided|detailed|text(?:ual)?){_S})?)description"
    rf"(?={_S}of{_S}(?:(?:the|this|these|both|each|all){_S}(?!{PICTURE}|process|term|word|concept|event|role|function|law"
    r"|theor|propert|job|experiment|method|phenomen|reaction|organism|species|answer|option|problem|question)[a-z]"
    rf"|(?:point|angle|line|side|triangle|circle|square|rectangle)s?{_S}[A-Z0-9]))",
    re.IGNORECASE,
)
_PICTURE_WORD = re.compile(rf"\b({PICTURE})(s?)(?:'s)?\b", re.IGNORECASE)


def _verb_forms() -> dict[str, str]:
    """Each form of a verb of telling, with the same form of "show"."""
    forms = {"say": "show", "says": "shows", "said": "showed", "saying": "showing"}
    forms |= {"tell": "show", "tells": "shows", "told": "showed", "telling": "showing"}
    forms |= {"specify": "show", "specifies": "shows", "specified": "showed", "specifying": "showing"}
    forms |= {"clarify": "show", "clarifies": "shows", "clarified": "showed"}
    for verb, rest in [("point", " out"), ("talk", " about"), ("refer", " to")]:
        forms |= {
            f"{verb}{rest}": "show",
            f"{verb}s{rest}": "shows",
            f"{verb}{'r' * (verb == 'refer')}ed{rest}": "showed",
        }
    for verb in ("state", "mention", "note", "describe", "explain", "report", "detail", "claim", "outline"):
        stem = verb.removesuffix("e")
        forms |= {verb: "show", f"{verb}s": "shows", f"{stem}ed": "showed", f"{stem}ing": "showing"}
    return forms


_TELLING = _verb_forms()
_TELL = "(?:" + "|".join(sorted(map(re.escape, _TELLING), key=len, reverse=True)).replace(r"\ ", _S) + r")\b"
_SHOWS = r"(?:shows?|showed|illustrates?|displays?|depicts?|indicates?)\b"
_BEFORE_VERB = (
    rf"(?:,?{_S}(?:which|that)\b)?(?:{_S}(?:also|only|clearly|explicitly|specifically|just|further|then|even|never"
    r"|actually|simply|really|first|already|again|does|do|did|not|doesn't|don't|didn't|has|have|had|hasn't|would|should"
    r"|might|may|could|can|must|will|is|was|are|were)\b){0,4}"
)
_VERB = re.compile(
    rf"{_MARK}(?P<before>{_BEFORE_VERB})(?P<gap>{_S})(?:(?P<verb>{_TELL})|(?P<shows>{_SHOWS}))"
    rf"(?:(?:,?{_S}(?:and|or))?{_S}(?:{_TELL}|{_SHOWS}))*(?P<rest>{_S}(?:so\b(?!{_S}\w)|(?:us|me){_S}about\b|about\b))?",
    re.IGNORECASE,
)
_PERFECT = re.compile(r"\b(?:has|have|had|hasn't|is|was|are|were)\b", re.IGNORECASE)
_SAME_AGAIN = re.compile(
    rf"\b(?P<picture>{PICTURE})(?:{_S}(?:as{_S})?(?:described|shown|given|provided|depicted|mentioned))?"
    rf"(?:{_S}(?:in|by|from|within|per)|{_S}(?:and|or|and/or)|\s?/){_S}?(?:the|this|that|its){_S}\w+{_MARK}"
    rf"|\b(?P<first>\w+){_MARK}{_S}(?:and|or){_S}(?:the{_S})?(?P=first)\b",
    re.IGNORECASE,
)
_TOLD_IN = re.compile(
    rf"\b(?:described|mentioned|stated|listed|noted|specified|written|reported|detailed|outlined|said)"
    rf"(?P<rest>{_S}(?:in|by|from|within){_S}(?:the|this|that){_S}\w+{_MARK})",
    re.IGNORECASE,
)
_READ = re.compile(
    rf"\b(?P<again>re-?)?(?:read|pars)(?P<ing>ing|e)?(?:{_S}(?:through|over))?(?P<rest>{_S}(?:the|this|that){_S}\w+{_MARK})",
    re.IGNORECASE,
)
_WORDING = re.compile(
    rf"\bthe{_S}(?:wording|phrasing|text){_S}of{_S}(?=(?:the|this|that){_S}\w+{_MARK})", re.IGNORECASE
)

# Wording of telling that needs no noun for the text.
_ALONE: list[tuple[re.Pattern, str]] = [
    (
        re.compile(
            rf"\b(?:is|was){_S}described{_S}as{_S}(?:showing|depicting|illustrating|displaying)\b", re.IGNORECASE
        ),
        "shows",
    ),
    (re.compile(rf"\b(the|this|that){_S}described{_S}(?={PICTURE}\b)", re.IGNORECASE), r"\1 "),
    (re.compile(rf"\b(the{_S})described(?={_S}[a-z])", re.IGNORECASE), r"\1depicted"),
    (
        re.compile(
            rf"\b((?:the|this|that){_S}{PICTURE}){_S}(?:the{_S}user{_S}described|(?:as{_S})?described"
            rf"(?:{_S}by{_S}the{_S}user)?(?:{_S}(?:above|here))?)(?!{_S}(?:by|as|in|from)\b)\b",
            re.IGNORECASE,
        ),
        r"\1",
    ),
    (
        re.compile(rf"\b(the){_S}user{_S}(?:has{_S})?describe[sd]\b(?!{_S}(?:by|in)\b)", re.IGNORECASE),
        r"\1 image shows",
    ),
    (
        re.compile(rf"\b(depiction{_S}of{_S}(?:\w+{_S}){{1,4}})(?:says|states|mentions|describes)\b", re.IGNORECASE),
        r"\1shows",
    ),
    (re.compile(rf"\bdescribed{_S}by{_S}the{_S}user\b", re.IGNORECASE), "shown"),
    (
        re.compile(
            rf"\b((?:as|is|are|was|were|it's|what's){_S})described\b(?!{_S}(?:by|in|on|earlier|before|previously|using)\b)"
            rf"(?<!\bas{_S[:2]}described)|\b(as{_S})described\b(?!{_S}(?:by|in|on|earlier|before|previously|using)\b)",
            re.IGNORECASE,
        ),
        r"\1\2shown",
    ),
    (re.compile(rf"\bdescribed(?={_S}(?:above|in{_S}(?:the|this){_S}{PICTURE})\b)", re.IGNORECASE), "shown"),
]

# Formulas, code and quotations. No alternative can run past the next sign like the one that opened it.
PROTECTED = re.compile(
    r"(?=[$\\`\"'“‘])(?:"
    r"\$\$[^$]{1,2000}\$\$|\$(?=\S)[^$\n]{1,300}(?<=\S)\$(?!\d)|\\\((?:[^\\\n]|\\[^()\n]){0,500}\\\)"
    r"|\\\[(?:[^\\]|\\[^\[\]]){0,2000}\\\]|`[^`\n]{1,300}`"
    r"|(?<![\w\"])\"(?=[^\s\"])[^\"\n]{0,400}(?<=\S)\"(?!\w)|“[^“”\n]{1,400}”|‘[^‘’\n]{1,200}’(?!\w)"
    r"|(?<![\w'])'(?=[^\s'])(?:[^'\n]|(?<=\w)'(?=\w)){1,200}(?<=\S)'(?!\w))"
)
_SENTENCE = re.compile(r"[^.!?\n]*(?:[.!?\n]+\s*|$)")


def reword(text: str) -> tuple[str, int]:
    """The text with visual wording, and how many replacements were made."""
    if not _concerned(text) or _MARK in text:
        return text, 0
    original, total = text, 0
    for _ in range(MAX_PASSES):
        text, count = _reword_once(text)
        total += count
        if not count:
            return text, total
    return original, 0  # Only text made to defeat this comes here: better found by `leakage` than mended halfway.


def _concerned(text: str) -> bool:
    lower = text.lower()
    return "descri" in lower or "caption" in lower or "text" in lower


def _reword_once(text: str) -> tuple[str, int]:
    parts, position, total = [], 0, 0
    for match in PROTECTED.finditer(text):
        part, count = _reword_part(text[position : match.start()])
        parts += [part, match.group()]
        position, total = match.end(), total + count
    part, count = _reword_part(text[position:])
    return "".join([*parts, part]), total + count


def _reword_part(text: str) -> tuple[str, int]:
    if not _concerned(text):
        return text, 0
    parts = [_reword_sentence(part) if _concerned(part) else (part, 0) for part in _SENTENCE.findall(text)]
    return "".join(part for part, _ in parts), sum(count for _, count in parts)


def _reword_sentence(text: str) -> tuple[str, int]:
    text, total = _DEPICTION.subn(lambda match: match[1] + _cased("depiction", match[0][len(match[1]) :]), text)
    for pattern in _PHRASES:
        text, count = pattern.subn(_name_picture, text)
        total += count
    if _MARK in text:
        text = _WORDING.sub("", text)
        text = _SAME_AGAIN.sub(lambda match: match["picture"] or match["first"] + _MARK, text)
        text = _TOLD_IN.sub(lambda match: _cased("shown", match[0]) + match["rest"], text)
        text = _READ.sub(_look, text)
        text = _VERB.sub(_show, text).replace(_MARK, "")
    for pattern, replacement in _ALONE:
        text, count = pattern.subn(_keep_case(replacement), text)
        total += count
    return text, total


def _name_picture(match: re.Match) -> str:
    """The picture that a description is of: "the diagram description" is the diagram, any other text is the image."""
    groups = match.groupdict()
    told = " ".join(groups.get(name) or "" for name in ("how", "of", "of2"))
    named = _PICTURE_WORD.search(told)
    noun = named[1].lower() if named else "image"
    if groups.get("many") or groups.get("many2") or (named and named[2]):
        noun += "s"
    determiner = groups["det"]
    if determiner.lower() == "your":
        determiner = _cased("the", determiner)
    lead = groups.get("lead") or ""
    if not determiner:
        determiner = "The"
    noun = noun.upper() if determiner.isupper() and match[0].isupper() else noun
    return f"{lead}{determiner} {noun}{_MARK}"


def _show(match: re.Match) -> str:
    verb = match["verb"]
    if not verb:
        return _MARK + match["before"] + match["gap"] + match["shows"] + (match["rest"] or "")
    form = _TELLING[" ".join(verb.lower().split())]
    if form == "showed" and _PERFECT.search(match["before"]):
        form = "shown"
    form = form.upper() if verb.isupper() else form
    rest = match["rest"] or ""
    rest = " this" if rest.strip().lower() == "so" else re.sub(rf"{_S}about$", "", rest)
    return _MARK + match["before"] + match["gap"] + form + rest


def _look(match: re.Match) -> str:
    look = "looking" if (match["ing"] or "").lower() == "ing" else "look"
    again = " again" if match["again"] else ""
    return _cased(look, match[0]) + again + " at" + match["rest"]


def _keep_case(replacement: str) -> Callable[[re.Match], str]:
    def replace(match: re.Match) -> str:
        return _cased(match.expand(replacement), match[0])

    return replace


def _cased(word: str, like: str) -> str:
    """The word with the first letter as large as that of the text it replaces."""
    return word[:1].upper() + word[1:] if like[:1].isupper() else word
