"""The columnar jump: over columns of ticks from one crossing of the armed bounds to the next.

Between two crossings nothing can happen, so the ticks between are not visited: numpy finds the first one
outside, and that one goes through the same engine as any tick. What changes silently in between (the
number of ticks, the last price, the forming candle's range, the clock) is brought up to date first. The
decisions are therefore those of the walk, by construction and by a property test.

The search looks at a few ticks first and then at the extremes of whole blocks, which are computed once.
"""

import numpy as np

from reactor.core.market import Market
from reactor.errors import DecodeError
from reactor.limits import PRICE_MAX, PRICE_MIN
from reactor.replay.session import Session
from reactor.replay.tick_file import T_NS_MAX, TickFile
from reactor.replay.walk import Pace

BLOCK = 2048
"""Ticks per block of extremes: the pair of block arrays of 20 M ticks fits the second-level cache."""

MS_NS = 1_000_000
NEVER_NS = 1 << 62

NEAR = 6
"""Ticks looked at one by one before arrays are: in a run of new best prices the next one is near."""


class Search:
    """Columns of ticks, and the first price among them outside two bounds."""

    def __init__(self, ticks: TickFile) -> None:
        self.ticks = ticks
        prices = self._prices = ticks.prices
        whole = len(prices) // BLOCK * BLOCK
        blocks = prices[:whole].reshape(-1, BLOCK)
        self._lowest = blocks.min(axis=1)
        self._highest = blocks.max(axis=1)

    def refusal(self) -> str | None:
        """Why these ticks cannot be jumped over; None when they can."""
        if not self.ticks.exact:
            return "prices have more digits than a double keeps"
        rest = self._prices[len(self._lowest) * BLOCK :]
        for lows, highs in ((self._lowest, self._highest), (rest, rest)):
            # A price that is no number makes both comparisons false.
            if not bool((lows >= float(PRICE_MIN)).all() and (highs <= float(PRICE_MAX)).all()):
                return f"some prices are no numbers from {PRICE_MIN} to {PRICE_MAX}"
        t_ns = self.ticks.t_ns
        if not len(t_ns):
            return "there is no tick"
        if not 0 <= int(t_ns.min()) <= int(t_ns.max()) <= T_NS_MAX:
            return "some times lie outside 1970 to 2100"
        return "time runs backwards" if bool((t_ns[1:] < t_ns[:-1]).any()) else None

    def first_outside(self, start: int, stop: int, low: float, high: float) -> int:
        """The first index in [start, stop) whose price is not strictly between; `stop` if none is."""
        at = start
        window = 64
        # Near by, then to the end of the block, then block by block.
        while at < stop and (window <= BLOCK or at % BLOCK):
            end = min(stop, at + window, (at // BLOCK + 1) * BLOCK)
            found = self._first_in(at, end, low, high)
            if found < end:
                return found
            at = end
            window *= 8
        if at >= stop:
            return stop
        block = self._first_block(at // BLOCK, stop // BLOCK, low, high)
        at = block * BLOCK
        return self._first_in(at, min(stop, at + BLOCK), low, high) if at < stop else stop

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


def jump(session: Session, symbol: str, search: Search) -> None:
    """From crossing to crossing.

    Args:
        session: the replay in progress.
        symbol: what the ticks are of.
        search: the ticks, against which `Search.refusal` has nothing.
    """
    ticks = search.ticks
    engine, take = session.engine, session.take
    market = engine.market("last", symbol)
    assert market is not None
    # Reading one number out of an array costs less through a view.
    prices: memoryview[float] = memoryview(ticks.prices)  # type: ignore[arg-type] # numpy's stubs
    times: memoryview[int] = memoryview(ticks.t_ns)  # type: ignore[arg-type] # do not know it
    count = len(prices)
    instant = instant_ns = 0
    at = 0
    while at < count:
        moment = times[at]
        decisions = engine.on_last(symbol, repr(prices[at]), at + 1, moment // MS_NS, moment)
        if decisions:
            take(decisions)
        following_ns = _next_instant_ns(market, engine.due_ns)
        if following_ns != instant_ns:
            instant_ns = following_ns
            instant = int(np.searchsorted(ticks.t_ns, instant_ns, side="left"))
        low, high = market.calm_low, market.calm_high
        at += 1
        first = at
        near = min(at + NEAR, instant)
        while at < near and low < prices[at] < high:
            at += 1
        if at == near:
            at = search.first_outside(at, instant, low, high)
        _skip(market, ticks, first, at)
    session.pump.now_ns = times[count - 1]


def _next_instant_ns(market: Market, due_ns: int) -> int:
    """When the clock or a candle's end next has to be looked at."""
    instant_ns = due_ns
    for series in market.series.values():
        instant_ns = min(instant_ns, series.end_ms * MS_NS)
    return min(instant_ns, NEVER_NS)


def _skip(market: Market, ticks: TickFile, start: int, stop: int) -> None:
    """Counts the quiet ticks from `start` up to `stop`."""
    if stop <= start:
        return
    if market.series:
        passed = ticks.prices[start:stop]
        low, high = float(passed.min()), float(passed.max())
        for series in market.series.values():
            series.stretch(low, high)
    moment = int(ticks.t_ns[stop - 1])
    market.skip(
        stop - start,
        repr(float(ticks.prices[stop - 1])),
        last_id=stop,
        t_event_ms=moment // MS_NS,
        t_recv_ns=moment,
    )
