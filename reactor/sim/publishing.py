"""Which market frames are made, and when; only those that somebody subscribed to."""

from typing import TYPE_CHECKING, NamedTuple

import orjson

from reactor.sim import frames
from reactor.sim.book import Level
from reactor.sim.decimals import ZERO
from reactor.sim.market import INTERVAL_MS, Candle, Market, PublicTrade

if TYPE_CHECKING:
    from reactor.sim.exchange import Exchange

BEAT_MS = 250


class _Told(NamedTuple):
    """A symbol's book as the readers of its diff streams know it."""

    update_id: int
    bids: list[Level]
    asks: list[Level]


def _changes(before: list[Level], after: list[Level]) -> list[Level]:
    """Return what turns one side of a book into another: new quantities, and 0 for what is gone."""
    known = dict(before)
    changed = [level for level in after if known.pop(level[0], None) != level[1]]
    return changed + [(price, ZERO) for price in known]


class Publisher:
    """Turns changes of a market into frames."""

    def __init__(self, exchange: "Exchange") -> None:
        self._exchange = exchange
        self._beating = False
        self._last_klines: dict[str, tuple[int, int]] = {}
        self._partial_ids: dict[str, int] = {}
        self._told: dict[str, _Told] = {}

    def wake(self) -> None:
        """Begin the regular frames, now that somebody wants some; they end with the last reader."""
        if not self._beating:
            self._beating = True
            exchange = self._exchange
            exchange.schedule(BEAT_MS - exchange.now_ms % BEAT_MS, self._beat)

    def trade(self, market: Market, trade: PublicTrade) -> None:
        """Publish a print."""
        exchange = self._exchange
        name = market.rules.symbol
        if market.agg_trade_stream in exchange.wanted:
            payload = frames.agg_trade(market, trade, exchange.server_ms)
            exchange.tell_market(market.agg_trade_stream, payload, name)
        if market.trade_stream in exchange.wanted:
            payload = frames.raw_trade(market, trade, exchange.server_ms)
            exchange.tell_market(market.trade_stream, payload, name)

    def quote(self, market: Market) -> None:
        """Publish the best prices."""
        exchange = self._exchange
        if market.book_stream in exchange.wanted:
            bid, ask = self.best(market)
            payload = frames.book_ticker(market, bid, ask, exchange.server_ms)
            exchange.tell_market(market.book_stream, payload, market.rules.symbol)

    def best(self, market: Market) -> tuple[Level, Level]:
        """Return the best bid and ask as they stand after what was taken."""
        book = market.book
        now_ms = self._exchange.now_ms
        bid, ask = (book.bid, book.bid_qty), (book.ask, book.ask_qty)
        if book.taken["SELL"]:
            bid = next(book.offers("SELL", now_ms), bid)
        if book.taken["BUY"]:
            ask = next(book.offers("BUY", now_ms), ask)
        return bid, ask

    def mark(self, market: Market) -> None:
        """Publish a mark price at once (regular ones come every second)."""
        exchange = self._exchange
        name = market.rules.symbol
        for suffix in ("@markPrice@1s", "@markPrice"):
            stream = name.lower() + suffix
            if stream in exchange.wanted:
                exchange.tell_market(stream, frames.mark_price(market, exchange.server_ms), name)

    def _beat(self) -> None:
        exchange = self._exchange
        if not exchange.wanted:
            self._beating = False
            return
        exchange.schedule(BEAT_MS - exchange.now_ms % BEAT_MS, self._beat)
        whole = exchange.now_ms % 1000 < BEAT_MS
        self._diffs()
        for stream in sorted(exchange.wanted):
            name, _, kind = stream.partition("@")
            market = exchange.markets.get(name.upper())
            if market is None:
                if whole and stream.startswith("!"):
                    self._all(stream)
                continue
            if kind.startswith("kline_"):
                self._kline(stream, market, kind.removeprefix("kline_"))
            elif kind.startswith("depth"):
                count = kind.partition("@")[0].removeprefix("depth")
                if count:
                    self._partial(stream, market, int(count))
            elif whole:
                self._second(stream, market, kind)

    def _second(self, stream: str, market: Market, kind: str) -> None:
        exchange = self._exchange
        now_ms = exchange.server_ms
        name = market.rules.symbol
        third = exchange.now_ms // 1000 % 3 == 0
        if kind == "markPrice@1s" or (kind == "markPrice" and third):
            exchange.tell_market(stream, frames.mark_price(market, now_ms), name)
        elif kind == "ticker":
            payload = orjson.dumps(frames.DayStats(market).frame(now_ms))
            exchange.tell_market(stream, payload, name)
        elif kind == "miniTicker":
            payload = orjson.dumps(frames.DayStats(market).mini(now_ms))
            exchange.tell_market(stream, payload, name)

    def _all(self, stream: str) -> None:
        """Publish the streams of all symbols."""
        exchange = self._exchange
        now_ms = exchange.server_ms
        seconds = exchange.now_ms // 1000
        markets = exchange.markets.values()
        if stream == "!markPrice@arr@1s" or (stream == "!markPrice@arr" and seconds % 3 == 0):
            body = b",".join(frames.mark_price(market, now_ms) for market in markets)
            exchange.tell_market(stream, b"[" + body + b"]")
        elif stream == "!ticker@arr":
            rows = [frames.DayStats(market).frame(now_ms) for market in markets]
            exchange.tell_market(stream, orjson.dumps(rows))
        elif stream == "!miniTicker@arr":
            rows = [frames.DayStats(market).mini(now_ms) for market in markets]
            exchange.tell_market(stream, orjson.dumps(rows))
        elif stream == "!bookTicker" and seconds % 5 == 0:
            for market in markets:
                bid, ask = self.best(market)
                exchange.tell_market(stream, frames.book_ticker(market, bid, ask, now_ms))

    def _kline(self, stream: str, market: Market, interval: str) -> None:
        if interval not in INTERVAL_MS:
            return
        exchange = self._exchange
        market.roll(exchange.server_ms)
        candle = market.candle(interval)
        last = self._last_klines.get(stream)
        if last is not None and last[0] != candle.open_ms:
            self._closed(stream, market, interval, last[0])
        state = (candle.open_ms, candle.trades)
        if state != last:
            self._last_klines[stream] = state
            payload = frames.kline(market, interval, candle, exchange.server_ms, closed=False)
            exchange.tell_market(stream, payload, market.rules.symbol)

    def _closed(self, stream: str, market: Market, interval: str, open_ms: int) -> None:
        exchange = self._exchange
        done: Candle | None = None
        for candle in market.candles(interval):
            if candle.open_ms == open_ms:
                done = candle
                break
        if done is not None:
            payload = frames.kline(market, interval, done, exchange.server_ms, closed=True)
            exchange.tell_market(stream, payload, market.rules.symbol)

    def _partial(self, stream: str, market: Market, count: int) -> None:
        """Publish the best levels."""
        exchange = self._exchange
        bids, asks = self._levels(market)
        previous = self._partial_ids.get(stream, market.update_id)
        self._partial_ids[stream] = market.update_id
        payload = frames.depth(
            market,
            bids[:count],
            asks[:count],
            exchange.server_ms,
            first_id=min(previous + 1, market.update_id),
            previous_id=previous,
        )
        exchange.tell_market(stream, payload, market.rules.symbol)

    def _levels(self, market: Market) -> tuple[list[Level], list[Level]]:
        """Return the whole book as it is now, best first: (bids, asks)."""
        book, now_ms = market.book, self._exchange.now_ms
        return list(book.offers("SELL", now_ms)), list(book.offers("BUY", now_ms))

    def _diffs(self) -> None:
        """Publish what has changed in the books since it was last told, by symbol.

        All diff streams of a symbol say the same: a level that is gone has the quantity 0, so that a
        client's own book, begun with :meth:`snapshot`, stays equal to this one.
        """
        exchange = self._exchange
        streams: dict[str, list[str]] = {}
        for stream in sorted(exchange.wanted):
            name, _, kind = stream.partition("@")
            if kind.partition("@")[0] == "depth" and name.upper() in exchange.markets:
                streams.setdefault(name.upper(), []).append(stream)
        for symbol in [known for known in self._told if known not in streams]:
            del self._told[symbol]
        for symbol, names in streams.items():
            market = exchange.markets[symbol]
            told = self._told.get(symbol)
            bids, asks = self._levels(market)
            if told is None:
                self._told[symbol] = _Told(market.update_id, bids, asks)
                continue
            gone_bids, gone_asks = _changes(told.bids, bids), _changes(told.asks, asks)
            if not gone_bids and not gone_asks:
                continue
            # Two ids at least: a snapshot's lies between the frame before it and the end of this one.
            market.update_id = max(market.update_id, told.update_id + 2)
            payload = frames.depth(
                market,
                gone_bids,
                gone_asks,
                exchange.server_ms,
                first_id=told.update_id + 1,
                previous_id=told.update_id,
            )
            self._told[symbol] = _Told(market.update_id, bids, asks)
            for stream in names:
                exchange.tell_market(stream, payload, symbol)

    def snapshot(self, market: Market) -> tuple[int, list[Level], list[Level]]:
        """Return (last update id, bids, asks) for REST: the book that the next diff frame goes on from."""
        symbol = market.rules.symbol
        told = self._told.get(symbol)
        if told is None:
            bids, asks = self._levels(market)
            prefix = f"{symbol.lower()}@depth"
            if not any(s == prefix or s.startswith(f"{prefix}@") for s in self._exchange.wanted):
                return market.update_id, bids, asks
            told = self._told[symbol] = _Told(market.update_id, bids, asks)
        market.update_id = max(market.update_id, told.update_id + 1)
        return told.update_id + 1, told.bids, told.asks

    def forced(self, event: dict[str, object], symbol: str) -> None:
        """Publish a liquidation."""
        exchange = self._exchange
        for stream in (f"{symbol.lower()}@forceOrder", "!forceOrder@arr"):
            if stream in exchange.wanted:
                exchange.tell_market(stream, orjson.dumps(event), symbol)

    def forget(self, stream: str) -> None:
        """Drop what was kept for a stream that nobody wants any more."""
        self._last_klines.pop(stream, None)
        self._partial_ids.pop(stream, None)
