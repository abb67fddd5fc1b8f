"""User-data events: every documented payload field by field, both private forms, what is refused."""

from decimal import Decimal
from typing import Any

import pytest
from binance_payloads import USER, Json, enveloped, wire

from reactor.binance import user_messages as u
from reactor.binance.decode import decode_user
from reactor.binance.messages import COIN_M, ControlReply, Ignored, Malformed

D = Decimal
KEY = USER["listenKeyExpired"]["listenKey"]

EXPECTED: dict[str, u.UserEvent] = {
    "ACCOUNT_UPDATE": u.AccountUpdate(
        event_time_ms=1795000002001,
        transaction_time_ms=1795000002000,
        account=u.AccountChange(
            reason="ORDER",
            balances=(
                u.BalanceChange(
                    asset="USDT",
                    wallet_balance=D("1500.12000000"),
                    cross_wallet_balance=D("1500.12000000"),
                    balance_change=D(0),
                ),
            ),
            positions=(
                u.PositionChange(
                    symbol="ETHUSDT",
                    position_amount=D("-0.500"),
                    entry_price=D("3001.20"),
                    position_side="BOTH",
                    break_even_price=D("2999.70"),
                    realized_profit=D("12.30"),
                    unrealized_profit=D("-0.45"),
                    margin_type="cross",
                    isolated_wallet=D(0),
                ),
            ),
            funding_symbol="ETHUSDT",
        ),
    ),
    "ORDER_TRADE_UPDATE": u.OrderTradeUpdate(
        event_time_ms=1795000002011,
        transaction_time_ms=1795000002010,
        order=u.OrderChange(
            symbol="ETHUSDT",
            client_order_id="x-exit-000123",
            side="BUY",
            order_id=880000001,
            execution_type="TRADE",
            status="FILLED",
            quantity=D("0.500"),
            filled_quantity=D("0.500"),
            last_filled_quantity=D("0.500"),
            last_filled_price=D("3002.10"),
            average_price=D("3002.10"),
            price=D(0),
            stop_price=D(0),
            trade_id=7700001,
            trade_time_ms=1795000002009,
            commission=D("0.60042"),
            commission_asset="USDT",
            realized_profit=D("-0.45"),
            is_maker=False,
            position_side="BOTH",
            reduce_only=True,
            close_position=False,
            order_type="MARKET",
            original_type="MARKET",
            time_in_force="GTC",
            working_type="CONTRACT_PRICE",
            expiry_reason="0",
            strategy_id=0,
            strategy_type="",
        ),
    ),
    "ALGO_UPDATE": u.AlgoUpdate(
        event_time_ms=1795000003004,
        transaction_time_ms=1795000003000,
        order=u.AlgoChange(
            symbol="ETHUSDT",
            algo_id=2000000009001,
            client_algo_id="sl-ETH-0007",
            status="NEW",
            side="BUY",
            position_side="BOTH",
            algo_type="CONDITIONAL",
            order_type="STOP_MARKET",
            actual_type="0",
            time_in_force="GTE_GTC",
            quantity=D(0),
            trigger_price=D("3100.00"),
            price=D(0),
            engine_order_id="",
            average_price=D(0),
            executed_quantity=D(0),
            working_type="MARK_PRICE",
            close_position=True,
            price_protect=False,
            reduce_only=True,
            trigger_time_ms=0,
            failure_reason="",
            is_activated=False,
        ),
    ),
    "TRADE_LITE": u.TradeLite(
        event_time_ms=1795000002012,
        transaction_time_ms=1795000002010,
        symbol="ETHUSDT",
        client_order_id="x-exit-000123",
        side="BUY",
        order_id=880000001,
        trade_id=7700001,
        last_filled_price=D("3002.10"),
        last_filled_quantity=D("0.500"),
        quantity=D("0.500"),
        price=D(0),
        is_maker=False,
    ),
    "listenKeyExpired": u.ListenKeyExpired(event_time_ms=1795003600000, listen_key=KEY),
    "ACCOUNT_CONFIG_UPDATE": u.AccountConfigUpdate(
        event_time_ms=1795000004001,
        transaction_time_ms=1795000004000,
        leverage=u.LeverageChange(symbol="ETHUSDT", leverage=10),
    ),
    "MARGIN_CALL": u.MarginCall(
        event_time_ms=1795000005000,
        cross_wallet_balance=D("3.1"),
        positions=(
            u.EndangeredPosition(
                symbol="ETHUSDT",
                position_side="LONG",
                position_amount=D(1),
                margin_type="cross",
                isolated_wallet=D(0),
                mark_price=D(2999),
                unrealized_profit=D(-30),
                maintenance_margin=D(12),
            ),
        ),
    ),
    "CONDITIONAL_ORDER_TRIGGER_REJECT": u.ConditionalOrderTriggerReject(
        event_time_ms=1795000006001,
        transaction_time_ms=1795000006000,
        order=u.RejectedTrigger(symbol="ETHUSDT", order_id=880000002, reason="due to a reason"),
    ),
}


def reason_of(verdict: object) -> str:
    assert isinstance(verdict, Malformed), verdict
    return verdict.reason


def order(**fields: Any) -> Json:
    event = USER["ORDER_TRADE_UPDATE"]
    return {**event, "o": {**event["o"], **fields}}


def algo(**fields: Any) -> Json:
    event = USER["ALGO_UPDATE"]
    return {**event, "o": {**event["o"], **fields}}


def position(**fields: Any) -> Json:
    event = USER["ACCOUNT_UPDATE"]
    return {**event, "a": {**event["a"], "P": [{**event["a"]["P"][0], **fields}]}}


@pytest.mark.parametrize("event", EXPECTED)
def test_the_documented_payload_in_every_form(event: str) -> None:
    payload, expected = USER[event], EXPECTED[event]
    assert decode_user(wire(payload)) == expected
    for stream in (KEY, event, "…", ""):
        assert decode_user(enveloped(payload, stream)) == expected
    assert decode_user(wire({"data": payload, "stream": KEY})) == expected
    assert decode_user(wire({"data": payload})) == expected
    assert decode_user(wire(dict(reversed({**payload, "new": {"x": [1]}}.items())))) == expected


def test_an_expiry_may_carry_its_time_as_text() -> None:
    expired = {**USER["listenKeyExpired"], "E": "1795003600000"}
    assert decode_user(wire(expired)) == EXPECTED["listenKeyExpired"]
    assert decode_user(b'{"e":"listenKeyExpired"}') == u.ListenKeyExpired()
    assert "whole number" in reason_of(decode_user(wire({**expired, "E": "soon"})))


def test_an_expiry_does_not_print_its_key() -> None:
    assert KEY not in repr(EXPECTED["listenKeyExpired"])


def test_the_other_account_configuration() -> None:
    raw = wire({"e": "ACCOUNT_CONFIG_UPDATE", "E": 1, "T": 1, "ai": {"j": True}})
    event = decode_user(raw)
    assert isinstance(event, u.AccountConfigUpdate)
    assert event.multi_assets == u.MultiAssetsChange(multi_assets_margin=True)
    assert event.leverage is None


def test_ids_beyond_a_doubles_digits_stay_exact() -> None:
    event = decode_user(wire(order(i=8389765614470237953, t=2**62)))
    assert isinstance(event, u.OrderTradeUpdate)
    assert event.order.order_id == 8389765614470237953
    assert event.order.trade_id == 2**62


def test_unknown_enumeration_values_are_kept_as_they_are() -> None:
    event = decode_user(
        wire(order(x="NEW_ADL", X="HIBERNATING", o="LIQUIDATION", er=9, st="ALGO_CONDITION"))
    )
    assert isinstance(event, u.OrderTradeUpdate)
    assert (event.order.execution_type, event.order.status) == ("NEW_ADL", "HIBERNATING")
    assert (event.order.expiry_reason, event.order.strategy_type) == ("9", "ALGO_CONDITION")


@pytest.mark.parametrize("oddity", [None, "x", -1, [], {"a": 1}, 1.5])
def test_what_nothing_depends_on_does_not_cost_a_fill(oddity: Any) -> None:
    event = decode_user(
        wire(order(si=oddity, ss=oddity, gtd=oddity, pm=oddity, b=oddity, a=oddity))
    )
    assert isinstance(event, u.OrderTradeUpdate)
    assert event.order.strategy_id == 0


def test_a_fill_without_commission_is_a_fill() -> None:
    for commission in ({"n": None, "N": None}, {}):
        payload = USER["ORDER_TRADE_UPDATE"]
        lean = {
            k: v for k, v in payload["o"].items() if k not in {"n", "N", "rp", "ap", "cp", "wt"}
        }
        event = decode_user(wire({**payload, "o": {**lean, **commission}}))
        assert isinstance(event, u.OrderTradeUpdate)
        assert event.order.commission is None


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (order(L="0"), "fill of ETHUSDT without a price or a quantity - at `$.o`"),
        (order(l="0"), "fill of ETHUSDT without a price or a quantity - at `$.o`"),
        (order(L="NaN"), 'price "NaN" is not zero or a positive finite decimal - at `$.o.L`'),
        (order(L=3002.1), "price is a JSON number, not a string - at `$.o.L`"),
        (order(z="-1"), 'quantity "-1" is not zero or a positive finite decimal - at `$.o.z`'),
        (order(i="880000001"), "Expected `int`, got `str` - at `$.o.i`"),
        (order(i=2**63), "Expected `int` <= 9223372036854775807 - at `$.o.i`"),
        (order(i=-1), "Expected `int` >= 0 - at `$.o.i`"),
        (order(s=""), "symbol of 0 characters, not 1 to 40 - at `$.o.s`"),
        (order(X=None), "Expected `str`, got `null` - at `$.o.X`"),
        (order(R="maybe"), "a text where true or false belongs - at `$.o.R`"),
        (order(n="inf"), 'amount "inf" is not a finite decimal - at `$.o.n`'),
        (position(pa=1), "amount is a JSON number, not a string - at `$.a.P[0].pa`"),
        (position(ep="0"), "entry price 0 of an open position in ETHUSDT - at `$.a.P[0]`"),
        (
            position(ep="-1"),
            'price "-1" is not zero or a positive finite decimal - at `$.a.P[0].ep`',
        ),
        (algo(aid="2"), "Expected `int`, got `str` - at `$.o.aid`"),
        (algo(tp="1e308"), 'price "1e308" is outside 1E-12 to 1E+12 - at `$.o.tp`'),
        ({**USER["TRADE_LITE"], "L": "0"}, 'price "0" is not a positive finite decimal - at `$.L`'),
        ({**USER["ACCOUNT_UPDATE"], "T": -1}, "Expected `int` >= 0 - at `$.T`"),
        ({**USER["ACCOUNT_UPDATE"], "E": 10**15}, "Expected `int` <= 4102444800000 - at `$.E`"),
        ({"e": "ACCOUNT_UPDATE", "E": 1}, "Object missing required field `a`"),
        ([USER["TRADE_LITE"]], "expected one event, got an array"),
    ],
)
def test_what_money_hangs_on_is_strict(payload: Any, reason: str) -> None:
    assert reason_of(decode_user(wire(payload))) == reason


def test_a_flat_position_needs_no_entry_price() -> None:
    event = decode_user(wire(position(pa="0", ep="0.00000")))
    assert isinstance(event, u.AccountUpdate)
    assert event.account.positions[0].position_amount == 0


def test_needed_fields_may_not_be_missing() -> None:
    for key in "scSixXqz":
        payload = USER["ORDER_TRADE_UPDATE"]
        cut = {k: v for k, v in payload["o"].items() if k != key}
        assert f"missing required field `{key}`" in reason_of(
            decode_user(wire({**payload, "o": cut}))
        )


def test_unknown_events_and_replies_are_ignored() -> None:
    assert decode_user(b'{"e":"STRATEGY_UPDATE","E":1}') == Ignored(
        'unknown event "STRATEGY_UPDATE"'
    )
    assert decode_user(b'{"e":"aggTrade","p":"1"}') == Ignored('unknown event "aggTrade"')
    assert decode_user(b'{"result":null,"id":7}') == ControlReply("reply", id=7)
    listed = decode_user(wire({"result": [KEY], "id": 9}))
    assert listed == ControlReply("reply", id=9, streams=("…",))


@pytest.mark.parametrize("event", USER)
def test_coin_margined_events_are_dropped(event: str) -> None:
    assert decode_user(wire({**USER[event], "st": 2})) is COIN_M
    other = decode_user(wire({**USER[event], "st": "some day a text"}))
    assert isinstance(other, u.UserEvent)


def test_a_report_never_shows_the_listen_key() -> None:
    event = enveloped({**USER["TRADE_LITE"], "L": "NaN"}, KEY)
    expired = wire({**USER["listenKeyExpired"], "E": [KEY]})
    for raw in (event, event[:-1], event[:90], expired, expired[:-3], wire([KEY])):
        verdict = decode_user(raw)
        assert isinstance(verdict, Malformed)
        assert KEY[:24] not in verdict.reason + verdict.excerpt
