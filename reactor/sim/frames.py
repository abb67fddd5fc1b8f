"""Market frames, spelled as the exchange spells them since 2026-06 (``st``, ``ps``, ``nq``, ``ap``).

Built as text, because a busy server makes tens of thousands a second. Source: binance.md §2.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import orjson

from reactor.sim.book import Level
from reactor.sim.decimals import fixed, spelled
from reactor.sim.market import INTERVAL_MS, Candle, Market, PublicTrade


def agg_trade(market: Market, trade: PublicTrade, now_ms: int) -> bytes:
    """Return an aggTrade: one print is one aggregate here."""
    price = spelled(trade.price, market.places)
    quantity = spelled(trade.quantity, market.size)
    return (
        f'{{"e":"aggTrade","E":{now_ms},"s":"{market.rules.symbol}","a":{market.aggregate_id},'
        f'"p":"{price}","q":"{quantity}","nq":"{quantity}","f":{trade.trade_id},'
        f'"l":{trade.trade_id},"T":{trade.time_ms},'
        f'"m":{"true" if trade.buyer_maker else "false"},"st":1}}'
    ).encode()


def raw_trade(market: Market, trade: PublicTrade, now_ms: int) -> bytes:
    """Return a raw trade print (undocumented stream ``@trade``)."""
    return (
        f'{{"e":"trade","E":{now_ms},"T":{trade.time_ms},"s":"{market.rules.symbol}",'
        f'"t":{trade.trade_id},"p":"{spelled(trade.price, market.places)}",'
        f'"q":"{spelled(trade.quantity, market.size)}","X":"MARKET",'
        f'"m":{"true" if trade.buyer_maker else "false"},"st":1}}'
    ).encode()


def book_ticker(market: Market, bid: Level, ask: Level, now_ms: int) -> bytes:
    """Return a bookTicker."""
    symbol, places, size = market.rules.symbol, market.places, market.size
    return (
        f'{{"e":"bookTicker","u":{market.update_id},"E":{now_ms},"T":{now_ms},"s":"{symbol}",'
        f'"ps":"{symbol}","b":"{spelled(bid[0], places)}","B":"{spelled(bid[1], size)}",'
        f'"a":"{spelled(ask[0], places)}","A":"{spelled(ask[1], size)}","st":1}}'
    ).encode()


def mark_price(market: Market, now_ms: int) -> bytes:
    """Return a markPriceUpdate."""
    mark = fixed(market.mark, 8)
    return (
        f'{{"e":"markPriceUpdate","E":{now_ms},"s":"{market.rules.symbol}","p":"{mark}","ap":"{mark}",'
        f'"i":"{fixed(market.index, 8)}","P":"{mark}","r":"{fixed(market.funding_rate, 8)}",'
        f'"T":{market.next_funding_ms},"st":1}}'
    ).encode()


def kline(market: Market, interval: str, candle: Candle, now_ms: int, *, closed: bool) -> bytes:
    """Return a kline frame of the open or just closed candle."""
    rules = market.rules
    places, size = rules.price_places, rules.quantity_places
    body = {
        "t": candle.open_ms,
        "T": candle.open_ms + INTERVAL_MS[interval] - 1,
        "s": rules.symbol,
        "i": interval,
        "f": candle.first_id,
        "L": candle.last_id,
        "o": fixed(candle.open, places),
        "c": fixed(candle.close, places),
        "h": fixed(candle.high, places),
        "l": fixed(candle.low, places),
        "v": fixed(candle.volume, size),
        "n": candle.trades,
        "x": closed,
        "q": fixed(candle.quote, 5),
        "V": fixed(candle.taker_base, size),
        "Q": fixed(candle.taker_quote, 5),
        "B": "0",
    }
    return orjson.dumps({"e": "kline", "E": now_ms, "s": rules.symbol, "k": body})


def depth(
    market: Market,
    bids: Iterable[Level],
    asks: Iterable[Level],
    now_ms: int,
    *,
    first_id: int,
    previous_id: int,
) -> bytes:
    """Return a depthUpdate; the same shape serves partial and diff streams."""
    rules = market.rules
    return orjson.dumps(
        {
            "e": "depthUpdate",
            "E": now_ms,
            "T": now_ms,
            "s": rules.symbol,
            "ps": rules.symbol,
            "U": first_id,
            "u": market.update_id,
            "pu": previous_id,
            "b": levels(market, bids),
            "a": levels(market, asks),
            "st": 1,
        }
    )


def levels(market: Market, rows: Iterable[Level]) -> list[list[str]]:
    """Return book levels as pairs of strings."""
    places, size = market.rules.price_places, market.rules.quantity_places
    return [[fixed(price, places), fixed(quantity, size)] for price, quantity in rows]


class DayStats:
    """The rolling day of a symbol, for tickers and ticker/24hr."""

    def __init__(self, market: Market) -> None:
        first = market.minutes[0]
        day = Candle(first.open_ms, first.open, first.open, first.open, first.open)
        for minute in list(market.minutes)[-1440:]:
            day.join(minute)
        self.market = market
        self.day = day
        self.change: Decimal = day.close - day.open
        self.percent = self.change / day.open * 100
        self.average = day.quote / day.volume if day.volume else day.close

    def frame(self, now_ms: int) -> dict[str, Any]:
        """Return a 24hrTicker payload."""
        rules, day = self.market.rules, self.day
        places, size = rules.price_places, rules.quantity_places
        last = self.market.trades[-1].quantity if self.market.trades else Decimal(0)
        return {
            "e": "24hrTicker",
            "E": now_ms,
            "s": rules.symbol,
            "ps": rules.symbol,
            "p": fixed(self.change, places),
            "P": fixed(self.percent, 3),
            "w": fixed(self.average, places),
            "c": fixed(day.close, places),
            "Q": fixed(last, size),
            "o": fixed(day.open, places),
            "h": fixed(day.high, places),
            "l": fixed(day.low, places),
            "v": fixed(day.volume, size),
            "q": fixed(day.quote, 2),
            "O": now_ms - 86_400_000,
            "C": now_ms,
            "F": day.first_id,
            "L": day.last_id,
            "n": day.trades,
            "st": 1,
        }

    def mini(self, now_ms: int) -> dict[str, Any]:
        """Return a 24hrMiniTicker payload."""
        full = self.frame(now_ms)
        return {
            "e": "24hrMiniTicker",
            "E": now_ms,
            **{key: full[key] for key in ("s", "ps", "c", "o", "h", "l", "v", "q", "st")},
        }
