"""Answers of the exchange in the terms of reconciliation: positions, orders and people's resting orders."""

from typing import TypeVar

from reactor.binance.decode import decode_rest
from reactor.binance.orders import parse_client_order_id
from reactor.binance.rest_account_messages import AccountConfig, Order, PositionRisk
from reactor.core.decisions import Side
from reactor.core.exact import ZERO, subtract
from reactor.core.reconcile import SeenOrder, SeenPosition, SeenResting
from reactor.shell.rest_seam import RestAnswer

Row = TypeVar("Row")


def body_of(answer: RestAnswer) -> object:
    """What an answer says."""
    params = {name: str(value) for name, value in answer.params.items()}
    return decode_rest(answer.method, answer.path, answer.status, answer.body, params)


def hedge_of(answer: RestAnswer) -> bool | None:
    """Whether the account is in hedge mode; None where the answer does not say."""
    body = body_of(answer)
    return body.hedge if isinstance(body, AccountConfig) else None


def rows_of(answer: RestAnswer, kind: type[Row]) -> list[Row]:
    """The rows of this kind in an answer that is a list."""
    body = body_of(answer)
    return [row for row in body if isinstance(row, kind)] if isinstance(body, tuple) else []


def seen_position(row: PositionRisk) -> SeenPosition | None:
    """An open position; None for a flat row."""
    if not row.position_amount:
        return None
    side: Side = "LONG" if row.position_amount > 0 else "SHORT"
    return SeenPosition(
        symbol=row.symbol,
        side=side,
        quantity=row.position_amount.copy_abs(),
        entry=row.entry_price,
        t_ms=row.update_time_ms,
    )


def closed_side(order_side: str, position_side: str) -> Side:
    """The side of the position that a closing order is about."""
    if position_side == "LONG":
        return "LONG"
    if position_side == "SHORT":
        return "SHORT"
    return "LONG" if order_side == "SELL" else "SHORT"


def seen_resting(row: Order) -> SeenResting | None:
    """Somebody's order that may close; ours and those that open are left out."""
    if parse_client_order_id(row.client_order_id) is not None:
        return None
    if not row.reduce_only and row.position_side == "BOTH":
        return None
    closes = row.position_side == "BOTH" or (row.side == "SELL") == (row.position_side == "LONG")
    if not closes:
        return None
    return SeenResting(
        symbol=row.symbol,
        side=closed_side(row.side, row.position_side),
        client_id=row.client_order_id,
        quantity=subtract(row.original_quantity, row.executed_quantity),
    )


def seen_order(answer: RestAnswer) -> SeenOrder:
    """An order that was asked for by its id."""
    body = body_of(answer)
    client_id = str(answer.params.get("origClientOrderId", ""))
    symbol = str(answer.params.get("symbol", ""))
    if isinstance(body, Order):
        return SeenOrder(
            symbol=symbol, client_id=client_id, status=body.status, filled=body.executed_quantity
        )
    return SeenOrder(symbol=symbol, client_id=client_id, status="absent", filled=ZERO)
