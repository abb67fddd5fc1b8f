"""What the exchange closes by itself: liquidation at the mark price, ADL and settlement on request.

Simplified: a liquidation closes the whole position (all cross positions of the account) at the mark
price, with the symbol's liquidation fee, and without the staircase through smaller brackets.
"""

from typing import TYPE_CHECKING

from reactor.sim import events, matching
from reactor.sim.account import Account
from reactor.sim.decimals import ZERO, fixed, floor_to
from reactor.sim.market import Market
from reactor.sim.model import Order, Position

if TYPE_CHECKING:
    from reactor.sim.exchange import Exchange

MARGIN_CALL_SHARE = 0.8  # of the equity, eaten by maintenance margin


def check(exchange: "Exchange", market: Market) -> None:
    """Liquidate whoever this mark price has ruined, and warn who is near it."""
    symbol = market.rules.symbol
    for account in exchange.accounts.values():
        mine = [p for p in account.open_positions() if p.symbol == symbol]
        if not mine:
            continue
        if symbol in account.isolated:
            for position in mine:
                equity = position.isolated_wallet + position.unrealized(market.mark)
                needed = market.rules.maintenance(abs(position.amount) * market.mark)
                if equity <= needed:
                    force(exchange, account, position, "autoclose")
        else:
            _check_cross(exchange, account)


def _check_cross(exchange: "Exchange", account: Account) -> None:
    margins = account.margins(exchange.markets)
    equity = account.wallet - margins.isolated_wallets + margins.cross_unrealized
    cross = [p for p in account.open_positions() if p.symbol not in account.isolated]
    if equity <= margins.cross_maintenance:
        for position in cross:
            force(exchange, account, position, "autoclose")
        account.called_margin = False
    elif float(margins.cross_maintenance) >= float(equity) * MARGIN_CALL_SHARE:
        if not account.called_margin:
            account.called_margin = True
            exchange.tell_user(
                account,
                events.margin_call(account, cross, exchange.markets, time_ms=exchange.server_ms),
            )
    else:
        account.called_margin = False


def force(exchange: "Exchange", account: Account, position: Position, how: str) -> None:
    """Close a position by the exchange.

    Args:
        exchange: The exchange.
        account: Whose position it is.
        position: What is closed, whole.
        how: ``autoclose`` (liquidation), ``adl`` or ``settlement``; it decides the client id.
    """
    if not position.amount:
        return
    exchange.remember(account)
    for resting in account.open_orders(position.symbol):
        matching.expire(exchange, account, resting, reason="5")
    market = exchange.markets[position.symbol]
    now_ms = exchange.server_ms
    client_id = {
        "autoclose": f"autoclose-{now_ms}{exchange.next_id():06d}",
        "adl": "adl_autoclose",
        "settlement": f"settlement_autoclose-{now_ms}",
    }[how]
    market.order_id += 1
    order = Order(
        account=account.name,
        symbol=position.symbol,
        order_id=market.order_id,
        client_id=client_id,
        side="SELL" if position.amount > 0 else "BUY",
        position_side=position.side,
        type="LIQUIDATION" if how == "autoclose" else "MARKET",
        time_in_force="IOC" if how == "autoclose" else "GTC",
        quantity=abs(position.amount),
        price=floor_to(market.mark, market.rules.tick) if how == "autoclose" else ZERO,
        reduce_only=how != "autoclose",
        created_ms=now_ms,
        updated_ms=now_ms,
    )
    account.orders[order.symbol, order.order_id] = order
    matching.tell(exchange, account, order, "NEW")
    price = floor_to(market.mark, market.rules.tick)
    matching.fill(
        exchange,
        account,
        order,
        price,
        order.quantity,
        maker=False,
        execution="CALCULATED" if how == "autoclose" else "TRADE",
        fee_rate=market.rules.liquidation_fee if how == "autoclose" else None,
    )
    if how == "autoclose":
        _publish(exchange, order, market)


def _publish(exchange: "Exchange", order: Order, market: Market) -> None:
    places, size = market.rules.price_places, market.rules.quantity_places
    now_ms = exchange.server_ms
    exchange.publisher.forced(
        {
            "e": "forceOrder",
            "E": now_ms,
            "o": {
                "s": order.symbol,
                "ps": order.symbol,
                "S": order.side,
                "o": "LIMIT",
                "f": "IOC",
                "q": fixed(order.quantity, size),
                "p": fixed(order.price, places),
                "ap": fixed(order.average, places),
                "X": "FILLED",
                "l": fixed(order.quantity, size),
                "z": fixed(order.executed, size),
                "T": now_ms,
            },
            "st": 1,
        },
        order.symbol,
    )
