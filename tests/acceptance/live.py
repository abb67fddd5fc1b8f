"""The guard of an acceptance script: `LiveProcess` with real sockets, in the script's own event loop."""

import asyncio
import contextlib
import io
import random
import re
import zlib
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any, Self, TypeVar

from reactor.audit import AlarmRaised, Audit, AuditEvent, Decided, Happening, Started
from reactor.binance.urls import environment
from reactor.cli import main
from reactor.clock import SystemClock
from reactor.config import config_from_tables
from reactor.core.decisions import Closed, Decision, Exit, Reason, Side, StopMoved
from reactor.core.machine import Machine
from reactor.shell.journal.journal import Journal
from reactor.shell.process import LiveProcess
from reactor.shell.rest.aiohttp_rest import AiohttpRest
from reactor.shell.rest.credentials import Credentials
from reactor.shell.transport.choose import create_transport

from .exchange import Exchange, until

T = TypeVar("T")

STEPS = """
name = "steps"
[stop]
pct = 0.02
[[targets]]
pct = 0.01
close = 0.3
[[targets]]
pct = 0.02
close = 0.3
[[targets]]
pct = 0.03
close = 0.4
[break_even]
at_pct = 0.015
[hard_stop]
buffer_pct = 0.005
step_pct = 0.001
"""
"""Three rungs 1 % apart above a stop of 2 %: a plan whose levels a reader knows without an ATR."""

TRAIL = """
name = "trail"
[stop]
pct = 0.02
[trailing]
activate = "in_profit"
pct = 0.01
[hard_stop]
buffer_pct = 0.005
step_pct = 0.001
"""
"""A stop of 2 %, then 1 % behind the best price."""

HARVEST = """
name = "harvest"
[stop]
pct = 0.02
[harvest]
trigger_pct = 0.01
fraction = 0.5
[hard_stop]
buffer_pct = 0.005
step_pct = 0.001
"""
"""Half of the rest at every 1 %."""

SHORT_LIVED = """
name = "short_lived"
[stop]
pct = 0.02
[time_stop]
seconds = 4
[hard_stop]
buffer_pct = 0.005
step_pct = 0.001
"""
"""Out after four seconds of nothing."""

STEPS_IN_TIME = (
    STEPS.replace('"steps"', '"steps_in_time"')
    + """
[time_stop]
seconds = 6
"""
)
"""The same, out after six seconds without a rung."""

PLANS = {
    "steps": STEPS,
    "steps_in_time": STEPS_IN_TIME,
    "trail": TRAIL,
    "harvest": HARVEST,
    "short_lived": SHORT_LIVED,
}


def write_plans(folder: Path) -> dict[str, str]:
    """Writes the plans of these scripts; their files by name."""
    files = {}
    for name, text in PLANS.items():
        path = folder / f"{name}.toml"
        path.write_text(text, encoding="utf-8")
        files[name] = str(path)
    return files


def tables(
    folder: Path, exchange: Exchange, *, plans: dict[str, str] | None = None, **more: Any
) -> dict[str, Any]:
    """A session's configuration: live, recorded, and reconciling as often as it may."""
    files = write_plans(folder)
    return {
        "environment": f"sim:{exchange.url}",
        "mode": "live",
        "plan": files["steps"],
        "symbols": {symbol: {"plan": files[plan]} for symbol, plan in (plans or {}).items()},
        "data_dir": str(folder / "data"),
        "manage": {"include": ["*"]},
        "account": {"reconcile_s": 5},
        "record": {"enabled": True},
        "http": {"enabled": False},
    } | more


class LiveGuard:
    """A guard that runs, and what it has told.

    Attributes:
        events: of its audit stream, oldest first.
        said: the lines for whoever started it.
    """

    def __init__(self, exchange: Exchange, folder: Path, **config: Any) -> None:
        self.exchange = exchange
        self.folder = folder
        self.config = config_from_tables(tables(folder, exchange, **config), source="script")
        self.events: list[AuditEvent] = []
        self.said: list[str] = []
        self.audit = Audit()
        self.audit.watch(self.events.append)
        self._stop = asyncio.Event()
        clock = SystemClock()
        data_dir = Path(self.config.data_dir)
        data_dir.mkdir(parents=True, exist_ok=True)
        self._journal = Journal.open(data_dir / self.config.journal.path, clock=clock)
        loop = asyncio.get_running_loop()
        self._journal.subscribe(self.audit, later=loop.call_soon_threadsafe)
        transport, _ = create_transport(self.config.streams.transport)
        self.process = LiveProcess(
            self.config,
            environment=environment(self.config.environment),
            credentials=Credentials("sim-key", "sim-secret"),
            transport=transport,
            rest_transport=AiohttpRest(),
            clock=clock,
            chance=random.Random(zlib.crc32(folder.name.encode())),
            audit=self.audit,
            journal=self._journal,
            data_dir=data_dir,
            say=self.said.append,
        )
        self.task = asyncio.create_task(self.process.run(self._stop), name="guard")

    async def __aenter__(self) -> Self:
        await self.heard(Started)
        return self

    async def __aexit__(self, kind: object, *_: object) -> None:
        self._stop.set()
        try:
            async with asyncio.timeout(20):
                await self.task
        finally:
            self._journal.close()
        if kind is None:
            assert not self.audit.faults, self.audit.last_fault

    # What it told -----------------------------------------------------------------------------

    def told(self, kind: type[T]) -> list[T]:
        """Everything of one kind that it told."""
        return [event.what for event in self.events if isinstance(event.what, kind)]

    def decided(self, kind: type[T], symbol: str) -> list[T]:
        """Its decisions of one kind about a symbol."""
        decisions: Iterable[Decision] = (one.decision for one in self.told(Decided))
        return [one for one in decisions if isinstance(one, kind) and one.symbol == symbol]

    def alarms(self, kind: str) -> list[AlarmRaised]:
        """The alarms of one kind."""
        return [one for one in self.told(AlarmRaised) if one.kind == kind]

    def machine(self, symbol: str, side: Side = "LONG") -> Machine | None:
        """The machine of a position."""
        return self.process.guard.positions.get((symbol, side))

    async def heard(self, kind: type[Happening], number: int = 1) -> None:
        """Waits until it told this; an end of the guard is an error."""

        def ready() -> bool:
            if self.task.done():
                self.task.result()
                raise AssertionError("the guard ended")
            return len(self.told(kind)) >= number

        await until(ready, f"{number} × {kind.__name__}")

    async def exit(self, symbol: str, reason: Reason, number: int = 1) -> Exit:
        """Waits for a symbol's exit of this reason; answers the last one."""

        def found() -> list[Exit]:
            exits = [one for one in self.decided(Exit, symbol) if reason in one.reasons]
            return exits if len(exits) >= number else []

        exits: list[Exit] = await until(found, f"{symbol}: {number} × exit by {reason.value}")
        return exits[-1]

    async def closed(self, symbol: str, number: int = 1) -> Closed:
        """Waits until an epoch of a symbol has ended; answers the last end."""

        def found() -> list[Closed]:
            closed = self.decided(Closed, symbol)
            return closed if len(closed) >= number else []

        ends: list[Closed] = await until(found, f"{symbol}: {number} × closed")
        return ends[-1]

    async def stop_at(self, symbol: str, stop: str, side: Side = "LONG") -> None:
        """Waits until the engine's stop stands there."""

        def there() -> bool:
            machine = self.machine(symbol, side)
            return machine is not None and machine.stop_price == Decimal(stop)

        await until(there, f"{symbol}: stop at {stop}")

    async def holds(self, symbol: str, quantity: str, side: Side = "LONG") -> None:
        """Waits until its books and the exchange have this much open, and nothing is in flight."""
        wanted = Decimal(quantity)

        def there() -> bool:
            machine = self.machine(symbol, side)
            if machine is None:
                return not wanted
            at_rest = machine.orders.partial is None and machine.orders.full is None
            return machine.orders.quantity == wanted and at_rest

        await until(there, f"{symbol}: {quantity} in the guard's books")

    def stops(self, symbol: str) -> list[StopMoved]:
        """The moves of a symbol's stop."""
        return self.decided(StopMoved, symbol)


# After a script -----------------------------------------------------------------------------------


def tapes(folder: Path) -> list[Path]:
    """The tapes of a script's runs, oldest first."""
    return sorted((folder / "data" / "tapes").glob("*.jsonl*"))


def sessions(folder: Path) -> list[list[Path]]:
    """The tapes of a script's runs, those of one run together."""
    found: dict[str, list[Path]] = {}
    for path in tapes(folder):
        found.setdefault(re.split(r"[-.]", path.name)[0], []).append(path)
    return list(found.values())


def replays(folder: Path) -> None:
    """Every tape decides again what the run decided, and asks for the orders that it sent."""
    for path in tapes(folder):
        told = io.StringIO()
        with (
            contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO())),
            contextlib.redirect_stderr(told),
        ):
            code = main(["replay", str(path), "--json", "--verify"])
        assert code == 0, f"{path} does not replay as it was decided: {told.getvalue()}"


async def tidy(exchange: Exchange, *, late: int = 0) -> None:
    """What holds at the exchange after every script.

    Args:
        exchange: where the script played.
        late: exit orders that may have come after their position was gone: a close whose outcome was unknown is
            sent again, and a human can be quicker.
    """
    open_sides = {
        (one.symbol, one.side): abs(one.amount) for one in exchange.account.open_positions()
    }
    await until(
        lambda: all(
            (stop.symbol, stop.position_side) in open_sides for stop in exchange.hard_stops()
        ),
        "hard stops of ended epochs gone",
    )
    after_flat = [one for one in exchange.sent() if not one.held]
    assert len(after_flat) <= late, f"orders for what was gone: {after_flat}"
    ids = [order.client_id for order in exchange.exits()]
    assert len(ids) == len(set(ids)), "the exchange took one id twice"
