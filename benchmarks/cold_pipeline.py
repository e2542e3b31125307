"""
Gather, filter, select and shards on generated rows, each in a process of its own; `benchmarks/cold.py --part pipeline` runs it.

Next to the shard step, in the same run: copying its finished files, and writing the same rows as `Dataset.push_to_hub` does.
All three are timed as they are used, with files in the page cache as far as it goes. Ours and the copy end in an fsync of
every file; `push_to_hub` is spared that, the hashing that ours does, and building the dataset that it starts from.
"""

import json
import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from cold_rows import write_rows

from open_vr1.cold.arguments import ColdArguments
from open_vr1.cold.filter import filter_rows
from open_vr1.cold.filter.rules import make_rules
from open_vr1.cold.gather import gather
from open_vr1.cold.select import select
from open_vr1.cold.shards import Shards
from open_vr1.cold.store import RowStore

# As a recipe for 200,000 rows has it with its 48 files.
ROWS_OF_A_FILE = 4000
GATHER, FILTER, SELECT, SHARDS = ("gather", "filter", "select", "shards")


def pipeline(sizes: list[int], repeats: int) -> dict[str, Any]:
    """
    Every step at every size.

    Args:
        sizes (`list[int]`):
            Numbers of rows.
        repeats (`int`):
            How often the shard step and what it is compared with are run, in turn; the fastest of each counts.
    """
    figures = {}
    for rows in sizes:
        # Not in /tmp, which may be memory.
        with tempfile.TemporaryDirectory(prefix="bench-", dir=os.environ.get("BENCH_DIR", ".")) as folder:
            figures[str(rows)] = measure(Path(folder), rows, repeats)
            print(f"{rows:,} rows: {json.dumps(figures[str(rows)])}", flush=True)
    first, last = figures[str(sizes[0])], figures[str(sizes[-1])]
    names = [key for key in first if key.endswith("peak_mib")]
    return {"sizes": figures, "peak_ratios": {name: round(last[name] / first[name], 2) for name in names}}


def measure(folder: Path, rows: int, repeats: int) -> dict[str, Any]:
    shards = max(2, rows // ROWS_OF_A_FILE)
    in_child(write_rows, folder / "source", rows)
    gathered = in_child(run_gather, folder)
    # The disk has to hold the pictures three times as it is.
    shutil.rmtree(folder / "source")
    filtered = in_child(run_filter, folder)
    selected = in_child(run_select, folder, shards)
    for step, done in ((GATHER, gathered), (FILTER, filtered), (SELECT, selected)):
        told(step, done)
    compared: dict[str, list[dict[str, Any]]] = {SHARDS: [], "copy": [], "push_to_hub": []}
    for repeat in range(repeats):
        shutil.rmtree(folder / SHARDS, ignore_errors=True)
        for name, side in ((SHARDS, run_shards), ("copy", run_copy), ("push_to_hub", run_push_to_hub)):
            compared[name].append(in_child(side, folder, shards))
            told(name, compared[name][-1])
    ours, copy, theirs = (min(runs, key=lambda run: run["seconds"]) for runs in compared.values())
    kept, size = selected["rows"], copy["bytes"]
    return {
        "gather_rows_per_s": round(rows / gathered["seconds"]),
        "gather_pictures_per_s_and_core": round(gathered["pictures"] / gathered["cpu_seconds"]),
        "gather_peak_mib": gathered["peak_mib"],
        "filter_rows_per_s": round(gathered["rows"] / filtered["seconds"]),
        "filter_rows_per_cpu_s": round(gathered["rows"] / filtered["cpu_seconds"]),
        "filter_kept": filtered["kept"],
        "filter_rejected": filtered["rejected"],
        "filter_peak_mib": filtered["peak_mib"],
        "select_seconds": round(selected["seconds"], 2),
        "select_peak_mib": selected["peak_mib"],
        "shards": shards,
        "shards_gb": round(size / 1e9, 2),
        "shards_rows_per_s": round(kept / ours["seconds"]),
        "shards_mb_per_s": round(size / ours["seconds"] / 1e6),
        "shards_cpu_seconds": round(ours["cpu_seconds"], 1),
        "shards_peak_mib": ours["peak_mib"],
        "copy_mb_per_s": round(size / copy["seconds"] / 1e6),
        "shards_vs_copy": round(copy["seconds"] / ours["seconds"], 2),
        "push_to_hub_rows_per_s": round(kept / theirs["seconds"]),
        "push_to_hub_peak_mib": theirs["peak_mib"],
        "shards_vs_push_to_hub": round(theirs["seconds"] / ours["seconds"], 2),
        "shards_s": [round(run["seconds"], 2) for run in compared[SHARDS]],
        "copy_s": [round(run["seconds"], 2) for run in compared["copy"]],
        "push_to_hub_s": [round(run["seconds"], 2) for run in compared["push_to_hub"]],
    }


def told(name: str, done: dict[str, Any]) -> None:
    print(
        f"  {name}: {done['seconds']:.1f} s, {done['cpu_seconds']:.1f} s of processor, {done['peak_mib']} MiB",
        flush=True,
    )


# ----- A step in a process of its own


def in_child(function: Callable, *arguments: Any) -> Any:
    """What a function returns in a new process. A forked one would begin with this one's memory, and its peak."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


class Timed:
    """Seconds by the clock and of the processor since it was made, and the highest memory of the process."""

    def __init__(self) -> None:
        self._clock, self._cpu = time.perf_counter(), time.process_time()

    def done(self, **counted: Any) -> dict[str, Any]:
        seconds, cpu = time.perf_counter() - self._clock, time.process_time() - self._cpu
        return {"seconds": seconds, "cpu_seconds": cpu, "peak_mib": peak_mib(), **counted}


def peak_mib() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (1024 * 1024 if sys.platform == "darwin" else 1024)


def arguments(folder: Path, shards: int = 1) -> ColdArguments:
    sources = [{"name": "bench", "path": str(folder / "source"), "license": "apache-2.0"}]
    return ColdArguments(task="cold", output_dir=str(folder), sources=sources, rl={"rows": 10}, shards=shards)


def run_gather(folder: Path) -> dict[str, Any]:
    (folder / GATHER).mkdir()
    args, timed = arguments(folder), Timed()
    counts = gather(args, folder / GATHER, "bench", lambda *_: None)
    return timed.done(rows=counts["rows"], pictures=counts["rows"])


def run_filter(folder: Path) -> dict[str, Any]:
    (folder / FILTER).mkdir()
    rules, timed = make_rules(None, None, "bench"), Timed()
    counts = filter_rows(RowStore(folder / GATHER).read(), None, {}, rules, folder / FILTER, lambda *_: None)
    rejected = {rule: count for rule, count in counts["rejected"].items() if count}
    return timed.done(kept=counts["kept"], rejected=rejected)


def run_select(folder: Path, shards: int) -> dict[str, Any]:
    (folder / SELECT).mkdir()
    args, timed = arguments(folder, shards), Timed()
    counts = select(args, folder / FILTER / "kept.parquet", RowStore(folder / GATHER), folder / SELECT, "bench")
    return timed.done(rows=counts["default"])


def run_shards(folder: Path, shards: int) -> dict[str, Any]:
    (folder / SHARDS).mkdir()
    about = {"recipe": "bench", "vision": None, "reasoner": None, "prompts": [], "reasoner_saw_answer": None}
    kept, places = folder / FILTER / "kept.parquet", folder / SELECT / "places.npz"
    timed = Timed()
    Shards(folder / SHARDS, RowStore(folder / GATHER), kept, places, {}, about, shards).write(lambda *_: None)
    return timed.done()


# ----- What the shard step is compared with


def shard_files(folder: Path) -> list[Path]:
    return sorted((folder / SHARDS).rglob("*.parquet"))


def run_copy(folder: Path, shards: int) -> dict[str, Any]:
    """How fast this disk takes the same bytes."""
    (folder / "copy").mkdir()
    timed, size = Timed(), 0
    for path in shard_files(folder):
        with path.open("rb") as source, (folder / "copy" / path.name).open("wb") as target:
            shutil.copyfileobj(source, target)
            target.flush()
            os.fsync(target.fileno())
            size += target.tell()
    done = timed.done(bytes=size)
    shutil.rmtree(folder / "copy")
    return done


def run_push_to_hub(folder: Path, shards: int) -> dict[str, Any]:
    """The lines of `Dataset._push_parquet_shards_to_hub_single` up to the upload, on the same rows in a shuffled order."""
    from datasets import disable_caching, disable_progress_bars, load_dataset
    from datasets.arrow_writer import get_writer_batch_size_from_data_size
    from datasets.table import embed_table_storage

    disable_caching()
    disable_progress_bars()
    cache = folder / "cache"
    files = [str(path) for path in shard_files(folder) if path.parent.name == "data"]
    dataset = load_dataset("parquet", data_files=files, split="train", cache_dir=str(cache)).shuffle(seed=0)
    written = folder / "pushed.parquet"
    timed = Timed()
    batch_size = get_writer_batch_size_from_data_size(len(dataset), dataset._estimate_nbytes())
    for number in range(shards):
        shard = dataset.shard(num_shards=shards, index=number, contiguous=True).with_format("arrow")
        shard = shard.map(embed_table_storage, batched=True, batch_size=batch_size, keep_in_memory=True)
        shard.with_format(None).to_parquet(written, batch_size=batch_size)
        written.unlink()
    done = timed.done()
    shutil.rmtree(cache)
    return done
