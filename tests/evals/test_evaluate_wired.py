"""An evaluation asks its judge, says what was trained on, and publishes its results where that is asked."""

import json
from pathlib import Path

from huggingface_hub import hf_hub_download

from open_vr1.evals.records import read_samples
from open_vr1.evaluate import main
from tests.evals.model_server import serve
from tests.evals.test_judge import chat, serving


def test_the_judge_stands_beside_the_rules_and_is_asked_once(rows, write_recipe):
    with serve(rows) as server, serving(lambda number, _: (200, chat("INCORRECT"))) as judge:
        recipe = write_recipe(server.url, judge={"url": judge.url, "model": "judge"})
        assert main(["--config", recipe]) == 0
        samples, asked = read_samples("out"), len(judge.asked)
        assert all(sample["judge_score"] == 0.0 for sample in samples) and any(sample["score"] for sample in samples)
        assert main(["--config", recipe]) == 0
        assert read_samples("out") == samples and len(judge.asked) == asked > 0


def test_a_judge_that_is_down_costs_nothing_but_its_verdicts(rows, write_recipe, capsys):
    with serve(rows) as server:
        recipe = write_recipe(server.url, judge={"url": "http://127.0.0.1:9/v1", "model": "judge", "timeout": 1.0})
        assert main(["--config", recipe]) == 0
    assert "answers are not judged" in capsys.readouterr().out
    assert json.loads(Path("out/results.json").read_text())["accuracy"] > 0


def test_results_of_a_model_on_the_hub_reach_its_card(hub, rows, write_recipe, tmp_path):
    hub.api().create_repo("open-vr1/model", private=True)
    with serve(rows) as server:
        assert main(["--config", write_recipe(server.url, push_to_hub=True)]) == 0
    card = Path(hf_hub_download("open-vr1/model", "README.md", cache_dir=tmp_path / "cache")).read_text()
    assert str(round(json.loads(Path("out/results.json").read_text())["accuracy"], 4)) in card


def test_both_scores_are_reported_and_where_they_differ(rows, write_recipe, capsys):
    """A judge that believes whatever has an answer block."""

    def believes(number, body):
        return 200, chat("CORRECT" if number % 2 else "INCORRECT")

    with serve(rows) as server, serving(believes) as judge:
        assert main(["--config", write_recipe(server.url, judge={"url": judge.url, "model": "judge"})]) == 0
    samples, results = read_samples("out"), json.loads(Path("out/results.json").read_text())
    said = results["readings"]["toy"]["judge"]
    assert said["judged"] == len(samples) and said["missing"] == 0
    assert said["accuracy"] == sum(sample["judge_score"] for sample in samples) / len(samples)
    assert said["right_alone"] == sum(sample["judge_score"] > sample["score"] for sample in samples) > 0
    figures = {row["metric"]: row["value"] for row in results["benchmarks"]}
    assert figures["judge_accuracy"] == said["accuracy"] and figures["accuracy"] == results["accuracy"]
    printed = capsys.readouterr().out
    assert f"the judge says {said['accuracy']:.3f}" in printed
    assert printed.splitlines()[-1].startswith(f"accuracy {results['accuracy']:.3f}")
