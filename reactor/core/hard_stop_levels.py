"""Where a hard stop triggers and how much it closes, in exact arithmetic."""

from decimal import Decimal
from typing import Final

from reactor.core.decisions import Side
from reactor.core.exact import ONE, ZERO, add, ceil_to, floor_to, multiply, subtract
from reactor.core.hard_stop_values import StopRules

PARTS_MAX: Final = 20
"""Stops that one position is cut into. An account may have 200 conditional orders in all."""


def is_tighter(side: Side, one: Decimal, other: Decimal) -> bool:
    """Whether a trigger lies nearer to the price: higher for a LONG, lower for a SHORT."""
    return one > other if side == "LONG" else one < other


def is_through(side: Side, trigger: Decimal, price: Decimal) -> bool:
    """Whether a price has reached a trigger; a stop placed so is refused with -2021."""
    return price <= trigger if side == "LONG" else price >= trigger


def trigger_price(*, side: Side, stop: Decimal, buffer_pct: Decimal, rules: StopRules) -> Decimal:
    """The trigger behind an engine's stop: `buffer_pct` beyond it, rounded away from the price.

    Args:
        side: of the position.
        stop: the engine's stop, positive.
        buffer_pct: 0 < fraction < 1.
        rules: the contract's. A trigger that would lie at zero or outside the price bounds is put on the bound:
            beyond it the exchange takes none.

    Returns:
        A positive multiple of the tick.
    """
    if side == "LONG":
        trigger = floor_to(multiply(stop, subtract(ONE, buffer_pct)), rules.tick)
        lowest = ceil_to(rules.price_min or ZERO, rules.tick)
        return max(trigger, lowest, rules.tick or ZERO)
    trigger = ceil_to(multiply(stop, add(ONE, buffer_pct)), rules.tick)
    highest = None if rules.price_max is None else floor_to(rules.price_max, rules.tick)
    return trigger if highest is None else min(trigger, highest)


def stop_parts(quantity: Decimal, rules: StopRules) -> tuple[Decimal, ...]:
    """A quantity in pieces that one stop each can have, largest first; none for what is not tradable.

    At most `PARTS_MAX`: what is beyond them is not covered, and the sum says so.
    """
    remaining = floor_to(quantity, rules.step)
    smallest = ceil_to(rules.quantity_min or ZERO, rules.step)
    if remaining <= 0 or remaining < smallest:
        return ()
    largest = remaining if rules.quantity_max is None else floor_to(rules.quantity_max, rules.step)
    if largest <= 0 or largest < smallest:
        # The rules contradict each other. The exchange may still take it, and protection must be tried.
        return (remaining,)
    parts: list[Decimal] = []
    while remaining > 0 and len(parts) < PARTS_MAX:
        part = min(remaining, largest)
        rest = subtract(remaining, part)
        if 0 < rest < smallest and subtract(part, smallest) >= smallest:
            # A little less now leaves a last piece that is large enough to be traded.
            part = subtract(part, subtract(smallest, rest))
            part = floor_to(part, rules.step)
            rest = subtract(remaining, part)
        if 0 < rest < smallest:
            rest = ZERO  # Dust: no cut makes two tradable pieces of this.
        parts.append(part)
        remaining = rest
    return tuple(parts)


def total(parts: tuple[Decimal, ...]) -> Decimal:
    """The sum of the pieces."""
    result = ZERO
    for part in parts:
        result = add(result, part)
    return result
