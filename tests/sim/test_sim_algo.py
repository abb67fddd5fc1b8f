"""Conditional orders: the Algo service's life, its event order, and what it refuses."""

import json
from pathlib import Path
from typing import Any

import pytest

from .trading_desk import Desk, Refused, told

RECORDED = Path(__file__).parents[2] / "../shared/data/user_quantconnect/sessions.jsonl"


def outline(events: list[dict[str, Any]]) -> list[str]:
    """Return the order and algo events as words."""
    return [
        f"{e['e']} {e['o']['X']}" for e in events if e["e"] in {"ORDER_TRADE_UPDATE", "ALGO_UPDATE"}
    ]


def recorded(session: str) -> list[dict[str, Any]]:
    if not RECORDED.exists():
        pytest.skip("the recorded user events are not here")
    rows = [json.loads(line) for line in RECORDED.read_text().splitlines()]
    return [row["msg"] for row in rows if row["session"] == session]


def test_a_triggered_stop_tells_in_the_recorded_order(desk: Desk) -> None:
    real = recorded("WebSocketFutureStopMarketSubmitPartiallyFilledFilled")
    stream = desk.user_stream()
    desk.control("book", symbol="BTCUSDT", bid="81199.9", ask="81200", askQty="0.76")
    desk.algo(side="BUY", quantity="0.8", triggerPrice="81300", workingType="MARK_PRICE")
    desk.control("price", symbol="BTCUSDT", mark="81300")
    desk.wait(1000)
    assert outline(told(stream)) == outline(real)


def test_a_stop_limit_tells_triggered_before_its_fill(desk: Desk) -> None:
    stream = desk.user_stream()
    desk.algo(type="STOP", side="BUY", quantity="0.8", triggerPrice="81300", price="81250")
    desk.price("81300")
    desk.wait(1000)
    assert outline(told(stream)) == [
        "ALGO_UPDATE NEW",
        "ALGO_UPDATE TRIGGERING",
        "ORDER_TRADE_UPDATE NEW",
        "ALGO_UPDATE TRIGGERED",
    ]
    desk.price("81200")
    desk.wait(1000)
    assert outline(told(stream)) == ["ORDER_TRADE_UPDATE FILLED", "ALGO_UPDATE FINISHED"]


def test_the_child_order_carries_both_ids(desk: Desk) -> None:
    stream = desk.user_stream()
    placed = desk.algo(side="BUY", quantity="0.1", triggerPrice="81300", clientAlgoId="hs-1")
    desk.price("81300")
    desk.wait(100)
    child = next(e["o"] for e in told(stream) if e["e"] == "ORDER_TRADE_UPDATE")
    assert (child["c"], child["si"], child["ss"], child["st"]) == (
        "hs-1",
        placed["algoId"],
        -1,
        "ALGO_CONDITION",
    )
    found = desk.ask("GET", "/fapi/v1/algoOrder", clientAlgoId="hs-1")
    assert found["algoStatus"] == "FINISHED"
    assert found["actualOrderId"] == str(child["i"])


@pytest.mark.parametrize(
    ("kind", "side", "trigger", "price", "fires"),
    [
        ("STOP_MARKET", "SELL", "80000", "80000", True),
        ("STOP_MARKET", "SELL", "80000", "80000.1", False),
        ("STOP_MARKET", "BUY", "82000", "82000", True),
        ("TAKE_PROFIT_MARKET", "SELL", "82000", "82000", True),
        ("TAKE_PROFIT_MARKET", "SELL", "82000", "81999.9", False),
        ("TAKE_PROFIT_MARKET", "BUY", "80000", "80000", True),
    ],
)
def test_trigger_rules(
    desk: Desk, kind: str, side: str, trigger: str, price: str, fires: bool
) -> None:
    placed = desk.algo(type=kind, side=side, triggerPrice=trigger, quantity="0.1")
    desk.price(price)
    desk.wait(1000)
    found = desk.ask("GET", "/fapi/v1/algoOrder", algoId=placed["algoId"])
    assert (found["algoStatus"] == "FINISHED") == fires


def test_working_types_listen_to_their_own_price(desk: Desk) -> None:
    mark = desk.algo(triggerPrice="80000", quantity="0.1", workingType="MARK_PRICE")
    last = desk.algo(triggerPrice="80000", quantity="0.1", workingType="CONTRACT_PRICE")
    desk.price("79000", mark="81000")
    desk.wait(100)
    status = {
        a["algoId"]: a["algoStatus"]
        for a in desk.ask("GET", "/fapi/v1/allAlgoOrders", symbol="BTCUSDT")
    }
    assert (status[mark["algoId"]], status[last["algoId"]]) == ("NEW", "FINISHED")


def test_close_position_follows_the_position(desk: Desk) -> None:
    desk.order(side="BUY", quantity="0.5")
    placed = desk.algo(triggerPrice="80000", closePosition="true", workingType="MARK_PRICE")
    assert (placed["timeInForce"], placed["quantity"], placed["reduceOnly"]) == (
        "GTE_GTC",
        "0",
        True,
    )
    desk.order(side="BUY", quantity="0.7")
    desk.price("79900")
    desk.wait(100)
    assert desk.positions() == {}


def test_close_position_needs_a_position_and_only_one_a_kind(desk: Desk) -> None:
    with pytest.raises(Refused) as flat:
        desk.algo(triggerPrice="80000", closePosition="true")
    assert flat.value.code == -4509
    desk.algo(triggerPrice="80000", quantity="0.1")  # an explicit quantity is accepted while flat
    desk.order(side="BUY", quantity="0.5")
    desk.algo(triggerPrice="80000", closePosition="true")
    with pytest.raises(Refused) as second:
        desk.algo(triggerPrice="79000", closePosition="true")
    assert second.value.code == -4130
    desk.algo(type="TAKE_PROFIT_MARKET", triggerPrice="83000", closePosition="true")


def test_gte_orders_expire_with_the_position_and_plain_ones_stay(desk: Desk) -> None:
    desk.order(side="BUY", quantity="0.5")
    gte = desk.algo(triggerPrice="80000", closePosition="true")
    plain = desk.algo(triggerPrice="80000", quantity="0.5", reduceOnly="true")
    stream = desk.user_stream()
    desk.order(side="SELL", quantity="0.5", reduceOnly="true")
    desk.wait(100)
    ends = [e["o"] for e in told(stream) if e["e"] == "ALGO_UPDATE"]
    assert [(e["aid"], e["X"]) for e in ends] == [(gte["algoId"], "EXPIRED")]
    (left,) = desk.ask("GET", "/fapi/v1/openAlgoOrders")
    assert left["algoId"] == plain["algoId"]
    desk.price("79000")
    desk.wait(100)
    last = told(stream)[-1]["o"]
    assert (last["X"], last["rm"]) == ("REJECTED", "ReduceOnly Order is rejected.")


def test_a_stop_without_margin_is_accepted_and_rejected_when_it_fires(desk: Desk) -> None:
    stream = desk.user_stream()
    desk.algo(side="BUY", quantity="100", triggerPrice="82000")
    desk.price("82000")
    desk.wait(100)
    last = told(stream)[-1]["o"]
    assert (last["X"], last["rm"], last["ai"]) == ("REJECTED", "margin not enough", "")


def test_cancel_and_its_late_cases(desk: Desk) -> None:
    placed = desk.algo(triggerPrice="80000", quantity="0.1")
    answer = desk.ask("DELETE", "/fapi/v1/algoOrder", algoId=placed["algoId"])
    assert answer == {
        "algoId": placed["algoId"],
        "clientAlgoId": placed["clientAlgoId"],
        "code": "200",
        "msg": "success",
    }
    for code, wait in ((-4117, 0), (-2011, 1000)):
        late = desk.algo(triggerPrice="80000", quantity="0.1")
        desk.price("79000")
        desk.wait(wait)
        with pytest.raises(Refused) as refused:
            desk.ask("DELETE", "/fapi/v1/algoOrder", algoId=late["algoId"])
        assert refused.value.code == code
        desk.wait(1000)
        desk.price("81200")


def test_trailing_follows_the_peak(desk: Desk) -> None:
    desk.order(side="BUY", quantity="0.1")
    placed = desk.algo(
        type="TRAILING_STOP_MARKET",
        quantity="0.1",
        callbackRate="1",
        activatePrice="82000",
        reduceOnly="true",
    )
    for price in ("81000", "82000", "84000", "83161"):
        desk.price(price)
        desk.wait(50)
    assert desk.ask("GET", "/fapi/v1/algoOrder", algoId=placed["algoId"])["algoStatus"] == "NEW"
    desk.price("83160")
    desk.wait(50)
    assert desk.positions() == {}


def test_price_protect_keeps_a_stop_from_firing_on_a_torn_market(desk: Desk) -> None:
    placed = desk.algo(triggerPrice="80000", quantity="0.1", priceProtect="true")
    desk.price("70000", mark="81000")
    desk.wait(100)
    found = desk.ask("GET", "/fapi/v1/algoOrder", algoId=placed["algoId"])
    assert found["algoStatus"] == "NEW"


def test_hedge_legs_have_their_own_stops(hedged: Desk) -> None:
    hedged.order(side="BUY", positionSide="LONG", quantity="0.5")
    hedged.order(side="SELL", positionSide="SHORT", quantity="0.5")
    hedged.algo(side="SELL", positionSide="LONG", triggerPrice="80000", closePosition="true")
    short = hedged.algo(
        side="BUY", positionSide="SHORT", triggerPrice="82000", closePosition="true"
    )
    hedged.price("79900")
    hedged.wait(100)
    assert list(hedged.positions()) == [("BTCUSDT", "SHORT")]
    (left,) = hedged.ask("GET", "/fapi/v1/openAlgoOrders")
    assert left["algoId"] == short["algoId"]
