"""
The first step: every source's rows with their pictures, each picture decoded once to see that it can be and hashed.

A part of rows is written at a time, its pictures first; a killed run goes on after the last part. Rows that cannot be used
are rejects, and too many of them in one source stop the run before anything is spent on the others.
"""

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from open_vr1.cold.arguments import ColdArguments
from open_vr1.cold.hashes import Look, Unreadable, look_at
from open_vr1.cold.rows import BadRow, SourceRow
from open_vr1.cold.sources import read_source
from open_vr1.cold.steps import draft_of, replacing
from open_vr1.cold.store import ROWS, RowStore, pack_path, part_path, rejects_path
from open_vr1.errors import UserError
from open_vr1.prompts import IMAGE_PLACEHOLDER

PART = 2000
# Rows whose pictures are being read and decoded while the earlier ones are written.
AHEAD = 64
# Fewer rows than this say nothing about the share of bad ones.
FEWEST_TO_JUDGE = 200

Looked = tuple[SourceRow | BadRow, list[tuple[str, bytes, Look]]]


def gather(args: ColdArguments, folder: Path, where: str, tell: Callable[[int, Counter], None]) -> dict[str, Any]:
    """
    Write every source's rows to a folder; returns what was counted.

    Args:
        args (`ColdArguments`):
            The recipe's keys.
        folder (`Path`):
            Where the parts go. Parts that are there already are kept.
        where (`str`):
            The recipe, for messages.
        tell (`Callable`):
            Is told the rows so far and the rejects so far by rule.
    """
    parts = _Parts(folder)
    for i, entry in enumerate(args.sources):
        place = f"{where}: sources[{i}]: {entry['path']}"
        rows = islice(
            read_source(entry, place, folder.parent / "archives"), parts.consumed.get(entry["name"], 0), None
        )
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            for row in _looked_at(rows, pool):
                parts.add(entry["name"], *row)
                if parts.is_full:
                    _check_share(parts, entry["name"], args.max_bad_rows, place)
                    parts.write()
                    tell(parts.index, parts.rejected())
        _check_share(parts, entry["name"], args.max_bad_rows, place, at_end=True)
    parts.write()
    if not parts.index:
        raise UserError(f"{where}: sources: there is no usable row in any; {folder}/rejects-00000.jsonl says why")
    return {
        "rows": parts.index,
        "by_source": dict(parts.kept),
        "rejected": dict(parts.rejected()),
        "rejected_by_source": {f"{source}/{rule}": n for (source, rule), n in sorted(parts.bad.items())},
        "pictures": len(parts.seen_pictures),
    }


def _looked_at(rows: Iterator[SourceRow | BadRow], pool: ThreadPoolExecutor) -> Iterator[Looked]:
    """Rows in order, their pictures read and decoded by threads, a few rows ahead."""
    waiting: list[Future[Looked]] = []
    for row in rows:
        waiting.append(pool.submit(_look_at_row, row))
        if len(waiting) == AHEAD:
            yield waiting.pop(0).result()
    for future in waiting:
        yield future.result()


def _look_at_row(row: SourceRow | BadRow) -> Looked:
    if isinstance(row, BadRow):
        return row, []
    marks = row.question.count(IMAGE_PLACEHOLDER)
    if marks not in (0, len(row.pictures)):
        return BadRow(row.id, "picture_marks", f"{marks} {IMAGE_PLACEHOLDER} marks, {len(row.pictures)} pictures"), []
    looks = []
    for picture in row.pictures:
        try:
            data = picture.read()
            looks.append((picture.name, data, look_at(data)))
        except FileNotFoundError:
            return BadRow(row.id, "missing_picture", picture.name), []
        except Unreadable as error:
            return BadRow(row.id, "corrupt_picture", f"{picture.name}: {error}"), []
    return row, looks


def _check_share(parts: "_Parts", source: str, allowed: float, place: str, at_end: bool = False) -> None:
    bad = {rule: count for (name, rule), count in parts.bad.items() if name == source}
    seen = sum(bad.values()) + parts.kept[source]
    if (at_end or seen >= FEWEST_TO_JUDGE) and sum(bad.values()) > allowed * seen:
        parts.write()
        counted = ", ".join(f"{rule} {count}" for rule, count in sorted(bad.items()))
        raise UserError(
            f"{place}: {sum(bad.values())} of {seen} rows cannot be used ({counted}), more than max_bad_rows: {allowed} "
            f"allows; {parts.folder}/rejects-*.jsonl lists them: mend the source, or write a larger max_bad_rows"
        )


class _Parts:
    """What has been gathered so far, on disk in whole parts and in memory the part that is being filled."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.index = 0
        self.number = 0
        self.kept: Counter = Counter()
        self.bad: Counter = Counter()
        self.consumed: Counter = Counter()
        self.seen_ids: set[str] = set()
        self.seen_pictures: dict[str, tuple[int, int]] = {}
        self._take_up()
        self._empty()

    def _take_up(self) -> None:
        """Go on after the parts that are there."""
        store = RowStore(self.folder)
        for part in store.parts():
            self.number += 1
            state = json.loads(pq.read_schema(part).metadata[b"state"])
            self.consumed, self.kept = Counter(state["consumed"]), Counter(state["kept"])
            self.bad = Counter({tuple(key.rsplit("/", 1)): count for key, count in state["bad"].items()})
            for row in pq.read_table(part, columns=["id", "pictures"]).to_pylist():
                self.index += 1
                self.seen_ids.add(row["id"])
                for picture in row["pictures"]:
                    self.seen_pictures.setdefault(picture["sha256"], (picture["pack"], picture["offset"]))

    def _empty(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.pack = draft_of(pack_path(self.folder, self.number)).open("wb")
        self.rejects: list[dict[str, str]] = []

    @property
    def is_full(self) -> bool:
        return len(self.rows) + len(self.rejects) >= PART

    def rejected(self) -> Counter:
        counted: Counter = Counter()
        for (_, rule), count in self.bad.items():
            counted[rule] += count
        return counted

    def add(self, source: str, row: SourceRow | BadRow, looks: list[tuple[str, bytes, Look]]) -> None:
        self.consumed[source] += 1
        name = f"{source}/{row.id}"
        if isinstance(row, SourceRow) and name in self.seen_ids:
            row = BadRow(row.id, "duplicate_id", f"another row of {source} has the id {row.id}")
        if isinstance(row, BadRow):
            self.bad[source, row.rule] += 1
            reject = {"id": name, "source": source, "step": "gather", "rule": row.rule, "evidence": row.evidence}
            self.rejects.append(reject)
            return
        self.seen_ids.add(name)
        self.kept[source] += 1
        self.rows.append(
            {
                "index": self.index,
                "id": name,
                "source": f"{source}/{row.subset}" if row.subset else source,
                "license": row.license,
                "question": row.question,
                "choices": list(row.choices),
                "answer": row.answer,
                "original": row.original,
                "pass_rate": row.pass_rate,
                "pictures": [self._place(*look) for look in looks],
            }
        )
        self.index += 1

    def _place(self, name: str, data: bytes, look: Look) -> dict[str, Any]:
        if look.sha256 not in self.seen_pictures:
            self.seen_pictures[look.sha256] = (self.number, self.pack.tell())
            self.pack.write(data)
        pack, offset = self.seen_pictures[look.sha256]
        name = Path(name).name if Path(name).is_absolute() else name  # Nothing of this machine's folders.
        return {**asdict(look), "name": name, "pack": pack, "offset": offset, "length": len(data)}

    def write(self) -> None:
        """One part: its pictures, its rejects, and last its rows, which make it count."""
        self.pack.close()
        if not self.rows and not self.rejects:
            return
        with replacing(pack_path(self.folder, self.number)):
            pass  # The draft has been filled row by row.
        with replacing(rejects_path(self.folder, self.number)) as draft:
            draft.write_text("".join(json.dumps(reject) + "\n" for reject in self.rejects))
        bad = {f"{source}/{rule}": count for (source, rule), count in self.bad.items()}
        state = json.dumps({"consumed": self.consumed, "kept": self.kept, "bad": bad})
        table = pa.Table.from_pylist(self.rows, schema=ROWS.with_metadata({"state": state}))
        with replacing(part_path(self.folder, self.number)) as draft:
            pq.write_table(table, draft)
        self.number += 1
        self._empty()
