"""Where Binance is reached: hosts of each environment, routes, and the URL of every socket.

Since 2026-04 a stream is delivered on its own route only. On the wrong one the handshake and the
subscription succeed and nothing ever comes, so the route is derived from the stream's name here, and a
name that is none of Binance's is refused instead of subscribed to.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final, Literal
from urllib.parse import quote, urlsplit

from msgspec import Struct

from reactor.errors import ConfigError
from reactor.limits import STREAMS_PER_CONNECTION_MAX

Route = Literal["public", "market"]


class Environment(Struct, frozen=True, kw_only=True):
    """One exchange to connect to."""

    name: str
    """mainnet, demo, or simulated."""
    rest: str
    """Without a path: `https://fapi.binance.com`."""
    streams: str
    """The root that `/public`, `/market` and `/private` are appended to."""
    ws_api: str
    """The whole URL of the WebSocket API."""


MAINNET: Final = Environment(
    name="mainnet",
    rest="https://fapi.binance.com",
    streams="wss://fstream.binance.com",
    ws_api="wss://ws-fapi.binance.com/ws-fapi/v1",
)
DEMO: Final = Environment(
    name="demo",
    rest="https://demo-fapi.binance.com",
    streams="wss://demo-fstream.binance.com",
    # The demo-fstream host has no WebSocket API.
    ws_api="wss://testnet.binancefuture.com/ws-fapi/v1",
)

PRIVATE_EVENTS: Final = (
    "ORDER_TRADE_UPDATE",
    "ACCOUNT_UPDATE",
    "ALGO_UPDATE",
    "TRADE_LITE",
    "ACCOUNT_CONFIG_UPDATE",
    "MARGIN_CALL",
    "CONDITIONAL_ORDER_TRIGGER_REJECT",
    "listenKeyExpired",
)
"""What the query form asks for. The exchange checks no name and left events out when none was given."""

_INTERVAL: Final = r"(?:1m|3m|5m|15m|30m|1h|2h|4h|6h|8h|12h|1d|3d|1w|1M)"
_OF_SYMBOL: Final[dict[Route, re.Pattern[str]]] = {
    "public": re.compile(r"bookTicker|trade|depth(?:5|10|20)?(?:@(?:100|500)ms)?|rpiDepth@500ms"),
    "market": re.compile(
        rf"aggTrade|markPrice(?:@1s)?|kline_{_INTERVAL}|continuousKline_{_INTERVAL}"
        r"|miniTicker|ticker|forceOrder|compositeIndex|assetIndex"
    ),
}
_OF_ALL: Final[dict[str, Route]] = {
    "!bookTicker": "public",
    "!markPrice@arr": "market",
    "!markPrice@arr@1s": "market",
    "!miniTicker@arr": "market",
    "!ticker@arr": "market",
    "!forceOrder@arr": "market",
    "!contractInfo": "market",
    "!assetIndex@arr": "market",
    "tradingSession": "market",
}


def simulated(root: str) -> Environment:
    """The environment of a simulated exchange: one server for everything.

    Args:
        root: what `reactor sim` printed, `http://127.0.0.1:8123`.

    Raises:
        ConfigError: it is no http or https URL of a host.
    """
    try:
        parts = urlsplit(root)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # A port that is no number, a bracket left open.
        usable = False
    if not usable:
        raise ConfigError(
            f'simulated exchange "{root}" is no address; give it as http://127.0.0.1:PORT'
        )
    path = parts.path.rstrip("/")
    web = f"{parts.scheme}://{parts.netloc}{path}"
    sockets = f"{'wss' if parts.scheme == 'https' else 'ws'}://{parts.netloc}{path}"
    return Environment(name="simulated", rest=web, streams=sockets, ws_api=f"{sockets}/ws-fapi/v1")


def environment(name: str) -> Environment:
    """The environment that an option or a configuration names.

    Args:
        name: `mainnet`, `demo`, or `sim:URL`.

    Raises:
        ConfigError: it names none.
    """
    if name == "mainnet":
        return MAINNET
    if name == "demo":
        return DEMO
    if name.startswith("sim:"):
        return simulated(name.removeprefix("sim:"))
    raise ConfigError(f'environment "{name}" is unknown; use mainnet, demo or sim:URL')


def stream_name(symbol: str, stream: str) -> str:
    """The stream of one symbol: `("BTCUSDT", "aggTrade")` is `btcusdt@aggTrade`."""
    return f"{symbol.lower()}@{stream}"


def route_of(stream: str) -> Route:
    """The route that delivers a stream.

    Raises:
        ConfigError: Binance has no stream of that name; it would acknowledge it and stay silent.
    """
    if stream in _OF_ALL:
        return _OF_ALL[stream]
    symbol, at, rest = stream.partition("@")
    if symbol and at and symbol == symbol.lower():
        for route, pattern in _OF_SYMBOL.items():
            if pattern.fullmatch(rest):
                return route
    raise ConfigError(
        f'stream "{stream}" is none of Binance\'s; names are like btcusdt@markPrice@1s'
    )


def by_route(streams: Iterable[str]) -> dict[Route, tuple[str, ...]]:
    """The streams sorted to their routes, in the order given; only routes that have one."""
    sorted_streams: dict[Route, tuple[str, ...]] = {}
    for stream in streams:
        route = route_of(stream)
        sorted_streams[route] = (*sorted_streams.get(route, ()), stream)
    return sorted_streams


def stream_url(root: Environment, streams: Sequence[str], *, enveloped: bool = True) -> str:
    """The URL of a socket that delivers these streams.

    Args:
        root: where.
        streams: names of one route, at least one, at most `STREAMS_PER_CONNECTION_MAX`.
        enveloped: `/stream` (each frame says which stream it is of) or `/ws` (bare frames).

    Raises:
        ConfigError: no stream, too many, or of two routes.
    """
    if not 0 < len(streams) <= STREAMS_PER_CONNECTION_MAX:
        raise ConfigError(
            f"{len(streams)} streams on one connection; it takes 1 to {STREAMS_PER_CONNECTION_MAX}"
        )
    routes = by_route(streams)
    if len(routes) > 1:
        raise ConfigError(
            f"streams of two routes on one connection: {routes['public'][0]} and {routes['market'][0]}"
        )
    # A comma instead of the slash breaks the handshake. Symbols may be non-ASCII.
    names = "/".join(quote(stream, safe="@!") for stream in streams)
    (route,) = routes
    return f"{root.streams}/{route}/" + (f"stream?streams={names}" if enveloped else f"ws/{names}")


def route_url(root: Environment, route: Route, *, enveloped: bool = True) -> str:
    """The URL of a socket without streams yet; they are asked for with SUBSCRIBE."""
    return f"{root.streams}/{route}/{'stream' if enveloped else 'ws'}"


def private_url(
    root: Environment,
    listen_key: str,
    *,
    form: Literal["query", "path"] = "query",
    events: Sequence[str] = PRIVATE_EVENTS,
) -> str:
    """The URL of the user-data socket. It holds the listen key: not to be shown.

    Args:
        root: where.
        listen_key: from `POST /fapi/v1/listenKey`.
        form: `query` (`/private/ws?listenKey=…&events=…`) or `path` (`/private/ws/…`). Both are documented,
            and each has been reported dead while the other worked: whoever connects must be able to switch.
        events: names for the query form; empty leaves the parameter out.
    """
    key = quote(listen_key, safe="")
    if form == "path":
        return f"{root.streams}/private/ws/{key}"
    wanted = f"&events={'/'.join(events)}" if events else ""
    return f"{root.streams}/private/ws?listenKey={key}{wanted}"
