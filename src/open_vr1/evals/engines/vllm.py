"""
Answers by vLLM in this process: every prompt is its own request with its own seed, handed over when it is finished.

    make evaluate RECIPE=recipes/vr1_7b/eval.yaml MODEL=open-vr1/vr1-7b ACCELERATE=ddp PROCESSES=8

starts eight engines, each on `tensor_parallel_size` GPUs of its own, and the harness gives each its share of the questions. The
prompt is the text that training has; options of `vllm.LLM` stand under `vllm:` in the recipe.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from open_vr1.data_sources import load_processor
from open_vr1.errors import UserError
from open_vr1.evals.engines import Keep, Prompt, Reply, pictures_of
from open_vr1.recipe import Recipe

LAUNCHED = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "GROUP_RANK")
OURS = ("model", "revision", "dtype", "seed", "limit_mm_per_prompt", "mm_processor_kwargs")
MOST_PICTURES = 8
AT_ONCE = 1024


class VLLMEngine:
    """
    A vLLM engine in this process.

    Args:
        recipe ([`~open_vr1.recipe.Recipe`]):
            A checked recipe.
    """

    def __init__(self, recipe: Recipe):
        self.args, model = recipe.args, recipe.model
        if taken := [key for key in OURS if key in self.args.vllm]:
            raise UserError(f"vllm.{taken[0]}: the recipe's own keys set this; remove it")
        self.processor = load_processor(
            model.model_name_or_path, self.args.min_pixels, self.args.max_pixels, model.model_revision
        )
        with _devices_of_this_process(self.args.vllm.get("tensor_parallel_size", 1)):
            from vllm import LLM

            self.llm = LLM(
                model=model.model_name_or_path,
                revision=model.model_revision,
                dtype=model.dtype or "auto",
                seed=self.args.seed,
                limit_mm_per_prompt={"image": MOST_PICTURES},
                mm_processor_kwargs=_pixels(self.processor),
                **self.args.vllm,
            )

    def answer(self, prompts: Sequence[Prompt], keep: Keep) -> None:
        engine, waiting, left = self.llm.llm_engine, {}, iter(prompts)
        while True:
            while len(waiting) < AT_ONCE and (prompt := next(left, None)):
                waiting[prompt.key] = prompt
                engine.add_request(prompt.key, self._request(prompt), self._sampling(prompt))
            if not waiting:
                return
            done = [output for output in engine.step() if output.finished]
            if done:
                keep([(waiting.pop(output.request_id), self._reply(output.outputs[0])) for output in done])

    def _request(self, prompt: Prompt) -> dict[str, Any]:
        chat = prompt.chat()
        request: dict[str, Any] = {"prompt": self.processor.apply_chat_template(chat, add_generation_prompt=True)}
        if pictures := pictures_of(chat):
            request["multi_modal_data"] = {"image": [picture.convert("RGB") for picture in pictures]}
        return request

    def _sampling(self, prompt: Prompt) -> Any:
        from vllm import SamplingParams

        return SamplingParams(
            temperature=self.args.temperature,
            top_p=self.args.top_p,
            max_tokens=self.args.max_completion_length,
            seed=prompt.seed,
        )

    def _reply(self, output: Any) -> Reply:
        text = self.processor.tokenizer.decode(output.token_ids, skip_special_tokens=True)
        return Reply(text, len(output.token_ids), output.finish_reason == "length")


def _pixels(processor: Any) -> dict[str, int]:
    size = dict(processor.image_processor.size)
    if not {"shortest_edge", "longest_edge"} <= size.keys():
        return {}
    return {"min_pixels": size["shortest_edge"], "max_pixels": size["longest_edge"]}


@contextmanager
def _devices_of_this_process(count: int) -> Iterator[None]:
    """Each process that accelerate started has GPUs of its own; vLLM is not to see that there are others."""
    before = {name: os.environ[name] for name in (*LAUNCHED, "CUDA_VISIBLE_DEVICES") if name in os.environ}
    if "LOCAL_RANK" in before and int(before.get("WORLD_SIZE", "1")) > 1:
        first = int(before["LOCAL_RANK"]) * count
        visible = before.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(first + count)))).split(",")
        if len(visible) < first + count:
            raise UserError(
                f"vllm.tensor_parallel_size: {count} GPUs for each process are more than there are ({len(visible)}); "
                "start fewer PROCESSES"
            )
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(visible[first : first + count])
        for name in LAUNCHED:
            os.environ.pop(name, None)
    try:
        yield
    finally:
        os.environ.update({name: value for name, value in before.items() if name in LAUNCHED})
