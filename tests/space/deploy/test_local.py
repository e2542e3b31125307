"""`make space-local`: exactly the files that would be pushed, on loopback, with a model of this machine and no Hub; Ctrl-C ends all of it."""

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from urllib.request import urlopen

import pytest
import tripwire

from open_vr1.space import local
from open_vr1.space.local import main

from .spaces import MODEL, PUSHED, cold_manifest, run_manifest, write_model

ROOT = Path(__file__).parents[3]


@pytest.fixture
def port():
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def run(tmp_path):
    write_model(tmp_path / "outputs/cold", cold_manifest())
    final = write_model(tmp_path / "outputs/final", run_manifest("outputs/cold"), stage_ended=2)
    write_model(final / "checkpoint-20", stage_ended=1)
    return tmp_path / "outputs/final"


class Started:
    """The command as a process, with an empty home and none of the offline switches of the tests."""

    def __init__(self, command, tmp_path, port):
        kept = {key: value for key, value in os.environ.items() if not key.endswith("_OFFLINE")}
        paths = os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests/tripwire")])
        self.log = tmp_path / "network.log"
        env = {**kept, "PYTHONPATH": paths, "HOME": str(tmp_path), tripwire.LOG_VARIABLE: str(self.log)}
        command = [sys.executable, "-m", "open_vr1.space.local", *command, "--port", str(port)]
        self.process = subprocess.Popen(
            command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.url, self.port = f"http://127.0.0.1:{port}", port

    def ready(self) -> list[str]:
        """What it says up to its last line before it waits."""
        said = []
        while not said or not said[-1].startswith("ready"):
            line = self.process.stdout.readline()
            assert line, self.process.stderr.read()
            said.append(line.strip())
        return said

    def page(self) -> dict:
        with urlopen(self.url, timeout=10) as answer:
            return json.load(answer)

    def end(self, sent: signal.Signals) -> tuple[int, str]:
        self.process.send_signal(sent)
        out, err = self.process.communicate(timeout=20)
        assert not err and not self.log.exists()
        return self.process.returncode, out


@pytest.fixture
def start(tmp_path, folder, port):
    started = []

    def go(*command: str) -> Started:
        started.append(Started([*command, "--folder", str(folder)], tmp_path, port))
        return started[-1]

    yield go
    for one in started:
        one.process.kill()
        one.process.communicate()


def is_free(port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def test_the_page_is_served_from_the_files_that_would_be_pushed(start, run, folder, port):
    app = start(str(run))
    said = app.ready()
    assert said[-1] == f"ready: http://127.0.0.1:{port}"
    page = app.page()
    assert page["files"] == PUSHED
    assert [entry["label"] for entry in json.loads(page["CHECKPOINTS"])] == ["cold start", "stage 1", "stage 2"]
    assert json.loads(page["CHECKPOINTS"])[-1]["model"] == str(run)
    assert page["GRADIO_ANALYTICS_ENABLED"] == "False"
    assert page["HF_HUB_OFFLINE"] == page["TRANSFORMERS_OFFLINE"] == "1"
    assert app.end(signal.SIGINT)[0] == 0


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "ended"])
def test_being_ended_leaves_neither_the_app_nor_its_files(start, run, port, sent, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    app = start(str(run))
    app.ready()
    code, out = app.end(sent)
    assert code == 0 and out.endswith("stopped\n")
    assert is_free(port) and not list((tmp_path / "tmp").iterdir())


def test_an_app_that_ends_by_itself_is_an_error(run, folder, port, capsys):
    (folder / "app.py").write_text("import sys; sys.exit(3)")
    assert main([str(run), "--folder", str(folder), "--port", str(port)]) == 2
    assert (
        capsys.readouterr().err
        == "error: the app has ended by itself with exit code 3; its last lines above say why\n"
    )


def test_a_port_in_use_is_named_with_another(run, folder, port, capsys):
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        assert main([str(run), "--folder", str(folder), "--port", str(port)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: PORT={port}: cannot listen there: Address already in use; write another, PORT=")


@pytest.mark.parametrize("wrong", ["70000", "-1"])
def test_a_port_that_there_is_not_is_refused(run, folder, capsys, wrong):
    assert main([str(run), "--folder", str(folder), "--port", wrong]) == 2
    assert f"PORT={wrong}: cannot listen there" in capsys.readouterr().err


def test_a_model_that_is_not_there_names_the_command_that_makes_it(folder, port, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert main(["outputs/demo/final", "--folder", str(folder), "--port", str(port)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "error: MODEL=outputs/demo/final: there is no such folder; make demo makes it"


def test_without_gradio_it_says_how_to_install_it(run, folder, port, capsys, monkeypatch):
    monkeypatch.setattr(local, "find_spec", lambda _: None)
    assert main([str(run), "--folder", str(folder), "--port", str(port)]) == 2
    assert capsys.readouterr().err == (
        "error: gradio is not installed; make install EXTRAS=dev,eval,space installs it\n"
    )


def test_revisions_of_a_folder_are_refused(run, folder, port, capsys):
    assert main([str(run), "--revisions", "main", "--folder", str(folder), "--port", str(port)]) == 2
    assert "REVISIONS=main: a folder has none" in capsys.readouterr().err


def test_a_published_model_is_shown_here_too(hub, api, start, tmp_path, monkeypatch):
    for name, value in hub.environment(tmp_path / "home").items():
        monkeypatch.setenv(name, value)
    app = start(MODEL)
    app.ready()
    page = app.page()
    assert [entry["revision"] for entry in json.loads(page["CHECKPOINTS"])] == ["main", "stage-1", "main"]
    assert page["HF_HUB_OFFLINE"] != "1"
    assert app.end(signal.SIGINT)[0] == 0
