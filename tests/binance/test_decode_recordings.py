"""Real recordings, decoded whole: nothing malformed, and the counts of whoever recorded them."""

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import orjson
import pytest

from reactor.binance.decode import decode_market, decode_rest, decode_user
from reactor.binance.filters import refusal
from reactor.binance.market_messages import AggTrade, BookTicker, KlineFrame, Trade, is_market_trade
from reactor.binance.messages import Ignored, Malformed, RestFailure
from reactor.binance.rest_market_messages import AggTrades, ExchangeInfo, Klines
from reactor.binance.user_messages import (
    AlgoUpdate,
    ConditionalOrderTriggerReject,
    OrderTradeUpdate,
)

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the shared recordings are not here")

BTCUSDT = DATA / "ws_hftbacktest" / "btcusdt_20240808.gz"
CRYPTOFEED = DATA / "ws_cryptofeed"


def lines(path: Path, separator: bytes) -> Iterator[bytes]:
    """The messages of a recording of `<time><separator><message>` lines."""
    with gzip.open(path) as file:
        for line in file:
            _, found, message = line.rstrip(b"\n").partition(separator)
            if found:
                yield message


def test_five_minutes_of_btcusdt() -> None:
    kinds: Counter[str] = Counter()
    last_trade_id, last_update_id = 0, 0
    for message in lines(BTCUSDT, b" "):
        verdict = decode_market(message)
        if isinstance(verdict, Trade):
            assert is_market_trade(verdict)
            assert last_trade_id in {0, verdict.t - 1}
            last_trade_id = verdict.t
        elif isinstance(verdict, BookTicker):
            assert verdict.u >= last_update_id
            last_update_id = verdict.u
        kinds[verdict.reason if isinstance(verdict, Ignored) else type(verdict).__name__] += 1
    assert kinds == {"Trade": 21313, "BookTicker": 66089, "depthUpdate": 6551, "not an event": 1}


def test_half_a_minute_of_small_prices() -> None:
    path = CRYPTOFEED / "2021-07-22_BINANCE_FUTURES.ws.1.0.txt.gz"
    verdicts = [
        decode_market(message) for message in lines(path, b": ") if message.startswith(b"{")
    ]
    kinds = Counter(v.reason if isinstance(v, Ignored) else type(v).__name__ for v in verdicts)
    assert kinds == {"BookTicker": 613, "depthUpdate": 764, "KlineFrame": 67, "AggTrade": 91}
    candles = [v.k for v in verdicts if isinstance(v, KlineFrame)]
    assert {candle.s for candle in candles} == {"SUSHIUSDT", "AKROUSDT", "KEEPUSDT", "CTKUSDT"}
    assert sum(candle.x for candle in candles) == 4
    prices = [v.p for v in verdicts if isinstance(v, AggTrade) and v.s == "AKROUSDT"]
    assert prices[0] == "0.01731"


def test_an_exchange_info_of_2021() -> None:
    path = CRYPTOFEED / "2021-07_BINANCE_FUTURES.0_exchangeInfo.txt.gz"
    (body,) = (message for message in lines(path, b": ") if message.startswith(b'{"timezone"'))
    info = decode_rest("GET", "/fapi/v1/exchangeInfo", 200, body)
    assert isinstance(info, ExchangeInfo)
    assert (len(info.symbols), info.malformed, len(info.rate_limits)) == (122, (), 3)
    assert info.symbols["BTCUSDT"].tick_size == Decimal("0.01")
    refused = {name: why for name, rules in info.symbols.items() if (why := refusal(rules))}
    # Two margined in BUSD, and one that was not listed yet and has no type.
    assert len(refused) == 3
    assert sum("BUSD" in why for why in refused.values()) == 2


def sessions() -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for line in (DATA / "user_quantconnect" / "sessions.jsonl").read_bytes().splitlines():
        row = orjson.loads(line)
        found.setdefault(row["session"], []).append(decode_user(orjson.dumps(row["msg"])))
    return found


def test_the_account_sessions() -> None:
    kinds = Counter(type(event) for events in sessions().values() for event in events)
    assert kinds == {OrderTradeUpdate: 13, AlgoUpdate: 12, ConditionalOrderTriggerReject: 1}


def test_a_stop_that_fires_fills_before_it_says_so() -> None:
    events = sessions()["WebSocketFutureStopMarketSubmitPartiallyFilledFilled"]
    told = [
        event.order.status if isinstance(event, AlgoUpdate) else event.order.execution_type
        for event in events
    ]
    assert told == ["NEW", "TRIGGERING", "NEW", "TRADE", "TRADE", "TRIGGERED", "FINISHED"]
    fills = [
        e.order
        for e in events
        if isinstance(e, OrderTradeUpdate) and e.order.execution_type == "TRADE"
    ]
    assert sum(fill.last_filled_quantity for fill in fills) == 800
    assert {fill.last_filled_price for fill in fills} == {Decimal("0.00666")}
    assert sum(fill.commission or 0 for fill in fills) == Decimal("0.0026640")
    placed, triggering, child, *_, finished = events
    assert child.event_time_ms - triggering.event_time_ms == 402
    assert child.transaction_time_ms - triggering.transaction_time_ms == 401
    # Three ways to tell that the order is the stop's.
    assert child.order.client_order_id == placed.order.client_algo_id
    assert child.order.strategy_id == placed.order.algo_id
    assert child.order.strategy_type == "ALGO_CONDITION"
    assert finished.order.engine_order_id == str(child.order.order_id)


def test_a_stop_that_is_refused_says_why() -> None:
    events = sessions()["WebSocketFutureStopLimitSubmittedFilled"]
    (rejected,) = (e for e in events if isinstance(e, AlgoUpdate) and e.order.status == "REJECTED")
    assert rejected.order.algo_id == 2000000547383538
    assert rejected.order.failure_reason == "margin not enough"
    expired = sessions()["WebSocketFutureStopLimitSubmittedExpired"]
    assert [type(event).__name__ for event in expired] == [
        "OrderTradeUpdate", "OrderTradeUpdate", "ConditionalOrderTriggerReject",
    ]  # fmt: skip
    assert expired[1].order.expiry_reason == "8"


def rest_answers() -> Iterator[tuple[str, str, Any, Any]]:
    with gzip.open(DATA / "rest_gocryptotrader" / "fapi_http_recordings.json.gz") as file:
        recorded = json.load(file)
    for path, methods in recorded.items():
        for method, answers in methods.items():
            for answer in answers:
                params = dict(parse_qsl(answer["queryString"]))
                body = orjson.dumps(answer["data"])
                yield path, method, answer["data"], decode_rest(method, path, 200, body, params)


def test_the_rest_recordings() -> None:
    kinds: Counter[tuple[str, str]] = Counter()
    for path, _method, body, answer in rest_answers():
        assert not isinstance(answer, Malformed), (path, answer)
        if isinstance(answer, (Klines, AggTrades)):
            assert len(answer.rows) == len(body)
            assert answer.symbol
        if isinstance(answer, tuple):
            assert len(answer) == (len(body) if isinstance(body, list) else 1)
            assert not any(isinstance(part, Malformed) for part in answer)
        if isinstance(answer, ExchangeInfo):
            assert (len(answer.symbols), answer.malformed) == (25, ())
            assert answer.symbols["BTCUSDT"].market_max_qty == 120
        if isinstance(answer, RestFailure):
            assert answer == RestFailure(-1121, "Invalid symbol.", 200)
        kinds[path.rpartition("/")[2], type(answer).__name__] += 1
    used = {key: count for key, count in kinds.items() if key[1] != "Ignored"}
    assert used == {
        ("klines", "Klines"): 6,
        ("aggTrades", "AggTrades"): 3,
        ("exchangeInfo", "ExchangeInfo"): 1,
        ("premiumIndex", "tuple"): 2,
        ("24hr", "RestFailure"): 1,
        ("24hr", "tuple"): 2,
        ("bookTicker", "tuple"): 2,
        ("price", "tuple"): 2,
        ("time", "ServerTime"): 1,
    }
