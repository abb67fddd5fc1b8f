"""What stays the same while a symbol is guarded: the plan, and what its contract rounds to."""

from fractions import Fraction
from typing import NamedTuple

from reactor.core.plan import Plan


class Terms(NamedTuple):
    plan: Plan
    tick: Fraction | None
    step: Fraction | None
    min_quantity: Fraction
