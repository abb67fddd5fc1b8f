"""Ladder sizing: which of the plan's rules hold when the epoch opens, and what they make of the targets."""

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

from reactor.core.plan import Plan
from reference.sides import Side, profit

_HOLDS: dict[str, Callable[[Any, Any], bool]] = {
    ">=": lambda known, value: bool(known >= value),
    "<=": lambda known, value: bool(known <= value),
    ">": lambda known, value: bool(known > value),
    "<": lambda known, value: bool(known < value),
    "==": lambda known, value: bool(known == value),
    "in": lambda known, value: known in value,
}


def known_inputs(
    *,
    side: Side,
    quantity: Fraction,
    entry: Fraction,
    margin: Fraction | None,
    price: Fraction | None,
    atr_15m: Fraction | None,
    given: dict[str, Any],
) -> dict[str, Any]:
    """What the rules may look at: what the position and its candles tell, and above it what was given."""
    # reading: profit is measured at the price at which the epoch opens, volatility against the entry.
    known: dict[str, Any] = {"notional": quantity * entry}
    if margin is not None and margin > 0:
        known["leverage"] = quantity * entry / margin
    if atr_15m is not None:
        known["volatility"] = atr_15m / entry
    if price is not None:
        known["profit_pct"] = profit(side, entry, price) / entry
    return known | given


def ladder_scale_and_fractions(
    plan: Plan, known: dict[str, Any]
) -> tuple[Fraction, list[Fraction]]:
    """The product of the scales of the rules that hold, and the fractions that stand in the end."""
    scale = Fraction(1)
    fractions = [Fraction(target.close) for target in plan.targets]
    if plan.ladder is None:
        return scale, fractions
    for rule in plan.ladder.rule:
        if rule.input not in known or not _HOLDS[rule.op](known[rule.input], rule.value):
            continue
        scale *= Fraction(rule.scale)
        if rule.close is not None:
            fractions = [Fraction(Decimal(close)) for close in rule.close]
    return scale, fractions
