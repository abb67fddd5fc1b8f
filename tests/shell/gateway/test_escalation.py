"""The pure parts: steps, orders, proofs, frames, and the document that shows them."""

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor.binance.failures import Reaction, failure_table, reaction_table
from reactor.binance.filters import SymbolFilters
from reactor.binance.orders import client_order_id
from reactor.binance.rest_account_messages import Order, PositionRisk, UserTrade
from reactor.core.decisions import Exit, Reason, Side
from reactor.shell.gateway.absence import held_quantity, proves_absence
from reactor.shell.gateway.blocking import blocking_orders
from reactor.shell.gateway.built import closing_stop, limit_ioc_order, market_orders, rebuilt
from reactor.shell.gateway.escalation import (
    AGAIN,
    BETWEEN_MS,
    FIRST,
    LADDER,
    Step,
    escalation,
    ladder_table,
)
from reactor.shell.gateway.frames import (
    SENDINGS_MAX,
    MarketFrames,
    Sending,
    logon_frame,
    request_id,
    rest_answer,
    sending_of,
    socket_frame,
)
from reactor.shell.rest.credentials import Credentials
from reactor.shell.rest_seam import RestAnswer

DOCUMENT = Path(__file__).parents[3] / "docs" / "orders.md"

ID = client_order_id(
    instance="main",
    symbol="BTCUSDT",
    side="LONG",
    epoch_opened_ns=1,
    epoch_number=3,
    decision=7,
    attempt=2,
)

FILTERS = SymbolFilters(
    symbol="BTCUSDT",
    status="TRADING",
    contract_type="PERPETUAL",
    quote_asset="USDT",
    margin_asset="USDT",
    tick_size=Decimal("0.1"),
    step_size=Decimal("0.001"),
    min_qty=Decimal("0.001"),
    max_qty=Decimal(1000),
    market_step=Decimal("0.01"),
    market_min_qty=Decimal("0.01"),
    market_max_qty=Decimal(120),
    multiplier_up=Decimal("1.05"),
    multiplier_down=Decimal("0.95"),
)


def exit_of(quantity: str = "0.4", *, full: bool = True, remaining: str = "0", **more: Any) -> Exit:
    values: dict[str, Any] = {
        "t_ns": 0,
        "tick": 1,
        "symbol": "BTCUSDT",
        "side": "LONG",
        "epoch": 3,
        "number": 7,
        "attempt": 2,
        "order_id": ID,
        "full": full,
        "reasons": (Reason.STOP_LOSS,),
        "price": Decimal(80_000),
        "quantity": Decimal(quantity),
        "remaining": Decimal(remaining),
        "stop": Decimal(80_000),
    }
    return Exit(**(values | more))


# Steps --------------------------------------------------------------------------------------------


@given(failures=st.integers(1, 10_000), last=st.one_of(st.none(), st.sampled_from(list(Reaction))))
def test_no_step_floods_and_every_one_sends_something(failures: int, last: Reaction | None) -> None:
    step = escalation(failures, last)
    assert step.pause_ms >= BETWEEN_MS
    assert step.kind in {"market", "half", "limit_ioc", "stop"}
    if failures >= len(LADDER):
        assert step.alarm
    if failures >= len(LADDER) + len(AGAIN):
        assert step.pause_ms == 5000


def test_the_first_sending_waits_for_nothing() -> None:
    assert escalation(0, None) is FIRST
    assert Step(way="socket", kind="market", pause_ms=0, alarm=False) == FIRST


@pytest.mark.parametrize(
    ("last", "way", "kind"),
    [
        (Reaction.REFUSED, "socket", "market"),
        (Reaction.CANCEL_BLOCKING, "socket", "market"),
        (Reaction.ASK, "rest", "market"),
        (Reaction.OTHER_ROUTE, "rest", "market"),
        (Reaction.WAIT_BAN, "rest", "market"),
        (Reaction.IOC_AT_BOUND, "socket", "limit_ioc"),
    ],
)
def test_the_second_sending_depends_on_the_cause(last: Reaction, way: str, kind: str) -> None:
    step = escalation(1, last)
    assert (step.way, step.kind) == (way, kind)


def test_a_bad_key_is_tried_slowly_both_ways_and_told() -> None:
    steps = [escalation(n, Reaction.HALT) for n in (1, 2, 3)]
    assert [step.way for step in steps] == ["rest", "socket", "rest"]
    assert all(step.pause_ms == 5000 and step.alarm and step.kind == "market" for step in steps)


# Orders -------------------------------------------------------------------------------------------


def test_half_of_what_cannot_be_halved_is_the_whole() -> None:
    half = market_orders(exit_of("0.4"), hedge=False, filters=FILTERS, half=True)
    assert [order["quantity"] for order in half] == ["0.2"]
    whole = market_orders(exit_of("0.01"), hedge=False, filters=FILTERS, half=True)
    assert [order["quantity"] for order in whole] == ["0.01"]


@pytest.mark.parametrize(
    ("side", "hedge", "expected"),
    [
        ("LONG", False, {"side": "SELL", "reduceOnly": "true", "price": "76400"}),
        ("SHORT", False, {"side": "BUY", "reduceOnly": "true", "price": "83600"}),
        ("LONG", True, {"side": "SELL", "positionSide": "LONG", "price": "76400"}),
    ],
)
def test_a_limit_ioc_order_stands_just_inside_the_bound(
    side: Side, hedge: bool, expected: dict[str, str]
) -> None:
    order = limit_ioc_order(
        symbol="BTCUSDT",
        side=side,
        client_id=ID,
        quantity=Decimal("0.4004"),
        hedge=hedge,
        filters=FILTERS,
        mark=Decimal(80_000),
    )
    assert order == {
        "symbol": "BTCUSDT",
        "type": "LIMIT",
        "timeInForce": "IOC",
        "quantity": "0.4",
        "newClientOrderId": ID,
        "newOrderRespType": "RESULT",
        **expected,
    }


@given(
    side=st.sampled_from(["LONG", "SHORT"]),
    mark=st.decimals("0.01", "200000", places=2).filter(lambda mark: mark > 0),
)
def test_no_limit_ioc_order_is_outside_the_bound(side: Side, mark: Decimal) -> None:
    order = limit_ioc_order(
        symbol="BTCUSDT",
        side=side,
        client_id=ID,
        quantity=Decimal(1),
        hedge=False,
        filters=FILTERS,
        mark=mark,
    )
    assert order is not None
    price = Decimal(order["price"])
    assert price % Decimal("0.1") == 0
    if mark > 10:  # below, a tick is more than the bound
        assert mark * Decimal("0.95") <= price <= mark * Decimal("1.05")


@pytest.mark.parametrize(
    ("side", "hedge", "trigger"),
    [("LONG", False, "79960"), ("SHORT", False, "80040"), ("SHORT", True, "80040")],
)
def test_a_closing_stop_stands_just_beyond_the_mark(side: Side, hedge: bool, trigger: str) -> None:
    order = closing_stop(
        symbol="BTCUSDT",
        side=side,
        client_id=ID,
        hedge=hedge,
        filters=FILTERS,
        mark=Decimal(80_000),
    )
    assert order["triggerPrice"] == trigger
    assert order["closePosition"] == "true"
    assert "quantity" not in order
    assert "reduceOnly" not in order
    assert order.get("positionSide") == (side if hedge else None)


def test_an_order_built_anew_never_grows_and_keeps_its_id() -> None:
    (order,) = market_orders(exit_of("0.417"), hedge=False, filters=None)
    again = rebuilt(order, side="LONG", hedge=True, filters=FILTERS)
    assert again is not None
    assert again["quantity"] == "0.41"
    assert again["positionSide"] == "LONG"
    assert "reduceOnly" not in again
    assert again["newClientOrderId"] == ID
    huge = rebuilt({**order, "quantity": "500"}, side="LONG", hedge=False, filters=FILTERS)
    assert huge is not None
    assert huge["quantity"] == "120"
    assert (
        rebuilt({**order, "quantity": "0.001"}, side="LONG", hedge=False, filters=FILTERS) is None
    )


# Proofs -------------------------------------------------------------------------------------------

SENT_MS = 1_795_000_000_000


def trade(side: str, time_ms: int, position_side: str = "BOTH") -> UserTrade:
    return UserTrade(
        symbol="BTCUSDT",
        trade_id=1,
        order_id=1,
        side=side,
        position_side=position_side,
        price=Decimal(1),
        quantity=Decimal(1),
        time_ms=time_ms,
    )


@pytest.mark.parametrize(
    ("full", "held", "trades", "asked_after_ms", "expected"),
    [
        (True, "0.4", (), 50, True),
        (True, "0.39", (), 50, False),
        (True, "0.4", (trade("SELL", SENT_MS + 10),), 50, False),
        (True, "0.4", (trade("BUY", SENT_MS + 10),), 50, True),
        (True, "0.4", (trade("SELL", SENT_MS + 10, "SHORT"),), 50, True),
        (True, "0.4", (trade("SELL", SENT_MS - 60_000),), 50, True),
        # A rung must not happen twice: while the exchange would still take it, nothing is proved.
        (False, "1.0", (), 50, False),
        (False, "1.0", (), 6000, False),
        (False, "1.0", (), 6001, True),
        (False, "0.6", (), 60_000, False),
    ],
)
def test_absence_is_proved_by_all_together(
    full: bool, held: str, trades: tuple[UserTrade, ...], asked_after_ms: int, expected: bool
) -> None:
    exit_ = exit_of("0.4", full=full, remaining="0" if full else "0.6")
    assert (
        proves_absence(
            exit_,
            first_sent_ms=SENT_MS,
            last_sent_ms=SENT_MS,
            asked_ms=SENT_MS + asked_after_ms,
            recv_window_ms=5000,
            held=Decimal(held),
            trades=trades,
        )
        is expected
    )


def position(side: str, amount: str) -> PositionRisk:
    return PositionRisk(
        symbol="BTCUSDT",
        position_side=side,
        position_amount=Decimal(amount),
        entry_price=Decimal(1),
    )


def test_what_a_snapshot_holds_of_a_side() -> None:
    assert held_quantity([position("BOTH", "0.4")], "BTCUSDT", "LONG") == Decimal("0.4")
    assert held_quantity([position("BOTH", "-0.4")], "BTCUSDT", "LONG") == 0
    assert held_quantity([position("BOTH", "-0.4")], "BTCUSDT", "SHORT") == Decimal("0.4")
    hedged = [position("LONG", "0.4"), position("SHORT", "-0.3")]
    assert held_quantity(hedged, "BTCUSDT", "SHORT") == Decimal("0.3")
    assert held_quantity(hedged, "ETHUSDT", "SHORT") == 0


def order(number: int, side: str, **more: Any) -> Order:
    values: dict[str, Any] = {
        "symbol": "BTCUSDT",
        "order_id": number,
        "client_order_id": f"o{number}",
        "status": "NEW",
        "side": side,
        "original_quantity": Decimal(1),
        "executed_quantity": Decimal(0),
    }
    return Order(**(values | more))


def test_only_what_closes_the_same_position_is_in_its_way() -> None:
    entry = order(1, "BUY")
    take = order(2, "SELL", reduce_only=True)
    plain = order(3, "SELL")
    other = order(4, "SELL", symbol="ETHUSDT", reduce_only=True)
    listed = [entry, take, plain, other]
    assert blocking_orders(listed, symbol="BTCUSDT", side="LONG") == (take,)
    assert blocking_orders([entry, plain], symbol="BTCUSDT", side="LONG") == (plain,)
    assert blocking_orders([entry], symbol="BTCUSDT", side="LONG") == ()
    assert blocking_orders(listed, symbol="BTCUSDT", side="SHORT") == (entry,)


def test_in_hedge_mode_the_other_leg_is_left_alone() -> None:
    opens_short = order(1, "SELL", position_side="SHORT")
    closes_long = order(2, "SELL", position_side="LONG")
    listed = [opens_short, closes_long]
    assert blocking_orders(listed, symbol="BTCUSDT", side="LONG") == (closes_long,)


# Frames -------------------------------------------------------------------------------------------


def test_a_request_id_says_which_order_and_which_sending() -> None:
    names = {request_id(ID, n, plain=plain) for n in range(SENDINGS_MAX) for plain in (True, False)}
    assert len(names) == 2 * SENDINGS_MAX
    assert all(re.fullmatch(r"[0-9A-Za-z_-]{1,36}", name) for name in names)
    assert request_id(ID, 0) == f"{ID.removeprefix('xr-')}-00"


@pytest.mark.parametrize("number", [0, 1, 42])
@pytest.mark.parametrize("plain", [True, False])
def test_a_request_id_can_be_read(number: int, plain: bool) -> None:
    assert sending_of(request_id(ID, number, plain=plain)) == Sending(number=number, plain=plain)


@pytest.mark.parametrize("identity", [None, 7, "", "one", ID, ID.replace("-", ".")])
def test_other_ids_say_nothing(identity: int | str | None) -> None:
    assert sending_of(identity) is None


def test_a_frame_is_signed_over_its_sorted_parameters() -> None:
    signer = Credentials("sim-key", "sim-secret")
    (params,) = market_orders(exit_of(), hedge=False, filters=None)
    frame = json.loads(
        socket_frame("one", params, signer=signer, timestamp_ms=17, recv_window_ms=5000)
    )
    signed = frame["params"]
    signature = signed.pop("signature")
    payload = "&".join(f"{name}={signed[name]}" for name in sorted(signed))
    assert signature == signer.sign(payload)
    assert frame["id"] == "one"
    assert frame["method"] == "order.place"
    assert signed["timestamp"] == 17
    assert isinstance(signed["quantity"], str)


@pytest.mark.parametrize("hedge", [False, True])
@pytest.mark.parametrize("side", ["LONG", "SHORT"])
@pytest.mark.parametrize("symbol", ["BTCUSDT", "币安人生USDT", 'A"B\\'])
@pytest.mark.parametrize("logged_on", [False, True])
def test_a_prebuilt_frame_is_the_same_to_the_byte(
    hedge: bool, side: Side, symbol: str, logged_on: bool
) -> None:
    signer = None if logged_on else Credentials("sim-key", "sim-secret")
    frames = MarketFrames(signer, 5000)
    for quantity, time_ms in (("0.4", 17), ("123.456", 1_795_000_000_000)):
        exit_ = exit_of(quantity, symbol=symbol, side=side)
        (params,) = market_orders(exit_, hedge=hedge, filters=None)
        assert frames.frame("one", params, time_ms) == socket_frame(
            "one", params, signer=signer, timestamp_ms=time_ms, recv_window_ms=5000
        )


def test_on_a_session_that_is_logged_on_nothing_is_signed() -> None:
    frame = json.loads(
        socket_frame("one", {"symbol": "A"}, signer=None, timestamp_ms=17, recv_window_ms=5000)
    )
    assert frame["params"] == {"symbol": "A", "recvWindow": 5000, "timestamp": 17}


def test_a_logon_frame_is_signed() -> None:
    signer = Credentials("sim-key", "sim-secret")
    frame = json.loads(logon_frame("on", signer=signer, timestamp_ms=17, recv_window_ms=5000))
    assert frame["method"] == "session.logon"
    assert frame["params"]["signature"] == signer.sign(
        "apiKey=sim-key&recvWindow=5000&timestamp=17"
    )


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, b'{"status":"FILLED"}', {"result": {"status": "FILLED"}}),
        (400, b'{"code":-2019,"msg":"No."}', {"error": {"code": -2019, "msg": "No."}}),
        (200, b'{"code":-2019,"msg":"No."}', {"error": {"code": -2019, "msg": "No."}}),
        (502, b"<html>", {"text": "<html>"}),
        (200, b"<html>", {"text": "<html>"}),
        (503, b'{"msg":"x"}', {"text": "{'msg': 'x'}"}),
        (200, b"[1]", {"text": "[1]"}),
    ],
)
def test_a_rest_answer_takes_the_sockets_form(
    status: int, body: bytes, expected: dict[str, object]
) -> None:
    answer = RestAnswer(
        method="POST", path="/x", params={}, status=status, body=body, asked_ns=0, t_ns=0
    )
    assert json.loads(rest_answer("one", answer)) == {"id": "one", "status": status, **expected}


# The document -------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", [failure_table, reaction_table, ladder_table])
def test_the_document_shows_the_tables_as_they_are(table: Any) -> None:
    assert table() in DOCUMENT.read_text(encoding="utf-8")
