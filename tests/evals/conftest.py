"""Results are published on a Hub of this machine."""

import pytest

from open_vr1.hub.calls import Caller
from tests.hub_server.plugin import hub, upload_path  # noqa: F401


@pytest.fixture
def caller():
    """Tries again at once, and not for long."""
    return Caller(patience=20, first_pause=0.01, longest_pause=0.05, tell=lambda _: None)
