"""An epoch that is cut, written, read back and gone on with decides as if it had never been cut."""

from collections.abc import Sequence
from decimal import Decimal
from enum import Enum
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant
from reference.played import Played
from reference.program import Reader, history_of, new_naive, play
from reference.scenarios import Scenario, scenario_of, scenarios

from core.story import START_NS, SYMBOL, Story
from core.test_orders_stateful import OrdersAndAnExchange
from reactor.core.break_even import BreakEven
from reactor.core.candles import Candle
from reactor.core.decisions import Decision, Reason, Side
from reactor.core.engine import Engine
from reactor.core.epoch_state import from_json, restore, state_of, to_json
from reactor.core.events import PositionReport
from reactor.core.guards import Guards
from reactor.core.in_flight import InFlight, OrdersState
from reactor.core.ladder import Filters, Ladder, Rung
from reactor.core.levels import Axis
from reactor.core.lifecycle import Event
from reactor.core.machine import Machine
from reactor.core.orders import Fills, Orders
from reactor.core.plan import INTERVAL_MS
from reactor.core.stop import Stop
from reactor.core.trailing import Trailing

D = Decimal

PARTS: tuple[type, ...] = (
    Machine,
    Orders,
    InFlight,
    Ladder,
    Rung,
    Stop,
    Trailing,
    BreakEven,
    Guards,
)

GIVEN = "given to `restore` by the new process, or part of the epoch's name, plan and filters"
PART = "a part with a state of its own"
DERIVED: dict[type, dict[str, str]] = {
    Machine: {
        **dict.fromkeys(
            ("symbol", "side", "epoch", "opened_ns", "plan", "filters", "entry"), GIVEN
        ),
        **dict.fromkeys(("orders", "stop", "ladder", "trailing", "break_even", "guards"), PART),
        "_axis": "of the side",
        "_confirm": "of the plan",
        "x0": "of the entry",
        "_calm": "the restored machine computes its bounds when it is armed",
        "_calm_low": "valid while calm",
        "_calm_high": "valid while calm",
        "_x_double": "set by every tick before it is read",
        "_x_is_short": "set by every tick before it is read",
    },
    Orders: dict.fromkeys(
        ("_symbol", "_side", "_epoch", "_opened_ns", "entry", "_order_ids", "fills"), GIVEN
    ),
    InFlight: {},
    Ladder: {
        **dict.fromkeys(("_plan", "_axis", "_filters"), GIVEN),
        "_x0": "of the entry",
        "_harvest_due": "of the entry, the plan and the harvests taken",
        "_is_whole": "of the sizing's fractions",
    },
    Rung: {},
    Stop: {"double": "of x"},
    Trailing: {
        **dict.fromkeys(("_plan", "_tick"), GIVEN),
        **dict.fromkeys(
            ("_pct", "_kept", "_grown", "_multiple"),
            "of the epoch's plan and the machine's `tightened`",
        ),
        "_places": "of the tick",
        "peak_above": "of the peak; at most one look more than needed",
    },
    BreakEven: {
        **dict.fromkeys(("_plan", "_axis", "_tick"), GIVEN),
        "_entry": "the machine's",
        "condition_x": "of the plan, the entry and R",
    },
    Guards: {
        **dict.fromkeys(("_plan", "_axis"), GIVEN),
        "liquidation_x": "of the liquidation price, the plan and the entry",
        "loss_x": "of the margin, the plan and the entry",
    },
}
SAVED_AS = {
    "_shrunk": "shrunk",
    "_overruled": "overruled",
    "_liquidation_price": "liquidation_price",
}

NOT_COMPARED = {
    (Machine, name) for name in ("_calm", "_calm_low", "_calm_high", "_x_double", "_x_is_short")
} | {(Trailing, "peak_above")}
"""What may differ between a machine and its restored twin without any decision differing."""


def saved_fields() -> dict[type, set[str]]:
    """The fields of each part's state, by the names of the slots they come from."""
    story = Story(EVERYTHING, atr="1", fills=Fills.REPORTED)
    story.position(1, 100)
    machine = story.machine()
    state = state_of(machine)
    assert state.ladder.rungs
    return {
        Machine: set(state.rules.__struct_fields__),
        Orders: set(OrdersState.__struct_fields__),
        InFlight: {"exit", "level", "filled"},
        Ladder: set(state.ladder.__struct_fields__),
        Rung: set(state.ladder.rungs[0].__struct_fields__),
        Stop: set(state.stop.__struct_fields__),
        Trailing: {"peak"},
        BreakEven: set(state.break_even.__struct_fields__),
        Guards: set(state.guards.__struct_fields__),
    }


EVERYTHING = """
confirm_ticks = 2
[stop]
atr = 2.0
[[targets]]
r = 0.5
close = 0.3
[[targets]]
pct = 0.03
close = 0.3
[[targets]]
atr = 4.5
close = 0.4
[break_even]
at_r = 0.4
offset = "costs"
[trailing]
activate = "at_r"
value = 0.3
pct = 0.004
[harvest]
trigger_pct = 0.004
fraction = 0.1
[ratchet]
after_rungs = true
[time_stop]
seconds = 60
[high_volatility]
threshold = 0.02
[guards]
liquidation_buffer_pct = 0.01
max_loss_margin_pct = 0.5
[ladder]
clamp_pct = [0.005, 0.10]
[[ladder.rule]]
input = "leverage"
op = ">="
value = 15
scale = 0.7
[[ladder.rule]]
input = "volatility"
op = ">="
value = 0.035
scale = 1.4
close = [0.2, 0.3, 0.5]
[[ladder.rule]]
input = "regime"
op = "in"
value = ["BULL", "BEAR"]
"""


def slots_of(part: type) -> list[str]:
    """Every slot of a class, those of its bases too."""
    return [slot for base in part.__mro__ for slot in getattr(base, "__slots__", ())]


@pytest.mark.parametrize("part", PARTS)
def test_every_slot_is_saved_or_derived(part: Any) -> None:
    saved = saved_fields()[part]
    slots = set(slots_of(part))
    named = {slot for slot in slots if slot in saved or slot.removeprefix("_") in saved}
    assert slots - named - set(DERIVED[part]) == set(), "neither saved nor derived"
    assert set(DERIVED[part]) - slots == set(), "derived, but there is no such slot"
    unused = saved - {slot.removeprefix("_") for slot in named} - named
    assert unused == set(), "saved, but of no slot"


def differences(one: Any, other: Any, path: str = "machine") -> list[str]:
    """Every slot in which two machines differ."""
    if type(one) is not type(other):
        return [f"{path}: {one!r} is not {other!r}"]
    if isinstance(one, Axis):
        return differences(one.side, other.side, f"{path}.side")
    if isinstance(one, PARTS):
        found = []
        for slot in slots_of(type(one)):
            if (type(one), slot) not in NOT_COMPARED:
                found += differences(getattr(one, slot), getattr(other, slot), f"{path}.{slot}")
        return found
    if isinstance(one, list):
        if len(one) != len(other):
            return [f"{path}: {len(one)} is not {len(other)}"]
        pairs = enumerate(zip(one, other, strict=True))
        return [line for i, (a, b) in pairs for line in differences(a, b, f"{path}[{i}]")]
    # 1.0 and 1 are equal and not the same: levels print as they were computed.
    if isinstance(one, dict) and list(one.items()) != list(other.items()):
        return [f"{path}: {one!r} is not {other!r}"]
    same = one == other and (isinstance(one, Enum) or repr(one) == repr(other) or callable(one))
    return [] if same else [f"{path}: {one!r} is not {other!r}"]


def restored(machine: Machine) -> Machine:
    """A machine as the next process has it."""
    state = from_json(to_json(state_of(machine)))
    twin = restore(state, fills=machine.orders.fills, order_ids=machine.orders._order_ids)
    assert differences(machine, twin) == []
    return twin


def cut(engine: Engine) -> None:
    """Replaces every machine by its restored twin."""
    for market in engine.markets():
        market.machines[:] = [restored(machine) for machine in market.machines]
        for machine in market.machines:
            engine.positions[machine.symbol, machine.side] = machine
        market.arm()


# The rules, with simulated fills ------------------------------------------------------------------


def run(scenario: Scenario, cuts: bytes) -> None:
    """Plays a scenario to two engines, one of which is cut where a byte of `cuts` is odd."""
    naive = new_naive(scenario)
    whole, broken = Played(scenario), Played(scenario)
    interval_ms = INTERVAL_MS[scenario.plan.atr.interval]
    rows = [Candle(row[0], *map(float, row[1:])) for row in history_of(scenario)]
    naive.history(history_of(scenario))
    for played in (whole, broken):
        played.engine.on_history(SYMBOL, scenario.plan.trigger, interval_ms, rows, t_ns=0)
    for index, event in enumerate(Reader(scenario, naive).events()):
        if cuts[index % len(cuts)] & 1:
            cut(broken.engine)
        play(naive, event)
        assert broken._play(event) == whole._play(event), (index, event)
        for key, machine in whole.engine.positions.items():
            assert differences(machine, broken.engine.positions[key]) == []
    assert set(whole.engine.positions) == set(broken.engine.positions)


@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(scenario=scenarios(), cuts=st.binary(min_size=1, max_size=40))
def test_a_random_walk_cut_anywhere_decides_the_same(scenario: Scenario, cuts: bytes) -> None:
    run(scenario, cuts)


def test_the_random_walks_cut_machines_in_every_shape() -> None:
    """Otherwise the law above would say nothing."""
    seen = set()
    for seed in range(300):
        scenario = scenario_of(
            bytes((seed * 31 + i * i * 7 + i) % 251 for i in range(60)),
            bytes((seed + i * 53) % 256 for i in range(30)),
            bytes((seed * 17 + i * i * 3 + i * 11) % 256 for i in range(120)),
        )
        naive, played = new_naive(scenario), Played(scenario)
        for event in Reader(scenario, naive).events():
            play(naive, event)
            played._play(event)
            for machine in played.engine.positions.values():
                state = state_of(machine)
                seen |= {
                    name
                    for name, holds in (
                        ("short", state.side == "SHORT"),
                        ("no price yet", state.rules.x is None),
                        ("through", state.rules.through > 0),
                        ("high volatility", state.rules.high_volatility),
                        ("stop held", state.stop.held is not None),
                        ("rung held", any(rung.held is not None for rung in state.ladder.rungs)),
                        ("rung taken", any(rung.taken for rung in state.ladder.rungs)),
                        ("peak", state.peak is not None),
                        ("shrunk", state.ladder.shrunk),
                        ("harvested", state.ladder.harvests_taken > 0),
                        ("break-even due", state.break_even.due),
                        ("liquidation", state.guards.liquidation_price is not None),
                        ("in flight", state.orders.partial is not None),
                        ("closing", state.orders.full is not None),
                        ("timer", state.rules.time_stop_ns is not None),
                    )
                    if holds
                }
        if len(seen) == 15:
            return
    pytest.fail(f"only {sorted(seen)} were seen")


# Orders, with reported fills ----------------------------------------------------------------------


class CutOrdersAndAnExchange(OrdersAndAnExchange):
    """Every law of orders, with a process that ends after every step."""

    @invariant()
    def the_process_ends(self) -> None:
        orders = self.orders
        if orders.ended:
            return
        blob = msgspec.json.encode(orders.state_of())
        self.orders = self.new_orders(orders.quantity)
        self.orders.restore(msgspec.json.decode(blob, type=OrdersState))
        assert differences(orders, self.orders) == []


TestCutOrdersAndAnExchange = CutOrdersAndAnExchange.TestCase
TestCutOrdersAndAnExchange.settings = settings(
    max_examples=30, stateful_step_count=40, deadline=None
)


# The whole engine, with reported fills ------------------------------------------------------------

NEWS = (
    Event.ACCEPTED,
    Event.FILLED,
    Event.LAPSED,
    Event.REJECTED,
    Event.UNKNOWN,
    Event.FOUND_OPEN,
    Event.FOUND_ABSENT,
)


class Told:
    """One engine, told by bytes; two of them told the same must say the same."""

    def __init__(self, side: Side) -> None:
        self.story = Story(EVERYTHING, fills=Fills.REPORTED, filters=Filters(D("0.01"), D("0.001")))
        self.side: Side = side
        self.gain = 1 if side == "LONG" else -1
        self.x = 0
        self.now = 0.0
        self.story.at(0).history(*[(100, 101, 99, 100)] * 20)
        self.story.tick("100")
        self.story.position(
            10, 100, side=side, margin="50", liquidation_price=str(100 - 20 * self.gain)
        )

    @property
    def price(self) -> Decimal:
        return D(100) + D(self.gain * self.x) / 20

    def tell(self, what: int, how: int) -> list[Decision]:
        story, engine = self.story, self.story.engine
        said = len(story.said)
        self.now += (how % 4) / 8
        story.at(self.now)
        machine = engine.positions.get((SYMBOL, self.side))
        if what < 120:
            self.x += how % 41 - 20
            story.tick(str(self.price))
        elif what < 135:
            self.now += 7
            story.at(self.now).clock()
        elif what < 205 and any(hasattr(d, "order_id") for d in story.said):
            sent = story.last_exit()
            filled = sent.quantity if how & 8 else sent.quantity / 2 if how & 16 else 0
            story.news(NEWS[how % len(NEWS)], of=sent, filled=str(filled))
        elif what < 225:
            held = D(0) if machine is None else machine.orders.quantity
            quantity = (held, held / 2, D(0), held + 1)[how % 4]
            entry = D(100) if how & 8 else D(101)
            self.report(quantity, entry, snapshot=bool(how & 16))
        elif what < 232:
            engine.on_cost(SYMBOL, self.side, D(how) / 100)
        elif what < 238:
            engine.pause(SYMBOL, self.side, paused=bool(how & 1))
        elif what < 244:
            story.set_stop(str(self.price - self.gain * (1 + how % 12)), self.side)
        elif what < 247:
            story.close(self.side)
        else:
            self.now += 300
            story.at(self.now).history(*[(100, 100 + how % 5, 99, 100)] * 3)
            if machine is not None:
                machine.orders.on_trade(D(1), D(how), order_id="theirs", ends_as=Reason.EXTERNAL)
        return story.said[said:]

    def report(self, quantity: Decimal, entry: Decimal, *, snapshot: bool) -> None:
        self.story.hear(
            self.story.engine.on_position(
                PositionReport(
                    symbol=SYMBOL,
                    side=self.side,
                    quantity=quantity,
                    entry=entry,
                    t_event_ms=self.story.now_ns // 1_000_000,
                    t_ns=self.story.now_ns,
                    snapshot=snapshot,
                )
            )
        )


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    side=st.sampled_from(("LONG", "SHORT")),
    program=st.binary(min_size=4, max_size=160),
    cuts=st.binary(min_size=1, max_size=20),
)
def test_orders_in_flight_outlive_a_cut(side: Side, program: bytes, cuts: bytes) -> None:
    whole, broken = Told(side), Told(side)
    for at in range(0, len(program) - 1, 2):
        if cuts[at // 2 % len(cuts)] & 1:
            cut(broken.story.engine)
        said = broken.tell(program[at], program[at + 1])
        assert said == whole.tell(program[at], program[at + 1])


# Plain cases --------------------------------------------------------------------------------------


def test_the_json_is_exact_and_deterministic() -> None:
    story = Story(EVERYTHING, atr="1.3333333333333333", fills=Fills.REPORTED)
    story.position("0.182", "88126.16000", margin="801.2", liquidation_price="80000")
    state = state_of(story.machine())
    again = from_json(to_json(state))
    assert again == state
    assert to_json(again) == to_json(state)
    assert str(again.entry) == "88126.16000"
    assert again.plan == story.plan
    assert again.plan.ladder is not None
    assert isinstance(again.plan.ladder.rule[1].value, Decimal)


def test_a_state_is_a_value() -> None:
    story = Story(EVERYTHING, atr="1", fills=Fills.REPORTED)
    story.tick("100")
    story.position(1, 100)
    state = state_of(story.machine())
    before = to_json(state)
    story.tick("101", "102", "103", "95", "90")
    assert to_json(state) == before
    assert state.stop_price == D(98)
    assert state.key == (SYMBOL, "LONG")
    assert (state.quantity, state.initial_quantity) == (D(1), D(1))
    assert (state.stop_kind, state.exiting) == ("stop_loss", False)
    assert state_of(story.machine()).exiting


def test_a_short_stop_is_told_as_a_price() -> None:
    story = Story("[stop]\npct = 0.01")
    story.tick("100")
    story.position(1, 100, side="SHORT")
    state = state_of(story.machine("SHORT"))
    assert (state.stop.x, state.stop_price, state.price(None)) == (D(-101), D(101), None)


def test_filters_may_have_changed_meanwhile() -> None:
    story = Story("[stop]\npct = 0.01\n[trailing]\nactivate = 'in_profit'\npct = 0.01")
    story.tick("100")
    story.position(1, "100.123")
    state = state_of(story.machine())
    machine = restore(state, fills=Fills.AT_TRIGGER, filters=Filters(D("0.5")))
    assert machine.stop_price == story.machine().stop_price == D("99.12177")
    machine.on_tick(D("110.2"), double=110.2, is_short=True, t_ns=START_NS, tick=2)
    assert machine.stop_price == D("109.0")


def said_after(story: Story, prices: Sequence[str]) -> list[str]:
    cut(story.engine)
    return story.tick(*prices)


def test_a_restart_does_not_act_on_its_own() -> None:
    """The next tick decides; a peak from before it counts, and no rung fires twice."""
    story = Story(EVERYTHING, atr="1", fills=Fills.AT_TRIGGER)
    story.tick("100")
    story.position(1, 100)
    story.tick("101.05")
    stop = story.stop()
    assert said_after(story, ["101.05"]) == []
    assert story.stop() == stop
    assert said_after(story, ["100.5"]) == []  # the first of two ticks through the stop
    assert said_after(story, ["100.5"])[0].startswith("exit trailing_stop")


def test_a_stop_loosened_by_hand_is_still_that_after_a_restart() -> None:
    """Rules take over again beyond where the stop stood before, not below it."""
    story = Story("[stop]\npct = 0.01\n[trailing]\nactivate = 'in_profit'\npct = 0.01")
    story.tick("100")
    story.position(1, 100)
    story.tick("102")
    assert story.stop() == "trailing_stop 100.98"
    story.set_stop("90")
    assert said_after(story, ["101.9"]) == []
    assert story.stop() == "manual 90"
    assert said_after(story, ["103"]) == ["stop trailing_stop 101.97"]
