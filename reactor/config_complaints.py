"""What is wrong with a configuration, in words that say how to mend it."""

import re
import types
from decimal import Decimal
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from reactor.errors import ConfigError

_UNITS: Final = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_SIZE: Final = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([KMGT]?B?)\s*", re.IGNORECASE)
_PLACE: Final = re.compile(r"(.*?)(?: - at `\$\.?(.*)`)?", re.DOTALL)
_WORDS: Final = {
    "`object`": "a table",
    "`array`": "a list",
    "`str`": "a text",
    "`bool`": "true or false",
    "`int`": "a whole number",
    "`float`": "a number",
    "`decimal`": "a number",
}


def size_bytes(text: str, *, key: str) -> int:
    """A size as people write it: `500MB`, `10GB`, `1000000`.

    Args:
        text: what was written.
        key: what to name in the error.

    Raises:
        ConfigError: it is no size above 0.
    """
    match = _SIZE.fullmatch(text)
    unit = match[2].upper() if match else ""
    unit = unit if unit in _UNITS else f"{unit}B"
    if match is None or unit not in _UNITS or float(match[1]) <= 0:
        raise ConfigError(f"{key} = {text!r} is no size; write it as 500MB or 10GB")
    return int(float(match[1]) * _UNITS[unit])


def require_share(value: Decimal, *, key: str, may_be_zero: bool) -> None:
    """Refuses what is no part of one.

    Raises:
        ConfigError: it is 1 or more, below 0, or 0 where that is none.
    """
    if not value.is_finite() or value >= 1 or value < 0 or (not value and not may_be_zero):
        least = "at least" if may_be_zero else "above"
        raise ConfigError(f"{key} = {value} is out of range: {least} 0, below 1 (0.005 is 0.5 %)")


def in_words(error: msgspec.ValidationError, kind: type, *, tables: Any) -> str:
    """What a validation found, with the key, the value, and what would do.

    Args:
        error: msgspec's.
        kind: what was to come out.
        tables: what went in.
    """
    match = _PLACE.fullmatch(str(error))
    assert match is not None
    what, path = match[1], match[2] or ""
    asked = _kind_at(kind, path)
    if what.startswith("Object contains unknown field"):
        key = what.split("`")[1]
        place = f"[{path}] has no key {key}" if path else f"there is no key {key}"
        known = ", ".join(sorted(get_type_hints(asked))) if _is_table(asked) else ""
        return f"{place}; there are {known}" if known else place
    value = _value_at(tables, path)
    shown = f"{path} = {value!r}" if isinstance(value, str | int | float) else path
    if what.startswith("Invalid enum value"):
        return f"{shown}: write one of {', '.join(map(str, _choices(asked)))}"
    for word, plain in _WORDS.items():
        what = what.replace(word, plain)
    return f"{shown}: {what[:1].lower()}{what[1:]}" if path else what


def _kind_at(kind: Any, path: str) -> Any:
    for word in path.replace("[...]", ".*").split(".") if path else ():
        kind = _plain(kind)
        if _is_table(kind):
            kind = get_type_hints(kind).get(re.sub(r"\[\d+\]$", "", word))
        elif get_origin(kind) is dict:
            kind = get_args(kind)[1]
        else:
            return None
    return _plain(kind)


def _plain(kind: Any) -> Any:
    """A kind without its None."""
    if get_origin(kind) in {Union, types.UnionType}:
        kinds = [one for one in get_args(kind) if one is not type(None)]
        return kinds[0] if len(kinds) == 1 else kind
    return kind


def _is_table(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _choices(kind: Any) -> tuple[Any, ...]:
    if get_origin(kind) is tuple:
        kind = get_args(kind)[0]
    return get_args(kind) if get_origin(kind) is Literal else ()


def _value_at(tables: Any, path: str) -> Any:
    for word in path.split(".") if path else ():
        if not isinstance(tables, dict) or word not in tables:
            return None
        tables = tables[word]
    return tables
