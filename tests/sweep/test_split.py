"""Nothing of the training is in the test: positions over the cut are in neither, whatever the plan."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from swept import MINUTE_NS, sweep, tick_walk

from reactor.core.orders import Fills
from reactor.sweep.desk import CLOSED, OPEN, RESULT
from reactor.sweep.split import folds, split


def results_of(exits: list[tuple[int, int]]) -> NDArray[Any]:
    rows = np.zeros(len(exits), dtype=list(RESULT))
    for row, (exit_ns, state) in zip(rows, exits, strict=True):
        row["exit_ns"], row["state"] = exit_ns, state
    return rows


@given(
    lives=st.lists(
        st.tuples(st.integers(0, 1000), st.integers(0, 300), st.sampled_from([CLOSED, OPEN])),
        min_size=2,
        max_size=60,
    ),
    share=st.floats(0.05, 0.95),
    embargo=st.integers(0, 50),
)
def test_no_position_is_in_both_or_crosses_the_cut(
    lives: list[tuple[int, int, int]], share: float, embargo: int
) -> None:
    lives.sort()
    entered = np.array([start for start, _, _ in lives], dtype=np.int64)
    results = results_of([(start + length, state) for start, length, state in lives])
    parts = split(entered.tolist(), share=share, embargo_ns=embargo)
    train = parts.train.holds(entered, results)
    if parts.test is None or parts.cut_ns is None:
        return
    test = parts.test.holds(entered, results)
    assert not (train & test).any()
    assert (results["exit_ns"][train] < parts.cut_ns).all()
    assert (entered[test] >= parts.cut_ns + embargo).all()
    assert (results["state"][train | test] == CLOSED).all()
    # Of what closed, only what crosses the cut or lies in the embargo is in neither.
    neither = ~(train | test) & (results["state"] == CLOSED)
    crosses = (entered < parts.cut_ns) & (results["exit_ns"] >= parts.cut_ns)
    held_off = (entered >= parts.cut_ns) & (entered < parts.cut_ns + embargo)
    assert (neither == ((crosses | held_off) & (results["state"] == CLOSED))).all()


def test_entries_of_one_instant_are_on_one_side() -> None:
    parts = split([1, 2, 2, 2, 3], share=0.5, embargo_ns=0)
    assert parts.cut_ns == 2


def test_without_a_second_part_nothing_tests() -> None:
    assert split([1, 2], share=1.0, embargo_ns=0).test is None
    assert split([1], share=0.5, embargo_ns=0).test is None


def test_walking_forward_tests_what_follows_and_trains_on_all_before() -> None:
    steps = folds(list(range(100)), count=4, embargo_ns=3)
    assert [one.cut_ns for one in steps] == [20, 40, 60, 80]
    for one, following in pairwise(steps):
        assert one.test is not None
        assert one.test.from_ns == one.train.to_ns + 3
        assert one.test.to_ns == following.train.to_ns
    assert folds([1, 2, 3], count=0, embargo_ns=0) == []


def test_what_comes_after_the_cut_changes_nothing_in_training(tmp_path: Path) -> None:
    """The leak test: another future, and training says the same to the last digit."""
    file = tick_walk(tmp_path / "BTCUSDT.npz", count=24_000)
    with np.load(file) as arrays:
        t_ns, price = arrays["t"], arrays["price"]
    sets = ["stop.atr=1,2", "trailing.atr=0.6,1.2"]
    before = sweep(file, sets=sets, every_ns=20 * MINUTE_NS, share=0.5)
    cut_ns = before.split.cut_ns
    assert cut_ns is not None
    other = tmp_path / "BTCUSDT_other.npz"
    future = t_ns >= cut_ns
    np.savez(other, t=t_ns, price=np.where(future, np.round(price * 1.01, 1), price))
    after = sweep(other, sets=sets, every_ns=20 * MINUTE_NS, share=0.5)
    assert after.split == before.split
    assert [row.train for row in after.rows] == [row.train for row in before.rows]
    assert [row.test for row in after.rows] != [row.test for row in before.rows]
    assert any(row.straddling for row in before.rows)


@pytest.mark.parametrize("fills", [Fills.AT_TRIGGER, Fills.AT_NEXT_TICK])
def test_with_a_horizon_all_combinations_are_compared_on_the_same_positions(
    fills: Fills, tmp_path: Path
) -> None:
    file = tick_walk(tmp_path / "BTCUSDT.npz", count=16_000)
    found = sweep(
        file, sets=["stop.atr=2,20"], every_ns=20 * MINUTE_NS, horizon_ns=5 * MINUTE_NS, fills=fills
    )
    lived = found.results["exit_ns"] - found.entered_ns
    # Filled at the next tick, a close may be that much later.
    late_ns = 0 if fills is Fills.AT_TRIGGER else 5 * 10**9
    assert (lived <= 5 * MINUTE_NS + late_ns).all()
    assert all(row.straddling == row.left_open == 0 for row in found.rows)
    # All combinations were tried on the same positions.
    assert len({(row.train.trades, row.test.trades) for row in found.rows}) == 1
    assert found.rows[0].train.trades + found.rows[0].test.trades + found.embargoed == len(
        found.entries
    )
