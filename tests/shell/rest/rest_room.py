"""A REST client and a simulated exchange in one program, under virtual time; and an inbox that remembers."""

import asyncio
import json
import random
from collections.abc import Callable, Coroutine
from typing import Any

from reactor.audit import AlarmRaised, Audit, AuditEvent
from reactor.binance.urls import simulated
from reactor.clock import LoopClock
from reactor.core.budget import Budget
from reactor.shell.inbox import Command, Link, StreamRoute
from reactor.shell.rest.client import RestClient
from reactor.shell.rest.credentials import Credentials
from reactor.shell.rest.server_time import ServerTime
from reactor.shell.rest_seam import RestAnswer, RestReply, RestTransport
from reactor.shell.transport.memory import MemoryRest, SimulationDriver
from reactor.sim.exchange import Settings
from reactor.sim.rest import Request
from reactor.sim.simulation import Simulation
from reactor.sim.virtual_loop import run_virtually

START_MS = 1_795_000_020_000


class RememberingInbox:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.answers: list[RestAnswer] = []
        self.links: list[Link] = []

    def rest(self, answer: RestAnswer) -> None:
        self.answers.append(answer)

    def link(self, link: Link) -> None:
        self.links.append(link)

    def market(self, route: StreamRoute, message: bytes, more: bool = False) -> None:
        raise AssertionError("no frame comes from REST")

    def private(self, message: bytes) -> None:
        raise AssertionError("no frame comes from REST")

    def order_sent(self, message: bytes) -> None:
        raise AssertionError("no order is sent here")

    def order_answer(self, message: bytes) -> None:
        raise AssertionError("no order is sent here")

    def command(self, command: Command) -> None:
        raise AssertionError("nobody commands here")


class Room:
    """All of it."""

    def __init__(
        self,
        *,
        transport: RestTransport | None = None,
        credentials: Credentials | None = None,
        share: float = 0.8,
    ) -> None:
        self.simulation = Simulation(now_ms=START_MS, settings=Settings())
        self.clock = LoopClock(asyncio.get_running_loop(), start_ns=START_MS * 1_000_000)
        self.driver = SimulationDriver(self.simulation, self.clock)
        self.driver.start()
        self.audit = Audit()
        self.events: list[AuditEvent] = []
        self.audit.watch(self.events.append)
        self.inbox = RememberingInbox()
        self.budget = Budget(share=share)
        self.server_time = ServerTime(self.clock, self.audit)
        self.requests: list[tuple[float, str, str]] = []
        carried = transport or MemoryRest(self.driver, latency=lambda: 0.01)
        self.client = RestClient(
            _Watched(carried, self.requests),
            simulated("http://127.0.0.1:1"),
            credentials or Credentials("sim-key", "sim-secret"),
            self.clock,
            self.budget,
            server_time=self.server_time,
            rng=random.Random(7),
        )

    def control(self, door: str, body: Any) -> None:
        """Uses the simulator's control door."""
        request = Request(method="POST", path=f"/sim/{door}", body=json.dumps(body))
        response = self.simulation.request(request)
        assert response.status == 200, response.body
        self.driver.catch_up()

    def faults(self, *rules: dict[str, Any]) -> None:
        self.control("faults", list(rules))

    def paths(self) -> list[str]:
        """The paths asked for, in order."""
        return [path for _, _, path in self.requests]

    def alarms(self, kind: str) -> list[AlarmRaised]:
        found = [e.what for e in self.events if isinstance(e.what, AlarmRaised)]
        return [alarm for alarm in found if alarm.kind == kind]


class _Watched:
    def __init__(self, inner: RestTransport, requests: list[tuple[float, str, str]]) -> None:
        self._inner = inner
        self._requests = requests

    async def request(self, method: str, url: str, *, headers: Any, timeout_s: float) -> RestReply:
        path, _, query = url.removeprefix("http://127.0.0.1:1").partition("?")
        self._requests.append((asyncio.get_running_loop().time(), query, path))
        return await self._inner.request(method, url, headers=headers, timeout_s=timeout_s)

    async def close(self) -> None:
        await self._inner.close()


class ScriptedRest:
    """A transport that answers what it was told to, the last thing again and again."""

    def __init__(self, *script: RestReply | Exception) -> None:
        self._script = list(script)
        self.sent = 0

    async def request(self, method: str, url: str, *, headers: Any, timeout_s: float) -> RestReply:
        await asyncio.sleep(0.01)
        self.sent += 1
        step = self._script.pop(0) if len(self._script) > 1 else self._script[0]
        if isinstance(step, Exception):
            raise step
        return step

    async def close(self) -> None:
        """Nothing is open."""


def virtually(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """A test that runs under virtual time."""

    def run() -> None:
        run_virtually(test())

    run.__name__ = test.__name__
    return run
