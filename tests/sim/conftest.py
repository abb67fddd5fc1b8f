"""Simulated exchanges for the tests of the simulator."""

from collections.abc import Callable
from typing import Any

import pytest

from reactor.sim.exchange import PriceSource, Settings
from reactor.sim.simulation import Simulation

from .trading_desk import START_MS, Desk


@pytest.fixture
def make() -> Callable[..., Desk]:
    """Return a maker of exchanges."""

    def build(*, prices: PriceSource | None = None, **settings: Any) -> Desk:
        simulation = Simulation(now_ms=START_MS, settings=Settings(**settings), prices=prices)
        return Desk(simulation)

    return build


@pytest.fixture
def desk(make: Callable[..., Desk]) -> Desk:
    """A one-way account on an exchange whose prices stand still."""
    return make()


@pytest.fixture
def hedged(make: Callable[..., Desk]) -> Desk:
    """A hedge-mode account."""
    return make(hedge=True)
