"""Shadow mode: what the plans would have done beside what somebody else did with the account."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from virtual import Story, World, play

from reactor.audit import AlarmRaised, OrderSent

PLAN = """
name = "near"
trigger = "mark"
[stop]
pct = 0.02
[[targets]]
pct = 0.01
close = 0.5
[[targets]]
pct = 0.5
close = 0.5
"""


def shadowing(act: Callable[[World], Awaitable[None]], folder: Path) -> list[str]:
    """The differences that a session tells of."""
    folder.mkdir(exist_ok=True)
    plan = folder / "near.toml"
    plan.write_text(PLAN)

    async def begins(world: World) -> None:
        world.price("ETHUSDT", "3000")
        await asyncio.sleep(10)
        world.open("ETHUSDT", "2")
        await asyncio.sleep(10)
        await act(world)

    world = play(
        Story(
            act=begins,
            folder=folder,
            scenario="still",
            tables={"mode": "shadow", "plan": str(plan)},
        )
    )
    assert not [one for one in world.events if isinstance(one.what, OrderSent)]
    return [
        event.what.text
        for event in world.events
        if isinstance(event.what, AlarmRaised) and event.what.kind == "shadow_difference"
    ]


def test_a_rung_that_nobody_else_took_and_a_later_close_at_a_worse_price(tmp_path: Path) -> None:
    async def act(world: World) -> None:
        world.price("ETHUSDT", "3030")
        await asyncio.sleep(7)
        world.price("ETHUSDT", "3010")
        await asyncio.sleep(10)
        world.open("ETHUSDT", "-2")
        await asyncio.sleep(10)

    first, last = shadowing(act, tmp_path)
    assert "the shadow closed 1, last 1 @ 3030" in first
    assert "the account closed nothing" in first
    assert "closed: the shadow closed 1, last 1 @ 30" in last
    assert "and lost 1 with the account" in last
    assert "the account closed 2" in last
    assert ": +" in last


def test_a_close_by_somebody_before_the_plan_would_have(tmp_path: Path) -> None:
    async def act(world: World) -> None:
        world.price("ETHUSDT", "2970")
        await asyncio.sleep(3)
        world.open("ETHUSDT", "-1")
        await asyncio.sleep(10)
        world.price("ETHUSDT", "2940")
        await asyncio.sleep(10)
        world.price("ETHUSDT", "2950")
        await asyncio.sleep(3)
        world.open("ETHUSDT", "-1")
        await asyncio.sleep(10)

    first, second, last = shadowing(act, tmp_path)
    assert "the shadow closed nothing, the account closed 1, last 1 @ 29" in first
    assert "the price is 2970 now" in first
    assert "the shadow closed 1, last 1 @ 2940" not in first
    assert "the shadow closed 1, last 1 @ 2940" in second
    # It would have closed the other half 10 lower, so half of that a unit of the whole.
    assert "closed: the shadow closed 1" in last
    assert "the account closed 2" in last
    assert ": -4" in last or ": -5" in last


@pytest.mark.parametrize("wait_s", [0, 3])
def test_who_does_the_same_is_not_told_of(tmp_path: Path, wait_s: float) -> None:
    async def act(world: World) -> None:
        world.price("ETHUSDT", "3030")
        await asyncio.sleep(1.5 + wait_s)
        world.open("ETHUSDT", "-1")
        await asyncio.sleep(20)

    assert shadowing(act, tmp_path) == []


def test_the_end_of_a_life_is_not_mixed_with_the_next_one(tmp_path: Path) -> None:
    async def act(world: World) -> None:
        world.open("ETHUSDT", "-2")
        world.open("ETHUSDT", "3")
        await asyncio.sleep(20)

    # Closed by somebody at once: the shadow's ended with it, at the same price.
    assert shadowing(act, tmp_path) == []
