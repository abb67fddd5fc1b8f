"""The exit policy applied: plans chosen as epochs open, tightened or kept later, and never a looser stop."""

from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.story import SYMBOL, D
from reactor.core.candles import Candle
from reactor.core.decisions import (
    Alarm,
    Decision,
    Exit,
    HeldBack,
    Opened,
    PolicyChanged,
    RegimeChanged,
    Side,
    StopMoved,
)
from reactor.core.engine import Engine
from reactor.core.epoch_state import from_json, restore, state_of, to_json
from reactor.core.events import PositionReport
from reactor.core.exact import text
from reactor.core.machine import Machine
from reactor.core.orders import Fills
from reactor.core.plan import Plan, plan_from_toml
from reactor.core.policy import ExternalPolicy, Policy
from reactor.core.regime import RegimeConfig
from reactor.core.steering import Steering
from reactor.core.ticks import NEVER_NS
from reactor.plans import load_plan, shipped_plan_names
from reactor.policies import shipped_matrices

HOUR_MS = 3_600_000
START_MS = 1_790_000_000_000 // HOUR_MS * HOUR_MS
QUICK = RegimeConfig(
    timeframe="1h",
    adx_period=3,
    efficiency_period=4,
    atr_period=3,
    rank_days=2,
    rank_days_min=0.25,
    min_hold=2,
)
SHIPPED = {
    name: msgspec.structs.replace(load_plan(name), trigger="last") for name in shipped_plan_names()
}


class Desk:
    """One symbol under a policy; ticks, hours and words from outside."""

    def __init__(
        self,
        *,
        atr: str | None = "2",
        on_change: Literal["keep", "tighten"] = "tighten",
        profile: str = "SAFE",
        plans: dict[str, Plan] | None = None,
    ) -> None:
        self.policy = Policy(
            matrices=shipped_matrices(),
            plans=SHIPPED | (plans or {}),
            profile_for=lambda _symbol, _side: profile,
            on_change=on_change,
        )
        self.steering = Steering(config=QUICK, policy=self.policy)
        self.engine = Engine(
            plan_for=lambda _symbol, _side: SHIPPED["trend_follow"],
            fixed_atr=None if atr is None else {SYMBOL: D(atr)},
            fills=Fills.AT_TRIGGER,
            steering=self.steering,
        )
        self.now_ms = START_MS
        self.ticks = 0

    @property
    def now_ns(self) -> int:
        return self.now_ms * 1_000_000

    def history(self, closes: Sequence[float], *, wick: float = 0.2) -> list[Decision]:
        first_ms = START_MS - len(closes) * HOUR_MS
        rows, before = [], closes[0]
        for number, close in enumerate(closes):
            high, low = max(before, close) + wick, min(before, close) - wick
            rows.append(Candle(first_ms + number * HOUR_MS, before, high, low, close))
            before = close
        # The newest row is the one that forms.
        rows.append(Candle(START_MS, before, before, before, before))
        self.engine.expect(SYMBOL, "LONG", D(1), D(1))
        self.engine.unexpect(SYMBOL, "LONG")
        return list(self.engine.on_history(SYMBOL, "last", HOUR_MS, rows, t_ns=self.now_ns))

    def tick(self, *prices: str | int | Decimal, seconds: float = 1) -> list[Decision]:
        out: list[Decision] = []
        for price in prices:
            self.now_ms += round(seconds * 1000)
            self.ticks += 1
            out += self.engine.on_last(SYMBOL, str(price), self.ticks, self.now_ms, self.now_ns)
        return out

    def hold(self, quantity: int, entry: str | int, side: Side = "LONG") -> list[Decision]:
        report = PositionReport(
            symbol=SYMBOL,
            side=side,
            quantity=D(quantity),
            entry=D(entry),
            t_event_ms=self.now_ms,
            t_ns=self.now_ns,
        )
        return list(self.engine.on_position(report))

    def say(self, **what: Any) -> list[Decision]:
        external = ExternalPolicy(**{"symbol": SYMBOL, **what})
        return list(self.engine.on_policy(external, t_ns=self.now_ns))

    def machine(self, side: Side = "LONG") -> Machine:
        return self.engine.positions[SYMBOL, side]

    def targets(self, side: Side = "LONG") -> list[str]:
        machine = self.machine(side)
        return [
            f"{'taken ' if rung.taken else ''}{text(machine.price(rung.x))}:{text(rung.close)}"
            for rung in machine.ladder.rungs
            if rung.x is not None
        ]


def told(decisions: Sequence[Decision]) -> list[str]:
    said = []
    for one in decisions:
        match one:
            case PolicyChanged():
                said.append(f"{one.action} {one.before} -> {one.plan}: {one.why}")
            case RegimeChanged():
                said.append(f"regime {one.regime} {one.volatility}")
            case Opened():
                said.append(f"opened {one.plan} stop {text(one.stop)}")
            case StopMoved():
                said.append(f"stop {one.kind} {text(one.stop)}")
            case HeldBack():
                said.append(f"held {one.what} {text(one.level)}")
            case Exit():
                said.append(f"exit {'+'.join(one.reasons)} {text(one.quantity)}")
            case Alarm():
                said.append(f"alarm {one.what}")
    return said


UP = [100.0 + number for number in range(30)]
DOWN = [300.0 - number for number in range(30)]
SAW = [100.5 if number % 2 else 99.5 for number in range(40)]


# Opening ------------------------------------------------------------------------------------------


def test_the_plan_is_chosen_by_the_regime_when_the_epoch_opens() -> None:
    desk = Desk()
    assert told(desk.history(SAW)) == ["regime CHOP NORMAL"]
    desk.tick(100)
    assert told(desk.hold(1, 100)) == [
        "opened fast_tp stop 97",
        "chosen fast_tp -> fast_tp: SAFE: CHOP, volatility NORMAL",
    ]


def test_while_there_is_no_regime_it_is_the_policys_plan_for_that() -> None:
    desk = Desk()
    desk.tick(100)
    assert told(desk.hold(1, 100)) == [
        "opened trend_follow stop 97",
        "chosen trend_follow -> trend_follow: SAFE: no regime yet",
    ]


def test_a_position_of_a_named_plan_is_not_steered() -> None:
    engine = Engine(
        plan_for=lambda _symbol, _side: SHIPPED["challenge_100"],
        fixed_atr={SYMBOL: D(2)},
        steering=Steering(
            config=QUICK,
            policy=Desk().policy,
            covers=lambda _symbol, side: side == "SHORT",
        ),
    )
    for side in ("LONG", "SHORT"):
        side_: Side = "LONG" if side == "LONG" else "SHORT"
        engine.expect(SYMBOL, side_, D(1), D(100))
    plans = [
        (one.side, one.plan)
        for one in engine.on_last(SYMBOL, "100", 1, START_MS, START_MS * 1_000_000)
        if isinstance(one, Opened)
    ]
    assert plans == [("LONG", "challenge_100"), ("SHORT", "trend_follow")]


# Later changes ------------------------------------------------------------------------------------


def test_a_candle_that_changes_the_regime_tightens() -> None:
    desk = Desk(profile="SAFE")
    desk.history(UP)
    desk.tick(130)
    assert told(desk.hold(1, 130))[0] == "opened trend_follow stop 127"
    said: list[Decision] = []
    # Ten wild hours that lead nowhere; the ticks that close the candles stay above the stop.
    for number in range(10):
        said += desk.tick("133" if number % 2 else "128", seconds=1800)
        said += desk.tick("130", seconds=1800)
    lines = told(said)
    changes = [line for line in lines if line.startswith(("regime", "tighten"))]
    assert any(line.startswith("regime") for line in changes)
    assert any("tighten trend_follow -> " in line for line in changes)


def test_tightening_takes_the_better_stop_the_nearer_targets_and_the_smaller_trail() -> None:
    desk = Desk()
    desk.tick(100)
    desk.hold(1, 100)
    # ATR 2, R 3: stop 97, targets 106 and 109.
    assert desk.targets() == ["106:0.5", "109:0.5"]
    assert told(desk.say(mode="defensive_trail")) == [
        "tighten trend_follow -> defensive_trail: from outside: defensive_trail",
        "stop stop_loss 97.6",
    ]
    # 2 R of this epoch's R is 106, 3 ATR is 106 too: not nearer.
    assert desk.targets() == ["106:0.5", "109:0.5"]
    assert desk.machine().r == 3
    assert told(desk.say(mode="fast_tp")) == [
        "tighten defensive_trail -> fast_tp: from outside: fast_tp"
    ]
    assert desk.targets() == ["105:1"]
    assert desk.machine().stop_price == D("97.6")
    assert told(desk.tick(105)) == ["exit take_profit 1"]


def test_trailing_follows_at_the_smaller_distance() -> None:
    desk = Desk()
    desk.tick(100)
    desk.hold(1, 100)
    # Rung 1 at 106 activates trailing at 1.2 ATR; 103.6 is better than break-even.
    assert told(desk.tick(106)) == ["exit take_profit 0.5", "stop trailing_stop 103.6"]
    assert told(desk.say(mode="defensive_trail"))[1:] == [
        "stop trailing_stop 104.8",
        # One rung was taken, so its second one, at 106, is what would replace 109.
        "held target 106",
    ]
    assert desk.targets() == ["taken 106:0.5", "109:0.5"]
    assert told(desk.tick(107)) == ["stop trailing_stop 105.8"]
    # Below 106 the nearer target comes in force.
    desk.tick("105.9")
    assert desk.targets() == ["taken 106:0.5", "106:0.5"]
    assert told(desk.tick(106)) == ["exit take_profit 0.5"]


def test_a_taken_rung_stays_taken_and_counts() -> None:
    desk = Desk()
    desk.tick(100)
    desk.hold(1, 100)
    desk.tick(106, "105")
    # fast_tp has one rung, and one was taken: nothing of it is left to replace 109.
    assert told(desk.say(mode="fast_tp")) == [
        "tighten trend_follow -> fast_tp: from outside: fast_tp"
    ]
    assert desk.targets() == ["taken 106:0.5", "109:0.5"]


def test_a_stop_at_or_through_the_price_is_held_back() -> None:
    desk = Desk()
    desk.tick(100)
    desk.hold(1, 100)
    desk.tick("97.5")
    assert told(desk.say(mode="defensive_trail"))[1:] == ["held stop 97.6"]
    assert desk.machine().stop_price == 97
    assert told(desk.tick("97.6")) == []
    assert told(desk.tick("97.7")) == ["stop stop_loss 97.6"]


def test_a_target_at_or_through_the_price_is_held_back_with_its_whole_ladder() -> None:
    desk = Desk()
    desk.tick(100)
    desk.hold(1, 100)
    desk.tick("105.5")
    assert told(desk.say(mode="fast_tp"))[1:] == ["held target 105"]
    # Until the price is before it the old ladder stands: half at 106.
    assert told(desk.tick(106))[0] == "exit take_profit 0.5"
    # And then nothing of the new one is left, since one rung was taken.
    desk.tick("104.9")
    assert desk.targets() == ["taken 106:0.5", "109:0.5"]


def test_keep_changes_nothing_and_says_so_once() -> None:
    desk = Desk(on_change="keep")
    desk.tick(100)
    desk.hold(1, 100)
    assert told(desk.say(mode="fast_tp")) == ["keep trend_follow -> fast_tp: from outside: fast_tp"]
    assert told(desk.say(mode="fast_tp", note="again")) == []
    assert desk.targets() == ["106:0.5", "109:0.5"]
    assert desk.machine().stop_price == 97


def test_words_for_longer_than_the_clock_counts_are_waited_for_like_none() -> None:
    desk = Desk()
    desk.say(mode="trend_follow", expires_ns=10**30)
    # Whoever compares it with the time has 64 bits for it.
    assert desk.engine.steering_due_ns == desk.engine.due_ns == NEVER_NS


def test_an_outside_policy_ends_by_the_clock() -> None:
    desk = Desk()
    desk.history(SAW)
    desk.tick(100)
    desk.say(mode="trend_follow", expires_ns=desk.now_ns + 60_000_000_000)
    assert told(desk.hold(1, 100))[0] == "opened trend_follow stop 97"
    due_ns = desk.now_ns + 60_000_000_000
    assert desk.engine.due_ns == due_ns
    assert told(desk.engine.on_time(due_ns - 1)) == []
    expired = desk.engine.on_time(due_ns + 5)
    assert told(expired) == ["tighten trend_follow -> fast_tp: SAFE: CHOP, volatility NORMAL"]
    assert expired[0].t_ns == due_ns
    assert desk.targets() == ["105:1"]


def test_an_unknown_mode_guards_by_the_fallback_and_alarms() -> None:
    desk = Desk()
    desk.say(mode="moon")
    desk.tick(100)
    assert told(desk.hold(1, 100)) == [
        "opened trend_follow stop 97",
        "chosen trend_follow -> trend_follow: from outside: moon",
        "alarm there is no exit mode 'moon'; trend_follow is used",
    ]


def test_an_unknown_mode_is_said_where_it_changes_nothing() -> None:
    desk = Desk()
    desk.tick(100)
    desk.hold(1, 100)
    # The fallback is the plan that the position has; whoever said it must hear of it all the same.
    assert told(desk.say(mode="moon")) == [
        "alarm there is no exit mode 'moon'; trend_follow is used"
    ]
    assert told(desk.say(mode="fast_tp"))[0].startswith("tighten trend_follow -> fast_tp")
    # And once, where a position's own warning says it already.
    said = told(desk.say(mode="moon"))
    assert said == [
        "tighten fast_tp -> trend_follow: from outside: moon",
        "alarm there is no exit mode 'moon'; trend_follow is used",
    ]
    assert told(desk.say()) == []


def test_a_policy_for_a_symbol_whose_plan_is_named_is_said() -> None:
    desk = Desk()
    desk.engine = Engine(
        plan_for=lambda _symbol, _side: SHIPPED["challenge_100"],
        steering=Steering(
            config=QUICK, policy=desk.policy, covers=lambda _symbol, side: side == "SHORT"
        ),
    )
    (alarm,) = told(desk.say(mode="fast_tp", side="LONG"))
    assert alarm.endswith(f"the plan of {SYMBOL} is named in the configuration")
    assert told(desk.say(mode="fast_tp", side="SHORT")) == []
    assert told(desk.say(mode="fast_tp")) == []
    assert told(desk.say(side="LONG")) == []


def test_no_opinion_leaves_what_is_open_alone() -> None:
    desk = Desk()
    desk.tick(100)
    desk.say(mode="defensive_trail", expires_ns=desk.now_ns + 60_000_000_000)
    assert told(desk.hold(1, 100))[0] == "opened defensive_trail stop 97.6"
    before = state_of(desk.machine())
    # The words expire while no regime is known: nothing takes their place.
    assert told(desk.tick(100, seconds=100)) == []
    assert desk.machine().policy_plan == "defensive_trail"
    assert desk.machine().stop_price == before.stop_price
    # The first regime counts from there.
    said = told(desk.history(SAW))
    assert said[0] == "regime CHOP NORMAL"
    assert said[1].startswith("tighten defensive_trail -> fast_tp")


def test_a_plan_that_waits_for_an_atr_tightens_when_it_comes() -> None:
    fixed = plan_from_toml(
        'name = "fixed"\ntrigger = "last"\n[stop]\npct = 0.02\n[[targets]]\npct = 0.09\nclose = 1\n',
        source="here",
    )
    desk = Desk(atr=None, plans={"fixed": fixed})
    desk.tick(100)
    desk.say(mode="fixed")
    desk.hold(1, 100)
    assert desk.machine().stop_price == 98
    # Without an ATR its fallback is 1 %, and its target cannot be told.
    assert told(desk.say(mode="fast_tp"))[1:] == ["stop stop_loss 99"]
    assert desk.targets() == ["109:1"]
    first_ms = START_MS - 20 * 300_000
    rows = [Candle(first_ms + n * 300_000, 100.0, 100.2, 99.8, 100.0) for n in range(21)]
    said = desk.engine.on_history(SYMBOL, "last", 300_000, rows, t_ns=desk.now_ns)
    # 1.5 and 2.5 ATR of 0.4; R stays the epoch's.
    assert told(said) == ["stop stop_loss 99.4"]
    assert desk.targets() == ["101:1"]
    assert desk.machine().r == 2


def test_a_change_tells_the_targets_and_the_trail_after_it() -> None:
    desk = Desk()
    desk.tick(100)
    desk.hold(1, 100)
    changed, _ = desk.say(mode="defensive_trail")
    assert isinstance(changed, PolicyChanged)
    assert changed.targets == ((D(106), D("0.5")), (D(109), D("0.5")))
    assert (changed.stop, changed.trail) == (D("97.6"), D("1.2"))
    (changed,) = desk.say(mode="fast_tp")
    assert isinstance(changed, PolicyChanged)
    assert changed.targets == ((D(105), D(1)),)


def test_a_policy_from_outside_where_there_is_none_is_said() -> None:
    engine = Engine(plan_for=lambda _symbol, _side: SHIPPED["fast_tp"])
    (alarm,) = engine.on_policy(ExternalPolicy(symbol=SYMBOL, mode="fast_tp"), t_ns=1)
    assert isinstance(alarm, Alarm)
    assert "no [policy]" in alarm.what


def test_the_regime_sizes_the_ladder() -> None:
    plan = plan_from_toml(
        'name = "sized"\ntrigger = "last"\n[stop]\npct = 0.01\n[[targets]]\npct = 0.02\nclose = 1\n'
        '[[ladder.rule]]\ninput = "regime"\nop = "in"\nvalue = ["CHOP"]\nscale = 0.5\n',
        source="here",
    )
    desk = Desk()
    engine = desk.engine = Engine(
        plan_for=lambda _symbol, _side: plan, steering=Steering(config=QUICK)
    )
    desk.history(SAW)
    desk.tick(100)
    desk.hold(1, 100)
    assert desk.targets() == ["101:1"]
    assert engine.positions[SYMBOL, "LONG"].inputs["regime"] == "CHOP"


def test_a_tightened_epoch_survives_a_restart() -> None:
    desk = Desk()
    desk.tick(100)
    desk.hold(1, 100)
    desk.say(mode="defensive_trail")
    desk.tick(106)
    desk.say(mode="fast_tp")
    machine = desk.machine()
    twin = restore(from_json(to_json(state_of(machine))), fills=Fills.AT_TRIGGER)
    assert state_of(twin) == state_of(machine)
    assert twin.policy_plan == "fast_tp"
    assert [plan.name for plan in twin.tightened] == ["defensive_trail", "fast_tp"]


# The law ------------------------------------------------------------------------------------------


STEPS = st.one_of(
    st.tuples(st.just("tick"), st.integers(-40, 40), st.sampled_from([1, 60, 1800, 3600, 9000])),
    st.tuples(
        st.just("mode"),
        st.sampled_from([*shipped_plan_names(), "moon", None]),
        st.sampled_from([None, 30, 4000]),
    ),
    st.tuples(
        st.just("regime"), st.sampled_from(["BULL", "CHOP", "HIGH_VOL", None]), st.just(None)
    ),
    st.tuples(st.just("add"), st.integers(1, 3), st.integers(-10, 10)),
    st.tuples(st.just("restart"), st.just(0), st.just(0)),
)


@settings(max_examples=300, deadline=None)
@given(
    steps=st.lists(STEPS, min_size=5, max_size=60),
    side=st.sampled_from(["LONG", "SHORT"]),
    atr=st.sampled_from(["2", "0.7", None]),
    profile=st.sampled_from(["SAFE", "AGGRESSIVE"]),
)
def test_no_sequence_of_regimes_policies_and_ticks_ever_loosens_a_stop(
    steps: list[tuple[str, Any, Any]], side: Side, atr: str | None, profile: str
) -> None:
    desk = Desk(atr=atr, profile=profile)
    desk.history(SAW)
    price = D(100)
    desk.tick(price)
    desk.hold(1, 100, side)
    stops: dict[int, list[Decimal]] = {}
    for kind, first, second in steps:
        before = desk.engine.positions.get((SYMBOL, side))
        said: Sequence[Decision] = ()
        nearest = D(0) if before is None else _nearest(before)
        match kind:
            case "tick":
                price = max(D(50), price + D(first) / 10)
                said = desk.tick(price, seconds=second)
            case "mode" | "regime":
                expires = None if second is None else desk.now_ns + second * 1_000_000_000
                said = desk.say(**{kind: first}, expires_ns=expires)
                # Words close nothing, and bring rungs only nearer.
                assert not any(isinstance(one, Exit) for one in said)
                assert before is None or _nearest(before) <= nearest
            case "add" if before is not None:
                said = desk.hold(int(before.orders.quantity) + first, 100 + second, side)
            case "restart" if before is not None:
                twin = restore(from_json(to_json(state_of(before))), fills=Fills.AT_TRIGGER)
                market = desk.engine.market("last", SYMBOL)
                assert market is not None
                market.machines[:] = [twin]
                desk.engine.positions[SYMBOL, side] = twin
                market.arm()
        now = desk.engine.positions.get((SYMBOL, side))
        if now is not None:
            stops.setdefault(now.epoch, []).append(now.stop.x)
            taken = [rung.taken for rung in now.ladder.rungs]
            assert taken == sorted(taken, reverse=True)
        elif not any(isinstance(one, Opened) for one in said):
            desk.hold(0, 0, side)
            desk.hold(1, text(price), side)
    for moves in stops.values():
        assert all(before <= after for before, after in pairwise(moves))


def _nearest(machine: Machine) -> Decimal:
    levels = [rung.x for rung in machine.ladder.rungs if not rung.taken and rung.x is not None]
    return min(levels, default=D("Infinity"))


@pytest.mark.parametrize("side", ["LONG", "SHORT"])
def test_plans_tightened_in_any_order_end_at_the_same_stop(side: Side) -> None:
    ends = set()
    for order in (("fast_tp", "defensive_trail"), ("defensive_trail", "fast_tp")):
        desk = Desk()
        desk.tick(100)
        desk.hold(1, 100, side)
        for mode in order:
            desk.say(mode=mode)
        ends.add(desk.machine(side).stop_price)
    assert len(ends) == 1
