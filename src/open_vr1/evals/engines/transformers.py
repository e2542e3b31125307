"""Answers by transformers, batch by batch: on a GPU, on each of several that `accelerate launch` starts, or on a CPU.

A batch is drawn with a seed made of its questions' seeds, so a run that was killed goes on with the very answers that it would
have had.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

import torch
from accelerate import PartialState
from peft import PeftConfig, PeftModel
from transformers import AutoModelForImageTextToText, GenerationConfig
from transformers.utils import find_adapter_config_file

from open_vr1.data_sources import load_processor
from open_vr1.evals.engines import Keep, Prompt, Reply, pictures_of
from open_vr1.recipe import Recipe


class TransformersEngine:
    """
    A model in this process.

    Args:
        recipe ([`~open_vr1.recipe.Recipe`]):
            A checked recipe.
    """

    def __init__(self, recipe: Recipe):
        self.args, model = recipe.args, recipe.model
        self.processor = load_processor(
            model.model_name_or_path, self.args.min_pixels, self.args.max_pixels, model.model_revision
        )
        self.model = _load(model).to(PartialState().device).eval()
        # Penalties and the like that a model brings along would be no one's choice, and other engines do not know them.
        self.model.generation_config = GenerationConfig()

    def answer(self, prompts: Sequence[Prompt], keep: Keep) -> None:
        for start in range(0, len(prompts), self.args.batch_size):
            batch = prompts[start : start + self.args.batch_size]
            keep(list(zip(batch, self._generate(batch), strict=True)))

    def _generate(self, batch: Sequence[Prompt]) -> list[Reply]:
        tokenizer, args = self.processor.tokenizer, self.args
        chats = [prompt.chat() for prompt in batch]
        pictures = [pictures_of(chat) for chat in chats]
        inputs = self.processor(
            text=[self.processor.apply_chat_template(chat, add_generation_prompt=True) for chat in chats],
            images=pictures if any(pictures) else None,
            padding=True,
            return_tensors="pt",
        ).to(self.model.device)
        sampling = {"do_sample": False}
        if args.temperature > 0:
            sampling = {"do_sample": True, "temperature": args.temperature, "top_p": args.top_p, "top_k": 0}
        torch.manual_seed(_seed_of(batch))
        with torch.inference_mode():
            generated = self.model.generate(
                **inputs,
                max_new_tokens=args.max_completion_length,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.pad_token_id,
                **sampling,
            )
        return [self._reply(ids) for ids in generated[:, inputs["input_ids"].shape[1] :].tolist()]

    def _reply(self, ids: list[int]) -> Reply:
        end = self.processor.tokenizer.eos_token_id
        clipped = end not in ids
        ids = ids if clipped else ids[: ids.index(end) + 1]
        return Reply(self.processor.tokenizer.decode(ids, skip_special_tokens=True), len(ids), clipped)


def _load(model: Any) -> Any:
    """A model, or the base of an adapter with it; the revision is the adapter's, and its base has one of its own."""
    name, revision = model.model_name_or_path, model.model_revision
    options = {"dtype": model.dtype, "attn_implementation": model.attn_implementation}
    if find_adapter_config_file(name, revision=revision) is None:
        return AutoModelForImageTextToText.from_pretrained(name, revision=revision, **options)
    adapter = PeftConfig.from_pretrained(name, revision=revision)
    base = AutoModelForImageTextToText.from_pretrained(
        adapter.base_model_name_or_path, revision=adapter.revision, **options
    )
    return PeftModel.from_pretrained(base, name, revision=revision).merge_and_unload()


def _seed_of(batch: Sequence[Prompt]) -> int:
    seeds = " ".join(str(prompt.seed) for prompt in batch)
    return int.from_bytes(hashlib.sha256(seeds.encode()).digest()[:4])
