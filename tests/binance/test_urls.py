"""Hosts, routes and socket URLs."""

import pytest

from reactor.binance.urls import (
    DEMO,
    MAINNET,
    PRIVATE_EVENTS,
    by_route,
    environment,
    private_url,
    route_of,
    route_url,
    simulated,
    stream_name,
    stream_url,
)
from reactor.errors import ConfigError

PUBLIC = [
    "btcusdt@bookTicker", "!bookTicker", "btcusdt@depth", "btcusdt@depth5", "btcusdt@depth20@100ms",
    "btcusdt@depth@500ms", "btcusdt@rpiDepth@500ms", "btcusdt@trade",
]  # fmt: skip
MARKET = [
    "btcusdt@aggTrade", "btcusdt@markPrice", "btcusdt@markPrice@1s", "!markPrice@arr", "!markPrice@arr@1s",
    "btcusdt@kline_5m", "btcusdt@kline_1M", "btcusdt_perpetual@continuousKline_4h", "btcusdt@miniTicker",
    "!miniTicker@arr", "btcusdt@ticker", "!ticker@arr", "btcusdt@forceOrder", "!forceOrder@arr",
    "defiusdt@compositeIndex", "!contractInfo", "!assetIndex@arr", "btcusd@assetIndex", "tradingSession",
    "币安人生usdt@aggTrade",
]  # fmt: skip
NONE = [
    "", "btcusdt", "@aggTrade", "BTCUSDT@aggTrade", "btcusdt@aggtrade", "btcusdt@markPrice@2s",
    "btcusdt@kline_7m", "btcusdt@kline", "!bookticker", "btcusdt@depth7", "btcusdt@bookTicker@1s",
    "btcusdt@aggTrade\n", "ORDER_TRADE_UPDATE",
]  # fmt: skip


@pytest.mark.parametrize("stream", PUBLIC)
def test_public_streams(stream: str) -> None:
    assert route_of(stream) == "public"


@pytest.mark.parametrize("stream", MARKET)
def test_market_streams(stream: str) -> None:
    assert route_of(stream) == "market"


@pytest.mark.parametrize("stream", NONE)
def test_a_name_that_would_stay_silent_is_refused(stream: str) -> None:
    with pytest.raises(ConfigError, match="names are like btcusdt@markPrice@1s"):
        route_of(stream)


def test_streams_are_sorted_to_their_routes() -> None:
    names = ["a@aggTrade", "b@bookTicker", "b@aggTrade"]
    assert by_route(names) == {"market": ("a@aggTrade", "b@aggTrade"), "public": ("b@bookTicker",)}
    assert by_route([]) == {}


def test_stream_names_are_lower_case() -> None:
    assert stream_name("BTCUSDT", "markPrice@1s") == "btcusdt@markPrice@1s"
    assert stream_name("币安人生USDT", "aggTrade") == "币安人生usdt@aggTrade"


def test_stream_urls() -> None:
    names = ["btcusdt@aggTrade", "ethusdt@markPrice@1s"]
    assert stream_url(MAINNET, names) == (
        "wss://fstream.binance.com/market/stream?streams=btcusdt@aggTrade/ethusdt@markPrice@1s"
    )
    assert stream_url(MAINNET, names, enveloped=False) == (
        "wss://fstream.binance.com/market/ws/btcusdt@aggTrade/ethusdt@markPrice@1s"
    )
    assert stream_url(DEMO, ["!bookTicker"]) == (
        "wss://demo-fstream.binance.com/public/stream?streams=!bookTicker"
    )
    assert stream_url(MAINNET, ["币usdt@aggTrade"], enveloped=False) == (
        "wss://fstream.binance.com/market/ws/%E5%B8%81usdt@aggTrade"
    )
    assert route_url(MAINNET, "public") == "wss://fstream.binance.com/public/stream"
    assert route_url(MAINNET, "market", enveloped=False) == "wss://fstream.binance.com/market/ws"


@pytest.mark.parametrize(
    ("streams", "reason"),
    [
        ([], "0 streams on one connection; it takes 1 to 1024"),
        (["a@aggTrade"] * 1025, "1025 streams on one connection; it takes 1 to 1024"),
        (["a@aggTrade", "a@bookTicker"], "streams of two routes on one connection: a@bookTicker and a@aggTrade"),
    ],
)  # fmt: skip
def test_a_connection_takes_one_route_and_a_thousand_streams(
    streams: list[str], reason: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        stream_url(MAINNET, streams)
    assert str(caught.value) == reason


def test_private_urls() -> None:
    assert private_url(MAINNET, "abc", events=("ACCOUNT_UPDATE", "ALGO_UPDATE")) == (
        "wss://fstream.binance.com/private/ws?listenKey=abc&events=ACCOUNT_UPDATE/ALGO_UPDATE"
    )
    assert (
        private_url(MAINNET, "abc", events=())
        == "wss://fstream.binance.com/private/ws?listenKey=abc"
    )
    assert private_url(MAINNET, "abc", form="path") == "wss://fstream.binance.com/private/ws/abc"
    assert private_url(DEMO, "a/b").startswith(
        "wss://demo-fstream.binance.com/private/ws?listenKey=a%2Fb&events=ORDER_TRADE_UPDATE/"
    )
    assert len(set(PRIVATE_EVENTS)) == len(PRIVATE_EVENTS)


def test_environments() -> None:
    assert environment("mainnet") is MAINNET
    assert environment("demo") is DEMO
    assert MAINNET.rest == "https://fapi.binance.com"
    assert DEMO.ws_api == "wss://testnet.binancefuture.com/ws-fapi/v1"
    local = environment("sim:http://127.0.0.1:8123/")
    assert local == simulated("http://127.0.0.1:8123")
    assert local.rest == "http://127.0.0.1:8123"
    assert local.ws_api == "ws://127.0.0.1:8123/ws-fapi/v1"
    assert (
        stream_url(local, ["a@aggTrade"]) == "ws://127.0.0.1:8123/market/stream?streams=a@aggTrade"
    )
    assert simulated("https://host/base").streams == "wss://host/base"


@pytest.mark.parametrize("name", ["", "Mainnet", "testnet", "sim"])
def test_an_unknown_environment_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="use mainnet, demo or sim:URL"):
        environment(name)


@pytest.mark.parametrize(
    "root", ["", "127.0.0.1:8123", "ws://127.0.0.1:1", "http://", "http://[::1", "http://h:x"]
)
def test_a_simulated_exchange_needs_an_address(root: str) -> None:
    with pytest.raises(ConfigError, match=r"give it as http://127\.0\.0\.1:PORT"):
        simulated(root)
