"""The exchange of an acceptance script: simulated, on a real port, with nothing moving but what the script moves.

It lives in the script's own event loop, so a script sees every request at the moment at which it arrives and can
act there and then: kill the guard before its order is answered, for instance.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qsl

from reactor.binance.orders import PREFIX
from reactor.sim.account import Account
from reactor.sim.clock import RealClock
from reactor.sim.connection import Connection
from reactor.sim.exchange import Settings
from reactor.sim.model import AlgoOrder, Order
from reactor.sim.rest import Request, Response
from reactor.sim.server import Server
from reactor.sim.simulation import Simulation
from reactor.sim.ws_api import METHODS

WAIT_S = 40.0
"""How long a script waits for what must happen: far beyond what it takes, for slow machines."""

ORDER = "/fapi/v1/order"
ALGO_ORDER = "/fapi/v1/algoOrder"


async def until(ready: Callable[[], Any], what: str, *, within_s: float = WAIT_S) -> Any:
    """Waits until something is true, and answers it; says what it waited for when it never was."""
    loop = asyncio.get_running_loop()
    end_s = loop.time() + within_s
    while not (found := ready()):
        if loop.time() > end_s:
            raise AssertionError(f"not within {within_s:g} s: {what}")
        await asyncio.sleep(0.01)
    return found


class Arrival(NamedTuple):
    """A request of the guard, as it reached the exchange."""

    at_ns: int
    channel: str
    method: str
    path: str
    params: Mapping[str, str]
    held: Decimal
    """What its position held at that moment, where it names one."""

    @property
    def client_id(self) -> str:
        """The id that it gives its order, or asks for."""
        names = ("newClientOrderId", "clientAlgoId", "origClientOrderId")
        return next((self.params[name] for name in names if name in self.params), "")


class Trap:
    """Does something once, when a request arrives: before it is carried out, or after and before its answer."""

    def __init__(
        self,
        method: str,
        path: str,
        spring: Callable[[], None],
        *,
        when: str = "after",
        number: int = 1,
        holds: Mapping[str, str] | None = None,
    ) -> None:
        self.when = when
        self.sprung = False
        self.arrival: Arrival | None = None
        self._place = (method, path)
        self._spring = spring
        self._left = number
        self._holds = holds or {}

    def look(self, arrival: Arrival, when: str) -> None:
        """Springs if this is the moment."""
        if self.sprung or when != self.when or (arrival.method, arrival.path) != self._place:
            return
        if any(arrival.params.get(name) != value for name, value in self._holds.items()):
            return
        self._left -= 1
        if not self._left:
            self.sprung = True
            self.arrival = arrival
            self._spring()


class _Watched(Simulation):
    """Tells of every request, before and after it is carried out."""

    tell: Callable[[str, str, str, Mapping[str, str], str], None] = staticmethod(lambda *_: None)

    def request(self, request: Request) -> Response:
        """Answers a REST request."""
        if request.path.startswith("/sim"):
            return super().request(request)
        params = dict(parse_qsl(request.body)) | dict(parse_qsl(request.query))
        self.tell("rest", request.method, request.path, params, "before")
        response = super().request(request)
        self.tell("rest", request.method, request.path, params, "after")
        return response

    def send(self, connection: Connection, text: str | bytes) -> None:
        """Takes a frame; requests of the WebSocket API are told."""
        place = None
        if connection.route == "api":
            frame = json.loads(text)
            place = METHODS.get(frame.get("method", ""))
            params = {name: str(value) for name, value in frame.get("params", {}).items()}
        if place is not None:
            self.tell("ws_api", *place, params, "before")
        super().send(connection, text)
        if place is not None:
            self.tell("ws_api", *place, params, "after")


class Exchange:
    """The exchange, and the hands that move it.

    Attributes:
        arrivals: every request that came, oldest first.
        traps: look at every request.
    """

    def __init__(self, *, hedge: bool = False) -> None:
        self._clock = RealClock()
        self.simulation = _Watched(now_ms=self._clock.now_ms(), settings=Settings(hedge=hedge))
        self.simulation.tell = self._tell
        self.server = Server(self.simulation, clock=self._clock)
        self.arrivals: list[Arrival] = []
        self.traps: list[Trap] = []

    async def __aenter__(self) -> Self:
        await self.server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.server.stop()
        assert not self.server.errors, "the simulator itself failed"

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server.port}"

    def _tell(
        self, channel: str, method: str, path: str, params: Mapping[str, str], when: str
    ) -> None:
        if when == "before":
            symbol, side = params.get("symbol", ""), params.get("positionSide", "BOTH")
            held = self.held(symbol, side)
            now_ns = self._clock.now_ms() * 1_000_000
            self.arrivals.append(Arrival(now_ns, channel, method, path, params, held))
        arrival = self.arrivals[-1]
        for trap in self.traps:
            trap.look(arrival, when)

    # Hands ------------------------------------------------------------------------------------

    def door(self, path: str, body: Any = None, *, method: str = "POST") -> Any:
        """Uses the control door; everything that follows from it is sent at once."""
        self.simulation.advance(self._clock.now_ms())
        text = "" if body is None else json.dumps(body)
        response = self.simulation.request(Request(method=method, path=f"/sim/{path}", body=text))
        self.server.flush()
        self.server._wake_when_due()
        answer = json.loads(response.body)
        assert response.status == 200, answer
        return answer

    def price(self, symbol: str, price: str | Decimal, *, mark: str | None = None) -> None:
        """Moves a symbol: book, last and mark, or the mark to a place of its own."""
        body = {"symbol": symbol, "price": str(price)}
        self.door("price", body if mark is None else {**body, "mark": mark})

    def trade(self, symbol: str, quantity: str, *, side: str = "", client_id: str = "") -> None:
        """A market order that no client of ours sent: what a human does to the account."""
        body = {"symbol": symbol, "quantity": quantity, "clientOrderId": client_id}
        self.door("position", {**body, "positionSide": side} if side else body)

    def fault(self, do: str, at: Mapping[str, str] | None = None, **more: Any) -> None:
        """Arms one fault rule."""
        self.door("faults", [{"do": do, "at": at or {}, **more}])

    def cut(self, route: str, how: str = "reset") -> None:
        """Ends the sockets of one route."""
        self.door("connections", {"route": route, "how": how})

    def trap(self, method: str, path: str, spring: Callable[[], None], **more: Any) -> Trap:
        """Sets a trap."""
        trap = Trap(method, path, spring, **more)
        self.traps.append(trap)
        return trap

    # Eyes -------------------------------------------------------------------------------------

    @property
    def account(self) -> Account:
        """The account that is guarded."""
        return self.simulation.exchange.accounts["main"]

    def held(self, symbol: str, side: str = "BOTH") -> Decimal:
        """What a position holds; a short one below 0."""
        position = self.account.positions.get((symbol, side))
        return Decimal(0) if position is None else position.amount

    def entry(self, symbol: str, side: str = "BOTH") -> Decimal:
        """A position's average entry."""
        return self.account.position(symbol, side).entry

    def last(self, symbol: str) -> Decimal:
        """The last price."""
        return self.simulation.exchange.markets[symbol].last

    def exits(self, symbol: str | None = None) -> list[Order]:
        """The guard's exit orders that the matching engine ever took, oldest first; no hard stops."""
        orders = [*self.account.closed.values(), *self.account.orders.values()]
        found = [
            order
            for order in orders
            if order.client_id.startswith(PREFIX)
            and not order.algo_id
            and symbol in {None, order.symbol}
        ]
        return sorted(found, key=lambda order: order.order_id)

    def closed_by_guard(self, symbol: str, side: str = "BOTH") -> Decimal:
        """How much the guard's exits and hard stops closed of a position, in base units."""
        orders = [*self.account.closed.values(), *self.account.orders.values()]
        return sum(
            (
                order.executed
                for order in orders
                if order.client_id.startswith(PREFIX)
                and (order.symbol, order.position_side) == (symbol, side)
            ),
            Decimal(0),
        )

    def hard_stops(self, symbol: str | None = None, side: str | None = None) -> list[AlgoOrder]:
        """The guard's hard stops that stand."""
        return [
            algo
            for algo in self.account.algos.values()
            if algo.is_open
            and algo.client_id.startswith(PREFIX)
            and symbol in {None, algo.symbol}
            and side in {None, algo.position_side}
        ]

    def asked(self, method: str, path: str, **params: str) -> list[Arrival]:
        """The requests of one kind that came."""
        return [
            arrival
            for arrival in self.arrivals
            if (arrival.method, arrival.path) == (method, path)
            and all(arrival.params.get(name) == value for name, value in params.items())
        ]

    def sent(self, symbol: str | None = None) -> list[Arrival]:
        """The exit orders that arrived, carried out or not."""
        orders = self.asked("POST", ORDER)
        return [one for one in orders if symbol in {None, one.params["symbol"]}]

    async def guarded(self, *symbols: str, side: str = "BOTH") -> None:
        """Waits until each position has one hard stop of its size, and no other."""

        def is_guarded() -> bool:
            return all(
                [stop.quantity for stop in self.hard_stops(symbol, side)]
                == [abs(self.held(symbol, side))]
                for symbol in symbols
            )

        await until(is_guarded, f"one hard stop of its size for each of {', '.join(symbols)}")

    async def flat(self, *symbols: str, side: str = "BOTH") -> None:
        """Waits until positions are closed."""
        await until(
            lambda: not any(self.held(symbol, side) for symbol in symbols),
            f"{', '.join(symbols)} flat",
        )
