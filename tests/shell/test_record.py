"""`reactor record`: prices into tapes that replay, bounded, ended in order, without keys."""

import argparse
import asyncio
import os
import random
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import msgspec
import orjson
import pytest

from reactor.binance.urls import Environment
from reactor.clock import LoopClock, SystemClock
from reactor.config import RecordConfig, StreamsConfig
from reactor.core.plan import Trigger
from reactor.errors import ConfigError
from reactor.replay.lines import Line
from reactor.replay.options import ReplayOptions, position
from reactor.replay.run import replay
from reactor.shell.record_commands import add_record_command, age_days
from reactor.shell.record_session import RecordSession
from reactor.shell.tape_reader import open_tape
from reactor.shell.transport.memory import MemoryRest, MemoryTransport, SimulationDriver
from reactor.sim.faults import FaultRule
from reactor.sim.rest import Request
from reactor.sim.scenarios import Scenario
from reactor.sim.server import Server
from reactor.sim.simulation import Simulation
from reactor.sim.virtual_loop import run_virtually

START_MS = 1_795_000_000_000
SIM = Environment(
    name="simulated",
    rest="https://sim.example",
    streams="wss://sim.example",
    ws_api="wss://sim.example/ws-fapi/v1",
)


class Room:
    """A recording of a simulated exchange, in this program."""

    def __init__(
        self,
        folder: Path,
        *,
        symbols: Sequence[str] = ("BTCUSDT", "ETHUSDT"),
        sources: Sequence[Trigger] = ("mark", "last"),
        scenario: str = "trend",
        **bounds: str,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.clock = LoopClock(loop, start_ns=START_MS * 1_000_000)
        prices = Scenario(scenario, start_ms=START_MS, seed=1)
        self.simulation = Simulation(now_ms=START_MS, prices=prices)
        self.driver = SimulationDriver(self.simulation, self.clock)
        self.driver.start()
        self.said: list[str] = []
        self.session = RecordSession(
            symbols=symbols,
            sources=sources,
            folder=folder,
            environment=SIM,
            bounds=msgspec.convert(
                {"enabled": True, "min_free_disk": "1KB", **bounds}, RecordConfig
            ),
            streams=StreamsConfig(),
            transport=MemoryTransport(self.driver),
            rest_transport=MemoryRest(self.driver),
            clock=self.clock,
            chance=random.Random(1),
            say=self.said.append,
        )

    @property
    def paths(self) -> list[Path]:
        assert self.session.recorder is not None
        return self.session.recorder.paths

    def control(self, door: str, body: object) -> None:
        raw = orjson.dumps(body).decode()
        answer = self.simulation.request(Request(method="POST", path=f"/sim/{door}", body=raw))
        assert answer.status == 200
        self.driver.catch_up()

    async def record(self, act: Callable[[], Awaitable[None]]) -> int:
        stop = asyncio.Event()
        running = asyncio.create_task(self.session.run(stop))
        acting = asyncio.ensure_future(act())
        await asyncio.wait({running, acting}, return_when=asyncio.FIRST_COMPLETED)
        acting.cancel()
        stop.set()
        try:
            return await running
        finally:
            self.driver.stop()


def lines_of(paths: Sequence[Path]) -> list[dict[str, object]]:
    return [
        orjson.loads(line)
        for path in paths
        for _, lines in open_tape(path).batches()
        for line in lines
    ]


def test_what_is_recorded_replays_with_candles_and_tick_sizes(tmp_path: Path) -> None:
    async def test() -> Room:
        room = Room(tmp_path, sources=("mark", "last", "book"))
        assert await room.record(lambda: asyncio.sleep(120)) == 0
        return room

    room = run_virtually(test())
    lines: list[Line] = []
    asked = (position("BTCUSDT:LONG:0.2@81000"), position("ETHUSDT:SHORT:1@3000"))
    for trigger in ("mark", "last", "book"):
        lines.clear()
        options = ReplayOptions(positions=asked, trigger=trigger)
        replay(options, room.paths, emit=lines.append, note=room.said.append)
        opened = {line["symbol"]: line for line in lines if line["type"] == "opened"}
        assert set(opened) == {"BTCUSDT", "ETHUSDT"}
        assert all(line["atr"] for line in opened.values()), trigger
        stop = str(opened["BTCUSDT"]["stop"])
        assert stop == str(round(float(stop), 1)), "rounded to the recorded tick size"
        summary = lines[-1]
        assert summary["skipped"] == 0
        assert summary["never_ticked"] == []
    assert room.said[0].endswith("begun")
    assert any(line.endswith("prices in 1 tape") for line in room.said)


def test_a_lost_socket_is_on_the_tape(tmp_path: Path) -> None:
    async def test() -> Room:
        room = Room(tmp_path)

        async def act() -> None:
            await asyncio.sleep(5)
            room.control("connections", {"how": "reset", "route": "market"})
            await asyncio.sleep(5)

        assert await room.record(act) == 0
        return room

    room = run_virtually(test())
    links = [line["m"] for line in lines_of(room.paths) if line["c"] == "link"]
    assert [link["state"] for link in links] == ["up", "down", "up"]  # type: ignore[index]
    assert any("market socket down: closed with 1006" in line for line in room.said)


def test_tapes_are_rotated_and_the_oldest_make_room(tmp_path: Path) -> None:
    mine = tmp_path / "my_best_day.jsonl.zst"
    mine.write_bytes(b"somebody's own")

    async def test() -> Room:
        room = Room(tmp_path, rotate_size="60KB", max_size="200KB")
        assert await room.record(lambda: asyncio.sleep(600)) == 0
        return room

    room = run_virtually(test())
    left = sorted(path for path in tmp_path.iterdir() if path != mine)
    assert len(room.paths) > len(left) >= 2
    assert left == room.paths[-len(left) :]
    assert sum(path.stat().st_size for path in left) <= 200_000
    assert mine.read_bytes() == b"somebody's own"
    assert any(line.endswith("removed (bounds)") for line in room.said)


def test_a_full_disk_ends_it_with_the_reason(tmp_path: Path) -> None:
    async def test() -> Room:
        room = Room(tmp_path, min_free_disk="900000TB")
        assert await room.record(lambda: asyncio.sleep(600)) == 1
        return room

    room = run_virtually(test())
    assert any("less than record.min_free_disk is free" in line for line in room.said)


def test_a_symbol_that_is_none_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    async def test() -> None:
        room = Room(tmp_path, symbols=("BTCUSDT", "BTCUSD"))
        with pytest.raises(ConfigError, match="BTCUSD is no contract of this exchange"):
            await room.record(lambda: asyncio.sleep(10))

    run_virtually(test())
    assert list(tmp_path.iterdir()) == []


def test_without_an_answer_about_contracts_prices_are_recorded_all_the_same(
    tmp_path: Path,
) -> None:
    async def test() -> Room:
        room = Room(tmp_path)
        rule = FaultRule(do="error", at={"channel": "rest"}, code=-1000, status=500, count=0)
        room.simulation.control.arm([rule])
        assert await room.record(lambda: asyncio.sleep(30)) == 0
        return room

    room = run_virtually(test())
    assert any("the symbols are taken as they are written" in line for line in room.said)
    assert room.session.messages > 60


@pytest.mark.parametrize(("text", "days"), [("30d", 30), ("12h", 0.5), ("7", 7), ("90m", 0.0625)])
def test_ages(text: str, days: float) -> None:
    assert age_days(text) == pytest.approx(days)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--symbols", ","], "--symbols names none"),
        (["--streams", "mark,bok"], "'bok' is no price source; there are mark, last, book"),
        (["--max-age", "3x"], "--max-age '3x' is no age"),
        (["--max-age", "0d"], "--max-age '0d' is no age"),
        (["--max-size", "big"], "--max-size = 'big' is no size"),
        (["--environment", "moon"], 'environment "moon" is unknown'),
    ],
)
def test_options_that_cannot_be_used_are_refused_in_one_line(
    options: list[str], said: str, tmp_path: Path
) -> None:
    parser = argparse.ArgumentParser()
    add_record_command(parser.add_subparsers())
    words = ["record", "--symbols", "BTCUSDT", "--out", str(tmp_path / "out"), *options]
    args = parser.parse_args(words)
    with pytest.raises(ConfigError) as refused:
        args.run(args)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
async def test_the_command_over_real_sockets_ends_in_order(
    ending: signal.Signals, tmp_path: Path
) -> None:
    clock = SystemClock()
    now_ms = clock.now_ns() // 1_000_000
    prices = Scenario("trend", start_ms=now_ms, seed=1)
    server = Server(Simulation(now_ms=now_ms, prices=prices))
    await server.start()
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "reactor", "record", "--symbols", "btcusdt"),
            *("--out", str(tmp_path), "--environment", f"sim:http://127.0.0.1:{server.port}"),
            *("--min-free-disk", "1KB"),
            stderr=asyncio.subprocess.PIPE,
            env={key: value for key, value in os.environ.items() if "BINANCE" not in key},
        )
        assert process.stderr is not None
        said = b""
        while b"market socket up" not in said:
            line = await asyncio.wait_for(process.stderr.readline(), 60)
            assert line, said
            said += line
        await asyncio.sleep(1.2)
        process.send_signal(ending)
        said += await asyncio.wait_for(process.stderr.read(), 60)
        assert await process.wait() == 0, said
    finally:
        await server.stop()
    assert b"recording mark, last of BTCUSDT from simulated to" in said
    assert b"prices in 1 tape" in said
    lines = lines_of(sorted(tmp_path.iterdir()))  # noqa: ASYNC240 - it is over
    assert {line["c"] for line in lines} == {"rest", "link", "market"}
