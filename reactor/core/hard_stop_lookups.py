"""When the exchange is asked about a stop, and when its not knowing one is believed."""

from reactor.core.hard_stop_leg import Leg, Phase
from reactor.core.hard_stop_legs import Legs
from reactor.core.hard_stop_values import NEVER_NS, Action, AskOpen, AskOrder, Timing


class Lookups:
    """The questions about one epoch's stops.

    Queries lag: an accepted stop can be invisible for seconds, at busy times for half an hour. So a stop that
    a list has shown is believed gone after two lists without it, and one that none has shown only much later,
    and ever later with each that was replaced so.
    """

    __slots__ = ("_asked_ns", "_timing", "_unseen_ns")

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._asked_ns = 0
        self._unseen_ns = timing.unseen_absent_ns

    def due(self, legs: Legs, t_ns: int) -> tuple[list[Action], int]:
        """What to ask now, and when to ask next."""
        out: list[Action] = []
        due_ns = NEVER_NS
        for leg in legs:
            if leg.phase is Phase.UNKNOWN:
                if t_ns >= leg.ask_ns:
                    out.append(AskOrder(symbol=leg.symbol, client_id=leg.client_id))
                    leg.ask_ns = t_ns + (self._timing.lost_after_ns << min(leg.asks, 3))
                    leg.asks += 1
                due_ns = min(due_ns, leg.ask_ns)
            elif leg.phase is Phase.STANDING:
                ask_ns = self._list_ns(leg)
                if t_ns >= ask_ns:
                    leg.is_verified = True
                    self._asked_ns = t_ns
                    ask_ns = t_ns + self._timing.absent_ns
                    out.append(AskOpen(symbol=leg.symbol, why="verify"))
                due_ns = min(due_ns, ask_ns)
        return out, due_ns

    def _list_ns(self, leg: Leg) -> int:
        """When a list should be asked for: for a fresh stop once, for an absent one a second time."""
        if leg.absent_ns is not None:
            ask_ns = leg.absent_ns + self._patience_ns(leg)
        elif not leg.is_verified:
            ask_ns = leg.since_ns + self._timing.verify_after_ns
        else:
            return NEVER_NS
        return max(ask_ns, self._asked_ns + self._timing.absent_ns)

    def is_gone(self, leg: Leg, asked_ns: int) -> bool:
        """Whether a confirmed stop that a list does not show is believed gone.

        Args:
            leg: it.
            asked_ns: when the list was asked for; one from before its confirmation says nothing.
        """
        if asked_ns <= leg.since_ns:
            return False
        if leg.absent_ns is None:
            leg.absent_ns = asked_ns
            return False
        if asked_ns < leg.absent_ns + self._patience_ns(leg):
            return False
        if not leg.is_listed:
            self._unseen_ns = min(2 * self._unseen_ns, self._timing.unseen_absent_max_ns)
        return True

    def is_lost(self, leg: Leg, asked_ns: int) -> bool:
        """Whether an unknown placement that a question for its id did not find is believed to have failed."""
        if leg.absent_ns is None:
            leg.absent_ns = asked_ns
            leg.ask_ns = asked_ns + self._timing.lost_after_ns
            return False
        return asked_ns >= leg.absent_ns + self._timing.lost_after_ns

    def _patience_ns(self, leg: Leg) -> int:
        return self._timing.absent_ns if leg.is_listed else self._unseen_ns
