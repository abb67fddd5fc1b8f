"""Nearest approaches: per position and minute, how near the price came to what would have acted.

Fed from the positions as they are shown (once a second at most, and after every decision), so a price between
two of them is seen only if it did something. Whoever knows the true extremes may add them.
"""

from decimal import Decimal

import msgspec

from reactor.audit import PositionSeen
from reactor.core.decisions import Side
from reactor.core.exact import subtract

MINUTE_NS = 60_000_000_000

WRITTEN_EVERY_NS = 10_000_000_000
"""How often the minute under way is written, so that a running process can be asked about it."""


class Approach(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A price and the level that it came near to.

    Attributes:
        gap: what was missing, in price; 0 or less is at or through.
        what: the stop's kind, or which rule the level belongs to.
        source, age_ms: where the price came from, and how old it was.
    """

    price: Decimal
    level: Decimal
    gap: Decimal
    what: str
    t_ns: int
    source: str
    age_ms: int | None


class Observed(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """A price, when and from where."""

    price: Decimal
    t_ns: int
    source: str
    age_ms: int | None


class Sample(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One minute of one position.

    Attributes:
        low, high: its lowest and highest trigger price as far as seen.
        stop, level: the nearest approach to the stop, and to the next level on the profit side.
        last_stop, last_kind, next_level, next_what: how they stood at the last look.
        looks: how often it was looked at; `priceless` of them had no price at all.
        oldest_ms: the greatest age of a price that a look found. `paused`, `state`: at the last look.
    """

    epoch: int
    low: Observed | None = None
    high: Observed | None = None
    stop: Approach | None = None
    level: Approach | None = None
    last_stop: Decimal | None = None
    last_kind: str = ""
    next_level: Decimal | None = None
    next_what: str = ""
    looks: int = 0
    priceless: int = 0
    oldest_ms: int = 0
    paused: bool = False
    state: str = ""

    def look(self, seen: PositionSeen, *, t_ns: int) -> None:
        """Counts a look at the position in."""
        self.looks += 1
        self.last_stop, self.last_kind = seen.stop, seen.stop_kind
        self.next_level, self.next_what = seen.next_level, seen.next_what
        self.paused, self.state = seen.paused, seen.state
        if seen.price is None:
            self.priceless += 1
            return
        self.oldest_ms = max(self.oldest_ms, seen.age_ms or 0)
        self.observe(seen.price, side=seen.side, t_ns=t_ns, source=seen.source, age_ms=seen.age_ms)

    def observe(
        self, price: Decimal, *, side: Side, t_ns: int, source: str, age_ms: int | None
    ) -> None:
        """Counts a price in, against the levels of the last look."""
        if self.low is None or price < self.low.price:
            self.low = Observed(price=price, t_ns=t_ns, source=source, age_ms=age_ms)
        if self.high is None or price > self.high.price:
            self.high = Observed(price=price, t_ns=t_ns, source=source, age_ms=age_ms)
        for name, level, what, ahead in (
            ("stop", self.last_stop, self.last_kind, side == "SHORT"),
            ("level", self.next_level, self.next_what, side == "LONG"),
        ):
            if level is None:
                continue
            gap = subtract(level, price) if ahead else subtract(price, level)
            nearest: Approach | None = getattr(self, name)
            if nearest is None or gap < nearest.gap:
                approach = Approach(
                    price=price,
                    level=level,
                    gap=gap,
                    what=what,
                    t_ns=t_ns,
                    source=source,
                    age_ms=age_ms,
                )
                setattr(self, name, approach)


class Minute:
    """The minute under way of one position."""

    __slots__ = ("sample", "start_ns", "written_ns")

    def __init__(self, start_ns: int, epoch: int) -> None:
        self.start_ns = start_ns
        self.written_ns = start_ns
        self.sample = Sample(epoch=epoch)


class Samples:
    """The minutes under way of every position."""

    def __init__(self) -> None:
        self._minutes: dict[tuple[str, Side], Minute] = {}

    def look(self, seen: PositionSeen, *, t_ns: int) -> list[tuple[int, Sample]]:
        """Takes a look at a position; answers which minutes are to be written, with their starts."""
        due = []
        key = (seen.symbol, seen.side)
        minute = self._minutes.get(key)
        start_ns = t_ns - t_ns % MINUTE_NS
        if minute is not None and minute.start_ns != start_ns:
            due.append((minute.start_ns, minute.sample))
            minute = None
        if minute is None:
            minute = self._minutes[key] = Minute(start_ns, seen.epoch)
        minute.sample.epoch = seen.epoch
        minute.sample.look(seen, t_ns=t_ns)
        if t_ns - minute.written_ns >= WRITTEN_EVERY_NS:
            minute.written_ns = t_ns
            due.append((minute.start_ns, msgspec.structs.replace(minute.sample)))
        return due

    def observe(
        self, symbol: str, side: Side, price: Decimal, *, t_ns: int, source: str, age_ms: int | None
    ) -> None:
        """Adds a price of the minute under way; one of a position that nobody looks at is left out."""
        minute = self._minutes.get((symbol, side))
        if minute is not None:
            minute.sample.observe(price, side=side, t_ns=t_ns, source=source, age_ms=age_ms)

    def end(self, symbol: str, side: Side) -> list[tuple[int, Sample]]:
        """The position is gone: what is to be written of it."""
        minute = self._minutes.pop((symbol, side), None)
        return [] if minute is None else [(minute.start_ns, minute.sample)]

    def end_all(self) -> list[tuple[str, Side, int, Sample]]:
        """Everything under way, when the process ends."""
        minutes = [
            (symbol, side, minute.start_ns, minute.sample)
            for (symbol, side), minute in self._minutes.items()
        ]
        self._minutes.clear()
        return minutes
