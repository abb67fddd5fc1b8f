"""What the exchange is asked, found to differ, and told of, while streams lose things and answers are old."""

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from virtual import Story, World, play

from reactor.audit import AlarmRaised, Decided, Reconciled
from reactor.core.decisions import Closed, Exit, Opened
from reactor.core.exact import text
from reactor.sim.faults import FaultRule

Deeds = Callable[[World], Awaitable[None]]
# Nothing of it fires while the market stands still.
TABLES: dict[str, Any] = {"plan": "trend_follow", "hard_stop": {"enabled": True}}
POSITIONS = {"path": "/fapi/v3/positionRisk"}


def session(act: Deeds, folder: Path, **more: Any) -> World:
    tables = {**TABLES, **more.pop("tables", {})}
    return play(Story(act=act, folder=folder, scenario="still", tables=tables, **more))


def held(world: World) -> dict[str, str]:
    return {
        f"{symbol} {side}": text(machine.orders.quantity)
        for (symbol, side), machine in world.process.guard.positions.items()
    }


def alarms(world: World, kind: str) -> list[str]:
    return [
        event.what.text
        for event in world.events
        if isinstance(event.what, AlarmRaised)
        and event.what.kind == kind
        and not event.what.resolved
    ]


def differences(world: World) -> list[str]:
    return [
        what
        for event in world.events
        if isinstance(event.what, Reconciled)
        for what in event.what.differences
    ]


def decided(world: World, kind: type) -> list[Any]:
    return [
        event.what.decision
        for event in world.events
        if isinstance(event.what, Decided) and isinstance(event.what.decision, kind)
    ]


def deafen(world: World) -> None:
    """The user-data sockets that are open now deliver nothing any more, and answer pings."""
    connections = world.simulation.hub.connections.values()
    world.arm(
        *(
            FaultRule(do="lose", at={"connection": str(connection.number)}, count=0)
            for connection in connections
            if connection.route == "private"
        )
    )


# The account changes ----------------------------------------------------------------------------------


def test_a_mode_that_was_changed_while_flat_is_known_with_the_next_position(
    tmp_path: Path,
) -> None:
    async def act(world: World) -> None:
        await asyncio.sleep(20)
        assert not world.process.guard.pump.account.hedge
        world.control("mode", {"mode": "hedge"})
        world.open("ETHUSDT", "2", side="LONG")
        world.open("ETHUSDT", "-1", side="SHORT")
        await asyncio.sleep(70)
        assert world.process.guard.pump.account.hedge
        assert held(world) == {"ETHUSDT LONG": "2", "ETHUSDT SHORT": "1"}

    world = session(act, tmp_path)
    assert not decided(world, Exit)


def test_a_mode_that_was_changed_is_asked_for_when_the_stream_told_nothing(tmp_path: Path) -> None:
    async def act(world: World) -> None:
        await asyncio.sleep(20)
        deafen(world)
        world.control("mode", {"mode": "hedge"})
        world.open("ETHUSDT", "2", side="LONG")
        world.open("ETHUSDT", "-1", side="SHORT")
        await asyncio.sleep(70)
        assert held(world) == {"ETHUSDT LONG": "2", "ETHUSDT SHORT": "1"}

    world = session(act, tmp_path)
    assert alarms(world, "mode_changed") == ["the account is in hedge mode now"]


def test_a_symbol_that_does_not_trade_is_told_of_with_its_position(tmp_path: Path) -> None:
    async def act(world: World) -> None:
        world.open("ETHUSDT", "2")
        await asyncio.sleep(20)
        world.control("symbol", {"symbol": "ETHUSDT", "status": "BREAK"})
        # The contracts are read anew now and then; a refusal would do that, too.
        await world.process.parts.contracts.refresh()
        await asyncio.sleep(65)
        assert held(world) == {"ETHUSDT LONG": "2"}

    world = session(act, tmp_path)
    assert alarms(world, "symbol_halted")
    assert "ETHUSDT LONG: does not trade now" in differences(world)


def test_what_somebody_trades_while_events_get_lost_is_known_within_a_minute(
    tmp_path: Path,
) -> None:
    async def act(world: World) -> None:
        for symbol in ("ETHUSDT", "BTCUSDT"):
            world.open(symbol, "2")
        await asyncio.sleep(20)
        world.arm(
            FaultRule(do="lose", at={"event": "ACCOUNT_UPDATE"}, count=0, probability=0.5),
            FaultRule(do="lose", at={"event": "ORDER_TRADE_UPDATE"}, count=0, probability=0.5),
        )
        for _ in range(6):
            for symbol in ("ETHUSDT", "BTCUSDT", "SOLUSDT"):
                size = world.chance.choice(("1", "-1", "0.5", "-3"))
                world.open(symbol, size, must=False)
            await asyncio.sleep(world.chance.uniform(1, 30))
        await asyncio.sleep(65)
        truth = {}
        for (symbol, _), one in world.simulation.exchange.accounts["main"].positions.items():
            if one.amount:
                side = "LONG" if one.amount > 0 else "SHORT"
                truth[f"{symbol} {side}"] = text(Decimal(str(abs(one.amount))))
        assert held(world) == truth

    for seed in (1, 2, 3):
        world = session(act, tmp_path / str(seed), seed=seed)
        # Nobody closed any of it for having heard of it late.
        assert not decided(world, Exit)
        assert not alarms(world, "invariant")


# Answers that are old, late, or none ------------------------------------------------------------------


def test_old_answers_undo_nothing_and_repeat_nothing(tmp_path: Path) -> None:
    """Every list of positions is one and a half seconds old, while somebody opens, adds and closes."""

    async def act(world: World) -> None:
        await asyncio.sleep(20)
        world.arm(FaultRule(do="stale", at=POSITIONS, ms=1500, count=0))
        for size, expected in (("2", "2"), ("1", "3"), ("-2", "1"), ("-1", None), ("4", "4")):
            world.open("ETHUSDT", size)
            world.process.reconciler.want("a look at the worst moment")
            await asyncio.sleep(0.3)
            assert held(world).get("ETHUSDT LONG") == expected
            await asyncio.sleep(7)
            assert held(world).get("ETHUSDT LONG") == expected

    world = session(act, tmp_path)
    assert [text(one.quantity) for one in decided(world, Opened)] == ["2", "4"]
    assert len(decided(world, Closed)) == 1
    assert not decided(world, Exit)


def test_a_full_bucket_delays_the_look_and_is_told_of_after_three(tmp_path: Path) -> None:
    async def act(world: World) -> None:
        world.open("ETHUSDT", "2")
        await asyncio.sleep(20)
        world.arm(
            FaultRule(do="error", at=POSITIONS, code=-1003, status=429, count=0, until_ms=40_000)
        )
        before = world.process.reconciler.last_ns
        world.process.reconciler.want("now")
        await asyncio.sleep(35)
        assert world.process.reconciler.last_ns == before
        assert held(world) == {"ETHUSDT LONG": "2"}
        await asyncio.sleep(100)
        assert world.process.reconciler.last_ns > before
        assert world.process.reconciler.failed == 0

    world = session(act, tmp_path)
    assert len(alarms(world, "reconcile_failed")) == 1


# A stream that is connected and says nothing ----------------------------------------------------------


def test_a_deaf_user_stream_is_found_and_replaced(tmp_path: Path) -> None:
    async def act(world: World) -> None:
        world.open("ETHUSDT", "2")
        await asyncio.sleep(120)
        assert not alarms(world, "deaf_stream")
        deafen(world)
        for total in ("3", "4"):
            world.open("ETHUSDT", "1")
            await asyncio.sleep(66)
            assert held(world) == {"ETHUSDT LONG": total}
        await asyncio.sleep(10)
        # It hears again, at once.
        world.open("ETHUSDT", "1")
        await asyncio.sleep(1)
        assert held(world) == {"ETHUSDT LONG": "5"}

    world = session(act, tmp_path)
    (alarm,) = alarms(world, "deaf_stream")
    assert "ETHUSDT" in alarm
    assert "2 times in a row" in alarm


def test_a_lossy_stream_that_tells_some_of_it_is_not_replaced(tmp_path: Path) -> None:
    async def act(world: World) -> None:
        world.open("ETHUSDT", "2")
        await asyncio.sleep(120)
        for number in range(4):
            if number % 2:
                world.arm(FaultRule(do="lose", at={"route": "private"}, count=2))
            world.open("ETHUSDT", "1")
            await asyncio.sleep(66)
        assert held(world) == {"ETHUSDT LONG": "6"}

    assert not alarms(session(act, tmp_path), "deaf_stream")


def test_what_differs_after_a_gap_is_no_deafness(tmp_path: Path) -> None:
    async def act(world: World) -> None:
        world.open("ETHUSDT", "2")
        await asyncio.sleep(120)
        for total in ("3", "4", "5"):
            world.control("connections", {"how": "reset", "route": "private"})
            world.open("ETHUSDT", "1")
            await asyncio.sleep(30)
            assert held(world) == {"ETHUSDT LONG": total}

    assert not alarms(session(act, tmp_path), "deaf_stream")
