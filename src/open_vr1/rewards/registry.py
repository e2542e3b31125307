"""Rewards by name: one flat dict, checked when a recipe is read, long before a model loads.

    resolve(["hard_format_result", "my_rewards:politeness"], {"hard_format_result": {"tolerance": 0.01}})

Nothing here imports torch or trl.
"""

import copy
import dataclasses
import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from open_vr1.errors import UserError
from open_vr1.functions import NoFunction, find_function
from open_vr1.rewards import boxes, lengths, outcome, reading
from open_vr1.rewards.base import Reward

REWARDS: dict[str, Reward] = {
    "accuracy": outcome.accuracy,
    "format": outcome.format,
    "format_lenient": outcome.format_lenient,
    "hard_format_result": outcome.hard_format_result,
    "format_plus_accuracy": outcome.format_plus_accuracy,
    "tag_count": outcome.tag_count,
    "iou": boxes.iou,
    "giou": boxes.giou,
    "detection": boxes.detection,
    "point_in_box": boxes.point_in_box,
    "counting": reading.counting,
    "chart_accuracy": reading.chart_accuracy,
    "ocr": reading.ocr,
    "cosine_length": lengths.cosine_length,
    "soft_overlong": lengths.soft_overlong,
    "repetition_penalty": lengths.repetition_penalty,
}


def _nearest(word: str, words: Sequence[str]) -> str:
    near = difflib.get_close_matches(word, words, n=3, cutoff=0.4)
    return f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(words)}"


def _find(name: str) -> Callable:
    if name in REWARDS:
        return REWARDS[name]
    if ":" not in name:
        raise UserError(
            f"reward_funcs: there is no reward {name!r}; {_nearest(name, list(REWARDS))} "
            "A reward of your own is named recipes/<name>/rewards.py:function or package.module:function."
        )
    try:
        return find_function(name)
    except NoFunction as error:
        raise UserError(f"reward_funcs: {name!r}: {error}") from error


def _configure(name: str, reward: Callable, options: Mapping[str, Any]) -> Callable:
    if not dataclasses.is_dataclass(reward) or isinstance(reward, type):
        if options:
            raise UserError(f"reward_options: {name!r} takes no options, but {', '.join(options)} was given")
        return reward
    known = {entry.name: entry for entry in dataclasses.fields(reward) if entry.init}
    for key, value in options.items():
        if key not in known:
            raise UserError(f"reward_options: {name} has no option {key!r}; {_nearest(key, list(known))}")
        default = getattr(reward, key)
        wanted = (int, float) if isinstance(default, float) else type(default)
        if default is not None and (
            not isinstance(value, wanted) or isinstance(value, bool) != isinstance(default, bool)
        ):
            raise UserError(f"reward_options: {name}.{key} is {value!r}; write a {type(default).__name__}")
    try:
        return dataclasses.replace(copy.deepcopy(reward), **options)
    except ValueError as error:
        raise UserError(f"reward_options: {name}: {error}") from error


def resolve(names: Sequence[str], options: Mapping[str, Mapping[str, Any]] | None = None) -> list[Callable]:
    """
    The reward functions of a recipe, each a fresh one; raises `UserError` on a name or an option that does not exist.

    Args:
        names (`Sequence[str]`):
            Names from `REWARDS`, or functions of your own: see `open_vr1.functions`.
        options (`Mapping`, *optional*):
            Options by reward name, such as `{"accuracy": {"tolerance": 0.05}}`.
    """
    options = options or {}
    if isinstance(names, str):
        raise UserError(f"reward_funcs: is {names!r}; write a list, [{names}]")
    if not names:
        raise UserError(f"reward_funcs: is empty; name at least one of {', '.join(REWARDS)}")
    if repeated := {name for name in names if list(names).count(name) > 1}:
        raise UserError(
            f"reward_funcs: {', '.join(sorted(repeated))} is named twice; give it one larger weight instead"
        )
    if unused := [name for name in options if name not in names]:
        raise UserError(f"reward_options: {unused[0]!r} is not in reward_funcs; {_nearest(unused[0], list(names))}")
    return [_configure(name, _find(name), options.get(name) or {}) for name in names]


def check(
    names: Sequence[str],
    weights: Sequence[float] | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """Raise `UserError` unless every name and option exists and there is one finite weight, not all 0, for each reward."""
    resolve(names, options)
    if weights is None:
        return
    if len(weights) != len(names):
        raise UserError(f"reward_weights: has {len(weights)} values for {len(names)} reward_funcs; write one for each")
    for name, weight in zip(names, weights):
        if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not abs(weight) < float("inf"):
            raise UserError(f"reward_weights: the weight of {name} is {weight!r}; write a number")
    if not any(weights):
        raise UserError("reward_weights: all are 0, so nothing would be learnt; give at least one reward a weight")
