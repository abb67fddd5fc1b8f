"""Exchange, WebSocket side and control door as one thing, still without sockets.

This is what a test, or a whole live process in the same program, talks to under virtual time; the
server (:mod:`reactor.sim.server`) gives the same object sockets.
"""

from reactor.sim.connection import Connection
from reactor.sim.control import Control
from reactor.sim.exchange import Exchange, PriceSource, Settings
from reactor.sim.rest import Request, Response, answer
from reactor.sim.streams import Hub
from reactor.sim.symbols import SymbolRules


class Simulation:
    """A simulated exchange that is called, not connected to."""

    def __init__(
        self,
        *,
        now_ms: int,
        settings: Settings | None = None,
        prices: PriceSource | None = None,
        symbols: dict[str, SymbolRules] | None = None,
    ) -> None:
        self.exchange = Exchange(now_ms=now_ms, settings=settings, prices=prices, symbols=symbols)
        self.hub = Hub(self.exchange)
        self.control = Control(self.exchange, self.hub)

    def advance(self, now_ms: int) -> None:
        """Let time pass and hand out what happened."""
        self.exchange.advance(now_ms)
        self.hub.deliver()

    def request(self, request: Request) -> Response:
        """Answer an HTTP request at the present moment."""
        if request.path.startswith("/sim"):
            response = self.control.answer(request)
        else:
            response = answer(self.exchange, request)
        self.hub.deliver()
        return response

    def connect(self, target: str, *, ip: str = "127.0.0.1") -> Connection | None:
        """Open a WebSocket by its request target."""
        return self.hub.open(target, ip=ip)

    def send(self, connection: Connection, text: str | bytes) -> None:
        """Give a client's text frame to the exchange."""
        self.hub.receive(connection, text)
        self.hub.deliver()
