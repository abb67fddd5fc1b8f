"""The measuring itself: percentiles, turns, ratios by round, noise."""

from collections.abc import Callable
from itertools import count

import pytest

from reactor.bench import measure
from reactor.bench.measure import Case, Rounds, interleave, percentile, timing
from reactor.bench.outcome import Outcome, Ratio


@pytest.mark.parametrize(
    ("values", "rank", "expected"),
    [
        ([7.0], 50, 7.0),
        ([7.0], 99, 7.0),
        ([3.0, 1.0, 2.0], 50, 2.0),
        ([4.0, 1.0, 3.0, 2.0], 50, 2.0),
        ([4.0, 1.0, 3.0, 2.0], 51, 3.0),
        (list(range(1, 101)), 99, 99.0),
        (list(range(1, 101)), 100, 100.0),
        (list(range(1, 1001)), 99, 990.0),
    ],
)
def test_percentile_is_the_nearest_rank(values: list[float], rank: float, expected: float) -> None:
    assert percentile(values, rank) == expected


def test_timing_takes_both_percentiles_of_all_samples() -> None:
    found = timing("x", [float(value) for value in range(1, 201)])
    assert (found.name, found.p50_ns, found.p99_ns, found.samples) == ("x", 100.0, 198.0, 200)


class FakeClock:
    """Advances when told to, and stands still else."""

    def __init__(self) -> None:
        self.now_ns = 0

    def __call__(self) -> int:
        return self.now_ns


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    fake = FakeClock()
    monkeypatch.setattr(measure, "thread_time_ns", fake)
    return fake


def spending(
    clock: FakeClock, name: str, log: list[str], *, cost_ns: Callable[[int], int], units: int = 10
) -> Case:
    rounds = count()

    def make() -> Callable[[], None]:
        number = next(rounds)
        clock.now_ns += 1_000_000  # setting up is not timed

        def work() -> None:
            log.append(name)
            clock.now_ns += cost_ns(number)

        return work

    return Case(name, units, make)


def test_cases_take_turns_and_the_first_round_is_not_counted(clock: FakeClock) -> None:
    log: list[str] = []
    one = spending(clock, "one", log, cost_ns=lambda number: 5_000 if number == 0 else 100)
    two = spending(clock, "two", log, cost_ns=lambda number: 9_000 if number == 0 else 300)

    found = interleave([one, two], rounds=3)

    assert log == ["one", "two"] * 4
    assert found.median_ns("one") == 10
    assert found.median_ns("two") == 30
    assert [(case.name, case.samples) for case in found.timings()] == [("one", 3), ("two", 3)]


def test_a_ratio_is_taken_round_by_round() -> None:
    """A machine that slows down in the middle changes both, and not their ratio."""
    found = Rounds({"yardstick": [10, 10, 40, 40, 40], "case": [30, 30, 120, 120, 120]})
    assert found.ratio("case", "yardstick") == 3


def test_noise_is_the_spread_of_the_yardstick() -> None:
    steady = Rounds({"yardstick": [100.0] * 20})
    assert steady.noise("yardstick") == 0
    wandering = Rounds({"yardstick": [float(value) for value in range(100, 200, 10)]})
    assert wandering.noise("yardstick") == pytest.approx((180 - 100) / 140)


def outcome(*, noise: float, ratios: list[Ratio]) -> Outcome:
    return Outcome(
        name="x",
        method="two\nlines",
        timings=[timing("case", [1.0])],
        ratios=ratios,
        noise=noise,
        figures={"x_ns": 1.5},
    )


def test_an_outcome_as_json() -> None:
    found = outcome(
        noise=0.04,
        ratios=[Ratio("a / b", 1.23456, at_most=2.0), Ratio("c / d", 30.0, at_least=20.0)],
    ).as_json()
    assert found["bench"] == "x"
    assert found["x_ns"] == 1.5
    assert found["ratios"] == {"a / b": 1.235, "c / d": 30.0}
    assert found["bounds"] == {"a / b": "≤ 2", "c / d": "≥ 20"}
    assert found["bounds_kept"] is True
    assert found["method"] == "two lines"
    assert found["noisy"] is False
    assert {"python", "cpu_count", "gc", "versions", "clock"} <= set(found["environment"])


@pytest.mark.parametrize(
    ("ratio", "kept"),
    [
        (Ratio("x", 2.0, at_most=2.0), True),
        (Ratio("x", 2.001, at_most=2.0), False),
        (Ratio("x", 20.0, at_least=20.0), True),
        (Ratio("x", 19.9, at_least=20.0), False),
        (Ratio("x", 1e9), True),
    ],
)
def test_bounds(ratio: Ratio, *, kept: bool) -> None:
    assert ratio.kept is kept
    assert outcome(noise=0, ratios=[ratio]).as_json()["bounds_kept"] is kept


def test_a_run_says_of_itself_that_it_is_noisy() -> None:
    assert not outcome(noise=0.15, ratios=[]).noisy
    assert outcome(noise=0.151, ratios=[]).noisy
