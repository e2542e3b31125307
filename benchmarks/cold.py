"""The cold dataset's steps that take time at 200,000 rows.

    python benchmarks/cold.py --part decontamination     200,000 rows against 100,000 benchmark rows: seconds, memory
    python benchmarks/cold.py --part hashing             pictures a second and core
    python benchmarks/cold.py --part near                how well near copies are found, and how often others are

Everything is generated. Times are of the processor of one process, so that a busy machine changes them little; the clock's
are beside. The last line is one JSON object.
"""

import argparse
import json
import os
import random
import resource
import sys
import time
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
from cold_pictures import COPIES, KINDS, as_jpeg, as_png, photograph

from open_vr1.cold.decontaminate.index import SCHEMA, Index, look_row
from open_vr1.cold.decontaminate.matches import Decontamination, Row, decontaminate, summarise
from open_vr1.cold.hashes import Look, look_at

BENCHMARKS = 10
# Of the pictures, how many are drawings on white, whose coarse hashes are nearly empty; of the rows, how many are a benchmark's.
DRAWINGS, COPIED = 0.3, 0.01
# Questions are worded by templates with names and numbers in them, as those of real datasets are.
VOCABULARY = [
    f"{first}{second}" for first in "bcdfghklmnprstvz" for second in ("a", "el", "im", "on", "ur", "ent", "ation")
]


def make_look(chance: random.Random) -> Look:
    """A look at a picture that does not exist."""
    bits = chance.getrandbits(64)
    if chance.random() < DRAWINGS:
        bits &= chance.getrandbits(64) & chance.getrandbits(64) & chance.getrandbits(64)
    coarse, fine, digest = bits.to_bytes(8, "little"), chance.randbytes(32), chance.randbytes(32).hex()
    return Look(chance.choice([400, 500, 640]), 400, digest, digest[::-1], coarse, fine)


def near_look(look: Look, chance: random.Random) -> Look:
    """A few bits of the hashes changed, as a copy would have."""
    fine = int.from_bytes(look.hash256, "little") ^ sum({1 << chance.randrange(256) for _ in range(10)})
    coarse = int.from_bytes(look.hash64, "little") ^ (1 << chance.randrange(64))
    digest = chance.randbytes(32).hex()
    return Look(
        look.width, look.height, digest, digest[::-1], coarse.to_bytes(8, "little"), fine.to_bytes(32, "little")
    )


def make_question(chance: random.Random, templates: Sequence[str]) -> str:
    """A template with its gaps filled, and one in ten a short one."""
    if chance.random() < 0.1:
        return chance.choice(["What is the value of x?", "Find the area.", "Which is the tallest bar?"])
    return " ".join(word if word else chance.choice(VOCABULARY) for word in chance.choice(templates).split("_"))


def make_templates(chance: random.Random) -> list[str]:
    return [
        "_".join("" if chance.random() < 0.3 else chance.choice(VOCABULARY) for _ in range(chance.randrange(10, 40)))
        for _ in range(2000)
    ]


def make_rows(count: int, copied: Sequence[tuple[str, Look]], templates: Sequence[str]) -> Iterator[Row]:
    chance = random.Random("rows")
    for number in range(count):
        question, look = make_question(chance, templates), make_look(chance)
        if chance.random() < COPIED:
            question, theirs = chance.choice(copied)
            look = near_look(theirs, chance)
        yield Row(str(number), question, [look])


def decontamination(rows: int, benchmark_rows: int) -> dict:
    """
    Compare generated rows with generated benchmarks.

    Args:
        rows (`int`):
            How many training rows, one picture each.
        benchmark_rows (`int`):
            How many benchmark rows in all, in ten benchmarks.
    """
    chance = random.Random("benchmarks")
    templates = make_templates(chance)
    indexes, copied = [], []
    start = time.process_time()
    for number in range(BENCHMARKS):
        made = [(make_question(chance, templates), make_look(chance)) for _ in range(benchmark_rows // BENCHMARKS)]
        copied += made[:: max(1, len(made) // 500)]
        table = [look_row(f"test/{i}", question, [look]) for i, (question, look) in enumerate(made)]
        indexes.append(Index.of(pa.Table.from_pylist(table, SCHEMA), f"benchmark{number}"))
        del made, table
    indexed = time.process_time() - start
    # The rows are made while they are compared: what making them takes is measured first and taken off.
    start = time.process_time()
    for _ in make_rows(rows, copied, templates):
        pass
    making, before = time.process_time() - start, peak_mib()
    start, clock = time.process_time(), time.perf_counter()
    summary = summarise(decontaminate(make_rows(rows, copied, templates), indexes))
    seconds, clock = time.process_time() - start - making, time.perf_counter() - clock - making
    print(
        f"{rows:,} rows against {benchmark_rows:,}: {seconds:.0f} s, by the clock {clock:.0f} s; {summary['actions']}"
    )
    return {
        "rows": rows,
        "benchmark_rows": benchmark_rows,
        "seconds": round(seconds, 1),
        "clock_seconds": round(clock, 1),
        "billion_pairs_per_second": round(rows * benchmark_rows / seconds / 1e9, 2),
        "indexing_seconds": round(indexed, 1),
        "peak_mib": peak_mib(),
        "peak_mib_before": before,
        "dropped": summary["actions"]["drop"],
        "marked": summary["actions"]["mark"],
    }


def hashing(pictures: int) -> dict:
    """
    Look at generated photographs of 60 KB as JPEG, in one process.

    Args:
        pictures (`int`):
            How many looks; fifty different pictures take turns.
    """
    chance = random.Random("photographs")
    files = [as_jpeg(photograph(chance), 75) for _ in range(min(pictures, 50))]
    look_at(files[0])
    start, clock = time.process_time(), time.perf_counter()
    for number in range(pictures):
        look_at(files[number % len(files)])
    seconds, clock = time.process_time() - start, time.perf_counter() - clock
    size = sum(map(len, files)) / len(files)
    print(
        f"{pictures / seconds:.0f} pictures of {size / 1000:.0f} KB a second and core, by the clock {pictures / clock:.0f}"
    )
    return {
        "pictures": pictures,
        "kilobytes": round(size / 1000, 1),
        "per_second": round(pictures / seconds),
        "per_second_clock": round(pictures / clock),
    }


def near(pictures: int) -> dict:
    """
    Share of copies that are found as `near_picture` or `same_picture`, and of other pictures of the same kind that are.

    Args:
        pictures (`int`):
            How many of each kind. All pairs of them are compared; a quarter of them are copied in every way.
    """
    figures: dict = {"found": {}, "confused_pairs": {}, "rows_with_a_confused_pair": {}}
    print(f"| kind | {' | '.join(COPIES)} | other pairs |")
    for kind, draw in KINDS.items():
        chance = random.Random(kind)
        drawn = [draw(chance) for _ in range(pictures)]
        looks = {look.pixels: look for look in (look_at(as_png(picture)) for picture in drawn)}
        index = Index.of(
            pa.Table.from_pylist([look_row(name, "", [look]) for name, look in looks.items()], SCHEMA), kind
        )
        found = {}
        for name, copy in COPIES.items():
            copies = [
                Row(str(i), "", [look_at(copy(picture, chance))]) for i, picture in enumerate(drawn[: pictures // 4])
            ]
            found[name] = sum(verdict.action == "drop" for verdict in decontaminate(copies, [index])) / len(copies)
        distances, confused = confused_pairs(list(looks.values()))
        pairs = len(looks) * (len(looks) - 1) // 2
        figures["found"][kind] = {name: round(share, 3) for name, share in found.items()}
        figures["confused_pairs"][kind] = round(distances / pairs, 7)
        figures["rows_with_a_confused_pair"][kind] = round(confused / len(looks), 4)
        shares = " | ".join(f"{share:.2f}" for share in found.values())
        print(f"| {kind} | {shares} | {distances} of {pairs:,} |", flush=True)
    return figures


def confused_pairs(looks: Sequence[Look]) -> tuple[int, int]:
    """Pairs of different pictures that are near by the defaults, and the pictures that are in one."""
    options = Decontamination()
    coarse = np.array([np.frombuffer(look.hash64, "<u8")[0] for look in looks])
    fine = np.array([np.frombuffer(look.hash256, "<u8") for look in looks])
    shape = np.log([look.width / look.height for look in looks])
    set_bits = np.bitwise_count(fine).sum(axis=1).astype(int)
    count, rows = 0, 0
    for i in range(len(looks)):
        close = np.bitwise_count(coarse ^ coarse[i]) <= options.near_distance
        ones = np.minimum(128, np.maximum(set_bits, set_bits[i]))
        close &= np.bitwise_count(fine ^ fine[i]).sum(axis=1) * 128 <= options.near_distance_fine * ones
        close &= np.abs(shape - shape[i]) <= np.log(options.near_shape)
        count += int(close[i + 1 :].sum())
        rows += int(close.sum()) > 1
    return count, rows


def peak_mib() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (1024 * 1024 if sys.platform == "darwin" else 1024)


PARTS = {
    "decontamination": (lambda: decontamination(200_000, 100_000), lambda: decontamination(2000, 1000)),
    "hashing": (lambda: hashing(1000), lambda: hashing(20)),
    "near": (lambda: near(1000), lambda: near(20)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=PARTS, required=True)
    parser.add_argument("--tiny", action="store_true", help="seconds instead of minutes, to see that it runs")
    options = parser.parse_args()
    full, tiny = PARTS[options.part]
    # One core, also for what libraries would spread over several.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    print(json.dumps({"part": options.part, **(tiny if options.tiny else full)()}))


if __name__ == "__main__":
    main()
