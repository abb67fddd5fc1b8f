"""The engine: ticks and events in, decisions out.

    tick ─▶ quiet? ──yes──▶ ()                      two comparisons, nothing allocated
              │ no
              ▼
           counts? (duplicate, late, suspect) ─▶ candles ─▶ machines ─▶ decisions ─▶ armed again

Ticks are calls, one method a source; everything else is an event. All answer with decisions, which are
values: sending, journaling and showing them is no business of the engine. It never reads a clock: every
call brings its receive time, and `due_ns` says when `on_time` has something to do.

Machines live exactly as long as their epoch. A position that closes takes its machine, its peak, its
taken rungs and its exiting state with it; the next position of the same symbol and side starts fresh.
"""

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal

from reactor.core.candles import Candle, CandleSeries
from reactor.core.decisions import Alarm, Decision, Reason, Side
from reactor.core.events import OnAdopt, PositionReport
from reactor.core.exact import text
from reactor.core.gap import Gaps, Span, Window
from reactor.core.ladder import Filters
from reactor.core.lifecycle import Event
from reactor.core.machine import Machine
from reactor.core.market import (
    Awaited,
    Market,
    Quote,
    Source,
)
from reactor.core.markets import Markets, PlanFor
from reactor.core.orders import Fills, OrderIds, Orders, plain_order_id
from reactor.core.plan import Plan
from reactor.core.policy import Choice, ExternalPolicy
from reactor.core.sizing import NO_INPUTS, Inputs, position_inputs
from reactor.core.steering import NO_POLICY, Steering
from reactor.core.steering_decisions import doubted_policy, policy_decisions, regime_decision
from reactor.core.ticks import NEVER_NS, TickPath

NO_FILTERS = Filters()


class Engine(TickPath):
    """Guards positions: feeds ticks to their machines and keeps their epochs.

    Attributes:
        positions: the machines of the open epochs by (symbol, side).
        steering_due_ns: when the exit policy next has something to say; far away where nothing is expected.
        facts: what was told of symbols that ladder rules may ask for; whoever feeds the engine fills it.
        ignored: positions that adoption left alone: until they are flat, nothing opens an epoch for them.
        is_time_held: while it is, no timer fires. What an earlier process left may be over by now: a time stop
            or a retry of its epochs must not close a position that somebody opened since.
    """

    __slots__ = (
        "_epochs",
        "_fills",
        "_filters_for",
        "_gaps",
        "_inputs_for",
        "_on_adopt",
        "_order_ids",
        "_plan_for",
        "_steering",
        "facts",
        "ignored",
        "is_time_held",
        "positions",
        "steering_due_ns",
    )

    def __init__(
        self,
        *,
        plan_for: PlanFor,
        filters_for: Callable[[str], Filters] | None = None,
        fixed_atr: dict[str, Decimal] | None = None,
        fills: Fills = Fills.REPORTED,
        order_ids: OrderIds = plain_order_id,
        on_adopt: OnAdopt | None = None,
        steering: Steering | None = None,
        inputs_for: Callable[[str, Side], Inputs] | None = None,
    ) -> None:
        """Builds an engine that guards nothing yet.

        Args:
            plan_for: the plan of a symbol and side; asked when an epoch opens, and once per symbol to
                learn which price source and candles it will need.
            filters_for: tick size and lot step of a symbol; nothing is rounded without it.
            fixed_atr: ATRs (price units) to use instead of the candle-built ones, by symbol.
            fills: reported by the exchange (live), or simulated.
            order_ids: the pure function that names orders.
            on_adopt: how positions are adopted that a snapshot shows first; None opens them like any other.
            steering: regimes, and the policy that chooses plans by them; without it plans are what
                `plan_for` says.
            inputs_for: what is known of a symbol and side for ladder sizing, asked when an epoch opens;
                it overrules `facts`, and they overrule what a position itself tells.
        """
        self._plan_for = plan_for
        self._steering = steering
        self.steering_due_ns = NEVER_NS
        self._inputs_for = inputs_for or (lambda _symbol, _side: NO_INPUTS)
        self._filters_for = filters_for or (lambda _: NO_FILTERS)
        self._fills = fills
        self._order_ids = order_ids
        self._on_adopt = on_adopt
        self._epochs = 0
        self._gaps = Gaps()
        super().__init__(Markets(self._standing_plan, fixed_atr or {}, steering))
        self.positions: dict[tuple[str, Side], Machine] = {}
        self.facts: dict[str, dict[str, Decimal | str]] = {}
        self.ignored: set[tuple[str, Side]] = set()
        self.is_time_held = False

    # The exit policy --------------------------------------------------------------------------

    def _candle_closed(
        self,
        market: Market,
        series: CandleSeries,
        t_ns: int,
        out: list[Decision],
        *,
        tick_follows: bool,
        rolled: bool = True,
    ) -> None:
        super()._candle_closed(market, series, t_ns, out, tick_follows=tick_follows)
        if self._steering is not None and series is market.regime_series:
            how = self._steering.on_candle if rolled else self._steering.on_history
            verdict = how(market.symbol, series)
            if verdict is not None:
                timeframe = self._steering.config.timeframe
                out.append(regime_decision(market, verdict, timeframe=timeframe, t_ns=t_ns))
                self._steer(market.symbol, t_ns, out, tick_follows=tick_follows)

    def on_policy(self, external: ExternalPolicy, *, t_ns: int) -> Sequence[Decision]:
        """Takes an exit policy from outside; it overrules the regime until it expires."""
        out = self._due(t_ns)
        before = len(out)
        if self._steering is not None:
            self._steering.say(external, now_ns=t_ns)
            self._steer(None, t_ns, out)
            self._wait_for_expiry(t_ns)
        doubt = self.policy_doubt(external)
        alarms = [one.what for one in out[before:] if isinstance(one, Alarm)]
        if doubt and doubt not in alarms:
            out.append(doubted_policy(external, doubt, t_ns=t_ns))
        return out

    def policy_doubt(self, external: ExternalPolicy) -> str:
        """Why a policy from outside will not do what it says; empty where nothing speaks against it."""
        return NO_POLICY if self._steering is None else self._steering.doubt(external)

    def _standing_plan(self, symbol: str, side: Side) -> Plan:
        """The plan that shows which market a position of this symbol and side will be driven by."""
        plan = None if self._steering is None else self._steering.standing_plan(symbol, side)
        return plan or self._plan_for(symbol, side)

    def _choose(self, symbol: str, side: Side, *, t_ns: int) -> Choice | None:
        return None if self._steering is None else self._steering.choose(symbol, side, now_ns=t_ns)

    def _wait_for_expiry(self, t_ns: int) -> None:
        due_ns = None if self._steering is None else self._steering.due_ns(t_ns)
        self.steering_due_ns = NEVER_NS if due_ns is None else min(due_ns, NEVER_NS)
        self.due_ns = min(self.due_ns, self.steering_due_ns)

    def _steer(
        self, symbol: str | None, t_ns: int, out: list[Decision], *, tick_follows: bool = False
    ) -> None:
        """Applies what the policy wants now to the open positions of a symbol, or of all."""
        for (name, side), machine in tuple(self.positions.items()):
            choice = self._choose(name, side, t_ns=t_ns) if symbol in {None, name} else None
            if choice is None or choice.plan.name == machine.policy_plan:
                continue
            if choice.source == "unknown":
                # No opinion is no reason to touch what is open.
                continue
            assert self._steering is not None
            assert self._steering.policy is not None
            market = self._markets.of_machine(machine)
            before, machine.policy_plan = machine.policy_plan, choice.plan.name
            action = self._steering.policy.on_change
            changes: list[Decision] = []
            if action == "tighten":
                machine.tighten(choice.plan, t_ns=t_ns, out=changes, tick_follows=tick_follows)
            out += policy_decisions(machine, choice, action, before=before, t_ns=t_ns)
            out += changes
            if not tick_follows:
                self._settle(market)

    # Positions --------------------------------------------------------------------------------

    def expect(
        self,
        symbol: str,
        side: Side,
        quantity: Decimal,
        entry: Decimal,
        *,
        margin: Decimal | None = None,
        liquidation_price: Decimal | None = None,
    ) -> None:
        """Opens a position at the symbol's first trigger-price tick, before that tick is evaluated.

        Args:
            symbol: as Binance writes it.
            side: LONG or SHORT.
            quantity: in base units, positive.
            entry: average entry price, positive.
            margin: the position's margin in quote units, for the loss guard.
            liquidation_price: for the liquidation guard.
        """
        market = self._markets.of(self._standing_plan(symbol, side), symbol)
        market.awaited.append(Awaited(side, quantity, entry, margin, liquidation_price))
        market.arm()

    def on_position(self, report: PositionReport) -> Sequence[Decision]:
        """Takes what the exchange says of one position: opened, grown, reduced, closed."""
        out = self._due(report.t_ns)
        machine = self.positions.get((report.symbol, report.side))
        if machine is None:
            if not report.quantity:
                self.unexpect(report.symbol, report.side)
            elif (report.symbol, report.side) not in self.ignored:
                self._open_reported(report, out)
            return out
        market = self._markets.of_machine(machine)
        if not report.quantity:
            machine.orders.end(report.cause, t_ns=report.t_ns, tick=market.ticks, out=out)
        else:
            grown = report.quantity > machine.orders.quantity
            machine.orders.on_quantity(report.quantity)
            if grown or report.entry != machine.entry:
                machine.on_added(entry=report.entry, t_ns=report.t_ns, out=out)
            self._take_risk(machine, report)
            if report.snapshot:
                machine.still_open(t_ns=report.t_ns, out=out)
        self._settle(market)
        return out

    def release(
        self, symbol: str, side: Side, *, t_ns: int
    ) -> tuple[Machine | None, list[Decision]]:
        """Ends an epoch whose name for the end is not known yet (its trade has not been reported).

        Returns:
            The machine, so that its `orders.closed(reason)` can follow, and the decisions so far.
        """
        out = self._due(t_ns)
        machine = self.positions.get((symbol, side))
        if machine is not None:
            market = self._markets.of_machine(machine)
            machine.orders.release(t_ns=t_ns, tick=market.ticks, out=out)
            self._settle(market)
        return machine, out

    def _open_reported(self, report: PositionReport, out: list[Decision]) -> None:
        plan = self._standing_plan(report.symbol, report.side)
        market = self._markets.of(plan, report.symbol)
        quote = market.quote()
        price = None if quote is None else quote.long if report.side == "LONG" else quote.short
        waits = self._stop_awaiting(market, report.side)
        adopts = self._on_adopt if report.snapshot or report.adopted or waits else None
        position = Awaited(
            report.side,
            report.quantity,
            report.entry,
            report.margin,
            report.liquidation_price,
            adopts,
        )
        if adopts is not None and price is None:
            # What adoption does depends on the price.
            market.awaited.append(position)
        else:
            self._open(market, position, t_ns=report.t_ns, tick=market.ticks, price=price, out=out)
        self._settle(market)

    def unexpect(self, symbol: str, side: Side) -> None:
        """Forgets a position that waits for its market's first price, or is ignored: it is flat by now."""
        self.ignored.discard((symbol, side))
        for market in self._markets:
            if market.symbol == symbol and self._stop_awaiting(market, side):
                self._settle(market)

    def awaited(self) -> set[str]:
        """The symbols of positions that wait for their market's first price."""
        return {market.symbol for market in self._markets if market.awaited}

    def awaited_quantity(self, symbol: str, side: Side) -> Decimal | None:
        """The size of a position that waits for its market's first price; None where none does."""
        for market in self._markets:
            for position in market.awaited:
                if market.symbol == symbol and position.side == side:
                    return position.quantity
        return None

    def _stop_awaiting(self, market: Market, side: Side) -> bool:
        waiting = [position for position in market.awaited if position.side == side]
        for position in waiting:
            market.awaited.remove(position)
        return bool(waiting)

    def _open(
        self,
        market: Market,
        position: Awaited,
        *,
        t_ns: int,
        tick: int,
        price: Decimal | None,
        out: list[Decision],
        seen: Quote | None = None,
    ) -> None:
        choice = self._choose(market.symbol, position.side, t_ns=t_ns)
        plan = self._plan_for(market.symbol, position.side) if choice is None else choice.plan
        self._epochs += 1
        orders = Orders(
            symbol=market.symbol,
            side=position.side,
            epoch=self._epochs,
            opened_ns=t_ns,
            quantity=position.quantity,
            entry=position.entry,
            fills=self._fills,
            order_ids=self._order_ids,
        )
        machine = Machine(
            symbol=market.symbol,
            side=position.side,
            epoch=self._epochs,
            opened_ns=t_ns,
            plan=plan,
            filters=self._filters_for(market.symbol),
            entry=position.entry,
            atr=self._markets.atr(market, plan),
            orders=orders,
            inputs=self._inputs(market, plan, position, seen or market.quote(), choice),
        )
        if price is not None:
            machine.see(price, tick=tick)
        machine.on_risk(liquidation_price=position.liquidation_price, margin=position.margin)
        held: list[Decision] = []
        if position.adopts is not None:
            if position.adopts == "ignore" and machine.is_under_water:
                self.ignored.add((machine.symbol, machine.side))
                out.append(_ignored(machine, t_ns=t_ns))
                return
            machine.adopt(position.adopts, t_ns=t_ns, out=held)
        self._put(market, machine)
        out.append(machine.opened(t_ns=t_ns))
        if choice is not None:
            out += policy_decisions(machine, choice, "chosen", before=plan.name, t_ns=t_ns)
        out += held

    def _put(self, market: Market, machine: Machine) -> None:
        self.positions[machine.symbol, machine.side] = machine
        market.machines.append(machine)
        market.machines.sort(key=lambda machine: machine.side)
        self._gaps.opened(market, machine)

    def restore(self, machine: Machine) -> None:
        """Takes up the machine of an epoch that was open when the process ended."""
        market = self._markets.of(machine.plan, machine.symbol)
        self._epochs = max(self._epochs, machine.epoch)
        self._put(market, machine)
        self._settle(market)

    @property
    def epochs(self) -> int:
        """How many epochs were opened: the number of the last one."""
        return self._epochs

    def start_epochs_after(self, number: int) -> None:
        """Numbers epochs from here on, so that no two of one account share an order id."""
        self._epochs = max(self._epochs, number)

    def _inputs(
        self,
        market: Market,
        plan: Plan,
        position: Awaited,
        quote: Quote | None,
        choice: Choice | None,
    ) -> Inputs:
        """What the plan's ladder rules may ask for; nothing is looked up where it has none."""
        if plan.ladder is None:
            return NO_INPUTS
        price = None
        if quote is not None:
            price = quote.long if position.side == "LONG" else quote.short
        found = position_inputs(
            side=position.side,
            quantity=position.quantity,
            entry=position.entry,
            margin=position.margin,
            price=price,
            atr_15m=self._markets.atr_15m(market, plan),
        )
        if self._steering is not None:
            regime = self._steering.regime_input(market.symbol, choice)
            if regime is not None:
                found["regime"] = regime
        found.update(self.facts.get(market.symbol, {}))
        found.update(self._inputs_for(market.symbol, position.side))
        # In the order in which a journal keeps them.
        return dict(sorted(found.items()))

    def _take_risk(self, machine: Machine, report: PositionReport) -> None:
        if report.liquidation_price is not None or report.margin is not None:
            machine.on_risk(liquidation_price=report.liquidation_price, margin=report.margin)

    # Orders, clock, history, operators --------------------------------------------------------

    def on_outcome(
        self,
        symbol: str,
        side: Side,
        order_id: str,
        event: Event,
        *,
        filled: Decimal,
        t_ns: int,
    ) -> Sequence[Decision]:
        """Takes news of an exit order: accepted, filled, lapsed, rejected, unknown, found, absent.

        Args:
            symbol: the position's symbol.
            side: the position's side.
            order_id: the id that the exit decision carried.
            event: what became of it.
            filled: how much of it is filled in all, as far as known.
            t_ns: receive time.
        """
        return self._tell(
            symbol,
            side,
            t_ns,
            lambda machine, out: machine.on_outcome(
                event, order_id=order_id, filled=filled, t_ns=t_ns, out=out
            ),
        )

    def on_time(self, now_ns: int) -> Sequence[Decision]:
        """Fires everything that is due at or before `now_ns`, in the order of the due times."""
        return self._due(now_ns) if now_ns >= self.due_ns else ()

    def on_history(
        self, symbol: str, source: Source, interval_ms: int, rows: Iterable[Candle], *, t_ns: int
    ) -> Sequence[Decision]:
        """Takes candles read from the exchange: warm-up, or what a hole left out.

        Args:
            symbol: as Binance writes it.
            source: whose candles these are (`mark` from markPriceKlines, else klines).
            interval_ms: their interval.
            rows: the candles; the newest may still be forming.
            t_ns: receive time.
        """
        out = self._due(t_ns)
        market = self.market(source, symbol)
        series = None if market is None else market.series.get(interval_ms)
        if market is not None and series is not None:
            market.settle_candle(series)
            if series.load(rows):
                self._candle_closed(market, series, t_ns, out, tick_follows=False, rolled=False)
            self._settle(market)
        return out

    def on_interruption(self) -> None:
        """Ticks were missed (a socket was down): forming candles are not wholly seen any more."""
        for market in self._markets:
            for series in market.series.values():
                series.interrupt()

    def on_blind(self, symbol: str, source: Source) -> None:
        """A symbol's prices stopped coming: how its positions stand now is what `on_gap` begins with."""
        market = self._markets.get(source, symbol)
        if market is not None:
            self._gaps.begin(market)

    def on_gap(
        self, symbol: str, source: Source, spans: Sequence[Span], window: Window, *, t_ns: int
    ) -> Sequence[Decision]:
        """Takes the prices of a gap, in order: what a position may still make of them (`core.gap`)."""
        out = self._due(t_ns)
        market = self._markets.get(source, symbol)
        if market is not None:
            self._gaps.audit(market, spans, window, t_ns=t_ns, out=out)
            self._settle(market)
        return out

    def on_cost(self, symbol: str, side: Side, paid: Decimal) -> None:
        """Counts commission or funding paid for a position (negative when received), in quote units."""
        machine = self.positions.get((symbol, side))
        if machine is not None:
            machine.on_cost(paid)
            self._settle(self._markets.of_machine(machine))

    def close(
        self, symbol: str, side: Side, *, t_ns: int, by_stop: bool = False
    ) -> Sequence[Decision]:
        """Closes a position by hand, pursued until flat.

        Args:
            symbol: as Binance writes it.
            side: LONG or SHORT.
            t_ns: when it was asked for.
            by_stop: whether the position's own stop is the reason, because the exchange's copy of it was
                reached and did not do its work.
        """

        def close(machine: Machine, out: list[Decision]) -> None:
            reason = Reason(machine.stop.kind.value) if by_stop else Reason.MANUAL
            machine.close_all(reason, t_ns=t_ns, out=out)

        return self._tell(symbol, side, t_ns, close)

    def set_stop(self, symbol: str, side: Side, price: Decimal, *, t_ns: int) -> Sequence[Decision]:
        """Sets a position's stop by hand: the one command that may loosen it."""
        return self._tell(
            symbol, side, t_ns, lambda machine, out: machine.set_stop(price, t_ns=t_ns, out=out)
        )

    def pause(self, symbol: str, side: Side, *, paused: bool) -> None:
        """Stops or resumes rungs, harvests and trailing moves; stops and guards stay on."""
        machine = self.positions.get((symbol, side))
        if machine is not None:
            machine.pause(paused=paused)
            self._settle(self._markets.of_machine(machine))

    def _tell(
        self,
        symbol: str,
        side: Side,
        t_ns: int,
        what: Callable[[Machine, list[Decision]], None],
    ) -> Sequence[Decision]:
        """Tells a position's machine something that is no tick; nothing where there is no position."""
        out = self._due(t_ns)
        machine = self.positions.get((symbol, side))
        if machine is not None:
            market = self._markets.of_machine(machine)
            what(machine, out)
            self._settle(market)
        return out

    # What a reader asks -----------------------------------------------------------------------

    def markets(self) -> Iterable[Market]:
        """Every market that ticks or is waited for."""
        return self._markets

    def take_market(self, market: Market) -> None:
        """Goes on with a market as another engine has seen it; a twin, where that engine goes on too."""
        self._markets.put(market)

    def market(self, source: Source, symbol: str) -> Market | None:
        """The market of a symbol on a source; None where no plan looks at that source."""
        return self._markets.get(source, symbol)

    # ------------------------------------------------------------------------------------------

    def _due(self, now_ns: int) -> list[Decision]:
        out: list[Decision] = []
        while now_ns >= self.due_ns and not self.is_time_held:
            dues = [market.due_ns for market in self._markets if market.due_ns is not None]
            due = min(dues, default=NEVER_NS)
            if self.steering_due_ns <= min(due, now_ns):
                # What was said from outside counts no more.
                due = self.steering_due_ns
                self._steer(None, due, out)
                self._wait_for_expiry(due)
                continue
            self.due_ns = min(due, self.steering_due_ns)
            if due > now_ns:
                break
            for market in self._markets:
                if market.due_ns is not None and market.due_ns <= due:
                    for machine in market.machines:
                        market.show(machine)
                        machine.on_time(due, out)
                    self._settle(market)
        return out

    def _settle(self, market: Market) -> None:
        """Forgets ended epochs, arms the market again, and keeps the next due time."""
        due_ns: int | None = None
        for machine in tuple(market.machines):
            if machine.orders.ended:
                market.machines.remove(machine)
                if self.positions.get((machine.symbol, machine.side)) is machine:
                    del self.positions[machine.symbol, machine.side]
                continue
            due = machine.due_ns()
            if due is not None and (due_ns is None or due < due_ns):
                due_ns = due
        market.arm()
        market.due_ns = due_ns
        # Never later than the next due time; that it may be earlier costs one look when it comes, and
        # asking every market here would cost each stop that fires.
        if due_ns is not None and due_ns < self.due_ns:
            self.due_ns = due_ns


def _ignored(machine: Machine, *, t_ns: int) -> Alarm:
    price, stop = text(machine.current_price), text(machine.stop_price)
    return Alarm(
        t_ns=t_ns,
        tick=machine.tick,
        symbol=machine.symbol,
        side=machine.side,
        epoch=None,
        what=f"not guarded: its price {price} is at or through its stop {stop}, and on_adopt is ignore",
    )
