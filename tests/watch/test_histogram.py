"""Durations in integer buckets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor.watch.histogram import LE_OCTAVES, Histogram

durations = st.lists(st.integers(1, 1 << 40), max_size=200)


@given(durations)
def test_each_bound_counts_exactly_what_is_at_most_as_long(taken: list[int]) -> None:
    histogram = Histogram()
    for duration in taken:
        histogram.record(duration)
    assert histogram.cumulative() == [
        (1 << octave, sum(duration <= 1 << octave for duration in taken)) for octave in LE_OCTAVES
    ]
    assert (histogram.count, histogram.sum_ns) == (len(taken), sum(taken))


@given(st.lists(st.integers(1, 1 << 39), min_size=1, max_size=200), st.floats(0, 1))
def test_a_quantile_is_at_most_a_quarter_too_long(taken: list[int], share: float) -> None:
    histogram = Histogram()
    for duration in taken:
        histogram.record(duration)
    found = histogram.quantile_ns(share)
    exact = sorted(taken)[max(1, -int(-share * len(taken) // 1)) - 1]
    assert found is not None
    assert exact <= found <= exact * 1.25 + 1


def test_a_negative_duration_counts_as_nearly_none_and_an_absurd_one_as_the_longest() -> None:
    histogram = Histogram()
    assert histogram.quantile_ns(0.5) is None
    histogram.record(-5)
    histogram.record(1 << 60)
    assert histogram.count == 2
    assert histogram.sum_ns == (1 << 40) + 1
    assert histogram.cumulative()[0][1] == histogram.cumulative()[-1][1] == 1
    assert histogram.quantile_ns(1) == 1 << 40


@pytest.mark.parametrize("duration", [0, 1, 2, 3, 4, 5, 7, 8, 9, 1023, 1024, 1025, 1 << 34])
def test_one_duration_lies_within_its_bucket(duration: int) -> None:
    histogram = Histogram()
    histogram.record(duration)
    upper = histogram.quantile_ns(1)
    assert upper is not None
    assert max(duration, 1) <= upper <= duration * 1.25 + 1


@given(durations, durations)
def test_two_added_are_as_one_that_saw_both(first: list[int], second: list[int]) -> None:
    one, other, both = Histogram(), Histogram(), Histogram()
    for duration in first:
        one.record(duration)
        both.record(duration)
    for duration in second:
        other.record(duration)
        both.record(duration)
    one.add(other)
    assert one.cumulative() == both.cumulative()
    assert (one.count, one.sum_ns) == (both.count, both.sum_ns)
