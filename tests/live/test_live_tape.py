"""The other direction: a guard in front of an exchange that plays a tape decides as a replay of that tape.

What is compared is what does not depend on when fills arrive: every level, stop, exit and reason, in order, at the same
trigger prices. Receive times, tick numbers (the exchange repeats its mark price every second) and what an exit earned
(it fills in the exchange's book, not at the trigger price) are of this session. Hard stops are off: on the same gap they
would close beside the guard.
"""

import asyncio
import random
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest
from virtual import ENVIRONMENT, START_MS, Story, World, play

from reactor.clock import LoopClock
from reactor.config import RecordConfig, StreamsConfig
from reactor.core.plan import plan_from_toml
from reactor.replay.lines import Line
from reactor.replay.options import AskedPosition, ReplayOptions
from reactor.replay.run import replay
from reactor.shell.record_session import RecordSession
from reactor.shell.transport.memory import MemoryRest, MemoryTransport, SimulationDriver
from reactor.sim.scenarios import Scenario
from reactor.sim.simulation import Simulation
from reactor.sim.tape_prices import TapePrices, read_events, symbols_of
from reactor.sim.virtual_loop import run_virtually

PLAN: Final = """
name = "percentages"
trigger = "mark"
[stop]
pct = 0.006
[[targets]]
pct = 0.002
close = 0.25
[[targets]]
pct = 0.004
close = 0.25
[[targets]]
pct = 0.03
close = 0.5
[break_even]
at_pct = 0.001
offset_pct = 0.0005
[trailing]
activate = "after_rung"
value = 1
pct = 0.002
[harvest]
trigger_pct = 0.003
fraction = 0.2
[time_stop]
seconds = 200
"""
"""Everything but an ATR: the exchange's candles from before the tape are its own."""

HELD: Final = {
    "BTCUSDT": "0.2",
    "ETHUSDT": "-4",
    "SOLUSDT": "60",
    "XRPUSDT": "-2000.5",
    "BNBUSDT": "3",
    "ADAUSDT": "-3000",
}
TAPE_STARTS_S: Final = 5.1
SECONDS: Final = 240


async def _recorded(scenario: str, seed: int, folder: Path) -> Path:
    clock = LoopClock(asyncio.get_running_loop(), start_ns=START_MS * 1_000_000)
    prices = Scenario(scenario, start_ms=START_MS, seed=seed, step_ms=500)
    driver = SimulationDriver(Simulation(now_ms=START_MS, prices=prices), clock)
    driver.start()
    session = RecordSession(
        symbols=tuple(HELD),
        sources=("mark", "last", "book"),
        folder=folder,
        environment=ENVIRONMENT,
        bounds=RecordConfig(enabled=True, min_free_disk="1KB"),
        streams=StreamsConfig(),
        transport=MemoryTransport(driver),
        rest_transport=MemoryRest(driver),
        clock=clock,
        chance=random.Random(seed),
        say=lambda _: None,
    )
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(SECONDS, stop.set)
    assert await session.run(stop) == 0
    driver.stop()
    assert session.recorder is not None
    (tape,) = session.recorder.paths
    return tape


def _first_marks(tape: Path) -> dict[str, str]:
    marks: dict[str, str] = {}
    for _, event in read_events(tape):
        if event.e == "markPriceUpdate":
            marks.setdefault(event.s, event.p)
    return marks


def _guarded(tape: Path, plan: Path, folder: Path) -> World:
    """The whole process in front of an exchange that plays the tape."""
    marks = _first_marks(tape)

    async def act(world: World) -> None:
        # The exchange's own mark price before the tape is the tape's first one.
        for symbol, mark in marks.items():
            world.control("price", {"symbol": symbol, "mark": mark})
        await asyncio.sleep(TAPE_STARTS_S - 0.05)
        for symbol, quantity in HELD.items():
            world.open(symbol, quantity)
        await asyncio.sleep(SECONDS + 1)

    story = Story(
        act=act,
        folder=folder,
        prices=TapePrices(tape, start_ms=START_MS + round(TAPE_STARTS_S * 1000)),
        symbols=symbols_of(tape),
        tables={"plan": str(plan), "hard_stop": {"enabled": False}},
    )
    return play(story)


def _replayed(tape: Path, world: World) -> list[Line]:
    """The same positions, as the exchange opened them, in a replay."""
    asked = [
        AskedPosition(
            symbol=str(line["symbol"]),
            side="LONG" if line["side"] == "LONG" else "SHORT",
            quantity=Decimal(str(line["quantity"])),
            entry=Decimal(str(line["entry"])),
        )
        for line in world.lines
        if line["type"] == "opened"
    ]
    lines: list[Line] = []
    plan = plan_from_toml(PLAN, source="here")
    options = ReplayOptions(positions=tuple(asked), plan=plan)
    replay(options, [tape], emit=lines.append, note=lambda _: None)
    return lines[:-1]


NOT_COMPARED: Final = {"t", "tick", "atr", "realized", "r_multiple"}


def _essence(lines: list[Line], *types: str, symbol: str = "") -> list[dict[str, Any]]:
    """What must be equal; numbers by value."""
    return [
        {key: _number(value) for key, value in line.items() if key not in NOT_COMPARED}
        for line in lines
        if line["type"] in types and symbol in str(line["symbol"])
    ]


def _number(value: Any) -> Any:
    if isinstance(value, str) and value[:1].isdigit():
        return Decimal(value)
    return value


@pytest.mark.parametrize(
    ("scenario", "seed"), [("trend", 1), ("flash_crash", 2), ("whipsaw", 3), ("gap", 4)]
)
def test_a_guard_in_front_of_a_played_tape_decides_as_a_replay_of_it(
    scenario: str, seed: int, tmp_path: Path
) -> None:
    plan = tmp_path / "percentages.toml"
    plan.write_text(PLAN)
    tape = run_virtually(_recorded(scenario, seed, tmp_path / "raw"))
    world = _guarded(tape, plan, tmp_path / "live")
    lines = _replayed(tape, world)
    kinds = Counter(line["type"] for line in world.lines)
    assert kinds["opened"] == len(HELD)
    assert kinds["exit"] >= 3
    opened = {
        line["symbol"]: (line["stop"], line["targets"])
        for line in lines
        if line["type"] == "opened"
    }
    for line in world.lines:
        if line["type"] == "opened":
            assert (line["stop"], line["targets"]) == opened[line["symbol"]]
    assert _essence(world.lines, "stop", "exit") == _essence(lines, "stop", "exit")
    # Marks of all symbols come in one instant, fills a moment later: a position's end may come after others' exits.
    for symbol in HELD:
        kinds_of = ("stop", "exit", "closed")
        live = _essence(world.lines, *kinds_of, symbol=symbol)
        assert live == _essence(lines, *kinds_of, symbol=symbol)
