"""Trailing: when the stop starts to follow the best price, and where it then wants to be."""

from decimal import Decimal
from math import inf, nextafter

from reactor.core import levels
from reactor.core.exact import add, floor_to, from_float, multiply, subtract
from reactor.core.plan import Plan


class Trailing:
    """The trailing rule of one epoch; never active without `[trailing]` in the plan.

    Attributes:
        peak: the best price on the gain axis since it became active; None before. Active it stays.
        peak_above: the double from which on a price raises the peak; infinite until there is one.
    """

    __slots__ = ("_plan", "_plans", "_tick", "peak", "peak_above")

    def __init__(self, plan: Plan, *, tick: Decimal | None) -> None:
        # Whose rule activates, and whose distances count: the smallest of them.
        self._plan = plan
        self._plans = [plan] if plan.trailing is not None else []
        self._tick = tick
        self.peak: Decimal | None = None
        self.peak_above = inf

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
        if self.peak is None:
            if self._plan.trailing is None or not self._activates(x, x0, r, rungs_taken):
                return
        elif x <= self.peak:
            return
        self.peak = x
        self.peak_above = nextafter(double, inf) if is_short else double

    def candidate(self, *, atr: Decimal | None) -> Decimal | None:
        """The stop it asks for, rounded; None while it is not active or waits for an ATR."""
        if self.peak is None:
            return None
        distance = self.distance(self.peak, atr=atr)
        return None if distance is None else floor_to(subtract(self.peak, distance), self._tick)

    def distance(self, peak: Decimal, *, atr: Decimal | None) -> Decimal | None:
        """The smallest distance that a plan asks for behind a peak, in price; None where none can tell."""
        distance: Decimal | None = None
        for plan in self._plans:
            wanted = levels.trailing_distance(plan, peak=peak, atr=atr)
            if wanted is not None and (distance is None or wanted < distance):
                distance = wanted
        return distance

    def tighten(self, plan: Plan) -> None:
        """Lets another plan's distance count where it is the smaller one.

        The epoch's own rule goes on saying when trailing begins; where it has none, the other's does.
        """
        if plan.trailing is None:
            return
        if self._plan.trailing is None:
            self._plan = plan
        self._plans.append(plan)

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
