"""
The scripted teacher: both models of the modality bridge, played by who knows the toy world's rows.

    python -m open_vr1.toy.teacher --rows outputs/toy/train.parquet --port 8000

It answers as real models would have to, from the request alone. Shown a picture and a question, it thinks aloud; shown its
own thinking too, it describes the picture in detail; given a description and a question and no picture, it reasons to the
answer, in the row's own chain of thought, so that a model trained on what a pipeline makes of its replies learns what the
rows would have taught it. Mistakes and faults are made on purpose, at set rates: `toy/mistakes.py`, `toy/teacher_server.py`.

Rows that show the same picture and ask the same are one to it: it answers with the first one's chain.
"""

import base64
import binascii
import hashlib
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from open_vr1.prompts import question_text
from open_vr1.toy.mistakes import Reply, bad_reply, check_rates, draw_mistake, good_reply, own_mistake
from open_vr1.toy.sight import Facts, caption, describe, facts_in, look

THINK, DESCRIBE, REASON = "think", "describe", "reason"
ASKS_TO_DESCRIBE = "provide a detailed description"

Row = Mapping[str, Any]


class BadRequest(ValueError):
    """What a request asks for, the teacher cannot know."""


@dataclass(frozen=True)
class Answer:
    """
    What the teacher says to one request.

    Args:
        step (`str`):
            Which of the three it took the request for: `"think"`, `"describe"` or `"reason"`.
        row_id (`str`):
            The row it is about.
        replies (`Sequence[Reply]`):
            One for each sample.
    """

    step: str
    row_id: str
    replies: Sequence[Reply]


class Teacher:
    """
    Both models, for the rows of a toy world.

    Args:
        rows (`Iterable[Row]`):
            Rows with the columns of `open_vr1.toy.world.FEATURES`. Those without a picture it cannot be asked about.
        seed (`int`, *optional*, defaults to `0`):
            Same seed, same mistakes.
        mistakes (`Mapping[str, float]`, *optional*):
            Share of the chains of thought that get each kind of mistake. None by default.
        measure (`bool`, *optional*):
            Make only mistakes whose templates are, or are not, kept back to measure with. All of them if not given.
    """

    def __init__(
        self,
        rows: Iterable[Row],
        seed: int = 0,
        mistakes: Mapping[str, float] | None = None,
        measure: bool | None = None,
    ):
        self.seed = seed
        self.mistakes = dict(mistakes or {})
        self.measure = measure
        check_rates(self.mistakes)
        self._pictures: dict[bytes, bytes] = {}
        self._rows: dict[bytes, list[Row]] = {}
        self._seen: dict[bytes, Facts] = {}
        self._described: dict[Facts, list[Row]] = {}
        self._looked_at_all = False
        for row, digest, is_first in _first_of_their_kind(rows):
            if is_first:
                self._rows.setdefault(digest, []).append(row)
                self._pictures[digest] = row["images"][0]["bytes"]

    def answer(self, request: Mapping[str, Any]) -> Answer:
        """
        The answer to the body of a chat request.

        The request's `n` is how many samples it wants (1), its `seed` the number of the first of them (0).
        """
        text, pictures = _read(request)
        if pictures:
            return self._answer_about_picture(text, pictures[0])
        row = self._asked(self._rows_described(text), text)
        first, count = request.get("seed") or 0, request.get("n") or 1
        return Answer(REASON, row["id"], [self.reason(row, sample) for sample in range(first, first + count)])

    def reason(self, row: Row, sample: int) -> Reply:
        """A chain of thought about a row, with a mistake or without."""
        kind, rng = draw_mistake(row, self.seed, self.mistakes, sample)
        return bad_reply(row, kind, rng, self.measure) if kind else good_reply(row)

    def _answer_about_picture(self, text: str, picture: bytes) -> Answer:
        digest = hashlib.sha256(picture).digest()
        if digest not in self._rows:
            raise BadRequest(f"the picture, SHA-256 {digest.hex()}, is none of the {len(self._rows)} that I was shown")
        row, facts = self._asked(self._rows[digest], text), self._look(digest)
        glance = caption(facts)
        if glance in text or ASKS_TO_DESCRIBE in text.lower():
            return Answer(DESCRIBE, row["id"], [Reply("", describe(facts))])
        aloud = f"Caption: {glance}\nReasoning: {row['thinking']} The answer is {row['stated']}."
        return Answer(THINK, row["id"], [Reply("", aloud)])

    def _look(self, digest: bytes) -> Facts:
        if digest not in self._seen:
            try:
                self._seen[digest] = facts = look(self._pictures[digest])
            except OSError as error:
                raise BadRequest(f"the picture cannot be decoded: {error}") from error
            self._described.setdefault(facts, self._rows[digest])
        return self._seen[digest]

    def _rows_described(self, text: str) -> list[Row]:
        facts = facts_in(text)
        if facts is None:
            raise BadRequest("there is neither a picture nor one of my descriptions of one")
        if facts not in self._described and not self._looked_at_all:
            # Described before this teacher was started: it has to look for the picture. Seconds, once.
            self._looked_at_all = True
            for digest in self._pictures:
                try:
                    self._look(digest)
                except BadRequest:
                    continue
        if facts not in self._described:
            raise BadRequest("what is described is none of the pictures that I was shown")
        return self._described[facts]

    @staticmethod
    def _asked(rows: Sequence[Row], text: str) -> Row:
        """Which row's question the text asks: the longest in it, and with the choices that are in it."""
        asked = [row for row in rows if row["question"] in text]
        if not asked:
            questions = " | ".join(sorted({row["question"] for row in rows}))
            raise BadRequest(f"no question that I know of this picture is in the text; I know {questions}")
        return (
            asked[0]
            if len(asked) == 1
            else max(asked, key=lambda row: (len(row["question"]), _shows_choices(row, text)))
        )


def _shows_choices(row: Row, text: str) -> int:
    """How well a text shows a row's choices: as this project writes them, lettered in another way, none wanted, not."""
    if not row["choices"]:
        return 1
    if question_text(row["question"], row["choices"]) in text:
        return 3
    lettered = [rf"{chr(ord('A') + i)}\W{{1,3}}{re.escape(choice)}\b" for i, choice in enumerate(row["choices"])]
    return 2 if re.search(r"\W.{0,20}?".join(lettered), text, re.DOTALL) else 0


def planted(
    rows: Iterable[Row], seed: int, rates: Mapping[str, float], samples: int | Sequence[int] = 1
) -> Iterator[tuple[str, int, str | None]]:
    """
    The truth: row id, sample, and the kind of mistake in what a teacher with that seed and those rates says, if any.

    Args:
        rows (`Iterable[Row]`):
            The teacher's rows, in its order.
        seed (`int`):
            The teacher's seed.
        rates (`Mapping[str, float]`):
            The teacher's rates.
        samples (`int` or `Sequence[int]`, *optional*, defaults to `1`):
            How many samples are asked for, counted from 0, or the `seed` of each request.
    """
    check_rates(rates)
    firsts: dict[tuple, Row] = {}
    for row, digest, is_first in _first_of_their_kind(rows):
        same = (digest, row["question"], tuple(row["choices"]))
        if is_first:
            firsts[same] = row
        for sample in range(samples) if isinstance(samples, int) else samples:
            drawn, _ = draw_mistake(firsts[same], seed, rates, sample)
            yield row["id"], sample, drawn or own_mistake(firsts[same])


def _first_of_their_kind(rows: Iterable[Row]) -> Iterator[tuple[Row, bytes, bool]]:
    """Each row with a picture, the picture's SHA-256, and whether no row before it asked the same about it."""
    seen = set()
    for row in rows:
        if not row["images"] or not row["images"][0]["bytes"]:
            continue
        digest = hashlib.sha256(row["images"][0]["bytes"]).digest()
        same = (digest, row["question"], tuple(row["choices"]))
        yield row, digest, same not in seen
        seen.add(same)


def read_rows(path: Path) -> list[dict]:
    """The rows of a parquet file, or of all parquet files in a folder."""
    # Not by `datasets`: importing it takes longer than reading the rows.
    import pyarrow.parquet as pq

    files = sorted(Path(path).glob("*.parquet")) if Path(path).is_dir() else [Path(path)]
    return [row for file in files for row in pq.read_table(file).to_pylist()]


def _read(request: Mapping[str, Any]) -> tuple[str, list[bytes]]:
    """All the text of a request's messages, and the bytes of its pictures."""
    texts, pictures = [], []
    for message in request["messages"]:
        content = message.get("content") or ""
        for part in [{"type": "text", "text": content}] if isinstance(content, str) else content:
            if part["type"] == "text":
                texts.append(part["text"])
            elif part["type"] == "image_url":
                pictures.append(_picture(part["image_url"]["url"]))
            else:
                raise BadRequest(f"messages: a part of type {part['type']}; write text or image_url")
    return "\n".join(texts), pictures


def _picture(url: str) -> bytes:
    head, comma, encoded = url.partition(",")
    if not (comma and head.startswith("data:image/") and head.endswith(";base64")):
        raise BadRequest(f"image_url: {url[:40]} is no data URL like data:image/png;base64,...")
    try:
        return base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise BadRequest(f"image_url: {error}") from error


if __name__ == "__main__":
    from open_vr1.toy.teacher_server import main

    sys.exit(main())
