"""
The decontamination step: what a recipe names is compared with every gathered row, before a teacher is paid for any.

    decontaminate:
      against: [mathvista, mathverse, outputs/toy/test.parquet]
      same_text: mark

A name stands for an entry of `benchmarks.yaml`; a path for a parquet file with columns that are named as usual. What has been
read of a benchmark is kept in `indexes`, a folder that can be carried to a machine without network.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from open_vr1.cold.arguments import DecontaminateEntry
from open_vr1.cold.decontaminate.benchmarks import Benchmark, read_benchmarks
from open_vr1.cold.decontaminate.index import Index, build_index
from open_vr1.cold.decontaminate.matches import KINDS, Decontamination, Row, Verdict, decontaminate, summarise
from open_vr1.cold.hashes import Look
from open_vr1.cold.steps import replacing, write_json
from open_vr1.cold.store import RowStore
from open_vr1.errors import UserError
from open_vr1.recipe_types import nearest

LOOK = tuple(field.name for field in fields(Look))
PICTURES, QUESTIONS = ("images", "image", "decoded_image"), ("question", "problem", "query", "prompt")


def check_against(entry: DecontaminateEntry, where: str) -> None:
    """Refuse names that stand for nothing and options that there are not."""
    _options(entry, where)
    for name in entry["against"]:
        _benchmark(name, f"{where}: decontaminate.against: {name}")


def decontaminate_rows(
    entry: DecontaminateEntry,
    store: RowStore,
    folder: Path,
    where: str,
    tell: Callable[[float, float | None, str], None],
) -> dict[str, Any]:
    """
    Write `verdicts.jsonl`, a line for each row that is not simply kept, and `matches.json`; returns what was counted.

    Args:
        entry (`DecontaminateEntry`):
            The recipe's keys.
        store (`RowStore`):
            The gathered rows.
        folder (`Path`):
            Where the files go.
        where (`str`):
            The recipe, for messages.
        tell (`Callable`):
            Is told how far it is.
    """
    options = _options(entry, where)
    indexes = []
    for name in entry["against"]:
        tell(len(indexes), len(entry["against"]), f"reading {name}")
        indexes.append(_index(name, entry, options, folder, f"{where}: decontaminate.against: {name}"))
    dropped_by_kind = dict.fromkeys(KINDS, 0)
    with replacing(folder / "verdicts.jsonl") as draft, draft.open("w") as file:

        def written() -> Iterator[Verdict]:
            for index, verdict in enumerate(decontaminate(_rows(store), indexes, options)):
                if index % 1000 == 0:
                    tell(index, None, "rows compared")
                if verdict.action != "keep":
                    line = {
                        "index": index,
                        "id": verdict.row_id,
                        "action": verdict.action,
                        "evidence": verdict.evidence,
                    }
                    file.write(json.dumps(line) + "\n")
                if verdict.action == "drop":
                    kinds = [match.kind for match in verdict.matches if getattr(options, match.kind) == "drop"]
                    dropped_by_kind[min(kinds, key=KINDS.index)] += 1
                yield verdict

        found = summarise(written())
    write_json(folder / "matches.json", found)
    benchmarks = {
        name: {"rows": len(index.ids), "unreadable": index.unreadable}
        for name, index in zip(entry["against"], indexes, strict=True)
    }
    return {
        "rows": found["rows"],
        "dropped": found["actions"]["drop"],
        "marked": found["actions"]["mark"],
        "dropped_by_kind": dropped_by_kind,
        "benchmarks": benchmarks,
        "options": asdict(options),
    }


def _rows(store: RowStore) -> Iterator[Row]:
    for row in store.read(["id", "question", "pictures"]):
        looks = [Look(**{name: picture[name] for name in LOOK}) for picture in row["pictures"]]
        yield Row(row["id"], row["question"], looks)


def _options(entry: DecontaminateEntry, where: str) -> Decontamination:
    given = {key: entry[key] for key in KINDS if key in entry} | entry.get("options", {})
    known = [field.name for field in fields(Decontamination)]
    for name in given:
        if name not in known:
            raise UserError(
                f"{where}: decontaminate.options.{name}: there is no such option; the nearest is {nearest(name, known)}"
            )
    try:
        return Decontamination(**given)
    except UserError as error:
        raise UserError(f"{where}: {error}") from error


def _benchmark(name: str, where: str) -> tuple[Benchmark, Path | None]:
    """What a name of `against` stands for, and the file if it is one."""
    known = read_benchmarks()
    if name in known:
        return known[name], None
    path = Path(name)
    if path.suffix != ".parquet":
        raise UserError(f"{where}: no benchmark and no parquet file; the nearest benchmark is {nearest(name, known)}")
    if not path.is_file():
        raise UserError(f"{where}: there is no such file; write one that is there, or one of {', '.join(known)}")
    columns = pq.read_schema(path).names
    pictures, questions = ([column for column in usual if column in columns] for usual in (PICTURES, QUESTIONS))
    if not pictures or not questions:
        raise UserError(
            f"{where}: no column of pictures ({', '.join(PICTURES)}) and of questions ({', '.join(QUESTIONS)})"
        )
    row_id = "id" if "id" in columns else ""
    return Benchmark(path.stem, str(path), ["train"], pictures[:1], question=questions[0], id=row_id), path


def _index(name: str, entry: Mapping[str, Any], options: Decontamination, folder: Path, where: str) -> Index:
    benchmark, source = _benchmark(name, where)
    indexes = folder if source else Path(entry.get("indexes") or folder)
    path = indexes / f"{benchmark.name}.parquet"
    if not path.is_file():
        indexes.mkdir(parents=True, exist_ok=True)
        try:
            build_index(benchmark, indexes, source, options.words)
        except UserError as error:
            raise UserError(f"{where}: {error}") from error
    return Index.load(path)
