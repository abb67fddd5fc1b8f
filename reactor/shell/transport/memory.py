"""A live process and a simulated exchange in one program, without sockets between them.

`SimulationDriver` lets the exchange's time follow the process's; `MemoryTransport` and `MemoryRest` carry what
the two say to each other as calls of the running loop, each way after a chosen latency. On a virtual loop
(`reactor.sim.virtual_loop`) the whole runs as fast as the machine computes, and the same way each time.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import urlsplit

from reactor.clock import Clock
from reactor.errors import ConnectFailed, ReactorError, RestFailed
from reactor.shell.rest_seam import RestReply
from reactor.shell.transport.address import read_address, status_text
from reactor.shell.transport.line import TOO_BIG, Line
from reactor.shell.transport.seam import Socket, SocketHandler, SocketOptions
from reactor.sim.connection import Close, Connection, Item, Ping
from reactor.sim.rest import Request, Response
from reactor.sim.simulation import Simulation

NS_PER_MS: Final = 1_000_000

Latency = Callable[[], float]
"""Seconds that one message takes, drawn for each; order is kept whatever is drawn."""


def no_latency() -> float:
    """Everything arrives in the next turn of the loop."""
    return 0.0


class _Pipe:
    """One direction of a connection: what goes in comes out later, in order."""

    def __init__(self, latency: Latency) -> None:
        self._loop = asyncio.get_running_loop()
        self._latency = latency
        self._due_s = 0.0
        self._calls: deque[Callable[[], None]] = deque()

    def put(self, call: Callable[[], None]) -> None:
        """Lets a call be made at the other end."""
        self._calls.append(call)
        self._due_s = max(self._due_s, self._loop.time() + self._latency())
        # Timers of one instant fire in no particular order: each takes the oldest call.
        if self._due_s <= self._loop.time():
            self._loop.call_soon(self._next)
        else:
            self._loop.call_at(self._due_s, self._next)

    def clear(self) -> None:
        """Loses what is on its way."""
        self._calls.clear()

    def _next(self) -> None:
        if self._calls:
            self._calls.popleft()()


class SimulationDriver:
    """Keeps a simulated exchange up to date with a clock, and hands out what it says.

    Args:
        simulation: the exchange. From `start` on nobody else may advance it; whoever changes it by hand (a
            test that moves a price, arms a fault) calls `catch_up` afterwards.
        clock: the process's, ms of the Unix epoch like the exchange's own time.
    """

    def __init__(self, simulation: Simulation, clock: Clock) -> None:
        self.simulation = simulation
        self._clock = clock
        self._sockets: dict[int, MemorySocket] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._running = False

    def start(self) -> None:
        """Lets the exchange live on the running loop."""
        self._running = True
        self.catch_up()

    def stop(self) -> None:
        """Ends that: time stands still for the exchange, and its connections are cut."""
        self._running = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for socket in list(self._sockets.values()):
            socket.cut_by_peer()

    def catch_up(self) -> None:
        """Brings the exchange to the present, hands out what came of it, and wakes when more is due."""
        self.simulation.advance(self._clock.now_ns() // NS_PER_MS)
        self.simulation.hub.deliver()
        self._hand_out()
        self._wake_when_due()

    def add(self, socket: "MemorySocket") -> None:
        """Hands a connection's messages to its socket from now on."""
        self._sockets[socket.connection.number] = socket
        self.simulation.hub.dirty[socket.connection.number] = socket.connection
        self._hand_out()

    def drop(self, socket: "MemorySocket") -> None:
        """The client's end is gone."""
        self._sockets.pop(socket.connection.number, None)
        self.simulation.hub.dirty.pop(socket.connection.number, None)
        if not socket.connection.closed:
            self.simulation.hub.drop(socket.connection)

    def _hand_out(self) -> None:
        dirty = self.simulation.hub.dirty
        for number, connection in list(dirty.items()):
            socket = self._sockets.get(number)
            if socket is None:
                continue  # not accepted yet: its messages wait, as they would in a server
            del dirty[number]
            while connection.pending:
                socket.carry(connection.pending.popleft())

    def _wake_when_due(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due_ms = self.simulation.exchange.next_due_ms()
        if due_ms is not None and self._running:
            left_ns = max(0, due_ms * NS_PER_MS - self._clock.now_ns())
            self._timer = asyncio.get_running_loop().call_later(left_ns / 1e9, self.catch_up)


class MemorySocket(Line):
    """One connection to a simulated exchange."""

    def __init__(
        self,
        handler: SocketHandler,
        options: SocketOptions,
        *,
        driver: SimulationDriver,
        connection: Connection,
        latency: Latency,
    ) -> None:
        super().__init__(handler, options)
        self.connection = connection
        self._driver = driver
        self._up = _Pipe(latency)
        self._down = _Pipe(latency)
        self._gone = False

    def begin(self) -> None:
        """The handshake is done."""
        self._begin()
        self._driver.add(self)

    def carry(self, item: Item) -> None:
        """Brings what the exchange says to the handler."""
        if isinstance(item, Ping):
            self._down.put(self._answer_ping)
        elif isinstance(item, Close):
            self._down.put(lambda: self._peer_ended(item))
        else:
            self._down.put(lambda: self._take(item))

    def cut_by_peer(self) -> None:
        """The exchange's end is gone without a farewell."""
        self._down.put(lambda: self._peer_ended(Close(how="reset")))

    # What arrives at the client

    def _take(self, message: bytes) -> None:
        if self._gone:
            return
        self._heard = True
        if len(message) > self._options.message_bytes_max:
            self._fail(TOO_BIG, f"a message over {self._options.message_bytes_max} bytes")
            return
        try:
            self._on_message(message)
        except Exception as error:  # noqa: BLE001 -- the same as over a real socket
            self._fault(error)

    def _answer_ping(self) -> None:
        self._heard = True
        self._up.put(lambda: self._driver.simulation.hub.pong(self.connection))

    def _peer_ended(self, end: Close) -> None:
        if end.how == "close":
            self._farewell_came(end.code, "")
        self._gone = True
        self._driver.drop(self)
        self._lost("the connection was lost without a farewell")

    # The wire

    @property
    def _is_muted(self) -> bool:
        """Whether the peer has fallen silent without an end (half-open)."""
        return self.connection.muted_until_ms > self._driver.simulation.exchange.now_ms

    def prepare(self, message: bytes) -> None:
        """Nothing: there is no wire."""

    def _write_wire(self, message: bytes) -> None:
        self._up.put(lambda: self._arrive(message))

    def _arrive(self, message: bytes) -> None:
        self._driver.catch_up()
        if not self.connection.closed:
            self._driver.simulation.send(self.connection, message)
            self._driver.catch_up()

    def _ping_wire(self) -> None:
        self._up.put(self._take_ping)

    def _take_ping(self) -> None:
        if not self._is_muted and not self.connection.closed:
            self._down.put(self._take_pong)

    def _take_pong(self) -> None:
        self._heard = True

    def _close_wire(self, code: int, reason: str) -> None:
        self._up.put(lambda: self._take_farewell(code))

    def _take_farewell(self, code: int) -> None:
        if self._is_muted:
            return
        self._driver.catch_up()
        self._driver.drop(self)
        self._down.put(lambda: self._peer_ended(Close(code=code)))

    def _cut_wire(self) -> None:
        if self._gone:
            return
        self._gone = True
        self._up.clear()
        self._down.clear()
        self._driver.drop(self)
        self._loop.call_soon(self._lost, "cut by us")

    @property
    def unsent_bytes(self) -> int:
        """Nothing ever waits to leave: memory does not fill up."""
        return 0


class MemoryTransport:
    """Connects a process to the simulated exchange that a driver keeps.

    Args:
        driver: has been started.
        latency: of each message, each way.
    """

    name = "memory"

    def __init__(self, driver: SimulationDriver, *, latency: Latency = no_latency) -> None:
        self._driver = driver
        self._latency = latency

    async def connect(self, url: str, handler: SocketHandler, *, options: SocketOptions) -> Socket:
        """Connects; see `Transport.connect`. Host and port of the URL may be anything."""
        address = read_address(url)
        split = urlsplit(url)
        target = f"{split.path}?{split.query}" if split.query else split.path
        connection: Connection | None = None
        try:
            async with asyncio.timeout(options.connect_timeout_s):
                await asyncio.sleep(self._latency())
                connection = self._accept(target, address.shown)
                await asyncio.sleep(self._latency())
        except TimeoutError:
            self._forget(connection)
            raise ConnectFailed(
                f"cannot connect to {address.shown}: no answer within {options.connect_timeout_s:g} s"
            ) from None
        except asyncio.CancelledError:
            self._forget(connection)
            raise
        socket = MemorySocket(
            handler, options, driver=self._driver, connection=connection, latency=self._latency
        )
        socket.begin()
        return socket

    def _accept(self, target: str, shown: str) -> Connection:
        """What the exchange says to a request for a WebSocket."""
        self._driver.catch_up()
        exchange = self._driver.simulation.exchange
        status = 404
        try:
            connection = self._driver.simulation.connect(target)
        except ReactorError:
            status, connection = 429, None
        if connection is not None and exchange.now_ms < exchange.maintenance_until_ms:
            self._forget(connection)
            status, connection = 503, None
        if connection is None:
            raise ConnectFailed(f"cannot connect to {shown}: {status_text(status)}")
        self._driver.catch_up()
        return connection

    def _forget(self, connection: Connection | None) -> None:
        if connection is not None and not connection.closed:
            self._driver.simulation.hub.drop(connection)
            self._driver.simulation.hub.dirty.pop(connection.number, None)


class MemoryRest:
    """Carries REST requests to the simulated exchange that a driver keeps.

    Args:
        driver: has been started.
        latency: of each request and each answer.
    """

    def __init__(self, driver: SimulationDriver, *, latency: Latency = no_latency) -> None:
        self._driver = driver
        self._latency = latency

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str], timeout_s: float
    ) -> RestReply:
        """Sends one request; see `RestTransport.request`."""
        split = urlsplit(url)
        request = Request(
            method=method,
            path=split.path,
            query=split.query,
            headers={name.lower(): value for name, value in headers.items()},
        )
        host = split.netloc.rpartition("@")[2]
        try:
            async with asyncio.timeout(timeout_s):
                response = await self._carry(request)
        except TimeoutError:
            raise RestFailed(f"{host} did not answer within {timeout_s:g} s") from None
        if response.drop:
            raise RestFailed(f"{host} ended the connection without an answer")
        return RestReply(
            status=response.status,
            headers={name.lower(): value for name, value in response.headers.items()},
            body=response.body,
        )

    async def close(self) -> None:
        """Nothing is open between requests."""

    async def _carry(self, request: Request) -> Response:
        await asyncio.sleep(self._latency())
        self._driver.catch_up()
        response = self._driver.simulation.request(request)
        self._driver.catch_up()
        # What the request caused is told at once; only its answer is late.
        await asyncio.sleep(response.delay_ms / 1000)
        if response.drop in {"hang", "half_open"}:
            await asyncio.get_running_loop().create_future()
        await asyncio.sleep(self._latency())
        return response
