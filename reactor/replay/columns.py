"""The columnar jump: over columns of ticks from one crossing of the armed bounds to the next.

Between two crossings nothing can happen, so the ticks between are not visited: numpy finds the first one
outside, and that one goes through the same engine as any tick. What changes silently in between (the
number of ticks, the last price, the forming candle's range, the clock) is brought up to date first. The
decisions are therefore those of the walk, by construction and by a property test.

The search looks at the ticks near by first and then at the extremes of whole blocks, which are computed once.
Near by it keeps the records of a stretch: in a run of new best prices each moves the stop, and then the next
visit is found without looking at the ticks again.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from math import inf
from typing import TYPE_CHECKING

import numpy as np

from reactor.core.decisions import Decision
from reactor.core.engine import Engine
from reactor.core.market import DAY_MS, ID_STEP_MAX, Market
from reactor.errors import DecodeError
from reactor.limits import PRICE_MAX, PRICE_MIN
from reactor.replay.session import Session
from reactor.replay.tick_file import T_NS_MAX, TickFile
from reactor.replay.walk import Pace

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCK = 2048
"""Ticks per block of extremes: the pair of block arrays of 20 M ticks fits the second-level cache."""

MS_NS = 1_000_000
NEVER_NS = 1 << 62

CHUNK = 16
"""Blocks that are looked at together: a quarter of a megabyte is still in the cache when it is looked at again."""

STRETCH = 1024
"""Ticks whose records are kept: finding them costs about what looking at as many once does."""

PRICE_FLOOR, PRICE_CEILING = float(PRICE_MIN), float(PRICE_MAX)

FEW = 16
"""Ticks of which a loop finds the extremes sooner than numpy does."""


class _Records:
    """The records among some prices in a row: each above all before it. The first price is one.

    What is asked for is mostly the one behind the last that was found: so its place is kept.
    """

    __slots__ = ("_place", "_prices", "_rows")

    def __init__(self, prices: "NDArray[np.float64]", start: int) -> None:
        """Finds them; the first price is that of row `start`."""
        highest = np.maximum.accumulate(prices)
        rows = (highest[1:] > highest[:-1]).nonzero()[0]
        rows += 1
        self._prices = [float(prices[0]), *prices[rows].tolist(), inf]
        rows += start
        self._rows = [start, *rows.tolist(), start + len(prices)]
        self._place = 0

    def first(self, bound: float) -> int:
        """The row of the first price at or above a bound; the row behind the last price if none is."""
        prices, place = self._prices, self._place
        if place and prices[place - 1] >= bound:
            place = bisect_left(prices, bound)
        while prices[place] < bound:
            place += 1
        self._place = place
        return self._rows[place]


class Search:
    """Columns of ticks, and the first price among them outside two bounds."""

    def __init__(self, ticks: TickFile) -> None:
        self.ticks = ticks
        prices = self._prices = ticks.prices
        # The stretch that was looked at last: its rows, its extremes, and its records once they are asked for.
        self._start = self._end = 0
        self._bottom, self._top = inf, -inf
        self._rising: _Records | None = None
        self._falling: _Records | None = None
        # The last block need not be a whole one.
        starts = np.arange(0, len(prices), BLOCK)
        self._lowest = np.empty(len(starts))
        self._highest = np.empty(len(starts))
        for at in range(0, len(starts), CHUNK):
            chunk = prices[at * BLOCK : (at + CHUNK) * BLOCK]
            blocks = starts[: min(CHUNK, len(starts) - at)]
            np.minimum.reduceat(chunk, blocks, out=self._lowest[at : at + CHUNK])
            np.maximum.reduceat(chunk, blocks, out=self._highest[at : at + CHUNK])

    def refusal(self) -> str | None:
        """Why these ticks cannot be jumped over; None when they can."""
        if not self.ticks.exact:
            return "prices have more digits than a double keeps"
        if not len(self._prices):
            return "there is no tick"
        # A price that is no number makes both comparisons false.
        lowest, highest = np.minimum.reduce(self._lowest), np.maximum.reduce(self._highest)
        if not (lowest >= PRICE_FLOOR and highest <= PRICE_CEILING):
            return f"some prices are no numbers from {PRICE_MIN} to {PRICE_MAX}"
        t_ns = self.ticks.t_ns
        step = CHUNK * BLOCK
        for at in range(0, len(t_ns), step):
            some = t_ns[at : at + step + 1]
            if bool((some[1:] < some[:-1]).any()):
                return "time runs backwards"
        # In order: the first is the earliest, and the last the latest.
        if not 0 <= int(t_ns[0]) <= int(t_ns[-1]) <= T_NS_MAX:
            return "some times lie outside 1970 to 2100"
        return self._stamps_refusal()

    def _stamps_refusal(self) -> str | None:
        """What speaks against ids and exchange times of ticks that have their own."""
        ids, t_event_ms = self.ticks.ids, self.ticks.t_event_ms
        if ids is None or t_event_ms is None:
            return None
        steps, ahead = np.diff(ids), np.diff(t_event_ms)
        if not bool((steps > 0).all() and (ahead >= 0).all()):
            return "some ticks come twice or late"
        if not (int(t_event_ms[0]) >= 0 and int(t_event_ms[-1]) <= T_NS_MAX // MS_NS):
            return "some exchange times lie outside 1970 to 2100"
        # Nearer than any source's bound for damage, so that each tick passes for true.
        if bool((steps >= min(ID_STEP_MAX["last"], DAY_MS)).any() or (ahead > DAY_MS).any()):
            return "some ids or exchange times run far ahead"
        return None

    def first_outside(self, start: int, stop: int, low: float, high: float) -> int:
        """The first index in [start, stop) whose price is not strictly between; `stop` if none is."""
        if not self._start <= start < self._end:
            if start >= stop:
                return stop
            self._look_from(start)
        at = self._first_record(low, high)
        if at < start:
            # A price before `start` is outside too: the first from there on need not be a record.
            self._look_from(start)
            at = self._first_record(low, high)
        if at >= stop:
            return stop
        if at < self._end:
            return at
        # To the end of the block, then block by block.
        end = min(stop, -(-at // BLOCK) * BLOCK)
        if at < end:
            at = self._first_in(at, end, low, high)
        if at < end or at >= stop:
            return at
        block = self._first_block(at // BLOCK, stop // BLOCK, low, high)
        at = block * BLOCK
        return self._first_in(at, min(stop, at + BLOCK), low, high) if at < stop else stop

    def _look_from(self, start: int) -> None:
        """Begins a stretch."""
        self._start, self._end = start, min(start + STRETCH, len(self._prices))
        some = self._prices[start : self._end]
        self._bottom = float(np.minimum.reduce(some))
        self._top = float(np.maximum.reduce(some))
        self._rising = self._falling = None

    def _first_record(self, low: float, high: float) -> int:
        """The first price of the stretch that is not strictly between; the row behind it if none is."""
        found = self._end
        if self._top >= high:
            if self._rising is None:
                self._rising = _Records(self._prices[self._start : self._end], self._start)
            found = self._rising.first(high)
        if self._bottom <= low:
            if self._falling is None:
                self._falling = _Records(-self._prices[self._start : self._end], self._start)
            row = self._falling.first(-low)
            found = row if row < found else found
        return found

    def _first_in(self, start: int, stop: int, low: float, high: float) -> int:
        prices = self._prices[start:stop]
        outside = (prices <= low) | (prices >= high)
        found = int(outside.argmax())
        return start + found if outside[found] else stop

    def _first_block(self, start: int, stop: int, low: float, high: float) -> int:
        """The first block with a price outside; `stop` if none has one."""
        window = 64
        at = start
        while at < stop:
            end = min(stop, at + window)
            outside = (self._lowest[at:end] <= low) | (self._highest[at:end] >= high)
            found = int(outside.argmax())
            if outside[found]:
                return at + found
            at = end
            window *= 8
        return stop


def walk(
    session: Session,
    symbol: str,
    ticks: TickFile,
    *,
    speed: float = 0.0,
    pace: Pace | None = None,
) -> None:
    """Every tick through the engine, one by one; what is no tick is reported and skipped.

    Args:
        session: the replay in progress.
        symbol: what the ticks are of.
        ticks: the columns.
        speed: 0 as fast as possible, 1 as it was recorded, N times faster.
        pace: what waits; of this `speed` where none is given.
    """
    engine, take, pump = session.engine, session.take, session.pump
    pump.place = "tick"
    if pace is None and speed > 0:
        pace = Pace(speed)
    texts = map(repr, ticks.prices.tolist()) if ticks.texts is None else ticks.texts
    for row, (t_ns, price) in enumerate(zip(ticks.t_ns.tolist(), texts, strict=True), 1):
        if not 0 <= t_ns <= T_NS_MAX:
            pump.damaged(row, "its time is outside 1970 to 2100")
            continue
        if pace is not None:
            pace.wait_until(t_ns)
        now_ns = pump.forwards(row, t_ns)
        if session.opens_at_ns is not None and now_ns >= session.opens_at_ns:
            session.expect_positions()
        if now_ns >= engine.due_ns:
            # Before the price is looked at, which may turn out to be none.
            take(engine.on_time(now_ns))
        try:
            decisions = engine.on_last(symbol, price, row, now_ns // MS_NS, now_ns)
        except DecodeError as error:
            pump.damaged(row, str(error))
            continue
        if decisions:
            take(decisions)


Call = Callable[[str, str, int, int, int], Sequence[Decision]]
"""Takes a symbol, a price's text, its id, its exchange time (ms) and its receive time (ns)."""

Take = Callable[[Sequence[Decision]], object]
"""Takes decisions; what it answers is true where no more of them are wanted."""


def jump(session: Session, symbol: str, search: Search) -> None:
    """From crossing to crossing.

    Args:
        session: the replay in progress.
        symbol: what the ticks are of.
        search: the ticks, against which `Search.refusal` has nothing.
    """
    engine = session.engine
    market = engine.market("last", symbol)
    assert market is not None
    start = 0
    if session.opens_at_ns is not None:
        opens = int(np.searchsorted(search.ticks.t_ns, session.opens_at_ns, side="left"))
        start = crossings(
            engine, market, search, call=engine.on_last, take=session.take, stop=opens
        )
        if start < len(search.ticks.t_ns):
            session.expect_positions()
    crossings(engine, market, search, call=engine.on_last, take=session.take, start=start)
    session.pump.now_ns = int(search.ticks.t_ns[-1])


def crossings(
    engine: Engine,
    market: Market,
    search: Search,
    *,
    call: Call,
    take: Take,
    start: int = 0,
    stop: int | None = None,
) -> int:
    """Visits the ticks at which something can happen, and counts the others.

    Args:
        engine: what is fed.
        market: its market of these ticks.
        search: the ticks, against which `Search.refusal` has nothing.
        call: the engine's method for a tick.
        take: takes every decision; a true answer ends it.
        start: the first row.
        stop: the row before which it ends; the end of the ticks where None is given.

    Returns:
        The row of the first tick that was not looked at.
    """
    ticks, symbol, series = search.ticks, market.symbol, market.series
    # Reading one number out of an array costs less through a view.
    prices: memoryview[float] = memoryview(ticks.prices)  # type: ignore[arg-type] # numpy's stubs
    times: memoryview[int] = memoryview(ticks.t_ns)  # type: ignore[arg-type] # do not know it
    instants = _Instants(ticks)
    stamps, first_outside = instants.stamps, search.first_outside
    has_stamps = ticks.ids is not None
    count = len(prices) if stop is None else stop

    def skip(first: int, at: int) -> None:
        last = at - 1
        tick_id, t_event_ms = stamps(last, times[last])
        market.skip(at - first, repr(prices[last]), tick_id, t_event_ms, times[last])

    instant = 0
    first = at = start
    while at < count:
        # The ticks from `first` on were passed, and the one at `at` is visited.
        price, t_ns = prices[at], times[at]
        tick_id, t_event_ms = stamps(at, t_ns) if has_stamps else (at + 1, t_ns // MS_NS)
        text = repr(price)
        decisions: Sequence[Decision]
        if market.trail_low < price < market.trail_high and at < instant and len(text) < 17:
            # As the engine would answer, which asks the same. Nothing that `instant` is told by changes.
            market.pass_by(at - first, tick_id)
            decisions = market.trail(text, price, t_event_ms, t_ns)
        else:
            if first < at:
                skip(first, at)
            decisions = call(symbol, text, tick_id, t_event_ms, t_ns)
            instant = 0
            if t_event_ms >= market.since_ms:
                instant = min(instants.first(engine.due_ns, market.until_ms, market.id_end), count)
        at += 1
        first = at
        if decisions and take(decisions):
            return at
        low, high = market.calm_low, market.calm_high
        if at < instant and low < prices[at] < high:
            at = first_outside(at + 1, instant, low, high)
            if series:
                _stretch(market, ticks.prices[first:at])
    if first < at:
        skip(first, at)
    return count


class _Instants:
    """The ids and exchange times of ticks, and the row from which on they have to be looked at."""

    def __init__(self, ticks: TickFile) -> None:
        self._t_ns, self._t_event_ms, self._own_ids = ticks.t_ns, ticks.t_event_ms, ticks.ids
        self._asked = (-1, -1, -1)
        self._row = 0
        self._events: memoryview[int] | None = None
        self._ids: memoryview[int] | None = None
        if ticks.t_event_ms is not None and ticks.ids is not None:
            self._events = memoryview(ticks.t_event_ms)  # type: ignore[arg-type] # as above
            self._ids = memoryview(ticks.ids)  # type: ignore[arg-type] # as above

    def stamps(self, row: int, t_ns: int) -> tuple[int, int]:
        """A tick's id and its exchange time in ms."""
        if self._ids is None or self._events is None:
            return row + 1, t_ns // MS_NS
        return self._ids[row], self._events[row]

    def first(self, due_ns: int, until_ms: int, id_end: int) -> int:
        """The first row at or after any of a due time, an exchange time and an id."""
        if self._asked != (due_ns, until_ms, id_end):
            self._asked = due_ns, until_ms, id_end
            row = int(self._t_ns.searchsorted(min(due_ns, NEVER_NS)))
            if self._t_event_ms is None or self._own_ids is None:
                until_ns = min(until_ms * MS_NS, NEVER_NS)
                row = min(row, int(self._t_ns.searchsorted(until_ns)), id_end - 1)
            else:
                row = min(row, int(self._t_event_ms.searchsorted(until_ms)))
                row = min(row, int(self._own_ids.searchsorted(id_end)))
            self._row = row
        return self._row


def _stretch(market: Market, passed: "NDArray[np.float64]") -> None:
    """Lets the forming candles reach as far as the quiet ticks that were passed."""
    if len(passed) <= FEW:
        few = passed.tolist()
        low, high = min(few), max(few)
    else:
        low, high = float(passed.min()), float(passed.max())
    for series in market.series.values():
        series.stretch(low, high)
