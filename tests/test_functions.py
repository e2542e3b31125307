"""Functions that a recipe names: of a module or of a file beside it, found or refused with what to write."""

import os
import sys
from pathlib import Path

import pytest

from open_vr1.errors import UserError
from open_vr1.functions import NoFunction, check_function, find_function, own_code
from open_vr1.rerun_source import ask_before_a_stranger

REWARDS = """
from dataclasses import dataclass


@dataclass
class Half:
    value: float = 0.5


half = Half()


def politeness(completions, **columns):
    return [float("please" in text) for text in completions]
"""


@pytest.fixture
def file(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = Path("recipes/mine/rewards.py")
    path.parent.mkdir(parents=True)
    path.write_text(REWARDS)
    return path


def test_a_function_of_a_file_is_found_and_follows_the_file(file):
    name = f"{file}:politeness"
    check_function(name)
    assert find_function(name)(["yes please", "no"]) == [1.0, 0.0]
    assert find_function(name) is find_function(name)
    file.write_text(REWARDS.replace("please", "thanks"))
    assert find_function(name)(["yes please", "thanks"]) == [0.0, 1.0]


def test_an_edit_of_the_same_second_and_length_is_run_and_nothing_is_left_beside_the_file(file, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    for word in ("please", "thanks"):
        file.write_text(REWARDS.replace("please", word))
        os.utime(file, (1_700_000_000, 1_700_000_000))
        assert find_function(f"{file}:politeness")([word]) == [1.0]
    assert list(file.parent.iterdir()) == [file]


def test_a_function_of_a_module_is_found():
    check_function("json:dumps")
    assert find_function("json:dumps")([1]) == "[1]"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("politeness", "is no function; write package.module:function, or recipes/"),
        ("recipes/mine/rewards.py", "is no function"),
        ("recipes/mine/reward.py:politeness", "there is no"),
        ("recipes/mine/rewards.py:politness", "has no function politness; the nearest is politeness"),
        ("no_such_module:function", "no_such_module"),
    ],
)
def test_what_is_not_there_is_named_with_what_to_write(name, words, file):
    for find in (check_function, find_function):
        with pytest.raises(NoFunction, match="^[^\n]*$") as caught:
            find(name)
        assert words in str(caught.value)


def test_what_cannot_be_called_or_imported_is_said(file):
    with pytest.raises(NoFunction, match="is a Half and cannot be called"):
        find_function(f"{file}:half")
    file.write_text("import json\nraise KeyError('at import')\n")
    for _ in range(2):
        with pytest.raises(NoFunction, match="cannot be imported .KeyError: 'at import'"):
            find_function(f"{file}:politeness")
    file.write_text("def politeness(:\n")
    with pytest.raises(NoFunction, match="is no Python"):
        check_function(f"{file}:politeness")
    for code in ("raise SystemExit(0)", "raise ValueError('two\\nlines')"):
        file.write_text(code)
        with pytest.raises(NoFunction, match="^[^\n]*cannot be imported[^\n]*$"):
            find_function(f"{file}:politeness")


def test_checking_runs_nothing(file):
    file.write_text(f"{REWARDS}\nopen('ran', 'w')\n")
    check_function(f"{file}:politeness")
    assert not Path("ran").exists()
    find_function(f"{file}:politeness")
    assert Path("ran").exists()


def test_own_code_is_what_the_values_name_wherever_they_name_it(file):
    values = {
        "reward_funcs": ["accuracy", f"{file}:politeness"],
        "build": [{"path": "outputs/x", "with": f"{file}:half"}],
        "reasoner": {"serve": {"with": "open_vr1.toy.teacher:serve"}},
        "url": "http://127.0.0.1:8000",
    }
    assert own_code(values).keys() == {"recipes/mine/rewards.py"}
    assert own_code(values)["recipes/mine/rewards.py"]["text"] == REWARDS
    before = own_code(values)["recipes/mine/rewards.py"]["sha256"]
    file.write_text(f"{REWARDS}# changed\n")
    assert own_code(values)["recipes/mine/rewards.py"]["sha256"] != before


def test_a_manifest_from_the_hub_does_not_run_a_file_unseen():
    manifest = {"recipe": {"values": {"reward_funcs": ["accuracy", "recipes/mine/rewards.py:politeness"]}}}
    with pytest.raises(UserError, match=r"reward_funcs\[1\]: recipes/mine/rewards.py:politeness"):
        ask_before_a_stranger(manifest, "you/model")
