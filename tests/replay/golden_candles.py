"""Ticks that count and candles of five minutes, in fractions: what a fixture's ATR must be."""

from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from functools import cache
from itertools import pairwise

INTERVAL_MS = 300_000
PERIOD = 14
JUMP_MAX = Fraction(1, 5)


class Ticks:
    """One source of one symbol: prices are tuples, of a price or of bid and ask."""

    def __init__(self) -> None:
        self.count = 0
        self.last_id = -1
        self.last: tuple[Fraction, ...] | None = None
        self.suspect: tuple[Fraction, ...] | None = None

    def accepted(self, prices: tuple[Fraction, ...], tick_id: int) -> list[tuple[Fraction, ...]]:
        """Those that count now; the suspect comes with the one that confirms it."""
        if tick_id <= self.last_id:
            return []
        self.last_id = tick_id
        suspect, self.suspect = self.suspect, None
        if suspect is not None and _near(suspect, prices):
            return [suspect, prices]
        if self.last is None or _near(self.last, prices):
            return [prices]
        self.suspect = prices
        return []

    def counted(self, prices: tuple[Fraction, ...]) -> None:
        self.count += 1
        self.last = prices


@cache
def _near(reference: tuple[Fraction, ...], prices: tuple[Fraction, ...]) -> bool:
    pairs = zip(reference, prices, strict=True)
    return all(abs(price - old) <= JUMP_MAX * old for old, price in pairs)


class Candles:
    """Candles by open time: [open, high, low, close]."""

    def __init__(self, *, smoothing: str) -> None:
        self.smoothing = smoothing
        self.rows: dict[int, list[Fraction]] = {}
        self.whole: dict[int, bool] = {}
        self.forming: int | None = None
        self.interrupted = True
        self._atr: Fraction | None = None
        self._atr_is_known = False

    def tick(self, t_ms: int, price: Fraction) -> None:
        start = t_ms - t_ms % INTERVAL_MS
        if self.forming is not None and start < self.forming:
            return
        if start in self.rows:
            row = self.rows[start]
            self.rows[start] = [row[0], max(row[1], price), min(row[2], price), price]
        else:
            self._fill_up_to(start)
            self.rows[start] = [price] * 4
            self.whole[start] = True
        if start != self.forming:
            self._atr_is_known = False
        self.forming = start
        if self.interrupted:
            self.interrupted = False
            self.whole[start] = False

    def interrupt(self) -> None:
        self.interrupted = True
        if self.forming is not None:
            self.whole[self.forming] = False

    def load(self, rows: Iterable[tuple[int, list[Fraction]]]) -> None:
        """History: it completes what ticks have not shown whole."""
        rows = sorted(rows)
        for start, row in rows:
            if self.whole.get(start, False):
                continue
            seen = self.rows.get(start)
            if seen is not None and start == self.forming and start == rows[-1][0]:
                close = row[3] if self.interrupted else seen[3]
                self.rows[start] = [row[0], max(row[1], seen[1]), min(row[2], seen[2]), close]
            else:
                self.rows[start] = row
            self.whole[start] = False
        self.forming = max(self.rows)
        self._atr_is_known = False

    def atr(self) -> Fraction | None:
        """Over the closed candles; the decimal of its shortest double, as it enters levels."""
        if not self._atr_is_known:
            self._atr = self._measured()
            self._atr_is_known = True
        return self._atr

    def _measured(self) -> Fraction | None:
        closed = [self.rows[start] for start in sorted(self.rows) if start != self.forming]
        ranges = []
        for before, (_, high, low, _) in pairwise(closed):
            ranges.append(max(high - low, abs(high - before[3]), abs(low - before[3])))
        if len(ranges) < PERIOD:
            return None
        if self.smoothing == "sma":
            exact = sum(ranges[-PERIOD:], Fraction(0)) / PERIOD
        else:
            exact = sum(ranges[:PERIOD], Fraction(0)) / PERIOD
            for each in ranges[PERIOD:]:
                exact = (exact * (PERIOD - 1) + each) / PERIOD
        return Fraction(Decimal(repr(float(exact))))

    def _fill_up_to(self, start: int) -> None:
        """Candles without a tick are flat at the close before."""
        if self.forming is None:
            return
        close = self.rows[self.forming][3]
        for missing in range(self.forming + INTERVAL_MS, start, INTERVAL_MS):
            self.rows[missing] = [close] * 4
            self.whole[missing] = False
