"""Fills of the account, and what they and position rows say about a side."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

import msgspec

from reactor.core.decisions import Reason, Side
from reactor.core.exact import ZERO, add, divide, multiply, subtract
from reactor.core.machine import Machine


class Trade(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One fill of an order of the account, ours or not.

    Attributes:
        position_side: BOTH in one-way mode, else LONG or SHORT.
        buys: whether the order buys.
        reduce_only: whether the order could only reduce.
        profit: realised by this fill, before fees, in quote units; None where not told.
        commission: in the quote asset; 0 where it was paid in another.
        trade_id: with the symbol it names the fill; 0 where the exchange gave none.
        order_id: the client's id.
        ends_as: what a position that this fill closes is said to have been closed by.
    """

    symbol: str
    position_side: str
    buys: bool
    quantity: Decimal
    price: Decimal
    profit: Decimal | None
    commission: Decimal
    trade_id: int
    order_id: str
    ends_as: Reason
    t_event_ms: int
    t_ns: int
    reduce_only: bool = False


def sides(position_side: str) -> tuple[Side, ...]:
    """The sides that a row of this position side can hold."""
    if position_side == "LONG":
        return ("LONG",)
    if position_side == "SHORT":
        return ("SHORT",)
    return ("LONG", "SHORT")


def held(amount: Decimal, position_side: str, side: Side) -> Decimal:
    """What of a reported amount is held on a side."""
    if position_side == side or (amount > 0) == (side == "LONG"):
        return amount.copy_abs()
    return ZERO


def reduced_side(trade: Trade) -> Side | None:
    """The side that a trade reduces, if it reduces one; in hedge mode the other direction adds."""
    if trade.position_side == "LONG":
        return None if trade.buys else "LONG"
    if trade.position_side == "SHORT":
        return "SHORT" if trade.buys else None
    return "SHORT" if trade.buys else "LONG"


def reduces_surely(trade: Trade) -> bool:
    """Whether a trade can only have reduced a position, whatever is known of it."""
    if trade.reduce_only or trade.profit:
        return True
    return trade.position_side != "BOTH" and reduced_side(trade) is not None


def profit(trade: Trade, machine: Machine, quantity: Decimal) -> Decimal:
    """What a reducing trade earned before fees: as reported, else from the entry."""
    if trade.profit is not None:
        return trade.profit
    gain = subtract(trade.price, machine.entry)
    if machine.side == "SHORT":
        gain = gain.copy_negate()
    return multiply(quantity, gain)


def first_of_life(amount: Decimal, trades: Sequence[Trade]) -> Trade | None:
    """The trade that opened a position from flat, or from the other side.

    Args:
        amount: signed, as it is after the last of them; not 0.
        trades: of its position side, oldest first, none missing between them.

    Returns:
        None where it was open before all of them.
    """
    after = amount
    for trade in reversed(trades):
        before = subtract(after, trade.quantity if trade.buys else trade.quantity.copy_negate())
        if not before or (before > 0) != (amount > 0):
            return trade
        after = before
    return None


ENTRY_SHARE: Final = Decimal("1e-6")
"""How far an average entry that is computed may lie from the one that the exchange rounded, as a share of it."""


def is_of_earlier_life(machine: Machine, first: Trade, trades: Sequence[Trade]) -> bool:
    """Whether an epoch is surely older than a life of its position, whatever the clocks say.

    Args:
        machine: of the epoch.
        first: the trade that began the life.
        trades: of the position side, oldest first, none missing from `first` on.

    Returns:
        True where an order of the epoch was filled before that life began, or where the average entry that
        is known of the epoch is none that this life ever had.
    """
    begun = trades.index(first)
    if any(machine.orders.has_sent(trade.order_id) for trade in trades[:begun]):
        return True
    size = entry = ZERO
    for trade in trades[begun:]:
        if trade.buys != first.buys:
            size = max(ZERO, subtract(size, trade.quantity))
            continue
        # A trade that flips opens with less than its quantity, at its own price all the same.
        cost = add(multiply(size, entry), multiply(trade.quantity, trade.price))
        size = add(size, trade.quantity)
        entry = divide(cost, size)
        if subtract(entry, machine.entry).copy_abs() <= multiply(ENTRY_SHARE, machine.entry):
            return False
    return True
