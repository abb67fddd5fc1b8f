"""The ATR against TA-Lib, published references and plain recomputation."""

import json
import os
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from math import fsum
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.recordings import candle_files, candles, recording, rows
from reactor.core.atr import Atr, true_range
from reactor.core.candles import Candle
from reactor.core.plan import Smoothing

talib = pytest.importorskip("talib", reason="TA-Lib is the independent ATR; pip install TA-Lib")

SMOOTHINGS: tuple[Smoothing, Smoothing] = ("wilder", "sma")
DRIFT_UPDATES = int(os.environ.get("REACTOR_ATR_UPDATES", "100000"))
"""Updates of the drift test: 8 µs each. The specification's ten million are run with this variable."""


def series(bars: list[Candle], *, period: int, method: Smoothing) -> list[float | None]:
    atr = Atr(period=period, method=method)
    values = []
    for bar in bars:
        atr.close_candle(bar.high, bar.low, bar.close)
        values.append(atr.value)
    return values


def range_of(high: float, low: float, previous_close: float) -> float:
    """The true range in doubles."""
    return max(high - low, abs(high - previous_close), abs(low - previous_close))


def exact_range(high: float, low: float, previous_close: float) -> Fraction:
    """The true range of the decimals that the doubles stand for."""
    top, bottom, before = (Fraction(Decimal(repr(x))) for x in (high, low, previous_close))
    return max(top - bottom, abs(top - before), abs(bottom - before))


def plain(bars: list[Candle], *, period: int, method: Smoothing) -> list[float | None]:
    """The definition, computed from the start for every candle: slow, and obviously right."""
    ranges = [range_of(bar.high, bar.low, before.close) for before, bar in pairwise(bars)]
    values: list[float | None] = []
    for count in range(len(bars)):
        known = ranges[:count]
        if len(known) < period:
            values.append(None)
        elif method == "sma":
            values.append(fsum(known[-period:]) / period)
        else:
            value = fsum(known[:period]) / period
            for tr in known[period:]:
                value = (value * (period - 1) + tr) / period
            values.append(value)
    return values


def same(found: float | None, wanted: float | None, *, relative: float = 1e-9) -> bool:
    if found is None or wanted is None:
        return found is wanted
    return abs(found - wanted) <= relative * abs(wanted)


def reference_bars() -> list[Candle]:
    path = recording("atr_reference", "skender", "default_quotes.csv")
    return [
        Candle(i, *(float(row[key]) for key in ("open", "high", "low", "close")))
        for i, row in enumerate(rows(path))
    ]


# One candle at a time -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("high", "low", "previous_close", "expected"),
    [
        (12.0, 10.0, 11.0, 2.0),  # inside: high − low
        (12.0, 10.0, 9.0, 3.0),  # gapped up: high − previous close
        (12.0, 10.0, 14.0, 4.0),  # gapped down: previous close − low
        (10.0, 10.0, 10.0, 0.0),
    ],
)
def test_true_range(high: float, low: float, previous_close: float, expected: float) -> None:
    found = true_range(*(Decimal(repr(x)) for x in (high, low, previous_close)))
    assert found == Decimal(repr(expected))


@pytest.mark.parametrize("method", SMOOTHINGS)
def test_three_true_ranges_by_hand(method: Smoothing) -> None:
    atr = Atr(period=3, method=method)
    atr.close_candle(20.0, 1.0, 10.0)  # no previous close, no true range
    for high, low, close in ((12.0, 9.0, 11.0), (12.0, 11.0, 12.0)):  # 3 and 1
        atr.close_candle(high, low, close)
        assert not atr.value
    atr.close_candle(14.0, 9.0, 10.0)  # 5
    assert atr.value == 3.0
    atr.close_candle(16.0, 10.0, 16.0)  # 6
    # wilder: (2·3 + 6)/3; sma: (1 + 5 + 6)/3
    assert atr.value == 4.0
    atr.close_candle(17.0, 15.0, 15.0)  # 2
    # wilder: (2·4 + 2)/3; sma: (5 + 6 + 2)/3
    assert atr.value == pytest.approx(10 / 3 if method == "wilder" else 13 / 3, rel=1e-15)


@pytest.mark.parametrize("method", SMOOTHINGS)
def test_a_period_of_one_is_the_true_range(method: Smoothing) -> None:
    atr = Atr(period=1, method=method)
    atr.close_candle(11.0, 9.0, 10.0)
    assert not atr.value
    previous = 10.0
    for high, low, close in ((12.0, 10.0, 11.0), (11.5, 11.0, 11.0), (20.0, 19.0, 19.0)):
        atr.close_candle(high, low, close)
        assert atr.value == range_of(high, low, previous)
        previous = close


@pytest.mark.parametrize("method", SMOOTHINGS)
def test_the_live_reading_needs_a_closed_one_and_changes_nothing(method: Smoothing) -> None:
    atr = Atr(period=2, method=method)
    assert atr.live(1.0, 1.0) is None
    for high, low, close in ((2.0, 1.0, 1.5), (2.5, 1.5, 2.0)):
        atr.close_candle(high, low, close)
        assert atr.live(9.0, 1.0) is None
    atr.close_candle(4.0, 2.0, 3.0)  # true ranges so far: 1 and 2
    assert atr.value == 1.5
    # The forming candle's true range is 4: wilder (1.5 + 4)/2, sma (2 + 4)/2.
    assert atr.live(6.0, 2.0) == (2.75 if method == "wilder" else 3.0)
    assert atr.value == 1.5


bars_of_prices = st.lists(
    st.tuples(*[st.integers(1, 10**7)] * 4).map(
        lambda prices: Candle(
            0, prices[0] / 100, max(prices) / 100, min(prices) / 100, prices[3] / 100
        )
    ),
    max_size=40,
)


@given(bars_of_prices, st.integers(1, 20), st.sampled_from(SMOOTHINGS))
@settings(max_examples=50, deadline=None)
def test_every_value_equals_plain_recomputation(
    bars: list[Candle], period: int, method: Smoothing
) -> None:
    found = series(bars, period=period, method=method)
    wanted = plain(bars, period=period, method=method)
    assert len(found) == len(wanted)
    assert all(same(a, b, relative=1e-12) for a, b in zip(found, wanted, strict=True))


@given(bars_of_prices.filter(bool), st.integers(1, 20), st.sampled_from(SMOOTHINGS))
@settings(max_examples=50, deadline=None)
def test_live_is_what_closing_the_forming_candle_now_would_give(
    bars: list[Candle], period: int, method: Smoothing
) -> None:
    *closed, forming = bars
    atr = Atr(period=period, method=method)
    for bar in closed:
        atr.close_candle(bar.high, bar.low, bar.close)
    live, before = atr.live(forming.high, forming.low), atr.value
    twin = atr.twin()
    twin.close_candle(forming.high, forming.low, forming.close)
    assert live is None if before is None else same(live, twin.value, relative=1e-12)
    assert atr.value == before


@given(bars_of_prices, bars_of_prices, st.integers(1, 20), st.sampled_from(SMOOTHINGS))
@settings(max_examples=50, deadline=None)
def test_a_twin_goes_its_own_way(
    first: list[Candle], then: list[Candle], period: int, method: Smoothing
) -> None:
    atr = Atr(period=period, method=method)
    for bar in first:
        atr.close_candle(bar.high, bar.low, bar.close)
    twin, value = atr.twin(), atr.value
    for bar in then:
        twin.close_candle(bar.high, bar.low, bar.close)
    assert atr.value == value
    for bar in then:
        atr.close_candle(bar.high, bar.low, bar.close)
    assert atr.value == twin.value


def test_flat_candles_bring_the_mean_back_to_nothing_at_all() -> None:
    atr = Atr(period=14, method="sma")
    for price in (0.1, 123456.7, 0.3, 98765.4, 1e-8):
        atr.close_candle(price * 1.1, price * 0.9, price)
    for _ in range(14):
        atr.close_candle(1e-8, 1e-8, 1e-8)
    assert atr.value == 0.0


def test_prices_are_subtracted_as_the_decimals_that_they_are() -> None:
    """100.2 − 100.0 is 0.2, and a stop at 1.5 of it stands a whole tick nearer than doubles put it."""
    for method in SMOOTHINGS:
        atr = Atr(period=1, method=method)
        atr.close_candle(100.2, 100.0, 100.2)
        atr.close_candle(100.2, 100.0, 100.2)
        assert atr.value == 0.2
        assert atr.live(100.3, 100.0) == 0.3
    assert 100.2 - 100.0 != 0.2


@given(bars_of_prices, st.integers(1, 20), st.sampled_from(SMOOTHINGS))
@settings(max_examples=50, deadline=None)
def test_the_value_is_the_double_nearest_to_the_exact_one(
    bars: list[Candle], period: int, method: Smoothing
) -> None:
    ranges = [exact_range(bar.high, bar.low, before.close) for before, bar in pairwise(bars)]
    wanted = None
    if len(ranges) >= period:
        first = ranges[:period] if method == "wilder" else ranges[-period:]
        mean = sum(first, Fraction(0)) / period
        if method == "wilder":
            for tr in ranges[period:]:
                mean = (mean * (period - 1) + tr) / period
        wanted = float(mean)
    assert series(bars, period=period, method=method)[-1:] == [wanted][: len(bars)]


def test_what_wilder_carries_along_is_as_good_as_exact_after_hundreds_of_candles() -> None:
    bars = [
        Candle(i, 0, 101.3 + i * 7 % 31 / 10, 99.1 - i * 5 % 13 / 10, 100.7) for i in range(400)
    ]
    ranges = [exact_range(bar.high, bar.low, before.close) for before, bar in pairwise(bars)]
    atr = sum(ranges[:14], Fraction(0)) / 14
    wanted = [float(atr)]
    for tr in ranges[14:]:
        atr = (atr * 13 + tr) / 14
        wanted.append(float(atr))
    assert series(bars, period=14, method="wilder")[14:] == wanted


# Drift --------------------------------------------------------------------------------------------


def test_the_moving_mean_does_not_drift() -> None:
    """Crash candles pass through calm ones again and again; in the calm every lost bit would show."""
    period = 14
    random = np.random.default_rng(20_261_120)
    sizes = 10.0 ** np.concatenate(
        [
            np.concatenate([random.uniform(2, 4.5, period), random.uniform(-5, -3, period + 2)])
            for _ in range(100)
        ]
    )
    bars = [(1e5 + half, 1e5 - half, 1e5) for half in sizes.tolist()]
    ranges = [range_of(*bar) for bar in bars]
    calm = float(sum(exact_range(*bar) for bar in bars[-period:]) / period)

    atr = Atr(period=period, method="sma")
    close_candle = atr.close_candle
    close_candle(*bars[-1])
    for _ in range(-(-DRIFT_UPDATES // len(bars))):
        for high, low, close in bars:
            close_candle(high, low, close)
        assert same(atr.value, calm)

    # The same candles once through a plain running sum: the comparison can fail.
    running = 0.0
    for before, tr in zip([0.0] * period + ranges, ranges, strict=False):
        running += tr - before
    assert not same(running / period, fsum(ranges[-period:]) / period)


# The independent ones -----------------------------------------------------------------------------


def compare_with_talib(bars: list[Candle], *, period: int) -> None:
    high, low, close = (
        np.array([getattr(bar, name) for bar in bars]) for name in ("high", "low", "close")
    )
    for method in SMOOTHINGS:
        if method == "wilder":
            wanted = talib.ATR(high, low, close, timeperiod=period)
        else:
            # TA-Lib's own ATR is Wilder's; its SMA over its true ranges is the other smoothing.
            wanted = np.full(len(bars), np.nan)
            ranges = talib.TRANGE(high, low, close)
            wanted[1:] = talib.SMA(ranges[1:], timeperiod=period)
        found = np.array(
            [
                np.nan if value is None else value
                for value in series(bars, period=period, method=method)
            ]
        )
        assert np.array_equal(np.isnan(found), np.isnan(wanted))
        ready = ~np.isnan(wanted)
        assert ready.any()
        assert int(np.argmax(ready)) == period
        # SMA carries an error of its own where a crash passes through it.
        bound = 1e-9 * wanted[ready] + (1e-12 * np.nanmax(wanted) if method == "sma" else 0.0)
        assert (np.abs(found[ready] - wanted[ready]) <= bound).all()


@pytest.mark.parametrize("path", candle_files(), ids=lambda path: path.name.partition(".")[0])
def test_ta_lib_agrees_on_every_recorded_candle_file(path: Path) -> None:
    compare_with_talib(candles(path), period=14)


@pytest.mark.parametrize("period", [2, 14, 21])
def test_ta_lib_agrees_on_the_published_reference(period: int) -> None:
    compare_with_talib(reference_bars(), period=period)


def test_there_are_candle_files() -> None:
    recording("klines_typhonun")
    assert candle_files()


def test_the_published_results_are_reproduced() -> None:
    path = recording("atr_reference", "skender", "atr.standard.json")
    published = [row["atr"] for row in json.loads(path.read_text())]
    found = series(reference_bars(), period=14, method="wilder")
    assert published.index(next(value for value in published if value is not None)) == 14
    assert all(same(a, b, relative=1e-12) for a, b in zip(found, published, strict=True))
