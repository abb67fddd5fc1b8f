"""The orders that an exit becomes, step by step of the escalation: pure functions."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from reactor.binance.filters import SymbolFilters
from reactor.binance.orders import market_exit_orders
from reactor.core.decisions import Exit, Side
from reactor.core.exact import ceil_to, divide, floor_to, multiply, subtract, text
from reactor.shell.recorded import slice_id

Params = dict[str, str]

BOUND_PART: Final = Decimal("0.9")
"""How much of the way to the PERCENT_PRICE bound a LIMIT IOC goes: the mark moves while it travels."""

BOUND_UNKNOWN: Final = Decimal("0.05")
"""How far from the mark, as a fraction, where the contract states no bound; most state this."""

STOP_BEYOND: Final = Decimal("0.0005")
"""How far beyond the mark price the closing stop is put, as a fraction: nearer would trigger at once (-2021)."""

_ONE: Final = Decimal(1)
_TWO: Final = Decimal(2)


def market_orders(
    exit_: Exit, *, hedge: bool, filters: SymbolFilters | None, half: bool = False
) -> tuple[Params, ...]:
    """The MARKET orders of an exit; none where what is left cannot be traded.

    Args:
        exit_: the decision.
        hedge: the account's mode.
        filters: the contract's rules, as far as known.
        half: half of the quantity, unless half of it cannot be traded.
    """

    def orders(quantity: Decimal) -> tuple[Params, ...]:
        return market_exit_orders(
            symbol=exit_.symbol,
            side=exit_.side,
            hedge=hedge,
            quantity=quantity,
            filters=filters,
            client_ids=lambda number: slice_id(exit_.order_id, number),
        )

    if half:
        halved = orders(divide(exit_.quantity, _TWO))
        if halved:
            return halved
    return orders(exit_.quantity)


def limit_ioc_order(
    *,
    symbol: str,
    side: Side,
    client_id: str,
    quantity: Decimal,
    hedge: bool,
    filters: SymbolFilters | None,
    mark: Decimal,
) -> Params | None:
    """A LIMIT IOC order nearly at the price bound: what trades where a MARKET order may not.

    Args:
        symbol: the contract.
        side: of the position.
        client_id: the order's id.
        quantity: what to close; cut to one order's maximum.
        hedge: the account's mode.
        filters: the contract's rules, as far as known.
        mark: the mark price now.

    Returns:
        Its parameters; None where the quantity cannot be traded.
    """
    if filters is not None:
        quantity = floor_to(min(quantity, filters.max_qty or quantity), filters.step_size)
        if quantity < (filters.min_qty or 0):
            return None
    if quantity <= 0:
        return None
    low = filters.multiplier_down if filters is not None else None
    high = filters.multiplier_up if filters is not None else None
    tick = None if filters is None else filters.tick_size
    if side == "LONG":
        span = subtract(_ONE, low) if low is not None else BOUND_UNKNOWN
        price = ceil_to(multiply(mark, subtract(_ONE, multiply(span, BOUND_PART))), tick)
    else:
        span = subtract(high, _ONE) if high is not None else BOUND_UNKNOWN
        price = floor_to(multiply(mark, _ONE + multiply(span, BOUND_PART)), tick)
    return {
        **_common(symbol, side, hedge=hedge),
        "type": "LIMIT",
        "timeInForce": "IOC",
        "quantity": text(quantity),
        "price": text(price),
        "newClientOrderId": client_id,
        "newOrderRespType": "RESULT",
    }


def closing_stop(
    *,
    symbol: str,
    side: Side,
    client_id: str,
    hedge: bool,
    filters: SymbolFilters | None,
    mark: Decimal,
) -> Params:
    """The parameters of a closePosition stop just beyond the mark price (`POST /fapi/v1/algoOrder`).

    The order that it becomes carries the stop's id, which is the exit's own: its fills count as the exit's.
    """
    tick = None if filters is None else filters.tick_size
    if side == "LONG":
        trigger = floor_to(multiply(mark, subtract(_ONE, STOP_BEYOND)), tick)
    else:
        trigger = ceil_to(multiply(mark, _ONE + STOP_BEYOND), tick)
    params = {
        "algoType": "CONDITIONAL",
        "symbol": symbol,
        "side": closing_side(side),
        "type": "STOP_MARKET",
        "triggerPrice": text(trigger),
        "closePosition": "true",
        "workingType": "MARK_PRICE",
        "clientAlgoId": client_id,
    }
    return {**params, "positionSide": side} if hedge else params


def rebuilt(
    params: Mapping[str, str], *, side: Side, hedge: bool, filters: SymbolFilters | None
) -> Params | None:
    """One order again, by rules and mode as they are known now.

    Args:
        params: of the order that was refused.
        side: of the position.
        hedge: the account's mode now.
        filters: the contract's rules now.

    Returns:
        The same order; what no longer fits into one order is left out, for what follows to close. None where
        nothing of it can be traded.
    """
    quantity = Decimal(params["quantity"])
    if filters is not None:
        market = params["type"] == "MARKET"
        step = (filters.market_step if market else None) or filters.step_size
        most = (filters.market_max_qty if market else None) or filters.max_qty
        least = (filters.market_min_qty if market else None) or filters.min_qty
        quantity = floor_to(min(quantity, most or quantity), step)
        if quantity < (least or 0):
            return None
    if quantity <= 0:
        return None
    kept = {
        name: value for name, value in params.items() if name not in {"positionSide", "reduceOnly"}
    }
    mode = {"positionSide": side} if hedge else {"reduceOnly": "true"}
    return {**kept, **mode, "quantity": text(quantity)}


def closing_side(side: Side) -> str:
    """The side of an order that closes a position of this side."""
    return "SELL" if side == "LONG" else "BUY"


def _common(symbol: str, side: Side, *, hedge: bool) -> Params:
    mode = {"positionSide": side} if hedge else {"reduceOnly": "true"}
    return {"symbol": symbol, "side": closing_side(side), **mode}
