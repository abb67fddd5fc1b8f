"""Trailing: when the stop starts to follow the best price, and where it then wants to be."""

from decimal import ROUND_FLOOR, Decimal
from math import inf, nextafter

from reactor.core.exact import EXACT, ONE, add, floor_to, from_float, multiply, places_of, subtract
from reactor.core.plan import Plan


class Trailing:
    """The trailing rule of one epoch; never active without `[trailing]` in the plan.

    Attributes:
        peak: the best price on the gain axis since it became active; None before. Active it stays.
        peak_above: the double from which on a price raises the peak; infinite until there is one.
    """

    __slots__ = (
        "_grown",
        "_kept",
        "_multiple",
        "_pct",
        "_places",
        "_plan",
        "_tick",
        "peak",
        "peak_above",
    )

    def __init__(self, plan: Plan, *, tick: Decimal | None) -> None:
        # Whose rule activates.
        self._plan = plan
        # The smallest distances of all plans that count: in shares of the peak, and in ATRs.
        self._pct: Decimal | None = None
        self._multiple: Decimal | None = None
        self._kept = self._grown = ONE
        self._tick = tick
        self._places = places_of(tick)
        self.peak: Decimal | None = None
        self.peak_above = inf
        self._count(plan)

    def follow(
        self,
        x: Decimal,
        *,
        double: float,
        is_short: bool,
        x0: Decimal,
        r: Decimal,
        rungs_taken: int,
    ) -> None:
        """Takes a tick's price: it may activate the rule, or raise the peak.

        Args:
            x: the price on the gain axis.
            double: the same as a double.
            is_short: whether it has at most 15 digits, so that the double tells it exactly.
            x0: the entry on the gain axis.
            r: the epoch's risk in price.
            rungs_taken: how many rungs have fired.
        """
        if self.peak is not None or (
            self._plan.trailing is not None and self._activates(x, x0, r, rungs_taken)
        ):
            self.raise_peak(x, nextafter(double, inf) if is_short else double)

    def raise_peak(self, x: Decimal, above: float) -> bool:
        """Takes a tick's price for the peak if it is a better one, or the first; answers whether it is.

        To be called once the rule is active.

        Args:
            x: the price on the gain axis.
            above: the lowest double that a price above it can have.
        """
        if self.peak is not None and x <= self.peak:
            return False
        self.peak = x
        self.peak_above = above
        return True

    def candidate(self, atr: Decimal | None) -> Decimal | None:
        """The stop it asks for, rounded; None while it is not active or waits for an ATR."""
        peak = self.peak
        if peak is None:
            return None
        if self._multiple is None and self._pct is not None:
            # As below, in one product: a LONG's peak lies above zero on the gain axis, a SHORT's below.
            candidate = multiply(peak, self._kept if self.peak_above > 0 else self._grown)
        else:
            distance = self.distance(peak, atr)
            if distance is None:
                return None
            candidate = subtract(peak, distance)
        if self._places is not None:
            return candidate.quantize(self._places, ROUND_FLOOR, EXACT)
        return floor_to(candidate, self._tick)

    def distance(self, peak: Decimal, atr: Decimal | None) -> Decimal | None:
        """The smallest distance that a plan asks for behind a peak, in price; None where none can tell."""
        by_pct = None if self._pct is None else multiply(self._pct, peak.copy_abs())
        if self._multiple is None or atr is None:
            return by_pct
        by_atr = multiply(self._multiple, atr)
        return by_atr if by_pct is None or by_atr < by_pct else by_pct

    def tighten(self, plan: Plan) -> None:
        """Lets another plan's distance count where it is the smaller one.

        The epoch's own rule goes on saying when trailing begins; where it has none, the other's does.
        """
        if plan.trailing is None:
            return
        if self._plan.trailing is None:
            self._plan = plan
        self._count(plan)

    def _count(self, plan: Plan) -> None:
        """Lets a plan's distance count where it is smaller than another's of its kind."""
        trailing = plan.trailing
        if trailing is None:
            return
        if trailing.pct is not None:
            self._pct = trailing.pct if self._pct is None else min(self._pct, trailing.pct)
            self._kept, self._grown = subtract(ONE, self._pct), add(ONE, self._pct)
        if trailing.atr is not None:
            known = self._multiple
            self._multiple = trailing.atr if known is None else min(known, trailing.atr)

    def recover(self, peak: Decimal) -> bool:
        """Takes a peak that was missed; answers whether it is better than the one known."""
        if self.peak is not None and peak <= self.peak:
            return False
        self.restore(peak)
        return True

    def restore(self, peak: Decimal | None) -> None:
        """Takes the peak of an earlier process; None where the rule was not active yet."""
        self.peak = peak
        self.peak_above = inf if peak is None else just_above(peak)

    def activation_bound(self, *, x0: Decimal, r: Decimal) -> float:
        """The double at or above which a price may activate it; infinite where price does not."""
        trailing = self._plan.trailing
        if trailing is None or self.peak is not None:
            return inf
        if trailing.activate == "in_profit":
            return just_above(x0)
        return float(self._activation_x(x0, r)) if trailing.activate == "at_r" else inf

    def _activates(self, x: Decimal, x0: Decimal, r: Decimal, rungs_taken: int) -> bool:
        trailing = self._plan.trailing
        assert trailing is not None
        if trailing.activate == "in_profit":
            return x > x0
        if trailing.activate == "at_r":
            return x >= self._activation_x(x0, r)
        assert trailing.value is not None
        return rungs_taken >= trailing.value

    def _activation_x(self, x0: Decimal, r: Decimal) -> Decimal:
        assert self._plan.trailing is not None
        assert self._plan.trailing.value is not None
        return add(x0, multiply(self._plan.trailing.value, r))


def just_above(level: Decimal) -> float:
    """The lowest double that a price strictly above the level can have.

    A price of up to 15 digits is told by its double, so where the level is such a price too, its own
    double still means "not above". Otherwise the level's double itself has to be looked at.
    """
    double = float(level)
    return nextafter(double, inf) if from_float(double) == level else double
