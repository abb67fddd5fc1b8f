"""Levels: the specification's worked numbers, the mirror, and exactness against fractions."""

from decimal import Decimal
from fractions import Fraction
from math import ceil, floor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reactor.core.decisions import Side
from reactor.core.levels import (
    Axis,
    Levels,
    TargetLevel,
    break_even_condition,
    break_even_distance,
    has_calmed_down,
    is_high_volatility,
    levels,
    stop_distance,
    target_distance,
    trailing_distance,
    wants_break_even,
)
from reactor.core.plan import Plan, Target, plan_from_toml
from reactor.plans import load_plan, shipped_plan_names

D = Decimal
SIDES: tuple[Side, Side] = ("LONG", "SHORT")


def plan(tables: str) -> Plan:
    return plan_from_toml('name = "mine"\n' + tables, source="mine.toml")


def of(
    name: str, entry: str, atr: str | None, *, side: Side = "LONG", tick: str | None = None
) -> Levels:
    return levels(
        load_plan(name),
        side=side,
        entry=D(entry),
        atr=None if atr is None else D(atr),
        tick=None if tick is None else D(tick),
    )


# Worked numbers -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "entry", "atr", "stop", "last_target", "trail", "reward_risk"),
    [
        ("trend_follow", "100000", "2000", "97000", "109000", "2400", "3.00"),
        ("fast_tp", "100000", "2000", "97000", "105000", None, "1.67"),
        ("defensive_trail", "100000", "2000", "97600", "106000", "1200", "2.50"),
        ("trend_follow", "98750", "1250", "96875", "104375", "1500", "3.00"),
        ("defensive_trail", "3500", "150", "3320", "3950", "90", "2.50"),
        ("fast_tp", "150", "5", "142.50", "162.50", None, "1.67"),
    ],
)
def test_the_rows_of_the_specification(
    name: str,
    entry: str,
    atr: str,
    stop: str,
    last_target: str,
    trail: str | None,
    reward_risk: str,
) -> None:
    found = of(name, entry, atr)
    assert found.stop == D(stop)
    assert found.targets[-1].price == D(last_target)
    assert found.trail == (None if trail is None else D(trail))
    assert found.reward_risk is not None
    assert round(found.reward_risk, 2) == D(reward_risk)


def test_the_opened_line_of_the_contract() -> None:
    found = of("trend_follow", "88126.16", "100.8571", tick="0.1")
    # R = 1.5 × 100.8571 = 151.28565; 88126.16 − R = 87974.87435; + 2 R = 88428.7313;
    # + 4.5 × 100.8571 = 88580.01695.
    assert found.stop == D("87974.8")
    assert found.r == D("151.28565")
    assert found.targets == (
        TargetLevel(D("88428.8"), D("0.5")),
        TargetLevel(D("88580.1"), D("0.5")),
    )


def test_the_opened_line_of_the_contract_as_a_short() -> None:
    found = of("trend_follow", "88126.16", "100.8571", side="SHORT", tick="0.1")
    # 88126.16 + 151.28565 = 88277.44565; − 302.5713 = 87823.5887; − 453.85695 = 87672.30305.
    assert found.stop == D("88277.5")
    assert [target.price for target in found.targets] == [D("87823.5"), D("87672.3")]


def test_challenge_100_on_a_round_entry() -> None:
    found = of("challenge_100", "100000", "500")
    # 1.1 × 500 = 550; 500/100000 = 0.5 % is below the 2 % threshold.
    assert not found.high_volatility
    assert found.stop == D("99450")
    assert [(target.price, target.close) for target in found.targets] == [
        (D("101500"), D("0.3")),
        (D("102500"), D("0.3")),
        (D("104000"), D("0.4")),
    ]
    assert found.break_even == D("100100")
    assert found.trail == D("300")
    assert found.reward_risk is not None
    assert round(found.reward_risk, 4) == D("7.2727")  # 4000 / 550


@pytest.mark.parametrize(
    ("atr", "stop"),
    [
        ("1999.99", "97800.011"),  # 1.1 × 1999.99 = 2199.989
        ("2000", "97000"),  # at the threshold: 1.5 × 2000
        ("3000", "95500"),
    ],
)
def test_high_volatility_widens_the_stop_from_its_threshold_on(atr: str, stop: str) -> None:
    assert of("challenge_100", "100000", atr).stop == D(stop)


def test_without_an_atr_the_fallback_protects_and_atr_targets_wait() -> None:
    found = of("trend_follow", "100000", None)
    assert found.stop == D("99000")
    assert found.r == D("1000")
    # Two R of the fallback stop; the rung at 4.5 ATR waits, and is taken for the farthest.
    assert found.targets == (TargetLevel(D("102000"), D("0.5")), TargetLevel(None, D("0.5")))
    assert found.trail is None
    assert found.reward_risk is None


def test_three_tenths_of_a_percent_below_a_hundred_thousand_are_exact() -> None:
    found = plan('[stop]\npct = 0.003\n[trailing]\nactivate = "in_profit"\npct = 0.003\n')
    for tick in (None, D("0.1"), D("0.01")):
        lines = levels(found, side="LONG", entry=D(100_000), atr=None, tick=tick)
        assert lines.stop == D(99_700)
    assert trailing_distance(found, peak=D(100_000), atr=None) == D(300)
    assert trailing_distance(found, peak=D(-100_000), atr=None) == D(300)


def test_rungs_are_sorted_nearest_first_whatever_the_file_says() -> None:
    rungs = plan(
        "[stop]\npct = 0.01\n"
        "[[targets]]\natr = 4\nclose = 0.2\n[[targets]]\nr = 1\nclose = 0.3\n"
        "[[targets]]\npct = 0.02\nclose = 0.5\n"
    )
    found = levels(rungs, side="LONG", entry=D(1000), atr=D(3))
    # 4 ATR = 12; 1 R = 10; 2 % = 20.
    assert found.targets == (
        TargetLevel(D(1010), D("0.3")),
        TargetLevel(D(1012), D("0.2")),
        TargetLevel(D(1020), D("0.5")),
    )


def test_r_is_measured_before_the_stop_is_rounded() -> None:
    found = levels(
        plan("[stop]\natr = 1\n[[targets]]\nr = 1\nclose = 1\n"),
        side="LONG",
        entry=D("10.5"),
        atr=D("0.31"),
        tick=D("0.5"),
    )
    assert found.r == D("0.31")
    assert found.stop == D("10.0")
    assert found.targets[0].price == D("11.0")
    assert found.reward_risk == 1


def test_a_long_whose_atr_reaches_down_to_zero_keeps_a_stop_that_protects() -> None:
    wide = plan("[stop]\natr = 2\nfallback_pct = 0.05\n")
    assert levels(wide, side="LONG", entry=D(10), atr=D("4.9")).stop == D("0.2")
    assert levels(wide, side="LONG", entry=D(10), atr=D(5)).stop == D("9.5")
    assert levels(wide, side="SHORT", entry=D(10), atr=D(5)).stop == D(20)


# Break-even, trailing, volatility -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("tables", "wanted", "distance", "condition"),
    [
        ("", False, "1", None),
        ("[break_even]\n", True, "1", None),
        ("[break_even]\nat_r = 2\n", True, "1", "20"),
        ("[break_even]\nat_pct = 0.015\n", True, "1", "15"),
        ("[break_even]\nat_r = 2\noffset_pct = 0\n", True, "0", "20"),
        ("[break_even]\noffset_pct = 0.002\n", True, "2", None),
        # A taker fee of 0.05 % of the entry, and 0.3 a unit that were paid already.
        ('[break_even]\nat_r = 1\noffset = "costs"\n', True, "0.8", "10"),
        ("[harvest]\ntrigger_pct = 0.01\nfraction = 0.1\n", True, "1", None),
        ("[ratchet]\nafter_rungs = true\n", True, "1", None),
        ("[ratchet]\nafter_rungs = false\n", False, "1", None),
    ],
)
@pytest.mark.parametrize("side", SIDES)
def test_break_even(
    side: Side, tables: str, wanted: bool, distance: str, condition: str | None
) -> None:
    mine = plan("[stop]\npct = 0.01\n" + tables)
    entry, r = D(1000), D(10)
    assert wants_break_even(mine) is wanted
    assert break_even_distance(mine, entry=entry, paid_per_unit=D("0.3")) == D(distance)
    found = break_even_condition(mine, entry=entry, r=r)
    assert found == (None if condition is None else D(condition))
    shown = levels(mine, side=side, entry=entry, atr=None).break_even
    expected = break_even_distance(mine, entry=entry)
    assert shown == (None if not wanted else Axis(side).price(Axis(side).x(entry) + expected))


def test_break_even_is_rounded_as_a_stop_is() -> None:
    mine = plan("[stop]\npct = 0.01\n[break_even]\nat_r = 1\n")
    # 88126.16 × 1.001 = 88214.28616 and × 0.999 = 88038.03384: away from the price is back to the entry.
    assert levels(mine, side="LONG", entry=D("88126.16"), atr=None, tick=D("0.1")).break_even == D(
        "88214.2"
    )
    assert levels(mine, side="SHORT", entry=D("88126.16"), atr=None, tick=D("0.1")).break_even == D(
        "88038.1"
    )


def test_trailing_needs_its_table_and_its_atr() -> None:
    assert trailing_distance(load_plan("fast_tp"), peak=D(100), atr=D(1)) is None
    assert trailing_distance(load_plan("trend_follow"), peak=D(100), atr=None) is None
    assert trailing_distance(load_plan("trend_follow"), peak=D(100), atr=D(1)) == D("1.2")


def test_high_volatility_is_entered_at_the_threshold_and_left_a_tenth_below() -> None:
    mine = load_plan("challenge_100")
    entered = [is_high_volatility(mine, atr=D(atr), price=D(1000)) for atr in ("19.99", "20", "21")]
    assert entered == [False, True, True]
    calm = [has_calmed_down(mine, atr=D(atr), price=D(1000)) for atr in ("17.99", "18", "19")]
    assert calm == [True, False, False]
    assert not is_high_volatility(mine, atr=None, price=D(1000))
    assert not is_high_volatility(load_plan("fast_tp"), atr=D(900), price=D(1000))


# Laws ---------------------------------------------------------------------------------------------

prices = st.decimals(min_value=D("0.001"), max_value=D(200_000), places=5)
atrs = st.none() | st.floats(min_value=1e-7, max_value=5_000).map(lambda x: D(repr(x)))
ticks = st.sampled_from([None, D("0.00001"), D("0.0005"), D("0.1"), D("0.5"), D(5)])
tick_sizes = st.sampled_from([D("0.00001"), D("0.0005"), D("0.1"), D("0.5"), D(5)])
plans = st.sampled_from(
    [load_plan(name) for name in shipped_plan_names()]
    + [
        plan(tables)
        for tables in (
            "[stop]\npct = 0.0137\n[ratchet]\n[[targets]]\npct = 0.0077\nclose = 1\n",
            "[stop]\natr = 0.333\n[high_volatility]\n[[targets]]\nr = 0.1\nclose = 0.1\n",
            '[stop]\natr = 7.1\n[trailing]\nactivate = "in_profit"\npct = 0.0123\n',
        )
    ]
)


def expected(
    mine: Plan, side: Side, entry: Fraction, atr: Fraction | None
) -> tuple[Fraction, Fraction, list[Fraction | None]]:
    """R, stop and targets from the contract's sentences, in fractions, before rounding."""
    up = 1 if side == "LONG" else -1
    stop, volatile = mine.stop, mine.high_volatility
    if stop.pct is not None:
        r = Fraction(stop.pct) * entry
    elif atr is None:
        r = Fraction(stop.fallback_pct) * entry
    else:
        assert stop.atr is not None
        multiple = Fraction(stop.atr)
        if volatile is not None and atr / entry >= Fraction(volatile.threshold):
            multiple = Fraction(volatile.stop_atr)
        r = multiple * atr
        if side == "LONG" and r >= entry:
            r = Fraction(stop.fallback_pct) * entry
    targets: list[Fraction | None] = []
    for target in mine.targets:
        if target.pct is not None:
            targets.append(entry + up * Fraction(target.pct) * entry)
        elif target.r is not None:
            targets.append(entry + up * Fraction(target.r) * r)
        else:
            assert target.atr is not None
            targets.append(None if atr is None else entry + up * Fraction(target.atr) * atr)
    return r, entry - up * r, targets


def rounded(price: Fraction, tick: D | None, *, up: bool) -> Fraction:
    if tick is None:
        return price
    steps = price / Fraction(tick)
    return (ceil(steps) if up else floor(steps)) * Fraction(tick)


@given(plans, st.sampled_from(SIDES), prices, atrs, ticks)
@settings(max_examples=50, deadline=None)
def test_levels_equal_fractions_to_the_last_digit(
    mine: Plan, side: Side, entry: D, atr: D | None, tick: D | None
) -> None:
    found = levels(mine, side=side, entry=entry, atr=atr, tick=tick)
    r, stop, targets = expected(mine, side, Fraction(entry), None if atr is None else Fraction(atr))
    assert Fraction(found.r) == r
    # Stops away from the price, targets away from the entry.
    assert Fraction(found.stop) == rounded(stop, tick, up=side == "SHORT")
    exact = sorted(
        rounded(target, tick, up=side == "LONG") for target in targets if target is not None
    )
    shown = sorted(Fraction(target.price) for target in found.targets if target.price is not None)
    assert shown == exact
    assert sum(target.price is None for target in found.targets) == targets.count(None)


@given(plans, prices, atrs, tick_sizes)
@settings(max_examples=50, deadline=None)
def test_a_short_is_a_long_in_the_mirror(mine: Plan, entry: D, atr: D | None, tick: D) -> None:
    entry = (entry // tick + 1) * tick
    long = levels(mine, side="LONG", entry=entry, atr=atr, tick=tick)
    short = levels(mine, side="SHORT", entry=entry, atr=atr, tick=tick)
    if long.r != short.r:
        # A LONG's stop cannot stand at zero or below; a SHORT has no such bound.
        assert short.r >= entry
        return
    assert entry - long.stop == short.stop - entry
    assert [t.close for t in long.targets] == [t.close for t in short.targets]
    for up, down in zip(long.targets, short.targets, strict=True):
        assert (up.price is None) is (down.price is None)
        if up.price is not None and down.price is not None:
            assert up.price - entry == entry - down.price
    if long.break_even is not None:
        assert short.break_even is not None
        assert long.break_even - entry == entry - short.break_even
    assert long.trail == short.trail
    assert long.reward_risk == short.reward_risk
    assert long.high_volatility is short.high_volatility


@given(plans, st.sampled_from(SIDES), prices, atrs, tick_sizes)
@settings(max_examples=50, deadline=None)
def test_rounding_never_brings_a_level_nearer(
    mine: Plan, side: Side, entry: D, atr: D | None, tick: D
) -> None:
    axis = Axis(side)
    exact = levels(mine, side=side, entry=entry, atr=atr)
    on_ticks = levels(mine, side=side, entry=entry, atr=atr, tick=tick)
    assert axis.x(exact.stop) - tick < axis.x(on_ticks.stop) <= axis.x(exact.stop)
    for plain, level in zip(exact.targets, on_ticks.targets, strict=True):
        if plain.price is not None and level.price is not None:
            assert axis.x(plain.price) <= axis.x(level.price) < axis.x(plain.price) + tick
            assert level.price % tick == 0
    assert on_ticks.stop % tick == 0
    assert on_ticks.r == exact.r


@given(plans, st.sampled_from(SIDES), prices, atrs)
@settings(max_examples=50, deadline=None)
def test_targets_stand_beyond_the_entry_in_rising_distance(
    mine: Plan, side: Side, entry: D, atr: D | None
) -> None:
    axis = Axis(side)
    found = levels(mine, side=side, entry=entry, atr=atr)
    assert axis.x(found.stop) < axis.x(entry)
    distances = [axis.x(t.price) for t in found.targets if t.price is not None]
    assert distances == sorted(distances)
    assert all(distance > axis.x(entry) for distance in distances)
    known = [target.price is not None for target in found.targets]
    assert known == sorted(known, reverse=True)


def test_the_small_functions_agree_with_the_whole() -> None:
    mine = load_plan("trend_follow")
    r = stop_distance(mine, side="LONG", entry=D(100), atr=D(2), high_volatility=False)
    assert r == 3
    rung = Target(r=D(2), close=D(1))
    assert target_distance(rung, entry=D(100), atr=None, r=r) == 6
    rung = Target(atr=D(2), close=D(1))
    assert target_distance(rung, entry=D(100), atr=None, r=r) is None


@given(st.sampled_from(SIDES), prices)
def test_the_axis_leads_there_and_back(side: Side, price: D) -> None:
    axis = Axis(side)
    assert axis.price(axis.x(price)) == price
    assert (axis.x(price) > 0) is axis.is_long
