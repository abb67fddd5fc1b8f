"""The regime classifier: its measures against TA-Lib and plain sums, precedence, hysteresis, and that it cannot flap."""

import math
from itertools import pairwise
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor.core.regime import (
    UNKNOWN,
    Classifier,
    Rank,
    Regime,
    RegimeConfig,
    Verdict,
    Volatility,
)
from reactor.core.trend import DirectionalMovement, EfficiencyRatio, WilderAtr
from reactor.replay.candle_file import read_candles

talib = pytest.importorskip("talib", reason="TA-Lib is the independent oracle")

DATA = Path(__file__).parents[3] / "shared" / "data"
FILES = sorted(DATA.glob("klines_*/*_5m*.csv.gz"))
Bars = list[tuple[float, float, float]]

QUICK = RegimeConfig(
    timeframe="1h",
    adx_period=3,
    efficiency_period=4,
    atr_period=3,
    rank_days=2,
    rank_days_min=0.25,
    min_hold=3,
)


def assert_equals_talib(bars: Bars, period: int) -> None:
    high, low, close = (np.array(column) for column in zip(*bars, strict=True))
    movement, atr = DirectionalMovement(period), WilderAtr(period)
    found = []
    for bar in bars:
        movement.close_candle(*bar)
        value = atr.close_candle(*bar)
        measures = (movement.adx, movement.plus_di, movement.minus_di, value)
        found.append([math.nan if one is None else one for one in measures])
    for name, ours in zip(("ADX", "PLUS_DI", "MINUS_DI", "ATR"), np.array(found).T, strict=True):
        theirs = getattr(talib, name)(high, low, close, timeperiod=period)
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9, err_msg=f"{name} {period}")


@pytest.mark.skipif(not FILES, reason="no candle files in ../shared/data")
@pytest.mark.parametrize("period", [2, 14, 30])
def test_directional_movement_and_atr_are_those_of_talib_on_real_candles(period: int) -> None:
    for path in FILES:
        bars = [(one.high, one.low, one.close) for _, one in read_candles(path)][:6000]
        assert_equals_talib(bars, period)


def walk(seed: int, count: int, *, size: float = 1.0, drift: float = 0.0) -> Bars:
    random = Random(seed)
    close, bars = 1000.0, []
    for _ in range(count):
        before = close
        close = max(1.0, close + drift + random.uniform(-size, size))
        high = max(before, close) + random.uniform(0, size)
        low = max(0.5, min(before, close) - random.uniform(0, size))
        bars.append((high, low, close))
    return bars


@given(
    seed=st.integers(0, 10**6),
    size=st.sampled_from([0.01, 1.0, 30.0]),
    flat=st.integers(0, 40),
    period=st.integers(2, 20),
)
def test_and_on_random_candles_with_dead_stretches(
    seed: int, size: float, flat: int, period: int
) -> None:
    bars = walk(seed, 60, size=size)
    bars += [(bars[-1][2],) * 3] * flat
    bars += [(high, max(low, 0.5), close) for high, low, close in walk(seed + 1, 40, size=size)]
    assert_equals_talib(bars, period)


@given(
    closes=st.lists(st.floats(1, 1000, allow_nan=False), min_size=1, max_size=40),
    period=st.integers(2, 12),
)
def test_the_efficiency_ratio_is_progress_by_way(closes: list[float], period: int) -> None:
    ratio = EfficiencyRatio(period)
    for at, close in enumerate(closes):
        found = ratio.close_candle(close)
        seen = closes[max(0, at - period) : at + 1]
        if len(seen) <= period:
            assert found is None
            continue
        way = sum(abs(after - before) for before, after in pairwise(seen))
        expected = abs(seen[-1] - seen[0]) / way if way else 0.0
        assert found == pytest.approx(expected)
        assert found is not None
        assert 0 <= found <= 1 + 1e-12


@given(values=st.lists(st.integers(0, 20), min_size=1, max_size=60))
def test_a_rank_is_the_share_of_the_others_below(values: list[int]) -> None:
    rank = Rank(10, 4)
    for at, value in enumerate(values):
        window = values[max(0, at - 9) : at + 1]
        found = rank.add(float(value))
        if len(window) < 4:
            assert found is None
        else:
            assert found == sum(one < value for one in window) / (len(window) - 1)


# Verdicts -----------------------------------------------------------------------------------------


def classify(bars: Bars, config: RegimeConfig = QUICK) -> list[Verdict]:
    classifier = Classifier(config)
    return [classifier.close_candle(at, *bar) for at, bar in enumerate(bars)]


def line_up(start: float, step: float, count: int, wick: float = 0.2) -> Bars:
    closes = [start + step * number for number in range(1, count + 1)]
    return [(max(one, one - step) + wick, min(one, one - step) - wick, one) for one in closes]


def test_unknown_until_every_measure_has_seen_enough() -> None:
    verdicts = classify(line_up(100, 1, 30))
    # ADX needs 6 candles, the rank 6 values of an ATR that needs 4.
    assert [verdict.regime for verdict in verdicts[:8]] == [Regime.UNKNOWN] * 8
    assert verdicts[8].regime is Regime.BULL
    assert verdicts[8].since_ms == 8
    assert verdicts[29].since_ms == 8


def test_up_is_bull_down_is_bear() -> None:
    assert classify(line_up(100, 1, 30))[-1].regime is Regime.BULL
    assert classify(line_up(500, -1, 30))[-1].regime is Regime.BEAR


def test_a_market_that_goes_nowhere_is_chop() -> None:
    bars = [(101.0, 99.0, 100.5 if number % 2 else 99.5) for number in range(40)]
    assert classify(bars)[-1].regime is Regime.CHOP


def test_a_dead_market_is_chop_and_calm() -> None:
    verdict = classify([(100.0, 100.0, 100.0)] * 40)[-1]
    assert verdict.state == (Regime.CHOP, Volatility.NORMAL)
    assert verdict.measures.rank == 0


def test_extreme_volatility_without_a_trend_is_high_vol_and_with_one_is_not() -> None:
    calm = [(101.0, 99.0, 100.5 if number % 2 else 99.5) for number in range(40)]
    wild = [(112.0, 88.0, 108.0 if number % 2 else 92.0) for number in range(8)]
    assert classify(calm + wild)[-1].state == (Regime.HIGH_VOL, Volatility.EXTREME)
    crash = line_up(99.5, -8, 8, wick=1)
    assert classify(calm + crash)[-1].state == (Regime.BEAR, Volatility.EXTREME)


def test_fixed_levels_are_left_ten_per_cent_lower() -> None:
    config = RegimeConfig(
        **{
            **{name: getattr(QUICK, name) for name in QUICK.__struct_fields__},
            "volatility": "fixed",
            "min_hold": 1,
            "atr_period": 2,
        }
    )

    def of(half: float) -> Bars:
        return [(100 + half, 100 - half, 100.0)] * 20

    # Twice the half is the true range, in per cent of the close.
    assert classify(of(1.99), config)[-1].volatility is Volatility.NORMAL
    assert classify(of(2.0), config)[-1].volatility is Volatility.HIGH
    assert classify(of(3.0), config)[-1].volatility is Volatility.EXTREME
    assert classify(of(2.0) + of(1.81), config)[-1].volatility is Volatility.HIGH
    assert classify(of(2.0) + of(1.79), config)[-1].volatility is Volatility.NORMAL
    assert classify(of(3.0) + of(2.71), config)[-1].volatility is Volatility.EXTREME
    assert classify(of(3.0) + of(2.69), config)[-1].volatility is Volatility.HIGH


def changes(verdicts: list[Verdict]) -> list[int]:
    return [
        at
        for at, (before, after) in enumerate(pairwise(verdicts), 1)
        if after.state != before.state and before.regime is not Regime.UNKNOWN
    ]


BLOCKS = st.sampled_from(["up", "down", "saw", "wild", "flat", "spike"])


@given(
    blocks=st.lists(st.tuples(BLOCKS, st.integers(1, 6)), min_size=5, max_size=40),
    min_hold=st.integers(1, 6),
)
def test_adversarial_candles_never_make_it_flap(
    blocks: list[tuple[str, int]], min_hold: int
) -> None:
    bars: Bars = walk(7, 14)
    for kind, count in blocks:
        for number in range(count):
            last = bars[-1][2]
            move = {"up": 20, "down": -20, "saw": 9 if number % 2 else -9, "wild": 60, "flat": 0}
            close = max(20.0, last + move.get(kind, 0))
            wick = {"wild": 150.0, "spike": 400.0}.get(kind, 1.0)
            bars.append((max(last, close) + wick, max(1.0, min(last, close) - wick), close))
    fields = {name: getattr(QUICK, name) for name in QUICK.__struct_fields__}
    config = RegimeConfig(**{**fields, "min_hold": min_hold})
    verdicts = classify(bars, config)
    found = changes(verdicts)
    assert all(after - before >= min_hold for before, after in pairwise(found))
    known = [verdict.regime is not Regime.UNKNOWN for verdict in verdicts]
    assert known == sorted(known), "an opinion is never lost again"
    # Since when is told truly.
    for at in found:
        assert verdicts[at].since_ms == at


def test_the_same_candles_give_the_same_verdicts() -> None:
    bars = walk(3, 300, size=8)
    assert classify(bars) == classify(bars)
    classifier = Classifier(QUICK)
    assert classifier.fresh().verdict is UNKNOWN


def test_thresholds_that_contradict_each_other_are_named() -> None:
    assert list(RegimeConfig().complaints()) == []
    wrong = RegimeConfig(trend_enter=20, trend_leave=25, high_rank=0.9, extreme_rank=0.9)
    assert list(wrong.complaints()) == [
        "regime.trend_leave = 25 must be at most regime.trend_enter = 20",
        "regime.high_rank = 0.9 must be below regime.extreme_rank = 0.9",
    ]


def test_what_a_warm_up_should_bring() -> None:
    # 90 days of 4 h candles, and 28 + 1 before them.
    assert RegimeConfig().history_candles == 540 + 29
    assert RegimeConfig(volatility="fixed").history_candles == 29
