"""`kill -9` at every moment that matters, then a restart: nothing sent twice, nothing forgotten.

Real processes, real sockets, a real kill. The moments are those of `kill_points.py`; the exchange springs them.
"""

import asyncio

import pytest

from .kill_points import POINTS
from .kill_table import Row, play_all, told


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Row]:
    """Every kill, played once, side by side."""
    found = asyncio.run(play_all(tmp_path_factory.mktemp("kills")))
    print(told(found))
    return {row.name: row for row in found}


@pytest.mark.parametrize("name", [point.name for point in POINTS])
def test_killed_and_started_again(rows: dict[str, Row], name: str) -> None:
    assert not rows[name].problem, rows[name].problem
