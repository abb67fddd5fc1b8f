"""Prices within candles, where only the candles are known: made up against the position.

The price goes from the open to the extreme that hurts first, then to the other, then to the close, in steps of
at most `STEP_PCT` of the open.
"""

from collections.abc import Iterable, Iterator, Sequence

from reactor.core.candles import Candle

STEP_PCT = 0.0002
"""How far the price is taken to move at once: 2 bp, a few ticks of most contracts."""


def price_steps(candle: Candle, *, low_first: bool) -> Iterator[str]:
    """The prices within one candle, as texts.

    Args:
        candle: what is known.
        low_first: whether the low comes before the high: what hurts a LONG first.
    """
    ends = (candle.low, candle.high) if low_first else (candle.high, candle.low)
    yield from _steps(candle.open, (*ends, candle.close))


def candle_steps(
    candles: Sequence[Candle], *, step_ms: int, low_first: bool
) -> tuple[list[int], list[float]]:
    """The times in ms and the prices within candles, spread evenly over each one's time.

    Args:
        candles: oldest first.
        step_ms: how long one lasts.
        low_first: as in `price_steps`.
    """
    times: list[int] = []
    prices: list[float] = []
    for candle in candles:
        within = [float(price) for price in price_steps(candle, low_first=low_first)]
        times += [candle.open_time_ms + at * step_ms // len(within) for at in range(len(within))]
        prices += within
    return times, prices


def _steps(start: float, ends: Iterable[float]) -> Iterator[str]:
    yield repr(start)
    at = start
    for end in ends:
        count = max(1, int(abs(end - at) / (STEP_PCT * start)) + 1)
        for number in range(1, count):
            yield f"{at + (end - at) * number / count:.12g}"
        if end != at:
            yield repr(end)
        at = end
