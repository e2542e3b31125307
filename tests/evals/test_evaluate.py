"""`make evaluate` on the real harness: what it reports is what was answered, whatever happens on the way."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from open_vr1.evals.records import SCHEMA, read_samples
from open_vr1.evaluate import main
from open_vr1.hub.results import read_results
from open_vr1.manifest import read_manifest
from tests.evals.model_server import said, serve

ROOT = Path(__file__).parents[2]


def evaluate(path, *words):
    return main(["--config", path, *words])


def results():
    return json.loads(Path("out/results.json").read_text())


def test_the_accuracy_is_that_of_an_independent_scorer(rows, write_recipe, capsys):
    with serve(rows) as server:
        assert evaluate(write_recipe(server.url, samples=3)) == 0
    samples = read_samples("out")
    by_id = {row["id"]: row for row in rows}
    worth = [said(by_id[sample["id"]], sample["seed"])[1] for sample in samples]
    assert [sample["score"] for sample in samples] == worth
    assert results()["accuracy"] == pytest.approx(sum(worth) / len(worth))
    assert 0 < sum(worth) < len(worth) == 3 * len(rows)
    low, high = results()["ci95"]
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == f"accuracy {results()['accuracy']:.3f} (95% interval {low:.3f} to {high:.3f})"


def test_the_log_has_every_answer_as_it_was_written(rows, world, write_recipe):
    with serve(rows) as server:
        assert evaluate(write_recipe(server.url, samples=2)) == 0
    assert pq.read_schema("out/samples/toy.parquet").equals(SCHEMA, check_metadata=False)
    samples = read_samples("out")
    assert [(sample["row"], sample["sample"]) for sample in samples] == [
        (i, k) for i in range(len(rows)) for k in (0, 1)
    ]
    assert len({sample["seed"] for sample in samples}) == len(samples)
    stored = pq.read_table(world).to_pylist()
    for sample in samples:
        row = rows[sample["row"]]
        text, _, cut_off = said(row, sample["seed"])
        assert (sample["completion"], sample["clipped"], sample["tokens"]) == (text, cut_off, len(text.split()))
        assert (sample["id"], sample["question"], sample["gold"]) == (row["id"], row["question"], row["answer"])
        assert sample["groups"]["kind"] == (row["kind"],)
        (picture,) = sample["pictures"]
        assert (picture["width"], picture["height"]) == row["images"][0].size and len(picture["sha256"]) == 64
        assert len(stored[sample["row"]]["images"]) == 1


def test_the_results_say_how_they_were_made_and_what_could_not_be_read(rows, write_recipe, capsys):
    with serve(rows) as server:
        assert evaluate(write_recipe(server.url, samples=2, seed=9, system_prompt="r1_zero")) == 0
    samples, said_so = read_samples("out"), results()
    protocol = {"temperature": 0.7, "samples": 2, "seed": 9, "prompt": "r1_zero", "max_completion_length": 64}
    rows_of_results = read_results(Path("out/results.json"))
    assert all(protocol.items() <= dict(row.protocol).items() for row in rows_of_results)
    assert [row.metric for row in rows_of_results] == ["accuracy", "count", "compare", "bars", "rectangle"]
    assert sum(row.n for row in rows_of_results[1:]) == rows_of_results[0].n == len(rows)
    reading = said_so["readings"]["toy"]
    unread = [sample for sample in samples if sample["reason"] not in ("correct", "wrong")]
    assert reading["unread"] == len(unread) > 0 and reading["answers"] == len(samples)
    assert sum(bucket["n"] for bucket in reading["by_length"]) == len(samples)
    assert f"{reading['unread']} of {len(samples)} answers could not be read" in capsys.readouterr().out
    assert read_manifest("out")["recipe"]["values"]["seed"] == 9


def test_seeds_belong_to_the_answer_and_not_to_what_else_is_asked(rows, write_recipe):
    with serve(rows) as server:
        assert evaluate(write_recipe(server.url, samples=2)) == 0
        whole = {(sample["id"], sample["sample"]): sample["seed"] for sample in read_samples("out")}
        assert evaluate(write_recipe(server.url, samples=1, max_questions=7, output_dir="part")) == 0
        part = read_samples("part")
        assert len(part) == 7 and all(whole[sample["id"], 0] == sample["seed"] for sample in part)
        assert evaluate(write_recipe(server.url, samples=1, seed=43, max_questions=7, output_dir="other")) == 0
    assert [sample["id"] for sample in read_samples("other")] == [sample["id"] for sample in part]
    assert not {sample["seed"] for sample in read_samples("other")} & {sample["seed"] for sample in part}
    content = json.loads(Path("part/results.json").read_text())
    assert content["benchmarks"][0]["protocol"]["max_questions"] == 7 and content["readings"]["toy"]["of"] == len(rows)


# ----- What goes wrong on the way


def test_a_server_that_dies_costs_only_what_is_missing(rows, write_recipe, capsys):
    with serve(rows, fails=lambda number: (503, "busy") if number > 25 else None) as server:
        assert evaluate(write_recipe(server.url)) == 2
    error = capsys.readouterr().err
    assert "run the same command again" in error and len(error.splitlines()) == 1
    assert not Path("out/results.json").exists()
    with serve(rows) as again:  # At another address, as a server that is started again may be.
        assert evaluate(write_recipe(again.url)) == 0
        assert len(again.asked) == len(rows) - 25
        assert evaluate(write_recipe(again.url)) == 0
        assert len(again.asked) == len(rows) - 25
    assert len(read_samples("out")) == len(rows)


def test_the_manifest_counts_the_starts_of_one_evaluation_and_is_another_ones_after_a_change(rows, write_recipe):
    with serve(rows) as server:
        path = write_recipe(server.url, max_questions=3)
        manifests = []
        for words in ([], [], ["--seed", "5"]):
            assert evaluate(path, *words) == 0
            manifests.append(read_manifest("out"))
    first, again, other = (manifest["run"]["id"] for manifest in manifests)
    assert first == again != other
    assert [manifest["wall_clock"]["starts"] for manifest in manifests] == [1, 2, 1]


def test_what_is_answered_is_not_asked_again(rows, write_recipe, capsys):
    failing = True
    with serve(rows, fails=lambda number: (400, "no") if failing and number % 3 == 0 else None) as server:
        assert evaluate(write_recipe(server.url)) == 2
        error = capsys.readouterr().err
        missing = int(error.split(" of ")[0].rsplit(" ", 1)[1])
        assert 0 < missing < len(rows) and "got no answer" in error
        failing, before = False, len(server.asked)
        assert evaluate(write_recipe(server.url)) == 0
        assert len(server.asked) - before == missing
    assert f"{len(rows) - missing} of {len(rows)} answers are there" in capsys.readouterr().out
    assert results()["n"] == len(rows)


def test_another_setting_is_another_answer(rows, write_recipe):
    with serve(rows) as server:
        for keys in ({}, {"temperature": 0.8}, {"seed": 1}, {"prompt_style": "boxed"}, {"max_completion_length": 65}):
            before = len(server.asked)
            assert evaluate(write_recipe(server.url, **keys)) == 0
            assert len(server.asked) - before == len(rows)
        assert evaluate(write_recipe(server.url)) == 0
        assert len(server.asked) == 5 * len(rows)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"benchmarks": [{"name": "toy", "path": "gone.parquet"}]}, "gone.parquet: there is no such file or folder"),
        (
            {"benchmarks": [{"name": "toy", "path": "text.parquet"}]},
            "the rows of text.parquet, test, cannot be loaded",
        ),
        ({"benchmarks": [{"name": "mine", "path": "other.jsonl"}]}, "there is no column prompt, only words"),
        ({"benchmarks": [{"name": "toy", "path": "other.jsonl"}]}, "the rows of other.jsonl are not as"),
        ({"benchmarks": [{"name": "toy", "path": "empty.jsonl"}]}, "empty.jsonl"),
        ({"engine": "endpoint", "endpoint": {"url": "http://127.0.0.1:9/v1", "model": "m"}}, "endpoint.url: http"),
        ({"engine": "vllm"}, "engine: vllm is not installed here; run make install-gpu"),
        ({"model_name_or_path": "outputs/gone"}, "outputs/gone"),
    ],
)
def test_bad_input_is_one_line_before_anything_is_loaded(keys, words, write_recipe, capsys):
    Path("text.parquet").write_text("no parquet")
    Path("other.jsonl").write_text('{"words": "x"}\n')
    Path("empty.jsonl").write_text("")
    if keys.get("engine") == "vllm" and __import__("importlib.util").util.find_spec("vllm"):
        pytest.skip("vllm is installed here")
    assert evaluate(write_recipe(**keys)) == 2
    error = capsys.readouterr().err.strip()
    assert words in error and len(error.splitlines()) == 1
    assert not Path("out/results.json").exists()


# ----- A model in this process


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """The tiny Qwen2.5-VL with random weights."""
    from open_vr1.toy.model import build

    folder = tmp_path_factory.mktemp("tiny") / "model"
    build(folder, seed=0)
    return folder


def command(*words):
    return [sys.executable, "-m", "open_vr1.evaluate", "--config", "eval.yaml", *words]


def test_a_killed_run_ends_in_the_same_answers(tiny, write_recipe, tmp_path):
    write_recipe(model_name_or_path=str(tiny), batch_size=4, max_completion_length=48, dtype="float32")
    assert evaluate("eval.yaml", "--output_dir", "whole") == 0
    replies, kills = Path("out/replies/00000.jsonl"), 0
    deadline = time.monotonic() + 240
    while not Path("out/results.json").exists():
        assert time.monotonic() < deadline
        there = replies.stat().st_size if replies.exists() else 0
        process = subprocess.Popen(
            command(), stdout=subprocess.DEVNULL, env=os.environ | {"PYTHONPATH": str(ROOT / "src")}
        )
        while process.poll() is None and kills < 2:
            if replies.exists() and replies.stat().st_size > there:
                process.send_signal(signal.SIGKILL)
                kills += 1
                break
            time.sleep(0.005)
        process.wait()
    assert kills == 2
    whole, again = read_samples("whole"), read_samples("out")
    assert whole == again and len({sample["completion"] for sample in whole}) > 1
    keys = [key for line in replies.read_text().splitlines() if line for key, *_ in json.loads(line)]
    assert len(keys) == len(set(keys)) == len(whole)


def test_two_processes_share_the_questions(tiny, rows, write_recipe):
    write_recipe(model_name_or_path=str(tiny), batch_size=8, max_completion_length=4, temperature=0.0, dtype="float32")
    assert evaluate("eval.yaml", "--output_dir", "one") == 0
    config = ROOT / "recipes/accelerate_configs/cpu.yaml"
    done = subprocess.run(
        [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(config), *command()[1:]],
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert read_samples("one") == read_samples("out")
    parts = [len(Path(f"out/replies/0000{i}.jsonl").read_text().splitlines()) for i in (0, 1)]
    assert all(parts)
    assert done.stdout.count("accuracy 0.") == 1


def test_half_a_picture_is_not_taken_for_a_whole_one_in_or_after_an_evaluation():
    code = """
import sys
from PIL import ImageFile
from open_vr1.evals.harness import _quiet
with _quiet():
    import lmms_eval.evaluator
    assert not ImageFile.LOAD_TRUNCATED_IMAGES
assert not ImageFile.LOAD_TRUNCATED_IMAGES and "lmms_eval.api.task" in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
