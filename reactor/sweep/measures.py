"""What a plan came to over some positions: in R, with the fees of entry and exits taken off and without."""

from math import inf
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Measures(NamedTuple):
    """Sums over the positions of one plan in one part, after fees except where it says gross.

    Attributes:
        trades: how many. The others are None where there is none.
        mean_r: the mean R. `error_r`: twice its standard error, as if positions did not overlap.
        gross_r: the mean R without fees. `fees_r`: the fees' mean.
        median_r, total_r, worst_r, best_r: of the same.
        win_rate: the share above 0.
        profit_factor: gains over losses; infinite without a loss.
        max_drawdown_r: the deepest fall of the sum of R in the order of the exits, at one R each; 0 or more.
        recovery: `total_r` over `max_drawdown_r`; infinite where nothing fell.
        mean_over_sd: the mean over the standard deviation of one position.
        mean_bp: the mean in basis points of what was entered, without fees.
        mean_hours: how long a position was open, in the mean.
    """

    trades: int
    mean_r: float | None = None
    error_r: float | None = None
    gross_r: float | None = None
    fees_r: float | None = None
    median_r: float | None = None
    total_r: float | None = None
    worst_r: float | None = None
    best_r: float | None = None
    win_rate: float | None = None
    profit_factor: float | None = None
    max_drawdown_r: float | None = None
    recovery: float | None = None
    mean_over_sd: float | None = None
    mean_bp: float | None = None
    mean_hours: float | None = None


OBJECTIVES: dict[str, tuple[str, bool, str]] = {
    "mean_r": ("mean_r", True, "mean R after fees"),
    "gross_r": ("gross_r", True, "mean R without fees"),
    "median_r": ("median_r", True, "median R after fees"),
    "total_r": ("total_r", True, "sum of R after fees"),
    "win_rate": ("win_rate", True, "share of positions above 0 after fees"),
    "profit_factor": ("profit_factor", True, "gains over losses after fees"),
    "max_drawdown": ("max_drawdown_r", False, "deepest fall of the sum of R; the smallest is best"),
    "recovery": ("recovery", True, "sum of R over its deepest fall"),
    "mean_over_sd": ("mean_over_sd", True, "mean R over its standard deviation, per position"),
}
"""What combinations can be ranked by: the measure, whether more of it is better, and what it is."""


def measures(results: "NDArray[np.void]", entered_ns: "NDArray[np.int64]") -> Measures:
    """Sums some positions up.

    Args:
        results: rows of `desk.RESULT`, closed positions alone.
        entered_ns: when each was entered.
    """
    count = len(results)
    if not count:
        return Measures(0)
    import numpy as np  # noqa: PLC0415 - only where columns are read

    gross, fees = results["r"], results["fees_r"]
    net = gross - fees
    mean = float(net.mean())
    deviation = float(net.std(ddof=1)) if count > 1 else 0.0
    gains, losses = float(net[net > 0].sum()), float(-net[net < 0].sum())
    total, fall = float(net.sum()), max_drawdown(equity(results)[1])
    return Measures(
        trades=count,
        mean_r=mean,
        error_r=2 * deviation / count**0.5,
        gross_r=float(gross.mean()),
        fees_r=float(fees.mean()),
        median_r=float(np.median(net)),
        total_r=total,
        worst_r=float(net.min()),
        best_r=float(net.max()),
        win_rate=float((net > 0).mean()),
        profit_factor=_over(gains, losses),
        max_drawdown_r=fall,
        recovery=_over(total, fall),
        mean_over_sd=mean / deviation if deviation else None,
        mean_bp=float(results["bp"].mean()),
        mean_hours=float((results["exit_ns"] - entered_ns).mean()) / 3.6e12,
    )


def equity(results: "NDArray[np.void]") -> "tuple[NDArray[np.int64], NDArray[np.float64]]":
    """When positions were closed, in order, and the sum of R after fees from then on."""
    import numpy as np  # noqa: PLC0415 - only where columns are read

    order = np.argsort(results["exit_ns"], kind="stable")
    net = (results["r"] - results["fees_r"])[order]
    return results["exit_ns"][order], np.cumsum(net)


def max_drawdown(curve: "NDArray[np.float64]") -> float:
    """The deepest fall of a sum below its highest so far, 0 at the start included."""
    import numpy as np  # noqa: PLC0415 - only where columns are read

    if not len(curve):
        return 0.0
    highest = np.maximum.accumulate(np.maximum(curve, 0.0))
    return float((highest - curve).max())


def score(found: Measures, objective: str, *, trades_min: int) -> float | None:
    """What a plan is ranked by, larger is better; None where there are too few positions to say."""
    name, more_is_better, _ = OBJECTIVES[objective]
    value = getattr(found, name)
    if value is None or found.trades < max(trades_min, 1):
        return None
    return float(value if more_is_better else -value)


def ranks(scores: list[float | None]) -> list[int | None]:
    """Places from 1, the largest score first; equal ones in their order; None where there is none."""
    known = [(-value, place) for place, value in enumerate(scores) if value is not None]
    found: list[int | None] = [None] * len(scores)
    for rank, (_, place) in enumerate(sorted(known), 1):
        found[place] = rank
    return found


def _over(above: float, below: float) -> float | None:
    if below:
        return above / below
    return inf if above > 0 else None
