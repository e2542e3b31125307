"""docs/cold.md says what the code does."""

from inspect import signature
from pathlib import Path

import pytest

from open_vr1.cold.filter.rules import RULES
from open_vr1.cold.run import STEPS

PAGE = Path("docs/cold.md").read_text()
TABLE = [line for line in PAGE.splitlines() if line.startswith("| `") and line.count("|") == 4]


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_stands_there_with_its_options(rule):
    (row,) = [line for line in TABLE if line.startswith(f"| `{rule}` |")]
    for name, parameter in signature(RULES[rule].make).parameters.items():
        assert f"`{name}: {parameter.default:g}`" in row


def test_the_rules_stand_in_their_order():
    assert [line.split("`")[1] for line in TABLE] == list(RULES)


def test_every_step_stands_there():
    for step in STEPS:
        assert f"\n| {step} | " in PAGE


def test_every_file_that_is_linked_is_there():
    for target in {part.partition(")")[0] for part in PAGE.split("](")[1:]}:
        assert (Path("docs") / target).exists(), target
