"""How often a hard stop may be placed: what bounds the requests of one position."""

from collections import deque

from reactor.core.hard_stop_values import Timing


class Pace:
    """The rate, and the pauses after refusals.

    Attributes:
        move_interval_ns: between two placements for a better trigger or a smaller quantity.
        blocked_until_ns: before it nothing is placed.
        refusals: in a row.
    """

    __slots__ = (
        "_deaths",
        "_placed_ns",
        "_timing",
        "blocked_until_ns",
        "move_interval_ns",
        "refusals",
    )

    def __init__(self, timing: Timing) -> None:
        self.move_interval_ns = timing.move_interval_ns
        self.blocked_until_ns = 0
        self.refusals = 0
        self._deaths = 0
        self._timing = timing
        self._placed_ns: deque[int] = deque(maxlen=timing.burst)

    def next_ns(self, *, urgent: bool) -> int:
        """When the next placement is allowed; an urgent one (more quantity) need not wait its turn."""
        placed = self._placed_ns
        if not placed:
            return self.blocked_until_ns
        if not urgent:
            return max(self.blocked_until_ns, placed[-1] + self.move_interval_ns)
        if len(placed) == placed.maxlen:
            return max(self.blocked_until_ns, placed[0] + self._timing.move_interval_ns)
        return self.blocked_until_ns

    def placed(self, t_ns: int) -> None:
        """Something was decided to be placed."""
        self._placed_ns.append(t_ns)

    def block(self, until_ns: int) -> None:
        """Nothing is placed before then."""
        self.blocked_until_ns = max(self.blocked_until_ns, until_ns)

    def unblock(self) -> None:
        """Something may be placed at once."""
        self.blocked_until_ns = 0

    def refused(self) -> int:
        """Counts a refusal. Returns the pause after it, doubling from one to the next."""
        pause_ns = self._timing.retry_first_ns << min(self.refusals, 12)
        self.refusals += 1
        return min(pause_ns, self._timing.retry_max_ns)

    def died(self, *, stood_ns: int, t_ns: int) -> None:
        """A stop ended by itself. The first is replaced at once, those that die young ever more slowly."""
        if self._deaths:
            pause_ns = self._timing.move_interval_ns << min(self._deaths - 1, 12)
            self.block(t_ns + min(pause_ns, self._timing.retry_max_ns))
        self._deaths = self._deaths + 1 if stood_ns < self._timing.slow_ns else 0

    def accepted(self) -> None:
        """A stop stands: the next refusal is the first again."""
        self.refusals = 0
