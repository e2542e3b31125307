"""Folders of steps, replies and prompts: nothing half-written counts, nothing that was answered is lost."""

import errno
import json
import os
import subprocess
import sys

import pytest

from open_vr1.cold.bridge.prompting import NEEDED, read_prompt
from open_vr1.cold.bridge.replies import Replies, request_key
from open_vr1.cold.steps import StepFolder, disk_errors, fingerprint, replacing
from open_vr1.errors import UserError


def test_a_step_that_was_begun_goes_on_and_one_made_from_something_else_begins_anew(tmp_path):
    step = StepFolder(tmp_path / "step", "one")
    (step.begin() / "part").write_text("x")
    assert step.counts is None
    assert (step.begin() / "part").exists()
    step.finish({"rows": 3})
    assert step.counts == {"rows": 3} == StepFolder(tmp_path / "step", "one").counts
    other = StepFolder(tmp_path / "step", "two")
    assert other.counts is None
    assert not (other.begin() / "part").exists()


def test_a_file_is_whole_or_not_there(tmp_path):
    path = tmp_path / "file"
    with pytest.raises(RuntimeError), replacing(path) as draft:
        draft.write_text("half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with replacing(path) as draft:
        draft.write_text("whole")
    assert path.read_text() == "whole" and list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_one_message_and_a_bug_is_not(tmp_path):
    with pytest.raises(UserError, match="No space left on device.*run the same command again"), disk_errors(tmp_path):
        raise OSError(errno.ENOSPC, "no room", "some/file")
    with pytest.raises(FileNotFoundError), disk_errors(tmp_path):
        (tmp_path / "missing").read_text()


def test_a_fingerprint_is_of_the_values_alone():
    assert fingerprint({"a": 1, "b": [2]}) == fingerprint({"b": [2], "a": 1}) != fingerprint({"a": 1, "b": [3]})
    program = "from open_vr1.cold.steps import fingerprint; print(fingerprint({'b': [2], 'a': 1}))"
    env = {**os.environ, "PYTHONHASHSEED": "7"}
    printed = subprocess.run(
        [sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True
    ).stdout
    assert printed.strip() == fingerprint({"a": 1, "b": [2]})


REPLY = {"text": "yes", "reasoning": "", "finish_reason": "stop", "prompt_tokens": 3, "completion_tokens": 1}


def test_replies_survive_the_process_that_got_them(tmp_path):
    """SIGKILL right after the reply: no closing, no flush."""
    path = tmp_path / "replies.sqlite"
    program = (
        "import json, os, sys; from pathlib import Path; from open_vr1.cold.bridge.replies import Replies\n"
        "replies = Replies(Path(sys.argv[1]))\n"
        "replies.keep_reply(b'k', json.loads(sys.argv[2])); replies.keep_outcome('m', 5, {'description': 'd'})\n"
        "os.kill(os.getpid(), 9)"
    )
    killed = subprocess.run([sys.executable, "-c", program, str(path), json.dumps(REPLY)], check=False)
    assert killed.returncode == -9
    with Replies(path) as replies:
        assert replies.reply(b"k") == REPLY
        assert list(replies.outcomes("m")) == [(5, {"description": "d"})]
        assert replies.tokens() == (1, 3, 1)


def test_two_runs_do_not_write_to_one_file(tmp_path):
    with Replies(tmp_path / "replies.sqlite") as replies:
        replies.keep_reply(b"k", REPLY)
        with pytest.raises(UserError, match="another run is writing"):
            Replies(tmp_path / "replies.sqlite")


def test_failed_rows_are_finished_unless_they_are_to_be_asked_again(tmp_path):
    with Replies(tmp_path / "replies.sqlite") as replies:
        replies.keep_outcome("m", 1, {"description": "d"})
        replies.keep_outcome("m", 2, {"failed": "status 400"})
        replies.keep_outcome("other", 3, {"description": "d"})
        assert replies.finished("m") == {1, 2}
        assert replies.finished("m", with_failed=False) == {1}
        assert replies.counts("m") == (1, 1)


def test_a_request_is_known_by_all_that_is_asked():
    body = {"model": "m", "messages": [], "seed": 0}
    keys = {
        request_key(body, ["p"], 0),
        request_key({**body, "seed": 1}, ["p"], 0),
        request_key({**body, "model": "n"}, ["p"], 0),
        request_key(body, ["q"], 0),
        request_key(body, ["p"], 1),
    }
    assert len(keys) == 5 and request_key(dict(reversed(body.items())), ["p"], 0) in keys


def test_our_prompts_are_whole():
    for name in NEEDED:
        prompt = read_prompt(name)
        filled = prompt.fill(**{word: f"<{word} {{1}}>" for word in NEEDED[name]})
        assert all(f"<{word} {{1}}>" in filled for word in NEEDED[name])


def test_a_prompt_of_ones_own_is_checked(tmp_path):
    (tmp_path / "reasoning.txt").write_text("{description} {question}")
    assert read_prompt("reasoning", str(tmp_path)).hash != read_prompt("reasoning").hash
    assert read_prompt("pseudo_cot", str(tmp_path)) == read_prompt("pseudo_cot")
    (tmp_path / "reasoning.txt").write_text("{description} {questoin}")
    with pytest.raises(UserError, match=r"reasoning.txt: \{questoin\}.*\{question\}"):
        read_prompt("reasoning", str(tmp_path))
    (tmp_path / "reasoning.txt").write_text("{question}")
    with pytest.raises(UserError, match=r"\{description\} is missing"):
        read_prompt("reasoning", str(tmp_path))
    with pytest.raises(UserError, match="no such folder"):
        read_prompt("reasoning", str(tmp_path / "nowhere"))
