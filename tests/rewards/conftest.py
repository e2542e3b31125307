import pytest

from open_vr1.rewards.worker import ask_math_verify


def pytest_configure(config):
    config.addinivalue_line("markers", "soak: long; the default run takes a seeded sample instead")


@pytest.fixture(scope="session")
def warm_worker():
    """Starts math-verify, so that no test's clock counts its import."""
    ask_math_verify("x^2", "x x", 1e-6)
