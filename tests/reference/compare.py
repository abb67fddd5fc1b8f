"""Whether two accounts of the same events are the same, and where they part."""

from decimal import Decimal
from fractions import Fraction
from typing import Any


def differences(expected: list[dict[str, Any]], got: list[dict[str, Any]]) -> str | None:
    for side in ("LONG", "SHORT"):
        wanted = [line for line in expected if line["side"] == side]
        said = [line for line in got if line["side"] == side]
        for index in range(max(len(wanted), len(said))):
            one = wanted[index] if index < len(wanted) else None
            two = said[index] if index < len(said) else None
            if one is None or two is None or not _same(one, two):
                return f"{side} line {index}:\n expected {shown(one)}\n got      {shown(two)}"
    return None


def _same(one: Any, two: Any) -> bool:
    if isinstance(one, dict) and isinstance(two, dict):
        return one.keys() == two.keys() and all(_same(one[key], two[key]) for key in one)
    if isinstance(one, list) and isinstance(two, list):
        return len(one) == len(two) and all(map(_same, one, two))
    if isinstance(one, Fraction) and isinstance(two, Fraction):
        return one == two or abs(one - two) <= abs(one) / 10**12
    return bool(one == two)


def shown(line: dict[str, Any] | None) -> str:
    if line is None:
        return "nothing"
    return ", ".join(f"{key}={_text(value)}" for key, value in line.items())


def _text(value: Any) -> str:
    if isinstance(value, Fraction):
        return f"{decimal_of(value):f}"
    if isinstance(value, list):
        return "[" + " ".join(map(_text, value)) + "]"
    return str(value)


def decimal_of(value: Fraction) -> Decimal:
    return Decimal(value.numerator) / Decimal(value.denominator)
