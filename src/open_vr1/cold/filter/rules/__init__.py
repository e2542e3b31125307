"""
Rules by name: what keeps a chain of thought or rejects it, with the evidence.

    checks = make_rules(["format", "repetition"], {"repetition": {"max_sentence_repeats": 6}}, where="cold.yaml")
    rejected = next(((name, found) for name, check in checks if (found := check(candidate))), None)

The paper names one filter, "rule-based", and lists none of its rules; these are ours. A rule is precise before it is
thorough: a good chain that is thrown away is data lost. Every check takes time linear in the text and never raises.
"""

import inspect
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, get_type_hints

from open_vr1.cold.filter.rules.base import Check, Rule
from open_vr1.cold.filter.rules.conclusions import contradiction
from open_vr1.cold.filter.rules.doubt import self_doubt
from open_vr1.cold.filter.rules.duplicates import near_duplicate
from open_vr1.cold.filter.rules.languages import language
from open_vr1.cold.filter.rules.leaks import leakage
from open_vr1.cold.filter.rules.loops import repetition
from open_vr1.cold.filter.rules.refusals import refusal
from open_vr1.cold.filter.rules.shape import format, length, truncated, wrong_answer
from open_vr1.errors import UserError
from open_vr1.recipe_types import InvalidValue, convert

__all__ = ["RULES", "Check", "Rule", "make_rules"]

_RULES = (
    Rule("truncated", "The chain was cut off by the length limit, or its thinking stops in mid sentence.", truncated),
    Rule(
        "format",
        "The thinking is empty, no answer or several different ones are stated, or tags or chat markers were left inside.",
        format,
    ),
    Rule("length", "The thinking has fewer or more words than the limits.", length),
    Rule("refusal", "The model declines to answer or says that it cannot see a picture.", refusal),
    Rule("wrong_answer", "The verifier does not find the stated answer equal to the gold.", wrong_answer),
    Rule("contradiction", "The last conclusion of the thinking is another answer than the stated one.", contradiction),
    Rule("self_doubt", "The thinking ends in doubt or with a guess.", self_doubt),
    Rule(
        "leakage",
        "The wording tells that the reasoner was given a text instead of the picture, or was given the gold answer.",
        leakage,
    ),
    Rule("repetition", "The thinking says the same again and again.", repetition),
    Rule("language", "The thinking is not in English, or not all of it.", language),
    Rule(
        "near_duplicate",
        "A row kept before has the same pictures and nearly the same question or thinking.",
        near_duplicate,
    ),
)
RULES: dict[str, Rule] = {rule.name: rule for rule in _RULES}


def make_rules(
    names: Sequence[str] | None, options: Mapping[str, Mapping[str, Any]] | None, where: str
) -> list[tuple[str, Check]]:
    """
    The checks of a recipe, fresh ones, in the order of `RULES`: the cheap ones first, `near_duplicate` last.

    Args:
        names (`Sequence[str]`, *optional*):
            Names from `RULES`; all of them where it is `None`.
        options (`Mapping`, *optional*):
            Options by rule name, such as `{"length": {"min_words": 50}}`.
        where (`str`):
            The recipe, for messages.
    """
    chosen = list(RULES) if names is None else _checked(names, f"{where}: rules")
    place = f"{where}: rule_options"
    if options is not None and not isinstance(options, Mapping):
        raise UserError(f"{place}: is {options!r}; write a mapping, such as length: {{min_words: 50}}")
    for name in options or {}:
        if name not in RULES:
            raise UserError(f"{place}: there is no rule {name!r}; {_nearest(name, list(RULES))}")
        if name not in chosen:
            raise UserError(f"{place}: {name!r} is not in rules; add it there or remove its options here")
    return [(name, _make(RULES[name], (options or {}).get(name), place)) for name in RULES if name in chosen]


def _checked(names: Any, place: str) -> list[str]:
    if isinstance(names, str) or not isinstance(names, Sequence):
        raise UserError(f"{place}: is {names!r}; write a list, such as [{', '.join(list(RULES)[:2])}]")
    if not names:
        raise UserError(f"{place}: is empty; leave the key out for all rules, or name some of {', '.join(RULES)}")
    for name in names:
        if name not in RULES:
            raise UserError(f"{place}: there is no rule {name!r}; {_nearest(name, list(RULES))}")
    if repeated := next((name for name in names if list(names).count(name) > 1), None):
        raise UserError(f"{place}: {repeated!r} is named twice; name it once")
    return list(names)


def _make(rule: Rule, options: Any, place: str) -> Check:
    place = f"{place}.{rule.name}"
    if options is None:
        options = {}
    if not isinstance(options, Mapping):
        raise UserError(f"{place}: is {options!r}; write a mapping of options to values")
    known = list(inspect.signature(rule.make).parameters)
    hints = get_type_hints(rule.make)
    values = {}
    for key, value in options.items():
        if not known:
            raise UserError(f"{place}: the rule takes no options, but {key!r} is given; remove it")
        if key not in known:
            raise UserError(f"{place}: there is no option {key!r}; {_nearest(key, known)}")
        try:
            values[key] = convert(value, hints[key], (key,))
        except InvalidValue as error:
            raise UserError(f"{place}.{key}: {error}") from error
    try:
        return rule.make(**values)
    except ValueError as error:
        raise UserError(f"{place}: {error}") from error


def _nearest(word: Any, words: Sequence[str]) -> str:
    near = get_close_matches(str(word), words, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(words)}"
