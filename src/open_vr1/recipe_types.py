"""
Values of a recipe against the type hints of the dataclasses that take them.

TRL's parser lets YAML values through unchecked, so `learning_rate: 1e-6`, which YAML reads as text, would reach the
optimizer. Here such a number is converted and everything else of the wrong type is refused with what to write instead.
"""

from collections.abc import Iterable
from dataclasses import Field
from difflib import get_close_matches
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

from open_vr1.recipe_file import Key

WORDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    dict: "a mapping",
    list: "a list",
}

LISTS = {str: "a list of texts", float: "a list of numbers"}


class InvalidValue(Exception):
    """A value that its key cannot take."""

    def __init__(self, key: Key, message: str):
        super().__init__(message)
        self.key = key


def nearest(word: Any, known: Iterable[str]) -> str:
    """The known word that is spelled most like this one."""
    return get_close_matches(str(word), list(known), n=1, cutoff=0.0)[0]


def convert(value: Any, hint: Any, key: Key, choices: Iterable[Any] | None = None) -> Any:
    """The value as the hint wants it, or `InvalidValue`."""
    choices = list(choices or _choices(hint))
    if choices:
        return _chosen(value, choices, hint, key)
    if hint is Any:
        return value
    members = members_of(hint)
    fitting = [member for member in members if _fits(value, member)]
    if fitting:
        return _convert_inside(value, fitting[0], key)
    if float in members and isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            pass
    raise InvalidValue(key, f"{value!r} is not {_describe(members)}; {_fix(value, members)}")


def field_choices(field: Field) -> list[Any] | None:
    """What a dataclass field says it takes, where it says so."""
    choices = field.metadata.get("choices")
    return list(choices) if choices else None


def members_of(hint: Any) -> list[Any]:
    """The types that a hint allows."""
    return list(get_args(hint)) if get_origin(hint) in (Union, UnionType) else [hint]


def _choices(hint: Any) -> list[Any]:
    """The values of an enum or a literal, alone or in a union with `str`; none for any other hint."""
    members = [member for member in members_of(hint) if member not in (NoneType, str)]
    if len(members) != 1:
        return []
    if get_origin(members[0]) is Literal:
        return [] if str in members_of(hint) else list(get_args(members[0]))
    if isinstance(members[0], type) and issubclass(members[0], Enum):
        return [item.value for item in members[0]]
    return []


def _chosen(value: Any, choices: list[Any], hint: Any, key: Key) -> Any:
    if value in choices and isinstance(value, type(choices[choices.index(value)])):
        return value
    if value is None and NoneType in members_of(hint):
        return value
    if value is False and "no" in choices:
        raise InvalidValue(key, 'YAML reads no as false; write "no" in quotes')
    listed = ", ".join(map(str, choices))
    raise InvalidValue(key, f"{value!r} is none of {listed}; the nearest is {nearest(value, map(str, choices))}")


def _fits(value: Any, member: Any) -> bool:
    if get_origin(member) is Literal:
        return value in get_args(member)
    kind = dict if is_typeddict(member) else get_origin(member) or member
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, (int, float) if kind is float else kind)


def _convert_inside(value: Any, member: Any, key: Key) -> Any:
    if is_typeddict(member):
        return _convert_typed_dict(value, member, key)
    if get_origin(member) is list:
        return [convert(item, get_args(member)[0], (*key, i)) for i, item in enumerate(value)]
    if get_origin(member) is dict:
        return {name: convert(item, get_args(member)[1], (*key, name)) for name, item in value.items()}
    return value


def _convert_typed_dict(value: dict, member: Any, key: Key) -> dict:
    hints = get_type_hints(member)
    for name in value:
        if name not in hints:
            raise InvalidValue(
                (*key, name), f"unknown key; the nearest is {nearest(name, hints)}, and all are {', '.join(hints)}"
            )
    for name in sorted(member.__required_keys__):
        if name not in value:
            raise InvalidValue((*key, name), "this key is missing")
    return {name: convert(item, hints[name], (*key, name)) for name, item in value.items()}


def _describe(members: list[Any]) -> str:
    names = []
    for member in members:
        kind = dict if is_typeddict(member) else get_origin(member) or member
        name = "null" if kind is NoneType else WORDS.get(kind, str(member))
        if kind is list and get_args(member):
            name = LISTS.get(get_args(member)[0], "a list of mappings")
        names.append(name)
    return " or ".join(names)


def _fix(value: Any, members: list[Any]) -> str:
    for member in filter(is_typeddict, members):
        return f"write {{{', '.join(f'{name}: ...' for name in sorted(member.__required_keys__))}}}"
    if bool in members:
        return "write true or false, without quotes"
    if str in members and not isinstance(value, (list, dict, NoneType)):
        return f'put it in quotes: "{value}"'
    if int in members and isinstance(value, float) and value.is_integer():
        return f"write {int(value)}"
    if int in members or float in members:
        return "write a number without quotes or unit" if int in members else "write a number like 1e-6"
    if any(get_args(member)[:1] in [(kind,) for kind in LISTS] for member in members) and not isinstance(value, dict):
        return f"write [{value}]"
    return f"write {_describe(members)}"
