"""
Questions and answers as the releases word them, down to the question, its choices and the gold answer.

What a source adds to a question for its own models goes: picture marks before and after it, `Hint:`, `Question:`,
Mulberry's instructions, `Return the final answer as "Final Answer:option".` What does not look like lettered choices
stays in the question, which is then an open one.
"""

import re
from collections.abc import Sequence

from open_vr1.prompts import IMAGE_PLACEHOLDER
from open_vr1.rewards.letters import compare_choice, gold_letter
from open_vr1.rewards.quantities import tidy
from open_vr1.rewards.reading import read_answer

_MARK = re.compile(re.escape(IMAGE_PLACEHOLDER), re.IGNORECASE)
_MARKS_AROUND = re.compile(rf"\A(?:\s*{IMAGE_PLACEHOLDER})+|(?:{IMAGE_PLACEHOLDER}\s*)+\Z")
_BEFORE = (
    re.compile(r"\A.*?###\s*The final answer is:?\s*\n+\s*Question:", re.IGNORECASE | re.DOTALL),
    re.compile(r"\AHint:[^\n]*\n\s*Question:", re.IGNORECASE),
    re.compile(r"\AQuestion:", re.IGNORECASE),
)
_AFTER = (
    re.compile(r"Return the final answer as\s+\W?Final Answer:\s*\w*\W*\Z", re.IGNORECASE),
    re.compile(
        r"Answer (?:the question )?(?:using|with) (?:the option's letter|a single word or (?:short )?phrase)[^\n]*\Z",
        re.IGNORECASE,
    ),
)
_CHOICES = re.compile(r"(?:^|(?<=\s))(?:Choices|Options)\s*:\s*(?=\(?[Aa]\s*[:.)])", re.IGNORECASE)
_LETTERED_LINE = re.compile(r"\n[ \t]*(?=\(?A\s*[:.)]\s*\S)")
_FIRST_LABEL = re.compile(r"(\(?)([Aa])\s*([:.)])")
_LABEL = re.compile(r"\(?([A-Za-z])\s*[:.)]\s*(?=\S)")

_TAG = re.compile(r"</?(?:think|answer)>", re.IGNORECASE)
_CONCLUSION = re.compile(r"<CONCLUSION>(.*?)</CONCLUSION>", re.IGNORECASE | re.DOTALL)
_MULBERRY = re.compile(r"###\s*The final answer is:?\s*((?!#)[^\n]*)", re.IGNORECASE)
_STRUCTURE = re.compile(
    r"</?(?:think|answer|summary|caption|reasoning|conclusion)>|^###", re.IGNORECASE | re.MULTILINE
)
_REPEATED = re.compile(r"\A.*\n\s*Answer:\s*(?=\S)", re.IGNORECASE | re.DOTALL)
_OPTION = re.compile(r"(?:option|choice)\s*\(?([A-Za-z])\)?\.?", re.IGNORECASE)
_LEAD_IN = re.compile(
    r"\A(?:(?:(?:so|thus|therefore|hence),?\s+)?the\s+(?:final\s+|correct\s+)?(?:answer|option|choice)\s+is:?"
    r"|(?:final\s+)?answer:)\s*(?=\S)",
    re.IGNORECASE,
)
_IN_BRACKETS = re.compile(r"\A([A-Z])\s*\(([^()]+)\)\Z")
_FULL_STOP = re.compile(r"(?<!\.[A-Za-z])(?<!\.)\.\Z")


class NoAnswer(Exception):
    """A text that states no answer, or several."""


def read_question(text: str) -> tuple[str, list[str], int]:
    """
    The question alone, its choices without letters, and how many picture marks the text had.

    Marks before and after the question go, as the pictures come first without them. If one is inside, all stay.
    """
    text = _MARK.sub(IMAGE_PLACEHOLDER, text).strip()
    marks = text.count(IMAGE_PLACEHOLDER)
    bare = _MARKS_AROUND.sub("", text).strip()
    if IMAGE_PLACEHOLDER not in bare:
        text = bare
    for pattern in (*_BEFORE, *_AFTER):
        text = pattern.sub("", text).strip()
    if IMAGE_PLACEHOLDER not in bare:  # One may have stood between the question and what came after it.
        text = _MARKS_AROUND.sub("", text).strip()
    question, choices = _split_choices(text)
    return question, choices, marks


def _split_choices(text: str) -> tuple[str, list[str]]:
    marker = None
    for marker in _CHOICES.finditer(text):
        pass  # The last one: "Choices:" may be a word of the question.
    marker = marker or _LETTERED_LINE.search(text)
    if not marker:
        return text, []
    choices, rest = _lettered(text[marker.end() :])
    if len(choices) < 2 or not all(choices):
        return text, []
    return "\n".join(filter(None, (text[: marker.start()].strip(), rest))), choices


def _lettered(text: str) -> tuple[list[str], str]:
    """The texts after A, B, C and so on in the style of the first letter, and the lines after the last."""
    opening, letter, closing = _FIRST_LABEL.match(text).groups()
    starts = []
    position = 0
    while match := re.compile(rf"(?:^|(?<=[\s,;])){re.escape(opening + letter)}\s*{re.escape(closing)}").search(
        text, position
    ):
        starts.append(match.span())
        position, letter = match.end(), chr(ord(letter) + 1)
    ends = [start for start, _ in starts[1:]] + [len(text)]
    choices = [text[start:end] for (_, start), end in zip(starts, ends, strict=True)]
    choices[-1], _, rest = choices[-1].strip().partition("\n")
    return [choice.strip().rstrip(",;").strip() for choice in choices], rest.strip()


def without_letters(choices: Sequence[str]) -> list[str]:
    """Choices without the letter that each has before it; as they are if not all of them have theirs."""
    found = [_LABEL.match(choice) for choice in choices]
    if all(match and ord(match[1].upper()) - ord("A") == i for i, match in enumerate(found)):
        return [choice[match.end() :] for choice, match in zip(choices, found, strict=True)]
    return list(choices)


def stated_answer(text: str) -> str:
    """
    What an assistant's turn states as its answer: the `<CONCLUSION>` of LLaVA-CoT, Mulberry's `### The final answer is:`,
    else what `open_vr1.rewards.reading` finds, which the released cold rows are written for. A turn of one line without
    any structure is an answer. Raises [`NoAnswer`].
    """
    for pattern in (_CONCLUSION, _MULBERRY):
        if found := pattern.findall(text):
            return _not_empty(found[-1])
    reading = read_answer(lower_tags(text))
    if len(reading.candidates) > 1:
        raise NoAnswer(f"it states several answers: {', '.join(reading.candidates)}")
    if reading.candidates:
        return _not_empty(reading.candidates[0])
    if reading.reason != "no_answer_block" or _STRUCTURE.search(text) or "\n" in text.strip():
        raise NoAnswer(f"{reading.reason}: ...{text.strip()[-100:]}")
    return _not_empty(text)


def lower_tags(text: str) -> str:
    """The tags of the answer format as `open_vr1.prompts` writes them."""
    return _TAG.sub(lambda tag: tag.group().lower(), text)


def _not_empty(answer: str) -> str:
    answer = tidy_answer(answer)
    if not answer:
        raise NoAnswer("its answer is empty")
    return answer


def tidy_answer(answer: str) -> str:
    """`The answer is: option B.` is `B`; another text keeps its words and loses its full stop."""
    answer = _LEAD_IN.sub("", _REPEATED.sub("", answer.strip()).strip())
    answer = _FULL_STOP.sub("", answer).strip()
    option = _OPTION.fullmatch(answer)
    return option[1].upper() if option else answer


def gold_answer(answer: str, choices: Sequence[str]) -> str | None:
    """The letter of the choice that an answer names by letter or by text, `None` if it names none; without choices, itself."""
    if not choices:
        return answer
    answer, choices = tidy(_IN_BRACKETS.sub(r"\1: \2", answer)), tuple(choices)
    index = gold_letter(answer, choices)
    named = [index] if index is not None else [i for i in range(len(choices)) if _names(answer, i, choices)]
    return chr(ord("A") + named[0]) if len(named) == 1 else None


def _names(answer: str, index: int, choices: tuple[str, ...]) -> bool:
    """Whether an answer would count as this choice if a model gave it, like `The correct answer is B`."""
    return compare_choice(index, answer, choices) == "correct"
