"""
GRPO in stages: TRL's trainer, with the length limit and the group size of the schedule's stage at every generation.

Differs from the paper, which says only that its stages follow one another: here the model, the optimizer, the
learning-rate schedule and the KL reference go on through a switch, unless a stage starts them anew. Differs from TRL's
trainer in five more ways:

- The data loader carries row numbers, and rows are read when a generation needs them: a picture is decoded once per
  prompt and process, where TRL decodes it for every completion and every micro-batch. It is processed once, too, and kept
  once, off the device.
- Evaluation has a length limit and a temperature of its own, whatever stage it falls into.
- Checkpoints that end a stage are kept; `save_total_limit` counts the others.
- A checkpoint inside a generation cycle holds the completions that are still to be trained on, so that a resumed run goes
  on with them.
- With vLLM, pictures are right: see `vllm.py`.

    python -m open_vr1.grpo --config recipes/vr1_tiny/ptst.yaml
"""

import shutil
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import is_peft_model, send_to_device
from datasets import Dataset
from torch.utils.data import DataLoader
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR
from trl import GRPOConfig, GRPOTrainer

from open_vr1.errors import UserError
from open_vr1.ptst.callback import MARK, PTSTCallback, set_generation
from open_vr1.ptst.pictures import PictureShelf, pictures_processed_once, send_pictures_on_demand
from open_vr1.ptst.rates import staged_rates
from open_vr1.ptst.sampler import Geometry, StagedRepeatSampler
from open_vr1.ptst.schedule import Schedule
from open_vr1.ptst.temperature import fused_heads
from open_vr1.ptst.vllm import pictures_right_in_vllm
from open_vr1.resume import ResumableTrainer, drop_old_checkpoints
from open_vr1.rewards.answers import answer_share

# The adapter that TRL compares with, where there is one by this name.
REFERENCE = "ref"


class PTSTTrainer(ResumableTrainer, GRPOTrainer):
    """
    Args:
        schedule (`Schedule`):
            The stages. `args` must hold its `trainer_values()`.
        constant (`str`, *optional*, defaults to `"prompts"`):
            What stays the same per step when the group size changes: `"prompts"` or `"rollouts"`.
        eval_max_completion_length (`int`, *optional*, defaults to the last stage's):
            Length limit of evaluation.
        **kwargs:
            Of `GRPOTrainer`. `train_dataset` must be a [`~datasets.Dataset`].
    """

    def __init__(
        self,
        *,
        args: GRPOConfig,
        schedule: Schedule,
        constant: str = "prompts",
        eval_max_completion_length: int | None = None,
        **kwargs: Any,
    ):
        self.schedule = schedule
        self.eval_max_completion_length = eval_max_completion_length or schedule.stages[-1].max_completion_length
        self._check(args, constant, kwargs.get("train_dataset"), kwargs.get("processing_class"))
        self.geometry = Geometry(
            per_device_train_batch_size=args.per_device_train_batch_size,
            world_size=args.world_size,
            gradient_accumulation_steps=args.gradient_accumulation_steps,
            steps_per_generation=args.steps_per_generation,
            num_iterations=args.num_iterations,
            constant=constant,
        )
        top_level = {key: getattr(args, key) for key in ("temperature", "beta", "epsilon", "epsilon_high")}
        self.eval_temperature = schedule.stages[-1].over(top_level).temperature
        # TRL keeps a reference only if it is told of a beta, and would delete the checkpoints that end a stage.
        args.beta = max(stage.over(top_level).beta for stage in schedule.stages)
        self.save_total_limit, args.save_total_limit = args.save_total_limit, None
        with pictures_right_in_vllm(), fused_heads() as self.fused_heads:
            super().__init__(args=args, **kwargs)
        for model in filter(None, (self.model, self.ref_model)):
            send_pictures_on_demand(model, self.accelerator.device)
        self.checkpoint_folders = [args.output_dir]
        self.shelf = PictureShelf()
        self.ptst_callback = PTSTCallback(schedule, self, top_level)
        self.add_callback(self.ptst_callback)

    def _check(self, args: GRPOConfig, constant: str, dataset: Any, processing_class: Any) -> None:
        source = self.schedule.source
        for key, value in self.schedule.trainer_values().items():
            if key != "num_generations_eval" and getattr(args, key) != value:
                raise UserError(f"{source}: {key}: {getattr(args, key)} is not what ptst_stages says; write {value}")
        self.schedule.check_batch(
            per_device_train_batch_size=args.per_device_train_batch_size,
            world_size=args.world_size,
            gradient_accumulation_steps=args.gradient_accumulation_steps,
            steps_per_generation=args.steps_per_generation,
            num_iterations=args.num_iterations,
            save_steps=args.save_steps if args.save_strategy == "steps" else None,
            constant=constant,
        )
        self.schedule.check_lengths(args.loss_type, args.generation_kwargs)
        self.schedule.check_stages(vars(args))
        if args.ignore_data_skip:
            raise UserError(
                f"{source}: ignore_data_skip: true would train a resumed run on its first stage's batches again; "
                "write false"
            )
        if not isinstance(dataset, Dataset):
            raise UserError(
                f"{source}: datasets: PTST plans every step from the number of rows, which a streamed dataset does not "
                "have; load it without streaming"
            )
        tokenizer = getattr(processing_class, "tokenizer", processing_class)
        if tokenizer is not None and tokenizer.padding_side != "left":
            raise UserError(
                f"{source}: processor: padding_side is {tokenizer.padding_side!r}, but generation continues the end of "
                "each prompt; load it with padding_side='left'"
            )

    def get_train_dataloader(self) -> DataLoader:
        return self._get_dataloader(
            dataset=range(len(self.train_dataset)),
            description="Training",
            batch_size=self.geometry.slice_rows,
            sampler_fn=self._get_train_sampler,
            is_training=True,
        )

    def _get_train_sampler(self, dataset: Sequence | None = None) -> StagedRepeatSampler:
        return StagedRepeatSampler(
            num_rows=len(self.train_dataset),
            schedule=self.schedule,
            geometry=self.geometry,
            seed=self.args.seed,
            shuffle=self.shuffle_dataset,
        )

    def _generate_and_score_completions(self, inputs: list[Any]) -> dict[str, Any]:
        if not self.model.training:
            with self._evaluation_generation():
                return super()._generate_and_score_completions(inputs)
        stage_index = self.schedule.stage_index(self.state.global_step)
        stage = self.schedule.stages[stage_index]
        if self.max_completion_length != stage.max_completion_length:
            raise RuntimeError(
                f"step {self.state.global_step} has the length limit {self.max_completion_length}, but its stage says "
                f"{stage.max_completion_length}: is PTSTCallback still among the callbacks?"
            )
        self.num_generations = stage.num_generations
        numbers = inputs[: self.geometry.kept_rows(self.schedule, stage_index)]
        self._check_groups(numbers, stage.num_generations)
        with pictures_processed_once(self.processing_class):
            output = super()._generate_and_score_completions(self._read_rows(numbers))
        return {**output, "row_numbers": torch.tensor(numbers)}

    def _prepare_inputs(self, generation_batch: Any) -> dict[str, Any]:
        inputs = super()._prepare_inputs(generation_batch)
        if not self.model.training:
            return inputs
        if "pixel_values" in inputs:  # Just generated.
            self._buffered_inputs = self.shelf.store(self._buffered_inputs)
            return inputs
        return self.shelf.restore(inputs)

    def _calculate_rewards(
        self, inputs: list[Any], prompts: list[Any], completions: list[Any], completion_ids_list: list[list[int]]
    ) -> torch.Tensor:
        shares = [answer_share(completion[-1]["content"]) for completion in completions]
        gathered = self.accelerator.gather(torch.tensor(shares, device=self.accelerator.device))
        mode = "train" if self.model.training else "eval"
        self._metrics[mode]["completions/answer_share"].append(gathered.mean().item())
        return super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)

    def _prepare_input(self, data: Any) -> Any:
        # TRL would send the pictures of all completions to the device at once; the model sends for those of a batch.
        if not isinstance(data, Mapping) or "pixel_values" not in data:
            return super()._prepare_input(data)
        others = super()._prepare_input({key: value for key, value in data.items() if key != "pixel_values"})
        return type(data)({**others, "pixel_values": data["pixel_values"]})

    @contextmanager
    def _evaluation_generation(self):
        trained_at = self.max_completion_length, self.temperature
        set_generation(self, self.eval_max_completion_length, self.eval_temperature)
        try:
            yield
        finally:
            set_generation(self, *trained_at)

    def _check_groups(self, numbers: list[int], group: int) -> None:
        gathered = self.accelerator.gather(torch.tensor(numbers, device=self.accelerator.device)).view(-1, group)
        if (gathered != gathered[:, :1]).any():
            raise RuntimeError(
                f"step {self.state.global_step}: rows {gathered.tolist()} are not groups of {group} completions of one "
                "prompt; the processes did not receive the batches that the schedule planned"
            )

    def _read_rows(self, numbers: list[int]) -> list[dict[str, Any]]:
        rows = {number: self.train_dataset[number] for number in dict.fromkeys(numbers)}
        return [dict(rows[number]) for number in numbers]

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        if self.lr_scheduler is None and self.schedule.rate_segments() != [(0, num_training_steps, None)]:
            self.lr_scheduler = staged_rates(self.args, self.schedule, optimizer or self.optimizer)
        return super().create_scheduler(num_training_steps, optimizer)

    def renew_reference(self, step: int) -> None:
        """Measure KL against the policy as it was at a step that ended a stage."""
        folders = [Path(folder) / f"{PREFIX_CHECKPOINT_DIR}-{step}" for folder in self.checkpoint_folders]
        checkpoint = next((str(folder) for folder in folders if folder.is_dir()), None)
        if checkpoint is None:
            raise UserError(
                f"{self.schedule.source}: reset_reference: {folders[0]} is not there, and its weights are the KL "
                f"reference from step {step} on; put the folder back, or start the run again in another output_dir"
            )
        policy = self.accelerator.unwrap_model(self.model)
        if is_peft_model(policy):
            if REFERENCE in policy.peft_config:
                policy.delete_adapter(REFERENCE)
            policy.load_adapter(checkpoint, REFERENCE, is_trainable=False)
            self.model.train()  # peft puts a model into evaluation mode when it loads a frozen adapter.
        else:
            self._load_from_checkpoint(checkpoint, self.accelerator.unwrap_model(self.ref_model))

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        if self.args.should_save:
            best = self.state.best_model_checkpoint
            drop_old_checkpoints(self._get_output_dir(trial), self.save_total_limit, keep=(MARK,), best=best)

    def _save(self, output_dir: str | None = None, state_dict: dict | None = None) -> None:
        super()._save(output_dir, state_dict)
        folder = Path(output_dir or self.args.output_dir)
        # A resumed Trainer that finds one adapter in a folder of its own loads only that one.
        shutil.rmtree(folder / REFERENCE, ignore_errors=True)
        self.ptst_callback.mark(folder, self.state.global_step)

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        super()._save_optimizer_and_scheduler(output_dir)
        if self._step % self.geometry.cycle:
            file = self._completions_file(output_dir)
            file.parent.mkdir(parents=True, exist_ok=True)
            saved = {"micro_batches": self._buffered_inputs, "pictures": self.shelf.patches}
            torch.save({"geometry": asdict(self.geometry), **saved}, file)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is not None:
            self.checkpoint_folders.append(Path(checkpoint).parent)
        # TRL counts from 0 after a resume, which shifts every later generation against the schedule.
        self._step = self.state.global_step * self.args.gradient_accumulation_steps
        if checkpoint is None or not self._completions_file(checkpoint).is_file():
            return
        saved = torch.load(self._completions_file(checkpoint), map_location="cpu", weights_only=True)
        # On another number of processes they would be cut differently: then every process generates them anew.
        if saved["geometry"] == asdict(self.geometry):
            self._buffered_inputs = send_to_device(saved["micro_batches"], self.accelerator.device)
            self.shelf.patches = saved["pictures"]

    def _completions_file(self, checkpoint: str) -> Path:
        return Path(checkpoint) / f"completions_{self.accelerator.process_index}.pt"
