"""The guards: levels measured from the liquidation price and the margin, outside the stop's ratchet.

They follow what the exchange reports of the position's risk, in either direction, and close everything when
the price reaches them.
"""

from decimal import Decimal
from math import inf

import msgspec

from reactor.core.decisions import Reason
from reactor.core.exact import add, divide, multiply, subtract
from reactor.core.levels import Axis
from reactor.core.plan import Plan


class GuardsState(msgspec.Struct, frozen=True, kw_only=True):
    """What the exchange last said of a position's risk: what the guards' levels are made of."""

    liquidation_price: Decimal | None
    margin_per_unit: Decimal | None
    held: bool
    """Whether they wait for the price to be beyond them, since the position was adopted."""


class Guards:
    """The guards of one epoch; none without `[guards]` in the plan.

    Attributes:
        liquidation_x, loss_x: their levels on the gain axis.
        held: whether they wait for the price to be beyond them: a position that was adopted at or through
            a guard is not closed because it was adopted.
    """

    __slots__ = (
        "_axis",
        "_liquidation_price",
        "_margin_per_unit",
        "_plan",
        "held",
        "liquidation_x",
        "loss_x",
    )

    def __init__(self, plan: Plan, axis: Axis) -> None:
        self._plan = plan.guards
        self._axis = axis
        self._liquidation_price: Decimal | None = None
        self._margin_per_unit: Decimal | None = None
        self.liquidation_x: Decimal | None = None
        self.loss_x: Decimal | None = None
        self.held = False

    def hold(self, x: Decimal) -> bool:
        """Holds the guards back if the price is at or through one; answers whether it is."""
        self.held = self._level_at(x) is not None
        return self.held

    def report(
        self, *, liquidation_price: Decimal | None, margin: Decimal | None, quantity: Decimal
    ) -> None:
        """Takes what the exchange says: of the whole position, which holds `quantity` now."""
        self._liquidation_price = liquidation_price
        if margin is not None and margin > 0 and quantity > 0:
            self._margin_per_unit = divide(margin, quantity)

    def set(self, *, entry: Decimal) -> None:
        """Makes the levels from an entry. A liquidation price of 0 or on the wrong side is ignored."""
        self.liquidation_x = self.loss_x = None
        if self._plan is None:
            return
        x0 = self._axis.x(entry)
        liquidation = self._liquidation_price
        buffer = self._plan.liquidation_buffer_pct
        if buffer is not None and liquidation is not None and liquidation > 0:
            x = self._axis.x(liquidation)
            if x < x0:
                self.liquidation_x = add(x, multiply(buffer, entry))
        share = self._plan.max_loss_margin_pct
        if share is not None and self._margin_per_unit is not None:
            self.loss_x = subtract(x0, multiply(share, self._margin_per_unit))

    def state(self) -> GuardsState:
        """Everything of them that a restart needs."""
        return GuardsState(
            liquidation_price=self._liquidation_price,
            margin_per_unit=self._margin_per_unit,
            held=self.held,
        )

    def restore(self, state: GuardsState, *, entry: Decimal) -> None:
        """Takes the state of an earlier process; the entry as it stood there."""
        self._liquidation_price = state.liquidation_price
        self._margin_per_unit = state.margin_per_unit
        self.held = state.held
        self.set(entry=entry)

    def bound(self) -> float:
        """The double at or below which a guard may act."""
        if self.held:
            return inf
        low = -inf
        for level in (self.liquidation_x, self.loss_x):
            if level is not None:
                low = max(low, float(level))
        return low

    def reached(self, x: Decimal) -> Reason | None:
        """Which guard closes the position at this price."""
        reason = self._level_at(x)
        if self.held:
            self.held = reason is not None
            return None
        return reason

    def _level_at(self, x: Decimal) -> Reason | None:
        if self.liquidation_x is not None and x <= self.liquidation_x:
            return Reason.LIQUIDATION_GUARD
        if self.loss_x is not None and x <= self.loss_x:
            return Reason.LOSS_GUARD
        return None
