"""Prices that nobody saw: sockets that drop, a process that is killed, and what is found out afterwards.

Each session is replayed from its tape too: what was recovered live is recovered again, decision by decision.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from comparing import difference, replayed
from virtual import Story, World, play

from reactor.audit import AlarmRaised, Decided, Noted
from reactor.core.decisions import Closed, Exit, Side, StopMoved
from reactor.core.exact import text
from reactor.sim.faults import FaultRule

BTC = "BTCUSDT"

PLAN = """
name = "trails"
trigger = "{trigger}"
[atr]
interval = "1m"
[stop]
pct = 0.02
[[targets]]
pct = 0.05
close = 0.5
[trailing]
activate = "in_profit"
pct = 0.01
"""


def story(act: Callable[[World], Awaitable[None]], folder: Path, **more: Any) -> Story:
    """A session on prices that only the story moves, with a stop 2 % away and 1 % behind the best price."""
    trigger = more.pop("trigger", "last")
    plan = folder / "trails.toml"
    plan.write_text(PLAN.format(trigger=trigger), encoding="utf-8")
    tables = {"plan": str(plan), "hard_stop": {"enabled": False}, **more.pop("tables", {})}
    return Story(act=act, folder=folder, scenario="still", tables=tables, **more)


async def started(world: World, price: str = "80000") -> None:
    """A position of 0.1 BTC at this price, guarded and seen over the stream."""
    world.price(BTC, price)
    world.open(BTC, "0.1")
    await asyncio.sleep(12)
    assert (BTC, "LONG") in world.process.guard.positions


async def blind(world: World, *, seconds: float) -> None:
    """The exchange cannot be reached, by socket or by question."""
    world.arm(FaultRule(do="maintenance", ms=round(seconds * 1000)))
    await asyncio.sleep(0.5)


def visit(world: World, *prices: str) -> None:
    """Trades at these prices, one after the other; the mark price follows each."""
    for price in prices:
        world.price(BTC, price)


def stop_of(world: World, side: Side = "LONG") -> str:
    return text(world.process.guard.positions[BTC, side].stop_price)


def alarms(world: World, kind: str) -> list[str]:
    found = [event.what for event in world.events if isinstance(event.what, AlarmRaised)]
    return [alarm.text for alarm in found if alarm.kind == kind]


def decided(world: World, kind: type[Any]) -> list[Any]:
    found = [event.what for event in world.events if isinstance(event.what, Decided)]
    return [one.decision for one in found if isinstance(one.decision, kind)]


def looked_into(world: World) -> list[str]:
    found = [event.what for event in world.events if isinstance(event.what, Noted)]
    return [note.text for note in found if note.kind == "gap"]


@pytest.mark.parametrize("side", ["LONG", "SHORT"])
def test_a_peak_that_nobody_saw_moves_the_stop(tmp_path: Path, side: Side) -> None:
    """Sockets and REST are away while the price runs off and comes back: the stop follows the trades on record."""
    sign, best, back, stop = {
        "LONG": ("", "83000", "82500", "82170"),
        "SHORT": ("-", "77000", "77500", "77770"),
    }[side]
    seen: list[str] = []

    async def act(world: World) -> None:
        world.price(BTC, "80000")
        world.open(BTC, f"{sign}0.1")
        await asyncio.sleep(12)
        await blind(world, seconds=5)
        visit(world, best, back)
        await asyncio.sleep(30)
        seen.append(stop_of(world, side))

    world = play(story(act, tmp_path))
    assert seen == [stop]
    assert [text(move.stop) for move in decided(world, StopMoved)][-1] == stop
    assert not decided(world, Exit)
    assert not alarms(world, "gap_crossed")
    assert looked_into(world)
    assert difference(world) is None


def test_a_stop_crossed_and_left_again_is_told_and_keeps_the_position(tmp_path: Path) -> None:
    async def act(world: World) -> None:
        await started(world)
        await blind(world, seconds=5)
        # The stop stands at 78 400; the rung at 84 000 is passed too.
        visit(world, "78000", "84500", "84000", "83900")
        await asyncio.sleep(30)
        assert stop_of(world) == "83655"

    world = play(story(act, tmp_path))
    assert not decided(world, Exit)
    (crossed,) = alarms(world, "gap_crossed")
    assert "the stop 78400 was crossed (worst price 78000)" in crossed
    assert "keeps its stop at 83655" in crossed
    (missed,) = alarms(world, "gap_missed")
    assert "targets at 84000 were passed (best price 84500)" in missed
    assert difference(world) is None
    _, _, notes = replayed(world.runs[0])
    assert any(crossed in note for note in notes)
    assert any(missed in note for note in notes)


def test_a_stop_that_the_fresh_price_is_still_through_closes_by_that_price(tmp_path: Path) -> None:
    async def act(world: World) -> None:
        await started(world)
        await blind(world, seconds=5)
        visit(world, "83000", "78000")
        await asyncio.sleep(30)

    world = play(story(act, tmp_path))
    (exit_,) = decided(world, Exit)
    assert str(exit_.price) == "78000"
    assert decided(world, Closed)
    assert not alarms(world, "gap_crossed"), "it was acted on, so there is nothing to tell"
    assert difference(world) is None


def test_a_stop_that_the_peak_would_have_made_is_held_back_at_the_price(tmp_path: Path) -> None:
    """The price is back below the stop that the peak asks for: nothing closes, the stop waits."""
    stops: list[str] = []

    async def act(world: World) -> None:
        await started(world)
        await blind(world, seconds=5)
        visit(world, "83000", "81000")
        await asyncio.sleep(30)
        stops.append(stop_of(world))
        visit(world, "82200")
        await asyncio.sleep(2)
        stops.append(stop_of(world))

    world = play(story(act, tmp_path))
    assert stops == ["80190", "82170"]
    assert not decided(world, Exit)
    assert alarms(world, "held_back")
    (crossed,) = alarms(world, "gap_crossed")
    assert "the stop 82170 was crossed" in crossed
    assert "held back" in crossed
    assert difference(world) is None


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_a_process_that_was_not_there_finds_the_peak(tmp_path: Path, how: str) -> None:
    """The journal knows what was seen last; the exchange knows what came then."""

    async def act(world: World) -> None:
        await started(world)
        visit(world, "81000")
        await asyncio.sleep(2)
        # 14 s after the beginning the process has ended, and another one begins right away.
        visit(world, "84500", "83900")
        await asyncio.sleep(25)
        assert stop_of(world) == "83655"

    world = play(
        story(act, tmp_path, restarts=[(13.9, how == "stopped")], journal="journal.db", title=how)
    )
    assert len(world.runs) == 2
    assert not decided(world, Exit)
    assert alarms(world, "gap_missed")
    assert looked_into(world)
    assert difference(world) is None


@pytest.mark.parametrize(
    ("seconds", "stop"), [(5, "81675"), (100, "82170")], ids=["no whole minute", "a whole minute"]
)
def test_marks_are_known_by_whole_minutes_only(tmp_path: Path, seconds: int, stop: str) -> None:
    stops: list[str] = []

    async def act(world: World) -> None:
        # The session begins 40 s into a minute; the next ones begin at its seconds 20 and 80.
        await started(world)
        await blind(world, seconds=seconds)
        await asyncio.sleep(seconds / 5)
        visit(world, "83000", "82500")
        await asyncio.sleep(seconds + 25)
        stops.append(stop_of(world))

    world = play(story(act, tmp_path, trigger="mark"))
    assert stops == [stop]
    assert len(looked_into(world)) == (seconds > 60)
    assert not decided(world, Exit)
    assert difference(world) is None
