"""An exit that was sent just before a crash, and never written down: what the epoch looks like with it.

Order ids are computed from what the journal holds, so the next decision's id is known after a restart, and the
exchange is asked for it. If it is there, the decision was made: its rungs and harvest steps are taken, its
order is in flight, and nothing of it is decided a second time. Which ones it took follows from its quantity,
since that grows with the price in steps.
"""

from decimal import Decimal
from typing import Final

import msgspec

from reactor.core.decisions import Decision, Exit, Reason
from reactor.core.epoch_state import EpochState, restore, state_of
from reactor.core.exact import subtract
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
        where none do, the nearest ones that do not exceed it.
    """
    if quantity >= state.quantity:
        machine = _machine(state, order_ids)
        out: list[Decision] = []
        machine.close_all(Reason(machine.stop.kind.value), t_ns=t_ns, out=out)
        return state_of(machine)
    best = _machine(state, order_ids)
    best_quantity = Decimal(0)
    place: Decimal | None = None
    for _ in range(LEVELS_TRIED_MAX):
        place = _next_level(_machine(state, order_ids), place)
        if place is None:
            break
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
    if best_quantity:
        return state_of(best)
    return _without_levels(state, quantity, t_ns, order_ids)


def _machine(state: EpochState, order_ids: OrderIds) -> Machine:
    return restore(state, fills=Fills.REPORTED, order_ids=order_ids)


def _next_level(machine: Machine, after: Decimal | None) -> Decimal | None:
    """The nearest level on the gain axis beyond a place at which a rung or a harvest step fires."""
    levels = [rung.x for rung in machine.ladder.rungs if rung.x is not None and not rung.taken]
    levels += machine.ladder.harvest_levels(LEVELS_TRIED_MAX)
    beyond = [level for level in levels if after is None or level > after]
    return min(beyond, default=None)


def _taken_at(machine: Machine, x: Decimal, t_ns: int) -> Exit | None:
    out: list[Decision] = []
    machine.take_profits(x, t_ns=t_ns, out=out)
    exits = [decision for decision in out if isinstance(decision, Exit)]
    return exits[0] if exits else None


def _without_levels(
    state: EpochState, quantity: Decimal, t_ns: int, order_ids: OrderIds
) -> EpochState:
    machine = _machine(state, order_ids)
    machine.orders.want_partial(
        quantity,
        (Reason.TAKE_PROFIT,),
        level=machine.x0 if machine.x is None else machine.x,
        price=machine.current_price,
        stop=machine.stop_price,
        t_ns=t_ns,
        tick=machine.tick,
        out=[],
    )
    return state_of(machine)
