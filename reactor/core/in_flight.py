"""Exit orders as values: what is in flight, what a partial fill left, and all that a restart needs of them."""

from decimal import Decimal
from typing import NamedTuple

import msgspec

from reactor.core.decisions import Exit, Reason
from reactor.core.exact import ZERO
from reactor.core.lifecycle import State


class Rest(NamedTuple):
    """What a partial exit left unfilled, and the level (gain axis) it belongs to."""

    quantity: Decimal
    level: Decimal
    reasons: tuple[Reason, ...]


class InFlightState(msgspec.Struct, frozen=True, kw_only=True):
    """An order in flight as it stands: the fields of `InFlight`."""

    exit: Exit
    level: Decimal | None
    filled: Decimal


class InFlight:
    """One order that awaits its outcome."""

    __slots__ = ("exit", "filled", "level")

    def __init__(self, exit_: Exit, level: Decimal | None) -> None:
        self.exit = exit_
        self.level = level
        self.filled = ZERO

    def state(self) -> InFlightState:
        """Everything of it."""
        return InFlightState(exit=self.exit, level=self.level, filled=self.filled)

    @classmethod
    def restored(cls, state: InFlightState) -> "InFlight":
        """An order in the state of an earlier process."""
        order = cls(state.exit, state.level)
        order.filled = state.filled
        return order


class OrdersState(msgspec.Struct, frozen=True, kw_only=True):
    """What of an epoch's orders a restart needs.

    Attributes:
        state, quantity, initial_quantity, partial, full, rest, due_ns, last_trade_reason, closed_by: as of
            `Orders`.
        number: of the last exit decision. `attempt`: how often it was sent again. Order ids come of them.
        unfilled: partial exits in a row that ended with nothing filled.
        risk: the R that the result is measured in, price units.
        realized: profit without fees so far. `unpriced`: reductions whose trades have not come.
        sent: the last reason of each exit sent, by order id, oldest first.
    """

    state: State
    quantity: Decimal
    initial_quantity: Decimal
    number: int
    attempt: int
    unfilled: int
    risk: Decimal
    partial: InFlightState | None
    full: InFlightState | None
    rest: Rest | None
    realized: Decimal
    unpriced: Decimal
    due_ns: int | None
    sent: dict[str, Reason]
    last_trade_reason: Reason | None
    closed_by: Reason | None
