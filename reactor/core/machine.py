"""The exit machine: one position, one epoch, every rule of its plan.

Written along the gain axis (`levels.Axis`): x rises with profit on both sides, so the rules below read as
for a LONG and hold for a SHORT. `on_tick` applies them in the order of the specification: stop, guards,
ladder, harvest; then break-even, ratchet, trailing. Each computes from the plain numbers it names.

`arm` answers with the two prices between which no rule can act. The engine compares each tick with them
and comes here only with a tick outside; a naive machine that looks at every rule on every tick decides
the same, and a property test says so.

Three laws stand above the rules. The stop only improves within an epoch (`_move_stop` asserts it; only
an operator's `set_stop` may loosen it). A recomputation never closes: a level that would land at or
through the price is held back until the price is beyond it. Only price and clock close.
"""

from decimal import Decimal
from math import inf, nextafter
from typing import NamedTuple

from reactor.core import levels
from reactor.core.decisions import Decision, HeldBack, Opened, Reason, Side, StopKind, StopMoved
from reactor.core.exact import (
    ONE,
    ZERO,
    add,
    ceil_to,
    divide,
    floor_to,
    from_float,
    multiply,
    subtract,
)
from reactor.core.lifecycle import Event
from reactor.core.orders import Orders
from reactor.core.plan import Plan
from reactor.errors import InvariantError

HARVEST_STEPS_PER_TICK_MAX = 1000
"""Harvest steps one tick may take. A 20 % jump at 0.1 % steps has 200; beyond this a price is absurd."""


class Filters(NamedTuple):
    """What one contract rounds to; None where nothing is rounded."""

    tick: Decimal | None = None
    step: Decimal | None = None
    min_quantity: Decimal = ZERO


class Rung:
    """One take-profit target within an epoch.

    Attributes:
        number: its place in the plan file, from 0.
        close: the fraction of the initial quantity.
        x: its level on the gain axis; None while it waits for an ATR.
        held: the level a recomputation wants but may not set while the price is at or beyond it.
        taken: whether it fired.
    """

    __slots__ = ("close", "held", "number", "taken", "x")

    def __init__(self, number: int, close: Decimal) -> None:
        self.number = number
        self.close = close
        self.x: Decimal | None = None
        self.held: Decimal | None = None
        self.taken = False


class _Fired:
    """What the rungs and harvest steps of one tick add up to."""

    __slots__ = ("level", "quantity", "reasons", "remaining")

    def __init__(self, remaining: Decimal) -> None:
        self.remaining = remaining
        self.quantity = ZERO
        self.reasons: list[Reason] = []
        self.level: Decimal | None = None

    def add(self, quantity: Decimal, reason: Reason, level: Decimal) -> None:
        """Adds one; what rounds to nothing names no reason."""
        if quantity > 0:
            self.reasons.append(reason)
            self.level = level if self.level is None else max(self.level, level)
            self.quantity = add(self.quantity, quantity)
            self.remaining = subtract(self.remaining, quantity)


class Machine:
    """The exit rules of one epoch.

    Attributes:
        plan, side, entry, opened_ns, epoch: what the epoch is about.
        orders: what is held, what is in flight, and what was realised.
        stop: the stop on the gain axis; `stop_kind` what put it there.
        r: the epoch's initial risk in price, before rounding.
        level_atr: the ATR that stop, R and rungs were made of; `atr` the one trailing uses now.
        peak: the best x since trailing became active; None before.
    """

    __slots__ = (
        "_axis",
        "_break_even_condition",
        "_calm",
        "_calm_high",
        "_calm_low",
        "_confirm",
        "_guard_liquidation",
        "_guard_loss",
        "_harvest_due",
        "_ladder_is_whole",
        "_liquidation_price",
        "_margin_per_unit",
        "_paid_per_unit",
        "_peak_above",
        "_shrunk",
        "_stop_double",
        "_stop_held",
        "_stop_held_kind",
        "_through",
        "_x_double",
        "_x_is_short",
        "atr",
        "break_even_due",
        "entry",
        "epoch",
        "filters",
        "harvests_taken",
        "high_volatility",
        "level_atr",
        "opened_ns",
        "orders",
        "paid",
        "paused",
        "peak",
        "plan",
        "r",
        "rungs",
        "side",
        "stop",
        "stop_kind",
        "symbol",
        "tick",
        "time_stop_ns",
        "x",
        "x0",
    )

    def __init__(
        self,
        *,
        symbol: str,
        side: Side,
        epoch: int,
        opened_ns: int,
        plan: Plan,
        filters: Filters,
        entry: Decimal,
        atr: Decimal | None,
        orders: Orders,
    ) -> None:
        self.symbol = symbol
        self.side: Side = side
        self.epoch = epoch
        self.opened_ns = opened_ns
        self.plan = plan
        self.filters = filters
        self.orders = orders
        self.paused = False
        self.tick = 0
        self._axis = levels.Axis(side)
        self._confirm = plan.stop_confirm_ticks
        self._through = 0
        # The last tick's x: what "the current price" means to a recomputation. None before a tick.
        self.x: Decimal | None = None
        self._x_double = 0.0
        self._x_is_short = False
        # The bounds of everything but stop and peak; valid while calm.
        self._calm = False
        self._calm_low, self._calm_high = inf, -inf
        # The double from which on a price raises the peak; infinite until there is one.
        self._peak_above = inf
        self.paid = ZERO
        self._paid_per_unit = ZERO

        self.entry = entry
        self.x0 = self._axis.x(entry)
        self.atr = atr
        self.level_atr = atr
        self.high_volatility = levels.is_high_volatility(plan, atr=atr, price=entry)
        self._shrunk = False
        self.r = self._stop_distance()
        self.stop = floor_to(subtract(self.x0, self.r), filters.tick)
        self._stop_double = float(self.stop)
        self.stop_kind = StopKind.STOP_LOSS
        self._stop_held: Decimal | None = None
        self._stop_held_kind = StopKind.STOP_LOSS

        self.rungs = [Rung(number, target.close) for number, target in enumerate(plan.targets)]
        total = ZERO
        for rung in self.rungs:
            rung.x = self._rung_x(rung)
            total = add(total, rung.close)
        self._ladder_is_whole = total == ONE
        self._sort_rungs()
        orders.risk(self.r)
        self.harvests_taken = 0
        self._harvest_due = self._harvest_x(1)

        self.break_even_due = False
        self._break_even_condition = self._condition_x()
        self.peak: Decimal | None = None

        self._liquidation_price: Decimal | None = None
        self._margin_per_unit: Decimal | None = None
        self._guard_liquidation: Decimal | None = None
        self._guard_loss: Decimal | None = None
        self.time_stop_ns: int | None = None
        if plan.time_stop is not None:
            self.time_stop_ns = opened_ns + int(multiply(plan.time_stop.seconds, Decimal(10**9)))

    # What a reader asks -----------------------------------------------------------------------

    def price(self, x: Decimal) -> Decimal:
        """A point on the gain axis as a price."""
        return self._axis.price(x)

    def opened(self, *, t_ns: int) -> Opened:
        """The epoch's first decision, with its levels as they stand."""
        return Opened(
            t_ns=t_ns,
            tick=self.tick,
            symbol=self.symbol,
            side=self.side,
            epoch=self.epoch,
            quantity=self.orders.quantity,
            entry=self.entry,
            plan=self.plan.name,
            atr=self.level_atr,
            stop=self.price(self.stop),
            targets=tuple(
                (None if rung.x is None else self.price(rung.x), rung.close) for rung in self.rungs
            ),
        )

    def break_even_x(self) -> Decimal:
        """Where a break-even stop stands, rounded as stops are."""
        distance = levels.break_even_distance(
            self.plan, entry=self.entry, paid_per_unit=self._paid_per_unit
        )
        return floor_to(add(self.x0, distance), self.filters.tick)

    def ratchet_x(self) -> Decimal | None:
        """The stop that the taken rungs ask for; None without a ratchet or before the second rung."""
        if not self.plan.ratchets:
            return None
        taken = [rung.x for rung in self.rungs if rung.taken and rung.x is not None]
        return floor_to(taken[-2], self.filters.tick) if len(taken) > 1 else None

    def trailing_x(self) -> Decimal | None:
        """The stop that trailing asks for; None while it is not active or waits for an ATR."""
        if self.peak is None:
            return None
        distance = levels.trailing_distance(self.plan, peak=self.peak, atr=self.atr)
        return (
            None if distance is None else floor_to(subtract(self.peak, distance), self.filters.tick)
        )

    # Armed bounds -----------------------------------------------------------------------------

    def arm(self) -> tuple[float, float]:
        """The prices between which (both excluded) a tick changes nothing here.

        The answer is in doubles. A price's double lies strictly between the doubles of two levels only
        if the price lies strictly between the levels, so the comparison of doubles errs on the side of
        looking.
        """
        if self.orders.exiting and not self.orders.fills_at_next_tick:
            return -inf, inf
        if self._through or self.orders.rest is not None or self.orders.fills_at_next_tick:
            return inf, -inf
        if not self._calm:
            self._calm = True
            self._calm_low, self._calm_high = self._calm_bounds()
        low = max(self._calm_low, self._stop_double)
        high = min(self._calm_high, self._peak_above)
        return (low, high) if self._axis.is_long else (-high, -low)

    def _calm_bounds(self) -> tuple[float, float]:
        """The doubles on the gain axis between which only stop and peak matter.

        They hold until a rule other than trailing changes something; on most ticks that come here, a new
        best price moves the stop and nothing else.
        """
        low, high = -inf, inf
        for guard in (self._guard_liquidation, self._guard_loss):
            if guard is not None:
                low = max(low, float(guard))
        if self.paused:
            held = self._stop_held
            return low, inf if held is None else _just_above(held)
        if self.orders.may_reduce:
            low, high = self._profit_bounds(low)
        for level in self._stops_ahead():
            high = min(high, _just_above(level))
        if self._break_even_condition is not None and not self.break_even_due:
            high = min(high, float(self._break_even_condition))
        return low, min(high, self._activation_bound())

    def _profit_bounds(self, low: float) -> tuple[float, float]:
        """The nearest untaken rung and harvest step above, the nearest held-back rung below."""
        high = inf
        for rung in self.rungs:
            if rung.held is not None:
                low = max(low, float(rung.held))
            if rung.x is not None and not rung.taken:
                high = min(high, float(rung.x))
        if self._harvest_due is not None:
            high = min(high, float(self._harvest_due))
        return low, high

    def _stops_ahead(self) -> list[Decimal]:
        """Stops that wait for the price to be strictly beyond them."""
        ahead = []
        if self._stop_held is not None:
            ahead.append(self._stop_held)
        if self.break_even_due:
            ahead.append(self.break_even_x())
        ratchet = self.ratchet_x()
        if ratchet is not None:
            ahead.append(ratchet)
        trailing = self.trailing_x()
        if trailing is not None:
            ahead.append(trailing)
        return [level for level in ahead if level > self.stop]

    def _activation_bound(self) -> float:
        """The double at or above which trailing becomes active."""
        trailing = self.plan.trailing
        if trailing is None or self.peak is not None:
            return inf
        if trailing.activate == "in_profit":
            return _just_above(self.x0)
        return float(self._activation_x()) if trailing.activate == "at_r" else inf

    def see(self, price: Decimal, *, tick: int) -> None:
        """Tells the current price to what is not caused by a tick: clock, candles, position reports."""
        self.x = self._axis.x(price)
        self.tick = tick
        self._calm = False

    # A tick -----------------------------------------------------------------------------------

    def on_tick(
        self, price: Decimal, *, double: float, is_short: bool, t_ns: int, tick: int
    ) -> list[Decision]:
        """Applies every rule to one accepted tick.

        Args:
            price: the trigger price, exact.
            double: the same as a double.
            is_short: whether the price has at most 15 digits, so that its double tells it exactly.
            t_ns: receive time in nanoseconds since the Unix epoch.
            tick: the number of this tick among its symbol's accepted ones, from 1.

        Returns:
            The decisions, in order: at most one exit, at most one stop move, possibly the close.
        """
        self.tick = tick
        x = self._axis.x(price)
        self.x = x
        self._x_double = double if self._axis.is_long else -double
        self._x_is_short = is_short
        out: list[Decision] = []
        if self._only_trails():
            before = self.stop
            self._trail(x)
            if self.stop is not before:
                out.append(self._stop_moved(x, t_ns=t_ns))
            return out
        self._calm = False
        if self.orders.fills_at_next_tick:
            self.orders.fill_in_flight(
                price, stop=self.price(self.stop), t_ns=t_ns, tick=tick, out=out
            )
        if self.orders.exiting:
            return out
        self._retry_rest(x, t_ns, out)
        if self._stop_or_guard(x, t_ns, out):
            return out
        if self.orders.may_reduce and not self.paused:
            self._take_profits(x, t_ns, out)
        self._move_stops(x, t_ns, out)
        return out

    def _only_trails(self) -> bool:
        """Whether this tick lies where nothing but the peak, and the stop behind it, can move."""
        return (
            self._calm
            and self._calm_low < self._x_double < self._calm_high
            and self._x_double > self._stop_double
            and not self._through
            and self.orders.is_idle
            and not self.paused
        )

    def _retry_rest(self, x: Decimal, t_ns: int, out: list[Decision]) -> None:
        """What a partial fill left is retried while the price is still beyond the level, else dropped."""
        rest = self.orders.rest
        if rest is None:
            return
        self.orders.rest = None
        if x >= rest.level and self.orders.may_reduce and not self.paused:
            quantity = min(rest.quantity, self.orders.available)
            self._exit(quantity, rest.reasons, level=rest.level, t_ns=t_ns, out=out)

    def _stop_or_guard(self, x: Decimal, t_ns: int, out: list[Decision]) -> bool:
        reason: Reason | None = None
        if x <= self.stop:
            self._through += 1
            if self._through >= self._confirm:
                reason = Reason(self.stop_kind.value)
        else:
            self._through = 0
        if reason is None:
            if self._guard_liquidation is not None and x <= self._guard_liquidation:
                reason = Reason.LIQUIDATION_GUARD
            elif self._guard_loss is not None and x <= self._guard_loss:
                reason = Reason.LOSS_GUARD
        if reason is None:
            return False
        self.close_all(reason, t_ns=t_ns, out=out)
        return True

    def _take_profits(self, x: Decimal, t_ns: int, out: list[Decision]) -> None:
        """The ladder, then the harvest: everything that fires goes out as one order."""
        self._release_rungs(x)
        fired = _Fired(self.orders.available)
        rungs = self._fire_rungs(x, fired)
        steps = self._fire_harvests(x, fired)
        if rungs or steps:
            self._remember_taken(harvested=steps > 0)
        if fired.level is not None:
            reasons = tuple(dict.fromkeys(fired.reasons))
            self._exit(fired.quantity, reasons, level=fired.level, t_ns=t_ns, out=out)

    def _release_rungs(self, x: Decimal) -> None:
        """Sets the rungs that a recomputation held back, now that the price is before them."""
        for rung in self.rungs:
            if rung.held is not None and x < rung.held:
                rung.x, rung.held = rung.held, None
        self._sort_rungs()

    def _fire_rungs(self, x: Decimal, fired: _Fired) -> int:
        """Takes every untaken rung that the price has reached, nearest first; answers how many."""
        count = 0
        for index, rung in enumerate(self.rungs):
            if rung.taken or rung.x is None or x < rung.x or fired.remaining <= 0:
                continue
            count += 1
            rung.taken = True
            rung.held = None
            quantity = fired.remaining
            if index < len(self.rungs) - 1 or not self._ladder_is_whole:
                share = multiply(rung.close, self.orders.initial_quantity)
                quantity = self._tradable(share, fired.remaining)
            fired.add(quantity, Reason.TAKE_PROFIT, rung.x)
        return count

    def _fire_harvests(self, x: Decimal, fired: _Fired) -> int:
        """Takes every harvest step that the price has reached, rising; answers how many."""
        harvest = self.plan.harvest
        count = 0
        while (
            harvest is not None
            and self._harvest_due is not None
            and x >= self._harvest_due
            and fired.remaining > 0
            and count < HARVEST_STEPS_PER_TICK_MAX
        ):
            count += 1
            share = multiply(harvest.fraction, fired.remaining)
            fired.add(self._tradable(share, fired.remaining), Reason.HARVEST, self._harvest_due)
            self.harvests_taken += 1
            self._harvest_due = self._harvest_x(self.harvests_taken + 1)
        return count

    def _remember_taken(self, *, harvested: bool) -> None:
        """What a taken rung or harvest step means for good: no time stop, and break-even where due."""
        self.time_stop_ns = None
        if harvested or (self.plan.ratchets and any(rung.taken for rung in self.rungs)):
            self.break_even_due = True

    def _tradable(self, share: Decimal, remaining: Decimal) -> Decimal:
        """A share rounded down to the step and capped; a rest too small to trade joins it."""
        quantity = min(floor_to(share, self.filters.step), remaining)
        rest = subtract(remaining, quantity)
        return remaining if quantity > 0 and ZERO < rest < self.filters.min_quantity else quantity

    def _move_stops(self, x: Decimal, t_ns: int, out: list[Decision]) -> None:
        """Break-even, ratchet, trailing, and what was held back: at most one move, the final stop."""
        if self.orders.exiting or self.orders.available <= 0:
            return
        before, kind_before = self.stop, self.stop_kind
        if self._stop_held is not None and x > self._stop_held:
            held, self._stop_held = self._stop_held, None
            self._improve_stop(held, self._stop_held_kind, x)
        if not self.paused:
            condition = self._break_even_condition
            if condition is not None and x >= condition:
                self.break_even_due = True
            if self.break_even_due:
                self._improve_stop(self.break_even_x(), StopKind.BREAK_EVEN, x)
            ratchet = self.ratchet_x()
            if ratchet is not None:
                self._improve_stop(ratchet, StopKind.TRAILING_STOP, x)
            self._trail(x)
        if self.stop != before or self.stop_kind != kind_before:
            out.append(self._stop_moved(x, t_ns=t_ns))

    def _trail(self, x: Decimal) -> None:
        if self.plan.trailing is None:
            return
        if self.peak is None:
            if not self._trailing_activates(x):
                return
            self._raise_peak(x)
        elif x > self.peak:
            self._raise_peak(x)
        trailing = self.trailing_x()
        if trailing is not None:
            self._improve_stop(trailing, StopKind.TRAILING_STOP, x)

    def _raise_peak(self, x: Decimal) -> None:
        self.peak = x
        self._peak_above = nextafter(self._x_double, inf) if self._x_is_short else self._x_double

    def _trailing_activates(self, x: Decimal) -> bool:
        trailing = self.plan.trailing
        assert trailing is not None
        if trailing.activate == "in_profit":
            return x > self.x0
        if trailing.activate == "at_r":
            return x >= self._activation_x()
        assert trailing.value is not None
        return sum(rung.taken for rung in self.rungs) >= trailing.value

    def _activation_x(self) -> Decimal:
        assert self.plan.trailing is not None
        assert self.plan.trailing.value is not None
        return add(self.x0, multiply(self.plan.trailing.value, self.r))

    def _improve_stop(self, candidate: Decimal, kind: StopKind, x: Decimal) -> None:
        """Moves the stop to a better place that the price is strictly beyond; else leaves it."""
        if self.stop < candidate < x:
            self._move_stop(candidate, kind)

    def _move_stop(self, x: Decimal, kind: StopKind) -> None:
        if x < self.stop:
            raise InvariantError(f"{self.symbol} {self.side}: a stop would have been loosened")
        self._put_stop(x, kind)

    def _put_stop(self, x: Decimal, kind: StopKind) -> None:
        self.stop, self.stop_kind = x, kind
        self._stop_double = float(x)

    def _stop_moved(self, x: Decimal, *, t_ns: int) -> StopMoved:
        return StopMoved(
            t_ns=t_ns,
            tick=self.tick,
            symbol=self.symbol,
            side=self.side,
            epoch=self.epoch,
            kind=self.stop_kind,
            stop=self.price(self.stop),
            price=self.price(x),
        )

    # The clock, candles, the position ---------------------------------------------------------

    def on_time(self, now_ns: int, out: list[Decision]) -> None:
        """Fires the time stop when it is due, and whatever an order was waiting for."""
        due = self.time_stop_ns
        if due is not None and now_ns >= due and not self.orders.exiting:
            self.close_all(Reason.TIME_STOP, t_ns=due, out=out)
        self.orders.on_time(now_ns, tick=self.tick, stop=self.price(self.stop), out=out)

    def on_outcome(
        self, event: Event, *, order_id: str, filled: Decimal, t_ns: int, out: list[Decision]
    ) -> None:
        """Takes news of one of this epoch's orders; see `Orders.on_outcome`."""
        self.orders.on_outcome(
            event,
            order_id=order_id,
            filled=filled,
            price=self.price(self.x if self.x is not None else self.x0),
            stop=self.price(self.stop),
            t_ns=t_ns,
            tick=self.tick,
            out=out,
        )

    def still_open(self, *, t_ns: int, out: list[Decision]) -> None:
        """The exchange was asked and shows the position open."""
        self.orders.on_still_open(
            price=self.price(self.x if self.x is not None else self.x0),
            stop=self.price(self.stop),
            t_ns=t_ns,
            tick=self.tick,
            out=out,
        )

    def due_ns(self) -> int | None:
        """The next instant at which `on_time` has something to do; None without one."""
        times = [] if self.orders.exiting else [self.time_stop_ns]
        known = [time for time in (*times, self.orders.due_ns) if time is not None]
        return min(known, default=None)

    def on_candle(
        self, *, atr: Decimal | None, close: Decimal, t_ns: int, out: list[Decision]
    ) -> None:
        """Takes a closed candle's ATR: trailing uses it from here on; the first one makes the levels.

        Args:
            atr: the ATR over closed candles, or None while there is none.
            close: the candle's close.
            t_ns: when the closing was noticed.
            out: where decisions go.
        """
        self.atr = atr
        if atr is None:
            return
        if self.level_atr is None:
            self.level_atr = atr
            self.high_volatility = levels.is_high_volatility(self.plan, atr=atr, price=self.entry)
            if self.plan.needs_atr:
                self._recompute(t_ns=t_ns, out=out)
        elif not self.high_volatility:
            self.high_volatility = levels.is_high_volatility(self.plan, atr=atr, price=close)
            if self.high_volatility and not self._shrunk:
                self._shrunk = True
                self._recompute_rungs(t_ns=t_ns, out=out)
        elif levels.has_calmed_down(self.plan, atr=atr, price=close):
            self.high_volatility = False

    def on_added(self, *, entry: Decimal, t_ns: int, out: list[Decision]) -> None:
        """The position grew, or its average entry moved: levels start from the new entry."""
        self.entry = entry
        self.orders.entry = entry
        self.x0 = self._axis.x(entry)
        if self.atr is not None:
            self.level_atr = self.atr
        self._recompute(t_ns=t_ns, out=out)
        if self.plan.harvest is not None:
            self.harvests_taken = self._harvest_steps_behind()
            self._harvest_due = self._harvest_x(self.harvests_taken + 1)
        self._set_guards()
        if self.stop_kind is StopKind.BREAK_EVEN and self.stop < self.x0:
            self.stop_kind = StopKind.STOP_LOSS
            out.append(self._stop_moved(self.x0 if self.x is None else self.x, t_ns=t_ns))

    def on_risk(self, *, liquidation_price: Decimal | None, margin: Decimal | None) -> None:
        """Takes what the exchange says of liquidation price and margin (of the whole position)."""
        self._liquidation_price = liquidation_price
        if margin is not None and margin > 0 and self.orders.quantity > 0:
            self._margin_per_unit = divide(margin, self.orders.quantity)
        self._set_guards()

    def on_cost(self, paid: Decimal) -> None:
        """Counts commission and funding paid in this epoch, in quote units: `offset = "costs"`."""
        self.paid = add(self.paid, paid)
        self._paid_per_unit = divide(self.paid, self.orders.initial_quantity)
        self._calm = False

    def close_all(self, reason: Reason, *, t_ns: int, out: list[Decision]) -> None:
        """Closes everything that is open, pursued until flat."""
        self.orders.want_full(
            reason,
            price=self.price(self.x if self.x is not None else self.x0),
            stop=self.price(self.stop),
            t_ns=t_ns,
            tick=self.tick,
            out=out,
        )

    def pause(self, *, paused: bool) -> None:
        """Stops or resumes rungs, harvests and trailing moves; stops and guards stay on."""
        self.paused = paused
        self._calm = False

    def set_stop(self, price: Decimal, *, t_ns: int, out: list[Decision]) -> None:
        """An operator's stop: the one thing that may loosen. The caller has checked the price."""
        self._put_stop(floor_to(self._axis.x(price), self.filters.tick), StopKind.MANUAL)
        self._stop_held = None
        self._through = 0
        out.append(self._stop_moved(self.x0 if self.x is None else self.x, t_ns=t_ns))

    # Levels -----------------------------------------------------------------------------------

    def _stop_distance(self) -> Decimal:
        return levels.stop_distance(
            self.plan,
            side=self.side,
            entry=self.entry,
            atr=self.level_atr,
            high_volatility=self.high_volatility,
        )

    def _rung_x(self, rung: Rung) -> Decimal | None:
        target = self.plan.targets[rung.number]
        distance = levels.target_distance(target, entry=self.entry, atr=self.level_atr, r=self.r)
        if distance is None:
            return None
        if self._shrunk:
            assert self.plan.high_volatility is not None
            distance = multiply(distance, self.plan.high_volatility.target_scale)
        return ceil_to(add(self.x0, distance), self.filters.tick)

    def _sort_rungs(self) -> None:
        """Taken ones as they were taken, then the nearest; one that waits for an ATR is the farthest."""
        self.rungs.sort(
            key=lambda rung: (
                not rung.taken,
                rung.x is None and not rung.taken,
                ZERO if rung.taken or rung.x is None else rung.x,
            )
        )

    def _condition_x(self) -> Decimal | None:
        distance = levels.break_even_condition(self.plan, entry=self.entry, r=self.r)
        return None if distance is None else add(self.x0, distance)

    def _harvest_x(self, step: int) -> Decimal | None:
        harvest = self.plan.harvest
        if harvest is None:
            return None
        return add(self.x0, multiply(multiply(Decimal(step), harvest.trigger_pct), self.entry))

    def _harvest_steps_behind(self) -> int:
        """How many harvest steps the current price has behind it, from the present entry."""
        assert self.plan.harvest is not None
        if self.x is None or self.x <= self.x0:
            return 0
        step = multiply(self.plan.harvest.trigger_pct, self.entry)
        return int(divide(subtract(self.x, self.x0), step).to_integral_value("ROUND_FLOOR"))

    def _recompute(self, *, t_ns: int, out: list[Decision]) -> None:
        """Makes the levels anew from entry and ATR, loosening nothing and closing nothing."""
        self.r = self._stop_distance()
        self.orders.risk(self.r)
        self._break_even_condition = self._condition_x()
        candidate = floor_to(subtract(self.x0, self.r), self.filters.tick)
        if candidate > self.stop:
            if self.x is None or candidate < self.x:
                self._move_stop(candidate, StopKind.STOP_LOSS)
                out.append(self._stop_moved(self.x0 if self.x is None else self.x, t_ns=t_ns))
            elif self._stop_held is None or candidate > self._stop_held:
                self._stop_held, self._stop_held_kind = candidate, StopKind.STOP_LOSS
                out.append(self._held("stop", candidate, t_ns=t_ns))
        self._recompute_rungs(t_ns=t_ns, out=out)

    def _recompute_rungs(self, *, t_ns: int, out: list[Decision]) -> None:
        for rung in self.rungs:
            if rung.taken:
                continue
            rung.held = None
            wanted = self._rung_x(rung)
            if wanted is not None and self.x is not None and wanted <= self.x:
                # At or through the price it would fire on the next tick without the price moving.
                if wanted != rung.x:
                    rung.held = wanted
                    out.append(self._held("target", wanted, t_ns=t_ns))
            else:
                rung.x = wanted
        self._sort_rungs()

    def _held(self, what: str, x: Decimal, *, t_ns: int) -> HeldBack:
        return HeldBack(
            t_ns=t_ns,
            tick=self.tick,
            symbol=self.symbol,
            side=self.side,
            epoch=self.epoch,
            what="stop" if what == "stop" else "target",
            level=self.price(x),
            price=None if self.x is None else self.price(self.x),
        )

    def _set_guards(self) -> None:
        guards = self.plan.guards
        if guards is None:
            return
        self._guard_liquidation = self._guard_loss = None
        liquidation = self._liquidation_price
        if (
            guards.liquidation_buffer_pct is not None
            and liquidation is not None
            and liquidation > 0
        ):
            x = self._axis.x(liquidation)
            if x < self.x0:
                self._guard_liquidation = add(
                    x, multiply(guards.liquidation_buffer_pct, self.entry)
                )
        if guards.max_loss_margin_pct is not None and self._margin_per_unit is not None:
            loss = multiply(guards.max_loss_margin_pct, self._margin_per_unit)
            self._guard_loss = subtract(self.x0, loss)

    def _exit(
        self,
        quantity: Decimal,
        reasons: tuple[Reason, ...],
        *,
        level: Decimal,
        t_ns: int,
        out: list[Decision],
    ) -> None:
        assert self.x is not None
        self.orders.want_partial(
            quantity,
            reasons,
            level=level,
            price=self.price(self.x),
            stop=self.price(self.stop),
            t_ns=t_ns,
            tick=self.tick,
            out=out,
        )


def _just_above(level: Decimal) -> float:
    """The lowest double that a price strictly above the level can have.

    A price of up to 15 digits is told by its double, so where the level is such a price too, its own
    double still means "not above". Otherwise the level's double itself has to be looked at.
    """
    double = float(level)
    return nextafter(double, inf) if from_float(double) == level else double
