"""`reactor bench network`: what lies between this host and the exchange, beside the same over loopback.

The figures of `bench latency` are microseconds, these are mostly milliseconds: whoever wants a quicker exit looks
here first. Nothing is traded: orders go to `POST /fapi/v1/order/test`, which validates and forgets them.
"""

import asyncio
import contextlib
import os
import random
import subprocess
import sys
from collections.abc import Awaitable, Callable
from time import monotonic_ns
from typing import Any, Final

import msgspec
import orjson
from rich import box
from rich.console import Console
from rich.table import Table

from reactor.audit import Audit
from reactor.bench.measure import environment as machine
from reactor.bench.measure import percentile
from reactor.binance.sign import ws_api_text
from reactor.binance.urls import Environment, environment, simulated, stream_url
from reactor.clock import SystemClock
from reactor.core.budget import Budget
from reactor.errors import BudgetExhausted, ConfigError, ConnectFailed, RestFailed
from reactor.shell.rest.aiohttp_rest import AiohttpRest
from reactor.shell.rest.client import RestClient, failure_of
from reactor.shell.rest.credentials import Credentials, load_credentials
from reactor.shell.rest.server_time import ServerTime
from reactor.shell.transport.choose import create_transport
from reactor.shell.transport.seam import Socket, SocketEnd, SocketOptions, Transport

ROUNDS: Final = 10
"""Of each thing that is asked; well within the weight of a minute."""

EVENTS: Final = 50
EVENTS_S: Final = 8.0
ANSWER_S: Final = 5.0
SYMBOL: Final = "BTCUSDT"
LOOPBACK: Final = "loopback"

METHOD: Final = """\
Connect: TCP, TLS and the WebSocket handshake, a new connection each time. Ping: REST, on a kept connection.
Test order: a signed POST /fapi/v1/order/test. WebSocket API: a request and its answer on a warm socket.
Event to receipt: a market event's own time (E, whole ms) to its receipt, corrected by the clocks' offset, which
is known to half the best round trip. Loopback: the simulated exchange on this machine."""


class Span(msgspec.Struct, frozen=True):
    """How long one thing took, ms; `problem` says why it could not be measured."""

    p50_ms: float | None = None
    p90_ms: float | None = None
    max_ms: float | None = None
    count: int = 0
    problem: str = ""


class NetworkOutcome(msgspec.Struct, kw_only=True):
    """What was found.

    Attributes:
        environment: where. `spans`: by what was done, there and over loopback.
        offset_ms: exchange's clock minus ours. `offset_error_ms`: how well that is known, either way. None where
            the exchange did not tell its time: nothing is corrected then.
    """

    environment: str
    spans: dict[str, Span]
    loopback: dict[str, Span]
    offset_ms: float | None
    offset_error_ms: float | None

    def as_json(self) -> dict[str, Any]:
        """The object that `--json` prints."""
        return {
            "bench": "network",
            **msgspec.to_builtins(self),
            "method": METHOD.replace("\n", " "),
            "machine": machine(),
        }

    def print(self, console: Console) -> None:
        """Prints the table."""
        console.print(METHOD, highlight=False)
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column("what")
        for name in (f"{self.environment} p50", "p90", "max", "times", f"{LOOPBACK} p50"):
            table.add_column(name, justify="right")
        for name, span in self.spans.items():
            near = self.loopback.get(name, Span())
            if span.problem:
                table.add_row(name, span.problem, "", "", "", _ms(near.p50_ms))
                continue
            times = (span.p50_ms, span.p90_ms, span.max_ms)
            table.add_row(name, *map(_ms, times), str(span.count), _ms(near.p50_ms))
        console.print(table)
        if self.offset_ms is None or self.offset_error_ms is None:
            clock = "clock: the exchange did not tell its time; nothing is corrected by it"
        else:
            clock = (
                f"clock: the exchange's is {self.offset_ms:+.1f} ms from ours, known to"
                f" {self.offset_error_ms:.1f} ms either way"
            )
        console.print(clock, highlight=False)


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:,.2f} ms"


def bench_network(
    *, name: str, rounds: int = ROUNDS, beside_loopback: bool = True
) -> NetworkOutcome:
    """Measures.

    Args:
        name: `mainnet`, `demo` or `sim:URL`.
        rounds: how often each thing is asked.
        beside_loopback: whether the same is done against a simulated exchange on this machine.

    Raises:
        ConfigError: the name is no environment.
    """
    where = environment(name)
    credentials: Credentials | None = None
    with contextlib.suppress(ConfigError):
        credentials = load_credentials(os.environ)
    spans, time = asyncio.run(_measure(where, credentials, rounds))
    near: dict[str, Span] = {}
    if beside_loopback:
        with _local_exchange() as root:
            local = Credentials("sim-key", "sim-secret")
            near, _ = asyncio.run(_measure(simulated(root), local, rounds))
    return NetworkOutcome(
        environment=where.name,
        spans=spans,
        loopback=near,
        offset_ms=round(time.offset_ms, 3) if time.synced_ns else None,
        offset_error_ms=round(time.round_trip_ns / 2e6, 3) if time.synced_ns else None,
    )


@contextlib.contextmanager
def _local_exchange() -> Any:
    command = [sys.executable, "-m", "reactor", "sim", "--scenario", "whipsaw", "--no-limits"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - ourselves
        try:
            assert process.stdout is not None
            yield process.stdout.readline().split()[-1]
        finally:
            process.terminate()


async def _measure(
    where: Environment, credentials: Credentials | None, rounds: int
) -> tuple[dict[str, Span], ServerTime]:
    clock = SystemClock()
    time = ServerTime(clock, Audit())
    rest = AiohttpRest()
    client = RestClient(
        rest,
        where,
        credentials,
        clock,
        Budget(share=0.8),
        server_time=time,
        rng=random.Random(),  # noqa: S311 - the jitter of repetitions
    )
    transport, _ = create_transport("picows")
    try:
        await time.sync(client)
        spans = {
            "connect": await _repeat(rounds, lambda: _connect(transport, where)),
            "ping": await _repeat(rounds, lambda: _ping(client)),
            "test order": await _test_order(client, credentials, rounds),
            "WebSocket API round trip": await _ws_api(transport, where, rounds),
            "signed WebSocket API round trip": await _ws_api(
                transport, where, rounds, credentials=credentials, time=time, signed=True
            ),
            "event to receipt": await _events(transport, where, time),
        }
    finally:
        await rest.close()
    return spans, time


async def _repeat(rounds: int, once: Callable[[], Awaitable[None]]) -> Span:
    """Does it so often, after one time that is not counted."""
    ms = []
    for number in range(rounds + 1):
        started_ns = monotonic_ns()
        try:
            await once()
        except (ConnectFailed, RestFailed, BudgetExhausted, TimeoutError) as error:
            return Span(problem=str(error)[:120] or "no answer in time")
        if number:
            ms.append((monotonic_ns() - started_ns) / 1e6)
    return _span(ms)


def _span(ms: list[float]) -> Span:
    return Span(
        p50_ms=round(percentile(ms, 50), 3),
        p90_ms=round(percentile(ms, 90), 3),
        max_ms=round(max(ms), 3),
        count=len(ms),
    )


async def _connect(transport: Transport, where: Environment) -> None:
    socket = await transport.connect(where.ws_api, _Answers(), options=SocketOptions())
    socket.abort()


async def _ping(client: RestClient) -> None:
    await client.ask_once("/fapi/v1/ping", timeout_s=ANSWER_S)


async def _test_order(client: RestClient, credentials: Credentials | None, rounds: int) -> Span:
    if credentials is None:
        return Span(problem="no keys: set BINANCE_API_KEY and BINANCE_API_SECRET")
    refusals: list[str] = []

    async def once() -> None:
        params = {"symbol": SYMBOL, "side": "BUY", "type": "MARKET", "quantity": "0.01"}
        answer = await client.send(
            "POST", "/fapi/v1/order/test", params, purpose="info", weight=1, timeout_s=ANSWER_S
        )
        failure = failure_of(answer)
        if failure is not None:
            refusals.append(f"{failure.code} {failure.msg}")

    span = await _repeat(rounds, once)
    return Span(problem=f"refused: {refusals[0][:100]}") if refusals else span


class _Answers:
    """Waits for the next message."""

    def __init__(self) -> None:
        self.next: asyncio.Future[bytes] | None = None

    def on_message(self, message: bytes) -> None:
        if self.next is not None and not self.next.done():
            self.next.set_result(message)

    def on_end(self, end: SocketEnd) -> None:
        if self.next is not None and not self.next.done():
            self.next.set_exception(
                ConnectFailed(f"the exchange ended the connection ({end.code})")
            )

    def on_fault(self, error: Exception) -> None:
        raise AssertionError("waiting raises nothing") from error


async def _ws_api(
    transport: Transport,
    where: Environment,
    rounds: int,
    *,
    credentials: Credentials | None = None,
    time: ServerTime | None = None,
    signed: bool = False,
) -> Span:
    """`ping` on a warm socket; signed: the account's balance."""
    if signed and credentials is None:
        return Span(problem="no keys")
    answers = _Answers()
    try:
        socket: Socket = await transport.connect(where.ws_api, answers, options=SocketOptions())
    except ConnectFailed as error:
        return Span(problem=str(error)[:120])
    clock = SystemClock()

    async def once() -> None:
        request: dict[str, Any] = {"id": "1", "method": "ping"}
        if credentials is not None and time is not None:
            params: dict[str, str | int] = {
                "apiKey": credentials.api_key,
                "timestamp": time.timestamp_ms(clock.now_ns()),
            }
            params["signature"] = credentials.sign(ws_api_text(params))
            request = {"id": "1", "method": "v2/account.balance", "params": params}
        answers.next = asyncio.get_running_loop().create_future()
        socket.send(orjson.dumps(request))
        async with asyncio.timeout(ANSWER_S):
            content = orjson.loads(await answers.next)
        if content.get("status") != 200:
            raise RestFailed(f"refused: {content.get('error')}"[:100])

    try:
        return await _repeat(rounds, once)
    finally:
        socket.abort()


async def _events(transport: Transport, where: Environment, time: ServerTime) -> Span:
    """From an event's own time to its receipt."""
    clock = SystemClock()
    ms: list[float] = []
    done = asyncio.Event()

    class Listener(_Answers):
        def on_message(self, message: bytes) -> None:
            now_ns = time.exchange_ns(clock.now_ns())
            sent_ms = orjson.loads(message).get("data", {}).get("E")
            if isinstance(sent_ms, int):
                # The exchange cuts its time down to whole milliseconds: on average half of one.
                ms.append(now_ns / 1e6 - sent_ms - 0.5)
            if len(ms) >= EVENTS:
                done.set()

    url = stream_url(where, (f"{SYMBOL.lower()}@aggTrade", f"{SYMBOL.lower()}@markPrice@1s"))
    try:
        socket = await transport.connect(url, Listener(), options=SocketOptions())
    except ConnectFailed as error:
        return Span(problem=str(error)[:120])
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(EVENTS_S):
            await done.wait()
    socket.abort()
    return _span(ms) if ms else Span(problem=f"no event in {EVENTS_S:g} s")
