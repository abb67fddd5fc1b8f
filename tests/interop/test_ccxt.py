"""ccxt, unmodified, against the simulated exchange."""

import asyncio
import importlib
from typing import Any

import pytest

ccxt = pytest.importorskip("ccxt", reason="needs the interop extra (ccxt)")
pytestmark = pytest.mark.filterwarnings("default")
OPTIONS = {
    "apiKey": "sim-key",
    "secret": "sim-secret",
    "options": {
        "defaultType": "swap",
        "fetchMarkets": {"types": ["linear"]},
        "fetchCurrencies": False,
    },
}


def aim(client: Any, exchange: Any) -> Any:
    """Point a client's addresses at loopback."""
    api = client.urls["api"]
    for name, version in (("", "v1"), ("V2", "v2"), ("V3", "v3")):
        for door in ("fapiPublic", "fapiPrivate"):
            api[f"{door}{name}"] = f"{exchange.http}/fapi/{version}"
    if "ws" in api:
        api["ws"]["linear"] = f"{exchange.ws}/ws"
        api["ws"]["ws-api"]["linear"] = f"{exchange.ws}/ws-fapi/v1"
    return client


@pytest.fixture
def client(exchange: Any) -> Any:
    return aim(ccxt.binance(OPTIONS), exchange)


def test_markets_and_prices(client: Any) -> None:
    markets = client.load_markets()
    btc = markets["BTC/USDT:USDT"]
    assert btc["precision"] == {**btc["precision"], "price": 0.1, "amount": 0.001}
    assert client.fetch_ticker("BTC/USDT:USDT")["last"] > 0
    assert len(client.fetch_ohlcv("ETH/USDT:USDT", "5m", limit=50)) == 50
    assert client.fetch_order_book("BTC/USDT:USDT", 20)["asks"]
    assert client.fetch_funding_rate("BTC/USDT:USDT")["markPrice"] > 0


def test_orders_balance_positions(client: Any) -> None:
    symbol = "BTC/USDT:USDT"
    assert client.fetch_balance()["USDT"]["free"] == 100000.0
    order = client.create_order(symbol, "market", "buy", 0.01)
    assert client.fetch_order(order["id"], symbol)["status"] == "closed"
    (position,) = client.fetch_positions([symbol])
    assert (position["contracts"], position["side"]) == (0.01, "long")
    resting = client.create_order(symbol, "limit", "buy", 0.01, position["entryPrice"] * 0.98)
    assert [o["id"] for o in client.fetch_open_orders(symbol)] == [resting["id"]]
    client.cancel_order(resting["id"], symbol)
    closed = client.create_order(symbol, "market", "sell", 0.01, None, {"reduceOnly": True})
    assert closed["reduceOnly"]
    assert client.fetch_positions([symbol]) == []
    assert len(client.fetch_my_trades(symbol)) == 2


def test_lists_history_and_margin(client: Any) -> None:
    symbol = "BTC/USDT:USDT"
    last = client.fetch_ticker(symbol)["last"]
    ids = [client.create_order(symbol, "limit", "buy", 0.01, last * f)["id"] for f in (0.97, 0.98)]
    client.cancel_orders(ids, symbol)
    assert client.fetch_open_orders(symbol) == []
    assert client.fetch_funding_rate_history(symbol, limit=10)[-1]["fundingRate"] == 0.0001
    for kind in ("mark", "index", "premium_index"):
        assert len(getattr(client, f"fetch_{kind}_ohlcv")(symbol, "5m", limit=20)) == 20
    client.set_margin_mode("isolated", symbol)
    client.create_order(symbol, "market", "buy", 0.01)
    assert client.add_margin(symbol, 5)["amount"] == 5
    assert client.fetch_margin_adjustment_history(symbol)[0]["amount"] == 5


def test_stop_orders_use_the_algo_service(client: Any) -> None:
    symbol = "BTC/USDT:USDT"
    client.create_order(symbol, "market", "buy", 0.01)
    stop = client.create_order(
        symbol, "market", "sell", 0.01, None, {"stopLossPrice": 70000, "reduceOnly": True}
    )
    listed = client.fetch_open_orders(symbol, params={"trigger": True})
    assert [o["id"] for o in listed] == [stop["id"]]
    client.cancel_order(stop["id"], symbol, {"trigger": True})
    assert client.fetch_open_orders(symbol, params={"trigger": True}) == []


def test_refusals_become_the_clients_own_errors(client: Any) -> None:
    client.load_markets()
    with pytest.raises(ccxt.ExchangeError, match="-2022"):
        client.create_order("BTC/USDT:USDT", "market", "sell", 0.01, None, {"reduceOnly": True})
    client.secret = "wrong"
    with pytest.raises(ccxt.AuthenticationError):
        client.fetch_positions()


async def test_streams(exchange: Any) -> None:
    streaming = importlib.import_module("ccxt.pro")
    symbol = "BTC/USDT:USDT"
    client = aim(streaming.binance(OPTIONS), exchange)
    try:
        ticker = await asyncio.wait_for(client.watch_ticker(symbol), 10)
        assert ticker["last"] > 0
        trades = await asyncio.wait_for(client.watch_trades(symbol), 10)
        assert trades[-1]["price"] > 0
        for _ in range(5):
            book = await asyncio.wait_for(client.watch_order_book(symbol), 10)
        assert book["bids"][0][0] < book["asks"][0][0]
        assert len(book["asks"]) == 100
        candles = await asyncio.wait_for(client.watch_ohlcv(symbol, "1m"), 10)
        assert candles
        waiting = asyncio.ensure_future(client.watch_orders(symbol))
        await asyncio.sleep(0.5)
        placed = await client.create_order(symbol, "market", "buy", 0.01)
        orders = await asyncio.wait_for(waiting, 10)
        assert orders[-1]["id"] == placed["id"]
    finally:
        await client.close()
