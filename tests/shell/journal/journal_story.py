"""A guarded position's life, as the journal is told of it."""

from decimal import Decimal
from pathlib import Path

from reactor.audit import (
    Audit,
    Decided,
    Happening,
    OrderAnswered,
    OrderSent,
    PositionSeen,
)
from reactor.core.decisions import Decision, Exit, Side
from reactor.core.engine import Engine
from reactor.core.epoch_state import EpochState, state_of
from reactor.core.events import PositionReport
from reactor.core.ladder import Filters
from reactor.core.lifecycle import Event
from reactor.core.plan import Plan, plan_from_toml
from reactor.shell.journal.journal import Journal

D = Decimal
START_NS = 1_790_000_040_000_000_000  # 2026-09-21 14:14:00 UTC
SECOND_NS = 1_000_000_000
SYMBOL = "BTCUSDT"

PLAN = """
name = "told"
trigger = "last"
[stop]
pct = 0.01
[[targets]]
pct = 0.02
close = 0.5
[trailing]
activate = "in_profit"
pct = 0.005
"""


class HandClock:
    """A clock that a test moves."""

    def __init__(self, now_ns: int = START_NS) -> None:
        self.now = now_ns

    def now_ns(self) -> int:
        return self.now


def plan() -> Plan:
    return plan_from_toml(PLAN, source="a story")


def state(
    symbol: str = SYMBOL, *, epoch: int = 1, side: Side = "LONG", prices: tuple[str, ...] = ("100",)
) -> EpochState:
    """The state of an epoch after some ticks."""
    engine = Engine(plan_for=lambda _symbol, _side: plan())
    engine.start_epochs_after(epoch - 1)
    for number, price in enumerate(prices, 1):
        if number == 2:
            _open(engine, symbol, side)
        engine.on_last(symbol, price, number, START_NS // 1_000_000 + number, START_NS + number)
    if len(prices) < 2:
        _open(engine, symbol, side)
    return state_of(engine.positions[symbol, side])


def _open(engine: Engine, symbol: str, side: Side) -> None:
    engine.on_position(
        PositionReport(
            symbol=symbol,
            side=side,
            quantity=D(2),
            entry=D(100),
            t_event_ms=START_NS // 1_000_000,
            t_ns=START_NS,
        )
    )


class Guarded:
    """One LONG position, told to a journal as the live process tells it."""

    def __init__(self, journal: Journal, clock: HandClock) -> None:
        self.journal = journal
        self.clock = clock
        self.audit = Audit()
        journal.subscribe(self.audit, later=lambda call: call())
        self.engine = Engine(
            plan_for=lambda _symbol, _side: plan(), filters_for=lambda _: Filters(D("0.01"))
        )
        self.ticks = 0
        self.said: list[Decision] = []

    def tell(self, what: Happening) -> None:
        self.audit.publish(what, t_ns=self.clock.now)

    def position(self, quantity: str, entry: str = "100") -> None:
        report = PositionReport(
            symbol=SYMBOL,
            side="LONG",
            quantity=D(quantity),
            entry=D(entry),
            t_event_ms=self.clock.now // 1_000_000,
            t_ns=self.clock.now,
        )
        self._turn(list(self.engine.on_position(report)))

    def tick(self, price: str, *, after_s: float = 1) -> None:
        self.clock.now += round(after_s * SECOND_NS)
        self.ticks += 1
        t_ms = self.clock.now // 1_000_000 - 5
        self._turn(list(self.engine.on_last(SYMBOL, price, self.ticks, t_ms, self.clock.now)))
        self.seen(price)

    def seen(self, price: str | None, *, source: str = "stream", age_ms: int = 5) -> None:
        machine = self.engine.positions.get((SYMBOL, "LONG"))
        if machine is not None:
            rung = next((rung for rung in machine.ladder.rungs if not rung.taken), None)
            self.tell(
                PositionSeen(
                    symbol=SYMBOL,
                    side="LONG",
                    managed=True,
                    quantity=machine.orders.quantity,
                    entry=machine.entry,
                    plan=machine.plan.name,
                    epoch=machine.epoch,
                    price=None if price is None else D(price),
                    source=source,
                    age_ms=age_ms,
                    stop=machine.stop_price,
                    stop_kind=machine.stop.kind.value,
                    next_level=None if rung is None else rung.x,
                    next_what="take_profit",
                )
            )

    def answered(self, outcome: str, filled: str, price: str = "99") -> None:
        exit_ = self.last_exit()
        self.clock.now += 3_000_000
        self.tell(
            OrderAnswered(
                symbol=SYMBOL,
                side="LONG",
                client_id=exit_.order_id,
                outcome=outcome,
                filled=D(filled),
                average_price=D(price),
            )
        )
        self.engine.on_outcome(
            SYMBOL, "LONG", exit_.order_id, Event.FILLED, filled=D(filled), t_ns=self.clock.now
        )

    def last_exit(self) -> Exit:
        return next(d for d in reversed(self.said) if isinstance(d, Exit))

    def _turn(self, decisions: list[Decision]) -> None:
        self.said += decisions
        with self.journal.turn():
            for decision in decisions:
                if isinstance(decision, Exit):
                    self._sent(decision)
                self.tell(Decided(decision=decision, id=decision_id(decision, self.audit.number)))
            for machine in self.engine.positions.values():
                self.journal.put_epoch(state_of(machine))

    def _sent(self, exit_: Exit) -> None:
        self.tell(
            OrderSent(
                symbol=SYMBOL,
                side="LONG",
                order_id=exit_.order_id,
                client_id=exit_.order_id,
                purpose="exit",
                over="ws_api",
                params={
                    "quantity": str(exit_.quantity),
                    "apiKey": "OURKEY",
                    "signature": "OURSIGNATURE",
                },
                t_event_ns=exit_.t_ns - 5_000_000,
                t_recv_ns=exit_.t_ns,
                t_decided_ns=exit_.t_ns + 20_000,
                t_sent_ns=exit_.t_ns + 61_000,
            )
        )


def decision_id(decision: Decision, number: int) -> str:
    if isinstance(decision, Exit):
        return f"{decision.symbol}-{decision.side}-{decision.epoch}-{decision.number}"
    return str(number)


def a_short_life(path: Path) -> Guarded:
    """Opened at 100, trailed up to 101.5, stopped out: written, and the process ended in order."""
    clock = HandClock()
    journal = Journal.open(path, clock=clock, inline=True)
    guarded = Guarded(journal, clock)
    guarded.tick("100")
    guarded.position("2")
    for price in ("100.4", "101.5", "101.2", "101.05", "100.9"):
        guarded.tick(price)
    guarded.answered("filled", "2", "100.89")
    guarded.position("0")
    journal.close()
    return guarded
