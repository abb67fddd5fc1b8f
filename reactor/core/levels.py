"""The prices that a plan yields for one position, in plain exact arithmetic.

Everything is computed along the *gain axis*: x = price for a LONG, x = −price for a SHORT, so that up is
profit on both sides, stops round down, targets round up, and each rule is written once. `Axis` turns
prices into x and back.
"""

from decimal import Decimal
from typing import NamedTuple

import msgspec

from reactor.core.decisions import Side
from reactor.core.exact import ZERO, add, ceil_to, divide, floor_to, multiply, subtract
from reactor.core.plan import Plan, Target
from reactor.core.sizing import NO_INPUTS, Inputs, RuleVerdict, size_ladder

TAKER_FEE = Decimal("0.0005")
"""Binance's USDⓈ-M taker fee without discounts: what the fee of an exit yet to come is expected to be."""

DEFAULT_BREAK_EVEN_OFFSET = Decimal("0.001")
"""Two taker fees, rounded up to 0.1 % (contract, plan file)."""

LEAVE_HIGH_VOLATILITY = Decimal("0.9")
"""High volatility is left 10 % below the threshold, so that it cannot flap."""


class Axis:
    """The gain axis of one side: up is profit."""

    __slots__ = ("is_long", "side")

    def __init__(self, side: Side) -> None:
        self.side: Side = side
        self.is_long = side == "LONG"

    def x(self, price: Decimal) -> Decimal:
        """A price as a point on the axis."""
        return price if self.is_long else price.copy_negate()

    def price(self, x: Decimal) -> Decimal:
        """A point on the axis as a price."""
        return x if self.is_long else x.copy_negate()


def is_high_volatility(plan: Plan, *, atr: Decimal | None, price: Decimal) -> bool:
    """Whether ATR/price is at or above the plan's threshold."""
    rule = plan.high_volatility
    return rule is not None and atr is not None and atr >= multiply(rule.threshold, price)


def has_calmed_down(plan: Plan, *, atr: Decimal, price: Decimal) -> bool:
    """Whether ATR/price is 10 % below the plan's threshold."""
    rule = plan.high_volatility
    assert rule is not None
    return atr < multiply(multiply(LEAVE_HIGH_VOLATILITY, rule.threshold), price)


def stop_distance(
    plan: Plan, *, side: Side, entry: Decimal, atr: Decimal | None, high_volatility: bool
) -> Decimal:
    """The initial stop's distance from the entry, in price, before rounding: the R of the epoch.

    Without an ATR it is the plan's fallback; so it is where the ATR's distance would put the stop of a
    LONG at zero or below, where it protects nothing.
    """
    if plan.stop.pct is not None:
        return multiply(plan.stop.pct, entry)
    assert plan.stop.atr is not None
    if atr is not None:
        multiple = plan.stop.atr
        if high_volatility and plan.high_volatility is not None:
            multiple = plan.high_volatility.stop_atr
        distance = multiply(multiple, atr)
        if side == "SHORT" or distance < entry:
            return distance
    return multiply(plan.stop.fallback_pct, entry)


def target_distance(
    target: Target, *, entry: Decimal, atr: Decimal | None, r: Decimal
) -> Decimal | None:
    """A rung's distance from the entry, in price; None while it waits for an ATR."""
    if target.pct is not None:
        return multiply(target.pct, entry)
    if target.r is not None:
        return multiply(target.r, r)
    assert target.atr is not None
    return None if atr is None else multiply(target.atr, atr)


def wants_break_even(plan: Plan) -> bool:
    """Whether any rule of the plan takes the stop to break-even: its own table, harvest, ratchet."""
    return plan.break_even is not None or plan.harvest is not None or plan.ratchets


def break_even_distance(plan: Plan, *, entry: Decimal, paid_per_unit: Decimal = ZERO) -> Decimal:
    """How far beyond the entry break-even is, in price.

    Args:
        plan: its `[break_even]` offset; the default where it has none.
        entry: average entry price.
        paid_per_unit: commissions and funding paid in this epoch per unit held, in quote units; only
            `offset = "costs"` asks for it, and adds the expected fee of the exit.
    """
    table = plan.break_even
    if table is not None and table.offset == "costs":
        return add(paid_per_unit, multiply(TAKER_FEE, entry))
    offset = DEFAULT_BREAK_EVEN_OFFSET
    if table is not None and table.offset_pct is not None:
        offset = table.offset_pct
    return multiply(offset, entry)


def break_even_condition(plan: Plan, *, entry: Decimal, r: Decimal) -> Decimal | None:
    """The profit in price at which break-even is due by its own condition; None without one."""
    table = plan.break_even
    if table is None:
        return None
    if table.at_r is not None:
        return multiply(table.at_r, r)
    return None if table.at_pct is None else multiply(table.at_pct, entry)


def trailing_distance(plan: Plan, *, peak: Decimal, atr: Decimal | None) -> Decimal | None:
    """How far behind the peak the stop trails, in price; None without trailing or its ATR."""
    trailing = plan.trailing
    if trailing is None:
        return None
    if trailing.pct is not None:
        return multiply(trailing.pct, peak.copy_abs())
    assert trailing.atr is not None
    return None if atr is None else multiply(trailing.atr, atr)


class TargetLevel(NamedTuple):
    """One rung of a ladder: where, and which fraction of the initial quantity."""

    price: Decimal | None
    close: Decimal


class Levels(msgspec.Struct, frozen=True, kw_only=True):
    """What a plan yields for one entry and ATR, rounded to the tick where there is one."""

    plan: str
    side: Side
    entry: Decimal
    atr: Decimal | None
    stop: Decimal
    r: Decimal
    targets: tuple[TargetLevel, ...]
    break_even: Decimal | None
    trail: Decimal | None
    reward_risk: Decimal | None
    high_volatility: bool
    rules: tuple[RuleVerdict, ...] = ()


def levels(
    plan: Plan,
    *,
    side: Side,
    entry: Decimal,
    atr: Decimal | None,
    tick: Decimal | None = None,
    inputs: Inputs = NO_INPUTS,
) -> Levels:
    """The levels of a plan for a position that opens now.

    Args:
        plan: the plan.
        side: LONG or SHORT.
        entry: average entry price, positive.
        atr: the ATR in price, or None while there is none.
        tick: tick size to round to; None rounds nothing.
        inputs: what the plan's ladder rules may ask for; a rule whose input is missing is left out.

    Returns:
        Stop, R, targets (nearest first), break-even price, trailing distance at the entry, the
        distance of the last target in R, and what became of the ladder's rules.
    """
    axis = Axis(side)
    start = axis.x(entry)
    high = is_high_volatility(plan, atr=atr, price=entry)
    r = stop_distance(plan, side=side, entry=entry, atr=atr, high_volatility=high)
    sizing = size_ladder(plan, inputs)
    distances = []
    for target, close in zip(plan.targets, sizing.closes, strict=True):
        plain = target_distance(target, entry=entry, atr=atr, r=r)
        distances.append((None if plain is None else sizing.distance(plain, entry=entry), close))
    ladder = sorted(distances, key=lambda rung: (rung[0] is None, rung[0] or ZERO))
    last = ladder[-1][0] if ladder else None
    break_even = None
    if wants_break_even(plan):
        distance = break_even_distance(plan, entry=entry)
        break_even = axis.price(floor_to(add(start, distance), tick))
    return Levels(
        plan=plan.name,
        side=side,
        entry=entry,
        atr=atr,
        stop=axis.price(floor_to(subtract(start, r), tick)),
        r=r,
        targets=tuple(
            TargetLevel(
                None if distance is None else axis.price(ceil_to(add(start, distance), tick)), close
            )
            for distance, close in ladder
        ),
        break_even=break_even,
        trail=trailing_distance(plan, peak=entry, atr=atr),
        reward_risk=None if last is None else divide(last, r),
        high_volatility=high,
        rules=sizing.verdicts,
    )
