"""Orders that lie ready: the order first, everything else a turn later, and nothing decided otherwise for it."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from guard_room import PLAN, Room
from hypothesis import given, settings
from hypothesis import strategies as st

from reactor.core.decisions import Exit
from reactor.core.machine import Machine
from reactor.shell.assembly import order_ids
from reactor.shell.gateway.aiming import Aim, Fired
from reactor.shell.gateway.frames import MarketFrames
from reactor.shell.inbox import Command
from reactor.shell.shots import Shots

D = Decimal

pytestmark = pytest.mark.usefixtures("written")


class Gun:
    """Fires into a list; the room's sender claims what it is then asked to send."""

    def __init__(self, room: Room) -> None:
        self.fired: list[str] = []
        self.practised = 0
        self._left: dict[str, Fired] = {}
        self._frames = MarketFrames(None, 5000)
        self.claims = True
        room.sender.on_send = self._claim

    def _claim(self, exit_: Exit) -> None:
        fired = self._left.get(exit_.order_id)
        if fired is not None and self.claims and fired.params["quantity"] == str(exit_.quantity):
            del self._left[exit_.order_id]

    def aim(self, machine: Machine, order_id: str) -> Aim:
        params = {
            "symbol": machine.symbol,
            "side": "SELL",
            "type": "MARKET",
            "quantity": str(machine.orders.quantity),
            "newClientOrderId": order_id,
        }
        aim = Aim(
            symbol=machine.symbol,
            quantity=machine.orders.quantity,
            number=machine.orders.number,
            order_id=order_id,
            identity=order_id,
            params=params,
            hedge=False,
            filters=None,
            begun=self._frames.begin(order_id, params),
            recv_window_ms=5000,
        )
        aim.sign(1, now_ns=0)
        return aim

    def sign(self, aim: Aim, now_ns: int) -> None:
        aim.sign(now_ns // 1_000_000, now_ns=now_ns)

    def fire(self, aim: Aim, now_ns: int, *, is_practice: bool = False) -> bool:
        if aim.identity in self._left:
            return False
        if is_practice:
            self.practised += 1
            return False
        self.fired.append(aim.symbol)
        self._left[aim.identity] = Fired(aim, decided_ns=now_ns, sent_ns=now_ns)
        return True

    def unclaimed(self) -> list[Fired]:
        left = list(self._left.values())
        self._left.clear()
        return left


SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")


async def armed(
    *, practises: bool = False, plan: str = PLAN, entry: str = "100"
) -> tuple[Room, Gun]:
    """Three positions from 100 with their stops at 99, and an order ready for each."""
    room = Room(toml=plan)
    gun = Gun(room)
    shots = Shots(
        room.guard.pump.engine, gun, order_ids("room"), audit=room.audit, clock=room.clock
    )
    room.guard.fire_ahead(shots, practises=practises)
    for symbol in SYMBOLS:
        room.tick(f"{entry}.0", symbol)
        room.position("2", entry, symbol=symbol)
    await asyncio.sleep(0)
    assert set(shots.last) == set(SYMBOLS)
    return room, gun


async def turns(count: int = 3) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_the_order_leaves_in_the_turn_of_its_tick_and_the_rest_follows() -> None:
    room, gun = await armed()
    before = len(room.tape.lines)
    room.tick("99.0")
    assert gun.fired == ["BTCUSDT"]
    assert room.sender.exits == []
    assert room.tape.channels[before:] == []
    await turns()
    assert gun.fired == ["BTCUSDT"]
    assert [exit_.symbol for exit_ in room.sender.exits] == ["BTCUSDT"]
    assert room.tape.channels[before:] == ["market in", "order out"]
    assert room.decided[-1] == "Exit"
    assert room.alarms == []


async def test_other_symbols_orders_do_not_wait_for_what_follows_from_the_first() -> None:
    room, gun = await armed()
    before = len(room.tape.lines)
    room.tick("98.9")
    room.tick("99.5", "SOLUSDT")
    room.tick("98.9", "ETHUSDT")
    room.tick("98.0")
    room.tick("98.9", "SOLUSDT")
    assert gun.fired == ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
    assert room.sender.exits == []
    await turns()
    assert gun.fired == ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
    assert [exit_.symbol for exit_ in room.sender.exits] == ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
    assert room.tape.channels[before:] == [
        "market in",
        "order out",
        "market in",
        "market in",
        "order out",
        "market in",
        "market in",
        "order out",
    ]
    times = [t_ns for t_ns, *_ in room.tape.lines]
    assert times == sorted(times)
    assert room.alarms == []


async def test_whatever_comes_in_between_finds_the_decision_made() -> None:
    room, gun = await armed()
    room.tick("99.0")
    assert room.decided[-1] != "Exit"
    room.position("0")
    assert gun.fired == ["BTCUSDT"]
    assert [exit_.symbol for exit_ in room.sender.exits] == ["BTCUSDT"]
    assert room.decided[-2:] == ["Exit", "OrdersCancelled"]
    await turns()
    assert len(room.sender.exits) == 1
    assert room.alarms == []


async def test_stopping_leaves_no_price_undecided() -> None:
    room, _ = await armed()
    room.tick("99.0")
    room.guard.stop()
    assert [exit_.symbol for exit_ in room.sender.exits] == ["BTCUSDT"]


async def test_what_nobody_decided_is_told_recorded_and_ends_firing_ahead() -> None:
    room, gun = await armed()
    gun.claims = False
    before = len(room.tape.lines)
    room.tick("99.0")
    await turns()
    assert [alarm.kind for alarm in room.alarms] == ["unclaimed_order"]
    assert room.tape.channels[before:].count("order out") == 2
    room.tick("98.0", "ETHUSDT")
    await turns()
    assert gun.fired == ["BTCUSDT"]
    assert [exit_.symbol for exit_ in room.sender.exits] == ["BTCUSDT", "ETHUSDT"]


async def test_a_symbol_that_is_not_looked_at_any_more_fires_nothing() -> None:
    room, gun = await armed()
    room.guard.faulted["BTCUSDT"] = "broken"
    room.tick("98.0", "ETHUSDT")
    room.tick("98.0")
    await turns()
    assert gun.fired == []
    assert [exit_.symbol for exit_ in room.sender.exits] == ["ETHUSDT"]


async def test_practice_follows_prices_and_sends_nothing() -> None:
    room, gun = await armed(practises=True)
    for _ in range(5):
        room.after(0.01).tick("100.1")
        await turns(1)
    assert gun.practised >= 4
    assert gun.fired == []
    assert room.sender.exits == []


async def test_a_read_of_many_frames_is_looked_through_for_orders_before_it_is_decided_on() -> None:
    room, gun = await armed()
    before = len(room.tape.lines)
    for _ in range(50):
        room.tick("99.9", more=True)
    assert room.tape.channels[before:] == []
    room.tick("98.9", more=True)
    assert gun.fired == ["BTCUSDT"]
    room.tick("100.1")
    assert room.sender.exits == []
    await turns()
    assert [exit_.symbol for exit_ in room.sender.exits] == ["BTCUSDT"]
    assert room.tape.channels[before:] == ["market in"] * 51 + ["order out", "market in"]


async def test_a_price_that_may_change_what_the_next_one_means_leaves_that_to_the_engine() -> None:
    room, gun = await armed()
    room.tick("101.0", more=True)  # a new peak: the stop follows it
    room.tick("98.9", more=True)
    assert gun.fired == []
    await turns()
    assert [exit_.symbol for exit_ in room.sender.exits] == ["BTCUSDT"]
    assert room.alarms == []


async def test_a_price_with_fewer_digits_than_the_stop_is_beyond_it_too() -> None:
    room, gun = await armed(entry="1011")  # the stop lies at 1000.8
    room.tick("999.9")
    assert gun.fired == ["BTCUSDT"]
    await turns()
    assert [exit_.symbol for exit_ in room.sender.exits] == ["BTCUSDT"]
    assert room.alarms == []


@pytest.mark.parametrize(("before_s", "fired"), [(0.2, ["BTCUSDT"]), (0.03, [])])
async def test_no_order_leaves_ahead_shortly_before_something_is_due(
    before_s: float, fired: list[str]
) -> None:
    room, gun = await armed(plan=f"{PLAN}[time_stop]\nseconds = 5\n")
    machine = room.guard.positions["BTCUSDT", "LONG"]
    assert machine.time_stop_ns is not None
    room.after((machine.time_stop_ns - room.clock.ns) / 1e9 - before_s)
    room.tick("98.9")
    assert gun.fired == fired
    await turns()
    assert [exit_.reasons for exit_ in room.sender.exits] == [("stop_loss",)]
    assert room.alarms == []


async def test_a_frame_that_came_already_fires_nothing() -> None:
    room, gun = await armed()
    room.tick("100.1", more=True)
    room.tick("98.9", trade_id=room.trade_id, more=True)
    assert gun.fired == []
    await turns()
    assert room.sender.exits == []


PRICES = st.one_of(
    st.sampled_from(["100.0", "100.1", "99.9", "99.0", "98.9", "98.0", "102.0", "101.5", "60.0"]),
    st.integers(980, 1030).map(lambda tenths: f"{tenths // 10}.{tenths % 10}"),
    st.sampled_from(["9", "99.0000000000000001", "1e2", "nan", ""]),
)
FRAMES = st.tuples(
    st.sampled_from(SYMBOLS[:2]),
    PRICES,
    st.sampled_from([1, 1, 1, 1, 0, -1, 10**10]),
    st.sampled_from([0.001, 0.001, 0.02, 299.0, 400.0]),
)
# How many turns of the loop pass before a read: none of them, and it meets what the one before it left undone.
READS = st.lists(
    st.tuples(st.integers(0, 4), st.lists(FRAMES, min_size=1, max_size=6)), min_size=1, max_size=8
)
Reads = list[tuple[int, list[tuple[str, str, int, float]]]]


async def _session(reads: Reads, plan: str, *, ready: bool) -> Any:
    room = Room(toml=plan)
    gun = Gun(room)
    if ready:
        shots = Shots(
            room.guard.pump.engine, gun, order_ids("room"), audit=room.audit, clock=room.clock
        )
        room.guard.fire_ahead(shots, practises=True)
    for symbol in SYMBOLS[:2]:
        room.tick("100.0", symbol)
        room.position("2", symbol=symbol)
    for wait, read in reads:
        await turns(wait)
        for number, (symbol, price, step, seconds) in enumerate(read, 1):
            room.after(seconds)
            room.tick(
                price, symbol, trade_id=room.trade_id + step, more=ready and number < len(read)
            )
    await turns()
    exits = [(exit_.order_id, exit_.quantity, exit_.reasons) for exit_ in room.sender.exits]
    return gun.fired, exits, room.decided, room.tape.lines, [one.kind for one in room.alarms]


WIDE = 'name = "room"\ntrigger = "last"\nmax_tick_jump_pct = 0.02\n[stop]\npct = 0.01\n'


@settings(max_examples=300)
@given(READS, st.sampled_from([PLAN, WIDE]))
def test_ready_orders_change_nothing_but_when_an_order_leaves(reads: Reads, plan: str) -> None:
    fired, *ready = asyncio.run(_session(reads, plan, ready=True))
    _, *plain = asyncio.run(_session(reads, plan, ready=False))
    assert ready == plain
    assert len(fired) <= len(ready[0])


async def test_no_order_is_aimed_while_prices_wait_to_be_decided_on() -> None:
    room, gun = await armed(entry="500")
    room.tick("504.5")  # the stop follows: to be aimed anew, in the next turn
    room.tick("494.0", "ETHUSDT")  # an order leaves: one more turn is waited for
    room.tick("510.0")  # takes a rung, when it is decided on
    await turns(1)
    room.tick("501.0")
    await turns(4)
    assert gun.fired == ["ETHUSDT"]
    sent = [(exit_.symbol, exit_.full) for exit_ in room.sender.exits]
    assert sent == [("ETHUSDT", True), ("BTCUSDT", False), ("BTCUSDT", True)]
    assert room.alarms == []


async def test_a_price_that_would_make_the_next_one_suspicious_leaves_it_to_the_engine() -> None:
    plan = 'name = "room"\ntrigger = "last"\n[stop]\npct = 0.08\n'
    room, gun = await armed(plan=plan, entry="500")
    for price in ("520.0", "540.0", "544.0"):
        room.tick(price)
        await turns()
    room.guard.command(Command(command="resume", symbol="BTCUSDT", side="LONG", by="operator"))
    await turns()
    room.tick("587.5", more=True)
    room.tick("457.5")
    await turns()
    assert gun.fired == []
    assert room.sender.exits == []
    assert "unclaimed_order" not in [alarm.kind for alarm in room.alarms]


async def test_a_tick_that_fires_nothing_leaves_the_order_ready() -> None:
    room, gun = await armed()
    room.tick("100.5", "ETHUSDT")  # more digits than its stop: looked at twice
    await turns()
    room.tick("98.9", "ETHUSDT")
    assert gun.fired == ["ETHUSDT"]


async def test_a_fault_while_firing_is_told_and_leaves_it_to_the_engine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    room, gun = await armed()

    def broken(*_: object, **__: object) -> bool:
        raise RuntimeError("boom")

    monkeypatch.setattr(gun, "fire", broken)
    room.tick("99.9", more=True)
    room.tick("98.9", more=True)
    room.tick("98.8", more=True)
    room.tick("98.9", "ETHUSDT")
    await turns()
    assert [exit_.symbol for exit_ in room.sender.exits] == ["BTCUSDT", "ETHUSDT"]
    # Once for each symbol: what follows in the same read is not tried again.
    assert [alarm.kind for alarm in room.alarms] == ["fault", "fault"]


async def test_ending_leaves_no_price_undecided() -> None:
    room, gun = await armed()
    room.tick("99.0")
    room.guard.end()
    assert gun.fired == ["BTCUSDT"]
    assert [exit_.symbol for exit_ in room.sender.exits] == ["BTCUSDT"]
    assert room.tape.channels[-1] == "link in"


async def test_what_a_decision_tells_stands_on_the_tape_before_later_frames_of_its_read() -> None:
    room, _ = await armed()

    def tell(_decisions: object, _t_ns: int) -> None:
        if len(room.sender.exits) == 1:
            room.after(0.01)
            room.guard.command(Command(command="pause", symbol="SOLUSDT", side="LONG", by="test"))

    room.guard.after.append(tell)
    room.tick("98.9", more=True)
    room.tick("98.9", "ETHUSDT", more=True)
    room.tick("98.9", "SOLUSDT")
    await turns()
    times = [t_ns for t_ns, *_ in room.tape.lines]
    assert times == sorted(times)
    assert len(room.sender.exits) == 3
    assert room.alarms == []
