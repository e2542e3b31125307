"""Rules about the form of a chain: `truncated`, `format` and `length`."""

import re

from open_vr1.cold.filter.rules.base import Check, read, short, word_set
from open_vr1.cold.filter.rules.conclusions import mentions
from open_vr1.cold.rows import Candidate
from open_vr1.rewards.answers import read_answer
from open_vr1.rewards.equality import DEFAULT_TOLERANCE, text_key
from open_vr1.rewards.letters import TWO, choice_texts, read_letter
from open_vr1.rewards.quantities import tidy
from open_vr1.rewards.verify import compare_answer, verify

_CLOSERS = "\"'”’)]}*_`$|>»\\"
_TERMINATORS = ".!?。！？"
# Words that an English sentence does not end with.
_GOES_ON = word_set(
    "the a an of to and or nor but is are was were be been being that because so with if by for in into on "
    "onto which who whose then we i they he she it's there's that's from as at let let's since when whenever "
    "while than whether therefore thus hence equal between about its their his our my your this's must should "
    "would could can will may might has have had also not don't doesn't isn't aren't won't can't these those "
    "each every very more less i'll we'll i'm we're gives get where how what why until unless although though"
)
_CONCLUDES = re.compile(
    r"\b(?:answer|option|choice|result)\b[^:=]{0,60}(?:\b(?:is|are|be|equals|to|option|choice|answer|with)\b|[:=])\s*"
    r"(?:\S+\s+){0,4}\S+$",
    re.IGNORECASE,
)
_BOUNDARY = re.compile(r"[.!?][\"')*]*\s+")
_NUMBERED = re.compile(r"\s*\d{1,3}[.)]\s")
_TAG = re.compile(
    r"</?\s*(?:think|thinking|answer|reasoning|tool|tool_call|tool_calls|tool_response|function_call|function|im_start"
    r"|im_end|image|img|video|audio|system|assistant|user|summary|caption|conclusion)(?:\s[^<>\n]{0,80})?/?>"
    r"|<[|｜][^<>|｜\n]{1,40}[|｜]>|\[/?INST\]|<</?SYS>>|</?s>|<(?:start|end)_of_turn>|<(?:eos|bos|pad|unk)>"
    r"|\[TOOL_CALLS\]|(?m:^\s{0,4}(?:Human|Assistant|ASSISTANT|USER)\s?:)|(?m:^#{2,3} (?:Instruction|Response|"
    r"Assistant)\s?:)",
    re.IGNORECASE,
)
_TAG_SIGNS = ("<", "[INST", "[/INST", "[TOOL", "Human", "Assistant", "ASSISTANT", "USER", "##")
_FINAL = re.compile(r"\bfinal\s{1,3}answer\*{0,2}\s{0,3}(?::|is:?)\*{0,2}\s?([^\n]{1,120})")


def truncated() -> Check:
    """Cut off by the length limit or in mid sentence."""

    def check(candidate: Candidate) -> str | None:
        if candidate.finish_reason == "length":
            return "finish_reason is 'length'"
        thinking = candidate.thinking.rstrip()
        return f"ends in mid sentence: …{thinking[-80:]}" if thinking and _stops(thinking, candidate) else None

    return check


def _stops(thinking: str, candidate: Candidate) -> bool:
    tail = thinking[-400:]
    if any(tail.rfind(opening) > tail.rfind(closing) for opening, closing in ((r"\[", r"\]"), (r"\(", r"\)"))):
        return True
    if tail.endswith(("...", "…")):
        return True
    bare = tail.rstrip(_CLOSERS)
    if not bare or bare[-1] in _TERMINATORS:
        return False
    if bare[-1] in ",;:-–—([{=+×/&<^~":
        return len(bare) == len(tail) or bare[-1] in ",;([{=+^"
    if tail[-1] not in "\"'”’)" and len(bare) < len(tail) or not bare[-1].isalnum():
        return False  # A formula, a quotation, a table row, an emphasised line, 50%, 30°.
    line = bare.rsplit("\n", 1)[-1]
    sentence = _BOUNDARY.split(line)[-1]
    if sentence.count("(") > sentence.count(")"):
        return True
    words = sentence.split()
    first, last = (word.lower().strip("(\"'*,") for word in (words[0], words[-1]))
    if words[0][0] in "-*#•✓✔✅" or _NUMBERED.match(line) or ":" in sentence and len(words) <= 5:
        return last in _GOES_ON and words[-1] not in ("A", "I")
    # A sentence can do without its full stop where it gives the answer, and a line where it is a heading.
    key = text_key(candidate.stated)
    if key and bare.lower().endswith(key) or _CONCLUDES.search(sentence):
        return last in _GOES_ON and words[-1] not in ("A", "I")
    if last in _GOES_ON or first in _GOES_ON and len(words) <= 4:
        return True
    if sentence == line and len(words) <= 4:
        return False
    return not mentions(sentence, candidate.stated, candidate.choices)


def format() -> Check:
    """No answer, no thinking, tags or chat markers inside, or several answers."""

    def check(candidate: Candidate) -> str | None:
        if not candidate.thinking.strip():
            return "the thinking is empty"
        if not candidate.stated.strip():
            return "no answer is stated"
        for name, text in (("thinking", candidate.thinking), ("answer", candidate.stated)):
            if any(sign in text for sign in _TAG_SIGNS) and (match := _TAG.search(text)):
                return short(f"the {name} contains {match.group().strip()!r}")
        return _several(candidate)

    return check


def _several(candidate: Candidate) -> str | None:
    texts = choice_texts(tuple(candidate.choices))
    if texts and len(candidate.stated) < 400 and read_letter(tidy(candidate.stated), texts) == TWO:
        return short(f"the answer names several choices: {candidate.stated!r}")
    replied = read_answer(candidate.reply).candidates if candidate.reply else ()
    several = len(replied) > 1 and not _same(replied, candidate)
    if several and verify(candidate.reply, candidate.answer, candidate.choices).reason != "correct":
        return short("several answers: " + " / ".join(replied[:6]))
    lower = read(candidate.thinking).lower
    if "final answer" in lower:
        found = {text_key(match[1].split(". ")[0].strip("*$ .")): None for match in _FINAL.finditer(lower)}
        if len(found) > 1 and not _same(tuple(found)[-6:], candidate):
            return short("several final answers in the thinking: " + " / ".join(tuple(found)[:6]))
    return None


def _same(answers: tuple[str, ...], candidate: Candidate) -> bool:
    """Whether answers all mean the same; a letter and the text of its choice do."""
    return all(compare_answer(answer, answers[0], candidate.choices) == "correct" for answer in answers[1:8])


def length(min_words: int = 20, max_words: int = 10_000) -> Check:
    """
    Too short or too long.

    Args:
        min_words (`int`, *optional*, defaults to `20`):
            Fewest words of a thinking.
        max_words (`int`, *optional*, defaults to `10_000`):
            Most words of a thinking.
    """
    if not 0 <= min_words <= max_words:
        raise ValueError(f"min_words is {min_words} and max_words {max_words}; write 0 <= min_words <= max_words")

    def check(candidate: Candidate) -> str | None:
        words = len(candidate.thinking.split())
        if words < min_words:
            return f"{words} words, fewer than {min_words}"
        return f"{words} words, more than {max_words}" if words > max_words else None

    return check


def wrong_answer(tolerance: float = DEFAULT_TOLERANCE) -> Check:
    """
    The stated answer is not the gold.

    Args:
        tolerance (`float`, *optional*, defaults to `1e-6`):
            How far a number may be off, relative to the gold.
    """
    if not tolerance >= 0:
        raise ValueError(f"tolerance is {tolerance}; write a number of 0 or more")

    def check(candidate: Candidate) -> str | None:
        verdict = verify(f"<answer>{candidate.stated}</answer>", candidate.answer, candidate.choices, tolerance)
        if verdict.reason == "correct":
            return None
        return short(
            f"{verdict.reason}: {short(candidate.stated, 80)!r}, but the gold is {short(candidate.answer, 80)!r}"
        )

    return check
