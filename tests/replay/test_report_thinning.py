from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor.replay.report_thinning import PriceSeries, StopSteps, thin_extremes

TICKS = st.lists(
    st.tuples(
        st.integers(-1_000, 10**9),  # how much later, in ns; now and then earlier
        st.floats(1e-8, 1e6, allow_nan=False),
    ),
    max_size=400,
)
KINDS = ("stop_loss", "break_even", "trailing_stop")


def with_times(ticks: list[tuple[int, float]]) -> list[tuple[int, float]]:
    times = accumulate((step for step, _ in ticks), initial=1_700_000_000 * 10**9)
    return list(zip(list(times)[1:], (price for _, price in ticks), strict=True))


def standing(times: list[int], values: list[str], moment: int) -> str | None:
    """The last value at or before a moment."""
    before = [value for t_ns, value in zip(times, values, strict=True) if t_ns <= moment]
    return before[-1] if before else None


class TestPriceSeries:
    @given(TICKS, st.integers(16, 64))
    def test_no_bucket_loses_its_extremes(
        self, ticks: list[tuple[int, float]], points_max: int
    ) -> None:
        series = PriceSeries(points_max=points_max)
        given_ticks = with_times(ticks)
        for t_ns, price in given_ticks:
            series.add(t_ns, price)
        times, prices = series.points()

        rising = list(accumulate((t_ns for t_ns, _ in given_ticks), max))
        buckets: dict[int, list[float]] = {}
        for t_ns, (_, price) in zip(rising, given_ticks, strict=True):
            buckets.setdefault(t_ns // series.width_ns, []).append(price)
        kept: dict[int, list[float]] = {}
        for t_ns, price in zip(times, prices, strict=True):
            kept.setdefault(t_ns // series.width_ns, []).append(price)

        assert kept.keys() == buckets.keys()
        for bucket, points in kept.items():
            assert (min(points), max(points)) == (min(buckets[bucket]), max(buckets[bucket]))
            assert (points[0], points[-1]) == (buckets[bucket][0], buckets[bucket][-1])

    @given(TICKS, st.integers(16, 64))
    def test_memory_and_points_are_bounded(
        self, ticks: list[tuple[int, float]], points_max: int
    ) -> None:
        series = PriceSeries(points_max=points_max)
        for number, (t_ns, price) in enumerate(with_times(ticks)):
            series.add(t_ns, price)
            assert len(series._times) < 2 * points_max
            if number % 7 == 0:  # looking must not make it lose more, or grow
                times, prices = series.points()
                assert len(times) == len(prices) <= points_max
                assert times == sorted(times)

    @given(TICKS)
    def test_every_point_is_a_tick_that_came_in(self, ticks: list[tuple[int, float]]) -> None:
        series = PriceSeries(points_max=16)
        given_ticks = with_times(ticks)
        for t_ns, price in given_ticks:
            series.add(t_ns, price)
        rising = accumulate((t_ns for t_ns, _ in given_ticks), max)
        came = set(zip(rising, (price for _, price in given_ticks), strict=True))
        assert set(zip(*series.points(), strict=True)) <= came

    def test_a_session_shorter_than_the_bound_is_kept_tick_by_tick(self) -> None:
        series = PriceSeries(points_max=100)
        ticks = [(1_000 + number // 3, 100.0 + number % 5) for number in range(100)]
        for t_ns, price in ticks:
            series.add(t_ns, price)
        assert list(zip(*series.points(), strict=True)) == ticks

    def test_one_spike_among_two_hundred_thousand_ticks_is_drawn(self) -> None:
        series = PriceSeries(points_max=1_000)
        for number in range(200_000):
            series.add(number * 1_000_000, 99.0 if number == 123_456 else 100.0)
        times, prices = series.points()
        assert (123_456 * 1_000_000, 99.0) in list(zip(times, prices, strict=True))
        assert len(times) <= 1_000

    def test_ticks_of_one_instant_are_bounded_too(self) -> None:
        series = PriceSeries(points_max=16)
        for number in range(1_000):
            series.add(5, float(number))
        times, prices = series.points()
        assert set(times) == {5}
        assert len(times) <= 16
        assert (prices[0], prices[-1]) == (0.0, 999.0)

    def test_a_narrower_bound_counts_at_once(self) -> None:
        series = PriceSeries(points_max=1_000)
        for number in range(900):
            series.add(number * 10**6, float(number % 10))
        series.limit_to(100)
        assert len(series.points()[0]) <= 100
        series.limit_to(5_000)
        for number in range(900, 5_000):
            series.add(number * 10**6, float(number % 10))
        assert len(series.points()[0]) <= 100

    def test_a_bound_that_nothing_fits_into_is_refused(self) -> None:
        with pytest.raises(ValueError, match="16"):
            PriceSeries(points_max=15)


def test_a_bucket_keeps_first_lowest_highest_last_in_their_order() -> None:
    times = [0, 1, 2, 3, 4, 5, 10, 11]
    prices = [5.0, 9.0, 7.0, 1.0, 6.0, 5.0, 2.0, 3.0]
    assert thin_extremes(times, prices, 10) == (
        [0, 1, 3, 5, 10, 11],
        [5.0, 9.0, 1.0, 5.0, 2.0, 3.0],
    )


class TestStopSteps:
    @given(
        st.lists(
            st.tuples(st.integers(0, 50), st.sampled_from(KINDS), st.booleans()), max_size=200
        ),
        st.integers(1, 2_000),
    )
    def test_thinning_keeps_what_stood_when_something_happened(
        self, moves: list[tuple[int, str, bool]], width_ns: int
    ) -> None:
        steps, moment = StopSteps(), 0
        pinned: list[tuple[int, str, str]] = []
        for number, (later, kind, pin) in enumerate(moves):
            moment += later
            steps.add(moment, str(number), kind)
            if pin:
                steps.pin()
                pinned.append((moment, str(number), kind))
        times, stops, kinds = list(steps.times), list(steps.stops), list(steps.kinds)
        steps.thin(width_ns)
        kept = list(zip(steps.times, steps.stops, steps.kinds, strict=True))

        assert set(pinned) <= set(kept)
        assert set(kept) <= set(zip(times, stops, kinds, strict=True))
        # The kinds follow each other as they did.
        assert _runs(steps.kinds) == _runs(kinds)
        # What stands at the end of each bucket is exact; before it, a stop that stood earlier.
        for at in range(0, moment + width_ns, width_ns):
            end = at + width_ns - 1
            assert standing(steps.times, steps.stops, end) == standing(times, stops, end)
        for at in range(0, moment, 13):
            shown, true = (
                standing(steps.times, steps.stops, at),
                standing(times, stops, at),
            )
            assert shown is None or true is None or int(shown) <= int(true)

    def test_a_move_that_is_older_than_the_last_is_drawn_at_the_last(self) -> None:
        steps = StopSteps()
        steps.add(10, "1", "stop_loss")
        steps.add(5, "2", "manual")
        assert steps.times == [10, 10]


def _runs(kinds: list[str]) -> list[str]:
    return [kind for index, kind in enumerate(kinds) if index == 0 or kinds[index - 1] != kind]
