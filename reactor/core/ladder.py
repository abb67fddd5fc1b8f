"""Taking profit: the rungs of the ladder and the steps of the harvest, within one epoch.

Both fire when the price reaches their level on the gain axis. Everything that fires on one tick goes out as
one order: rungs nearest first, then harvest steps rising. A recomputed rung that would lie at or through the
price is held back, because it would fire without the price having moved.
"""

from decimal import Decimal
from math import inf
from typing import NamedTuple

import msgspec

from reactor.core import levels
from reactor.core.decisions import Reason
from reactor.core.exact import ZERO, add, ceil_to, divide, floor_to, multiply, subtract
from reactor.core.plan import Plan, Target
from reactor.core.sizing import NO_INPUTS, Inputs, Sizing, size_ladder

HARVEST_STEPS_PER_TICK_MAX = 1000
"""Harvest steps one tick may take. A 20 % jump at 0.1 % steps has 200; beyond this a price is absurd."""


class Filters(NamedTuple):
    """What one contract rounds to; None where nothing is rounded."""

    tick: Decimal | None = None
    step: Decimal | None = None
    min_quantity: Decimal = ZERO


class RungState(msgspec.Struct, frozen=True, kw_only=True):
    """One rung as it stands: the fields of `Rung`."""

    number: int
    close: Decimal
    x: Decimal | None
    distance: Decimal
    held: Decimal | None
    held_distance: Decimal
    taken: bool
    target: Target | None = None


class LadderState(msgspec.Struct, frozen=True, kw_only=True):
    """What of a ladder a restart needs.

    Attributes:
        entry, atr, r: what its levels are made of.
        rungs: in their order: taken ones as they fired, then the nearest first.
        shrunk: whether high volatility has drawn the untaken rungs nearer.
        harvests_taken: harvest steps behind the price.
        sizing: what the rungs were sized with. `waiting`, `waiting_sizing`: as of `Ladder`.
    """

    entry: Decimal
    atr: Decimal | None
    r: Decimal
    rungs: tuple[RungState, ...]
    shrunk: bool
    harvests_taken: int
    sizing: Sizing | None = None
    waiting: tuple[RungState, ...] = ()
    waiting_sizing: Sizing | None = None


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

    def state(self) -> RungState:
        """Everything of it."""
        return RungState(
            number=self.number,
            close=self.close,
            x=self.x,
            distance=self.distance,
            held=self.held,
            held_distance=self.held_distance,
            taken=self.taken,
            target=self.target,
        )

    @classmethod
    def restored(cls, state: RungState, plan: Plan) -> "Rung":
        """A rung in the state of an earlier process; the plan is asked where the state names no target."""
        rung = cls(state.number, state.target or plan.targets[state.number], state.close)
        rung.x, rung.distance = state.x, state.distance
        rung.held, rung.held_distance = state.held, state.held_distance
        rung.taken = state.taken
        return rung

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
        "_waiting",
        "_waiting_sizing",
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
        # A nearer ladder of another plan, whole, that the price is in the way of.
        self._waiting: list[Rung] = []
        self._waiting_sizing = self.sizing
        self._start_from(entry, atr=atr, r=r)
        self.rungs = self._rungs_of(plan, self.sizing)
        self._is_whole = self.sizing.closes_all
        self._sort()
        self.harvests_taken = 0
        self._harvest_due = self._harvest_x(1)

    @property
    def taken(self) -> list[Decimal]:
        """The levels of the taken rungs, in the order in which they fired."""
        return [rung.x for rung in self.rungs if rung.taken and rung.x is not None]

    @property
    def harvest_due(self) -> Decimal | None:
        """Where the next harvest step lies on the gain axis; None without a harvest."""
        return self._harvest_due

    def harvest_levels(self, count: int) -> list[Decimal]:
        """Where the next harvest steps lie on the gain axis, nearest first; none without a harvest."""
        steps = range(self.harvests_taken + 1, self.harvests_taken + 1 + count)
        return [x for x in map(self._harvest_x, steps) if x is not None]

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
        for rung in self._fresh()[:1]:
            low = max(low, inf if rung.x is None else float(rung.x))
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
        self._let_waiting_in(x)
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

    def hold(self, x: Decimal) -> list[Decimal]:
        """Holds back the rungs at or through the price of an adopted position; answers which."""
        held = []
        for rung in self.rungs:
            if rung.x is not None and rung.x <= x:
                rung.held, rung.held_distance = rung.x, rung.distance
                rung.x = None
                held.append(rung.held)
        self._sort()
        return held

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
        for rung in self._waiting:
            rung.x, rung.distance = self._wanted(rung, self._waiting_sizing)
        if x is not None:
            self._let_waiting_in(x)
        self._sort()
        return held

    def tighten(self, plan: Plan, *, inputs: Inputs, x: Decimal | None) -> list[Decimal]:
        """Takes another plan's rungs instead of the untaken ones, if the nearest of them is nearer.

        As many of its rungs as were taken in this epoch count as taken. They come all at once: where the
        nearest would lie at or through the price, the old ones stand until the price is before it.

        Args:
            plan: the other plan. Distances in R are in this epoch's R.
            inputs: what its ladder rules may ask for.
            x: the current price on the gain axis; None before any tick.

        Returns:
            The level that is held back, if any.
        """
        sizing = size_ladder(plan, inputs)
        fresh = self._rungs_of(plan, sizing)[self.taken_count :]
        if not fresh or fresh[0].x is None:
            return []
        nearest = self._nearest()
        if nearest is not None and fresh[0].distance >= nearest:
            return []
        self._waiting, self._waiting_sizing = self._rungs_of(plan, sizing), sizing
        if x is None or fresh[0].x > x:
            self._take_waiting()
            return []
        return [fresh[0].x]

    @property
    def taken_count(self) -> int:
        """How many rungs were taken in this epoch."""
        return sum(rung.taken for rung in self.rungs)

    def _rungs_of(self, plan: Plan, sizing: Sizing) -> list[Rung]:
        """A plan's rungs as they would stand untaken, nearest first."""
        rungs = [
            Rung(number, target, close)
            for number, (target, close) in enumerate(zip(plan.targets, sizing.closes, strict=True))
        ]
        for rung in rungs:
            rung.x, rung.distance = self._wanted(rung, sizing)
        rungs.sort(key=lambda rung: rung.place)
        return rungs

    def _nearest(self) -> Decimal | None:
        """The distance of the nearest untaken rung, one that waits included; None without a level."""
        distances = [
            rung.distance if rung.held is None else rung.held_distance
            for rung in self.rungs
            if not rung.taken and (rung.x is not None or rung.held is not None)
        ]
        distances += [rung.distance for rung in self._fresh() if rung.x is not None]
        return min(distances, default=None)

    def _fresh(self) -> list[Rung]:
        """What of the waiting ladder would be untaken now."""
        return self._waiting[self.taken_count :] if self._waiting else []

    def _let_waiting_in(self, x: Decimal) -> None:
        fresh = self._fresh()
        if self._waiting and (not fresh or fresh[0].x is None or x < fresh[0].x):
            self._take_waiting()

    def _take_waiting(self) -> None:
        fresh = self._fresh()
        if fresh and fresh[0].x is not None:
            self.rungs = [rung for rung in self.rungs if rung.taken] + fresh
            self.sizing = self._waiting_sizing
            self._is_whole = self.sizing.closes_all
        self._waiting = []

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

    def state(self) -> LadderState:
        """Everything of it that a restart needs."""
        return LadderState(
            entry=self._entry,
            atr=self._atr,
            r=self._r,
            rungs=tuple(rung.state() for rung in self.rungs),
            shrunk=self._shrunk,
            harvests_taken=self.harvests_taken,
            sizing=self.sizing,
            waiting=tuple(rung.state() for rung in self._waiting),
            waiting_sizing=self._waiting_sizing,
        )

    def restore(self, state: LadderState) -> None:
        """Takes the state of an earlier process."""
        self._start_from(state.entry, atr=state.atr, r=state.r)
        self.rungs = [Rung.restored(rung, self._plan) for rung in state.rungs]
        self.sizing = state.sizing or self.sizing
        self._is_whole = self.sizing.closes_all
        self._waiting = [Rung.restored(rung, self._plan) for rung in state.waiting]
        self._waiting_sizing = state.waiting_sizing or self.sizing
        self._shrunk = state.shrunk
        self.harvests_taken = state.harvests_taken
        self._harvest_due = self._harvest_x(state.harvests_taken + 1)

    def _start_from(self, entry: Decimal, *, atr: Decimal | None, r: Decimal) -> None:
        self._entry = entry
        self._x0 = self._axis.x(entry)
        self._atr = atr
        self._r = r

    def _wanted(self, rung: Rung, sizing: Sizing | None = None) -> tuple[Decimal | None, Decimal]:
        """Where the plan wants a rung, on the tick and (its distance from the entry) before rounding."""
        distance = levels.target_distance(rung.target, entry=self._entry, atr=self._atr, r=self._r)
        if distance is None:
            return None, ZERO
        distance = (sizing or self.sizing).distance(distance, entry=self._entry)
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
