import pytest

from open_vr1.toy.model import build

from .tiny import build_tiny


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    path = tmp_path_factory.mktemp("tiny")
    build_tiny(path)
    return path


@pytest.fixture(scope="session")
def toy_model(tmp_path_factory):
    path = tmp_path_factory.mktemp("toy")
    build(path)
    return path
