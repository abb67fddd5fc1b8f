"""Payloads field by field: against the documented tables and against recorded messages."""

import gzip
import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from .trading_desk import Desk, told

DATA = Path(__file__).parents[2] / "../shared/data"
S, I, B, L, O = str, int, bool, list, dict  # noqa: E741 -- one letter a type, as in the tables

ORDER_EVENT = {
    "s": S, "c": S, "S": S, "o": S, "f": S, "q": S, "p": S, "ap": S, "sp": S, "x": S, "X": S, "i": I,
    "l": S, "z": S, "L": S, "N": S, "n": S, "T": I, "t": I, "b": S, "a": S, "m": B, "R": B, "wt": S,
    "ot": S, "ps": S, "cp": B, "pP": B, "si": I, "ss": I, "rp": S, "V": S, "pm": S, "gtd": I, "er": S,
}  # fmt: skip
ALGO_EVENT = {
    "caid": S, "aid": I, "at": S, "o": S, "s": S, "S": S, "ps": S, "f": S, "q": S, "X": S, "ai": S,
    "ap": S, "aq": S, "act": S, "tp": S, "p": S, "V": S, "wt": S, "pm": S, "cp": B, "pP": B, "R": B,
    "tt": I, "gtd": I, "rm": S, "ia": B,
}  # fmt: skip
BALANCE = {"a": S, "wb": S, "cw": S, "bc": S}
POSITION = {
    "s": S, "pa": S, "ep": S, "bep": S, "cr": S, "up": S, "mt": S, "iw": S, "ps": S,
}  # fmt: skip
LITE = {
    "e": S, "E": I, "T": I, "s": S, "q": S, "p": S, "m": B, "c": S, "S": S, "L": S, "l": S, "t": I,
    "i": I,
}  # fmt: skip
FRAMES = {
    "markPrice@1s": {"e": S, "E": I, "s": S, "p": S, "ap": S, "i": S, "P": S, "r": S, "T": I, "st": I},
    "aggTrade": {
        "e": S, "E": I, "s": S, "a": I, "p": S, "q": S, "nq": S, "f": I, "l": I, "T": I, "m": B, "st": I,
    },
    "bookTicker": {
        "e": S, "u": I, "E": I, "T": I, "s": S, "ps": S, "b": S, "B": S, "a": S, "A": S, "st": I,
    },
    "kline_5m": {"e": S, "E": I, "s": S, "k": O},
    "depth5": {
        "e": S, "E": I, "T": I, "s": S, "ps": S, "U": I, "u": I, "pu": I, "b": L, "a": L, "st": I,
    },
    "miniTicker": {"e": S, "E": I, "s": S, "ps": S, "c": S, "o": S, "h": S, "l": S, "v": S, "q": S, "st": I},
    "ticker": {
        "e": S, "E": I, "s": S, "ps": S, "p": S, "P": S, "w": S, "c": S, "Q": S, "o": S, "h": S, "l": S,
        "v": S, "q": S, "O": I, "C": I, "F": I, "L": I, "n": I, "st": I,
    },
}  # fmt: skip
KLINE = {
    "t": I, "T": I, "s": S, "i": S, "f": I, "L": I, "o": S, "c": S, "h": S, "l": S, "v": S, "n": I,
    "x": B, "q": S, "V": S, "Q": S, "B": S,
}  # fmt: skip
PLACED = {
    "clientOrderId": S, "cumQty": S, "executedQty": S, "orderId": I, "origQty": S, "price": S,
    "reduceOnly": B, "side": S, "positionSide": S, "status": S, "stopPrice": S, "closePosition": B,
    "symbol": S, "timeInForce": S, "type": S, "origType": S, "updateTime": I, "workingType": S,
    "priceProtect": B, "priceMatch": S, "selfTradePreventionMode": S, "goodTillDate": I,
}  # fmt: skip
QUERIED = {k: v for k, v in PLACED.items() if k != "cumQty"} | {
    "avgPrice": S, "cumQuote": S, "time": I,
}  # fmt: skip
ALGO_PLACED = {
    "algoId": I, "clientAlgoId": S, "algoType": S, "orderType": S, "symbol": S, "side": S,
    "positionSide": S, "timeInForce": S, "quantity": S, "algoStatus": S, "triggerPrice": S, "price": S,
    "icebergQuantity": type(None), "selfTradePreventionMode": S, "workingType": S, "priceMatch": S,
    "closePosition": B, "priceProtect": B, "reduceOnly": B, "activatePrice": S, "callbackRate": S, "createTime": I,
    "updateTime": I, "triggerTime": I, "goodTillDate": I,
}  # fmt: skip
ALGO_QUERIED = ALGO_PLACED | {
    "actualOrderId": S, "actualPrice": S, "actualType": S, "actualQty": S, "tpOrderType": S,
    "tpTriggerPrice": S, "tpPrice": S, "slTriggerPrice": S, "slPrice": S,
}  # fmt: skip
POSITION_V3 = {
    "symbol": S, "positionSide": S, "positionAmt": S, "entryPrice": S, "breakEvenPrice": S,
    "markPrice": S, "unRealizedProfit": S, "liquidationPrice": S, "isolatedMargin": S, "notional": S,
    "marginAsset": S, "isolatedWallet": S, "initialMargin": S, "maintMargin": S,
    "positionInitialMargin": S, "openOrderInitialMargin": S, "adl": I, "bidNotional": S,
    "askNotional": S, "updateTime": I,
}  # fmt: skip
TRADE = {
    "buyer": B, "commission": S, "commissionAsset": S, "id": I, "maker": B, "orderId": I, "price": S,
    "qty": S, "quoteQty": S, "realizedPnl": S, "side": S, "positionSide": S, "symbol": S, "time": I,
    "marginAsset": S, "baseQty": S, "pair": S,
}  # fmt: skip


def fits(
    row: dict[str, Any], table: Mapping[str, type], *, more: frozenset[str] = frozenset()
) -> None:
    assert {k: type(v) for k, v in row.items() if k not in more} == table


def test_user_events(desk: Desk) -> None:
    stream = desk.user_stream()
    desk.order(side="BUY", quantity="0.5")
    desk.algo(triggerPrice="80000", closePosition="true")
    desk.price("79000")
    desk.wait(100)
    events = told(stream)
    for event in events:
        if event["e"] == "TRADE_LITE":
            fits(event, LITE)
            continue
        assert {k: type(v) for k, v in event.items()} == {
            "e": S,
            "T": I,
            "E": I,
            ("a" if event["e"] == "ACCOUNT_UPDATE" else "o"): O,
        }
        if event["e"] == "ACCOUNT_UPDATE":
            fits(event["a"]["B"][0], BALANCE)
            fits(event["a"]["P"][0], POSITION, more=frozenset({"ma"}))
        elif event["e"] == "ALGO_UPDATE":
            fits(event["o"], ALGO_EVENT)
        else:
            fits(event["o"], ORDER_EVENT, more=frozenset({"st"}))


def test_recorded_user_events_have_no_field_that_ours_lack() -> None:
    path = DATA / "user_quantconnect/sessions.jsonl"
    if not path.exists():
        pytest.skip("the recorded user events are not here")
    for line in path.read_text().splitlines():
        event = json.loads(line)["msg"]
        table = {"ORDER_TRADE_UPDATE": ORDER_EVENT | {"st": S}, "ALGO_UPDATE": ALGO_EVENT}.get(
            event["e"]
        )
        if table is not None:
            assert {k: type(v) for k, v in event["o"].items()}.items() <= table.items()


def test_market_frames(desk: Desk) -> None:
    for name, table in FRAMES.items():
        route = "public" if name in {"bookTicker", "depth5"} else "market"
        connection = desk.simulation.connect(f"/{route}/ws/btcusdt@{name}")
        assert connection is not None
        desk.price("81100")
        desk.wait(1000)
        frame = told(connection)[0]
        fits(frame, table)
        if name == "kline_5m":
            fits(frame["k"], KLINE)


def test_recorded_market_frames_have_no_field_that_ours_lack() -> None:
    path = DATA / "ws_cryptofeed/2021-07-22_BINANCE_FUTURES.ws.1.0.txt.gz"
    if not path.exists():
        pytest.skip("the recorded market frames are not here")
    tables = {
        "bookTicker": FRAMES["bookTicker"],
        "aggTrade": FRAMES["aggTrade"],
        "kline": KLINE,
        "depthUpdate": FRAMES["depth5"],
    }
    seen = set()
    for line in gzip.decompress(path.read_bytes()).decode().splitlines():
        _, _, text = line.partition(": ")
        if not text.startswith('{"stream"'):
            continue
        event = json.loads(text)["data"]
        row = event["k"] if event["e"] == "kline" else event
        assert {k: type(v) for k, v in row.items()}.items() <= tables[event["e"]].items()
        seen.add(event["e"])
    assert seen == set(tables)


def test_answers(desk: Desk) -> None:
    placed = desk.order(side="BUY", quantity="0.5")
    fits(placed, PLACED)
    fits(desk.ask("GET", "/fapi/v1/order", symbol="BTCUSDT", orderId=placed["orderId"]), QUERIED)
    stop = desk.algo(triggerPrice="80000", closePosition="true")
    fits(stop, ALGO_PLACED)
    fits(desk.ask("GET", "/fapi/v1/algoOrder", algoId=stop["algoId"]), ALGO_QUERIED)
    fits(desk.ask("GET", "/fapi/v3/positionRisk")[0], POSITION_V3)
    fits(desk.ask("GET", "/fapi/v1/userTrades", symbol="BTCUSDT")[0], TRADE)
    assert placed["orderId"] > 2**53


def test_lists_and_objects_come_as_the_exchange_sends_them(desk: Desk) -> None:
    assert isinstance(desk.ask("GET", "/fapi/v1/leverageBracket"), list)
    one = desk.ask("GET", "/fapi/v1/leverageBracket", symbol="BTCUSDT")
    assert isinstance(one, dict)
    assert {type(row["cum"]) for row in one["brackets"]} == {I}
    assert isinstance(desk.open("/fapi/v1/premiumIndex", symbol="BTCUSDT"), dict)
    assert len(desk.open("/fapi/v1/premiumIndex")) == 9
    assert len(desk.ask("GET", "/fapi/v2/positionRisk")) == 9
    assert desk.ask("GET", "/fapi/v3/positionRisk") == []
    klines = desk.open("/fapi/v1/klines", symbol="ETHUSDT", interval="5m", limit=1500)
    assert len(klines) == 1500
    assert [type(v) for v in klines[0]] == [I, S, S, S, S, S, I, S, I, S, S, S]
    assert all(b[0] - a[0] == 300_000 for a, b in itertools.pairwise(klines))
    assert klines == desk.open("/fapi/v1/klines", symbol="ETHUSDT", interval="5m", limit=1500)


def test_exchange_info_has_what_recorded_ones_have(desk: Desk) -> None:
    path = DATA / "ws_cryptofeed/2021-07_BINANCE_FUTURES.0_exchangeInfo.txt.gz"
    if not path.exists():
        pytest.skip("the recorded exchangeInfo is not here")
    text = gzip.decompress(path.read_bytes()).decode()
    real = json.JSONDecoder().raw_decode(text[text.index('{"timezone"') :])[0]
    ours = desk.open("/fapi/v1/exchangeInfo")
    assert set(real) <= set(ours)
    theirs, mine = real["symbols"][0], ours["symbols"][0]
    assert {k: type(v) for k, v in theirs.items()}.items() <= {
        k: type(v) for k, v in mine.items()
    }.items()
    filters = {f["filterType"]: f for f in mine["filters"]}
    for one in theirs["filters"]:
        if one["filterType"] != "MAX_NUM_ALGO_ORDERS":  # removed 2025-12-29
            assert set(one) == set(filters[one["filterType"]])
    assert {s["symbol"] for s in ours["symbols"]} == {
        f"{base}USDT" for base in ("BTC", "ETH", "SOL", "DOT", "AVAX", "BNB", "ATOM", "XRP", "ADA")
    }
