"""The stop: the one level, on the gain axis, at which the whole remaining position is closed.

Within an epoch it only improves: `improve` moves it nowhere else. An improvement must be strictly better than the stop
stands and strictly before the price: no rule places a stop at or through it. What a recomputation wants and
may not have is held back until the price is beyond. Only `set_by_hand` loosens, and from then on rules take
over again beyond where the stop stood before, not below it.
"""

from decimal import Decimal

import msgspec

from reactor.core.decisions import StopKind
from reactor.core.exact import nearest


class StopState(msgspec.Struct, frozen=True, kw_only=True):
    """What of a stop a restart needs; all on the gain axis."""

    x: Decimal
    kind: StopKind
    held: Decimal | None
    overruled: Decimal | None
    """Where rules had it before an operator loosened it: they take over again beyond that, not below."""


class Stop:
    """The stop of one epoch.

    Attributes:
        x: where it stands, rounded. `double`: the same as a double. `kind`: what put it there.
        held: a better stop that waits for the price to be strictly beyond it; None without one.
    """

    __slots__ = ("_overruled", "double", "held", "kind", "x")

    def __init__(self, x: Decimal) -> None:
        self.x = x
        self.double = nearest(x)
        self.kind = StopKind.STOP_LOSS
        self.held: Decimal | None = None
        self._overruled: Decimal | None = None

    def would_improve(self, candidate: Decimal) -> bool:
        """Whether a rule may want the stop there."""
        return candidate > (self.x if self._overruled is None else self._overruled)

    def improve(self, candidate: Decimal, kind: StopKind, price: Decimal | None) -> bool:
        """Moves the stop to a better place that the price is strictly beyond; answers whether it did.

        Args:
            candidate: where a rule wants it, rounded.
            kind: what the stop is called there.
            price: the current price on the gain axis; None before any tick, when nothing is in the way.
        """
        overruled = self._overruled
        if (
            candidate <= self.x
            or (overruled is not None and candidate <= overruled)
            or (price is not None and candidate >= price)
        ):
            return False
        self._overruled = None
        self.x = candidate
        self.double = nearest(candidate)
        self.kind = kind
        return True

    def hold(self, candidate: Decimal) -> bool:
        """Keeps the best stop that a recomputation wants and the price is not beyond yet."""
        if not self.would_improve(candidate) or (self.held is not None and candidate <= self.held):
            return False
        self.held = candidate
        return True

    def release(self, price: Decimal) -> None:
        """Sets what was held back once the price is strictly beyond it."""
        if self.held is not None and price > self.held:
            held, self.held = self.held, None
            self.improve(held, StopKind.STOP_LOSS, price)

    def start_at(self, x: Decimal) -> None:
        """Where an adopted position's stop starts, before anything relied on it."""
        self._put(x, StopKind.STOP_LOSS)

    def set_by_hand(self, x: Decimal) -> None:
        """An operator's stop: anywhere, looser too."""
        before = self.x if self._overruled is None else self._overruled
        self._put(x, StopKind.MANUAL)
        self._overruled = before if before > x else None
        self.held = None

    def state(self) -> StopState:
        """Everything of it that a restart needs."""
        return StopState(x=self.x, kind=self.kind, held=self.held, overruled=self._overruled)

    def restore(self, state: StopState) -> None:
        """Takes the state of an earlier process."""
        self._put(state.x, state.kind)
        self.held = state.held
        self._overruled = state.overruled

    def _put(self, x: Decimal, kind: StopKind) -> None:
        self.x = x
        self.double = nearest(x)
        self.kind = kind
