"""What was asked for, what was concluded, and what the stream says: one account's feed as it is live."""

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from reactor.binance.orders import client_order_id
from reactor.config import config_from_tables
from reactor.core.decisions import Closed, Decision, Exit, Opened, OutcomeAsked
from reactor.core.exact import text
from reactor.core.ladder import Filters
from reactor.core.lifecycle import State
from reactor.core.machine import Machine
from reactor.core.plan import plan_from_toml
from reactor.shell.account_feed import ABSENT_AFTER_NS, REQUESTS_KEPT
from reactor.shell.assembly import StartState, live_pump
from reactor.shell.recorded import slice_id
from reactor.shell.tape_format import LiveSession, TapeLine

T0_NS = 1_790_000_000_000_000_000
SECOND_NS = 1_000_000_000
RUNG = "[stop]\npct = 0.01\n[[targets]]\npct = 0.01\nclose = 0.5\n"
POSITIONS = "/fapi/v3/positionRisk"
ORDER = "/fapi/v1/order"
TRADES = "/fapi/v1/userTrades"
ABSENT = {"code": -2013, "msg": "Order does not exist."}


def ms(second: float) -> int:
    return T0_NS // 1_000_000 + round(second * 1000)


class Account:
    """A live pump; every call is one message, received at a second, and answers with what was decided."""

    def __init__(self, tables: str = RUNG) -> None:
        plan = plan_from_toml(f'name = "mine"\ntrigger = "last"\n{tables}', source="here")
        self.pump = live_pump(
            config_from_tables({"manage": {"include": ["*"]}}, source="here"),
            LiveSession(mode="live"),
            plan_for=lambda _symbol, _side: plan,
            filters_for=lambda _symbol: Filters(),
            instance="me",
            start=StartState(),
            note=lambda kind, what: self.notes.append((kind, what)),
        )
        self.notes: list[tuple[str, str]] = []
        self.decisions: list[Decision] = []
        self.second = 0.0

    def take(self, second: float, channel: Any, message: Any, direction: Any = "in") -> list[str]:
        self.second = second
        raw = msgspec.Raw(json.dumps(message).encode())
        t_ns = T0_NS + round(second * SECOND_NS)
        heard = self.pump.take(TapeLine(t_ns, channel, raw, direction))
        self.decisions += heard
        return [shown for one in heard if (shown := show(one))]

    # What comes ----------------------------------------------------------------------------------

    def asks(
        self, second: float, path: str, body: Any, *, asked: float | None = None, **params: Any
    ) -> list[str]:
        """An answer; a body with a code is a refusal."""
        status = 400 if isinstance(body, dict) and "code" in body else 200
        message = {"method": "GET", "path": path, "params": params, "status": status, "body": body}
        if asked is not None:
            message["asked"] = T0_NS + round(asked * SECOND_NS)
        return self.take(second, "rest", message)

    def report(self, second: float, amount: str, *, profit: str = "0") -> list[str]:
        rows = [{"s": "BTCUSDT", "pa": amount, "ep": "100", "ps": "BOTH", "cr": profit}]
        event = {"e": "ACCOUNT_UPDATE", "E": ms(second), "T": ms(second)}
        return self.take(second, "private", event | {"a": {"m": "ORDER", "P": rows}})

    def fill(self, second: float, quantity: str, price: str, number: int, **more: Any) -> list[str]:
        body = {"s": "BTCUSDT", "c": "web_1", "S": "SELL", "o": "MARKET", "i": 7, "x": "TRADE"}
        body |= {"X": "FILLED", "q": quantity, "z": quantity, "l": quantity, "L": price}
        body |= {"t": number, "T": ms(second), "ps": "BOTH", "rp": "0", "n": "0", "N": "USDT"}
        event = {"e": "ORDER_TRADE_UPDATE", "E": ms(second), "T": ms(second), "o": body | more}
        return self.take(second, "private", event)

    def tick(self, second: float, price: str) -> list[str]:
        event = {"e": "aggTrade", "s": "BTCUSDT", "p": price, "a": ms(second), "T": ms(second)}
        return self.take(second, "market", event)

    def command(self, second: float, order_id: str, event: str, filled: str = "") -> list[str]:
        fields = {"command": "outcome", "symbol": "BTCUSDT", "side": "LONG"}
        fields |= {"order_id": order_id, "event": event, "filled": filled}
        return self.take(second, "control", fields)

    def sends(self, second: float, order_id: str, *, number: Any = 1, quantity: str = "1") -> None:
        params = {"symbol": "BTCUSDT", "newClientOrderId": order_id, "quantity": quantity}
        self.take(second, "order", {"id": number, "method": "order.place", "params": params}, "out")

    # What is known -------------------------------------------------------------------------------

    @property
    def last_exit(self) -> Exit:
        return next(one for one in reversed(self.decisions) if isinstance(one, Exit))

    @property
    def machine(self) -> Machine:
        return self.pump.engine.positions["BTCUSDT", "LONG"]

    def state(self) -> State:
        return self.machine.orders.state

    @property
    def held(self) -> str | None:
        machine = self.pump.engine.positions.get(("BTCUSDT", "LONG"))
        return None if machine is None else text(machine.orders.quantity)


def show(decision: Decision) -> str:
    match decision:
        case Opened():
            return f"opened {text(decision.quantity)}"
        case Exit():
            return f"exit {decision.reasons[0]} {text(decision.quantity)}"
        case Closed():
            realized = "?" if decision.realized is None else text(decision.realized)
            return f"closed {decision.reason} {realized}"
        case OutcomeAsked():
            return "asked"
    return ""


def guarded(quantity: str = "2") -> Account:
    """A LONG that opened while we watched, at a known price."""
    account = Account()
    account.asks(0, POSITIONS, [])
    assert account.report(10, quantity) == [f"opened {quantity}"]
    account.tick(11, "100")
    return account


def reducing() -> tuple[Account, str]:
    """Its rung was sent."""
    account = guarded()
    assert account.tick(12, "101") == ["exit take_profit 1"]
    order_id = account.last_exit.order_id
    account.sends(12, order_id)
    return account, order_id


def closing() -> tuple[Account, str]:
    """Its stop was sent."""
    account = guarded()
    assert account.tick(12, "98") == ["exit stop_loss 2"]
    order_id = account.last_exit.order_id
    account.sends(12, order_id, quantity="2")
    return account, order_id


def row(amount: str, at: float) -> dict[str, Any]:
    shown = {"symbol": "BTCUSDT", "positionSide": "BOTH", "positionAmt": amount}
    return shown | {"entryPrice": "100", "updateTime": ms(at)}


# When a question left ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("asked", "held"), [(14.9, "2"), (15.0, None)])
def test_an_answer_without_times_is_as_old_as_its_question(asked: float, held: str | None) -> None:
    """A flat position is no row at all: the answer may have been on its way when the position opened."""
    account = guarded()
    account.asks(30, POSITIONS, [], asked=asked)
    assert account.held == held


def test_an_answer_without_the_time_of_its_question_is_as_old_as_its_receipt() -> None:
    account = guarded()
    account.asks(15, POSITIONS, [])
    assert account.held is None


def test_a_row_with_a_time_of_its_own_is_judged_by_that() -> None:
    account = guarded()
    account.asks(30, POSITIONS, [row("1", 9.9)], asked=29)
    assert account.held == "2"
    account.asks(31, POSITIONS, [row("1", 10.1)], asked=10)
    assert account.held == "1"


# Orders that were asked for ---------------------------------------------------------------------------


def asked_order(order_id: str, status: str, filled: str) -> dict[str, Any]:
    shown = {"symbol": "BTCUSDT", "orderId": 5, "clientOrderId": order_id, "status": status}
    shown |= {"executedQty": filled, "origQty": "1", "side": "SELL", "positionSide": "BOTH"}
    return shown | {"type": "MARKET", "price": "0", "avgPrice": "0", "time": 1, "updateTime": 1}


@pytest.mark.parametrize(
    ("status", "filled", "state", "rest"),
    [
        ("NEW", "0", State.REDUCING, None),
        ("PARTIALLY_FILLED", "0.4", State.REDUCING, None),
        ("FILLED", "1", State.WATCHING, None),
        ("EXPIRED", "0.4", State.WATCHING, "0.6"),
        ("CANCELED", "0", State.WATCHING, "1"),
        ("REJECTED", "0", State.WATCHING, None),
        ("NEW_STATUS", "0", State.REDUCING_UNKNOWN, None),
    ],
)
def test_an_unknown_exit_that_was_asked_for(
    status: str, filled: str, state: State, rest: str | None
) -> None:
    account, order_id = reducing()
    assert account.command(13, order_id, "unknown") == ["asked"]
    account.asks(14, ORDER, asked_order(order_id, status, filled))
    orders = account.machine.orders
    assert orders.state is state
    assert (None if orders.rest is None else text(orders.rest.quantity)) == rest


def test_orders_of_others_are_not_ours() -> None:
    account, order_id = reducing()
    account.command(13, order_id, "unknown")
    assert account.asks(14, ORDER, asked_order("web_1", "FILLED", "1")) == []
    assert account.state() == State.REDUCING_UNKNOWN


@pytest.mark.parametrize("asked", [None, 0.0])
def test_not_found_is_proof_only_a_while_after_it_was_sent(asked: float | None) -> None:
    account, order_id = reducing()
    account.command(13, order_id, "unknown")
    account.machine.orders.due_ns = None  # the bound on waiting is another story
    late_s = 12 + ABSENT_AFTER_NS / 1e9
    # `asked` counts where it is known: this one was asked too early, however late it is answered.
    when = late_s if asked is not None else late_s - 0.001
    params = {"symbol": "BTCUSDT", "origClientOrderId": order_id}
    account.asks(when, ORDER, ABSENT, asked=asked, **params)
    assert account.state() == State.REDUCING_UNKNOWN
    account.asks(late_s, ORDER, ABSENT, asked=None if asked is None else late_s, **params)
    assert account.state() == State.WATCHING


def test_other_failures_and_other_orders_prove_nothing() -> None:
    account, order_id = reducing()
    account.command(13, order_id, "unknown")
    account.machine.orders.due_ns = None
    for body, name in (
        ({"code": -1003, "msg": "Too many requests."}, order_id),
        (ABSENT, "web_1"),
        (ABSENT, ""),
    ):
        account.asks(100, ORDER, body, symbol="BTCUSDT", origClientOrderId=name)
    assert account.state() == State.REDUCING_UNKNOWN


# Fills that were asked for ----------------------------------------------------------------------------


def trade(at: float, number: int, *, order: int = 7, **more: Any) -> dict[str, Any]:
    shown = {"symbol": "BTCUSDT", "id": number, "orderId": order, "side": "SELL", "price": "98"}
    shown |= {"qty": "2", "realizedPnl": "-4", "commission": "0.1", "commissionAsset": "USDT"}
    return shown | {"time": ms(at), "positionSide": "BOTH"} | more


def test_a_fill_that_the_stream_lost_names_and_prices_the_end() -> None:
    account, order_id = closing()
    account.asks(13, ORDER, asked_order(order_id, "FILLED", "2") | {"orderId": 70})
    account.asks(14, POSITIONS, [], asked=13.5)
    assert account.asks(14.5, TRADES, [trade(12.1, 3, order=70)]) == ["closed stop_loss -4"]


def test_a_fill_that_comes_twice_counts_once() -> None:
    account = guarded("4")
    account.report(12, "2")
    account.fill(12, "2", "98", 3, rp="-4")
    account.asks(13, TRADES, [trade(12, 3), trade(12, 3)])
    # And the other way round: the stream catches up with what was asked for.
    account.report(14, "0")
    assert account.asks(14.1, TRADES, [trade(14, 4)]) == ["closed external -8"]
    assert account.fill(14.2, "2", "98", 4, rp="-4") == []


def test_fills_from_before_the_epoch_are_none_of_its() -> None:
    account = guarded()
    account.asks(12, TRADES, [trade(3, 1, realizedPnl="-50", qty="1")])
    account.report(13, "0")
    assert account.asks(13.2, TRADES, [trade(13, 2)]) == ["closed external -4"]


def test_fills_are_taken_in_the_order_in_which_they_happened() -> None:
    account = guarded()
    account.fill(12, "1", "101", 5, rp="1", c="adl_autoclose", i=50, X="PARTIALLY_FILLED")
    account.report(13, "0")
    rows = [
        trade(12.9, 7, order=51, qty="0.5", realizedPnl="1"),
        trade(12, 6, order=50, qty="0.5", realizedPnl="1"),
    ]
    # The last one is somebody's, not the deleveraging.
    assert account.asks(13.1, TRADES, rows) == ["closed external 3"]


@pytest.mark.parametrize(
    ("client_id", "name"),
    [
        ("autoclose-17", "liquidation"),
        ("adl_autoclose", "adl"),
        ("web_1", "external"),
        (
            client_order_id(
                instance="me",
                symbol="BTCUSDT",
                side="LONG",
                epoch_opened_ns=T0_NS,
                epoch_number=1,
                decision=1,
                purpose="hard_stop",
            ),
            "hard_stop",
        ),
    ],
)
def test_an_end_is_called_by_the_client_id_of_the_fill_that_was_asked_for(
    client_id: str, name: str
) -> None:
    account = guarded()
    account.asks(12, ORDER, asked_order(client_id, "NEW", "0") | {"orderId": 70})
    account.report(13, "0")
    assert account.asks(13.1, TRADES, [trade(12.9, 3, order=70)]) == [f"closed {name} -4"]


def test_only_commissions_in_the_quote_asset_are_costs() -> None:
    account = guarded("4")
    paid = account.machine.break_even
    account.report(12, "2")
    account.asks(12.1, TRADES, [trade(12, 3, commission="0.1", commissionAsset="BNB")])
    before = paid.state()
    account.asks(12.2, TRADES, [trade(12, 4, qty="0.1", commission="0.1")])
    assert paid.state() != before


def test_the_newest_fill_is_remembered() -> None:
    account = guarded()
    account.asks(12.5, TRADES, [trade(12.4, 3, qty="1"), trade(12.2, 2, qty="0.5")])
    assert account.pump.account.newest_trade_ms == {"BTCUSDT": ms(12.4)}
    assert account.pump.account.book.counted_trades == {"BTCUSDT": 3}


# What this process concluded --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "filled", "state"),
    [
        ("filled", "1", State.WATCHING),
        ("lapsed", "0.5", State.WATCHING),
        ("rejected", "", State.WATCHING),
        ("found_absent", "", State.REDUCING),
        ("unknown", "", State.REDUCING_UNKNOWN),
        ("no such thing", "", State.REDUCING),
    ],
)
def test_an_outcome_command_is_news_of_the_order(event: str, filled: str, state: State) -> None:
    account, order_id = reducing()
    account.command(13, order_id, event, filled)
    assert account.state() == state


def test_an_outcome_of_one_slice_is_not_that_of_the_exit() -> None:
    account, order_id = reducing()
    second = slice_id(order_id, 1)
    account.sends(12.1, second, number=2, quantity="1")
    account.command(13, second, "filled", "1")
    assert account.state() == State.REDUCING
    account.command(13, order_id, "filled", "1")
    assert account.state() == State.WATCHING


# Answers to our requests ------------------------------------------------------------------------------

RESENT = (-1008, -1021, -4061, -1111, -1015, -1003)


@pytest.mark.parametrize("code", RESENT)
def test_a_refusal_after_which_the_same_exit_is_sent_again_is_no_outcome(code: int) -> None:
    account, _ = closing()
    assert account.take(12.1, "order", {"id": 1, "status": 400, "error": {"code": code}}) == []
    assert account.state() == State.CLOSING
    # The repetition's own answer is one.
    account.sends(12.2, account.last_exit.order_id, number=2)
    account.take(12.3, "order", {"id": 2, "status": 400, "error": {"code": -2019}})
    assert account.state() == State.PURSUING


def test_a_refusal_may_mean_one_thing_for_a_close_and_another_for_a_rung() -> None:
    for make, state in ((closing, State.PURSUING), (reducing, State.WATCHING)):
        account, _ = make()
        refusal = {"id": 1, "status": 400, "error": {"code": -2022, "msg": "ReduceOnly rejected"}}
        account.take(12.1, "order", refusal)
        assert account.state() == state


def test_an_acceptance_names_the_order_for_its_fills() -> None:
    account, order_id = closing()
    result = {"symbol": "BTCUSDT", "orderId": 70, "clientOrderId": order_id, "status": "NEW"}
    account.take(12.1, "order", {"id": 1, "status": 200, "result": result})
    assert account.state() == State.CLOSING
    account.report(13, "0")
    assert account.asks(13.1, TRADES, [trade(12.9, 3, order=70)]) == ["closed stop_loss -4"]


def test_requests_without_an_id_are_nobodys_and_old_ones_are_forgotten() -> None:
    account, order_id = closing()
    account.take(12, "order", {"id": 2, "params": {"symbol": "BTCUSDT"}}, "out")
    account.take(12, "order", {"params": {"newClientOrderId": "x"}}, "out")
    for number in range(REQUESTS_KEPT):
        account.sends(12.1, f"web_{number}", number=f"web{number}")
    account.take(12.2, "order", {"id": 1, "status": 400, "error": {"code": -2019}})
    assert account.state() == State.CLOSING
    assert account.pump.account.slices.ids(order_id) == (order_id,)
    assert Decimal(account.held or 0) == 2
