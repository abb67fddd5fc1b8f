"""A guard in small: engine and pump as they are live, the gateway, and a simulated exchange, in virtual time."""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from typing import Any

from reactor.audit import AlarmRaised, Audit, AuditEvent, OrderAnswered, OrderSent
from reactor.binance.urls import simulated
from reactor.clock import LoopClock
from reactor.config import config_from_tables
from reactor.core.budget import Budget
from reactor.core.decisions import Alarm, Decision, Exit, OrdersCancelled, OutcomeAsked
from reactor.core.ladder import Filters
from reactor.core.plan import plan_from_toml
from reactor.shell.assembly import StartState, live_pump
from reactor.shell.feeds.order_socket import OrderSocket
from reactor.shell.gateway.gateway import Gateway
from reactor.shell.inbox import Command, Link
from reactor.shell.recorded import filters_of
from reactor.shell.rest.client import RestClient
from reactor.shell.rest.credentials import Credentials
from reactor.shell.rest.server_time import ServerTime
from reactor.shell.rest_seam import RestAnswer
from reactor.shell.tape_format import LiveSession
from reactor.shell.transport.memory import MemoryRest, MemoryTransport, SimulationDriver
from reactor.shell.transport.seam import SocketEnd, SocketOptions
from reactor.sim.exchange import Settings
from reactor.sim.rest import Request
from reactor.sim.simulation import Simulation
from reactor.sim.virtual_loop import run_virtually

START_MS = 1_795_000_000_000
ROOT = simulated("http://127.0.0.1:1")
LATENCY_S = 0.005
STEP_S = 0.01

PLAN = """
name = "floor"
trigger = "last"
max_tick_jump_pct = 0.9
[stop]
pct = 0.5
[[targets]]
pct = 0.01
close = 0.5
"""


class Floor:
    """Everything of it. It is the gateway's inbox, and records what passes."""

    def __init__(
        self, *, hedge: bool = False, symbol: str = "BTCUSDT", orders: dict[str, Any] | None = None
    ) -> None:
        self.symbol = symbol
        self.config = config_from_tables(
            {"mode": "live", "manage": {"include": ["*"]}, "orders": orders or {}}, source="test"
        )
        self.simulation = Simulation(now_ms=START_MS, settings=Settings(hedge=hedge))
        self.clock = LoopClock(asyncio.get_running_loop(), start_ns=START_MS * 1_000_000)
        self.audit = Audit()
        self.audit.watch(self._watch)
        self.alarms: list[AlarmRaised] = []
        self.answered: list[OrderAnswered] = []
        self.sent_events: list[OrderSent] = []
        self.decisions: list[Decision] = []
        self.commands: list[Command] = []
        self.requests: list[dict[str, Any]] = []
        self.asked: list[RestAnswer] = []
        self.lines: list[bytes] = []
        self.links: list[Link] = []
        self.up = asyncio.Event()
        self.asks_answered = True
        plan = plan_from_toml(PLAN, source="floor")
        self.pump = live_pump(
            self.config,
            LiveSession(mode="live"),
            plan_for=lambda _symbol, _side: plan,
            filters_for=self._filters,
            instance="test",
            start=StartState(),
            note=lambda _kind, _text: None,
        )
        self.driver = SimulationDriver(self.simulation, self.clock)
        chance = random.Random(1)
        credentials = Credentials("sim-key", "sim-secret")
        self.rest_transport = MemoryRest(self.driver, latency=lambda: LATENCY_S)
        self.client = RestClient(
            self.rest_transport,
            ROOT,
            credentials,
            self.clock,
            Budget(),
            server_time=ServerTime(self.clock, self.audit),
            rng=chance,
        )
        self.transport = MemoryTransport(self.driver, latency=lambda: LATENCY_S)
        self.socket = OrderSocket(
            self.transport,
            ROOT,
            self,
            self.audit,
            self.clock,
            self.config.streams,
            chance,
            on_up=self.up.set,
            on_down=lambda ids: self.gateway.on_socket_down(ids),  # noqa: PLW0108 - it is made below
        )
        self.gateway = Gateway(
            config=self.config,
            socket=self.socket,
            rest=self.client,
            signer=credentials,
            inbox=self,
            audit=self.audit,
            clock=self.clock,
            hedge=lambda: self.pump.account.hedge,
            contracts=self.pump.contracts,
        )
        self._tasks: list[asyncio.Task[None]] = []

    def _filters(self, symbol: str) -> Filters:
        contract = self.pump.contracts.get(symbol)
        return Filters() if contract is None else filters_of(contract)

    # A session --------------------------------------------------------------------------------

    async def open(self) -> None:
        """The exchange lives, both sockets are up, contracts and mode are known."""
        self.driver.start()
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self.socket.run()), loop.create_task(self._tick())]
        key = json.loads(self.control("/fapi/v1/listenKey", None, key=True))["listenKey"]
        await self.transport.connect(
            f"ws://127.0.0.1:1/private/ws?listenKey={key}", _Private(self), options=SocketOptions()
        )
        self.rest(await self.client.get("/fapi/v1/exchangeInfo", purpose="info"))
        self.rest(
            await self.client.get("/fapi/v1/accountConfig", purpose="info", signed=True, weight=5)
        )
        await self.up.wait()

    async def close(self) -> None:
        await self.gateway.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.driver.stop()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(STEP_S)
            self._do(self.pump.on_time(self.clock.now_ns()))

    def control(self, path: str, body: Any, *, key: bool = False) -> bytes:
        """The simulator's control door, or a request with the key."""
        headers = {"x-mbx-apikey": "sim-key"} if key else {}
        text = "" if body is None else json.dumps(body)
        response = self.simulation.request(
            Request(method="POST", path=path, body=text, headers=headers)
        )
        assert response.status == 200, response.body
        self.driver.catch_up()
        return response.body

    def fault(self, **rule: Any) -> None:
        self.control("/sim/faults", [rule])

    async def hold(self, quantity: str, *, side: str = "LONG") -> None:
        """Somebody opens a position, and the engine guards it."""
        signed = quantity if side == "LONG" else f"-{quantity}"
        body = {"symbol": self.symbol, "quantity": signed}
        if self.simulation.exchange.accounts["main"].hedge:
            body["positionSide"] = side
        self.control("/sim/position", body)
        # What is open before the first comparison with the exchange is adopted, at a price.
        self.price(self.entry(side))
        await self.until(lambda: (self.symbol, side) in self.pump.engine.positions)
        self.price(self.entry(side))

    def entry(self, side: str = "LONG") -> Decimal:
        for row in self.simulation.exchange.accounts["main"].positions.values():
            if row.symbol == self.symbol and row.amount and (row.amount > 0) == (side == "LONG"):
                return row.entry
        raise AssertionError("no position")

    @property
    def held(self) -> Decimal:
        """What the exchange says is open, both sides added up."""
        rows = self.simulation.exchange.accounts["main"].positions.values()
        return sum((abs(row.amount) for row in rows if row.symbol == self.symbol), Decimal(0))

    def price(self, price: Decimal) -> None:
        """The engine sees a trade at this price; the exchange's own prices stay."""
        now_ms = self.clock.now_ns() // 1_000_000
        self._trade = getattr(self, "_trade", 0) + 1
        frame = {
            "e": "aggTrade",
            "E": now_ms,
            "s": self.symbol,
            "a": self._trade,
            "p": str(price),
            "q": "1",
            "f": 1,
            "l": 1,
            "T": now_ms,
            "m": False,
            "st": 1,
        }
        self._feed("market", json.dumps(frame).encode())

    def close_all(self, side: str = "LONG") -> None:
        """The operator closes the position."""
        message = {"command": "close", "symbol": self.symbol, "side": side}
        self._feed("control", json.dumps(message).encode())

    def take_profit(self, side: str = "LONG") -> None:
        """The rung's price is reached: half of the position is closed."""
        self.price(self.entry(side) * (Decimal("1.02") if side == "LONG" else Decimal("0.98")))

    async def until(self, what: Callable[[], object], *, seconds: float = 30.0) -> None:
        for _ in range(round(seconds / STEP_S)):
            if what():
                return
            await asyncio.sleep(STEP_S)
        raise AssertionError("it did not come about")

    # What was seen ----------------------------------------------------------------------------

    @property
    def exits(self) -> list[Exit]:
        return [one for one in self.decisions if isinstance(one, Exit)]

    @property
    def orders(self) -> list[dict[str, Any]]:
        """The order requests that left, without the Algo service's."""
        return [one for one in self.requests if "newClientOrderId" in one["params"]]

    def alarm_kinds(self) -> set[str]:
        told = {alarm.kind for alarm in self.alarms if not alarm.resolved}
        return told | {"engine" for one in self.decisions if isinstance(one, Alarm)}

    def sendings(self) -> dict[str, int]:
        """How often each client id left."""
        counts: dict[str, int] = {}
        for request in self.orders:
            name = request["params"]["newClientOrderId"]
            counts[name] = counts.get(name, 0) + 1
        return counts

    def _watch(self, event: AuditEvent) -> None:
        match event.what:
            case AlarmRaised():
                self.alarms.append(event.what)
            case OrderAnswered():
                self.answered.append(event.what)
            case OrderSent():
                self.sent_events.append(event.what)

    # The inbox --------------------------------------------------------------------------------

    def market(self, route: str, message: bytes, more: bool = False) -> None:
        self._feed(route, message)

    def private(self, message: bytes) -> None:
        self._feed("private", message)

    def order_sent(self, message: bytes) -> None:
        request = json.loads(message)
        request["t_ns"] = self.clock.now_ns()
        self.requests.append(request)
        self._feed("order", message, direction="out")

    def order_answer(self, message: bytes) -> None:
        self._feed("order", message)
        self.gateway.on_answer(message)

    def rest(self, answer: RestAnswer) -> None:
        self.asked.append(answer)
        self._feed("rest", answer.message())

    def link(self, link: Link) -> None:
        self.links.append(link)

    def command(self, command: Command) -> None:
        self.commands.append(command)
        message = {
            "command": command.command,
            "symbol": command.symbol,
            "side": command.side,
            "order_id": command.order_id,
            "event": command.event,
            "by": command.by,
        }
        self._feed("control", json.dumps(message).encode())

    # The engine -------------------------------------------------------------------------------

    def _feed(self, channel: str, message: bytes, *, direction: str = "in") -> None:
        line = b'{"t":%d,"c":"%s","d":"%s","m":%s}' % (
            self.clock.now_ns(),
            channel.encode(),
            direction.encode(),
            message,
        )
        self.lines.append(line)
        decisions: list[Decision] = []
        self.pump.feed(len(self.lines), [line], decisions.extend)
        self._do(decisions)

    def _do(self, decisions: Sequence[Decision]) -> None:
        for decision in decisions:
            self.decisions.append(decision)
            if isinstance(decision, Exit):
                now_ns = self.clock.now_ns()
                for frame in self.gateway.send(
                    decision, t_event_ms=now_ns // 1_000_000, t_recv_ns=now_ns
                ):
                    self.order_sent(frame)
            elif isinstance(decision, OutcomeAsked):
                if self.asks_answered:
                    self.gateway.ask(decision)
            elif isinstance(decision, OrdersCancelled):
                self.gateway.cancel_epoch(decision)


class _Private:
    """The user-data socket."""

    def __init__(self, floor: Floor) -> None:
        self._floor = floor

    def on_message(self, message: bytes) -> None:
        self._floor.private(message)

    def on_end(self, end: SocketEnd) -> None:
        del end

    def on_fault(self, error: Exception) -> None:
        raise error


def play(
    story: Callable[[Floor], Awaitable[None]],
    *,
    hedge: bool = False,
    orders: dict[str, Any] | None = None,
) -> Floor:
    """Plays a story on a floor of its own, and returns the floor for what is to be seen afterwards."""

    async def run() -> Floor:
        floor = Floor(hedge=hedge, orders=orders)
        await floor.open()
        try:
            await story(floor)
        finally:
            await floor.close()
        return floor

    return run_virtually(run())
