"""Names, weights and options of rewards, as a recipe gives them."""

import importlib

import pytest

from open_vr1 import rewards
from open_vr1.errors import UserError
from open_vr1.rewards.registry import REWARDS, check, resolve


def test_every_name_is_the_name_that_the_trainer_logs_and_is_reachable_by_dotted_path():
    for name, reward in REWARDS.items():
        assert reward.__name__ == name
        assert getattr(importlib.import_module("open_vr1.rewards"), name) is reward
        assert name in rewards.__all__


def test_rewards_are_resolved_in_order_fresh_and_with_their_options():
    first, second = resolve(["format", "accuracy"], {"accuracy": {"tolerance": 0.05}})
    assert (first.__name__, second.__name__, second.tolerance) == ("format", "accuracy", 0.05)
    assert first is not REWARDS["format"] and REWARDS["accuracy"].tolerance == 1e-6


def test_a_contributors_own_function_is_named_by_module_and_function():
    assert resolve(["math:sqrt"])[0].__name__ == "sqrt"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((["acuracy"],), ["acuracy", "did you mean accuracy"]),
        ((["hard_format_results"],), ["hard_format_result"]),
        ((["zzz"],), ["known: accuracy, format"]),
        (([],), ["empty"]),
        (("accuracy",), ["write a list"]),
        ((["accuracy", "accuracy"],), ["accuracy is named twice"]),
        ((["no_such_module:reward"],), ["no_such_module:reward", "cannot be imported"]),
        ((["math:no_such"],), ["math:no_such", "math has no function no_such; the nearest is"]),
        ((["recipes/mine/no.py:reward"],), ["recipes/mine/no.py", "there is no such file"]),
        ((["math:pi"],), ["cannot be called"]),
        ((["accuracy", "format"], [1.0]), ["reward_weights", "1 values for 2"]),
        ((["accuracy"], ["1"]), ["reward_weights", "accuracy", "'1'"]),
        ((["accuracy"], [float("nan")]), ["nan"]),
        ((["accuracy"], [0]), ["all are 0"]),
        ((["accuracy"], None, {"accuracy": {"tolerence": 1}}), ["tolerence", "did you mean tolerance"]),
        ((["accuracy"], None, {"accuracy": {"tolerance": "big"}}), ["accuracy.tolerance", "'big'"]),
        ((["accuracy"], None, {"format": {}}), ["'format' is not in reward_funcs"]),
        ((["math:sqrt"], None, {"math:sqrt": {"x": 1}}), ["takes no options"]),
        ((["format"], None, {"format": {"allow_empty_think": 1}}), ["allow_empty_think"]),
    ],
)
def test_a_mistake_names_the_key_the_value_and_what_to_write(arguments, words):
    with pytest.raises(UserError) as error:
        check(*arguments)
    assert all(word in str(error.value) for word in words)
    assert "\n" not in str(error.value)


def test_a_right_recipe_passes():
    check(["hard_format_result", "soft_overlong"], [1.0, 0.5], {"soft_overlong": {"max_completion_length": 4096}})
