"""The exit policy live: regimes change, words come from outside, processes die; the replay decides the same."""

import asyncio
import json
import os
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from comparing import difference
from stories import drawn, trading
from virtual import Story, World, play

from reactor.cli import main
from reactor.control.steering import SayPolicy
from reactor.plans import shipped_plan_names
from reactor.shell.guard_steering import GuardSteering

SEEDS = int(os.environ.get("REACTOR_LIVE_SEEDS", "0"))
FIRST_SEED = int(os.environ.get("REACTOR_LIVE_FIRST_SEED", "1000"))

REGIME: dict[str, Any] = {
    "timeframe": "1m",
    "adx_period": 2,
    "efficiency_period": 2,
    "atr_period": 2,
    "rank_days": 0.02,
    "rank_days_min": 0.002,
    "min_hold": 1,
}
"""One that changes its mind every other minute."""


def steering_of(world: World) -> GuardSteering:
    process = world.process
    return GuardSteering(lambda: process.guard, on_policy=process.keep_policy)


def desk(*, seed: int, seconds: float) -> Callable[[World], Awaitable[None]]:
    """Somebody trades, and somebody else says policies from outside."""

    async def act(world: World) -> None:
        chance = random.Random(seed)
        trades = asyncio.ensure_future(trading(seed=seed, seconds=seconds)(world))
        try:
            while not trades.done():
                await asyncio.sleep(chance.expovariate(1 / 8))
                if world.runs[-1].ended or not hasattr(world.process, "guard"):
                    continue
                await steering_of(world).policy(_wish(world, chance))
        finally:
            trades.cancel()
            await asyncio.gather(trades, return_exceptions=True)

    return act


def _wish(world: World, chance: random.Random) -> SayPolicy:
    symbol, side = chance.choice([*sorted(world.process.guard.positions), ("*", None)])
    return SayPolicy(
        symbol=symbol,
        side=chance.choice((side, None)),
        mode=chance.choice((*shipped_plan_names(), "moon", None)),
        regime=chance.choice((None, "BULL", "high-vol", "trending")),
        note=chance.choice(("", "desk")),
        for_s=chance.choice((None, 3.0, 20.5)),
    )


TABLES: dict[str, Any] = {"policy": {"profile": "SAFE"}, "regime": REGIME}


@pytest.mark.parametrize("seed", [*range(4), *range(FIRST_SEED, FIRST_SEED + SEEDS)])
def test_whatever_is_said_and_whatever_goes_wrong_the_replay_decides_the_same(
    seed: int, tmp_path: Path
) -> None:
    """Faults, restarts, hedge mode and latencies are the seed's own; see `stories.drawn`."""
    story = drawn(seed, tmp_path, seconds=150)
    on_change = "keep" if seed % 5 == 3 else "tighten"
    story.tables = {**story.tables, **TABLES, "symbols": {}}
    story.tables["policy"] = {"profile": "SAFE", "on_regime_change": on_change}
    story.act = desk(seed=seed, seconds=150)
    world = play(story)
    assert not any(run.audit.faults for run in world.runs), world.audit.last_fault
    lines = [line for run in world.runs for line in run.lines]
    kinds = Counter(line["type"] for line in lines)
    actions = Counter(line["action"] for line in lines if line["type"] == "policy")
    assert kinds["regime"] > 1, story.title
    assert actions["chosen"] > 1, story.title
    assert actions[on_change] > 1, story.title
    assert difference(world) is None, story.title


def test_every_change_is_explained_with_its_reasons(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said: list[str] = []

    async def act(world: World) -> None:
        await asyncio.sleep(3)
        world.open("BTCUSDT", "0.05")
        await asyncio.sleep(20)
        desk = steering_of(world)
        for mode in ("defensive_trail", "moon"):
            wish = SayPolicy(symbol="BTCUSDT", mode=mode, note="FOMC", for_s=30)
            said.append(await desk.policy(wish))
            await asyncio.sleep(5)
        await asyncio.sleep(120)

    play(Story(act=act, folder=tmp_path, tables=TABLES, journal="journal.db"))
    assert said[0] == "policy of BTCUSDT, BOTH: defensive_trail for 30 s"
    assert said[1].endswith("but there is no exit mode 'moon'; trend_follow is used")

    def told(*words: str) -> str:
        assert main([*words, "--journal", str(tmp_path / "journal.db")]) == 0
        return capsys.readouterr().out

    span = ("--from", "2026-11-18 11:00", "--to", "2026-11-18 12:00")
    why = json.loads(told("why", "BTCUSDT", *span, "--json"))
    (position,) = why["positions"]
    policies = [row for row in position["decisions"] if row["kind"] == "policy"]
    sources = Counter(row["body"]["source"] for row in policies)
    assert sources["external"] == 2
    assert sources["regime"] > 1
    for row in policies:
        text = told("explain", row["id"])
        assert row["body"]["why"] in text.splitlines()[0]
        assert "after it: stop" in text
        if row["body"]["source"] == "regime":
            assert "ADX" in text
        if row["body"]["mode"] == "moon":
            assert "the mode was 'moon'; the plan for it is trend_follow" in text
        assert "tightened  by" in text
    regimes = [row for row in why["decisions"] if row["kind"] == "regime"]
    assert len(regimes) > 1
    for row in regimes:
        text = told("explain", row["id"])
        assert text.startswith(f"BTCUSDT: regime {row['body']['regime']}, volatility")
        assert "efficiency" in text
        assert "None" not in row["id"]
    shown = told("why", "BTCUSDT", *span)
    assert "tightened by defensive_trail" in shown
    assert "regime " in shown
