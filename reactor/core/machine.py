"""The exit machine: one position, one epoch, every rule of its plan.

Written along the gain axis (`levels.Axis`): x rises with profit on both sides, so the rules below read as
for a LONG and hold for a SHORT. `on_tick` applies them in the order of the specification: stop, guards,
ladder, harvest; then break-even, ratchet, trailing. Each computes from the plain numbers it names.

`arm` answers with the two prices between which no rule can act. The engine compares each tick with them
and comes here only with a tick outside; a naive machine that looks at every rule on every tick decides
the same, and a property test says so.

Three laws stand above the rules. The stop only improves within an epoch (`Stop.improve` sees to it; only
an operator's `set_stop` may loosen it). A recomputation never closes: a level that would land at or
through the price is held back until the price is beyond it. Only price and clock close.
"""

from collections.abc import Sequence
from decimal import Decimal
from math import inf, nextafter

from reactor.core import levels
from reactor.core.decisions import Decision, Reason, StopKind, StopMoved
from reactor.core.epoch import Epoch
from reactor.core.events import OnAdopt
from reactor.core.exact import divide, floor_to, multiply, subtract
from reactor.core.lifecycle import Event
from reactor.core.plan import Plan
from reactor.core.trailing import just_above

# Asked of the enumeration at every move, it would cost as much as a rule does.
TRAILING_STOP = StopKind.TRAILING_STOP


class Machine(Epoch):
    """The exit rules of one epoch."""

    __slots__ = ()

    def adopt(self, on_adopt: OnAdopt, *, t_ns: int, out: list[Decision]) -> None:
        """Starts from the current price with a position that was open before anybody watched it.

        Nothing that only adoption would set off closes it: a stop at or through the price starts at the same
        distance from the price (`from_price`), unless it was asked to stand (`from_entry`); rungs, harvest
        steps and guards that the price is at or through wait until it is beyond them.
        """
        assert self.x is not None
        if on_adopt == "from_price" and self.is_under_water:
            distance = self.r
            if self._axis.is_long and distance >= self.x:
                # So far down that the distance reaches below zero: the same share of the price.
                distance = multiply(self.x, divide(distance, self.entry))
            self.stop.start_at(floor_to(subtract(self.x, distance), self.filters.tick))
        held = self.ladder.hold(self.x)
        out += [self._held("target", level, t_ns=t_ns) for level in held]
        self.ladder.restart_harvests(x=self.x)
        self.guards.hold(self.x)
        self._calm = False

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
        low = max(self._calm_low, self.stop.double)
        high = min(self._calm_high, self.trailing.peak_above)
        return (low, high) if self._axis.is_long else (-high, -low)

    def arm_trail(self) -> tuple[float, float]:
        """The prices between which (both excluded) nothing but the peak, and the stop behind it, can move.

        To be asked after `arm`. What holds for its doubles holds for these.
        """
        if not self._calm or self._through or not self.orders.is_idle or self.paused:
            return inf, -inf
        low = max(self._calm_low, self.stop.double)
        return (low, self._calm_high) if self._axis.is_long else (-self._calm_high, -low)

    def _calm_bounds(self) -> tuple[float, float]:
        """The doubles on the gain axis between which only stop and peak matter.

        They hold until a rule other than trailing changes something; on most ticks that come here, a new
        best price moves the stop and nothing else.
        """
        low, high = self.guards.bound(), inf
        if self.paused:
            return low, inf if self.stop.held is None else just_above(self.stop.held)
        if self.orders.may_reduce:
            held, high = self.ladder.bounds()
            low = max(low, held)
        for level in self._stops_ahead():
            high = min(high, just_above(level))
        condition = self.break_even.bound()
        if condition is not None:
            high = min(high, condition)
        return low, min(high, self.trailing.activation_bound(x0=self.x0, r=self.r))

    def _stops_ahead(self) -> list[Decimal]:
        """Better stops that wait for the price to be strictly beyond them."""
        ahead = (
            self.stop.held,
            self.break_even.candidate(),
            *self.ratchet_xs(),
            self.trailing.candidate(self.atr),
        )
        return [level for level in ahead if level is not None and self.stop.would_improve(level)]

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
        x = self._see_tick(price, double, tick)
        self._x_is_short = is_short
        out: list[Decision] = []
        if self._only_trails():
            if self._trail(x):
                out.append(self._stop_moved(t_ns))
            return out
        self._calm = False
        if self.orders.fills_at_next_tick:
            self.orders.fill_in_flight(price, stop=self.stop_price, t_ns=t_ns, tick=tick, out=out)
        if self.orders.exiting:
            return out
        self._retry_rest(x, t_ns, out)
        if self._stop_or_guard(x, t_ns, out):
            return out
        if self.orders.may_reduce and not self.paused:
            self._take_profits(x, t_ns, out)
        self._move_stops(x, t_ns, out)
        if self._held_is_news and self.stop.held is not None:
            out.append(self._held("stop", self.stop.held, t_ns=t_ns))
        self._held_is_news = False
        return out

    def trail(self, price: Decimal, double: float, t_ns: int, tick: int) -> StopMoved | None:
        """Applies the trailing rule to a tick between the prices of `arm_trail`: no other rule can act there.

        Args:
            price: the trigger price, exact, with at most 15 digits.
            double: the same as a double.
            t_ns: receive time in nanoseconds since the Unix epoch.
            tick: the number of this tick among its symbol's accepted ones, from 1.

        Returns:
            The stop's move, if it moved: what `on_tick` would answer.
        """
        x = self._see_tick(price, double, tick)
        self._x_is_short = True
        trailing = self.trailing
        if trailing.peak is None:
            moved = self._trail(x)
        elif not trailing.raise_peak(x, nextafter(self._x_double, inf)):
            # Without a new peak there is no better stop: one that waits for its price bounds `arm_trail`.
            return None
        else:
            candidate = trailing.candidate(self.atr)
            moved = candidate is not None and self.stop.improve(candidate, TRAILING_STOP, x)
        return self._stop_moved(t_ns) if moved else None

    @property
    def stop_fires_at_once(self) -> bool:
        """Whether one tick through the stop is enough."""
        return self._confirm == 1

    def _only_trails(self) -> bool:
        """Whether this tick lies where nothing but the peak, and the stop behind it, can move."""
        return (
            self._calm
            and self._calm_low < self._x_double < self._calm_high
            and self._x_double > self.stop.double
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
        if x <= self.stop.x:
            self._through += 1
            if self._through >= self._confirm:
                reason = Reason(self.stop.kind.value)
        else:
            self._through = 0
        reason = reason or self.guards.reached(x)
        if reason is None:
            return False
        self.close_all(reason, t_ns=t_ns, out=out)
        return True

    def take_profits(self, x: Decimal, *, t_ns: int, out: list[Decision]) -> None:
        """Takes what fires at a price, and nothing else: an exit that was sent and never written down."""
        self.x = x
        self._take_profits(x, t_ns, out)

    def _take_profits(self, x: Decimal, t_ns: int, out: list[Decision]) -> None:
        """The ladder, then the harvest: everything that fires goes out as one order."""
        fired = self.ladder.fire(
            x, available=self.orders.available, initial=self.orders.initial_quantity
        )
        if fired.rungs or fired.steps:
            # For good: no time stop any more, and break-even where a rule wants it.
            self.time_stop_ns = None
            if fired.steps or self.plan.ratchets:
                self.break_even.due = True
        if fired.level is not None:
            reasons = tuple(dict.fromkeys(fired.reasons))
            self._exit(fired.quantity, reasons, level=fired.level, t_ns=t_ns, out=out)

    def _move_stops(self, x: Decimal, t_ns: int, out: list[Decision]) -> None:
        """Break-even, ratchet, trailing, and what was held back: at most one move, the final stop."""
        if self.orders.exiting or self.orders.available <= 0:
            return
        before = self.stop.x
        self.stop.release(x)
        if not self.paused:
            self.break_even.look(x)
            break_even = self.break_even.candidate()
            if break_even is not None:
                self.stop.improve(break_even, StopKind.BREAK_EVEN, x)
            for ratchet in self.ratchet_xs():
                self.stop.improve(ratchet, TRAILING_STOP, x)
            self._trail(x)
        if self.stop.x != before:
            out.append(self._stop_moved(t_ns))

    def _trail(self, x: Decimal) -> bool:
        """Lets the stop follow the best price; answers whether it moved."""
        self.trailing.follow(
            x,
            double=self._x_double,
            is_short=self._x_is_short,
            x0=self.x0,
            r=self.r,
            rungs_taken=len(self.ladder.taken),
        )
        candidate = self.trailing.candidate(self.atr)
        return candidate is not None and self.stop.improve(candidate, TRAILING_STOP, x)

    # The clock, candles, the position ---------------------------------------------------------

    def on_time(self, now_ns: int, out: list[Decision]) -> None:
        """Fires the time stop when it is due, and whatever an order was waiting for."""
        due = self.time_stop_ns
        if due is not None and now_ns >= due and not self.orders.exiting:
            self.close_all(Reason.TIME_STOP, t_ns=due, out=out)
        self.orders.on_time(now_ns, tick=self.tick, stop=self.stop_price, out=out)

    def on_outcome(
        self, event: Event, *, order_id: str, filled: Decimal, t_ns: int, out: list[Decision]
    ) -> None:
        """Takes news of one of this epoch's orders; see `Orders.on_outcome`."""
        self.orders.on_outcome(
            event,
            order_id=order_id,
            filled=filled,
            price=self.current_price,
            stop=self.stop_price,
            t_ns=t_ns,
            tick=self.tick,
            out=out,
        )

    def still_open(self, *, t_ns: int, out: list[Decision]) -> None:
        """The exchange was asked and shows the position open."""
        self.orders.on_still_open(
            price=self.current_price,
            stop=self.stop_price,
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
        self,
        *,
        atr: Decimal | None,
        close: Decimal,
        tick_follows: bool,
        t_ns: int,
        out: list[Decision],
    ) -> None:
        """Takes a closed candle's ATR: trailing uses it from here on; the first one makes the levels.

        Args:
            atr: the ATR over closed candles, or None while there is none.
            close: the candle's close.
            tick_follows: whether a tick closed the candle and is evaluated next. A stop that the ATR
                makes then moves among that tick's stop moves, so that it never closes on that tick.
            t_ns: when the closing was noticed.
            out: where decisions go.
        """
        self.atr = atr
        if atr is None:
            return
        if self.orders.exiting or self.orders.available <= 0:
            # Nothing remains for new levels, and R stays what was at risk.
            return
        if self.level_atr is None:
            self.level_atr = atr
            self.high_volatility = levels.is_high_volatility(self.plan, atr=atr, price=self.entry)
            if self.plan.needs_atr or any(plan.needs_atr for plan in self.tightened):
                self._recompute(tick_follows=tick_follows, t_ns=t_ns, out=out)
                self._tighten_targets(t_ns=t_ns, out=out)
        elif not self.high_volatility:
            self.high_volatility = levels.is_high_volatility(self.plan, atr=atr, price=close)
            if self.high_volatility and not self.ladder.is_shrunk:
                held = self.ladder.shrink(x=self.x)
                out += [self._held("target", level, t_ns=t_ns) for level in held]
        elif levels.has_calmed_down(self.plan, atr=atr, price=close):
            self.high_volatility = False

    def on_added(self, *, entry: Decimal, t_ns: int, out: list[Decision]) -> None:
        """The position grew, or its average entry moved: levels start from the new entry."""
        self.entry = entry
        self.orders.entry = entry
        self.x0 = self._axis.x(entry)
        if self.atr is not None:
            self.level_atr = self.atr
        self._recompute(tick_follows=False, t_ns=t_ns, out=out)
        self.ladder.restart_harvests(x=self.x)
        self.guards.set(entry=entry)
        if self.stop.kind is StopKind.BREAK_EVEN and self.stop.x < self.x0:
            self.stop.kind = StopKind.STOP_LOSS
            out.append(self._stop_moved(t_ns))

    def on_risk(self, *, liquidation_price: Decimal | None, margin: Decimal | None) -> None:
        """Takes what the exchange says of liquidation price and margin (of the whole position)."""
        self.guards.report(
            liquidation_price=liquidation_price, margin=margin, quantity=self.orders.quantity
        )
        self.guards.set(entry=self.entry)
        self._calm = False

    def on_cost(self, paid: Decimal) -> None:
        """Counts commission and funding paid in this epoch, in quote units: `offset = "costs"`."""
        self.break_even.pay(paid, quantity=self.orders.initial_quantity)
        self._calm = False

    def close_all(self, reason: Reason, *, t_ns: int, out: list[Decision]) -> None:
        """Closes everything that is open, pursued until flat."""
        self.orders.want_full(
            reason,
            price=self.current_price,
            stop=self.stop_price,
            t_ns=t_ns,
            tick=self.tick,
            out=out,
        )

    def recover(self, peak: Decimal, *, price: Decimal, t_ns: int, out: list[Decision]) -> None:
        """Takes a peak that was missed: the stop follows where the price is beyond it (`core.gap`)."""
        if not self.trailing.recover(peak) or self.orders.available <= 0:
            return
        self._calm = False
        candidate = self.trailing.candidate(self.atr)
        if candidate is None or not self.stop.would_improve(candidate):
            return
        if self.stop.improve(candidate, TRAILING_STOP, price):
            out.append(self._stop_moved(t_ns))
        else:
            out.append(self._held("stop", candidate, t_ns=t_ns))

    def pause(self, *, paused: bool) -> None:
        """Stops or resumes rungs, harvests and trailing moves; stops and guards stay on."""
        self.paused = paused
        self._calm = False

    def set_stop(self, price: Decimal, *, t_ns: int, out: list[Decision]) -> None:
        """An operator's stop: the one thing that may loosen. The caller has checked the price."""
        self.stop.set_by_hand(floor_to(self._axis.x(price), self.filters.tick))
        self._through = 0
        out.append(self._stop_moved(t_ns))

    # Levels -----------------------------------------------------------------------------------

    def tighten(
        self, plan: Plan, *, t_ns: int, out: list[Decision], tick_follows: bool = False
    ) -> None:
        """Takes what of another plan protects better; nothing of the epoch's own plan is loosened.

        Its stop where that is better and not at or through the price (else it is held back), its untaken
        targets where the nearest of them is nearer, and its trailing distance where that is smaller. R stays
        the epoch's, and so does everything else of the plan that the epoch opened with.

        Args:
            plan: the other plan.
            t_ns: when it was wanted.
            out: where decisions go.
            tick_follows: whether a tick that closed a candle brought it and is evaluated next: the stop then
                moves among that tick's stop moves, so that it never closes on that tick.
        """
        if self.orders.exiting:
            return
        if plan not in self.tightened:
            self.tightened.append(plan)
            self.trailing.tighten(plan)
        candidate = floor_to(subtract(self.x0, self._distance_of(plan)), self.filters.tick)
        if tick_follows:
            self._held_is_news = self.stop.hold(candidate) or self._held_is_news
        else:
            self._tighten_stop(candidate, t_ns=t_ns, out=out)
        self._tighten_targets(t_ns=t_ns, out=out, plans=(plan,))

    def _tighten_targets(
        self, *, t_ns: int, out: list[Decision], plans: Sequence[Plan] | None = None
    ) -> None:
        """Takes the nearer targets of other plans: of all that tightened where none are given.

        A plan whose targets waited for an ATR could not be compared when it was wanted.
        """
        for plan in self.tightened if plans is None else plans:
            held = self.ladder.tighten(plan, inputs=self.inputs, x=self.x)
            out += [self._held("target", level, t_ns=t_ns) for level in held]
        self._calm = False

    def _tighten_stop(self, candidate: Decimal, *, t_ns: int, out: list[Decision]) -> None:
        moved = self.stop.improve(candidate, StopKind.STOP_LOSS, self.x)
        if not moved and self.stop.hold(candidate):
            out.append(self._held("stop", candidate, t_ns=t_ns))
        trail = self.trailing.candidate(self.atr)
        if trail is not None and not self.paused:
            moved |= self.stop.improve(trail, TRAILING_STOP, self.x)
        if moved:
            out.append(self._stop_moved(t_ns))

    def _recompute(self, *, tick_follows: bool, t_ns: int, out: list[Decision]) -> None:
        """Makes the levels anew from entry and ATR, loosening nothing and closing nothing."""
        self.r = self._stop_distance()
        self.orders.risk(self.r)
        self.break_even.set(entry=self.entry, r=self.r)
        nearest = min([self.r, *map(self._distance_of, self.tightened)])
        candidate = floor_to(subtract(self.x0, nearest), self.filters.tick)
        if tick_follows:
            self._held_is_news = self.stop.hold(candidate)
        elif self.stop.improve(candidate, StopKind.STOP_LOSS, self.x):
            out.append(self._stop_moved(t_ns))
        elif self.stop.hold(candidate):
            out.append(self._held("stop", candidate, t_ns=t_ns))
        held = self.ladder.recompute(entry=self.entry, atr=self.level_atr, r=self.r, x=self.x)
        out += [self._held("target", level, t_ns=t_ns) for level in held]

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
            price=self.current_price,
            stop=self.stop_price,
            t_ns=t_ns,
            tick=self.tick,
            out=out,
        )
