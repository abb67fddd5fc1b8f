"""Position reports and trades of an account, in whatever order they come, as events of the engine."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest

from core.story import SECOND_NS, START_NS, SYMBOL, Story, lines
from reactor.core.account import TRADE_IDS_KEPT, AccountBook
from reactor.core.account_known import FLAT_LAG_NS, NAMING_NS, SNAPSHOT_RACE_NS
from reactor.core.account_trades import Trade
from reactor.core.decisions import Decision, Reason
from reactor.core.lifecycle import Event
from reactor.core.orders import Fills

D = Decimal
STOP_1 = "[stop]\npct = 0.01\n"
MS = START_NS // 1_000_000


class Account:
    """An account book in front of a story's engine; exchange and receive time go together."""

    def __init__(self, tables: str = STOP_1) -> None:
        self.story = Story(tables, fills=Fills.REPORTED)
        self.book = AccountBook(self.story.engine)
        self.now_ns = START_NS
        self.trade_id = 0

    def wait(self, ns: int) -> "Account":
        self.now_ns += ns
        self.story.now_ns = self.now_ns
        return self

    def report(
        self,
        amount: str | int,
        entry: str | int = 0,
        *,
        position_side: str = "BOTH",
        t_event_ms: int | None = -1,
        **more: Any,
    ) -> list[str]:
        said = self.book.on_report(
            symbol=SYMBOL,
            position_side=position_side,
            amount=D(amount),
            entry=D(entry),
            t_event_ms=self.now_ns // 1_000_000 if t_event_ms == -1 else t_event_ms,
            t_ns=self.now_ns,
            **more,
        )
        return self.hear(said)

    def trade(
        self,
        quantity: str | int,
        price: str | int,
        *,
        buys: bool = False,
        position_side: str = "BOTH",
        profit: str | None = None,
        commission: str | int = 0,
        trade_id: int | None = None,
        order_id: str = "theirs",
        ends_as: Reason = Reason.EXTERNAL,
        reduce_only: bool = False,
    ) -> list[str]:
        self.trade_id += 1
        said = self.book.on_trade(
            Trade(
                symbol=SYMBOL,
                position_side=position_side,
                buys=buys,
                quantity=D(quantity),
                price=D(price),
                profit=None if profit is None else D(profit),
                commission=D(commission),
                trade_id=self.trade_id if trade_id is None else trade_id,
                order_id=order_id,
                ends_as=ends_as,
                t_event_ms=self.now_ns // 1_000_000,
                t_ns=self.now_ns,
                reduce_only=reduce_only,
            )
        )
        return self.hear(said)

    def clock(self) -> list[str]:
        return self.hear(self.book.on_time(self.now_ns))

    def hear(self, said: Sequence[Decision]) -> list[str]:
        self.story.said += said
        return lines(said)


# A life by reports ------------------------------------------------------------------------------------


def test_a_signed_amount_is_a_side_in_one_way_mode() -> None:
    account = Account()
    assert account.report(2, 100) == ["opened LONG 2 @ 100 stop 99"]
    assert account.wait(SECOND_NS).report(3, 101) == ["stop stop_loss 99.99"]
    account = Account()
    assert account.report(-2, 100) == ["opened SHORT 2 @ 100 stop 101"]


def test_an_end_that_nobody_names_is_external_after_a_moment() -> None:
    account = Account()
    account.report(1, 100)
    dues = [account.book.due_ns]
    assert account.wait(SECOND_NS).report(0) == []
    due_ns = account.now_ns + NAMING_NS
    dues.append(account.book.due_ns)
    assert account.wait(NAMING_NS - 1).clock() == []
    assert account.wait(1).clock() == ["closed external ?"]
    # It ended when it was flat, however late it was named.
    assert account.story.last_closed().t_ns == due_ns - NAMING_NS
    dues.append(account.book.due_ns)
    assert dues == [None, due_ns, None]
    assert account.clock() == []


@pytest.mark.parametrize("trade_first", [True, False])
def test_a_trade_prices_and_names_the_end_whichever_comes_first(trade_first: bool) -> None:
    account = Account()
    account.report(2, 100)
    account.wait(SECOND_NS)
    said = []
    for is_trade in (trade_first, not trade_first):
        said += (
            account.trade(2, 90, profit="-20", ends_as=Reason.LIQUIDATION)
            if is_trade
            else account.report(0)
        )
    assert said == ["closed liquidation -20"]
    assert account.wait(NAMING_NS).clock() == []


def test_an_end_by_several_trades_waits_for_all_of_them() -> None:
    account = Account()
    account.report(3, 100)
    account.wait(SECOND_NS)
    assert account.trade(1, 101, profit="1", ends_as=Reason.HARD_STOP) == []
    assert account.report(0) == []
    assert account.trade(1, 102, profit="2", ends_as=Reason.HARD_STOP) == []
    assert account.trade(1, 103, profit="3", ends_as=Reason.HARD_STOP) == ["closed hard_stop 6"]


def test_our_own_exit_names_the_end_by_its_reason() -> None:
    account = Account()
    account.report(1, 100)
    assert account.story.tick(100, 99) == ["exit stop_loss 1 @ 99 left 0"]
    sent = account.story.last_exit()
    account.wait(1_000_000)
    assert account.report(0) == []
    # Not told what it earned: from the entry.
    assert account.trade(1, "98.9", order_id=sent.order_id) == ["closed stop_loss -1.1"]
    # And without its trade it still was ours.
    account = Account()
    account.report(1, 100)
    account.story.tick(100, 99)
    assert account.wait(SECOND_NS).report(0) == []
    assert account.wait(NAMING_NS).clock() == ["closed stop_loss ?"]


def test_the_trades_price_of_a_short_is_turned_around() -> None:
    account = Account()
    account.report(-1, 100)
    account.wait(SECOND_NS).report(0)
    assert account.trade(1, 90, buys=True) == ["closed external 10"]


@pytest.mark.parametrize("trade_first", [True, False])
def test_every_exit_of_a_ladder_is_priced_whichever_comes_first(trade_first: bool) -> None:
    rungs = "[[targets]]\npct = 0.01\nclose = 0.5\n[[targets]]\npct = 0.02\nclose = 0.5\n"
    account = Account(STOP_1 + rungs)
    account.report(2, 100)
    account.story.tick(100)
    said: list[str] = []
    for price, left, profit in ((101, 1, "1"), (102, 0, "2")):
        account.story.tick(price)
        sent = account.story.last_exit()
        account.wait(SECOND_NS // 10)
        for is_trade in (trade_first, not trade_first):
            if is_trade:
                said += account.trade(1, price, profit=profit, order_id=sent.order_id)
            else:
                said += account.report(left, 100 if left else 0)
        account.story.news(Event.FILLED, of=sent, filled=1)
    assert said == ["closed take_profit 3"]


def test_a_reduction_is_priced_by_the_trades_before_or_after_it() -> None:
    account = Account()
    account.report(4, 100)
    account.wait(SECOND_NS)
    orders = account.story.machine().orders
    account.trade(1, 101, profit="1")
    known = [orders.realized]
    account.report(3, 100)
    known.append(orders.realized)
    account.wait(SECOND_NS).report(2, 100)
    known.append(orders.realized)
    account.trade(1, 102, profit="2")
    known.append(orders.realized)
    assert known == [None, D(1), None, D(3)]


def test_a_trade_of_more_than_was_held_prices_what_was() -> None:
    account = Account()
    account.report(1, 100)
    account.wait(SECOND_NS)
    account.trade(1, 101, profit="1")
    # Somebody sold on: that opens a SHORT, of which the next report will tell.
    account.trade(1, 101, profit="0")
    assert account.report(-1, 101) == ["closed flip 1", "opened SHORT 1 @ 101 stop 102.01"]


def test_a_flip_in_one_report_ends_one_life_and_begins_another() -> None:
    account = Account()
    account.report(1, 100)
    account.wait(SECOND_NS)
    assert account.report(-2, 99) == ["closed flip ?", "opened SHORT 2 @ 99 stop 99.99"]
    # Its trade sold 3: 1 of them was the old one's, and none of it is the new one's result.
    assert account.trade(3, 99, profit="-1") == []
    assert account.story.machine("SHORT").orders.realized == 0


def test_a_flip_whose_trade_came_first_is_priced() -> None:
    account = Account()
    account.report(1, 100)
    account.wait(SECOND_NS)
    assert account.trade(3, 99, profit="-1") == []
    assert account.report(-2, 99) == ["closed flip -1", "opened SHORT 2 @ 99 stop 99.99"]


def test_opened_again_before_the_end_was_named() -> None:
    account = Account()
    account.report(1, 100)
    account.wait(SECOND_NS).report(0)
    account.wait(1_000_000)
    assert account.report(1, 90) == ["closed external ?", "opened LONG 1 @ 90 stop 89.1"]
    # The late trade of the first life is not the second one's.
    assert account.trade(1, 95, profit="-5") == []
    assert account.story.machine().orders.realized == 0
    assert account.wait(1_000_000).report(0) == []
    assert account.trade(1, 91, profit="1") == ["closed external 1"]


def test_a_stream_that_is_over_names_what_still_waits() -> None:
    account = Account()
    account.report(1, 100)
    account.wait(SECOND_NS).report(0)
    assert account.hear(account.book.finish(account.now_ns)) == ["closed external ?"]
    assert account.hear(account.book.finish(account.now_ns)) == []


# Old news ---------------------------------------------------------------------------------------------


def test_a_report_older_than_the_last_is_ignored() -> None:
    account = Account()
    account.report(2, 100, t_event_ms=MS + 5)
    assert account.report(5, 100, t_event_ms=MS + 4) == []
    assert account.story.machine().orders.quantity == 2


def test_two_reports_of_one_millisecond_both_count_and_a_repeated_one_does_not() -> None:
    account = Account()
    account.report(2, 100)
    account.report(1, 100)
    assert account.story.machine().orders.quantity == 1
    # The first one once more, by the other of two overlapping sockets.
    account.report(2, 100)
    assert account.story.machine().orders.quantity == 1
    # Same amount, but another profit so far: there and back again within the millisecond.
    account.report(2, 100, profit_so_far=D(3))
    assert account.story.machine().orders.quantity == 2


def test_a_flat_row_without_a_time_may_be_older_than_a_fresh_report() -> None:
    """Such answers lag: by itself it ends nothing, for an epoch that is ended forgets its stop and its rungs."""
    account = Account()
    account.report(1, 100)
    account.wait(FLAT_LAG_NS - 1)
    assert account.report(0, t_event_ms=None, snapshot=True) == []
    assert account.story.machine().orders.quantity == 1
    account.wait(1)
    account.report(0, t_event_ms=None, snapshot=True)
    assert account.story.engine.positions == {}


@pytest.mark.parametrize(("after_s", "is_open"), [(-1, False), (1, False), (5, True)])
def test_a_row_that_has_not_changed_since_the_position_was_learnt_to_be_flat_is_old(
    after_s: int, is_open: bool
) -> None:
    """Its close was never reported, and answers lag: asked for long after, "flat" may have been the lag."""
    account = Account()
    account.report(1, 100, profit_so_far=D(5))
    account.wait(FLAT_LAG_NS)
    account.report(0, t_event_ms=None, snapshot=True)
    assert account.story.engine.positions == {}
    asked_ns = account.now_ns + after_s * SECOND_NS
    account.wait(8 * SECOND_NS)
    account.report(1, 100, t_event_ms=MS, snapshot=True, asked_ns=asked_ns)
    assert bool(account.story.engine.positions) is is_open


@pytest.mark.parametrize("how", ["a fill", "our own close"])
def test_a_flat_row_that_is_expected_is_believed_soon(how: str) -> None:
    account = Account()
    account.report(1, 100)
    if how == "our own close":
        account.story.tick(100, 99)
    account.wait(SNAPSHOT_RACE_NS - 1)
    if how == "a fill":
        account.book.on_missed([fill(7, -1, account.now_ns)])
    assert account.report(0, t_event_ms=None, snapshot=True) == []
    account.wait(1)
    account.report(0, t_event_ms=None, snapshot=True)
    assert account.story.engine.positions == {}


def fill(number: int, quantity: int, t_ns: int) -> Trade:
    """Somebody else's fill that was asked for."""
    return Trade(
        symbol=SYMBOL,
        position_side="BOTH",
        buys=quantity > 0,
        quantity=abs(D(quantity)),
        price=D(100),
        profit=None,
        commission=D(0),
        trade_id=number,
        order_id="web_1",
        ends_as=Reason.EXTERNAL,
        t_event_ms=t_ns // 1_000_000,
        t_ns=t_ns,
    )


def test_a_flat_row_of_a_position_never_heard_of_says_nothing() -> None:
    account = Account()
    assert account.report(0, t_event_ms=None, snapshot=True) == []


def test_a_snapshot_that_repeats_what_is_known_still_answers() -> None:
    account = Account()
    account.report(1, 100)
    account.story.tick(100, 99)
    sent = account.story.last_exit()
    account.story.news(Event.FILLED, of=sent, filled=1)
    # The close is filled whole, and the exchange, asked, shows it open: the rest may follow.
    account.wait(SECOND_NS // 2)
    assert account.report(1, 100, t_event_ms=MS, snapshot=True) == [
        "asked",
        "exit stop_loss 1 @ 99 left 0",
    ]


def test_what_a_snapshot_does_not_list_is_flat() -> None:
    account = Account()
    account.report(1, 100)
    account.wait(FLAT_LAG_NS)

    def after(symbols: set[str] | None, listed: set[tuple[str, str]]) -> bool:
        account.hear(account.book.on_snapshot_end(symbols, listed=listed, t_ns=account.now_ns))
        return (SYMBOL, "LONG") in account.story.engine.positions

    assert after({"ETHUSDT"}, set())
    assert after(None, {(SYMBOL, "BOTH")})
    assert not after({SYMBOL}, set())
    assert not after(None, set())


# Hedge mode -------------------------------------------------------------------------------------------


def test_both_sides_of_a_hedged_symbol_live_side_by_side() -> None:
    account = Account()
    assert account.report(2, 100, position_side="LONG") == ["opened LONG 2 @ 100 stop 99"]
    assert account.report(-1, 100, position_side="SHORT") == ["opened SHORT 1 @ 100 stop 101"]
    # The symbol's BOTH row is always flat there.
    assert account.report(0, position_side="BOTH") == []
    assert len(account.story.engine.positions) == 2
    account.wait(SECOND_NS)
    assert account.report(0, position_side="LONG") == []
    assert account.trade(2, 101, position_side="LONG", profit="2") == ["closed external 2"]
    assert set(account.story.engine.positions) == {(SYMBOL, "SHORT")}


def test_some_streams_write_the_amount_of_a_short_without_its_sign() -> None:
    account = Account()
    assert account.report(1, 100, position_side="SHORT") == ["opened SHORT 1 @ 100 stop 101"]


def test_in_hedge_mode_the_other_direction_adds_and_prices_nothing() -> None:
    account = Account()
    account.report(2, 100, position_side="LONG")
    account.report(-2, 100, position_side="SHORT")
    account.wait(SECOND_NS)
    account.trade(1, 101, position_side="LONG", buys=True)
    account.trade(1, 101, position_side="SHORT")
    account.trade(1, 99, position_side="SHORT", buys=True, profit="1")
    account.report(-1, 100, position_side="SHORT")
    assert account.story.machine("LONG").orders.realized == 0
    assert account.story.machine("SHORT").orders.realized == 1


# Duplicates and costs ---------------------------------------------------------------------------------

COSTS = STOP_1 + '[break_even]\nat_r = 1\noffset = "costs"\n'


def test_a_trade_counts_once_and_one_without_an_id_always() -> None:
    account = Account()
    account.report(9, 100)
    account.wait(SECOND_NS)
    for trade_id in (5, 5, 0, 0):
        account.trade(1, 101, profit="1", trade_id=trade_id)
    account.report(6, 100)
    assert account.story.machine().orders.realized == 3


def test_so_many_trades_are_remembered_and_no_more() -> None:
    account = Account()
    account.report(100_000, 100)
    account.wait(SECOND_NS)
    for trade_id in range(1, TRADE_IDS_KEPT + 2):
        account.trade(1, 101, profit="1", trade_id=trade_id)
    account.trade(1, 101, profit="1", trade_id=2)
    account.report(100_000 - TRADE_IDS_KEPT - 1, 100)
    assert account.story.machine().orders.realized == TRADE_IDS_KEPT + 1
    account.trade(1, 101, profit="1", trade_id=1)
    account.report(100_000 - TRADE_IDS_KEPT - 2, 100, profit_so_far=D(1))
    assert account.story.machine().orders.realized == TRADE_IDS_KEPT + 2


def break_even_after(account: Account) -> list[str]:
    return account.story.tick(100, 101)[-1:]


def test_commissions_of_a_position_move_its_break_even() -> None:
    account = Account(COSTS)
    # The opening trade comes before the report that it opened something.
    account.trade(1, 100, buys=True, commission="0.1", profit="0")
    account.report(2, 100)
    account.trade(1, 100, buys=True, commission="0.1", profit="0")
    account.story.engine.on_cost("ETHUSDT", "LONG", D(5))
    # 0.1 a unit, and 0.05 for the exit.
    assert break_even_after(account) == ["stop break_even 100.15"]


def test_funding_of_the_only_position_counts_and_of_two_is_nobodys() -> None:
    account = Account(COSTS)
    account.report(1, 100)
    account.book.on_funding(SYMBOL, D("0.2"))
    account.book.on_funding("ETHUSDT", D(7))
    assert break_even_after(account) == ["stop break_even 100.25"]
    account = Account(COSTS)
    account.report(1, 100, position_side="LONG")
    account.report(-1, 100, position_side="SHORT")
    account.book.on_funding(SYMBOL, D("0.2"))
    assert break_even_after(account)[0] != "stop break_even 100.25"


def test_a_commission_long_before_an_opening_was_for_something_else() -> None:
    account = Account(COSTS)
    account.report(0)
    account.trade(1, 100, buys=True, commission="0.1")
    account.wait(NAMING_NS)
    account.trade(1, 100, buys=True, commission="0.2")
    account.wait(1_000_000)
    account.trade(1, 100, buys=True, commission="0.2")
    account.report(2, 100)
    # The two of the last second: 0.4 for 2.
    assert break_even_after(account) == ["stop break_even 100.25"]
    account = Account(COSTS)
    account.report(0)
    account.trade(1, 100, buys=True, commission="0.1")
    account.wait(NAMING_NS)
    account.report(1, 100)
    assert break_even_after(account) == ["stop break_even 100.05"]


def test_news_of_an_order_reaches_the_position_that_sent_it() -> None:
    account = Account()
    account.report(1, 100, position_side="LONG")
    account.report(-1, 100, position_side="SHORT")
    account.story.tick(100, 99)
    sent = account.story.last_exit()
    said = account.book.on_order(
        SYMBOL, sent.order_id, Event.UNKNOWN, filled=D(0), t_ns=account.now_ns
    )
    assert account.hear(said) == ["asked"]
    assert account.book.on_order("ETHUSDT", "x", Event.FILLED, filled=D(1), t_ns=0) == []


# Streams that bring trades alone ------------------------------------------------------------------------


def test_without_reports_trades_open_average_reduce_and_close() -> None:
    account = Account()
    assert account.trade(1, 100, buys=True) == ["opened LONG 1 @ 100 stop 99"]
    # (1·100 + 3·104)/4 = 103; the stop improves to 101.97.
    assert account.trade(3, 104, buys=True) == ["stop stop_loss 101.97"]
    assert account.story.machine().entry == 103
    assert account.trade(1, 105) == []
    assert account.story.machine().orders.quantity == 3
    # 1·2 + 3·(101 − 103)
    assert account.trade(3, 101, ends_as=Reason.HARD_STOP) == ["closed hard_stop -4"]


def test_without_reports_our_own_order_names_the_end() -> None:
    account = Account()
    account.trade(1, 100, buys=True)
    account.story.tick(100, 99)
    sent = account.story.last_exit()
    assert account.trade(1, 99, order_id=sent.order_id) == ["closed stop_loss -1"]


def test_without_reports_a_trade_may_flip() -> None:
    account = Account()
    account.trade(1, 100, buys=True)
    assert account.trade(3, 99) == ["closed flip -1", "opened SHORT 2 @ 99 stop 99.99"]
    assert account.trade(2, 98, buys=True) == ["closed external 2"]


@pytest.mark.parametrize(
    "more",
    [
        {"reduce_only": True},
        {"profit": "5"},
        {"position_side": "LONG"},
        {"position_side": "SHORT", "buys": True},
    ],
)
def test_without_reports_what_can_only_reduce_opens_nothing(more: dict[str, Any]) -> None:
    account = Account()
    assert account.trade(1, 100, **more) == []
    assert account.story.engine.positions == {}


def test_without_reports_a_hedged_pair_is_kept_apart() -> None:
    account = Account()
    account.trade(1, 100, buys=True, position_side="LONG")
    assert account.trade(1, 100, position_side="SHORT") == ["opened SHORT 1 @ 100 stop 101"]
    assert account.trade(1, 101, position_side="LONG") == ["closed external 1"]
    assert account.trade(1, 99, buys=True, position_side="SHORT") == ["closed external 1"]


def test_commissions_of_trades_alone_count_too() -> None:
    account = Account(COSTS)
    account.trade(2, 100, buys=True, commission="0.2")
    assert break_even_after(account) == ["stop break_even 100.15"]
