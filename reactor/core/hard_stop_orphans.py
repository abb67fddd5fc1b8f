"""After an epoch: whether one of its stops still rests at the exchange, whatever was said of it.

A placement that seemed lost may have landed, a stop that seemed gone may stand, and a cancellation is refused for
want of an order that exists (-2011): the Algo service lags. A stop that is left over closes nothing while the account
is flat, and a part of whatever is opened next. So the lists are looked at twice when an epoch has ended.
"""

from reactor.core.hard_stop_values import NEVER_NS, Action, AskOpen, Timing


class Orphans:
    """The looks that are due.

    Attributes:
        due_ns: when the next one is.
    """

    __slots__ = ("_looks", "_timing", "due_ns")

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._looks: dict[str, list[int]] = {}
        self.due_ns = NEVER_NS

    def ended(self, symbol: str, t_ns: int) -> None:
        """An epoch of this symbol ended: its lists are looked at from now on, not from an earlier end."""
        first_ns, last_ns = self._timing.orphans_first_ns, self._timing.orphans_last_ns
        self._looks[symbol] = [t_ns + first_ns, t_ns + last_ns]
        self.due_ns = min(self.due_ns, t_ns + first_ns)

    def on_time(self, t_ns: int) -> list[Action]:
        """The lists to ask for now."""
        if t_ns < self.due_ns:
            return []
        out: list[Action] = []
        for symbol, looks in list(self._looks.items()):
            if looks[0] <= t_ns:
                out.append(AskOpen(symbol=symbol, why="orphans"))
                del looks[0]
            if not looks:
                del self._looks[symbol]
        self.due_ns = min((looks[0] for looks in self._looks.values()), default=NEVER_NS)
        return out
