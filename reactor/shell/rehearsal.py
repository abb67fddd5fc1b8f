"""Keeps the way of an order warm: a stop fires on paper, many times a minute, and nothing is sent.

Between two exits a processor forgets: the code that decides, builds and signs an order is out of its caches by
the time at which it matters, and runs several times slower than it could. So a position that exists nowhere is
closed by a made-up tick now and then, by an engine of its own, and its order is built and signed as a real one
would be. It shares code with the real ones and nothing else: no tape, journal or socket sees it.
`reactor bench latency --cases cold` shows what it is worth.
"""

import asyncio
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from reactor.binance.market_messages import AggTrade, Envelope
from reactor.core.decisions import Decision, Exit, Side
from reactor.core.engine import Engine
from reactor.core.events import PositionReport
from reactor.core.ladder import Filters
from reactor.core.orders import Fills, OrderIds
from reactor.core.plan import Plan, plan_from_toml

SYMBOL: Final = "REHEARSAL"
SIDE: Final[Side] = "LONG"
QUANTITY: Final = Decimal("0.1")
ENTRY: Final = Decimal(100)
FILTERS: Final = Filters(tick=Decimal("0.1"), step=Decimal("0.001"), min_quantity=Decimal("0.001"))
NOON_MS: Final = 1_763_640_000_000
"""Some instant: its clock stands still."""

_PLAN: Final = """\
name = "rehearsal"
trigger = "last"
[stop]
pct = 0.01
[[targets]]
pct = 0.05
close = 1.0
[trailing]
activate = "in_profit"
pct = 0.01
"""

_decode = msgspec.json.Decoder(Envelope).decode


class Rehearsal:
    """Fires a stop that nobody set.

    Args:
        order_ids: names the orders.
        build: builds and signs an exit's orders without sending them.
    """

    def __init__(self, *, order_ids: OrderIds, build: Callable[[Exit], object]) -> None:
        plan: Plan = plan_from_toml(_PLAN, source="rehearsal")
        self._build = build
        self._engine = Engine(
            plan_for=lambda _symbol, _side: plan,
            filters_for=lambda _: FILTERS,
            fills=Fills.REPORTED,
            order_ids=order_ids,
        )
        self._trade_id = 0

    async def run(self, *, every_s: float) -> None:
        """Rehearses every so many seconds, until cancelled."""
        while True:
            self.once()
            await asyncio.sleep(every_s)

    def once(self) -> bool:
        """One rehearsal: opened, fired, built, over. Answers whether an exit came of it, as it must."""
        self._engine.expect(SYMBOL, SIDE, QUANTITY, ENTRY)
        self._tick("100.0")
        exits = [one for one in self._tick("98.0") if type(one) is Exit]
        for exit_ in exits:
            self._build(exit_)
        self._engine.on_position(
            PositionReport(
                symbol=SYMBOL,
                side=SIDE,
                quantity=Decimal(0),
                entry=Decimal(0),
                t_event_ms=NOON_MS,
                t_ns=NOON_MS * 1_000_000,
            )
        )
        return bool(exits)

    def _tick(self, price: str) -> Sequence[Decision]:
        self._trade_id += 1
        text = (
            f'{{"stream":"rehearsal@aggTrade","data":{{"e":"aggTrade","E":{NOON_MS},"s":"{SYMBOL}",'
            f'"a":{self._trade_id},"p":"{price}","q":"1","T":{NOON_MS},"st":1}}}}'
        )
        frame = _decode(text).data
        if type(frame) is not AggTrade:
            return ()
        return self._engine.on_last(frame.s, frame.p, frame.a, frame.T, NOON_MS * 1_000_000)
