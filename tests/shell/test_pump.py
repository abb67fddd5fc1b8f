"""The pump: frames, answers, commands and socket states, each to the call of the engine that it means."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from reactor.binance.orders import client_order_id, parse_client_order_id
from reactor.binance.user_messages import OrderTradeUpdate
from reactor.core.decisions import Alarm, Decision, Exit, OutcomeAsked
from reactor.core.engine import Engine
from reactor.core.ladder import Filters
from reactor.core.orders import Fills
from reactor.core.plan import plan_from_toml
from reactor.replay.lines import line_of
from reactor.shell import recorded
from reactor.shell.pump import Pump

D = Decimal
T0_NS = 1_790_000_000_000_000_000
SECOND_NS = 1_000_000_000
STOP_1 = "[stop]\npct = 0.01\n"


def ms(second: float) -> int:
    return T0_NS // 1_000_000 + round(second * 1000)


class Rig:
    """A pump in front of an engine; every call takes tape lines and answers with what was decided."""

    def __init__(self, tables: str = STOP_1, *, trigger: str = "last", follow: bool = True) -> None:
        plan = plan_from_toml(f'name = "mine"\ntrigger = "{trigger}"\n{tables}', source="here")
        self.engine = Engine(
            plan_for=lambda _symbol, _side: plan,
            filters_for=lambda symbol: self.pump.filters.get(symbol, Filters()),
            fills=Fills.REPORTED,
        )
        self.notes: list[tuple[str, str]] = []
        self.pump = Pump(
            self.engine,
            note=lambda kind, text: self.notes.append((kind, text)),
            follow_account=follow,
        )
        self.decisions: list[Decision] = []
        self.number = 1

    def feed(self, *lines: dict[str, Any]) -> list[str]:
        raw = [json.dumps(one).encode() for one in lines]
        heard: list[Decision] = []
        self.pump.feed(self.number, raw, heard.extend)
        self.number += len(raw)
        return self.hear(heard)

    def finish(self) -> list[str]:
        return self.hear(list(self.pump.finish()))

    def hear(self, heard: list[Decision]) -> list[str]:
        self.decisions += heard
        return [text for decision in heard if (text := said(decision))]

    def last_exit(self) -> Exit:
        return next(one for one in reversed(self.decisions) if isinstance(one, Exit))

    @property
    def held(self) -> dict[str, str]:
        return {
            f"{symbol} {side}": f"{machine.orders.quantity} @ {machine.entry}"
            for (symbol, side), machine in self.engine.positions.items()
        }


def said(decision: Decision) -> str:
    """A decision in a few words; cancelled orders are left out."""
    if isinstance(decision, OutcomeAsked):
        return "asked"
    if isinstance(decision, Alarm):
        return f"alarm {decision.what}"
    shown: Any = line_of(decision)
    if shown is None:
        return ""
    second = (shown["t"] - T0_NS) / SECOND_NS
    what = {
        "opened": lambda: f"{shown['quantity']} @ {shown['entry']} stop {shown['stop']}",
        "stop": lambda: f"{shown['kind']} {shown['stop']}",
        "exit": lambda: f"{'+'.join(shown['reasons'])} {shown['quantity']} @ {shown['price']}",
        "closed": lambda: f"{shown['reason']} {shown['realized']}",
    }[shown["type"]]()
    return f"{second:g} {shown['type']} {shown['side']} {what}"


def line(second: float, message: Any, channel: str = "market", **more: Any) -> dict[str, Any]:
    return {"t": T0_NS + round(second * SECOND_NS), "c": channel, "m": message} | more


def tick(second: float, price: str, *, symbol: str = "BTCUSDT") -> dict[str, Any]:
    number = round(second * 1000)
    return line(second, {"e": "aggTrade", "s": symbol, "p": price, "a": number, "T": ms(second)})


def account(
    second: float, *rows: dict[str, Any], t_event: float | None = None, **more: Any
) -> dict[str, Any]:
    at = ms(second if t_event is None else t_event)
    event = {"e": "ACCOUNT_UPDATE", "E": at + 1, "T": at, "a": {"m": "ORDER", "P": rows} | more}
    return line(second, event, "private")


def row(amount: str, entry: str = "0", *, side: str = "BOTH", profit: str = "0") -> dict[str, Any]:
    return {"s": "BTCUSDT", "pa": amount, "ep": entry, "ps": side, "cr": profit}


def order(second: float, quantity: str, price: str, number: int, **more: Any) -> dict[str, Any]:
    """A fill; a SELL of somebody else's order unless told otherwise."""
    body = {"s": "BTCUSDT", "c": "web_1", "S": "SELL", "o": "MARKET", "i": 7, "x": "TRADE"}
    body |= {"X": "FILLED", "q": quantity, "z": quantity, "l": quantity, "L": price, "t": number}
    body |= {"T": ms(second), "ps": "BOTH", "rp": "0", "n": "0", "N": "USDT"}
    event = {"e": "ORDER_TRADE_UPDATE", "E": ms(second) + 1, "T": ms(second), "o": body | more}
    return line(second, event, "private")


def rest(
    second: float, path: str, body: Any, *, status: int = 200, **params: Any
) -> dict[str, Any]:
    answer = {"method": "GET", "path": path, "params": params, "status": status, "body": body}
    return line(second, answer, "rest")


def risk_row(
    amount: str, entry: str = "0.0", *, side: str = "BOTH", at: float = 0, **more: Any
) -> Any:
    shown = {"symbol": "BTCUSDT", "positionSide": side, "positionAmt": amount, "entryPrice": entry}
    return shown | {"updateTime": ms(at) if at else 0} | more


# Positions and fills, in either order -------------------------------------------------------------


@pytest.mark.parametrize("fill_first", [False, True])
def test_a_position_lives_by_its_reports_and_is_priced_by_its_fills(fill_first: bool) -> None:
    rig = Rig()

    def both(report: Any, fill: Any) -> list[str]:
        return rig.feed(*((fill, report) if fill_first else (report, fill)))

    opening = both(account(0, row("2", "100")), order(0, "2", "100", 1, S="BUY"))
    assert opening == ["0 opened LONG 2 @ 100 stop 99"]
    assert rig.feed(tick(1, "100"), tick(2, "101")) == []
    assert both(account(3, row("1", "100")), order(3, "1", "101", 2, rp="1")) == []
    assert rig.held == {"BTCUSDT LONG": "1 @ 100"}
    assert rig.feed(tick(4, "98.9")) == ["4 exit LONG stop_loss 1 @ 98.9"]
    ours = rig.last_exit().order_id
    closing = both(account(5, row("0")), order(5, "1", "98.8", 3, c=ours, rp="-1.2"))
    assert closing == ["5 closed LONG stop_loss -0.2"]
    assert rig.held == {}


@pytest.mark.parametrize("fill_first", [False, True])
def test_several_fills_of_one_millisecond(fill_first: bool) -> None:
    reports = [
        account(0, row("1", "100")),
        account(0, row("3", "100.2")),
        account(0, row("4", "100")),
    ]
    fills = [
        order(0, amount, price, n, S="BUY", X="PARTIALLY_FILLED")
        for n, (amount, price) in enumerate([("1", "100"), ("2", "100.3"), ("1", "99.4")], 1)
    ]
    pairs = zip(fills, reports, strict=True) if fill_first else zip(reports, fills, strict=True)
    rig = Rig()
    rig.feed(*[one for pair in pairs for one in pair])
    assert rig.held == {"BTCUSDT LONG": "4 @ 100"}
    assert len([one for one in rig.decisions if type(one).__name__ == "Opened"]) == 1


def test_two_sockets_bring_everything_twice() -> None:
    once = [
        account(0, row("2", "100")),
        order(0, "2", "100", 1, S="BUY"),
        account(1, row("1", "100", profit="3")),
        order(1, "1", "103", 2, rp="3"),
        account(2, row("0", profit="5")),
        order(2, "1", "102", 3, rp="2"),
    ]
    single, double = Rig(), Rig()
    expected = single.feed(*once)
    assert expected == ["0 opened LONG 2 @ 100 stop 99", "2 closed LONG external 5"]
    twice = [{**one, "t": one["t"] + late} for one in once for late in (0, 400_000)]
    assert double.feed(*twice) == expected


def test_a_report_that_comes_late_is_not_believed() -> None:
    rig = Rig()
    rig.feed(account(0, row("2", "100")), account(5, row("3", "101")))
    assert rig.feed(account(6, row("2", "100"), t_event=0.5)) == []
    assert rig.held == {"BTCUSDT LONG": "3 @ 101"}


def test_a_flip_ends_one_life_and_begins_another() -> None:
    rig = Rig()
    rig.feed(account(0, row("1", "100")), tick(1, "100"))
    assert rig.feed(account(2, row("-2", "101"))) == [
        "2 closed LONG flip None",
        "2 opened SHORT 2 @ 101 stop 102.01",
    ]
    # Its fill belongs to neither of them now.
    assert rig.feed(order(2, "3", "101", 9, rp="1")) == []
    assert rig.held == {"BTCUSDT SHORT": "2 @ 101"}


def test_hedged_sides_are_kept_apart() -> None:
    rig = Rig()
    modes = [rig.pump.account.hedge]
    assert rig.feed(account(0, row("2", "100", side="LONG"), row("-1", "100", side="SHORT"))) == [
        "0 opened LONG 2 @ 100 stop 99",
        "0 opened SHORT 1 @ 100 stop 101",
    ]
    modes.append(rig.pump.account.hedge)
    assert modes == [False, True]
    # The row of the other mode is there too, and flat.
    assert rig.feed(account(1, row("0", side="BOTH"))) == []
    rig.feed(account(2, row("0", side="LONG")))
    assert rig.feed(order(2, "2", "103", 4, ps="LONG", rp="6")) == ["2 closed LONG external 6"]
    assert rig.held == {"BTCUSDT SHORT": "1 @ 100"}


def test_the_account_is_left_alone_where_positions_are_simulated() -> None:
    rig = Rig(follow=False)
    assert rig.feed(account(0, row("2", "100")), order(0, "2", "100", 1, S="BUY")) == []
    assert rig.feed(rest(1, "/fapi/v3/positionRisk", [risk_row("2", "100")])) == []
    assert rig.held == {}


# Who ended it -------------------------------------------------------------------------------------

OURS = client_order_id(
    instance="desk",
    symbol="BTCUSDT",
    side="LONG",
    epoch_opened_ns=T0_NS,
    epoch_number=1,
    decision=1,
)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({}, "external"),
        ({"c": "autoclose-1790000000"}, "liquidation"),
        ({"o": "LIQUIDATION", "x": "CALCULATED", "X": "NEW"}, "liquidation"),
        ({"c": "adl_autoclose"}, "adl"),
        ({"c": "settlement_autoclose-1"}, "external"),
        ({"c": OURS, "si": 2000000009001, "ss": -1, "st": "ALGO_CONDITION"}, "hard_stop"),
        ({"c": "theirs", "si": 2000000009001, "st": "ALGO_CONDITION"}, "external"),
    ],
)
@pytest.mark.parametrize("fill_first", [False, True])
def test_an_end_is_called_by_the_order_that_made_it(
    more: dict[str, Any], reason: str, fill_first: bool
) -> None:
    rig = Rig()
    rig.feed(account(0, row("1", "100")), tick(1, "100"))
    fill, report = order(2, "1", "97", 5, rp="-3", **more), account(2, row("0"))
    assert rig.feed(*((fill, report) if fill_first else (report, fill))) == [
        f"2 closed LONG {reason} -3"
    ]


def test_a_late_fill_names_an_end_within_a_second() -> None:
    rig = Rig()
    rig.feed(account(0, row("1", "100")), tick(1, "100"), account(2, row("0")))
    assert rig.feed(tick(2.5, "100"), order(2.999, "1", "97", 5, rp="-3", c="adl_autoclose")) == [
        "2 closed LONG adl -3"
    ]


def test_without_its_fill_an_end_is_external_after_a_second_whatever_comes() -> None:
    others: list[dict[str, Any]] = [
        tick(3.2, "100"),
        tick(3.2, "100", symbol="ETHUSDT"),
        line(3.2, {"e": "depthUpdate"}),
        line(3.2, {"state": "up"}, "link"),
        account(3.2, reason="x"),
    ]
    for other in others:
        rig = Rig()
        rig.feed(account(0, row("1", "100")), tick(1, "100"), account(2, row("0")))
        assert rig.feed(other) == ["2 closed LONG external None"], other
        # Its fill, later still, is nobody's.
        assert rig.feed(order(4, "1", "97", 5, rp="-3")) == []


@pytest.mark.parametrize("looks", [(5.0,), (3.0, 3.5, 5.0), (3.2, 4.0, 5.0)])
def test_however_late_the_clock_is_looked_at_what_is_due_first_comes_first(
    looks: tuple[float, ...],
) -> None:
    rig = Rig(f"{STOP_1}[time_stop]\nseconds = 2.5\n")
    ended = row("1", "100", side="LONG")
    rig.feed(account(0, ended), account(1, row("-1", "100", side="SHORT")), tick(1, "100"))
    rig.feed(account(2, row("0", side="LONG")))
    told = [
        said(one) for second in looks for one in rig.pump.on_time(T0_NS + round(second * SECOND_NS))
    ]
    assert told == ["2 closed LONG external None", "3.5 exit SHORT time_stop 1 @ 100"]


def test_an_end_at_the_end_of_the_input_is_told() -> None:
    rig = Rig()
    rig.feed(account(0, row("1", "100")), tick(1, "100"), account(2, row("0")))
    assert rig.finish() == ["2 closed LONG external None"]
    assert rig.finish() == []


def test_the_fill_of_any_slice_of_our_exit_names_it() -> None:
    rig = Rig()
    ids: dict[int, str] = {}
    # The replay of a live instance names orders as that instance did.
    rig.engine._order_ids = lambda *_: OURS
    rig.feed(account(0, row("2", "100")), tick(1, "100"), tick(2, "98"))
    for number in (0, 1):
        ids[number] = recorded.slice_id(OURS, number)
        rig.feed(order(3, "1", "98", 10 + number, rp="-2", c=ids[number], X="PARTIALLY_FILLED"))
    assert rig.feed(account(3, row("0"))) == ["3 closed LONG stop_loss -4"]


@pytest.mark.parametrize("number", [0, 1, 9, 10, 35, 36, 49])
def test_a_slices_id_differs_in_its_number_alone(number: int) -> None:
    one = recorded.slice_id(OURS, number)
    parts, whole = parse_client_order_id(one), parse_client_order_id(OURS)
    assert parts is not None
    assert whole is not None
    assert parts.part == number
    assert (parts.decision, parts.attempt, parts.epoch) == (
        whole.decision,
        whole.attempt,
        whole.epoch,
    )
    assert recorded.slice_id(one, 0) == OURS
    assert recorded.slice_id("web_1", number) == "web_1"


# Fills --------------------------------------------------------------------------------------------


def fill_of(**more: Any) -> OrderTradeUpdate:
    from reactor.binance.decode import decode_user

    event = decode_user(json.dumps(order(0, "1", "100", 1, **more)["m"]).encode())
    assert isinstance(event, OrderTradeUpdate)
    return event


@pytest.mark.parametrize(
    ("more", "is_one"),
    [
        ({}, True),
        ({"x": "CALCULATED", "X": "NEW"}, True),
        ({"x": "NEW"}, False),
        ({"x": "CANCELED", "X": "CANCELED"}, False),
        ({"x": "EXPIRED", "X": "EXPIRED"}, False),
        ({"x": "AMENDMENT"}, False),
        ({"x": "NEW", "l": "0"}, False),
        ({"x": "NEW_ADL"}, True),
    ],
)
def test_what_is_a_fill(more: dict[str, Any], is_one: bool) -> None:
    assert recorded.is_fill(fill_of(**more).order) is is_one


@pytest.mark.parametrize(
    ("more", "paid"),
    [
        ({"n": "0.05", "N": "USDT"}, "0.05"),
        ({"n": "-0.01", "N": "USDT"}, "-0.01"),
        ({"n": "0.0001", "N": "BNB"}, "0"),
        ({"n": "0.05", "N": None}, "0"),
        ({"n": None}, "0"),
    ],
)
def test_a_commission_counts_in_the_quote_asset(more: dict[str, Any], paid: str) -> None:
    trade = recorded.trade_of(fill_of(**more).order, ms(0), T0_NS)
    assert trade.commission == D(paid)


def test_an_order_that_could_only_reduce_says_so() -> None:
    for more in ({"R": True}, {"cp": True}):
        assert recorded.trade_of(fill_of(**more).order, 0, 0).reduce_only
    assert not recorded.trade_of(fill_of().order, 0, 0).reduce_only


def test_a_trade_lite_is_not_a_second_fill() -> None:
    rig = Rig()
    lite = {"e": "TRADE_LITE", "E": ms(1), "T": ms(1), "s": "BTCUSDT", "c": "x", "S": "BUY", "i": 7}
    lite |= {"t": 1, "L": "100", "l": "1", "q": "1"}
    assert rig.feed(line(1, lite, "private"), order(1, "1", "100", 1, S="BUY")) == [
        "1 opened LONG 1 @ 100 stop 99"
    ]
    assert rig.held == {"BTCUSDT LONG": "1 @ 100"}


def test_funding_of_a_position_moves_its_costs() -> None:
    rig = Rig(STOP_1 + '[break_even]\nat_r = 1\noffset = "costs"\n')
    rig.feed(account(0, row("2", "100")), tick(1, "100"))
    funding = account(2, m="FUNDING_FEE", S="BTCUSDT", B=[{"a": "USDT", "wb": "9", "bc": "-0.4"}])
    assert rig.feed(funding, tick(3, "101")) == ["3 stop LONG break_even 100.25"]


# Snapshots ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [2, 3])
def test_a_snapshot_opens_reduces_and_ends(version: int) -> None:
    path = f"/fapi/v{version}/positionRisk"
    rig = Rig(
        "[stop]\npct = 0.2\n[guards]\nliquidation_buffer_pct = 0.01\nmax_loss_margin_pct = 0.5\n"
    )
    first = risk_row(
        "2", "100", at=1, liquidationPrice="90", initialMargin="12", marginAsset="USDT"
    )
    assert rig.feed(rest(2, path, [first])) == ["2 opened LONG 2 @ 100 stop 80"]
    rig.feed(rest(3, path, [risk_row("1", "100", at=3)]))
    assert rig.held == {"BTCUSDT LONG": "1 @ 100"}
    # 6 of margin a unit: half of it is lost at 97.
    assert rig.feed(tick(4, "100"), tick(5, "97.1"), tick(6, "97")) == [
        "6 exit LONG loss_guard 1 @ 97"
    ]
    # Version 3 leaves flat symbols out, version 2 lists them without a time.
    flat = [] if version == 3 else [risk_row("0")]
    assert rig.feed(rest(7, path, flat)) == []
    assert rig.held == {}
    assert rig.feed(tick(9, "97")) == ["7 closed LONG loss_guard None"]


def test_a_snapshot_of_one_symbol_says_nothing_of_another() -> None:
    rig = Rig()
    rig.feed(account(0, row("1", "100")))
    assert rig.feed(rest(5, "/fapi/v3/positionRisk", [], symbol="ETHUSDT")) == []
    assert rig.held == {"BTCUSDT LONG": "1 @ 100"}
    rig.feed(rest(6, "/fapi/v3/positionRisk", [], symbol="BTCUSDT"))
    assert rig.held == {}


def test_a_snapshot_in_hedge_mode_lists_three_rows_a_symbol() -> None:
    rig = Rig()
    rows = [
        risk_row("0"),
        risk_row("2", "100", side="LONG", at=1),
        risk_row("-1", "99", side="SHORT", at=1),
    ]
    for rows_in_order in (rows, rows[::-1]):
        rig.feed(rest(2, "/fapi/v2/positionRisk", rows_in_order))
        assert rig.held == {"BTCUSDT LONG": "2 @ 100", "BTCUSDT SHORT": "1 @ 99"}
        assert rig.pump.account.hedge


def test_a_snapshot_that_was_on_its_way_does_not_undo_a_report() -> None:
    rig = Rig()
    rig.feed(rest(0, "/fapi/v3/positionRisk", []), account(5, row("1", "100")))
    # Asked before, answered after: neither a missing row nor an older one.
    assert rig.feed(rest(5.2, "/fapi/v3/positionRisk", [])) == []
    assert rig.feed(rest(5.3, "/fapi/v3/positionRisk", [risk_row("3", "90", at=4)])) == []
    assert rig.held == {"BTCUSDT LONG": "1 @ 100"}
    # Answers lag behind reports: one that misses a position just heard of is asked again, not believed.
    rig.feed(rest(7, "/fapi/v3/positionRisk", []))
    assert rig.held == {"BTCUSDT LONG": "1 @ 100"}
    rig.feed(rest(11, "/fapi/v3/positionRisk", []))
    assert rig.held == {}


def test_one_bad_row_spoils_a_snapshot_whole_for_what_is_missing_reads_as_flat() -> None:
    rig = Rig()
    rig.feed(account(0, row("1", "100")))
    bad = rest(5, "/fapi/v3/positionRisk", [{"symbol": "ETHUSDT"}])
    assert rig.feed(bad) == []
    assert rig.held == {"BTCUSDT LONG": "1 @ 100"}
    assert rig.pump.skipped == 1


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/fapi/v1/positionSide/dual", {"dualSidePosition": True}),
        ("/fapi/v1/accountConfig", {"dualSidePosition": "true", "canTrade": True}),
    ],
)
def test_the_position_mode_is_learnt(path: str, body: Any) -> None:
    rig = Rig()
    modes = []
    for told in (rest(0, path, body), account(1, row("1", "100"))):
        rig.feed(told)
        modes.append(rig.pump.account.hedge)
    assert modes == [True, False]


# Order answers ------------------------------------------------------------------------------------


def request(second: float, order_id: str, number: int | str = 1) -> dict[str, Any]:
    params = {"symbol": "BTCUSDT", "newClientOrderId": order_id, "quantity": "1"}
    message = {"id": number, "method": "order.place", "params": params}
    return line(second, message, "order", d="out")


def answer(second: float, number: int | str = 1, **more: Any) -> dict[str, Any]:
    return line(second, {"id": number, **more}, "order")


def closing() -> tuple[Rig, str]:
    """A LONG whose stop was just sent."""
    rig = Rig()
    rig.feed(account(0, row("1", "100")), tick(1, "100"), tick(2, "98"))
    order_id = rig.last_exit().order_id
    rig.feed(request(2, order_id))
    return rig, order_id


def test_a_filled_close_is_done_when_the_position_says_so() -> None:
    rig, order_id = closing()
    result = {
        "symbol": "BTCUSDT",
        "clientOrderId": order_id,
        "status": "FILLED",
        "executedQty": "1",
    }
    assert rig.feed(answer(2.1, status=200, result=result), account(2.2, row("0"))) == []
    assert rig.feed(order(2.3, "1", "98", 4, rp="-2", c=order_id)) == [
        "2.2 closed LONG stop_loss -2"
    ]


def test_a_refused_close_is_sent_again() -> None:
    rig, _ = closing()
    refusal = answer(2.1, status=400, error={"code": -2019, "msg": "Margin is insufficient."})
    assert rig.feed(refusal) == []
    assert rig.feed(tick(2.4, "98")) == ["2.35 exit LONG stop_loss 1 @ 98"]


@pytest.mark.parametrize(
    "told",
    [
        {"status": 400, "error": {"code": -1007, "msg": "Timeout"}},
        {"status": 400, "error": {"code": -1006}},
        {"status": 400, "error": {"code": -1001}},
        {"status": 503, "error": {"code": -9999}},
        {"status": 504},
    ],
)
def test_an_answer_that_tells_nothing_is_asked_about(told: dict[str, Any]) -> None:
    rig, _ = closing()
    assert rig.feed(answer(2.1, **told)) == ["asked"]


@pytest.mark.parametrize(
    "strange",
    [
        answer(2.1, number=99, status=400, error={"code": -2019}),
        answer(2.1, status=200),
        answer(2.1, status=200, result={"symbol": "BTCUSDT", "status": "SOMETHING"}),
        answer(2.1, status=200, result={}),
    ],
)
def test_an_answer_to_nothing_changes_nothing(strange: dict[str, Any]) -> None:
    rig, _ = closing()
    assert rig.feed(strange, tick(2.2, "98")) == []
    assert rig.pump.skipped == 0


def test_an_answer_with_a_quantity_that_is_none_is_told() -> None:
    rig, order_id = closing()
    result = {
        "symbol": "BTCUSDT",
        "clientOrderId": order_id,
        "status": "FILLED",
        "executedQty": "x",
    }
    assert rig.feed(answer(2.1, status=200, result=result)) == []
    assert rig.pump.skipped == 1
    assert rig.notes[-1][0] == "unreadable"


def test_requests_are_remembered_by_number_or_name_and_not_for_ever() -> None:
    rig, order_id = closing()
    rig.feed(*[request(2, f"other-{n}", n) for n in range(2, 1200)])
    # The first request is forgotten by now; asked about under a new id it is known again.
    assert rig.feed(answer(2.1, number=1, status=504)) == []
    rig.feed(request(2.2, order_id, "uuid-1"))
    assert rig.feed(answer(2.3, number="uuid-1", status=504)) == ["asked"]


def test_requests_go_to_whoever_compares_them() -> None:
    rig = Rig()
    sent: list[Any] = []
    rig.pump.on_sent = lambda message, _t_ns: sent.append(message)
    rig.feed(request(0, "a"), answer(0.1, status=200))
    assert [message.params["newClientOrderId"] for message in sent] == ["a"]


# Commands and sockets -----------------------------------------------------------------------------


def control(second: float, command: str, **more: Any) -> dict[str, Any]:
    return line(
        second, {"command": command, "symbol": "BTCUSDT", "side": "LONG", **more}, "control"
    )


def test_an_operators_commands() -> None:
    rig = Rig(STOP_1 + "[[targets]]\npct = 0.02\nclose = 1\n")
    rig.feed(account(0, row("1", "100")), tick(1, "100"))
    assert rig.feed(control(2, "set_stop", price="99.5")) == ["2 stop LONG manual 99.5"]
    assert rig.feed(control(3, "pause"), tick(4, "103")) == []
    assert rig.feed(control(5, "resume"), tick(6, "103.1")) == ["6 exit LONG take_profit 1 @ 103.1"]
    rig = Rig()
    rig.feed(account(0, row("1", "100")), tick(1, "100.5"))
    assert rig.feed(control(2, "close")) == ["2 exit LONG manual 1 @ 100.5"]


@pytest.mark.parametrize("price", [None, "", "x", "0", "-1", "NaN", "Infinity", "1e400", 99, [1]])
def test_a_stop_that_is_no_price_is_told_and_not_set(price: Any) -> None:
    rig = Rig()
    rig.feed(account(0, row("1", "100")), tick(1, "100"))
    assert rig.feed(control(2, "set_stop", price=price)) == []
    assert rig.pump.skipped == 1
    assert rig.feed(tick(3, "98")) == ["3 exit LONG stop_loss 1 @ 98"]


def test_commands_for_nobody_and_unknown_ones_do_nothing() -> None:
    rig = Rig()
    commands = ("close", "pause", "resume", "dance")
    assert rig.feed(*[control(1, command, price="5") for command in commands]) == []
    assert rig.feed(control(1, "set_stop", price="5")) == []
    assert rig.pump.ignored["control"] == 1
    assert rig.pump.skipped == 0


def test_a_socket_that_was_down_is_told_and_its_candle_is_mended_by_history() -> None:
    tables = '[atr]\nperiod = 1\ninterval = "1m"\n[stop]\natr = 1\nfallback_pct = 0.5\n'
    opened_ms = ms(40)
    assert opened_ms % 60_000 == 0

    def at(second: float, price: str) -> dict[str, Any]:
        return tick(40 + second, price)

    def candle(minute: int, high: str) -> list[Any]:
        start = opened_ms + minute * 60_000
        return [start, "101", high, "100", "101", "1", start + 59_999, "0", 0, "0", "0", "0"]

    def atr_of(*between: dict[str, Any]) -> Any:
        rig = Rig(tables)
        rig.feed(
            at(0, "100"), at(60, "100"), at(61, "101"), *between, at(119, "101"), at(121, "101")
        )
        rows = [candle(1, "150"), candle(2, "101")]
        rig.feed(rest(161, "/fapi/v1/klines", rows, symbol="BTCUSDT", interval="1m"))
        market = rig.engine.market("last", "BTCUSDT")
        assert market is not None
        return market.series[60_000].closed[-1].high, rig.notes

    assert atr_of() == (101.0, [])
    high, notes = atr_of(line(102, {"state": "down", "stream": "market"}, "link"))
    assert high == 150.0
    assert notes == [("link", "line 4: market down")]
    assert atr_of(line(102, {"state": "up", "stream": "market"}, "link"))[0] == 101.0


# REST: candles and contracts ----------------------------------------------------------------------


def candles(minutes: int = 3) -> list[list[Any]]:
    first_ms = ms(0) // 60_000 * 60_000 - minutes * 60_000
    return [
        [start, "100", "102", "100", "101", "1", start + 59_999, "0", 0, "0", "0", "0"]
        for start in range(first_ms, first_ms + minutes * 60_000, 60_000)
    ]


@pytest.mark.parametrize(
    ("path", "sources"),
    [("/fapi/v1/klines", ("last", "book")), ("/fapi/v1/markPriceKlines", ("mark",))],
)
def test_candles_go_to_the_source_that_they_are_of(path: str, sources: tuple[str, ...]) -> None:
    tables = '[atr]\nperiod = 2\ninterval = "1m"\n[stop]\natr = 1\n'
    triggers: tuple[Any, ...] = ("last", "mark", "book")
    for trigger in triggers:
        rig = Rig(tables, trigger=trigger)
        # A row that starts within a minute is of another interval.
        odd = [[ms(0) + 7, "1", "9", "1", "9", "1", ms(60), "0", 0, "0", "0", "0"]]
        rig.feed(rest(0, path, candles() + odd, symbol="BTCUSDT", interval="1m"))
        market = rig.engine.market(trigger, "BTCUSDT")
        assert market is not None
        closed = market.series[60_000].closed
        assert len(closed) == (2 if trigger in sources else 0)


def test_the_query_may_stand_in_the_path() -> None:
    rig = Rig('[atr]\nperiod = 2\ninterval = "1m"\n[stop]\natr = 1\n')
    rig.feed(rest(0, "/fapi/v1/klines?symbol=BTCUSDT&interval=1m&limit=3", candles()))
    market = rig.engine.market("last", "BTCUSDT")
    assert market is not None
    assert len(market.series[60_000].closed) == 2


@pytest.mark.parametrize(
    "params",
    [{}, {"symbol": "BTCUSDT"}, {"interval": "1m"}, {"symbol": "BTCUSDT", "interval": "9m"}],
)
def test_candles_of_nobody_are_nobodys(params: dict[str, Any]) -> None:
    rig = Rig('[atr]\nperiod = 2\ninterval = "1m"\n[stop]\natr = 1\n')
    assert rig.feed(rest(0, "/fapi/v1/klines", candles(), **params)) == []
    assert rig.pump.skipped == 0


def test_what_a_contract_rounds_to() -> None:
    rig = Rig("[stop]\npct = 0.0123\n")
    filters = [
        {"filterType": "PRICE_FILTER", "tickSize": "0.10", "minPrice": "1", "maxPrice": "99999"},
        {"filterType": "LOT_SIZE", "stepSize": "0.001", "minQty": "0.001", "maxQty": "1000"},
    ]
    sound = {"symbol": "BTCUSDT", "status": "TRADING", "filters": filters}
    market = {"filterType": "MARKET_LOT_SIZE", "stepSize": "0.01", "minQty": "0.02", "maxQty": "9"}
    other = {"symbol": "ETHUSDT", "status": "TRADING", "filters": [*filters, market]}
    body = {"symbols": [sound, {"symbol": 5}, other]}
    rig.feed(rest(0, "/fapi/v1/exchangeInfo", body), account(1, row("1", "100")))
    assert rig.pump.filters["BTCUSDT"] == (D("0.10"), D("0.001"), D("0.001"))
    assert rig.pump.filters["ETHUSDT"] == (D("0.10"), D("0.01"), D("0.02"))
    assert [said(one) for one in rig.decisions] == ["1 opened LONG 1 @ 100 stop 98.7"]


def test_answers_of_no_use_and_failures_cost_nothing() -> None:
    rig = Rig()
    rig.feed(
        rest(0, "/fapi/v1/depth", {"bids": []}),
        rest(0, "/fapi/v1/klines", {"code": -1121, "msg": "Invalid symbol."}, status=400),
        rest(0, "/fapi/v3/positionRisk", {"code": -1003}, status=429),
        rest(0, "/fapi/v3/positionRisk", "<html>", status=502),
        rest(0, "/fapi/v1/time", {"serverTime": 5}) | {"d": "out"},
    )
    assert (rig.pump.skipped, rig.notes) == (0, [])


# Market frames ------------------------------------------------------------------------------------


def frames() -> Iterator[tuple[str, Any]]:
    mark = {
        "e": "markPriceUpdate",
        "E": ms(1),
        "s": "BTCUSDT",
        "p": "98",
        "i": "98",
        "r": "0",
        "T": 1,
    }
    yield "bare", mark
    yield "enveloped", {"stream": "btcusdt@markPrice@1s", "data": mark}
    others = [mark | {"s": "ETHUSDT"}, mark | {"s": "BTCUSD_PERP", "st": 2}]
    yield "array", [*others, mark]
    yield "enveloped array", {"stream": "!markPrice@arr@1s", "data": [*others, mark]}


@pytest.mark.parametrize(("form", "frame"), list(frames()))
def test_a_mark_price_in_every_form(form: str, frame: Any) -> None:
    rig = Rig(trigger="mark")
    opening = {"e": "markPriceUpdate", "E": ms(0), "s": "BTCUSDT", "p": "100"}
    rig.feed(account(0, row("1", "100")), line(0, opening))
    assert rig.feed(line(1, frame)) == ["1 exit LONG stop_loss 1 @ 98"], form


def test_both_forms_may_be_mixed() -> None:
    rig = Rig()
    rig.feed(account(0, row("1", "100")))
    mixed = []
    for n in range(1, 40):
        one = tick(n, f"{100 + n / 100:.2f}")
        mixed.append(one if n % 3 else one | {"m": {"stream": "x", "data": one["m"]}})
    rig.feed(*mixed)
    market = rig.engine.market("last", "BTCUSDT")
    assert market is not None
    assert (market.ticks, rig.pump.skipped) == (39, 0)


def test_frames_without_a_use_are_counted_by_kind() -> None:
    rig = Rig()
    rig.feed(
        line(0, {"e": "kline", "E": 1, "s": "BTCUSDT", "k": {}}),
        line(0, {"e": "brandNew", "x": 1}),
        line(0, {"result": None, "id": 7}),
        line(0, {"e": "trade", "s": "BTCUSDT", "p": "1", "t": 1, "T": 1, "st": 2}),
        line(
            0,
            {"e": "ALGO_UPDATE", "E": 1, "T": 1, "o": {"s": "X", "aid": 1, "caid": "", "X": ""}},
            "private",
        ),
    )
    # A kline without its candle is damage; what is merely unknown is not.
    assert rig.pump.skipped == 1
    assert rig.pump.ignored["unknown event"] == 1


def test_time_stands_still_while_lines_lie_in_the_past() -> None:
    rig = Rig(STOP_1 + "[time_stop]\nseconds = 5\n")
    rig.feed(account(0, row("1", "100")), tick(1, "100"))
    # It jumps ahead: the time stop is due. Behind that, lines of the past change no time.
    assert rig.feed(tick(50, "100")) == ["5 exit LONG time_stop 1 @ 100"]
    back = [{**tick(51 + n, "100"), "t": T0_NS + n * SECOND_NS} for n in range(9)]
    assert rig.feed(*back) == []
    assert rig.pump.now_ns == T0_NS + 50 * SECOND_NS
    assert [kind for kind, _ in rig.notes] == ["backwards"]
    assert rig.feed(tick(60, "100"), {**tick(61, "100"), "t": T0_NS}) == []
    assert [kind for kind, _ in rig.notes] == ["backwards"] * 2
