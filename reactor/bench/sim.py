"""`reactor bench sim`: how much the simulated exchange serves, from its own process to a fast client.

The client is as cheap as it can be (a socket, frames counted by their headers), so that the server is what is
measured. Where there are two cores, each has one to itself.
"""

import contextlib
import hashlib
import hmac
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlencode

from reactor.bench import frames
from reactor.bench.measure import percentile, timing
from reactor.bench.outcome import Outcome, Ratio
from reactor.errors import InvariantError

ROUNDS = 3
FRAMES_WANTED = 50_000
"""Market frames a second that one fast client should be served."""
ORDERS_WANTED = 1_000
FRAMES_S, ORDERS_S = 2.0, 2.0
TICKS = 300
TAPE_LINES = 60_000
START_MS = 1_795_000_000_000
SYMBOL = "BTCUSDT"
STARTED_WITHIN_S = 20.0

METHOD = f"""\
`reactor sim` in a process of its own, on a core of its own where there are two. Frames: a recording of
{TAPE_LINES} lines, played over and over as fast as the client reads; the client counts frames by their headers for
{FRAMES_S:g} s a round. Orders: signed MARKET orders over one kept connection, each sent when the one before it was
answered, for {ORDERS_S:g} s a round. Tick to order: {TICKS} prices set through the control door; the client answers
each frame with an order, and the exchange tells the time between the two on its own monotonic clock."""


def bench_sim(*, rounds: int = ROUNDS) -> Outcome:
    """Measures the simulated exchange as a server.

    Args:
        rounds: how many rounds of frames and of orders count.

    Raises:
        InvariantError: the exchange did not start, or refused an order: the figures would lie.
    """
    with tempfile.TemporaryDirectory() as folder, _own_core():
        books = Path(folder) / "books.jsonl"
        books.write_text("\n".join(_tape(_book_ticker)), encoding="utf-8")
        trades = Path(folder) / "trades.jsonl"
        trades.write_text("\n".join(_tape(_agg_trade)), encoding="utf-8")
        book_rates = _frame_rates(books, f"/public/ws/{SYMBOL.lower()}@bookTicker", rounds)
        trade_rates = _frame_rates(trades, f"/market/ws/{SYMBOL.lower()}@aggTrade", rounds)
        with _exchange("--scenario", "still", "--no-limits") as port:
            order_rates, order_ns = _orders(port, rounds)
            tick_ns = _ticks(port)
    book, trade = percentile(book_rates, 50), percentile(trade_rates, 50)
    orders = percentile(order_rates, 50)
    return Outcome(
        name="sim",
        method=METHOD,
        timings=[
            timing("an order, there and back", order_ns),
            timing("a tick's frame to its order", tick_ns),
        ],
        ratios=[
            Ratio(f"bookTicker frames/s over {FRAMES_WANTED}", book / FRAMES_WANTED, at_least=1.0),
            Ratio(f"aggTrade frames/s over {FRAMES_WANTED}", trade / FRAMES_WANTED, at_least=1.0),
            Ratio(f"orders/s over {ORDERS_WANTED}", orders / ORDERS_WANTED, at_least=1.0),
        ],
        noise=(max(book_rates) - min(book_rates)) / book,
        figures={
            "book_ticker_frames_per_second": round(book),
            "agg_trade_frames_per_second": round(trade),
            "orders_per_second": round(orders),
        },
    )


def _book_ticker(price: float, number: int) -> str:
    bid, ask = f"{price:.2f}", f"{price + 0.1:.2f}"
    return frames.book_ticker(SYMBOL, bid, ask, number, START_MS + number)


def _agg_trade(price: float, number: int) -> str:
    return frames.agg_trade(SYMBOL, f"{price:.2f}", number, START_MS + number)


def _tape(make: Callable[[float, int], str]) -> Iterator[str]:
    yield json.dumps({"tape": 1, "created": "2026-11-18T16:53:20Z", "environment": "simulated"})
    for number in range(1, TAPE_LINES + 1):
        price = 81_200 + number % 50 / 10
        yield frames.tape_line(make(price, number), (START_MS + number) * 1_000_000)


@contextlib.contextmanager
def _own_core() -> Iterator[None]:
    """Keeps this process off the first core, which the exchange gets."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    if len(before) > 1:
        os.sched_setaffinity(0, before - {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def _exchange(*options: str) -> Iterator[int]:
    """Runs `reactor sim`; yields its port."""
    with subprocess.Popen(  # noqa: S603 -- our own command
        [sys.executable, "-m", "reactor", "sim", *options],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            if hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > 1:
                os.sched_setaffinity(process.pid, {0})
            said = process.stdout.readline() if process.stdout is not None else ""
            if not said.startswith("listening "):
                raise InvariantError("the simulated exchange did not start")
            yield int(said.rsplit(":", 1)[1])
        finally:
            process.terminate()
            process.wait(STARTED_WITHIN_S)


def _connect(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=STARTED_WITHIN_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _upgrade(port: int, target: str) -> tuple[socket.socket, bytes]:
    """Opens a WebSocket; answers with it and what came after the handshake."""
    connection = _connect(port)
    connection.sendall(
        f"GET {target} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    return connection, _until_head(connection)[1]


def _until_head(connection: socket.socket) -> tuple[bytes, bytes]:
    """Reads to the end of an HTTP head; answers with the head and what came after it."""
    read = b""
    while b"\r\n\r\n" not in read:
        more = connection.recv(1 << 16)
        if not more:
            raise InvariantError("the simulated exchange closed a connection")
        read += more
    head, _, rest = read.partition(b"\r\n\r\n")
    return head, rest


def _frame_rates(tape: Path, target: str, rounds: int) -> list[float]:
    options = ("--tape", str(tape), "--speed", "0", "--repeat", "--no-limits")
    with _exchange(*options) as port:
        connection, left = _upgrade(port, target)
        with connection:
            rates = []
            for number in range(rounds + 1):
                count, left, elapsed_s = _count(connection, left)
                if number > 0:
                    rates.append(count / elapsed_s)
    return rates


def _count(connection: socket.socket, left: bytes) -> tuple[int, bytes, float]:
    """Counts whole frames for a while; answers with the number, an incomplete frame's bytes and the seconds."""
    count, started_s = 0, time.monotonic()
    while (elapsed_s := time.monotonic() - started_s) < FRAMES_S:
        more = connection.recv(1 << 18)
        if not more:
            raise InvariantError("the simulated exchange closed a connection")
        whole, left = _whole(left + more)
        count += whole
    return count, left, elapsed_s


def _whole(read: bytes) -> tuple[int, bytes]:
    """Counts the whole frames at the beginning of what was read; answers with the rest, too."""
    count, at, size = 0, 0, len(read)
    while size - at >= 10 or (size - at >= 2 and read[at + 1] < 126):
        length, head = read[at + 1], 2
        if length == 126:
            length, head = int.from_bytes(read[at + 2 : at + 4], "big"), 4
        elif length == 127:
            length, head = int.from_bytes(read[at + 2 : at + 10], "big"), 10
        if at + head + length > size:
            break
        at += head + length
        count += 1
    return count, read[at:]


def _request(method: str, path: str, body: str = "") -> bytes:
    return (
        f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nX-MBX-APIKEY: sim-key\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


def _answer(connection: socket.socket) -> bytes:
    """Reads one HTTP answer; answers with its body."""
    head, body = _until_head(connection)
    size = 0
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            size = int(value)
    while len(body) < size:
        body += connection.recv(1 << 16)
    if not head.startswith(b"HTTP/1.1 200"):
        raise InvariantError(f"the simulated exchange refused a request: {body[:200]!r}")
    return body


def _order(number: int) -> bytes:
    query = urlencode(
        {
            "symbol": SYMBOL,
            "side": "SELL" if number % 2 else "BUY",
            "type": "MARKET",
            "quantity": "0.001",
            "timestamp": time.time_ns() // 1_000_000,
        }
    )
    signature = hmac.new(b"sim-secret", query.encode(), hashlib.sha256).hexdigest()
    return _request("POST", f"/fapi/v1/order?{query}&signature={signature}")


def _orders(port: int, rounds: int) -> tuple[list[float], list[float]]:
    """Sends orders one after another; answers with orders a second by round, and ns an order."""
    rates: list[float] = []
    taken_ns: list[float] = []
    with _connect(port) as connection:
        number = 0
        for turn in range(rounds + 1):
            count, started_s = 0, time.monotonic()
            while time.monotonic() - started_s < ORDERS_S:
                sent_ns = time.perf_counter_ns()
                connection.sendall(_order(number))
                _answer(connection)
                if turn > 0:
                    taken_ns.append(time.perf_counter_ns() - sent_ns)
                count, number = count + 1, number + 1
            if turn > 0:
                rates.append(count / (time.monotonic() - started_s))
    return rates, taken_ns


def _drain(stream: socket.socket) -> None:
    """Throws away the frames that the order itself has caused: they were sent before its answer."""
    stream.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while stream.recv(1 << 16):
            pass
    stream.settimeout(STARTED_WITHIN_S)


def _ticks(port: int) -> list[float]:
    """Answers prices with orders; answers with the ns between the two, as the exchange saw them."""
    stream, _ = _upgrade(port, f"/public/ws/{SYMBOL.lower()}@bookTicker")
    with stream, _connect(port) as door, _connect(port) as orders:
        door.sendall(_request("GET", "/sim/latency"))
        before = len(json.loads(_answer(door))["ns"])
        for number in range(TICKS):
            body = json.dumps({"symbol": SYMBOL, "price": f"{81_200 + number % 7}"})
            door.sendall(_request("POST", "/sim/price", body))
            stream.recv(1 << 16)
            orders.sendall(_order(number))
            _answer(door)
            _answer(orders)
            _drain(stream)
        door.sendall(_request("GET", "/sim/latency"))
        found: list[float] = json.loads(_answer(door))["ns"][before:]
    if not found:
        raise InvariantError("the simulated exchange saw no order after a tick")
    return found
