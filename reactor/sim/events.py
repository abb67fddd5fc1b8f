"""User-data events, spelled as the exchange spells them.

Key order and number spelling follow recorded mainnet messages of 2026-03 (order and algo events
without trailing zeros), extended by the fields announced since (``ia``). Source: binance.md §3, §10.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from reactor.sim.account import Account
from reactor.sim.decimals import ZERO, fixed, plain
from reactor.sim.market import Market
from reactor.sim.model import AlgoOrder, Order, Position

Event = dict[str, Any]


def order_update(
    order: Order,
    execution: str,
    *,
    time_ms: int,
    bid_notional: Decimal = ZERO,
    ask_notional: Decimal = ZERO,
    fill: "tuple[Decimal, Decimal, int, Decimal, Decimal, bool] | None" = None,
) -> Event:
    """Return an ORDER_TRADE_UPDATE.

    Args:
        order: The order as it is after what happened.
        execution: ``x``: NEW, TRADE, CANCELED, EXPIRED, CALCULATED or AMENDMENT.
        time_ms: Exchange time.
        bid_notional: Notional of the account's resting bids on the symbol.
        ask_notional: Notional of its resting asks.
        fill: (quantity, price, trade id, commission, realised profit, maker), if there was one.
    """
    quantity, price, trade_id, commission, realized, maker = fill or (
        ZERO,
        ZERO,
        0,
        ZERO,
        ZERO,
        False,
    )
    body: Event = {
        "s": order.symbol,
        "c": order.client_id,
        "S": order.side,
        "o": order.type,
        "f": order.time_in_force,
        "q": plain(order.quantity),
        "p": plain(order.price),
        "ap": plain(_short(order.average)),
        "sp": plain(order.stop_price),
        "x": execution,
        "X": order.status,
        "i": order.order_id,
        "l": plain(quantity),
        "z": plain(order.executed),
        "L": plain(price),
        "n": plain(commission),
        "N": "USDT",
        "T": time_ms,
        "t": trade_id,
        "b": plain(bid_notional),
        "a": plain(ask_notional),
        "m": maker,
        "R": order.reduce_only,
        "wt": order.working_type,
        "ot": order.original_type or order.type,
        "ps": order.position_side,
        "cp": order.close_position,
        "rp": plain(realized),
        "pP": order.price_protect,
        "si": order.algo_id,
        "ss": -1 if order.algo_id else 0,
    }
    if order.algo_id:
        body["st"] = "ALGO_CONDITION"
    body |= {
        "V": order.stp_mode,
        "pm": order.price_match,
        "gtd": order.good_till_ms,
        "er": order.expiry_reason,
    }
    return {"e": "ORDER_TRADE_UPDATE", "T": time_ms, "E": time_ms, "o": body}


def _short(value: Decimal) -> Decimal:
    """Round an average to ten decimals: enough for every tick, short enough to read."""
    return value.quantize(Decimal("0.0000000001")) if value else value


def trade_lite(
    order: Order, *, quantity: Decimal, price: Decimal, trade_id: int, maker: bool, time_ms: int
) -> Event:
    """Return the TRADE_LITE that precedes a fill's ORDER_TRADE_UPDATE."""
    return {
        "e": "TRADE_LITE",
        "E": time_ms,
        "T": time_ms,
        "s": order.symbol,
        "q": plain(order.quantity),
        "p": plain(order.price),
        "m": maker,
        "c": order.client_id,
        "S": order.side,
        "L": plain(price),
        "l": plain(quantity),
        "t": trade_id,
        "i": order.order_id,
    }


def account_update(
    account: Account,
    reason: str,
    positions: "list[Position]",
    markets: Mapping[str, Market],
    *,
    time_ms: int,
    change: Decimal = ZERO,
    symbol: str | None = None,
    with_balance: bool = True,
) -> Event:
    """Return an ACCOUNT_UPDATE.

    Args:
        account: After the change.
        reason: ``a.m``: ORDER, FUNDING_FEE, DEPOSIT, MARGIN_TYPE_CHANGE …
        positions: The positions that changed.
        markets: For the unrealised profit.
        time_ms: Exchange time.
        change: ``bc``, the balance change apart from profit and commission.
        symbol: ``S``, sent with funding.
        with_balance: Whether the wallet changed.
    """
    isolated = sum((p.isolated_wallet for p in account.positions.values()), ZERO)
    body: Event = {
        "m": reason,
        "B": [
            {
                "a": "USDT",
                "wb": fixed(account.wallet, 8),
                "cw": fixed(account.wallet - isolated, 8),
                "bc": plain(change),
            }
        ]
        if with_balance
        else [],
        "P": [_position_row(account, position, markets) for position in positions],
    }
    if symbol is not None:
        body["S"] = symbol
    return {"e": "ACCOUNT_UPDATE", "T": time_ms, "E": time_ms, "a": body}


def _position_row(account: Account, position: Position, markets: Mapping[str, Market]) -> Event:
    isolated = position.symbol in account.isolated
    return {
        "s": position.symbol,
        "pa": plain(position.amount),
        "ep": plain(_short(position.entry)),
        "bep": plain(_short(position.break_even)),
        "cr": plain(position.realized),
        "up": plain(_short(position.unrealized(markets[position.symbol].mark))),
        "mt": "isolated" if isolated else "cross",
        "iw": plain(position.isolated_wallet),
        "ps": position.side,
        "ma": "USDT",
    }


def algo_update(algo: AlgoOrder, *, time_ms: int) -> Event:
    """Return an ALGO_UPDATE for the order as it is now."""
    body: Event = {
        "caid": algo.client_id,
        "aid": algo.algo_id,
        "at": "CONDITIONAL",
        "o": algo.type,
        "s": algo.symbol,
        "S": algo.side,
        "ps": algo.position_side,
        "f": algo.time_in_force,
        "q": plain(algo.quantity),
        "X": algo.status,
        "ai": str(algo.order_id) if algo.order_id else "",
        "ap": plain(_short(algo.average)),
        "aq": plain(algo.executed),
        "act": algo.actual_type or "0",
        "tp": plain(algo.trigger_price),
        "p": plain(algo.price),
        "V": algo.stp_mode,
        "wt": algo.working_type,
        "pm": algo.price_match,
        "cp": algo.close_position,
        "pP": algo.price_protect,
        "R": algo.reduce_only,
        "tt": algo.trigger_ms,
        "gtd": algo.good_till_ms,
        "rm": algo.failure,
        "ia": algo.activated,
    }
    if algo.type == "TRAILING_STOP_MARKET":
        body["AP"] = plain(algo.activate_price)
        body["cr"] = plain(algo.callback_rate)
    return {"e": "ALGO_UPDATE", "T": time_ms, "E": time_ms, "o": body}


def leverage_update(symbol: str, leverage: int, *, time_ms: int) -> Event:
    """Return the ACCOUNT_CONFIG_UPDATE of a leverage change."""
    return {
        "e": "ACCOUNT_CONFIG_UPDATE",
        "E": time_ms,
        "T": time_ms,
        "ac": {"s": symbol, "l": leverage},
    }


def multi_assets_update(*, multi_assets: bool, time_ms: int) -> Event:
    """Return the ACCOUNT_CONFIG_UPDATE of the margin mode."""
    return {"e": "ACCOUNT_CONFIG_UPDATE", "E": time_ms, "T": time_ms, "ai": {"j": multi_assets}}


def listen_key_expired(listen_key: str, *, time_ms: int) -> Event:
    """Return the one notice a stream gets when its key dies. ``E`` is a string, as seen live."""
    return {"e": "listenKeyExpired", "E": str(time_ms), "listenKey": listen_key}


def margin_call(
    account: Account, positions: "list[Position]", markets: Mapping[str, Market], *, time_ms: int
) -> Event:
    """Return the MARGIN_CALL that warns before a liquidation."""
    isolated = sum((p.isolated_wallet for p in account.positions.values()), ZERO)
    return {
        "e": "MARGIN_CALL",
        "E": time_ms,
        "cw": plain(account.wallet - isolated),
        "p": [
            {
                "s": position.symbol,
                "ps": position.side,
                "pa": plain(position.amount),
                "mt": "ISOLATED" if position.symbol in account.isolated else "CROSSED",
                "iw": plain(position.isolated_wallet),
                "mp": plain(markets[position.symbol].mark),
                "up": plain(_short(position.unrealized(markets[position.symbol].mark))),
                "mm": plain(
                    _short(
                        markets[position.symbol].rules.maintenance(
                            abs(position.amount) * markets[position.symbol].mark
                        )
                    )
                ),
            }
            for position in positions
        ],
    }
