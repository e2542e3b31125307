"""
vLLM with pictures, mended where TRL 1.16 with vLLM 0.31 trains on the wrong thing or stops:

- In colocate mode vLLM gets prompts in which each picture's placeholder is already as many tokens as the picture has, and
  expands the first of them once more (trl#6294). It gets one placeholder per picture here.
- vLLM keeps what the vision tower made of a picture, also after the tower has been trained on (trl#7198). Here it forgets
  that at every weight sync.
- A completion with an image or video token in it has no picture to go with, and the training step crashes. Such tokens are
  never sampled here.

And a guard: the prompt that vLLM generated from must be the trainer's, token for token, at every generation.
`PTSTTrainer` uses this by itself:

    python -m open_vr1.grpo --config recipes/vr1_tiny/ptst.yaml --use_vllm true
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Any

from trl.generation.vllm_generation import VLLMGeneration
from trl.trainer import grpo_trainer

NEVER = -100.0


class PictureGeneration(VLLMGeneration):
    """TRL's `VLLMGeneration` for prompts with pictures."""

    def __init__(self, **kwargs: Any):
        kwargs["generation_kwargs"] = _without_picture_tokens(
            kwargs.get("generation_kwargs") or {}, kwargs["processing_class"]
        )
        super().__init__(**kwargs)

    def generate(
        self, prompts: list[list[int]], images: list[list | None] | None, num_generations: int, profiler: Any = None
    ) -> tuple:
        given = prompts
        if self.mode == "colocate" and images is not None:
            given = [one_placeholder_per_picture(ids, self.processing_class.image_token_id) for ids in prompts]
        used, *completions = super().generate(given, images, num_generations, profiler)
        _check_same_prompts(prompts, used)
        return used, *completions

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
                f"{len(mine)} in row {row}, different from token {place} on. Where they differ in image tokens, the engine "
                "resizes pictures in another way than the trainer: give both the same min_pixels and max_pixels."
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
