"""The Algo service: conditional orders wait here, outside the engine, until their price comes.

Life: NEW, TRIGGERING (condition met), then a regular order is born with its own id; its fills are told
before ALGO_UPDATE TRIGGERED, as recorded on mainnet; FINISHED when the child is done. CANCELED by the
owner, REJECTED by the engine, EXPIRED with the position. Source: binance.md §5, §10.
"""

from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec

from reactor.sim import events
from reactor.sim.account import Account
from reactor.sim.decimals import ZERO
from reactor.sim.faults import FaultRule
from reactor.sim.market import Market
from reactor.sim.model import AlgoOrder, Order, Position
from reactor.sim.refusals import Refusal

if TYPE_CHECKING:
    from reactor.sim.exchange import Exchange

MARKET_TYPES = frozenset({"STOP_MARKET", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET"})
REJECTIONS = {
    -2019: "margin not enough",
    -2022: "ReduceOnly Order is rejected.",
    -4118: "ReduceOnly Order is rejected.",
}


def _facts(algo: AlgoOrder) -> dict[str, str]:
    return {
        "channel": "algo",
        "account": algo.account,
        "symbol": algo.symbol,
        "type": algo.type,
        "side": algo.side,
        "clientAlgoId": algo.client_id,
    }


def fault(exchange: "Exchange", algo: AlgoOrder, kind: str) -> FaultRule | None:
    """Return the fault of a kind that strikes this order now, if any."""
    if not exchange.faults:
        return None
    return exchange.faults.take(frozenset({kind}), _facts(algo), exchange.now_ms)


def tell(exchange: "Exchange", account: Account, algo: AlgoOrder) -> None:
    """Send an ALGO_UPDATE."""
    exchange.tell_user(account, events.algo_update(algo, time_ms=exchange.server_ms))


def accept(exchange: "Exchange", account: Account, algo: AlgoOrder) -> None:
    """Take an order in: it waits from now on."""
    account.algos[algo.algo_id] = algo
    exchange.waiting[algo.symbol][algo.algo_id] = algo
    hidden = fault(exchange, algo, "algo_invisible")
    if hidden is not None:
        algo.visible_from_ms = exchange.now_ms + exchange.faults.span_ms(hidden)
    if algo.type == "TRAILING_STOP_MARKET":
        market = exchange.markets[algo.symbol]
        algo.extreme = market.mark if algo.working_type == "MARK_PRICE" else market.last
        algo.activated = not algo.activate_price
    tell(exchange, account, algo)
    vanish = fault(exchange, algo, "vanish")
    if vanish is not None:
        rule = vanish

        def gone() -> None:
            if algo.status == "NEW":
                end(exchange, account, algo, "CANCELED", say=rule.event)
                account.closed_algos.pop(algo.algo_id, None)

        exchange.schedule(exchange.faults.span_ms(vanish), gone)


def end(
    exchange: "Exchange", account: Account, algo: AlgoOrder, status: str, *, say: bool = True
) -> None:
    """End a conditional order."""
    algo.status = status
    algo.updated_ms = exchange.server_ms
    exchange.waiting[algo.symbol].pop(algo.algo_id, None)
    account.finish_algo(algo)
    if say:
        tell(exchange, account, algo)


def crossed(algo: AlgoOrder, price: Decimal) -> bool:
    """Tell whether a price fires a stop or take profit.

    STOP*: BUY at or above the trigger, SELL at or below. TAKE_PROFIT*: the other way round.
    """
    up = (algo.side == "BUY") == algo.is_stop
    return price >= algo.trigger_price if up else price <= algo.trigger_price


def _trailed(exchange: "Exchange", algo: AlgoOrder, price: Decimal) -> bool:
    """Move a trailing order's extreme; tell whether it fires."""
    selling = algo.side == "SELL"
    if not algo.activated:
        reached = price >= algo.activate_price if selling else price <= algo.activate_price
        if not reached:
            return False
        algo.activated, algo.extreme = True, price
        tell(exchange, exchange.accounts[algo.account], algo)
        return False
    algo.extreme = max(algo.extreme, price) if selling else min(algo.extreme, price)
    rate = algo.callback_rate / 100
    if selling:
        return price <= algo.extreme * (1 - rate)
    return price >= algo.extreme * (1 + rate)


def on_price(exchange: "Exchange", market: Market, source: str, price: Decimal) -> None:
    """Fire the waiting orders of a symbol whose price this is."""
    for algo in list(exchange.waiting[market.rules.symbol].values()):
        if algo.working_type != source or algo.status != "NEW":
            continue
        fires = (
            _trailed(exchange, algo, price)
            if algo.type == "TRAILING_STOP_MARKET"
            else crossed(algo, price)
        )
        if not fires:
            continue
        if algo.price_protect:
            gap = abs(market.mark - market.last) / market.last
            if gap > market.rules.trigger_protect:
                continue
        _trigger(exchange, algo)


def _trigger(exchange: "Exchange", algo: AlgoOrder) -> None:
    account = exchange.accounts[algo.account]
    algo.status = "TRIGGERING"
    algo.trigger_ms = algo.updated_ms = exchange.server_ms
    tell(exchange, account, algo)
    if fault(exchange, algo, "stuck_triggering") is not None:
        algo.stuck = True
        return
    delay_ms = exchange.settings.trigger_ms
    slow = fault(exchange, algo, "trigger_delay")
    if slow is not None:
        delay_ms = exchange.faults.span_ms(slow)
    exchange.schedule(delay_ms, lambda: _release(exchange, account, algo))


def _release(exchange: "Exchange", account: Account, algo: AlgoOrder) -> None:
    """Put the child order into the engine."""
    from reactor.sim import orders  # noqa: PLC0415 -- orders and the engine know this module

    if algo.status != "TRIGGERING":
        return
    refused = fault(exchange, algo, "trigger_reject")
    if refused is not None:
        _reject(exchange, account, algo, refused.text or "ReduceOnly Order is rejected.")
        return
    quantity = algo.quantity
    market = exchange.markets[algo.symbol]
    if algo.close_position:
        quantity = abs(account.position(algo.symbol, algo.position_side).amount)
    limited = algo.type not in MARKET_TYPES
    ask = orders.Ask(
        symbol=algo.symbol,
        side=algo.side,
        position_side=algo.position_side,
        type="LIMIT" if limited else "MARKET",
        time_in_force="GTC" if algo.is_gte else algo.time_in_force,
        quantity=quantity,
        price=algo.price,
        stp_mode=algo.stp_mode,
        price_match=algo.price_match,
        good_till_ms=algo.good_till_ms,
        reduce_only=(algo.reduce_only or algo.close_position) and not account.hedge,
        client_id=algo.client_id,
        algo_id=algo.algo_id,
        close_position=algo.close_position,
    )
    try:
        _check_release(market, quantity)
        if limited and algo.price_match != "NONE":
            price = orders.matched_price(exchange, market, algo.side, algo.price_match)
            ask = msgspec.structs.replace(ask, price=price)
        algo.actual_type = ask.type
        order = orders.place(exchange, account, ask)
    except Refusal as refusal:
        algo.actual_type = ""
        _reject(exchange, account, algo, REJECTIONS.get(refusal.code, refusal.text))
        return
    algo.order_id = order.order_id
    exchange.schedule(
        exchange.settings.triggered_ms, lambda: _triggered(exchange, account, algo, order)
    )


def _check_release(market: Market, quantity: Decimal) -> None:
    """Refuse a trigger that has nothing to close, or a market that does not trade."""
    if not quantity:
        raise Refusal(-2022)
    if market.status != "TRADING":
        raise Refusal(-1122)


def _reject(exchange: "Exchange", account: Account, algo: AlgoOrder, reason: str) -> None:
    algo.failure = reason
    end(exchange, account, algo, "REJECTED")


def _triggered(exchange: "Exchange", account: Account, algo: AlgoOrder, order: Order) -> None:
    """Say TRIGGERED, some milliseconds after the child's first events, and FINISHED if it is done."""
    algo.status = "TRIGGERED"
    algo.updated_ms = exchange.server_ms
    exchange.waiting[algo.symbol].pop(algo.algo_id, None)
    tell(exchange, account, algo)
    if not order.is_open:
        _finished(exchange, account, algo, order)


def _finished(exchange: "Exchange", account: Account, algo: AlgoOrder, order: Order) -> None:
    algo.average, algo.executed = order.average, order.executed
    end(exchange, account, algo, "FINISHED")


def on_child_done(exchange: "Exchange", account: Account, order: Order) -> None:
    """Finish the conditional order whose child has ended, if TRIGGERED was already told."""
    algo = account.algos.get(order.algo_id)
    if algo is not None and algo.status == "TRIGGERED":
        exchange.schedule(
            exchange.settings.triggered_ms, lambda: _finished(exchange, account, algo, order)
        )


def on_closed(
    exchange: "Exchange", account: Account, position: Position, closing_side: str
) -> None:
    """Expire the GTE orders of a position that is gone; plain GTC ones stay, orphaned."""
    for algo in list(account.algos.values()):
        if (
            algo.is_gte
            and algo.symbol == position.symbol
            and algo.position_side == position.side
            and algo.side == closing_side
        ):
            _expire_later(exchange, account, algo)


def _expire_later(exchange: "Exchange", account: Account, algo: AlgoOrder) -> None:
    def expire() -> None:
        if algo.status == "NEW":
            end(exchange, account, algo, "EXPIRED")

    exchange.schedule(exchange.settings.gte_expiry_ms, expire)


def visible(exchange: "Exchange", algo: AlgoOrder) -> bool:
    """Tell whether queries and cancels can see an order yet (a fault may hide it)."""
    return exchange.now_ms >= algo.visible_from_ms


def has_position(account: Account, symbol: str, position_side: str, side: str) -> bool:
    """Tell whether there is a position that an order of this side would close."""
    amount = account.position(symbol, position_side).amount
    return bool(amount) and (amount > ZERO) == (side == "SELL")
