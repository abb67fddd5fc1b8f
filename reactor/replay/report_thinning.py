"""Prices and stops made few enough for a picture, without losing what mattered in them.

A session can have millions of ticks and of stop moves; a screen has some thousand pixels. Both are
thinned by time bucket while they come in, and when the bound is reached the buckets become twice as
wide, so memory stays flat whatever the length of a session. What a reader looks for survives: the highest
and the lowest tick of every bucket (a spike that hit a stop), and the stop as it stood at every exit.
"""

from bisect import bisect_left
from itertools import accumulate
from operator import sub
from typing import Final

FIRST_WIDTH_NS: Final = 1_000
"""A bucket to start with: 1 µs, so that a session shorter than the bound is kept tick by tick."""

POINTS_PER_BUCKET_MAX: Final = 4
"""First, lowest, highest, last."""

WIDTH_NS_MAX: Final = 1 << 62
"""A century and a half: what is left beyond it cannot be made fewer by wider buckets."""

POINTS_MAX_LEAST: Final = 16
"""The narrowest bound: buckets wider than a session may still be two, with eight points."""


class PriceSeries:
    """One symbol's price over time, in at most `points_max` points.

    Every bucket of time keeps its first, lowest, highest and last tick. Ticks wait unthinned until there
    are as many of them as points, so taking one costs no more than remembering it, and a session of up
    to `points_max` ticks stays as it was.

    Attributes:
        width_ns: the present width of a bucket in nanoseconds.
    """

    __slots__ = ("_points_max", "_prices", "_thinned", "_times", "_waiting_max", "width_ns")

    def __init__(self, *, points_max: int) -> None:
        if points_max < POINTS_MAX_LEAST:
            raise ValueError(f"a price series needs at least {POINTS_MAX_LEAST} points")
        self._points_max = points_max
        self._waiting_max = 2 * points_max
        self._times: list[int] = []
        self._prices: list[float] = []
        self._thinned = 0
        self.width_ns = FIRST_WIDTH_NS

    def add(self, t_ns: int, price: float) -> None:
        """Take one tick.

        Args:
            t_ns: its receive time, nanoseconds since the Unix epoch. One older than those before it
                (tapes that were merged) is drawn at the newest one's time.
            price: a finite price.
        """
        self._times.append(t_ns)
        self._prices.append(price)
        if len(self._times) >= self._waiting_max:
            self._thin()

    def points(self) -> tuple[list[int], list[float]]:
        """Times (nanoseconds, never falling) and prices, no more than `points_max`."""
        self._thin()
        return list(self._times), list(self._prices)

    def limit_to(self, points_max: int) -> None:
        """Make the bound narrower, at once. A wider one changes nothing."""
        self._points_max = min(self._points_max, max(points_max, POINTS_MAX_LEAST))
        self._waiting_max = 2 * self._points_max
        self._thin()

    def _thin(self) -> None:
        times, prices = self._times, self._prices
        # What is thinned already ends with a bucket that may still grow: that one is done again.
        start = 0
        if self._thinned:
            bucket_ns = times[self._thinned - 1] // self.width_ns * self.width_ns
            start = bisect_left(times, bucket_ns, 0, self._thinned)
        rising = list(accumulate(times[start:], max))
        if len(times) > self._points_max:
            times[start:], prices[start:] = thin_extremes(rising, prices[start:], self.width_ns)
        else:
            times[start:] = rising
        while len(times) > self._points_max:
            # Buckets in which no five points meet would leave everything as it is.
            crowd_ns = min(map(sub, times[POINTS_PER_BUCKET_MAX:], times))
            self.width_ns *= 2
            while self.width_ns <= crowd_ns:
                self.width_ns *= 2
            times, prices = thin_extremes(times, prices, self.width_ns)
        self._times, self._prices, self._thinned = times, prices, len(times)


def thin_extremes(
    times: list[int], prices: list[float], width_ns: int
) -> tuple[list[int], list[float]]:
    """The first, lowest, highest and last point of every bucket of time.

    Args:
        times: nanoseconds, never falling.
        prices: as many prices.
        width_ns: the bucket's width, above 0. Buckets are aligned to time 0.

    Returns:
        The points that stay, in their order: at most four of each bucket.
    """
    kept_times: list[int] = []
    kept_prices: list[float] = []
    count, at = len(times), 0
    while at < count:
        end = bisect_left(times, (times[at] // width_ns + 1) * width_ns, at)
        if end - at <= POINTS_PER_BUCKET_MAX:
            kept_times += times[at:end]
            kept_prices += prices[at:end]
        else:
            bucket = prices[at:end]
            low, high = bucket.index(min(bucket)), bucket.index(max(bucket))
            for index in sorted({0, low, high, end - at - 1}):
                kept_times.append(times[at + index])
                kept_prices.append(bucket[index])
        at = end
    return kept_times, kept_prices


class StopSteps:
    """Where one epoch's stop stood, move by move, each with the text that the decision gave.

    A picture between two kept moves shows the older, looser stop: never one that did not stand yet.
    """

    __slots__ = ("_pinned", "kinds", "stops", "times")

    def __init__(self) -> None:
        self.times: list[int] = []
        self.stops: list[str] = []
        self.kinds: list[str] = []
        self._pinned: list[bool] = []

    def __len__(self) -> int:
        """How many moves are kept."""
        return len(self.times)

    def add(self, t_ns: int, stop: str, kind: str) -> None:
        """The stop stands at `stop` from `t_ns` on, put there by `kind`."""
        self.times.append(max(t_ns, self.times[-1]) if self.times else t_ns)
        self.stops.append(stop)
        self.kinds.append(kind)
        self._pinned.append(False)

    def pin(self) -> None:
        """Something happened at the stop as it stands: this move is never thinned away."""
        if self._pinned:
            self._pinned[-1] = True

    def thin(self, width_ns: int) -> None:
        """Keep each bucket's last move, and every one that is pinned or borders another kind.

        Args:
            width_ns: the bucket's width, above 0, aligned to time 0.
        """
        last = len(self.times) - 1
        kept = [
            index
            for index, t_ns in enumerate(self.times)
            if self._pinned[index]
            or index in {0, last}
            or self.kinds[index] != self.kinds[index - 1]
            or self.kinds[index] != self.kinds[index + 1]
            or t_ns // width_ns != self.times[index + 1] // width_ns
        ]
        self.times = [self.times[index] for index in kept]
        self.stops = [self.stops[index] for index in kept]
        self.kinds = [self.kinds[index] for index in kept]
        self._pinned = [self._pinned[index] for index in kept]
