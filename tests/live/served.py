"""`reactor run` as its users have it: a process of its own, real sockets, in front of a served exchange."""

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from reactor.clock import SystemClock
from reactor.sim.connection import Connection
from reactor.sim.exchange import PriceSource, Settings
from reactor.sim.rest import Request, Response
from reactor.sim.server import Server
from reactor.sim.simulation import Simulation

WAIT_S = 60.0
"""Far beyond what anything takes, for slow machines."""

_SIGNATURE = re.compile(r"signature=([^&\s]+)")


class Exchange:
    """A served exchange, in the test's own loop.

    Attributes:
        signatures, listen_keys: every one that a client sent, or was given.
    """

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation
        self.server = Server(simulation)
        self.signatures: set[str] = set()
        self.listen_keys: set[str] = set()
        self._request, self._send = simulation.request, simulation.send
        self._start_key = simulation.exchange.start_listen_key
        simulation.request = self._on_request  # type: ignore[method-assign]
        simulation.send = self._on_frame  # type: ignore[method-assign]
        simulation.exchange.start_listen_key = self._on_key  # type: ignore[method-assign]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"

    def _on_request(self, request: Request) -> Response:
        self.signatures.update(_SIGNATURE.findall(f"{request.query}&{request.body}"))
        return self._request(request)

    def _on_frame(self, connection: Connection, text: str | bytes) -> None:
        with contextlib.suppress(orjson.JSONDecodeError):
            frame = orjson.loads(text)
            params = frame.get("params") if isinstance(frame, dict) else None
            if isinstance(params, dict) and "signature" in params:
                self.signatures.add(params["signature"])
        self._send(connection, text)

    def _on_key(self, account: Any) -> str:
        key = self._start_key(account)
        self.listen_keys.add(key)
        return key

    async def control(self, door: str, body: Any) -> Any:
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{self.url}/sim/{door}", data=orjson.dumps(body)) as answer,
        ):
            assert answer.status == 200, await answer.text()
            return await answer.json()


@contextlib.asynccontextmanager
async def served(settings: Settings, prices: PriceSource | None = None) -> AsyncIterator[Exchange]:
    """An exchange on a port of its own."""
    now_ms = SystemClock().now_ns() // 1_000_000
    exchange = Exchange(Simulation(now_ms=now_ms, settings=settings, prices=prices))
    await exchange.server.start()
    try:
        yield exchange
    finally:
        await exchange.server.stop()


class Guarded:
    """A `reactor run`; what it says is kept."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.out = bytearray()
        self.err = bytearray()
        self._reading = [
            asyncio.create_task(self._read(process.stdout, self.out)),
            asyncio.create_task(self._read(process.stderr, self.err)),
        ]

    async def _read(self, stream: asyncio.StreamReader | None, into: bytearray) -> None:
        assert stream is not None
        while chunk := await stream.read(4096):
            into += chunk

    async def until(self, what: bytes, *, times: int = 1) -> None:
        """Waits until it has said something."""
        async with asyncio.timeout(WAIT_S):
            while (self.out + self.err).count(what) < times:
                assert self.process.returncode is None, self.err
                await asyncio.sleep(0.02)

    async def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        code = await asyncio.wait_for(self.process.wait(), WAIT_S)
        await asyncio.gather(*self._reading)
        return code


async def guard(
    folder: Path, exchange: Exchange, *options: str, key: str, secret: str, **more: str
) -> Guarded:
    """Starts `reactor run --live` in front of an exchange, its data in a folder."""
    environment: Mapping[str, str] = {
        **{
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("BINANCE_", "REACTOR_"))
        },
        "BINANCE_API_KEY": key,
        "BINANCE_API_SECRET": secret,
        "REACTOR_HTTP_PORT": "0",
        "REACTOR_RECORD_MIN_FREE_DISK": "1KB",
        **more,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "reactor", "run", "--live", "--environment", f"sim:{exchange.url}"),
        *("--data-dir", str(folder), *options),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
        cwd=folder,
    )
    return Guarded(process)
