"""Ladder sizing: which of a plan's `[ladder]` rules hold when an epoch opens, and what they make of the rungs.

Rules are looked at in order. Each one that holds multiplies the distances of all rungs by its scale; the
last `close` list among them stands. Then `clamp_pct` bounds every distance as a fraction of the entry. A rule
whose input is not known is left out and says so. The answer belongs to the epoch: later facts change nothing.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

from reactor.core.exact import ONE, ZERO, add, divide, multiply, subtract, text
from reactor.core.plan import LadderRule, Plan

Inputs = Mapping[str, Decimal | str]
"""What is known of a position when its epoch opens, by the input's name.

`leverage` is notional / initial margin, `notional` the quantity times the entry in quote units, `volatility`
the ATR of closed 15 m candles / the entry, `volume_24h` the day's quote volume, `regime` a regime's name, and
`profit_pct` the unrealised profit as a fraction of the entry (negative in a loss).
"""

NO_INPUTS: Inputs = {}

VOLATILITY_INTERVAL_MS = 900_000
"""The candles that `volatility` is measured on: 15 minutes."""


class RuleVerdict(NamedTuple):
    """What became of one rule.

    Attributes:
        input: what it asks for. `known`: whether that was known.
        rule: the rule as a sentence: `leverage >= 15`.
        effect: what it does to the rungs: `x0.7`, `x0.8, closes 0.4/0.35/0.25`.
        applied: whether it held.
        why: what its input was, or that it is not known.
    """

    input: str
    known: bool
    rule: str
    effect: str
    applied: bool
    why: str


class Sizing(NamedTuple):
    """What the rules of a plan make of its rungs.

    Attributes:
        scale: the product of the scales of the rules that hold.
        closes: the rungs' fractions, in the plan's order.
        clamp: the nearest and farthest distance as fractions of the entry; None without bounds.
        verdicts: one for each rule, in their order.
    """

    scale: Decimal
    closes: tuple[Decimal, ...]
    clamp: tuple[Decimal, Decimal] | None
    verdicts: tuple[RuleVerdict, ...]

    @property
    def closes_all(self) -> bool:
        """Whether the fractions sum to 1: the last rung then takes all that remains."""
        total = ZERO
        for close in self.closes:
            total = add(total, close)
        return total == ONE

    def distance(self, distance: Decimal, *, entry: Decimal) -> Decimal:
        """A rung's distance from the entry, in price, once it is sized."""
        if self.scale != ONE:
            distance = multiply(self.scale, distance)
        if self.clamp is not None:
            nearest, farthest = self.clamp
            distance = min(max(distance, multiply(nearest, entry)), multiply(farthest, entry))
        return distance


def size_ladder(plan: Plan, inputs: Inputs) -> Sizing:
    """Applies a plan's `[ladder]` to what is known.

    Args:
        plan: the plan; without `[ladder]` nothing is changed.
        inputs: what is known; a name that is missing leaves its rules unapplied.
    """
    closes = tuple(target.close for target in plan.targets)
    if plan.ladder is None:
        return Sizing(ONE, closes, None, ())
    scale = ONE
    verdicts = []
    for rule in plan.ladder.rule:
        known = inputs.get(rule.input)
        applied = known is not None and _holds(rule, known)
        if applied:
            scale = multiply(scale, rule.scale)
            closes = rule.close or closes
        verdicts.append(
            RuleVerdict(
                input=rule.input,
                known=known is not None,
                rule=_sentence(rule),
                effect=_effect(rule),
                applied=applied,
                why=_why(rule, known),
            )
        )
    return Sizing(scale, closes, plan.ladder.clamp_pct, tuple(verdicts))


def position_inputs(
    *,
    side: str,
    quantity: Decimal,
    entry: Decimal,
    margin: Decimal | None,
    price: Decimal | None,
    atr_15m: Decimal | None,
) -> dict[str, Decimal | str]:
    """What a position itself and its candles tell.

    Args:
        side: LONG or SHORT.
        quantity: in base units.
        entry: average entry price.
        margin: the position's initial margin in quote units, where known.
        price: the current price, where known.
        atr_15m: the ATR of closed 15 m candles in price, where there is one.
    """
    notional = multiply(quantity, entry)
    found: dict[str, Decimal | str] = {"notional": notional}
    if margin is not None and margin > 0:
        found["leverage"] = divide(notional, margin)
    if atr_15m is not None:
        found["volatility"] = divide(atr_15m, entry)
    if price is not None:
        gain = subtract(price, entry) if side == "LONG" else subtract(entry, price)
        found["profit_pct"] = divide(gain, entry)
    return found


def inputs_as_text(inputs: Inputs) -> dict[str, str]:
    """Inputs as they are journaled."""
    return {name: str(value) for name, value in inputs.items()}


def inputs_from_text(texts: Mapping[str, str]) -> Inputs:
    """What `inputs_as_text` wrote."""
    return {name: value if name == "regime" else Decimal(value) for name, value in texts.items()}


def wants_input(plan: Plan, name: str) -> bool:
    """Whether a rule of the plan asks for this input."""
    return plan.ladder is not None and any(rule.input == name for rule in plan.ladder.rule)


def _holds(rule: LadderRule, known: Decimal | str) -> bool:
    if rule.input == "regime":
        words = [rule.value] if isinstance(rule.value, str) else rule.value
        return _name(str(known)) in map(_name, words)
    value = Decimal(rule.value)
    assert isinstance(known, Decimal)
    match rule.op:
        case ">=":
            return known >= value
        case "<=":
            return known <= value
        case ">":
            return known > value
    return known < value


def _name(word: str) -> str:
    """A regime's name: its case means nothing, nor which dash it is written with."""
    return word.strip().upper().replace("-", "_")


def _sentence(rule: LadderRule) -> str:
    if isinstance(rule.value, list):
        return f"{rule.input} {rule.op} {'/'.join(rule.value)}"
    value = rule.value if isinstance(rule.value, str) else text(Decimal(rule.value))
    return f"{rule.input} {rule.op} {value}"


def _effect(rule: LadderRule) -> str:
    effects = [] if rule.scale == ONE else [f"x{text(rule.scale)}"]
    if rule.close is not None:
        effects.append(f"closes {'/'.join(text(close) for close in rule.close)}")
    return ", ".join(effects) or "nothing"


def _why(rule: LadderRule, known: Decimal | str | None) -> str:
    if known is None:
        return f"{rule.input} is not known"
    return f"{rule.input} is {known if isinstance(known, str) else _shown(known)}"


def _shown(value: Decimal) -> str:
    """A number as people read it: quotients have fifty digits."""
    return text(round(value, 6)) if abs(value) < 10**18 else text(value)
