"""What the reference remembers of one position between flat and flat."""

from dataclasses import dataclass, field
from fractions import Fraction

from reactor.core.plan import Target
from reference.sides import Side


@dataclass
class Rung:
    target: Target
    fraction: Fraction
    price: Fraction | None = None  # None while it waits for an ATR
    distance: Fraction = Fraction(0)  # of the price from the entry, before rounding
    held_price: Fraction | None = None  # recomputed, but it would have closed at once
    held_distance: Fraction = Fraction(0)
    taken: bool = False
    taken_price: Fraction | None = None


@dataclass
class Flight:
    """An order whose fill is still to come (`fills="next"`)."""

    quantity: Fraction
    reasons: list[str]
    closes_all: bool
    pursued: bool


@dataclass
class Epoch:
    side: Side
    quantity: Fraction  # open on the exchange
    entry: Fraction
    time_stop_due_ns: int | None
    initial_quantity: Fraction
    rungs: list[Rung]
    ladder_scale: Fraction
    atr: Fraction | None = None  # of the opening, of when it became ready, or of the last add
    r: Fraction = Fraction(0)
    stop: Fraction = Fraction(0)
    kind: str = "stop_loss"
    held_stop: Fraction | None = None
    ticks_through_stop: int = 0
    volatility_is_known: bool = False
    in_high_volatility: bool = False
    has_shrunk: bool = False
    harvests: int = 0
    harvested_once: bool = False
    break_even_is_due: bool = False
    trailing: bool = False
    peak: Fraction | None = None
    liquidation_price: Fraction | None = None
    margin_per_unit: Fraction | None = None
    flights: list[Flight] = field(default_factory=list)
    realized: Fraction = Fraction(0)
    reduced_by_others: bool = False

    @property
    def in_flight(self) -> Fraction:
        return sum((flight.quantity for flight in self.flights), Fraction(0))

    @property
    def remaining(self) -> Fraction:
        """Open and not asked for yet."""
        return max(Fraction(0), self.quantity - self.in_flight)

    @property
    def closes_all(self) -> bool:
        return any(flight.closes_all for flight in self.flights)

    @property
    def rungs_taken(self) -> int:
        return sum(1 for rung in self.rungs if rung.taken)
