"""Ladder sizing: the shipped rows, unknown inputs, order of rules, clamp, and adds within an epoch."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.story import D, Story
from reactor.core.levels import levels
from reactor.core.sizing import (
    Inputs,
    inputs_as_text,
    inputs_from_text,
    position_inputs,
    size_ladder,
)
from reactor.plans import load_plan, shipped_plan_names

CHALLENGE = load_plan("challenge_100")


@pytest.mark.parametrize(
    ("known", "scale", "closes"),
    [
        ({}, "1", "0.3 0.3 0.4"),
        ({"leverage": D(15)}, "0.7", "0.3 0.3 0.4"),
        ({"leverage": D("14.99")}, "1", "0.3 0.3 0.4"),
        ({"leverage": D(5)}, "1.3", "0.3 0.3 0.4"),
        ({"notional": D(2000)}, "0.8", "0.4 0.35 0.25"),
        ({"notional": D("1999.99")}, "1", "0.3 0.3 0.4"),
        ({"volatility": D("0.035")}, "1.4", "0.3 0.3 0.4"),
        ({"volatility": D("0.015")}, "0.75", "0.3 0.3 0.4"),
        ({"volatility": D("0.02")}, "1", "0.3 0.3 0.4"),
        ({"regime": "BULL"}, "1.5", "0.2 0.3 0.5"),
        ({"regime": "bear"}, "1.5", "0.2 0.3 0.5"),
        ({"regime": "trending"}, "1.5", "0.2 0.3 0.5"),
        ({"regime": "HIGH_VOL"}, "0.7", "0.3 0.3 0.4"),
        ({"regime": "range-bound"}, "0.7", "0.3 0.3 0.4"),
        ({"regime": "NORMAL"}, "1", "0.3 0.3 0.4"),
        ({"volume_24h": D(99_999)}, "0.8", "0.45 0.35 0.2"),
        ({"volume_24h": D(100_000)}, "1", "0.3 0.3 0.4"),
        ({"profit_pct": D("0.05")}, "0.8", "0.3 0.3 0.4"),
        # Scales multiply; of the fractions the last rule's stand.
        (
            {"leverage": D(20), "notional": D(16_039), "regime": "BULL", "volume_24h": D(1)},
            "0.672",
            "0.45 0.35 0.2",
        ),
    ],
)
def test_the_rows_of_challenge_100(known: Inputs, scale: str, closes: str) -> None:
    sizing = size_ladder(CHALLENGE, known)
    assert sizing.scale == D(scale)
    assert sizing.closes == tuple(map(D, closes.split()))
    assert [one.applied for one in sizing.verdicts].count(True) == (
        0 if scale == "1" else len(known)
    )


def test_an_unknown_input_leaves_its_rules_out_and_says_so() -> None:
    sizing = size_ladder(CHALLENGE, {"leverage": D(20)})
    said = {one.rule: (one.known, one.applied, one.why) for one in sizing.verdicts}
    assert said["leverage >= 15"] == (True, True, "leverage is 20")
    assert said["leverage <= 5"] == (True, False, "leverage is 20")
    assert said["volatility >= 0.035"] == (False, False, "volatility is not known")


def test_every_distance_is_clamped_as_a_fraction_of_the_entry() -> None:
    plan = load_plan("challenge_100")
    # 1.5 % · 0.7 · 0.8 · 0.75 · 0.7 · 0.8 · 0.8 = 0.28 % is taken to 0.5 %.
    known: Inputs = {
        "leverage": D(20),
        "notional": D(5000),
        "volatility": D("0.001"),
        "regime": "CHOP",
        "volume_24h": D(5),
        "profit_pct": D("0.06"),
    }
    found = levels(plan, side="LONG", entry=D(100), atr=D(1), inputs=known)
    assert [price for price, _ in found.targets] == [D("100.5"), D("100.5"), D("100.75264")]


@pytest.mark.parametrize("name", shipped_plan_names())
@given(
    known=st.fixed_dictionaries(
        {},
        optional={
            "leverage": st.decimals(1, 125, places=1),
            "notional": st.decimals(1, 10**6, places=2),
            "volatility": st.decimals(0, 1, places=4),
            "volume_24h": st.decimals(0, 10**9, places=0),
            "regime": st.sampled_from(["BULL", "BEAR", "CHOP", "HIGH_VOL", "NORMAL"]),
            "profit_pct": st.decimals(-1, 1, places=4),
        },
    )
)
def test_targets_stay_within_the_clamp_and_close_no_more_than_all(name: str, known: Inputs) -> None:
    plan = load_plan(name)
    found = levels(plan, side="SHORT", entry=D(1000), atr=D(4), inputs=known)
    assert sum(close for _, close in found.targets) <= 1
    if plan.ladder is not None:
        distances = [1000 - price for price, _ in found.targets if price is not None]
        assert all(D(5) <= distance <= D(100) for distance in distances)
    assert inputs_from_text(inputs_as_text(known)) == known


def test_what_a_position_tells() -> None:
    told = position_inputs(
        side="SHORT", quantity=D(2), entry=D(100), margin=D(10), price=D(98), atr_15m=D("1.5")
    )
    assert told == {
        "notional": D(200),
        "leverage": D(20),
        "volatility": D("0.015"),
        "profit_pct": D("0.02"),
    }
    known_little = position_inputs(
        side="LONG", quantity=D(1), entry=D(100), margin=D(0), price=None, atr_15m=None
    )
    assert known_little == {"notional": D(100)}


SIZED = """
[stop]
pct = 0.01
[[targets]]
r = 2
close = 1.0
[ladder]
[[ladder.rule]]
input = "notional"
op = ">="
value = 150
scale = 0.5
"""


def test_the_sizing_of_an_epoch_stays_when_the_position_grows() -> None:
    story = Story(SIZED)
    story.tick(100)
    # One unit: 100 USDT, no rule holds.
    assert story.position(1, 100) == ["opened LONG 1 @ 100 stop 99 102:1"]
    story.position(2, 100)
    assert [story.machine().price(rung.x) for rung in story.machine().ladder.rungs if rung.x] == [
        Decimal(102)
    ]
    story.position(0, 0)
    # A new epoch of two units is sized.
    assert story.position(2, 100) == ["opened LONG 2 @ 100 stop 99 101:1"]
