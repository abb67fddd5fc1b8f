"""The exit machine, plain and slow: every rule on every tick, exact fractions, no bounds, no shortcuts.

Written from the specification's and the contract's texts alone; the engine must say the same, line for
line. Where the texts left a choice, a comment `# reading:` says which one was taken.
"""

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal

from reactor.core.plan import INTERVAL_MS, Plan
from reference.candle_list import Candle, CandleList
from reference.epoch import Epoch, Flight, Rung
from reference.ladder import known_inputs, ladder_scale_and_fractions
from reference.levels import (
    decide_initial_volatility,
    let_held_rungs_in,
    recompute,
    recompute_rungs,
    set_initial_levels,
)
from reference.lines import Line, closed_line, exit_line, opened_line, stop_line
from reference.prices import Prices
from reference.rules import guard, move_stop, take_profit
from reference.sides import Side, is_through_stop, is_worse_than_entry, other_side, profit
from reference.terms import Terms

SIDES: tuple[Side, Side] = ("LONG", "SHORT")


class Naive:
    """One symbol under one plan.

    Args:
        plan: the plan of every position.
        tick: the price filter, None where nothing is rounded.
        step: the lot step, None where nothing is rounded.
        min_quantity: the least that may be left over.
        fixed_atr: stands for the candles' ATR at all times.
        fills: whether an order fills at once at the tick that caused it, or at the next tick.
        source: where the ticks come from; `book` has a bid and an ask.
        inputs: what the ladder's rules may ask for.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        tick: Decimal | None,
        step: Decimal | None,
        min_quantity: Decimal,
        fixed_atr: Decimal | None,
        fills: Literal["trigger", "next"],
        source: Literal["last", "mark", "book"],
        inputs: dict[str, Any] | None = None,
    ) -> None:
        self.plan = plan
        self.terms = Terms(
            plan=plan,
            tick=None if tick is None else Fraction(tick),
            step=None if step is None else Fraction(step),
            min_quantity=Fraction(min_quantity),
        )
        self.fixed_atr = None if fixed_atr is None else Fraction(fixed_atr)
        self.fills = fills
        self.source = source
        self.inputs = inputs or {}
        self.candles = CandleList(INTERVAL_MS[plan.atr.interval])
        self.quarter_hours = CandleList(INTERVAL_MS["15m"])
        self.epochs: dict[Side, Epoch] = {}
        self.pending: list[tuple[Side, Decimal, Decimal, Decimal | None, Decimal | None]] = []
        self.ticks = 0
        self.last: Prices | None = None
        self.last_id: int | None = None
        self.suspect: tuple[Prices, int] | None = None

    # What the outside says ------------------------------------------------------------------------

    def history(self, rows: list[tuple[int, Any, Any, Any, Any]]) -> None:
        """Candles from before the first tick; the last one is still forming."""
        for open_ms, opened, high, low, close in rows:
            prices = (Fraction(Decimal(str(value))) for value in (opened, high, low, close))
            self.candles.candles.append(Candle(open_ms, *prices))

    def open(
        self,
        side: Side,
        quantity: Decimal,
        entry: Decimal,
        *,
        liquidation_price: Decimal | None = None,
        margin: Decimal | None = None,
    ) -> None:
        """Opens a position at the next accepted tick, before that tick is evaluated."""
        self.pending.append((side, quantity, entry, liquidation_price, margin))

    def risk(
        self, side: Side, *, liquidation_price: Decimal | None, margin: Decimal | None
    ) -> None:
        """What the guards measure from; the margin is that of the whole position as it is now."""
        epoch = self.epochs.get(side)
        if epoch is None:
            return
        # reading: what a report does not say (None) stays as it was known.
        if liquidation_price is not None:
            epoch.liquidation_price = Fraction(liquidation_price)
        if margin is not None:
            epoch.margin_per_unit = Fraction(margin) / epoch.quantity

    def position(self, side: Side, quantity: Decimal, entry: Decimal, *, t_ns: int) -> list[Line]:
        """The exchange says what is open; none of it was this system's doing."""
        lines = self.clock(t_ns)
        open_now, average = Fraction(quantity), Fraction(entry)
        epoch = self.epochs.get(side)
        if epoch is None:
            if open_now > 0:
                lines += self._open(side, open_now, average, t_ns)
        elif open_now == 0:
            lines += self._end(epoch, "external", t_ns, by_others=True)
        elif average == epoch.entry and open_now == epoch.quantity:
            pass
        elif average == epoch.entry and open_now < epoch.quantity:
            epoch.quantity = open_now
            epoch.reduced_by_others = True
        else:
            lines += self._added(epoch, open_now, average, t_ns)
        return lines

    def flip(self, side: Side, quantity: Decimal, entry: Decimal, *, t_ns: int) -> list[Line]:
        """One event turned the position round: `side` is the new one."""
        lines = self.clock(t_ns)
        old = self.epochs.get(other_side(side))
        if old is not None:
            lines += self._end(old, "flip", t_ns, by_others=True)
        return lines + self._open(side, Fraction(quantity), Fraction(entry), t_ns)

    def clock(self, t_ns: int) -> list[Line]:
        """Fires the timers that are due at or before a time."""
        lines: list[Line] = []
        for epoch in self._epochs():
            due_ns = epoch.time_stop_due_ns
            if due_ns is None or due_ns > t_ns:
                continue
            epoch.time_stop_due_ns = None
            if not epoch.closes_all:
                # The full close may overtake a partial one, and asks for everything that is open.
                lines += self._close_all(epoch, ["time_stop"], self._last_or_entry(epoch), due_ns)
        return lines

    def tick(
        self, *, t_ns: int, t_event_ms: int, tick_id: int, price: str | tuple[str, str]
    ) -> list[Line]:
        """One price observation: checked, and then counted, or kept as a suspect, or dropped."""
        lines = self.clock(t_ns)
        prices = Prices(price)
        if not prices.is_legal:
            return lines
        if self.last_id is not None and tick_id <= self.last_id:
            return lines
        # reading: a suspect's id counts as seen, so its own duplicate cannot confirm it.
        self.last_id = tick_id
        limit = Fraction(self.plan.max_tick_jump_pct)
        if self.suspect is not None:
            suspect, suspect_event_ms = self.suspect
            if prices.is_within(limit, of=suspect):
                self.suspect = None
                lines += self._accept(suspect, suspect_event_ms, t_ns)
                lines += self._accept(prices, t_event_ms, t_ns)
                return lines
        if self.last is not None and not prices.is_within(limit, of=self.last):
            self.suspect = (prices, t_event_ms)
            return lines
        self.suspect = None
        return lines + self._accept(prices, t_event_ms, t_ns)

    # An accepted tick -----------------------------------------------------------------------------

    def _accept(self, prices: Prices, event_ms: int, t_ns: int) -> list[Line]:
        lines: list[Line] = []
        while (closed := self.candles.close_those_before(event_ms)) is not None:
            for epoch in self._epochs():
                lines += self._candle_closed(epoch, closed, t_ns)
        while self.quarter_hours.close_those_before(event_ms) is not None:
            pass
        pending, self.pending = self.pending, []
        for side, quantity, entry, liquidation_price, margin in pending:
            lines += self._open(
                side,
                Fraction(quantity),
                Fraction(entry),
                t_ns,
                margin=None if margin is None else Fraction(margin),
                price=prices.seen_by(side),
            )
            self.risk(side, liquidation_price=liquidation_price, margin=margin)
        self.ticks += 1
        self.last = prices
        self.candles.extend(event_ms, prices.mid)
        self.quarter_hours.extend(event_ms, prices.mid)
        for epoch in self._epochs():
            lines += self._fill_flights(epoch, prices.seen_by(epoch.side), t_ns)
        for epoch in self._epochs():
            lines += self._evaluate(epoch, prices.seen_by(epoch.side), t_ns)
        return lines

    def _evaluate(self, epoch: Epoch, price: Fraction, t_ns: int) -> list[Line]:
        """The rules in the specification's order."""
        if epoch.closes_all:
            return []
        let_held_rungs_in(epoch, price)
        if is_through_stop(epoch.side, price, epoch.stop):
            epoch.ticks_through_stop += 1
        else:
            epoch.ticks_through_stop = 0
        if epoch.ticks_through_stop >= self.plan.stop_confirm_ticks:
            return self._close_all(epoch, [epoch.kind], price, t_ns)
        guarded = guard(epoch, price, self.terms)
        if guarded is not None:
            return self._close_all(epoch, [guarded], price, t_ns)
        stop_before = epoch.stop
        quantity, reasons = take_profit(epoch, price, self.terms)
        lines: list[Line] = []
        if quantity > 0:
            flight = Flight(quantity, reasons, quantity == epoch.remaining, pursued=False)
            lines += self._order(epoch, flight, price, t_ns, stop=stop_before)
        if epoch.remaining > 0:
            move_stop(epoch, price, atr=self._atr(), terms=self.terms)
            if epoch.stop != stop_before:
                lines.append(stop_line(epoch, price, t_ns=t_ns, tick=self.ticks))
        return lines

    def _epochs(self) -> list[Epoch]:
        return [self.epochs[side] for side in SIDES if side in self.epochs]

    def _last_price(self, side: Side) -> Fraction | None:
        return None if self.last is None else self.last.seen_by(side)

    def _last_or_entry(self, epoch: Epoch) -> Fraction:
        # reading: where a price must be named before any tick came, the entry is named.
        price = self._last_price(epoch.side)
        return epoch.entry if price is None else price

    # Opening, adding, candles ---------------------------------------------------------------------

    def _atr(self) -> Fraction | None:
        if self.fixed_atr is not None:
            return self.fixed_atr if self.fixed_atr > 0 else None
        if not self.plan.needs_atr:
            # reading: a plan with no distance in ATR shows none, whatever the candles say.
            return None
        return self.candles.atr(period=self.plan.atr.period, method=self.plan.atr.method)

    def _open(
        self,
        side: Side,
        quantity: Fraction,
        entry: Fraction,
        t_ns: int,
        *,
        margin: Fraction | None = None,
        price: Fraction | None = None,
    ) -> list[Line]:
        due_ns = None
        if self.plan.time_stop is not None:
            due_ns = t_ns + int(Fraction(self.plan.time_stop.seconds) * 1_000_000_000)
        known = known_inputs(
            side=side,
            quantity=quantity,
            entry=entry,
            margin=margin,
            price=self._last_price(side) if price is None else price,
            atr_15m=self.quarter_hours.atr(
                period=self.plan.atr.period, method=self.plan.atr.method
            ),
            given=self.inputs,
        )
        scale, fractions = ladder_scale_and_fractions(self.plan, known)
        targets = zip(self.plan.targets, fractions, strict=True)
        epoch = Epoch(
            side=side,
            quantity=quantity,
            entry=entry,
            time_stop_due_ns=due_ns,
            initial_quantity=quantity,
            rungs=[Rung(target, fraction) for target, fraction in targets],
            ladder_scale=scale,
            atr=self._atr(),
        )
        self.epochs[side] = epoch
        set_initial_levels(epoch, self.terms)
        return [opened_line(epoch, self.terms, t_ns=t_ns)]

    def _added(self, epoch: Epoch, quantity: Fraction, entry: Fraction, t_ns: int) -> list[Line]:
        if quantity < epoch.quantity:
            epoch.reduced_by_others = True
        epoch.quantity = quantity
        epoch.entry = entry
        epoch.initial_quantity = max(epoch.initial_quantity, quantity)
        atr = self._atr()
        if atr is not None:
            # reading: an add while there is no ATR (a market gone flat) keeps the ATR of before.
            epoch.atr = atr
        decide_initial_volatility(epoch, self.terms)
        price = self._last_price(epoch.side)
        epoch.harvests = 0
        if self.plan.harvest is not None and price is not None:
            gain = profit(epoch.side, entry, price) / entry
            if gain > 0:
                epoch.harvests = math.floor(gain / Fraction(self.plan.harvest.trigger_pct))
        before = (epoch.stop, epoch.kind)
        if epoch.kind == "break_even" and is_worse_than_entry(epoch.side, epoch.stop, entry):
            epoch.kind = "stop_loss"
        recompute(epoch, price, self.terms)
        if (epoch.stop, epoch.kind) == before:
            return []
        return [stop_line(epoch, self._last_or_entry(epoch), t_ns=t_ns, tick=self.ticks)]

    def _candle_closed(self, epoch: Epoch, candle: Candle, t_ns: int) -> list[Line]:
        atr = self._atr()
        price = self._last_price(epoch.side)
        if atr is None:
            # reading: without an ATR the governor decides nothing.
            return []
        if epoch.remaining <= 0:
            # reading: with everything sent there is nothing to make levels for, and R stays what it was.
            return []
        if epoch.atr is None:
            epoch.atr = atr
            decide_initial_volatility(epoch, self.terms)
            recompute(epoch, price, self.terms, tick_follows=True)
            return []
        table = self.plan.high_volatility
        if table is None:
            return []
        limit = Fraction(table.threshold) * candle.close
        if not epoch.in_high_volatility and atr >= limit:
            epoch.in_high_volatility = True
            if not epoch.has_shrunk:
                epoch.has_shrunk = True
                recompute_rungs(epoch, price, self.terms)
        elif epoch.in_high_volatility and atr < Fraction(9, 10) * limit:
            epoch.in_high_volatility = False
        return []

    # Orders and fills -----------------------------------------------------------------------------

    def _close_all(
        self, epoch: Epoch, reasons: list[str], price: Fraction, t_ns: int
    ) -> list[Line]:
        flight = Flight(epoch.quantity, reasons, closes_all=True, pursued=True)
        return self._order(epoch, flight, price, t_ns, stop=epoch.stop)

    def _order(
        self, epoch: Epoch, flight: Flight, price: Fraction, t_ns: int, *, stop: Fraction
    ) -> list[Line]:
        epoch.flights.append(flight)
        line = exit_line(epoch, flight, price, t_ns=t_ns, tick=self.ticks, stop=stop)
        if self.fills == "next":
            return [line]
        return [line, *self._fill_flights(epoch, price, t_ns)]

    def _fill_flights(self, epoch: Epoch, price: Fraction, t_ns: int) -> list[Line]:
        flights, epoch.flights = epoch.flights, []
        for flight in flights:
            quantity = min(flight.quantity, epoch.quantity)
            epoch.quantity -= quantity
            epoch.realized += profit(epoch.side, epoch.entry, price) * quantity
            if epoch.quantity == 0:
                return self._end(epoch, flight.reasons[-1], t_ns, by_others=False)
        for flight in flights:
            if flight.pursued:
                # Somebody added while everything was in flight: exiting goes on until flat.
                return self._close_all(epoch, flight.reasons, price, t_ns)
        return []

    def _end(self, epoch: Epoch, reason: str, t_ns: int, *, by_others: bool) -> list[Line]:
        del self.epochs[epoch.side]
        known = not by_others and not epoch.reduced_by_others
        return [closed_line(epoch, reason, t_ns=t_ns, tick=self.ticks, known=known)]
