"""A small benchmark, a recipe that asks a server that knows its answers, and a Hub of this machine."""

from pathlib import Path

import pytest
import yaml
from datasets import load_dataset
from PIL import ImageFile

from open_vr1.hub.calls import Caller
from open_vr1.toy.world import build
from tests.hub_server.plugin import hub, upload_path  # noqa: F401


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    build(folder / "world", seed=0, test=40)
    return folder / "world" / "test.parquet"


@pytest.fixture(scope="session")
def rows(world):
    return list(load_dataset("parquet", data_files=str(world), split="train"))


@pytest.fixture
def write_recipe(world, tmp_path, monkeypatch):
    """Writes `eval.yaml` for an address, with other keys where they are given."""
    monkeypatch.chdir(tmp_path)

    def write(url: str | None = None, **keys) -> str:
        values = {
            "task": "eval",
            "model_name_or_path": "open-vr1/model",
            "benchmarks": [{"name": "toy", "path": str(world)}],
            "temperature": 0.7,
            "max_completion_length": 64,
            "output_dir": "out",
        }
        if url:
            values |= {"engine": "endpoint", "endpoint": {"url": url, "model": "model", "wait": 0.01, "attempts": 2}}
        Path("eval.yaml").write_text(yaml.safe_dump(values | keys, sort_keys=False))
        return "eval.yaml"

    return write


@pytest.fixture
def caller():
    """Tries again at once, and not for long."""
    return Caller(patience=20, first_pause=0.01, longest_pause=0.05, tell=lambda _: None)


@pytest.fixture(autouse=True)
def whole_pictures(monkeypatch):
    """The harness lets the whole process read half a picture as a whole one; other tests do not run in that."""
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", False)
