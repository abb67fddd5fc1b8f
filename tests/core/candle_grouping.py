"""Candles of ticks by plain grouping, to compare the incremental ones with."""

from typing import NamedTuple

from reactor.core.candles import Candle, CandleSeries

MINUTE = 60_000


class Tick(NamedTuple):
    t_ms: int
    price: float


def feed(series: CandleSeries, ticks: list[Tick]) -> None:
    for tick in ticks:
        while series.roll(tick.t_ms):
            pass
        series.tick(tick.price, tick.t_ms)


def grouped(ticks: list[Tick], interval_ms: int) -> list[Candle]:
    """The same candles by plain grouping: one list of prices an interval, flat where it is empty."""
    if not ticks:
        return []
    by_open: dict[int, list[float]] = {}
    newest = 0
    for tick in ticks:
        open_ms = tick.t_ms // interval_ms * interval_ms
        newest = max(newest, open_ms)
        if open_ms == newest:  # a late tick counts nowhere
            by_open.setdefault(open_ms, []).append(tick.price)
    first = min(by_open)
    result: list[Candle] = []
    for open_ms in range(first, newest + 1, interval_ms):
        prices = by_open.get(open_ms) or [result[-1].close]
        result.append(Candle(open_ms, prices[0], max(prices), min(prices), prices[-1]))
    return result


def all_of(series: CandleSeries) -> list[Candle]:
    """The closed candles and the forming one."""
    forming = Candle(series.start_ms, series.open, series.high, series.low, series.close)
    return [*series.closed, *([forming] if series.forming else [])]
