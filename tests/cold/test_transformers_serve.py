"""The bridge on a server that we have not written, `transformers serve`, with pictures: `make test-serve` has the environment."""

import importlib.util
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from open_vr1.cold.bridge.replies import Replies
from open_vr1.errors import UserError
from open_vr1.toy import cold_source, model

from .small import recipe, run

if any(importlib.util.find_spec(name) is None for name in ("fastapi", "openai", "requests", "uvicorn")):
    pytest.skip("needs transformers[serving]: make test-serve", allow_module_level=True)

ROWS = 6


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("model")
    model.build(path)
    return path


@pytest.fixture(scope="module")
def url(tiny, tmp_path_factory):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).with_name("transformers")), "serve", str(tiny), "--device", "cpu"]
    log = tmp_path_factory.mktemp("log") / "serve.log"
    with log.open("w") as file:
        server = subprocess.Popen([*command, "--host", "127.0.0.1", "--port", str(port)], stdout=file, stderr=file)
    try:
        _wait_for(f"http://127.0.0.1:{port}/health", server, log)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.terminate()
        server.wait()


def _wait_for(url: str, server: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + 120
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except (urllib.error.URLError, OSError):
            assert server.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)


@pytest.fixture
def real(tiny, url) -> dict:
    generation = {"max_tokens": 24}
    return {"model": str(tiny), "url": url, "concurrency": 2, "generation": generation, "attempts": 3, "wait": 0.1}


def test_pictures_are_seen_and_every_row_has_a_reason(real, tmp_path):
    """A model that has learned nothing never stops by itself, and what was cut off is no description."""
    rejects = _rejects_of_a_run(tmp_path, vision=real)
    assert {row["rule"] for row in rejects} == {"no_reply"} and all("cut off" in row["evidence"] for row in rejects)
    _, prompt, completion = _tokens(tmp_path / "cold_data" / "_build" / "describe")
    seen = [len(row["question"].split()) for row in rejects]
    print(f"\n{ROWS} rows, {prompt} tokens in, {completion} out, {sum(seen)} words of questions")
    assert completion == 2 * ROWS * real["generation"]["max_tokens"]


def test_descriptions_are_reasoned_from_and_every_row_has_a_reason(real, tmp_path):
    rejects = _rejects_of_a_run(tmp_path, reasoner=real)
    assert {row["rule"] for row in rejects} == {"truncated"} and all(row["description"] for row in rejects)
    rows, _, completion = _tokens(tmp_path / "cold_data" / "_build" / "reason")
    assert (rows, completion) == (ROWS, ROWS * real["generation"]["max_tokens"])


def _rejects_of_a_run(folder: Path, **teachers: dict) -> list[dict]:
    cold_source.build(folder / "source", seed=0, rows=ROWS)
    with pytest.raises(UserError, match="no row has passed every rule"):
        run(recipe(folder, rl=None, **teachers))
    rejects = pq.read_table(folder / "cold_data" / "_build" / "filter" / "rejects.parquet").to_pylist()
    assert len(rejects) == ROWS and all(row["rule"] and row["evidence"] for row in rejects)
    return rejects


def _tokens(folder: Path) -> tuple[int, int, int]:
    """Rows that are answered, tokens in and out."""
    counted = []
    for path in folder.glob("replies-*.sqlite"):
        with Replies(path, read_only=True) as replies:
            counted.append(replies.tokens())
    return tuple(map(sum, zip(*counted, strict=True)))


def test_a_model_that_it_does_not_serve_is_one_line_before_the_run(real, tmp_path):
    cold_source.build(tmp_path / "source", seed=0, rows=ROWS)
    teacher = {**real, "model": "another/model"}
    with pytest.raises(UserError, match=r"vision\.model: .* knows no another/model"):
        run(recipe(tmp_path, vision=teacher, reasoner=teacher))
    assert not (tmp_path / "cold_data" / "_build" / "gather").exists()
