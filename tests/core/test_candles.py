"""Candles: grouping of ticks, gaps, late ticks, history, and the ATRs that stand on them."""

from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from core.candle_grouping import MINUTE, Tick, all_of, feed, grouped
from reactor.core.atr import Atr
from reactor.core.candles import FLAT_CANDLES_MAX, RETAINED_CANDLES, Candle, CandleSeries

START = 1_700_000_100_000 - 1_700_000_100_000 % (5 * MINUTE)


def atr_of(bars: list[Candle], period: int = 3) -> float | None:
    atr = Atr(period=period, method="sma")
    for bar in bars:
        atr.close_candle(bar.high, bar.low, bar.close)
    return atr.value


# By hand ------------------------------------------------------------------------------------------


def test_nothing_forms_before_the_first_tick() -> None:
    series = CandleSeries(MINUTE)
    assert not series.forming
    assert not series.roll(START)
    assert series.closed == []


def test_a_candle_opens_where_exchange_time_says() -> None:
    series = CandleSeries(5 * MINUTE)
    series.tick(10.0, START + 123_456)
    assert (series.start_ms, series.end_ms) == (START, START + 5 * MINUTE)
    feed(series, [Tick(START + 200_000, 12.0), Tick(START + 299_999, 9.0)])
    assert all_of(series) == [Candle(START, 10.0, 12.0, 9.0, 9.0)]
    assert series.closed_count == 0
    feed(series, [Tick(START + 300_000, 9.5)])
    assert series.closed == [Candle(START, 10.0, 12.0, 9.0, 9.0)]
    assert all_of(series)[-1] == Candle(START + 300_000, 9.5, 9.5, 9.5, 9.5)
    assert series.closed_count == 1


def test_a_silent_candle_is_flat_at_the_previous_close() -> None:
    series = CandleSeries(MINUTE)
    feed(series, [Tick(START, 10.0), Tick(START + 1, 11.0), Tick(START + 3 * MINUTE, 20.0)])
    assert series.closed == [
        Candle(START, 10.0, 11.0, 10.0, 11.0),
        Candle(START + MINUTE, 11.0, 11.0, 11.0, 11.0),
        Candle(START + 2 * MINUTE, 11.0, 11.0, 11.0, 11.0),
    ]
    # The first price of a candle is its open, whatever the candle before it closed at.
    assert all_of(series)[-1].open == 20.0


def test_silence_closes_candles_one_by_one_each_with_its_atr() -> None:
    series = CandleSeries(MINUTE)
    atr = series.atr(period=2, method="sma")
    feed(series, [Tick(START, 10.0), Tick(START + MINUTE, 13.0), Tick(START + MINUTE + 1, 12.0)])
    seen: list[float | None] = []
    while series.roll(START + 5 * MINUTE):
        seen.append(atr.value)
    # True ranges: 3 (from the close 10), then flat candles: 0, 0, 0.
    assert seen == [None, 1.5, 0.0, 0.0]
    assert series.start_ms == START + 5 * MINUTE


def test_a_late_tick_never_reopens_a_closed_candle() -> None:
    series = CandleSeries(MINUTE)
    feed(series, [Tick(START, 10.0), Tick(START + MINUTE, 11.0)])
    before = all_of(series)
    feed(series, [Tick(START + MINUTE - 1, 99.0), Tick(START - 10 * MINUTE, 1.0)])
    assert all_of(series) == before


def test_a_tick_that_goes_back_within_the_forming_candle_counts() -> None:
    series = CandleSeries(MINUTE)
    feed(series, [Tick(START, 10.0), Tick(START + 500, 11.0), Tick(START + 400, 9.0)])
    assert all_of(series) == [Candle(START, 10.0, 11.0, 9.0, 9.0)]


def test_an_atr_asked_for_late_knows_the_candles_that_are_kept() -> None:
    series = CandleSeries(MINUTE)
    prices = [10.0, 11.0, 13.0, 16.0, 20.0]
    feed(series, [Tick(START + i * MINUTE, price) for i, price in enumerate(prices)])
    assert series.atr(period=3, method="sma").value == (1 + 2 + 3) / 3
    assert series.atr(period=3, method="sma") is series.atr(period=3, method="sma")


def test_the_atr_live_counts_the_forming_candle_as_it_stands() -> None:
    series = CandleSeries(MINUTE)
    atr = series.atr(period=2, method="sma")
    feed(series, [Tick(START + i * MINUTE, price) for i, price in enumerate([10.0, 11.0, 13.0])])
    assert not atr.value
    feed(series, [Tick(START + 3 * MINUTE, 16.0)])
    assert atr.value == 1.5
    assert atr.live(series.high, series.low) == 2.5  # (2 + 3)/2
    feed(series, [Tick(START + 3 * MINUTE + 1, 12.0)])
    # 16 − 12 = 4, and the previous close is 13.
    assert atr.live(series.high, series.low) == 3.0
    assert atr.value == 1.5


def test_behind_a_hole_too_long_for_flat_candles_everything_starts_anew() -> None:
    series = CandleSeries(MINUTE)
    atr = series.atr(period=2, method="sma")
    prices = [10.0, 11.0, 13.0, 16.0]
    feed(series, [Tick(START + i * MINUTE, price) for i, price in enumerate(prices)])
    assert atr.value is not None
    after = START + (FLAT_CANDLES_MAX + 10) * MINUTE
    feed(series, [Tick(after, 50.0)])
    assert all_of(series) == [Candle(after, 50.0, 50.0, 50.0, 50.0)]
    assert series.closed_count == 0
    assert series.atr(period=2, method="sma").value is None


def test_a_long_hole_within_the_bound_is_filled() -> None:
    series = CandleSeries(MINUTE)
    atr = series.atr(period=2, method="sma")
    feed(series, [Tick(START, 10.0), Tick(START + FLAT_CANDLES_MAX * MINUTE, 11.0)])
    assert series.closed_count == FLAT_CANDLES_MAX
    assert len(series.closed) == RETAINED_CANDLES
    assert atr.value == 0.0


def test_passed_over_ticks_leave_their_last_price() -> None:
    series = CandleSeries(MINUTE)
    feed(series, [Tick(START, 10.0), Tick(START + 1, 12.0), Tick(START + 2, 8.0)])
    series.settle(9.5)
    assert all_of(series) == [Candle(START, 10.0, 12.0, 8.0, 9.5)]


def test_passed_over_ticks_widen_the_forming_candle() -> None:
    series = CandleSeries(MINUTE)
    feed(series, [Tick(START, 10.0), Tick(START + 1, 12.0), Tick(START + 2, 8.0)])
    series.settle(9.5)
    series.stretch(7.0, 11.0)
    assert all_of(series) == [Candle(START, 10.0, 12.0, 7.0, 9.5)]
    series.stretch(9.0, 13.0)
    assert all_of(series) == [Candle(START, 10.0, 13.0, 7.0, 9.5)]


# Ticks, whatever they are -------------------------------------------------------------------------

ticks_of_a_walk = st.lists(
    st.tuples(st.integers(-90_000, 400_000), st.integers(1, 10_000)), min_size=1, max_size=80
).map(
    lambda steps: [
        Tick(START + 10_000_000 + sum(step for step, _ in steps[: i + 1]), price / 100)
        for i, (_, price) in enumerate(steps)
    ]
)


@given(ticks_of_a_walk, st.sampled_from([MINUTE, 5 * MINUTE, 15 * MINUTE]))
@settings(max_examples=50, deadline=None)
def test_candles_are_what_plain_grouping_gives(ticks: list[Tick], interval_ms: int) -> None:
    series = CandleSeries(interval_ms)
    atr = series.atr(period=3, method="sma")
    feed(series, ticks)
    assert all_of(series) == grouped(ticks, interval_ms)
    assert series.closed_count == len(series.closed)
    assert atr.value == atr_of(series.closed)


@given(ticks_of_a_walk)
@settings(max_examples=50, deadline=None)
def test_several_intervals_live_side_by_side(ticks: list[Tick]) -> None:
    ticks = sorted(ticks)
    fine, coarse = CandleSeries(MINUTE), CandleSeries(5 * MINUTE)
    feed(fine, ticks)
    feed(coarse, ticks)
    for bar in all_of(coarse):
        inside = [
            small
            for small in all_of(fine)
            if bar.open_time_ms <= small.open_time_ms < bar.open_time_ms + 5 * MINUTE
        ]
        assert bar.high <= max(small.high for small in inside)
        assert bar.low >= min(small.low for small in inside)
        assert bar.close == inside[-1].close
    for before, bar in pairwise(all_of(coarse)):
        assert bar.open_time_ms - before.open_time_ms == 5 * MINUTE


@given(ticks_of_a_walk)
@settings(max_examples=50, deadline=None)
def test_a_candle_contains_its_own_prices(ticks: list[Tick]) -> None:
    series = CandleSeries(MINUTE)
    feed(series, ticks)
    for bar in all_of(series):
        assert bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high


# History ------------------------------------------------------------------------------------------


def history(ticks: list[Tick], interval_ms: int) -> list[Candle]:
    """What the exchange answers when it is asked after these ticks; the newest row still forms."""
    return grouped(ticks, interval_ms)


def test_history_before_any_tick_makes_the_atr_ready() -> None:
    series = CandleSeries(MINUTE)
    atr = series.atr(period=2, method="sma")
    ticks = [Tick(START + i * MINUTE, price) for i, price in enumerate([10.0, 11.0, 13.0, 16.0])]
    assert series.load(history(ticks, MINUTE))
    assert series.atr(period=2, method="sma").value == 1.5
    assert atr.value is None  # the ATRs are made anew: ask the series
    assert all_of(series) == history(ticks, MINUTE)
    assert series.start_ms == START + 3 * MINUTE


def test_history_tells_what_came_before_the_first_tick_of_the_forming_candle() -> None:
    series = CandleSeries(MINUTE)
    feed(series, [Tick(START + 30_000, 10.0), Tick(START + 31_000, 11.0)])
    series.load([Candle(START - MINUTE, 5.0, 6.0, 4.0, 5.0), Candle(START, 5.0, 20.0, 5.0, 9.0)])
    # Open, high and low are the row's; the close is the last tick's.
    assert all_of(series) == [
        Candle(START - MINUTE, 5.0, 6.0, 4.0, 5.0),
        Candle(START, 5.0, 20.0, 5.0, 11.0),
    ]


def test_a_candle_in_which_watching_began_is_replaced_when_it_has_closed() -> None:
    series = CandleSeries(MINUTE)
    feed(series, [Tick(START + 30_000, 10.0), Tick(START + MINUTE, 11.0)])
    assert series.load([Candle(START, 5.0, 20.0, 5.0, 10.0)])
    assert series.closed == [Candle(START, 5.0, 20.0, 5.0, 10.0)]


def test_candles_that_ticks_have_shown_whole_are_never_replaced() -> None:
    series = CandleSeries(MINUTE)
    feed(series, [Tick(START + i * 20_000, 10.0 + i) for i in range(9)])
    # Candle 0 was begun in its middle for all that the series knows; 1 was seen whole, 2 is.
    mine = all_of(series)
    assert len(mine) == 3
    other = [Candle(START + i * MINUTE, 1.0, 99.0, 1.0, 2.0) for i in range(3)]
    assert series.load(other)
    assert all_of(series) == [other[0], mine[1], mine[2]]
    assert not series.load(other)


def test_a_flat_candle_in_a_hole_is_replaced() -> None:
    series = CandleSeries(MINUTE)
    feed(series, [Tick(START, 10.0), Tick(START + 3 * MINUTE, 12.0)])
    row = Candle(START + 2 * MINUTE, 10.5, 11.0, 9.0, 9.5)
    assert series.load([row])
    assert series.closed[1:] == [Candle(START + MINUTE, 10.0, 10.0, 10.0, 10.0), row]


def test_an_interrupted_candle_is_not_whole_any_more() -> None:
    series = CandleSeries(MINUTE)
    feed(series, [Tick(START, 9.0), Tick(START + MINUTE, 10.0), Tick(START + MINUTE + 1, 11.0)])
    series.interrupt()
    feed(series, [Tick(START + 3 * MINUTE + 30_000, 12.0), Tick(START + 4 * MINUTE, 13.0)])
    feed(series, [Tick(START + 5 * MINUTE, 14.0)])
    rows = [Candle(START + i * MINUTE, 1.0, 99.0, 1.0, 2.0) for i in range(1, 6)]
    assert series.load(rows)
    # 1 and 3 hold the ends of the hole, 2 lies in it; 4 was seen from its first tick to its last,
    # and 5 forms before our eyes.
    assert series.closed[1:] == [*rows[:3], Candle(START + 4 * MINUTE, 13.0, 13.0, 13.0, 13.0)]
    assert all_of(series)[-1] == Candle(START + 5 * MINUTE, 14.0, 14.0, 14.0, 14.0)


def test_a_hole_within_the_forming_candle_is_filled_and_the_newer_close_counts() -> None:
    series = CandleSeries(MINUTE)
    feed(series, [Tick(START, 9.0), Tick(START + MINUTE, 10.0)])
    series.interrupt()
    row = Candle(START + MINUTE, 10.0, 15.0, 8.0, 14.0)
    series.load([row])
    # No tick since the hole: the row is the newest word.
    assert all_of(series)[-1] == row
    feed(series, [Tick(START + MINUTE + 50_000, 12.0)])
    series.load([row])
    assert all_of(series)[-1] == row._replace(close=12.0)


def test_a_price_that_was_passed_over_does_not_hide_a_hole() -> None:
    series = CandleSeries(MINUTE)
    feed(series, [Tick(START, 9.0), Tick(START + 1, 11.0)])
    series.interrupt()
    series.settle(10.0)
    feed(series, [Tick(START + MINUTE + 30_000, 10.0), Tick(START + 2 * MINUTE, 10.0)])
    row = Candle(START + MINUTE, 10.0, 50.0, 10.0, 10.0)
    assert series.load([row])
    assert series.closed[-1] == row


def test_a_row_that_was_cut_off_gives_way_to_the_finished_one() -> None:
    series = CandleSeries(MINUTE)
    cut = Candle(START, 5.0, 6.0, 5.0, 6.0)
    whole = Candle(START, 5.0, 9.0, 4.0, 8.0)
    following = Candle(START + MINUTE, 8.0, 8.0, 8.0, 8.0)
    series.load([cut])
    series.load([whole, following])
    assert all_of(series) == [whole, following]
    # And where the symbol rested, so that the cut row closed as it stood.
    series = CandleSeries(MINUTE)
    series.load([cut])
    feed(series, [Tick(START + MINUTE + 5, 8.0)])
    assert series.load([whole])
    assert series.closed == [whole]


def test_a_row_newer_than_the_ticks_makes_the_row_of_their_candle_complete() -> None:
    series = CandleSeries(MINUTE)
    feed(series, [Tick(START + 30_000, 9.0)])
    rows = [Candle(START, 8.0, 10.0, 7.0, 9.5), Candle(START + MINUTE, 9.5, 9.5, 9.5, 9.5)]
    assert series.load(rows)
    assert all_of(series) == rows


def test_a_row_newer_than_the_ticks_closes_their_candle() -> None:
    series = CandleSeries(MINUTE)
    feed(series, [Tick(START, 9.0), Tick(START + MINUTE, 10.0)])
    newer = Candle(START + 2 * MINUTE, 10.0, 11.0, 10.0, 11.0)
    assert series.load([newer])
    assert all_of(series) == [
        Candle(START, 9.0, 9.0, 9.0, 9.0),
        Candle(START + MINUTE, 10.0, 10.0, 10.0, 10.0),
        newer,
    ]


def test_history_never_opens_a_closed_candle_again() -> None:
    series = CandleSeries(MINUTE)
    atr = series.atr(period=1, method="sma")
    feed(series, [Tick(START, 10.0), Tick(START + MINUTE, 12.0)])
    assert series.roll(START + 2 * MINUTE)
    assert series.load([Candle(START - MINUTE, 9.0, 9.0, 9.0, 9.0)])
    assert series.start_ms == START + 2 * MINUTE
    assert series.closed_count == 3
    assert atr.value == series.atr(period=1, method="sma").value == 2.0


def test_no_rows_change_nothing() -> None:
    series = CandleSeries(MINUTE)
    feed(series, [Tick(START, 10.0)])
    assert not series.load([])
    assert all_of(series) == [Candle(START, 10.0, 10.0, 10.0, 10.0)]


def test_rows_from_before_what_is_kept_are_left_out() -> None:
    series = CandleSeries(MINUTE)
    count = RETAINED_CANDLES + 20
    feed(series, [Tick(START + i * MINUTE, 10.0 + i % 3) for i in range(count + 1)])
    atr = series.atr(period=14, method="wilder").value
    before = series.closed
    assert not series.load([Candle(START - MINUTE, 1.0, 9.0, 1.0, 5.0)])
    assert series.closed == before
    assert series.closed_count == count
    assert series.atr(period=14, method="wilder").value == atr


def test_an_atr_survives_the_candles_that_are_no_longer_kept() -> None:
    ticks = [
        Tick(START + i * 20_000, 100.0 + i * 7 % 31) for i in range(3 * (RETAINED_CANDLES + 100))
    ]
    bars = grouped(ticks, MINUTE)
    series = CandleSeries(MINUTE)
    series.atr(period=400, method="wilder")
    feed(series, ticks)
    # A load in which nothing is new runs the ATR again, from where the kept candles begin.
    assert not series.load(bars[-30:])
    plain = Atr(period=400, method="wilder")
    for bar in bars[:-1]:
        plain.close_candle(bar.high, bar.low, bar.close)
    assert series.atr(period=400, method="wilder").value == plain.value
    assert series.closed_count == len(bars) - 1


def test_history_with_a_hole_too_long_keeps_what_comes_after_it() -> None:
    series = CandleSeries(MINUTE)
    series.atr(period=1, method="sma")
    later = START + (FLAT_CANDLES_MAX + 100) * MINUTE
    rows = [
        Candle(START, 1.0, 2.0, 1.0, 2.0),
        Candle(later, 5.0, 6.0, 4.0, 5.0),
        Candle(later + MINUTE, 5.0, 5.0, 5.0, 5.0),
    ]
    assert series.load(rows)
    assert all_of(series) == rows[1:]
    assert series.atr(period=1, method="sma").value is None


@given(ticks_of_a_walk, st.data())
@settings(max_examples=50, deadline=None)
def test_history_loaded_late_gives_what_history_loaded_early_gives(
    ticks: list[Tick], data: st.DataObject
) -> None:
    ticks = sorted(ticks)
    began = data.draw(st.integers(0, len(ticks) - 1), label="watching begins at")
    asked = data.draw(st.integers(began, len(ticks)), label="history comes at")
    early, late = CandleSeries(MINUTE), CandleSeries(MINUTE)
    for series in (early, late):
        series.atr(period=3, method="sma")
    early.load(history(ticks[:began], MINUTE))
    feed(early, ticks[began:])
    feed(late, ticks[began:asked])
    late.load(history(ticks[:asked], MINUTE))
    feed(late, ticks[asked:])
    wanted = grouped(ticks, MINUTE)
    assert all_of(early) == wanted
    assert all_of(late) == wanted
    for series in (early, late):
        assert series.atr(period=3, method="sma").value == atr_of(wanted[:-1])
        assert series.closed_count == len(wanted) - 1


@given(ticks_of_a_walk, st.data())
@settings(max_examples=50, deadline=None)
def test_a_hole_is_healed_by_the_history_of_its_time(
    ticks: list[Tick], data: st.DataObject
) -> None:
    ticks = sorted(ticks)
    down = data.draw(st.integers(0, len(ticks)), label="the socket goes down before")
    up = data.draw(st.integers(down, len(ticks)), label="and comes back before")
    asked = data.draw(st.integers(up, len(ticks)), label="history comes before")
    series = CandleSeries(MINUTE)
    series.atr(period=3, method="sma")
    feed(series, ticks[:down])
    series.interrupt()
    feed(series, ticks[up:asked])
    series.load(history(ticks[:asked], MINUTE))
    feed(series, ticks[asked:])
    wanted = grouped(ticks, MINUTE)
    assert all_of(series) == wanted
    assert series.atr(period=3, method="sma").value == atr_of(wanted[:-1])


@given(ticks_of_a_walk, ticks_of_a_walk, st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)
def test_loading_is_idempotent_and_the_order_of_rows_does_not_matter(
    ticks: list[Tick], others: list[Tick], random: Any
) -> None:
    rows = history(sorted(others), MINUTE)
    shuffled = rows.copy()
    random.shuffle(shuffled)
    one, other = CandleSeries(MINUTE), CandleSeries(MINUTE)
    for series in (one, other):
        series.atr(period=3, method="wilder")
        feed(series, ticks)
    changed = one.load(rows)
    assert other.load(shuffled) is changed
    first = all_of(one)
    assert all_of(other) == first
    assert not one.load(rows)
    assert all_of(one) == first
    assert one.atr(period=3, method="wilder").value == other.atr(period=3, method="wilder").value


@given(ticks_of_a_walk, ticks_of_a_walk)
@settings(max_examples=50, deadline=None)
def test_whatever_is_loaded_ticks_shown_whole_stay(ticks: list[Tick], others: list[Tick]) -> None:
    ticks = sorted(ticks)
    series = CandleSeries(MINUTE)
    feed(series, ticks)
    mine = all_of(series)
    ticked = {tick.t_ms // MINUTE * MINUTE for tick in ticks}
    series.load(history(sorted(others), MINUTE))
    after = {bar.open_time_ms: bar for bar in all_of(series)}
    for bar in mine[1:]:
        if bar.open_time_ms in ticked:
            assert after[bar.open_time_ms] == bar
