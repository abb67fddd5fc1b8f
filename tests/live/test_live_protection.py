"""What is proved of a position's protection, and how soon: the seconds that are counted are those it was missing."""

import asyncio
from pathlib import Path
from typing import Any, TypeVar

from virtual import Story, World, play

from reactor.audit import AlarmRaised, HardStopChanged, Noted, ProtectionChanged
from reactor.sim.faults import FaultRule

T = TypeVar("T")


def told(world: World, kind: type[T]) -> list[tuple[int, T]]:
    """What of one kind was told, with its times."""
    return [(event.t_ns, event.what) for event in world.events if isinstance(event.what, kind)]


def story(folder: Path, act: Any, **tables: Any) -> World:
    return play(
        Story(
            act=act,
            folder=folder,
            scenario="still",
            tables={"plan": "trend_follow", **tables},
            latency_s=(0.05, 0.1),
        )
    )


def test_a_position_is_proved_protected_as_soon_as_its_hard_stop_stands(tmp_path: Path) -> None:
    async def act(world: World) -> None:
        await asyncio.sleep(11.3)
        world.open("ETHUSDT", "2")
        await asyncio.sleep(30)

    world = story(tmp_path, act, manage={"include": ["ETHUSDT"]})
    stands_ns = next(t for t, stop in told(world, HardStopChanged) if stop.state == "standing")
    states = [(t, one) for t, one in told(world, ProtectionChanged)]
    assert [one.state for _, one in states] == ["naked", "protected"]
    assert 0 <= states[-1][0] - stands_ns < 50_000_000
    assert 0 < states[-1][1].naked_seconds < 1
    assert not told(world, AlarmRaised)


def test_a_hard_stop_that_is_refused_is_an_alarm_that_ends(tmp_path: Path) -> None:
    async def act(world: World) -> None:
        await asyncio.sleep(10)
        refused = FaultRule(do="error", at={"path": "/fapi/v1/algoOrder"}, code=-1001, count=6)
        world.arm(refused)
        world.open("ETHUSDT", "2")
        await asyncio.sleep(120)

    world = story(tmp_path, act)
    alarms = [(t, one) for t, one in told(world, AlarmRaised) if one.key.startswith("protection:")]
    assert [one.resolved for _, one in alarms] == [False] * (len(alarms) - 1) + [True]
    assert len(alarms) > 1
    last_ns, last = told(world, ProtectionChanged)[-1]
    assert last.state == "protected"
    assert alarms[-1][0] == last_ns
    naked_ns = next(t for t, one in told(world, ProtectionChanged) if one.naked_seconds == 0)
    # To the second, and it is told within a second of the grace.
    assert abs(last.naked_seconds - (last_ns - naked_ns) / 1e9) < 1
    assert 2 <= (alarms[0][0] - naked_ns) / 1e9 < 3.1


def test_a_dry_run_misses_no_hard_stop(tmp_path: Path) -> None:
    async def act(world: World) -> None:
        await asyncio.sleep(10)
        world.open("ETHUSDT", "2")
        await asyncio.sleep(60)

    world = story(tmp_path, act, mode="dry_run")
    # Until the first mark price of a symbol that nobody watched before it is blind.
    assert [one.state for _, one in told(world, ProtectionChanged)] == ["blind", "watched"]
    assert not told(world, AlarmRaised)


def test_an_alarm_of_silence_ends_with_it(tmp_path: Path) -> None:
    async def act(world: World) -> None:
        world.open("ETHUSDT", "2")
        await asyncio.sleep(20)
        world.control("connections", {"how": "mute", "route": "market", "ms": 20_000})
        await asyncio.sleep(60)

    world = story(tmp_path, act)
    silences = [one for _, one in told(world, AlarmRaised) if one.kind == "silence"]
    assert silences
    ends = {one.key: one.resolved for one in silences}
    assert all(ends.values()), ends
    assert [one.text for _, one in told(world, Noted)] == ["market silent"]
