"""What a person can get wrong, and what a machine can: one line on standard error, exit 2, and the same command goes on once it is mended."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from open_vr1.cold.__main__ import main
from open_vr1.cold.store import RowStore
from open_vr1.toy import cold_source
from open_vr1.toy.teacher_server import serve

from .small import MISTAKES, recipe, start

ROWS = 40
NOWHERE = "http://127.0.0.1:9/v1"


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    cold_source.build(folder / "source", seed=0, rows=ROWS)
    return folder / "source"


@pytest.fixture(scope="module")
def url(source):
    with serve(source, seed=0, mistakes=MISTAKES, api_key="right") as url:
        yield url


@pytest.fixture
def make(source, url, tmp_path, monkeypatch):
    """A recipe that runs, but for what a test changes: `make({"vision.url": ...})`."""
    monkeypatch.setenv("TOY_KEY", "right")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "source").symlink_to(source)

    def make(changes: dict | None = None) -> Path:
        path = recipe(tmp_path, url, rl=None, shards=1)
        values = yaml.safe_load(path.read_text())
        for teacher in ("vision", "reasoner"):
            values[teacher]["api_key"] = "TOY_KEY"
        for key, value in (changes or {}).items():
            *parents, last = key.split(".")
            place = values
            for parent in parents:
                place = place[int(parent) if parent.isdigit() else parent]
            place.pop(last, None) if value is None else place.update({last: value})
        path.write_text(yaml.safe_dump(values))
        return path

    return make


def refused(capsys, path: Path, *overrides: str) -> str:
    """The one line that a run ends with."""
    capsys.readouterr()
    assert main(["--config", str(path), *overrides]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    return line


def goes_on(path: Path) -> None:
    assert main(["--config", str(path)]) == 0


WRONG = [
    ({"vision.url": NOWHERE}, "cold.yaml: vision.url: http://127.0.0.1:9/v1 does not answer"),
    ({"reasoner.url": NOWHERE}, "cold.yaml: reasoner.url: http://127.0.0.1:9/v1 does not answer"),
    ({"vision.url": "127.0.0.1:8000"}, "vision.url: 127.0.0.1:8000 is no address; write one like http"),
    ({"vision.model": "toy-visions"}, "vision.model: toy-visions is not served at http"),
    ({"vision.api_key": None}, "vision.api_key: http"),
    ({"vision.api_key": "NO_SUCH_KEY"}, "vision.api_key: the environment has no variable NO_SUCH_KEY"),
    ({"vision.api_key": "HOME"}, "refuses the key in HOME (status 401: Incorrect API key provided.)"),
    ({"vision.url": None}, "vision: nothing says where the model is; write one of url"),
    ({"vision.server": "vllm"}, "vision: url and server are both there; write one of url"),
    ({"vision.serve": {"with": "a:b"}}, "vision: url and serve are both there"),
    (
        {"vision.url": None, "vision.server": "vlm"},
        "vision.server: 'vlm' is none of vllm, sglang; the nearest is vllm",
    ),
    ({"vision.url": None, "vision.server": "sglang"}, "vision.server: sglang is not installed in"),
    (
        {"vision.url": None, "vision.server": "vllm", "vision.server_options": {"tpp": 2}},
        "server_options.tpp: there is no",
    ),
    (
        {"vision.url": None, "vision.server": "vllm", "vision.generation": {"max_tokens": 9000}},
        "vision.server_options.model_max_context: 8192 does not hold generation's 9000 tokens",
    ),
    (
        {"vision.url": None, "vision.serve": {"with": "open_vr1.toy.nothing:serve"}},
        "vision.serve.with: 'open_vr1.toy.nothing:serve'",
    ),
    (
        {"vision.url": None, "vision.serve": {"with": "open_vr1.toy.teacher_server:serve", "args": {"row": 1}}},
        "vision.serve.args: open_vr1.toy.teacher_server:serve does not take them",
    ),
    ({"vision.attempts": 0}, "vision.attempts: 0 is too little"),
    ({"vision.concurrency": 0}, "vision.concurrency: 0 is too little"),
    ({"vision.timeout": 0}, "vision.timeout: 0 is too little"),
    ({"vision.temperature": 0.7}, "vision.temperature: unknown key; the nearest is"),
    ({"vision": None}, "vision and reasoner go together"),
    ({"rules": ["fromat"]}, "fromat"),
    ({"rule_options": {"length": {"min_word": 3}}}, "min_word"),
    ({"until": "reasoning"}, "until: 'reasoning' is no step of this recipe; the nearest is reason"),
    ({"sources.0.pathh": "x"}, "pathh"),
    ({"sources.0.path": "source/nothing.parquet"}, "source/nothing.parquet"),
    ({"prompts_dir": "no_prompts"}, "prompts_dir: no_prompts: there is no such folder"),
    ({"executor": {"kind": "slrm"}}, "executor.kind: 'slrm' is none of local, slurm, ray; the nearest is slurm"),
    ({"executor": {"kind": "ray"}}, "executor.kind: ray is not installed in"),
    (
        {"executor": {"kind": "slurm", "options": {"time": "1:00:00", "partition": "x"}}},
        "executor.kind: there is no sbatch here",
    ),
    (
        {"executor": {"kind": "slurm", "options": {"time": 36000, "partition": "x"}}},
        "executor.options.time: 36000 is a number",
    ),
    (
        {"executor": {"kind": "slurm", "options": {"time": "1:00:00"}}},
        "executor.options.partition: this key is missing",
    ),
    (
        {"executor": {"options": {"logging_dir": "x"}}},
        "executor.options.logging_dir: no option of datatrove's that can be set here",
    ),
    ({"executor": {"tasks": 0}}, "executor.tasks: 0 is too few"),
    ({"executor": {"workers": 0}}, "executor.workers: 0 is too few"),
    ({"output_dir": "file"}, "file"),
    ({"output_dir": "file/below"}, "file"),
    ({"output_dir": "/proc/cold"}, "/proc/cold"),
]


@pytest.mark.parametrize(
    ("changes", "words"), WRONG, ids=[" ".join(f"{k}={v}" for k, v in w[0].items())[:60] for w in WRONG]
)
def test_what_is_wrong_is_one_line_before_any_work(make, capsys, tmp_path, changes, words):
    (tmp_path / "file").write_text("in the way")
    assert words in refused(capsys, make(changes))
    left = {path.name for path in (tmp_path / "cold_data").rglob("*") if path.is_file()}
    assert left <= {"lock"}


def test_the_command_line_has_no_traceback(make, tmp_path):
    process = start(make({"vision.url": NOWHERE}), stdin=subprocess.DEVNULL)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 2
    assert output.startswith("error: ") and len(output.splitlines()) == 1


def test_after_it_is_mended_the_run_goes_on(make, capsys):
    refused(capsys, make({"vision.url": NOWHERE}))
    goes_on(make())


def test_an_endpoint_is_not_needed_for_what_does_not_ask_it(make):
    assert (
        main(["--config", str(make({"vision.url": NOWHERE, "reasoner.url": NOWHERE})), "--until", "decontaminate"])
        == 0
    )


# ----- Prompts


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        (
            "reasoning",
            "{question} {description} {awnser}",
            "reasoning.txt: {awnser}: there is no such value; the nearest is",
        ),
        ("reasoning", "{question}", "reasoning.txt: {description} is missing"),
        ("reasonings", "{question}", "reasonings.txt: there is no such prompt; the nearest is reasoning.txt"),
        ("reasoning", b"\xff\xfe{question}", "reasoning.txt: is not UTF-8"),
        ("reasoning", None, "prompts: has none of"),
    ],
)
def test_prompts_that_say_too_little_or_too_much(make, capsys, tmp_path, name, text, words):
    folder = tmp_path / "prompts"
    folder.mkdir()
    if text:
        (folder / f"{name}.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
    assert words in refused(capsys, make({"prompts_dir": str(folder)}))


# ----- Sources


def _chat(folder: Path, source: Path, rows: int = ROWS) -> Path:
    """The toy rows as a release would have them: one JSON array, pictures beside it."""
    import pyarrow.parquet as pq

    (folder / "pictures").mkdir(exist_ok=True)
    chats = []
    for i, row in enumerate(pq.read_table(source / "rows.parquet").to_pylist()[:rows]):
        (folder / "pictures" / f"{i}.png").write_bytes(row["images"][0]["bytes"])
        said = [
            {"from": "human", "value": f"<image>\n{row['question']}"},
            {"from": "gpt", "value": f"<answer>{row['answer']}</answer>"},
        ]
        chats.append({"id": str(i), "image": f"{i}.png", "conversations": said})
    path = folder / "chat.json"
    path.write_text(json.dumps(chats))
    return path


def chat_source(tmp_path: Path, **more) -> dict:
    entry = {
        "name": "toy",
        "path": str(tmp_path / "chat.json"),
        "pictures": str(tmp_path / "pictures"),
        "format": "chat",
    }
    return {"sources": [{**entry, "license": "mit", **more}]}


def test_a_file_that_breaks_off_stops_the_run_until_it_is_whole(make, capsys, tmp_path, source):
    whole = _chat(tmp_path, source).read_text()
    path = make(chat_source(tmp_path))
    (tmp_path / "chat.json").write_text(whole[: len(whole) // 2])
    assert "chat.json" in refused(capsys, path, "--until", "gather")
    (tmp_path / "chat.json").write_text(whole)
    assert main(["--config", str(path), "--until", "gather"]) == 0
    rows = [row["id"] for row in RowStore(tmp_path / "cold_data/_build/gather").read(["id"])]
    assert len(rows) == len(set(rows)) == ROWS


def test_a_folder_of_pictures_that_is_not_there(make, capsys, tmp_path, source):
    _chat(tmp_path, source)
    path = make(chat_source(tmp_path, pictures=str(tmp_path / "nowhere")))
    assert "nowhere" in refused(capsys, path, "--until", "gather")


def test_too_many_bad_rows(make, capsys, tmp_path, source):
    _chat(tmp_path, source)
    for i in range(0, ROWS, 4):
        (tmp_path / "pictures" / f"{i}.png").write_bytes(b"no picture")
    path = make({**chat_source(tmp_path), "max_bad_rows": 0.1})
    assert "10 of 40 rows cannot be used (corrupt_picture 10), more than max_bad_rows: 0.1" in refused(
        capsys, path, "--until", "gather"
    )
    assert main(["--config", str(path), "--max_bad_rows", "0.3", "--until", "gather"]) == 0


# ----- Runs that get into each other's way


def test_another_number_of_tasks_is_refused_once_rows_are_asked_about(make, capsys):
    path = make()
    assert main(["--config", str(path), "--until", "gather", "--executor", "{tasks: 5, workers: 1}"]) == 0
    assert main(["--config", str(path), "--until", "describe"]) == 0
    assert "executor.tasks: 3, but" in refused(capsys, path, "--executor", "{tasks: 3}")
    goes_on(path)


def test_a_second_run_is_refused_while_one_runs(make, capsys, source, tmp_path):
    path = make()
    with serve(source, seed=0, latency=0.3, api_key="right") as slow:
        path = make({"vision.url": slow, "vision.concurrency": 1})
        first = start(path)
        try:
            _wait_for(tmp_path / "cold_data/_build/describe", first)
            assert "another run is writing to it; wait for that one, or stop it" in refused(capsys, path)
        finally:
            os.killpg(first.pid, signal.SIGKILL)
            first.communicate()
    goes_on(make())


def _wait_for(path: Path, process: subprocess.Popen, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_says_one_line_and_leaves_nobody_behind(make, source, tmp_path, number):
    """Ctrl-C goes to all processes of a terminal, a `kill` to one."""
    with serve(source, seed=0, latency=0.3, api_key="right") as slow:
        path = make({"vision.url": slow, "vision.concurrency": 2})
        process = start(path)
        _wait_for(tmp_path / "cold_data/_build/describe/replies-00000.sqlite", process)
        time.sleep(0.3)
        (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert output.splitlines()[-1] == "stopped; what is finished is kept: run the same command again to go on"
    assert "Traceback" not in output and "Error" not in output
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


# ----- Disks


@pytest.mark.soak(sample=2)
@pytest.mark.parametrize(
    ("step", "kilobytes"),
    [("gather", 20), ("describe", 40), ("reason", 60), ("filter", 4), ("shards", 24), ("report", 8)],
)
def test_a_full_disk_is_one_line_and_the_run_goes_on(make, tmp_path, step, kilobytes):
    """No file may grow beyond a limit, which is what a disk that fills up looks like from inside a step."""
    path = make()
    before = {
        "gather": None,
        "describe": "decontaminate",
        "reason": "describe",
        "filter": "reason",
        "shards": "select",
    }
    before["report"] = "shards"
    if before[step]:
        assert main(["--config", str(path), "--until", before[step]]) == 0
    code = (
        "import resource, sys; from open_vr1.cold.__main__ import main; import open_vr1.cold.run; "
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({kilobytes} * 1024,) * 2); sys.exit(main(sys.argv[1:]))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code, "--config", str(path)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stdout + done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ") and str(tmp_path / "cold_data") in line
    goes_on(path)
