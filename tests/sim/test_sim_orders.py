"""Regular orders: both position modes, reduce-only, the book, and the money."""

import json
from decimal import Decimal

import pytest

from .trading_desk import Desk, Refused, told

D = Decimal


def test_a_market_order_opens_a_position_and_tells_it_in_order(desk: Desk) -> None:
    stream = desk.user_stream()
    answer = desk.order(side="BUY", quantity="0.5", newClientOrderId="x-1")
    assert answer["status"] == "FILLED"
    assert answer["executedQty"] == "0.500"
    assert not {"avgPrice", "cumQuote"} & set(answer)
    events = told(stream)
    assert [
        (e["e"], e.get("o", {}).get("X") if e["e"] == "ORDER_TRADE_UPDATE" else None)
        for e in events
    ] == [
        ("ORDER_TRADE_UPDATE", "NEW"),
        ("TRADE_LITE", None),
        ("ACCOUNT_UPDATE", None),
        ("ORDER_TRADE_UPDATE", "FILLED"),
    ]
    assert events[3]["o"]["L"] == "81200"
    assert desk.positions() == {("BTCUSDT", "BOTH"): D("0.500")}


def test_ack_says_new_whatever_has_happened(desk: Desk) -> None:
    answer = desk.order(side="BUY", quantity="0.5", newOrderRespType="ACK")
    assert (answer["status"], answer["executedQty"]) == ("NEW", "0.000")


def test_reduce_only_closes_and_never_flips(desk: Desk) -> None:
    desk.order(side="BUY", quantity="0.5")
    closed = desk.order(side="SELL", quantity="2", reduceOnly="true")
    assert closed["executedQty"] == "0.500"
    assert desk.positions() == {}


def test_without_reduce_only_a_sell_flips(desk: Desk) -> None:
    desk.order(side="BUY", quantity="0.5")
    desk.order(side="SELL", quantity="0.8")
    assert desk.positions() == {("BTCUSDT", "BOTH"): D("-0.300")}


def test_hedge_legs_are_independent(hedged: Desk) -> None:
    hedged.order(side="BUY", positionSide="LONG", quantity="0.5")
    hedged.order(side="SELL", positionSide="SHORT", quantity="0.2")
    assert hedged.positions() == {
        ("BTCUSDT", "LONG"): D("0.500"),
        ("BTCUSDT", "SHORT"): D("-0.200"),
    }
    hedged.order(side="SELL", positionSide="LONG", quantity="0.5")
    assert hedged.positions() == {("BTCUSDT", "SHORT"): D("-0.200")}


def test_a_resting_limit_order_fills_as_maker_when_the_market_comes(desk: Desk) -> None:
    stream = desk.user_stream()
    placed = desk.order(side="BUY", type="LIMIT", timeInForce="GTC", quantity="0.1", price="81000")
    assert placed["status"] == "NEW"
    told(stream)
    desk.price("80990")
    fills = [e["o"] for e in told(stream) if e["e"] == "ORDER_TRADE_UPDATE"]
    assert [(f["X"], f["L"], f["m"]) for f in fills] == [("FILLED", "81000", True)]
    assert fills[0]["n"] == "1.62"  # 0.02 % of 8100


def test_a_big_market_order_slips_and_is_cut_at_the_bound(desk: Desk) -> None:
    desk.control("account", wallet=100_000_000)
    desk.control("book", symbol="BTCUSDT", depth="0.05")
    stream = desk.user_stream()
    answer = desk.order(side="BUY", quantity="120")
    events = [e["o"] for e in told(stream) if e["e"] == "ORDER_TRADE_UPDATE"]
    prices = [D(e["L"]) for e in events if e["x"] == "TRADE"]
    assert prices == sorted(prices)
    assert prices[-1] > prices[0]
    assert prices[-1] <= D(81200) * D("1.05")
    assert events[-1]["X"] == "EXPIRED"
    assert events[-1]["er"] == "9"
    assert D(answer["executedQty"]) < 120


def test_ioc_expires_its_rest_and_fok_gtx_are_refused(desk: Desk) -> None:
    desk.control("account", wallet=100_000_000)
    stream = desk.user_stream()
    desk.order(side="BUY", type="LIMIT", timeInForce="IOC", quantity="50", price="81210")
    last = told(stream)[-1]["o"]
    assert (last["X"], last["er"]) == ("EXPIRED", "2")
    with pytest.raises(Refused) as fok:
        desk.order(side="BUY", type="LIMIT", timeInForce="FOK", quantity="50", price="81210")
    assert fok.value.code == -5021
    with pytest.raises(Refused) as gtx:
        desk.order(side="BUY", type="LIMIT", timeInForce="GTX", quantity="1", price="82000")
    assert gtx.value.code == -5022


def test_a_market_exit_knocks_out_resting_reduce_only_orders(desk: Desk) -> None:
    desk.order(side="BUY", quantity="0.5")
    stream = desk.user_stream()
    desk.order(
        side="SELL",
        type="LIMIT",
        timeInForce="GTC",
        quantity="0.5",
        price="83000",
        reduceOnly="true",
    )
    told(stream)
    desk.order(side="SELL", quantity="0.5", reduceOnly="true")
    first = told(stream)[0]["o"]
    assert (first["o"], first["X"], first["er"]) == ("LIMIT", "EXPIRED", "4")


def test_resting_reduce_only_orders_never_outgrow_the_position(desk: Desk) -> None:
    desk.order(side="BUY", quantity="0.5")
    limit = {"type": "LIMIT", "timeInForce": "GTC", "quantity": "0.2", "reduceOnly": "true"}
    first = desk.order(side="SELL", price="83000", **limit)
    second = desk.order(side="SELL", price="83100", **limit)
    with pytest.raises(Refused) as third:
        desk.order(side="SELL", price="83200", **limit)
    assert third.value.code == -2022
    with pytest.raises(Refused) as grown:
        desk.ask(
            "PUT",
            "/fapi/v1/order",
            symbol="BTCUSDT",
            side="SELL",
            orderId=first["orderId"],
            quantity="0.4",
            price="83000",
        )
    assert grown.value.code == -2022
    desk.order(side="SELL", quantity="0.2")  # shrinks the position without being reduce-only
    (left,) = desk.ask("GET", "/fapi/v1/openOrders")
    assert left["orderId"] == first["orderId"]
    gone = desk.ask("GET", "/fapi/v1/order", symbol="BTCUSDT", orderId=second["orderId"])
    assert gone["status"] == "EXPIRED"
    desk.price("84000")
    assert desk.positions() == {("BTCUSDT", "BOTH"): D("0.100")}


def test_or_the_account_refuses_it(desk: Desk) -> None:
    desk.control("account", reduceOnlyConflict="reject")
    desk.order(side="BUY", quantity="0.5")
    desk.order(
        side="SELL",
        type="LIMIT",
        timeInForce="GTC",
        quantity="0.5",
        price="83000",
        reduceOnly="true",
    )
    with pytest.raises(Refused) as refused:
        desk.order(side="SELL", quantity="0.5", reduceOnly="true")
    assert refused.value.code == -4118


def test_a_filled_client_id_protects_nothing_but_an_open_one_does(desk: Desk) -> None:
    desk.order(side="BUY", quantity="0.1", newClientOrderId="same")
    desk.order(side="BUY", quantity="0.1", newClientOrderId="same")
    assert desk.positions() == {("BTCUSDT", "BOTH"): D("0.200")}
    limit = {"type": "LIMIT", "timeInForce": "GTC", "quantity": "0.1", "price": "80000"}
    desk.order(side="BUY", newClientOrderId="same", **limit)
    with pytest.raises(Refused) as refused:
        desk.order(side="BUY", newClientOrderId="same", **limit)
    assert refused.value.code == -4116


def test_query_cancel_amend(desk: Desk) -> None:
    limit = {"type": "LIMIT", "timeInForce": "GTC", "quantity": "0.1", "price": "80000"}
    placed = desk.order(side="BUY", newClientOrderId="a", **limit)
    changed = desk.ask(
        "PUT",
        "/fapi/v1/order",
        symbol="BTCUSDT",
        side="BUY",
        orderId=placed["orderId"],
        quantity="0.2",
        price="80100",
    )
    assert (changed["origQty"], changed["price"]) == ("0.200", "80100.00")
    gone = desk.ask("DELETE", "/fapi/v1/order", symbol="BTCUSDT", origClientOrderId="a")
    assert gone["status"] == "CANCELED"
    found = desk.ask("GET", "/fapi/v1/order", symbol="BTCUSDT", origClientOrderId="a")
    assert found["status"] == "CANCELED"
    with pytest.raises(Refused) as again:
        desk.ask("DELETE", "/fapi/v1/order", symbol="BTCUSDT", origClientOrderId="a")
    assert again.value.code == -2011
    desk.wait(3 * 86_400_000 + 1)
    with pytest.raises(Refused) as forgotten:
        desk.ask("GET", "/fapi/v1/order", symbol="BTCUSDT", origClientOrderId="a")
    assert forgotten.value.code == -2013


def test_a_batch_answers_element_by_element(desk: Desk) -> None:
    good = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.1"}
    rows = desk.ask(
        "POST",
        "/fapi/v1/batchOrders",
        batchOrders=json.dumps([good, good | {"type": "STOP_MARKET"}, good | {"quantity": "0"}]),
    )
    assert [row.get("code") for row in rows] == [None, -4120, -4003]


def test_countdown_cancels_regular_orders_only(desk: Desk) -> None:
    desk.order(side="BUY", quantity="0.5")
    desk.algo(triggerPrice="80000", closePosition="true")
    desk.order(side="BUY", type="LIMIT", timeInForce="GTC", quantity="0.1", price="80000")
    desk.ask("POST", "/fapi/v1/countdownCancelAll", symbol="BTCUSDT", countdownTime=1000)
    desk.wait(999)
    assert len(desk.ask("GET", "/fapi/v1/openOrders")) == 1
    desk.wait(1)
    assert desk.ask("GET", "/fapi/v1/openOrders") == []
    assert len(desk.ask("GET", "/fapi/v1/openAlgoOrders")) == 1


def test_funding_is_paid_every_eight_hours(desk: Desk) -> None:
    desk.order(side="BUY", quantity="1")
    stream = desk.user_stream()
    market = desk.exchange.markets["BTCUSDT"]
    for _ in range(8 * 12):
        desk.wait(300_000)
        desk.raw("PUT", "/fapi/v1/listenKey")
        desk.simulation.hub.pong(stream)
    events = [e for e in told(stream) if e["e"] == "ACCOUNT_UPDATE"]
    assert len(events) == 1
    change = -(market.mark * market.funding_rate)
    assert (events[0]["a"]["m"], events[0]["a"]["S"]) == ("FUNDING_FEE", "BTCUSDT")
    assert (D(events[0]["a"]["B"][0]["bc"]), events[0]["a"]["P"]) == (change, [])


def test_liquidation_closes_at_the_mark_and_says_so(desk: Desk) -> None:
    desk.control("account", wallet="5000")
    desk.order(side="BUY", quantity="1")
    stream = desk.user_stream()
    (row,) = desk.ask("GET", "/fapi/v3/positionRisk")
    ruin = D(row["liquidationPrice"])
    assert 76000 < ruin < 77000
    desk.control("price", symbol="BTCUSDT", mark=str(ruin + 50))
    assert [e["e"] for e in told(stream)] == ["MARGIN_CALL"]
    desk.control("price", symbol="BTCUSDT", mark=str(ruin - 50))
    orders = [e["o"] for e in told(stream) if e["e"] == "ORDER_TRADE_UPDATE"]
    assert orders[-1]["c"].startswith("autoclose-")
    assert (orders[-1]["x"], orders[-1]["o"]) == ("CALCULATED", "LIQUIDATION")
    assert desk.positions() == {}
    assert desk.ask("GET", "/fapi/v1/forceOrders")[0]["type"] == "LIQUIDATION"


def test_isolated_margin_moves_with_the_position(desk: Desk) -> None:
    desk.ask("POST", "/fapi/v1/marginType", symbol="BTCUSDT", marginType="ISOLATED")
    desk.order(side="BUY", quantity="0.4")
    (row,) = desk.ask("GET", "/fapi/v3/positionRisk")
    assert row["isolatedWallet"] == "1624.00000000"  # 0.4 · 81200 / 20
    assert desk.ask("GET", "/fapi/v2/positionRisk", symbol="BTCUSDT")[0]["marginType"] == "isolated"
    desk.order(side="SELL", quantity="0.2", reduceOnly="true")
    (row,) = desk.ask("GET", "/fapi/v3/positionRisk")
    assert row["isolatedWallet"] == "812.00000000"


def test_somebody_else_opens_and_adl_closes(desk: Desk) -> None:
    stream = desk.user_stream()
    desk.control("position", symbol="ETHUSDT", quantity="-2")
    assert desk.positions() == {("ETHUSDT", "BOTH"): D("-2.000")}
    assert told(stream)[0]["o"]["c"].startswith("web_")
    desk.control("liquidate", symbol="ETHUSDT", how="adl")
    assert told(stream)[-1]["o"]["c"] == "adl_autoclose"
    assert desk.positions() == {}
