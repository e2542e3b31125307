"""A benchmark's rows answered by a scripted model, by the evaluation harness and nothing of ours around it."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset

from open_vr1.evals.registry import PREFIX, TASKS, resolve


def harness_result(name: str, rows: Sequence[dict[str, Any]], answers: Sequence[str], folder: Path) -> dict[str, Any]:
    """What the harness reports of the rows, with one answer each."""
    import lmms_eval.evaluator
    from lmms_eval.api.model import lmms
    from lmms_eval.tasks import TaskManager

    class Scripted(lmms):
        is_simple = False

        def generate_until(self, requests):
            said = []
            for request in requests:
                _, doc_to_messages, _, row, task, split = request.args
                (message,) = doc_to_messages(self.task_dict[task][split][row])
                assert message["role"] == "user" and message["content"]
                said.append(answers[row])
            return said

        def loglikelihood(self, requests):
            raise NotImplementedError

        def generate_until_multi_round(self, requests):
            raise NotImplementedError

    file = folder / f"{name}.parquet"
    Dataset.from_list(list(rows)).to_parquet(file)
    tasks = shutil.copytree(TASKS, folder / "tasks")
    _read_rows_from(tasks / f"{name}.yaml", file, resolve(name).split, folder / "cache")
    manager = TaskManager(include_path=str(tasks), include_defaults=False)
    results = lmms_eval.evaluator.simple_evaluate(
        Scripted(), tasks=[PREFIX + name], task_manager=manager, bootstrap_iters=0, log_samples=False
    )
    return results["results"][PREFIX + name]


def _read_rows_from(task_file: Path, rows: Path, split: str, cache: Path) -> None:
    """Have a task file read a local file, and else say what it says."""
    lines = task_file.read_text().splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("dataset_path"))
    end = next(number for number, line in enumerate(lines) if line.startswith("test_split"))
    options = json.dumps({"data_files": {split: str(rows)}, "cache_dir": str(cache)})
    lines[start:end] = ["dataset_path: parquet", f"dataset_kwargs: {options}"]
    task_file.write_text("\n".join(lines))
