"""What every benchmark keeps to, so that recipes and the harness find the same thing under its name."""

import importlib.util
from math import isnan
from pathlib import Path

import pytest
import yaml

from open_vr1.evals import registry
from open_vr1.evals.figures import draw
from open_vr1.evals.registry import TASKS

FUNCTIONS = ("doc_to_messages", "doc_to_visual", "doc_to_text", "doc_to_target", "process_results")
PACKAGE = Path(__file__).parents[3] / "src"

every_benchmark = pytest.mark.parametrize("name", registry.names())


def task_file(name: str) -> dict:
    return yaml.load((TASKS / f"{name}.yaml").read_text(), registry._TaskFile)


@every_benchmark
def test_a_benchmark_goes_by_its_file_name_everywhere(name):
    assert registry.benchmark(name).name == name
    assert task_file(name)["task"] == registry.PREFIX + name
    assert registry.benchmark(name).title


@every_benchmark
def test_the_harness_reports_the_headline(name):
    (metric,) = task_file(name)["metric_list"]
    assert metric["metric"] == registry.benchmark(name).headline
    assert metric["aggregation"] == f"{name}.headline"


@every_benchmark
def test_the_functions_that_the_task_file_names_are_there(name):
    module = importlib.import_module(f"open_vr1.evals.tasks.{name}")
    file = task_file(name)
    for function in FUNCTIONS:
        assert file[function] == f"{name}.{function}"
        assert callable(getattr(module, function))
    assert callable(module.headline)


@every_benchmark
def test_the_task_file_says_where_its_rows_are(name):
    asked = registry.resolve(name)
    assert asked.path and asked.split == asked.loaded_from["test_split"] == task_file(name)["test_split"]
    if asked.loaded_from["dataset_path"] in ("parquet", "json", "csv"):
        assert asked.loaded_from["dataset_kwargs"]["data_files"][asked.split] == asked.path
    else:
        assert asked.loaded_from["dataset_path"] == asked.path


@every_benchmark
def test_the_row_format_has_a_source(name):
    schema = registry.benchmark(name).schema
    if schema == "unverified" or schema.startswith("facts: "):
        return
    if schema.startswith("open_vr1/"):
        assert (PACKAGE / schema).is_file()
        return
    harness = importlib.util.find_spec("lmms_eval")
    if harness is None:
        pytest.skip("needs the eval extra")
    assert schema.startswith("lmms_eval/tasks/")
    assert (Path(harness.origin).parents[1] / schema).is_file()


@every_benchmark
def test_every_figure_of_no_questions_is_left_out_and_no_crash(name):
    for figure in registry.benchmark(name).figures.values():
        value, _, families = draw(figure, [[]])
        assert isnan(value) and families == 0


def test_the_harness_finds_every_task():
    if importlib.util.find_spec("lmms_eval") is None:
        pytest.skip("needs the eval extra")
    from lmms_eval.tasks import TaskManager

    manager = TaskManager(include_path=str(TASKS), include_defaults=False)
    assert {registry.PREFIX + name for name in registry.names()} <= set(manager.all_tasks)
