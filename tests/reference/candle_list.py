"""Candles and their ATR, kept as one list and computed from its start every time somebody asks."""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise


@dataclass
class Candle:
    open_ms: int
    open: Fraction
    high: Fraction
    low: Fraction
    close: Fraction


class CandleList:
    """The last candle of the list is the forming one."""

    def __init__(self, interval_ms: int) -> None:
        self.interval_ms = interval_ms
        self.candles: list[Candle] = []
        self.untouched = False  # whether the forming candle has had no tick yet

    def close_those_before(self, event_ms: int) -> Candle | None:
        """Closes the oldest candle that ends at or before the time and begins the flat one after it.

        Returns:
            The closed candle, or None when there is nothing (more) to close.
        """
        if not self.candles:
            return None
        forming = self.candles[-1]
        end_ms = forming.open_ms + self.interval_ms
        if end_ms > event_ms:
            return None
        price = forming.close
        self.candles.append(Candle(end_ms, price, price, price, price))
        # A silent candle is flat at the previous close; one that gets a tick forgets this beginning.
        self.untouched = True
        return forming

    def extend(self, event_ms: int, price: Fraction) -> None:
        if not self.candles:
            start_ms = event_ms // self.interval_ms * self.interval_ms
            self.candles.append(Candle(start_ms, price, price, price, price))
            self.untouched = False
            return
        forming = self.candles[-1]
        if event_ms < forming.open_ms:
            return
        if self.untouched:
            forming.open = forming.high = forming.low = forming.close = price
            self.untouched = False
            return
        forming.high = max(forming.high, price)
        forming.low = min(forming.low, price)
        forming.close = price

    def atr(self, *, period: int, method: str) -> Fraction | None:
        """The average true range of the closed candles, as the decimal of the shortest repr of a double.

        # reading: an ATR of zero counts as no ATR.
        """
        closed = self.candles[:-1]
        ranges = []
        for before, candle in pairwise(closed):
            ranges.append(
                max(
                    candle.high - candle.low,
                    abs(candle.high - before.close),
                    abs(candle.low - before.close),
                )
            )
        if len(ranges) < period:
            return None
        if method == "sma":
            exact = sum(ranges[-period:], Fraction(0)) / period
        else:
            exact = sum(ranges[:period], Fraction(0)) / period
            for true_range in ranges[period:]:
                exact = (exact * (period - 1) + true_range) / period
        if exact == 0:
            return None
        return Fraction(Decimal(repr(float(exact))))
