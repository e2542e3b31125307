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
from typing import Any, NamedTuple, Self

import aiohttp

from open_vr1.cold.arguments import TeacherEntry
from open_vr1.errors import UserError

RETRIED = {408, 409, 425, 429}
# What an endpoint says to everybody, a wrong key or model; some also say it to a single request that they do not like.
SAID_TO_ALL = {401, 402, 403, 404}
# Greetings before an endpoint is given up for.
GREETINGS = 3
LONGEST_WAIT = 120.0
LONGEST_RETRY_AFTER = 900.0
QUOTED, LISTED = 300, 20


class RowFailed(Exception):
    """A request that this row does not get an answer to."""


class EndpointDown(Exception):
    """An endpoint that nobody gets an answer from."""


class Response(NamedTuple):
    """What came back: a status and a body, or status 0 and what was wrong with the connection."""

    status: int
    body: bytes
    retry_after: str | None = None

    @property
    def problem(self) -> str:
        return f"status {self.status}: {_quote(self.body)}" if self.status else self.body.decode()

    @property
    def is_to_be_repeated(self) -> bool:
        return not self.status or self.status in RETRIED or self.status >= 500


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
        attempts, wait, problem = self.teacher.get("attempts", 8), 0.0, ""
        for attempt in range(attempts):
            if attempt:
                self.usage.retries += 1
                await asyncio.sleep(wait)
            self.usage.requests += 1
            wait = min(LONGEST_WAIT, self.teacher.get("wait", 1.0) * 2**attempt) * random.uniform(0.5, 1.5)
            response = await self._post(payload)
            problem = response.problem
            if response.status == 200:
                try:
                    return self._read(response.body)
                except (ValueError, KeyError, TypeError, IndexError, AttributeError):
                    problem = f"a reply that cannot be read: {_quote(response.body)}"
            elif response.is_to_be_repeated:
                wait = _seconds(response.retry_after, wait)
            elif response.status in SAID_TO_ALL and (await self._greet()).status == response.status:
                raise EndpointDown(self._refusal(response))
            else:
                raise RowFailed(problem)
        if not await self._answers_others():
            raise EndpointDown(f"{self._name()} no longer answers: {problem}")
        raise RowFailed(f"{attempts} attempts, the last: {problem}")

    async def _post(self, payload: Mapping[str, Any]) -> Response:
        try:
            async with self._session.post(f"{self.url}/chat/completions", json=payload) as response:
                return Response(response.status, await response.read(), response.headers.get("Retry-After"))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return Response(0, f"{type(error).__name__}: {error}".rstrip(": ").encode())

    async def _greet(self) -> Response:
        return await self._post(greeting_to(self.teacher))

    async def _answers_others(self) -> bool:
        """Whether a greeting or another row is answered: if so, the fault lies with this row."""
        answered = self._answered
        for attempt in range(GREETINGS):
            response = await self._greet()
            if self._answered > answered or not response.is_to_be_repeated:
                return True
            await asyncio.sleep(_seconds(response.retry_after, self.teacher.get("wait", 1.0) * 2**attempt))
        return self._answered > answered

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
        tokens = {name: int(usage.get(name) or 0) for name in ("prompt_tokens", "completion_tokens")}
        self._answered += 1
        self.usage.prompt_tokens += tokens["prompt_tokens"]
        self.usage.completion_tokens += tokens["completion_tokens"]
        finish = choice.get("finish_reason") or "stop"
        return {"text": _storable(text), "reasoning": _storable(reasoning), "finish_reason": finish, **tokens}

    def _name(self) -> str:
        return f"{self.key}.url: {self.url}"

    # ----- Before the run

    async def check(self) -> None:
        """Refuse an address where nobody answers, a key that is not accepted, a model that is not served."""
        name = self.teacher.get("api_key")
        if name and not os.environ.get(name):
            raise UserError(f"{self.key}.api_key: the environment has no variable {name}; export {name}=...")
        served = await self._models()
        # Lists are public at some endpoints, and not complete at others: there only a request can tell.
        if self.teacher["model"] in served and not name:
            return
        for attempt in range(GREETINGS):
            # Servers also close a connection after a reply, without a word.
            if (response := await self._greet()).status:
                break
            await asyncio.sleep(self.teacher.get("wait", 1.0) * 2**attempt)
        if not response.status:
            raise UserError(f"{self._name()} does not answer a request ({response.problem})")
        if response.status in (400, 404, 422) and served and self.teacher["model"] not in served:
            known = f"it serves {', '.join(served[:LISTED])}{', ...' if len(served) > LISTED else ''}"
            raise UserError(f"{self.key}.model: {self.teacher['model']} is not served at {self.url}; {known}")
        names_the_model = response.status in (400, 422) and self.teacher["model"] in _quote(response.body)
        if response.status in SAID_TO_ALL or names_the_model:
            raise UserError(self._refusal(response))
        if response.status == 200 and not _is_completion(response.body):
            fix = "write an OpenAI-compatible address, up to and with /v1"
            raise UserError(f"{self._name()} answers, but not as a model does: {_quote(response.body)}; {fix}")

    async def _models(self) -> list[str]:
        """What the endpoint says that it serves; nothing where it does not say."""
        try:
            async with self._session.get(f"{self.url}/models", timeout=aiohttp.ClientTimeout(total=60)) as got:
                response = Response(got.status, await got.read())
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            problem = f"{error}" or type(error).__name__
            raise UserError(
                f"{self._name()} does not answer ({problem}); start the server or write its address"
            ) from error
        if response.status in (401, 402, 403):
            raise UserError(self._refusal(response))
        return _served(response.body) if response.status == 200 else []

    def _refusal(self, response: Response) -> str:
        said, key = f"status {response.status}: {_quote(response.body)}", self.key
        if response.status in (401, 403):
            name = self.teacher.get("api_key")
            if name:
                return f"{key}.api_key: {self.url} refuses the key in {name} ({said}); set it to a valid one"
            return f"{key}.api_key: {self.url} wants a key ({said}); write api_key: NAME_OF_A_VARIABLE that holds it"
        if response.status == 402:
            return f"{key}.url: {self.url} wants to be paid first ({said})"
        fix = "write another model, or the address up to and with /v1"
        return f"{key}.model: {self.url} knows no {self.teacher['model']} ({said}); {fix}"


def check_endpoint(teacher: TeacherEntry, url: str, key: str) -> None:
    """Refuse an endpoint that could not be asked, before any work is done."""

    async def check() -> None:
        async with Endpoint(teacher, url, key) as endpoint:
            await endpoint.check()

    asyncio.run(check())


def greeting_to(teacher: TeacherEntry) -> dict[str, Any]:
    """A request as short as can be, with the name for its limit that the recipe uses."""
    limit = "max_completion_tokens" if "max_completion_tokens" in teacher.get("generation", {}) else "max_tokens"
    return {"model": teacher["model"], "messages": [{"role": "user", "content": "Hello"}], limit: 16}


def _is_completion(body: bytes) -> bool:
    try:
        return bool(json.loads(body)["choices"])
    except (ValueError, KeyError, TypeError):
        return False


def _storable(text: str) -> str:
    """Without halves of characters, which JSON can say and no file can hold."""
    return text.encode(errors="replace").decode()


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
        text = error.get("message") or error.get("detail") or text if isinstance(error, dict) else str(error)
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
    if not seconds > 0:
        return otherwise
    # A little chance keeps all that wait from coming back at the same moment.
    return min(LONGEST_RETRY_AFTER, seconds) + random.uniform(0, 0.2 * otherwise)
