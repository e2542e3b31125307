"""Evaluation results: the card's table, its `model-index` and `.eval_results` are the same figures, or none of them is written."""

import copy
import json
import re
from pathlib import Path

import pytest
import yaml
from huggingface_hub import EvalResultEntry, ModelCard, ModelCardData, parse_eval_result_entries
from huggingface_hub.repocard_data import model_index_to_eval_results

from open_vr1.errors import UserError
from open_vr1.hub.model_card import Place, write_model_card
from open_vr1.hub.results import eval_result_files, model_index, read_results, table_rows
from tests.hub import checkpoints


def write(folder: Path, content: dict) -> Path:
    path = folder / "results.json"
    path.write_text(json.dumps(content))
    return path


def changed(**of_first) -> dict:
    content = copy.deepcopy(checkpoints.RESULTS)
    content["benchmarks"][0] |= of_first
    return content


def test_table_model_index_and_files_say_the_same(tmp_path):
    """Read back from the card as it is written, and with the Hub's own parsers."""
    folder = tmp_path / "final"
    folder.mkdir()
    place = Place("open-vr1/small", "main", 40, 40)
    write_model_card(folder, checkpoints.manifest(), place, write(tmp_path, checkpoints.RESULTS))
    card = ModelCard.load(folder / "README.md")
    table = dict(
        re.findall(r"^\| (?:\[)?([\w ]+?)(?:\]\S+)? \| \w* \| accuracy \| ([\d.]+) \|", card.text, re.MULTILINE)
    )
    index = {result.dataset_name: str(result.metric_value) for result in card.data.eval_results}
    assert table == index == {"MathVista": "0.6812", "world test": "0.7594"}
    (file,) = (folder / ".eval_results").iterdir()
    (entry,) = parse_eval_result_entries(yaml.safe_load(file.read_text()))
    assert str(entry.value) == table["MathVista"]


def test_the_hubs_parsers_read_the_model_index(tmp_path):
    benchmarks = read_results(write(tmp_path, checkpoints.RESULTS))
    name, results = model_index_to_eval_results(model_index(benchmarks, "small"))
    assert name == "small" and [result.metric_type for result in results] == ["accuracy", "accuracy"]
    assert results[0].dataset_type == "AI4Math/MathVista" and results[0].dataset_split == "testmini"
    again = ModelCardData(**{"model-index": model_index(benchmarks, "small")})
    assert again.to_dict()["model-index"] == model_index(benchmarks, "small")


def test_only_rows_on_the_hub_become_eval_results(tmp_path):
    files = eval_result_files(read_results(write(tmp_path, checkpoints.RESULTS)))
    assert list(files) == [".eval_results/mathvista.yaml"]
    (entry,) = parse_eval_result_entries(yaml.safe_load(files[".eval_results/mathvista.yaml"]))
    assert isinstance(entry, EvalResultEntry) and entry.dataset_id == "AI4Math/MathVista"
    assert entry.dataset_revision == checkpoints.RESULTS["benchmarks"][0]["dataset_revision"]
    for said in ("0.6522 to 0.7091", "temperature 0.0", "12 pictures are training rows too"):
        assert said in entry.notes


def test_the_table_has_protocol_interval_and_contamination(tmp_path):
    first, second = table_rows(read_results(write(tmp_path, checkpoints.RESULTS)))
    assert first["interval"] == "0.6522 to 0.7091" and first["contamination"].startswith("12 pictures")
    assert first["asked"].startswith("temperature 0.0, top p 1.0, max completion length 8192")
    assert second["interval"] == "" and second["contamination"] == "not checked"


def test_a_cell_cannot_break_the_table(tmp_path):
    (first, _) = table_rows(read_results(write(tmp_path, changed(contamination="a | b\nc"))))
    assert first["contamination"] == "a \\| b c"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"accuracy": 0.5}, "benchmarks: None is no list"),
        (changed(value="high"), "benchmarks[0].value: 'high'"),
        (changed(value=True), "benchmarks[0].value: True"),
        (changed(ci95=[0.1]), "ci95 [0.1]"),
        (changed(n=1.5), "benchmarks[0].n: 1.5"),
        (changed(name="world test"), "world test is there twice"),
        (changed(protocol={"grey_images": True}), "a control"),
    ],
)
def test_wrong_results_are_refused_with_file_and_key(tmp_path, content, says):
    path = write(tmp_path, content)
    with pytest.raises(UserError) as refused:
        read_results(path)
    assert str(path) in str(refused.value) and says in str(refused.value) and "\n" not in str(refused.value)


def test_a_missing_key_is_named(tmp_path):
    content = changed()
    del content["benchmarks"][0]["contamination"]
    with pytest.raises(UserError, match=r"benchmarks\[0\]\.contamination: missing"):
        read_results(write(tmp_path, content))
