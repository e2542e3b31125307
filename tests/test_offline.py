"""The suite's own guards: they catch what they promise to catch."""

import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import tripwire

OUTSIDE = "192.0.2.1"  # reserved for documentation: nobody answers there


@pytest.fixture
def caught():
    """The attempts made inside a test that makes them on purpose, taken away before the suite's guard sees them."""
    yield tripwire.attempts
    tripwire.attempts.clear()


@pytest.fixture
def run_suite(tmp_path):
    """A suite of one file, with this suite's settings and guards."""

    def run(source, *options):
        tests = Path(__file__).parent
        shutil.copy(tests.parent / "pyproject.toml", tmp_path)
        shutil.copytree(tests / "tripwire", tmp_path / "tests/tripwire")
        shutil.copy(tests / "conftest.py", tmp_path / "tests")
        (tmp_path / "tests/test_inner.py").write_text(source)
        command = [sys.executable, "-m", "pytest", *options]
        return subprocess.run(command, check=False, cwd=tmp_path, capture_output=True, text=True, timeout=60)

    return run


def test_a_connection_to_the_outside_is_refused_and_recorded(caught):
    with pytest.raises(OSError, match=OUTSIDE):
        socket.create_connection((OUTSIDE, 443), timeout=1)
    assert len(caught) == 1 and OUTSIDE in caught[0]


@pytest.mark.parametrize("connect", ["connect", "connect_ex"])
def test_every_way_to_connect_is_refused(connect, caught):
    with socket.socket() as sock, pytest.raises(tripwire.NetworkAttempt):
        getattr(sock, connect)((OUTSIDE, 443))
    assert caught


def test_a_lookup_of_a_name_is_an_attempt(caught):
    with pytest.raises(OSError, match="example.invalid"):
        socket.getaddrinfo("example.invalid", 443)
    assert caught


def test_a_datagram_is_an_attempt(caught):
    with socket.socket(type=socket.SOCK_DGRAM) as sock, pytest.raises(tripwire.NetworkAttempt):
        sock.sendto(b"", (OUTSIDE, 53))
    assert caught


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_loopback_is_free(host):
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection((host, server.getsockname()[1])):
        pass
    assert not tripwire.attempts


def test_a_swallowed_attempt_still_fails_the_test_that_made_it(run_suite):
    outcome = run_suite(
        "import socket\n"
        "def test_swallows():\n"
        "    try:\n"
        f"        socket.create_connection(('{OUTSIDE}', 443), timeout=1)\n"
        "    except OSError:\n"
        "        pass\n"
    )
    assert outcome.returncode == 1 and OUTSIDE in outcome.stdout


def test_a_watched_command_that_reaches_out_fails_the_test(run_watched):
    swallow = f"import socket\ntry: socket.create_connection(('{OUTSIDE}', 443), timeout=1)\nexcept OSError: pass"
    with pytest.raises(pytest.fail.Exception, match=OUTSIDE):
        run_watched([sys.executable, "-c", swallow])


def test_children_of_a_watched_command_are_watched_too(run_watched):
    child = f"import socket; socket.getaddrinfo('{OUTSIDE}', 443)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    with pytest.raises(pytest.fail.Exception, match=OUTSIDE):
        run_watched([sys.executable, "-c", parent])


def test_a_watched_command_has_an_empty_home_and_no_offline_switch(run_watched):
    show = "import os; print(os.listdir(os.environ['HOME']), 'HF_HUB_OFFLINE' in os.environ)"
    assert run_watched([sys.executable, "-c", show]).stdout == "[] False\n"


@pytest.mark.parametrize(("options", "ran"), [([], 3), (["--soak"], 50), (["--soak-seed", "1"], 3)])
def test_a_soak_runs_a_sample_unless_all_of_it_is_asked_for(options, ran, run_suite):
    outcome = run_suite(
        "import pytest\n"
        "@pytest.mark.soak(sample=3)\n"
        "@pytest.mark.parametrize('case', range(50))\n"
        "def test_case(case): pass\n",
        *options,
    )
    assert f"{ran} passed" in outcome.stdout


def test_the_sample_of_a_soak_is_the_same_for_the_same_seed(soak_sample, request):
    first = soak_sample(range(1000), 5)
    assert first == soak_sample(range(1000), 5)
    assert len(first) == (1000 if request.config.getoption("--soak") else 5)
