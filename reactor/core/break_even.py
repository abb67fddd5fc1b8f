"""Break-even: when the stop goes to the entry, and where exactly that is.

Its condition is remembered for good: the plan's own (a profit in R or per cent), the first harvest, or with
the ratchet the first rung. From then on the break-even price is computed from the entry as it stands.
"""

from decimal import Decimal

import msgspec

from reactor.core import levels
from reactor.core.exact import ZERO, add, divide, floor_to
from reactor.core.plan import Plan


class BreakEvenState(msgspec.Struct, frozen=True, kw_only=True):
    """What of the break-even rule a restart needs; its levels follow from entry and R.

    Attributes:
        due: whether its condition was met.
        paid: commission and funding of the epoch so far, in quote units. `paid_per_unit`: the same by the
            quantity that was the epoch's largest when the last of it was paid.
    """

    due: bool
    paid: Decimal
    paid_per_unit: Decimal


class BreakEven:
    """The break-even rule of one epoch.

    Attributes:
        due: whether its condition was met.
        condition_x: the level at which its own condition is met; None without one.
    """

    __slots__ = (
        "_axis",
        "_entry",
        "_paid",
        "_paid_per_unit",
        "_plan",
        "_tick",
        "condition_x",
        "due",
    )

    def __init__(self, plan: Plan, axis: levels.Axis, *, tick: Decimal | None) -> None:
        self._plan = plan
        self._axis = axis
        self._tick = tick
        self._entry = ZERO
        self._paid = ZERO
        self._paid_per_unit = ZERO
        self.due = False
        self.condition_x: Decimal | None = None

    def set(self, *, entry: Decimal, r: Decimal) -> None:
        """Makes the levels from an entry and the epoch's risk in price."""
        self._entry = entry
        distance = levels.break_even_condition(self._plan, entry=entry, r=r)
        self.condition_x = None if distance is None else add(self._axis.x(entry), distance)

    def pay(self, paid: Decimal, *, quantity: Decimal) -> None:
        """Counts commission or funding of the epoch, in quote units, for `offset = "costs"`."""
        self._paid = add(self._paid, paid)
        self._paid_per_unit = divide(self._paid, quantity)

    def look(self, x: Decimal) -> None:
        """Remembers that the price has met the condition."""
        if self.condition_x is not None and x >= self.condition_x:
            self.due = True

    def candidate(self) -> Decimal | None:
        """The stop it asks for, rounded as stops are; None before it is due."""
        if not self.due:
            return None
        distance = levels.break_even_distance(
            self._plan, entry=self._entry, paid_per_unit=self._paid_per_unit
        )
        return floor_to(add(self._axis.x(self._entry), distance), self._tick)

    def bound(self) -> float | None:
        """The double at or above which its own condition is met; None where none is awaited."""
        return None if self.due or self.condition_x is None else float(self.condition_x)

    def state(self) -> BreakEvenState:
        """Everything of it that a restart needs."""
        return BreakEvenState(due=self.due, paid=self._paid, paid_per_unit=self._paid_per_unit)

    def restore(self, state: BreakEvenState, *, entry: Decimal, r: Decimal) -> None:
        """Takes the state of an earlier process; entry and R as they stood there."""
        self.due = state.due
        self._paid = state.paid
        self._paid_per_unit = state.paid_per_unit
        self.set(entry=entry, r=r)
