"""A folder with tiny recipes that make all they need: seconds a run, for tests of what a run leaves behind."""

from pathlib import Path

BUILD = """
build:
  - {path: base, with: "open_vr1.toy.model:build", args: {seed: 0}}
  - {path: world, with: "open_vr1.toy.world:build", args: {seed: 0, train: 24, rl: 8, validation: 4, test: 4}}
"""
ROWS = """
dtype: float32
columns: {prompt: question, solution: answer}
max_pixels: 12544
"""
TRAINING = """
seed: 3
max_steps: 2
bf16: false
use_cpu: true
report_to: none
logging_steps: 1
save_steps: 1
"""
RECIPES = {
    "sft": f"""task: sft
{BUILD}{ROWS}{TRAINING}
model_name_or_path: base
datasets: [{{path: world/train.parquet}}]
eval_datasets: [{{path: world/validation.parquet}}]
eval_strategy: steps
eval_steps: 2
output_dir: outputs/cold
per_device_train_batch_size: 4
learning_rate: 1.0e-3
""",
    "grpo": f"""task: grpo
{BUILD}{ROWS}{TRAINING}
model_name_or_path: outputs/cold
datasets: [{{path: world/rl.parquet}}]
output_dir: outputs/final
per_device_train_batch_size: 8
reward_funcs: [accuracy]
ptst_stages:
  - {{max_completion_length: 6, num_generations: 4, steps: 1}}
  - {{max_completion_length: 8, num_generations: 2, steps: 1}}
""".replace("max_steps: 2\n", ""),
    "eval": f"""task: eval
{BUILD}{ROWS}
model_name_or_path: outputs/cold
benchmarks: [{{name: toy, path: world/test.parquet}}]
max_completion_length: 4
""",
}


def write_recipes(folder: Path) -> None:
    """`tiny/sft.yaml`, `tiny/grpo.yaml` and `tiny/eval.yaml`, whose paths start from the folder."""
    (folder / "tiny").mkdir(parents=True)
    for name, text in RECIPES.items():
        (folder / "tiny" / f"{name}.yaml").write_text(text)
