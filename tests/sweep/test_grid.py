"""Which combinations are tried, and which are refused."""

from decimal import Decimal

import pytest

from reactor.core.plan import Plan
from reactor.errors import ConfigError, PlanError
from reactor.plans import load_plan
from reactor.sweep.grid import Grid, grid, parameters

D = Decimal


def tried(*sets: str, plan: str = "trend_follow", **more: int) -> Grid:
    return grid(load_plan(plan), parameters(sets), **more)


def plans(found: Grid) -> list[Plan]:
    return [one.plan for one in found.tried]


def test_a_list_and_a_range_make_a_grid_in_the_order_given() -> None:
    found = tried("stop.atr=2,1.0", "trailing.atr=0.002:0.006:0.002")
    assert [one.values for one in found.tried] == [
        ("2", "0.002"),
        ("2", "0.004"),
        ("2", "0.006"),
        ("1", "0.002"),
        ("1", "0.004"),
        ("1", "0.006"),
    ]
    assert plans(found)[1].stop.atr == 2
    trailing = plans(found)[1].trailing
    assert trailing is not None
    assert trailing.atr == D("0.004")


def test_the_base_plan_is_shown_beside_those_tried() -> None:
    found = tried("stop.atr=1,2")
    assert [one.is_extra for one in found.combinations] == [False, False, True]
    assert found.combinations[found.base].values == ("1.5",)
    assert len(found.tried) == 2


def test_a_base_plan_that_is_tried_stands_there_once() -> None:
    found = tried("stop.atr=1,1.50")
    assert not any(one.is_extra for one in found.combinations)
    assert found.base == 1


def test_a_value_replaces_its_alternative() -> None:
    (plan,) = plans(tried("stop.pct=0.01"))
    assert (plan.stop.atr, plan.stop.pct) == (None, D("0.01"))
    (plan,) = plans(tried("targets.2.r=3"))
    assert [(one.atr, one.r) for one in plan.targets] == [(None, D("2.0")), (None, 3)]


def test_two_alternatives_that_are_both_swept_are_refused() -> None:
    found = tried("stop.pct=0.01,0.02", "stop.atr=1,off")
    assert [one.values for one in found.tried] == [("0.01", "off"), ("0.02", "off")]
    assert found.refused == {"stop has atr and pct; give one of them": 2}


def test_invalid_combinations_are_counted_with_their_reasons() -> None:
    found = tried("targets.1.close=0.5,0.6", "trailing.value=1,3")
    assert [one.values for one in found.tried] == [("0.5", "1")]
    assert found.refused.total() == 3
    assert any("must sum to 1 or less" in reason for reason in found.refused)
    assert any("after_rung needs the number of a rung" in reason for reason in found.refused)
    assert found.asked == 4


def test_off_takes_a_table_or_a_key_out_and_on_leaves_it() -> None:
    found = tried("trailing=off,on", "time_stop.seconds=off,60")
    with_trailing = [one.plan.trailing is not None for one in found.combinations]
    assert with_trailing == [False, False, True, True]
    assert [one.plan.time_stop is not None for one in found.combinations] == [False, True] * 2
    (plan,) = plans(tried("targets.2=off"))
    assert len(plan.targets) == 1


def test_a_rung_can_be_added_after_the_last() -> None:
    (plan,) = plans(tried("targets.2.close=0.25", "targets.3.r=6", "targets.3.close=0.25"))
    assert [one.close for one in plan.targets] == [D("0.5"), D("0.25"), D("0.25")]
    with pytest.raises(ConfigError, match="there are 2 rungs"):
        tried("targets.4.r=6")


def test_words_and_whole_plans() -> None:
    found = tried("plan=fast_tp,challenge_100", "atr.method=sma,wilder", "atr.interval=15m")
    assert {(one.plan.name, one.plan.atr.method) for one in found.tried} == {
        (name, method) for name in ("fast_tp", "challenge_100") for method in ("sma", "wilder")
    }
    with pytest.raises(PlanError, match="there is no plan 'nonesuch'"):
        tried("plan=nonesuch,fast_tp")


def test_plans_that_are_the_same_are_tried_once() -> None:
    found = tried("ratchet=off,on", "stop.atr=1")
    assert len(found.tried) == 1
    assert found.same == 1


def test_draws_are_repeatable_and_distinct() -> None:
    sets = ("stop.atr=1:3", "trailing.atr=0.5,1,2", "targets.1.r=1:5:0.5")
    first, again = tried(*sets, drawn=60, seed=7), tried(*sets, drawn=60, seed=7)
    values = [one.values for one in first.tried]
    assert values == [one.values for one in again.tried]
    assert len(set(values)) == 60
    assert values != [one.values for one in tried(*sets, drawn=60, seed=8).tried]
    drawn = [D(one[0]) for one in values]
    assert all(1 <= value <= 3 for value in drawn)
    assert max(len(value.as_tuple().digits) for value in drawn) <= 4


def test_draws_from_a_small_grid_end() -> None:
    assert len(tried("stop.atr=1,2,3", drawn=50).tried) == 3


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        ((), "nothing to sweep"),
        (("stop.atr",), "cannot be read"),
        (("stop.atr=",), "cannot be read"),
        (("stop.atr=1,,2",), "a value is missing|not a number"),
        (("Stop=1",), "no key of a plan"),
        (("stop.atr=1;2",), "not a number"),
        (("stop.atr=3:1:1",), "rising"),
        (("stop.atr=1:2:0",), "step must be above 0"),
        (("stop.atr=1:2:0.0001",), "more than 1000 values"),
        (("stop.atr=1:2:1:1",), "FROM:TO:STEP"),
        (("stop.atr=1:2",), "has no step"),
        (("stop.atr=1", "stop.atr=2"), "given twice"),
        (("trigger=last,mark",), "cannot be swept"),
        (("ladder.clamp_pct=1",), "cannot be swept"),
        (("stop.art=1,2",), "unknown key 'art'"),
        (("nonesuch.x=1",), "no combination makes a valid plan"),
        (("stop.atr=wide",), "no combination makes a valid plan"),
        (tuple(f"{key}=1:30:1" for key in ("stop.atr", "trailing.atr", "targets.1.r")), "27000"),
    ],
)
def test_what_cannot_be_swept_is_refused_in_one_line(sets: tuple[str, ...], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as refused:
        tried(*sets)
    assert "\n" not in str(refused.value)
