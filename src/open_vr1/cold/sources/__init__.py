"""
Sources of rows: a recipe's entry becomes a stream of [`SourceRow`] and [`BadRow`], the same for every format.

    sources:
      - name: llava_cot
        path: data/vision_r1_llava_cot_full.json
        pictures: data/image.zip.part-*
      - name: geometry3k
        path: hiyouga/geometry3k

What is read:

- **Vision-R1-cold as released**, a JSON array of conversations. The release has no gold beside them: the answer is the one
  that the reply states, so keeping the replies and checking them against it checks nothing. To check a chain of thought
  against a gold that it did not come from, take the originals.
- **What it was made from**: LLaVA-CoT-100k (`train.jsonl`, the answer is the `<CONCLUSION>`) and Mulberry
  (`mulberry_sft.json`, the answer follows `### The final answer is:`). A model wrote these answers too, but not the one
  whose chains are checked.
- **Rows** with a column for each field: Hub datasets, parquet, JSONL, saved datasets, in the manner of geometry3k.

The follow-up questions of a conversation become rows of their own, which do not see the turns before them.

Neither a source nor a picture is ever loaded whole: rows come one at a time, and a picture is a way to read it. What is
wrong with a row is a [`BadRow`]; what is wrong with the source is a `UserError`. Broken pictures and repeated ids are
found by who reads the stream, who sees all sources. Files of an open source stay open until its last picture is let go;
a process that forks has to open its own.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import islice
from pathlib import Path

import yaml

from open_vr1.cold.arguments import SourceEntry
from open_vr1.cold.rows import BadRow, SourceRow
from open_vr1.cold.sources.fields import Layout, layout_of, read_row
from open_vr1.cold.sources.lookup import Pictures, open_pictures
from open_vr1.cold.sources.tables import Table, open_table
from open_vr1.errors import UserError

# Releases are sorted by subset, and not everybody has the pictures of the first ones.
SEARCHED, SEARCHED_ON_THE_HUB = 200_000, 1_000

__all__ = ["SourceEntry", "check_source", "read_source"]


def read_source(entry: SourceEntry, where: str, cache_dir: Path | None = None) -> Iterator[SourceRow | BadRow]:
    """
    The rows of a source, in its order. Raises a `UserError` where it is broken, after the rows before that place.

    Args:
        entry ([`SourceEntry`]):
            What to read.
        where (`str`):
            What errors begin with, like `recipe.yaml: sources[0]: llava_cot`.
        cache_dir (`Path`, *optional*):
            Keeps the lists of members of tars.
    """
    table, layout, pictures = _open(entry, where, cache_dir)
    yield from islice(_rows(table, layout, pictures), entry.get("limit"))


def check_source(entry: SourceEntry, where: str, cache_dir: Path | None = None) -> None:
    """
    Refuses a source that is known to fail without reading all of it: files, columns, archives, and whether any of its
    first rows has its picture where the recipe says and can be used.

    Args:
        entry ([`SourceEntry`]):
            What will be read.
        where (`str`):
            What errors begin with.
        cache_dir (`Path`, *optional*):
            Keeps the lists of members of tars.
    """
    if (limit := entry.get("limit")) is not None and limit < 1:
        raise UserError(f"{where}: limit: {limit} leaves no row; write a number from 1, or remove the key")
    table, layout, pictures = _open(entry, where, cache_dir)
    bad = []
    for row in islice(
        _rows(table, layout, pictures), entry.get("limit") or (SEARCHED if table.base else SEARCHED_ON_THE_HUB)
    ):
        if isinstance(row, SourceRow):
            return
        bad.append(row)
    if not bad:
        raise UserError(f"{where}: path: {entry['path']}: there is no row in it")
    rules = ", ".join(f"{count} {rule}" for rule, count in Counter(row.rule for row in bad).most_common())
    raise UserError(
        f"{where}: pictures and columns: none of the first {len(bad)} rows can be used ({rules}): {bad[0].evidence}; write "
        "the folder or archive that their pictures are in, or the columns that their texts are in"
    )


def _open(entry: SourceEntry, where: str, cache_dir: Path | None) -> tuple[Table, Layout, Pictures]:
    table = open_table(entry, where)
    layout = layout_of(entry, table.columns, _licenses(entry), where)
    return table, layout, open_pictures(entry, table.base, where, cache_dir)


def _rows(table: Table, layout: Layout, pictures: Pictures) -> Iterator[SourceRow | BadRow]:
    for item in table.rows():
        if isinstance(item, BadRow):
            yield item
        else:
            yield from read_row(*item, layout, pictures)


def _licenses(entry: SourceEntry) -> Mapping[str, str]:
    given = entry.get("license")
    if isinstance(given, str):
        return {"*": given}
    return known_licenses() if given is None else {subset.lower(): name for subset, name in given.items()}


@cache
def known_licenses() -> Mapping[str, str]:
    """What is known of the subsets that the releases are made of, by their folders."""
    return yaml.safe_load((Path(__file__).parent / "licenses.yaml").read_text())
