"""Orders against an exchange that loses, delays, repeats, refuses and part-fills.

The exchange here knows the truth; `Orders` is told of it late, twice, or not at all. The laws are
checked on what `Orders` emits, with nothing but what it had been told by then.
"""

from decimal import Decimal
from enum import Enum, auto

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from reactor.core.decisions import (
    Alarm,
    Closed,
    Decision,
    Exit,
    OrdersCancelled,
    OutcomeAsked,
    Reason,
)
from reactor.core.exact import ZERO
from reactor.core.lifecycle import EXITING, Event, State
from reactor.core.orders import (
    RETRY_FULL_NS,
    SETTLE_NS,
    UNKNOWN_FULL_NS,
    UNKNOWN_PARTIAL_NS,
    Fills,
    Orders,
)

MS = 1_000_000
PRICE = Decimal(100)
OVER = {Event.FILLED, Event.LAPSED, Event.REJECTED, Event.FOUND_ABSENT}


class Fate(Enum):
    """Where one order really is."""

    FLYING = auto()
    LOST = auto()
    WORKING = auto()
    DONE = auto()


class Placed:
    """One order as the exchange and the network know it."""

    def __init__(self, sent: Exit, sent_ns: int) -> None:
        self.sent = sent
        self.sent_ns = sent_ns
        self.fate = Fate.FLYING
        self.filled = ZERO
        self.end: Event | None = None
        # What Orders has been told of it, and whether it was told to ask.
        self.told: set[Event] = set()
        self.asked_ns: int | None = None


class OrdersAndAnExchange(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now_ns = 1_000 * MS
        self.true_quantity = ZERO
        self.placed: list[Placed] = []
        self.reports: list[Decimal] = []
        self.news: list[tuple[Placed, Event, Decimal]] = []
        self.log: list[Decision] = []
        self.given_up: set[str] = set()
        self.still_open_told = False
        self.ended_at: int | None = None
        self.orders = self.new_orders(Decimal(1))

    def new_orders(self, quantity: Decimal) -> Orders:
        return Orders(
            symbol="BTCUSDT",
            side="LONG",
            epoch=1,
            opened_ns=0,
            quantity=quantity,
            entry=PRICE,
            fills=Fills.REPORTED,
        )

    @initialize(quantity=st.integers(1, 50))
    def open(self, quantity: int) -> None:
        self.true_quantity = Decimal(quantity)
        self.orders = self.new_orders(self.true_quantity)

    # What Orders says, checked as it says it --------------------------------------------------

    def take(self, out: list[Decision]) -> None:
        for decision in out:
            if self.ended_at is not None:
                # One call may end the epoch: cancel, then closed, and nothing else.
                assert isinstance(decision, Closed)
                assert isinstance(self.log[-1], OrdersCancelled)
            elif isinstance(decision, Exit):
                self.check(decision)
                self.placed.append(Placed(decision, self.now_ns))
            elif isinstance(decision, OutcomeAsked):
                self.ask(decision)
            elif isinstance(decision, Alarm):
                if "taking the position" in decision.what:
                    self.given_up.add(decision.what.split()[1].rstrip(":"))
            elif isinstance(decision, OrdersCancelled):
                self.ended_at = len(self.log)
            self.log.append(decision)
        if out and self.ended_at is not None:
            assert self.orders.ended

    def check(self, sent: Exit) -> None:
        ids = [order.sent.order_id for order in self.placed]
        assert sent.order_id not in ids
        assert ZERO < sent.quantity <= self.orders.quantity
        if not sent.full:
            self.check_partial(sent)
        elif sent.attempt:
            self.check_repeated(sent)
        else:
            assert not any(order.sent.full for order in self.placed)

    def check_partial(self, sent: Exit) -> None:
        assert sent.attempt == 0, "a partial is a new decision or nothing"
        assert sent.remaining == self.orders.quantity - sent.quantity
        assert not any(order.sent.full for order in self.placed), "no partial beside a full close"
        for order in self.placed:
            over = order.told & OVER or order.sent.order_id in self.given_up
            assert over, "two partials in flight"

    def check_repeated(self, sent: Exit) -> None:
        before = [order for order in self.placed if order.sent.full][-1]
        assert sent.attempt == before.sent.attempt + 1
        assert sent.number == before.sent.number
        waited_ns = self.now_ns - before.sent_ns
        unknown = (
            Event.UNKNOWN in before.told
            and before.asked_ns is not None
            and self.now_ns - before.asked_ns >= UNKNOWN_FULL_NS
        )
        refused = Event.REJECTED in before.told and waited_ns >= RETRY_FULL_NS
        lapsed = Event.LAPSED in before.told and (before.filled or waited_ns >= RETRY_FULL_NS)
        absent = Event.FOUND_ABSENT in before.told
        grown = Event.FILLED in before.told and self.still_open_told
        assert unknown or refused or lapsed or absent or grown, "a full close without proof"

    def ask(self, asked: OutcomeAsked) -> None:
        order = next(order for order in self.placed if order.sent.order_id == asked.order_id)
        order.asked_ns = self.now_ns

    # What the price rules want ----------------------------------------------------------------

    @rule(part=st.integers(1, 10), level=st.integers(1, 5))
    def want_partial(self, part: int, level: int) -> None:
        if self.orders.available <= 0:
            return
        quantity = self.orders.available * part / 10
        could = self.orders.state is State.WATCHING
        assert self.orders.may_reduce is could
        out: list[Decision] = []
        self.orders.want_partial(
            quantity,
            (Reason.TAKE_PROFIT,),
            level=Decimal(100 + level),
            price=PRICE,
            stop=PRICE - 1,
            t_ns=self.now_ns,
            tick=1,
            out=out,
        )
        assert len(out) == could
        self.take(out)

    @rule()
    def want_full(self) -> None:
        overtakes = not self.orders.exiting
        out: list[Decision] = []
        self.orders.want_full(
            Reason.STOP_LOSS, price=PRICE, stop=PRICE, t_ns=self.now_ns, tick=1, out=out
        )
        assert len(out) == overtakes
        self.take(out)
        assert self.orders.exiting

    # What happens to orders -------------------------------------------------------------------

    def somewhere(self, fate: Fate) -> list[Placed]:
        return [order for order in self.placed if order.fate is fate]

    def execute(self, order: Placed, quantity: Decimal) -> None:
        """Reduce-only: never more than is open."""
        executed = min(quantity, self.true_quantity, order.sent.quantity - order.filled)
        if executed > 0:
            order.filled += executed
            self.true_quantity -= executed
            self.reports.append(self.true_quantity)

    def finish(self, order: Placed, end: Event) -> None:
        order.fate, order.end = Fate.DONE, end
        self.news.append((order, end, order.filled))

    @precondition(lambda self: self.somewhere(Fate.FLYING))
    @rule(
        data=st.data(), how=st.sampled_from(["fill", "part", "nothing", "reject", "work", "lose"])
    )
    def arrives(self, data: st.DataObject, how: str) -> None:
        order = data.draw(st.sampled_from(self.somewhere(Fate.FLYING)))
        if how == "lose":
            order.fate = Fate.LOST
        elif how == "work":
            order.fate = Fate.WORKING
            self.news.append((order, Event.ACCEPTED, ZERO))
        elif how == "reject" or not self.true_quantity:
            self.finish(order, Event.REJECTED)
        elif how == "nothing":
            self.finish(order, Event.LAPSED)
        else:
            self.news.append((order, Event.ACCEPTED, ZERO))
            self.execute(order, order.sent.quantity / (1 if how == "fill" else 2))
            self.finish(order, self.how_it_ends(order))

    @precondition(lambda self: self.somewhere(Fate.WORKING))
    @rule(data=st.data(), part=st.integers(0, 4))
    def works(self, data: st.DataObject, part: int) -> None:
        order = data.draw(st.sampled_from(self.somewhere(Fate.WORKING)))
        self.execute(order, order.sent.quantity * part / 4)
        whole = order.filled == order.sent.quantity
        self.finish(order, Event.FILLED if whole else Event.LAPSED)

    @precondition(lambda self: any(not order.told & OVER for order in self.placed))
    @rule(data=st.data())
    def nobody_knows(self, data: st.DataObject) -> None:
        """A time-out, or the socket dropped: whatever became of the order."""
        known = [order for order in self.placed if not order.told & OVER]
        self.tell(data.draw(st.sampled_from(known)), Event.UNKNOWN, ZERO)

    # What Orders is told ----------------------------------------------------------------------

    def tell(self, order: Placed, event: Event, filled: Decimal) -> None:
        order.told.add(event)
        before = self.orders.state
        out: list[Decision] = []
        self.orders.on_outcome(
            event,
            order_id=order.sent.order_id,
            filled=filled,
            price=PRICE,
            stop=PRICE,
            t_ns=self.now_ns,
            tick=1,
            out=out,
        )
        if before in EXITING:
            assert self.orders.state in EXITING
        self.take(out)

    @precondition(lambda self: self.news)
    @rule(data=st.data(), again=st.booleans())
    def news_arrives(self, data: st.DataObject, again: bool) -> None:
        """In any order, and twice now and then: two channels bring it."""
        place = data.draw(st.integers(0, len(self.news) - 1))
        order, event, filled = self.news[place] if again else self.news.pop(place)
        self.tell(order, event, filled)

    @precondition(lambda self: self.news)
    @rule(data=st.data())
    def news_is_lost(self, data: st.DataObject) -> None:
        self.news.pop(data.draw(st.integers(0, len(self.news) - 1)))

    @precondition(lambda self: any(order.asked_ns is not None for order in self.placed))
    @rule(data=st.data())
    def the_question_is_answered(self, data: st.DataObject) -> None:
        asked = [order for order in self.placed if order.asked_ns is not None]
        self.answer(data.draw(st.sampled_from(asked)))

    def answer(self, order: Placed) -> None:
        if order.fate is Fate.LOST:
            self.tell(order, Event.FOUND_ABSENT, ZERO)
        elif order.fate is Fate.WORKING:
            self.tell(order, Event.FOUND_OPEN, order.filled)
        elif order.fate is Fate.DONE:
            assert order.end is not None
            self.tell(order, order.end, order.filled)

    @precondition(lambda self: self.reports)
    @rule()
    def position_report(self) -> None:
        """They come late, but in their order."""
        self.position(self.reports.pop(0))

    def position(self, quantity: Decimal) -> None:
        if self.orders.ended:
            return
        out: list[Decision] = []
        if quantity:
            self.orders.on_quantity(quantity)
        else:
            self.orders.end(Reason.EXTERNAL, t_ns=self.now_ns, tick=1, out=out)
        self.take(out)

    @rule()
    def snapshot(self) -> None:
        """The exchange was asked what is open; every order that it knows to be over came before."""
        self.reports.clear()
        self.position(self.true_quantity)
        if self.true_quantity and not self.orders.ended:
            self.still_open_told = True
            out: list[Decision] = []
            self.orders.on_still_open(price=PRICE, stop=PRICE, t_ns=self.now_ns, tick=1, out=out)
            self.take(out)
            self.still_open_told = False

    @precondition(lambda self: self.true_quantity > 0)
    @rule(change=st.integers(-5, 5))
    def somebody_else_trades(self, change: int) -> None:
        self.true_quantity = max(ZERO, self.true_quantity + change)
        self.reports.append(self.true_quantity)

    @rule(ms=st.sampled_from([1, 100, 249, 250, 499, 500, 9_999, 10_000]))
    def time_passes(self, ms: int) -> None:
        self.wait(ms * MS)

    def wait(self, ns: int) -> None:
        end_ns = self.now_ns + ns
        while self.orders.due_ns is not None and self.orders.due_ns <= end_ns:
            self.now_ns = max(self.now_ns, self.orders.due_ns)
            out: list[Decision] = []
            self.orders.on_time(self.now_ns, tick=1, stop=PRICE, out=out)
            self.take(out)
        self.now_ns = end_ns

    # What always holds ------------------------------------------------------------------------

    @invariant()
    def a_clock_runs_exactly_where_only_a_clock_helps(self) -> None:
        waiting = {State.REDUCING_UNKNOWN, State.CLOSING_UNKNOWN, State.PURSUING, State.SETTLING}
        assert (self.orders.due_ns is not None) is (self.orders.state in waiting)
        if self.orders.due_ns is not None:
            bound = max(UNKNOWN_FULL_NS, UNKNOWN_PARTIAL_NS, RETRY_FULL_NS, SETTLE_NS)
            assert self.orders.due_ns - self.now_ns <= bound

    @invariant()
    def what_is_available_is_never_what_is_in_flight(self) -> None:
        assert ZERO <= self.orders.available <= self.orders.quantity

    @invariant()
    def the_end_is_final(self) -> None:
        if self.ended_at is not None:
            assert self.orders.ended
            assert isinstance(self.log[-1], Closed)
            assert [self.orders.partial, self.orders.full, self.orders.rest] == [None] * 3

    def teardown(self) -> None:
        """Whatever happened: once the exchange answers and fills, a decided close ends flat."""
        self.want_full()
        for _ in range(20):
            if self.orders.ended:
                break
            for order in (*self.somewhere(Fate.FLYING), *self.somewhere(Fate.WORKING)):
                self.execute(order, order.sent.quantity)
                self.finish(order, self.how_it_ends(order))
            for order in tuple(self.placed):
                if order.fate is Fate.LOST and Event.UNKNOWN not in order.told:
                    self.tell(order, Event.UNKNOWN, ZERO)  # its sender waited long enough
                self.answer(order)
            self.wait(SETTLE_NS)
            self.snapshot()
        assert self.orders.ended, "a decided close did not end flat"
        super().teardown()

    def how_it_ends(self, order: Placed) -> Event:
        if order.filled == order.sent.quantity:
            return Event.FILLED
        return Event.LAPSED if order.filled else Event.REJECTED


TestOrdersAndAnExchange = OrdersAndAnExchange.TestCase
TestOrdersAndAnExchange.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
