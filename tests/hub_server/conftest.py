import pytest
from huggingface_hub.utils import _http

from .plugin import hub, upload_path  # noqa: F401


class Clock:
    """Time for the client's retries: waiting takes none, and `waits` has how long each would have been."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)


@pytest.fixture
def waits(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(_http, "time", clock)
    return clock.waits
