"""
Rows that an evaluation benchmark has: found by their pictures and their wording, dropped or marked.

    for verdict in decontaminate(rows, [Index.load(path) for path in sorted(folder.glob("*.parquet"))]):
        print(verdict.action, verdict.evidence)

    same_picture    the file or its pixels are a benchmark's, byte by byte
    near_picture    both perceptual hashes are near: saved again, resized or cropped a little
    same_text       one benchmark row has most of the question's n-grams

The paper's authors looked for nothing of the kind, and their data is made of what benchmarks are made of. Rows are compared
with all benchmark rows, in tiles that fit a processor's cache; what is near by the coarse hash is checked by the fine one
inside the tile, so that thousands of nearly blank drawings cost time and not memory.

How well `near_picture` does at its defaults (coarse distance up to 8 of 64, fine up to 28 of 256), on 1000 generated pictures
of each kind, a quarter of which are copied; `others` are pictures of the same kind that are taken for a copy of one of the
other 999, none of which is:

    kind             JPEG 30  JPEG 95  0.3 x  0.5 x, JPEG 50    2 x  cut 1%  cut 2%  cut 4%  pairs confused  others
    line drawings       1.00     1.00   1.00            1.00   1.00    0.99    0.90    0.34    0 of 499,500    0.0%
    bar charts          1.00     1.00   1.00            1.00   1.00    1.00    0.86    0.09    2 of 499,500    0.4%
    pages of text       1.00     1.00   1.00            1.00   1.00    0.99    0.76    0.16   20 of 499,500    2.9%
    function plots      0.97     1.00   0.98            0.98   1.00    0.80    0.54    0.19   55 of 499,500   10.1%
    photographs         1.00     1.00   1.00            1.00   1.00    1.00    0.91    0.15    0 of 499,500    0.0%
    centred figures     0.91     1.00   1.00            0.72   1.00    0.10    0.04    0.02  1678 of 492,528  86.8%

The last are single figures that are their own mirror image, without a letter beside them: there are too few of them to tell
apart, so training rows with such pictures are lost where a benchmark has many. Cuts are up to so much on each side.
Measure it again with `python benchmarks/cold.py --part near`.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import islice
from typing import Any

import numpy as np

from open_vr1.cold.decontaminate.index import Index, hashes_of, shapes
from open_vr1.cold.decontaminate.ngrams import WORDS, Fingerprint, fingerprint
from open_vr1.cold.hashes import Look
from open_vr1.errors import UserError

KINDS = ("same_picture", "near_picture", "same_text")
ACTIONS = ("drop", "mark", "off")
STRENGTH = {"keep": 0, "mark": 1, "drop": 2}
# Pairs compared at a time: two megabytes of differences.
TILE = 1 << 18
# Shared n-grams counted at a time.
SHARED = 1 << 20
HALF = 128
NONE = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Decontamination:
    """
    What counts as a benchmark's, and what happens to it.

    Args:
        same_picture (`str`, *optional*, defaults to `"drop"`):
            `"drop"`, `"mark"` or `"off"` for rows with a picture of a benchmark.
        near_picture (`str`, *optional*, defaults to `"drop"`):
            The same for a picture that is nearly one of a benchmark.
        same_text (`str`, *optional*, defaults to `"mark"`):
            The same for the wording. Questions of one dataset are often alike where pictures differ, so it is not dropped.
        near_distance (`int`, *optional*, defaults to `8`):
            The most bits of 64 by which the coarse hashes of near pictures differ.
        near_distance_fine (`int`, *optional*, defaults to `28`):
            The most bits of 256 by which the fine hashes of near pictures differ. Less in proportion where fewer than half
            of the bits are set, as in figures that are their own mirror image.
        near_shape (`float`, *optional*, defaults to `1.15`):
            How much wider for its height one of two near pictures may be: cropping changes the shape a little.
        words (`int`, *optional*, defaults to `8`):
            Words of an n-gram. Indexes are made for one length.
        text_share (`float`, *optional*, defaults to `0.5`):
            The share of a question's n-grams that one benchmark row must have. A changed number in the middle of a long
            question costs up to `words` of them.
        common_rows (`int`, *optional*, defaults to `100`):
            An n-gram that more rows of a benchmark have is a phrase of its makers, and is not counted.
    """

    same_picture: str = "drop"
    near_picture: str = "drop"
    same_text: str = "mark"
    near_distance: int = 8
    near_distance_fine: int = 28
    near_shape: float = 1.15
    words: int = WORDS
    text_share: float = 0.5
    common_rows: int = 100

    def __post_init__(self) -> None:
        limits = {
            "near_distance": (0, 64),
            "near_distance_fine": (0, 256),
            "near_shape": (1, 100),
            "words": (1, 1000),
            "text_share": (0.01, 1),
            "common_rows": (1, 10**9),
        }
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in KINDS and value not in ACTIONS:
                raise UserError(f"decontaminate.{field.name}: {value!r} is not known; write {', '.join(ACTIONS)}")
            if field.name in limits:
                low, high = limits[field.name]
                if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                    raise UserError(f"decontaminate.{field.name}: {value!r} is out of range; write {low} to {high}")


@dataclass(frozen=True)
class Row:
    """A row to compare: its `id`, its `question`, and what was seen of each of its `pictures`."""

    id: str
    question: str
    pictures: Sequence[Look] = ()


@dataclass(frozen=True)
class Match:
    """
    One reason why a row may be a benchmark's: the best one of its kind and benchmark.

    Args:
        kind (`str`):
            `"same_picture"`, `"near_picture"` or `"same_text"`.
        benchmark (`str`):
            The benchmark's name.
        benchmark_row (`str`):
            Split and id of its row.
        distance (`int`, *optional*):
            Bits of 64 by which the coarse hashes differ.
        distance_fine (`int`, *optional*):
            Bits of 256 by which the fine hashes differ.
        shared (`int`, *optional*):
            The question's n-grams that the row has.
        ngrams (`int`, *optional*):
            The question's n-grams that count. None where the whole question was compared.
    """

    kind: str
    benchmark: str
    benchmark_row: str
    distance: int | None = None
    distance_fine: int | None = None
    shared: int | None = None
    ngrams: int | None = None

    @property
    def evidence(self) -> str:
        """Like `near_picture: mathvista testmini/512, distance 2 of 64, 9 of 256`."""
        near = f"distance {self.distance} of 64, {self.distance_fine} of 256"
        figures = {"same_picture": "the same pixels", "near_picture": near}.get(self.kind)
        if self.kind == "same_text":
            whole = f"the whole question, and a picture at {near}"
            figures = f"{self.shared} of {self.ngrams} n-grams" if self.ngrams else whole
        return f"{self.kind}: {self.benchmark} {self.benchmark_row}, {figures}"


@dataclass(frozen=True)
class Verdict:
    """What happens to a row, `"keep"`, `"mark"` or `"drop"`, and all that was found."""

    row_id: str
    action: str
    matches: Sequence[Match] = ()

    @property
    def evidence(self) -> str:
        return "; ".join(match.evidence for match in self.matches)


def decontaminate(
    rows: Iterable[Row], indexes: Sequence[Index], options: Decontamination = Decontamination(), batch_size: int = 4000
) -> Iterator[Verdict]:
    """
    A verdict for each row, in order.

    Args:
        rows (`Iterable[Row]`):
            The rows to compare, read a batch at a time.
        indexes (`Sequence[Index]`):
            The benchmarks to compare with.
        options ([`Decontamination`], *optional*):
            What counts and what happens.
        batch_size (`int`, *optional*, defaults to `4000`):
            Rows in memory. Changes no verdict.
    """
    for index in indexes:
        if index.words != options.words:
            raise UserError(
                f"decontaminate.words: {options.words}, but the index of {index.name} has n-grams of {index.words} words; "
                f"write words: {index.words}, or delete the index and it is made again"
            )
    remaining = iter(rows)
    while batch := list(islice(remaining, batch_size)):
        wordings = [fingerprint(row.question, options.words) for row in batch]
        found: list[list[Match]] = [[] for _ in batch]
        for index in indexes:
            for row, matches in enumerate(find_matches(batch, wordings, index, options)):
                found[row] += matches
        for row, matches in zip(batch, found, strict=True):
            actions = ["keep", *(getattr(options, match.kind) for match in matches)]
            yield Verdict(row.id, max(actions, key=STRENGTH.__getitem__), tuple(matches))


def find_matches(
    batch: Sequence[Row], wordings: Sequence[Fingerprint], index: Index, options: Decontamination
) -> list[list[Match]]:
    """The matches of each row of a batch in one benchmark, at most one of each kind."""
    found: list[list[Match]] = [[] for _ in batch]
    if options.same_picture != "off":
        for row, benchmark_row in enumerate(_same_pictures(batch, index)):
            if benchmark_row is not None:
                found[row].append(Match("same_picture", index.name, index.ids[benchmark_row].as_py()))
    pictures = _Pictures(batch)
    nearest = _nearest(pictures, index, options)
    if options.near_picture != "off":
        for row, key in enumerate(pictures.least_by_row(nearest, len(batch))):
            # The same picture is also the nearest one.
            if key != NONE and not found[row]:
                found[row].append(_near_match("near_picture", key, index))
    if options.same_text != "off":
        for row, match in _same_texts(wordings, pictures, nearest, index, options):
            found[row].append(match)
    return found


def _same_pictures(batch: Sequence[Row], index: Index) -> Iterator[int | None]:
    for row in batch:
        digests = [digest for look in row.pictures if not look.blank for digest in (look.sha256, look.pixels)]
        yield min((index.exact[digest] for digest in digests if digest in index.exact), default=None)


class _Pictures:
    """The pictures of a batch that can be compared, as arrays, with the row of each."""

    def __init__(self, batch: Sequence[Row]) -> None:
        looks = [(row, look) for row, each in enumerate(batch) for look in each.pictures if any(look.hash256)]
        self.rows = np.array([row for row, _ in looks], np.int64)
        self.coarse = hashes_of([look.hash64 for _, look in looks], 1).ravel()
        self.fine = hashes_of([look.hash256 for _, look in looks], 4)
        sizes = np.array([(look.width, look.height) for _, look in looks], np.int64).reshape(-1, 2)
        self.shape = shapes(sizes[:, 0], sizes[:, 1])

    def least_by_row(self, keys: np.ndarray, rows: int) -> np.ndarray:
        least = np.full(rows, NONE)
        np.minimum.at(least, self.rows, keys)
        return least


def _nearest(pictures: _Pictures, index: Index, options: Decontamination) -> np.ndarray:
    """For each picture a key that is least for the nearest one of the benchmark: fine distance, coarse distance, its number."""
    best = np.full(len(pictures.rows), NONE)
    if not len(index.rows):
        return best
    width = min(len(index.rows), TILE // 16)
    height = TILE // width
    for top in range(0, len(best), height):
        for left in range(0, len(index.rows), width):
            theirs = index.coarse[None, left : left + width]
            distances = np.bitwise_count(pictures.coarse[top : top + height, None] ^ theirs)
            close = np.flatnonzero(distances <= options.near_distance)
            if len(close):
                mine, other = np.divmod(close, distances.shape[1])
                near, keys = _near(pictures, mine + top, index, other + left, distances.ravel()[close], options)
                np.minimum.at(best, near, keys)
    return best


def _near(
    pictures: _Pictures,
    mine: np.ndarray,
    index: Index,
    theirs: np.ndarray,
    coarse: np.ndarray,
    options: Decontamination,
) -> tuple[np.ndarray, np.ndarray]:
    """Of pairs that are close by their coarse hashes, those that are near: the picture of each, and its key."""
    # Half of the bits rule out nearly all, and most of the time goes here where many pictures are nearly blank.
    differing = np.bitwise_count(pictures.fine[:, 0][mine] ^ index.fine[:, 0][theirs])
    differing += np.bitwise_count(pictures.fine[:, 1][mine] ^ index.fine[:, 1][theirs])
    left = np.flatnonzero(differing <= options.near_distance_fine)
    mine, theirs, coarse = mine[left], theirs[left], coarse[left]
    fine = _ones(pictures.fine[mine] ^ index.fine[theirs])
    stretched = np.abs(pictures.shape[mine] - index.shape[theirs])
    # Half of the bits are set in most pictures. With fewer there is less to differ in, so fewer may differ.
    ones = np.maximum(_ones(pictures.fine[mine]), _ones(index.fine[theirs]))
    near = fine * HALF <= options.near_distance_fine * np.minimum(ones, HALF)
    near &= stretched <= np.log(options.near_shape) + 1e-6
    return mine[near], (fine << 48 | coarse.astype(np.int64) << 40 | theirs)[near]


def _ones(fine: np.ndarray) -> np.ndarray:
    return np.bitwise_count(fine).sum(axis=1, dtype=np.int64)


def _near_match(kind: str, key: int, index: Index) -> Match:
    fine, coarse, picture = int(key) >> 48, int(key) >> 40 & 0xFF, int(key) & 0xFF_FFFF_FFFF
    return Match(kind, index.name, index.ids[int(index.rows[picture])].as_py(), coarse, fine)


def _same_texts(
    wordings: Sequence[Fingerprint], pictures: _Pictures, nearest: np.ndarray, index: Index, options: Decontamination
) -> Iterator[tuple[int, Match]]:
    """By n-grams where a question has any that count, otherwise as a whole together with a near picture."""
    sizes = np.array([len(wording.ngrams) for wording in wordings], np.int64)
    hashes = np.concatenate([wording.ngrams for wording in wordings])
    rows = np.repeat(np.arange(len(wordings)), sizes)
    first = np.searchsorted(index.ngrams, hashes, "left")
    spread = np.searchsorted(index.ngrams, hashes, "right") - first
    counted = spread <= options.common_rows
    sizes = np.bincount(rows[counted], minlength=len(wordings))
    shared, best_rows = _most_shared(rows[counted], first[counted], spread[counted], len(wordings), index)
    near = pictures.least_by_row(nearest, len(wordings))
    for row, wording in enumerate(wordings):
        if not sizes[row]:
            # Without a near picture in the whole benchmark there is none in the rows of that wording.
            if near[row] != NONE and wording.whole:
                match = _same_whole(row, wording.whole, pictures, index, options)
                if match:
                    yield row, match
        elif shared[row] >= options.text_share * sizes[row]:
            name = index.ids[int(best_rows[row])].as_py()
            yield row, Match("same_text", index.name, name, shared=int(shared[row]), ngrams=int(sizes[row]))


def _most_shared(
    rows: np.ndarray, first: np.ndarray, spread: np.ndarray, count: int, index: Index
) -> tuple[np.ndarray, np.ndarray]:
    """For each row the most n-grams that one benchmark row shares with it, and the first benchmark row that does."""
    most, best = np.zeros(count, np.int64), np.zeros(count, np.int64)
    rows, first, spread = (array[spread > 0] for array in (rows, first, spread))
    ends = np.cumsum(spread)
    begin = 0
    while begin < len(rows):
        # Whole rows at a time, or their counts would be torn apart.
        end = np.searchsorted(ends, (ends[begin - 1] if begin else 0) + SHARED, "right")
        end = np.searchsorted(rows, rows[max(end, begin + 1) - 1], "right")
        part = slice(begin, end)
        inside = np.arange(spread[part].sum()) - np.repeat(np.cumsum(spread[part]) - spread[part], spread[part])
        theirs = index.ngram_rows[np.repeat(first[part], spread[part]) + inside].astype(np.int64)
        pairs, times = np.unique(np.repeat(rows[part], spread[part]) << 32 | theirs, return_counts=True)
        # Backwards, so that of equal counts the first benchmark row stays.
        order = np.argsort(times[::-1], kind="stable")
        mine = pairs[::-1][order] >> 32
        most[mine] = times[::-1][order]
        best[mine] = pairs[::-1][order] & 0xFFFF_FFFF
        begin = end
    return most, best


def _same_whole(row: int, whole: int, pictures: _Pictures, index: Index, options: Decontamination) -> Match | None:
    """The nearest picture among the benchmark rows that are worded the same."""
    left, right = (np.searchsorted(index.wholes, np.uint64(whole), side) for side in ("left", "right"))
    theirs = np.flatnonzero(np.isin(index.rows, index.whole_rows[left:right]))
    keys = [NONE]
    for picture in np.flatnonzero(pictures.rows == row):
        coarse = np.bitwise_count(pictures.coarse[picture] ^ index.coarse[theirs])
        close = np.flatnonzero(coarse <= options.near_distance)
        if len(close):
            mine = np.full(len(close), picture)
            keys += _near(pictures, mine, index, theirs[close], coarse[close], options)[1].tolist()
    return None if min(keys) == NONE else _near_match("same_text", min(keys), index)


def summarise(verdicts: Iterable[Verdict], examples: int = 20) -> dict[str, Any]:
    """
    What was found, for the quality report.

    Args:
        verdicts (`Iterable[Verdict]`):
            Of all rows; read once.
        examples (`int`, *optional*, defaults to `20`):
            The most examples of each benchmark and kind, the first ones.

    Returns:
        `rows`, `actions` with the rows of each, and `benchmarks` with the rows and examples of each kind. A row that is
        several benchmarks' counts once in `actions` and once in each benchmark.
    """
    actions: Counter[str] = Counter({"keep": 0, "mark": 0, "drop": 0})
    benchmarks: dict[str, dict[str, dict[str, Any]]] = {}
    for verdict in verdicts:
        actions[verdict.action] += 1
        for match in verdict.matches:
            kinds = benchmarks.setdefault(match.benchmark, {})
            found = kinds.setdefault(match.kind, {"rows": 0, "examples": []})
            found["rows"] += 1
            if len(found["examples"]) < examples:
                found["examples"].append({"row": verdict.row_id, "action": verdict.action, "evidence": match.evidence})
    return {"rows": sum(actions.values()), "actions": dict(actions), "benchmarks": dict(sorted(benchmarks.items()))}
