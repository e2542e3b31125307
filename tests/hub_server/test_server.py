"""The server itself: what no route answers fails a test, what is stored outlives it, `make hub` works for anybody."""

import os
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from huggingface_hub.utils import httpx

from tests.hub_server import local_hub
from tests.hub_server.xorbs import Xorb, files_of

from .test_uploads import noise

ROOT = Path(__file__).parents[2]
MODEL = "open-vr1/model"


def test_a_call_without_a_route_and_one_that_breaks_fail_the_test(run_tests):
    outcome = run_tests("""
        def test_known(hub):
            assert hub.api().whoami()["name"] == "writer"

        def test_unknown(hub):
            get_session().get(f"{hub.url}/api/models/open-vr1/model/something-new")

        def test_broken(hub):
            hub.repos = None
            get_session().get(f"{hub.url}/api/models/open-vr1/model")
    """)
    assert "3 passed, 2 errors" in outcome.stdout and outcome.returncode == 1
    assert "no route: GET /api/models/open-vr1/model/something-new" in outcome.stdout
    assert "AttributeError" in outcome.stdout


@pytest.fixture
def run_tests(tmp_path):
    """Runs tests in a process of their own, with the fixture `hub` as another folder would take it."""

    def run(tests: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "conftest.py").write_text("from tests.hub_server.plugin import hub\n")
        head = "from huggingface_hub.utils import get_session\n"
        (tmp_path / "test_it.py").write_text(head + textwrap.dedent(tests))
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", tmp_path, tmp_path]
        env = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]),
        }
        return subprocess.run(command, cwd=tmp_path, env=env, check=False, capture_output=True, text=True, timeout=60)

    return run


def test_a_folder_is_found_again(tmp_path, hub):
    with local_hub(tmp_path / "kept") as first:
        api = first.api()
        api.create_repo(MODEL, private=True)
        api.upload_file(path_or_fileobj=noise(50_000), path_in_repo="model.bin", repo_id=MODEL)
        api.upload_file(path_or_fileobj=b"old", path_in_repo="old.txt", repo_id=MODEL)
        api.create_tag(MODEL, tag="v1", tag_message="One")
        api.delete_file("old.txt", MODEL)
        api.create_pull_request(MODEL, "Better")
        before = api.list_repo_commits(MODEL), api.list_repo_refs(MODEL, include_pull_requests=True)
    with local_hub(tmp_path / "kept") as second:
        api = second.api()
        assert (api.list_repo_commits(MODEL), api.list_repo_refs(MODEL, include_pull_requests=True)) == before
        assert api.list_repo_files(MODEL) == [".gitattributes", "model.bin"]
        assert "old.txt" in api.list_repo_files(MODEL, revision="v1")
        assert api.repo_info(MODEL).private and api.get_discussion_details(MODEL, 1).title == "Better"
        path = api.hf_hub_download(MODEL, "model.bin", cache_dir=tmp_path / "cache")
        assert Path(path).read_bytes() == noise(50_000)


def test_the_log_knows_who_asked_for_what(hub):
    hub.api("read").repo_exists(MODEL)
    (call,) = hub.log.calls()
    assert (call.method, call.path, call.account, call.status) == ("GET", f"/api/models/{MODEL}", "reader", 404)
    assert str(call) == f"404 GET /api/models/{MODEL}"


def test_other_programs_use_it_by_their_environment(hub, run_watched, tmp_path):
    hub.api().create_repo(MODEL)
    code = f"""
        import huggingface_hub
        huggingface_hub.upload_file(path_or_fileobj=b"0" * 20_000, path_in_repo="a.bin", repo_id="{MODEL}")
        print(huggingface_hub.hf_hub_download("{MODEL}", "a.bin"))
    """
    done = run_watched(
        [sys.executable, "-c", textwrap.dedent(code)], env=hub.environment(tmp_path / "home"), timeout=60
    )
    assert done.returncode == 0, done.stderr
    path = Path(done.stdout.strip())
    assert path.read_bytes() == b"0" * 20_000 and path.is_relative_to(tmp_path / "home")
    assert hub.log.calls("POST", "/v1/xorbs/")


def test_make_hub_prints_two_lines_to_export(tmp_path):
    command = [sys.executable, "-m", "tests.hub_server", "--port", "0", "--folder", tmp_path / "kept"]
    hub = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        lines = [hub.stdout.readline(), hub.stdout.readline()]
        url = re.fullmatch(r"export HF_ENDPOINT=(http://127\.0\.0\.1:\d+)\n", lines[0])[1]
        token = re.fullmatch(r"export HF_TOKEN=(\w+)\n", lines[1])[1]
        with httpx.Client(trust_env=False) as client:
            who = client.get(f"{url}/api/whoami-v2", headers={"Authorization": f"Bearer {token}"})
        assert who.json()["name"] == "writer"
        port = url.rpartition(":")[2]
        other = subprocess.run(
            [*command[:4], port, *command[5:]], check=False, cwd=ROOT, capture_output=True, text=True, timeout=60
        )
        assert other.returncode == 1 and f"error: cannot serve on port {port}" in other.stderr
        hub.send_signal(signal.SIGINT)
        hub.communicate(timeout=20)
        assert hub.returncode == 0
    finally:
        hub.kill()


@pytest.mark.parametrize("content", [b"", b"\x01" * 20, b"\0\xff\0\0\0\0\0\0", b"\0\0\0\0\x07\0\0\0"])
def test_what_is_no_xorb_is_refused(tmp_path, content):
    (tmp_path / "xorb").write_bytes(content)
    with pytest.raises(ValueError):
        Xorb.read(tmp_path / "xorb")


@pytest.mark.parametrize("content", [b"", b"\0" * 48, b"\0" * 90])
def test_what_is_no_shard_is_refused(content):
    with pytest.raises(Exception, match="unpack"):
        files_of(content)
