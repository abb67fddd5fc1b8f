"""The server over real sockets on loopback: HTTP, WebSocket, faults of the wire, the command."""

import asyncio
import hashlib
import hmac
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from reactor.sim.clock import VirtualClock
from reactor.sim.commands import add_sim_command
from reactor.sim.exchange import Settings
from reactor.sim.simulation import Simulation

from .trading_desk import START_MS

aiohttp = pytest.importorskip("aiohttp", reason="the simulator's server needs its extra")
ROOT = Path(__file__).parents[2]


class Wire:
    """A running server under virtual time, and an ordinary HTTP session."""

    def __init__(self, server: Any, session: Any) -> None:
        self.server = server
        self.session = session
        self.url = f"http://127.0.0.1:{server.port}"

    async def control(self, path: str, body: Any) -> Any:
        async with self.session.post(f"{self.url}/sim/{path}", json=body) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    def signed(self, **params: Any) -> str:
        params["timestamp"] = self.server.simulation.exchange.server_ms
        text = "&".join(f"{k}={v}" for k, v in params.items())
        digest = hmac.new(b"sim-secret", text.encode(), hashlib.sha256).hexdigest()
        return f"{text}&signature={digest}"

    def order(self) -> Any:
        query = self.signed(symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.1")
        return self.session.post(
            f"{self.url}/fapi/v1/order?{query}", headers={"X-MBX-APIKEY": "sim-key"}
        )

    def position(self) -> str:
        account = self.server.simulation.exchange.accounts["main"]
        return str(account.position("BTCUSDT", "BOTH").amount)


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    from reactor.sim.server import Server

    clock = VirtualClock(START_MS)
    server = Server(Simulation(now_ms=START_MS, settings=Settings()), clock=clock)
    await server.start()
    async with aiohttp.ClientSession() as session:
        yield Wire(server, session)
    await server.stop()
    assert server.errors == 0


async def test_http_headers_and_status(wire: Wire) -> None:
    async with wire.order() as answer:
        assert answer.status == 200
        assert answer.headers["X-MBX-ORDER-COUNT-10S"] == "1"
        assert answer.headers["Content-Type"].startswith("application/json")
    async with wire.session.get(f"{wire.url}/fapi/v1/nothing") as answer:
        assert (answer.status, (await answer.json())["code"]) == (404, -5000)
    async with wire.session.ws_connect(f"{wire.url}/market/ws") as stream:
        await stream.close()
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await wire.session.ws_connect(f"{wire.url}/nowhere")


async def test_streams_over_a_socket(wire: Wire) -> None:
    target = f"{wire.url}/market/stream?streams=btcusdt@aggTrade"
    async with wire.session.ws_connect(target) as stream:
        await wire.control("price", {"symbol": "BTCUSDT", "price": "81000"})
        assert (await stream.receive_json(timeout=5))["data"]["p"] == "81000.00"
        await stream.send_str('{"method":"LIST_SUBSCRIPTIONS","id":1}')
        assert (await stream.receive_json(timeout=5))["result"] == ["btcusdt@aggTrade"]
        await stream.send_str("rubbish")
        assert (await stream.receive_json(timeout=5))["error"]["code"] == 3
        await stream.send_bytes(b"\xff\xfe")
        assert (await stream.receive_json(timeout=5))["error"]["code"] == 3


async def test_virtual_time_moves_through_the_door(wire: Wire) -> None:
    target = f"{wire.url}/market/ws/btcusdt@markPrice@1s"
    async with wire.session.ws_connect(target) as stream:
        await wire.control("time", {"advanceMs": 3000})
        times = [(await stream.receive_json(timeout=5))["E"] for _ in range(3)]
        assert times == [START_MS + 1000, START_MS + 2000, START_MS + 3000]


async def test_a_late_answer_waits_for_the_clock_but_its_events_do_not(wire: Wire) -> None:
    headers = {"X-MBX-APIKEY": "sim-key"}
    async with wire.session.post(f"{wire.url}/fapi/v1/listenKey", headers=headers) as answer:
        key = (await answer.json())["listenKey"]
    async with wire.session.ws_connect(f"{wire.url}/private/ws?listenKey={key}") as stream:
        await wire.control("faults", [{"do": "latency", "ms": 700, "at": {"path": "*/order"}}])
        waiting = asyncio.ensure_future(wire.order().__aenter__())
        assert (await stream.receive_json(timeout=5))["e"] == "ORDER_TRADE_UPDATE"
        assert not waiting.done()
        await wire.control("time", {"advanceMs": 700})
        answer = await asyncio.wait_for(waiting, 5)
        assert answer.status == 200
        answer.release()


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_an_order_without_an_answer(wire: Wire, how: str) -> None:
    await wire.control("faults", [{"do": "drop", "how": how, "at": {"path": "*/order"}}])
    with pytest.raises(aiohttp.ClientError):
        await wire.order()
    assert wire.position() == "0.100" or wire.position() == "0.1"


async def test_an_order_that_hangs(wire: Wire) -> None:
    await wire.control("faults", [{"do": "hang", "executed": False, "at": {"path": "*/order"}}])
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await wire.order()
    assert wire.position() == "0"


@pytest.mark.parametrize(("how", "kind"), [("close", "CLOSE"), ("reset", None), ("half_open", "")])
async def test_a_socket_ends(wire: Wire, how: str, kind: str | None) -> None:
    async with wire.session.ws_connect(f"{wire.url}/market/ws", autoclose=False) as stream:
        await wire.control("connections", {"how": how, "route": "market"})
        if how == "half_open":
            with pytest.raises(TimeoutError):
                await stream.receive(timeout=0.2)
            return
        message = await stream.receive(timeout=5)
        names = {"CLOSE"} if kind else {"CLOSED", "ERROR", "CLOSE"}
        assert message.type.name in names
        if kind is None:
            assert stream.close_code != 1001


async def test_a_client_that_dies_in_its_handshake_is_forgotten(
    wire: Wire, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def prepare(*_: Any) -> None:
        raise ConnectionResetError("Cannot write to closing transport")

    monkeypatch.setattr(aiohttp.web.WebSocketResponse, "prepare", prepare)
    with pytest.raises(aiohttp.ClientError):
        await wire.session.ws_connect(f"{wire.url}/market/ws")
    assert not wire.server.simulation.hub.connections
    assert not caplog.records


async def test_rubbish_bytes_do_not_take_it_down(wire: Wire) -> None:
    for junk in (
        b"\x00\x01\x02\r\n\r\n",
        b"GET\r\n\r\n",
        b"POST /fapi/v1/order HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", wire.server.port)
        writer.write(junk)
        await writer.drain()
        writer.write_eof()
        await asyncio.wait_for(reader.read(), 5)
        writer.close()
    async with wire.session.get(f"{wire.url}/fapi/v1/ping") as answer:
        assert answer.status == 200


async def test_the_latency_from_frame_to_order(wire: Wire) -> None:
    async with wire.session.ws_connect(f"{wire.url}/market/ws/btcusdt@aggTrade") as stream:
        await wire.control("price", {"symbol": "BTCUSDT", "price": "81000"})
        await stream.receive_json(timeout=5)
        async with wire.order():
            pass
    async with wire.session.get(f"{wire.url}/sim/latency") as answer:
        (nanoseconds,) = (await answer.json())["ns"]
    assert 0 < nanoseconds < 5_000_000_000


def command(*options: str) -> list[str]:
    code = (
        "import argparse, sys; from reactor.sim.commands import add_sim_command as add;"
        "p = argparse.ArgumentParser(prog='reactor'); add(p.add_subparsers(required=True));"
        "a = p.parse_args(); sys.exit(a.run(a))"
    )
    return [sys.executable, "-c", code, "sim", *options]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_command_prints_one_line_and_stops_with_0(number: int) -> None:
    process = await asyncio.create_subprocess_exec(
        *command("--port", "0", "--scenario", "whipsaw"),
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    line = (await asyncio.wait_for(process.stdout.readline(), 20)).decode()
    assert line.startswith("listening http://127.0.0.1:")
    async with aiohttp.ClientSession() as session:
        address = line.split()[1]
        stream = await session.ws_connect(f"{address}/market/ws/btcusdt@aggTrade")
        assert (await stream.receive_json(timeout=5))["e"] == "aggTrade"
        process.send_signal(number)
        rest, _ = await asyncio.wait_for(process.communicate(), 10)
        await stream.close()
    assert (process.returncode, rest) == (0, b"")


@pytest.mark.parametrize(
    "options",
    [
        ("--tape", "/nowhere.jsonl"),
        ("--tape", __file__),
        ("--speed", "0"),
        ("--wallet", "much"),
        ("--port", "70000"),
        ("--faults", "/nowhere.json"),
        ("--ed25519", __file__),
    ],
)
def test_bad_options_are_one_line_and_2(
    options: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    import argparse

    parser = argparse.ArgumentParser()
    add_sim_command(parser.add_subparsers())
    args = parser.parse_args(["sim", *options])
    assert args.run(args) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1


def tape(path: Path) -> Path:
    rows = [{"tape": 1, "created": "2026-01-01T00:00:00Z", "environment": "simulated"}]
    for step in range(40):
        event = {
            "e": "aggTrade", "s": "BTCUSDT", "p": str(90000 + step), "q": "0.010", "m": False, "st": 1,
        }  # fmt: skip
        rows.append({"t": step * 100_000_000, "c": "market", "m": {"stream": "x", "data": event}})
        book = {
            "e": "bookTicker",
            "s": "TINYUSDT",
            "b": "0.0101",
            "B": "5",
            "a": "0.0102",
            "A": "7",
        }
        rows.append({"t": step * 100_000_000, "c": "public", "m": book})
    path.write_text("\n".join([*map(json.dumps, rows), "{cut"]))
    return path


def test_a_tape_sets_symbols_prices_and_pace(tmp_path: Path) -> None:
    from reactor.sim.tape_prices import TapePrices, symbols_of

    path = tape(tmp_path / "a.jsonl")
    symbols = symbols_of(path)
    assert set(symbols) == {"BTCUSDT", "TINYUSDT"}
    assert str(symbols["TINYUSDT"].tick) == "0.0001"
    simulation = Simulation(
        now_ms=START_MS,
        symbols=symbols,
        prices=TapePrices(path, start_ms=START_MS, speed=2.0),
    )
    simulation.advance(START_MS + 1000)
    assert simulation.exchange.markets["BTCUSDT"].last == 90020
    simulation.advance(START_MS + 10_000)
    assert simulation.exchange.markets["BTCUSDT"].last == 90039
    assert str(simulation.exchange.markets["TINYUSDT"].book.ask) == "0.0102"


async def test_a_tape_as_fast_as_the_client_reads(tmp_path: Path) -> None:
    from reactor.sim.server import Server
    from reactor.sim.tape_prices import TapePump, symbols_of

    path = tape(tmp_path / "a.jsonl")
    simulation = Simulation(now_ms=time.time_ns() // 1_000_000, symbols=symbols_of(path))
    server = Server(simulation, pump=TapePump(path, repeat=True))
    port = await server.start()
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"http://127.0.0.1:{port}/market/ws/btcusdt@aggTrade") as stream,
        ):
            prices = [(await stream.receive_json(timeout=5))["p"] for _ in range(500)]
    finally:
        await server.stop()
    assert prices[:2] == ["90000.00", "90001.00"]
    assert len(set(prices)) == 40
