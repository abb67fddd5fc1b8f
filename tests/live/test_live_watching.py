"""What is subscribed to and read follows what is open, and what adoption waits for."""

import asyncio
from pathlib import Path
from typing import Any

from virtual import Story, World, play

from reactor.audit import Decided
from reactor.core.decisions import Exit, Opened
from reactor.core.exact import text
from reactor.sim.faults import FaultRule

TABLES: dict[str, Any] = {"plan": "trend_follow"}


def opened(world: World) -> list[str]:
    return [
        f"{event.what.decision.symbol} {text(event.what.decision.quantity)}"
        for event in world.events
        if isinstance(event.what, Decided) and isinstance(event.what.decision, Opened)
    ]


def exits(world: World) -> int:
    return sum(
        isinstance(event.what, Decided) and isinstance(event.what.decision, Exit)
        for event in world.events
    )


def story(folder: Path, act: Any, **more: Any) -> World:
    return play(Story(act=act, folder=folder, scenario="still", **{"tables": TABLES, **more}))


def test_a_symbol_that_nobody_named_is_watched_from_its_first_report(tmp_path: Path) -> None:
    async def act(world: World) -> None:
        await asyncio.sleep(10)
        assert "SOLUSDT" not in world.process.guard.mark_seen_ns
        world.open("SOLUSDT", "5")
        await asyncio.sleep(5)
        guard = world.process.guard
        assert guard.mark_seen_ns["SOLUSDT"] > world.clock.now_ns() - 3_000_000_000
        machine = guard.positions["SOLUSDT", "LONG"]
        # Its candles were read: the stop is made of an ATR.
        assert machine.level_atr is not None

    assert opened(story(tmp_path, act)) == ["SOLUSDT 5"]


def test_positions_that_are_open_at_the_start_are_adopted_at_a_price(tmp_path: Path) -> None:
    def before(world: World) -> None:
        world.price("ETHUSDT", "3000")
        world.open("ETHUSDT", "2")
        world.price("ETHUSDT", "2000")

    async def act(world: World) -> None:
        await asyncio.sleep(15)
        machine = world.process.guard.positions["ETHUSDT", "LONG"]
        assert machine.is_under_water is False
        assert machine.stop_price < 2000

    world = story(tmp_path, act, before=before)
    assert opened(world) == ["ETHUSDT 2"]
    assert exits(world) == 0


def test_a_first_price_that_cannot_be_read_is_brought_by_the_stream(tmp_path: Path) -> None:
    def before(world: World) -> None:
        world.open("ETHUSDT", "2")
        paths = ("/fapi/v1/premiumIndex", "/fapi/v1/ticker/price", "/fapi/v1/ticker/bookTicker")
        world.arm(
            *(FaultRule(do="error", at={"path": path}, code=-1001, count=0) for path in paths)
        )

    async def act(world: World) -> None:
        await asyncio.sleep(25)
        assert ("ETHUSDT", "LONG") in world.process.guard.positions

    assert opened(story(tmp_path, act, before=before)) == ["ETHUSDT 2"]
