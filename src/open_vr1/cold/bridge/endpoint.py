"""
An OpenAI-compatible endpoint, asked until it answers.

Overload, timeouts and broken replies are asked again after a wait that doubles, or as long as `Retry-After` says. What a row
cannot be answered for is that row's failure; an endpoint that answers nobody is the run's, which stops with what it has. The
reasoning that a model gives apart from its answer is kept, under each of the names that servers give it.
"""

import asyncio
import json
import os
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Self

import aiohttp

from open_vr1.cold.arguments import TeacherEntry
from open_vr1.errors import UserError

RETRIED = {408, 409, 425, 429}
STOPS_THE_RUN = {401, 402, 403, 404}
LONGEST_WAIT = 120.0
LONGEST_RETRY_AFTER = 900.0
QUOTED = 300


class RowFailed(Exception):
    """A request that this row does not get an answer to."""


class EndpointDown(Exception):
    """An endpoint that nobody gets an answer from."""


@dataclass
class Usage:
    """Requests and tokens so far."""

    requests: int = 0
    retries: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0


class Endpoint:
    """
    One teacher's endpoint, for as long as it is entered.

    Args:
        teacher (`TeacherEntry`):
            The recipe's entry.
        url (`str`):
            Its address, up to and with `/v1`.
        key (`str`):
            The recipe's key, `vision` or `reasoner`, for messages.
    """

    def __init__(self, teacher: TeacherEntry, url: str, key: str):
        self.teacher, self.url, self.key = teacher, url.rstrip("/"), key
        self.usage = Usage()
        self._answered = 0
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        name = self.teacher.get("api_key")
        headers = {"Authorization": f"Bearer {os.environ.get(name, '')}"} if name else {}
        timeout = aiohttp.ClientTimeout(total=self.teacher.get("timeout", 1800.0))
        connector = aiohttp.TCPConnector(limit=0, ttl_dns_cache=300)
        self._session = aiohttp.ClientSession(headers=headers, timeout=timeout, connector=connector)
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._session.close()

    async def ask(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """
        The reply to a chat request: `text`, `reasoning`, `finish_reason` and the tokens.

        Args:
            payload (`Mapping[str, Any]`):
                The request's body.
        """
        answered_before, problem = self._answered, ""
        for attempt in range(self.teacher.get("attempts", 8)):
            if attempt:
                self.usage.retries += 1
            self.usage.requests += 1
            wait = min(LONGEST_WAIT, self.teacher.get("wait", 1.0) * 2**attempt) * random.uniform(0.5, 1.5)
            try:
                async with self._session.post(f"{self.url}/chat/completions", json=payload) as response:
                    body = await response.read()
                    status, retry_after = response.status, response.headers.get("Retry-After")
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                problem = f"{type(error).__name__}: {error}".rstrip(": ")
            else:
                if status == 200:
                    try:
                        return self._read(body)
                    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
                        problem = f"a reply that cannot be read: {_quote(body)}"
                elif status in STOPS_THE_RUN:
                    raise EndpointDown(f"{self._name()}: {_refusal(self.teacher, self.key, status, body)}")
                elif status in RETRIED or status >= 500:
                    problem = f"status {status}: {_quote(body)}"
                    wait = _seconds(retry_after, wait)
                else:
                    raise RowFailed(f"status {status}: {_quote(body)}")
            await asyncio.sleep(wait)
        if self._answered == answered_before and not await self._answers_at_all():
            raise EndpointDown(f"{self._name()} no longer answers: {problem}")
        raise RowFailed(f"{self.teacher.get('attempts', 8)} attempts, the last: {problem}")

    def _read(self, body: bytes) -> dict[str, Any]:
        reply = json.loads(body)
        choice, usage = reply["choices"][0], reply.get("usage") or {}
        message = choice["message"]
        text, reasoning = (
            message.get("content") or "",
            message.get("reasoning_content") or message.get("reasoning") or "",
        )
        if not isinstance(text, str) or not isinstance(reasoning, str) or not (text + reasoning).strip():
            raise ValueError("an empty reply")
        self._answered += 1
        self.usage.prompt_tokens += usage.get("prompt_tokens") or 0
        self.usage.completion_tokens += usage.get("completion_tokens") or 0
        return {
            "text": text,
            "reasoning": reasoning,
            "finish_reason": choice.get("finish_reason") or "stop",
            "prompt_tokens": usage.get("prompt_tokens") or 0,
            "completion_tokens": usage.get("completion_tokens") or 0,
        }

    async def _answers_at_all(self) -> bool:
        """Whether a word of greeting is answered: if it is, the fault lies with the row."""
        greeting = {**greeting_to(self.teacher), "max_tokens": 1}
        try:
            async with self._session.post(f"{self.url}/chat/completions", json=greeting) as response:
                await response.read()
                return response.status < 500 and response.status not in RETRIED
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

    def _name(self) -> str:
        return f"{self.key}.url: {self.url}"

    # ----- Before the run

    async def check(self) -> None:
        """Refuse an address where nobody answers, a key that is not accepted, a model that is not served."""
        name = self.teacher.get("api_key")
        if name and not os.environ.get(name):
            raise UserError(f"{self.key}.api_key: the environment has no variable {name}; export {name}=...")
        try:
            async with self._session.get(f"{self.url}/models", timeout=aiohttp.ClientTimeout(total=60)) as response:
                body, status = await response.read(), response.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            problem = f"{error}" or type(error).__name__
            raise UserError(
                f"{self._name()} does not answer ({problem}); start the server or write its address"
            ) from error
        if status in (401, 402, 403):
            raise UserError(_refusal(self.teacher, self.key, status, body))
        served = _served(body) if status == 200 else []
        if self.teacher["model"] in served:
            return
        # Some endpoints list nothing, or not everything that they serve: only a request can tell.
        try:
            async with self._session.post(f"{self.url}/chat/completions", json=greeting_to(self.teacher)) as response:
                body, status = await response.read(), response.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise UserError(f"{self._name()} does not answer a request ({error or type(error).__name__})") from error
        if status in (400, 404, 422) and served:
            raise UserError(
                f"{self.key}.model: {self.teacher['model']} is not served at {self.url}; it serves {', '.join(served)}"
            )
        if status in (401, 402, 403, 404):
            raise UserError(_refusal(self.teacher, self.key, status, body))
        if status >= 400 and status not in RETRIED:
            raise UserError(f"{self._name()} answers a greeting with status {status}: {_quote(body)}")


def check_endpoint(teacher: TeacherEntry, url: str, key: str) -> None:
    """Refuse an endpoint that could not be asked, before any work is done."""

    async def check() -> None:
        async with Endpoint(teacher, url, key) as endpoint:
            await endpoint.check()

    asyncio.run(check())


def greeting_to(teacher: TeacherEntry) -> dict[str, Any]:
    return {"model": teacher["model"], "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 16}


def _refusal(teacher: TeacherEntry, key: str, status: int, body: bytes) -> str:
    quoted = _quote(body)
    if status in (401, 403):
        name = teacher.get("api_key")
        said = f"the endpoint refuses the key in {name}" if name else "the endpoint wants a key"
        fix = "set it to a valid one" if name else f"write {key}.api_key: NAME_OF_A_VARIABLE that holds it"
        return f"{key}.api_key: {said} (status {status}: {quoted}); {fix}"
    if status == 402:
        return f"{key}: the endpoint wants to be paid first (status 402: {quoted})"
    return f"{key}.model: {teacher['model']}: the endpoint knows no such model or path (status {status}: {quoted})"


def _served(body: bytes) -> list[str]:
    try:
        return [model["id"] for model in json.loads(body)["data"]]
    except (ValueError, KeyError, TypeError):
        return []


def _quote(body: bytes) -> str:
    """The message of an error's body, or its beginning."""
    text = body.decode(errors="replace").strip()
    try:
        error = json.loads(text)
        error = error.get("error", error)
        text = error.get("message", text) if isinstance(error, dict) else str(error)
    except (ValueError, AttributeError):
        pass
    return " ".join(str(text).split())[:QUOTED] or "nothing"


def _seconds(retry_after: str | None, otherwise: float) -> float:
    """`Retry-After` in seconds, which may also be a date."""
    if not retry_after:
        return otherwise
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError):
            return otherwise
    # A little chance keeps all that wait from coming back at the same moment.
    return min(LONGEST_RETRY_AFTER, max(0.0, seconds)) + random.uniform(0, 0.2 * otherwise)
