"""What every test runs in: no Hub, no network, an empty home, two threads; and of soaks a seeded sample.

`--soak` runs every case of every soak, `--network` also the tests that need a package index. `--live` runs nothing but the tests that
publish to a real Hub, with your own home, token and network.
"""

import os
import random
import signal
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import tripwire
from hypothesis import settings

ROOT = Path(__file__).parent.parent
OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "WANDB_MODE": "disabled",
}
# A home, an account or a proxy (whose address may be loopback) that the person running the tests has set.
PERSONAL = ("HF_HOME", "HF_TOKEN", "HF_ENDPOINT", "HF_HUB_CACHE", "XDG_CACHE_HOME", "TRACKIO_DIR")
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")

# Not in pytest_configure: the conftest of a folder named on the command line, and what it imports, comes before that.
LIVE = "--live" in sys.argv
if not LIVE:
    os.environ.update(OFFLINE)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="every case of every soak instead of a seeded sample")
    parser.addoption("--soak-seed", type=int, default=0, help="seed of the sample (default 0)")
    parser.addoption("--network", action="store_true", help="also the tests that need a package index")
    parser.addoption("--live", action="store_true", help="only the tests that publish to a real Hub with your token")


def pytest_configure(config: pytest.Config) -> None:
    os.environ.update(MPLBACKEND="Agg", TOKENIZERS_PARALLELISM="false")
    # Tiny models get slower, not faster, on every core of a large machine.
    os.environ.setdefault("OMP_NUM_THREADS", "2")
    # Started in the background, a shell has it ignored, here and in every process that a test starts and interrupts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if not LIVE:
        leave_home(config)
        tripwire.arm()

    settings.register_profile("sample", deadline=None, derandomize=True)
    settings.register_profile("soak", deadline=None, derandomize=True, max_examples=2000)
    settings.load_profile("soak" if config.getoption("--soak") else "sample")


def leave_home(config: pytest.Config) -> None:
    home = tempfile.TemporaryDirectory(prefix="open-vr1-home-", ignore_cleanup_errors=True)
    config.add_cleanup(home.cleanup)
    for name in PERSONAL:
        os.environ.pop(name, None)
    os.environ["HOME"] = home.name


def pytest_report_header(config: pytest.Config) -> str:
    return "soaks: all cases" if config.getoption("--soak") else f"soaks: sample {config.getoption('--soak-seed')}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if LIVE:
        left_out = [item for item in items if not item.get_closest_marker("live")]
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)
    else:
        for item in items:
            if item.get_closest_marker("live"):
                item.add_marker(pytest.mark.skip(reason="publishes with your token: make test-live"))
    if not config.getoption("--network"):
        for item in items:
            if item.get_closest_marker("network"):
                item.add_marker(pytest.mark.skip(reason="needs a package index: --network"))
    if config.getoption("--soak"):
        return
    soaks = defaultdict(list)
    for item in items:
        if item.get_closest_marker("soak"):
            soaks[item.nodeid.partition("[")[0]].append(item)
    left_out = set()
    for cases in soaks.values():
        size = cases[0].get_closest_marker("soak").kwargs.get("sample", 20)
        left_out |= set(cases) - set(draw(config, cases, size))
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=list(left_out))


def draw(config: pytest.Config, cases: Sequence[Any], size: int) -> list[Any]:
    """`size` of the cases in their order, the same ones for the same `--soak-seed`; all of them with `--soak`."""
    if config.getoption("--soak") or len(cases) <= size:
        return list(cases)
    chosen = random.Random(config.getoption("--soak-seed")).sample(range(len(cases)), size)
    return [cases[i] for i in sorted(chosen)]


@pytest.fixture(scope="session")
def soak_sample(pytestconfig: pytest.Config) -> Callable[[Sequence[Any], int], list[Any]]:
    """For soaks that loop inside one test: `for case in soak_sample(cases, 50)` sees all of them with `--soak`."""
    return lambda cases, size: draw(pytestconfig, cases, size)


@pytest.fixture(autouse=True)
def no_network() -> Iterator[None]:
    """Fails a test in which anything tried to leave the machine, also where the code caught the refusal."""
    yield
    attempts = tripwire.attempts.copy()
    tripwire.attempts.clear()
    if attempts:
        pytest.fail("\n".join(attempts), pytrace=False)


@pytest.fixture
def run_watched(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """
    Runs a command as a newcomer would, with an empty home and no offline switches, and fails if it tried to leave the
    machine: `done = run_watched([sys.executable, "-m", "open_vr1.sft", "--config", recipe], timeout=120)`.
    """

    def run(
        command: Sequence[str | Path], *, cwd: Path = ROOT, env: Mapping[str, str] | None = None, timeout: float = 300
    ) -> subprocess.CompletedProcess[str]:
        home = Path(tempfile.mkdtemp(prefix="home-", dir=tmp_path))
        log = home.with_suffix(".log")
        inherited = {name: value for name, value in os.environ.items() if name not in (*OFFLINE, *PROXIES)}
        paths = [str(ROOT / "tests/tripwire"), str(ROOT / "src"), inherited.get("PYTHONPATH", "")]
        watched = {
            "HOME": str(home),
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
            tripwire.LOG_VARIABLE: str(log),
        }
        done = subprocess.run(
            [str(part) for part in command],
            cwd=cwd,
            env={**inherited, **watched, **(env or {})},
            check=False,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        if log.exists():
            pytest.fail(f"{command} tried to reach the network\n{log.read_text()}", pytrace=False)
        return done

    return run
