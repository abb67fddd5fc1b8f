"""Taking profit: the rungs of the ladder and the steps of the harvest, within one epoch.

Both fire when the price reaches their level on the gain axis. Everything that fires on one tick goes out as
one order: rungs nearest first, then harvest steps rising. A recomputed rung that would lie at or through the
price is held back, because it would fire without the price having moved.
"""

from decimal import Decimal
from math import inf
from typing import NamedTuple

from reactor.core import levels
from reactor.core.decisions import Reason
from reactor.core.exact import ONE, ZERO, add, ceil_to, divide, floor_to, multiply, subtract
from reactor.core.plan import Plan, Target
from reactor.core.sizing import NO_INPUTS, Inputs, Sizing, size_ladder

HARVEST_STEPS_PER_TICK_MAX = 1000
"""Harvest steps one tick may take. A 20 % jump at 0.1 % steps has 200; beyond this a price is absurd."""


class Filters(NamedTuple):
    """What one contract rounds to; None where nothing is rounded."""

    tick: Decimal | None = None
    step: Decimal | None = None
    min_quantity: Decimal = ZERO


class Rung:
    """One take-profit target within an epoch.

    Attributes:
        number: its place in the plan file, from 0. `target`: what the file says of it.
        close: the fraction of the initial quantity, sized.
        x: its level on the gain axis; None while it waits for an ATR.
        distance: the same before rounding, from the entry; two rungs on one tick keep this order.
        held: the level a recomputation wants but may not set while the price is at or beyond it;
            `held_distance` belongs to it.
        taken: whether it fired.
    """

    __slots__ = ("close", "distance", "held", "held_distance", "number", "taken", "target", "x")

    def __init__(self, number: int, target: Target, close: Decimal) -> None:
        self.number = number
        self.target = target
        self.close = close
        self.x: Decimal | None = None
        self.distance = ZERO
        self.held: Decimal | None = None
        self.held_distance = ZERO
        self.taken = False

    def release(self) -> None:
        """Takes the level that was held back: the price stands clear of it now."""
        self.x, self.distance, self.held = self.held, self.held_distance, None

    @property
    def place(self) -> tuple[bool, bool, Decimal, Decimal]:
        """Its key among the rungs: taken ones as they were, then the nearest; without a level last."""
        if self.taken:
            return False, False, ZERO, ZERO
        return True, self.x is None, self.x or ZERO, self.distance


class Fired:
    """What the rungs and harvest steps of one tick add up to.

    Attributes:
        remaining: what is left after them. `quantity`: their sum. `reasons`: in the order of firing.
        level: the farthest level that fired with a quantity; None when none did.
        rungs, steps: how many counted as taken, those that round to nothing included.
    """

    __slots__ = ("level", "quantity", "reasons", "remaining", "rungs", "steps")

    def __init__(self, remaining: Decimal) -> None:
        self.remaining = remaining
        self.quantity = ZERO
        self.reasons: list[Reason] = []
        self.level: Decimal | None = None
        self.rungs = 0
        self.steps = 0

    def take(self, quantity: Decimal, reason: Reason, level: Decimal) -> None:
        """Adds one; what rounds to nothing names no reason."""
        if quantity > 0:
            self.reasons.append(reason)
            self.level = level if self.level is None else max(self.level, level)
            self.quantity = add(self.quantity, quantity)
            self.remaining = subtract(self.remaining, quantity)


class Ladder:
    """The rungs and harvest steps of one epoch.

    Attributes:
        rungs: taken ones as they were taken, then the nearest first.
        sizing: what the plan's `[ladder]` made of them when the epoch opened.
        harvests_taken: harvest steps behind the price, from the present entry.
    """

    __slots__ = (
        "_atr",
        "_axis",
        "_entry",
        "_filters",
        "_harvest_due",
        "_is_whole",
        "_plan",
        "_r",
        "_shrunk",
        "_x0",
        "harvests_taken",
        "rungs",
        "sizing",
    )

    def __init__(
        self,
        plan: Plan,
        axis: levels.Axis,
        filters: Filters,
        *,
        entry: Decimal,
        atr: Decimal | None,
        r: Decimal,
        inputs: Inputs = NO_INPUTS,
    ) -> None:
        self._plan = plan
        self._axis = axis
        self._filters = filters
        self._shrunk = False
        self.sizing: Sizing = size_ladder(plan, inputs)
        self._start_from(entry, atr=atr, r=r)
        self.rungs = [
            Rung(number, target, close)
            for number, (target, close) in enumerate(
                zip(plan.targets, self.sizing.closes, strict=True)
            )
        ]
        total = ZERO
        for rung in self.rungs:
            rung.x, rung.distance = self._wanted(rung)
            total = add(total, rung.close)
        self._is_whole = total == ONE
        self._sort()
        self.harvests_taken = 0
        self._harvest_due = self._harvest_x(1)

    @property
    def taken(self) -> list[Decimal]:
        """The levels of the taken rungs, in the order in which they fired."""
        return [rung.x for rung in self.rungs if rung.taken and rung.x is not None]

    @property
    def is_shrunk(self) -> bool:
        """Whether high volatility has drawn the untaken rungs nearer in this epoch."""
        return self._shrunk

    def bounds(self) -> tuple[float, float]:
        """The nearest held-back rung below and the nearest untaken rung or harvest step above."""
        low, high = -inf, inf
        for rung in self.rungs:
            if rung.held is not None:
                low = max(low, float(rung.held))
            if rung.x is not None and not rung.taken:
                high = min(high, float(rung.x))
        if self._harvest_due is not None:
            high = min(high, float(self._harvest_due))
        return low, high

    def fire(self, x: Decimal, *, available: Decimal, initial: Decimal) -> Fired:
        """Takes everything that the price has reached.

        Args:
            x: the price on the gain axis.
            available: what is open and not in flight, in base units.
            initial: the epoch's initial quantity, of which rungs close their fractions.
        """
        for rung in self.rungs:
            if rung.held is not None and x < rung.held:
                rung.release()
        self._sort()
        fired = Fired(available)
        self._fire_rungs(x, fired, initial)
        self._fire_harvests(x, fired)
        return fired

    def _fire_rungs(self, x: Decimal, fired: Fired, initial: Decimal) -> None:
        for index, rung in enumerate(self.rungs):
            if rung.taken or rung.x is None or x < rung.x or fired.remaining <= 0:
                continue
            fired.rungs += 1
            rung.taken = True
            rung.held = None
            quantity = fired.remaining
            # The last rung of a ladder whose fractions sum to 1 takes all that remains.
            if index < len(self.rungs) - 1 or not self._is_whole:
                quantity = self._tradable(multiply(rung.close, initial), fired.remaining)
            fired.take(quantity, Reason.TAKE_PROFIT, rung.x)

    def _fire_harvests(self, x: Decimal, fired: Fired) -> None:
        harvest = self._plan.harvest
        while (
            harvest is not None
            and self._harvest_due is not None
            and x >= self._harvest_due
            and fired.remaining > 0
            and fired.steps < HARVEST_STEPS_PER_TICK_MAX
        ):
            fired.steps += 1
            quantity = self._tradable(multiply(harvest.fraction, fired.remaining), fired.remaining)
            fired.take(quantity, Reason.HARVEST, self._harvest_due)
            self.harvests_taken += 1
            self._harvest_due = self._harvest_x(self.harvests_taken + 1)

    def _tradable(self, share: Decimal, remaining: Decimal) -> Decimal:
        """A share rounded down to the step and capped; a rest too small to trade joins it."""
        quantity = min(floor_to(share, self._filters.step), remaining)
        rest = subtract(remaining, quantity)
        return remaining if quantity > 0 and ZERO < rest < self._filters.min_quantity else quantity

    def recompute(
        self, *, entry: Decimal, atr: Decimal | None, r: Decimal, x: Decimal | None
    ) -> list[Decimal]:
        """Makes the untaken rungs anew.

        Args:
            entry: average entry price.
            atr: the ATR for levels; None while there is none.
            r: the epoch's risk in price.
            x: the current price on the gain axis; None before any tick.

        Returns:
            The levels that are held back: at or through the price they would fire on the next tick
            without the price having moved.
        """
        self._start_from(entry, atr=atr, r=r)
        held = []
        for rung in self.rungs:
            if rung.taken:
                continue
            rung.held = None
            wanted, distance = self._wanted(rung)
            if wanted is None or x is None or wanted > x:
                rung.x, rung.distance = wanted, distance
            elif wanted == rung.x:
                rung.distance = distance
            else:
                rung.held, rung.held_distance = wanted, distance
                held.append(wanted)
        self._sort()
        return held

    def shrink(self, *, x: Decimal | None) -> list[Decimal]:
        """Draws the untaken rungs nearer, once in an epoch; answers what is held back."""
        self._shrunk = True
        return self.recompute(entry=self._entry, atr=self._atr, r=self._r, x=x)

    def restart_harvests(self, *, x: Decimal | None) -> None:
        """Counts the harvest steps that the price has behind it, from a new entry."""
        harvest = self._plan.harvest
        if harvest is None:
            return
        self.harvests_taken = 0
        if x is not None and x > self._x0:
            steps = divide(subtract(x, self._x0), multiply(harvest.trigger_pct, self._entry))
            self.harvests_taken = int(steps.to_integral_value("ROUND_FLOOR"))
        self._harvest_due = self._harvest_x(self.harvests_taken + 1)

    def _start_from(self, entry: Decimal, *, atr: Decimal | None, r: Decimal) -> None:
        self._entry = entry
        self._x0 = self._axis.x(entry)
        self._atr = atr
        self._r = r

    def _wanted(self, rung: Rung) -> tuple[Decimal | None, Decimal]:
        """Where the plan wants a rung, on the tick and (its distance from the entry) before rounding."""
        distance = levels.target_distance(rung.target, entry=self._entry, atr=self._atr, r=self._r)
        if distance is None:
            return None, ZERO
        distance = self.sizing.distance(distance, entry=self._entry)
        if self._shrunk:
            assert self._plan.high_volatility is not None
            distance = multiply(distance, self._plan.high_volatility.target_scale)
        return ceil_to(add(self._x0, distance), self._filters.tick), distance

    def _harvest_x(self, step: int) -> Decimal | None:
        harvest = self._plan.harvest
        if harvest is None:
            return None
        return add(self._x0, multiply(multiply(Decimal(step), harvest.trigger_pct), self._entry))

    def _sort(self) -> None:
        self.rungs.sort(key=lambda rung: rung.place)
