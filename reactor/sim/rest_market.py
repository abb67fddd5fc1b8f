"""REST endpoints that need no key: time, exchangeInfo, prices, book."""

from typing import Any, Final

from reactor.sim import answers, frames
from reactor.sim.decimals import fixed
from reactor.sim.market import Market
from reactor.sim.parameters import Parameters
from reactor.sim.refusals import Refusal
from reactor.sim.rest import Call, Endpoint
from reactor.sim.symbols import symbol_entry

DEPTHS: Final = frozenset({5, 10, 20, 50, 100, 500, 1000})


def _depth_weight(params: Parameters) -> int:
    limit = params.integer("limit") or 500
    return 2 if limit <= 50 else 5 if limit == 100 else 10 if limit == 500 else 20


def _with_symbol(one: int, every: int) -> Any:
    return lambda params: one if "symbol" in params else every


def _market(call: Call) -> Market:
    market = call.exchange.markets.get(call.params.needed("symbol"))
    if market is None:
        raise Refusal(-1121)
    return market


def _chosen(call: Call) -> list[Market]:
    """Return the market that was asked for, or all."""
    return [_market(call)] if call.params.text("symbol") else list(call.exchange.markets.values())


def _one_or_all(call: Call, rows: list[dict[str, Any]]) -> Any:
    return rows[0] if call.params.text("symbol") else rows


def ping(_: Call) -> Any:
    """Answer nothing."""
    return {}


def time(call: Call) -> Any:
    """Answer the exchange's time."""
    return {"serverTime": call.exchange.server_ms}


def exchange_info(call: Call) -> Any:
    """Answer limits, assets and symbols with their filters."""
    exchange = call.exchange
    return {
        "timezone": "UTC",
        "serverTime": exchange.server_ms,
        "futuresType": "U_MARGINED",
        "rateLimits": exchange.rates.as_rate_limits(),
        "exchangeFilters": [],
        "assets": [
            {"asset": "USDT", "marginAvailable": True, "autoAssetExchange": "-10000"},
            {"asset": "BNB", "marginAvailable": True, "autoAssetExchange": "-10"},
        ],
        "symbols": [
            symbol_entry(m.rules, m.status, m.position_control) for m in exchange.markets.values()
        ],
    }


def premium_index(call: Call) -> Any:
    """Answer mark price, index and funding."""
    now_ms = call.exchange.server_ms
    return _one_or_all(call, [answers.premium(m, now_ms) for m in _chosen(call)])


def ticker_price(call: Call) -> Any:
    """Answer last prices."""
    now_ms = call.exchange.server_ms
    rows = [
        {
            "symbol": m.rules.symbol,
            "price": fixed(m.last, m.rules.price_places),
            "time": now_ms,
        }
        for m in _chosen(call)
    ]
    return _one_or_all(call, rows)


def book_ticker(call: Call) -> Any:
    """Answer best bids and asks."""
    rows = []
    for market in _chosen(call):
        bid, ask = call.exchange.publisher.best(market)
        places, size = market.rules.price_places, market.rules.quantity_places
        rows.append(
            {
                "symbol": market.rules.symbol,
                "bidPrice": fixed(bid[0], places),
                "bidQty": fixed(bid[1], size),
                "askPrice": fixed(ask[0], places),
                "askQty": fixed(ask[1], size),
                "time": call.exchange.server_ms,
                "lastUpdateId": market.update_id,
            }
        )
    return _one_or_all(call, rows)


def ticker_day(call: Call) -> Any:
    """Answer the rolling day."""
    now_ms = call.exchange.server_ms
    rows = []
    for market in _chosen(call):
        day = frames.DayStats(market).frame(now_ms)
        rows.append(
            {
                "symbol": day["s"],
                "priceChange": day["p"],
                "priceChangePercent": day["P"],
                "weightedAvgPrice": day["w"],
                "lastPrice": day["c"],
                "lastQty": day["Q"],
                "openPrice": day["o"],
                "highPrice": day["h"],
                "lowPrice": day["l"],
                "volume": day["v"],
                "quoteVolume": day["q"],
                "openTime": day["O"],
                "closeTime": day["C"],
                "firstId": day["F"],
                "lastId": day["L"],
                "count": day["n"],
            }
        )
    return _one_or_all(call, rows)


def depth(call: Call) -> Any:
    """Answer the book."""
    market = _market(call)
    limit = call.params.integer("limit") or 500
    if limit not in DEPTHS:
        raise Refusal(-4021, text=f"{limit} is not valid depth limit")
    update_id, bids, asks = call.exchange.publisher.snapshot(market)
    return {
        "lastUpdateId": update_id,
        "E": call.exchange.server_ms,
        "T": call.exchange.server_ms,
        "bids": frames.levels(market, bids[:limit]),
        "asks": frames.levels(market, asks[:limit]),
    }


def open_interest(call: Call) -> Any:
    """Answer what all accounts hold on one side."""
    market = _market(call)
    held = sum(
        abs(position.amount)
        for account in call.exchange.accounts.values()
        for position in account.open_positions()
        if position.symbol == market.rules.symbol
    )
    return {
        "openInterest": str(held),
        "symbol": market.rules.symbol,
        "time": call.exchange.server_ms,
    }


def _open(handler: Any, weight: Any = 1) -> Endpoint:
    return Endpoint(handler=handler, weight=weight, security="none")


ENDPOINTS: Final = {
    ("GET", "/fapi/v1/ping"): _open(ping),
    ("GET", "/fapi/v1/time"): _open(time),
    ("GET", "/fapi/v1/exchangeInfo"): _open(exchange_info),
    ("GET", "/fapi/v1/premiumIndex"): _open(premium_index, _with_symbol(1, 10)),
    ("GET", "/fapi/v1/ticker/price"): _open(ticker_price, _with_symbol(1, 2)),
    ("GET", "/fapi/v2/ticker/price"): _open(ticker_price, _with_symbol(1, 2)),
    ("GET", "/fapi/v1/ticker/bookTicker"): _open(book_ticker, _with_symbol(2, 5)),
    ("GET", "/fapi/v1/ticker/24hr"): _open(ticker_day, _with_symbol(1, 40)),
    ("GET", "/fapi/v1/depth"): _open(depth, _depth_weight),
    ("GET", "/fapi/v1/openInterest"): _open(open_interest),
}
