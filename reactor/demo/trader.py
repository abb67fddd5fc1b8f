"""Somebody who opens positions on the simulated exchange, so that there is something to guard.

Seeded: the same seed trades the same symbols, sides and sizes; the prices it gets are the market's.
"""

import asyncio
import random
from decimal import Decimal
from typing import Any, Final

import orjson

from reactor.core.exact import floor_to
from reactor.sim.rest import Request
from reactor.sim.server import Server

NOTIONAL_USDT: Final = (2_000, 20_000)
PAUSE_S: Final = (2.0, 6.0)
AT_FIRST: Final = 4
OPEN_MAX: Final = 6
ADDS: Final = 0.15
CLOSES: Final = 0.05
"""How often, instead of opening, it adds to a position, and how often it closes one by hand."""


class Trader:
    """Trades on an account that a guard watches.

    Attributes:
        opened, added, closed: how often it did.
    """

    def __init__(self, server: Server, *, seed: int) -> None:
        """Trades by this seed."""
        self._server = server
        self._chance = random.Random(seed)  # noqa: S311 - a demonstration, not secrecy
        self.opened = 0
        self.added = 0
        self.closed = 0

    async def run(self) -> None:
        """Trades until cancelled."""
        for _ in range(AT_FIRST):
            self.trade()
        while True:
            await asyncio.sleep(self._chance.uniform(*PAUSE_S))
            self.trade()

    def trade(self) -> None:
        """Opens a position, or now and then adds to one or closes one."""
        state = self._state()
        held: dict[str, Decimal] = {
            name.partition("/")[0]: Decimal(amount)
            for name, amount in state["accounts"]["main"]["positions"].items()
            if Decimal(amount)
        }
        luck = self._chance.random()
        if held and luck < CLOSES:
            symbol = self._chance.choice(sorted(held))
            self.closed += self._order(symbol, held[symbol].copy_negate())
        elif held and luck < CLOSES + ADDS:
            symbol = self._chance.choice(sorted(held))
            self.added += self._order(symbol, held[symbol] / 2)
        elif len(held) < OPEN_MAX:
            free = sorted(set(state["prices"]) - set(held))
            symbol = self._chance.choice(free)
            worth = Decimal(self._chance.randint(*NOTIONAL_USDT))
            sign = self._chance.choice((1, -1))
            self.opened += self._order(
                symbol, sign * worth / Decimal(state["prices"][symbol]["last"])
            )

    def _state(self) -> Any:
        return orjson.loads(self._ask("GET", "/sim/state", None))

    def _order(self, symbol: str, amount: Decimal) -> bool:
        """A market order of this signed size; answers whether the exchange took it."""
        size = floor_to(amount.copy_abs(), self._server.simulation.exchange.symbols[symbol].step)
        if size <= 0:
            return False
        signed = size if amount > 0 else size.copy_negate()
        body = orjson.dumps({"symbol": symbol, "quantity": str(signed)}).decode()
        return b'"orderId"' in self._ask("POST", "/sim/position", body)

    def _ask(self, method: str, path: str, body: str | None) -> bytes:
        server = self._server
        server.simulation.advance(server.clock.now_ms())
        answer = server.simulation.request(Request(method=method, path=path, body=body or ""))
        server.flush()
        return answer.body
