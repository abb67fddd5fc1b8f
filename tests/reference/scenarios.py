"""Random plans, markets and position events for the comparison of the engine with the reference.

A scenario's events are drawn as bytes and read as a little program (`program.py`), because that draws
and shrinks a hundred times faster than lists of structures do: all zeros are ticks that do not move.
"""

from decimal import Decimal
from typing import Any, Literal, NamedTuple

from hypothesis import strategies as st

from reactor.core.plan import (
    AtrPlan,
    BreakEvenPlan,
    GuardsPlan,
    HarvestPlan,
    HighVolatilityPlan,
    Interval,
    Plan,
    RatchetPlan,
    Smoothing,
    StopPlan,
    Target,
    TimeStopPlan,
    TrailingPlan,
    Trigger,
)


class Scenario(NamedTuple):
    plan: Plan
    tick: Decimal | None
    step: Decimal | None
    min_quantity: Decimal
    fixed_atr: Decimal | None
    fills: Literal["trigger", "next"]
    base: Decimal  # the price everything starts around
    grain: Decimal  # the market's own price step
    swing: Decimal  # the largest ordinary move, as a fraction of the price
    drift: Decimal  # added to every ordinary move, as a fraction of the swing
    pace_ms: int  # between ticks, ordinarily
    history: bytes
    program: bytes


def _one_of(*texts: str) -> st.SearchStrategy[Decimal]:
    return st.sampled_from([Decimal(text) for text in texts])


_STOPS = st.one_of(
    st.builds(
        StopPlan,
        pct=_one_of("0.001", "0.003", "0.005", "0.01", "0.02", "0.05", "0.0123", "0.5"),
    ),
    st.builds(
        StopPlan,
        atr=_one_of("0.5", "1.1", "1.5", "2", "3.3", "80"),
        fallback_pct=_one_of("0.003", "0.01", "0.02"),
    ),
)
_PCTS = _one_of(
    "0.001", "0.002", "0.004", "0.005", "0.008", "0.01", "0.015", "0.025", "0.04", "1.5"
)
_MULTIPLES = _one_of("0.25", "0.5", "0.8", "1", "1.5", "2", "2.5", "4.5")


@st.composite
def _targets(draw: st.DrawFn) -> tuple[Target, ...]:
    count = draw(st.integers(0, 5))
    weights = [draw(st.sampled_from([1, 50, 100, 200, 250, 333, 500, 1000])) for _ in range(count)]
    spare = 1000
    targets = []
    for index, weight in enumerate(weights):
        close = min(weight, spare - (count - index - 1))
        if index == count - 1 and draw(st.booleans()):
            close = spare
        spare -= close
        unit = draw(st.sampled_from(["pct", "r", "atr"]))
        distance = draw(_PCTS if unit == "pct" else _MULTIPLES)
        targets.append(Target(**{unit: distance}, close=Decimal(close) / 1000))
    return tuple(targets)


def _maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), strategy)


_BREAK_EVENS = st.one_of(
    st.builds(BreakEvenPlan, at_r=_one_of("0.3", "0.5", "1", "2"), offset_pct=st.none()),
    st.builds(
        BreakEvenPlan,
        at_pct=_one_of("0.001", "0.003", "0.01"),
        offset_pct=_one_of("0", "0.0005", "0.002", "0.01"),
    ),
    st.builds(BreakEvenPlan, offset_pct=_maybe(_one_of("0", "0.0007", "0.003"))),
)
_HARVESTS = st.builds(
    HarvestPlan,
    trigger_pct=_one_of("0.002", "0.004", "0.0033", "0.01", "0.03"),
    fraction=_one_of("0.001", "0.1", "0.2", "0.5", "0.9", "1"),
)
_GOVERNORS = st.builds(
    HighVolatilityPlan,
    threshold=_one_of("0.002", "0.005", "0.01", "0.02"),
    stop_atr=_one_of("0.7", "1.5", "3"),
    target_scale=_one_of("0.3", "0.75", "1"),
)
_GUARDS = st.builds(
    GuardsPlan,
    liquidation_buffer_pct=_maybe(_one_of("0", "0.005", "0.01")),
    max_loss_margin_pct=_maybe(_one_of("0.05", "0.2", "0.8")),
)


@st.composite
def _trailings(draw: st.DrawFn, rungs: int) -> TrailingPlan:
    activations = ["in_profit", "at_r"] + (["after_rung"] if rungs else [])
    activate: Any = draw(st.sampled_from(activations))
    value = None
    if activate == "at_r":
        value = draw(_one_of("0.3", "0.5", "1", "2"))
    elif activate == "after_rung":
        value = Decimal(draw(st.integers(1, rungs)))
    if draw(st.booleans()):
        return TrailingPlan(
            activate=activate, value=value, pct=draw(_one_of("0.001", "0.003", "0.01", "0.02"))
        )
    return TrailingPlan(activate=activate, value=value, atr=draw(_one_of("0.3", "0.6", "1.2", "3")))


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """A valid plan of any shape; the ladder's sizing has its own tests."""
    targets = draw(_targets())
    trigger: Trigger = draw(st.sampled_from(["last", "mark", "book"]))
    interval: Interval = draw(st.sampled_from(["1m", "5m"]))
    method: Smoothing = draw(st.sampled_from(["sma", "wilder"]))
    return Plan(
        name="random",
        trigger=trigger,
        confirm_ticks=draw(st.sampled_from([None, 1, 2, 3])),
        max_tick_jump_pct=draw(_one_of("0.2", "0.2", "0.02", "1")),
        atr=AtrPlan(
            period=draw(st.sampled_from([1, 2, 3, 5, 14])), interval=interval, method=method
        ),
        stop=draw(_STOPS),
        targets=targets,
        break_even=draw(_maybe(_BREAK_EVENS)),
        trailing=draw(_maybe(_trailings(len(targets)))),
        harvest=draw(_maybe(_HARVESTS)),
        ratchet=draw(_maybe(st.builds(RatchetPlan, after_rungs=st.booleans()))),
        time_stop=draw(
            _maybe(st.builds(TimeStopPlan, seconds=_one_of("1", "15", "60.5", "300", "7200")))
        ),
        high_volatility=draw(_maybe(_GOVERNORS)),
        guards=draw(_maybe(_GUARDS)),
    )


_FILTERS = st.sampled_from(
    [
        (None, None, Decimal(0)),
        (Decimal("0.1"), Decimal("0.001"), Decimal(0)),
        (Decimal("0.1"), Decimal("0.001"), Decimal("0.002")),
        (Decimal("0.01"), Decimal("0.1"), Decimal("0.5")),
        (Decimal("0.25"), Decimal(1), Decimal(1)),
        (Decimal(1), None, Decimal("0.3")),
    ]
)


@st.composite
def scenarios(draw: st.DrawFn, length: int = 160) -> Scenario:
    tick, step, min_quantity = draw(_FILTERS)
    fills: Literal["trigger", "next"] = draw(st.sampled_from(["trigger", "next"]))
    return Scenario(
        plan=draw(plans()),
        tick=tick,
        step=step,
        min_quantity=min_quantity,
        fixed_atr=draw(_maybe(_one_of("0.1", "0.5", "1", "1.3333333333333333", "2.5", "40"))),
        fills=fills,
        base=draw(_one_of("100", "100", "98.7", "1234.5")),
        grain=draw(_one_of("0.1", "0.01", "0.5", "0.00001")),
        swing=draw(_one_of("0.002", "0.0005", "0.006", "0.02")),
        drift=draw(_one_of("0", "0", "0.3", "-0.3", "0.1", "-0.1")),
        pace_ms=draw(st.sampled_from([1_000, 100, 7_000, 20_000, 60_000])),
        history=draw(st.binary(max_size=40)),
        program=draw(st.binary(min_size=20, max_size=length)),
    )
