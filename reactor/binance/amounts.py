"""What Binance may send as a price, a quantity, a symbol or a flag, and what of it is refused.

The rules stand here once, each a function of one value; `fields.py` makes field types of them.

Numbers arrive as JSON strings and become exact decimals. A price that arrives as a JSON number is a
wrong type: it has been through a float, somewhere.
"""

import re
from decimal import Decimal
from typing import Final

from reactor.errors import DecodeError
from reactor.limits import (
    AMOUNT_ABS_MAX,
    ID_MAX,
    PRICE_MAX,
    PRICE_MIN,
    PRICE_TEXT_LENGTH_MAX,
    SYMBOL_LENGTH_MAX,
    TIME_MS_MAX,
)

# `Decimal` itself would take "NaN", " 1", "1_0" and the digits of every script.
_UNSIGNED: Final = re.compile(r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_SIGNED: Final = re.compile(r"-?" + _UNSIGNED.pattern)
_DIGITS: Final = re.compile(r"[0-9]{1,18}")


def price(text: object) -> Decimal:
    """A price as the exchange writes it.

    Args:
        text: ASCII digits with at most one dot and at most one exponent ("81235.10", "1E-7").

    Returns:
        The exact decimal, from `PRICE_MIN` to `PRICE_MAX`.

    Raises:
        DecodeError: it is no string, not a positive finite decimal, or outside the bounds.
    """
    value = _decimal(text, "price", _UNSIGNED, "a positive finite decimal")
    if not value:
        raise DecodeError(f'price "{text}" is not a positive finite decimal')
    return _in_price_bounds(value, text)


def price_or_zero(text: object) -> Decimal:
    """A price where 0 means none: a market order's, an average before the first fill.

    Raises:
        DecodeError: as `price`, but for zero.
    """
    value = _decimal(text, "price", _SIGNED, "zero or a positive finite decimal")
    if not value:
        return value.copy_abs()
    if value < 0:
        raise DecodeError(f'price "{text}" is not zero or a positive finite decimal')
    return _in_price_bounds(value, text)


def quantity(text: object) -> Decimal:
    """A quantity without a sign: of an order, a fill, a candle.

    Raises:
        DecodeError: it is no string, negative, no finite decimal, or above `AMOUNT_ABS_MAX`.
    """
    value = _decimal(text, "quantity", _SIGNED, "zero or a positive finite decimal")
    if value < 0:
        raise DecodeError(f'quantity "{text}" is not zero or a positive finite decimal')
    return _in_amount_bounds(value.copy_abs(), "quantity", text)


def amount(text: object) -> Decimal:
    """A number with a sign: a position's amount, a balance, a profit.

    Raises:
        DecodeError: it is no string, no finite decimal, or beyond `AMOUNT_ABS_MAX`.
    """
    value = _decimal(text, "amount", _SIGNED, "a finite decimal")
    return _in_amount_bounds(value, "amount", text)


def symbol(text: object) -> str:
    """A symbol or an asset. They may be non-ASCII, and they end up in URLs, logs and terminals.

    Raises:
        DecodeError: it is no string, empty, too long, or has blanks or control characters in it.
    """
    if type(text) is not str:
        raise DecodeError(f"symbol is {_json_kind(text)}, not a string")
    if not 0 < len(text) <= SYMBOL_LENGTH_MAX:
        raise DecodeError(f"symbol of {len(text)} characters, not 1 to {SYMBOL_LENGTH_MAX}")
    if not text.isprintable() or " " in text:
        raise DecodeError(f'symbol "{_shown(text)}" has characters that no symbol has')
    return text


def whole(value: object) -> int:
    """A whole number that some answers spell as text (`"leverage":"10"`, `"code":"200"`).

    Raises:
        DecodeError: it is neither a number without a fraction nor the text of one.
    """
    if type(value) is int and 0 <= value <= ID_MAX:
        return value
    if type(value) is str and _DIGITS.fullmatch(value):
        return int(value)
    raise DecodeError(f"{_json_kind(value)} where a whole number belongs")


def time_ms(value: object) -> int:
    """A time in milliseconds that has been seen as text (`listenKeyExpired`).

    Raises:
        DecodeError: as `whole`, or later than `TIME_MS_MAX`.
    """
    stamp = whole(value)
    if stamp > TIME_MS_MAX:
        raise DecodeError(f"time {stamp} ms is later than the year 2100")
    return stamp


def loose_id(value: object) -> int:
    """An id that nothing depends on: 0 for whatever is not one. Its oddities must not cost a fill."""
    try:
        return whole(value)
    except DecodeError:
        return 0


def loose_text(value: object) -> str:
    """A text that is only shown or compared: null is empty, numbers are spelled out.

    Raises:
        DecodeError: it is a list or an object.
    """
    if value is None:
        return ""
    if isinstance(value, (str, int, float)):
        return str(value)
    raise DecodeError(f"{_json_kind(value)} where a text belongs")


def flag(value: object) -> bool:
    """A boolean, which some answers spell `"true"` and `"false"`.

    Raises:
        DecodeError: it is anything else.
    """
    if type(value) is bool:
        return value
    # A tuple: a set would ask a list for its hash.
    if value in ("true", "false"):
        return value == "true"
    raise DecodeError(f"{_json_kind(value)} where true or false belongs")


def margin_type(value: object) -> str:
    """`cross` or `isolated`, which Binance spells in four ways; an unknown one as it was sent."""
    text = loose_text(value)
    lowered = text.lower()
    return {"crossed": "cross", "cross": "cross", "isolated": "isolated"}.get(lowered, text)


def _decimal(text: object, what: str, pattern: re.Pattern[str], wanted: str) -> Decimal:
    if type(text) is not str:
        raise DecodeError(f"{what} is {_json_kind(text)}, not a string")
    if len(text) > PRICE_TEXT_LENGTH_MAX:
        raise DecodeError(
            f"{what} of {len(text)} characters is over the limit of {PRICE_TEXT_LENGTH_MAX}"
        )
    if not pattern.fullmatch(text):
        raise DecodeError(f'{what} "{_shown(text)}" is not {wanted}')
    return Decimal(text)


def _in_price_bounds(value: Decimal, text: object) -> Decimal:
    if PRICE_MIN <= value <= PRICE_MAX:
        return value
    raise DecodeError(f'price "{text}" is outside {PRICE_MIN} to {PRICE_MAX}')


def _in_amount_bounds(value: Decimal, what: str, text: object) -> Decimal:
    # The comparison is of magnitudes; abs() would round to the context's digits.
    if value.copy_abs() <= AMOUNT_ABS_MAX:
        return value
    raise DecodeError(f'{what} "{text}" is beyond {AMOUNT_ABS_MAX}')


def _shown(text: str) -> str:
    """A text from outside, fit for a line of a log."""
    if text.isascii() and text.isprintable():
        return text
    return text.encode("unicode_escape").decode("ascii")


def _json_kind(value: object) -> str:
    kinds = {
        type(None): "null",
        bool: "a boolean",
        int: "a JSON number",
        float: "a JSON number",
        str: "a text",
        list: "an array",
        dict: "an object",
    }
    return kinds.get(type(value), "something else")
