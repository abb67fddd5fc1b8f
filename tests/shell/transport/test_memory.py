"""A process and its exchange in one program: what arrives, when, and always the same."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import urlencode

import msgspec
import orjson
import pytest
from raw_peer import QUIET, Ear

from reactor.binance.redaction import excerpt
from reactor.clock import LoopClock
from reactor.errors import ConnectFailed, RestFailed
from reactor.shell.transport.memory import (
    Latency,
    MemoryRest,
    MemoryTransport,
    SimulationDriver,
    no_latency,
)
from reactor.shell.transport.seam import SocketEnd, SocketOptions
from reactor.sim.exchange import Settings
from reactor.sim.rest import Request
from reactor.sim.scenarios import Scenario
from reactor.sim.simulation import Simulation
from reactor.sim.virtual_loop import run_virtually

START_MS = 1_795_000_000_000
HOST = "sim.example"
DAY_S = 24 * 3600.0


class World:
    """An exchange, its driver and both ways into it, on the running loop."""

    def __init__(self, *, latency: Latency = no_latency, moving: bool = False, seed: int = 1):
        self.loop = asyncio.get_running_loop()
        prices = Scenario("calm", seed=seed, start_ms=START_MS) if moving else None
        self.simulation = Simulation(now_ms=START_MS, settings=Settings(seed=seed), prices=prices)
        self.clock = LoopClock(self.loop, start_ns=START_MS * 1_000_000)
        self.driver = SimulationDriver(self.simulation, self.clock)
        self.transport = MemoryTransport(self.driver, latency=latency)
        self.rest = MemoryRest(self.driver, latency=latency)
        self.driver.start()

    async def connect(self, target: str, ear: Ear, options: SocketOptions = QUIET) -> Any:
        return await self.transport.connect(f"wss://{HOST}{target}", ear, options=options)

    async def ask(self, method: str, path: str, timeout_s: float = 10.0, **params: Any) -> Any:
        reply = await self.rest.request(
            method,
            f"https://{HOST}{path}?{urlencode(params)}",
            headers={"X-MBX-APIKEY": "sim-key"},
            timeout_s=timeout_s,
        )
        assert reply.status == 200, excerpt(reply.body)
        return orjson.loads(reply.body)

    def control(self, path: str, body: Any) -> None:
        response = self.simulation.request(
            Request(method="POST", path=f"/sim/{path}", body=orjson.dumps(body).decode())
        )
        assert response.status == 200, response.body
        self.driver.catch_up()

    def price(self, price: str) -> None:
        self.control("price", {"symbol": "BTCUSDT", "price": price})


def virtually(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """The test as one that runs under virtual time."""

    def run() -> None:
        run_virtually(test())

    run.__name__ = test.__name__
    return run


class TimedEar(Ear):
    """Remembers when, too."""

    def __init__(self) -> None:
        super().__init__()
        self.at_s: list[float] = []

    def on_message(self, message: bytes) -> None:
        self.at_s.append(asyncio.get_running_loop().time())
        super().on_message(message)


def events(ear: Ear) -> list[dict[str, Any]]:
    return [orjson.loads(message) for message in ear.messages]


@virtually
async def test_a_price_move_arrives_after_the_latency() -> None:
    world = World(latency=lambda: 0.004)
    ear = TimedEar()
    await world.connect("/market/ws/btcusdt@aggTrade", ear)
    assert world.loop.time() == 0.008
    await asyncio.sleep(1)
    world.price("81000")
    await ear.heard(1)
    assert events(ear)[0]["p"] == "81000.00"
    assert ear.at_s == [pytest.approx(1.012)]


@virtually
async def test_what_is_sent_is_answered_a_round_trip_later() -> None:
    world = World(latency=lambda: 0.25)
    ear = TimedEar()
    line = await world.connect("/market/ws", ear)
    assert line.send(b'{"method":"SUBSCRIBE","params":["btcusdt@markPrice@1s"],"id":7}')
    assert line.unsent_bytes == 0
    await ear.heard(1)
    assert events(ear) == [{"result": None, "id": 7}]
    assert ear.at_s == [pytest.approx(1.0)]


@virtually
async def test_order_is_kept_whatever_the_latency() -> None:
    world = World(latency=random.Random(5).random)
    ear = Ear()
    line = await world.connect("/ws-fapi/v1", ear)
    for number in range(50):
        line.send(orjson.dumps({"id": str(number), "method": "time"}))
    await ear.heard(50)
    assert [event["id"] for event in events(ear)] == [str(number) for number in range(50)]


@virtually
async def test_nothing_overtakes_what_is_still_on_its_way() -> None:
    drawn = iter([0.0, 0.0, 1.0, 0.1])  # there and back for the handshake, then two messages
    world = World(latency=lambda: next(drawn, 0.0))
    ear = TimedEar()
    line = await world.connect("/ws-fapi/v1", ear)
    line.send(b'{"id":"slow","method":"time"}')
    line.send(b'{"id":"fast","method":"time"}')
    await ear.heard(2)
    assert [event["id"] for event in events(ear)] == ["slow", "fast"]
    assert ear.at_s == [1.0, 1.0]


@virtually
async def test_a_listen_key_brings_what_rest_has_caused() -> None:
    world = World(latency=lambda: 0.001)
    key = (await world.ask("POST", "/fapi/v1/listenKey"))["listenKey"]
    ear = Ear()
    await world.connect(f"/private/ws/{key}", ear)
    world.control("position", {"symbol": "BTCUSDT", "quantity": "0.5"})
    await ear.heard(1)
    assert "ACCOUNT_UPDATE" in {event["e"] for event in events(ear)}


def session(seed: int, latency_seed: int) -> list[tuple[float, bytes]]:
    """Everything that was heard in two virtual minutes, with its time."""

    async def run() -> list[tuple[float, bytes]]:
        chance = random.Random(latency_seed)
        world = World(latency=lambda: chance.uniform(0, 0.05), moving=True, seed=seed)
        market, book, api = TimedEar(), TimedEar(), TimedEar()
        streams = "btcusdt@aggTrade/btcusdt@markPrice@1s/ethusdt@aggTrade"
        await world.connect(f"/market/stream?streams={streams}", market)
        await world.connect("/public/ws/btcusdt@bookTicker", book)
        line = await world.connect("/ws-fapi/v1", api)
        for number in range(12):
            line.send(orjson.dumps({"id": number, "method": "time"}))
            await world.ask("GET", "/fapi/v1/time")
            await asyncio.sleep(10)
        world.driver.stop()
        ears = (market, book, api)
        assert all(ear.messages for ear in ears)
        return [pair for ear in ears for pair in zip(ear.at_s, ear.messages, strict=True)]

    return run_virtually(run())


def test_the_same_seed_gives_the_same_bytes_at_the_same_times() -> None:
    first = session(3, 9)
    assert len(first) > 600
    assert session(3, 9) == first
    assert session(4, 9) != first
    assert session(3, 8) != first


@virtually
async def test_a_day_of_pings_and_the_end_of_a_connection() -> None:
    world = World(latency=lambda: 0.01)
    ear = Ear()
    line = await world.connect(
        "/market/ws", ear, msgspec.structs.replace(QUIET, ping_interval_s=20, ping_timeout_s=10)
    )
    await asyncio.sleep(DAY_S - 1)
    assert line.is_open
    await asyncio.sleep(2)
    assert ear.ends == [SocketEnd(code=1001, reason="", by_us=False)]
    assert not line.send(b"{}")


@pytest.mark.parametrize(
    ("how", "code", "by_us"),
    [("close", 1001, False), ("reset", 1006, False), ("half_open", 1006, True)],
)
def test_every_way_to_lose_a_connection(how: str, code: int, by_us: bool) -> None:
    async def run() -> None:
        world = World(latency=lambda: 0.01)
        ear = Ear()
        line = await world.connect(
            "/market/ws/btcusdt@aggTrade",
            ear,
            msgspec.structs.replace(QUIET, ping_interval_s=20, ping_timeout_s=10),
        )
        world.control("faults", [{"do": "drop", "how": how, "at": {"route": "market"}}])
        world.price("81000")
        await asyncio.sleep(60)
        (end,) = ear.ends
        assert (end.code, end.by_us) == (code, by_us)
        assert not line.is_open
        line.abort()
        line.close()
        await asyncio.sleep(60)
        assert len(ear.ends) == 1
        assert not world.simulation.hub.connections or how == "half_open"

    run_virtually(run())


@virtually
async def test_our_farewell_and_our_cut() -> None:
    world = World(latency=lambda: 0.01)
    ear, other = Ear(), Ear()
    line = await world.connect("/market/ws/btcusdt@aggTrade", ear)
    cut = await world.connect("/market/ws/btcusdt@aggTrade", other)
    line.close()
    cut.abort()
    assert not line.is_open
    world.price("81000")
    assert await ear.end() == SocketEnd(code=1000, reason="", by_us=True)
    assert (await other.end()).code == 1006
    assert other.messages == []
    assert world.simulation.hub.connections == {}
    assert world.simulation.hub.dirty == {}


@virtually
async def test_handlers_raise_and_messages_may_be_too_long() -> None:
    world = World()

    class Clumsy(Ear):
        def on_message(self, message: bytes) -> None:
            super().on_message(message)
            raise KeyError(message)

    ear, small = Clumsy(), Ear()
    line = await world.connect("/market/ws/btcusdt@aggTrade", ear)
    await world.connect(
        "/market/ws/btcusdt@aggTrade",
        small,
        msgspec.structs.replace(QUIET, message_bytes_max=10, close_timeout_s=1),
    )
    world.price("81000")
    await ear.heard(1)
    assert len(ear.faults) == 1
    assert line.is_open
    assert (await small.end()).code == 1009
    assert small.messages == []


@virtually
async def test_what_is_refused() -> None:
    world = World(latency=lambda: 1.0)
    with pytest.raises(ConnectFailed, match=r"cannot connect to sim.example:443: HTTP 404") as bad:
        await world.connect("/nowhere/ws/abcdef", Ear())
    assert "abcdef" not in str(bad.value)
    with pytest.raises(ConnectFailed, match=r"no answer within 1.5 s"):
        await world.connect("/ws", Ear(), msgspec.structs.replace(QUIET, connect_timeout_s=1.5))
    assert world.simulation.hub.connections == {}
    connecting = asyncio.ensure_future(world.connect("/ws", Ear()))
    await asyncio.sleep(1.5)
    connecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await connecting
    assert world.simulation.hub.connections == {}
    world.control("faults", [{"do": "maintenance", "ms": 60_000}])
    with pytest.raises(ConnectFailed, match="HTTP 503 Service Unavailable"):
        await world.connect("/ws", Ear())


@virtually
async def test_rest_answers_late_or_never() -> None:
    world = World(latency=lambda: 0.1)
    answer = await world.ask("GET", "/fapi/v1/time")
    assert answer["serverTime"] == START_MS + 100
    assert world.loop.time() == pytest.approx(0.2)
    path = {"path": "/fapi/v1/time"}
    world.control("faults", [{"do": "latency", "ms": 700, "at": path}])
    await world.ask("GET", "/fapi/v1/time")
    assert world.loop.time() == pytest.approx(1.1)
    world.control("faults", [{"do": "hang", "at": path}, {"do": "drop", "at": path}])
    with pytest.raises(RestFailed, match=r"sim.example did not answer within 3 s"):
        await world.ask("GET", "/fapi/v1/time", timeout_s=3)
    with pytest.raises(RestFailed, match=r"sim.example ended the connection without an answer"):
        await world.ask("GET", "/fapi/v1/time", secret="x")
    reply = await world.rest.request("GET", f"https://{HOST}/fapi/v1/time", headers={}, timeout_s=1)
    assert int(reply.headers["x-mbx-used-weight-1m"]) > 0
    await world.rest.close()


@virtually
async def test_stopping_cuts_what_is_open() -> None:
    world = World(moving=True)
    ear = Ear()
    await world.connect("/market/ws/btcusdt@aggTrade", ear)
    await ear.heard(1)
    world.driver.stop()
    assert (await ear.end()).code == 1006
    heard = len(ear.messages)
    await asyncio.sleep(3600)
    assert len(ear.messages) == heard
