"""What counts as equal, typed by the gold; docs/rewards.md has the table.

`compare` walks from the exact and cheap to the expensive: identical text, yes/no, numbers, tuples and sets element by
element, and only what is left of the mathematics goes to math-verify (`worker.py`).
"""

import re
from functools import lru_cache

from open_vr1.rewards.algebra import is_plain, same_algebra
from open_vr1.rewards.quantities import read_quantity, same_quantity, sides_disagree, tidy
from open_vr1.rewards.worker import MathVerdict, ask_math_verify

MAX_EXPRESSION = 1000
MAX_TEXT_GOLD = 200
DEFAULT_TOLERANCE = 1e-6

_YES_NO = {"yes": "yes", "true": "yes", "no": "no", "false": "no"}
_YES_NO_WORD = re.compile(r"\b(yes|no|true|false)\b", re.IGNORECASE)
_YES_NO_ANSWER = re.compile(r"(yes|no|true|false)(?:\s*[,.;:!].*)?", re.IGNORECASE | re.DOTALL)
_ALTERNATIVE = re.compile(
    r"(?<=\))\s*(?:or|and)\s*(?=\()|\s*[,;]?\s+(?:or|and)\s+|\s*(?:\\text\{\s*(?:or|and)\s*\})\s*"
)
_FLAT_TUPLE = re.compile(r"[(\[][^()\[\]]*[)\]]")
_LEADING_AND = re.compile(r"^\s*(?:\\text\s*\{\s*)?(?:and|or)\b(?:\s*\})?")
_LEAD_IN = re.compile(
    r"(?:(?:so|thus|hence|therefore|then)\b,?\s*)?(?:the\s+|my\s+)?(?:final\s+|correct\s+|right\s+)?"
    r"(?:(?:answer|option|choice|result|solution)(?:\s+(?:is|are|would be|should be)\b|\s*[:=])\s*:?\s*"
    r"|answer\s+(?=[-+(\\0-9]))",
    re.IGNORECASE,
)
_SUBJECT_IS = re.compile(
    r"(?:(?:so|thus|hence|therefore|then)\b,?\s*)?(?:the|its|their|there|it|this|that)\b"
    r"(?P<subject>[^.!?;:0-9=]{0,80}?)\s*\b(?:is|are|was|were|equals|equal to)\b\s*:?\s*(?P<rest>\S.*)",
    re.IGNORECASE | re.DOTALL,
)
_NEGATION = re.compile(
    r"\b(?:not|cannot|never|no|or|neither|nor|if|unless|wrong|incorrect|false)\b|n't", re.IGNORECASE
)
_DIRTY_TEXT = re.compile(r"[\x00-\x1f]")
_ARTICLE = re.compile(r"(?:the|an|a)\s+(?=\S)")
_LABEL = re.compile(
    r"(?:[A-Z]'?|[A-Za-z]|\([A-Za-z](?:\s*,\s*[A-Za-z])+\))\s*(?:=|\\in)\s*(?=[(\[{])|[A-Z]'?\s*(?=\()"
)
_NOT_MATHS = re.compile(
    r"[0-9]{4}[-/][0-9]{1,2}[-/][0-9]{1,2}|[0-9]{1,2}/[0-9]{1,2}/[0-9]{2,4}|[0-9]+\s*-\s*[0-9]+|[0-9]{300,}"
)
_FUNCTIONS = r"sqrt|sin|cos|tan|cot|sec|csc|log|ln|exp|pi|arcsin|arccos|arctan|max|min|abs|inf|infinity|cup|cap|in"
_MATHS = re.compile(
    rf"(?:[0-9]+(?:\.[0-9]+)?|(?:{_FUNCTIONS})(?![a-z])|[A-Za-z](?![A-Za-z]{{2}})|[-+*/^_=<>()\[\]{{}}|!,.']|\s)+"
)
_OPERATOR = re.compile(rf"[-+*/^_=<>|!]|[0-9]\s*[A-Za-z(]|\)\s*[(A-Za-z0-9]|\b(?:{_FUNCTIONS})\b")


def strip_lead_in(text: str) -> str:
    """What is left of "The answer is 5", "So the length is 5 cm"; a negated or hedged sentence is left alone."""
    if match := _LEAD_IN.match(text):
        return tidy(text[match.end() :]) or text
    match = _SUBJECT_IS.fullmatch(text)
    if match and not _NEGATION.search(match["subject"]):
        return tidy(match["rest"])
    return text


def text_key(text: str) -> str:
    """Short text without case, spacing, quotes, final punctuation and a leading article."""
    text = " ".join(text.casefold().split()).strip(" .,;:!?\"'`*")
    return _ARTICLE.sub("", text, count=1) if _ARTICLE.match(text) else text


def looks_like_maths(text: str) -> bool:
    """Whether a tidied text is an expression, and not prose, a date, a range or a ratio."""
    if len(text) > MAX_EXPRESSION or _NOT_MATHS.fullmatch(text) or _DIRTY_TEXT.search(text):
        return False
    if "\\" in text:
        return not re.search(r"(?<![\\a-zA-Z{])[a-zA-Z]{4,}\s+[a-zA-Z]{2,}", text)
    return bool(_MATHS.fullmatch(text) and _OPERATOR.search(text))


def _top_level_split(text: str) -> list[str]:
    parts, depth, start = [], 0, 0
    for position, character in enumerate(text):
        if character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
        elif character in ",;" and depth == 0:
            parts.append(text[start:position])
            start = position + 1
    parts.append(text[start:])
    return [part.strip() for part in parts]


@lru_cache(maxsize=8192)
def read_list(text: str) -> tuple[str, tuple[str, ...], str] | None:
    """A tidied tuple, set, interval or bare enumeration as (opening bracket or "", elements, closing bracket or "")."""
    if len(text) > MAX_EXPRESSION or read_quantity(text):
        return None
    if match := re.fullmatch(r"(?:[A-Za-z]\s*=\s*)?\\pm\s*(.+)", text):
        return ("", (match[1], "-" + match[1]), "") if len(match[1]) < 40 else None
    if match := _LABEL.match(text):
        text = text[match.end() :]
    opening, closing = "", ""
    if len(text) > 1 and text[0] in "([{" and text[-1] in ")]}":
        inner = text[1:-1]
        depth, lowest = 0, 0
        for character in inner:
            depth += (character in "([{") - (character in ")]}")
            lowest = min(lowest, depth)
        if lowest == 0 == depth:
            opening, closing, text = text[0], text[-1], inner.strip()
    parts = [_LEADING_AND.sub("", part, count=1) for part in _top_level_split(text)]
    elements = [piece.strip() for part in parts for piece in _ALTERNATIVE.split(part)]
    if "" in elements or len(elements) > 50:
        return None
    if len(elements) < 2 and opening != "{":
        return None
    return opening, tuple(elements), closing


def alternatives(answer: str) -> list[str]:
    """The answers that one text gives side by side ("2 or 3", "4, 5"); a single one where it does not."""
    if read_quantity(answer) or answer[:1] in ("(", "[", "{"):
        return [answer]
    parts = [piece for part in _top_level_split(answer) for piece in _ALTERNATIVE.split(f" {part} ")]
    return [part.strip() for part in parts if part.strip()][:20] or [answer]


@lru_cache(maxsize=8192)
def kind_of(gold: str) -> str | None:
    """`yes_no`, `number`, `list`, `expression`, `text`, or `None` where nothing can be compared with this gold."""
    if not gold or _DIRTY_TEXT.search(gold) or not any(character.isalnum() for character in gold):
        return None
    if gold.lower() in _YES_NO:
        return "yes_no"
    if read_quantity(gold):
        return "number"
    listed = read_list(gold)
    if listed and _is_list(listed):
        return "list"
    if looks_like_maths(gold):
        return "expression"
    if "\\" in gold and not re.search(r"\s", gold) or len(gold) > MAX_TEXT_GOLD and not gold.isdigit():
        return None
    return "text"


def _is_list(listed: tuple[str, tuple[str, ...], str]) -> bool:
    opening, elements, _ = listed
    if opening in ("", "{") and all(_FLAT_TUPLE.fullmatch(part) for part in elements):
        return True
    if not opening and not all(read_quantity(part) or looks_like_maths(part) for part in elements):
        return False
    return all(kind_of(part) not in (None, "list") or part.strip("+-") == r"\infty" for part in elements)


@lru_cache(maxsize=8192)
def gold_is_readable(gold: str) -> bool:
    """Whether there is anything to compare with: an expression must be one that math-verify can handle in time."""
    kind = kind_of(gold)
    if kind == "expression":
        cheap = is_plain(gold) or gold.strip("+-") == r"\infty"
        return cheap or ask_math_verify(gold, None, DEFAULT_TOLERANCE) == MathVerdict.EQUAL
    if kind == "list":
        return all(gold_is_readable(part) for part in read_list(gold)[1])
    return kind is not None


def compare(gold: str, answer: str, tolerance: float = DEFAULT_TOLERANCE, exact_paths_only: bool = False) -> str:
    """
    `correct`, `wrong`, `two_answers`, `unreadable`, `too_long`, `timeout` or `crashed`.

    Args:
        gold (`str`):
            A tidied gold that `gold_is_readable` accepts.
        answer (`str`):
            A tidied answer.
        tolerance (`float`, *optional*, defaults to `1e-6`):
            Relative to the gold, for numbers.
        exact_paths_only (`bool`, *optional*, defaults to `False`):
            Whether to call wrong what only math-verify could show to be equal.
    """
    kind = kind_of(gold)
    if kind != "text" and len(answer) > MAX_EXPRESSION:
        return "too_long"
    if text_key(gold) == text_key(answer):
        return "correct"
    if kind == "yes_no":
        return _compare_yes_no(gold, answer)
    if kind == "text":
        return _compare_text(gold, answer)
    stripped = strip_lead_in(answer)
    if stripped != answer:
        return compare(gold, stripped, tolerance, exact_paths_only)
    if kind == "list":
        return _compare_list(gold, answer, tolerance, exact_paths_only)
    if kind == "number":
        quantity = read_quantity(answer)
        if quantity:
            return "correct" if same_quantity(read_quantity(gold), quantity, tolerance) else "wrong"
    return _compare_expression(gold, answer, tolerance, exact_paths_only)


def _compare_yes_no(gold: str, answer: str) -> str:
    answer = strip_lead_in(answer)
    said = {_YES_NO[word.lower()] for word in _YES_NO_WORD.findall(answer)}
    if len(said) > 1:
        return "two_answers"
    match = _YES_NO_ANSWER.fullmatch(answer)
    if match is None:
        return "unreadable"
    return "correct" if _YES_NO[match[1].lower()] == _YES_NO[gold.lower()] else "wrong"


def _compare_text(gold: str, answer: str) -> str:
    if len(answer) > 2 * len(gold) + 200:
        return "too_long"
    key = text_key(gold)
    if key == text_key(strip_lead_in(answer)):
        return "correct"
    parts = [text_key(part) for part in re.split(r"\s+(?:or|and)\s+|[,/;]", answer)]
    return "two_answers" if len(parts) > 1 and key in parts else "wrong"


def _compare_expression(gold: str, answer: str, tolerance: float, exact_paths_only: bool) -> str:
    parts = alternatives(answer)
    if len(parts) > 1:
        if not any(read_quantity(part) or looks_like_maths(part) for part in parts):
            return "unreadable"
        verdicts = {compare(gold, part, tolerance, exact_paths_only) for part in parts}
        return "correct" if verdicts == {"correct"} else "two_answers"
    if not looks_like_maths(answer) and not read_quantity(answer):
        return "unreadable"
    if sides_disagree(answer):
        return "two_answers"
    if kind_of(gold) == "expression" and re.sub(r"\s+", "", gold) == re.sub(r"\s+", "", answer):
        return "correct"
    same = same_algebra(gold, answer, tolerance)
    if same is not None or exact_paths_only:
        return "correct" if same else "wrong"
    return {
        MathVerdict.EQUAL: "correct",
        MathVerdict.DIFFERENT: "wrong",
        MathVerdict.UNREADABLE: "unreadable",
        MathVerdict.TIMEOUT: "timeout",
        MathVerdict.CRASHED: "crashed",
    }[ask_math_verify(gold, answer, tolerance)]


def _compare_list(gold: str, answer: str, tolerance: float, exact_paths_only: bool) -> str:
    listed = read_list(answer)
    if listed is None:
        single = read_list("{" + answer + "}")
        listed = ("", single[1], "") if single else None
    if listed is None:
        return "unreadable"
    (opening, wanted, closing), (answer_opening, given, answer_closing) = read_list(gold), listed
    brackets_differ = opening and answer_opening and (opening, closing) != (answer_opening, answer_closing)
    if brackets_differ and ("{" in (opening, answer_opening) or len(wanted) == 2):
        return "wrong"
    ordered = opening in ("(", "[") or opening == "" and answer_opening in ("(", "[")
    if not ordered:
        given, wanted = (
            tuple({re.sub(r"\s+", "", item): item for item in items}.values()) for items in (given, wanted)
        )
    if len(given) != len(wanted):
        return "wrong"
    remaining = list(given)
    for element in wanted:
        for candidate in remaining[:1] if ordered else remaining:
            verdict = compare(element, candidate, tolerance, exact_paths_only)
            if verdict == "correct":
                remaining.remove(candidate)
                break
            if verdict in ("timeout", "crashed"):
                return verdict
        else:
            return "wrong"
    return "correct"
