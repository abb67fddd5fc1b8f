"""Runs the demonstration: everything in one process, over real sockets on loopback, with no keys."""

import asyncio
import signal
import socket
import sys
import tempfile
import time
from importlib import resources
from pathlib import Path

import msgspec

from reactor.audit import AuditEvent, Decided
from reactor.bootstrap import live, loop_factory
from reactor.config import (
    AccountConfig,
    Config,
    HttpConfig,
    JournalConfig,
    LogConfig,
    ManageConfig,
    RecordConfig,
)
from reactor.core.decisions import Closed, Exit, Opened, StopMoved
from reactor.demo.trader import Trader
from reactor.sim.exchange import Settings
from reactor.sim.scenarios import Scenario
from reactor.sim.server import Server
from reactor.sim.simulation import Simulation
from reactor.watch.view import decision_text

KEY, SECRET = "sim-key", "sim-secret"  # the simulator's own, which are no secret
LISTENS = 8080


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What a demonstration is asked for.

    Attributes:
        scenario, seed: of the prices and of the trader. `plan`: a name or file; the demonstration's own by default.
        seconds: after how long it ends; None runs until it is told to.
        port: of the page and the API. `out`: where journal and tapes go and stay; None for a folder that goes away.
    """

    scenario: str = "whipsaw"
    seed: int = 1
    plan: str | None = None
    seconds: float | None = None
    port: int | None = None
    out: Path | None = None


def run(options: Options) -> int:
    """Runs the demonstration; answers the exit code."""
    with asyncio.Runner(loop_factory=loop_factory("uvloop")) as runner:
        if options.out is not None:
            options.out.mkdir(parents=True, exist_ok=True)
            return runner.run(_demo(options, options.out))
        with tempfile.TemporaryDirectory(prefix="reactor-demo-") as folder:
            return runner.run(_demo(options, Path(folder)))


async def _demo(options: Options, folder: Path) -> int:
    now_ms = time.time_ns() // 1_000_000
    simulation = Simulation(
        now_ms=now_ms,
        settings=Settings(seed=options.seed, api_key=KEY, api_secret=SECRET),
        prices=Scenario(options.scenario, start_ms=now_ms, seed=options.seed),
    )
    server = Server(simulation)
    exchange_port = await server.start()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    if options.seconds is not None:
        loop.call_later(options.seconds, stop.set)
    trader = Trader(server, seed=options.seed)
    trading = asyncio.create_task(trader.run(), name="trader")
    tally = Tally(shows=not sys.stdout.isatty())
    try:
        with resources.as_file(resources.files("reactor.demo") / "demo.toml") as plan:
            config = _config(options, folder, exchange_port, str(options.plan or plan))
            tally.say(
                f"simulated exchange at {config.environment.removeprefix('sim:')}, no keys needed"
            )
            tally.say(f"page, status and metrics at http://127.0.0.1:{config.http.port}")
            await live(
                config,
                {"BINANCE_API_KEY": KEY, "BINANCE_API_SECRET": SECRET},
                shows_table=sys.stdout.isatty(),
                stop=stop,
                watchers=[tally.see],
            )
    finally:
        trading.cancel()
        await asyncio.gather(trading, return_exceptions=True)
        await server.stop()
    tally.summary(trader, options.out)
    return 0


def _config(options: Options, folder: Path, exchange_port: int, plan: str) -> Config:
    return Config(
        mode="live",
        environment=f"sim:http://127.0.0.1:{exchange_port}",
        instance="demo",
        plan=plan,
        data_dir=str(folder),
        manage=ManageConfig(include=("*",)),
        account=AccountConfig(reconcile_s=30.0),
        journal=JournalConfig(path="demo.db"),
        record=RecordConfig(enabled=True, min_free_disk="10MB", max_size="200MB"),
        http=HttpConfig(port=options.port or _free_port(LISTENS if options.port is None else 0)),
        log=LogConfig(level="warning"),
    )


def _free_port(wanted: int) -> int:
    """The wanted port, or a free one where somebody has it."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    return 0


class Tally:
    """Counts what happened, and writes it line by line where no table is drawn."""

    def __init__(self, *, shows: bool) -> None:
        """Shows lines, or only counts."""
        self._shows = shows
        self._start_ns = time.monotonic_ns()
        self._exits: dict[str, int] = {}
        self._opened = 0
        self._moved = 0
        self._closed: dict[str, int] = {}

    def say(self, line: str) -> None:
        """Writes a line with the seconds since the start."""
        if self._shows:
            seconds = (time.monotonic_ns() - self._start_ns) / 1e9
            sys.stdout.write(f"{seconds:6.2f} s  {line}\n")
            sys.stdout.flush()

    def see(self, event: AuditEvent) -> None:
        """Takes an event of the audit stream."""
        if not isinstance(event.what, Decided):
            return
        decision = event.what.decision
        match decision:
            case Opened():
                self._opened += 1
            case StopMoved():
                self._moved += 1
            case Exit():
                for reason in decision.reasons:
                    self._exits[reason] = self._exits.get(reason, 0) + 1
            case Closed():
                self._closed[decision.reason] = self._closed.get(decision.reason, 0) + 1
            case _:
                return
        self.say(f"{decision.symbol:8} {decision.side:5}  {decision_text(decision)}")

    def summary(self, trader: Trader, out: Path | None) -> None:
        """What it came to, and what to do next."""
        exits = ", ".join(f"{count} {reason}" for reason, count in sorted(self._exits.items()))
        closed = sum(self._closed.values())
        lines = [
            f"{trader.opened} positions opened by the simulated trader, {self._opened} guarded, {closed} closed",
            f"{self._moved} stop moves; exits: {exits or 'none yet'}",
        ]
        if out is not None:
            lines.append(f"the session is recorded: reactor replay {out}/tapes/*.zst --verify")
        sys.stdout.write("\n".join(lines) + "\n")
