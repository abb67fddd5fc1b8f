"""Feeds in front of the simulated exchange, in one program under virtual time, with a network that can fail."""

import asyncio
import contextlib
import itertools
import random
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import orjson

from reactor.audit import AlarmRaised, Audit, AuditEvent, LinkChanged
from reactor.binance.urls import simulated
from reactor.clock import Clock, LoopClock
from reactor.config import StreamsConfig
from reactor.errors import ConnectFailed, RestNotSent
from reactor.shell.inbox import Command, Link, StreamRoute
from reactor.shell.rest_seam import Purpose, RestAnswer
from reactor.shell.transport.memory import MemoryTransport, SimulationDriver
from reactor.shell.transport.seam import Socket, SocketHandler, SocketOptions
from reactor.sim.exchange import Settings
from reactor.sim.rest import Request
from reactor.sim.simulation import Simulation
from reactor.sim.virtual_loop import run_virtually

START_MS = 1_795_000_000_000
ENVIRONMENT = simulated("http://127.0.0.1:1")
BTC = "btcusdt@markPrice@1s"


class Heard:
    """An inbox that keeps what it is given, with the time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.messages: list[tuple[int, StreamRoute, bytes]] = []
        self.account: list[bytes] = []
        self.answers: list[dict[str, Any]] = []
        self.links: list[tuple[float, Link]] = []

    @property
    def now_s(self) -> float:
        return self._clock.now_ns() / 1e9 - START_MS / 1e3

    def market(self, route: StreamRoute, message: bytes, more: bool = False) -> None:
        self.messages.append((self._clock.now_ns(), route, message))

    def private(self, message: bytes) -> None:
        self.account.append(message)

    def order_sent(self, message: bytes) -> None:
        raise AssertionError("the gateway says this")

    def order_answer(self, message: bytes) -> None:
        self.answers.append(orjson.loads(message))

    def rest(self, answer: RestAnswer) -> None:
        raise AssertionError("a listen key is no news")

    def link(self, link: Link) -> None:
        self.links.append((self.now_s, link))

    def command(self, command: Command) -> None:
        raise AssertionError("nobody commands here")

    @property
    def states(self) -> list[str]:
        """The links' changes, `stream state`, with `+gap`."""
        return [f"{link.stream} {link.state}{'+gap' * link.gap}" for _, link in self.links]

    def streams(self, after_s: float = -1.0) -> set[str]:
        """Which streams delivered after a time."""
        after_ns = START_MS * 1_000_000 + after_s * 1e9
        return {
            orjson.loads(message)["stream"] for t_ns, _, message in self.messages if t_ns > after_ns
        }

    def longest_silence_s(self) -> float:
        times = [t_ns / 1e9 for t_ns, _, _ in self.messages]
        return max(later - earlier for earlier, later in itertools.pairwise(times))


class Network:
    """A transport over another one, with outages."""

    name = "network"

    def __init__(self, inner: MemoryTransport, now_s: Callable[[], float]) -> None:
        self._inner = inner
        self._now_s = now_s
        self.is_out = False
        self.refusals: deque[str] = deque()
        self.dials: list[tuple[float, str]] = []
        self.sockets: list[Socket] = []

    async def connect(self, url: str, handler: SocketHandler, *, options: SocketOptions) -> Socket:
        self.dials.append((self._now_s(), url))
        if self.is_out:
            raise ConnectFailed("cannot connect to 127.0.0.1:1: Connection refused")
        if self.refusals:
            raise ConnectFailed(f"cannot connect to 127.0.0.1:1: {self.refusals.popleft()}")
        socket = await self._inner.connect(url, handler, options=options)
        self.sockets.append(socket)
        return socket

    @property
    def open_sockets(self) -> int:
        return sum(socket.is_open for socket in self.sockets)

    def drop_all(self) -> None:
        """What a pulled cable does to the open sockets, as far as the client sees."""
        for socket in self.sockets:
            socket.abort()


class World:
    """A simulated exchange, a network, and who hears what comes of them."""

    def __init__(self, settings: Settings | None = None) -> None:
        loop = asyncio.get_running_loop()
        self.clock = LoopClock(loop, start_ns=START_MS * 1_000_000)
        self.simulation = Simulation(now_ms=START_MS, settings=settings)
        self.driver = SimulationDriver(self.simulation, self.clock)
        self.heard = Heard(self.clock)
        self.network = Network(MemoryTransport(self.driver), lambda: self.heard.now_s)
        self.audit = Audit()
        self.events: list[AuditEvent] = []
        self.audit.watch(self.events.append)
        self.chance = random.Random(7)
        self.config = StreamsConfig()
        self.rest_is_out = False
        self.rest_calls: list[tuple[float, str]] = []
        self.rest_says: deque[tuple[int, dict[str, Any]]] = deque()

    @property
    def now_s(self) -> float:
        return self.heard.now_s

    @property
    def alarms(self) -> list[str]:
        return [event.what.kind for event in self.events if isinstance(event.what, AlarmRaised)]

    @property
    def changes(self) -> list[str]:
        return [
            f"{event.what.stream} {event.what.state}"
            for event in self.events
            if isinstance(event.what, LinkChanged)
        ]

    def door(self, path: str, body: Any) -> Any:
        """The control door of the simulated exchange."""
        response = self.simulation.request(
            Request(method="POST", path=path, body=orjson.dumps(body).decode())
        )
        assert response.status == 200, response.body
        self.driver.catch_up()
        return orjson.loads(response.body)

    def clear_faults(self) -> None:
        self.simulation.request(Request(method="DELETE", path="/sim/faults"))

    async def send(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None = None,
        *,
        purpose: Purpose,
        signed: bool,
        timeout_s: float,
    ) -> RestAnswer:
        """What a feed asks over REST."""
        assert not signed, "a listen key needs no signature"
        asked_ns = self.clock.now_ns()
        self.rest_calls.append((self.now_s, method))
        await asyncio.sleep(0.01)
        if self.rest_is_out:
            raise RestNotSent("127.0.0.1:1: Connection refused")
        if self.rest_says:
            status, body = self.rest_says.popleft()
            raw = orjson.dumps(body)
        else:
            response = self.simulation.request(
                Request(method=method, path=path, headers={"x-mbx-apikey": "sim-key"})
            )
            status, raw = response.status, response.body
        return RestAnswer(
            method=method,
            path=path,
            params=params or {},
            status=status,
            body=raw,
            asked_ns=asked_ns,
            t_ns=self.clock.now_ns(),
        )

    @contextlib.asynccontextmanager
    async def running(self, feed: Any) -> AsyncIterator[None]:
        """Runs a feed, and proves afterwards that it left nothing behind."""
        self.driver.start()
        before = asyncio.all_tasks()
        task = asyncio.create_task(feed.run(), name="feed")
        try:
            yield
            assert not task.done(), "a feed ends only by cancellation"
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await asyncio.sleep(0.1)
            left = asyncio.all_tasks() - before
            self.driver.stop()
            assert not left, left
            assert not self.network.open_sockets
            assert self.audit.faults == 0


async def until(condition: Callable[[], bool], *, within_s: float) -> float:
    """Waits in virtual time; says how long it took."""
    loop = asyncio.get_running_loop()
    start_s = loop.time()
    while not condition():
        assert loop.time() - start_s <= within_s, "it did not come about"
        await asyncio.sleep(0.01)
    return loop.time() - start_s


__all__ = ["BTC", "ENVIRONMENT", "START_MS", "Heard", "Network", "World", "run_virtually", "until"]
