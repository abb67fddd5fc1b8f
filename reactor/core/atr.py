"""The average true range, incremental and without drift.

True range = max(high − low, |high − previous close|, |low − previous close|); the first candle has no
previous close and gives none (J. Welles Wilder, New Concepts in Technical Trading Systems, 1978). Two
smoothings: `sma` is the mean of the last `period` true ranges; `wilder` starts with that mean and goes
on as (ATR·(period − 1) + TR)/period, the seeding of TA-Lib.

Each closed candle costs O(1). The moving sum of `sma` is carried as an unevaluated pair of doubles, so
that ten million additions and subtractions leave no error that a reader could find.
"""

from copy import copy
from typing import Self

from reactor.core.plan import Smoothing


def true_range(high: float, low: float, previous_close: float) -> float:
    """The true range of one candle, in price."""
    return max(high - low, abs(high - previous_close), abs(low - previous_close))


class Atr:
    """One ATR over closed candles.

    Attributes:
        value: the ATR over the closed candles so far, in price; None until there are `period` true
            ranges.
        previous_close: the last closed candle's close, in price; None before the first.
    """

    __slots__ = (
        "_count",
        "_error",
        "_sum",
        "_window",
        "method",
        "period",
        "previous_close",
        "value",
    )

    def __init__(self, *, period: int, method: Smoothing) -> None:
        self.period = period
        self.method = method
        self.value: float | None = None
        self.previous_close: float | None = None
        self._count = 0
        self._window = [0.0] * period
        self._sum = 0.0
        self._error = 0.0

    def close_candle(self, high: float, low: float, close: float) -> None:
        """Counts one closed candle in. Prices must be positive and finite; O(1)."""
        previous, self.previous_close = self.previous_close, close
        if previous is None:
            return
        tr = true_range(high, low, previous)
        if self.method == "wilder" and self.value is not None:
            self.value = (self.value * (self.period - 1) + tr) / self.period
            return
        slot = self._count % self.period
        self._add(tr)
        self._add(-self._window[slot])
        self._window[slot] = tr
        self._count += 1
        if self._count >= self.period:
            self.value = (self._sum + self._error) / self.period

    def live(self, high: float, low: float) -> float | None:
        """The ATR as it would be if the forming candle closed now: for display, never for levels."""
        if self.value is None or self.previous_close is None:
            return None
        tr = true_range(high, low, self.previous_close)
        if self.method == "wilder":
            return (self.value * (self.period - 1) + tr) / self.period
        oldest = self._window[self._count % self.period]
        return (self._sum + self._error + (tr - oldest)) / self.period

    def twin(self) -> Self:
        """An independent ATR in the same state."""
        twin = copy(self)
        twin._window = self._window.copy()  # noqa: SLF001 - its own kind
        return twin

    def _add(self, term: float) -> None:
        """Adds to the running sum, keeping what rounding takes away (Knuth's TwoSum)."""
        total = self._sum + term
        part = total - self._sum
        lost = (self._sum - (total - part)) + (term - part)
        # Renormalise, so that the pair stays a sum and its small correction.
        error = self._error + lost
        self._sum = total + error
        self._error = error - (self._sum - total)
