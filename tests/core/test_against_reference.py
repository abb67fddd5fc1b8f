"""The engine must say what the plain reference says, line for line, whatever the market does."""

import os
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from reference.program import (
    Clock,
    Event,
    Flip,
    Open,
    Position,
    Reader,
    Risk,
    Tick,
    history_of,
    new_naive,
    play,
)
from reference.scenarios import Scenario, scenarios
from reference.sides import other_side

from reactor.core.candles import Candle
from reactor.core.decisions import Closed, Decision, Exit, Opened, Reason, StopMoved
from reactor.core.engine import Engine
from reactor.core.events import PositionReport
from reactor.core.ladder import Filters
from reactor.core.orders import Fills
from reactor.core.plan import INTERVAL_MS
from reactor.errors import DecodeError

SYMBOL = "BTCUSDT"
EXAMPLES = int(os.environ.get("REACTOR_REFERENCE_EXAMPLES", "1500"))


def new_engine(scenario: Scenario) -> Engine:
    return Engine(
        plan_for=lambda _symbol, _side: scenario.plan,
        filters_for=lambda _symbol: Filters(
            tick=scenario.tick, step=scenario.step, min_quantity=scenario.min_quantity
        ),
        fixed_atr={} if scenario.fixed_atr is None else {SYMBOL: scenario.fixed_atr},
        fills=Fills.AT_TRIGGER if scenario.fills == "trigger" else Fills.AT_NEXT_TICK,
    )


class Played:
    """The events given to an engine as its owner would."""

    def __init__(self, scenario: Scenario) -> None:
        self.engine = new_engine(scenario)
        self.trigger = scenario.plan.trigger
        self.standing: dict[str, tuple[Decimal, Decimal]] = {}

    def play(self, event: Event, naive_epochs: dict[Any, Any]) -> list[Decision]:
        engine = self.engine
        match event:
            case Open():
                engine.expect(
                    SYMBOL,
                    event.side,
                    event.quantity,
                    event.entry,
                    margin=event.margin,
                    liquidation_price=event.liquidation_price,
                )
                return []
            case Tick():
                due = list(engine.on_time(event.t_ns))
                try:
                    return due + list(self._tick(event))
                except DecodeError:  # no price at all; whoever feeds the engine counts it
                    return due
            case Position():
                return self._report(event.side, event.quantity, event.entry, event.t_ns)
            case Flip():
                old = other_side(event.side)
                return self._report(
                    old, Decimal(0), Decimal(0), event.t_ns, cause=Reason.FLIP
                ) + self._report(event.side, event.quantity, event.entry, event.t_ns)
            case Risk():
                epoch = naive_epochs[event.side]
                return self._report(
                    event.side,
                    decimal_of(epoch.quantity),
                    decimal_of(epoch.entry),
                    event.t_ns,
                    liquidation_price=event.liquidation_price,
                    margin=event.margin,
                )
            case Clock():
                return list(engine.on_time(event.t_ns))

    def _tick(self, event: Tick) -> Any:
        if isinstance(event.price, tuple):
            bid, ask = event.price
            return self.engine.on_book(
                SYMBOL, bid, ask, event.tick_id, event.t_event_ms, event.t_ns
            )
        if self.trigger == "mark":
            return self.engine.on_mark(SYMBOL, event.price, event.t_event_ms, event.t_ns)
        return self.engine.on_last(SYMBOL, event.price, event.tick_id, event.t_event_ms, event.t_ns)

    def _report(
        self, side: Any, quantity: Decimal, entry: Decimal, t_ns: int, **more: Any
    ) -> list[Decision]:
        report = PositionReport(
            symbol=SYMBOL,
            side=side,
            quantity=quantity,
            entry=entry,
            t_event_ms=t_ns // 1_000_000,
            t_ns=t_ns,
            **more,
        )
        return list(self.engine.on_position(report))


def decimal_of(value: Fraction) -> Decimal:
    return Decimal(value.numerator) / Decimal(value.denominator)


def line_of(decision: Decision) -> dict[str, Any] | None:
    """A decision as the reference writes it; None for those that the output does not show."""
    names: tuple[str, ...]
    match decision:
        case Opened():
            names = ("quantity", "entry", "plan", "atr", "stop", "targets")
            kind = "opened"
        case StopMoved():
            names = ("kind", "stop", "price")
            kind = "stop"
        case Exit():
            names = ("reasons", "price", "quantity", "remaining", "stop")
            kind = "exit"
        case Closed():
            names = ("reason", "realized", "r_multiple")
            kind = "closed"
        case _:
            return None
    line = {"type": kind, "t": decision.t_ns, "tick": decision.tick, "side": decision.side}
    if kind == "opened":
        del line["tick"]
    return line | {name: _plain(getattr(decision, name)) for name in names}


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return Fraction(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, str):
        return str(value)
    return value


def differences(expected: list[dict[str, Any]], got: list[dict[str, Any]]) -> str | None:
    for side in ("LONG", "SHORT"):
        wanted = [line for line in expected if line["side"] == side]
        said = [line for line in got if line["side"] == side]
        for index in range(max(len(wanted), len(said))):
            one = wanted[index] if index < len(wanted) else None
            two = said[index] if index < len(said) else None
            if one is None or two is None or not _same(one, two):
                return f"{side} line {index}:\n expected {_shown(one)}\n got      {_shown(two)}"
    return None


def _same(one: Any, two: Any) -> bool:
    if isinstance(one, dict) and isinstance(two, dict):
        return one.keys() == two.keys() and all(_same(one[key], two[key]) for key in one)
    if isinstance(one, list) and isinstance(two, list):
        return len(one) == len(two) and all(map(_same, one, two))
    if isinstance(one, Fraction) and isinstance(two, Fraction):
        return one == two or abs(one - two) <= abs(one) / 10**12
    return bool(one == two)


def _shown(line: dict[str, Any] | None) -> str:
    if line is None:
        return "nothing"
    return ", ".join(f"{key}={_text(value)}" for key, value in line.items())


def _text(value: Any) -> str:
    if isinstance(value, Fraction):
        return f"{decimal_of(value):f}"
    if isinstance(value, list):
        return "[" + " ".join(map(_text, value)) + "]"
    return str(value)


def run(scenario: Scenario) -> tuple[list[str], str | None]:
    """Plays a scenario to both.

    Returns:
        The events that were played, and the first difference, if there is one.
    """
    naive = new_naive(scenario)
    played = Played(scenario)
    rows = history_of(scenario)
    trace = [f"history {rows}"]
    if rows:
        naive.history(rows)
        played.engine.on_history(
            SYMBOL,
            scenario.plan.trigger,
            INTERVAL_MS[scenario.plan.atr.interval],
            [Candle(row[0], *map(float, row[1:])) for row in rows],
            t_ns=0,
        )
    for event in Reader(scenario, naive).events():
        trace.append(str(event))
        epochs = dict(naive.epochs)
        decisions = played.play(event, epochs)
        expected = play(naive, event)
        got = [line for decision in decisions if (line := line_of(decision)) is not None]
        trace += [f"    {_shown(line)}" for line in expected]
        difference = differences(expected, got)
        if difference is not None:
            return trace, difference
    return trace, None


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(scenario=scenarios())
def test_the_engine_says_what_the_reference_says(scenario: Scenario) -> None:
    trace, difference = run(scenario)
    if difference is not None:
        pytest.fail("\n".join([repr(scenario), *trace, difference]))
