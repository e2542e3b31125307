"""`make cold` from rows to a dataset: what is in it, what a kill costs, and what is done again when something changes."""

import json
import os
import random
import shutil
import signal
import time
import urllib.request
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from datasets import Image, load_dataset

from open_vr1.cold.run import ColdRun
from open_vr1.data import load_rows
from open_vr1.prompts import format_completion
from open_vr1.recipe_arguments import GRPOArguments, SFTArguments
from open_vr1.rewards.verify import verify
from open_vr1.toy.cold_source import rows_and_faults
from open_vr1.toy.teacher_server import serve
from open_vr1.toy.truth import planted_faults
from tests.cold.small import CONCURRENCY, FAULTS, MISTAKES, dataset_files, recipe, run, start, write_source

ROWS = 120


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    write_source(folder, ROWS)
    return folder


@pytest.fixture(scope="module")
def finished(source) -> ColdRun:
    return run(recipe(source))


@pytest.fixture(scope="module")
def rows(finished, tmp_path_factory) -> list[dict]:
    return _load(finished.folder, "default", tmp_path_factory.mktemp("cache"))


@pytest.fixture
def teacher(source):
    with serve(source / "source", seed=0, mistakes=MISTAKES, latency=0.01) as url:
        yield url


def _load(folder: Path, config: str, cache: Path) -> list[dict]:
    dataset = load_dataset(str(folder), config, split="train", cache_dir=str(cache))
    return list(dataset.cast_column("images", [Image(decode=False)]))


def _log(url: str) -> dict:
    return json.load(urllib.request.urlopen(f"{url}/log"))


def copy_of(source: Path, tmp_path: Path) -> Path:
    """The same source in a folder of its own, under the same names."""
    (tmp_path / "source").symlink_to(source / "source")
    return tmp_path


# ----- The dataset


def test_every_kept_row_ends_in_its_gold_answer(rows):
    assert len(rows) > ROWS // 2
    for row in rows:
        (completion,) = row["completion"]
        (part,) = completion["content"]
        assert part["text"] == format_completion(row["thinking"], row["answer"])
        assert verify(part["text"], row["answer"], row["choices"]).reason == "correct"


def test_no_planted_mistake_is_kept_that_another_rule_did_not_have_to_find(finished, source, rows):
    """What the rules let pass is counted in the report; here, that all other rows are there, each once."""
    truth = {f"toy/{row}": rule for row, rule in planted_faults(source / "source", 0, MISTAKES)}
    kept = Counter(row["id"] for row in rows)
    assert max(kept.values()) == 1
    rejects = {row["id"]: row for row in pq.read_table(finished.build / "filter" / "rejects.parquet").to_pylist()}
    assert not kept.keys() & rejects.keys()
    good = {row for row, rule in truth.items() if rule is None}
    assert len(good - kept.keys()) <= 0.05 * len(good)
    for rule in ("wrong_answer", "format", "truncated", "refusal"):
        planted = {row for row, should in truth.items() if should == rule}
        assert len(planted & kept.keys()) <= 1, rule


def test_pictures_are_the_sources_own_bytes(rows, source):
    own: dict[str, bytes] = {}
    for row in pq.read_table(source / "source" / "rows.parquet").to_pylist():
        own.setdefault(f"toy/{row['id']}", row["images"][0]["bytes"])  # The first of those with the same id.
    assert all(row["images"][0]["bytes"] == own[row["id"]] for row in rows)
    assert all(not os.path.isabs(row["images"][0]["path"]) for row in rows)


def test_faulty_rows_are_rejects_with_their_reason(finished):
    planted = Counter(fault for _, fault in rows_and_faults(0, ROWS, **FAULTS) if fault)
    rejected = finished.counts("gather")["rejected"]
    assert rejected == {
        "duplicate_id": planted["duplicates"],
        "corrupt_picture": planted["corrupt_pictures"],
        "no_answer": planted["no_answer"],
    }
    lines = [json.loads(line) for line in (finished.build / "gather" / "rejects-00000.jsonl").open()]
    assert all(line["id"] and line["evidence"] for line in lines) and len(lines) == sum(rejected.values())


def test_every_row_is_somewhere(finished, rows):
    counts = finished.counts("filter")
    assert counts["kept"] == len(rows)
    assert counts["kept"] + sum(counts["rejected"].values()) == counts["rows"] == finished.counts("gather")["rows"]


def test_the_rows_say_how_they_were_made(rows):
    provenance = rows[0]["provenance"]
    assert (provenance["vision"], provenance["reasoner"]) == ("toy-vision", "toy-reasoner")
    assert [name.partition(":")[0] for name in provenance["prompts"]] == ["pseudo_cot", "description", "reasoning"]
    assert not provenance["reasoner_saw_answer"] and len(provenance["pictures"][0]) == 64
    assert {row["source"] for row in rows} == {f"toy/{kind}" for kind in ("count", "compare", "bars", "rectangle")}


def test_the_files_are_what_the_manifest_says(finished):
    manifest = json.loads((finished.build / "manifest.json").read_text())
    for file in manifest["files"]:
        path = finished.folder / file["path"]
        metadata = pq.read_metadata(path)
        assert (metadata.num_rows, path.stat().st_size) == (file["rows"], file["bytes"])
        assert all(metadata.row_group(i).num_rows <= 100 for i in range(metadata.num_row_groups))
    assert {path.name for path in (finished.folder / "data").iterdir()} == {
        f"train-0000{i}-of-00003.parquet" for i in range(3)
    }


def test_the_rows_train(finished, tmp_path):
    """`make sft` takes the dataset as it is, and `make grpo` its other configuration."""
    trained = load_rows(SFTArguments(task="sft", datasets=[{"path": str(finished.folder)}]))
    text = trained[0]["completion"][0]["content"][0]["text"]
    assert text.startswith("<think> ") and trained[0]["prompt"][0]["content"][0]["type"] == "image"
    mapped = SFTArguments(
        task="sft", datasets=[{"path": str(finished.folder)}], columns={"prompt": "question", "solution": "answer"}
    )
    assert load_rows(mapped)["prompt"][:] == trained["prompt"][:]
    entry = {"path": str(finished.folder), "name": "rl"}
    columns = {"prompt": "question", "solution": "answer"}
    rl = load_rows(GRPOArguments(task="grpo", datasets=[entry], columns=columns, reward_funcs=["hard_format_result"]))
    assert len(rl) == 20 and rl.column_names[:2]


def test_rows_for_reinforcement_learning_can_be_verified(finished, tmp_path):
    rows = _load(finished.folder, "rl", tmp_path)
    assert len(rows) == 20
    assert all(
        verify(format_completion("so", row["answer"]), row["answer"], row["choices"]).score == 1 for row in rows
    )
    assert {row["kind"] for row in rows} <= {"choice", "number"}


def test_the_card_counts_what_is_there(finished, rows):
    card = (finished.folder / "README.md").read_text()
    assert f"| `default` | {len(rows)} | 3 |" in card
    for stage in ("wrong_answer", "no_answer", "near_duplicate"):
        assert f"| {stage} |" in card


# ----- Again


def test_a_second_start_does_nothing(finished, source, capsys):
    before = dataset_files(finished.folder)
    times = {path: path.stat().st_mtime_ns for path in finished.folder.rglob("*.parquet")}
    run(recipe(source))
    assert dataset_files(finished.folder) == before
    assert {path: path.stat().st_mtime_ns for path in finished.folder.rglob("*.parquet")} == times


def test_the_order_of_tasks_changes_nothing(finished, source, tmp_path):
    folder = copy_of(source, tmp_path)
    other = run(recipe(folder, executor={"tasks": 3, "workers": 3}))
    assert _without_recipe(other.folder) == _without_recipe(finished.folder)


def _without_recipe(folder: Path) -> list[dict]:
    tables = [pq.read_table(path) for path in sorted((folder / "data").glob("*.parquet"))]
    rows = [row for table in tables for row in table.to_pylist()]
    return [{**row, "provenance": {**row["provenance"], "recipe": ""}} for row in rows]


def test_another_rule_asks_no_teacher_again(source, tmp_path, teacher):
    path = recipe(copy_of(source, tmp_path), teacher)
    kept = run(path).counts("filter")["kept"]
    asked = sum(_log(teacher)["requests"].values())
    stricter = run(path, "--rule_options", "{length: {min_words: 12}, repetition: {max_sentence_repeats: 7}}")
    assert stricter.counts("filter")["kept"] < kept
    assert sum(_log(teacher)["requests"].values()) == asked


def test_another_prompt_asks_again_and_no_other_request(source, tmp_path, teacher):
    path = recipe(copy_of(source, tmp_path), teacher)
    run(path)
    steps = Counter(_log(teacher)["steps"])
    prompts = tmp_path / "prompts"
    prompts.mkdir()
    ours = Path("src/open_vr1/cold/bridge/prompts/reasoning.txt").read_text()
    (prompts / "reasoning.txt").write_text(ours.replace("Think step by step", "Think very carefully"))
    run(path, "--prompts_dir", str(prompts))
    again = Counter(_log(teacher)["steps"]) - steps
    assert set(again) == {"reason"}


def test_the_passes_run_at_different_times(source, tmp_path, teacher):
    path = recipe(copy_of(source, tmp_path), teacher)
    run(path, "--until", "describe")
    assert not (tmp_path / "cold_data" / "data").exists()
    path.write_text(path.read_text().replace(teacher, "http://127.0.0.1:9/v1", 1))  # The vision model is gone by now.
    assert run(path).counts("filter")["kept"] > 0


def test_several_samples_give_a_pass_rate(source, tmp_path):
    more = run(recipe(copy_of(source, tmp_path), samples=3))
    rows = [row for path in (more.folder / "data").glob("*.parquet") for row in pq.read_table(path).to_pylist()]
    rates = {round(row["provenance"]["pass_rate"], 3) for row in rows}
    assert rates <= {0.333, 0.667, 1.0} and len(rates) > 1
    assert {row["provenance"]["sample"] for row in rows} > {0}


def test_target_rows_takes_the_same_share_of_each_source(source, tmp_path, finished):
    fewer = run(recipe(copy_of(source, tmp_path), target_rows=40))
    counts, all_rows = fewer.counts("select"), finished.counts("select")["default_by_source"]
    assert counts["default"] == 40
    for name, count in counts["default_by_source"].items():
        assert abs(count - 40 * all_rows[name] / sum(all_rows.values())) < 1
    assert counts["rl_also_in_default"] == 0


# ----- Kills


@pytest.mark.soak(sample=1)
@pytest.mark.parametrize("seed", range(10))
def test_a_killed_run_ends_in_the_same_dataset(source, tmp_path, teacher, seed):
    """At random moments, three times: byte for byte the same, and only what was under way is asked for again."""
    folder = copy_of(source, tmp_path)
    path = recipe(folder, teacher)
    undisturbed = dataset_files(run(path).folder)
    before = Counter(_log(teacher)["requests"])
    shutil.rmtree(folder / "cold_data")

    rng, kills = random.Random(seed), 0
    process = start(path)
    while process.poll() is None:
        time.sleep(rng.uniform(1.0, 3.5))
        if process.poll() is None and kills < 3:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            kills += 1
            process = start(path)
    assert process.wait() == 0, process.communicate()[0]
    assert dataset_files(folder / "cold_data") == undisturbed
    asked = Counter(_log(teacher)["requests"]) - before
    assert set(asked) == set(before)
    assert sum(asked.values()) - len(asked) <= kills * CONCURRENCY
