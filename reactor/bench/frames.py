"""Frames and tape lines made up for measuring: Binance's form and lengths, the same on every machine."""

import random
from collections.abc import Iterator
from typing import NamedTuple

from reactor.bench.held import NS_PER_MS, T_MS

PERIOD = 4096
"""Ticks after which a symbol's walk is back where it began, one tick size higher: calm, never the same."""

TAPE_HEADER = b'{"tape":1,"created":"2025-11-20T12:00:00Z","environment":"simulated"}\n'


class Quoted(NamedTuple):
    """A symbol and where its prices begin, in tenths."""

    symbol: str
    tenths: int


SYMBOLS = (Quoted("BTCUSDT", 600_000), Quoted("ETHUSDT", 32_000), Quoted("BNBUSDT", 8_800))


def agg_trade(symbol: str, price: str, trade_id: int, t_ms: int) -> str:
    """An aggTrade frame in its envelope."""
    return (
        f'{{"stream":"{symbol.lower()}@aggTrade","data":{{"e":"aggTrade","E":{t_ms},"s":"{symbol}",'
        f'"a":{trade_id},"p":"{price}","q":"0.120","nq":"0.120","f":{trade_id * 2},'
        f'"l":{trade_id * 2 + 1},"T":{t_ms},"m":false,"st":1}}}}'
    )


def book_ticker(symbol: str, bid: str, ask: str, update_id: int, t_ms: int) -> str:
    """A bookTicker frame in its envelope."""
    return (
        f'{{"stream":"{symbol.lower()}@bookTicker","data":{{"e":"bookTicker","u":{update_id},'
        f'"E":{t_ms},"T":{t_ms},"s":"{symbol}","ps":"{symbol}","b":"{bid}","B":"3.210",'
        f'"a":"{ask}","A":"1.004","st":1}}}}'
    )


def mark_price(symbol: str, price: str, t_ms: int) -> str:
    """A markPriceUpdate frame in its envelope."""
    return (
        f'{{"stream":"{symbol.lower()}@markPrice@1s","data":{{"e":"markPriceUpdate","E":{t_ms},'
        f'"s":"{symbol}","p":"{price}000000","ap":"{price}000000","i":"{price}000000",'
        f'"P":"{price}000000","r":"0.00010000","T":{t_ms + 3_600_000},"st":1}}}}'
    )


def tape_line(frame: str, t_ns: int) -> str:
    """The tape line of a market frame, without its newline."""
    return f'{{"t":{t_ns},"c":"market","m":{frame}}}'


def tape_lines(*, seed: int = 1) -> Iterator[str]:
    """Lines of three symbols without end: 11 aggTrades, 8 bookTickers and a markPrice in every 20.

    Prices walk by a tick at a time and come back; each period of `PERIOD` ticks ends one tick higher, so
    that a trailing stop has something to follow. A line follows the last after 2 ms.
    """
    walks = [_walk(random.Random(seed + number)) for number in range(len(SYMBOLS))]  # noqa: S311 - a fixed walk, no secret
    number = 0
    while True:
        t_ms = T_MS + number * 2
        turn = number // len(SYMBOLS)
        place = number % len(SYMBOLS)
        symbol, tenths = SYMBOLS[place]
        tenths += walks[place][turn % PERIOD] + turn // PERIOD
        price = f"{tenths // 10}.{tenths % 10}0"
        kind = number % 20
        if kind == 0:
            frame = mark_price(symbol, price, t_ms)
        elif kind <= 8:
            ask = f"{(tenths + 1) // 10}.{(tenths + 1) % 10}0"
            frame = book_ticker(symbol, price, ask, number, t_ms)
        else:
            frame = agg_trade(symbol, price, number, t_ms)
        yield tape_line(frame, t_ms * NS_PER_MS)
        number += 1


def _walk(steps: random.Random) -> list[int]:
    """A closed walk: offsets in tick sizes that begin and end at 0."""
    moves = [1, -1] * (PERIOD // 2)
    steps.shuffle(moves)
    offsets, at = [], 0
    for move in moves:
        offsets.append(at)
        at += move
    return offsets
