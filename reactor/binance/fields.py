"""The rules of `amounts.py` as field types for msgspec structs.

A type checker sees what a field holds, a `Decimal`, a `str`; msgspec sees a type that it does not know, hands
the JSON value to `rules_hook`, and so every field states its rule where it is declared. Decoders of such structs
need `dec_hook=rules_hook`.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final

from msgspec import Meta

from reactor.binance.amounts import (
    amount,
    flag,
    loose_id,
    loose_text,
    margin_type,
    price,
    price_or_zero,
    quantity,
    symbol,
    time_ms,
    whole,
)
from reactor.errors import DecodeError
from reactor.limits import ID_MAX, TIME_MS_MAX

TimeMs = Annotated[int, Meta(ge=0, le=TIME_MS_MAX)]
"""Milliseconds since the Unix epoch, as the exchange counts them."""

Id = Annotated[int, Meta(ge=0, le=ID_MAX)]
"""An order, trade or update id."""

if TYPE_CHECKING:
    Price = Decimal
    PriceOrZero = Decimal
    Quantity = Decimal
    Amount = Decimal
    Symbol = str
    Whole = int
    LooseTimeMs = int
    LooseId = int
    LooseText = str
    Flag = bool
    MarginType = str
else:

    class _Rule(type):
        """A type whose instances are the values that a rule makes.

        msgspec asks `isinstance` of what its hook returned.
        """

        produces: ClassVar[type]

        def __instancecheck__(cls, value: object) -> bool:
            return isinstance(value, cls.produces)

    def _field_type(name: str, produces: type) -> type:
        return _Rule(name, (), {"produces": produces})

    Price = _field_type("Price", Decimal)
    PriceOrZero = _field_type("PriceOrZero", Decimal)
    Quantity = _field_type("Quantity", Decimal)
    Amount = _field_type("Amount", Decimal)
    Symbol = _field_type("Symbol", str)
    Whole = _field_type("Whole", int)
    LooseTimeMs = _field_type("LooseTimeMs", int)
    LooseId = _field_type("LooseId", int)
    LooseText = _field_type("LooseText", str)
    Flag = _field_type("Flag", bool)
    MarginType = _field_type("MarginType", str)

_RULES: Final[dict[Any, Callable[[object], object]]] = {
    Price: price,
    PriceOrZero: price_or_zero,
    Quantity: quantity,
    Amount: amount,
    Symbol: symbol,
    Whole: whole,
    LooseTimeMs: time_ms,
    LooseId: loose_id,
    LooseText: loose_text,
    Flag: flag,
    MarginType: margin_type,
}


def rules_hook(field_type: type, value: object) -> object:
    """The `dec_hook` that applies a field's rule.

    Raises:
        ValueError: the rule's own sentence; msgspec adds where in the message it was.
    """
    try:
        return _RULES[field_type](value)
    except DecodeError as error:
        raise ValueError(str(error)) from None
