"""REST endpoints about the past that traders chart and account with: funding, older trades, other candles.

What lies before this run is made up (:mod:`reactor.sim.history`); what happened in it is not.
"""

from decimal import Decimal
from typing import Any, Final

from reactor.sim import answers, history
from reactor.sim.decimals import fixed
from reactor.sim.market import FUNDING_MS, INTERVAL_MS, Candle, Funding, Market
from reactor.sim.parameters import Parameters
from reactor.sim.refusals import Refusal
from reactor.sim.rest import Call, Endpoint

FUNDING_BEFORE = 300  # settlements before this run began: a hundred days
USUAL_RATE = Decimal("0.0001")
CONTRACT_TYPES: Final = frozenset({"PERPETUAL", "CURRENT_QUARTER", "NEXT_QUARTER"})


def kline_weight(params: Parameters) -> int:
    """Return what a request for candles costs: by how many it asks for."""
    limit = params.integer("limit") or 500
    return 1 if limit < 100 else 2 if limit < 500 else 5 if limit <= 1000 else 10


def _named(call: Call, name: str) -> Market:
    market = call.exchange.markets.get(call.params.needed(name))
    if market is None:
        raise Refusal(-1121)
    return market


def _candles(call: Call, market: Market, *, marks: bool) -> list[Candle]:
    interval = call.params.needed("interval")
    if interval not in INTERVAL_MS:
        raise Refusal(-1120)
    start, end = call.params.integer("startTime"), call.params.integer("endTime")
    if start is not None and end is not None and end < start:
        raise Refusal(-1023)
    return history.candles(
        market,
        interval,
        start_ms=start,
        end_ms=end,
        limit=call.params.limit(500, 1500),
        now_ms=call.exchange.server_ms,
        marks=marks,
    )


def _rows(call: Call, market: Market, *, marks: bool) -> Any:
    interval = call.params.needed("interval")
    return [
        answers.candle_row(market.rules, interval, candle)
        for candle in _candles(call, market, marks=marks)
    ]


def klines(call: Call) -> Any:
    """Answer candles of traded prices."""
    return _rows(call, _named(call, "symbol"), marks=False)


def mark_klines(call: Call) -> Any:
    """Answer candles of the mark price."""
    return _rows(call, _named(call, "symbol"), marks=True)


def index_klines(call: Call) -> Any:
    """Answer candles of the index price, which are those of the mark here."""
    return _rows(call, _named(call, "pair"), marks=True)


def continuous_klines(call: Call) -> Any:
    """Answer candles of a pair's perpetual; there are no quarterly contracts here."""
    kind = call.params.needed("contractType")
    if kind not in CONTRACT_TYPES:
        raise Refusal(-4104)
    market = _named(call, "pair")
    return _rows(call, market, marks=False) if kind == "PERPETUAL" else []


def premium_klines(call: Call) -> Any:
    """Answer candles of the premium index: its present value, since none is kept."""
    market = _named(call, "symbol")
    premium = (market.mark - market.index) / market.index
    text = fixed(premium, 8)
    span = INTERVAL_MS.get(call.params.needed("interval"), 0)
    prices, zeros = [text] * 4, ["0"] * 3
    return [
        [candle.open_ms, *prices, "0", candle.open_ms + span - 1, "0", 12, *zeros]
        for candle in _candles(call, market, marks=True)
    ]


def funding_rates(call: Call) -> Any:
    """Answer what funding was paid, oldest first; a limit keeps the oldest after startTime."""
    chosen = call.params.text("symbol")
    markets = [_named(call, "symbol")] if chosen else list(call.exchange.markets.values())
    start, end = call.params.integer("startTime"), call.params.integer("endTime")
    if start is not None and end is not None and end < start:
        raise Refusal(-1023)
    limit = call.params.limit(100, 1000)
    rows: list[dict[str, Any]] = [
        {
            "symbol": market.rules.symbol,
            "fundingTime": paid.time_ms,
            "fundingRate": fixed(paid.rate, 8),
            "markPrice": fixed(paid.mark, 8),
        }
        for market in markets
        for paid in (*_invented(market), *market.fundings)
        if (start is None or paid.time_ms >= start) and (end is None or paid.time_ms <= end)
    ]
    rows.sort(key=lambda row: row["fundingTime"])
    return rows[:limit] if start is not None else rows[-limit:]


def _invented(market: Market) -> list[Funding]:
    """Return settlements from before this run, at the usual rate and the first price."""
    last_ms = market.started_ms // FUNDING_MS * FUNDING_MS
    return [
        Funding(last_ms - index * FUNDING_MS, USUAL_RATE, market.rules.start_price)
        for index in range(FUNDING_BEFORE - 1, -1, -1)
    ]


def funding_info(call: Call) -> Any:
    """Answer the caps and the interval of funding; they are the same for every symbol."""
    return [
        {
            "symbol": symbol,
            "adjustedFundingRateCap": "0.02000000",
            "adjustedFundingRateFloor": "-0.02000000",
            "fundingIntervalHours": FUNDING_MS // 3_600_000,
            "disclaimer": False,
            "updateTime": market.started_ms,
        }
        for symbol, market in call.exchange.markets.items()
    ]


def trades(call: Call) -> Any:
    """Answer recent prints."""
    market = _named(call, "symbol")
    return [answers.print_row(market, t) for t in list(market.trades)[-_limit(call) :]]


def old_trades(call: Call) -> Any:
    """Answer prints from an id on, as far as they are remembered."""
    market = _named(call, "symbol")
    first = call.params.integer("fromId")
    if first is None:
        return trades(call)
    rows = [answers.print_row(market, t) for t in market.trades if t.trade_id >= first]
    return rows[: _limit(call)]


def _limit(call: Call) -> int:
    return call.params.limit(500, 1000)


def agg_trades(call: Call) -> Any:
    """Answer recent aggregates of the last thousand prints, by time or id."""
    market = _named(call, "symbol")
    rules = market.rules
    start, end = call.params.integer("startTime"), call.params.integer("endTime")
    limit = _limit(call)
    shift = market.aggregate_id - (market.trades[-1].trade_id if market.trades else 0)
    first_id = call.params.integer("fromId")
    rows = [
        trade
        for trade in market.trades
        if (start is None or trade.time_ms >= start)
        and (end is None or trade.time_ms <= end)
        and (first_id is None or trade.trade_id + shift >= first_id)
    ]
    rows = rows[:limit] if start is not None or first_id is not None else rows[-limit:]
    return [
        {
            "a": trade.trade_id + shift,
            "p": fixed(trade.price, rules.price_places),
            "q": fixed(trade.quantity, rules.quantity_places),
            "nq": fixed(trade.quantity, rules.quantity_places),
            "f": trade.trade_id,
            "l": trade.trade_id,
            "T": trade.time_ms,
            "m": trade.buyer_maker,
        }
        for trade in rows
    ]


def adl_risk(call: Call) -> Any:
    """Answer how near auto-deleveraging is: far."""
    if call.params.text("symbol"):
        return _risk(call, _named(call, "symbol"))
    return [_risk(call, market) for market in call.exchange.markets.values()]


def _risk(call: Call, market: Market) -> dict[str, Any]:
    return {
        "symbol": market.rules.symbol,
        "adlRisk": "low",
        "updateTime": call.exchange.server_ms,
    }


def constituents(call: Call) -> Any:
    """Answer what the index is made of: one exchange, this one."""
    market = _named(call, "symbol")
    return {
        "symbol": market.rules.symbol,
        "time": call.exchange.server_ms,
        "constituents": [
            {
                "exchange": "binance",
                "symbol": market.rules.symbol,
                "price": fixed(market.index, 8),
                "weight": "1.00000000",
            }
        ],
    }


def _open(handler: Any, weight: Any = 1) -> Endpoint:
    return Endpoint(handler=handler, weight=weight, security="none")


ENDPOINTS: Final = {
    ("GET", "/fapi/v1/klines"): _open(klines, kline_weight),
    ("GET", "/fapi/v1/continuousKlines"): _open(continuous_klines, kline_weight),
    ("GET", "/fapi/v1/markPriceKlines"): _open(mark_klines, kline_weight),
    ("GET", "/fapi/v1/indexPriceKlines"): _open(index_klines, kline_weight),
    ("GET", "/fapi/v1/premiumIndexKlines"): _open(premium_klines, kline_weight),
    ("GET", "/fapi/v1/fundingRate"): _open(funding_rates),
    ("GET", "/fapi/v1/fundingInfo"): _open(funding_info),
    ("GET", "/fapi/v1/trades"): _open(trades, 5),
    ("GET", "/fapi/v1/historicalTrades"): Endpoint(handler=old_trades, weight=20, security="key"),
    ("GET", "/fapi/v1/aggTrades"): _open(agg_trades, 20),
    ("GET", "/fapi/v1/symbolAdlRisk"): _open(adl_risk),
    ("GET", "/fapi/v1/constituents"): _open(constituents, 2),
}
