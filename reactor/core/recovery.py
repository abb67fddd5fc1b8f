"""An exit that was sent just before a crash, and never written down: what the epoch looks like with it.

Order ids are computed from what the journal holds, so the next decision's id is known after a restart, and the
exchange is asked for it. If it is there, the decision was made: its rungs and harvest steps are taken, its
order is in flight, and nothing of it is decided a second time. Which ones it took follows from its quantity,
since that grows with the price in steps.
"""

from decimal import Decimal
from typing import Final

import msgspec

from reactor.core.decisions import Decision, Exit, Reason, StopKind
from reactor.core.epoch_state import EpochState, restore, state_of
from reactor.core.exact import ONE, ZERO, add, ceil_to, divide, floor_to, subtract
from reactor.core.in_flight import Rest
from reactor.core.lifecycle import Event, State
from reactor.core.machine import Machine
from reactor.core.orders import Fills, OrderIds

AS_SENT: Final = {
    State.REDUCING_UNKNOWN: State.REDUCING,
    State.CLOSING_UNKNOWN: State.CLOSING,
}
"""What an order's life-cycle is taken back to by a restart, so that its outcome is asked for anew."""

LEVELS_TRIED_MAX = 500
"""Rungs and harvest steps that are tried, nearest first; a tick that took more would be absurd."""


def next_exit_id(state: EpochState, order_ids: OrderIds) -> str:
    """The id that the epoch's next exit decision has, or had."""
    return order_ids(
        state.symbol, state.side, state.opened_ns, state.epoch, state.orders.number + 1, 0
    )


def as_sent(state: EpochState) -> EpochState:
    """The epoch with what was in flight as if just sent, nothing asked yet and no clock running.

    The process that had asked is gone with its answers: who goes on has to ask for itself, and must not send
    again on the clock of a question that nobody answers any more.
    """
    orders = state.orders
    back = AS_SENT.get(orders.state)
    if back is None:
        return state
    orders = msgspec.structs.replace(orders, state=back, due_ns=None)
    return msgspec.structs.replace(state, orders=orders)


def with_hard_stop(state: EpochState, trigger: Decimal) -> EpochState:
    """The epoch with its stop no worse than its own hard stop at the exchange shows that it was.

    A move of the stop in the last moment before a crash may be missing in the journal; the hard stop that
    followed it stands. Its trigger is the stop less the buffer, rounded away from the price, so this never answers a
    better stop than there was.

    Args:
        state: as the journal has it.
        trigger: of the tightest hard stop of this epoch that stands.

    Returns:
        The state; as it was where an operator set the stop, or where the plan does not say the buffer: it may be
        another one by now.
    """
    plan = state.plan.hard_stop
    if plan is None or state.stop.kind is StopKind.MANUAL or state.stop.overruled is not None:
        return state
    if state.side == "LONG":
        x = ceil_to(divide(trigger, subtract(ONE, plan.buffer_pct)), state.filters.tick)
    else:
        stop = floor_to(divide(trigger, add(ONE, plan.buffer_pct)), state.filters.tick)
        x = stop.copy_negate()
    if x <= state.stop.x:
        return state
    kind = state.stop.kind
    entry = state.price(state.entry)
    if entry is not None and x > entry:
        kind = StopKind.BREAK_EVEN if state.plan.trailing is None else StopKind.TRAILING_STOP
    return msgspec.structs.replace(state, stop=msgspec.structs.replace(state.stop, x=x, kind=kind))


def with_outcome(
    state: EpochState, *, filled: Decimal, is_over: bool, t_ns: int, order_ids: OrderIds
) -> EpochState:
    """The epoch after what became of the exit that `with_exit` found.

    Args:
        state: what `with_exit` answered.
        filled: how much of the exit is filled.
        is_over: whether it is no longer working.
        t_ns: when this was learned.
        order_ids: the pure function that names orders.

    Returns:
        The state; a partial exit that is over is in flight no more, and what it took is gone. A full close
        stays in flight: the position's own report ends the epoch.
    """
    machine = _machine(state, order_ids)
    order = machine.orders.partial
    if order is None or not is_over or filled >= machine.orders.quantity:
        return state
    machine.on_outcome(Event.LAPSED, order_id=order.exit.order_id, filled=filled, t_ns=t_ns, out=[])
    machine.orders.on_quantity(subtract(machine.orders.quantity, filled))
    return state_of(machine)


def with_exit(
    state: EpochState, *, quantity: Decimal, t_ns: int, order_ids: OrderIds
) -> EpochState:
    """The epoch after the exit decision that is found at the exchange and not in the journal.

    Args:
        state: as the journal has it.
        quantity: of the order that was found, all slices together.
        t_ns: when it was sent, as far as known.
        order_ids: the pure function that names orders.

    Returns:
        The state with that exit in flight. A full close carries the stop's kind as its reason: the journal
        does not know another. A partial one has taken the nearest levels that add up to its quantity, or,
        where none do, the nearest ones that do not exceed it; or it is what an earlier one had left.
    """
    if state.exiting:
        # Nothing but the same decision's own repetitions follows a full close.
        return state
    before = state
    state, rest = _decidable(state, order_ids)
    if quantity >= state.quantity:
        # A full close of all that the journal knows overtook what was in flight.
        machine = _machine(before if quantity >= before.quantity else state, order_ids)
        machine.close_all(Reason(machine.stop.kind.value), t_ns=t_ns, out=[])
        return state_of(machine)
    if rest is not None and quantity == min(rest.quantity, state.quantity):
        return _without_levels(
            state, quantity, t_ns, order_ids, level=rest.level, reasons=rest.reasons
        )
    best: Machine | None = None
    best_quantity = ZERO
    for place in _levels(_machine(state, order_ids)):
        machine = _machine(state, order_ids)
        taken = _taken_at(machine, place, t_ns)
        if taken is None:
            continue
        if taken.quantity > quantity:
            break
        if taken.quantity > best_quantity:
            best, best_quantity = machine, taken.quantity
        if taken.quantity == quantity:
            break
    if best is not None:
        return state_of(best)
    return _without_levels(state, quantity, t_ns, order_ids)


def _machine(state: EpochState, order_ids: OrderIds) -> Machine:
    return restore(state, fills=Fills.REPORTED, order_ids=order_ids)


def _decidable(state: EpochState, order_ids: OrderIds) -> tuple[EpochState, Rest | None]:
    """The epoch as it must have been when it decided again, and what was left to retry then.

    Only one partial exit is in flight at a time: where the journal has one, its outcome came, and was not
    written down. That it was filled whole is the likeliest; the exchange's own word on the size follows. What
    a partial fill had left is retried or dropped by the first decision after it.
    """
    machine = _machine(state, order_ids)
    orders = machine.orders
    rest, orders.rest = orders.rest, None
    if orders.partial is not None:
        sent, left = orders.partial.exit, orders.available
        machine.on_outcome(
            Event.FILLED,
            order_id=sent.order_id,
            filled=sent.quantity,
            t_ns=sent.t_ns,
            out=[],
        )
        orders.on_quantity(left)
    return state_of(machine), rest


def _levels(machine: Machine) -> list[Decimal]:
    """Where rungs and harvest steps fire on the gain axis, nearest first."""
    rungs = {rung.x for rung in machine.ladder.rungs if rung.x is not None and not rung.taken}
    return sorted({*rungs, *machine.ladder.harvest_levels(LEVELS_TRIED_MAX)})[:LEVELS_TRIED_MAX]


def _taken_at(machine: Machine, x: Decimal, t_ns: int) -> Exit | None:
    out: list[Decision] = []
    machine.take_profits(x, t_ns=t_ns, out=out)
    exits = [decision for decision in out if isinstance(decision, Exit)]
    return exits[0] if exits else None


def _without_levels(
    state: EpochState,
    quantity: Decimal,
    t_ns: int,
    order_ids: OrderIds,
    *,
    level: Decimal | None = None,
    reasons: tuple[Reason, ...] = (Reason.TAKE_PROFIT,),
) -> EpochState:
    machine = _machine(state, order_ids)
    if level is None:
        level = machine.x0 if machine.x is None else machine.x
    machine.orders.want_partial(
        quantity,
        reasons,
        level=level,
        price=machine.current_price,
        stop=machine.stop_price,
        t_ns=t_ns,
        tick=machine.tick,
        out=[],
    )
    return state_of(machine)
