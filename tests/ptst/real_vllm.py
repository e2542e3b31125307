"""Two PTST stages with pictures on a real vLLM: what the tests of colocate mode and of server mode have in common."""

from pathlib import Path
from typing import Any

from peft import LoraConfig

from .runs import RecordingTrainer, make_trainer

STAGES = [
    {"max_completion_length": 8, "num_generations": 4, "steps": 3},
    {"max_completion_length": 20, "num_generations": 2, "steps": 3},
]
LORA = LoraConfig(r=8, lora_alpha=32, target_modules=["q_proj", "down_proj", "qkv", "mlp.2"])  # text, tower, merger


def make_real_trainer(model: Path, output_dir: Path, stages: list[dict] = STAGES, **config: Any) -> RecordingTrainer:
    defaults = {
        "num_rows": 2,
        "per_device_train_batch_size": 8,
        "learning_rate": 2e-3,
        "use_vllm": True,
        "generation_kwargs": {"ignore_eos": True},
        "logging_steps": 1,
    }
    return make_trainer(model, output_dir, stages, **{**defaults, **config})


def gaps_of(trainer: RecordingTrainer) -> list[float]:
    """For each step, the largest gap between vLLM's log-probabilities of the tokens it sampled and the trainer's."""
    key = "sampling/sampling_logp_difference/max"
    gaps = [row[key] for row in trainer.state.log_history if key in row]
    print("largest gap of each step, in nats:", [f"{gap:.1e}" for gap in gaps])
    return gaps
