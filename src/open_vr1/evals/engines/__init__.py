"""What a model runs on while it is evaluated: `engine:` in a recipe.

An engine answers prompts and hands over what it has as soon as it has it, together with what was generated along with it. It knows
nothing of benchmarks; questions, scores and resuming are `open_vr1.evals`' own.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from open_vr1.errors import UserError
from open_vr1.recipe import Recipe


@dataclass(frozen=True)
class Prompt:
    """
    One answer to be given.

    Args:
        key (`str`):
            A hash of all that decides the answer.
        seed (`int`):
            Seed of this answer.
        chat (`Callable[[], list[dict]]`):
            The messages, pictures as `{"type": "image", "url": PIL.Image}`; made when they are needed.
    """

    key: str
    seed: int
    chat: Callable[[], list[dict[str, Any]]]


@dataclass(frozen=True)
class Reply:
    """What a model wrote, its length in tokens, and whether it was cut off at the limit."""

    text: str
    tokens: int
    clipped: bool


Keep = Callable[[Sequence[tuple[Prompt, Reply]]], None]


class Engine(Protocol):
    def answer(self, prompts: Sequence[Prompt], keep: Keep) -> None:
        """Answer all of them, or raise; what has been handed to `keep` is not asked again."""


def make_engine(recipe: Recipe) -> Engine:
    """The engine that a recipe names, with its model loaded."""
    kind = recipe.args.engine
    if kind == "endpoint":
        from open_vr1.evals.engines.endpoint import EndpointEngine

        return EndpointEngine(recipe)
    if kind == "vllm":
        from open_vr1.evals.engines.vllm import VLLMEngine

        return VLLMEngine(recipe)
    from open_vr1.evals.engines.transformers import TransformersEngine

    return TransformersEngine(recipe)


def check_engine(recipe: Recipe) -> None:
    """Refuse an engine that could not answer, before anything is loaded."""
    if recipe.args.engine == "vllm" and find_spec("vllm") is None:
        raise UserError(
            "engine: vllm is not installed here; run make install-gpu on the CUDA machine, or write engine: transformers"
        )
    model = recipe.model.model_name_or_path
    if recipe.args.engine == "vllm" and (Path(model).expanduser() / "adapter_config.json").is_file():
        raise UserError(
            f"{recipe.path}: engine: vllm loads whole models, and {model} is an adapter; write engine: transformers"
        )
    if recipe.args.engine == "endpoint":
        from open_vr1.evals.engines.endpoint import check

        check(recipe)


def pictures_of(chat: Sequence[dict[str, Any]]) -> list[Any]:
    """The pictures of a chat, in order."""
    return [part["url"] for message in chat for part in message["content"] if part["type"] == "image"]
