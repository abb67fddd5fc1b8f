"""Decisions as the lines that `replay --json` prints: one flat object each, exact numbers as text."""

from decimal import Decimal

from reactor.core.decisions import (
    Closed,
    Decision,
    Exit,
    Opened,
    PolicyChanged,
    RegimeChanged,
    StopMoved,
)
from reactor.core.exact import EXACT, text

Line = dict[str, object]

R_MULTIPLE_DIGITS = Decimal("0.00000001")
"""A quotient has no exact decimal; eight places are far below any lot step's worth."""


MEASURES = ("adx", "plus_di", "minus_di", "efficiency", "atr_pct", "rank")
"""What a regime was made of, in the order in which it is shown."""


def line_of(decision: Decision) -> Line | None:
    """The output line of a decision; None for what is said in words instead (alarms, held levels)."""
    match decision:
        case Opened():
            return {
                "type": "opened",
                "t": decision.t_ns,
                "symbol": decision.symbol,
                "side": decision.side,
                "quantity": text(decision.quantity),
                "entry": text(decision.entry),
                "plan": decision.plan,
                "atr": optional(decision.atr),
                "stop": text(decision.stop),
                "targets": [[optional(price), text(close)] for price, close in decision.targets],
            }
        case StopMoved():
            return stop_line(decision)
        case Exit():
            return {
                "type": "exit",
                "t": decision.t_ns,
                "tick": decision.tick,
                "symbol": decision.symbol,
                "side": decision.side,
                "reasons": [reason.value for reason in decision.reasons],
                "price": text(decision.price),
                "quantity": text(decision.quantity),
                "remaining": text(decision.remaining),
                "stop": text(decision.stop),
            }
        case Closed():
            multiple = decision.r_multiple
            return {
                "type": "closed",
                "t": decision.t_ns,
                "symbol": decision.symbol,
                "side": decision.side,
                "reason": decision.reason.value,
                "realized": optional(decision.realized),
                "r_multiple": None
                if multiple is None
                else text(EXACT.quantize(multiple, R_MULTIPLE_DIGITS)),
            }
        case PolicyChanged():
            return _policy_line(decision)
        case RegimeChanged():
            return _regime_line(decision)
    return None


def stop_line(moved: StopMoved) -> Line:
    """The output line of a stop's move: most lines are these."""
    return {
        "type": "stop",
        "t": moved.t_ns,
        "tick": moved.tick,
        "symbol": moved.symbol,
        "side": moved.side,
        "kind": str(moved.kind),
        "stop": text(moved.stop),
        "price": text(moved.price),
    }


def _policy_line(decision: PolicyChanged) -> Line:
    return {
        "type": "policy",
        "t": decision.t_ns,
        "tick": decision.tick,
        "symbol": decision.symbol,
        "side": decision.side,
        "action": decision.action,
        "plan": decision.plan,
        "before": decision.before,
        "mode": decision.mode,
        "profile": decision.profile,
        "regime": decision.regime,
        "volatility": decision.volatility,
        "source": decision.source,
        "why": decision.why,
        "stop": text(decision.stop),
        "targets": [[optional(price), text(close)] for price, close in decision.targets],
        "trail": optional(decision.trail),
    }


def _regime_line(decision: RegimeChanged) -> Line:
    return {
        "type": "regime",
        "t": decision.t_ns,
        "tick": decision.tick,
        "symbol": decision.symbol,
        "timeframe": decision.timeframe,
        "regime": decision.regime,
        "volatility": decision.volatility,
        "since_ms": decision.since_ms,
        **{name: getattr(decision, name) for name in MEASURES},
    }


def optional(value: Decimal | None) -> str | None:
    """A number that may be absent."""
    return None if value is None else text(value)
