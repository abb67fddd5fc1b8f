"""A session's tape holds all that its decisions depended on: the replay decides and orders exactly the same.

The sweep over many more seeds runs where REACTOR_LIVE_SEEDS says how many: `REACTOR_LIVE_SEEDS=200 pytest
tests/live/test_live_replay.py`; `REACTOR_LIVE_FIRST_SEED` moves its beginning.
"""

import asyncio
import os
from collections import Counter
from pathlib import Path

import pytest
from comparing import difference, replayed
from stories import PLANS, SCENARIOS, drawn, trading
from virtual import Story, World, play

SEEDS = int(os.environ.get("REACTOR_LIVE_SEEDS", "0"))
FIRST_SEED = int(os.environ.get("REACTOR_LIVE_FIRST_SEED", "1000"))

NAKED_S_MAX = 75.0
"""The exchange may keep all events from the guard: then the minute's look finds a position, and a look at it later
somebody is told."""

CASES = [
    pytest.param(scenario, plan, hedge, id=f"{scenario}-{plan}-{'hedge' if hedge else 'one-way'}")
    for number, scenario in enumerate(SCENARIOS)
    for plan, hedge in ((PLANS[number % 4], bool(number % 2)), (PLANS[(number + 2) % 4], False))
]


@pytest.mark.parametrize(("scenario", "plan", "hedge"), CASES)
def test_every_scenario_replays_to_the_same_decisions_and_orders(
    scenario: str, plan: str, hedge: bool, tmp_path: Path
) -> None:
    story = Story(
        act=trading(seed=len(scenario), seconds=70),
        folder=tmp_path,
        scenario=scenario,
        hedge=hedge,
        tables={"plan": plan},
        latency_s=(0.001, 0.03),
    )
    world = play(story)
    assert Counter(line["type"] for line in world.lines)["opened"] > 3
    assert difference(world) is None


@pytest.mark.parametrize("seed", range(14))
def test_whatever_goes_wrong_the_replay_decides_and_orders_the_same(
    seed: int, tmp_path: Path
) -> None:
    story = drawn(seed, tmp_path, seconds=60)
    world = play(story)
    assert not any(run.audit.faults for run in world.runs), world.audit.last_fault
    assert difference(world) is None, story.title
    assert world.record.broken(world.events, naked_s_max=NAKED_S_MAX) == [], story.title


@pytest.mark.skipif(not SEEDS, reason="the long sweep runs where REACTOR_LIVE_SEEDS is set")
@pytest.mark.parametrize("seed", range(FIRST_SEED, FIRST_SEED + SEEDS))
def test_sweep(seed: int, tmp_path: Path) -> None:
    test_whatever_goes_wrong_the_replay_decides_and_orders_the_same(seed, tmp_path)


def test_a_tape_that_was_cut_into_parts_replays_as_one(tmp_path: Path) -> None:
    record = {"enabled": True, "min_free_disk": "1KB", "rotate_size": "300KB"}
    story = Story(
        act=trading(seed=3, seconds=300),
        folder=tmp_path,
        scenario="whipsaw",
        tables={"record": record},
    )
    world = play(story)
    assert len(world.tapes) > 1
    assert difference(world) is None


def test_a_dry_run_replays_too_and_has_sent_nothing(tmp_path: Path) -> None:
    story = Story(
        act=trading(seed=5, seconds=70),
        folder=tmp_path,
        scenario="gap",
        tables={"mode": "dry_run"},
    )
    world = play(story)
    assert Counter(line["type"] for line in world.lines)["exit"] > 0
    assert difference(world) is None
    assert all(b'"c":"order"' not in line for line in raw_lines(world))


def test_a_time_stop_after_the_last_message_is_in_the_replay(tmp_path: Path) -> None:
    async def act(world: World) -> None:
        await asyncio.sleep(2)
        world.open("BTCUSDT", "0.05")
        await asyncio.sleep(5)
        for route in ("market", "public", "private", "api"):
            world.control("connections", {"how": "mute", "route": route})
        await asyncio.sleep(1.3)

    plan = tmp_path / "brief.toml"
    plan.write_text('name = "brief"\n[stop]\npct = 0.02\n[time_stop]\nseconds = 6\n')
    for over in range(3):
        story = Story(
            act=act,
            folder=tmp_path / str(over),
            scenario="still",
            tables={"plan": str(plan), "mode": "dry_run"},
        )
        world = play(story)
        assert [line["type"] for line in world.lines] == ["opened", "exit", "closed"]
        assert difference(world) is None


def test_the_comparison_can_fail(tmp_path: Path) -> None:
    world = play(Story(act=trading(seed=1, seconds=40), folder=tmp_path, scenario="gap"))
    lines, result, _ = replayed(world.runs[0])
    assert lines == world.lines
    assert result.difference is None
    world.lines[3] = {**world.lines[3], "t": 0}
    assert difference(world) is not None


def raw_lines(world: World) -> list[bytes]:
    from reactor.shell.tape_reader import open_tape

    return [
        line for path in world.tapes for _, lines in open_tape(path).batches() for line in lines
    ]
