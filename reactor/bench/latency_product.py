"""The product as `bench latency` measures it: `reactor run` in a process of its own, as it is shipped."""

import contextlib
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Literal, Protocol

import msgspec

from reactor.bench.latency_exchange import bench_symbols
from reactor.bench.latency_standin import READY_S, StandIn, away_from_standin, environment_of
from reactor.compiled import SWITCH
from reactor.errors import ConfigError

PLAN: Final = """\
name = "bench"
trigger = "last"
[stop]
pct = 0.005
[[targets]]
pct = 0.02
close = 0.5
[[targets]]
pct = 0.04
close = 0.5
[break_even]
at_pct = 0.015
[trailing]
activate = "in_profit"
pct = 0.003
"""
"""Stop, ladder, break-even and trailing, by fractions: where the stop lies is known without candles."""


class Setup(msgspec.Struct, frozen=True):
    """How the product runs.

    Attributes:
        name: what it is called.
        transport, loop, over: of its configuration.
        tls: whether it connects with TLS. `busy`: whether it polls without sleeping.
        rehearses: whether the order's way is kept warm.
        interpreted: whether its compiled fast path is left out.
        is_floor: the floor itself is in its place, looking without sleeping: what no product that polls can beat.
        bare: whether recording, metrics and the exchange-side stop are left out.
        symbols: how many positions it guards.
    """

    name: str
    transport: Literal["picows", "websockets"] = "picows"
    loop: Literal["uvloop", "asyncio"] = "uvloop"
    over: Literal["ws_api", "rest"] = "ws_api"
    tls: bool = False
    busy: bool = False
    interpreted: bool = False
    is_floor: bool = False
    bare: bool = False
    rehearses: bool = True
    symbols: int = 1


class Stages(msgspec.Struct, frozen=True, gc=False):
    """An order's own stamps, ns on the wall clock: when its tick was received, the decision made, the order written."""

    received_ns: int
    decided_ns: int
    sent_ns: int


class Product:
    """A running product.

    Attributes:
        pid: of its process.
        stages: by client id; there once it has ended.
    """

    def __init__(self, setup: Setup, standin: StandIn, folder: Path) -> None:
        """Starts it, and waits until it guards."""
        folder.mkdir(parents=True)
        self._folder = folder
        self._errors = folder / "errors.txt"
        (folder / "bench.toml").write_text(PLAN, encoding="utf-8")
        (folder / "reactor.toml").write_text(_configuration(setup, standin, folder), "utf-8")
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(  # noqa: S603 - ourselves
                [sys.executable, "-m", "reactor", "run", "--config", str(folder / "reactor.toml")],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                env=environment_of(standin.certificate if setup.tls else None)
                | ({SWITCH: "0"} if setup.interpreted else {}),
            )
        self.pid = self._process.pid
        away_from_standin(self.pid)
        self.stages: dict[str, Stages] = {}

    def until_ready(self, standin: StandIn, setup: Setup) -> None:
        """Waits until it guards every position."""
        standin.until_connected(0b011 if setup.over == "rest" else 0b111)
        end_s = time.monotonic() + READY_S
        told = ""
        while told.count(": bench, stop") < setup.symbols:
            if self._process.poll() is not None or time.monotonic() > end_s:
                raise ConfigError(f"the product did not come up: {told.strip()[-300:]}")
            time.sleep(0.05)
            told = self._errors.read_text(encoding="utf-8", errors="replace")
        standin.first_ticks()
        time.sleep(0.5)

    def end(self) -> None:
        """Ends it as its user would, and reads what it wrote down of its orders."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        path = self._folder / "data" / "reactor.db"
        if path.exists():
            with contextlib.closing(sqlite3.connect(path)) as database:
                rows: Sequence[tuple[str, int, int, int]] = database.execute(
                    "SELECT client_id, t_recv_ns, t_decided_ns, t_sent_ns FROM orders WHERE purpose = 'exit'"
                ).fetchall()
            self.stages = {row[0]: Stages(*row[1:]) for row in rows}


class Measured(Protocol):
    """What runs in the product's place; see `Product`."""

    pid: int
    stages: dict[str, Stages]


class SpinningFloor:
    """The floor in the product's place; it stamps nothing."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.stages: dict[str, Stages] = {}


@contextlib.contextmanager
def open_product(setup: Setup, standin: StandIn, folder: Path) -> Iterator[Measured]:
    """A product that runs while it is used."""
    if setup.is_floor:
        with standin.spinning_floor() as pid:
            yield SpinningFloor(pid)
        return
    product = Product(setup, standin, folder)
    try:
        product.until_ready(standin, setup)
        yield product
    finally:
        product.end()


def _configuration(setup: Setup, standin: StandIn, folder: Path) -> str:
    scheme, port = ("https", standin.tls_port) if setup.tls else ("http", standin.port)
    symbols = ", ".join(f'"{name}"' for name in bench_symbols(setup.symbols))
    shipped = str(not setup.bare).lower()
    rehearse = "" if setup.rehearses else "rehearse_ms = 0\n"
    busy = "busy_poll = true\n" if setup.busy else ""
    return f"""\
mode = "live"
environment = "sim:{scheme}://127.0.0.1:{port}"
plan = "{folder / "bench.toml"}"
data_dir = "{folder / "data"}"
[manage]
include = [{symbols}]
[orders]
over = "{setup.over}"
{rehearse}[streams]
transport = "{setup.transport}"
loop = "{setup.loop}"
blind_ms = 600000
{busy}[account]
reconcile_s = 3600
[hard_stop]
enabled = false
[record]
enabled = {shipped}
min_free_disk = "10MB"
[http]
enabled = {shipped}
port = 0
[log]
level = "warning"
"""
