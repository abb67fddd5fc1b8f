"""A position's life told tick by tick: short calls in, one readable line a decision out."""

from collections.abc import Sequence
from decimal import Decimal

from reactor.core.candles import Candle
from reactor.core.decisions import (
    Alarm,
    Closed,
    Decision,
    Exit,
    HeldBack,
    Opened,
    OrdersCancelled,
    OutcomeAsked,
    Reason,
    Side,
    StopMoved,
)
from reactor.core.engine import Engine
from reactor.core.events import PositionReport
from reactor.core.exact import text
from reactor.core.lifecycle import Event
from reactor.core.machine import Filters, Machine
from reactor.core.orders import Fills
from reactor.core.plan import Plan, plan_from_toml

D = Decimal
SYMBOL = "BTCUSDT"
START_NS = 1_700_000_100_000_000_000
SECOND_NS = 1_000_000_000


def plan(tables: str, *, name: str = "mine", trigger: str = "last") -> Plan:
    """A plan of the given tables, triggered by last prices unless told otherwise."""
    head = f'name = "{name}"\n' + (f'trigger = "{trigger}"\n' if trigger else "")
    return plan_from_toml(head + tables, source="a story")


def line(decision: Decision) -> str:
    """What a decision says, with its numbers; times and ids are asked for where they matter."""
    match decision:
        case Opened():
            targets = " ".join(
                f"{'?' if price is None else text(price)}:{text(close)}"
                for price, close in decision.targets
            )
            what = f"opened {decision.side} {text(decision.quantity)} @ {text(decision.entry)}"
            return f"{what} stop {text(decision.stop)} {targets}".rstrip()
        case StopMoved():
            return f"stop {decision.kind} {text(decision.stop)}"
        case Exit():
            return (
                f"exit {'+'.join(decision.reasons)} {text(decision.quantity)}"
                f" @ {text(decision.price)} left {text(decision.remaining)}"
            )
        case Closed():
            realized = "?" if decision.realized is None else text(decision.realized)
            return f"closed {decision.reason} {realized}"
        case HeldBack():
            return f"held {decision.what} {text(decision.level)}"
        case OutcomeAsked():
            return "asked"
        case Alarm():
            return f"alarm {decision.what}"
    raise AssertionError(decision)


def lines(decisions: Sequence[Decision]) -> list[str]:
    """The lines of what a person would want to read; cancelling is always part of an end."""
    return [line(decision) for decision in decisions if not isinstance(decision, OrdersCancelled)]


class Story:
    """One symbol, one engine; every call answers with the lines of the decisions it led to."""

    def __init__(
        self,
        tables: str | Plan,
        *,
        atr: str | None = None,
        fills: Fills = Fills.AT_TRIGGER,
        filters: Filters | None = None,
        trigger: str = "last",
    ) -> None:
        self.plan = plan(tables, trigger=trigger) if isinstance(tables, str) else tables
        self.now_ns = START_NS
        self.last_id = 0
        self.said: list[Decision] = []
        self.engine = Engine(
            plan_for=lambda _symbol, _side: self.plan,
            filters_for=None if filters is None else lambda _symbol: filters,
            fixed_atr=None if atr is None else {SYMBOL: D(atr)},
            fills=fills,
        )

    # Time and prices --------------------------------------------------------------------------

    def at(self, seconds: float) -> "Story":
        """Moves the story to this many seconds after its start."""
        self.now_ns = START_NS + round(seconds * SECOND_NS)
        return self

    def tick(self, *prices: str | int) -> list[str]:
        """Ticks of the plan's source, all at the present instant."""
        out: list[Decision] = []
        for price in prices:
            self.last_id += 1
            t_event_ms = self.now_ns // 1_000_000
            if self.plan.trigger == "last":
                out += self.engine.on_last(
                    SYMBOL, str(price), self.last_id, t_event_ms, self.now_ns
                )
            else:
                # A mark price's time is its identity.
                t_event_ms += self.last_id
                out += self.engine.on_mark(SYMBOL, str(price), t_event_ms, self.now_ns)
        return self.hear(out)

    def book(self, bid: str, ask: str) -> list[str]:
        self.last_id += 1
        t_event_ms = self.now_ns // 1_000_000
        return self.hear(
            self.engine.on_book(SYMBOL, bid, ask, self.last_id, t_event_ms, self.now_ns)
        )

    def clock(self) -> list[str]:
        return self.hear(self.engine.on_time(self.now_ns))

    def history(self, *bars: tuple[float, float, float, float], minutes: int = 5) -> list[str]:
        """Closed candles up to the present instant, oldest first, and none that forms."""
        interval_ms = minutes * 60_000
        forming_ms = self.now_ns // 1_000_000 // interval_ms * interval_ms
        first_ms = forming_ms - len(bars) * interval_ms
        rows = [Candle(first_ms + i * interval_ms, *bar) for i, bar in enumerate(bars)]
        rows.append(Candle(forming_ms, *[bars[-1][3]] * 4))
        return self.hear(
            self.engine.on_history(SYMBOL, self.plan.trigger, interval_ms, rows, t_ns=self.now_ns)
        )

    # Positions and orders ---------------------------------------------------------------------

    def expect(
        self,
        quantity: str | int,
        entry: str | int,
        *,
        side: Side = "LONG",
        margin: str | None = None,
        liquidation_price: str | None = None,
    ) -> None:
        self.engine.expect(
            SYMBOL,
            side,
            D(quantity),
            D(entry),
            margin=None if margin is None else D(margin),
            liquidation_price=None if liquidation_price is None else D(liquidation_price),
        )

    def position(
        self,
        quantity: str | int,
        entry: str | int,
        *,
        side: Side = "LONG",
        cause: Reason = Reason.EXTERNAL,
        margin: str | None = None,
        liquidation_price: str | None = None,
        snapshot: bool = False,
    ) -> list[str]:
        """The exchange reports a position."""
        report = PositionReport(
            symbol=SYMBOL,
            side=side,
            quantity=D(quantity),
            entry=D(entry),
            t_event_ms=self.now_ns // 1_000_000,
            t_ns=self.now_ns,
            cause=cause,
            margin=None if margin is None else D(margin),
            liquidation_price=None if liquidation_price is None else D(liquidation_price),
            snapshot=snapshot,
        )
        return self.hear(self.engine.on_position(report))

    def news(self, event: Event, *, of: Exit, filled: str | int = 0) -> list[str]:
        """The exchange tells what became of an order."""
        return self.hear(
            self.engine.on_outcome(
                SYMBOL, of.side, of.order_id, event, filled=D(filled), t_ns=self.now_ns
            )
        )

    def close(self, side: Side = "LONG") -> list[str]:
        return self.hear(self.engine.close(SYMBOL, side, t_ns=self.now_ns))

    def set_stop(self, price: str | int, side: Side = "LONG") -> list[str]:
        return self.hear(self.engine.set_stop(SYMBOL, side, D(price), t_ns=self.now_ns))

    # What is known ----------------------------------------------------------------------------

    def hear(self, out: Sequence[Decision]) -> list[str]:
        self.said += out
        return lines(out)

    def machine(self, side: Side = "LONG") -> Machine:
        return self.engine.positions[SYMBOL, side]

    def last_exit(self) -> Exit:
        return next(d for d in reversed(self.said) if isinstance(d, Exit))

    def last_closed(self) -> Closed:
        return next(d for d in reversed(self.said) if isinstance(d, Closed))

    def stop(self, side: Side = "LONG") -> str:
        machine = self.machine(side)
        return f"{machine.stop_kind} {text(machine.price(machine.stop))}"
