"""The law on random plans and random markets: a position of a sweep is that of a replay, from whatever row on."""

import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from swept import replay_told, told

sys.path.insert(0, str(Path(__file__).parents[1] / "replay"))
from replayed import SYMBOL, through_columns
from test_columns import SMALL_BLOCK, Walk, walks

from reactor.core.regime import RegimeConfig
from reactor.replay import columns
from reactor.replay.options import AskedPosition
from reactor.sweep.course import Course
from reactor.sweep.desk import Desk, Settings, filters_by_symbol
from reactor.sweep.entries import Entry
from reactor.sweep.track import Track


@pytest.fixture(autouse=True, scope="module")
def _small_blocks() -> Any:
    patch = pytest.MonkeyPatch()
    patch.setattr(columns, "BLOCK", SMALL_BLOCK)
    yield
    patch.undo()


def course_of(walk: Walk) -> Course:
    ticks = walk.ticks
    ids = ticks.t_ns * 0 + range(1, len(ticks.t_ns) + 1)
    own = ticks._replace(t_event_ms=ticks.t_ns // 1_000_000, ids=ids)
    end_ns = int(ticks.t_ns[-1])
    return Course(
        Track(name="x", symbol=SYMBOL, source="last", kind="last", ticks=own, end_ns=end_ns)
    )


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(walk=walks(length=400), row=st.integers(0, 399), way=st.sampled_from(["jump", "walk"]))
def test_a_position_of_a_sweep_is_that_of_a_replay(walk: Walk, row: int, way: str) -> None:
    options = walk.options
    if not options.positions or options.plan is None:
        return
    asked: AskedPosition = options.positions[0]
    course = course_of(walk)
    if course.refusal is not None:
        return
    if way == "walk":
        course._search = None
    row %= len(walk.ticks.t_ns)
    t_ns = int(walk.ticks.t_ns[row])
    entry = Entry(0, course.row_at(t_ns), t_ns, asked.side, asked.quantity, asked.entry, True)
    desk = Desk(
        [course],
        [options.plan],
        [[entry]],
        Settings(
            fills=options.fills,
            atrs=options.atrs,
            inputs=options.inputs,
            filters=filters_by_symbol(options.ticks, options.steps, options.min_quantities),
            regime=RegimeConfig(),
            fee=asked.quantity * 0,
            horizon_ns=None,
            fallback_stops=True,
        ),
    )
    (played,) = desk.play_all(options.plan).values()
    one = msgspec.structs.replace(options, positions=(asked,), open_at_ns=t_ns)
    replayed = through_columns(one, walk.ticks, way="walk")
    assert told(played) == replay_told(replayed.lines)
