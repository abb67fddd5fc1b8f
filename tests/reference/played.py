"""The engine, given the same events as the reference, answering with the same kind of lines."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

from reactor.core.decisions import Closed, Decision, Exit, Opened, Reason, StopMoved
from reactor.core.engine import Engine
from reactor.core.events import PositionReport
from reactor.core.ladder import Filters
from reactor.core.orders import Fills
from reactor.errors import DecodeError
from reference.program import Clock, Event, Flip, Open, Position, Risk, Tick
from reference.scenarios import Scenario
from reference.sides import other_side

SYMBOL = "BTCUSDT"


def new_engine(scenario: Scenario) -> Engine:
    return Engine(
        plan_for=lambda _symbol, _side: scenario.plan,
        filters_for=lambda _symbol: Filters(
            tick=scenario.tick, step=scenario.step, min_quantity=scenario.min_quantity
        ),
        fixed_atr={} if scenario.fixed_atr is None else {SYMBOL: scenario.fixed_atr},
        fills=Fills.AT_TRIGGER if scenario.fills == "trigger" else Fills.AT_NEXT_TICK,
        inputs_for=lambda _symbol, _side: scenario.inputs,
    )


class Played:
    """The events given to an engine as its owner would."""

    def __init__(self, scenario: Scenario) -> None:
        self.engine = new_engine(scenario)
        self.trigger = scenario.plan.trigger

    def lines(self, event: Event) -> list[dict[str, Any]]:
        said = (line_of(decision) for decision in self._play(event))
        return [line for line in said if line is not None]

    def _play(self, event: Event) -> list[Decision]:
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
                return self._report(
                    event.side,
                    event.quantity,
                    event.entry,
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
