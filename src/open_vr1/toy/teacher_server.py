"""
The scripted teacher as an OpenAI-compatible server in a process of its own, with the faults that real servers have.

    with serve("outputs/toy/train.parquet", mistakes={"refusal": 0.02}, faults={"429": 0.05, "hang": 0.001}) as url:
        ...  # POST {url}/chat/completions, GET {url}/models; GET {url}/log for what came in

A fault is drawn for each attempt at a request, told by the hash of its body, so another attempt may succeed; after
`FAULTS_IN_A_ROW` of them it does. A share of the rows can be made to fail for good: `poison`. A server that is started
again has forgotten the attempts, and what it answers is the same.
"""

import argparse
import asyncio
import hashlib
import json
import math
import os
import random
import re
import select
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from email.utils import formatdate
from http import HTTPStatus
from pathlib import Path
from typing import IO, Any, NamedTuple

import open_vr1
from open_vr1.entry import entry_point
from open_vr1.errors import UserError
from open_vr1.prompts import THINK_CLOSE, THINK_OPEN
from open_vr1.toy.mistakes import Reply, draw_from
from open_vr1.toy.teacher import REASON, Answer, BadRequest, Teacher, read_rows

MODELS = ("toy-vision", "toy-reasoner")
FAULTS_IN_A_ROW = 3
STATUS_FAULTS = {"408": "timed out", "429": "slow down", "429_date": "slow down", "500": "broke", "503": "overloaded"}
BROKEN_REPLIES = ("truncated_json", "no_choices", "empty_content", "html")
FAULTS = (*STATUS_FAULTS, *BROKEN_REPLIES, "closed", "hang")
# Where the chain of thought goes: a field of the message (vLLM's newer name is `reasoning`), or the content.
REASONING = ("reasoning_content", "reasoning", "tags")
LARGEST_BODY = 64 * 1024**2
SECONDS_BETWEEN_LOOKS = 0.2
LENGTH = re.compile(rb"^content-length:\s*(\d+)", re.IGNORECASE | re.MULTILINE)
AUTHORIZATION = re.compile(rb"^authorization:\s*(.*?)\s*$", re.IGNORECASE | re.MULTILINE)
CLOSE = re.compile(rb"^connection:\s*close", re.IGNORECASE | re.MULTILINE)


class Request(NamedTuple):
    """One HTTP request: method, path, its head as it came, its body and the SHA-256 of that."""

    method: str
    path: str
    head: bytes
    body: bytes
    digest: str


class HTTPError(Exception):
    """What is answered with a status other than 200 and OpenAI's error body."""

    def __init__(self, status: int, message: str, kind: str = "invalid_request_error", code: str | None = None):
        super().__init__(message)
        self.status = status
        self.body = {"error": {"message": message, "type": kind, "param": None, "code": code}}


class TeacherServer:
    """
    The teacher behind HTTP.

    Args:
        teacher (`Teacher`):
            Who answers.
        faults (`Mapping[str, float]`, *optional*):
            Share of the attempts that get each of `FAULTS`, and of the rows (`poison`) that always fail.
        api_key (`str`, *optional*):
            Requests without it are refused.
        models (`Sequence[str]`, *optional*):
            The names that the teacher goes by. Each stands for both of its models.
        reasoning (`str`, *optional*, defaults to `"reasoning_content"`):
            Where the chain of thought goes, one of `REASONING`.
        retry_after (`float`, *optional*, defaults to `1.0`):
            How many seconds a client is told to wait with a 429.
        hang_seconds (`float`, *optional*, defaults to `600.0`):
            How long a request that hangs is kept open.
        latency (`float`, *optional*, defaults to `0.0`):
            How many seconds a good reply takes at least.
    """

    def __init__(
        self,
        teacher: Teacher,
        faults: Mapping[str, float] | None = None,
        api_key: str | None = None,
        models: Sequence[str] = MODELS,
        reasoning: str = "reasoning_content",
        retry_after: float = 1.0,
        hang_seconds: float = 600.0,
        latency: float = 0.0,
    ):
        self.teacher = teacher
        self.faults = {str(name): share for name, share in (faults or {}).items()}
        self.poison = self.faults.pop("poison", 0.0)
        self.api_key = api_key
        self.models = tuple(models)
        self.reasoning = reasoning
        self.retry_after = retry_after
        self.hang_seconds = hang_seconds
        self.latency = latency
        self.requests: Counter[str] = Counter()
        self.log = {"statuses": Counter(), "faults": Counter(), "steps": Counter()}
        if unknown := set(self.faults) - set(FAULTS):
            raise ValueError(f"faults: {', '.join(sorted(unknown))} is none of {', '.join((*FAULTS, 'poison'))}")
        if min(self.faults.values(), default=0) < 0 or sum(self.faults.values()) > 1 + 1e-9:
            raise ValueError(f"faults: the rates {self.faults} are not shares of the attempts")
        if reasoning not in REASONING:
            raise ValueError(f"reasoning: {reasoning} is none of {', '.join(REASONING)}")

    # ----- Connections

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers the requests of one connection, one after the other, until either side has had enough."""
        try:
            while request := await _receive(reader):
                if not await self._serve(request, writer) or CLOSE.search(request.head):
                    break
        except HTTPError as error:
            self._send(writer, error.status, error.body, "Connection: close\r\n")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _serve(self, request: Request, writer: asyncio.StreamWriter) -> bool:
        """Answers one request; false if the connection is not to be used again."""
        try:
            if request.path != "/v1/chat/completions":
                self._send(writer, 200, self._get(request))
                return True
            answer, body = self._complete(request)
        except HTTPError as error:
            self._send(writer, error.status, error.body)
            return True
        if fault := self._draw_fault(request):
            self.log["faults"][fault] += 1
            return await self._fail(fault, body, writer)
        if self.latency:
            await asyncio.sleep(self.latency)
        self.log["steps"][answer.step] += 1
        self._send(writer, 200, body)
        await writer.drain()
        return True

    def _send(self, writer: asyncio.StreamWriter, status: int, body: Any, headers: str = "") -> None:
        self.log["statuses"][str(status)] += 1
        writer.write(_response(status, json.dumps(body).encode(), headers))

    # ----- What is asked for

    def _get(self, request: Request) -> dict[str, Any]:
        self._check_key(request)
        if request.path == "/v1/models":
            models = [{"id": name, "object": "model", "created": 0, "owned_by": "open-vr1"} for name in self.models]
            return {"object": "list", "data": models}
        if request.path in ("/log", "/v1/log"):
            return {"requests": self.requests, **self.log}
        raise HTTPError(404, f"no such path: {request.method} {request.path}", code="unknown_url")

    def _complete(self, request: Request) -> tuple[Answer, dict[str, Any]]:
        self._check_key(request)
        if request.method != "POST":
            raise HTTPError(405, f"{request.path} takes POST, not {request.method}", code="method_not_allowed")
        self.requests[request.digest] += 1
        asked = _parse(request.body)
        if asked.get("model") not in self.models:
            message = f"The model `{asked.get('model')}` does not exist; there is {', '.join(self.models)}."
            raise HTTPError(404, message, "NotFoundError", "model_not_found")
        try:
            answer = self.teacher.answer(asked)
        except BadRequest as error:
            raise HTTPError(400, str(error)) from error
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            raise HTTPError(400, f"the request is not as it should be: {error!r}") from error
        if is_poisoned(answer.row_id, self.teacher.seed, self.poison):
            self.log["faults"]["poison"] += 1
            raise HTTPError(500, "the engine died on this request", "InternalServerError")
        return answer, self._completion(asked, answer, request)

    def _check_key(self, request: Request) -> None:
        if self.api_key is None:
            return
        given = AUTHORIZATION.search(request.head)
        if not given or given[1] != f"Bearer {self.api_key}".encode():
            raise HTTPError(401, "Incorrect API key provided.", code="invalid_api_key")

    def _completion(self, asked: Mapping[str, Any], answer: Answer, request: Request) -> dict[str, Any]:
        choices = [
            {"index": i, "message": self._message(answer.step, reply), "logprobs": None, "finish_reason": reply.finish}
            for i, reply in enumerate(answer.replies)
        ]
        # A token for each word, which is about what tokenizers need.
        prompt, thought = request.body.count(b" ") + 1, sum(len(reply.thinking.split()) for reply in answer.replies)
        written = thought + sum(len(reply.text.split()) for reply in answer.replies)
        return {
            "id": f"chatcmpl-{request.digest[:24]}",
            "object": "chat.completion",
            "created": 0,  # the same reply whenever it is asked for
            "model": asked["model"],
            "choices": choices,
            "usage": {
                "prompt_tokens": prompt,
                "completion_tokens": written,
                "total_tokens": prompt + written,
                "completion_tokens_details": {"reasoning_tokens": thought},
            },
        }

    def _message(self, step: str, reply: Reply) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": reply.text}
        if step != REASON:
            return message
        if self.reasoning == "tags":
            # A model that is cut off while it thinks has not closed its tag.
            closed = f"\n{THINK_CLOSE}\n\n{reply.text}" if reply.text or reply.finish == "stop" else ""
            message["content"] = f"{THINK_OPEN}\n{reply.thinking}{closed}"
        else:
            message[self.reasoning] = reply.thinking
        return message

    # ----- Faults

    def _draw_fault(self, request: Request) -> str | None:
        attempt = self.requests[request.digest] - 1
        if not self.faults or attempt % (FAULTS_IN_A_ROW + 1) == FAULTS_IN_A_ROW:
            return None
        return draw_from(self.faults, random.Random(f"fault-{self.teacher.seed}-{request.digest}-{attempt}"))

    async def _fail(self, fault: str, body: dict[str, Any], writer: asyncio.StreamWriter) -> bool:
        if fault in STATUS_FAULTS:
            error = HTTPError(int(fault[:3]), f"the server {STATUS_FAULTS[fault]}", "server_error")
            self._send(writer, error.status, error.body, self._wait_header(fault))
            return True
        if fault == "hang":
            await asyncio.sleep(self.hang_seconds)
            return False
        if fault == "closed":
            whole = _response(200, json.dumps(body).encode())
            writer.write(whole[: len(whole) - len(whole) // 4])
            await writer.drain()
            return False
        self.log["statuses"]["200"] += 1
        writer.write(_broken_reply(fault, body))
        return True

    def _wait_header(self, fault: str) -> str:
        if fault == "429":
            return f"Retry-After: {math.ceil(self.retry_after)}\r\n"
        if fault == "429_date":
            return f"Retry-After: {formatdate(math.ceil(time.time() + self.retry_after), usegmt=True)}\r\n"
        return ""


def is_poisoned(row_id: str, seed: int, share: float) -> bool:
    """Whether every request about a row fails, on a teacher with that seed and that share of `poison`."""
    return share > 0 and random.Random(f"poison-{seed}-{row_id}").random() < share


def _broken_reply(fault: str, body: dict[str, Any]) -> bytes:
    if fault == "html":
        page = b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"
        return _response(200, page, content_type="text/html")
    if fault == "truncated_json":
        whole = json.dumps(body).encode()
        return _response(200, whole[: len(whole) // 2])
    if fault == "no_choices":
        return _response(200, json.dumps({key: value for key, value in body.items() if key != "choices"}).encode())
    empty = [{**choice, "message": {"role": "assistant", "content": ""}} for choice in body["choices"]]
    return _response(200, json.dumps({**body, "choices": empty}).encode())


async def _receive(reader: asyncio.StreamReader) -> Request | None:
    """The next request of a connection; `None` if there is none."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    try:
        method, target, _ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
    except ValueError as error:
        raise HTTPError(400, "this is not HTTP") from error
    length = LENGTH.search(head)
    if not length and method == "POST":
        raise HTTPError(411, "send the body with a Content-Length")
    size = int(length[1]) if length else 0
    if size > LARGEST_BODY:
        raise HTTPError(413, f"the body has {size} bytes; at most {LARGEST_BODY} are taken")
    body = await reader.readexactly(size) if size else b""
    return Request(method, target.partition("?")[0], head, body, hashlib.sha256(body).hexdigest())


def _parse(body: bytes) -> dict[str, Any]:
    try:
        asked = json.loads(body)
    except ValueError as error:
        raise HTTPError(400, f"the body is not JSON: {error}") from error
    if not isinstance(asked, dict) or not asked.get("messages"):
        raise HTTPError(400, "the body has no messages")
    if asked.get("stream"):
        raise HTTPError(400, "stream: this server sends whole replies only")
    return asked


def _response(status: int, body: bytes, headers: str = "", content_type: str = "application/json") -> bytes:
    head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
    return f"{head}{headers}\r\n".encode() + body


# ----- A process of its own


@contextmanager
def serve(
    rows: str | Path,
    *,
    seed: int = 0,
    mistakes: Mapping[str, float] | None = None,
    faults: Mapping[str, float] | None = None,
    port: int = 0,
    timeout: float = 60.0,
    **settings: Any,
) -> Iterator[str]:
    """
    A teacher in a child process for as long as the block lasts; yields the base URL, like `http://127.0.0.1:4242/v1`.

    Args:
        rows (`str` or `Path`):
            The toy rows, a parquet file or a folder of them.
        seed (`int`, *optional*, defaults to `0`):
            Of mistakes and faults.
        mistakes (`Mapping[str, float]`, *optional*):
            As in `Teacher`.
        faults (`Mapping[str, float]`, *optional*):
            As in `TeacherServer`.
        port (`int`, *optional*, defaults to `0`):
            The port to listen on; 0 for one that is free.
        timeout (`float`, *optional*, defaults to `60.0`):
            Seconds to wait for it to be ready.
        **settings (`Any`):
            The other arguments of `TeacherServer`, and `measure` of `Teacher`.
    """
    given = {"seed": seed, "mistakes": dict(mistakes or {}), "faults": dict(faults or {}), **settings}
    command = [sys.executable, "-m", "open_vr1.toy.teacher", "--rows", str(rows), "--port", str(port)]
    command += ["--settings", json.dumps(given), "--parent", str(os.getpid())]
    # The child runs the code of this process, also where another copy of the package is installed.
    paths = [str(Path(open_vr1.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env=env, text=True) as child,
    ):
        try:
            yield _wait_for_url(child, errors, timeout)
        finally:
            child.terminate()


def _wait_for_url(child: subprocess.Popen, errors: IO[bytes], timeout: float) -> str:
    ready, _, _ = select.select([child.stdout], [], [], timeout)
    line = child.stdout.readline().strip() if ready else ""
    if not line:
        child.kill()
        child.wait()
        errors.seek(0)
        raise RuntimeError(f"the teacher did not start within {timeout:g} s\n{errors.read().decode(errors='replace')}")
    return line


@entry_point
def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m open_vr1.toy.teacher", description="Serve the scripted teacher.")
    parser.add_argument("--rows", type=Path, required=True, help="toy rows: a parquet file or a folder of them")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 for a free one (0)")
    parser.add_argument("--settings", type=json.loads, default={}, help='JSON: {"seed": 0, "mistakes": {...}, ...}')
    parser.add_argument("--parent", type=int, help="end when the process with this id is no longer the parent")
    given = parser.parse_args(argv)
    try:
        server = _make_server(given.rows, **given.settings)
        asyncio.run(_listen(server, given.port, given.parent))
    except (OSError, TypeError, ValueError) as error:
        raise UserError(f"--rows {given.rows} --port {given.port} --settings: {error}") from error
    except KeyboardInterrupt:
        pass


def _make_server(
    rows: Path,
    seed: int = 0,
    mistakes: Mapping[str, float] | None = None,
    measure: bool | None = None,
    **settings: Any,
) -> TeacherServer:
    return TeacherServer(Teacher(read_rows(rows), seed, mistakes, measure), **settings)


async def _listen(server: TeacherServer, port: int, parent: int | None) -> None:
    listener = await asyncio.start_server(server.talk, "127.0.0.1", port, backlog=1024)
    print(f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/v1", flush=True)
    while parent is None or os.getppid() == parent:
        await asyncio.sleep(SECONDS_BETWEEN_LOOKS)
    # Its parent was killed. Nobody is left to answer, and requests that hang are not worth waiting for.
    os._exit(0)
