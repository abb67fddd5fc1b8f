"""The guard: sends first, records in order, tells afterwards; faults reach nobody else."""

import asyncio
from decimal import Decimal

import pytest
from guard_room import Room

from reactor.audit import PositionGone, PositionSeen
from reactor.core.lifecycle import State
from reactor.errors import InvariantError
from reactor.shell.inbox import Command, Link

D = Decimal

pytestmark = pytest.mark.usefixtures("written")


async def guarded(**options: object) -> Room:
    room = Room(**options)  # type: ignore[arg-type] # the room's own
    room.tick("100")
    room.position("2")
    return room


async def test_an_order_leaves_before_anything_is_written_and_stands_behind_its_tick() -> None:
    room = await guarded()
    before = len(room.tape.lines)
    seen: list[int] = []
    room.sender.on_send = lambda _exit: seen.append(len(room.tape.lines))
    room.tick("99")
    assert seen == [before]
    assert room.tape.channels[before:] == ["market in", "order out"]
    assert [exit_.quantity for exit_ in room.sender.exits] == [D(2)]
    assert room.decided[-1] == "Exit"


async def test_a_dry_run_decides_and_sends_nothing() -> None:
    room = await guarded(mode="dry_run")
    room.tick("99")
    assert room.sender.exits == []
    assert "order out" not in room.tape.channels
    assert room.decided[-3:] == ["Exit", "OrdersCancelled", "Closed"]
    # The real position is still there, and stays closed here.
    room.position("2")
    room.position("3")
    assert room.guard.positions == {}
    room.position("0")
    room.position("1")
    assert ("BTCUSDT", "LONG") in room.guard.positions


async def test_what_is_told_while_deciding_comes_after_that_decision() -> None:
    room = await guarded()

    def tell(_decisions: object, _t_ns: int) -> None:
        if room.sender.exits and len(room.sender.exits) == 1:
            room.guard.command(Command(command="pause", symbol="BTCUSDT", side="LONG", by="test"))

    room.guard.after.append(tell)
    room.tick("102")
    assert room.tape.channels[-3:] == ["market in", "order out", "control in"]
    assert room.guard.positions["BTCUSDT", "LONG"].paused


async def test_times_on_the_tape_never_run_backwards() -> None:
    room = await guarded()
    room.after(-5)
    room.tick("100.1")
    times = [t_ns for t_ns, *_ in room.tape.lines]
    assert times == sorted(times)


async def test_a_fault_while_sending_makes_the_outcome_unknown_and_is_told() -> None:
    room = await guarded()
    room.position("1", symbol="ETHUSDT")
    room.sender.fail = RuntimeError("boom")
    room.tick("99")
    machine = room.guard.positions["BTCUSDT", "LONG"]
    assert machine.orders.state is State.CLOSING_UNKNOWN
    assert room.sender.asked == [machine.orders.full.exit.order_id if machine.orders.full else ""]
    assert [alarm.kind for alarm in room.alarms] == ["fault"]
    assert "boom" in room.alarms[0].text


async def test_a_listener_that_raises_keeps_nobody_from_hearing() -> None:
    room = await guarded()
    heard: list[int] = []

    def bad(_decisions: object, _t_ns: int) -> None:
        raise ValueError("mine")

    room.guard.after.insert(0, bad)
    room.guard.after.append(lambda _decisions, t_ns: heard.append(t_ns))
    room.tick("99")
    assert heard
    assert [alarm.kind for alarm in room.alarms] == ["fault"]


async def test_a_broken_invariant_stops_that_symbol_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    room = await guarded()
    room.tick("100", symbol="ETHUSDT")
    room.position("3", symbol="ETHUSDT")
    machine = room.guard.positions["BTCUSDT", "LONG"]

    def broken(*_: object, **__: object) -> None:
        raise InvariantError("BTCUSDT: more than is open")

    monkeypatch.setattr(type(machine.orders), "want_full", broken)
    before = len(room.tape.lines)
    room.tick("99")
    monkeypatch.undo()
    assert room.tape.channels[before:] == ["market in"], "what broke it is on the tape"
    assert room.guard.faulted == {"BTCUSDT": "BTCUSDT: more than is open"}
    assert [alarm.kind for alarm in room.alarms] == ["invariant"]
    lines = len(room.tape.lines)
    room.tick("98")
    assert room.sender.exits == []
    assert len(room.tape.lines) == lines + 1, "what came is recorded all the same"
    room.tick("98", symbol="ETHUSDT")
    assert [exit_.symbol for exit_ in room.sender.exits] == ["ETHUSDT"]


async def test_the_clock_fires_what_is_due_without_a_tick() -> None:
    room = Room(toml='name = "t"\ntrigger = "last"\n[stop]\npct = 0.1\n[time_stop]\nseconds = 5\n')
    room.tick("100")
    room.position("2")
    assert room.sender.exits == []
    room.after(5)
    room.guard._on_timer()
    assert [exit_.reasons for exit_ in room.sender.exits] == [("time_stop",)]


async def test_asking_ends_when_the_engine_knows() -> None:
    room = await guarded()
    room.tick("99")
    order_id = room.sender.exits[0].order_id
    room.guard.command(
        Command(
            command="outcome", symbol="BTCUSDT", side="LONG", order_id=order_id, event="unknown"
        )
    )
    assert room.sender.asked == [order_id]
    assert room.sender.settled_ids == []
    result = {
        "symbol": "BTCUSDT",
        "clientOrderId": order_id,
        "status": "FILLED",
        "executedQty": "2",
    }
    room.answer(1, status=200, result=result)
    assert room.guard.positions["BTCUSDT", "LONG"].orders.state is State.SETTLING
    room.position("0")
    assert room.sender.settled_ids == [order_id]
    assert room.sender.answers


async def test_a_position_is_told_when_it_changes_and_when_it_goes() -> None:
    room = await guarded()
    room.guard.show_all()
    seen = [event.what for event in room.events if isinstance(event.what, PositionSeen)]
    assert seen[-1].quantity == 2
    assert seen[-1].stop == D(99)
    told = len(room.events)
    room.guard.show_all()
    assert len(room.events) == told, "nothing changed, nothing is told"
    room.position("0")
    assert any(isinstance(event.what, PositionGone) for event in room.events)


async def test_the_last_mark_price_of_each_symbol_is_known() -> None:
    room = await guarded()
    room.mark("100.5")
    assert room.guard.mark_price["BTCUSDT"] == "100.5"
    assert room.guard.mark_seen_ns["BTCUSDT"] == room.clock.ns


async def test_after_the_word_to_stop_no_price_is_looked_at() -> None:
    room = await guarded()
    room.guard.stop()
    lines = len(room.tape.lines)
    room.tick("50")
    assert room.sender.exits == []
    assert len(room.tape.lines) == lines
    room.position("1")
    assert room.guard.positions["BTCUSDT", "LONG"].orders.quantity == 1
    room.guard.end()
    await asyncio.sleep(0)


async def test_sockets_are_told_and_recorded() -> None:
    room = await guarded()
    told: list[str] = []
    room.guard.links.append(lambda link, _t_ns: told.append(link.state))
    room.guard.link(Link(state="source", stream="market", symbol="BTCUSDT", source="rest"))
    assert room.guard.sources == {"BTCUSDT": "rest"}
    room.guard.link(Link(state="down", stream="market", reason="reset", gap=True))
    assert told == ["source", "down"]
    assert room.tape.channels[-2:] == ["link in", "link in"]


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"{",
        b"null",
        b'{"stream":"x","data":{"e":"aggTrade"}}',
        b'{"result":null,"id":1}',
        b"\xff",
    ],
)
async def test_nonsense_is_recorded_counted_and_harmless(frame: bytes) -> None:
    room = await guarded()
    room.guard.market("market", frame)
    room.guard.private(frame)
    room.guard.order_answer(frame)
    room.tick("99")
    assert len(room.sender.exits) == 1
