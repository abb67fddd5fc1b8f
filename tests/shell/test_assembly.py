"""A session's engine and books, built from configuration and from what its predecessor left."""

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from reactor.binance.orders import parse_client_order_id
from reactor.config import config_from_tables
from reactor.core.decisions import Decision, Exit, Opened, Side
from reactor.core.epoch_state import state_of
from reactor.core.ladder import Filters
from reactor.core.orders import Fills
from reactor.core.plan import plan_from_toml
from reactor.errors import TapeError
from reactor.shell.assembly import (
    StartState,
    live_pump,
    management_of,
    order_ids,
    start_state,
)
from reactor.shell.pump import Pump
from reactor.shell.tape_format import LiveSession, TapeLine

T0_NS = 1_790_000_000_000_000_000
SECOND_NS = 1_000_000_000
LIVE = LiveSession(mode="live")
KEY: tuple[str, Side] = ("BTCUSDT", "LONG")


def session(start: StartState | None = None, *, mode: Any = "live", **manage: Any) -> Pump:
    plan = plan_from_toml(
        'name = "mine"\ntrigger = "last"\n[stop]\npct = 0.01\n[[targets]]\npct = 0.01\nclose = 0.5\n',
        source="here",
    )
    return live_pump(
        config_from_tables({"manage": {"include": ["*"], **manage}}, source="here"),
        LiveSession(mode=mode),
        plan_for=lambda _symbol, _side: plan,
        filters_for=lambda _symbol: Filters(),
        instance="me",
        start=start or StartState(),
        note=lambda _kind, _text: None,
    )


def take(pump: Pump, second: float, channel: Any, message: dict[str, Any]) -> list[Decision]:
    raw = msgspec.Raw(json.dumps(message).encode())
    return list(pump.take(TapeLine(T0_NS + round(second * SECOND_NS), channel, raw)))


def ms(second: float) -> int:
    return T0_NS // 1_000_000 + round(second * 1000)


def tick(pump: Pump, second: float, price: str) -> list[Decision]:
    fields = {"e": "aggTrade", "s": "BTCUSDT", "p": price, "a": ms(second), "T": ms(second)}
    return take(pump, second, "market", fields)


def report(pump: Pump, second: float, amount: str, *, entry: str = "100") -> list[Decision]:
    row = {"s": "BTCUSDT", "pa": amount, "ep": entry, "ps": "BOTH", "cr": "0"}
    event = {"e": "ACCOUNT_UPDATE", "E": ms(second), "T": ms(second)}
    return take(pump, second, "private", event | {"a": {"m": "ORDER", "P": [row]}})


def look(pump: Pump, second: float, *amounts: str) -> list[Decision]:
    rows = [
        {
            "symbol": "BTCUSDT",
            "positionSide": "BOTH",
            "positionAmt": amount,
            "entryPrice": "100",
            "updateTime": ms(0),
        }
        for amount in amounts
    ]
    answer = {"method": "GET", "path": "/fapi/v3/positionRisk", "status": 200, "body": rows}
    return take(pump, second, "rest", answer)


def kinds(decisions: list[Decision]) -> list[str]:
    return [type(one).__name__ for one in decisions]


# The state in a tape's header -------------------------------------------------------------------------


def test_a_start_state_survives_a_tapes_header() -> None:
    pump = session()
    look(pump, 0)
    report(pump, 1, "2")
    state = StartState(
        epochs=tuple(state_of(machine) for machine in pump.engine.positions.values()),
        epoch_number=7,
        sides={"BTCUSDT:LONG": "BOTH"},
        trades={"BTCUSDT": 12},
        virtual={"ETHUSDT:SHORT": Decimal("0.5")},
        adopts=False,
        ignored=("XRPUSDT:SHORT",),
        is_old=True,
    )
    recorded = json.loads(msgspec.json.encode(msgspec.to_builtins(state)))
    assert start_state(recorded) == state


@pytest.mark.parametrize("nothing", [None, {}])
def test_a_header_without_a_state_is_an_empty_one(nothing: Any) -> None:
    assert start_state(nothing) == StartState()


@pytest.mark.parametrize("strange", [[1], {"epochs": 7}, {"trades": {"BTCUSDT": "many"}}])
def test_a_state_of_another_kind_is_refused_in_one_line(strange: Any) -> None:
    with pytest.raises(TapeError, match="journal in the tape's header cannot be read: ") as caught:
        start_state(strange)
    assert "\n" not in str(caught.value)


# Names and positions ----------------------------------------------------------------------------------


def test_order_ids_are_of_the_instance_and_of_every_fact() -> None:
    mine = order_ids("me")
    facts: list[tuple[str, Side, int, int, int, int]] = [
        ("BTCUSDT", "LONG", T0_NS, 1, 1, 0),
        ("ETHUSDT", "LONG", T0_NS, 1, 1, 0),
        ("BTCUSDT", "SHORT", T0_NS, 1, 1, 0),
        ("BTCUSDT", "LONG", T0_NS + 1, 1, 1, 0),
        ("BTCUSDT", "LONG", T0_NS, 2, 1, 0),
        ("BTCUSDT", "LONG", T0_NS, 1, 2, 0),
        ("BTCUSDT", "LONG", T0_NS, 1, 1, 1),
    ]
    names = [mine(*one) for one in facts]
    assert names == [order_ids("me")(*one) for one in facts]
    assert len({*names, order_ids("you")(*facts[0])}) == len(facts) + 1
    parts = parse_client_order_id(names[0])
    assert parts is not None
    assert (parts.decision, parts.attempt, parts.epoch_number) == (1, 0, 1)


@pytest.mark.parametrize(
    ("manage", "position", "ours"),
    [
        ({"include": ["*"]}, ("BTCUSDT", "LONG", "1", "100"), True),
        ({"include": []}, ("BTCUSDT", "LONG", "1", "100"), False),
        ({"include": ["ETHUSDT"]}, ("BTCUSDT", "LONG", "1", "100"), False),
        ({"include": ["*"], "exclude": ["BTCUSDT"]}, ("BTCUSDT", "LONG", "1", "100"), False),
        ({"include": ["*"], "sides": ["SHORT"]}, ("BTCUSDT", "LONG", "1", "100"), False),
        ({"include": ["*"], "max_notional": 100}, ("BTCUSDT", "LONG", "1", "100"), True),
        ({"include": ["*"], "max_notional": 100}, ("BTCUSDT", "LONG", "1", "100.01"), False),
    ],
)
def test_which_positions_are_ours(
    manage: dict[str, Any], position: tuple[str, Side, str, str], ours: bool
) -> None:
    config = config_from_tables({"manage": manage}, source="here")
    symbol, side, quantity, entry = position
    managed = management_of(config.manage, LIVE)
    assert managed.manages(symbol, side, Decimal(quantity), Decimal(entry)) is ours
    assert managed.reported


@pytest.mark.parametrize(
    ("mode", "virtual", "fills"),
    [
        ("live", False, Fills.REPORTED),
        ("dry_run", True, Fills.AT_TRIGGER),
        ("shadow", True, Fills.AT_TRIGGER),
    ],
)
def test_only_a_live_session_waits_for_fills(mode: Any, virtual: bool, fills: Fills) -> None:
    config = config_from_tables({}, source="here")
    assert management_of(config.manage, LiveSession(mode=mode)).virtual is virtual
    pump = session(mode=mode)
    look(pump, 0)
    report(pump, 1, "2")
    assert pump.engine.positions[KEY].orders.fills is fills


# What a predecessor left ------------------------------------------------------------------------------


def left(pump: Pump, **more: Any) -> StartState:
    return StartState(
        epochs=tuple(state_of(machine) for machine in pump.engine.positions.values()),
        epoch_number=pump.engine.epochs,
        sides={"BTCUSDT:LONG": "BOTH"},
        trades=pump.account.book.counted_trades,
        virtual={
            f"{symbol}:{side}": size for (symbol, side), size in pump.account.book.virtual().items()
        },
        **more,
    )


def test_an_epoch_goes_on_with_its_levels_and_its_numbers() -> None:
    first = session()
    look(first, 0)
    report(first, 1, "2")
    tick(first, 2, "100")
    second = session(left(first, adopts=False))
    assert list(second.engine.positions) == [KEY]
    (exit_,) = [one for one in tick(second, 3, "101") if isinstance(one, Exit)]
    # What the first one would have decided, by the name that it would have given.
    (same,) = [one for one in tick(first, 3, "101") if isinstance(one, Exit)]
    # (Ticks are counted from a process's own first one.)
    assert msgspec.structs.replace(exit_, tick=same.tick) == same
    report(second, 4, "0")
    (opened,) = [one for one in report(second, 5, "1") if isinstance(one, Opened)]
    assert opened.epoch == 2


def test_no_clock_runs_before_the_exchange_has_said_what_is_open() -> None:
    first = session()
    look(first, 0)
    report(first, 1, "2")
    assert session(left(first, is_old=True)).engine.is_time_held
    assert not session(left(first)).engine.is_time_held


def test_a_new_process_adopts_and_a_new_tape_does_not() -> None:
    """A price far below the stop: adopted, the stop starts below it; opened, it stands and fires."""
    for start, fires in ((StartState(), False), (StartState(adopts=False), True)):
        pump = session(start)
        tick(pump, 0, "90")
        report(pump, 1, "2")
        tick(pump, 2, "90")
        assert (pump.engine.positions == {} or pump.engine.positions[KEY].orders.exiting) is fires
        assert pump.account.book.adopts is not fires
        look(pump, 30, "2")
        assert not pump.account.book.adopts


def test_what_was_ignored_is_ignored_on_the_next_tape() -> None:
    pump = session(StartState(adopts=False, ignored=("BTCUSDT:LONG",)), on_adopt="ignore")
    tick(pump, 0, "100")
    assert report(pump, 1, "2") == []
    assert pump.account.book.unmanaged[KEY].quantity == 2
    report(pump, 2, "0")
    assert kinds(report(pump, 3, "2")) == ["Opened"]


def test_a_position_that_a_dry_run_closed_stays_closed() -> None:
    first = session(mode="dry_run")
    look(first, 0)
    report(first, 1, "2")
    tick(first, 2, "100")
    assert "Closed" in kinds(tick(first, 3, "98"))
    second = session(left(first), mode="dry_run")
    assert look(second, 10, "2") == []
    assert second.engine.positions == {}
    assert second.account.book.unmanaged == {}
