"""The guards: levels measured from the liquidation price and the margin, outside the stop's ratchet.

They follow what the exchange reports of the position's risk, in either direction, and close everything when
the price reaches them.
"""

from decimal import Decimal
from math import inf

from reactor.core.decisions import Reason
from reactor.core.exact import add, divide, multiply, subtract
from reactor.core.levels import Axis
from reactor.core.plan import Plan


class Guards:
    """The guards of one epoch; none without `[guards]` in the plan."""

    __slots__ = (
        "_axis",
        "_liquidation_price",
        "_margin_per_unit",
        "_plan",
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

    def bound(self) -> float:
        """The double at or below which a guard may act."""
        low = -inf
        for level in (self.liquidation_x, self.loss_x):
            if level is not None:
                low = max(low, float(level))
        return low

    def reached(self, x: Decimal) -> Reason | None:
        """Which guard closes the position at this price."""
        if self.liquidation_x is not None and x <= self.liquidation_x:
            return Reason.LIQUIDATION_GUARD
        if self.loss_x is not None and x <= self.loss_x:
            return Reason.LOSS_GUARD
        return None
