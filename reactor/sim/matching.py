"""The engine: orders meet the synthetic book, fills move positions and money, and all of it is told.

For each fill the events are TRADE_LITE, ACCOUNT_UPDATE, ORDER_TRADE_UPDATE, with one time. Resting
orders are filled as makers, whole, when the market trades through their price or quotes at it.
"""

from decimal import Decimal
from typing import TYPE_CHECKING

from reactor.sim import algo, events, filters
from reactor.sim.account import Account
from reactor.sim.book import Level
from reactor.sim.decimals import ZERO, floor_to
from reactor.sim.faults import FaultRule
from reactor.sim.market import Market
from reactor.sim.model import QUANTUM, Order, Position, Trade
from reactor.sim.refusals import Refusal

if TYPE_CHECKING:
    from reactor.sim.exchange import Exchange
    from reactor.sim.orders import Ask


def fills_of(exchange: "Exchange", market: Market, ask: "Ask", quantity: Decimal) -> list[Level]:
    """Return the fills an order gets at once; nothing is taken yet.

    Raises:
        Refusal: -4131 a market order meets nothing within marketTakeBound of the mark price, -5021
            a FOK order cannot be filled whole, -5022 a GTX order would take.
    """
    rules = market.rules
    if ask.type == "MARKET":
        factor = 1 + rules.market_take_bound * (1 if ask.side == "BUY" else -1)
        fills = market.book.match(
            ask.side, quantity, worst=market.mark * factor, now_ms=exchange.now_ms
        )
        if not fills:
            raise Refusal(-4131)
        return _cut(exchange, ask, quantity, fills)
    fills = market.book.match(ask.side, quantity, worst=ask.price, now_ms=exchange.now_ms)
    if ask.time_in_force == "FOK" and sum((f[1] for f in fills), ZERO) < quantity:
        raise Refusal(-5021)
    if ask.time_in_force == "GTX" and fills:
        raise Refusal(-5022)
    return fills


def _cut(exchange: "Exchange", ask: "Ask", quantity: Decimal, fills: list[Level]) -> list[Level]:
    """Apply the fault that fills a market order only in part."""
    if not exchange.faults:
        return fills
    facts = {"channel": "engine", "symbol": ask.symbol, "side": ask.side, "type": ask.type}
    rule: FaultRule | None = exchange.faults.take(
        frozenset({"partial_fill"}), facts, exchange.now_ms
    )
    if rule is None:
        return fills
    step = exchange.symbols[ask.symbol].step
    left = max(step, floor_to(quantity * Decimal(str(rule.fraction)), step))
    kept: list[Level] = []
    for price, size in fills:
        piece = min(size, left)
        if piece:
            kept.append((price, piece))
        left -= piece
    return kept


def enter(exchange: "Exchange", account: Account, order: Order, fills: list[Level]) -> None:
    """Put an accepted order into the engine: NEW, its fills, and what becomes of the rest."""
    account.orders[order.symbol, order.order_id] = order
    if order.type == "LIMIT":
        exchange.resting[order.symbol] += 1
    tell(exchange, account, order, "NEW")
    market = exchange.markets[order.symbol]
    for price, quantity in fills:
        market.book.take(order.side, quantity, exchange.now_ms)
        fill(exchange, account, order, price, quantity, maker=False)
    if order.is_open:
        _rest(exchange, account, order)
    if fills:
        _print(exchange, market, order, fills)


def _rest(exchange: "Exchange", account: Account, order: Order) -> None:
    """Decide about the unfilled rest: it rests, or it expires with its reason."""
    if order.type in {"MARKET", "LIQUIDATION"}:
        expire(exchange, account, order, reason="9")
    elif order.time_in_force == "IOC":
        expire(exchange, account, order, reason="2")
    elif order.time_in_force == "GTD":
        key = (order.symbol, order.order_id)

        def end() -> None:
            found = account.orders.get(key)
            if found is not None:
                expire(exchange, account, found, reason="0")

        exchange.schedule(order.good_till_ms - exchange.server_ms, end)


def _print(exchange: "Exchange", market: Market, order: Order, fills: list[Level]) -> None:
    """Print a taker's fills on the public tape, one print a price, and the book they leave."""
    for price, quantity in fills:
        exchange.trade(market.rules.symbol, price, quantity, buyer_maker=order.side == "SELL")
    market.update_id += 1
    exchange.publisher.quote(market)


def fill(
    exchange: "Exchange",
    account: Account,
    order: Order,
    price: Decimal,
    quantity: Decimal,
    *,
    maker: bool,
    execution: str = "TRADE",
    fee_rate: Decimal | None = None,
) -> None:
    """Fill an order: position, fee, wallet, history, events."""
    market = exchange.markets[order.symbol]
    now_ms = exchange.server_ms
    position = account.position(order.symbol, order.position_side)
    rate = fee_rate if fee_rate is not None else account.maker_rate if maker else account.taker_rate
    commission = (price * quantity * rate).quantize(QUANTUM)
    before = position.amount
    profit = position.apply(quantity * order.sign, price)
    if abs(position.amount) > abs(before):
        position.fees += commission
    position.updated_ms = now_ms
    _isolate(account, position, before, price)
    market.trade_id += 1
    trade_id = market.trade_id
    _pay(exchange, account, order.symbol, profit, commission, trade_id)
    order.executed += quantity
    order.quote += price * quantity
    order.updated_ms = now_ms
    order.status = "PARTIALLY_FILLED" if order.remaining else "FILLED"
    account.trades.append(
        Trade(
            order.symbol,
            trade_id,
            order.order_id,
            order.side,
            order.position_side,
            price,
            quantity,
            profit,
            commission,
            maker,
            now_ms,
        )
    )
    if account.listen_key:
        if execution == "TRADE":
            lite = events.trade_lite(
                order,
                quantity=quantity,
                price=price,
                trade_id=trade_id,
                maker=maker,
                time_ms=now_ms,
            )
            exchange.tell_user(account, lite)
        exchange.tell_user(
            account,
            events.account_update(account, "ORDER", [position], exchange.markets, time_ms=now_ms),
        )
    if not order.remaining:
        _leave(exchange, account, order)
    tell(
        exchange,
        account,
        order,
        execution,
        fill=(quantity, price, trade_id, commission, profit, maker),
    )
    settle(exchange, account, position, before)


def _pay(
    exchange: "Exchange",
    account: Account,
    symbol: str,
    profit: Decimal,
    commission: Decimal,
    trade_id: int,
) -> None:
    now_ms = exchange.server_ms
    if profit:
        account.pay(
            "REALIZED_PNL",
            symbol,
            profit,
            time_ms=now_ms,
            tran_id=exchange.next_id(),
            trade_id=str(trade_id),
        )
    if commission:
        account.pay(
            "COMMISSION",
            symbol,
            -commission,
            time_ms=now_ms,
            tran_id=exchange.next_id(),
            trade_id=str(trade_id),
        )


def _isolate(account: Account, position: Position, before: Decimal, price: Decimal) -> None:
    """Move margin in and out of an isolated position as it grows and shrinks."""
    if position.symbol not in account.isolated:
        return
    after = position.amount
    if not after:
        position.isolated_wallet = ZERO
    elif before and (before > 0) == (after > 0) and abs(after) < abs(before):
        position.isolated_wallet = (position.isolated_wallet * after / before).quantize(QUANTUM)
    else:
        same = (before > 0) == (after > 0) and before
        grown = abs(after) - (abs(before) if same else ZERO)
        start = position.isolated_wallet if same else ZERO
        margin = grown * price / account.leverage_of(position.symbol)
        position.isolated_wallet = start + margin.quantize(QUANTUM)


def settle(exchange: "Exchange", account: Account, position: Position, before: Decimal) -> None:
    """After a position shrank: expire what was to close more than is left, and its GTE stops."""
    after = position.amount
    if not before or (after * before > 0 and abs(after) >= abs(before)):
        return
    gone = after * before <= 0
    closing_side = "SELL" if before > 0 else "BUY"
    excess = -abs(after) if not gone else ZERO
    resting = closing_orders(account, position.symbol, closing_side, position.side)
    excess += sum((order.remaining for order in resting), ZERO)
    for order in reversed(resting):
        if excess <= 0:
            break
        excess -= order.remaining
        expire(exchange, account, order, reason="4")
    if gone:
        algo.on_closed(exchange, account, position, closing_side)


def closing_orders(account: Account, symbol: str, side: str, position_side: str) -> list[Order]:
    """Return the resting orders that can only close a position, oldest first."""
    return [
        order
        for order in account.open_orders(symbol)
        if order.type == "LIMIT"
        and order.side == side
        and order.position_side == position_side
        and (order.reduce_only or account.closes(side, position_side))
    ]


def expire(exchange: "Exchange", account: Account, order: Order, *, reason: str) -> None:
    """End an order by the system, with its ``er`` reason."""
    order.expiry_reason = reason
    finish(exchange, account, order, "EXPIRED", "EXPIRED")


def finish(
    exchange: "Exchange", account: Account, order: Order, execution: str, status: str
) -> None:
    """End an open order and say so."""
    if not order.is_open:
        return
    order.status = status
    order.updated_ms = exchange.server_ms
    _leave(exchange, account, order)
    tell(exchange, account, order, execution)


def _leave(exchange: "Exchange", account: Account, order: Order) -> None:
    account.finish(order)
    if order.type == "LIMIT":
        exchange.resting[order.symbol] -= 1
    if order.algo_id:
        algo.on_child_done(exchange, account, order)


def amended(exchange: "Exchange", account: Account, order: Order) -> None:
    """Tell of a changed price, and match the order again at it."""
    tell(exchange, account, order, "AMENDMENT")
    market = exchange.markets[order.symbol]
    fills = market.book.match(
        order.side, order.remaining, worst=order.price, now_ms=exchange.now_ms
    )
    for price, quantity in fills:
        market.book.take(order.side, quantity, exchange.now_ms)
        fill(exchange, account, order, price, quantity, maker=False)
    if fills:
        _print(exchange, market, order, fills)


def tell(
    exchange: "Exchange",
    account: Account,
    order: Order,
    execution: str,
    *,
    fill: "tuple[Decimal, Decimal, int, Decimal, Decimal, bool] | None" = None,
) -> None:
    """Send an ORDER_TRADE_UPDATE with the notional of the account's resting orders."""
    if not account.listen_key:
        return
    bids = asks = ZERO
    for other in account.orders.values():
        if other.symbol == order.symbol and other.type == "LIMIT":
            if other.side == "BUY":
                bids += other.remaining * other.price
            else:
                asks += other.remaining * other.price
    exchange.tell_user(
        account,
        events.order_update(
            order,
            execution,
            time_ms=exchange.server_ms,
            bid_notional=bids,
            ask_notional=asks,
            fill=fill,
        ),
    )


def on_trade(exchange: "Exchange", market: Market, price: Decimal) -> None:
    """Fill resting orders that a print went through."""
    _sweep(exchange, market, bids_down_to=price, asks_up_to=price, strict=True)


def on_quote(exchange: "Exchange", market: Market) -> None:
    """Fill resting orders that the opposite best price has reached."""
    _sweep(exchange, market, bids_down_to=market.book.ask, asks_up_to=market.book.bid, strict=False)


def _sweep(
    exchange: "Exchange",
    market: Market,
    *,
    bids_down_to: Decimal,
    asks_up_to: Decimal,
    strict: bool,
) -> None:
    for account in exchange.accounts.values():
        for order in account.open_orders(market.rules.symbol):
            if not order.is_open or order.type != "LIMIT":
                continue
            if order.side == "BUY":
                hit = order.price > bids_down_to or (not strict and order.price == bids_down_to)
            else:
                hit = order.price < asks_up_to or (not strict and order.price == asks_up_to)
            if hit:
                exchange.remember(account)
                fill(exchange, account, order, order.price, order.remaining, maker=True)


def check_limit(market: Market, side: str, price: Decimal) -> None:
    """Hold a limit price against the market's price filters (for orders born of a trigger)."""
    filters.check_price(market.rules, price)
    filters.check_percent(market, side, price)
