"""The exit orders of one epoch: what is held, what is in flight, what became of it.

The price rules ask for a partial or a full exit; `lifecycle.TRANSITIONS` says whether that may be sent
while an earlier order awaits its outcome, and what an outcome leads to. Fills are either reported by the
exchange (live, and tapes of real sessions) or simulated: at the price of the tick that decided, or at the
next tick's.
"""

from collections.abc import Callable
from decimal import Decimal
from enum import StrEnum

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
from reactor.core.exact import ZERO, add, divide, multiply, subtract
from reactor.core.in_flight import InFlight, OrdersState, Rest
from reactor.core.lifecycle import EXITING, TRANSITIONS, Action, Event, State
from reactor.errors import InvariantError

UNKNOWN_FULL_NS = 500_000_000
"""How long an unknown full close is asked about before it is sent again (specification, orders)."""

UNKNOWN_PARTIAL_NS = 10_000_000_000
"""How long an unknown partial exit is asked about before the position's size is taken for the truth."""

UNFILLED_PARTIALS_MAX = 3
"""Partial exits in a row that end with nothing filled; beyond it the level is dropped, not flooded."""

SENT_KEPT = 100
"""Order ids remembered per epoch, to name its end; a refused close sends four a second."""

SETTLE_NS = 500_000_000
"""How long after a whole fill the position's own report may take before it is asked for."""

RETRY_FULL_NS = 250_000_000
"""The pause after a refused full close: long enough not to flood, short against any move that matters."""


class Fills(StrEnum):
    """Where fills come from."""

    REPORTED = "reported"
    AT_TRIGGER = "trigger"
    AT_NEXT_TICK = "next"


OrderIds = Callable[[str, Side, int, int, int, int], str]
"""The pure function of (symbol, side, opened_ns, epoch, decision number, attempt) that names an order."""


def plain_order_id(
    symbol: str, side: Side, opened_ns: int, epoch: int, number: int, attempt: int
) -> str:
    """An order id for replays and tests: readable, unique within a session, fit for no exchange."""
    return f"{symbol}-{side}-{opened_ns}-{epoch}-{number}-{attempt}"


class Orders:
    """Quantity, orders in flight and realised profit of one epoch.

    Attributes:
        state: where the life-cycle stands.
        number: which of the epoch's decisions the last one was; 0 before the first.
        quantity: what is open, in base units. `initial_quantity`: the largest held in this epoch.
        rest: what a partial fill left, to be retried or dropped by the next tick.
        due_ns: when the clock next has something to do here; None without such an instant.
    """

    __slots__ = (
        "_attempt",
        "_epoch",
        "_opened_ns",
        "_order_ids",
        "_realized",
        "_risk",
        "_sent",
        "_side",
        "_symbol",
        "_unfilled",
        "_unpriced",
        "closed_by",
        "due_ns",
        "entry",
        "fills",
        "full",
        "initial_quantity",
        "last_trade_reason",
        "number",
        "partial",
        "quantity",
        "rest",
        "state",
    )

    def __init__(
        self,
        *,
        symbol: str,
        side: Side,
        epoch: int,
        opened_ns: int,
        quantity: Decimal,
        entry: Decimal,
        fills: Fills,
        order_ids: OrderIds = plain_order_id,
    ) -> None:
        self._symbol = symbol
        self._side: Side = side
        self._epoch = epoch
        self._opened_ns = opened_ns
        self._order_ids = order_ids
        self.number = 0
        self._attempt = 0
        self._unfilled = 0
        self._risk = ZERO
        self.fills = fills
        self.quantity = quantity
        self.initial_quantity = quantity
        self.entry = entry
        self.state = State.WATCHING
        self.partial: InFlight | None = None
        self.full: InFlight | None = None
        self.rest: Rest | None = None
        self._realized = ZERO
        # Reductions that the exchange reported and whose trades it has not, in base units.
        self._unpriced = ZERO
        self.due_ns: int | None = None
        # The last reason of every exit sent in this epoch, by order id; a ladder and its harvests.
        self._sent: dict[str, Reason] = {}
        self.last_trade_reason: Reason | None = None
        # Why a full close was decided: what the epoch's end is called if it succeeds.
        self.closed_by: Reason | None = None

    # What a reader asks -----------------------------------------------------------------------

    @property
    def exiting(self) -> bool:
        """Whether a full close is decided, or the epoch is over: no rule is looked at any more."""
        return self.state in EXITING or self.state is State.ENDED

    @property
    def ended(self) -> bool:
        """Whether the epoch is over."""
        return self.state is State.ENDED

    @property
    def may_reduce(self) -> bool:
        """Whether a rung or harvest may send an order now."""
        return self.state is State.WATCHING

    @property
    def is_idle(self) -> bool:
        """Whether nothing is in flight, under way or left over."""
        return self.state is State.WATCHING and self.rest is None

    @property
    def is_unknown(self) -> bool:
        """Whether the exchange is being asked what became of an order, or of the position."""
        return self.state in {State.REDUCING_UNKNOWN, State.CLOSING_UNKNOWN, State.SETTLING}

    def has_sent(self, order_id: str) -> bool:
        """Whether an exit of this epoch had this id, as far as remembered."""
        return order_id in self._sent

    @property
    def available(self) -> Decimal:
        """What is open less what a partial exit in flight may still take."""
        if self.partial is None:
            return self.quantity
        in_flight = subtract(self.partial.exit.quantity, self.partial.filled)
        return max(ZERO, subtract(self.quantity, in_flight))

    @property
    def fills_at_next_tick(self) -> bool:
        """Whether the next tick fills something."""
        return self.fills is Fills.AT_NEXT_TICK and (
            self.partial is not None or self.full is not None
        )

    # What the price rules ask for -------------------------------------------------------------

    def want_partial(
        self,
        quantity: Decimal,
        reasons: tuple[Reason, ...],
        *,
        level: Decimal,
        price: Decimal,
        stop: Decimal,
        t_ns: int,
        tick: int,
        out: list[Decision],
    ) -> None:
        """Asks for a partial exit.

        Args:
            quantity: how much, in base units; never more than `available`.
            reasons: what fired, each once.
            level: the farthest level that fired, on the gain axis.
            price: the tick's price.
            stop: the stop before this tick.
            t_ns: when the decision falls.
            tick: the tick's number.
            out: where decisions go.
        """
        action = self._step(Event.WANT_PARTIAL)
        if action is not Action.SEND_PARTIAL:
            return
        self._attempt = 0
        if quantity <= 0 or quantity > self.quantity:
            raise InvariantError(f"{self._symbol}: a partial exit of {quantity} of {self.quantity}")
        self.number += 1
        exit_ = self._exit(
            quantity=quantity,
            remaining=subtract(self.quantity, quantity),
            reasons=reasons,
            full=False,
            price=price,
            stop=stop,
            t_ns=t_ns,
            tick=tick,
        )
        self.partial = InFlight(exit_, level)
        out.append(exit_)
        if self.fills is Fills.AT_TRIGGER:
            self.fill_in_flight(price, stop=stop, t_ns=t_ns, tick=tick, out=out)

    def want_full(
        self,
        reason: Reason,
        *,
        price: Decimal,
        stop: Decimal,
        t_ns: int,
        tick: int,
        out: list[Decision],
    ) -> None:
        """Asks for everything to be closed, until flat."""
        if self._step(Event.WANT_FULL) is Action.SEND_FULL:
            self.closed_by = reason
            self.rest = None
            self.number += 1
            self._attempt = 0
            self._send_full(self.quantity, price=price, stop=stop, t_ns=t_ns, tick=tick, out=out)

    def _send_full(
        self,
        quantity: Decimal,
        *,
        price: Decimal,
        stop: Decimal,
        t_ns: int,
        tick: int,
        out: list[Decision],
    ) -> None:
        assert self.closed_by is not None
        self.due_ns = None
        exit_ = self._exit(
            quantity=quantity,
            remaining=ZERO,
            reasons=(self.closed_by,),
            full=True,
            price=price,
            stop=stop,
            t_ns=t_ns,
            tick=tick,
        )
        self.full = InFlight(exit_, None)
        out.append(exit_)
        if self.fills is Fills.AT_TRIGGER:
            self.fill_in_flight(price, stop=stop, t_ns=t_ns, tick=tick, out=out)

    def _exit(
        self,
        *,
        quantity: Decimal,
        remaining: Decimal,
        reasons: tuple[Reason, ...],
        full: bool,
        price: Decimal,
        stop: Decimal,
        t_ns: int,
        tick: int,
    ) -> Exit:
        order_id = self._order_ids(
            self._symbol, self._side, self._opened_ns, self._epoch, self.number, self._attempt
        )
        self._sent[order_id] = reasons[-1]
        if len(self._sent) > SENT_KEPT:
            del self._sent[next(iter(self._sent))]
        return Exit(
            t_ns=t_ns,
            tick=tick,
            symbol=self._symbol,
            side=self._side,
            epoch=self._epoch,
            number=self.number,
            attempt=self._attempt,
            order_id=order_id,
            full=full,
            reasons=reasons,
            price=price,
            quantity=quantity,
            remaining=remaining,
            stop=stop,
        )

    # Simulated fills --------------------------------------------------------------------------

    def fill_in_flight(
        self, price: Decimal, *, stop: Decimal, t_ns: int, tick: int, out: list[Decision]
    ) -> None:
        """Fills what is in flight at this price, where fills are simulated; the older order first."""
        if self.fills is Fills.REPORTED:
            return
        for order in (self.partial, self.full):
            if order is not None and self.state is not State.ENDED:
                quantity = min(order.exit.quantity, self.quantity)
                reason = order.exit.reasons[-1]
                order.filled = quantity
                self.quantity = subtract(self.quantity, quantity)
                self._realize(quantity, price)
                if order is self.partial:
                    self.partial = None
                    if self.state is State.REDUCING:
                        self._step(Event.FILLED)
                if not self.quantity:
                    self.end(reason, t_ns=t_ns, tick=tick, out=out)
                elif order is self.full:
                    # It grew while it was being closed; a full close is pursued.
                    self._repeat_full(
                        self.quantity, price=price, stop=stop, t_ns=t_ns, tick=tick, out=out
                    )

    # What the exchange reports ----------------------------------------------------------------

    def on_outcome(
        self,
        event: Event,
        *,
        order_id: str,
        filled: Decimal,
        price: Decimal,
        stop: Decimal,
        t_ns: int,
        tick: int,
        out: list[Decision],
    ) -> None:
        """Takes news of an order of this epoch.

        Args:
            event: what became of it.
            order_id: which one.
            filled: how much of it is filled in all, as far as this news tells.
            price: the current price, for the decisions that may follow.
            stop: the stop, likewise.
            t_ns: when the news came.
            tick: the last tick's number.
            out: where they go.
        """
        order = next(
            (
                order
                for order in (self.partial, self.full)
                if order is not None and order.exit.order_id == order_id
            ),
            None,
        )
        if order is None:
            # News of an order whose end was known before: fills are counted by the position.
            return
        order.filled = max(order.filled, filled)
        left = subtract(order.exit.quantity, order.filled)
        if event is Event.LAPSED and left <= 0:
            event = Event.FILLED
        elif event is Event.LAPSED and order.exit.full and not order.filled:
            # It ended with nothing done: sent again at once, it would end so again, without end.
            event = Event.REJECTED
        if order is self.partial and self.state in EXITING:
            # A full close overtook it; its own outcome decides nothing any more.
            if event in {Event.FILLED, Event.LAPSED, Event.REJECTED, Event.FOUND_ABSENT}:
                self.partial = None
            return
        action = self._step(event)
        if action is Action.ASK:
            self.due_ns = t_ns + (UNKNOWN_FULL_NS if order.exit.full else UNKNOWN_PARTIAL_NS)
            out.append(self._asked(order_id, t_ns=t_ns, tick=tick))
        elif action is Action.KEEP_REST:
            self._keep_rest(order, left, t_ns=t_ns, tick=tick, out=out)
        elif action is Action.RETRY_LATER:
            self.due_ns = t_ns + RETRY_FULL_NS
        elif action is Action.AWAIT_FLAT:
            self.due_ns = t_ns + SETTLE_NS
        elif action is Action.SEND_FULL:
            # The position's own report of these fills may come before or after this news.
            rest = min(self.quantity, left)
            self._repeat_full(rest, price=price, stop=stop, t_ns=t_ns, tick=tick, out=out)
        elif action is Action.ALARM:
            out.append(self._alarm(f"order {order_id}: {event} while {self.state}", t_ns, tick))
        if self.state is State.WATCHING:
            self.partial = None
            self.due_ns = None
        elif self.state in {State.REDUCING, State.CLOSING}:
            # It is there; nothing is asked for. Late news must not stop the other states' clocks.
            self.due_ns = None

    def _keep_rest(
        self, order: InFlight, left: Decimal, *, t_ns: int, tick: int, out: list[Decision]
    ) -> None:
        """What a partial fill left may be retried; an order that keeps failing is dropped and told."""
        self._unfilled = 0 if order.filled else self._unfilled + 1
        if self._unfilled > UNFILLED_PARTIALS_MAX:
            self._unfilled = 0
            what = f"order {order.exit.order_id}: nothing filled, time and again; dropped"
            out.append(self._alarm(what, t_ns, tick))
        elif left > 0 and order.level is not None:
            self.rest = Rest(left, order.level, order.exit.reasons)

    def on_still_open(
        self, *, price: Decimal, stop: Decimal, t_ns: int, tick: int, out: list[Decision]
    ) -> None:
        """Takes a snapshot of the exchange, younger than the last order, that shows it open."""
        if self._step(Event.STILL_OPEN) is Action.SEND_FULL:
            self._repeat_full(self.quantity, price=price, stop=stop, t_ns=t_ns, tick=tick, out=out)

    def _repeat_full(
        self,
        quantity: Decimal,
        *,
        price: Decimal,
        stop: Decimal,
        t_ns: int,
        tick: int,
        out: list[Decision],
    ) -> None:
        self._attempt += 1
        self._send_full(quantity, price=price, stop=stop, t_ns=t_ns, tick=tick, out=out)

    def on_time(self, now_ns: int, *, tick: int, stop: Decimal, out: list[Decision]) -> None:
        """Acts on an unknown outcome's bound or a retry that is due."""
        if self.due_ns is None or now_ns < self.due_ns:
            return
        t_ns, self.due_ns = self.due_ns, None
        action = self._step(Event.DUE)
        assert self.full is not None or self.partial is not None
        if action is Action.SEND_FULL:
            price = self.full.exit.price if self.full is not None else stop
            self._repeat_full(self.quantity, price=price, stop=stop, t_ns=t_ns, tick=tick, out=out)
        elif action is Action.ASK:
            assert self.full is not None
            self.due_ns = t_ns + SETTLE_NS
            out.append(self._asked(self.full.exit.order_id, t_ns=t_ns, tick=tick))
        else:
            assert action is Action.TAKE_POSITION
            assert self.partial is not None
            order_id = self.partial.exit.order_id
            self.partial = None
            out.append(
                self._alarm(
                    f"order {order_id}: outcome still unknown; taking the position as it is",
                    t_ns,
                    tick,
                )
            )

    def on_quantity(self, quantity: Decimal) -> None:
        """Takes the position's size as the exchange reports it."""
        if quantity < self.quantity:
            self._unpriced = add(self._unpriced, subtract(self.quantity, quantity))
        self.quantity = quantity
        self.initial_quantity = max(self.initial_quantity, quantity)

    def on_trade(
        self, quantity: Decimal, profit: Decimal, *, order_id: str, ends_as: Reason
    ) -> Reason:
        """Takes the profit of a reported trade that reduced the position.

        Args:
            quantity: how much it reduced, in base units.
            profit: realised by it, before fees, in quote units.
            order_id: the client id of the order it filled.
            ends_as: what it is called where the order is not one of this epoch's.

        Returns:
            What the end of the epoch is called if this trade ended it.
        """
        self._unpriced = subtract(self._unpriced, quantity)
        self._realized = add(self._realized, profit)
        if order_id in self._sent:
            self.last_trade_reason = self._sent[order_id]
        elif self.closed_by is not None and ends_as is Reason.EXTERNAL:
            # Everything was to be closed, and somebody's order did it: the exit's reason stands.
            self.last_trade_reason = self.closed_by
        else:
            self.last_trade_reason = ends_as
        return self.last_trade_reason

    @property
    def unpriced(self) -> Decimal:
        """Reductions whose trades have not come; negative where trades came before their report."""
        return self._unpriced

    @property
    def realized(self) -> Decimal | None:
        """Profit without fees so far, in quote units; None while a reduction's price is unknown."""
        return None if self._unpriced else self._realized

    def risk(self, r: Decimal) -> None:
        """Takes the epoch's R, in price, for the R multiple of its result."""
        self._risk = r

    def end(self, reason: Reason, *, t_ns: int, tick: int, out: list[Decision]) -> None:
        """Ends the epoch and says so."""
        self.release(t_ns=t_ns, tick=tick, out=out)
        out.append(self.closed(reason, t_ns=t_ns, tick=tick))

    def release(self, *, t_ns: int, tick: int, out: list[Decision]) -> None:
        """Ends the epoch: nothing of it reaches the next one. Its name for the end may follow later."""
        self._step(Event.FLAT)
        self.partial = self.full = self.rest = self.due_ns = None
        self.on_quantity(ZERO)
        out.append(
            OrdersCancelled(
                t_ns=t_ns, tick=tick, symbol=self._symbol, side=self._side, epoch=self._epoch
            )
        )

    def closed(self, reason: Reason, *, t_ns: int, tick: int) -> Closed:
        """The epoch's last decision."""
        multiple = None
        at_risk = multiply(self.initial_quantity, self._risk)
        realized = self.realized
        if realized is not None and at_risk > 0:
            multiple = divide(realized, at_risk)
        return Closed(
            t_ns=t_ns,
            tick=tick,
            symbol=self._symbol,
            side=self._side,
            epoch=self._epoch,
            reason=reason,
            realized=realized,
            r_multiple=multiple,
        )

    def _realize(self, quantity: Decimal, price: Decimal) -> None:
        gain = subtract(price, self.entry)
        if self._side == "SHORT":
            gain = gain.copy_negate()
        self._realized = add(self._realized, multiply(quantity, gain))

    # A restart --------------------------------------------------------------------------------

    def state_of(self) -> OrdersState:
        """Everything of them that a restart needs."""
        return OrdersState(
            state=self.state,
            quantity=self.quantity,
            initial_quantity=self.initial_quantity,
            number=self.number,
            attempt=self._attempt,
            unfilled=self._unfilled,
            risk=self._risk,
            partial=None if self.partial is None else self.partial.state(),
            full=None if self.full is None else self.full.state(),
            rest=self.rest,
            realized=self._realized,
            unpriced=self._unpriced,
            due_ns=self.due_ns,
            sent=dict(self._sent),
            last_trade_reason=self.last_trade_reason,
            closed_by=self.closed_by,
        )

    def restore(self, state: OrdersState) -> None:
        """Takes the state of an earlier process."""
        self.state = state.state
        self.quantity = state.quantity
        self.initial_quantity = state.initial_quantity
        self.number = state.number
        self._attempt = state.attempt
        self._unfilled = state.unfilled
        self._risk = state.risk
        self.partial = None if state.partial is None else InFlight.restored(state.partial)
        self.full = None if state.full is None else InFlight.restored(state.full)
        self.rest = state.rest
        self._realized = state.realized
        self._unpriced = state.unpriced
        self.due_ns = state.due_ns
        self._sent = dict(state.sent)
        self.last_trade_reason = state.last_trade_reason
        self.closed_by = state.closed_by

    def _step(self, event: Event) -> Action:
        self.state, action = TRANSITIONS[self.state][event]
        return action

    def _asked(self, order_id: str, *, t_ns: int, tick: int) -> OutcomeAsked:
        return OutcomeAsked(
            t_ns=t_ns,
            tick=tick,
            symbol=self._symbol,
            side=self._side,
            epoch=self._epoch,
            order_id=order_id,
        )

    def _alarm(self, what: str, t_ns: int, tick: int) -> Alarm:
        return Alarm(
            t_ns=t_ns,
            tick=tick,
            symbol=self._symbol,
            side=self._side,
            epoch=self._epoch,
            what=what,
        )
