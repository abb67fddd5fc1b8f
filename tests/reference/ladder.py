"""Ladder sizing: which of the plan's rules hold when the epoch opens, and what they make of the targets."""

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

from reactor.core.plan import Plan

_HOLDS: dict[str, Callable[[Any, Any], bool]] = {
    ">=": lambda known, value: bool(known >= value),
    "<=": lambda known, value: bool(known <= value),
    ">": lambda known, value: bool(known > value),
    "<": lambda known, value: bool(known < value),
    "==": lambda known, value: bool(known == value),
    "in": lambda known, value: known in value,
}


def ladder_scale_and_fractions(
    plan: Plan, *, inputs: dict[str, Any], quantity: Fraction, entry: Fraction
) -> tuple[Fraction, list[Fraction]]:
    """The product of the scales of the rules that hold, and the fractions that stand in the end."""
    scale = Fraction(1)
    fractions = [Fraction(target.close) for target in plan.targets]
    if plan.ladder is None:
        return scale, fractions
    # reading: the notional is known from the position itself unless it was given.
    known = {"notional": quantity * entry, **inputs}
    for rule in plan.ladder.rule:
        if rule.input not in known or not _HOLDS[rule.op](known[rule.input], rule.value):
            continue
        scale *= Fraction(rule.scale)
        if rule.close is not None:
            fractions = [Fraction(Decimal(close)) for close in rule.close]
    return scale, fractions
