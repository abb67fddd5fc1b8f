"""A simulated exchange on loopback, in its own thread, for clients that nobody here wrote."""

import asyncio
import decimal
import gc
import json
import threading
import time
import urllib.request
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from reactor.sim.exchange import Settings
from reactor.sim.scenarios import Scenario
from reactor.sim.simulation import Simulation


@pytest.fixture(autouse=True)
def _decimals_as_they_were() -> Iterator[None]:
    """ccxt changes the rounding of the whole process; the tests behind these are not to notice."""
    context = decimal.getcontext()
    before = context.copy()
    yield
    context.prec, context.rounding = before.prec, before.rounding
    context.Emin, context.Emax, context.clamp = before.Emin, before.Emax, before.clamp


class Exchange:
    """A running server and its control door."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.http = f"http://127.0.0.1:{port}"
        self.ws = f"ws://127.0.0.1:{port}"

    def control(self, path: str, **body: Any) -> Any:
        request = urllib.request.Request(
            f"{self.http}/sim/{path}", data=json.dumps(body).encode(), method="POST"
        )
        with urllib.request.urlopen(request, timeout=5) as answer:
            return json.loads(answer.read())


@pytest.fixture(autouse=True)
def _sweep_up() -> Iterator[None]:
    """Collect the sockets that the clients leave open, while nobody counts that as an error."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    pytest.importorskip("aiohttp", reason="the simulator needs its extra")
    from reactor.sim.server import Server

    ready, done = threading.Event(), threading.Event()
    box: dict[str, Any] = {}

    async def serve() -> None:
        now_ms = time.time_ns() // 1_000_000
        server = Server(
            Simulation(
                now_ms=now_ms,
                settings=Settings(),
                prices=Scenario("calm", start_ms=now_ms, seed=1),
            )
        )
        box["port"] = await server.start()
        ready.set()
        await asyncio.to_thread(done.wait)
        await server.stop()
        assert server.errors == 0

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="exchange")
    thread.start()
    assert ready.wait(10)
    yield Exchange(box["port"])
    done.set()
    thread.join(10)
