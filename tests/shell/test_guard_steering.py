"""Operators' commands: what is refused, what is done, and that it is one line of the tape."""

from decimal import Decimal

import pytest
from guard_room import Room

from reactor.errors import ConfigError
from reactor.shell.guard_steering import GuardSteering

D = Decimal


@pytest.fixture
async def room() -> Room:
    room = Room()
    room.tick("100")
    room.position("2")
    return room


async def test_a_stop_at_or_through_the_price_is_refused_unless_now(room: Room) -> None:
    steering = GuardSteering(lambda: room.guard)
    for price in ("100", "101"):
        with pytest.raises(ConfigError, match="at or through the price 100"):
            await steering.set_stop("BTCUSDT", None, D(price), now=False)
    assert room.tape.channels.count("control in") == 0
    assert "set from 99 to 101" in await steering.set_stop("BTCUSDT", "LONG", D(101), now=True)
    room.tick("100.5")
    assert [exit_.reasons for exit_ in room.sender.exits] == [("manual",)]


async def test_loosening_says_so(room: Room) -> None:
    said = await GuardSteering(lambda: room.guard).set_stop("BTCUSDT", None, D(95), now=False)
    assert said == "BTCUSDT LONG: stop loosened from 99 to 95"
    assert room.tape.channels[-1] == "control in"


async def test_pause_resume_and_flatten(room: Room) -> None:
    steering = GuardSteering(lambda: room.guard)
    machine = room.guard.positions["BTCUSDT", "LONG"]
    assert "paused BTCUSDT LONG" in await steering.pause(None, None)
    assert machine.paused
    assert await steering.resume("BTCUSDT", None) == "resumed BTCUSDT LONG"
    assert await steering.flatten("BTCUSDT", "LONG") == "closing BTCUSDT LONG"
    assert [(exit_.full, exit_.quantity) for exit_ in room.sender.exits] == [(True, D(2))]


async def test_a_position_that_is_not_there_is_named(room: Room) -> None:
    steering = GuardSteering(lambda: room.guard)
    with pytest.raises(ConfigError, match="no guarded position ETHUSDT SHORT is open"):
        await steering.flatten("ETHUSDT", "SHORT")
    with pytest.raises(ConfigError, match="no guarded position ETHUSDT is open"):
        await steering.set_stop("ETHUSDT", None, D(1), now=True)


async def test_both_sides_need_a_side() -> None:
    room = Room()
    room.tick("100")
    room.position("2", side="LONG")
    room.position("-2", side="SHORT")
    steering = GuardSteering(lambda: room.guard)
    with pytest.raises(ConfigError, match="open on both sides"):
        await steering.set_stop("BTCUSDT", None, D(90), now=False)
    assert "SHORT: stop" in await steering.set_stop("BTCUSDT", "SHORT", D(103), now=False)


async def test_before_the_start_is_over_it_says_so() -> None:
    class Starting:
        guard: object

    starting = Starting()
    steering = GuardSteering(lambda: starting.guard)  # type: ignore[arg-type,return-value] # not there yet
    with pytest.raises(ConfigError, match="still starting"):
        await steering.flatten(None, None)
