"""An account book that takes up what an earlier process knew, and lives that nobody saw."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from core.story import SECOND_NS, START_NS, SYMBOL, lines, plan
from reactor.core.account import AccountBook
from reactor.core.account_known import NAMING_NS
from reactor.core.account_trades import Trade, first_of_life
from reactor.core.decisions import Decision, Reason
from reactor.core.engine import Engine
from reactor.core.epoch_state import restore, state_of
from reactor.core.management import Management
from reactor.core.orders import Fills

D = Decimal
MS = START_NS // 1_000_000


class Session:
    """A live session of an account, told of second by second."""

    def __init__(self, *, virtual: bool = False) -> None:
        mine = plan("[stop]\npct = 0.05\n")
        self.engine = Engine(plan_for=lambda _symbol, _side: mine, fills=Fills.REPORTED)
        self.book = AccountBook(self.engine, Management(reported=True, virtual=virtual))
        self.said: list[Decision] = []

    def report(
        self, second: float, amount: str, *, row: str = "BOTH", entry: str = "100", **more: Any
    ) -> list[str]:
        said = self.book.on_report(
            symbol=SYMBOL,
            position_side=row,
            amount=D(amount),
            entry=D(entry) if D(amount) else D(0),
            t_event_ms=MS + round(second * 1000),
            t_ns=START_NS + round(second * SECOND_NS),
            **more,
        )
        return self.hear(said)

    def hear(self, said: Any) -> list[str]:
        self.said += said
        return lines(said)

    @property
    def epochs(self) -> dict[str, int]:
        return {side: machine.epoch for (_, side), machine in self.engine.positions.items()}


def trade(second: float, quantity: str, number: int = 0, *, row: str = "BOTH") -> Trade:
    """A fill; a negative quantity sells."""
    return Trade(
        symbol=SYMBOL,
        position_side=row,
        buys=D(quantity) > 0,
        quantity=abs(D(quantity)),
        price=D(100),
        profit=None,
        commission=D(0),
        trade_id=number,
        order_id="web_1",
        ends_as=Reason.EXTERNAL,
        t_event_ms=MS + round(second * 1000),
        t_ns=START_NS + round(second * SECOND_NS),
    )


# A restart --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("amount", "row"), [("2", "BOTH"), ("-2", "BOTH"), ("-2", "SHORT")])
def test_an_epoch_is_taken_up_with_the_row_that_it_is_of(amount: str, row: str) -> None:
    before = Session()
    before.report(0, amount, row=row)
    (key,) = before.engine.positions
    state = state_of(before.engine.positions[key])
    side = before.book.position_side(*key)
    assert side == row

    after = Session()
    after.engine.start_epochs_after(before.engine.epochs)
    machine = restore(state, fills=Fills.REPORTED)
    after.engine.restore(machine)
    after.book.restore(machine, position_side=side)
    assert after.book.reported()[key].quantity == 2
    assert after.book.reported()[key].heard_ns == 0
    # What the exchange says of the other rows of the symbol is not about it.
    if row == "SHORT":
        after.report(10, "0")
        after.report(10, "0", row="LONG")
        assert after.engine.positions == {key: machine}
    after.report(11, amount, row=row, snapshot=True)
    assert after.engine.positions == {key: machine}
    after.report(12, "0", row=row)
    assert after.engine.positions == {}
    assert after.book.ended_ns == {key: START_NS + 12 * SECOND_NS}
    assert after.book.position_side(*key) == "BOTH"


def test_fills_that_an_earlier_process_counted_count_no_more() -> None:
    session = Session()
    session.book.know_trades({SYMBOL: 7, "ETHUSDT": 3})
    session.report(0, "2")
    session.book.on_trade(trade(1, "-1", 7))
    session.book.on_trade(trade(1, "-1", 9))
    assert session.book.counted_trades == {SYMBOL: 9, "ETHUSDT": 3}
    machine = session.engine.positions[SYMBOL, "LONG"]
    assert machine.orders.unpriced == -1


def test_from_when_on_fills_may_be_an_epochs() -> None:
    session = Session()
    assert session.book.since_ms(SYMBOL) == 0
    session.report(10, "2")
    opened_ms = MS + 10_000 - NAMING_NS // 1_000_000
    assert session.book.since_ms(SYMBOL) == opened_ms
    assert session.book.since_ms("ETHUSDT") == 0
    # Ended, and waiting for its fills.
    session.report(20, "0")
    assert session.book.since_ms(SYMBOL) == opened_ms
    session.hear(session.book.on_time(START_NS + 20 * SECOND_NS + NAMING_NS))
    assert session.book.since_ms(SYMBOL) == 0


def test_the_input_may_end_before_an_end_is_named() -> None:
    session = Session()
    session.report(0, "2")
    session.report(1, "0")
    assert lines(session.book.finish(START_NS + SECOND_NS)) == ["closed external ?"]
    assert session.book.due_ns is None


# Lives that nobody saw --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("amount", "trades", "first"),
    [
        ("2", [], None),
        ("2", ["1"], None),
        ("2", ["2"], 0),
        ("2", ["-1", "1"], None),
        ("2", ["-3", "2"], 1),
        ("-2", ["3", "-2"], 1),
        ("2", ["-1", "-2", "4"], 2),
        ("2", ["-1", "-2", "3", "1"], 2),
        ("2", ["5", "-5", "1", "1"], 2),
    ],
)
def test_the_first_fill_of_a_positions_present_life(
    amount: str, trades: list[str], first: int | None
) -> None:
    rows = [trade(number, quantity) for number, quantity in enumerate(trades)]
    found = first_of_life(D(amount), rows)
    assert found is (None if first is None else rows[first])


def missed(
    session: Session,
    second: float,
    amount: str,
    *trades: Trade,
    row: str = "BOTH",
    entry: str = "100",
) -> None:
    """The fills since then, and the snapshot that they explain, asked for in one go."""
    t_ns = START_NS + round(second * SECOND_NS)
    session.book.on_missed([msgspec.structs.replace(one, t_ns=t_ns) for one in trades])
    session.report(second, amount, row=row, entry=entry, snapshot=True, profit_so_far=None)


def test_a_position_that_was_closed_and_opened_again_unseen_is_another_epoch() -> None:
    session = Session()
    session.report(0, "2")
    missed(session, 30, "2", trade(10, "-2"), trade(20, "2"))
    assert session.epochs == {"LONG": 2}


def test_a_position_that_was_only_added_to_is_the_same_epoch() -> None:
    session = Session()
    session.report(0, "2")
    missed(session, 30, "3", trade(10, "-1"), trade(20, "2"))
    assert session.epochs == {"LONG": 1}


def test_fills_that_were_known_before_end_nothing() -> None:
    session = Session()
    # The fill that opened it comes with the same list.
    session.report(5, "2")
    missed(session, 30, "2", trade(4.9, "2"))
    assert session.epochs == {"LONG": 1}
    # Nor fills that were asked for long before the row.
    session.book.on_missed([trade(40, "-2"), trade(41, "2")])
    session.report(100, "2", snapshot=True)
    assert session.epochs == {"LONG": 1}


def test_fills_that_are_younger_than_the_row_do_not_explain_it() -> None:
    session = Session()
    session.report(5, "2")
    missed(session, 59, "2", trade(60, "-2"), trade(61, "2"))
    assert session.epochs == {"LONG": 1}


def test_a_flip_there_and_back_is_another_epoch_and_each_row_has_its_own() -> None:
    session = Session()
    session.report(0, "2", row="LONG")
    session.report(0, "-1", row="SHORT")
    missed(
        session,
        30,
        "2",
        trade(10, "-2", row="LONG"),
        trade(11, "2", row="LONG"),
        trade(12, "-1", row="SHORT"),
        row="LONG",
    )
    assert session.epochs == {"LONG": 3, "SHORT": 2}


def test_a_dry_runs_closed_position_opens_anew_with_the_next_life() -> None:
    session = Session(virtual=True)
    session.report(0, "2")
    session.hear(session.engine.close(SYMBOL, "LONG", t_ns=START_NS + SECOND_NS))
    machine = session.engine.positions[SYMBOL, "LONG"]
    machine.orders.end(Reason.MANUAL, t_ns=START_NS + SECOND_NS, tick=0, out=[])
    session.engine.on_time(START_NS + 2 * SECOND_NS)
    session.engine.pause(SYMBOL, "LONG", paused=False)
    assert session.epochs == {}
    session.report(20, "2", snapshot=True)
    assert session.epochs == {}
    missed(session, 40, "2", trade(30, "-2"), trade(31, "2"))
    assert session.epochs == {"LONG": 2}


def test_a_restarted_process_judges_fills_by_when_the_epoch_opened() -> None:
    before = Session()
    before.report(0, "2")
    machine = restore(state_of(before.engine.positions[SYMBOL, "LONG"]), fills=Fills.REPORTED)
    after = Session()
    after.engine.restore(machine)
    after.book.restore(machine, position_side="BOTH")
    # Both clocks may differ: what is within seconds of its opening may be what opened it.
    missed(after, 30, "2", trade(3, "2"))
    assert after.engine.positions[SYMBOL, "LONG"] is machine
    missed(after, 60, "2", trade(40, "-2"), trade(50, "2"))
    assert after.engine.positions[SYMBOL, "LONG"] is not machine


# What is asked of it ----------------------------------------------------------------------------------


def test_whether_an_order_is_the_full_close_of_an_open_epoch() -> None:
    session = Session()
    session.report(0, "2")
    assert not session.book.is_closing(SYMBOL, "x")
    session.hear(session.engine.close(SYMBOL, "LONG", t_ns=START_NS + SECOND_NS))
    order = session.engine.positions[SYMBOL, "LONG"].orders.full
    assert order is not None
    assert session.book.is_closing(SYMBOL, order.exit.order_id)
    assert not session.book.is_closing(SYMBOL, "x")
    assert not session.book.is_closing("ETHUSDT", order.exit.order_id)


def test_a_session_adopts_until_it_has_looked_once() -> None:
    session = Session()
    told = [session.book.adopts]
    for symbols in ({SYMBOL}, None):
        session.book.on_snapshot_end(symbols, listed=set(), t_ns=START_NS)
        told.append(session.book.adopts)
    assert told == [True, True, False]
    later = Session()
    later.book.stop_adopting()
    assert not later.book.adopts


# What the clocks cannot tell --------------------------------------------------------------------------


def restarted(*, closing: bool) -> Session:
    """A process that takes up an epoch of 2 @ 100 that opened a moment ago, its close in flight or not."""
    before = Session()
    before.report(0, "2")
    machine = before.engine.positions[SYMBOL, "LONG"]
    if closing:
        out: list[Decision] = []
        machine.orders.want_full(
            Reason.STOP_LOSS, price=D(95), stop=D(95), t_ns=START_NS, tick=1, out=out
        )
    after = Session()
    after.engine.start_epochs_after(before.engine.epochs)
    again = restore(state_of(machine), fills=Fills.REPORTED)
    after.engine.restore(again)
    after.book.restore(again, position_side="BOTH")
    return after


def ours(session: Session) -> str:
    full = session.engine.positions[SYMBOL, "LONG"].orders.full
    assert full is not None
    return full.exit.order_id


def test_what_was_opened_after_our_own_close_is_another_epoch_within_the_same_second() -> None:
    """Killed as its close was filled; somebody enters again, at the same price even, before it is back."""
    session = restarted(closing=True)
    closed = msgspec.structs.replace(trade(0.4, "-2", 8), order_id=ours(session))
    missed(session, 1.2, "2", trade(-0.1, "2", 7), closed, trade(0.7, "2", 9))
    assert session.epochs == {"LONG": 2}
    assert not session.engine.positions[SYMBOL, "LONG"].orders.exiting


def test_an_entry_that_its_fills_never_had_is_another_epochs() -> None:
    session = restarted(closing=False)
    again = msgspec.structs.replace(trade(0.7, "2", 9), price=D(98))
    missed(session, 1.2, "2", trade(-0.1, "2", 7), trade(0.4, "-2", 8), again, entry="98")
    assert session.epochs == {"LONG": 2}


@pytest.mark.parametrize("closing", [False, True])
def test_the_fills_that_opened_an_epoch_do_not_end_it(closing: bool) -> None:
    """They come with the list, in parts, and with what was added since; the exchange rounds the entry."""
    session = restarted(closing=closing)
    first = msgspec.structs.replace(trade(0.1, "1.5", 7), price=D("99.99999"))
    second = msgspec.structs.replace(trade(0.1, "0.5", 8), price=D("100.00003"))
    added = msgspec.structs.replace(trade(0.5, "1", 9), price=D(103))
    missed(session, 1.2, "3", trade(-5, "-1", 6), first, second, added, entry="101")
    assert session.epochs == {"LONG": 1}
