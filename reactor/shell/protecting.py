"""Keeps the exchange's stops in step with the engine's, and proves every five seconds that all are protected.

Stands between the guard and two parts that know nothing of each other: the executor of hard stops, which places
and replaces them, and the proof of protection, which only looks.
"""

import asyncio
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from reactor.audit import AlarmRaised, Audit, ProtectionChanged
from reactor.binance.decode import decode_user
from reactor.binance.filters import SymbolFilters
from reactor.binance.user_messages import AlgoUpdate, OrderTradeUpdate
from reactor.clock import Clock
from reactor.config import HardStopConfig
from reactor.core.decisions import Closed, Decision, Opened, OrdersCancelled, Side
from reactor.core.exact import add, multiply
from reactor.core.hard_stop_levels import trigger_price
from reactor.core.machine import Machine
from reactor.core.protection import (
    Evaluator,
    Guarded,
    ProofOfProtection,
    Protection,
    ProtectionState,
)
from reactor.shell.guard import Guard
from reactor.shell.hard_stop_answers import stop_rules
from reactor.shell.hard_stops import HardStopExecutor

LOOK_S: Final = 5.0
SOON_S: Final = 0.02
"""After a change of a hard stop or an epoch, so that what came together is looked at once."""

MARKS_S: Final = 1.0
STEPS_BEHIND: Final = Decimal(2)
"""How many of its own steps a hard stop may lag behind the engine's stop and still prove protection."""

SOUND: Final = frozenset({ProtectionState.PROTECTED, ProtectionState.WATCHED})

Key = tuple[str, Side]
_Told = tuple[int, Decimal, Decimal, bool]


class Protecting:
    """The hard stops and the proof of one account's protection.

    Attributes:
        proof: what was found at the last look.
    """

    def __init__(
        self,
        guard: Guard,
        *,
        stops: HardStopExecutor | None,
        config: HardStopConfig,
        audit: Audit,
        clock: Clock,
        contracts: Callable[[str], SymbolFilters | None],
        hedge: Callable[[], bool],
        blind_ms: int,
        sends: bool = True,
    ) -> None:
        """Begins to listen to the guard.

        Args:
            guard: whose positions are protected.
            stops: places hard stops; None where none are placed (dry run, or switched off).
            config: the default buffer and step.
            audit: told of every change.
            clock: ours.
            contracts: a symbol's rules.
            hedge: whether the account is in hedge mode.
            blind_ms: a mark price older than this is not fresh.
            sends: whether this run sends anything; in one that does not no hard stop is missed.
        """
        self._sends = sends
        self._guard = guard
        self._stops = stops
        self._config = config
        self._audit = audit
        self._clock = clock
        self._contracts = contracts
        self._hedge = hedge
        self._told: dict[Key, _Told] = {}
        self._waiting_ns: dict[str, int] = {}
        self._soon = asyncio.Event()
        self._missing = False
        self._alarmed: dict[str, AlarmRaised] = {}
        self.proof = ProofOfProtection(blind_ms=blind_ms)
        guard.after.append(self._after)
        guard.changed.append(self._changed)
        guard.on_private.append(self._private)
        if stops is not None:
            stops.changed.append(self._soon.set)

    async def run(self) -> None:
        """Passes mark prices on and looks at everybody, until cancelled.

        Everybody is looked at every five seconds, at every change of a hard stop or an epoch, and every second while
        anything is missing: so the seconds that are counted are those that it was missing.
        """
        loop = asyncio.get_running_loop()
        turn = 0
        marks_s = loop.time() + MARKS_S
        while True:
            try:
                async with asyncio.timeout_at(marks_s):
                    await self._soon.wait()
            except TimeoutError:
                marks_s = loop.time() + MARKS_S
                turn += 1
                self._pass_marks()
                if turn % round(LOOK_S / MARKS_S) == 0:
                    self.look()
                elif self._missing:
                    self._look_around(every=False)
                continue
            await asyncio.sleep(SOON_S)
            self._soon.clear()
            self._look_around(every=False)

    def look(self) -> None:
        """Looks at every guarded position now, and tells what is missing and what changed."""
        self._look_around(every=True)

    def _pass_marks(self) -> None:
        if self._stops is not None:
            for symbol, price in self._guard.mark_price.items():
                self._stops.on_mark(symbol, Decimal(price))

    def _look_around(self, *, every: bool) -> None:
        """Looks at everybody; tells of `every` one that lacks something, or only of changes."""
        now_ns = self._clock.now_ns()
        self._look_at_waiting(now_ns)
        guarded = [self._guarded(machine, now_ns) for machine in self._guard.positions.values()]
        self._missing = False
        for found in self.proof.look(guarded, now_ns):
            self._guard.protections[found.symbol, found.side] = found.state.value
            lacks = bool(found.naked_seconds or found.blind_seconds)
            self._missing |= lacks or found.state not in SOUND
            if found.is_changed or (every and lacks):
                self._audit.publish(_change(found), t_ns=now_ns)
            key = f"protection:{found.symbol}:{found.side}"
            if found.is_alarm:
                text = f"{found.symbol} {found.side} is {found.state.value}: {'; '.join(found.reasons)}"
                self._alarm(key, found.state.value, text, found.symbol, now_ns)
            elif found.state in SOUND and key in self._alarmed:
                text = f"{found.symbol} {found.side} is {found.state.value} again"
                self._resolve(key, text, now_ns)
        here = {f"protection:{symbol}:{side}" for symbol, side in self._guard.positions}
        for key in [key for key in self._alarmed if key.startswith("protection:")]:
            if key not in here:
                self._resolve(key, "the position is not open any more", now_ns)

    def _look_at_waiting(self, now_ns: int) -> None:
        """A position whose first price does not come has no epoch yet: no stop of ours, and no hard stop."""
        waiting = self._guard.pump.engine.awaited()
        for symbol in self._waiting_ns.keys() - set(waiting):
            self._resolve(f"waiting:{symbol}", f"{symbol} has a price", now_ns)
        since_ns = {symbol: self._waiting_ns.get(symbol, now_ns) for symbol in waiting}
        self._waiting_ns = since_ns
        for symbol in sorted(waiting):
            waited_s = (now_ns - since_ns[symbol]) / 1e9
            if waited_s >= LOOK_S:
                text = f"{symbol} is open and unprotected: no price of it for {waited_s:.0f} s"
                self._alarm(f"waiting:{symbol}", "unprotected", text, symbol, now_ns)

    def _alarm(self, key: str, kind: str, text: str, symbol: str, now_ns: int) -> None:
        alarm = AlarmRaised(kind=kind, text=text, symbol=symbol, key=key)
        self._alarmed[key] = alarm
        self._audit.publish(alarm, t_ns=now_ns)

    def _resolve(self, key: str, text: str, now_ns: int) -> None:
        """What was told of is over: told, too."""
        alarm = self._alarmed.pop(key, None)
        if alarm is not None:
            over = msgspec.structs.replace(alarm, text=text, resolved=True)
            self._audit.publish(over, t_ns=now_ns)

    # What the guard tells ---------------------------------------------------------------------

    def _after(self, decisions: Sequence[Decision], t_ns: int) -> None:
        if any(isinstance(decision, Opened | Closed) for decision in decisions):
            self._soon.set()
        if self._stops is None:
            return
        for decision in decisions:
            self._stops.on_decision(decision)
            if isinstance(decision, Closed | OrdersCancelled):
                self._told.pop((decision.symbol, decision.side), None)
        if any(isinstance(decision, Opened) for decision in decisions):
            # A position that waited for its first price opens with a tick, of which nobody else tells.
            self._changed(t_ns)

    def _changed(self, t_ns: int) -> None:
        """Something that is no tick came in: sizes, epochs or the mode may be others now."""
        if self._stops is None:
            return
        hedge = self._hedge()
        for key, machine in self._guard.positions.items():
            quantity = machine.orders.quantity
            told = (machine.epoch, quantity, machine.stop.x, hedge)
            known = self._told.get(key)
            if quantity > 0 and (known is None or known[:2] != told[:2] or known[3] != hedge):
                self._told[key] = told
                self._place(machine, hedge=hedge)

    def _place(self, machine: Machine, *, hedge: bool) -> None:
        assert self._stops is not None
        self._stops.on_position(
            symbol=machine.symbol,
            side=machine.side,
            epoch=machine.epoch,
            opened_ns=machine.opened_ns,
            quantity=machine.orders.quantity,
            stop=machine.stop_price,
            plan=machine.plan.hard_stop,
            filters=self._contracts(machine.symbol),
            hedge=hedge,
        )

    def _private(self, message: bytes, t_ns: int) -> None:
        if self._stops is None:
            return
        event = decode_user(message)
        if isinstance(event, AlgoUpdate):
            self._stops.on_algo_update(event, t_ns)
        elif isinstance(event, OrderTradeUpdate):
            self._stops.on_order_event(event.order.client_order_id, t_ns)

    # The proof --------------------------------------------------------------------------------

    def _guarded(self, machine: Machine, now_ns: int) -> Guarded:
        view = None
        trigger = None
        if self._stops is not None:
            view = self._stops.view(machine.symbol, machine.side)
            plan = machine.plan.hard_stop
            buffer = self._config.buffer_pct if plan is None else plan.buffer_pct
            step = self._config.step_pct if plan is None else plan.step_pct
            trigger = trigger_price(
                side=machine.side,
                stop=machine.stop_price,
                buffer_pct=add(buffer, multiply(STEPS_BEHIND, step)),
                rules=stop_rules(self._contracts(machine.symbol)),
            )
        return Guarded(
            symbol=machine.symbol,
            side=machine.side,
            epoch=machine.epoch,
            quantity=machine.orders.quantity,
            mark_age_ms=self._price_age_ms(machine, now_ns),
            evaluator=self._evaluator(machine),
            hard_stop=view,
            trigger=trigger,
            sends=self._sends,
        )

    def _price_age_ms(self, machine: Machine, now_ns: int) -> int | None:
        """How old the newest price is: the stream's mark price, or the last that its machine was driven by."""
        seen_ns = self._guard.mark_seen_ns.get(machine.symbol, 0)
        market = self._guard.market_of(machine)
        if market is not None and market.ticks:
            seen_ns = max(seen_ns, market.t_recv_ns)
        return max(0, (now_ns - seen_ns) // 1_000_000) if seen_ns else None

    def _evaluator(self, machine: Machine) -> Evaluator:
        if machine.symbol in self._guard.faulted:
            return "faulted"
        market = self._guard.market_of(machine)
        return "live" if market is not None and machine in market.machines else "missing"


def _change(found: Protection) -> ProtectionChanged:
    return ProtectionChanged(
        symbol=found.symbol,
        side=found.side,
        state=found.state.value,
        naked_seconds=found.naked_seconds_total,
        blind_seconds=found.blind_seconds_total,
    )
