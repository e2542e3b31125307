"""
The fixture `hub`: a local Hub that every client in this process talks to, and that fails the test on a call that it does not
know. A folder of tests takes it with `from tests.hub_server.plugin import hub` in its conftest; a process that a test starts
gets `env=hub.environment(home)`, under `run_watched` too.

The clients read HF_ENDPOINT and the offline switches when they are imported, long before a test runs. They look up what they
made of them at every call, though, so the fixture puts the Hub's address there. Two calls go elsewhere whatever it says:
`load_dataset` of a dataset's main branch in another process (the dataset viewer; at a tag it does not), and in
huggingface_hub 1.x a card's `validate` and `push_to_hub` (upload the README like any file: the Hub checks it all the same).
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import datasets
import huggingface_hub
import pytest
from huggingface_hub import HfFileSystem, constants, hf_api
from huggingface_hub.utils import _xet, close_session

from .server import LocalHub, local_hub


def point_clients_at(hub: LocalHub, home: Path, patch: pytest.MonkeyPatch) -> None:
    for name, value in hub.environment(home).items():
        patch.setenv(name, value)
    patch.setattr(constants, "ENDPOINT", hub.url)
    patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}")
    patch.setattr(constants, "HF_HUB_OFFLINE", False)
    patch.setattr(constants, "HF_HUB_DISABLE_XET", False)
    patch.setattr(constants, "HF_HOME", str(home))
    patch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
    patch.setattr(constants, "HF_TOKEN_PATH", str(home / "token"))
    patch.setattr(hf_api.api, "endpoint", hub.url)
    patch.setattr(huggingface_hub.hffs, "endpoint", hub.url)
    patch.setattr(datasets.config, "HF_ENDPOINT", hub.url)
    patch.setattr(datasets.config, "HUB_DATASETS_URL", hub.url + "/datasets/{repo_id}/resolve/{revision}/{path}")
    patch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    patch.setattr(datasets.config, "HF_UPDATE_DOWNLOAD_COUNTS", False)
    patch.setattr(datasets.config, "HF_DATASETS_CACHE", home / "datasets")
    if "transformers.utils.hub" in sys.modules:  # It keeps the first client that it makes.
        patch.setattr(sys.modules["transformers.utils.hub"], "_hf_api", None)
    # Asks the dataset viewer, which is another host and has no counterpart here.
    patch.setattr(datasets.config, "USE_PARQUET_EXPORT", False)
    # A client that was made earlier may go through a proxy.
    close_session()
    # A port may be used again, so nothing that is remembered under the address may outlive the Hub.
    _xet.XET_CONNECTION_INFO_CACHE.clear()
    HfFileSystem.clear_instance_cache()


@pytest.fixture
def hub(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalHub]:
    """A `LocalHub` with nothing in it; the clients of this process are logged in as its `writer`."""
    folder = tmp_path_factory.mktemp("hub")
    with local_hub(folder / "server") as hub:
        point_clients_at(hub, folder / "home", monkeypatch)
        yield hub
        HfFileSystem.clear_instance_cache()
    if hub.log.unknown or hub.log.broken:
        lines = [*(f"no route: {call}" for call in hub.log.unknown), *hub.log.broken]
        pytest.fail("\n".join(["the local Hub does not know what was asked", *lines]), pytrace=False)


@pytest.fixture(params=["xet", "lfs"])
def upload_path(request: pytest.FixtureRequest, hub: LocalHub, monkeypatch: pytest.MonkeyPatch) -> str:
    """Runs the test once in each way that the client has of sending large files."""
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", request.param == "lfs")
    if request.param == "lfs":
        monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    return request.param
