"""Each fault does what its name says, where the rule says, and as often."""

import json
from collections.abc import Callable
from typing import Any, TypeVar

import pytest

from reactor.sim.connection import Close, Connection
from reactor.sim.exchange import Exchange
from reactor.sim.faults import KINDS

from .trading_desk import Desk, Refused, told

ORDER = {"path": "/fapi/v1/order", "method": "POST"}
SHOWN: set[str] = set()
Test = TypeVar("Test", bound=Callable[..., Any])


def shows(*kinds: str) -> Callable[[Test], Test]:
    SHOWN.update(kinds)
    return lambda function: function


def names(connection: Connection) -> list[str]:
    return [e["e"] for e in told(connection)]


@shows("latency")
def test_latency_with_jitter(desk: Desk) -> None:
    desk.fault(do="latency", ms=100, jitter_ms=50, count=0, at={"path": "/fapi/v1/time"})
    delays = {desk.raw("GET", "/fapi/v1/time").delay_ms for _ in range(50)}
    assert min(delays) >= 100
    assert max(delays) <= 150
    assert len(delays) > 5


@shows("error", "error_after")
def test_an_error_before_and_after_execution(desk: Desk) -> None:
    desk.fault(do="error", code=-2022, at=ORDER)
    desk.fault(do="error_after", code=-1001, status=500, at=ORDER, after=1)
    with pytest.raises(Refused) as before:
        desk.order(side="BUY", quantity="0.1")
    assert (before.value.code, desk.positions()) == (-2022, {})
    desk.order(side="BUY", quantity="0.1")
    with pytest.raises(Refused) as after:
        desk.order(side="BUY", quantity="0.1")
    assert after.value.status == 500
    assert str(desk.positions()["BTCUSDT", "BOTH"]) == "0.200"


@shows("overload")
def test_an_overloaded_exchange_still_takes_what_only_closes(desk: Desk) -> None:
    desk.order(side="BUY", quantity="0.5")
    desk.fault(do="overload", count=0)
    with pytest.raises(Refused) as entry:
        desk.order(side="BUY", quantity="0.1")
    assert (entry.value.code, entry.value.status) == (-1008, 503)
    first = desk.ask("GET", "/fapi/v1/allOrders", symbol="BTCUSDT")[0]["orderId"]
    assert desk.ask("GET", "/fapi/v1/order", symbol="BTCUSDT", orderId=first)
    assert desk.order(side="SELL", quantity="0.5", reduceOnly="true")["status"] == "FILLED"
    with pytest.raises(Refused) as unreduced:
        desk.order(side="SELL", quantity="0.1")
    assert unreduced.value.code == -1008


@shows("unknown_executed", "unknown_lost", "lost")
def test_1007_after_executing_and_without(desk: Desk) -> None:
    for kind, quantity in (
        ("unknown_executed", "0.100"),
        ("unknown_lost", "0.100"),
        ("lost", "0.100"),
    ):
        desk.fault(do=kind, at=ORDER)
        with pytest.raises(Refused) as refused:
            desk.order(side="BUY", quantity="0.1", newClientOrderId=f"x-{kind}")
        assert refused.value.code == -1007
        assert str(desk.positions()["BTCUSDT", "BOTH"]) == quantity
    found = desk.ask(
        "GET", "/fapi/v1/order", symbol="BTCUSDT", origClientOrderId="x-unknown_executed"
    )
    assert found["status"] == "FILLED"
    with pytest.raises(Refused) as missing:
        desk.ask("GET", "/fapi/v1/order", symbol="BTCUSDT", origClientOrderId="x-unknown_lost")
    assert missing.value.code == -2013


@pytest.mark.parametrize(
    ("code", "status"),
    [(-1008, 503), (-1003, 429), (-1003, 418), (-1021, 400), (-1015, 429), (-1006, 500)],
)
def test_any_code_can_be_asked_for(desk: Desk, code: int, status: int) -> None:
    desk.fault(do="error", code=code, status=status, at={"path": "/fapi/v1/time"})
    with pytest.raises(Refused) as refused:
        desk.open("/fapi/v1/time")
    assert (refused.value.code, refused.value.status) == (code, status)


@shows("drop", "hang")
@pytest.mark.parametrize("executed", [True, False])
@pytest.mark.parametrize("how", ["close", "reset", "hang"])
def test_a_request_without_an_answer(desk: Desk, how: str, executed: bool) -> None:
    rule = {"do": "hang"} if how == "hang" else {"do": "drop", "how": how}
    desk.fault(**rule, executed=executed, at=ORDER)
    query = desk.signed({"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.1"})
    assert desk.raw("POST", "/fapi/v1/order", query).drop == how
    assert bool(desk.positions()) == executed


@shows("stale")
def test_rest_lags_behind_a_fill(desk: Desk) -> None:
    desk.fault(do="stale", ms=2000, count=0, at={"path": "/fapi/v3/positionRisk"})
    desk.wait(5000)
    desk.order(side="BUY", quantity="0.1")
    assert desk.positions() == {}
    desk.wait(1999)
    assert desk.positions() == {}
    desk.wait(1)
    assert str(desk.positions()["BTCUSDT", "BOTH"]) == "0.100"


def test_an_order_is_carried_out_now_whatever_answers_are_old(desk: Desk) -> None:
    """A rule for a path strikes all that goes there; only what is asked can be of a while ago."""
    desk.fault(do="stale", ms=2000, count=0, at={"path": "/fapi/v1/order"})
    desk.wait(5000)
    desk.order(side="BUY", quantity="0.1")
    desk.order(side="BUY", quantity="0.2")
    assert str(desk.positions()["BTCUSDT", "BOTH"]) == "0.300"


@shows("not_json")
def test_a_body_that_is_not_json(desk: Desk) -> None:
    desk.fault(do="not_json", at={"path": "/fapi/v1/time"})
    response = desk.raw("GET", "/fapi/v1/time")
    assert (response.status, response.body[:6]) == (200, b"<html>")


@shows("lose")
def test_a_lost_event(desk: Desk) -> None:
    stream = desk.user_stream()
    desk.fault(do="lose", at={"event": "ORDER_TRADE_UPDATE"}, after=1)
    desk.order(side="BUY", quantity="0.1")
    assert names(stream) == ["ORDER_TRADE_UPDATE", "TRADE_LITE", "ACCOUNT_UPDATE"]


@shows("delay")
def test_a_delayed_event(desk: Desk) -> None:
    stream = desk.user_stream()
    desk.fault(do="delay", ms=500, at={"event": "ACCOUNT_UPDATE"})
    desk.order(side="BUY", quantity="0.1")
    assert "ACCOUNT_UPDATE" not in names(stream)
    desk.wait(500)
    assert names(stream) == ["ACCOUNT_UPDATE"]


@shows("duplicate")
def test_a_duplicated_event(desk: Desk) -> None:
    stream = desk.user_stream()
    desk.fault(do="duplicate", at={"event": "ORDER_TRADE_UPDATE", "symbol": "BTC*"}, after=1)
    desk.order(side="BUY", quantity="0.1")
    events = told(stream)
    assert events[-1] == events[-2]
    assert len(events) == 5


@shows("reorder")
def test_events_reordered_across_types(desk: Desk) -> None:
    stream = desk.user_stream()
    desk.fault(do="reorder", at={"event": "ORDER_TRADE_UPDATE"})
    desk.order(side="BUY", quantity="0.1")
    assert names(stream) == [
        "TRADE_LITE",
        "ORDER_TRADE_UPDATE",
        "ACCOUNT_UPDATE",
        "ORDER_TRADE_UPDATE",
    ]


@shows("mute")
def test_a_stream_goes_mute_and_comes_back(desk: Desk) -> None:
    connection = desk.simulation.connect("/market/ws/btcusdt@aggTrade")
    assert connection is not None
    desk.fault(do="mute", ms=1000, at={"stream": "btcusdt@aggTrade"})
    desk.price("81000")
    desk.wait(999)
    desk.price("81100")
    assert told(connection) == []
    desk.wait(1)
    desk.price("81200")
    assert len(told(connection)) == 1


@pytest.mark.parametrize("how", ["close", "reset", "half_open"])
def test_a_socket_drops(desk: Desk, how: str) -> None:
    connection = desk.simulation.connect("/market/ws/btcusdt@aggTrade")
    assert connection is not None
    desk.fault(do="drop", how=how, at={"route": "market"}, after=1)
    desk.price("81000")
    assert len(told(connection)) == 1
    desk.price("81100")
    ends = [item for item in connection.pending if isinstance(item, Close)]
    assert connection.closed == (how != "half_open")
    assert [end.how for end in ends] == ([] if how == "half_open" else [how])
    desk.price("81200")
    assert told(connection) == []


@shows("listen_key_expire", "listen_key_delete")
@pytest.mark.parametrize(("do", "notices"), [("listen_key_expire", 1), ("listen_key_delete", 0)])
def test_the_listen_key_goes(desk: Desk, do: str, notices: int) -> None:
    stream = desk.user_stream()
    desk.fault(do=do, from_ms=1000)
    desk.wait(1000)
    assert len(told(stream)) == notices
    desk.order(side="BUY", quantity="0.1")
    assert told(stream) == []
    assert json.loads(desk.raw("PUT", "/fapi/v1/listenKey").body)["code"] == -1125


@shows("algo_invisible")
def test_an_algo_order_is_invisible_for_a_while(desk: Desk) -> None:
    desk.fault(do="algo_invisible", ms=3000)
    placed = desk.algo(triggerPrice="80000", quantity="0.1")
    by_id = {"algoId": placed["algoId"]}
    for method, code in (("GET", -2013), ("DELETE", -2011)):
        with pytest.raises(Refused) as refused:
            desk.ask(method, "/fapi/v1/algoOrder", **by_id)
        assert refused.value.code == code
    assert desk.ask("GET", "/fapi/v1/openAlgoOrders") == []
    desk.wait(3000)
    assert desk.ask("GET", "/fapi/v1/algoOrder", **by_id)["algoStatus"] == "NEW"


@shows("stuck_triggering")
def test_a_stop_stuck_in_triggering(desk: Desk) -> None:
    desk.order(side="BUY", quantity="0.1")
    desk.fault(do="stuck_triggering")
    stream = desk.user_stream()
    placed = desk.algo(triggerPrice="80000", closePosition="true")
    desk.price("79000")
    desk.wait(60_000)
    assert [e["o"]["X"] for e in told(stream)] == ["NEW", "TRIGGERING"]
    with pytest.raises(Refused) as refused:
        desk.ask("DELETE", "/fapi/v1/algoOrder", algoId=placed["algoId"])
    assert refused.value.code == -2011
    assert desk.positions() != {}


@shows("vanish")
@pytest.mark.parametrize("event", [True, False])
def test_a_stop_is_accepted_and_then_gone(desk: Desk, event: bool) -> None:
    desk.fault(do="vanish", ms=1500, event=event)
    stream = desk.user_stream()
    placed = desk.algo(triggerPrice="80000", quantity="0.1")
    desk.wait(1500)
    assert [e["o"]["X"] for e in told(stream)] == (["NEW", "CANCELED"] if event else ["NEW"])
    with pytest.raises(Refused) as refused:
        desk.ask("GET", "/fapi/v1/algoOrder", algoId=placed["algoId"])
    assert refused.value.code == -2013


@shows("trigger_delay", "trigger_reject")
def test_a_trigger_is_slow_or_rejected(desk: Desk) -> None:
    desk.fault(do="trigger_delay", ms=401)
    desk.fault(do="trigger_reject", text="margin not enough", at={"clientAlgoId": "second"})
    stream = desk.user_stream()
    desk.algo(triggerPrice="80000", quantity="0.1", clientAlgoId="first")
    desk.price("79000")
    told(stream)
    desk.wait(400)
    assert told(stream) == []
    desk.wait(1)
    assert told(stream)[0]["e"] == "ORDER_TRADE_UPDATE"
    desk.wait(100)
    desk.price("81000")
    desk.algo(triggerPrice="80000", quantity="0.1", clientAlgoId="second")
    desk.price("79000")
    desk.wait(100)
    assert told(stream)[-1]["o"]["rm"] == "margin not enough"


@shows("partial_fill")
def test_a_market_exit_fills_in_part(desk: Desk) -> None:
    desk.order(side="BUY", quantity="0.5")
    desk.fault(do="partial_fill", fraction=0.4, at={"side": "SELL"})
    answer = desk.order(side="SELL", quantity="0.5", reduceOnly="true")
    assert (answer["status"], answer["executedQty"]) == ("EXPIRED", "0.200")
    assert str(desk.positions()["BTCUSDT", "BOTH"]) == "0.300"


@shows("engine_delay")
def test_the_engine_is_late(desk: Desk) -> None:
    desk.fault(do="engine_delay", ms=6000)
    with pytest.raises(Refused) as refused:
        desk.order(side="BUY", quantity="0.1")
    assert refused.value.code == -5028


@shows("clock_skew")
def test_clock_skew(desk: Desk) -> None:
    before = desk.open("/fapi/v1/time")["serverTime"]
    desk.fault(do="clock_skew", ms=-7000)
    assert desk.open("/fapi/v1/time")["serverTime"] == before - 7000
    with pytest.raises(Refused) as refused:
        desk.order(side="BUY", quantity="0.1", timestamp=before)
    assert "ahead" in refused.value.text


@shows("maintenance", "ban")
def test_maintenance_and_ban(desk: Desk) -> None:
    connection = desk.user_stream()
    desk.fault(do="maintenance", ms=5000)
    assert connection.closed
    assert desk.raw("GET", "/fapi/v1/time").status == 503
    desk.wait(5000)
    assert desk.raw("GET", "/fapi/v1/time").status == 200
    desk.fault(do="ban", ms=5000)
    assert desk.raw("GET", "/fapi/v1/time").status == 418
    desk.wait(5000)
    assert desk.raw("GET", "/fapi/v1/time").status == 200


def test_reduce_only_rejects_by_parameter(desk: Desk) -> None:
    desk.order(side="BUY", quantity="0.5")
    desk.fault(do="error", code=-2022, count=2, at=ORDER | {"reduceOnly": "true"})
    for _ in range(2):
        with pytest.raises(Refused):
            desk.order(side="SELL", quantity="0.1", reduceOnly="true")
    assert desk.order(side="SELL", quantity="0.1", reduceOnly="true")["status"] == "FILLED"


def test_probability_is_seeded(make: Any) -> None:
    def run() -> list[int]:
        desk: Desk = make(seed=5)
        desk.fault(do="error", code=-1000, probability=0.5, count=0)
        return [desk.raw("GET", "/fapi/v1/ping").status for _ in range(40)]

    assert run() == run()
    assert {200, 400} == set(run())


def test_rules_end_and_are_listed_and_cleared(desk: Desk) -> None:
    desk.fault(do="latency", ms=5, from_ms=100, until_ms=200, count=0)
    assert desk.raw("GET", "/fapi/v1/ping").delay_ms == 0
    desk.wait(100)
    assert desk.raw("GET", "/fapi/v1/ping").delay_ms == 5
    desk.wait(100)
    assert desk.raw("GET", "/fapi/v1/ping").delay_ms == 0
    listed = desk.script("faults", {}, "GET")["rules"]
    assert [(row["seen"], row["hits"]) for row in listed] == [(1, 1)]
    desk.script("faults", {}, "DELETE")
    assert desk.script("faults", {}, "GET")["rules"] == []


@pytest.mark.parametrize(
    ("door", "body"),
    [
        ("funding", {"symbol": "BTCUSDT", "rate": 10**30}),
        ("price", {"symbol": "BTCUSDT", "price": "1e400"}),
        ("account", {"onlyReduce": []}),
        ("account", {"onlyReduce": -1}),
        ("symbol", {"symbol": "BTCUSDT", "positionControlSide": "UP"}),
    ],
)
def test_the_control_door_refuses_what_it_cannot_use(
    desk: Desk, door: str, body: dict[str, Any]
) -> None:
    with pytest.raises(Refused) as refused:
        desk.script(door, body)
    assert refused.value.status == 400
    assert "\n" not in str(refused.value.text)


@pytest.mark.parametrize(
    "script", [{}, [{}], [{"do": "nope"}], [{"do": "drop", "how": "x"}], [{"do": "lose", "x": 1}]]
)
def test_a_bad_script_is_refused_in_one_line(desk: Desk, script: Any) -> None:
    with pytest.raises(Refused) as refused:
        desk.script("faults", script)
    assert "\n" not in str(refused.value.text)


def test_every_kind_is_shown_above() -> None:
    assert SHOWN == KINDS


def test_faults_do_not_change_the_prices(desk: Desk) -> None:
    before = desk.exchange.random.getstate()
    desk.fault(do="latency", jitter_ms=10, ms=1, count=0)
    desk.raw("GET", "/fapi/v1/ping")
    assert desk.exchange.random.getstate() == before
    assert isinstance(desk.exchange, Exchange)
