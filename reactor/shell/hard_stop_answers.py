"""What the exchange says about hard stops, from its messages to the keeper's values."""

from decimal import Decimal
from enum import Enum

from reactor.binance.decode_rest import decode_rest
from reactor.binance.filters import SymbolFilters
from reactor.binance.hard_stop_orders import quantity_bounds
from reactor.binance.messages import RestFailure
from reactor.binance.rest_account_messages import AlgoOrder, PositionRisk
from reactor.binance.rest_market_messages import PremiumIndex
from reactor.binance.user_messages import AlgoChange
from reactor.core.decisions import Side
from reactor.core.hard_stop_values import SeenStop, StopRules
from reactor.shell.rest_seam import RestAnswer


class Outcome(Enum):
    """Whether a request was executed."""

    DONE = "done"
    REFUSED = "refused"
    UNKNOWN = "unknown"


def decoded(answer: RestAnswer) -> object:
    """A REST answer, typed."""
    params = {name: str(value) for name, value in answer.params.items()}
    return decode_rest(answer.method, answer.path, answer.status, answer.body, params)


def outcome(verdict: object) -> Outcome:
    """Whether what was asked for was executed, by the answer.

    A 5xx without a code says nothing, but for the two texts that Binance documents as failures; 408 and a body
    that cannot be read say nothing either.
    """
    if isinstance(verdict, AlgoOrder):
        return Outcome.DONE
    if not isinstance(verdict, RestFailure):
        return Outcome.UNKNOWN
    if verdict.code is not None or verdict.status in {403, 418, 429}:
        return Outcome.REFUSED
    text = verdict.msg.lower()
    if verdict.status == 503 and ("service unavailable" in text or "unable to process" in text):
        return Outcome.REFUSED
    is_unsaid = verdict.status >= 500 or verdict.status == 408
    return Outcome.UNKNOWN if is_unsaid else Outcome.REFUSED


def seen_in_answer(order: AlgoOrder) -> SeenStop:
    """A conditional order as REST tells of it."""
    return SeenStop(
        client_id=order.client_algo_id,
        algo_id=order.algo_id,
        symbol=order.symbol,
        status=order.algo_status,
        side=order.side,
        position_side=order.position_side,
        order_type=order.order_type,
        trigger=order.trigger_price,
        quantity=order.quantity,
        close_position=order.close_position,
        engine_order_id=order.engine_order_id,
        executed=order.actual_quantity or Decimal(0),
        trigger_time_ms=order.trigger_time_ms,
    )


def seen_in_event(order: AlgoChange) -> SeenStop:
    """A conditional order as an ALGO_UPDATE tells of it."""
    return SeenStop(
        client_id=order.client_algo_id,
        algo_id=order.algo_id,
        symbol=order.symbol,
        status=order.status,
        side=order.side,
        position_side=order.position_side,
        order_type=order.order_type,
        trigger=order.trigger_price,
        quantity=order.quantity,
        close_position=order.close_position,
        engine_order_id=order.engine_order_id,
        executed=order.executed_quantity,
        failure=order.failure_reason,
        trigger_time_ms=order.trigger_time_ms,
    )


def open_stops(verdict: object) -> tuple[SeenStop, ...] | None:
    """The conditional orders of a list; None for what is no list."""
    if not isinstance(verdict, tuple):
        return None
    rows = tuple(seen_in_answer(row) for row in verdict if isinstance(row, AlgoOrder))
    return rows if len(rows) == len(verdict) else None


def mark_price(verdict: object, symbol: str) -> Decimal | None:
    """The mark price in an answer of premiumIndex; None where it is not there."""
    if not isinstance(verdict, tuple):
        return None
    for row in verdict:
        if isinstance(row, PremiumIndex) and row.symbol == symbol:
            return row.mark_price
    return None


def open_quantity(verdict: object, symbol: str, side: Side) -> Decimal | None:
    """How much of a position is open, by an answer of positionRisk; None for what is no such answer."""
    if not isinstance(verdict, tuple):
        return None
    for row in verdict:
        if not isinstance(row, PositionRisk):
            return None
        if row.symbol != symbol:
            continue
        amount = row.position_amount
        is_long = amount > 0 if row.position_side == "BOTH" else row.position_side == "LONG"
        if amount and is_long == (side == "LONG"):
            return abs(amount)
    return Decimal(0)  # Version 3 leaves flat positions out.


def stop_rules(filters: SymbolFilters | None) -> StopRules:
    """What a contract's filters ask of a hard stop."""
    if filters is None:
        return StopRules()
    step, smallest, largest = quantity_bounds(filters)
    return StopRules(
        tick=filters.tick_size,
        price_min=filters.min_price,
        price_max=filters.max_price,
        step=step,
        quantity_min=smallest,
        quantity_max=largest,
    )
