"""Teachers that fail, in each of the ways in which servers do: what a row loses by it, what the run does, what is asked again."""

import asyncio
import json
import math
import re
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from open_vr1.cold.bridge.endpoint import Endpoint, EndpointDown, RowFailed, check_endpoint
from open_vr1.cold.bridge.passes import FAILURES_TO_STOP
from open_vr1.cold.run import ColdRun
from open_vr1.errors import UserError
from open_vr1.toy import cold_source
from open_vr1.toy.teacher_server import FAULTS, is_poisoned, serve

from .small import MISTAKES, recipe, run

ROWS = 40
GONE = r"vision\.url: http.* no longer answers: .*; what has been answered is kept"
TEACHER = {"model": "toy", "attempts": 3, "wait": 0.01}


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    cold_source.build(folder / "source", seed=0, rows=ROWS)
    return folder / "source"


@pytest.fixture(scope="module")
def undisturbed(source, tmp_path_factory) -> list[dict]:
    return rows_of(run(make_recipe(source, tmp_path_factory.mktemp("undisturbed"))))


def make_recipe(source: Path, folder: Path, url: str | None = None, **keys) -> Path:
    (folder / "source").symlink_to(source)
    return recipe(folder, url, rl=None, shards=1, **keys)


def rows_of(made: ColdRun) -> list[dict]:
    """The dataset without what names the recipe, whose address differs."""
    rows = [
        row for path in sorted((made.folder / "data").glob("*.parquet")) for row in pq.read_table(path).to_pylist()
    ]
    return [{**row, "provenance": {**row["provenance"], "recipe": ""}} for row in rows]


def rejects_of(made: ColdRun) -> dict[str, dict]:
    return {row["id"]: row for row in pq.read_table(made.build / "filter" / "rejects.parquet").to_pylist()}


def log_of(url: str) -> dict:
    with urllib.request.urlopen(f"{url}/log") as reply:
        return json.load(reply)


# ----- Faults of the scripted teacher


BROKEN = ("truncated_json", "no_choices", "empty_content", "html")
STATUSES = ("408", "500", "503", "closed")
# Servers give whole seconds, which add up.
SLOW_DOWN = ("429", "429_date")


@pytest.mark.parametrize(("faults", "share"), [(STATUSES, 0.8), (BROKEN, 0.8), (SLOW_DOWN, 0.2)])
def test_faults_cost_nothing_but_time(source, tmp_path, undisturbed, faults, share):
    rates = {fault: share / len(faults) for fault in faults}
    with serve(source, seed=0, mistakes=MISTAKES, faults=rates, retry_after=0.01) as url:
        made = run(make_recipe(source, tmp_path, url, **patient(url)))
        assert min(log_of(url)["faults"][fault] for fault in faults) > 0.1 * share * ROWS
    assert rows_of(made) == undisturbed


def test_every_kind_of_fault_is_tried():
    assert {*BROKEN, *STATUSES, *SLOW_DOWN, "hang"} == set(FAULTS)


def patient(url: str, **keys) -> dict:
    """Teachers that are asked often enough; a `Retry-After` is a whole second, so many wait at a time."""
    base = {"url": url, "concurrency": 64, "attempts": 6, "wait": 0.01, **keys}
    return {"vision": {"model": "toy-vision", **base}, "reasoner": {"model": "toy-reasoner", **base}}


def test_requests_that_hang_are_asked_again(source, tmp_path, undisturbed):
    with serve(source, seed=0, mistakes=MISTAKES, faults={"hang": 0.1}) as url:
        made = run(make_recipe(source, tmp_path, url, **patient(url, timeout=0.7)))
        assert log_of(url)["faults"]["hang"] > 2
    assert rows_of(made) == undisturbed


def test_all_faults_at_once_in_several_processes(source, tmp_path, undisturbed):
    faults = {fault: 0.09 for fault in (*BROKEN, *STATUSES)}
    with serve(source, seed=0, mistakes=MISTAKES, faults=faults) as url:
        made = run(make_recipe(source, tmp_path, url, executor={"tasks": 3, "workers": 2}, **patient(url)))
    assert rows_of(made) == undisturbed


def test_poison_is_the_rejects_own_and_nobody_elses(source, tmp_path, undisturbed):
    with serve(source, seed=0, mistakes=MISTAKES, faults={"poison": 0.1}) as url:
        path = make_recipe(source, tmp_path, url, **patient(url, attempts=2))
        made = run(path)
        assert made.counts("filter")["rejected"]["no_reply"] > 0
        poisoned = {
            f"toy/{row['id']}"
            for row in pq.read_table(source, columns=["id"]).to_pylist()
            if is_poisoned(row["id"], 0, 0.1)
        }
        rejects = rejects_of(made)
        no_reply = {name for name, row in rejects.items() if row["rule"] == "no_reply"}
        # The teacher takes rows that show and ask the same for one.
        assert poisoned and poisoned <= no_reply and len(no_reply) <= len(poisoned) + 2
        assert all(
            "2 attempts, the last: status 500: the engine died" in rejects[name]["evidence"] for name in no_reply
        )
        assert rows_of(made) == [row for row in undisturbed if row["id"] not in no_reply]

        asked = Counter(log_of(url)["requests"])
        run(path)
        assert Counter(log_of(url)["requests"]) == asked, "rows that have failed are not asked again by themselves"
        run(path, "--retry_failed", "true")
        again = Counter(log_of(url)["requests"]) - asked
        assert 0 < len(again) <= len(no_reply) + 1, "they alone are, and a greeting"


def test_retry_failed_mends_what_failed(source, tmp_path, undisturbed):
    with serve(source, seed=0, mistakes=MISTAKES, faults={"poison": 0.2}) as url:
        path = make_recipe(source, tmp_path, url, **patient(url, attempts=2))
        assert run(path).counts("filter")["rejected"]["no_reply"] > 0
    port = int(url.rpartition(":")[2].removesuffix("/v1"))
    with serve(source, seed=0, mistakes=MISTAKES, port=port) as url:
        made = run(path, "--retry_failed", "true")
        answered = sum(log_of(url)["steps"].values())
    assert rows_of(made) == undisturbed
    assert 0 < answered < ROWS


@pytest.mark.parametrize("reasoning", ["reasoning", "tags"])
def test_reasoning_is_kept_wherever_it_is_given(source, tmp_path, undisturbed, reasoning):
    with serve(source, seed=0, mistakes=MISTAKES, reasoning=reasoning) as url:
        assert rows_of(run(make_recipe(source, tmp_path, url))) == undisturbed


# ----- Endpoints that are gone


@pytest.mark.parametrize("executor", [{"tasks": 2, "workers": 1}, {"tasks": 2, "workers": 2}])
def test_an_endpoint_that_dies_stops_the_run_and_rejects_nothing(source, tmp_path, undisturbed, executor):
    with started(source, latency=0.1) as (teacher, url):
        port = int(url.rpartition(":")[2].removesuffix("/v1"))
        path = make_recipe(source, tmp_path, url, executor=executor, **patient(url, concurrency=4, attempts=3))
        with dying(teacher, url, after=25), pytest.raises(UserError, match=GONE) as stop:
            run(path)
        assert "\n" not in str(stop.value)
    build = tmp_path / "cold_data" / "_build"
    assert not (build / "filter").exists()
    with serve(source, seed=0, mistakes=MISTAKES, port=port) as url:
        made = run(path)
        assert log_of(url)["steps"]["think"] < ROWS
    assert rows_of(made) == undisturbed
    assert "no_reply" not in {row["rule"] for row in rejects_of(made).values()}


@contextmanager
def dying(teacher: subprocess.Popen, url: str, after: int):
    """The teacher is killed once it has answered so often."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.02) and sum(log_of(url)["steps"].values()) < after:
            pass
        teacher.kill()

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def started(source: Path, **settings):
    """A teacher that can be killed, and its address."""
    words = ["--rows", str(source), "--settings", json.dumps({"seed": 0, "mistakes": MISTAKES, **settings})]
    command = [sys.executable, "-m", "open_vr1.toy.teacher", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as teacher:
        try:
            yield teacher, teacher.stdout.readline().strip()
        finally:
            teacher.kill()


# ----- Single requests


class Scripted(BaseHTTPRequestHandler):
    """Answers from a list: a status, headers and a body for each request, the last of them for ever."""

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.times.append(time.monotonic())
        script = self.server.script
        status, headers, body = script.pop(0) if len(script) > 1 else script[0]
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Length": len(data), **headers}.items():
            self.send_header(name, value() if callable(value) else str(value))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        data = json.dumps({"data": [{"id": name} for name in self.server.models]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        pass


@contextmanager
def scripted(*script, models=("toy",)):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Scripted)
    server.script, server.times, server.models = list(script), [], models
    server.url = f"http://127.0.0.1:{server.server_port}/v1"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def said(content, **message):
    return {"choices": [{"message": {"content": content, **message}, "finish_reason": "stop"}], "usage": None}


def ask(url: str, **teacher):
    async def asked():
        async with Endpoint({**TEACHER, **teacher}, url, "cold.yaml: vision") as endpoint:
            return await endpoint.ask({"model": "toy", "messages": []})

    return asyncio.run(asked())


OK = (200, {}, said("7"))


def in_a_second_and_a_half() -> str:
    return formatdate(math.ceil(time.time() + 1.2), usegmt=True)


@pytest.mark.parametrize("retry_after", ["1", in_a_second_and_a_half])
def test_nobody_asks_before_retry_after(retry_after):
    with scripted((429, {"Retry-After": retry_after}, "slow down"), OK) as server:
        assert ask(server.url)["text"] == "7"
        first, second = server.times
        assert 1.0 <= second - first < 4


@pytest.mark.parametrize("retry_after", ["soon", "-1", "nan", "Fri, 99 Nov", "0"])
def test_a_retry_after_that_says_nothing_is_not_heard(retry_after):
    with scripted((503, {"Retry-After": retry_after}, ""), OK) as server:
        assert ask(server.url)["text"] == "7"


@pytest.mark.parametrize("status", [400, 413, 422, 451])
def test_what_the_server_does_not_want_is_asked_once_and_is_the_rows(status):
    with scripted((status, {}, {"error": {"message": "too\nlong"}})) as server:
        with pytest.raises(RowFailed, match=f"^status {status}: too long$"):
            ask(server.url)
        assert len(server.times) == 1


@pytest.mark.parametrize("status", [401, 402, 403, 404])
def test_a_refusal_of_everybody_stops_the_run_and_of_one_row_does_not(status):
    with scripted((status, {}, "no")) as server, pytest.raises(EndpointDown, match=f"status {status}: no"):
        ask(server.url)
    with scripted((status, {}, "flagged"), OK) as server, pytest.raises(RowFailed, match="flagged"):
        ask(server.url)


@pytest.mark.parametrize("answer", [(500, {}, "broke"), (200, {}, "<html>"), (200, {}, said("", reasoning=None))])
def test_a_row_fails_alone_while_others_are_answered(answer):
    with (
        scripted(*[answer] * TEACHER["attempts"], OK) as server,
        pytest.raises(RowFailed, match="3 attempts, the last"),
    ):
        ask(server.url)


def test_an_endpoint_that_answers_nobody_is_down():
    with (
        scripted((503, {}, "loading")) as server,
        pytest.raises(EndpointDown, match="no longer answers: status 503: loading"),
    ):
        ask(server.url)


@pytest.mark.parametrize(
    "body",
    [
        "null",
        "[]",
        '{"choices": []}',
        '{"choices": [{}]}',
        '{"choices": [{"message": {"content": 3}}]}',
        '{"choices": null}',
    ],
)
def test_replies_of_no_shape_are_asked_again(body):
    with scripted((200, {}, body), OK) as server:
        assert ask(server.url)["text"] == "7"


def test_half_a_character_can_be_kept(tmp_path):
    with scripted((200, {}, '{"choices": [{"message": {"content": "7 \\ud83d"}}]}')) as server:
        assert ask(server.url)["text"] == "7 ?"


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_reasoning_alone_is_a_reply(name):
    with scripted((200, {}, said(None, **{name: "so"}))) as server:
        assert ask(server.url)["reasoning"] == "so"


# ----- Before the run


@pytest.mark.parametrize(
    ("answer", "models", "words"),
    [
        ((404, {}, "no such model"), ["other"], r"vision\.model: toy is not served at .*; it serves other"),
        ((404, {}, "no such path"), [], r"vision\.model: .* knows no toy .*up to and with /v1"),
        ((400, {}, {"detail": "pinned to x, not toy"}), [], r"vision\.model: .* knows no toy"),
        ((401, {}, "who?"), [], r"vision\.api_key: .* wants a key \(status 401: who\?\); write api_key"),
        ((402, {}, "pay"), [], r"vision\.url: .* wants to be paid first"),
        ((200, {}, "<html>hello</html>"), [], r"answers, but not as a model does: <html>.*/v1"),
    ],
)
def test_an_endpoint_is_refused_before_the_run(answer, models, words):
    with scripted(answer, models=models) as server, pytest.raises(UserError, match=words):
        check_endpoint(TEACHER, server.url, "cold.yaml: vision")


@pytest.mark.parametrize("answer", [OK, (400, {}, "no picture"), (429, {}, "wait"), (503, {}, "busy")])
def test_an_endpoint_that_may_answer_is_asked(answer):
    with scripted(answer, models=[]) as server:
        check_endpoint(TEACHER, server.url, "cold.yaml: vision")


def test_a_public_list_of_models_does_not_hide_a_wrong_key(monkeypatch):
    monkeypatch.setenv("THE_KEY", "wrong")
    with scripted((401, {}, "bad key")) as server, pytest.raises(UserError, match="refuses the key in THE_KEY"):
        check_endpoint({**TEACHER, "api_key": "THE_KEY"}, server.url, "cold.yaml: vision")


def test_a_request_that_no_row_gets_an_answer_to_stops_the_run(source, tmp_path):
    """Such as an option that the endpoint does not have: rows are no worse for it."""
    with scripted((400, {}, "no option top_k"), models=["toy-vision", "toy-reasoner"]) as server:
        path = make_recipe(source, tmp_path, server.url, executor={"tasks": 1})
        with pytest.raises(UserError, match="vision: not one of the first .*no option top_k") as stop:
            run(path)
        assert "\n" not in str(stop.value)
        # Requests that were under way when the run decided to stop are among the rows that it names.
        rows = int(re.search(r"first (\d+) rows", str(stop.value)).group(1))
        assert FAILURES_TO_STOP <= rows <= len(server.times) < FAILURES_TO_STOP + 20
    port = server.server_port
    with serve(source, seed=0, port=port):
        assert run(path).counts("filter")["kept"] > 0
