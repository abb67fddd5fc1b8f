"""Regimes and exit policy in the words of `reactor explain` and `reactor why`."""

from decimal import Decimal
from typing import Any

from reactor.core.exact import text as plain
from reactor.shell.journal.reading import Reader, Record, clock_text

MEASURES = (
    ("adx", "ADX", 1, 1),
    ("plus_di", "+DI", 1, 1),
    ("minus_di", "-DI", 1, 1),
    ("efficiency", "efficiency", 1, 2),
    ("atr_pct", "ATR/price %", 100, 3),
    ("rank", "rank", 1, 2),
)
"""A measure's key, its name, what it is shown times, and to how many places."""


def last_regime(reader: Reader, symbol: str, *, until_ns: int) -> Record | None:
    """The last change of a symbol's regime at or before an instant; None where none is known."""
    row = reader.row(
        "SELECT body FROM decisions WHERE symbol = ? AND kind = 'regime' AND t_ns <= ?"
        " ORDER BY row DESC LIMIT 1",
        symbol,
        until_ns,
    )
    return None if row is None else row["body"]


def policy_headline(decision: Record) -> str:
    """What the policy wanted, in one phrase."""
    plan, before, why = decision["plan"], decision["before"], decision["why"]
    match decision["action"]:
        case "chosen":
            return f"policy chose {plan} ({why})"
        case "keep":
            return f"policy would want {plan} instead of {before}, and it is kept ({why})"
    return f"tightened by {plan}, wanted instead of {before} ({why})"


def regime_headline(decision: Record) -> str:
    """A regime in one phrase."""
    return (
        f"regime {decision['regime']}, volatility {decision['volatility']}"
        f" ({decision['timeframe']} candles)"
    )


def policy_because(decision: Record, regime: Record | None) -> list[str]:
    """Why the policy wanted what it wanted, and where the levels stood after it."""
    said = [_looked_up(decision)]
    if decision["mode"] != decision["plan"]:
        said.append(f"the mode was {decision['mode']!r}; the plan for it is {decision['plan']}")
    if decision["source"] == "regime" and regime is not None:
        said += [f"{regime_headline(regime)}: {line}" for line in regime_because(regime)]
    targets = ", ".join(
        f"{_number(close)} at {_number(price)}" for price, close in decision.get("targets", ())
    )
    said.append(
        f"after it: stop {_number(decision['stop'])}, targets {targets or 'none'},"
        f" trailing distance {_number(decision.get('trail'))}"
    )
    return said


def _looked_up(decision: Record) -> str:
    profile, mode = decision["profile"], decision["mode"]
    match decision["source"]:
        case "external":
            return f"it was said {decision['why']}"
        case "unknown":
            return f"no regime is known yet, and {profile} then takes {mode}"
    return f"{profile} takes {mode} for {decision['regime']}, volatility {decision['volatility']}"


def regime_because(decision: Record) -> list[str]:
    """The measures behind a regime, and since when it counts."""
    shown = [
        f"{name} {decision[key] * times:.{places}f}"
        for key, name, times, places in MEASURES
        if decision[key] is not None
    ]
    since = clock_text(decision["since_ms"] * 1_000_000)
    if not shown:
        return ["a hole in the candles was too long to be filled: the measures start anew"]
    return [f"{', '.join(shown)}; since the candle that ended {since}"]


def _number(value: Any) -> str:
    return "-" if value is None else plain(Decimal(value))
