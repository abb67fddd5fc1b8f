"""The doctor: a line for each thing, the mend beside what is wrong, and an exit code."""

import argparse
import asyncio
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rest_room import Room, ScriptedRest, virtually

from reactor.binance.urls import simulated
from reactor.config import Config, ManageConfig, OrdersConfig
from reactor.errors import ConfigError, RestFailed
from reactor.shell.rest.commands import add_doctor_command, show
from reactor.shell.rest.contracts import Contracts
from reactor.shell.rest.doctor import Doctor, Finding
from reactor.shell.transport.memory import MemoryTransport
from reactor.sim.server import Server
from reactor.sim.simulation import Simulation

CONFIG = Config(manage=ManageConfig(include=("BTCUSDT",)))


async def examined(
    room: Room, config: Config = CONFIG, **options: Any
) -> tuple[int, dict[str, Finding]]:
    """The number of wrong things, and the last finding of each part (the worst one first)."""
    found: list[Finding] = []
    doctor = Doctor(
        config,
        simulated("http://127.0.0.1:1"),
        room.client,
        Contracts(room.client, None, room.audit, room.clock),
        MemoryTransport(room.driver),
        found.append,
        **options,
    )

    async def trade() -> None:
        while True:
            room.control("price", {"symbol": "BTCUSDT", "price": "81000"})
            await asyncio.sleep(0.5)

    trading = asyncio.create_task(trade())
    wrong = await doctor.examine()
    trading.cancel()
    worst = sorted(found, key=lambda finding: finding.level == "wrong")
    assert wrong == sum(finding.level == "wrong" for finding in found)
    assert all("\n" not in finding.text for finding in found)
    return wrong, {finding.part: finding for finding in worst}


@virtually
async def test_where_all_is_well_every_part_says_so() -> None:
    wrong, found = await examined(Room())
    assert wrong == 0
    assert {part: finding.level for part, finding in found.items()} == dict.fromkeys(
        (
            "environment",
            "rest",
            "clock",
            "keys",
            "position mode",
            "symbols",
            "permissions",
            "market stream",
            "public stream",
            "private stream",
            "order socket",
            "disk",
        ),
        "ok",
    )


@pytest.mark.parametrize(
    ("door", "body", "part", "says"),
    [
        (
            "faults",
            [{"do": "mute", "at": {"route": "market"}, "ms": 0, "count": 0}],
            "market stream",
            "nothing came for 10 s",
        ),
        (
            "faults",
            [{"do": "lose", "at": {"route": "public"}, "count": 0}],
            "public stream",
            "nothing came for 10 s",
        ),
        ("faults", [{"do": "clock_skew", "ms": 4000}], "clock", "NTP"),
        (
            "faults",
            [
                {
                    "do": "error",
                    "at": {"path": "/fapi/v1/accountConfig"},
                    "code": -2015,
                    "status": 401,
                    "count": 0,
                }
            ],
            "keys",
            "may not trade futures",
        ),
        (
            "faults",
            [
                {
                    "do": "error",
                    "at": {"path": "/fapi/v1/order/test"},
                    "code": -2015,
                    "status": 401,
                    "count": 0,
                }
            ],
            "permissions",
            "allow futures trading",
        ),
        (
            "faults",
            [
                {
                    "do": "error",
                    "at": {"path": "/fapi/v1/listenKey"},
                    "status": 503,
                    "code": -1000,
                    "count": 0,
                }
            ],
            "private stream",
            "no listen key",
        ),
        ("symbol", {"symbol": "BTCUSDT", "status": "SETTLING"}, "symbols", "being settled"),
    ],
)
def test_what_is_wrong_is_said_with_its_mend(door: str, body: Any, part: str, says: str) -> None:
    @virtually
    async def test() -> None:
        room = Room()
        room.control(door, body)
        await asyncio.sleep(0.01)
        room.driver.catch_up()
        wrong, found = await examined(room)
        assert wrong == 1, found
        assert found[part].level == "wrong"
        assert says in found[part].text

    test()


@virtually
async def test_without_keys_the_rest_is_looked_at_all_the_same() -> None:
    problem = "BINANCE_API_KEY is not set; set it"
    wrong, found = await examined(Room(), keys_problem=problem, warnings=["readable by others"])
    assert wrong == 1
    assert found["keys"].text == problem
    assert found["private stream"].level == "note"
    assert found["market stream"].level == "ok"


@virtually
async def test_an_exchange_out_of_reach_is_said_first() -> None:
    room = Room(transport=ScriptedRest(RestFailed("GET 127.0.0.1/fapi/v1/time: no answer in time")))
    wrong, found = await examined(room)
    assert wrong == 1, "the sockets of this exchange work"
    assert "no answer in time" in found["rest"].text


@virtually
async def test_options_of_the_configuration_count() -> None:
    config = msgspec.structs.replace(
        CONFIG,
        orders=OrdersConfig(over="rest"),
        manage=ManageConfig(include=("*", "ETHUSDT")),
        data_dir="/proc/nowhere",
    )
    wrong, found = await examined(Room(), config)
    assert wrong == 1
    assert found["order socket"].level == "note"
    assert found["disk"].level == "wrong"
    assert "ETHUSDT" in found["symbols"].text


@virtually
async def test_nothing_is_done_to_the_account() -> None:
    room = Room()
    await examined(room)
    account = room.simulation.exchange.accounts["main"]
    assert account.position("BTCUSDT", "BOTH").amount == 0
    methods = {path for _, _, path in room.requests}
    assert "/fapi/v1/order" not in methods


# The command --------------------------------------------------------------------------------------


def command(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_doctor_command(parser.add_subparsers())
    return parser.parse_args(["doctor", *words])


async def test_the_command_over_real_sockets(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BINANCE_API_KEY", "sim-key")
    monkeypatch.setenv("BINANCE_API_SECRET", "sim-secret")
    simulation = Simulation(now_ms=time.time_ns() // 1_000_000)
    server = Server(simulation)
    port = await server.start()

    async def trade() -> None:
        from reactor.sim.rest import Request

        while True:
            body = '{"symbol":"BTCUSDT","price":"81000"}'
            simulation.request(Request(method="POST", path="/sim/price", body=body))
            server.flush()
            await asyncio.sleep(0.05)

    trading = asyncio.create_task(trade())
    try:
        args = command("--environment", f"sim:http://127.0.0.1:{port}", "--symbols", "BTCUSDT")
        code = await asyncio.to_thread(args.run, args)
        told = capsys.readouterr().out
        assert code == 0, told
        assert "all is well" in told
        monkeypatch.setenv("BINANCE_API_SECRET", "sim-wrong")
        code = await asyncio.to_thread(args.run, args)
        told = capsys.readouterr().out
        assert code == 1
        assert "-1022" in told
        assert "sim-wrong" not in told
    finally:
        trading.cancel()
        await server.stop()


@pytest.mark.parametrize(
    "words",
    [
        ("--environment", "moon"),
        ("--symbols", ","),
        ("--timeout", "0"),
        ("--config", "/nowhere/reactor.toml"),
    ],
)
def test_what_cannot_be_used_is_bad_input(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    args = command(*words)
    with pytest.raises(ConfigError):
        args.run(args)


def test_the_configuration_beside_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reactor.toml").write_text('environment = "moon"\n')
    args = command()
    with pytest.raises(ConfigError, match="moon"):
        args.run(args)
    monkeypatch.setenv("REACTOR_ENVIRONMENT", "mars")
    with pytest.raises(ConfigError, match="mars"):
        args.run(args)


def test_a_finding_is_one_line_whatever_it_quotes(capsys: pytest.CaptureFixture[str]) -> None:
    show(Finding("wrong", "rest", "a\nb\x1b[31m"))
    assert capsys.readouterr().out == "wrong  rest            a?b?[31m\n"
