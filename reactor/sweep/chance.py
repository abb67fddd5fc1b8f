"""How much of the best of many is luck.

The best of N plans looks good even where none is: its expected result by chance grows with N, and falls with the
number of positions. `luck` measures it on the sweep's own positions: White's reality check (H. White, A Reality
Check for Data Snooping, Econometrica 68, 2000) with the stationary bootstrap (D. Politis, J. Romano, The Stationary
Bootstrap, JASA 89, 1994). Each plan's results are shifted to a mean of zero, entries are drawn anew in blocks,
the same for all plans, so that what plans have in common is kept, and the best mean of each draw is noted.
"""

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DRAWS = 1000
"""Draws of the bootstrap: a probability is then known to about one in a hundred."""

CELLS_AT_ONCE = 4_000_000
"""Numbers that are held at once, in each of a few arrays."""


class Luck(NamedTuple):
    """What chance does.

    Attributes:
        tried: how many plans had enough positions. `entries`: what they were tried on.
        block: the mean length of a block, in entries.
        best_mean_r: the best mean R after fees that was found.
        expected_best_r: the mean of the best of so many plans, none of which is worth anything.
        probability: how often those do at least as well as what was found.
    """

    tried: int
    entries: int
    block: int
    best_mean_r: float
    expected_best_r: float
    probability: float


def luck(
    net: "NDArray[np.float64]", counted: "NDArray[np.bool_]", *, block: int, seed: int
) -> Luck | None:
    """Measures what the best of some plans would be by chance.

    Args:
        net: R after fees, a row for each plan, a column for each entry in the order of time.
        counted: which of them count (closed within the part).
        block: the mean length of a block, in entries: as many as overlap.
        seed: of the draws.

    Returns:
        What chance does; None where there is nothing to compare.
    """
    import numpy as np  # noqa: PLC0415 - only where columns are read

    rows, columns = net.shape
    counts = counted.sum(axis=1)
    if not rows or columns < 2 or not bool((counts > 1).all()):
        return None
    means = np.where(counted, net, 0.0).sum(axis=1) / counts
    shifted = np.where(counted, net - means[:, None], 0.0)
    chance = np.random.default_rng(seed)
    best = np.empty(DRAWS)
    step = max(1, min(DRAWS, CELLS_AT_ONCE // columns))
    for start in range(0, DRAWS, step):
        weights = _weights(chance, min(step, DRAWS - start), columns, block)
        highest = np.full(len(weights), -np.inf)
        wide = max(1, CELLS_AT_ONCE // columns)
        for first in range(0, rows, wide):
            sums = weights @ shifted[first : first + wide].T
            drawn = weights @ counted[first : first + wide].T.astype(np.float64)
            drawn_means = np.divide(sums, drawn, out=np.zeros_like(sums), where=drawn > 0)
            highest = np.maximum(highest, drawn_means.max(axis=1))
        best[start : start + len(weights)] = highest
    found = float(means.max())
    return Luck(
        tried=rows,
        entries=columns,
        block=block,
        best_mean_r=found,
        expected_best_r=round(float(best.mean()), 6),
        probability=(1 + int((best >= found).sum())) / (1 + DRAWS),
    )


def _weights(
    chance: "np.random.Generator", draws: int, columns: int, block: int
) -> "NDArray[np.float64]":
    """How often each entry is in each draw: blocks of random length that begin anywhere, wrapped around."""
    import numpy as np  # noqa: PLC0415 - only where columns are read

    begins = chance.random((draws, columns)) < 1 / max(block, 1)
    begins[:, 0] = True
    where = chance.integers(0, columns, (draws, columns))
    steps = np.arange(columns)
    # The newest beginning before each place, and how far it is from it.
    begun = np.maximum.accumulate(np.where(begins, steps, 0), axis=1)
    drawn = (np.take_along_axis(where, begun, axis=1) + steps - begun) % columns
    flat = (drawn + np.arange(draws)[:, None] * columns).ravel()
    return np.bincount(flat, minlength=draws * columns).reshape(draws, columns).astype(np.float64)


def rank_correlation(first: list[float | None], second: list[float | None]) -> float | None:
    """Spearman's rank correlation of two lists of scores, over what both have; None with fewer than three."""
    import numpy as np  # noqa: PLC0415 - only where columns are read

    pairs = [
        (one, other)
        for one, other in zip(first, second, strict=True)
        if one is not None and other is not None
    ]
    if len(pairs) < 3:
        return None
    ones, others = (_mean_ranks(np.array(values)) for values in zip(*pairs, strict=True))
    if not (ones.std() and others.std()):
        return None
    return round(float(np.corrcoef(ones, others)[0, 1]), 6)


def _mean_ranks(values: "NDArray[np.float64]") -> "NDArray[np.float64]":
    """Ranks; equal values share the mean of theirs."""
    import numpy as np  # noqa: PLC0415 - only where columns are read

    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    shared: NDArray[np.float64] = (ends - (counts - 1) / 2)[inverse.ravel()]
    return shared
