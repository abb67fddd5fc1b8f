"""The whole process under virtual time: the same every time, quiet towards the exchange, and flat in memory."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from stories import drawn, trading
from virtual import START_MS, Story, World, play

from reactor.shell.rest.server_time import SAMPLES as TIME_SAMPLES
from reactor.sim.scenarios import Scenario

NINE = {
    "SOLUSDT": "314",
    "DOTUSDT": "-1096",
    "ETHUSDT": "-6.61",
    "AVAXUSDT": "161",
    "BNBUSDT": "18",
    "ATOMUSDT": "314",
    "XRPUSDT": "-3013",
    "ADAUSDT": "16858",
    "BTCUSDT": "0.182",
}
"""The positions of the earlier system's report; negative is short."""


def open_nine(world: World) -> None:
    for symbol, quantity in NINE.items():
        world.open(symbol, quantity)


# Determinism --------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [2, 5])
def test_the_same_seed_is_the_same_session_byte_for_byte(seed: int, tmp_path: Path) -> None:
    # Names of files stand in the audit stream: both sessions have the same folder.
    left = []
    for _ in range(2):
        world = play(drawn(seed, tmp_path, seconds=40))
        tapes = [path.read_bytes() for path in world.tapes]
        assert tapes
        left.append((tapes, world.audit_bytes(), world.said))
        for path in (*(tmp_path / "tapes").iterdir(), *tmp_path.glob("journal.db*")):
            path.unlink()
    assert left[0] == left[1]
    assert len(left[0][1]) > 10_000


def test_another_seed_is_another_session(tmp_path: Path) -> None:
    first, second = (
        play(Story(act=trading(seed=1, seconds=20), folder=tmp_path / str(seed), seed=seed))
        for seed in (1, 2)
    )
    assert first.audit_bytes() != second.audit_bytes()


# What is asked ------------------------------------------------------------------------------------


WIDE = 'name = "wide"\n[stop]\npct = 0.2\n'
"""A plan that has nothing to do while the market is calm."""


def test_nine_guarded_positions_ask_for_nothing_but_the_time_the_key_and_the_minutes_look(
    tmp_path: Path,
) -> None:
    before: dict[str, int] = {}
    after: dict[str, int] = {}

    async def act(world: World) -> None:
        open_nine(world)
        # The candle that was forming at the start is read once more when it is over.
        await asyncio.sleep(400)
        before.update(world.process.rest.asked)
        await asyncio.sleep(3600)
        after.update(world.process.rest.asked)
        assert len(world.process.guard.positions) == 9

    plan = tmp_path / "wide.toml"
    plan.write_text(WIDE)
    prices = Scenario("calm", start_ms=START_MS, seed=1, step_ms=1000)
    tables = {"plan": str(plan)}
    play(Story(act=act, folder=tmp_path, tables=tables, prices=prices, keep_events=False))
    asked = {path: after[path] - before.get(path, 0) for path in after}
    # Open orders weigh 1 for one symbol and 40 for all: nine symbols are asked one by one.
    assert {path: count for path, count in asked.items() if count} == {
        "/fapi/v1/time": 12 * TIME_SAMPLES,
        "/fapi/v1/listenKey": 2,
        "/fapi/v3/positionRisk": 60,
        "/fapi/v1/openAlgoOrders": 60 * 9,
        "/fapi/v1/openOrders": 60 * 9,
    }


def test_positions_that_only_prices_move_ask_for_nothing_more(tmp_path: Path) -> None:
    """Trailing stops move the exchange's own stops; nothing else is asked for."""
    marks: list[dict[str, int]] = []

    async def act(world: World) -> None:
        open_nine(world)
        await asyncio.sleep(20)
        for _ in range(2):
            marks.append(dict(world.process.rest.asked))
            await asyncio.sleep(38)

    play(Story(act=act, folder=tmp_path, scenario="whipsaw", tables={"plan": "trend_follow"}))
    asked = {path: marks[1][path] - marks[0].get(path, 0) for path in marks[1]}
    assert {path for path, count in asked.items() if count} <= {"/fapi/v1/algoOrder"}


# A day --------------------------------------------------------------------------------------------

DAY = """
import asyncio, gc, resource, sys
from pathlib import Path

sys.path[:0] = [sys.argv[1], str(Path(sys.argv[1]).parent)]
from test_live_virtual import NINE
from virtual import START_MS, Story, play

from reactor.sim import account, market
from reactor.sim.scenarios import Scenario

# The exchange's own history is no part of the process.
account.CLOSED_MAX = account.HISTORY_MAX = market.CANDLES_MAX = market.TRADES_MAX = 50


def resident_kb():
    gc.collect()
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() // 1024


async def act(world):
    for minute in range(round(float(sys.argv[3]) * 60)):
        positions = world.simulation.exchange.accounts["main"].positions
        for symbol, quantity in NINE.items():
            one = positions.get((symbol, "BOTH"))
            if one is None or not one.amount:
                world.open(symbol, quantity, must=False)
        await asyncio.sleep(60)
        if minute % 15 == 14:
            print(resident_kb(), flush=True)


# Few steps: it is the process that is measured. The exchange keeps a bounded history, too.
prices = Scenario("trend", start_ms=START_MS, seed=3, step_ms=2000)
record = {"enabled": True, "min_free_disk": "1KB", "rotate_size": "1MB", "max_size": "4MB"}
story = Story(
    act=act,
    folder=Path(sys.argv[2]),
    prices=prices,
    tables={"record": record},
    keep_events=False,
    keep_lines=False,
    journal="journal.db",
)
world = play(story)
print(world.kinds, file=sys.stderr)
"""


HOURS = float(os.environ.get("REACTOR_LIVE_HOURS", "0.75"))
GROWTH_MB_MAX = 8


@pytest.mark.timeout(3600)
def test_memory_stays_flat(tmp_path: Path) -> None:
    """Nine positions that open and close all the time; REACTOR_LIVE_HOURS=24 makes it a day (some minutes).

    A day showed 59 MB after two hours and 66 MB after ten, then nothing more: what grows until then is bounded
    (order requests and client ids that are remembered, trades by symbol).
    """
    ran = subprocess.run(
        [sys.executable, "-c", DAY, str(Path(__file__).parent), str(tmp_path), str(HOURS)],
        capture_output=True,
        text=True,
        timeout=3600,
        check=True,
    )
    resident = [int(line) / 1024 for line in ran.stdout.split()]
    print(f"resident MB, every 15 minutes: {resident}")
    assert len(resident) == round(HOURS * 4)
    assert resident[-1] - resident[len(resident) // 3] < GROWTH_MB_MAX, resident
    assert resident[-1] < 120
    tapes = sum(path.stat().st_size for path in (tmp_path / "tapes").iterdir())
    assert tapes <= 4_000_000, "the recording keeps to its bounds"
