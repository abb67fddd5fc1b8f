"""What combinations came to in each part, their ranks, and what luck does: numbers out of results."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from reactor.sweep import chance, split
from reactor.sweep.asked import Asked
from reactor.sweep.desk import CLOSED, OPEN
from reactor.sweep.grid import Combination, Grid
from reactor.sweep.measures import Measures, measures, ranks, score
from reactor.sweep.split import Split

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LUCK_CELLS_MAX = 20_000_000
"""Results that the test against chance is made of; beyond it the test is left out, and that is said."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One combination and what it came to.

    Attributes:
        number: its place in the grid. `combination`: what it is.
        train, test: what it came to; `test` is empty without a split.
        train_rank, test_rank: by the objective; None with too few positions, and of the base plan.
        train_score, test_score: what they are ranked by, larger is better.
        straddling: positions that were closed on the other side of the cut.
        left_open: positions that were open at the end.
        left_open_r: what those were worth at the last price, in R without fees, in the mean.
    """

    number: int
    combination: Combination
    train: Measures
    test: Measures
    train_rank: int | None
    test_rank: int | None
    train_score: float | None
    test_score: float | None
    straddling: int
    left_open: int
    left_open_r: float | None


class Fold(msgspec.Struct, frozen=True, kw_only=True):
    """One step of walking forward: the best of the training, and what it then came to."""

    split: Split
    best: int | None
    train: Measures
    test: Measures
    correlation: float | None


def rows_of(
    asked: Asked,
    tried: Grid,
    results: "NDArray[np.void]",
    times: "NDArray[np.int64]",
    parts: Split,
) -> list[Row]:
    """Every combination, ranked: the best in training first, those without a rank after them."""
    found = []
    for number, combination in enumerate(tried.combinations):
        row = results[number]
        inside = parts.train.holds(times, row)
        train = measures(row[inside], times[inside])
        test = Measures(0)
        straddling = 0
        if parts.test is not None:
            within = parts.test.holds(times, row)
            test = measures(row[within], times[within])
            closed = row["state"] == CLOSED
            straddling = int((parts.train.entered(times) & closed & ~inside).sum())
        left_open = row["state"] == OPEN
        found.append(
            Row(
                number=number,
                combination=combination,
                train=train,
                test=test,
                train_rank=None,
                test_rank=None,
                train_score=score(train, asked.objective, trades_min=asked.trades_min),
                test_score=score(test, asked.objective, trades_min=1),
                straddling=straddling,
                left_open=int(left_open.sum()),
                left_open_r=float(row["r"][left_open].mean()) if left_open.any() else None,
            )
        )
    ranked = [row for row in found if not row.combination.is_extra]
    in_train = ranks([row.train_score for row in ranked])
    in_test = ranks([row.test_score for row in ranked])
    ranked = [
        msgspec.structs.replace(row, train_rank=first, test_rank=second)
        for row, first, second in zip(ranked, in_train, in_test, strict=True)
    ]
    ranked.sort(key=lambda row: (row.train_rank is None, row.train_rank, row.number))
    return ranked + [row for row in found if row.combination.is_extra]


def walk_forward(
    asked: Asked, tried: Grid, results: "NDArray[np.void]", times: "NDArray[np.int64]"
) -> tuple[list[Fold], Measures]:
    """Each step of walking forward, and all their tests together."""
    import numpy as np  # noqa: PLC0415 - only where columns are read

    found: list[Fold] = []
    tests, tested_ns = [], []
    for parts in split.folds(
        times.tolist(),
        count=asked.folds,
        embargo_ns=asked.embargo_ns,
        horizon_ns=asked.horizon_ns or 0,
    ):
        assert parts.test is not None
        rows = rows_of(asked, tried, results, times, parts)
        best = next((row for row in rows if row.train_rank == 1), None)
        ranked = [row for row in rows if row.train_rank is not None]
        found.append(
            Fold(
                split=parts,
                best=None if best is None else best.number,
                train=Measures(0) if best is None else best.train,
                test=Measures(0) if best is None else best.test,
                correlation=chance.rank_correlation(
                    [row.train_score for row in ranked], [row.test_score for row in ranked]
                ),
            )
        )
        if best is not None:
            row = results[best.number]
            within = parts.test.holds(times, row)
            tests.append(row[within])
            tested_ns.append(times[within])
    if not tests:
        return found, Measures(0)
    return found, measures(np.concatenate(tests), np.concatenate(tested_ns))


def luck_of(
    asked: Asked,
    results: "NDArray[np.void]",
    times: "NDArray[np.int64]",
    parts: Split,
    ranked: Sequence[Row],
) -> chance.Luck | None:
    """What chance does in training, with the combinations that were ranked."""
    import numpy as np  # noqa: PLC0415 - only where columns are read

    columns = parts.train.entered(times)
    if not ranked or int(columns.sum()) * len(ranked) > LUCK_CELLS_MAX:
        return None
    rows = results[[row.number for row in ranked]][:, columns]
    counted = (rows["state"] == CLOSED) & (rows["exit_ns"] < parts.train.over_by_ns)
    if not bool(counted.any()):
        return None
    # As many entries as there are while one position is open.
    entered = times[columns]
    open_ns = float(np.where(counted, rows["exit_ns"] - entered, 0).sum() / counted.sum())
    span_ns = max(int(entered[-1] - entered[0]), 1)
    block = min(max(1, round(len(entered) * open_ns / span_ns)), max(1, len(entered) // 2))
    return chance.luck(rows["r"] - rows["fees_r"], counted, block=block, seed=asked.seed)
