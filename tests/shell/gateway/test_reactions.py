"""Every failure that the simulated exchange can produce, each with its one reaction, end to end."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from reactor.binance.failures import CODES as ROWS
from reactor.binance.failures import RESENDS, Reaction, reaction
from reactor.core.decisions import Reason
from reactor.sim.refusals import TABLE

from .trading_floor import Floor, play

ANY_ORDER = {"path": "/fapi/v1/order", "newClientOrderId": "xr-*"}

UNKNOWN_TO_ALL = -9999
CODES = sorted({row.code for row in ROWS} | set(TABLE) | {UNKNOWN_TO_ALL})
"""Every row of the table in docs/orders.md, everything that the simulated exchange says by itself, and one of tomorrow."""
CERTAIN = [code for code in CODES if code != -1007]  # -1007 has tests of its own

SENT_AGAIN_UNCHANGED = {
    Reaction.RESYNC,
    Reaction.PAUSE,
    Reaction.OTHER_ROUTE,
    Reaction.WAIT_RATE,
    Reaction.WAIT_BAN,
}
NOTHING_TO_MEND = {Reaction.READ_RULES, Reaction.READ_MODE}


def status_of(code: int) -> int:
    return TABLE.get(code, (400, ""))[0]


def text_of(code: int) -> str:
    return TABLE.get(code, (400, "An error."))[1].split("{", maxsplit=1)[0]


def wanted(code: int, *, full: bool) -> Reaction:
    return reaction(code=code, status=status_of(code), text=text_of(code), full=full)


def fail_once(floor: Floor, code: int, *, kind: str = "error", count: int = 1) -> None:
    floor.fault(do=kind, at=ANY_ORDER, code=code, text=text_of(code), count=count)


@pytest.mark.parametrize("over", ["ws_api", "rest"])
@pytest.mark.parametrize("code", CERTAIN)
def test_a_full_close_that_is_refused_once_is_done_all_the_same(code: int, over: str) -> None:
    async def story(floor: Floor) -> None:
        await floor.hold("0.4")
        fail_once(floor, code)
        floor.close_all()
        await floor.until(lambda: not floor.held)
        await asyncio.sleep(1)

    floor = play(story, orders={"over": over})
    kind = wanted(code, full=True)
    first = floor.exits[0].order_id
    sent = floor.sendings()
    if kind in SENT_AGAIN_UNCHANGED:
        assert sent == {first: 2}
        assert len(floor.exits) == 1
    elif kind is Reaction.IOC_AT_BOUND:
        assert sent == {first: 2}
        assert [one["params"]["type"] for one in floor.orders] == ["MARKET", "LIMIT"]
    else:
        # Refused, not to be mended, or unknown: the life-cycle sends it again under the next attempt's id.
        second = floor.exits[1]
        assert sent == {first: 1, second.order_id: 1}
        assert second.attempt == 1
        assert floor.orders[1]["t_ns"] - floor.orders[0]["t_ns"] >= 250_000_000
    asked = {answer.path for answer in floor.asked[2:]}
    assert ("/fapi/v1/order" in asked) == (kind in {Reaction.ASK, Reaction.DUPLICATE})
    assert ("/fapi/v1/exchangeInfo" in asked) == (kind is Reaction.READ_RULES)
    assert ("/fapi/v1/accountConfig" in asked) == (kind is Reaction.READ_MODE)
    assert ("/fapi/v1/openOrders" in asked) == (kind is Reaction.CANCEL_BLOCKING)
    refused = kind in {Reaction.REFUSED, *NOTHING_TO_MEND}
    assert ("order_refused" in floor.alarm_kinds()) == refused
    assert ("key_refused" in floor.alarm_kinds()) == (kind is Reaction.HALT)


@pytest.mark.parametrize("code", CERTAIN)
def test_a_rung_that_is_refused_is_never_sent_as_another_order(code: int) -> None:
    async def story(floor: Floor) -> None:
        await floor.hold("0.4")
        fail_once(floor, code)
        floor.take_profit()
        await asyncio.sleep(2.5)

    floor = play(story)
    kind = wanted(code, full=False)
    first = floor.exits[0]
    assert not first.full
    sent = floor.sendings()
    if kind in SENT_AGAIN_UNCHANGED:
        assert sent == {first.order_id: 2}
        assert floor.held == Decimal("0.2")
    else:
        assert sent == {first.order_id: 1}
        assert floor.held == Decimal("0.4")
        refused = kind not in {Reaction.ASK, Reaction.DUPLICATE}
        assert ("engine" in floor.alarm_kinds()) == refused
    assert len(floor.exits) == 1


@pytest.mark.parametrize("code", [-1000, -1001, -1006, -1007])
@pytest.mark.parametrize("kind", ["unknown_executed", "unknown_lost", "error_after"])
def test_a_full_close_of_unknown_outcome_is_asked_about(code: int, kind: str) -> None:
    async def story(floor: Floor) -> None:
        await floor.hold("0.4")
        fail_once(floor, code, kind=kind)
        floor.close_all()
        await floor.until(lambda: not floor.held)
        await asyncio.sleep(1)

    floor = play(story)
    first = floor.exits[0].order_id
    assert floor.sendings()[first] == 1
    assert len(floor.exits) == (2 if kind == "unknown_lost" else 1)
    if kind == "unknown_lost":
        assert any(answer.params.get("origClientOrderId") == first for answer in floor.asked)


@pytest.mark.parametrize("code", [-1000, -1001, -1006, -1007])
@pytest.mark.parametrize("kind", ["unknown_executed", "error_after"])
def test_a_rung_of_unknown_outcome_that_was_executed_happens_once(code: int, kind: str) -> None:
    async def story(floor: Floor) -> None:
        await floor.hold("0.4")
        fail_once(floor, code, kind=kind)
        floor.take_profit()
        await asyncio.sleep(20)
        floor.take_profit()
        await asyncio.sleep(1)

    floor = play(story)
    assert floor.sendings() == {floor.exits[0].order_id: 1}
    assert floor.held == Decimal("0.2")


def test_a_rung_that_was_lost_is_another_decision_only_after_its_absence_is_proved() -> None:
    async def story(floor: Floor) -> None:
        await floor.hold("0.4")
        fail_once(floor, -1007, kind="unknown_lost")
        floor.take_profit()
        await floor.until(lambda: floor.commands)
        floor.take_profit()
        await asyncio.sleep(1)

    floor = play(story)
    first, second = floor.exits
    assert first.number != second.number
    assert floor.sendings() == {first.order_id: 1, second.order_id: 1}
    assert floor.commands[0].event == "found_absent"
    # The exchange takes requests up to recvWindow old, and a second for clocks that differ.
    assert second.t_ns - first.t_ns >= 6_000_000_000
    assert floor.held == Decimal("0.2")


@pytest.mark.parametrize(
    ("status", "text", "code", "expected"),
    [
        (503, "Service Unavailable.", -1000, "again"),
        (503, "Internal error; unable to process your request. Please try again.", -1000, "again"),
        (503, "Unknown error, please check your request or try again later.", -1000, "asked"),
        (502, "Bad gateway", -1000, "asked"),
        (403, "Forbidden", -1000, "asked"),
        (418, "Way too much; IP banned until 1795000000100.", -1003, "again"),
        (429, "Too many requests.", -1003, "again"),
    ],
)
def test_a_status_has_its_reaction(status: int, text: str, code: int, expected: str) -> None:
    async def story(floor: Floor) -> None:
        await floor.hold("0.4")
        floor.fault(do="error", at=ANY_ORDER, code=code, status=status, text=text)
        floor.close_all()
        await floor.until(lambda: not floor.held)
        await asyncio.sleep(1)

    floor = play(story)
    first = floor.exits[0].order_id
    if expected == "again":
        assert floor.sendings() == {first: 2}
    else:
        assert floor.sendings()[first] == 1
        assert len(floor.exits) == 2


@pytest.mark.parametrize("kind", list(RESENDS))
def test_resends_are_bounded_and_then_count_as_refused(kind: Reaction) -> None:
    code = {
        Reaction.RESYNC: -1021,
        Reaction.PAUSE: -1008,
        Reaction.OTHER_ROUTE: -1016,
        Reaction.READ_RULES: -1111,
        Reaction.READ_MODE: -4061,
        Reaction.WAIT_RATE: -1015,
        Reaction.WAIT_BAN: -1003,
        Reaction.IOC_AT_BOUND: -4131,
    }[kind]
    text = "IP banned until 1795000000100." if kind is Reaction.WAIT_BAN else "No."

    async def story(floor: Floor) -> None:
        await floor.hold("0.4")
        floor.fault(do="error", at=ANY_ORDER, code=code, text=text, count=0)
        floor.close_all()
        await floor.until(lambda: len(floor.exits) > 1)

    floor = play(story)
    first = floor.exits[0].order_id
    mended = 0 if kind in NOTHING_TO_MEND else RESENDS[kind]
    assert floor.sendings()[first] == 1 + mended
    told = [one for one in floor.commands if one.order_id == first]
    assert [one.event for one in told] == ["rejected"]
    assert floor.gateway.given_up >= 1


def test_rules_that_changed_are_read_and_the_quantity_cut_by_them() -> None:
    async def story(floor: Floor) -> None:
        await floor.hold("0.417")
        floor.control("/sim/symbol", {"symbol": "BTCUSDT", "stepSize": "0.01"})
        floor.close_all()
        await floor.until(lambda: floor.held < Decimal("0.4"))

    floor = play(story)
    first = floor.exits[0].order_id
    assert floor.sendings()[first] == 2
    assert [one["params"]["quantity"] for one in floor.orders[:2]] == ["0.417", "0.41"]
    assert [one["id"][-3:] for one in floor.orders[:2]] == ["-00", "_01"]


def test_a_mode_that_changed_is_read_and_the_order_built_by_it() -> None:
    async def story(floor: Floor) -> None:
        await floor.hold("0.4")
        # As after a missed ACCOUNT_CONFIG_UPDATE: we believe in the other mode.
        floor.pump.account.hedge = True
        floor.close_all()
        await floor.until(lambda: not floor.held)

    floor = play(story)
    first = floor.exits[0].order_id
    assert floor.sendings() == {first: 2}
    assert "positionSide" in floor.orders[0]["params"]
    assert floor.orders[1]["params"]["reduceOnly"] == "true"


@pytest.mark.parametrize("side", ["LONG", "SHORT"])
def test_in_hedge_mode_the_side_is_named_and_reduce_only_is_not(side: str) -> None:
    async def story(floor: Floor) -> None:
        await floor.hold("0.4", side=side)
        floor.close_all(side)
        await floor.until(lambda: not floor.held)

    floor = play(story, hedge=True)
    params = floor.orders[0]["params"]
    assert params["positionSide"] == side
    assert "reduceOnly" not in params
    assert params["side"] == ("SELL" if side == "LONG" else "BUY")


def resting(floor: Floor, **more: Any) -> None:
    """A human's own take-profit order over the whole position, on his account's other client."""
    import hashlib
    import hmac
    from urllib.parse import urlencode

    from reactor.sim.rest import Request

    params = {
        "symbol": "BTCUSDT",
        "side": "SELL",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": "0.4",
        "price": "90000",
        "newClientOrderId": "by-hand",
        "timestamp": floor.simulation.exchange.server_ms,
        **more,
    }
    text = urlencode(params)
    signature = hmac.new(b"sim-secret", text.encode(), hashlib.sha256).hexdigest()
    response = floor.simulation.request(
        Request(
            method="POST",
            path="/fapi/v1/order",
            query=f"{text}&signature={signature}",
            headers={"x-mbx-apikey": "sim-key"},
        )
    )
    assert response.status == 200, response.body
    floor.driver.catch_up()


def blocked_close(*, cancel: bool, hedge: bool = False) -> Floor:
    async def story(floor: Floor) -> None:
        await floor.hold("0.4")
        if hedge:
            resting(floor, positionSide="LONG")
        else:
            floor.control("/sim/account", {"account": "main", "reduceOnlyConflict": "reject"})
            resting(floor, reduceOnly="true")
        floor.close_all()
        await asyncio.sleep(2)

    return play(story, hedge=hedge, orders={"cancel_blocking": cancel})


@pytest.mark.parametrize("hedge", [False, True])
def test_a_resting_order_that_blocks_a_full_close_is_cancelled_and_told(hedge: bool) -> None:
    floor = blocked_close(cancel=True, hedge=hedge)
    assert not floor.held
    assert "blocking_cancelled" in floor.alarm_kinds()
    assert len(floor.exits) == 2
    assert any("by-hand" in alarm.text for alarm in floor.alarms)


def test_it_is_left_where_the_configuration_says_so() -> None:
    floor = blocked_close(cancel=False)
    assert floor.held == Decimal("0.4")
    assert "blocking_found" in floor.alarm_kinds()
    assert len(floor.simulation.exchange.accounts["main"].orders) == 1


def test_a_rung_never_touches_the_orders_of_others() -> None:
    async def story(floor: Floor) -> None:
        await floor.hold("0.4")
        floor.control("/sim/account", {"account": "main", "reduceOnlyConflict": "reject"})
        resting(floor, reduceOnly="true")
        floor.take_profit()
        await asyncio.sleep(2)

    floor = play(story)
    assert floor.held == Decimal("0.4")
    assert len(floor.sendings()) == 1
    assert len(floor.simulation.exchange.accounts["main"].orders) == 1


def test_a_close_of_what_is_flat_already_ends_quietly() -> None:
    async def story(floor: Floor) -> None:
        await floor.hold("0.4")
        # The report of somebody's own close is lost.
        floor.fault(do="lose", at={"event": "*"}, count=0)
        floor.control("/sim/position", {"symbol": "BTCUSDT", "quantity": "-0.4"})
        await asyncio.sleep(1.5)
        floor.close_all()
        await asyncio.sleep(3)

    floor = play(story)
    assert ("BTCUSDT", "LONG") not in floor.pump.engine.positions
    assert "blocking_cancelled" not in floor.alarm_kinds()
    before = len(floor.orders)
    assert before <= 3
    assert floor.exits[0].reasons == (Reason.MANUAL,)
