"""A stop that moved in the last moment before a crash is known by the hard stop that followed it."""

from decimal import Decimal

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from reactor.core.decisions import Side, StopKind
from reactor.core.engine import Engine
from reactor.core.epoch_state import EpochState, state_of
from reactor.core.events import PositionReport
from reactor.core.hard_stop_levels import trigger_price
from reactor.core.hard_stop_values import StopRules
from reactor.core.ladder import Filters
from reactor.core.plan import plan_from_toml
from reactor.core.recovery import with_hard_stop
from reactor.core.stop import StopState

TICK = Decimal("0.1")
T0 = 1_795_000_000_000_000_000
BUFFER = Decimal("0.005")


def left(side: Side, *, buffered: bool = True) -> EpochState:
    """An epoch with its stop 2 % from 80 000."""
    text = 'name = "p"\n[stop]\npct = 0.02\n[trailing]\nactivate = "in_profit"\npct = 0.01\n'
    plan = plan_from_toml(text + ("[hard_stop]\nbuffer_pct = 0.005\n" * buffered), source="a test")
    engine = Engine(plan_for=lambda _s, _d: plan, filters_for=lambda _s: Filters(tick=TICK))
    engine.on_position(
        PositionReport(
            symbol="BTCUSDT",
            side=side,
            quantity=Decimal("0.2"),
            entry=Decimal(80000),
            t_event_ms=T0 // 1_000_000,
            t_ns=T0,
        )
    )
    engine.on_mark("BTCUSDT", "80000", T0 // 1_000_000, T0)
    return state_of(engine.positions["BTCUSDT", side])


def trigger_of(side: Side, stop: Decimal) -> Decimal:
    return trigger_price(side=side, stop=stop, buffer_pct=BUFFER, rules=StopRules(tick=TICK))


@given(st.sampled_from(["LONG", "SHORT"]), st.integers(min_value=1, max_value=2_000_000))
def test_the_stop_is_found_again_to_the_tick_and_never_too_good(side: Side, ticks: int) -> None:
    stop = TICK * ticks
    state = left(side)
    after = with_hard_stop(state, trigger_of(side, stop))
    if (stop > state.stop_price) == (side == "LONG") and stop != state.stop_price:
        better, worse = (after.stop_price, stop) if side == "SHORT" else (stop, after.stop_price)
        assert 0 <= better - worse <= TICK
    else:
        assert after == state, "a hard stop behind the engine's stop says nothing new"


def test_it_is_named_by_where_it_stands() -> None:
    state = left("LONG")
    assert with_hard_stop(state, trigger_of("LONG", Decimal(79000))).stop_kind is StopKind.STOP_LOSS
    after = with_hard_stop(state, trigger_of("LONG", Decimal(80190)))
    assert after.stop_price == Decimal(80190)
    assert after.stop_kind is StopKind.TRAILING_STOP


def test_what_an_operator_loosened_stays_loose() -> None:
    state = left("LONG")
    by_hand = StopState(x=Decimal(77000), kind=StopKind.MANUAL, held=None, overruled=Decimal(78400))
    state = msgspec.structs.replace(state, stop=by_hand)
    assert with_hard_stop(state, trigger_of("LONG", Decimal(78400))) == state


def test_without_the_plans_own_buffer_nothing_is_concluded() -> None:
    state = left("LONG", buffered=False)
    assert with_hard_stop(state, trigger_of("LONG", Decimal(80190))) == state
