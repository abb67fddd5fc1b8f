"""Measures of trend and volatility over closed candles: directional movement, efficiency ratio, ATR.

Plain doubles: they decide which regime it is and never become a price. Each candle costs O(1).

Directional movement (J. Welles Wilder, New Concepts in Technical Trading Systems, 1978), with the seeding of
TA-Lib's PLUS_DI, MINUS_DI and ADX, for a period of n:

    up = high − previous high, down = previous low − low
    +DM = up where up > down and up > 0, else 0;   −DM likewise with down
    S(+DM), S(−DM), S(TR): sums of the first n − 1, then S = S − S/n + the newest
    +DI = 100 · S(+DM) / S(TR), −DI likewise;   DX = 100 · |+DI − −DI| / (+DI + −DI)
    ADX = the mean of the first n DX, then (ADX · (n − 1) + DX) / n

Efficiency ratio (Perry Kaufman, Smarter Trading, 1995): |close − close n candles ago| / the sum of the n
absolute changes between; 1 is a straight line, 0 no progress at all.
"""

from collections import deque

TINY = 1e-14
"""What TA-Lib takes for zero where it divides."""


class DirectionalMovement:
    """ADX with +DI and −DI.

    Attributes:
        plus_di, minus_di: 0 to 100; None until `period` + 1 candles have closed.
        adx: 0 to 100; None until 2 · `period` candles have closed.
    """

    __slots__ = (
        "_close",
        "_count",
        "_dx_sum",
        "_high",
        "_low",
        "_minus_sum",
        "_plus_sum",
        "_tr_sum",
        "adx",
        "minus_di",
        "period",
        "plus_di",
    )

    def __init__(self, period: int) -> None:
        self.period = period
        self.adx: float | None = None
        self.plus_di: float | None = None
        self.minus_di: float | None = None
        self._high = self._low = self._close = 0.0
        # How many candles have closed.
        self._count = 0
        self._plus_sum = self._minus_sum = self._tr_sum = self._dx_sum = 0.0

    def close_candle(self, high: float, low: float, close: float) -> None:
        """Counts one closed candle in."""
        up, down = high - self._high, self._low - low
        tr = max(high - low, abs(high - self._close), abs(low - self._close))
        self._high, self._low, self._close = high, low, close
        self._count += 1
        if self._count == 1:
            return
        plus = up if up > down and up > 0 else 0.0
        minus = down if down > up and down > 0 else 0.0
        if self._count <= self.period:
            self._plus_sum += plus
            self._minus_sum += minus
            self._tr_sum += tr
            return
        self._plus_sum += plus - self._plus_sum / self.period
        self._minus_sum += minus - self._minus_sum / self.period
        self._tr_sum += tr - self._tr_sum / self.period
        self._index()

    def _index(self) -> None:
        moved = self._tr_sum > TINY
        self.plus_di = 100 * self._plus_sum / self._tr_sum if moved else 0.0
        self.minus_di = 100 * self._minus_sum / self._tr_sum if moved else 0.0
        both = self.plus_di + self.minus_di
        known = both > TINY
        dx = 100 * abs(self.minus_di - self.plus_di) / both if known else 0.0
        period = self.period
        if self.adx is not None:
            # TA-Lib leaves the ADX as it is where there was no movement at all.
            self.adx = (self.adx * (period - 1) + dx) / period if known else self.adx
            return
        self._dx_sum += dx
        if self._count == 2 * period:
            self.adx = self._dx_sum / period


class EfficiencyRatio:
    """Kaufman's efficiency ratio of closes."""

    __slots__ = ("_closes", "period")

    def __init__(self, period: int) -> None:
        self.period = period
        self._closes: deque[float] = deque(maxlen=period + 1)

    def close_candle(self, close: float) -> float | None:
        """Counts one close in; answers the ratio, 0 to 1, or None until there are `period` + 1."""
        self._closes.append(close)
        if len(self._closes) <= self.period:
            return None
        # Summed anew each time: a running sum of differences would drift.
        way, before = 0.0, self._closes[0]
        for one in self._closes:
            way += abs(one - before)
            before = one
        return abs(close - self._closes[0]) / way if way > 0 else 0.0


class WilderAtr:
    """Wilder's ATR in doubles: the mean of the first `period` true ranges, then (ATR · (n − 1) + TR) / n."""

    __slots__ = ("_close", "_count", "_sum", "period", "value")

    def __init__(self, period: int) -> None:
        self.period = period
        self.value: float | None = None
        self._close = 0.0
        self._count = 0
        self._sum = 0.0

    def close_candle(self, high: float, low: float, close: float) -> float | None:
        """Counts one closed candle in; answers the ATR, or None until there are `period` true ranges."""
        tr = max(high - low, abs(high - self._close), abs(low - self._close))
        self._close = close
        self._count += 1
        if self._count == 1:
            return None
        if self.value is not None:
            self.value = (self.value * (self.period - 1) + tr) / self.period
        else:
            self._sum += tr
            if self._count == self.period + 1:
                self.value = self._sum / self.period
        return self.value
