"""Somebody else's closePosition stop, which may protect a position as well as ours would (-4130)."""

from collections.abc import Iterable
from decimal import Decimal

from reactor.core.hard_stop_levels import is_tighter
from reactor.core.hard_stop_values import SeenStop, WantedStop


class OtherStop:
    """Whether such a stop is looked for, and the one that was found.

    Attributes:
        found: it closes the whole position, in the right direction, no farther from the price than ours.
    """

    __slots__ = ("_is_sought", "found")

    def __init__(self) -> None:
        self._is_sought = False
        self.found: SeenStop | None = None

    def seek(self) -> None:
        """The next list is to be looked through."""
        self._is_sought = True

    def forget(self) -> None:
        """Ours stands."""
        self.found = None

    def look(self, rows: Iterable[SeenStop], wanted: WantedStop, *, trigger: Decimal) -> bool:
        """Looks through a list of open conditional orders.

        Args:
            rows: the list.
            wanted: the position.
            trigger: where ours would stand.

        Returns:
            Whether one was expected there and is not.
        """
        expected = self._is_sought or self.found is not None
        self._is_sought = False
        if not expected:
            return False
        closing_side = "SELL" if wanted.side == "LONG" else "BUY"
        fitting = (
            row
            for row in rows
            if row.close_position
            and row.order_type == "STOP_MARKET"
            and row.side == closing_side
            and row.position_side in {"BOTH", wanted.side}
            and not is_tighter(wanted.side, trigger, row.trigger)
        )
        self.found = next(fitting, None)
        return self.found is None
