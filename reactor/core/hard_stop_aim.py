"""Where one epoch's hard stop should trigger: behind the engine's stop, never looser, never at once."""

from decimal import Decimal

from reactor.core.decisions import Side
from reactor.core.exact import multiply, subtract
from reactor.core.hard_stop_levels import is_through, is_tighter, trigger_price
from reactor.core.hard_stop_values import NEVER_NS, Timing, WantedStop


class Aim:
    """The trigger to aim at.

    Attributes:
        tightest: the best trigger that was confirmed in this epoch; None before the first.
    """

    __slots__ = ("_mark", "_tighten_after_ns", "_timing", "tightest")

    def __init__(self, timing: Timing) -> None:
        self.tightest: Decimal | None = None
        self._timing = timing
        self._mark: tuple[Decimal, int] | None = None
        self._tighten_after_ns = 0

    def behind(self, wanted: WantedStop) -> Decimal:
        """The trigger that the engine's stop asks for."""
        return trigger_price(
            side=wanted.side, stop=wanted.stop, buffer_pct=wanted.buffer_pct, rules=wanted.rules
        )

    def at(self, wanted: WantedStop, t_ns: int, *, interval_ns: int) -> tuple[Decimal, int]:
        """Where to aim now.

        Args:
            wanted: the position and the engine's stop.
            t_ns: now.
            interval_ns: between two looks while a tighter one is held back.

        Returns:
            The trigger, and when to look again (`NEVER_NS`: when something happens). Once one was confirmed
            none looser, and no tighter one while the mark price is through it: the standing one was not
            reached, and to place one that triggers at once would be a surprise.
        """
        side, trigger, floor = wanted.side, self.behind(wanted), self.tightest
        if floor is None:
            return trigger, NEVER_NS
        if not is_tighter(side, trigger, floor):
            return floor, NEVER_NS
        if t_ns < self._tighten_after_ns:
            return floor, self._tighten_after_ns
        mark = self._mark
        is_fresh = mark is not None and t_ns - mark[1] <= self._timing.mark_fresh_ns
        if mark is not None and is_fresh and is_through(side, trigger, mark[0]):
            return floor, t_ns + interval_ns
        return trigger, NEVER_NS

    def is_worth_moving(self, wanted: WantedStop, *, placed: Decimal, trigger: Decimal) -> bool:
        """Whether a trigger improves on one that is placed by more than the plan's step."""
        gain = subtract(trigger, placed).copy_abs()
        return is_tighter(wanted.side, trigger, placed) and gain > multiply(wanted.step_pct, placed)

    def confirmed(self, side: Side, trigger: Decimal) -> None:
        """A stop stands there: none looser from now on."""
        if self.tightest is None or is_tighter(side, trigger, self.tightest):
            self.tightest = trigger

    def loosen(self) -> None:
        """An operator wants it looser: what was confirmed binds no more."""
        self.tightest = None

    def hold_back(self, until_ns: int) -> None:
        """The exchange said that a tighter one would trigger at once."""
        self._tighten_after_ns = until_ns

    def mark(self, price: Decimal, t_ns: int) -> None:
        """The mark price of the moment."""
        self._mark = price, t_ns
