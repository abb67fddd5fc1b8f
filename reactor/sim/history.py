"""Candles from before the simulator began, made up but always the same for a symbol and interval.

A client warms its indicators up with hundreds of candles; those of this run are real, the older ones
are a seeded walk backwards from the run's first price. Intervals do not add up to one another there.
"""

import random
import zlib
from decimal import Decimal

from reactor.sim.decimals import floor_to
from reactor.sim.market import INTERVAL_MS, MINUTE_MS, Candle, Market

INVENTED_MAX = 5000
MINUTE_VOLATILITY = 0.0004  # of the price, per square root of a minute


def candles(
    market: Market,
    interval: str,
    *,
    start_ms: int | None,
    end_ms: int | None,
    limit: int,
    now_ms: int,
    marks: bool = False,
) -> list[Candle]:
    """Return the candles of a klines request, oldest first.

    Args:
        market: The symbol.
        interval: A key of ``INTERVAL_MS``.
        start_ms: First open time wanted, or None.
        end_ms: Last open time wanted, or None.
        limit: At most so many; without ``start_ms`` the latest ones.
        now_ms: Exchange time.
        marks: Mark price candles instead of traded ones.
    """
    market.roll(now_ms)
    span = INTERVAL_MS[interval]
    live = list(market.candles(interval, marks=marks))
    last_ms = live[-1].open_ms if end_ms is None else min(end_ms // span * span, live[-1].open_ms)
    if start_ms is not None:
        # As before a listing: asked for too early a time, the answer begins with the first there is.
        first_ms = max(-(-start_ms // span) * span, live[0].open_ms - INVENTED_MAX * span)
        last_ms = min(last_ms, first_ms + (limit - 1) * span)
    else:
        first_ms = last_ms - (limit - 1) * span
    older = max(0, (live[0].open_ms - first_ms) // span)
    rows = [*_invented(market, interval, live[0], min(older, INVENTED_MAX)), *live]
    return [row for row in rows if first_ms <= row.open_ms <= last_ms][:limit]


def _invented(market: Market, interval: str, first: Candle, count: int) -> list[Candle]:
    """Walk ``count`` candles back from the first real one."""
    rules = market.rules
    span = INTERVAL_MS[interval]
    seed = zlib.crc32(f"{rules.symbol}/{interval}".encode())
    source = random.Random(seed)  # noqa: S311 -- simulation, not secrecy
    width = MINUTE_VOLATILITY * (span / MINUTE_MS) ** 0.5
    close = first.open
    rows: list[Candle] = []
    for index in range(1, count + 1):
        change = Decimal(str(round(source.gauss(0.0, width), 8)))
        opened = max(rules.tick, floor_to(close / (1 + change), rules.tick))
        reach = Decimal(str(round(abs(source.gauss(0.0, width / 2)), 8)))
        volume = floor_to(
            market.book.depth * Decimal(str(round(source.uniform(0.5, 2.0), 4))), rules.step
        )
        high = max(opened, close) * (1 + reach)
        low = min(opened, close) * (1 - reach)
        half = floor_to(volume / 2, rules.step)
        rows.append(
            Candle(
                open_ms=first.open_ms - index * span,
                open=opened,
                high=floor_to(high, rules.tick),
                low=max(rules.tick, floor_to(low, rules.tick)),
                close=close,
                volume=volume,
                quote=volume * close,
                trades=50,
                taker_base=half,
                taker_quote=half * close,
            )
        )
        close = opened
    rows.reverse()
    return rows
