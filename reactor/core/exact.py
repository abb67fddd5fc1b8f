"""Exact decimal arithmetic for prices and quantities.

Python's default decimal context rounds at 28 digits, which an ATR of 17 digits times a price can pass.
Levels must not lose a tick to that, so everything in `core/` computes through the functions below: 2000
digits are more than any product of a plan's numbers, an ATR and a price can have. Comparisons need no
context: Python compares decimals exactly.
"""

from decimal import ROUND_HALF_EVEN, Context, Decimal, DivisionByZero, InvalidOperation, Overflow

import msgspec

EXACT = Context(
    prec=2000, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, DivisionByZero, Overflow]
)

add = EXACT.add
subtract = EXACT.subtract
multiply = EXACT.multiply
# A quotient seldom ends: fifty digits of it are more than any level can show.
divide = Context(prec=50, traps=[InvalidOperation, DivisionByZero, Overflow]).divide

ZERO = Decimal(0)
ONE = Decimal(1)


def floor_to(value: Decimal, step: Decimal | None) -> Decimal:
    """The largest multiple of `step` that is not above `value`; the value itself without a step.

    Args:
        value: any finite decimal, negative ones too.
        step: a positive step (tick size, lot step), or None where nothing is rounded.

    Returns:
        The rounded value, exact.
    """
    if step is None:
        return value
    # divide_int cuts towards zero, which for a negative value is upwards.
    rounded = multiply(EXACT.divide_int(value, step), step)
    return rounded if rounded <= value else subtract(rounded, step)


def places_of(step: Decimal | None) -> Decimal | None:
    """The step, if rounding to it is cutting off decimal places: 1, 0.1, 10, not 0.5; else None.

    Then `value.quantize(step, ROUND_FLOOR, EXACT)` is what `floor_to` answers, in a quarter of the time.
    """
    return step if step is not None and step.as_tuple().digits == (1,) else None


def ceil_to(value: Decimal, step: Decimal | None) -> Decimal:
    """The smallest multiple of `step` that is not below `value`; the value itself without a step."""
    if step is None:
        return value
    return floor_to(value.copy_negate(), step).copy_negate()


def from_float(value: float) -> Decimal:
    """The decimal of a float's shortest text: how an ATR enters a level."""
    return Decimal(repr(value))


double = msgspec.json.Decoder(float).decode
"""The double nearest to a price's text, a quarter of the time that `float` takes; ValueError if none."""


def nearest(value: Decimal) -> float:
    """The double nearest to a finite decimal: what `float` answers, in a third of the time."""
    return double(str(value))


def text(value: Decimal) -> str:
    """A decimal as people and exchanges write it: no exponent, no trailing zeros, no `-0`."""
    plain = str(value)
    # Nearly always so, and a third of the time that normalizing takes.
    if plain[-1] in "123456789" and "E" not in plain:
        return plain
    if not value:
        return "0"
    if "E" in plain:
        return format(EXACT.normalize(value), "f")
    return plain.rstrip("0").rstrip(".") if "." in plain else plain
