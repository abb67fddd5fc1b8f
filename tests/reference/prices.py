"""One tick as each reader sees it."""

from decimal import Decimal
from fractions import Fraction

from reference.sides import Side


class Prices:
    """A LONG sells at the bid, a SHORT buys at the ask, candles take the middle."""

    def __init__(self, price: str | tuple[str, str]) -> None:
        bid, ask = (price, price) if isinstance(price, str) else price
        self.is_legal = all(_is_positive(text) for text in (bid, ask))
        if self.is_legal:
            self.bid, self.ask = Fraction(Decimal(bid)), Fraction(Decimal(ask))
            self.mid = (self.bid + self.ask) / 2

    def seen_by(self, side: Side) -> Fraction:
        if side == "LONG":
            return self.bid
        return self.ask

    def is_within(self, limit: Fraction, *, of: "Prices") -> bool:
        return abs(self.bid - of.bid) <= limit * of.bid and abs(self.ask - of.ask) <= limit * of.ask


def _is_positive(text: str) -> bool:
    value = Decimal(text)
    return value.is_finite() and value > 0
