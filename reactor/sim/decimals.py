"""How the exchange writes numbers: exact decimals as strings, never floats."""

from decimal import Decimal

ZERO = Decimal(0)


def plain(value: Decimal) -> str:
    """Return the shortest exact spelling, as in user events: ``0.500`` becomes ``0.5``.

    Args:
        value: Any finite decimal.

    Returns:
        A string without exponent and without trailing zeros.
    """
    if not value:
        return "0"
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def fixed(value: Decimal, places: int) -> str:
    """Return the value with a fixed number of decimals, as in REST answers.

    Args:
        value: Any finite decimal.
        places: Digits after the point, 0 to 12.
    """
    return format(value, f".{places}f")


def spelled(value: Decimal, places: int) -> str:
    """Return the same as :func:`fixed`, quicker when the value already has these decimals.

    Market frames are made tens of thousands of times a second, mostly from prices that were read
    with the right number of digits.
    """
    text = str(value)
    dot = text.find(".")
    if dot > 0 and len(text) - dot - 1 == places and "E" not in text:
        return text
    return format(value, f".{places}f")


def places_of(step: Decimal) -> int:
    """Return how many decimals a tick or step has: ``0.10`` has 2."""
    exponent = step.as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def floor_to(value: Decimal, step: Decimal) -> Decimal:
    """Return the greatest multiple of ``step`` that is not above a non-negative ``value``."""
    return (value // step) * step
