"""Exit orders: their ids and their parameters, as pure functions of journaled facts.

A crash between sending an order and writing that down must not send it twice. So an order's id is not
drawn but computed: a restart computes the same one and asks the exchange for it first.
"""

import re
from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache
from hashlib import blake2s
from typing import Final, Literal

from msgspec import Struct

from reactor.binance.filters import SymbolFilters
from reactor.core.exact import ceil_to, floor_to, subtract, text
from reactor.errors import InvariantError
from reactor.limits import EXIT_SLICES_MAX

Side = Literal["LONG", "SHORT"]
Purpose = Literal["exit", "hard_stop"]

PREFIX: Final = "xr-"
"""How this system's orders are told from everybody else's."""

ID_PATTERN: Final = re.compile(r"[.A-Z:/a-z0-9_-]{1,36}")
"""What Binance takes as `newClientOrderId` and `clientAlgoId` (whole text)."""

_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_INSTANCE_WIDTH: Final = 5
_POSITION_WIDTH: Final = 6
_EPOCH_WIDTH: Final = 4
_OPENED_WIDTH: Final = 4
_DECISION_WIDTH: Final = 5
_PART_WIDTH: Final = 2
_ATTEMPT_WIDTH: Final = 4

# The child order of a triggered algo stop carries the stop's own id, so a hard stop's id must not be one
# that an exit could have: the mark between epoch and decision differs.
_MARKS: Final[dict[Purpose, str]] = {"exit": "-", "hard_stop": "."}
_PURPOSES: Final[dict[str, Purpose]] = {mark: purpose for purpose, mark in _MARKS.items()}

_PARTS: Final = re.compile(
    r"xr-([0-9A-Za-z]{5})-([0-9A-Za-z]{6})-([0-9A-Za-z]{4})([0-9A-Za-z]{4})"
    r"([-.])([0-9A-Za-z]{5})([0-9A-Za-z]{2})([0-9A-Za-z]{4})"
)


class OrderIdParts(Struct, frozen=True, gc=False, kw_only=True):
    """What a client order id of ours says."""

    instance: str
    """`instance_hash` of the instance that sent it."""
    position: str
    """`position_hash` of the symbol and side it closes."""
    epoch: str
    """`epoch_hash` of the epoch's opening time."""
    epoch_number: int
    decision: int
    part: int
    attempt: int
    purpose: Purpose


def client_order_id(
    *,
    instance: str,
    symbol: str,
    side: Side,
    epoch_opened_ns: int,
    epoch_number: int,
    decision: int,
    part: int = 0,
    attempt: int = 0,
    purpose: Purpose = "exit",
) -> str:
    """The id of one order: the same facts give the same id, different ones a different id.

    `xr-IIIII-SSSSSS-NNNNOOOO-DDDDDPPAAAA`, 36 characters: hashes of the instance, of symbol and side, the
    epoch's number and a hash of its opening time, then decision, part and attempt, numbers in base 62.
    Symbols are hashed because they may be non-ASCII and of any length. Two positions of one account would
    share a hash once in some 10^10 pairs, and then still differ in their epochs.

    Args:
        instance: the configured name of this process; another instance on the account has another.
        symbol: the contract.
        side: of the position, not of the order.
        epoch_opened_ns: when the epoch opened, nanoseconds since the Unix epoch.
        epoch_number: counts the epochs of the position, 0 to 14 776 335.
        decision: counts the decisions of the epoch, 0 to 916 132 831.
        part: which slice of a split order, 0 to 3 843.
        attempt: counts the sendings of one part, 0 to 14 776 335.
        purpose: an exit order, or the hard stop that rests at the exchange.

    Raises:
        InvariantError: a number that does not fit its digits; no run of this program counts so far.
    """
    return (
        f"{PREFIX}{instance_hash(instance)}-{position_hash(symbol, side)}-"
        f"{_number(epoch_number, _EPOCH_WIDTH)}{epoch_hash(epoch_opened_ns)}{_MARKS[purpose]}"
        f"{_number(decision, _DECISION_WIDTH)}{_number(part, _PART_WIDTH)}"
        f"{_number(attempt, _ATTEMPT_WIDTH)}"
    )


def parse_client_order_id(client_id: str) -> OrderIdParts | None:
    """What one of our ids says; None for an id that is not ours."""
    found = _PARTS.fullmatch(client_id)
    if found is None:
        return None
    instance, position, epoch_number, epoch, mark, decision, part, attempt = found.groups()
    return OrderIdParts(
        instance=instance,
        position=position,
        epoch=epoch,
        epoch_number=_value(epoch_number),
        decision=_value(decision),
        part=_value(part),
        attempt=_value(attempt),
        purpose=_PURPOSES[mark],
    )


def instance_hash(instance: str) -> str:
    """How an instance appears in its order ids."""
    return _hash(instance, _INSTANCE_WIDTH)


def position_hash(symbol: str, side: Side) -> str:
    """How a position appears in its orders' ids, whatever its epoch."""
    return _hash(f"{symbol}\0{side}", _POSITION_WIDTH)


def epoch_hash(epoch_opened_ns: int) -> str:
    """How an epoch's opening time appears in its orders' ids."""
    return _hash(str(epoch_opened_ns), _OPENED_WIDTH)


def market_exit_orders(
    *,
    symbol: str,
    side: Side,
    hedge: bool,
    quantity: Decimal,
    filters: SymbolFilters | None,
    client_ids: Callable[[int], str],
) -> tuple[dict[str, str], ...]:
    """The MARKET orders that close `quantity` of a position.

    One-way mode closes with `reduceOnly`, hedge mode with `positionSide`, in which `reduceOnly` is refused
    (-1106, -4062). RESULT asks for the final state at once; ACK would only say that it was accepted.

    Args:
        symbol: the contract.
        side: of the position: a LONG is closed by a SELL.
        hedge: whether the account is in hedge mode.
        quantity: what to close, positive. It is rounded down to the market step.
        filters: the contract's rules, None where they are not known: then nothing is rounded or split.
        client_ids: gives the id of part 0, 1, ….

    Returns:
        The parameters of one order, or of several where the exchange's largest market order is smaller,
        ready to be signed; at most `EXIT_SLICES_MAX`, the rest is for the next attempt. None where
        what is left after rounding is less than the exchange trades: dust.
    """
    common = {"symbol": symbol, "side": "SELL" if side == "LONG" else "BUY", "type": "MARKET"}
    mode = {"positionSide": side} if hedge else {"reduceOnly": "true"}
    return tuple(
        {
            **common,
            **mode,
            "quantity": text(part),
            "newClientOrderId": client_ids(number),
            "newOrderRespType": "RESULT",
        }
        for number, part in enumerate(_slices(quantity, filters))
    )


def _slices(quantity: Decimal, filters: SymbolFilters | None) -> list[Decimal]:
    """The quantity in pieces that the exchange takes, largest first."""
    if filters is None:
        return [quantity] if quantity > 0 else []
    step = filters.market_step or filters.step_size
    smallest = ceil_to(filters.market_min_qty or filters.min_qty or Decimal(0), step)
    remaining = floor_to(quantity, step)
    if remaining <= 0 or remaining < smallest:
        return []
    largest = floor_to(filters.market_max_qty or remaining, step)
    if largest <= 0 or largest < smallest:
        # The rules contradict each other. The exchange may still take it, and an exit must be tried.
        return [remaining]
    slices: list[Decimal] = []
    while remaining > 0 and len(slices) < EXIT_SLICES_MAX:
        part = min(remaining, largest)
        rest = subtract(remaining, part)
        if 0 < rest < smallest:
            if subtract(remaining, smallest) >= smallest:
                # A little less now leaves a last piece that is large enough to be traded.
                part, rest = subtract(remaining, smallest), smallest
            else:
                rest = Decimal(0)  # Dust: no cut makes two tradable pieces of this.
        slices.append(part)
        remaining = rest
    return slices


# An id is computed when a stop fires: what was hashed for the epoch before is not hashed again.
@lru_cache(maxsize=4096)
def _hash(fact: str, width: int) -> str:
    number = int.from_bytes(blake2s(fact.encode(), digest_size=16).digest(), "big")
    return _number(number % len(_DIGITS) ** width, width)


def _number(value: int, width: int) -> str:
    """A number in base 62, as many digits as `width`."""
    if not 0 <= value < len(_DIGITS) ** width:
        raise InvariantError(f"{value} does not fit {width} digits of a client order id")
    if value < len(_DIGITS):  # nearly always
        return _DIGITS[value].rjust(width, "0")
    digits = ""
    for _ in range(width):
        value, digit = divmod(value, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    return digits


def _value(digits: str) -> int:
    value = 0
    for digit in digits:
        value = value * len(_DIGITS) + _DIGITS.index(digit)
    return value
