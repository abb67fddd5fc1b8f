"""python-binance, unmodified, against the simulated exchange."""

import asyncio
import importlib
from typing import Any

import pytest

# Not `binance` alone: a folder of this name among the tests would do for that.
pytest.importorskip("binance.base_client", reason="needs the interop extra (python-binance)")
binance = importlib.import_module("binance")
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture
def client(exchange: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    base = importlib.import_module("binance.base_client").BaseClient

    monkeypatch.setattr(base, "FUTURES_URL", f"{exchange.http}/fapi")
    return binance.Client("sim-key", "sim-secret", ping=False)


def test_market_data(client: Any) -> None:
    info = client.futures_exchange_info()
    assert {s["symbol"] for s in info["symbols"]} >= {"BTCUSDT", "ADAUSDT"}
    assert client.futures_ping() == {}
    assert client.futures_time()["serverTime"] > 0
    assert len(client.futures_klines(symbol="BTCUSDT", interval="5m", limit=300)) == 300
    past = client.futures_historical_klines("BTCUSDT", "1m", "1 hour ago UTC")
    assert 59 <= len(past) <= 61
    assert client.futures_funding_rate(symbol="BTCUSDT", limit=3)[-1]["fundingRate"] == "0.00010000"
    assert float(client.futures_mark_price(symbol="BTCUSDT")["markPrice"]) > 0
    assert client.futures_orderbook_ticker(symbol="ETHUSDT")["symbol"] == "ETHUSDT"
    assert client.futures_order_book(symbol="ETHUSDT", limit=10)["bids"]
    assert len(client.futures_symbol_ticker()) == 9


def test_orders_and_positions(client: Any) -> None:
    opened = client.futures_create_order(
        symbol="BTCUSDT", side="BUY", type="MARKET", quantity=0.01, newOrderRespType="RESULT"
    )
    assert opened["status"] == "FILLED"
    assert "avgPrice" not in opened
    found = client.futures_get_order(symbol="BTCUSDT", orderId=opened["orderId"])
    assert float(found["avgPrice"]) > 0
    (position,) = [p for p in client.futures_position_information() if float(p["positionAmt"])]
    assert position["positionAmt"] == "0.010"
    assert client.futures_account()["positions"]
    assert client.futures_account_balance()[0]["asset"] == "USDT"
    assert len(client.futures_account_trades(symbol="BTCUSDT")) == 1
    price = round(float(found["avgPrice"]) * 0.98, 1)
    resting = client.futures_create_order(
        symbol="BTCUSDT", side="BUY", type="LIMIT", timeInForce="GTC", quantity=0.01, price=price
    )
    assert [o["orderId"] for o in client.futures_get_open_orders(symbol="BTCUSDT")] == [
        resting["orderId"]
    ]
    gone = client.futures_cancel_order(symbol="BTCUSDT", orderId=resting["orderId"])
    assert gone["status"] == "CANCELED"


def test_conditional_orders_go_to_the_algo_service(client: Any) -> None:
    client.futures_create_order(symbol="BTCUSDT", side="BUY", type="MARKET", quantity=0.01)
    stop = client.futures_create_order(
        symbol="BTCUSDT",
        side="SELL",
        type="STOP_MARKET",
        stopPrice=70000,
        closePosition=True,
        workingType="MARK_PRICE",
    )
    assert stop["algoStatus"] == "NEW"
    assert stop["timeInForce"] == "GTE_GTC"
    with pytest.raises(binance.exceptions.BinanceAPIException) as twice:
        client.futures_create_order(
            symbol="BTCUSDT", side="SELL", type="STOP_MARKET", stopPrice=71000, closePosition=True
        )
    assert twice.value.code == -4130
    listed = client.futures_get_open_orders(symbol="BTCUSDT", conditional=True)
    assert [row["algoId"] for row in listed] == [stop["algoId"]]
    gone = client.futures_cancel_algo_order(algoId=stop["algoId"])
    assert gone["code"] == "200"


def test_errors_reach_the_client(client: Any) -> None:
    with pytest.raises(binance.exceptions.BinanceAPIException) as refused:
        client.futures_create_order(
            symbol="BTCUSDT", side="SELL", type="MARKET", quantity=0.01, reduceOnly=True
        )
    assert (refused.value.code, refused.value.status_code) == (-2022, 400)


async def test_streams(exchange: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    base = importlib.import_module("binance.base_client").BaseClient

    monkeypatch.setattr(base, "FUTURES_URL", f"{exchange.http}/fapi")
    monkeypatch.setattr(binance.BinanceSocketManager, "FSTREAM_URL", f"{exchange.ws}/")
    client = binance.AsyncClient("sim-key", "sim-secret")
    try:
        sockets = binance.BinanceSocketManager(client)
        async with sockets.aggtrade_futures_socket("BTCUSDT") as stream:
            frame = await asyncio.wait_for(stream.recv(), 5)
            assert frame["data" if "data" in frame else "e"] is not None
        multiplex = sockets.futures_multiplex_socket(["btcusdt@markPrice@1s", "ethusdt@kline_1m"])
        async with multiplex as stream:
            seen = {(await asyncio.wait_for(stream.recv(), 5))["stream"] for _ in range(8)}
            assert seen == {"btcusdt@markPrice@1s", "ethusdt@kline_1m"}
        async with sockets.futures_user_socket() as stream:
            await asyncio.sleep(0.2)
            order = await client.futures_create_order(
                symbol="BTCUSDT", side="BUY", type="MARKET", quantity=0.01
            )
            events = [await asyncio.wait_for(stream.recv(), 5) for _ in range(4)]
            assert [e["e"] for e in events] == [
                "ORDER_TRADE_UPDATE",
                "TRADE_LITE",
                "ACCOUNT_UPDATE",
                "ORDER_TRADE_UPDATE",
            ]
            assert events[-1]["o"]["i"] == order["orderId"]
    finally:
        await client.close_connection()


async def test_websocket_api(exchange: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    base = importlib.import_module("binance.base_client").BaseClient

    monkeypatch.setattr(base, "WS_FUTURES_URL", f"{exchange.ws}/ws-fapi/v1")
    client = binance.AsyncClient("sim-key", "sim-secret")
    try:
        placed = await client.ws_futures_create_order(
            symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.01"
        )
        assert placed["symbol"] == "BTCUSDT"
        status = await client.ws_futures_get_order(symbol="BTCUSDT", orderId=placed["orderId"])
        assert status["status"] == "FILLED"
        rows = await client.ws_futures_v2_account_position()
        assert rows[0]["positionAmt"] == "0.010"
    finally:
        await client.close_connection()
