"""The average true range, incremental and without drift.

True range = max(high − low, |high − previous close|, |low − previous close|); the first candle has no
previous close and gives none (J. Welles Wilder, New Concepts in Technical Trading Systems, 1978). Two
smoothings: `sma` is the mean of the last `period` true ranges; `wilder` starts with that mean and goes
on as (ATR·(period − 1) + TR)/period, the seeding of TA-Lib.

Each closed candle costs O(1). The arithmetic is decimal: doubles lose up to a tick of a small range
between large prices (100.2 − 100.0 is 0.20000000000000284 in doubles, and a stop 1.5 of them below the entry
is then rounded to the next tick). The sum of `sma` is exact and cannot drift; `wilder` is carried with 50
digits. Only the finished value becomes a double.
"""

from copy import copy
from decimal import Context, Decimal
from typing import Self

from reactor.core.exact import ZERO, add, from_float, multiply, subtract
from reactor.core.plan import Smoothing

CARRIED = Context(prec=50)
"""A moving average carries a remainder for ever; 50 digits of it are more than anything can show."""


def true_range(high: Decimal, low: Decimal, previous_close: Decimal) -> Decimal:
    """The true range of one candle, in price, exact."""
    return max(
        subtract(high, low),
        subtract(high, previous_close).copy_abs(),
        subtract(low, previous_close).copy_abs(),
    )


class Atr:
    """One ATR over closed candles.

    Attributes:
        value: the ATR over the closed candles so far, in price; None until there are `period` true
            ranges.
    """

    __slots__ = ("_close", "_count", "_exact", "_sum", "_window", "method", "period", "value")

    def __init__(self, *, period: int, method: Smoothing) -> None:
        self.period = period
        self.method = method
        self.value: float | None = None
        self._close: Decimal | None = None
        self._exact = ZERO
        self._count = 0
        self._window = [ZERO] * period
        self._sum = ZERO

    def close_candle(self, high: float, low: float, close: float) -> None:
        """Counts one closed candle in. Prices must be positive and finite; O(1)."""
        previous, self._close = self._close, from_float(close)
        if previous is None:
            return
        tr = true_range(from_float(high), from_float(low), previous)
        if self.method == "wilder" and self.value is not None:
            self._exact = self._smoothed(tr)
        else:
            slot = self._count % self.period
            self._sum = subtract(add(self._sum, tr), self._window[slot])
            self._window[slot] = tr
            self._count += 1
            if self._count < self.period:
                return
            self._exact = CARRIED.divide(self._sum, Decimal(self.period))
        self.value = float(self._exact)

    def live(self, high: float, low: float) -> float | None:
        """The ATR as it would be if the forming candle closed now: for display, never for levels."""
        if self.value is None or self._close is None:
            return None
        tr = true_range(from_float(high), from_float(low), self._close)
        if self.method == "wilder":
            return float(self._smoothed(tr))
        oldest = self._window[self._count % self.period]
        return float(CARRIED.divide(subtract(add(self._sum, tr), oldest), Decimal(self.period)))

    def _smoothed(self, tr: Decimal) -> Decimal:
        """Wilder's step: (ATR·(period − 1) + TR)/period."""
        weighted = add(multiply(self._exact, Decimal(self.period - 1)), tr)
        return CARRIED.divide(weighted, Decimal(self.period))

    def twin(self) -> Self:
        """An independent ATR in the same state."""
        twin = copy(self)
        twin._window = self._window.copy()  # noqa: SLF001 - its own kind
        return twin
