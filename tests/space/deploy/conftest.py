"""A Hub of this machine, a Space to deploy and a model to deploy it on."""

import pytest

from open_vr1.hub.calls import Caller
from tests.hub_server.plugin import hub, upload_path  # noqa: F401

from . import spaces


@pytest.fixture
def folder(tmp_path):
    return spaces.write_space(tmp_path / "reasoner")


@pytest.fixture
def api(hub):  # noqa: F811
    """The client of a Hub that has a finished run."""
    spaces.push_run(hub.api())
    hub.log.clear()
    return hub.api()


@pytest.fixture
def hurried(monkeypatch):
    """Commands try again at once, and not for long."""
    make, quick = Caller.__init__, {"patience": 0.1, "first_pause": 0.01, "longest_pause": 0.05}
    monkeypatch.setattr(Caller, "__init__", lambda self, **options: make(self, **{**options, **quick}))
