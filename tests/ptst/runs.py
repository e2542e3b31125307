"""Tiny PTST runs that write down what every generation and every micro-batch held; also a program for torchrun."""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForImageTextToText, TrainerCallback
from trl import GRPOConfig

from open_vr1.data_sources import load_processor
from open_vr1.ptst.schedule import Schedule
from open_vr1.ptst.trainer import PTSTTrainer
from open_vr1.training import leave_together

from .tiny import build_rows

SEED = 7
# Constant prompts, a generation cycle of 4 steps, and 5 rows: both stages pass an epoch's end.
LONG_CYCLE = {
    "stages": [
        {"max_completion_length": 3, "num_generations": 4, "steps": 4},
        {"max_completion_length": 6, "num_generations": 2, "steps": 4},
    ],
    "per_device_train_batch_size": 2,
    "gradient_accumulation_steps": 2,
    "steps_per_generation": 4,
    "num_iterations": 2,
}


class RecordingTrainer(PTSTTrainer):
    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.generations, self.micro_batches = [], []
        self.worth = lambda ids: float(sum(ids) % 17)

    def _generate_and_score_completions(self, inputs: list[Any]) -> dict[str, Any]:
        output = super()._generate_and_score_completions(inputs)
        self.generations[-1]["advantages"] = output["advantages"].tolist()
        return output

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Any:
        if model.training:
            self.micro_batches.append([self.state.global_step, inputs["completion_ids"].tolist()])
        return super()._compute_loss(model, inputs)

    def reward(self, completion_ids: list[list[int]], solution: list[str], **kwargs: Any) -> list[float]:
        rewards = [self.worth(ids) for ids in completion_ids]
        self.generations.append(
            {
                "step": self.state.global_step,
                "training": self.model.training,
                "num_generations": self.num_generations,
                "lengths": sorted({len(ids) for ids in completion_ids}),
                "rows": [int(number) for number in solution],
                "rewards": rewards,
            }
        )
        return rewards


class SaveEveryStep(TrainerCallback):
    """As a preempted job does: it saves where it is told to stop, not where a recipe's save_steps would."""

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        control.should_save = True


def make_trainer(
    model_path: Path,
    output_dir: Path,
    stages: list[dict],
    num_rows: int = 5,
    pictures: int = 1,
    pixels: tuple[int, int] | None = None,
    constant: str = "prompts",
    callbacks: list | None = None,
    trainer_kwargs: dict | None = None,
    **config: Any,
) -> RecordingTrainer:
    schedule = Schedule.from_recipe(stages)
    processor = load_processor(str(model_path), *(pixels or ()))
    never_end = [processor.tokenizer.eos_token_id, processor.image_token_id]
    defaults = {
        "learning_rate": 1e-3,
        "save_strategy": "no",
        "report_to": "none",
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "disable_tqdm": True,
        "seed": SEED,
        "generation_kwargs": {"suppress_tokens": never_end},
    }
    made = []

    def reward(**kwargs: Any) -> list[float]:
        return made[0].reward(**kwargs)

    trainer = RecordingTrainer(
        model=AutoModelForImageTextToText.from_pretrained(model_path),
        args=GRPOConfig(output_dir=str(output_dir), **{**defaults, **schedule.trainer_values(), **config}),
        train_dataset=build_rows(num_rows, pictures),
        processing_class=processor,
        reward_funcs=[reward],
        schedule=schedule,
        constant=constant,
        callbacks=callbacks,
        **(trainer_kwargs or {}),
    )
    made.append(trainer)
    return trainer


def on_numbered_cpu(storage: Any, location: str) -> Any:
    return storage if location.startswith("cpu:") else None


def main() -> None:
    """One process of a distributed run: `runs.py MODEL OUT`, cases in OUT/cases.json."""
    # A Trainer loads its optimizer to the device "cpu:0" when it has several CPU processes, which torch does not know.
    torch.serialization.register_package(0, lambda storage: None, on_numbered_cpu)
    model_path, out = Path(sys.argv[1]), Path(sys.argv[2])
    for name, case in json.loads((out / "cases.json").read_text()).items():
        resume_from = case.pop("resume_from", None)
        callbacks = [SaveEveryStep()] if case.pop("save_every_step", False) else []
        trainer = make_trainer(model_path, out / name, callbacks=callbacks, **case)
        trainer.train(resume_from_checkpoint=resume_from and str(out / resume_from))
        record = {
            "generations": trainer.generations,
            "micro_batches": trainer.micro_batches,
            "steps": trainer.state.global_step,
        }
        (out / f"{name}_{trainer.args.process_index}.json").write_text(json.dumps(record))
    leave_together(trainer)


if __name__ == "__main__":
    main()
