"""
Answers by an OpenAI-compatible endpoint, many at a time: a vLLM server, a provider, anything that takes pictures.

    engine: endpoint
    endpoint: {url: "http://127.0.0.1:8000/v1", model: open-vr1/vr1-7b, max_at_once: 64}

Overload and broken replies are asked again; an empty reply is an answer, and a wrong one. Where a server hands the thinking over
apart from the answer, both are put together again as the model wrote them.
"""

import asyncio
import base64
import io
import json
from collections.abc import Sequence
from typing import Any

from open_vr1.cold.bridge.endpoint import Endpoint, EndpointDown, RowFailed, check_endpoint
from open_vr1.errors import UserError
from open_vr1.evals.engines import Keep, Prompt, Reply
from open_vr1.prompts import THINK_CLOSE, THINK_OPEN
from open_vr1.recipe import Recipe

AT_ONCE = 32
LISTED = 3


class EndpointEngine:
    """
    A model that another process serves.

    Args:
        recipe ([`~open_vr1.recipe.Recipe`]):
            A checked recipe with `endpoint`.
    """

    def __init__(self, recipe: Recipe):
        self.args, self.served = recipe.args, recipe.args.endpoint

    def answer(self, prompts: Sequence[Prompt], keep: Keep) -> None:
        try:
            failed = asyncio.run(self._answer(prompts, keep))
        except EndpointDown as error:
            raise UserError(f"{error}; what has been answered is kept: run the same command again to go on") from error
        if failed:
            raise UserError(
                f"endpoint: {len(failed)} of {len(prompts)} questions got no answer ({'; '.join(failed[:LISTED])}); "
                "the others are kept: run the same command again to ask for these"
            )

    async def _answer(self, prompts: Sequence[Prompt], keep: Keep) -> list[str]:
        """The reasons of those that got no answer."""
        failed: list[str] = []
        left = iter(prompts)
        async with _Model(self.served, self.served["url"], "endpoint") as model:

            async def ask() -> None:
                for prompt in left:
                    try:
                        answer = await model.ask(self._body(prompt))
                    except RowFailed as error:
                        failed.append(str(error))
                        continue
                    keep([(prompt, _reply(answer))])

            await asyncio.gather(*(ask() for _ in range(min(self.served.get("max_at_once", AT_ONCE), len(prompts)))))
        return failed

    def _body(self, prompt: Prompt) -> dict[str, Any]:
        return {
            "model": self.served["model"],
            "messages": [
                {**message, "content": [_part(part) for part in message["content"]]} for message in prompt.chat()
            ],
            "temperature": self.args.temperature,
            "top_p": self.args.top_p,
            "max_tokens": self.args.max_completion_length,
            "seed": prompt.seed,
        }


class _Model(Endpoint):
    """An endpoint whose silence is an answer too."""

    def _read(self, body: bytes) -> dict[str, Any]:
        choice = json.loads(body)["choices"][0]
        message = choice["message"]
        if (message.get("content") or message.get("reasoning_content") or message.get("reasoning") or "").strip():
            return super()._read(body)
        self._answered += 1
        usage = json.loads(body).get("usage") or {}
        return {
            "text": "",
            "reasoning": "",
            "finish_reason": choice.get("finish_reason") or "stop",
            "completion_tokens": int(usage.get("completion_tokens") or 0),
        }


def check(recipe: Recipe) -> None:
    """Refuse an endpoint that could not be asked."""
    check_endpoint(recipe.args.endpoint, recipe.args.endpoint["url"], f"{recipe.path}: endpoint")


def _reply(answer: dict[str, Any]) -> Reply:
    text = answer["text"]
    if answer["reasoning"]:
        close = "" if answer["finish_reason"] == "length" and not text else THINK_CLOSE
        text = f"{THINK_OPEN}{answer['reasoning']}{close}{text}"
    return Reply(text, answer["completion_tokens"], answer["finish_reason"] == "length")


def _part(part: dict[str, Any]) -> dict[str, Any]:
    if part["type"] != "image":
        return part
    file = io.BytesIO()
    part["url"].save(file, "PNG")
    encoded = base64.b64encode(file.getvalue()).decode()
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{encoded}"}}
