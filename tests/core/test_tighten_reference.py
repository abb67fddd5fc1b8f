"""Tightening against a plain model of it, written from the specification alone: every rule, every step, both sides.

The model knows no armed bounds, no held rungs one by one and no restart; it looks at every rule on every tick.
Levels lie on the gain axis: profit is up on both sides.
"""

from decimal import Decimal
from typing import Any

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from core.story import SYMBOL, D
from core.test_steering import SHIPPED, Desk
from reactor.core.decisions import Exit, Side, StopMoved
from reactor.core.plan import Plan, plan_from_toml

PCT = plan_from_toml(
    'name = "pct"\ntrigger = "last"\n[stop]\npct = 0.01\n[[targets]]\npct = 0.03\nclose = 0.4\n'
    "[[targets]]\npct = 0.05\nclose = 0.6\n",
    source="here",
)
CLOSE = plan_from_toml(
    'name = "close"\ntrigger = "last"\n[stop]\natr = 0.5\n[[targets]]\nr = 1\nclose = 0.3\n'
    '[[targets]]\natr = 2\nclose = 0.3\n[trailing]\nactivate = "in_profit"\natr = 0.4\n',
    source="here",
)
PLANS: dict[str, Plan] = {
    name: SHIPPED[name] for name in ("trend_follow", "fast_tp", "defensive_trail")
} | {"pct": PCT, "close": CLOSE}


class Rung:
    def __init__(self, x: Decimal, close: Decimal) -> None:
        self.x, self.close, self.taken = x, close, False


class Model:
    """One position of 1000 units, its rules and what tightened it."""

    def __init__(self, plan: Plan, *, entry: Decimal, atr: Decimal, is_long: bool) -> None:
        self.plan, self.atr, self.is_long = plan, atr, is_long
        self.entry = entry
        self.x0 = entry if is_long else -entry
        self.r = self.stop_distance(plan)
        self.stop = self.x0 - self.r
        self.held: Decimal | None = None
        self.rungs = self.rungs_of(plan)
        self.is_whole = sum(rung.close for rung in self.rungs) == 1
        self.waiting: list[Rung] = []
        self.trails = [plan] if plan.trailing else []
        self.peak: Decimal | None = None
        self.break_even = False
        self.left = D(1000)
        self.x = self.x0

    def stop_distance(self, plan: Plan) -> Decimal:
        if plan.stop.pct is not None:
            return plan.stop.pct * self.entry
        assert plan.stop.atr is not None
        return plan.stop.atr * self.atr

    def rungs_of(self, plan: Plan) -> list[Rung]:
        found = []
        for target in plan.targets:
            if target.pct is not None:
                distance = target.pct * self.entry
            elif target.r is not None:
                distance = target.r * self.r
            else:
                assert target.atr is not None
                distance = target.atr * self.atr
            found.append(Rung(self.x0 + distance, target.close))
        return sorted(found, key=lambda rung: rung.x)

    @property
    def taken(self) -> int:
        return sum(rung.taken for rung in self.rungs)

    def untaken(self) -> list[Rung]:
        return [rung for rung in self.rungs if not rung.taken]

    def improve(self, stop: Decimal) -> None:
        if self.stop < stop < self.x:
            self.stop = stop

    def trail(self) -> None:
        if self.peak is not None:
            distances = [plan.trailing.atr * self.atr for plan in self.trails]  # type: ignore[union-attr, operator]
            self.improve(self.peak - min(distances))

    def take_in(self, rungs: list[Rung]) -> None:
        self.rungs = [rung for rung in self.rungs if rung.taken] + rungs[self.taken :]
        self.is_whole = sum(rung.close for rung in rungs) == 1
        self.waiting = []

    def tighten(self, plan: Plan) -> None:
        wanted = self.x0 - self.stop_distance(plan)
        if plan.trailing and plan not in self.trails:
            self.trails.append(plan)
        if wanted > self.stop:
            if wanted < self.x:
                self.stop = wanted
            elif self.held is None or wanted > self.held:
                self.held = wanted
        self.trail()
        rungs = self.rungs_of(plan)
        fresh = rungs[self.taken :]
        known = self.untaken() + self.waiting[self.taken :]
        if fresh and (not known or fresh[0].x < min(rung.x for rung in known)):
            self.waiting = rungs
            if fresh[0].x > self.x:
                self.take_in(rungs)

    def tick(self, x: Decimal) -> Decimal:
        """Answers how much is closed."""
        self.x = x
        if x <= self.stop:
            closed, self.left = self.left, D(0)
            return closed
        fresh = self.waiting[self.taken :]
        if self.waiting and (not fresh or x < fresh[0].x):
            if fresh:
                self.take_in(self.waiting)
            self.waiting = []
        closed = D(0)
        for rung in self.rungs:
            if not rung.taken and x >= rung.x and self.left > 0:
                rung.taken = True
                share = min(self.left, rung.close * 1000)
                if rung is self.rungs[-1] and self.is_whole:
                    share = self.left
                closed += share
                self.left -= share
        if self.left > 0:
            self.move()
        return closed

    def move(self) -> None:
        if self.held is not None and self.x > self.held:
            self.improve(self.held)
            self.held = None
        table = self.plan.break_even
        if table is not None and table.at_r is not None:
            self.break_even |= self.x - self.x0 >= table.at_r * self.r
        if self.break_even:
            self.improve(self.x0 + D("0.001") * self.entry)
        rule = next((plan.trailing for plan in [self.plan, *self.trails] if plan.trailing), None)
        if rule is None:
            return
        if rule.activate == "in_profit":
            active = self.x > self.x0
        else:
            assert rule.value is not None
            active = self.taken >= rule.value
        if self.peak is not None or active:
            self.peak = self.x if self.peak is None else max(self.peak, self.x)
        self.trail()


STEPS = st.lists(
    st.one_of(
        st.integers(-30, 30).map(lambda move: ("tick", move)),
        st.integers(-30, 30).map(lambda move: ("tick", move)),
        st.sampled_from(sorted(PLANS)).map(lambda name: ("mode", name)),
    ),
    min_size=4,
    max_size=80,
)


@settings(max_examples=400, deadline=None)
@given(
    opened=st.sampled_from(sorted(PLANS)),
    steps=STEPS,
    side=st.sampled_from(["LONG", "SHORT"]),
    atr=st.sampled_from(["2", "0.7", "1.1"]),
)
@example("trend_follow", [("tick", 55), ("mode", "fast_tp"), ("tick", -8)], "LONG", "2")
def test_tightening_does_what_a_plain_model_of_it_does(
    opened: str, steps: list[tuple[str, Any]], side: Side, atr: str
) -> None:
    desk = Desk(atr=atr, plans=PLANS)
    desk.tick(100)
    desk.say(mode=opened)
    desk.hold(1000, 100, side)
    model = Model(PLANS[opened], entry=D(100), atr=D(atr), is_long=side == "LONG")
    price, mode = D(100), opened
    for kind, what in steps:
        if kind == "tick":
            price += D(what) / 10
            said = desk.tick(price)
            closed = model.tick(price if model.is_long else -price)
        else:
            said = desk.say(mode=what)
            closed = D(0)
            if what != mode:
                model.tighten(PLANS[what])
            mode = what
        exits = [one.quantity for one in said if isinstance(one, Exit)]
        assert sum(exits) == closed
        if not model.left:
            break
        machine = desk.machine(side)
        assert machine.stop.x == model.stop
        assert machine.r == model.r
        assert machine.stop.held == model.held or (
            # What is no better than the stop any more waits in the one and is forgotten in the other.
            machine.stop.held is not None and machine.stop.held <= machine.stop.x
        )
        rungs = [(rung.x, rung.close, rung.taken) for rung in machine.ladder.rungs]
        assert rungs == [(rung.x, rung.close, rung.taken) for rung in model.rungs]
        assert all(one.stop == machine.stop_price for one in said if isinstance(one, StopMoved))


def test_the_model_can_differ() -> None:
    """A model that is wrong about one thing is found out."""
    plan = msgspec.structs.replace(PLANS["fast_tp"], break_even=None)
    model = Model(plan, entry=D(100), atr=D(2), is_long=True)
    assert model.tick(D("103.5")) == 0
    assert model.stop == 97
    desk = Desk(plans=PLANS)
    desk.tick(100)
    desk.say(mode="fast_tp")
    desk.hold(1000, 100)
    desk.tick("103.5")
    assert desk.machine().stop.x == D("100.1")
    assert desk.engine.positions[SYMBOL, "LONG"].r == model.r
