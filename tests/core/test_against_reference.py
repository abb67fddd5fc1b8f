"""The engine must say what the plain reference says, line for line, whatever the market does."""

import os

import pytest
from hypothesis import HealthCheck, given, settings
from reference.compare import differences, shown
from reference.played import SYMBOL, Played
from reference.program import Reader, history_of, new_naive, play
from reference.scenarios import Scenario, scenarios

from reactor.core.candles import Candle
from reactor.core.plan import INTERVAL_MS

EXAMPLES = int(os.environ.get("REACTOR_REFERENCE_EXAMPLES", "1500"))


def run(scenario: Scenario) -> tuple[list[str], str | None]:
    """Plays a scenario to both.

    Returns:
        The events that were played, and the first difference, if there is one.
    """
    naive = new_naive(scenario)
    played = Played(scenario)
    rows = history_of(scenario)
    trace = [f"history {rows}"]
    if rows:
        naive.history(rows)
        played.engine.on_history(
            SYMBOL,
            scenario.plan.trigger,
            INTERVAL_MS[scenario.plan.atr.interval],
            [Candle(row[0], *map(float, row[1:])) for row in rows],
            t_ns=0,
        )
    for event in Reader(scenario, naive).events():
        trace.append(str(event))
        expected, got = play(naive, event), played.lines(event)
        trace += [f"    {shown(line)}" for line in expected]
        difference = differences(expected, got)
        if difference is not None:
            return trace, difference
    return trace, None


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(scenario=scenarios())
def test_the_engine_says_what_the_reference_says(scenario: Scenario) -> None:
    trace, difference = run(scenario)
    if difference is not None:
        pytest.fail("\n".join([repr(scenario), *trace, difference]))
