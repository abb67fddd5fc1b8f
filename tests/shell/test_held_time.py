"""After a restart no clock of what was left may run before the exchange has said what is open."""

from decimal import Decimal

import msgspec

from reactor.config import Config
from reactor.core.decisions import Closed, Exit, Reason
from reactor.core.epoch_state import state_of
from reactor.core.events import PositionReport
from reactor.core.ladder import Filters
from reactor.core.plan import plan_from_toml
from reactor.shell.assembly import StartState, live_pump
from reactor.shell.pump import Pump
from reactor.shell.tape_format import LiveSession, TapeLine

S = 1_000_000_000
START = 1_795_000_000 * S
PLAN = plan_from_toml(
    'name = "short"\n[stop]\npct = 0.02\n[time_stop]\nseconds = 60\n', source="a test"
)


def pump_from(start: StartState) -> Pump:
    return live_pump(
        Config(),
        LiveSession(mode="live"),
        plan_for=lambda _symbol, _side: PLAN,
        filters_for=lambda _symbol: Filters(),
        instance="main",
        start=start,
        note=lambda _kind, _text: None,
    )


def left_behind() -> StartState:
    """An epoch of 0.2 BTC, opened at START, as a journal has it."""
    pump = pump_from(StartState())
    pump.engine.on_position(
        PositionReport(
            symbol="BTCUSDT",
            side="LONG",
            quantity=Decimal("0.2"),
            entry=Decimal(80000),
            t_event_ms=START // 1_000_000,
            t_ns=START,
        )
    )
    pump.engine.on_mark("BTCUSDT", "80000", START // 1_000_000, START)
    (machine,) = pump.engine.positions.values()
    return StartState(
        epochs=(state_of(machine),), sides={"BTCUSDT:LONG": "BOTH"}, epoch_number=1, is_old=True
    )


def positions(t_ns: int, amount: str, params: dict[str, str] | None = None) -> TapeLine:
    rows = []
    if Decimal(amount):
        row = {"symbol": "BTCUSDT", "positionSide": "BOTH", "positionAmt": amount}
        rows.append({**row, "entryPrice": "80000", "updateTime": START // 1_000_000 + 1})
    message = {
        "method": "GET",
        "path": "/fapi/v3/positionRisk",
        "params": params or {},
        "status": 200,
        "body": rows,
    }
    return TapeLine(t_ns, "rest", msgspec.Raw(msgspec.json.encode(message)), "in")


def test_a_time_stop_that_ran_out_meanwhile_waits_for_the_positions() -> None:
    pump = pump_from(left_behind())
    late = START + 100 * S
    assert not pump.on_time(late)
    assert pump.due_ns > late, "nobody may be woken for what is held"
    # One symbol's answer says nothing of the account.
    assert not pump.take(positions(late, "0.2", {"symbol": "BTCUSDT"}))
    assert not pump.on_time(late)
    pump.take(positions(late, "0.2"))
    assert pump.due_ns <= late
    (exit_,) = pump.on_time(late)
    assert isinstance(exit_, Exit)
    assert exit_.reasons == (Reason.TIME_STOP,)


def test_what_is_gone_is_not_closed() -> None:
    pump = pump_from(left_behind())
    late = START + 100 * S
    decisions = [*pump.take(positions(late, "0")), *pump.on_time(late + 2 * S)]
    assert not [one for one in decisions if isinstance(one, Exit)]
    (closed,) = [one for one in decisions if isinstance(one, Closed)]
    assert closed.reason is Reason.EXTERNAL


def test_the_next_tape_of_a_session_holds_nothing() -> None:
    start = msgspec.structs.replace(left_behind(), is_old=False)
    assert pump_from(start).due_ns == START + 60 * S
