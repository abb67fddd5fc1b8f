"""How a guarded position stands, taken from its machine: what the audit stream tells of it."""

from decimal import Decimal

from reactor.audit import PositionSeen
from reactor.core.exact import multiply, subtract
from reactor.core.machine import Machine
from reactor.core.market import Market


def position_seen(
    machine: Machine, market: Market, *, source: str, now_ns: int, protection: str
) -> PositionSeen:
    """The position as a value.

    Args:
        machine: its epoch's.
        market: what drives it.
        source: where its prices come from now, `stream` or `rest`.
        now_ns: the time, for the price's age.
        protection: the name of its state of protection.
    """
    quote = market.quote()
    price = None if quote is None else quote.long if machine.side == "LONG" else quote.short
    level, what = _next(machine)
    unrealized = None
    if price is not None:
        gain = subtract(price, machine.entry)
        gain = gain if machine.side == "LONG" else gain.copy_negate()
        unrealized = multiply(gain, machine.orders.quantity)
    return PositionSeen(
        symbol=machine.symbol,
        side=machine.side,
        managed=True,
        quantity=machine.orders.quantity,
        entry=machine.entry,
        plan=machine.plan.name,
        epoch=machine.epoch,
        opened_ns=machine.opened_ns,
        state=machine.orders.state.value,
        paused=machine.paused,
        price=price,
        source=f"{market.source} {source}",
        age_ms=None if price is None else max(0, (now_ns - market.t_recv_ns) // 1_000_000),
        stop=machine.stop_price,
        stop_kind=machine.stop.kind.value,
        r=machine.r,
        atr=machine.atr,
        peak=None if machine.trailing.peak is None else machine.price(machine.trailing.peak),
        targets=tuple(
            (None if rung.x is None else machine.price(rung.x), rung.close, rung.taken)
            for rung in machine.ladder.rungs
        ),
        next_level=level,
        next_what=what,
        protection=protection,
        unrealized=unrealized,
    )


def _next(machine: Machine) -> tuple[Decimal | None, str]:
    """The nearest level on the profit side that takes something, and what it is."""
    nearest: Decimal | None = None
    what = ""
    for rung in machine.ladder.rungs:
        if rung.x is not None and not rung.taken and (nearest is None or rung.x < nearest):
            nearest, what = rung.x, "take_profit"
    due = machine.ladder.harvest_due
    if due is not None and (nearest is None or due < nearest):
        nearest, what = due, "harvest"
    return (None if nearest is None else machine.price(nearest)), what
