"""A sweep in a folder of its own, and a stand-in for the processes that it starts."""

import stat
import sys
from pathlib import Path

import pytest
import yaml

RECIPE = """
task: grpo
model_name_or_path: model
dtype: float32
datasets: [{path: rows.parquet}]
reward_funcs: [accuracy]
max_completion_length: 8
num_generations: 4
per_device_train_batch_size: 8
max_steps: 4
output_dir: outputs/of_the_recipe
bf16: false
use_cpu: true
report_to: none
"""
EVAL = """
task: eval
model_name_or_path: model
benchmarks: [{name: toy, path: test.parquet}]
temperature: 1.0
"""
# Called as Python would be: `-m` module `--config` recipe. It writes down its call and leaves what the module would leave.
STAND_IN = """#!{python}
import json, os, sys, time
from pathlib import Path
module, _, path = sys.argv[1:]
recipe = __import__("yaml").safe_load(Path(path).read_text())
with open("calls", "a") as calls:
    calls.write(module.rpartition(".")[2] + " " + recipe["output_dir"] + chr(10))
plan = json.loads(Path("plan.json").read_text()) if Path("plan.json").exists() else {{}}
out = Path(recipe["output_dir"])
for part, doing in plan.items():
    if part in str(out):
        if "sleep" in doing:
            (out / "sleeping").write_text(str(os.getpid()))
            time.sleep(doing["sleep"])
        if "fail" in doing:
            print("error: " + doing["fail"])
            sys.exit(2)
if module.endswith("evaluate"):
    samples = [{{"id": str(i), "completion": "x", "score": float(i % 2 == 0), "tokens": 5}} for i in range(4)]
    __import__("open_vr1.evals.records", fromlist=["records"]).write_samples(out, "toy", samples)
    results = {{"accuracy": 0.5, "mean_length": 5.0, "clipped_ratio": 0.0, "n": 4, "temperature": 1, "ci95": [0.2, 0.8]}}
    (out / "results.json").write_text(json.dumps(results | {{"max_completion_length": 9}}))
else:
    (out / "trainer_state.json").write_text(json.dumps({{"log_history": [{{"step": 4, "train_runtime": 1.0}}]}}))
"""


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A folder with a recipe for GRPO, one for evaluation, and a model that they name."""
    monkeypatch.chdir(tmp_path)
    Path("grpo.yaml").write_text(RECIPE)
    Path("eval.yaml").write_text(EVAL)
    Path("model").mkdir()
    Path("model/config.json").write_text("{}")
    return tmp_path


@pytest.fixture
def write_grid(workplace):
    def write(text: str | None = None, **keys) -> Path:
        Path("grid.yaml").write_text(text if text is not None else yaml.safe_dump(keys, sort_keys=False))
        return Path("grid.yaml")

    return write


@pytest.fixture
def stand_in(workplace):
    script = workplace / "stand_in"
    script.write_text(STAND_IN.format(python=sys.executable))
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return [str(script)]


def calls() -> list[str]:
    """What the stand-in was called for since the last look."""
    log = Path("calls")
    lines = log.read_text().splitlines() if log.exists() else []
    log.unlink(missing_ok=True)
    return lines
