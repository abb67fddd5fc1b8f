"""Hard stops against a small model of the exchange that answers late, loses, hides and forgets.

The law: from the first confirmation to the epoch's end there stands at the exchange, at every instant, enough of
the right side at a trigger no looser than any confirmed before, whatever was lost on the way; only what the
exchange itself takes away may break it, and then there is an alarm.
"""

from decimal import Decimal
from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from reactor.core.hard_stop_levels import is_tighter
from reactor.core.hard_stop_values import (
    SECOND_NS,
    Action,
    AskOpen,
    AskOrder,
    Cancel,
    CloseNow,
    Place,
    SeenStop,
)

from .hard_stop_bench import Bench, of

SIDES = st.sampled_from(["LONG", "SHORT"])


class Exchange:
    """The Algo service, in as many lines as the law needs."""

    def __init__(self) -> None:
        self.standing: dict[str, SeenStop] = {}
        self.ended: dict[str, str] = {}
        self.hidden: set[str] = set()
        self.algo_id = 0

    def place(self, place: Place) -> int | None:
        """The code it refuses with, None where it takes the order."""
        if place.client_id in self.standing:
            return -4116
        self.algo_id += 1
        self.standing[place.client_id] = SeenStop(
            client_id=place.client_id,
            algo_id=self.algo_id,
            symbol=place.symbol,
            status="NEW",
            side="SELL" if place.side == "LONG" else "BUY",
            trigger=place.trigger,
            quantity=place.quantity,
        )
        return None

    def cancel(self, client_id: str) -> bool:
        if client_id not in self.standing or client_id in self.hidden:
            return False
        del self.standing[client_id]
        self.ended[client_id] = "CANCELED"
        return True

    def visible(self) -> list[SeenStop]:
        return [row for row in self.standing.values() if row.client_id not in self.hidden]


class HardStopLaws(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.exchange = Exchange()
        self.under_way: list[tuple[int, Action]] = []
        self.confirmed: tuple[Decimal, Decimal] | None = None
        self.tightest: Decimal | None = None
        self.was_robbed = False
        self.placed_ns: list[int] = []
        self.taken = 0

    @initialize(side=SIDES, hedge=st.booleans(), quantity=st.integers(1, 300))
    def open(self, side: str, hedge: bool, quantity: int) -> None:
        self.bench = Bench(side=side, hedge=hedge, quantity=str(quantity))
        self.gain = 1 if side == "LONG" else -1
        self.collect()

    # The world --------------------------------------------------------------------------------

    @rule(steps=st.integers(1, 30))
    def the_stop_improves(self, steps: int) -> None:
        stop = self.bench.wanted.stop + self.gain * Decimal(steps) / 10
        if stop > 1:
            self.bench.want(stop=stop)
        self.collect()

    @rule(quantity=st.integers(1, 300))
    def the_position_changes(self, quantity: int) -> None:
        self.bench.want(quantity=str(quantity))
        self.collect()

    @rule(steps=st.integers(-30, 60))
    def the_mark_price_comes(self, steps: int) -> None:
        """What is tighter than it is held back; the stop that stands was not reached."""
        mark = self.bench.wanted.stop - self.gain * Decimal(steps) / 10
        if mark > 1:
            self.bench.stops.mark("BTCUSDT", mark, self.bench.t_ns)

    @rule(tenths=st.integers(1, 40))
    def time_passes(self, tenths: int) -> None:
        self.bench.wait(tenths / 10)
        self.collect()

    @precondition(lambda self: self.under_way)
    @rule(
        which=st.integers(0, 20),
        fate=st.sampled_from(["done", "done", "done", "silent", "lost", "refused", "forgotten"]),
        hides=st.integers(0, 9),
    )
    def the_exchange_answers(self, which: int, fate: str, hides: int) -> None:
        asked_ns, action = self.under_way.pop(which % len(self.under_way))
        self.execute(asked_ns, action, fate, hides=hides == 0)
        self.collect()

    @rule(which=st.integers(0, 20))
    def the_stream_tells(self, which: int) -> None:
        rows = list(self.exchange.standing.values())
        if rows:
            row = rows[which % len(rows)]
            self.bench.did(self.bench.stops.update(row, self.bench.t_ns))
        self.collect()

    @rule()
    def hidden_orders_are_seen_again(self) -> None:
        self.exchange.hidden.clear()

    @rule(which=st.integers(0, 20), is_told=st.booleans())
    def the_exchange_takes_one_away(self, which: int, is_told: bool) -> None:
        if self.taken >= 2 or not self.exchange.standing:
            return
        self.taken += 1
        rows = list(self.exchange.standing.values())
        row = rows[which % len(rows)]
        self.exchange.cancel(row.client_id)
        self.exchange.standing.pop(row.client_id, None)
        self.was_robbed = True
        self.confirmed = None
        if is_told:
            fields = {name: getattr(row, name) for name in row.__struct_fields__}
            gone = SeenStop(**(fields | {"status": "EXPIRED"}))
            self.bench.did(self.bench.stops.update(gone, self.bench.t_ns))
        self.collect()

    @rule()
    def everything_is_listed(self) -> None:
        self.bench.list_shows(*self.exchange.visible())
        self.collect()

    # The laws ---------------------------------------------------------------------------------

    @invariant()
    def what_was_confirmed_still_stands(self) -> None:
        if self.confirmed is None:
            return
        trigger, quantity = self.confirmed
        side = self.bench.wanted.side
        there = sum(
            row.quantity
            for row in self.exchange.standing.values()
            if not is_tighter(side, trigger, row.trigger)
        )
        assert there >= min(quantity, self.bench.wanted.quantity)

    @invariant()
    def requests_are_bounded(self) -> None:
        if hasattr(self, "bench"):
            recent = [t for t in self.placed_ns if self.bench.t_ns - t <= SECOND_NS]
            # Three parts at most here; a burst of four, a move, and retries a quarter of a second apart.
            assert len(recent) <= 3 * 10

    def teardown(self) -> None:
        """Let alone for long enough, all is as it should be, and nothing else stands."""
        if not hasattr(self, "bench"):
            return
        self.exchange.hidden.clear()
        for _ in range(120):
            while self.under_way:
                asked_ns, action = self.under_way.pop(0)
                self.execute(asked_ns, action, "done", hides=False)
                self.collect()
            self.bench.wait(1)
            self.collect()
            if self.bench.t_ns % (20 * SECOND_NS) < SECOND_NS:
                self.everything_is_listed()
        view, wanted = self.bench.view(), self.bench.wanted
        assert view.state == "standing"
        assert view.quantity == wanted.quantity
        assert view.surplus_since_ns is None
        assert view.trigger is not None
        assert sum(row.quantity for row in self.exchange.standing.values()) == wanted.quantity
        distance = abs(view.trigger - wanted.stop) / wanted.stop
        assert distance < Decimal("0.0075")
        assert of(CloseNow, self.bench.log) == []

    # Inside -----------------------------------------------------------------------------------

    def collect(self) -> None:
        """Takes what was asked for, and what is confirmed now."""
        bench = self.bench
        for action in bench.log:
            assert not isinstance(action, CloseNow)
            if isinstance(action, Place):
                self.placed_ns.append(bench.t_ns)
                tightest = self.tightest
                side = bench.wanted.side
                assert tightest is None or not is_tighter(side, tightest, action.trigger)
            if isinstance(action, Place | Cancel | AskOpen | AskOrder):
                self.under_way.append((bench.t_ns, action))
        bench.log.clear()
        view = bench.view()
        if view.state == "standing" and view.trigger is not None:
            stands = all(self.is_standing(record) for record in bench.state().stops)
            assert stands or self.was_robbed, "it believes in a stop that is not there"
            if stands:
                self.confirmed = view.trigger, view.quantity
            if self.tightest is None or is_tighter(bench.wanted.side, view.trigger, self.tightest):
                self.tightest = view.trigger

    def is_standing(self, record: Any) -> bool:
        return record.client_id in self.exchange.standing

    def execute(self, asked_ns: int, action: Action, fate: str, *, hides: bool) -> None:
        bench, stops, exchange = self.bench, self.bench.stops, self.exchange
        t_ns = bench.t_ns
        if isinstance(action, Place):
            if fate == "refused":
                bench.refuse(-1015, action)
                return
            code = None if fate == "lost" else exchange.place(action)
            if hides and fate == "done":
                exchange.hidden.add(action.client_id)
            if fate in {"lost", "silent"}:
                bench.did(stops.unknown(action.client_id, t_ns))
            elif fate == "done" and code is None:
                row = exchange.standing[action.client_id]
                bench.did(stops.accepted(action.client_id, row.algo_id, t_ns))
            elif fate == "done":
                bench.refuse(code, action)
        elif isinstance(action, Cancel):
            done = fate not in {"lost", "refused"} and exchange.cancel(action.client_id)
            if fate in {"silent", "lost", "refused"}:
                bench.did(stops.cancel_refused(action.client_id, None, t_ns))
            elif fate == "done" and done:
                bench.did(stops.cancelled(action.client_id, t_ns))
            elif fate == "done":
                bench.did(stops.cancel_refused(action.client_id, -2011, t_ns))
        elif isinstance(action, AskOrder) and fate == "done":
            found = exchange.standing.get(action.client_id)
            if found is not None and action.client_id not in exchange.hidden:
                bench.did(stops.update(found, t_ns))
            else:
                bench.did(stops.not_found(action.client_id, asked_ns, t_ns))
        elif isinstance(action, AskOpen) and fate == "done":
            bench.list_shows(*exchange.visible(), asked_ns=asked_ns)


TestHardStopLaws = HardStopLaws.TestCase
TestHardStopLaws.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
