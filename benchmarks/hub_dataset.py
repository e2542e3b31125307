"""
A dataset of pictures published to a local Hub by `make push-cold`'s own code, each time in a process of its own and to a Hub
that is empty; `benchmarks/hub.py` runs it.

Next to it, in the same run: copying the same files with an fsync of each, and `Dataset.push_to_hub` of the same rows into as
many files. What is timed of push-cold is the whole command: reading and hashing every file, sending, comparing, tagging.
`push_to_hub` is spared the loading of the dataset that it starts from. The Hub runs on the same machine and takes its share.
"""

import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from cold_pipeline import Timed, in_child, peak_mib
from cold_rows import write_rows

from open_vr1.cold.shards import GROUP, SCHEMAS, write_options

PICTURE_BYTES = 60_000
ROWS_OF_A_FILE = 4000
REPO = "open-vr1/bench"
SIDES = ("copy", "push_cold", "push_to_hub")


def dataset(gb: float, repeats: int, tiny: bool = False) -> dict[str, Any]:
    """
    Publish in every way.

    Args:
        gb (`float`):
            Size of the dataset.
        repeats (`int`):
            How often each side is run, in turn; the fastest counts.
        tiny (`bool`, *optional*, defaults to `False`):
            A few rows, once, on one of the two paths.
    """
    gb, repeats, paths = (0.012, 1, ["xet"]) if tiny else (gb, repeats, ["xet", "lfs"])
    # Not in /tmp, which may be memory.
    with tempfile.TemporaryDirectory(prefix="bench-", dir=os.environ.get("BENCH_DIR", ".")) as name:
        folder = Path(name).absolute()
        made = in_child(make_dataset, folder, int(gb * 1e9 / PICTURE_BYTES))
        return {**made, "repeats": repeats, **{path: measure(folder, made, path, repeats) for path in paths}}


def measure(folder: Path, made: dict[str, Any], path: str, repeats: int) -> dict[str, Any]:
    runs: dict[str, list[dict[str, Any]]] = {side: [] for side in SIDES}
    for _ in range(repeats):
        for side, function in zip(SIDES, (run_copy, run_push_cold, run_push_to_hub)):
            with empty_hub(folder, path):
                runs[side].append(in_child(function, folder, made["files"]))
            print(f"{path} {side}: {json.dumps(runs[side][-1])}", flush=True)
    best = {side: min(done, key=lambda run: run["seconds"]) for side, done in runs.items()}
    copy, ours, theirs = (best[side] for side in SIDES)
    return {
        **{f"{side}_mb_per_s": round(made["bytes"] / run["seconds"] / 1e6) for side, run in best.items()},
        "push_cold_vs_copy": round(copy["seconds"] / ours["seconds"], 2),
        "push_cold_vs_push_to_hub": round(theirs["seconds"] / ours["seconds"], 2),
        **{f"{side}_peak_mib": run["peak_mib"] for side, run in best.items()},
        **{f"{side}_peak_mib_before": run["peak_mib_before"] for side, run in best.items()},
        "push_cold_again_s": round(ours["again_seconds"], 2),
        **{f"{side}_s": [round(run["seconds"], 2) for run in done] for side, done in runs.items()},
    }


# ----- The dataset


def make_dataset(folder: Path, rows: int) -> dict[str, Any]:
    """The folder of a small real run, with large files in place of its own."""
    from open_vr1.cold.run import ColdRun
    from open_vr1.recipe import read_recipe

    write_rows(folder / "source", 60)
    sources = [{"name": "bench", "path": str(folder / "source"), "license": "apache-2.0"}]
    recipe = {
        "task": "cold",
        "output_dir": str(folder / "cold"),
        "sources": sources,
        "license": "apache-2.0",
        "shards": 1,
    }
    (folder / "cold.yaml").write_text(yaml.safe_dump(recipe))
    ColdRun(read_recipe(folder / "cold.yaml", "cold")).run()
    small = pq.read_table(folder / "cold" / "data")
    shutil.rmtree(folder / "cold" / "data")
    (folder / "cold" / "data").mkdir()
    files = [write_file(folder / "cold", small, *part) for part in parts_of(rows)]
    build = folder / "cold" / "_build"
    facts = json.loads((build / "facts.json").read_text())
    facts["steps"]["shards"]["files"] = files
    size = sum(file["bytes"] for file in files)
    facts["sizes"] = {"default": {"rows": rows, "bytes": size, "files": len(files)}}
    (build / "facts.json").write_text(json.dumps(facts))
    (build / "manifest.json").write_text(json.dumps({"made_from": "bench", "files": files}))
    return {"rows": rows, "files": len(files), "bytes": size}


def parts_of(rows: int) -> Iterator[tuple[str, int]]:
    """Names of files with the number of their rows."""
    count = -(-rows // ROWS_OF_A_FILE)
    for number in range(count):
        yield f"data/train-{number:05d}-of-{count:05d}.parquet", min(ROWS_OF_A_FILE, rows - number * ROWS_OF_A_FILE)


def write_file(folder: Path, small: pa.Table, name: str, rows: int) -> dict[str, Any]:
    """Text of real rows beside pictures of which no two bytes are guessable: nothing is found twice."""
    schema, chance = SCHEMAS["default"], np.random.default_rng(list(name.encode()))
    with pq.ParquetWriter(folder / name, schema, **write_options(schema)) as writer:
        for start in range(0, rows, GROUP):
            count = min(GROUP, rows - start)
            group = small.take(pa.array(chance.integers(len(small), size=count)))
            pictures = [{"bytes": chance.bytes(PICTURE_BYTES), "path": f"{start + i}.jpg"} for i in range(count)]
            images = pa.array([[picture] for picture in pictures], schema.field("images").type)
            writer.write_table(
                group.set_column(group.schema.get_field_index("images"), schema.field("images"), images)
            )
    with (folder / name).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {"path": name, "rows": rows, "bytes": file.tell(), "sha256": digest}


# ----- The sides


@contextmanager
def empty_hub(folder: Path, path: str) -> Iterator[None]:
    """A Hub in this process, which does nothing else; the environment of the next child leads to it."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.hub_server.server import local_hub

    with local_hub(folder / "hub") as hub:
        os.environ.pop("HF_HUB_DISABLE_XET", None)
        os.environ.update(hub.environment(folder / "home", xet=path == "xet"))
        yield
    shutil.rmtree(folder / "hub")
    shutil.rmtree(folder / "home", ignore_errors=True)


def run_copy(folder: Path, files: int) -> dict[str, Any]:
    (folder / "copy").mkdir()
    before, timed = peak_mib(), Timed()
    for path in sorted((folder / "cold" / "data").iterdir()):
        with path.open("rb") as source, (folder / "copy" / path.name).open("wb") as target:
            shutil.copyfileobj(source, target)
            target.flush()
            os.fsync(target.fileno())
    done = timed.done(peak_mib_before=before)
    shutil.rmtree(folder / "copy")
    return done


def run_push_cold(folder: Path, files: int) -> dict[str, Any]:
    from open_vr1.hub import dataset_push  # noqa: F401  What is imported is not timed.
    from open_vr1.hub.dataset import main

    before, timed = peak_mib(), Timed()
    check_code(main([str(folder / "cold"), REPO]))
    done, timed = timed.done(peak_mib_before=before), Timed()
    check_code(main([str(folder / "cold"), REPO]))
    return {**done, "again_seconds": timed.done()["seconds"]}


def check_code(code: int) -> None:
    if code:
        raise RuntimeError(f"push-cold ended with {code}")


def run_push_to_hub(folder: Path, files: int) -> dict[str, Any]:
    from datasets import disable_progress_bars, load_dataset

    disable_progress_bars()
    shards = [str(path) for path in sorted((folder / "cold" / "data").iterdir())]
    rows = load_dataset("parquet", data_files=shards, split="train", cache_dir=str(folder / "cache"))
    before, timed = peak_mib(), Timed()
    rows.push_to_hub(REPO, private=True, num_shards=files)
    done = timed.done(peak_mib_before=before)
    shutil.rmtree(folder / "cache")
    return done
