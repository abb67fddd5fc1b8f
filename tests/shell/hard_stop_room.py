"""Hard stops in front of a simulated exchange, in one program and under virtual time."""

import asyncio
import json
import random
from collections.abc import Callable, Coroutine
from decimal import Decimal
from typing import Any

from reactor.audit import AlarmRaised, Audit, AuditEvent, HardStopChanged
from reactor.binance.decode import decode_user
from reactor.binance.filters import SymbolFilters, symbol_filters
from reactor.binance.urls import simulated
from reactor.binance.user_messages import AlgoUpdate, OrderTradeUpdate
from reactor.clock import LoopClock
from reactor.config import HardStopConfig
from reactor.core.budget import Budget
from reactor.core.decisions import Side
from reactor.core.hard_stop_values import HardStopState, HardStopView
from reactor.shell.hard_stops import HardStopExecutor
from reactor.shell.inbox import Command, Link, StreamRoute
from reactor.shell.rest.client import RestClient
from reactor.shell.rest.credentials import Credentials
from reactor.shell.rest.server_time import ServerTime
from reactor.shell.rest_seam import RestAnswer
from reactor.shell.transport.memory import MemoryRest, SimulationDriver
from reactor.sim.exchange import Settings
from reactor.sim.rest import Request
from reactor.sim.simulation import Simulation
from reactor.sim.virtual_loop import run_virtually

START_MS = 1_795_000_020_000
SYMBOL = "BTCUSDT"


class CommandInbox:
    """Keeps commands; lists are welcome."""

    def __init__(self) -> None:
        self.commands: list[Command] = []
        self.answers: list[RestAnswer] = []

    def command(self, command: Command) -> None:
        self.commands.append(command)

    def rest(self, answer: RestAnswer) -> None:
        self.answers.append(answer)

    def market(self, route: StreamRoute, message: bytes, more: bool = False) -> None:
        raise AssertionError("no frame comes from here")

    def private(self, message: bytes) -> None:
        raise AssertionError("no frame comes from here")

    def order_sent(self, message: bytes) -> None:
        raise AssertionError("a hard stop is no exit order")

    def order_answer(self, message: bytes) -> None:
        raise AssertionError("a hard stop is no exit order")

    def link(self, link: Link) -> None:
        raise AssertionError("no socket is here")


class Room:
    """The exchange, a position that somebody opened, and the executor that guards it."""

    def __init__(self, *, hedge: bool = False, streams: bool = True) -> None:
        self.hedge = hedge
        self.streams = streams
        self.simulation = Simulation(now_ms=START_MS, settings=Settings(hedge=hedge))
        self.clock = LoopClock(asyncio.get_running_loop(), start_ns=START_MS * 1_000_000)
        self.driver = SimulationDriver(self.simulation, self.clock)
        self.driver.start()
        self.audit = Audit()
        self.events: list[AuditEvent] = []
        self.audit.watch(self.events.append)
        self.inbox = CommandInbox()
        self.causes: list[str] = []
        self.saved: list[HardStopState] = []
        self.client = RestClient(
            MemoryRest(self.driver, latency=lambda: 0.01),
            simulated("http://127.0.0.1:1"),
            Credentials("sim-key", "sim-secret"),
            self.clock,
            Budget(),
            server_time=ServerTime(self.clock, self.audit),
            rng=random.Random(7),
        )
        self.filters = self._filters()
        self.stops = self.executor()
        self.tasks: list[asyncio.Task[None]] = []
        key = json.loads(self._raw("POST", "/fapi/v1/listenKey"))["listenKey"]
        connection = self.simulation.connect(f"/private/ws?listenKey={key}")
        assert connection is not None
        self.connection = connection

    def executor(self, *, config: HardStopConfig | None = None) -> HardStopExecutor:
        return HardStopExecutor(
            rest=self.client,
            inbox=self.inbox,
            audit=self.audit,
            clock=self.clock,
            instance="room",
            config=config or HardStopConfig(),
            ask_position=self.causes.append,
            on_state=self.saved.append,
        )

    def _raw(self, method: str, path: str) -> bytes:
        request = Request(method=method, path=path, headers={"x-mbx-apikey": "sim-key"})
        body = self.simulation.request(request).body
        return body if isinstance(body, bytes) else body.encode()

    def _filters(self) -> SymbolFilters:
        info = json.loads(self._raw("GET", "/fapi/v1/exchangeInfo"))
        row = next(row for row in info["symbols"] if row["symbol"] == SYMBOL)
        return symbol_filters(json.dumps(row).encode())

    # The world --------------------------------------------------------------------------------

    def control(self, door: str, body: Any) -> Any:
        request = Request(method="POST", path=f"/sim/{door}", body=json.dumps(body))
        response = self.simulation.request(request)
        assert response.status == 200, response.body
        self.driver.catch_up()
        return json.loads(response.body)

    def fault(self, **rule: Any) -> None:
        self.control("faults", [rule])

    def price(self, price: str) -> None:
        self.control("price", {"symbol": SYMBOL, "price": price})

    def trade(self, quantity: str, *, side: Side = "LONG") -> None:
        """Somebody buys or sells."""
        body: dict[str, Any] = {"symbol": SYMBOL, "quantity": quantity}
        if self.hedge:
            body["positionSide"] = side
        self.control("position", body)

    def held(self, side: Side = "LONG") -> Decimal:
        account = self.simulation.exchange.accounts["main"]
        return account.position(SYMBOL, side if self.hedge else "BOTH").amount

    def open_stops(self) -> list[tuple[str, str]]:
        """Trigger and quantity of what waits at the exchange."""
        account = self.simulation.exchange.accounts["main"]
        waiting = [algo for algo in account.algos.values() if algo.status == "NEW"]
        return [(str(algo.trigger_price), str(algo.quantity)) for algo in waiting]

    # The process ------------------------------------------------------------------------------

    def start(self) -> None:
        self.tasks.append(asyncio.create_task(self.stops.run(), name="hard stops"))
        self.tasks.append(asyncio.create_task(self.listen(), name="user stream"))

    async def kill(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.tasks.clear()

    async def listen(self) -> None:
        while True:
            await asyncio.sleep(0.02)
            while self.connection.pending:
                item = self.connection.pending.popleft()
                if isinstance(item, bytes) and self.streams:
                    self.hear(item)

    def hear(self, frame: bytes) -> None:
        event = decode_user(frame)
        if isinstance(event, AlgoUpdate):
            self.stops.on_algo_update(event, self.clock.now_ns())
        elif isinstance(event, OrderTradeUpdate):
            self.stops.on_order_event(event.order.client_order_id, self.clock.now_ns())

    def guard(
        self,
        *,
        stop: str = "80000",
        quantity: str = "0.5",
        side: Side = "LONG",
        epoch: int = 1,
    ) -> None:
        self.stops.on_position(
            symbol=SYMBOL,
            side=side,
            epoch=epoch,
            opened_ns=START_MS * 1_000_000 + epoch,
            quantity=Decimal(quantity),
            stop=Decimal(stop),
            plan=None,
            filters=self.filters,
            hedge=self.hedge,
        )

    def view(self, side: Side = "LONG") -> HardStopView:
        view = self.stops.view(SYMBOL, side)
        assert view is not None
        return view

    def alarms(self) -> list[str]:
        return [e.what.kind for e in self.events if isinstance(e.what, AlarmRaised)]

    def states(self) -> list[str]:
        return [e.what.state for e in self.events if isinstance(e.what, HardStopChanged)]


def virtually(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """A test under virtual time."""

    def run() -> None:
        run_virtually(test())

    run.__name__ = test.__name__
    run.__doc__ = test.__doc__
    return run
