"""Edges of the live process at which money would be lost: each is a scene in front of the simulated exchange."""

import asyncio
from pathlib import Path

from virtual import Story, World, play

from reactor.audit import Decided
from reactor.core.decisions import Exit
from reactor.core.machine import Machine
from reactor.sim.faults import FaultRule

LONG = ("BTCUSDT", "LONG")
PLAN = {"plan": "trend_follow"}


def machine(world: World) -> Machine:
    return world.process.guard.positions["BTCUSDT", "LONG"]


def exits(world: World) -> list[Exit]:
    return [
        event.what.decision
        for event in world.events
        if isinstance(event.what, Decided) and isinstance(event.what.decision, Exit)
    ]


def amount(world: World) -> float:
    return float(world.simulation.exchange.accounts["main"].positions["BTCUSDT", "BOTH"].amount)


# Another life of a position ---------------------------------------------------------------------


def test_what_was_opened_anew_while_nobody_ran_is_no_business_of_the_old_epoch(
    tmp_path: Path,
) -> None:
    """The hard stop closes it while the process is down, and somebody enters again, lower."""

    async def act(world: World) -> None:
        world.price("BTCUSDT", "80000")
        world.open("BTCUSDT", "0.5")
        await asyncio.sleep(31)
        world.price("BTCUSDT", "70000")
        assert not amount(world), "the hard stop"
        world.open("BTCUSDT", "0.5")
        await asyncio.sleep(20)
        assert machine(world).epoch == 2
        assert machine(world).stop_price < 70_000

    world = play(
        Story(
            act=act,
            folder=tmp_path,
            scenario="still",
            journal="j.db",
            restarts=[(30.5, False)],
            tables=PLAN,
        )
    )
    assert not exits(world)
    assert amount(world) == 0.5


def test_what_was_only_added_to_while_nobody_ran_is_the_same_epoch(tmp_path: Path) -> None:
    async def act(world: World) -> None:
        world.price("BTCUSDT", "80000")
        world.open("BTCUSDT", "0.5")
        await asyncio.sleep(31)
        world.price("BTCUSDT", "80100")
        world.open("BTCUSDT", "-0.3")
        world.open("BTCUSDT", "0.4")
        await asyncio.sleep(20)
        assert machine(world).epoch == 1
        assert str(machine(world).orders.quantity) == "0.600"

    play(
        Story(
            act=act,
            folder=tmp_path,
            scenario="still",
            journal="j.db",
            restarts=[(30.5, False)],
            tables=PLAN,
        )
    )


def test_what_was_opened_anew_while_the_private_stream_was_deaf_is_another_epoch(
    tmp_path: Path,
) -> None:
    """Nothing of it was heard but the minute's reconciliation."""

    async def act(world: World) -> None:
        world.price("BTCUSDT", "80000")
        world.open("BTCUSDT", "0.5")
        await asyncio.sleep(20)
        world.arm(FaultRule(do="lose", at={"route": "private"}, count=0))
        world.open("BTCUSDT", "-0.5")
        world.price("BTCUSDT", "79900")
        world.open("BTCUSDT", "0.4")
        await asyncio.sleep(70)
        assert machine(world).epoch == 2
        assert machine(world).stop_price < 79_800

    world = play(Story(act=act, folder=tmp_path, scenario="still", tables=PLAN))
    assert not exits(world)
    assert amount(world) == 0.4
