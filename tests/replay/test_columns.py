"""The columnar jump decides what the walk decides, and both what the plain reference decides."""

import gzip
import json
from decimal import Decimal
from fractions import Fraction
from functools import cache
from itertools import zip_longest
from math import inf, nan
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reference.naive import Naive
from reference.scenarios import Scenario, scenarios
from replayed import START_NS, SYMBOL, recording, through_columns, tick_file

from reactor.core.orders import Fills
from reactor.plans import load_plan, shipped_plan_names
from reactor.replay import columns
from reactor.replay.options import AskedPosition, ReplayOptions
from reactor.replay.tick_file import TickFile

D = Decimal
SMALL_BLOCK = 16
SMALL_STRETCH = 21
SIDES: tuple[Literal["LONG", "SHORT"], ...] = ("LONG", "SHORT")


@pytest.fixture(autouse=True, scope="module")
def _small_blocks() -> Any:
    """Blocks so small that a few hundred ticks cross many of their borders."""
    patch = pytest.MonkeyPatch()
    patch.setattr(columns, "BLOCK", SMALL_BLOCK)
    patch.setattr(columns, "STRETCH", SMALL_STRETCH)
    yield
    patch.undo()


# Random plans over random walks -------------------------------------------------------------------


class Walk(NamedTuple):
    """A random session: everything that decides what is decided."""

    options: ReplayOptions
    ticks: TickFile


def walk_of(scenario: Scenario, wishes: bytes) -> Walk:
    """A scenario's plan, filters and market, with one byte of its program for each tick."""
    wish = iter(wishes)
    prices, times = [], []
    price, t_ns = scenario.base, START_NS + next(wish) * 1_000_000_000
    for step in scenario.program:
        if step == 255:
            t_ns += 400_000_000_000
        elif step == 254:
            price *= D("1.23")
        elif step == 253:
            price /= D("1.3")
        else:
            way = (D(step) - 126) / 126 + scenario.drift
            price += way * scenario.swing * scenario.base
        price = max(D(1), (price / scenario.grain).to_integral_value()) * scenario.grain
        prices.append(float(price))
        times.append(t_ns)
        t_ns += scenario.pace_ms * 1_000_000 * (step % 3)
    positions = tuple(
        AskedPosition(
            SYMBOL, side, D(next(wish) + 1) / 8, scenario.base + scenario.grain * (next(wish) - 128)
        )
        for side in SIDES
        if next(wish) % 4
    )
    inputs: tuple[dict[str, str], ...] = ({}, {"leverage": "20"}, {"liquidation_price": "97"})
    return Walk(
        ReplayOptions(
            plan=msgspec.structs.replace(scenario.plan, trigger="last"),
            positions=positions,
            atrs={SYMBOL: scenario.fixed_atr} if scenario.fixed_atr else {},
            inputs={SYMBOL: inputs[next(wish) % 3]},
            ticks={} if scenario.tick is None else {SYMBOL: scenario.tick},
            steps={} if scenario.step is None else {SYMBOL: scenario.step},
            min_quantities={SYMBOL: scenario.min_quantity} if scenario.min_quantity else {},
            fills=Fills(scenario.fills),
        ),
        tick_file(prices, times),
    )


def walks(*, length: int) -> st.SearchStrategy[Walk]:
    return st.builds(walk_of, scenarios(length=length), st.binary(min_size=10, max_size=10))


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(walk=walks(length=500))
def test_the_jump_says_what_the_walk_says(walk: Walk) -> None:
    jumped = through_columns(walk.options, walk.ticks, way="jump")
    walked = through_columns(walk.options, walk.ticks, way="walk")
    assert jumped == walked


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(walk=walks(length=200))
def test_the_jump_says_what_the_plain_reference_says(walk: Walk) -> None:
    jumped = through_columns(walk.options, walk.ticks, way="jump")
    expected, ticks = reference_lines(walk)
    assert differing(jumped.lines, expected) is None
    assert jumped.summary["ticks"] == ticks


def reference_lines(walk: Walk) -> tuple[list[dict[str, Any]], int]:
    options = walk.options
    assert options.plan is not None
    naive = Naive(
        options.plan,
        tick=options.ticks.get(SYMBOL),
        step=options.steps.get(SYMBOL),
        min_quantity=options.min_quantities.get(SYMBOL, D(0)),
        fixed_atr=options.atrs.get(SYMBOL),
        fills="trigger" if options.fills is Fills.AT_TRIGGER else "next",
        source="last",
    )
    inputs = options.inputs.get(SYMBOL, {})
    for asked in options.positions:
        leverage = inputs.get("leverage")
        naive.open(
            asked.side,
            asked.quantity,
            asked.entry,
            margin=None if leverage is None else asked.quantity * asked.entry / D(leverage),
            liquidation_price=D(inputs["liquidation_price"])
            if "liquidation_price" in inputs
            else None,
        )
    lines: list[dict[str, Any]] = []
    columns_of = zip(walk.ticks.t_ns.tolist(), walk.ticks.prices.tolist(), strict=True)
    for row, (t_ns, price) in enumerate(columns_of, 1):
        lines += naive.tick(t_ns=t_ns, t_event_ms=t_ns // 1_000_000, tick_id=row, price=repr(price))
    return [as_fractions(line) for line in lines], naive.ticks


def differing(lines: list[dict[str, Any]], expected: list[dict[str, Any]]) -> str | None:
    """The first line that differs; within a tick the order between the sides is nobody's business."""
    for side in SIDES:
        ours = [as_fractions(line) for line in lines if line["side"] == side]
        theirs = [line for line in expected if line["side"] == side]
        nothing: dict[str, Any] = {}
        for one, two in zip_longest(ours, theirs, fillvalue=nothing):
            if not is_same(one, two):
                return f"{one}\nexpected {two}"
    return None


def is_same(one: Any, two: Any) -> bool:
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(is_same(one[key], two[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(two) and all(map(is_same, one, two))
    if isinstance(one, Fraction) and isinstance(two, Fraction):
        # Ours has 200 digits, and without a lot step a hundred harvests have more.
        return abs(one - two) <= abs(one) / 10**100
    return bool(one == two)


TEXTS = ("type", "symbol", "side", "plan", "kind", "reason", "reasons")


def as_fractions(line: dict[str, Any]) -> dict[str, Any]:
    """A line with its numbers as fractions: the reference has them so, the output as text."""
    numbers = {
        key: value if key in TEXTS else fraction_of(value)
        for key, value in line.items()
        if key != "symbol" and (key != "tick" or line["type"] != "closed")
    }
    if numbers["type"] == "closed" and numbers["r_multiple"] is not None:
        numbers["r_multiple"] = round(numbers["r_multiple"], 8)
    return numbers


def fraction_of(value: Any) -> Any:
    if isinstance(value, list):
        return [fraction_of(item) for item in value]
    return Fraction(value) if isinstance(value, str | int) else value


# Real trades --------------------------------------------------------------------------------------


@cache
def real_trades() -> TickFile:
    """The 21 313 trades of a BTCUSDT recording, with their receive times."""
    times, prices = [], []
    with gzip.open(recording("ws_hftbacktest", "btcusdt_20240808.gz"), "rt") as file:
        for line in file:
            t_ns, _, frame = line.partition(" ")
            if '"e":"trade"' in frame:
                times.append(int(t_ns))
                prices.append(float(json.loads(frame)["data"]["p"]))
    assert len(prices) == 21_313
    return tick_file(prices, times)


@pytest.mark.parametrize("plan", shipped_plan_names())
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("atr", ["21.3", None])
def test_real_trades_are_jumped_over_as_they_are_walked(
    plan: str, side: Literal["LONG", "SHORT"], atr: str | None
) -> None:
    ticks = real_trades()
    # Some entries in front of the walk's range, some inside it, so that every kind of exit occurs.
    exits = 0
    for entry in ("61600", "61700", "61800"):
        options = ReplayOptions(
            plan=load_plan(plan),
            positions=(AskedPosition(SYMBOL, side, D("0.182"), D(entry)),),
            atrs={} if atr is None else {SYMBOL: D(atr)},
            ticks={SYMBOL: D("0.1")},
            steps={SYMBOL: D("0.001")},
        )
        walked = through_columns(options, ticks, way="walk")
        assert through_columns(options, ticks, way="jump") == walked
        assert walked.summary["ticks"] == 21_313
        exits += walked.summary["exits"]
    assert exits or atr is None


@pytest.mark.parametrize("plan", shipped_plan_names())
def test_real_trades_give_what_the_plain_reference_says(plan: str) -> None:
    ticks = real_trades()
    part = TickFile(ticks.t_ns[::8].copy(), ticks.prices[::8].copy(), exact=True)
    options = ReplayOptions(
        plan=msgspec.structs.replace(load_plan(plan), trigger="last"),
        positions=tuple(AskedPosition(SYMBOL, side, D("0.182"), D(61700)) for side in SIDES),
        atrs={SYMBOL: D("21.3")},
        ticks={SYMBOL: D("0.1")},
        steps={SYMBOL: D("0.001")},
    )
    expected, _ = reference_lines(Walk(options, part))
    jumped = through_columns(options, part, way="jump")
    assert differing(jumped.lines, expected) is None
    assert len(jumped.of("closed")) == 2


# The search ---------------------------------------------------------------------------------------

LEVELS = st.integers(0, 12).map(float)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_the_search_finds_what_a_loop_finds(data: st.DataObject) -> None:
    prices = data.draw(st.lists(LEVELS, min_size=1, max_size=200).map(lambda some: [7.0, *some]))
    start = data.draw(st.integers(0, len(prices)))
    stop = data.draw(st.integers(start, len(prices)))
    low, high = (
        data.draw(st.one_of(LEVELS, st.just(-inf))),
        data.draw(st.one_of(LEVELS, st.just(inf))),
    )
    search = columns.Search(tick_file(prices))
    expected = next((i for i in range(start, stop) if not low < prices[i] < high), stop)
    assert search.first_outside(start, stop, low, high) == expected


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_one_search_finds_again_and_again_what_a_loop_finds(data: st.DataObject) -> None:
    """As the jump asks it: from place to place, with bounds that move; and sometimes back, which it does not."""
    prices = data.draw(st.lists(LEVELS, min_size=1, max_size=150).map(lambda some: [7.0, *some]))
    search = columns.Search(tick_file(prices))
    bounds = st.one_of(LEVELS, st.just(-inf), st.just(inf))
    start = 0
    for _ in range(data.draw(st.integers(1, 12))):
        stop = data.draw(st.integers(start, len(prices)))
        low, high = data.draw(bounds), data.draw(bounds)
        found = search.first_outside(start, stop, low, high)
        assert found == next((i for i in range(start, stop) if not low < prices[i] < high), stop)
        start = found if data.draw(st.booleans()) else data.draw(st.integers(0, len(prices)))


@pytest.mark.parametrize("block", [2048, SMALL_BLOCK])
@pytest.mark.parametrize("first", [0, 1, 15, 16, 17, 63, 64, 2047, 2048, 2049, 4096, 5000, 20_479])
def test_one_price_outside_is_found_wherever_it_lies(
    block: int, first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(columns, "BLOCK", block)
    prices = np.full(20_480, 100.0)
    prices[first] = 101.0
    search = columns.Search(tick_file(prices))
    for start in {0, first, max(0, first - 1), first + 1, first // block * block}:
        expected = first if start <= first else len(prices)
        assert search.first_outside(start, len(prices), 99.0, 101.0) == expected
        # What lies at the end of the range is not in it.
        if start <= first:
            assert search.first_outside(start, first, 99.0, 101.0) == first


def test_an_empty_range_has_nothing_outside() -> None:
    search = columns.Search(tick_file([1.0] * 40))
    for start in (0, 15, 16, 40):
        assert search.first_outside(start, start, 5.0, 6.0) == start


def test_both_bounds_count_as_outside() -> None:
    search = columns.Search(tick_file([5.0, 6.0, 7.0]))
    assert search.first_outside(0, 3, 5.0, 9.0) == 0
    assert search.first_outside(1, 3, 5.0, 7.0) == 2
    assert search.first_outside(0, 3, -inf, inf) == 3
    assert search.first_outside(0, 3, inf, -inf) == 0


# What cannot be jumped over -----------------------------------------------------------------------

GOOD = [100.0] * (2 * SMALL_BLOCK + 5)


@pytest.mark.parametrize("bad", [nan, inf, -inf, 0.0, -1.0, 1e308, 1e-13])
@pytest.mark.parametrize("place", [0, SMALL_BLOCK + 3, 2 * SMALL_BLOCK + 4])
def test_a_price_that_is_none_is_not_jumped_over(bad: float, place: int) -> None:
    prices = list(GOOD)
    prices[place] = bad
    assert "some prices are no numbers" in str(columns.Search(tick_file(prices)).refusal())


@pytest.mark.parametrize(
    ("times", "why"),
    [
        ([3, 2, 4], "time runs backwards"),
        ([-1, 2, 4], "some times lie outside"),
        ([1, 2, 2**63 - 1], "some times lie outside"),
    ],
)
def test_times_that_are_none_are_not_jumped_over(times: list[int], why: str) -> None:
    assert why in str(columns.Search(tick_file([100.0] * 3, times)).refusal())


def test_digits_that_a_double_does_not_keep_are_not_jumped_over() -> None:
    ticks = tick_file(GOOD)._replace(exact=False)
    assert "more digits" in str(columns.Search(ticks).refusal())
    assert columns.Search(tick_file([])).refusal() == "there is no tick"
    assert columns.Search(tick_file(GOOD)).refusal() is None
