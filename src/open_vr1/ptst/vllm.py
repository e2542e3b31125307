"""
vLLM with pictures, mended where TRL 1.16 with vLLM 0.31 trains on the wrong thing or stops:

- In colocate mode vLLM gets prompts in which each picture's placeholder is already as many tokens as the picture has, and
  expands the first of them once more (trl#6294). It gets one placeholder per picture here.
- vLLM keeps what the vision tower made of a picture, also after the tower has been trained on (trl#7198). Here it forgets
  that at every weight sync.
- A completion with an image or video token in it has no picture to go with, and the training step crashes. Such tokens are
  never sampled here.
- In colocate mode vLLM resizes pictures as the model's folder says, whatever the recipe's `max_pixels`. Here it is given the
  trainer's pixel budget; a server has to be started with it, and is refused before it sees a picture of another size,
  which would end it.
- A context too short for prompt and completion cuts completions off without a word. Here it stops the run at its first
  generation, also when only a later stage needs more.
- Adapters are merged into the weights for vLLM: see `adapters.py`.

And a guard: the prompt that vLLM generated from must be the trainer's, token for token, at every generation. Of a server
TRL hands back the prompts with pictures that it sent; there the size of each picture is compared.
`PTSTTrainer` uses this by itself:

    python -m open_vr1.grpo --config recipes/vr1_tiny/ptst.yaml --use_vllm true
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import groupby
from typing import Any

import torch
from accelerate.utils import broadcast_object_list, is_peft_model
from trl.generation import vllm_generation
from trl.generation.vllm_generation import VLLMGeneration
from trl.trainer import grpo_trainer

from open_vr1.errors import UserError
from open_vr1.ptst.adapters import can_be_copied, merged_weights

NEVER = -100.0


class PictureGeneration(VLLMGeneration):
    """TRL's `VLLMGeneration` for prompts with pictures."""

    def __init__(self, **kwargs: Any):
        kwargs["generation_kwargs"] = _without_picture_tokens(
            kwargs.get("generation_kwargs") or {}, kwargs["processing_class"]
        )
        super().__init__(**kwargs)
        # The longest stage's: TRL is made with it, and the stages change it afterwards.
        self.longest_completion = self.max_completion_length
        self.context_length = self._context_length()

    def _init_vllm(self) -> None:
        with _engine_arguments(**_picture_arguments(self.processing_class)):
            super()._init_vllm()

    def _context_length(self) -> int:
        if self.mode == "colocate":
            return self.llm.model_config.max_model_len
        length = [None]
        if self.accelerator.is_main_process:
            length = [self.vllm_client.get_server_info()["model_config"]["max_model_len"]]
        return broadcast_object_list(length, from_process=0)[0]

    def generate(
        self, prompts: list[list[int]], images: list[list | None] | None, num_generations: int, profiler: Any = None
    ) -> tuple:
        self._check_context(max(map(len, prompts)))
        given = prompts
        if self.mode == "colocate" and images is not None:
            given = [one_placeholder_per_picture(ids, self.processing_class.image_token_id) for ids in prompts]
        used, *completions = super().generate(given, images, num_generations, profiler)
        _check_same_prompts(prompts, used)
        return used, *completions

    def _check_context(self, prompt: int) -> None:
        completion = max(self.longest_completion, self.max_completion_length)
        if prompt + completion > self.context_length:
            where = "vllm_max_model_length" if self.mode == "colocate" else "vllm serve --max-model-len"
            raise UserError(
                f"{where}: {self.context_length} does not hold a prompt of {prompt} tokens and {completion} of its "
                f"completion, which vLLM would cut off; write {prompt + completion} or more"
            )

    def _place_features(self, features: dict | None, prompt_ids: list[int]) -> dict | None:
        """TRL puts the server's features on the trainer's image tokens, also where these are more or fewer."""
        placed = super()._place_features(features, prompt_ids)
        arguments = _picture_arguments(self.processing_class)
        if placed is not None and arguments:
            theirs = [picture["length"] for picture in features["mm_placeholders"]["image"]]
            ours = [picture["length"] for picture in placed["mm_placeholders"]["image"]]
            if theirs != ours:
                raise UserError(
                    f"the vLLM server makes {theirs} image tokens of pictures of which the trainer makes {ours}: their "
                    "pixel budgets (min_pixels and max_pixels) differ; start the server with "
                    f"--mm-processor-kwargs '{json.dumps(arguments['mm_processor_kwargs'])}'"
                )
        return placed

    def _iter_named_params(self) -> Iterator[tuple[str, torch.Tensor]]:
        if not is_peft_model(self.model) or self._dist.is_fsdp or not can_be_copied(self.model):
            yield from super()._iter_named_params()
            return
        with self._dist.gather_params(list(self.model.parameters())):
            for name, weight in merged_weights(self.model):
                yield self._fix_param_name_to_vllm(name), weight

    def sync_weights(self) -> None:
        super().sync_weights()
        if self.mode == "colocate":
            self.llm.llm_engine.reset_encoder_cache()
        elif self.accelerator.is_main_process:
            answer = self.vllm_client.session.post(f"{self.vllm_client.base_url}/reset_encoder_cache")
            if answer.status_code != 200:
                raise RuntimeError(
                    f"the vLLM server answers {answer.status_code} to /reset_encoder_cache and would go on with what the "
                    "vision tower saw before it was trained; start the server with VLLM_SERVER_DEV_MODE=1"
                )


def one_placeholder_per_picture(prompt: Sequence[int], image_token: int) -> list[int]:
    """A prompt whose runs of image tokens, one run a picture, are single image tokens."""
    return [token for value, run in groupby(prompt) for token in ([value] if value == image_token else run)]


def _picture_arguments(processing_class: Any) -> dict[str, Any]:
    """What makes a vLLM engine resize pictures as the processor does; nothing for processors without a pixel budget."""
    size = getattr(getattr(processing_class, "image_processor", None), "size", None) or {}
    budget = {key: size.get(key) for key in ("shortest_edge", "longest_edge")}
    if None in budget.values():
        return {}
    return {"mm_processor_kwargs": {"images_kwargs": {"size": budget}}}


@contextmanager
def _engine_arguments(**arguments: Any) -> Iterator[None]:
    """An engine that TRL makes while this lasts gets these arguments too; TRL has no way to ask for them."""
    if not vllm_generation.is_vllm_available():  # TRL will say so.
        yield
        return
    theirs = vllm_generation.LLM
    vllm_generation.LLM = partial(theirs, **arguments)
    try:
        yield
    finally:
        vllm_generation.LLM = theirs


def _without_picture_tokens(generation_kwargs: dict[str, Any], processing_class: Any) -> dict[str, Any]:
    ids = (getattr(processing_class, f"{kind}_token_id", None) for kind in ("image", "video"))
    bias = {token: NEVER for token in ids if token is not None}
    if not bias:
        return generation_kwargs
    return {**generation_kwargs, "logit_bias": {**(generation_kwargs.get("logit_bias") or {}), **bias}}


def _check_same_prompts(ours: list[list[int]], used: list[list[int]]) -> None:
    for row, (mine, theirs) in enumerate(zip(ours, used, strict=True)):
        mine, theirs = list(mine), list(theirs)
        if mine != theirs:
            pairs = zip([*mine, None], [*theirs, None], strict=False)
            place = next(i for i, (one, other) in enumerate(pairs) if one != other)
            raise RuntimeError(
                f"vLLM generated from another prompt than the trainer trains on: {len(theirs)} tokens instead of "
                f"{len(mine)} in row {row}, different from token {place} on. Please report it with the versions of "
                "trl, vllm and transformers."
            )


@contextmanager
def pictures_right_in_vllm() -> Iterator[None]:
    """A `GRPOTrainer` made while this lasts generates with `PictureGeneration`."""
    theirs = grpo_trainer.VLLMGeneration
    grpo_trainer.VLLMGeneration = PictureGeneration
    try:
        yield
    finally:
        grpo_trainer.VLLMGeneration = theirs
