"""The synthetic order book around the best prices: what a big market order slips through.

Level *i* lies ``spacing · i · (1 + i/10)`` behind the best price and holds ``depth · (1 + i/4)``: thin
near the touch, thicker and sparser away from it, and finite. What orders take out of it comes back
within a second. Nobody else's resting orders are in it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from reactor.sim.decimals import ZERO, floor_to
from reactor.sim.symbols import SymbolRules

RECOVERY_MS = 1000
LEVELS = 100
SPACING = Decimal("0.0001")  # of the price, between the first levels
TENTH = Decimal("0.1")
QUARTER = Decimal("0.25")
Level = tuple[Decimal, Decimal]


@dataclass(slots=True)
class Book:
    """Best prices, sizes at them, and what has been taken lately."""

    rules: SymbolRules
    bid: Decimal
    ask: Decimal
    bid_qty: Decimal
    ask_qty: Decimal
    depth: Decimal
    levels: int = LEVELS
    taken: dict[str, Decimal] = field(default_factory=lambda: {"BUY": ZERO, "SELL": ZERO})
    taken_ms: dict[str, int] = field(default_factory=lambda: {"BUY": 0, "SELL": 0})

    def _missing(self, side: str, now_ms: int) -> Decimal:
        """Return what takers of this side have taken and what has not come back yet."""
        taken = self.taken[side]
        if not taken:
            return ZERO
        age = now_ms - self.taken_ms[side]
        if age >= RECOVERY_MS:
            self.taken[side] = ZERO
            return ZERO
        left = taken * (RECOVERY_MS - age) / RECOVERY_MS
        return floor_to(left, self.rules.step)

    def offers(self, taker_side: str, now_ms: int) -> Iterator[Level]:
        """Yield (price, quantity) that a taker of this side meets, best first."""
        best, top, sign = (
            (self.ask, self.ask_qty, 1) if taker_side == "BUY" else (self.bid, self.bid_qty, -1)
        )
        missing = self._missing(taker_side, now_ms)
        spacing = max(self.rules.tick, floor_to(best * SPACING, self.rules.tick))
        for index in range(self.levels):
            offset = floor_to(spacing * index * (1 + index * TENTH), self.rules.tick)
            price = best + sign * offset
            if price < self.rules.tick:
                return
            quantity = (
                top if index == 0 else floor_to(self.depth * (1 + index * QUARTER), self.rules.step)
            )
            gone = min(missing, quantity)
            missing -= gone
            if quantity > gone:
                yield price, quantity - gone

    def take(self, side: str, quantity: Decimal, now_ms: int) -> None:
        """Remove what a taker of this side has bought or sold."""
        self.taken[side] = self._missing(side, now_ms) + quantity
        self.taken_ms[side] = now_ms

    def match(
        self, side: str, quantity: Decimal, *, worst: Decimal | None, now_ms: int
    ) -> list[Level]:
        """Return the fills a taker would get, without taking them.

        Args:
            side: The taker's side.
            quantity: What it wants, base units.
            worst: The worst price it accepts, or None.
            now_ms: Exchange time.
        """
        fills: list[Level] = []
        left = quantity
        for price, available in self.offers(side, now_ms):
            if worst is not None and (price > worst if side == "BUY" else price < worst):
                break
            piece = min(left, available)
            fills.append((price, piece))
            left -= piece
            if not left:
                break
        return fills
