"""Training and testing, split by time, so that nothing of the one is in the other.

     entries ──────────────────────┬─ embargo ─┬───────────────────▶ time
     train: entered and closed     │           │  test: entered here
     before the cut                cut         │  and closed
             a position that is open at the cut belongs to neither

The cut is one instant for all recordings and symbols: what moves several of them at once cannot be learned in one
and tested in another. Walking forward is the same again and again: all before a cut trains, what follows tests.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from reactor.sweep.desk import CLOSED

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

EVER_NS = 1 << 62


class Span(NamedTuple):
    """The entries from one instant up to another.

    Attributes:
        from_ns: the first instant. `to_ns`: the first one after it.
        over_by_ns: before which a position that counts is closed.
    """

    from_ns: int
    to_ns: int
    over_by_ns: int

    def holds(
        self, entered_ns: "NDArray[np.int64]", results: "NDArray[np.void]"
    ) -> "NDArray[np.bool_]":
        """Which results (of one plan or several) are of positions that count."""
        inside = (entered_ns >= self.from_ns) & (entered_ns < self.to_ns)
        closed = (results["state"] == CLOSED) & (results["exit_ns"] < self.over_by_ns)
        found: NDArray[np.bool_] = inside & closed
        return found

    def entered(self, entered_ns: "NDArray[np.int64]") -> "NDArray[np.bool_]":
        """Which entries lie within."""
        found: NDArray[np.bool_] = (entered_ns >= self.from_ns) & (entered_ns < self.to_ns)
        return found


class Split(NamedTuple):
    """Where training ends and testing begins.

    Attributes:
        train, test: their spans; without a split all is training, and `test` is None.
    """

    train: Span
    test: Span | None

    @property
    def cut_ns(self) -> int | None:
        """The instant at which training ends; None without a split."""
        return None if self.test is None else self.train.over_by_ns


def split(
    entered_ns: Sequence[int], *, share: float, embargo_ns: int, horizon_ns: int = 0
) -> Split:
    """Cuts entries by time.

    Args:
        entered_ns: when they were entered, rising.
        share: of the entries that train, above 0; 1 for no split.
        embargo_ns: how long after the cut nothing is entered that tests.
        horizon_ns: how long a position lives at most, 0 for no bound: nothing is entered that trains so long
            before the cut, so that none can cross it.
    """
    place = round(len(entered_ns) * share)
    if share >= 1 or not 0 < place < len(entered_ns):
        return Split(_before(EVER_NS, 0), None)
    # All entries of one instant lie on one side.
    cut_ns = entered_ns[place]
    return Split(_before(cut_ns, horizon_ns), Span(cut_ns + embargo_ns, EVER_NS, EVER_NS))


def folds(
    entered_ns: Sequence[int], *, count: int, embargo_ns: int, horizon_ns: int = 0
) -> list[Split]:
    """Walks forward: the entries in `count` + 1 parts, each but the first tested by all before it."""
    if not count:
        return []
    places = [len(entered_ns) * number // (count + 1) for number in range(1, count + 1)]
    cuts = sorted({entered_ns[place] for place in places if 0 < place < len(entered_ns)})
    ends = [*cuts[1:], EVER_NS]
    return [
        # What a test ends with may go on for longer: no training that it is compared with has seen it.
        Split(_before(cut, horizon_ns), Span(cut + embargo_ns, end, EVER_NS))
        for cut, end in zip(cuts, ends, strict=True)
        if cut + embargo_ns < end
    ]


def _before(cut_ns: int, horizon_ns: int) -> Span:
    """What is entered and closed before an instant."""
    return Span(0, max(cut_ns - horizon_ns, 0), cut_ns)
