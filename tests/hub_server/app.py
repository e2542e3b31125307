"""From an HTTP request to a route and back: the table of routes, who is calling, what is logged, how faults strike."""

import asyncio
import json
import re
import threading
import time
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlencode

from aiohttp import web

from . import errors
from .errors import HubError
from .repos import Account, Repo

if TYPE_CHECKING:
    from .server import LocalHub

PLACEHOLDERS = {
    "kinds": "(?P<kinds>models|datasets|spaces)",
    # What comes before a repository in the addresses of its files: models have nothing.
    "prefix": "(?P<prefix>datasets/|spaces/|)",
    "repo": r"(?P<repo>(?!api/)[^/]+/[^/]+?)",
    "path": "(?P<path>.+)",
    "what": "(?P<what>secrets|variables)",
}
TELEMETRY = r"/api/telemetry/|/api/agent-harnesses"


@dataclass
class Reply:
    """`json`, or `content` with its length, or neither."""

    status: int = 200
    json: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    content: Iterator[bytes] | None = None
    length: int = 0


@dataclass
class Logged:
    """A call as the log has it; `status` 0 is a connection that was cut; `received` counts bytes of the body."""

    method: str
    path: str
    query: dict[str, str]
    account: str | None
    status: int = 0
    received: int = 0
    seconds: float = 0
    faults: tuple[str, ...] = ()

    def __str__(self) -> str:
        query = f"?{urlencode(self.query)}" if self.query else ""
        faults = f" ({', '.join(self.faults)})" if self.faults else ""
        return f"{self.status or '---'} {self.method} {self.path}{query}{faults}"


class Log:
    """Every call in the order of its arrival; what no route answers is also in `unknown`, what broke one in `broken`."""

    def __init__(self) -> None:
        self.unknown: list[str] = []
        self.broken: list[str] = []
        self._calls: list[Logged] = []
        self._lock = threading.Lock()

    def calls(self, method: str | None = None, path: str = "", status: int | None = None) -> list[Logged]:
        """Those with this method and status whose path has a match of the regular expression `path`."""
        with self._lock:
            return [
                call
                for call in self._calls
                if method in (None, call.method) and status in (None, call.status) and re.search(path, call.path)
            ]

    def add(self, call: Logged) -> None:
        with self._lock:
            self._calls.append(call)

    def clear(self) -> None:
        with self._lock:
            self._calls.clear()


class Call:
    """What a route gets: the words of its address in `words`, the rest of the request by methods."""

    def __init__(self, hub: "LocalHub", request: web.BaseRequest):
        self.hub = hub
        self.request = request
        self.method = request.method
        # As it was sent: %2F in a revision or a path is not a slash of the address.
        self.path, _, query = request.raw_path.partition("?")
        self.query = {name: values[-1] for name, values in parse_qs(query, keep_blank_values=True).items()}
        self.words: dict[str, str] = {}
        self.received = 0

    @property
    def kind(self) -> str:
        named = self.words.get("kinds") or self.words.get("prefix", "").rstrip("/") or "models"
        return named.removesuffix("s")

    @property
    def token(self) -> str | None:
        scheme, _, token = self.request.headers.get("Authorization", "").partition(" ")
        return token if scheme.lower() == "bearer" else None

    @property
    def account(self) -> Account | None:
        if self.token is None:
            return None
        account = self.hub.accounts.get(self.token)
        if account is None:
            raise errors.bad_token()
        return account

    def logged_in(self) -> Account:
        if self.account is None:
            raise errors.log_in()
        return self.account

    def repo(self) -> Repo:
        """The repository of the address, if the caller may see it."""
        return self.hub.repos.visible(self.kind, self.words["repo"], self.account)

    def repo_to_write(self) -> Repo:
        return self.hub.repos.writable(self.kind, self.words["repo"], self.account)

    def flag(self, name: str) -> bool:
        return self.query.get(name, "").lower() in ("1", "true")

    async def pieces(self) -> AsyncIterator[bytes]:
        async for piece in self.request.content.iter_any():
            self.received += len(piece)
            yield piece

    async def body(self) -> bytes:
        return b"".join([piece async for piece in self.pieces()])

    async def json(self) -> Any:
        body = await self.body()
        try:
            return json.loads(body or b"{}")
        except ValueError as error:
            raise errors.bad_request(f"Invalid JSON: {error}") from error

    async def form(self) -> dict[str, list[str]]:
        return parse_qs((await self.body()).decode())

    async def lines(self) -> AsyncIterator[dict[str, Any]]:
        """The objects of a body in NDJSON, one line of it in memory at a time."""
        rest = bytearray()
        async for piece in self.pieces():
            rest += piece
            if b"\n" in piece:
                *whole, last = rest.split(b"\n")
                rest = bytearray(last)
                for line in filter(None, whole):
                    yield json.loads(line)
        if rest.strip():
            yield json.loads(rest)


Handler = Callable[[Call], Any]
ROUTES: list[tuple[str, re.Pattern[str], Handler]] = []


def route(method: str, address: str) -> Callable[[Handler], Handler]:
    """
    `{kinds}`, `{prefix}`, `{repo}` and `{path}` are as in `PLACEHOLDERS`, any other word is one segment. An answer that is
    no `Reply` is sent as JSON.
    """

    def placeholder(match: re.Match[str]) -> str:
        return PLACEHOLDERS.get(match[1], f"(?P<{match[1]}>[^/]+)")

    pattern = re.sub(r"\{(\w+)\}", placeholder, address.replace(".", r"\."))

    def register(handler: Handler) -> Handler:
        ROUTES.append((method, re.compile(pattern), handler))
        return handler

    return register


class App:
    def __init__(self, hub: "LocalHub"):
        self.hub = hub

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        call = Call(self.hub, request)
        account = self.hub.accounts.get(call.token)
        logged = Logged(call.method, call.path, call.query, account and account.name)
        self.hub.log.add(logged)
        started = time.monotonic()
        faults = self.hub.faults.take(call.method, call.path)
        logged.faults = tuple(fault.kind for fault in faults)
        for fault in faults:
            await asyncio.sleep(fault.seconds)
        fault = next((fault for fault in faults if fault.kind != "delay"), None)
        try:
            if fault and fault.kind == "cut" and not fault.bytes:
                return self._hang_up(request)
            try:
                if fault and fault.error:
                    raise fault.error
                reply = await self._answer(call)
            except HubError as error:
                reply = Reply(error.status, error.body, error.headers)
            if fault and fault.kind == "lose":
                return self._hang_up(request)
            limit = fault.bytes if fault and fault.kind == "cut" else None
            logged.status = reply.status
            return await self._send(request, reply, limit)
        finally:
            logged.received = call.received
            logged.seconds = time.monotonic() - started

    async def _answer(self, call: Call) -> Reply:
        method = "GET" if call.method == "HEAD" else call.method
        for wanted, pattern, handler in ROUTES:
            if wanted == method and (match := pattern.fullmatch(call.path)):
                call.words = {name: unquote(word) for name, word in match.groupdict().items()}
                break
        else:
            if not re.match(TELEMETRY, call.path):
                self.hub.log.unknown.append(f"{call.method} {call.path}")
            raise errors.not_found("Sorry, we can't find the page you are looking for.")
        try:
            answer = await handler(call)
        except HubError:
            raise
        except ConnectionError:  # The client left.
            raise
        except Exception as error:
            self.hub.log.broken.append(f"{call.method} {call.path}\n{traceback.format_exc()}")
            raise HubError(500, "Internal Error - We're working hard to fix this as soon as possible!") from error
        return answer if isinstance(answer, Reply) else Reply(json={} if answer is None else answer)

    @staticmethod
    def _hang_up(request: web.BaseRequest) -> web.Response:
        if request.transport:
            request.transport.abort()
        return web.Response()

    async def _send(self, request: web.BaseRequest, reply: Reply, limit: int | None) -> web.StreamResponse:
        if reply.content is None:
            body = b"" if reply.json is None else json.dumps(reply.json).encode()
            kind = {"Content-Type": "application/json"} if reply.json is not None else {}
            return web.Response(status=reply.status, body=body, headers={**kind, **reply.headers})
        response = web.StreamResponse(status=reply.status, headers=reply.headers)
        response.content_length = reply.length
        await response.prepare(request)
        if request.method != "HEAD":
            sent = 0
            for piece in reply.content:
                if limit is not None and sent + len(piece) >= limit:
                    await response.write(piece[: limit - sent])
                    if request.transport:  # Not abort: what has been written arrives.
                        request.transport.close()
                    return response
                await response.write(piece)
                sent += len(piece)
        await response.write_eof()
        return response
