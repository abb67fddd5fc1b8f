"""Engines that hold positions, ready to be ticked: what the benchmarks drive."""

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from reactor.core.candles import Candle
from reactor.core.decisions import Decision, Side
from reactor.core.engine import Engine
from reactor.core.events import PositionReport
from reactor.core.ladder import Filters
from reactor.core.orders import Fills
from reactor.core.plan import INTERVAL_MS, Plan
from reactor.plans import load_plan

ENTRY = Decimal(60_000)
QUANTITY = Decimal("0.182")
FILTERS = Filters(tick=Decimal("0.1"), step=Decimal("0.001"), min_quantity=Decimal("0.001"))

T_MS = 1_763_640_000_000
"""A multiple of five minutes: where the candle in which everything happens begins."""

TICK_MS = T_MS + 60_000
"""When the measured ticks happen: after every opening, in the same candle."""

WARM_UP_CANDLES = 20
"""More than the 14 true ranges that the shipped plans' ATR takes."""

OPENING_PRICES = ("60000.0", "60010.0", "59990.0")
"""The position opens at the first; then the forming candle reaches from 59 990 to 60 010."""

NS_PER_MS = 1_000_000


def plan_on_last(name: str) -> Plan:
    """A shipped plan that looks at the last price."""
    return msgspec.structs.replace(load_plan(name), trigger="last")


class Held:
    """An engine with one position a symbol, its candles warm and its bounds armed.

    Attributes:
        engine: the engine.
        symbols: what it holds.
        next_id: an aggregate trade id that no tick has had.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        symbols: Sequence[str] = ("BTCUSDT",),
        side: Side = "LONG",
        fills: Fills = Fills.REPORTED,
    ) -> None:
        """Opens the positions.

        Args:
            plan: of every position; its trigger is the last price.
            symbols: one position each.
            side: of every position.
            fills: reported as live ones are, or simulated.
        """
        self.engine = Engine(
            plan_for=lambda _symbol, _side: plan, filters_for=lambda _: FILTERS, fills=fills
        )
        self.symbols = symbols
        self.next_id = 0
        self._opened = 0
        interval_ms = INTERVAL_MS[plan.atr.interval]
        rows = [
            Candle(T_MS - age * interval_ms, 60_000.0, 60_150.0, 59_900.0, 60_000.0)
            for age in range(WARM_UP_CANDLES, 0, -1)
        ]
        for symbol in symbols:
            self.engine.on_history(symbol, "last", interval_ms, rows, t_ns=T_MS * NS_PER_MS)
            self._open(symbol, side)

    def _open(self, symbol: str, side: Side) -> None:
        # A microsecond apart: positions do not open, nor time stops fall due, at one instant.
        self._opened += 1
        t_recv_ns = T_MS * NS_PER_MS + self._opened * 1000
        self.engine.expect(symbol, side, QUANTITY, ENTRY)
        ids = self.take_ids(len(OPENING_PRICES))
        for trade_id, price in zip(ids, OPENING_PRICES, strict=True):
            self.engine.on_last(symbol, price, trade_id, T_MS, t_recv_ns)

    def reopen(self, symbol: str, side: Side) -> None:
        """Takes the report that the position is flat, and opens the next one."""
        self.engine.on_position(
            PositionReport(
                symbol=symbol,
                side=side,
                quantity=Decimal(0),
                entry=Decimal(0),
                t_event_ms=TICK_MS,
                t_ns=TICK_MS * NS_PER_MS,
            )
        )
        self._open(symbol, side)

    def tick(self, symbol: str, price: str, trade_id: int) -> Sequence[Decision]:
        """One tick of the measured minute."""
        return self.engine.on_last(symbol, price, trade_id, TICK_MS, TICK_MS * NS_PER_MS)

    def take_ids(self, count: int) -> range:
        """Ids for that many ticks, none of which was used before."""
        first = self.next_id
        self.next_id += count
        return range(first, self.next_id)

    def quiet_quotes(self, count: int) -> list[tuple[str, str]]:
        """Symbols in turn, each with a price at which nothing can happen."""
        symbols = self.symbols
        return [
            (symbols[number % len(symbols)], f"{60_000 + (number * 7 % 19 - 9) * 0.5:.1f}")
            for number in range(count)
        ]

    def would_be_quiet(self, quotes: Sequence[tuple[str, str]]) -> bool:
        """Whether all of these lie between the armed bounds of positions that nothing has closed."""
        engine = self.engine
        markets = {market.symbol: market for market in engine.markets()}
        untouched = len(engine.positions) == len(self.symbols) and all(
            machine.orders.is_idle for machine in engine.positions.values()
        )
        return (
            untouched
            and not any(market.duplicates for market in markets.values())
            and all(markets[name].low < float(price) < markets[name].high for name, price in quotes)
        )
