"""One symbol's market: last price, mark, index, book, candles, funding. No orders here."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from reactor.sim.book import Book
from reactor.sim.decimals import ZERO, floor_to
from reactor.sim.symbols import SymbolRules

MINUTE_MS = 60_000
CANDLES_MAX = 1500  # a day of minutes, and what one klines request may ask for
TRADES_MAX = 1000
FUNDINGS_MAX = 1000
FUNDING_MS = 8 * 3_600_000
DEPTH_NOTIONAL = Decimal(50_000)  # USDT at a level near the touch

INTERVAL_MS = {
    "1m": MINUTE_MS,
    "3m": 3 * MINUTE_MS,
    "5m": 5 * MINUTE_MS,
    "15m": 15 * MINUTE_MS,
    "30m": 30 * MINUTE_MS,
    "1h": 60 * MINUTE_MS,
    "2h": 120 * MINUTE_MS,
    "4h": 240 * MINUTE_MS,
    "6h": 360 * MINUTE_MS,
    "8h": 480 * MINUTE_MS,
    "12h": 720 * MINUTE_MS,
    "1d": 1440 * MINUTE_MS,
    "3d": 3 * 1440 * MINUTE_MS,
    "1w": 7 * 1440 * MINUTE_MS,
    "1M": 30 * 1440 * MINUTE_MS,
}


@dataclass(slots=True)
class Candle:
    """One candle; prices in USDT, volumes in base (``volume``) and quote units."""

    open_ms: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal = ZERO
    quote: Decimal = ZERO
    trades: int = 0
    taker_base: Decimal = ZERO
    taker_quote: Decimal = ZERO
    first_id: int = -1
    last_id: int = -1

    def add(self, price: Decimal, quantity: Decimal, *, taker_buys: bool, trade_id: int) -> None:
        """Take one trade in."""
        self.high = max(self.high, price)
        self.low = min(self.low, price)
        self.close = price
        value = price * quantity
        self.volume += quantity
        self.quote += value
        self.trades += 1
        if taker_buys:
            self.taker_base += quantity
            self.taker_quote += value
        if self.first_id < 0:
            self.first_id = trade_id
        self.last_id = trade_id

    def join(self, later: "Candle") -> None:
        """Take a later candle in, to make a longer one."""
        self.high = max(self.high, later.high)
        self.low = min(self.low, later.low)
        self.close = later.close
        self.volume += later.volume
        self.quote += later.quote
        self.trades += later.trades
        self.taker_base += later.taker_base
        self.taker_quote += later.taker_quote
        if self.first_id < 0:
            self.first_id = later.first_id
        if later.last_id >= 0:
            self.last_id = later.last_id


@dataclass(slots=True)
class PublicTrade:
    """One print on the tape."""

    trade_id: int
    price: Decimal
    quantity: Decimal
    time_ms: int
    buyer_maker: bool


@dataclass(slots=True)
class Funding:
    """One settlement of funding: the rate that was paid, and the mark price it was paid on."""

    time_ms: int
    rate: Decimal
    mark: Decimal


class Market:
    """The state of one symbol. Whoever changes it says when."""

    def __init__(self, rules: SymbolRules, now_ms: int) -> None:
        price = rules.start_price
        depth = max(rules.step, floor_to(DEPTH_NOTIONAL / price, rules.step))
        self.use(rules)
        self.status = "TRADING"
        self.position_control = "NONE"  # exchangeInfo's positionControlSide
        self.fundings: deque[Funding] = deque(maxlen=FUNDINGS_MAX)
        self.last = price
        self.mark = price
        self.index = price
        self.book = Book(
            rules=rules,
            bid=price - rules.tick,
            ask=price,
            bid_qty=depth,
            ask_qty=depth,
            depth=depth,
        )
        self.funding_rate = Decimal("0.00010000")
        self.next_funding_ms = (now_ms // FUNDING_MS + 1) * FUNDING_MS
        self.order_id = 8_389_765_500_000_000_000  # live ids exceed 2**53 too
        self.trade_id = 7_000_000
        self.aggregate_id = 400_000_000
        self.update_id = 900_000_000
        self.trades: deque[PublicTrade] = deque(maxlen=TRADES_MAX)
        self.minutes: deque[Candle] = deque(maxlen=CANDLES_MAX)
        self.marks: deque[Candle] = deque(maxlen=CANDLES_MAX)
        self.started_ms = now_ms
        self._minute(self.minutes, price, now_ms)
        self._minute(self.marks, price, now_ms)

    def use(self, rules: SymbolRules) -> None:
        """Take the symbol's rules, and spell out what every frame needs of them."""
        self.rules = rules
        self.places = rules.price_places
        self.size = rules.quantity_places
        lower = rules.symbol.lower()
        self.agg_trade_stream = f"{lower}@aggTrade"
        self.trade_stream = f"{lower}@trade"
        self.book_stream = f"{lower}@bookTicker"

    @staticmethod
    def _minute(candles: deque[Candle], price: Decimal, now_ms: int) -> Candle:
        """Return the minute's candle; quiet minutes get one without volume, as on the exchange."""
        open_ms = now_ms // MINUTE_MS * MINUTE_MS
        if not candles:
            candles.append(Candle(open_ms, price, price, price, price))
        last = candles[-1]
        if last.open_ms >= open_ms:
            return last
        gap = min((open_ms - last.open_ms) // MINUTE_MS, CANDLES_MAX)
        for minute in range(open_ms - (gap - 1) * MINUTE_MS, open_ms + 1, MINUTE_MS):
            close = candles[-1].close
            candles.append(Candle(minute, close, close, close, close))
        fresh = candles[-1]
        if price != fresh.open:
            fresh.open = fresh.high = fresh.low = fresh.close = price
        return fresh

    def roll(self, now_ms: int) -> None:
        """Open the candles of a minute in which nothing has happened yet."""
        self._minute(self.minutes, self.last, now_ms)
        self._minute(self.marks, self.mark, now_ms)

    def trade(
        self, price: Decimal, quantity: Decimal, *, buyer_maker: bool, now_ms: int
    ) -> PublicTrade:
        """Print a trade: it is the last price from now on."""
        candle = self._minute(self.minutes, price, now_ms)
        self.trade_id += 1
        self.aggregate_id += 1
        self.last = price
        candle.add(price, quantity, taker_buys=not buyer_maker, trade_id=self.trade_id)
        trade = PublicTrade(self.trade_id, price, quantity, now_ms, buyer_maker)
        self.trades.append(trade)
        return trade

    def quote(self, bid: Decimal, bid_qty: Decimal, ask: Decimal, ask_qty: Decimal) -> None:
        """Set the best prices."""
        book = self.book
        book.bid, book.bid_qty, book.ask, book.ask_qty = bid, bid_qty, ask, ask_qty
        self.update_id += 1

    def quote_around(self, price: Decimal) -> None:
        """Put the book around a price: best ask at it, best bid a tick below, usual sizes."""
        depth = self.book.depth
        tick = self.rules.tick
        self.quote(max(tick, price - tick), depth, max(price, 2 * tick), depth)

    def set_mark(self, mark: Decimal, index: Decimal, now_ms: int) -> None:
        """Set mark and index price."""
        self.mark, self.index = mark, index
        candle = self._minute(self.marks, mark, now_ms)
        candle.high = max(candle.high, mark)
        candle.low = min(candle.low, mark)
        candle.close = mark
        candle.trades += 1

    def candles(self, interval: str, *, marks: bool = False) -> Iterator[Candle]:
        """Yield this run's candles of an interval, oldest first, the last one still open."""
        span = INTERVAL_MS[interval]
        current: Candle | None = None
        for minute in self.marks if marks else self.minutes:
            open_ms = minute.open_ms // span * span
            if current is None or current.open_ms != open_ms:
                if current is not None:
                    yield current
                current = Candle(open_ms, minute.open, minute.open, minute.open, minute.open)
            current.join(minute)
        if current is not None:
            yield current

    def candle(self, interval: str) -> Candle:
        """Return the open candle of an interval."""
        span = INTERVAL_MS[interval]
        open_ms = self.minutes[-1].open_ms // span * span
        count = min(len(self.minutes), (self.minutes[-1].open_ms - open_ms) // MINUTE_MS + 1)
        first = self.minutes[-count]
        result = Candle(open_ms, first.open, first.open, first.open, first.open)
        for position in range(len(self.minutes) - count, len(self.minutes)):
            result.join(self.minutes[position])
        return result
