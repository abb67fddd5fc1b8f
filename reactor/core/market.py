"""One symbol on one price source: which ticks count, their candles, and the machines they drive.

A market holds what the quiet path of the engine compares each tick with: two prices and an exchange time
between which nothing can happen, neither to a position nor to a candle. They are combined from the
machines' armed bounds, the forming candle's range, and the tick-jump limit.
"""

from copy import copy
from decimal import Decimal
from functools import lru_cache
from math import inf, nextafter
from typing import Literal, NamedTuple, Self

from reactor.core.candles import CandleSeries
from reactor.core.decisions import Side, StopMoved
from reactor.core.events import OnAdopt
from reactor.core.exact import add, double, multiply, subtract
from reactor.core.machine import Machine
from reactor.core.plan import INTERVAL_MS, AtrPlan
from reactor.errors import DecodeError
from reactor.limits import PRICE_MAX, PRICE_MIN, TIME_MS_MAX

Source = Literal["mark", "last", "book"]

NEVER_MS = TIME_MS_MAX + 1
"""An exchange time that no tick reaches: one that claims to is looked at, and refused."""


HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS

ID_STEP_MAX: dict[Source, int] = {"last": 10**9, "mark": DAY_MS, "book": 10**13}
"""How far an id may run ahead of the last one within a day. BTCUSDT has 10^7 trades a day and 10^10 book
updates; the id of a mark price is its time. An id beyond is damage, and believing it would make every later
tick an old one."""

HALF = Decimal("0.5")


class Awaited(NamedTuple):
    """A position that opens at its market's next accepted tick, before that tick is evaluated.

    `adopts` says what adoption does with a stop that the price is through; None opens it as it is.
    """

    side: Side
    quantity: Decimal
    entry: Decimal
    margin: Decimal | None
    liquidation_price: Decimal | None
    adopts: OnAdopt | None = None


class Quote(NamedTuple):
    """One price observation, exact.

    Attributes:
        long: what a LONG's rules look at: the price, or the bid of a book.
        short: what a SHORT's rules look at: the price, or the ask of a book.
        long_double, short_double: the same as doubles.
        candle: what candles are built from: the price, or the middle of a book.
        is_short: whether both texts have at most 15 digits, so that a double tells each exactly.
        text, ask_text: as they were written.
        t_event_ms: exchange time.
    """

    long: Decimal
    short: Decimal
    long_double: float
    short_double: float
    candle: float
    is_short: bool
    text: str
    ask_text: str
    t_event_ms: int


class TickBounds:
    """What a quiet tick is compared with, and what is stored of it; nothing else of a market.

    A class of its own because slots lie in memory class by class: so these lie side by side, and a tick of one
    of many symbols fetches two lines of memory for them, not one for each.
    """

    __slots__ = (
        "high",
        "id_end",
        "last_id",
        "low",
        "since_ms",
        "t_event_ms",
        "t_recv_ns",
        "text",
        "ticks",
        "until_ms",
    )


class Market(TickBounds):
    """One symbol on one source.

    Attributes:
        ticks: accepted ticks so far; the last one's number.
        low, high: the doubles strictly between which a tick is quiet (`ask_low`, `ask_high`: for the
            ask of a book). `since_ms`, `until_ms`: the forming candles' common span of exchange time.
        calm_low, calm_high: the same without the candle's range: between them no rule can act.
        trail_low, trail_high: the same without the peaks: between them a tick at most raises a peak and moves
            the stop behind it, and no stop is reached; none for a book.
        last_id: the id of the last tick seen; what is not above it is a duplicate or late.
        id_end: the id from which on a tick has to be looked at: it may be damage.
        text, ask_text: the last accepted tick as it was written. `t_event_ms`, `t_recv_ns`: its times.
        known_quote: the exact form of the last one that was asked for; the quiet path stores text alone.
    """

    __slots__ = (
        "_half_jump",
        "aggregated",
        "ask_high",
        "ask_low",
        "ask_text",
        "awaited",
        "calm_high",
        "calm_low",
        "due_ns",
        "duplicates",
        "jump_limit",
        "known_quote",
        "machines",
        "regime_series",
        "series",
        "source",
        "suspect",
        "suspects_dropped",
        "symbol",
        "trade_id",
        "trail_high",
        "trail_low",
    )

    def __init__(self, *, symbol: str, source: Source, jump_limit: Decimal) -> None:
        self.symbol = symbol
        self.source: Source = source
        self.jump_limit = jump_limit
        # How far two prices may both lie from a third and surely be within the limit of each other.
        self._half_jump = float(jump_limit) / (2 + float(jump_limit)) * 0.999
        self.ticks = 0
        self.last_id = -1
        self.id_end = 0
        self.trade_id = -1
        # Whether aggTrades were seen: from then on raw trades of the symbol are ignored.
        self.aggregated = False
        self.text = ""
        self.ask_text = ""
        self.t_event_ms = 0
        self.t_recv_ns = 0
        self.known_quote: Quote | None = None
        self.suspect: Quote | None = None
        self.duplicates = 0
        self.suspects_dropped = 0
        self.machines: list[Machine] = []
        # Positions that open at the next accepted tick.
        self.awaited: list[Awaited] = []
        self.series: dict[int, CandleSeries] = {}
        # The series that the symbol's regime is told by, where it is this market's.
        self.regime_series: CandleSeries | None = None
        self.due_ns: int | None = None
        self.low = self.ask_low = inf
        self.high = self.ask_high = -inf
        self.calm_low = inf
        self.calm_high = -inf
        self.trail_low = inf
        self.trail_high = -inf
        self.since_ms = 0
        self.until_ms = NEVER_MS

    def twin(self) -> Self:
        """An independent market that has seen the same prices and drives nothing yet."""
        twin = copy(self)
        twin.machines, twin.awaited, twin.due_ns = [], [], None
        twin.series = {interval_ms: series.twin() for interval_ms, series in self.series.items()}
        twin.regime_series = None
        return twin

    def quote(self) -> Quote | None:
        """The last accepted tick, exact; None before the first."""
        known = self.known_quote
        if known is not None and known.text is self.text and known.ask_text is self.ask_text:
            return known
        if self.text:
            self.known_quote = (
                book_quote(self.text, self.ask_text, self.t_event_ms)
                if self.source == "book"
                else price_quote(self.text, self.t_event_ms)
            )
        return self.known_quote

    def show(self, machine: Machine) -> None:
        """Tells a machine the current price of its side, before something that is no tick reaches it."""
        quote = self.quote()
        if quote is not None:
            machine.see(quote.long if machine.side == "LONG" else quote.short, tick=self.ticks)

    def settle_candle(self, series: CandleSeries) -> None:
        """Brings a series' close up to date: the quiet path stores the last price alone."""
        quote = self.quote()
        if quote is not None and series.start_ms <= self.t_event_ms < series.end_ms:
            series.settle(quote.candle)

    def fault(self, tick_id: int, t_event_ms: int, t_recv_ns: int) -> str | None:
        """Why a tick cannot be true, beside its price; None where nothing speaks against it.

        An id or an exchange time that runs far ahead while the receive time does not is damage.
        """
        if not 0 <= t_event_ms <= TIME_MS_MAX:
            return f"exchange time {t_event_ms} is out of range: 0 to {TIME_MS_MAX}"
        if not self.ticks or t_recv_ns - self.t_recv_ns >= DAY_MS * 1_000_000:
            return None
        if t_event_ms - self.t_event_ms > DAY_MS:
            return f"exchange time {t_event_ms} is more than a day ahead of the tick before it"
        if 0 <= self.last_id < tick_id - ID_STEP_MAX[self.source]:
            return f"id {tick_id} is too far ahead of the tick before it ({self.last_id})"
        return None

    def take_series(self, atr: AtrPlan) -> CandleSeries:
        """The candles of a plan's interval, with its ATR measured on them."""
        interval_ms = INTERVAL_MS[atr.interval]
        series = self.series.get(interval_ms)
        if series is None:
            series = self.series[interval_ms] = CandleSeries(interval_ms)
        series.atr(period=atr.period, method=atr.method)
        return series

    def take_regime_series(self, interval_ms: int, *, retained: int) -> None:
        """Keeps the candles that the symbol's regime is told by.

        Args:
            interval_ms: their length.
            retained: how many closed ones the classifier looks back on.
        """
        series = self.series.get(interval_ms)
        if series is None:
            series = self.series[interval_ms] = CandleSeries(interval_ms)
        series.retained_max = max(series.retained_max, retained)
        self.regime_series = series

    def accept(self, quote: Quote) -> list[Quote]:
        """Decides which ticks count now: none, this one, or a suspect and the one confirming it.

        A tick farther from the last one than the limit is suspect; the next tick near it confirms it.
        """
        last = self.quote()
        suspect = self.suspect
        if suspect is not None:
            self.suspect = None
            if self._near(suspect, quote):
                return [suspect, quote]
            self.suspects_dropped += 1
        if last is None or self._near(last, quote):
            return [quote]
        self.suspect = quote
        return []

    def _near(self, reference: Quote, quote: Quote) -> bool:
        # Far inside the limit doubles are enough to say so.
        surely = self._half_jump
        if surely > abs(quote.long_double / reference.long_double - 1) and surely > abs(
            quote.short_double / reference.short_double - 1
        ):
            return True
        return _within(self.jump_limit, reference.long, quote.long) and _within(
            self.jump_limit, reference.short, quote.short
        )

    def count(self, quote: Quote, *, t_recv_ns: int) -> None:
        """Makes an accepted tick the last one."""
        self.ticks += 1
        self.text = quote.text
        self.ask_text = quote.ask_text
        self.known_quote = quote
        self.t_event_ms = quote.t_event_ms
        self.t_recv_ns = t_recv_ns

    def skip(self, count: int, text: str, last_id: int, t_event_ms: int, t_recv_ns: int) -> None:
        """Counts quiet ticks that were not visited one by one; the last of them had this text."""
        self.pass_by(count, last_id)
        self.text = text
        self.t_event_ms = t_event_ms
        self.t_recv_ns = t_recv_ns

    def pass_by(self, count: int, last_id: int) -> None:
        """Counts quiet ticks behind which another follows at once, up to this id."""
        self.ticks += count
        if self.source == "last" and not self.aggregated:
            self.trade_id = last_id
        else:
            self.last_id = last_id

    def trail(self, text: str, value: float, t_event_ms: int, t_recv_ns: int) -> list[StopMoved]:
        """Takes a tick between the trail bounds that counts, and arms again what it moved.

        It is what most ticks are that are not quiet, so it costs no more than what can happen there: no
        candle closes, no rule but trailing acts, and nothing else of a market has to be armed anew.

        Args:
            text: the price as it was written, of at most 15 digits.
            value: the same as a double.
            t_event_ms: exchange time.
            t_recv_ns: receive time.

        Returns:
            The stops that moved.
        """
        self.text = text
        self.t_event_ms = t_event_ms
        self.t_recv_ns = t_recv_ns
        tick = self.ticks = self.ticks + 1
        price = Decimal(text)
        moves = []
        # Comparisons, not `min` and `max`: one of their calls costs more than all of these.
        low, high = self.trail_low, self.trail_high
        peak_low, peak_high = low, high
        for machine in self.machines:
            move = machine.trail(price, value, t_recv_ns, tick)
            if move is not None:
                moves.append(move)
            stop, peak = machine.stop.double, machine.trailing.peak_above
            if machine.side == "LONG":
                low = stop if stop > low else low
                peak_high = peak if peak < peak_high else peak_high
            else:
                high = -stop if -stop < high else high
                peak_low = -peak if -peak > peak_low else peak_low
        self.trail_low, self.trail_high = low, high
        self.low = self.calm_low = low if low > peak_low else peak_low
        self.high = self.calm_high = high if high < peak_high else peak_high
        if self.series:
            for series in self.series.values():
                series.tick(value, t_event_ms)
            self._arm_candles()
        return moves

    def arm(self) -> None:
        """Combines what would have to happen before a tick can matter again."""
        if self.source == "book":
            self._arm_book()
        else:
            self._arm_rules()
        newest = self.trade_id if self.source == "last" and not self.aggregated else self.last_id
        step = ID_STEP_MAX[self.source]
        # Sooner than need be, so that they are the same numbers for many markets (`shared`).
        self.id_end = shared(max(newest, 0) // (step // 2) * (step // 2) + step)
        since_ms, until_ms = 0, min(self.t_event_ms // HOUR_MS * HOUR_MS + DAY_MS, NEVER_MS)
        for series in self.series.values():
            since_ms = max(since_ms, series.start_ms)
            until_ms = min(until_ms, series.end_ms)
        self.since_ms, self.until_ms = shared(since_ms), shared(until_ms)
        self._arm_candles()

    def _arm_rules(self) -> None:
        """The doubles strictly between which no rule can act and no suspicion can arise."""
        quote = self.quote()
        if quote is None or self.suspect is not None or self.awaited:
            self.trail_low = self.calm_low = self.low = inf
            self.trail_high = self.calm_high = self.high = -inf
            return
        low, high = trail_low, trail_high = self.never_far(quote.long_double)
        for machine in self.machines:
            machine_low, machine_high = machine.arm()
            low, high = max(low, machine_low), min(high, machine_high)
            machine_low, machine_high = machine.arm_trail()
            trail_low, trail_high = max(trail_low, machine_low), min(trail_high, machine_high)
        self.low, self.high = self.calm_low, self.calm_high = low, high
        self.trail_low, self.trail_high = trail_low, trail_high

    def _arm_candles(self) -> None:
        """Inside a forming candle's range a tick changes its close only, which is the last price."""
        low, high = self.low, self.high
        for series in self.series.values():
            bottom, top = nextafter(series.low, -inf), nextafter(series.high, inf)
            low = bottom if bottom > low else low
            high = top if top < high else high
            if self.source == "book":
                self.ask_low, self.ask_high = max(self.ask_low, bottom), min(self.ask_high, top)
        self.low, self.high = low, high

    def _arm_book(self) -> None:
        quote = self.quote()
        if quote is None or self.suspect is not None or self.awaited:
            self.low = self.ask_low = inf
            self.high = self.ask_high = -inf
            return
        self.low, self.high = self.never_far(quote.long_double)
        self.ask_low, self.ask_high = self.never_far(quote.short_double)
        for machine in self.machines:
            low, high = machine.arm()
            if machine.side == "LONG":
                self.low, self.high = max(self.low, low), min(self.high, high)
            else:
                self.ask_low, self.ask_high = max(self.ask_low, low), min(self.ask_high, high)

    def never_far(self, price: float) -> tuple[float, float]:
        """Prices so near this one that no two of them can be farther apart than the limit."""
        return price * (1 - self._half_jump), price * (1 + self._half_jump)


@lru_cache(maxsize=256)
def shared(number: int) -> int:
    """The number, and for an equal one the same object, so that many markets hold one.

    A tick of one of many symbols finds most of what it is compared with no nearer than in a cache of the
    second level; an object that the symbol before it has looked at too is in the first.
    """
    return number


def price_quote(text: str, t_event_ms: int) -> Quote:
    """A quote of one price.

    Raises:
        DecodeError: the text is no price.
    """
    price = _price(text)
    value = double(text)
    short = len(text) < 17
    return Quote(price, price, value, value, value, short, text, "", t_event_ms)


def book_quote(bid: str, ask: str, t_event_ms: int) -> Quote:
    """A quote of a bid and an ask.

    Raises:
        DecodeError: one of the texts is no price.
    """
    long_price, short_price = _price(bid), _price(ask)
    low, high = double(bid), double(ask)
    short = len(bid) < 17 and len(ask) < 17
    # The double nearest to the exact middle: candles take a double for the decimal of its text.
    middle = float(multiply(add(long_price, short_price), HALF))
    return Quote(long_price, short_price, low, high, middle, short, bid, ask, t_event_ms)


def not_a_price(text: str) -> DecodeError:
    """The error that a text is no price."""
    return DecodeError(f"price {text[:40]!r} is not a positive finite decimal")


def _price(text: str) -> Decimal:
    """The exact price of a text.

    Raises:
        DecodeError: it is no positive finite decimal, or no price that a market could have.
    """
    try:
        double(text)
    except ValueError:
        raise not_a_price(text) from None
    price = Decimal(text)
    if not PRICE_MIN <= price <= PRICE_MAX:
        raise DecodeError(f"price {text[:40]!r} is out of range: {PRICE_MIN} to {PRICE_MAX}")
    return price


def _within(limit: Decimal, reference: Decimal, price: Decimal) -> bool:
    return subtract(price, reference).copy_abs() <= multiply(limit, reference)
