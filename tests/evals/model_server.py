"""A model behind an OpenAI-compatible endpoint that knows the right answers and gives them, or others, in many ways."""

import base64
import hashlib
import io
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from PIL import Image

# How an answer is given, and what it is worth; `{right}` and `{wrong}` are filled in.
WAYS: tuple[tuple[str, float], ...] = (
    ("<think> I look. </think><answer> Final Answer:{right} </answer>", 1.0),
    ("<think> I look. </think><answer> Final Answer:{wrong} </answer>", 0.0),
    ("<think> {wrong}? No. </think>\n\nSo it is \\boxed{{{right}}}.", 1.0),
    ("<think> {right}, surely, \\boxed{{{right}}} </think><answer>{wrong}</answer>", 0.0),
    ("<think> It is {right}, I think, but let me", 0.0),
    ("", 0.0),
    ("<think> hm </think><answer>{right}</answer><answer>{wrong}</answer>", 0.0),
    ("Final Answer: {right}", 1.0),
)
CUT_OFF = 4


def said(row: Mapping[str, Any], seed: int) -> tuple[str, float, bool]:
    """What the model answers to a row with this seed: the words, their worth, and whether they were cut off."""
    number = int.from_bytes(hashlib.sha256(f"{row['id']} {seed}".encode()).digest()[:4]) % len(WAYS)
    words, worth = WAYS[number]
    wrong = "Z" if row["choices"] else str(int(row["answer"]) + 1000)
    return words.format(right=row["answer"], wrong=wrong), worth, number == CUT_OFF


def fingerprint(picture: Image.Image) -> str:
    return hashlib.sha256(picture.convert("RGB").tobytes()).hexdigest()


class ModelServer(ThreadingHTTPServer):
    """
    Answers questions about the pictures of these rows.

    Args:
        rows (`Sequence[Mapping]`):
            Rows of the toy world.
        fails (`Callable[[int], tuple[int, str] | None]`, *optional*):
            The status and body that request number n gets instead of an answer.
    """

    daemon_threads = True

    def __init__(
        self, rows: Sequence[Mapping[str, Any]], fails: Callable[[int], tuple[int, str] | None] | None = None
    ):
        super().__init__(("127.0.0.1", 0), Handler)
        self.rows = {(fingerprint(row["images"][0]), row["question"]): row for row in rows}
        self.fails = fails or (lambda number: None)
        self.asked: list[dict[str, Any]] = []
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def row_of(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        content = body["messages"][-1]["content"]
        url = next(part["image_url"]["url"] for part in content if part["type"] == "image_url")
        picture = Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))
        text = "".join(part["text"] for part in content if part["type"] == "text")
        return self.rows[fingerprint(picture), text.partition("\n")[0]]


class Handler(BaseHTTPRequestHandler):
    server: ModelServer

    def do_GET(self) -> None:
        self._send(200, json.dumps({"data": [{"id": "model"}]}))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.asked.append(body)
            number = len(self.server.asked)
        if failure := self.server.fails(number):
            return self._send(*failure)
        if isinstance(body["messages"][-1]["content"], str):  # A greeting.
            return self._send(200, json.dumps({"choices": [{"message": {"content": "Hello"}}]}))
        text, _, cut_off = said(self.server.row_of(body), body["seed"])
        choice = {"message": {"content": text}, "finish_reason": "length" if cut_off else "stop"}
        self._send(200, json.dumps({"choices": [choice], "usage": {"completion_tokens": len(text.split())}}))

    def _send(self, status: int, body: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *words: Any) -> None:
        pass


@contextmanager
def serve(rows: Sequence[Mapping[str, Any]], **options: Any) -> Iterator[ModelServer]:
    server = ModelServer(rows, **options)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
