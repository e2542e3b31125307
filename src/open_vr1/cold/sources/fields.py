"""
One row of a source as ours: which column holds what, and what each value means.

A row that lacks something is a [`BadRow`] and never an error. The rules are `malformed` (a value of the wrong kind, turns
in the wrong order, marks for other pictures than there are), `no_picture`, `missing_picture` (its file is nowhere),
`no_question`, `no_answer` (none stated, or several) and `no_such_choice` (an answer that names none of the choices).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import Any

import fsspec

from open_vr1.cold.arguments import SourceEntry
from open_vr1.cold.rows import BadRow, Picture, SourceRow
from open_vr1.cold.sources.lookup import Pictures, subset_of
from open_vr1.cold.sources.text import (
    NoAnswer,
    gold_answer,
    lower_tags,
    read_question,
    stated_answer,
    tidy_answer,
    without_letters,
)
from open_vr1.errors import UserError
from open_vr1.prompts import IMAGE_PLACEHOLDER
from open_vr1.recipe_types import nearest
from open_vr1.rewards.reading import read_gold

OTHER_NAMES = {
    "id": ("question_id",),
    "images": ("image", "picture", "pictures"),
    "question": ("problem", "query"),
    "choices": ("options",),
    "answer": ("solution",),
    "original": (),
    "subset": (),
    "license": (),
    "pass_rate": (),
    "conversations": ("messages",),
}
NEEDED = {"rows": ("images", "question", "answer"), "chat": ("images", "conversations")}
ROLES = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "system": "system"}
EVIDENCE = 200


class _Bad(Exception):
    def __init__(self, rule: str, evidence: Any):
        super().__init__(rule)
        self.rule, self.evidence = rule, str(evidence)[:EVIDENCE]

    def row(self, row_id: str) -> BadRow:
        return BadRow(_writable(row_id), self.rule, _writable(self.evidence))


@dataclass(frozen=True)
class Layout:
    """
    How a source's rows are read.

    Args:
        format (`str`):
            `"rows"` or `"chat"`.
        columns (`Mapping[str, str]`):
            Our names to the source's, those that there are.
        licenses (`Mapping[str, str]`):
            By subset; `*` for the rest.
    """

    format: str
    columns: Mapping[str, str]
    licenses: Mapping[str, str]


def layout_of(entry: SourceEntry, there: Sequence[str], licenses: Mapping[str, str], where: str) -> Layout:
    """Our columns among those that there are. Refuses a source that lacks one."""
    named = entry.get("columns") or {}
    for ours, theirs in named.items():
        if ours not in OTHER_NAMES:
            raise UserError(
                f"{where}: columns: {ours}: there is no such field; the nearest is {nearest(ours, OTHER_NAMES)}, and all "
                f"are {', '.join(OTHER_NAMES)}"
            )
        if theirs not in there:
            raise UserError(f"{where}: columns: {ours}: there is no column {theirs}; write one of {', '.join(there)}")
    guesses = {ours: [name for name in (ours, *others) if name in there] for ours, others in OTHER_NAMES.items()}
    columns = {**{ours: found[0] for ours, found in guesses.items() if found}, **named}
    format = entry.get("format") or ("chat" if "conversations" in columns else "rows")
    for ours in NEEDED[format]:
        if ours not in columns:
            raise UserError(
                f"{where}: columns: there is no column for {ours} (format: {format}), only {', '.join(there)}; write "
                f"columns: {{{ours}: ...}}"
            )
    return Layout(format, columns, licenses)


def read_row(place: str, row: Mapping[str, Any], layout: Layout, pictures: Pictures) -> Iterator[SourceRow | BadRow]:
    """One row of the source, which is several of ours where its conversation goes on: `id#1`, `id#2`."""
    values = {ours: row.get(theirs) for ours, theirs in layout.columns.items()}
    row_id = place if values.get("id") in (None, "") else str(values["id"])
    try:
        turns = _turns(values["conversations"]) if layout.format == "chat" else [(values["question"], None)]
        given = _given_pictures(values["images"])
        if row_id == place:
            row_id = _made_id(place, given[0], turns[0][0], pictures)
        found = [_picture(picture, pictures) for picture in given]
        subset = str(values.get("subset") or subset_of(_path_of(given[0]))).strip().lower()
        common = {
            "pictures": found,
            "subset": subset,
            "license": str(values.get("license") or layout.licenses.get(subset, layout.licenses.get("*", "unknown"))),
            "pass_rate": _pass_rate(values.get("pass_rate")),
        }
    except _Bad as bad:
        yield bad.row(row_id)
        return
    for number, (asked, reply) in enumerate(turns, start=1):
        turn_id = f"{row_id}#{number}" if len(turns) > 1 else row_id
        try:
            question, choices = _question(asked, values.get("choices"), len(found))
            stated = _stated(reply) if layout.format == "chat" else _gold(values["answer"], choices)
            answer = gold_answer(stated, choices)
            if answer is None:
                raise _Bad("no_such_choice", f"{stated!r} is none of {choices}")
            original = reply or str(values.get("original") or "")
            if "".join(texts := [turn_id, question, *choices, answer, original]) != _writable("".join(texts)):
                raise _Bad("malformed", "half a character, which no file can hold")
        except _Bad as bad:
            yield bad.row(turn_id)
            continue
        yield SourceRow(turn_id, question=question, choices=tuple(choices), answer=answer, original=original, **common)


def _writable(text: str) -> str:
    """A text without the halves of characters that JSON can spell, like `\\ud83d` alone."""
    return text.encode(errors="replace").decode()


def _made_id(place: str, picture: Any, question: Any, pictures: Pictures) -> str:
    """The path and the question, which stay when rows are sorted or left out; the place of a row whose picture has none."""
    if not isinstance(picture, str):
        return place
    return f"{pictures.relative(picture).lstrip('./')}:{sha256(_writable(str(question)).encode()).hexdigest()[:12]}"


def _turns(conversation: Any) -> list[tuple[str, str | None]]:
    """What was asked and replied, in pairs."""
    if not isinstance(conversation, list):
        raise _Bad("malformed", f"a conversation is a list of turns, not {conversation!r}")
    pairs: list[tuple[str, str | None]] = []
    for turn in conversation:
        said = turn if isinstance(turn, dict) else {}
        role = ROLES.get(str(said.get("from") or said.get("role")).lower())
        text = _turn_text(said.get("value", said.get("content")))
        if role is None or text is None:
            raise _Bad("malformed", f"it is no turn of a conversation: {turn!r}")
        waiting = bool(pairs) and pairs[-1][1] is None
        if role == "user" and not waiting:
            pairs.append((text, None))
        elif role == "assistant" and waiting:
            pairs[-1] = (pairs[-1][0], text)
        elif role != "system":
            raise _Bad("malformed", f"two turns of the {role} follow each other: {text}")
    if not pairs:
        raise _Bad("no_question", conversation)
    return pairs


def _turn_text(content: Any) -> str | None:
    """A turn's words, with a mark for each picture where it is a list of parts."""
    if isinstance(content, list) and all(isinstance(part, dict) for part in content):
        parts = [IMAGE_PLACEHOLDER if part.get("type") == "image" else part.get("text") for part in content]
        return "".join(parts) if all(isinstance(part, str) for part in parts) else None
    return content if isinstance(content, str) else None


def _given_pictures(value: Any) -> list[Any]:
    given = [picture for picture in (value if isinstance(value, list) else [value]) if picture not in (None, "", b"")]
    if not given:
        raise _Bad("no_picture", repr(value))
    return [_bytes_or_path(picture) for picture in given]


def _bytes_or_path(picture: Any) -> Any:
    """A path, bytes, or bytes with a name."""
    if isinstance(picture, dict) and picture.get("bytes") is None and isinstance(picture.get("path"), str):
        return picture["path"]
    if isinstance(picture, (str, bytes)) or isinstance(picture, dict) and isinstance(picture.get("bytes"), bytes):
        return picture
    raise _Bad("malformed", f"it is no picture: {picture!r}")


def _path_of(picture: Any) -> str:
    return picture if isinstance(picture, str) else picture.get("path") or "" if isinstance(picture, dict) else ""


def _picture(given: Any, pictures: Pictures) -> Picture:
    if isinstance(given, bytes):
        return Picture("", lambda: given)
    if isinstance(given, dict):
        return Picture(_path_of(given), lambda: given["bytes"])
    if given.startswith("hf://") or given.startswith("zip://") and "::hf://" in given:
        return Picture(given, partial(_fetch, given))
    if found := pictures.find(given):
        return found
    raise _Bad("missing_picture", f"{given} is not in {pictures.label}")


def _fetch(url: str) -> bytes:
    """What the Hub's loaders leave of a picture beside its rows. No other address is followed: rows are not trusted."""
    with fsspec.open(url, "rb") as file:
        return file.read()


def _pass_rate(value: Any) -> float | None:
    if value is None or isinstance(value, (int, float)) and not math.isnan(value) and 0 <= value <= 1:
        return None if value is None else float(value)
    raise _Bad("malformed", f"a pass rate is a number from 0 to 1, not {value!r}")


def _question(asked: Any, listed: Any, pictures: int) -> tuple[str, list[str]]:
    if asked is not None and not isinstance(asked, str):
        raise _Bad("malformed", f"a question is a text, not {asked!r}")
    question, choices, marks = read_question(asked or "")
    if not question:
        raise _Bad("no_question", repr(asked))
    if marks not in (0, pictures):
        raise _Bad("malformed", f"{marks} {IMAGE_PLACEHOLDER} marks for {pictures} pictures: {asked}")
    if listed:
        if not isinstance(listed, list) or not all(isinstance(choice, (str, int, float)) for choice in listed):
            raise _Bad("malformed", f"choices are a list of texts, not {listed!r}")
        choices = without_letters([str(choice).strip() for choice in listed])
    if choices and (len(choices) < 2 or not all(choices)):
        raise _Bad("malformed", f"choices that are too few or empty: {choices}")
    return question, choices


def _stated(reply: str | None) -> str:
    try:
        return stated_answer(reply or "")
    except NoAnswer as error:
        raise _Bad("no_answer", error) from error


def _gold(answer: Any, choices: Sequence[str]) -> str:
    """The gold of a column: a text, bare or as a completion has it, a number, or the number of a choice from 0."""
    if isinstance(answer, list) and len(answer) == 1:
        answer = answer[0]
    if isinstance(answer, int) and not isinstance(answer, bool) and choices:
        return _choice_number(answer, choices)
    if isinstance(answer, (int, float)) and not isinstance(answer, bool):
        return str(answer)
    if answer is not None and not isinstance(answer, str):
        raise _Bad("malformed", f"an answer is a text or a number, not {answer!r}")
    gold = tidy_answer(read_gold(lower_tags(answer or "")))
    if not gold:
        raise _Bad("no_answer", repr(answer))
    return gold


def _choice_number(answer: int, choices: Sequence[str]) -> str:
    """`1` is the second choice, unless a choice says 1: then nobody knows which one is meant."""
    named = gold_answer(str(answer), choices)
    letter = chr(ord("A") + answer) if 0 <= answer < len(choices) else None
    if letter and named and letter != named:
        raise _Bad("malformed", f"{answer} may be the text or the number of one of {choices}")
    return letter or str(answer)
