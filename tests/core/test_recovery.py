"""An exit that left and was not written down is taken up as if it had been."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.story import START_NS, Story, plan
from reactor.core.decisions import Decision, Exit, Reason, Side
from reactor.core.epoch_state import EpochState, from_json, restore, state_of, to_json
from reactor.core.exact import text
from reactor.core.ladder import Filters
from reactor.core.lifecycle import Event, State
from reactor.core.orders import Fills, plain_order_id
from reactor.core.plan import Plan
from reactor.core.recovery import as_sent, next_exit_id, with_exit, with_outcome
from reactor.plans import load_plan, shipped_plan_names

D = Decimal
IDS = plain_order_id
NS = START_NS + 77

TWO = (
    "[stop]\npct = 0.02\n[[targets]]\npct = 0.01\nclose = 0.3\n[[targets]]\npct = 0.02\nclose = 0.3\n"
    "[harvest]\ntrigger_pct = 0.004\nfraction = 0.2\n"
)


class Crash:
    """A live machine; what the journal holds is the state before its last exit."""

    def __init__(
        self, mine: str | Plan = TWO, *, side: Side = "LONG", quantity: str = "10"
    ) -> None:
        self.side: Side = side
        self.story = Story(
            plan(mine) if isinstance(mine, str) else mine,
            atr="1",
            fills=Fills.REPORTED,
            filters=Filters(tick=D("0.01"), step=D("0.1"), min_quantity=D("0.2")),
        )
        self.story.expect(quantity, 100, side=side)
        self.tick(D(100))
        self.written = self.now()

    def now(self) -> EpochState:
        # As the journal keeps it.
        return from_json(to_json(state_of(self.story.machine(self.side))))

    def tick(self, price: Decimal | str) -> list[Exit]:
        before = len(self.story.said)
        self.story.tick(text(D(price)))
        return [one for one in self.story.said[before:] if isinstance(one, Exit)]

    def fills(self, exit_: Exit, filled: Decimal | None = None) -> None:
        """The exchange reports the order's end and the position's size."""
        filled = exit_.quantity if filled is None else filled
        machine = self.story.machine(self.side)
        left = machine.orders.quantity - filled
        event = Event.FILLED if filled == exit_.quantity else Event.LAPSED
        self.story.news(event, of=exit_, filled=str(filled))
        self.story.position(text(left), 100, side=self.side)

    def recovered(self, exit_: Exit, **more: Any) -> EpochState:
        return with_exit(
            self.written, **{"quantity": exit_.quantity, "t_ns": NS, "order_ids": IDS, **more}
        )


def taken(state: EpochState) -> tuple[list[tuple[int, bool]], int]:
    return sorted(
        (rung.number, rung.taken) for rung in state.ladder.rungs
    ), state.ladder.harvests_taken


# Stories ----------------------------------------------------------------------------------------------


def test_a_rung_and_the_harvests_before_it_are_taken() -> None:
    crash = Crash()
    (exit_,) = crash.tick("101.1")
    state = crash.recovered(exit_)
    assert next_exit_id(crash.written, IDS) == exit_.order_id
    assert taken(state) == taken(crash.now()) == ([(0, True), (1, False)], 2)
    partial = state.orders.partial
    assert partial is not None
    assert (partial.exit.order_id, partial.exit.quantity) == (exit_.order_id, exit_.quantity)
    assert state.orders.state is State.REDUCING
    assert state.rules.time_stop_ns is None
    # The exit after it has another id.
    assert next_exit_id(state, IDS) != exit_.order_id


def test_a_quantity_that_no_levels_make_takes_the_nearest_that_do_not_exceed_it() -> None:
    crash = Crash()
    # Harvests of 2 and 1.6 of 10; then a rung of 3.
    state = with_exit(crash.written, quantity=D("3.7"), t_ns=NS, order_ids=IDS)
    assert taken(state) == ([(0, False), (1, False)], 2)


def test_a_quantity_beyond_all_levels_takes_them_all() -> None:
    mine = "[stop]\npct = 0.02\n" + "".join(
        f"[[targets]]\npct = {pct}\nclose = {close}\n"
        for pct, close in ((0.01, 0.3), (0.02, 0.005))
    )
    # The second rung is less than a lot.
    state = with_exit(Crash(mine).written, quantity=D(5), t_ns=NS, order_ids=IDS)
    assert taken(state)[0] == [(0, True), (1, False)]


def test_a_quantity_smaller_than_any_level_is_in_flight_and_takes_none() -> None:
    crash = Crash()
    state = with_exit(crash.written, quantity=D("0.5"), t_ns=NS, order_ids=IDS)
    assert taken(state) == taken(crash.written)
    assert state.orders.partial is not None
    assert state.orders.partial.exit.quantity == D("0.5")
    assert state.orders.partial.level == 100
    unpriced = msgspec.structs.replace(
        crash.written, rules=msgspec.structs.replace(crash.written.rules, x=None)
    )
    state = with_exit(unpriced, quantity=D("0.5"), t_ns=NS, order_ids=IDS)
    assert state.orders.partial is not None
    assert state.orders.partial.level == 100


@pytest.mark.parametrize("price", ["98", "50"])
def test_a_full_close_is_pursued(price: str) -> None:
    crash = Crash()
    exits = crash.tick(price) or crash.tick(price)
    state = crash.recovered(exits[0])
    assert state.orders.full is not None
    assert state.orders.full.exit.order_id == exits[0].order_id
    assert state.orders.full.exit.reasons == (Reason.STOP_LOSS,)
    assert state.exiting
    # Nothing is decided beside it.
    assert with_exit(state, quantity=D(10), t_ns=NS, order_ids=IDS) == state


def test_a_level_between_that_rounds_to_nothing_does_not_end_the_search() -> None:
    mine = "[stop]\npct = 0.02\n" + "".join(
        f"[[targets]]\npct = {pct}\nclose = {close}\n"
        for pct, close in ((0.005, 0.005), (0.01, 0.5))
    )
    crash = Crash(mine)
    # 0.5 % of 10 is less than a lot.
    (exit_,) = crash.tick("101")
    assert taken(crash.recovered(exit_))[0] == [(0, True), (1, True)]


# What the journal has in flight, or left over ---------------------------------------------------------


def test_an_earlier_exit_whose_fill_was_not_written_down_does_not_hide_the_next() -> None:
    crash = Crash()
    (first,) = crash.tick("100.4")
    crash.written = crash.now()
    assert crash.written.orders.state is State.REDUCING
    crash.fills(first)
    (second,) = crash.tick("100.8")
    assert next_exit_id(crash.written, IDS) == second.order_id
    state = crash.recovered(second)
    assert taken(state) == taken(crash.now())
    assert state.orders.number == crash.now().orders.number == 2
    assert state.orders.quantity == 8
    assert state.orders.partial is not None
    assert state.orders.partial.exit.order_id == second.order_id


@pytest.mark.parametrize("is_written", [True, False])
def test_a_full_close_overtakes_what_is_in_flight(is_written: bool) -> None:
    crash = Crash()
    (first,) = crash.tick("101.1")
    crash.written = crash.now()
    if not is_written:
        crash.fills(first)
    (full,) = crash.tick("97")
    state = crash.recovered(full)
    assert state.orders.full is not None
    assert state.orders.full.exit.order_id == full.order_id
    assert state.orders.full.exit.quantity == full.quantity
    assert (state.orders.partial is None) != is_written


def test_what_a_partial_fill_left_is_retried_once() -> None:
    crash = Crash()
    (first,) = crash.tick("100.4")
    crash.fills(first, D("0.5"))
    crash.written = crash.now()
    assert crash.written.orders.rest is not None
    (retry,) = crash.tick("100.5")
    assert retry.quantity == D("1.5")
    state = crash.recovered(retry)
    assert state.orders.rest is None
    assert state.orders.partial is not None
    assert state.orders.partial.exit.reasons == retry.reasons
    assert taken(state) == taken(crash.now())


def test_what_was_left_is_gone_with_any_later_exit() -> None:
    crash = Crash()
    (first,) = crash.tick("100.4")
    crash.fills(first, D("0.5"))
    crash.written = crash.now()
    crash.tick("100.3")
    (second,) = crash.tick("100.8")
    state = crash.recovered(second)
    assert state.orders.rest is None
    assert taken(state) == taken(crash.now())


# What became of it ------------------------------------------------------------------------------------


def outcome(state: EpochState, filled: str, *, is_over: bool = True) -> EpochState:
    return with_outcome(state, filled=D(filled), is_over=is_over, t_ns=NS, order_ids=IDS)


def test_a_partial_exit_that_is_filled_is_in_flight_no_more() -> None:
    crash = Crash()
    (exit_,) = crash.tick("101.1")
    state = outcome(crash.recovered(exit_), str(exit_.quantity))
    assert state.orders.state is State.WATCHING
    assert state.orders.partial is None
    assert state.orders.rest is None
    assert state.quantity == 10 - exit_.quantity
    assert state.initial_quantity == 10


def test_a_partial_exit_that_lapsed_leaves_a_rest() -> None:
    crash = Crash()
    (exit_,) = crash.tick("100.4")
    state = outcome(crash.recovered(exit_), "0.5")
    assert state.orders.rest is not None
    assert state.orders.rest.quantity == D("1.5")
    assert state.quantity == D("9.5")


def test_what_works_or_took_everything_stays_in_flight() -> None:
    crash = Crash()
    (exit_,) = crash.tick("100.4")
    state = crash.recovered(exit_)
    assert outcome(state, "1", is_over=False) == state
    assert outcome(state, "10") == state
    (full,) = crash.tick("97")
    closing = with_exit(crash.written, quantity=full.quantity, t_ns=NS, order_ids=IDS)
    assert outcome(closing, "10") == closing


def test_a_restart_asks_anew() -> None:
    crash = Crash()
    (exit_,) = crash.tick("100.4")
    assert as_sent(crash.now()) == crash.now()
    crash.story.news(Event.UNKNOWN, of=exit_)
    unknown = crash.now()
    assert unknown.orders.due_ns is not None
    back = as_sent(unknown)
    assert (back.orders.state, back.orders.due_ns) == (State.REDUCING, None)


# The law ----------------------------------------------------------------------------------------------

PLANS = [*(load_plan(name) for name in shipped_plan_names()), plan(TWO)]


@given(
    mine=st.sampled_from(PLANS),
    side=st.sampled_from(("LONG", "SHORT")),
    steps=st.lists(st.integers(min_value=-60, max_value=90), min_size=1, max_size=40),
    quantity=st.sampled_from(("10", "7.3", "0.9", "314")),
    lags=st.booleans(),
)
def test_whatever_exit_was_lost_it_is_found_by_its_quantity(
    mine: Plan, side: Side, steps: list[int], quantity: str, lags: bool
) -> None:
    """A walk of ticks; each exit is looked up in the state that the journal had before it.

    The journal may be as old as the exit before this one, whose fill was not written down. The recovered epoch
    has the machine's order id, number, quantities and taken levels; levels that came to nothing on that tick
    cannot be told from its quantity, and take nothing when they come again.
    """
    crash = Crash(mine, side=side, quantity=quantity)
    price = D(100)
    for step in steps:
        price += D(step) / 100
        if not lags or crash.written.orders.partial is None:
            crash.written = crash.now()
        before = crash.now()
        exits = crash.tick(price)
        if not exits:
            continue
        (exit_,) = exits
        after = crash.now()
        assert next_exit_id(crash.written, IDS) == exit_.order_id
        state = crash.recovered(exit_)
        assert state.orders.number == after.orders.number
        assert state.orders.attempt == after.orders.attempt
        assert next_exit_id(state, IDS) == next_exit_id(after, IDS)
        ours = state.orders.partial or state.orders.full
        assert ours is not None
        assert ours.exit.order_id == exit_.order_id
        assert ours.exit.quantity == exit_.quantity
        assert state.initial_quantity == after.initial_quantity
        if exit_.quantity >= before.quantity:
            assert state.exiting
            return
        assert ours.exit.reasons == exit_.reasons
        rungs, harvests = taken(state)
        true_rungs, true_harvests = taken(after)
        assert harvests <= true_harvests
        assert all(
            not mine_ or theirs for (_, mine_), (_, theirs) in zip(rungs, true_rungs, strict=True)
        )
        if (rungs, harvests) != (true_rungs, true_harvests):
            nothing_more(state, exit_, after)
        crash.written = after
        crash.fills(exit_)


def nothing_more(state: EpochState, exit_: Exit, after: EpochState) -> None:
    """What the recovered epoch did not take rounds to nothing at the price of that tick."""
    settled = outcome(state, str(exit_.quantity))
    machine = restore(settled, fills=Fills.REPORTED)
    out: list[Decision] = []
    machine.take_profits(exit_.price if exit_.side == "LONG" else -exit_.price, t_ns=NS, out=out)
    assert out == []
    assert taken(state_of(machine)) == taken(after)
