"""What luck is said to do, where the truth is known; and the measures that plans are ranked by."""

from math import inf
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from reactor.sweep.chance import luck, rank_correlation
from reactor.sweep.desk import CLOSED, RESULT
from reactor.sweep.measures import OBJECTIVES, max_drawdown, measures, ranks, score


def worthless(plans: int, entries: int, seed: int) -> NDArray[Any]:
    return np.random.default_rng(seed).normal(0, 1, (plans, entries))


def test_the_best_of_worthless_plans_is_as_good_as_chance_says() -> None:
    """Of N independent means of n standard normals the best is about sqrt(2 ln N / n)."""
    net = worthless(50, 400, 1)
    found = luck(net, np.ones_like(net, dtype=bool), block=1, seed=1)
    assert found is not None
    assert found.expected_best_r == pytest.approx(2.25 / 20, rel=0.08)
    assert found.best_mean_r == pytest.approx(net.mean(axis=1).max())


def test_probabilities_of_worthless_plans_are_spread_evenly() -> None:
    told = []
    for seed in range(60):
        net = worthless(10, 100, seed)
        found = luck(net, np.ones_like(net, dtype=bool), block=1, seed=1)
        assert found is not None
        told.append(found.probability)
    assert 0.35 < float(np.mean(told)) < 0.65
    assert sum(one < 0.05 for one in told) <= 9


def test_a_plan_that_is_worth_something_is_not_luck() -> None:
    net = worthless(50, 400, 1)
    net[17] += 0.4
    found = luck(net, np.ones_like(net, dtype=bool), block=5, seed=1)
    assert found is not None
    assert found.probability < 0.01


def test_the_same_plan_many_times_is_one_plan() -> None:
    """What plans have in common is kept: copies do not count as trials."""
    net = np.repeat(worthless(1, 400, 3), 50, axis=0)
    found = luck(net, np.ones_like(net, dtype=bool), block=1, seed=1)
    assert found is not None
    assert found.expected_best_r == pytest.approx(0, abs=0.01)


def test_results_that_do_not_count_do_not_matter() -> None:
    net = worthless(5, 100, 4)
    counted = np.random.default_rng(9).random(net.shape) < 0.8
    other = np.where(counted, net, 1e9)
    first, second = (luck(one, counted, block=2, seed=1) for one in (net, other))
    assert first == second


def test_rank_correlation() -> None:
    assert rank_correlation([1.0, 2.0, 3.0, 4.0], [10.0, 20.0, 30.0, 99.0]) == 1
    assert rank_correlation([1.0, 2.0, 3.0], [3.0, 2.0, 1.0]) == -1
    assert rank_correlation([1.0, 2.0, None], [1.0, 2.0, 3.0]) is None
    assert rank_correlation([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]) is None
    # Equal values share their mean rank: 1.5, 1.5, 3, 4 against 1, 2, 3, 4.
    assert rank_correlation([1.0, 1.0, 2.0, 3.0], [1.0, 2.0, 3.0, 4.0]) == pytest.approx(0.948683)


def rows(*results: tuple[int, float, float]) -> NDArray[Any]:
    table = np.zeros(len(results), dtype=list(RESULT))
    for row, (exit_ns, r, fees_r) in zip(table, results, strict=True):
        row["exit_ns"], row["r"], row["fees_r"], row["state"] = exit_ns, r, fees_r, CLOSED
    return table


def test_measures_of_a_few_positions_by_hand() -> None:
    """In the order of the exits after fees: +1, −2, −1, +3; the sum goes 1, −1, −2, 1."""
    found = measures(
        rows((40, 3.5, 0.5), (10, 1.5, 0.5), (20, -1.5, 0.5), (30, -0.5, 0.5)),
        np.zeros(4, dtype=int),
    )
    assert (found.trades, found.mean_r, found.gross_r, found.fees_r) == (4, 0.25, 0.75, 0.5)
    assert (found.median_r, found.total_r, found.worst_r, found.best_r) == (0.0, 1.0, -2.0, 3.0)
    assert (found.win_rate, found.profit_factor, found.max_drawdown_r) == (0.5, 4 / 3, 3.0)
    assert found.recovery == pytest.approx(1 / 3)


def test_drawdown_counts_from_zero() -> None:
    assert max_drawdown(np.array([-2.0, -1.0])) == 2
    assert max_drawdown(np.array([])) == 0


def test_ranking() -> None:
    good, none = (
        measures(rows((1, 2.0, 0.0)), np.zeros(1, dtype=int)),
        measures(rows(), np.zeros(0, dtype=int)),
    )
    assert good.profit_factor == inf
    assert score(good, "mean_r", trades_min=1) == 2
    assert score(good, "mean_r", trades_min=2) is None
    assert score(none, "mean_r", trades_min=1) is None
    # The smallest fall is the best.
    assert score(good, "max_drawdown", trades_min=1) == 0
    assert ranks([1.0, None, 3.0, 1.0]) == [2, None, 1, 3]
    assert set(OBJECTIVES) >= {"mean_r", "median_r", "total_r", "max_drawdown", "profit_factor"}
