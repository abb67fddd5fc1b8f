"""Hard stops against the simulated exchange and its faults."""

import asyncio
from decimal import Decimal

import pytest
from hard_stop_room import START_MS, SYMBOL, Room, virtually

from reactor.audit import OrderAnswered, OrderSent
from reactor.config import HardStopConfig
from reactor.core.decisions import Closed, Reason, StopKind, StopMoved
from reactor.core.hard_stop_values import HardStopState
from reactor.sim.virtual_loop import run_virtually


def moved(stop: str, *, kind: StopKind = StopKind.TRAILING_STOP, epoch: int = 1) -> StopMoved:
    return StopMoved(
        t_ns=0,
        tick=1,
        symbol=SYMBOL,
        side="LONG",
        epoch=epoch,
        kind=kind,
        stop=Decimal(stop),
        price=Decimal(81_000),
    )


def closed(epoch: int = 1) -> Closed:
    return Closed(
        t_ns=0,
        tick=1,
        symbol=SYMBOL,
        side="LONG",
        epoch=epoch,
        reason=Reason.STOP_LOSS,
        realized=None,
        r_multiple=None,
    )


async def guarded(**options: bool) -> Room:
    """A long of 0.5 BTC at about 81 200, its stop at 80 000, and the hard stop standing."""
    room = Room(**options)
    room.trade("0.5")
    room.start()
    room.guard()
    await asyncio.sleep(0.5)
    return room


@pytest.mark.parametrize("hedge", [False, True])
def test_it_stands_moves_and_goes(hedge: bool) -> None:
    async def story() -> None:
        room = await guarded(hedge=hedge)
        assert room.open_stops() == [("79600", "0.5")]
        room.stops.on_decision(moved("80500"))
        await asyncio.sleep(1.5)
        assert room.open_stops() == [("80097.5", "0.5")]
        room.trade("0.2")
        room.guard(stop="80500", quantity="0.7")
        await asyncio.sleep(0.5)
        assert room.open_stops() == [("80097.5", "0.7")]
        room.trade("-0.7")
        room.stops.on_decision(closed())
        await asyncio.sleep(0.5)
        assert room.open_stops() == []
        assert room.alarms() == []
        await room.kill()

    run_virtually(story())


@virtually
async def test_both_sides_of_a_symbol_in_hedge_mode() -> None:
    room = await guarded(hedge=True)
    room.trade("-0.3", side="SHORT")
    room.guard(side="SHORT", quantity="0.3", stop="82000")
    await asyncio.sleep(0.5)
    assert sorted(room.open_stops()) == [("79600", "0.5"), ("82410", "0.3")]
    room.price("82500")
    await asyncio.sleep(0.5)
    assert room.held("SHORT") == 0
    assert room.held("LONG") == Decimal("0.5")
    room.stops.on_end(SYMBOL, "SHORT", 1)
    await asyncio.sleep(1)
    assert room.open_stops() == [("79600", "0.5")]
    assert room.inbox.commands == []
    await room.kill()


@pytest.mark.parametrize("hedge", [False, True])
def test_when_nobody_acts_a_crash_fires_it_at_the_exchange(hedge: bool) -> None:
    async def story() -> None:
        room = await guarded(hedge=hedge)
        await room.kill()
        room.price("79000")
        await asyncio.sleep(0.5)
        assert room.held() == 0

    run_virtually(story())


@virtually
async def test_a_triggered_one_is_followed_without_a_second_close() -> None:
    room = await guarded()
    room.price("79000")
    await asyncio.sleep(0.5)
    assert room.held() == 0
    assert "triggering" in room.states()
    room.stops.on_decision(closed())
    await asyncio.sleep(5)
    assert room.inbox.commands == []
    assert room.alarms() == []
    await room.kill()


@pytest.mark.parametrize(
    ("fault", "seconds"),
    [
        ({"do": "stuck_triggering"}, 2.5),
        ({"do": "trigger_delay", "ms": 60_000}, 2.5),
        ({"do": "trigger_reject", "text": "margin"}, 0.5),
    ],
)
def test_one_that_does_not_work_is_closed_without(fault: dict[str, object], seconds: float) -> None:
    async def story() -> None:
        room = await guarded()
        room.fault(**fault, at={"symbol": SYMBOL})
        room.price("79000")
        await asyncio.sleep(seconds)
        assert room.held() == Decimal("0.5")
        assert [c.command for c in room.inbox.commands] == ["close_stop"]
        assert room.inbox.commands[0].by == "hard_stop"
        assert room.alarms() == ["hard_stop_failed"]
        await room.kill()

    run_virtually(story())


@virtually
async def test_a_close_never_reaches_the_next_epoch() -> None:
    room = await guarded()
    room.fault(do="stuck_triggering", at={"symbol": SYMBOL})
    room.price("79000")
    await asyncio.sleep(1.9)
    room.trade("-0.5")
    room.stops.on_decision(closed())
    room.trade("0.5")
    room.guard(epoch=2, stop="70000")
    await asyncio.sleep(10)
    assert room.inbox.commands == []
    assert room.view().state == "standing"
    await room.kill()


@pytest.mark.parametrize("told", [True, False])
def test_one_that_vanishes_is_noticed_and_placed_again(told: bool) -> None:
    async def story() -> None:
        room = Room()
        room.fault(do="vanish", ms=1500, event=told, at={"symbol": SYMBOL})
        room.trade("0.5")
        room.start()
        room.guard()
        await asyncio.sleep(2.5 if told else 20)
        assert room.open_stops() == [("79600", "0.5")]
        assert room.alarms() == ["hard_stop_gone"]
        assert room.view().state == "standing"
        await room.kill()

    run_virtually(story())


@virtually
async def test_one_that_lists_do_not_show_yet_is_not_doubled() -> None:
    room = Room(streams=False)
    room.fault(do="algo_invisible", ms=9000, at={"symbol": SYMBOL})
    room.trade("0.5")
    room.start()
    room.guard()
    await asyncio.sleep(60)
    assert len(room.open_stops()) == 1
    assert room.stops.requests["Place"] == 1
    assert room.alarms() == []
    await room.kill()


@virtually
async def test_one_invisible_for_minutes_leaves_no_double_behind() -> None:
    room = Room(streams=False)
    room.fault(do="algo_invisible", ms=120_000, at={"symbol": SYMBOL})
    room.trade("0.5")
    room.start()
    room.guard()
    for _ in range(10):
        await asyncio.sleep(60)
        rows = await room.client.get(
            "/fapi/v1/openAlgoOrders", {"symbol": SYMBOL}, purpose="account", signed=True
        )
        room.stops.on_snapshot(rows)
    assert room.open_stops() == [("79600", "0.5")]
    assert room.view().surplus_since_ns is None
    assert room.stops.requests["Place"] <= 6
    await room.kill()


@pytest.mark.parametrize(
    ("fault", "places"),
    [
        ({"do": "unknown_executed"}, 1),
        ({"do": "error_after", "code": -1001, "status": 500}, 1),
        ({"do": "drop", "how": "reset", "executed": True}, 1),
        ({"do": "hang", "executed": True}, 1),
        ({"do": "not_json"}, 1),
        ({"do": "unknown_lost"}, 2),
        ({"do": "drop", "how": "reset", "executed": False}, 2),
        ({"do": "hang", "executed": False}, 2),
        ({"do": "error", "code": -1008, "status": 503}, 2),
        ({"do": "error", "code": -4509, "status": 400}, 2),
        ({"do": "error", "code": -2021, "status": 400}, 2),
        ({"do": "error", "code": -4130, "status": 400}, 2),
    ],
)
@pytest.mark.parametrize("streams", [True, False])
def test_whatever_a_placement_meets_one_stop_stands_in_the_end(
    fault: dict[str, object], places: int, streams: bool
) -> None:
    async def story() -> None:
        room = Room(streams=streams)
        room.fault(**fault, at={"path": "/fapi/v1/algoOrder", "method": "POST"})
        room.trade("0.5")
        room.start()
        room.guard()
        await asyncio.sleep(40)
        assert room.open_stops() == [("79600", "0.5")]
        assert room.view().state == "standing"
        assert room.stops.requests["Place"] == places
        assert room.inbox.commands == []
        await room.kill()

    run_virtually(story())


@virtually
async def test_an_order_rate_that_is_used_up_is_waited_for() -> None:
    room = Room()
    room.fault(do="error", code=-1015, status=429, at={"method": "POST"})
    room.trade("0.5")
    room.start()
    room.guard()
    await asyncio.sleep(40)
    assert room.open_stops() == [("79600", "0.5")]
    assert room.stops.requests["Place"] <= 10
    await room.kill()


@pytest.mark.parametrize("code", [-4045, -2015])
def test_what_only_a_person_can_mend_is_told_and_tried_slowly(code: int) -> None:
    async def story() -> None:
        room = Room()
        room.fault(do="error", code=code, status=400, count=0, at={"method": "POST"})
        room.trade("0.5")
        room.start()
        room.guard()
        await asyncio.sleep(600)
        assert len(room.alarms()) == 1
        assert room.view().state == "failed"
        assert room.stops.requests["Place"] <= 21
        await room.kill()

    run_virtually(story())


@virtually
async def test_a_price_already_beyond_it_closes_the_position() -> None:
    room = Room()
    room.trade("0.5")
    room.price("79000")
    room.start()
    room.guard()
    await asyncio.sleep(0.5)
    assert [c.command for c in room.inbox.commands] == ["close_stop"]
    assert room.open_stops() == []
    await room.kill()


@virtually
async def test_a_price_beyond_it_and_no_position_asks_instead_of_closing() -> None:
    room = Room()
    room.price("79000")
    room.start()
    room.guard()
    await asyncio.sleep(0.5)
    assert room.inbox.commands == []
    assert len(room.causes) == 1
    await room.kill()


@virtually
async def test_a_crash_of_the_process_and_a_restart_leave_one_stop() -> None:
    room = await guarded()
    state = room.saved[-1]
    await room.kill()
    room.stops = room.executor()
    room.stops.restore([state])
    room.start()
    room.guard()
    room.stops.know_positions()
    await asyncio.sleep(10)
    assert room.open_stops() == [("79600", "0.5")]
    assert "Place" not in room.stops.requests
    await room.kill()


@virtually
async def test_killed_between_the_order_and_the_journal() -> None:
    """Nothing was written down: the same id is made again, refused as a double, and found standing."""
    room = await guarded()
    await room.kill()
    room.stops = room.executor()
    room.start()
    room.guard()
    room.stops.know_positions()
    await asyncio.sleep(10)
    assert room.open_stops() == [("79600", "0.5")]
    assert room.view().state == "standing"
    await room.kill()


@virtually
async def test_a_restart_into_flat_cancels_what_it_left() -> None:
    room = await guarded()
    states: list[HardStopState] = [room.saved[-1]]
    await room.kill()
    room.trade("-0.5")
    room.stops = room.executor()
    room.stops.restore(states)
    room.start()
    room.stops.know_positions()
    await asyncio.sleep(1)
    assert room.open_stops() == []
    await room.kill()


@virtually
async def test_what_is_to_be_journaled_is_told_before_it_is_sent() -> None:
    room = await guarded()
    first = room.saved[0]
    sent = next(e.what for e in room.events if isinstance(e.what, OrderSent))
    assert [stop.client_id for stop in first.stops] == [sent.client_id]
    assert sent.purpose == "hard_stop"
    answered = next(e.what for e in room.events if isinstance(e.what, OrderAnswered))
    assert answered.outcome == "accepted"
    assert room.states() == ["placing", "standing"]
    await room.kill()


@virtually
async def test_other_peoples_orders_stay() -> None:
    room = await guarded()
    answer = await room.client.send(
        "POST",
        "/fapi/v1/algoOrder",
        {
            "algoType": "CONDITIONAL",
            "symbol": SYMBOL,
            "side": "SELL",
            "type": "STOP_MARKET",
            "triggerPrice": "70000",
            "closePosition": "true",
            "clientAlgoId": "by-hand",
        },
        purpose="protect",
    )
    assert answer.status == 200
    room.stops.know_positions()
    room.stops.on_decision(moved("80500"))
    await asyncio.sleep(5)
    room.stops.on_decision(closed())
    await asyncio.sleep(5)
    assert [trigger for trigger, _ in room.open_stops()] == ["70000"]
    await room.kill()


@virtually
async def test_an_operator_may_loosen_it() -> None:
    room = await guarded()
    room.stops.on_decision(moved("78000"))  # not by hand: stays
    await asyncio.sleep(2)
    assert room.open_stops() == [("79600", "0.5")]
    room.stops.on_decision(moved("80000"))
    room.stops.on_decision(moved("78000", kind=StopKind.MANUAL))
    await asyncio.sleep(2)
    assert room.open_stops() == [("77610", "0.5")]
    await room.kill()


@virtually
async def test_switched_off_nothing_is_sent_and_that_is_said() -> None:
    room = Room()
    room.stops = room.executor(config=HardStopConfig(enabled=False))
    room.trade("0.5")
    room.start()
    room.guard()
    await asyncio.sleep(5)
    assert room.open_stops() == []
    assert room.stops.view(SYMBOL, "LONG") is None
    await room.kill()


@virtually
async def test_quiet_minutes_cost_no_request() -> None:
    room = await guarded()
    await asyncio.sleep(10)
    before = dict(room.stops.requests)
    await asyncio.sleep(900)
    assert room.stops.requests == before
    assert room.clock.now_ns() > START_MS * 1_000_000
    await room.kill()


@virtually
async def test_the_confirmed_stop_is_told_to_reconciliation() -> None:
    room = await guarded()
    (known,) = room.stops.known_stops()[SYMBOL, "LONG"]
    assert (known.client_id, known.trigger) == (room.view().client_id, Decimal(79600))
    await room.kill()
