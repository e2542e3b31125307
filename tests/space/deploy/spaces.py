"""A small Space in the place of `spaces/reasoner/`, and models as publishing leaves them: what deploying is tried on."""

import json
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import CommitOperationAdd, HfApi

from tests.hub.runs import manifest

MODEL, COLD, SPACE = "open-vr1/run", "open-vr1/run-cold", "open-vr1/run-reasoner"
FRONT = {
    "title": "Vision reasoner",
    "emoji": "🔭",
    "colorFrom": "indigo",
    "colorTo": "green",
    "sdk": "gradio",
    "sdk_version": "6.31.0",
    "python_version": "3.12",
    "app_file": "app.py",
    "short_description": "Ask about a picture and watch it think",
    "suggested_hardware": "zero-a10g",
}
# Listens where Gradio would, and shows what it was started with.
APP = """\
import http.server, json, os

SHOWN = ("CHECKPOINTS", "GRADIO_ANALYTICS_ENABLED", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        files = sorted(os.path.join(place, name)[2:] for place, _, names in os.walk(".") for name in names)
        body = json.dumps({"files": files, **{name: os.environ.get(name) for name in SHOWN}}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


place = os.environ["GRADIO_SERVER_NAME"], int(os.environ["GRADIO_SERVER_PORT"])
http.server.ThreadingHTTPServer(place, Page).serve_forever()
"""
WEIGHTS = ("config.json", "model.safetensors", "processor_config.json", "tokenizer.json", "tokenizer_config.json")


def card(**changes: Any) -> str:
    front = {key: value for key, value in {**FRONT, **changes}.items() if value is not None}
    return f"---\n{yaml.safe_dump(front, allow_unicode=True, sort_keys=False)}---\n\n# Vision reasoner\n"


def write_space(folder: Path) -> Path:
    """Also what running it there leaves behind, which is never pushed."""
    files = {
        "README.md": card().encode(),
        "app.py": APP.encode(),
        "requirements.txt": b"accelerate\n",
        "style.css": b"body {}\n",
        "examples/cones.png": b"\x89PNG" + bytes(range(256)) * 40,
        "__pycache__/app.pyc": b"\0",
        ".gradio/flagged.csv": b"x",
    }
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


PUSHED = ["README.md", "app.py", "examples/cones.png", "requirements.txt", "style.css"]


def write_model(folder: Path, made: dict[str, Any] | None = None, *, stage_ended: int | None = None) -> Path:
    """A folder with the names of a model's files in it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in WEIGHTS:
        (folder / name).write_text("{}")
    if made:
        (folder / "open_vr1.json").write_text(json.dumps(made))
    if stage_ended:
        (folder / "ptst.json").write_text(json.dumps({"stage_ended": stage_ended}))
    return folder


def cold_manifest(**values: Any) -> dict[str, Any]:
    made = manifest("c01d", **values)
    return {**made, "run": {**made["run"], "task": "sft"}, "stages": [], "model": {"name": "Qwen/base"}}


def run_manifest(cold: str = "outputs/tiny/cold", **values: Any) -> dict[str, Any]:
    """Of a run that began with the cold start of `cold_manifest`."""
    by = {key: cold_manifest()[key] for key in ("run", "git", "model", "data")}
    return {**manifest(**values), "model": {"name": cold, "revision": None, "commit": None, "made_by": by}}


def push_model(
    api: HfApi,
    repo: str,
    made: dict[str, Any] | None = None,
    *,
    branch: str = "main",
    tag: str | None = None,
    without: str = "",
    extra: dict[str, bytes] | None = None,
    base_model: str | None = None,
    private: bool = False,
) -> None:
    """One revision of a model."""
    api.create_repo(repo, private=private, exist_ok=True)
    api.create_branch(repo, branch=branch, exist_ok=True)
    files = {name: name.encode() for name in WEIGHTS if name != without} | (extra or {})
    if made:
        files["open_vr1.json"] = json.dumps(made).encode()
    front = {"license": "apache-2.0", **({"base_model": base_model} if base_model else {})}
    files["README.md"] = f"---\n{yaml.safe_dump(front)}---\n".encode()
    operations = [CommitOperationAdd(name, content) for name, content in files.items()]
    commit = api.create_commit(repo, operations, commit_message="Weights", revision=branch)
    if tag:
        api.create_tag(repo, tag=tag, revision=commit.oid)


def push_run(api: HfApi, *, private: bool = False) -> None:
    """A cold start, and a run of two stages that began with it."""
    push_model(api, COLD, cold_manifest(), private=private)
    made = run_manifest()
    push_model(api, MODEL, made, base_model=COLD, private=private)
    for step, tag in ((20, "stage-1"), (30, "stage-2")):
        push_model(api, MODEL, made, branch=f"main-step-{step:09d}", tag=tag, private=private)
