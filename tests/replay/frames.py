"""Tape lines and Binance frames as short calls."""

import json
from typing import Any

T0_NS = 1_790_000_000_000_000_000
T0_MS = T0_NS // 1_000_000
SECOND_NS = 1_000_000_000


def line(second: float, message: Any, *, channel: str = "market", **more: Any) -> dict[str, Any]:
    """A tape line so many seconds after the start."""
    return {"t": T0_NS + round(second * SECOND_NS), "c": channel, "m": message} | more


def ms(second: float) -> int:
    return T0_MS + round(second * 1000)


def agg(price: str, number: int, second: float, *, symbol: str = "BTCUSDT", **more: Any) -> Any:
    frame = {"e": "aggTrade", "E": ms(second), "s": symbol, "a": number, "p": price}
    return frame | {"q": "1", "T": ms(second), "m": False} | more


def trade(price: str, number: int, second: float, *, symbol: str = "BTCUSDT", **more: Any) -> Any:
    frame = {"e": "trade", "E": ms(second), "s": symbol, "t": number, "p": price}
    return frame | {"q": "1", "T": ms(second), "X": "MARKET"} | more


def mark(price: str, second: float, *, symbol: str = "BTCUSDT", **more: Any) -> Any:
    frame = {"e": "markPriceUpdate", "E": ms(second), "s": symbol, "p": price, "i": price}
    return frame | {"r": "0.0001", "T": ms(3600)} | more


def book(
    bid: str, ask: str, number: int, second: float, *, symbol: str = "BTCUSDT", **more: Any
) -> Any:
    frame = {"e": "bookTicker", "u": number, "s": symbol, "b": bid, "B": "1", "a": ask, "A": "1"}
    return frame | {"T": ms(second), "E": ms(second)} | more


def in_envelope(frame: Any, stream: str = "btcusdt@x") -> dict[str, Any]:
    return {"stream": stream, "data": frame}


def ticks(*prices: str, start: int = 0, envelope: bool = False) -> list[dict[str, Any]]:
    """Lines of aggTrades, one a second; their ids are their seconds."""
    frames = [(n, agg(price, n + 1, n)) for n, price in enumerate(prices, start)]
    return [line(n, in_envelope(frame) if envelope else frame) for n, frame in frames]


def account_update(second: float, *positions: Any, reason: str = "ORDER", **more: Any) -> Any:
    account = {"m": reason, "B": [], "P": list(positions)}
    return line(
        second,
        {"e": "ACCOUNT_UPDATE", "E": ms(second) + 1, "T": ms(second), "a": account | more},
        channel="private",
    )


def position(amount: str, entry: str, *, side: str = "BOTH", symbol: str = "BTCUSDT") -> Any:
    flat = {"bep": "0", "cr": "0", "up": "0", "mt": "cross", "iw": "0"}
    return {"s": symbol, "pa": amount, "ep": entry, "ps": side} | flat


def order_trade(
    second: float,
    *,
    side: str,
    quantity: str,
    price: str,
    number: int,
    client_id: str = "theirs",
    profit: str = "0",
    status: str = "FILLED",
    **more: Any,
) -> dict[str, Any]:
    order: dict[str, Any] = {"s": "BTCUSDT", "c": client_id, "S": side, "o": "MARKET"}
    order |= {"f": "GTC", "q": quantity}
    order |= {"p": "0", "ap": price, "sp": "0", "x": "TRADE", "X": status, "i": 7, "l": quantity}
    order |= {"z": quantity, "L": price, "n": "0", "N": "USDT", "T": ms(second), "t": number}
    order |= {"R": False, "ot": "MARKET", "ps": "BOTH", "cp": False, "rp": profit, "si": 0, "ss": 0}
    event = {"e": "ORDER_TRADE_UPDATE", "E": ms(second) + 1, "T": ms(second), "o": order | more}
    return line(second, event, channel="private")


def rest(second: float, path: str, body: Any, *, status: int = 200, **params: Any) -> Any:
    answer = {"method": "GET", "path": path, "params": params, "status": status, "body": body}
    return line(second, answer, channel="rest")


def json_bytes(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
