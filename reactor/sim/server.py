"""Sockets for the simulated exchange: one port for HTTP and WebSocket, nothing decided here.

Frames are written to the transport already framed (servers do not mask), many at once: that is what
lets one core serve tens of thousands a second.
"""

import asyncio
import contextlib
import socket
import ssl
import struct
import sys
import time
from collections import deque
from collections.abc import Iterable

from aiohttp import WSMsgType, web

from reactor.errors import ReactorError
from reactor.sim.clock import Clock, RealClock, VirtualClock
from reactor.sim.connection import Close, Connection, Item, Ping
from reactor.sim.rest import Request, Response
from reactor.sim.simulation import Simulation
from reactor.sim.tape_prices import TapePump

BODY_BYTES_MAX = 1 << 20
BUFFER_BYTES_MAX = 64 << 20  # a client that lets this much pile up is cut off
BUFFER_BYTES_HIGH = 1 << 20  # a tape played as fast as the client reads waits above this
PUMP_FRAMES = 256
PUMP_WAIT_S = 0.0005
LATENCIES_MAX = 100_000
LINGER_RESET = struct.pack("ii", 1, 0)
SILENT_S = 24 * 3600
ORDER_PATHS = frozenset({"/fapi/v1/order", "/fapi/v1/algoOrder", "/fapi/v1/batchOrders"})
TEXT, CLOSING, PING, PONG = 0x81, 0x88, 0x89, 0x8A


def head(first: int, size: int) -> bytes:
    """Return the header of an unmasked frame."""
    if size < 126:
        return bytes((first, size))
    if size < 65536:
        return struct.pack("!BBH", first, 126, size)
    return struct.pack("!BBQ", first, 127, size)


def wire(items: Iterable[Item]) -> tuple[bytes, Close | None]:
    """Return the bytes of what a connection must send, and its end if that is among them."""
    parts: list[bytes] = []
    for item in items:
        if type(item) is bytes:
            parts.append(head(TEXT, len(item)))
            parts.append(item)
        elif isinstance(item, Close):
            if item.how == "close":
                parts += (head(CLOSING, 2), struct.pack("!H", item.code))
            return b"".join(parts), item
        elif isinstance(item, Ping):
            parts += (head(PING, len(item.payload)), item.payload)
    return b"".join(parts), None


def reset(transport: asyncio.Transport) -> None:
    """End a TCP connection with a reset instead of a farewell."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
    transport.abort()


class Server:
    """Serves a simulation on one port."""

    def __init__(
        self, simulation: Simulation, *, clock: Clock | None = None, pump: TapePump | None = None
    ) -> None:
        self.simulation = simulation
        self.clock: Clock = clock or RealClock()
        self.port = 0
        self.errors = 0
        self._pump = pump
        self._transports: dict[int, asyncio.Transport] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._tick_ns = 0
        self._latencies_ns: deque[int] = deque(maxlen=LATENCIES_MAX)
        self._runner: web.AppRunner | None = None
        self._pumping: asyncio.Task[None] | None = None
        simulation.control.latencies_ns = lambda: list(self._latencies_ns)
        if isinstance(self.clock, VirtualClock):
            simulation.control.clock = self.clock

    async def start(
        self, host: str = "127.0.0.1", port: int = 0, *, tls: ssl.SSLContext | None = None
    ) -> int:
        """Listen, with TLS if a context is given, and return the port (a free one for 0)."""
        app = web.Application(client_max_size=BODY_BYTES_MAX)
        app.router.add_route("*", "/{tail:.*}", self._handle)
        self._runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=0.2
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port, backlog=1024, ssl_context=tls)
        await site.start()
        for address in self._runner.addresses:
            self.port = int(address[1])
        self._step()
        if self._pump is not None:
            self._pumping = asyncio.create_task(self._play(self._pump), name="tape")
        return self.port

    async def stop(self) -> None:
        """Cut every connection and stop listening."""
        if self._pumping is not None:
            self._pumping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._pumping
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for transport in list(self._transports.values()):
            transport.abort()
        if self._runner is not None:
            await self._runner.cleanup()

    # Time

    def _step(self) -> None:
        """Let the exchange catch up with the clock, send what came of it, and wake when due."""
        try:
            self.simulation.advance(self.clock.now_ms())
            self.flush()
        except Exception as error:  # noqa: BLE001 -- one bad step must not stop the clock
            self._report(error)
        self._wake_when_due()

    def _wake_when_due(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if isinstance(self.clock, VirtualClock):
            return
        due = self.simulation.exchange.next_due_ms()
        if due is not None:
            delay_s = max(0.0, (due - self.clock.now_ms()) / 1000)
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._step)

    async def _play(self, pump: TapePump) -> None:
        """Play a tape as fast as the slowest client reads."""
        exchange = self.simulation.exchange
        while True:
            full = any(
                transport.get_write_buffer_size() > BUFFER_BYTES_HIGH
                for transport in self._transports.values()
            )
            if full or not exchange.wanted:
                await asyncio.sleep(PUMP_WAIT_S)
                continue
            exchange.advance(self.clock.now_ms())
            more = pump.pump(exchange, PUMP_FRAMES)
            self.simulation.hub.deliver()
            self.flush()
            if not more:
                return
            await asyncio.sleep(0)

    def _report(self, error: BaseException) -> None:
        self.errors += 1
        kind = type(error).__name__
        print(f"simulator: internal error {kind}: {error}", file=sys.stderr, flush=True)

    # Sending

    def flush(self) -> None:
        """Write what connections must send."""
        dirty = self.simulation.hub.dirty
        if not dirty:
            return
        for number, connection in list(dirty.items()):
            transport = self._transports.get(number)
            if transport is not None:
                self._write(connection, transport)
        dirty.clear()

    def _write(self, connection: Connection, transport: asyncio.Transport) -> None:
        data, end = wire(connection.pending)
        connection.pending.clear()
        if data and not transport.is_closing():
            if connection.route in {"market", "public", "legacy"}:
                self._tick_ns = time.monotonic_ns()
            transport.write(data)
        if end is not None:
            reset(transport) if end.how == "reset" else transport.close()
        elif transport.get_write_buffer_size() > BUFFER_BYTES_MAX:
            self.simulation.hub.drop(connection)
            reset(transport)

    def _order_arrived(self) -> None:
        """Note how long after the last market frame an order came, once a frame."""
        if self._tick_ns:
            self._latencies_ns.append(time.monotonic_ns() - self._tick_ns)
            self._tick_ns = 0

    # HTTP

    async def _handle(self, http: web.Request) -> web.StreamResponse:
        try:
            if http.headers.get("Upgrade", "").lower() == "websocket":
                return await self._websocket(http)
            return await self._http(http)
        except (web.HTTPException, asyncio.CancelledError, ConnectionError):
            raise
        except Exception as error:  # noqa: BLE001 -- no request may take the server down
            self._report(error)
            return web.json_response(
                {"code": -1000, "msg": "An unknown error occurred."}, status=500
            )

    async def _http(self, http: web.Request) -> web.StreamResponse:
        if http.method == "POST" and http.path in ORDER_PATHS:
            self._order_arrived()
        raw = http.raw_path
        path, _, query = raw.partition("?")
        body = (await http.read()).decode("utf-8", "replace")
        request = Request(
            method=http.method,
            path=path,
            query=query,
            body=body,
            headers={name.lower(): value for name, value in http.headers.items()},
            ip=http.remote or "127.0.0.1",
        )
        now_ms = self.clock.now_ms()
        self.simulation.advance(now_ms)
        response = self.simulation.request(request)
        if response.delay_ms:
            # What the request caused is told at once; only its answer is late.
            self.flush()
            self._wake_when_due()
            await self.clock.sleep_until(now_ms + response.delay_ms)
        answer = await self._finish(http, response)
        self.flush()
        self._wake_when_due()
        return answer

    async def _finish(self, http: web.Request, response: Response) -> web.StreamResponse:
        if response.drop:
            self.flush()
            transport = http.transport
            if response.drop in {"hang", "half_open"} or transport is None:
                await asyncio.sleep(SILENT_S)
            elif response.drop == "reset":
                reset(transport)
            else:
                transport.close()
            raise ConnectionResetError
        headers = {"Content-Type": "application/json;charset=utf-8", **response.headers}
        return web.Response(status=response.status, body=response.body, headers=headers)

    # WebSocket

    async def _websocket(self, http: web.Request) -> web.StreamResponse:
        self.simulation.advance(self.clock.now_ms())
        try:
            connection = self.simulation.connect(http.raw_path, ip=http.remote or "127.0.0.1")
        except ReactorError:
            return web.Response(status=429)
        if connection is None:
            return web.Response(status=404, text="Not found")
        if self.simulation.exchange.now_ms < self.simulation.exchange.maintenance_until_ms:
            self.simulation.hub.drop(connection)
            return web.Response(status=503, text="Service Unavailable.")
        stream = web.WebSocketResponse(
            compress=False, autoping=False, autoclose=True, max_msg_size=BODY_BYTES_MAX
        )
        try:
            await stream.prepare(http)
            transport = http.transport
            if transport is None:
                return stream
            self._transports[connection.number] = transport
            self.flush()
            self._write(connection, transport)
            self._wake_when_due()
            await self._listen(stream, connection)
        except ConnectionError:
            pass  # The client died as it was answered.
        finally:
            self._transports.pop(connection.number, None)
            self.simulation.hub.drop(connection)
        return stream

    async def _listen(self, stream: web.WebSocketResponse, connection: Connection) -> None:
        async for message in stream:
            if message.type in {WSMsgType.TEXT, WSMsgType.BINARY}:
                if connection.route == "api":
                    self._order_arrived()
                self.simulation.advance(self.clock.now_ms())
                try:
                    self.simulation.send(connection, message.data)
                except Exception as error:  # noqa: BLE001 -- no message may end the server
                    self._report(error)
                self.flush()
                self._wake_when_due()
            elif message.type is WSMsgType.PING:
                transport = self._transports.get(connection.number)
                muted = connection.muted_until_ms > self.simulation.exchange.now_ms
                if transport is not None and not muted and not transport.is_closing():
                    payload = bytes(message.data)
                    transport.write(head(PONG, len(payload)) + payload)
            elif message.type is WSMsgType.PONG:
                self.simulation.hub.pong(connection)
