"""
`make space-local`: the Space's app on this machine, from exactly the files that `make space` would push.

    make space-local MODEL=outputs/demo/final PORT=7860

It listens on 127.0.0.1 alone. With a model of this machine it asks the Hub nothing.
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from open_vr1.console import say
from open_vr1.data_sources import looks_local
from open_vr1.entry import entry_point
from open_vr1.errors import UserError
from open_vr1.space.checkpoints import Checkpoint, Found, as_variable, find_here
from open_vr1.space.folder import CARD, SPACE, front_matter, staged

HOST, PORT = "127.0.0.1", 7860
OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
SECONDS_TO_END = 10


@entry_point
def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m open_vr1.space.local", description="Open the Space's app here.")
    parser.add_argument("model", help="a run's or a model's folder, or a repository on the Hub")
    parser.add_argument("--revisions", nargs="+", default=[], help="of a repository: branches or tags to show")
    parser.add_argument("--port", type=int, default=PORT, help="where it listens (7860)")
    parser.add_argument("--folder", type=Path, default=SPACE, help="the Space's files (spaces/reasoner)")
    given = parser.parse_args(argv)
    _check_gradio()
    _check_port(given.port)
    with tempfile.TemporaryDirectory(prefix="open-vr1-space-") as folder:
        found = _find(given.model, given.revisions, Path(folder) / "cache")
        for checkpoint in found.checkpoints:
            say(f"shows {checkpoint}")
        for words in found.left_out:
            say(f"left out: {words}")
        models = [] if _is_here(given.model) else found.models
        name = Path(given.model).name
        files = staged(given.folder, Path(folder) / "app", title=f"{name} reasoner", models=models)
        app = front_matter(files[CARD].read_text(), given.folder / CARD)["app_file"]
        _serve(Path(folder) / "app", app, _environment(found, given.port, _is_here(given.model)), given.port)


# ----- Before it is started


def _check_gradio() -> None:
    if find_spec("gradio") is None:
        raise UserError("gradio is not installed; make install EXTRAS=dev,eval,space installs it")


def _check_port(port: int) -> None:
    """As the app would: a port that was free a moment ago and is in its last rest is free."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UserError(f"PORT={port}: cannot listen there: {reason}; write another, PORT={PORT + 1}") from error


def _is_here(model: str) -> bool:
    return Path(model).is_dir() or looks_local(model)


def _find(model: str, revisions: Sequence[str], cache: Path) -> Found:
    if _is_here(model):
        if revisions:
            raise UserError(
                f"REVISIONS={' '.join(revisions)}: a folder has none; name a checkpoint: MODEL={model}/..."
            )
        return find_here(Path(model).expanduser())

    from huggingface_hub import HfApi

    from open_vr1.hub.calls import Caller, HubUnreachable, answers_within
    from open_vr1.space.published import Published

    with answers_within():
        try:
            return Published(HfApi(), Caller(patience=5, tell=say), cache).find(model, revisions)
        except HubUnreachable as error:
            say(f"not looked for the checkpoints of {model}: {error}; what this machine has of it is shown")
            return Found([Checkpoint(name, model, name) for name in revisions or ["main"]])


def _environment(found: Found, port: int, offline: bool) -> dict[str, str]:
    return {
        **os.environ,
        "CHECKPOINTS": as_variable(found.checkpoints),
        "GRADIO_SERVER_NAME": HOST,
        "GRADIO_SERVER_PORT": str(port),
        "GRADIO_ANALYTICS_ENABLED": "False",
        "PYTHONUNBUFFERED": "1",
        **(OFFLINE if offline else {}),
    }


# ----- While it runs


def _serve(folder: Path, app: str, environment: Mapping[str, str], port: int) -> None:
    """Until somebody ends it, or it ends by itself, which it should not."""
    say(f"starting the app; Ctrl-C ends it: http://{HOST}:{port}")
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    process = subprocess.Popen([sys.executable, app], cwd=folder, env=dict(environment))
    try:
        while not _answers(port) and process.poll() is None:
            time.sleep(0.2)
        if process.poll() is None:
            say(f"ready: http://{HOST}:{port}")
        code = process.wait()
    except KeyboardInterrupt:
        _end(process)
        say("stopped")
        return
    finally:
        signal.signal(signal.SIGTERM, before)
    raise UserError(f"the app has ended by itself with exit code {code}; its last lines above say why")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(SECONDS_TO_END)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((HOST, port)) == 0


if __name__ == "__main__":
    sys.exit(main())
