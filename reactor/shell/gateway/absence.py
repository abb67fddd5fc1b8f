"""When "order does not exist" proves that an order was never executed: a pure judgement.

A query may not see an order that exists (it lags by seconds at busy times), so its word alone proves nothing. It
does together with the position, which is as large as before, and the trades, of which there is none; and for an
order that must not be sent twice, only once the exchange would no longer take it: it refuses requests older than
their `recvWindow` at its gateway and again at the matching engine (-1021, -5028).
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from reactor.binance.rest_account_messages import PositionRisk, UserTrade
from reactor.core.decisions import Exit, Side
from reactor.core.exact import ZERO, add
from reactor.shell.gateway.built import closing_side

CLOCK_MARGIN_MS: Final = 1000
"""How far ahead of its own clock the exchange takes a timestamp, and so how far clocks may differ."""


def held_quantity(rows: Iterable[PositionRisk], symbol: str, side: Side) -> Decimal:
    """How much of a position a snapshot shows, in base units; what it does not list is flat."""
    for row in rows:
        if row.symbol == symbol and row.position_side in {"BOTH", side}:
            amount = row.position_amount if side == "LONG" else row.position_amount.copy_negate()
            if amount > 0:
                return amount
    return ZERO


def proves_absence(
    exit_: Exit,
    *,
    first_sent_ms: int,
    last_sent_ms: int,
    asked_ms: int,
    recv_window_ms: int,
    held: Decimal,
    trades: Iterable[UserTrade],
) -> bool:
    """Whether an exit of which no order was found was never executed and never will be.

    Args:
        exit_: the exit.
        first_sent_ms: when its first order left, exchange time.
        last_sent_ms: when its last one did.
        asked_ms: when the orders were asked for, exchange time.
        recv_window_ms: how old a request may be when it arrives.
        held: what the position's snapshot shows, asked for after the orders.
        trades: the symbol's trades since the order left, asked for after the orders.
    """
    closes_after_all = any(
        trade.side == closing_side(exit_.side)
        and trade.position_side in {"BOTH", exit_.side}
        and trade.time_ms >= first_sent_ms - CLOCK_MARGIN_MS
        for trade in trades
    )
    if closes_after_all or held < add(exit_.quantity, exit_.remaining):
        return False
    # A second order of a full close is harmless, and waiting is not; a partial exit must not happen twice.
    return exit_.full or asked_ms > last_sent_ms + recv_window_ms + CLOCK_MARGIN_MS
