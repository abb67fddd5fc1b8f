"""Reads a scenario's bytes as a market with positions in it, as it goes along with the reference.

What an instruction means depends on what is open (add to it, close it, a tick exactly on its stop), so
the program is read while the reference runs, and the events it became can be played to anybody else.
"""

import math
from collections.abc import Callable, Iterator
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from typing import Any, NamedTuple

from reactor.core.plan import INTERVAL_MS
from reference.epoch import Epoch
from reference.levels import break_even_price
from reference.naive import Naive
from reference.scenarios import Scenario
from reference.sides import Side, other_side, price_in_loss_by, price_in_profit_by

START_MS = 1_790_000_000_000 // 60_000 * 60_000
_EXACT = Context(prec=400, rounding=ROUND_HALF_EVEN)


class Open(NamedTuple):
    side: Side
    quantity: Decimal
    entry: Decimal
    liquidation_price: Decimal | None
    margin: Decimal | None


class Tick(NamedTuple):
    t_ns: int
    t_event_ms: int
    tick_id: int
    price: str | tuple[str, str]


class Position(NamedTuple):
    side: Side
    quantity: Decimal
    entry: Decimal
    t_ns: int


class Flip(NamedTuple):
    side: Side
    quantity: Decimal
    entry: Decimal
    t_ns: int


class Risk(NamedTuple):
    """The position as it is known, with what the guards measure from."""

    side: Side
    quantity: Decimal
    entry: Decimal
    liquidation_price: Decimal | None
    margin: Decimal | None
    t_ns: int


class Clock(NamedTuple):
    t_ns: int


Event = Open | Tick | Position | Flip | Risk | Clock


def new_naive(scenario: Scenario) -> Naive:
    return Naive(
        scenario.plan,
        tick=scenario.tick,
        step=scenario.step,
        min_quantity=scenario.min_quantity,
        fixed_atr=scenario.fixed_atr,
        fills=scenario.fills,
        source=scenario.plan.trigger,
        inputs=scenario.inputs,
    )


def play(naive: Naive, event: Event) -> list[dict[str, Any]]:
    match event:
        case Open():
            naive.open(
                event.side,
                event.quantity,
                event.entry,
                liquidation_price=event.liquidation_price,
                margin=event.margin,
            )
            return []
        case Tick():
            return naive.tick(
                t_ns=event.t_ns,
                t_event_ms=event.t_event_ms,
                tick_id=event.tick_id,
                price=event.price,
            )
        case Position():
            return naive.position(event.side, event.quantity, event.entry, t_ns=event.t_ns)
        case Flip():
            return naive.flip(event.side, event.quantity, event.entry, t_ns=event.t_ns)
        case Risk():
            lines = naive.clock(event.t_ns)
            naive.risk(event.side, liquidation_price=event.liquidation_price, margin=event.margin)
            return lines
        case Clock():
            return naive.clock(event.t_ns)


def history_of(scenario: Scenario) -> list[tuple[int, str, str, str, str]]:
    """Candles up to the one that forms when the first tick comes: three bytes each."""
    interval_ms = INTERVAL_MS[scenario.plan.atr.interval]
    bars = [scenario.history[at : at + 3] for at in range(0, len(scenario.history) - 2, 3)]
    forming_ms = START_MS // interval_ms * interval_ms
    rows = []
    close = scenario.base
    for index, (up, down, end) in enumerate(bars):
        opened = close
        unit = scenario.base * scenario.swing / 64
        high = _on_grid(opened + up * unit, scenario.grain)
        low = _on_grid(opened - down * unit, scenario.grain)
        close = _on_grid(low + (high - low) * end / 255, scenario.grain)
        high, low = max(high, opened, close), min(low, opened, close)
        open_ms = forming_ms - (len(bars) - 1 - index) * interval_ms
        rows.append((open_ms, f"{opened:f}", f"{high:f}", f"{low:f}", f"{close:f}"))
    return rows


def _on_grid(price: Decimal, grain: Decimal) -> Decimal:
    return max(grain, (price / grain).to_integral_value() * grain)


def as_decimal(value: Fraction) -> Decimal | None:
    """The exact decimal, if it is a short one."""
    numerator, denominator = value.numerator, value.denominator
    digits = 0
    while denominator != 1:
        if digits == 40:
            return None
        numerator *= 10
        common = math.gcd(numerator, denominator)
        numerator, denominator = numerator // common, denominator // common
        digits += 1
    return _EXACT.create_decimal(numerator).scaleb(-digits, _EXACT)


class Reader:
    """Turns the program into events, one at a time; what each does must be played before the next."""

    def __init__(self, scenario: Scenario, naive: Naive) -> None:
        self.scenario = scenario
        self.naive = naive
        self.price = scenario.base
        self.t_ns = START_MS * 1_000_000 + 3_000_000
        self.latency_ms = 3
        self.id = 1000

    def events(self) -> Iterator[Event]:
        code = self.scenario.program
        first = code[0]
        yield from self._opening(first)
        for at in range(1, len(code) - 1, 2):
            yield from self._instruction(code[at], code[at + 1])

    def _opening(self, byte: int) -> Iterator[Event]:
        if byte % 8 == 7:
            return  # nothing is open yet: the exchange reports it later
        sides: tuple[Side, ...] = ("LONG",) if byte & 1 == 0 else ("SHORT",)
        if byte % 8 in {4, 5}:
            sides = ("LONG", "SHORT")
        for side in sides:
            entry = _on_grid(self.price * (1000 + (byte >> 4) - 6) / 1000, self.scenario.grain)
            liquidation, margin = self._risk(side, entry, self._quantity(byte), byte)
            yield Open(side, self._quantity(byte), entry, liquidation, margin)

    def _instruction(self, what: int, how: int) -> Iterator[Event]:
        for below, instruction in _INSTRUCTIONS:
            if what < below:
                yield from instruction(self, what, how)
                return

    def _step(self, what: int, how: int) -> Iterator[Event]:
        self._wait(self.scenario.pace_ms)
        self._move(how - 128 if what & 1 else 0 if how == 0 else 128 - how)
        yield self._tick()

    def _onto_a_level(self, _: int, how: int) -> Iterator[Event]:
        self._wait(self.scenario.pace_ms)
        self._go_to_level(how)
        yield self._tick()

    def _gap(self, _: int, how: int) -> Iterator[Event]:
        self._wait(self.scenario.pace_ms)
        self._set(self.price * (1000 + (how - 128)) / 1000)
        yield self._tick()

    def _suspect(self, _: int, how: int) -> Iterator[Event]:
        """A jump; the walk goes on from there, or from where it was."""
        self._wait(self.scenario.pace_ms)
        before = self.price
        self._set(self.price * Decimal(1000 + 5 * (how - 128)) / 1000)
        yield self._tick()
        if how & 1:
            self.price = before

    def _silence(self, _: int, how: int) -> Iterator[Event]:
        interval_ms = INTERVAL_MS[self.scenario.plan.atr.interval]
        self._wait(interval_ms * (how % 12) + (0, 0, 0, 17)[how % 4])
        yield from ()

    def _late_tick(self, _: int, how: int) -> Iterator[Event]:
        self.id += 1
        self._move(how - 128)
        interval_ms = INTERVAL_MS[self.scenario.plan.atr.interval]
        yield self._tick(late_ms=how * interval_ms // 64)

    def _repeated_or_stale_id(self, _: int, how: int) -> Iterator[Event]:
        self._move(how - 128)
        self.id -= how % 3 + 1
        yield self._tick()
        self.id += how % 3

    def _no_price(self, _: int, how: int) -> Iterator[Event]:
        yield self._tick(text=("0", "-1", "nan", "inf")[how % 4])

    def _clock(self, _: int, how: int) -> Iterator[Event]:
        self._wait(how * self.scenario.pace_ms // 8)
        yield Clock(self.t_ns)

    def _same_instant(self, _: int, how: int) -> Iterator[Event]:
        self._move(how - 128)
        yield self._tick()

    def _position(self, what: int, how: int) -> Iterator[Event]:
        if how & 192 == 192:
            self._wait(1)
        side: Side = "LONG" if how & 1 == 0 else "SHORT"
        if side not in self.naive.epochs and other_side(side) in self.naive.epochs and how & 2:
            side = other_side(side)
        if self.naive.pending:
            return  # what was announced opens first
        epoch = self.naive.epochs.get(side)
        near = _on_grid(self.price * (1000 + (how >> 3) - 16) / 1000, self.scenario.grain)
        if epoch is None:
            yield from self._without_position(what, how, side, near)
            return
        quantity, entry = as_decimal(epoch.quantity), as_decimal(epoch.entry)
        if quantity is None or entry is None:
            return
        if what < 224:
            yield Position(side, quantity + self._quantity(how), near, self.t_ns)
        elif what < 227:
            yield Position(side, quantity + self._quantity(how), entry, self.t_ns)
        elif what < 231:
            yield Position(side, quantity, near, self.t_ns)
        elif what < 233:
            yield Position(side, quantity, entry, self.t_ns)
        elif what < 237:
            yield Position(side, quantity * (how % 10) / 10, entry, self.t_ns)
        elif what < 240:
            yield Position(side, quantity * (1 + how % 9) / 10, near, self.t_ns)
        elif what < 243:
            yield Position(side, Decimal(0), Decimal(0), self.t_ns)
        elif what < 247:
            yield Position(side, Decimal(0), Decimal(0), self.t_ns)
            yield Position(side, self._quantity(how), near, self.t_ns)
        elif what < 250 and other_side(side) not in self.naive.epochs:
            yield Flip(other_side(side), self._quantity(how), near, self.t_ns)
        else:
            yield Clock(self.t_ns)  # what is due may end the epoch first
            if self.naive.epochs.get(side) is epoch:
                liquidation, margin = self._risk(side, entry, quantity, how)
                yield Risk(side, quantity, entry, liquidation, margin, self.t_ns)

    def _without_position(self, what: int, how: int, side: Side, near: Decimal) -> Iterator[Event]:
        if what < 230:
            yield Open(side, self._quantity(how), near, None, None)
        elif what < 252:
            yield Position(side, self._quantity(how), near, self.t_ns)
        else:
            yield Position(side, Decimal(0), Decimal(0), self.t_ns)

    def _risk(
        self, side: Side, entry: Decimal, quantity: Decimal, how: int
    ) -> tuple[Decimal | None, Decimal | None]:
        away = entry * Decimal(how % 16 - 2) / 500
        liquidation: Decimal | None = entry - away if side == "LONG" else entry + away
        if how % 5 == 0:
            liquidation = Decimal(0)
        margin = None if how % 7 == 0 else entry * quantity / (4, 10, 20, 50, 125)[how % 5]
        if margin is None and how % 2:
            liquidation = None  # a report that tells neither: both stay as they were known
        return liquidation, margin

    def _quantity(self, how: int) -> Decimal:
        return (Decimal(1), Decimal("0.182"), Decimal(10), Decimal("3.7"))[how >> 2 & 3]

    def _wait(self, wait_ms: int) -> None:
        self.t_ns += wait_ms * 1_000_000

    def _move(self, how: int) -> None:
        scenario = self.scenario
        part = Decimal(how) / 128 + scenario.drift
        self._set(self.price * (1 + scenario.swing * part))

    def _set(self, price: Decimal) -> None:
        # Thousands of harvests on one tick would say nothing more than a hundred.
        base = self.scenario.base
        self.price = _on_grid(min(max(price, base / 2), base * 2), self.scenario.grain)

    def _go_to_level(self, how: int) -> None:
        levels = [level for epoch in self._epochs() for level in self._levels_of(epoch)]
        if not levels:
            return
        level = as_decimal(levels[how % len(levels)])
        if level is not None and level > 0:
            beside = (0, 0, 0, 1, -1)[how % 5] * self.scenario.grain
            if self.scenario.base / 2 < level + beside < self.scenario.base * 2:
                self.price = level + beside

    def _epochs(self) -> list[Epoch]:
        return list(self.naive.epochs.values())

    def _levels_of(self, epoch: Epoch) -> list[Fraction]:
        """Prices at which something may happen to the position."""
        plan, side, entry = self.scenario.plan, epoch.side, epoch.entry
        levels = [epoch.stop, entry]
        for rung in epoch.rungs:
            levels += [at for at in (rung.price, rung.held_price) if at is not None]
        if epoch.held_stop is not None:
            levels.append(epoch.held_stop)
        if plan.harvest is not None:
            step = Fraction(plan.harvest.trigger_pct) * entry
            levels += [
                price_in_profit_by(side, entry, step * (epoch.harvests + more)) for more in (1, 3)
            ]
        if plan.break_even is not None and plan.break_even.at_r is not None:
            gain = Fraction(plan.break_even.at_r) * epoch.r
            levels.append(price_in_profit_by(side, entry, gain))
        levels.append(break_even_price(epoch, self.naive.terms))
        if plan.high_volatility is not None and self.scenario.fixed_atr is not None:
            enter = Fraction(self.scenario.fixed_atr) / Fraction(plan.high_volatility.threshold)
            levels += [at for at in (enter, enter * Fraction(10, 9)) if at > 0]
        if plan.guards is not None:
            if plan.guards.max_loss_margin_pct is not None and epoch.margin_per_unit is not None:
                loss = Fraction(plan.guards.max_loss_margin_pct) * epoch.margin_per_unit
                levels.append(price_in_loss_by(side, entry, loss))
            buffer = plan.guards.liquidation_buffer_pct
            if buffer is not None and epoch.liquidation_price is not None:
                distance = Fraction(buffer) * entry
                levels.append(price_in_profit_by(side, epoch.liquidation_price, distance))
        return levels

    def _tick(self, *, late_ms: int = 0, text: str | None = None) -> Tick:
        self.id += 1
        t_event_ms = self.t_ns // 1_000_000 - self.latency_ms - late_ms
        price = text or f"{self.price:f}"
        if self.scenario.plan.trigger == "book":
            spread = (self.id * 7919) % 3 * self.scenario.grain
            ask = text or f"{self.price + spread:f}"
            return Tick(self.t_ns, t_event_ms, self.id, (price, ask))
        if self.scenario.plan.trigger == "mark":
            return Tick(self.t_ns, t_event_ms, t_event_ms, price)
        return Tick(self.t_ns, t_event_ms, self.id, price)


# Bytes below the number mean the instruction; what is most of a market has most of the bytes.
_INSTRUCTIONS: tuple[tuple[int, Callable[[Reader, int, int], Iterator[Event]]], ...] = (
    (130, Reader._step),
    (165, Reader._onto_a_level),
    (175, Reader._gap),
    (183, Reader._suspect),
    (189, Reader._silence),
    (196, Reader._late_tick),
    (200, Reader._repeated_or_stale_id),
    (202, Reader._no_price),
    (208, Reader._clock),
    (214, Reader._same_instant),
    (256, Reader._position),
)
