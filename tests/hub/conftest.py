"""Every test here has a Hub of its own on this machine."""

import shutil
from pathlib import Path

import pytest

from open_vr1.hub.calls import Caller
from tests.cold import small
from tests.hub_server.plugin import hub, upload_path  # noqa: F401


@pytest.fixture
def caller():
    """Tries again at once, and not for long."""
    return Caller(patience=20, first_pause=0.01, longest_pause=0.05, tell=lambda _: None)


@pytest.fixture
def hurried(monkeypatch):
    """Commands try again at once, and not for long."""
    make, quick = Caller.__init__, {"first_pause": 0.01, "longest_pause": 0.05}
    monkeypatch.setattr(Caller, "__init__", lambda self, **options: make(self, **{"patience": 20, **options, **quick}))


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> dict[str, Path]:
    """What `make cold` has left of the toy world: all rows in 3 files, fewer rows in 2, and all in one without `rl`."""
    folder = tmp_path_factory.mktemp("finished")
    small.write_source(folder, 40)
    made = {}
    for name, keys in {"all": {}, "fewer": {"target_rows": 20, "shards": 2}, "one": {"rl": None, "shards": 1}}.items():
        small.run(small.recipe(folder, **keys))
        made[name] = folder / name
        shutil.copytree(folder / "cold_data", made[name])
    return made


@pytest.fixture
def cold_data(finished, tmp_path) -> Path:
    """One that a test may spoil."""
    return shutil.copytree(finished["all"], tmp_path / "cold_data")
