"""
`benchmarks/gpu.py` where there is no GPU: refused at full size, and the same program with the tiny model; and the cold data's
pipeline and its publishing in small.
"""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

PROGRAM = Path("benchmarks/gpu.py")
TINY = [sys.executable, PROGRAM, "--tiny", "--prompts", "1", "--steps", "2", "--only", "grpo/16x8/ours"]
WITHOUT_GPU = {"CUDA_VISIBLE_DEVICES": ""}


@pytest.fixture(scope="module")
def gpu():
    spec = importlib.util.spec_from_file_location("gpu", PROGRAM)
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    return program


def test_the_full_size_is_refused_without_a_gpu(run_watched, tmp_path):
    done = run_watched([sys.executable, PROGRAM, "--results", tmp_path / "gpu.json"], env=WITHOUT_GPU)
    assert done.returncode == 2 and done.stdout == "" and not list(tmp_path.glob("*.json"))
    assert len(done.stderr.splitlines()) == 1 and "needs a CUDA GPU of 141 GB" in done.stderr


def test_a_tiny_case_is_measured_beside_its_plan(run_watched, tmp_path):
    done = run_watched([*TINY, "--results", tmp_path / "gpu.json"], env=WITHOUT_GPU)
    assert done.returncode == 0, done.stderr
    [case] = json.loads(done.stdout.splitlines()[-1])["cases"]
    assert case["name"] == "tiny/grpo/16x8/ours" and "failed" not in case
    assert case["planned_gib"] > 0 and case["peak_gib"] > 0 and case["planned_vs_measured"] is None
    # Eight completions of exactly 16 tokens on prompts of exactly 64.
    assert case["tokens_per_s"] * case["step_s"] == pytest.approx(8 * (64 + 16), rel=0.01)
    assert case["completion_tokens_per_s"] * case["step_s"] == pytest.approx(8 * 16, rel=0.01)


def test_a_case_that_did_not_fit_is_a_result_and_another_failure_is_tried_again(gpu, tmp_path, monkeypatch, capsys):
    cases = gpu.all_cases(tiny=True)[:4]
    asked = []

    def run_case(case, folder, limit):
        asked.append(gpu.name_of(case))
        if case["side"] == "trl":
            return {"failed": gpu.OUT_OF_MEMORY if case["liger"] else "ended with 1"}
        return {"step_s": 2.0, "tokens_per_s": 3.0, "peak_gib": 4.0, "planned_vs_measured": 0.9}

    monkeypatch.setattr(gpu, "run_case", run_case)
    gpu.run_all(cases, tmp_path, tmp_path / "kept" / "gpu.json", 1)
    results = gpu.run_all(cases, tmp_path, tmp_path / "kept" / "gpu.json", 1)
    assert asked == [*map(gpu.name_of, cases), "tiny/grpo/16x8/trl"]
    row = capsys.readouterr().out.splitlines()[-1]
    assert "| ended with 1 | 2.0 s, 3 tokens/s, 4.0 GiB | out of memory |" in row and "0.90 to 0.90" in row
    assert gpu.summary(cases, results)["speedup_vs_trl"] == {"tiny/grpo/16x8": None, "tiny/grpo/16x8/liger": None}


def test_the_docs_have_a_row_for_every_setting(gpu):
    page = Path("docs/plan.md").read_text()
    assert "\n".join(gpu.table_head()) in page
    for case in gpu.all_cases():
        model, task, tokens = gpu.setting_of(case).split("/")
        assert f"| {model} | {task.upper()} | {tokens.replace('x', ' x ')} |" in page


def test_both_sides_learn_the_same(gpu, tmp_path):
    cases = [case for case in gpu.all_cases() if case["model"] == "7b" and not case["liger"]]
    by_setting = {}
    for case in cases:
        values = gpu.recipe_values({**case, "vllm": True}, tmp_path, tmp_path, [0], on_gpu=True)
        by_setting.setdefault(gpu.setting_of(case), []).append(values)
    for theirs, ours in by_setting.values():
        differing = {key for key in {*ours, *theirs} if ours.get(key) != theirs.get(key)}
        assert differing <= {*gpu.HOW, "ptst_stages", "max_completion_length", "num_generations", "max_steps"}


def test_the_pipeline_of_cold_data_is_measured(run_watched, tmp_path):
    command = [sys.executable, "benchmarks/cold.py", "--part", "pipeline", "--tiny"]
    done = run_watched(command, env={"BENCH_DIR": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert list(figures["sizes"]) == ["60"] and not list(tmp_path.glob("bench-*"))
    for rows, measured in figures["sizes"].items():
        assert measured["filter_kept"] + sum(measured["filter_rejected"].values()) == int(rows)
        assert all(measured[key] > 0 for key in measured if key.endswith(("per_s", "peak_mib", "_vs_copy", "_to_hub")))
    assert set(figures["peak_ratios"]) == {
        f"{step}_peak_mib" for step in ("gather", "filter", "select", "shards", "push_to_hub")
    }


def test_publishing_a_dataset_is_measured(run_watched, tmp_path):
    done = run_watched([sys.executable, "benchmarks/hub.py", "--tiny"], env={"BENCH_DIR": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["part"] == "dataset" and figures["rows"] == 200 and not list(tmp_path.glob("bench-*"))
    measured = figures["xet"]
    assert all(measured[key] > 0 for key in measured if key.endswith(("per_s", "peak_mib", "_vs_copy", "_to_hub")))
    assert 0 < measured["push_cold_again_s"] and all(len(measured[f"{side}_s"]) == 1 for side in ("copy", "push_cold"))


def test_an_evaluation_is_measured_beside_the_bare_harness(run_watched):
    small = ["--questions", "8", "--tokens", "4", "--batch", "4", "--turns", "1"]
    done = run_watched([sys.executable, "benchmarks/evaluate.py", *small])
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert set(figures["overhead"]["ms_a_sample"]) == set(figures["overhead"]["s_a_run"]) == {"bare", "ours", "theirs"}
    assert all(rate > 0 for rate in figures["scoring"].values())
    # Every answer that should be right is, or its rate would be that of something else.
    assert done.stdout.count("1000 of 1000 right") == 3 and done.stdout.count("0 of 1000 right") == 5
