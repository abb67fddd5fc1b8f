"""One epoch's orders, story by story. The exchange that misbehaves at random is in the stateful test."""

from decimal import Decimal

import pytest

from reactor.core.decisions import (
    Alarm,
    Closed,
    Decision,
    Exit,
    OrdersCancelled,
    OutcomeAsked,
    Reason,
    Side,
)
from reactor.core.in_flight import Rest
from reactor.core.lifecycle import Event, State
from reactor.core.orders import (
    RETRY_FULL_NS,
    SENT_KEPT,
    SETTLE_NS,
    UNFILLED_PARTIALS_MAX,
    UNKNOWN_FULL_NS,
    UNKNOWN_PARTIAL_NS,
    Fills,
    Orders,
)
from reactor.errors import InvariantError

D = Decimal
T0 = 1_000_000_000_000


class Story:
    """Orders of a position of 10 @ 100 with short calls, and everything that they said."""

    def __init__(
        self, *, fills: Fills = Fills.REPORTED, side: Side = "LONG", quantity: str = "10"
    ) -> None:
        self.orders = Orders(
            symbol="BTCUSDT",
            side=side,
            epoch=7,
            opened_ns=T0,
            quantity=D(quantity),
            entry=D(100),
            fills=fills,
        )
        self.now_ns = T0
        self.said: list[Decision] = []

    def wait(self, ns: int) -> list[Decision]:
        self.now_ns += ns
        out: list[Decision] = []
        self.orders.on_time(self.now_ns, tick=3, stop=D(95), out=out)
        return self.heard(out)

    def heard(self, out: list[Decision]) -> list[Decision]:
        self.said += out
        return out

    def partial(self, quantity: str, *, price: str = "102", level: str = "101") -> list[Decision]:
        out: list[Decision] = []
        self.orders.want_partial(
            D(quantity),
            (Reason.TAKE_PROFIT, Reason.HARVEST),
            level=D(level),
            price=D(price),
            stop=D(95),
            t_ns=self.now_ns,
            tick=3,
            out=out,
        )
        return self.heard(out)

    def full(self, reason: Reason = Reason.STOP_LOSS, *, price: str = "94") -> list[Decision]:
        out: list[Decision] = []
        self.orders.want_full(reason, price=D(price), stop=D(95), t_ns=self.now_ns, tick=3, out=out)
        return self.heard(out)

    def news(self, event: Event, order_id: str, *, filled: str = "0") -> list[Decision]:
        out: list[Decision] = []
        self.orders.on_outcome(
            event,
            order_id=order_id,
            filled=D(filled),
            price=D(93),
            stop=D(95),
            t_ns=self.now_ns,
            tick=4,
            out=out,
        )
        return self.heard(out)

    def still_open(self) -> list[Decision]:
        out: list[Decision] = []
        self.orders.on_still_open(price=D(93), stop=D(95), t_ns=self.now_ns, tick=4, out=out)
        return self.heard(out)

    def flat(self, reason: Reason = Reason.EXTERNAL) -> list[Decision]:
        out: list[Decision] = []
        self.orders.end(reason, t_ns=self.now_ns, tick=5, out=out)
        return self.heard(out)


def only_exit(out: list[Decision]) -> Exit:
    assert len(out) == 1
    assert isinstance(out[0], Exit)
    return out[0]


# A partial exit -----------------------------------------------------------------------------------


def test_a_partial_exit_says_everything_that_an_order_needs() -> None:
    story = Story()
    assert story.partial("3") == [
        Exit(
            t_ns=T0,
            tick=3,
            symbol="BTCUSDT",
            side="LONG",
            epoch=7,
            number=1,
            attempt=0,
            order_id=f"BTCUSDT-LONG-{T0}-7-1-0",
            full=False,
            reasons=(Reason.TAKE_PROFIT, Reason.HARVEST),
            price=D(102),
            quantity=D(3),
            remaining=D(7),
            stop=D(95),
        )
    ]
    assert story.orders.state is State.REDUCING
    assert not story.orders.may_reduce
    assert not story.orders.exiting
    # Nothing is filled yet; what is in flight is not available a second time.
    assert story.orders.quantity == 10
    assert story.orders.available == 7


def test_a_partial_that_is_filled_frees_the_way() -> None:
    story = Story()
    sent = only_exit(story.partial("3"))
    assert story.news(Event.ACCEPTED, sent.order_id) == []
    story.orders.on_quantity(D(7))
    assert story.orders.available == 4  # the fill is reported, its order's end is not
    assert story.news(Event.FILLED, sent.order_id, filled="3") == []
    assert story.orders.may_reduce
    assert story.orders.available == 7
    assert only_exit(story.partial("1")).number == 2


def test_nothing_is_available_where_somebody_took_what_is_in_flight() -> None:
    story = Story()
    story.partial("8")
    story.orders.on_quantity(D(5))
    assert story.orders.available == 0


def test_a_second_partial_waits_for_the_first() -> None:
    story = Story()
    story.partial("3")
    assert story.partial("3") == []
    assert story.orders.available == 7


@pytest.mark.parametrize(
    ("event", "filled", "rest"),
    [
        (Event.LAPSED, "1", "2"),
        (Event.LAPSED, "0", "3"),
        (Event.LAPSED, "3", None),  # a lapse that fills it whole is a fill
    ],
)
def test_what_a_partial_left_is_kept_with_its_level(
    event: Event, filled: str, rest: str | None
) -> None:
    story = Story()
    sent = only_exit(story.partial("3", level="101.5"))
    assert story.news(event, sent.order_id, filled=filled) == []
    assert story.orders.state is State.WATCHING
    wanted = None if rest is None else Rest(D(rest), D("101.5"), sent.reasons)
    assert story.orders.rest == wanted


def test_a_refused_partial_is_dropped_and_told() -> None:
    story = Story()
    sent = only_exit(story.partial("3"))
    (alarm,) = story.news(Event.REJECTED, sent.order_id)
    assert isinstance(alarm, Alarm)
    assert "rejected" in alarm.what
    assert story.orders.rest is None
    assert story.orders.may_reduce


def test_a_partial_that_fails_time_and_again_is_dropped_and_told() -> None:
    story = Story()
    for _ in range(UNFILLED_PARTIALS_MAX):
        sent = only_exit(story.partial("3"))
        assert story.news(Event.LAPSED, sent.order_id) == []
        assert story.orders.rest is not None
        story.orders.rest = None
    sent = only_exit(story.partial("3"))
    (alarm,) = story.news(Event.LAPSED, sent.order_id)
    assert isinstance(alarm, Alarm)
    assert "dropped" in alarm.what
    assert story.orders.rest is None
    # The next level starts with a clean slate, and so does one that was filled in part.
    for _ in range(2 * UNFILLED_PARTIALS_MAX):
        sent = only_exit(story.partial("3"))
        story.news(Event.LAPSED, sent.order_id, filled="1")
        assert story.orders.rest is not None


def test_an_unknown_partial_is_asked_for_and_then_given_up() -> None:
    story = Story()
    sent = only_exit(story.partial("3"))
    assert story.news(Event.UNKNOWN, sent.order_id) == [
        OutcomeAsked(
            t_ns=T0, tick=4, symbol="BTCUSDT", side="LONG", epoch=7, order_id=sent.order_id
        )
    ]
    assert story.news(Event.UNKNOWN, sent.order_id) == []
    assert story.orders.due_ns == T0 + UNKNOWN_PARTIAL_NS
    assert story.wait(UNKNOWN_PARTIAL_NS - 1) == []
    assert story.partial("1") == []
    (alarm,) = story.wait(1)
    assert isinstance(alarm, Alarm)
    assert "taking the position as it is" in alarm.what
    assert story.orders.may_reduce
    assert story.orders.rest is None
    # News that comes after all is the news of somebody else.
    assert story.news(Event.FILLED, sent.order_id, filled="3") == []
    assert story.orders.state is State.WATCHING


@pytest.mark.parametrize("answer", [Event.FOUND_OPEN, Event.ACCEPTED])
def test_an_unknown_partial_that_is_found_is_waited_for_without_a_clock(answer: Event) -> None:
    story = Story()
    sent = only_exit(story.partial("3"))
    story.news(Event.UNKNOWN, sent.order_id)
    assert story.news(answer, sent.order_id) == []
    assert story.orders.state is State.REDUCING
    assert story.orders.due_ns is None


def test_an_unknown_partial_that_never_arrived_leaves_its_rest() -> None:
    story = Story()
    sent = only_exit(story.partial("3"))
    story.news(Event.UNKNOWN, sent.order_id)
    assert story.news(Event.FOUND_ABSENT, sent.order_id) == []
    assert story.orders.rest == Rest(D(3), D(101), sent.reasons)
    assert story.orders.due_ns is None


def test_an_unknown_partial_that_is_filled_whole_for_all_that_is_known_leaves_none() -> None:
    story = Story()
    sent = only_exit(story.partial("3"))
    story.news(Event.UNKNOWN, sent.order_id, filled="3")
    assert story.news(Event.FOUND_ABSENT, sent.order_id) == []
    assert story.orders.rest is None


@pytest.mark.parametrize("quantity", ["0", "-1", "10.001"])
def test_a_partial_of_nothing_or_of_too_much_is_our_bug(quantity: str) -> None:
    with pytest.raises(InvariantError):
        Story().partial(quantity)


# A full close -------------------------------------------------------------------------------------


def test_a_full_close_takes_everything_and_is_pursued_until_flat() -> None:
    story = Story()
    sent = only_exit(story.full())
    assert (sent.full, sent.quantity, sent.remaining) == (True, D(10), D(0))
    assert sent.reasons == (Reason.STOP_LOSS,)
    assert story.orders.exiting
    assert story.full(Reason.MANUAL) == []
    assert story.partial("1") == []
    story.news(Event.ACCEPTED, sent.order_id)
    story.news(Event.FILLED, sent.order_id, filled="10")
    assert story.orders.state is State.SETTLING
    said = story.flat(Reason.STOP_LOSS)
    assert [type(decision) for decision in said] == [OrdersCancelled, Closed]
    assert story.orders.ended
    assert story.orders.exiting


def test_a_full_close_overtakes_a_partial_and_forgets_its_outcome() -> None:
    story = Story()
    partial = only_exit(story.partial("3"))
    sent = only_exit(story.full())
    # Exchange-side protection against more than is open: reduce-only, or the position itself.
    assert (sent.quantity, sent.number) == (D(10), 2)
    under_it = [story.orders.partial is not None]
    for event in (Event.UNKNOWN, Event.LAPSED):
        assert story.news(event, partial.order_id, filled="1") == []
        under_it.append(story.orders.partial is not None)
    assert under_it == [True, True, False]
    assert story.orders.rest is None
    assert story.orders.state is State.CLOSING


def test_a_full_close_drops_the_rest_of_an_earlier_partial() -> None:
    story = Story()
    sent = only_exit(story.partial("3"))
    story.news(Event.LAPSED, sent.order_id, filled="1")
    assert story.orders.rest is not None
    story.full()
    assert story.orders.rest is None


def test_a_full_close_overtakes_an_unknown_partial_and_stops_its_clock() -> None:
    story = Story()
    partial = only_exit(story.partial("3"))
    story.news(Event.UNKNOWN, partial.order_id)
    story.full()
    assert story.orders.due_ns is None
    assert story.wait(UNKNOWN_PARTIAL_NS) == []


def test_a_refused_full_close_is_sent_again_after_a_pause_for_ever() -> None:
    story = Story()
    sent = only_exit(story.full())
    for attempt in range(1, 4):
        assert story.news(Event.REJECTED, sent.order_id) == []
        assert story.orders.state is State.PURSUING
        assert story.wait(RETRY_FULL_NS - 1) == []
        sent = only_exit(story.wait(1))
        assert (sent.number, sent.attempt, sent.quantity) == (1, attempt, D(10))
        assert sent.price == D(94)  # the clock knows no newer price than the order before
        assert sent.t_ns == story.now_ns


def test_a_full_close_that_lapsed_in_part_is_completed_at_once() -> None:
    story = Story()
    sent = only_exit(story.full())
    again = only_exit(story.news(Event.LAPSED, sent.order_id, filled="4"))
    assert (again.attempt, again.quantity) == (1, D(6))
    assert again.price == D(93)
    # The position's own report may come before the news of the order, or after it.
    story.orders.on_quantity(D(2))
    third = only_exit(story.news(Event.LAPSED, again.order_id, filled="1"))
    assert (third.attempt, third.quantity) == (2, D(2))


def test_a_full_close_that_lapsed_with_nothing_done_does_not_flood() -> None:
    story = Story()
    sent = only_exit(story.full())
    assert story.news(Event.LAPSED, sent.order_id) == []
    assert story.wait(RETRY_FULL_NS - 1) == []
    assert only_exit(story.wait(1)).quantity == D(10)


def test_an_unknown_full_close_is_asked_for_and_sent_again_unanswered() -> None:
    story = Story()
    sent = only_exit(story.full())
    (asked,) = story.news(Event.UNKNOWN, sent.order_id)
    assert isinstance(asked, OutcomeAsked)
    assert asked.order_id == sent.order_id
    assert story.wait(UNKNOWN_FULL_NS - 1) == []
    story.orders.on_quantity(D(6))
    again = only_exit(story.wait(1))
    # Capped by what was last known open.
    assert (again.attempt, again.quantity) == (1, D(6))
    # Whatever becomes of the first one now is counted by the position.
    assert story.news(Event.REJECTED, sent.order_id) == []
    assert story.orders.state is State.CLOSING


def test_an_unknown_full_close_that_is_there_is_not_sent_again() -> None:
    story = Story()
    sent = only_exit(story.full())
    story.news(Event.UNKNOWN, sent.order_id)
    assert story.news(Event.FOUND_OPEN, sent.order_id) == []
    assert story.orders.due_ns is None
    assert story.wait(10 * UNKNOWN_FULL_NS) == []


def test_an_unknown_full_close_that_never_arrived_is_sent_again_at_once() -> None:
    story = Story()
    sent = only_exit(story.full())
    story.news(Event.UNKNOWN, sent.order_id)
    again = only_exit(story.news(Event.FOUND_ABSENT, sent.order_id))
    assert (again.attempt, again.quantity) == (1, D(10))
    assert again.order_id != sent.order_id


def test_a_refused_close_that_is_there_after_all_is_alarming_and_waited_for() -> None:
    story = Story()
    sent = only_exit(story.full())
    story.news(Event.REJECTED, sent.order_id)
    (alarm,) = story.news(Event.ACCEPTED, sent.order_id)
    assert isinstance(alarm, Alarm)
    assert "accepted while closing" in alarm.what
    assert story.orders.due_ns is None


def test_after_a_whole_fill_the_position_is_asked_for_until_it_is_told() -> None:
    story = Story()
    sent = only_exit(story.full())
    story.news(Event.FILLED, sent.order_id, filled="10")
    for _ in range(3):
        assert story.wait(SETTLE_NS - 1) == []
        (asked,) = story.wait(1)
        assert isinstance(asked, OutcomeAsked)
    # It grew while it was being closed.
    story.orders.on_quantity(D(2))
    again = only_exit(story.still_open())
    assert (again.attempt, again.quantity) == (1, D(2))


def test_late_news_does_not_stop_the_clock_of_a_settling_close() -> None:
    story = Story()
    sent = only_exit(story.full())
    story.news(Event.FILLED, sent.order_id, filled="10")
    for event in (Event.ACCEPTED, Event.FOUND_OPEN, Event.UNKNOWN, Event.LAPSED):
        assert story.news(event, sent.order_id, filled="10") == []
        assert story.orders.due_ns == T0 + SETTLE_NS


def test_a_snapshot_that_shows_it_open_changes_nothing_while_the_close_is_under_way() -> None:
    story = Story()
    story.full()
    assert story.still_open() == []
    assert story.orders.state is State.CLOSING


def test_news_of_an_order_that_is_not_ours_changes_nothing() -> None:
    story = Story()
    for event in Event:
        assert story.news(event, "somebody-else") == []
    assert story.orders.state is State.WATCHING


# The end ------------------------------------------------------------------------------------------


def test_after_the_release_nothing_is_emitted_whatever_comes() -> None:
    story = Story()
    partial = only_exit(story.partial("3"))
    sent = only_exit(story.full())
    story.news(Event.UNKNOWN, sent.order_id)
    out: list[Decision] = []
    story.orders.release(t_ns=story.now_ns, tick=5, out=out)
    assert out == [OrdersCancelled(t_ns=T0, tick=5, symbol="BTCUSDT", side="LONG", epoch=7)]
    assert story.orders.quantity == 0
    assert story.wait(100 * UNKNOWN_PARTIAL_NS) == []
    assert story.partial("1") == []
    assert story.full() == []
    assert story.still_open() == []
    for order_id in (partial.order_id, sent.order_id):
        for event in Event:
            assert story.news(event, order_id) == []
    assert story.orders.ended


def test_the_largest_quantity_held_is_the_initial_one() -> None:
    story = Story()
    for quantity in ("12", "5", "11"):
        story.orders.on_quantity(D(quantity))
    assert story.orders.quantity == 11
    assert story.orders.initial_quantity == 12


# What was earned ----------------------------------------------------------------------------------


def closed(out: list[Decision]) -> Closed:
    (found,) = (decision for decision in out if isinstance(decision, Closed))
    return found


@pytest.mark.parametrize(("side", "realized"), [("LONG", "-6"), ("SHORT", "6")])
def test_simulated_fills_at_the_trigger_are_done_at_once(side: Side, realized: str) -> None:
    story = Story(fills=Fills.AT_TRIGGER, side=side)
    story.orders.risk(D("1.5"))
    only_exit(story.partial("4", price="109"))
    assert story.orders.quantity == 6
    assert story.orders.may_reduce
    said = story.full(Reason.TRAILING_STOP, price="93")
    assert [type(decision) for decision in said] == [Exit, OrdersCancelled, Closed]
    # 4·(109 − 100) + 6·(93 − 100) = 36 − 42; at risk were 10·1.5.
    assert closed(said).realized == D(realized)
    assert closed(said).r_multiple == D(realized) / 15
    assert closed(said).reason is Reason.TRAILING_STOP


def test_a_partial_that_takes_everything_ends_the_epoch_by_its_last_reason() -> None:
    story = Story(fills=Fills.AT_TRIGGER)
    said = story.partial("10", price="101")
    assert closed(said).reason is Reason.HARVEST
    assert closed(said).realized == 10
    assert closed(said).r_multiple is None  # nothing is known of its risk


def test_simulated_fills_at_the_next_tick_take_that_ticks_price_the_older_order_first() -> None:
    story = Story(fills=Fills.AT_NEXT_TICK)
    filling = [story.orders.fills_at_next_tick]
    story.partial("4")
    story.full()
    filling.append(story.orders.fills_at_next_tick)
    assert filling == [False, True]
    assert story.orders.quantity == 10
    out: list[Decision] = []
    story.orders.fill_in_flight(D(90), stop=D(95), t_ns=T0 + 1, tick=4, out=out)
    assert closed(out).realized == D(-100)
    assert closed(out).reason is Reason.STOP_LOSS
    assert not story.orders.fills_at_next_tick


def test_a_simulated_partial_at_the_next_tick_frees_the_way_and_may_be_the_end() -> None:
    story = Story(fills=Fills.AT_NEXT_TICK)
    story.partial("4")
    out: list[Decision] = []
    story.orders.fill_in_flight(D(103), stop=D(95), t_ns=T0 + 1, tick=4, out=out)
    assert out == []
    assert story.orders.quantity == 6
    assert story.orders.may_reduce
    story.partial("6")
    story.full()
    story.orders.fill_in_flight(D(104), stop=D(95), t_ns=T0 + 2, tick=5, out=out)
    # The older one took everything; there was nothing left for the close.
    assert closed(out).reason is Reason.HARVEST
    assert closed(out).realized == 4 * 3 + 6 * 4


def test_a_position_that_grew_while_it_was_closed_is_closed_further() -> None:
    story = Story(fills=Fills.AT_NEXT_TICK)
    story.full()
    story.orders.on_quantity(D(12))
    out: list[Decision] = []
    story.orders.fill_in_flight(D(97), stop=D(95), t_ns=T0 + 1, tick=4, out=out)
    again = only_exit(out)
    assert (again.attempt, again.quantity, again.price) == (1, D(2), D(97))
    out.clear()
    story.orders.fill_in_flight(D(99), stop=D(95), t_ns=T0 + 2, tick=5, out=out)
    assert closed(out).realized == -10 * 3 - 2


def test_reported_fills_are_never_simulated() -> None:
    story = Story()
    story.full()
    out: list[Decision] = []
    story.orders.fill_in_flight(D(90), stop=D(95), t_ns=T0, tick=4, out=out)
    assert out == []
    assert story.orders.quantity == 10
    assert not story.orders.fills_at_next_tick


@pytest.mark.parametrize("trade_first", [True, False])
def test_a_result_is_known_when_every_reduction_has_its_price(trade_first: bool) -> None:
    story = Story()
    story.orders.risk(D(2))
    sent = only_exit(story.partial("4"))
    known = [story.orders.realized]
    for is_trade in (trade_first, not trade_first):
        if is_trade:
            story.orders.on_trade(D(4), D("8.5"), order_id=sent.order_id, ends_as=Reason.EXTERNAL)
        else:
            story.orders.on_quantity(D(6))
        known.append(story.orders.realized)
    assert known == [D(0), None, D("8.5")]
    # The end, by somebody else, at a price that nobody has told.
    end = closed(story.flat())
    assert end.realized is None
    assert end.r_multiple is None
    story.orders.on_trade(D(6), D("-1.5"), order_id="x", ends_as=Reason.EXTERNAL)
    end = story.orders.closed(Reason.EXTERNAL, t_ns=T0, tick=5)
    assert end.realized == 7
    assert end.r_multiple == D("0.35")  # 7 / (10 · 2)


def test_a_trade_is_named_by_the_order_that_it_filled() -> None:
    story = Story()
    sent = only_exit(story.partial("4"))
    full = only_exit(story.full(Reason.LOSS_GUARD))
    named = [
        story.orders.on_trade(D(1), D(0), order_id=order_id, ends_as=Reason.HARD_STOP)
        for order_id in (sent.order_id, "a stop at the exchange", full.order_id)
    ]
    assert named == [Reason.HARVEST, Reason.HARD_STOP, Reason.LOSS_GUARD]
    assert story.orders.last_trade_reason is Reason.LOSS_GUARD


def test_a_close_that_somebody_elses_order_made_keeps_the_reason_for_which_we_wanted_it() -> None:
    story = Story()
    story.full(Reason.TIME_STOP)
    named = [
        story.orders.on_trade(D(1), D(0), order_id="by hand", ends_as=ends_as)
        for ends_as in (Reason.EXTERNAL, Reason.LIQUIDATION)
    ]
    assert named == [Reason.TIME_STOP, Reason.LIQUIDATION]


def test_only_the_youngest_orders_are_remembered_by_name() -> None:
    story = Story()
    first = only_exit(story.full(Reason.LOSS_GUARD))
    sent = first
    for _ in range(SENT_KEPT):
        story.news(Event.REJECTED, sent.order_id)
        sent = only_exit(story.wait(RETRY_FULL_NS))
    named = [
        story.orders.on_trade(D(1), D(0), order_id=order_id, ends_as=Reason.ADL)
        for order_id in (first.order_id, sent.order_id)
    ]
    assert named == [Reason.ADL, Reason.LOSS_GUARD]


def test_order_ids_are_made_of_what_a_restart_knows() -> None:
    asked: list[tuple[str, Side, int, int, int, int]] = []

    def remember(
        symbol: str, side: Side, opened_ns: int, epoch: int, number: int, attempt: int
    ) -> str:
        asked.append((symbol, side, opened_ns, epoch, number, attempt))
        return f"id{len(asked)}"

    orders = Orders(
        symbol="BTCUSDT",
        side="SHORT",
        epoch=2,
        opened_ns=5,
        quantity=D(1),
        entry=D(100),
        fills=Fills.REPORTED,
        order_ids=remember,
    )
    out: list[Decision] = []
    orders.want_full(Reason.MANUAL, price=D(1), stop=D(1), t_ns=6, tick=1, out=out)
    assert only_exit(out).order_id == "id1"
    orders.on_outcome(
        Event.REJECTED, order_id="id1", filled=D(0), price=D(1), stop=D(1), t_ns=7, tick=1, out=out
    )
    orders.on_time(7 + RETRY_FULL_NS, tick=1, stop=D(1), out=out)
    assert asked == [("BTCUSDT", "SHORT", 5, 2, 1, 0), ("BTCUSDT", "SHORT", 5, 2, 1, 1)]
