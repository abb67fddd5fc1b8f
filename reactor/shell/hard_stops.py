"""Carries out what the keeper of hard stops asks for, and tells it what came of that.

    Guard ──on_position, on_decision, on_algo_update …──▶ HardStopExecutor ──▶ HardStops (pure)
                                                              │  ▲
                              REST, close_stop, audit ◀── run()  └── answers

Inputs are synchronous and only decide; requests leave from `run`, so nothing here delays an exit.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Final, assert_never

import msgspec

from reactor.audit import AlarmRaised, Audit, HardStopChanged
from reactor.binance.filters import SymbolFilters
from reactor.binance.user_messages import AlgoUpdate
from reactor.clock import Clock
from reactor.config import HardStopConfig
from reactor.core.decisions import Closed, Decision, OrdersCancelled, Side, StopKind, StopMoved
from reactor.core.hard_stop import HardStops
from reactor.core.hard_stop_leg import Phase
from reactor.core.hard_stop_values import (
    SECOND_NS,
    Action,
    AskOpen,
    AskOrder,
    AskPosition,
    Cancel,
    CloseNow,
    HardStopState,
    HardStopView,
    Place,
    Reread,
    StopAlarm,
    Timing,
    WantedStop,
)
from reactor.core.plan import HardStopPlan
from reactor.core.reconcile import KnownStop
from reactor.shell.hard_stop_answers import (
    decoded,
    open_stops,
    seen_in_event,
    stop_rules,
)
from reactor.shell.hard_stop_names import HardStopNames
from reactor.shell.hard_stop_requests import HardStopRequests, StopRest
from reactor.shell.inbox import Command, Inbox
from reactor.shell.rest_seam import RestAnswer

WAIT_MIN_S: Final = 0.001
WAIT_MAX_S: Final = 60.0
"""Between two looks at the clock, whatever is due."""

Key = tuple[str, Side]


class HardStopExecutor:
    """Keeps the hard stops of all managed positions standing.

    Attributes:
        changed: called after a change of how any position is protected was told.
    """

    def __init__(
        self,
        *,
        rest: StopRest,
        inbox: Inbox,
        audit: Audit,
        clock: Clock,
        instance: str,
        config: HardStopConfig,
        ask_position: Callable[[str], None],
        on_state: Callable[[HardStopState], None] | None = None,
        timing: Timing | None = None,
    ) -> None:
        """Does nothing until it is told of a position; sends nothing until `run`.

        Args:
            rest: carries requests.
            inbox: takes `close_stop` commands and the lists that were read.
            audit: told of every order, change and alarm.
            clock: ours.
            instance: this instance's name: part of the ids.
            config: for plans without a `[hard_stop]`; switched off, nothing is ever placed.
            ask_position: asks for a reconciliation, with the cause.
            on_state: takes what a restart needs, before anything of it is sent: to be journaled.
            timing: how long things may take.
        """
        self._inbox = inbox
        self._audit = audit
        self._clock = clock
        self._config = config
        self._ask_position = ask_position
        self._on_state = on_state
        self._names = HardStopNames(instance)
        self._stops = HardStops(ids=self._names, timing=timing)
        self._requests = HardStopRequests(
            rest=rest,
            stops=self._stops,
            audit=audit,
            clock=clock,
            act=self._act,
            on_list=self._on_list,
        )
        self._wanted: dict[Key, WantedStop] = {}
        self._pending: deque[Action] = deque()  # as bounded as what the keeper asks for
        self._wake = asyncio.Event()
        self._told: dict[Key, HardStopView] = {}
        self._saved: dict[Key, HardStopState] = {}
        self.changed: list[Callable[[], None]] = []

    # What the Guard calls -----------------------------------------------------------------------

    def restore(self, states: Iterable[HardStopState]) -> None:
        """Takes what the journal holds, before the first `on_position`."""
        self._stops.restore(states)

    def on_position(
        self,
        *,
        symbol: str,
        side: Side,
        epoch: int,
        opened_ns: int,
        quantity: Decimal,
        stop: Decimal,
        plan: HardStopPlan | None,
        filters: SymbolFilters | None,
        hedge: bool,
    ) -> None:
        """A managed position stands so: call it when an epoch opens or is restored, and on every change of size.

        Args:
            symbol: the contract.
            side: of the position.
            epoch: its number.
            opened_ns: when it opened, nanoseconds since the Unix epoch.
            quantity: what is open, positive.
            stop: the engine's stop.
            plan: the plan's `[hard_stop]`, None for the configured default.
            filters: the contract's; nothing is rounded or split without them.
            hedge: whether the account is in hedge mode.
        """
        if not self._config.enabled:
            return
        wanted = WantedStop(
            symbol=symbol,
            side=side,
            epoch=epoch,
            opened_ns=opened_ns,
            quantity=quantity,
            stop=stop,
            buffer_pct=self._config.buffer_pct if plan is None else plan.buffer_pct,
            step_pct=self._config.step_pct if plan is None else plan.step_pct,
            hedge=hedge,
            rules=stop_rules(filters),
        )
        self._wanted[symbol, side] = wanted
        self._want(self._stops.want(wanted, self._clock.now_ns()))

    def know_positions(self) -> None:
        """Every open epoch has been told: from now on a stop of ours without one is an orphan."""
        self._act(self._stops.know_positions(self._clock.now_ns()))

    def on_decision(self, decision: Decision) -> None:
        """Follows the engine's stop, and the end of an epoch. Every other decision changes nothing."""
        if isinstance(decision, StopMoved):
            self._follow(decision)
        elif isinstance(decision, Closed | OrdersCancelled):
            self.on_end(decision.symbol, decision.side, decision.epoch)

    def on_end(self, symbol: str, side: Side, epoch: int) -> None:
        """An epoch ended, or is not managed any more: its hard stops are cancelled."""
        wanted = self._wanted.get((symbol, side))
        if wanted is not None and wanted.epoch == epoch:
            del self._wanted[symbol, side]
        self._act(self._stops.end(symbol, side, epoch, self._clock.now_ns()))

    def on_algo_update(self, event: AlgoUpdate, t_ns: int) -> None:
        """An ALGO_UPDATE, anybody's."""
        if self._names.read(event.order.client_algo_id) is not None:
            self._act(self._stops.update(seen_in_event(event.order), t_ns))

    def on_order_event(self, client_id: str, t_ns: int) -> None:
        """An ORDER_TRADE_UPDATE's client id, anybody's: a triggered stop's order carries the stop's own."""
        if self._names.read(client_id) is not None:
            self._act(self._stops.child(client_id, t_ns))

    def on_snapshot(self, answer: RestAnswer) -> None:
        """An answer to `GET /fapi/v1/openAlgoOrders`, with or without a symbol. Failures change nothing."""
        rows = open_stops(decoded(answer))
        if rows is not None:
            symbol = answer.params.get("symbol")
            self._act(
                self._stops.snapshot(
                    rows,
                    symbol=None if symbol is None else str(symbol),
                    asked_ns=answer.asked_ns,
                    t_ns=self._clock.now_ns(),
                )
            )

    def on_mark(self, symbol: str, price: Decimal) -> None:
        """A mark price. Cheap: it is only remembered."""
        self._stops.mark(symbol, price, self._clock.now_ns())

    def _on_list(self, answer: RestAnswer) -> None:
        """A list that was asked for here: a recording shows it, too."""
        self._inbox.rest(answer)
        self.on_snapshot(answer)

    # What it says -------------------------------------------------------------------------------

    @property
    def requests(self) -> dict[str, int]:
        """How many were sent so far, by kind."""
        return self._requests.sent

    @property
    def is_withdrawing(self) -> bool:
        """Whether a stop that should go has not gone yet: of an ended epoch, or replaced."""
        return self._stops.is_withdrawing

    def view(self, symbol: str, side: Side) -> HardStopView | None:
        """How a position is protected at the exchange; None where hard stops are switched off."""
        return self._stops.view(symbol, side) if self._config.enabled else None

    def states(self) -> tuple[HardStopState, ...]:
        """What a restart needs, of all positions."""
        found = (self._stops.state(*key) for key in self._stops.positions())
        return tuple(state for state in found if state is not None)

    def known_stops(self) -> dict[Key, tuple[KnownStop, ...]]:
        """The stops, for reconciliation: all parts, and with them those that come and those that go."""
        known: dict[Key, tuple[KnownStop, ...]] = {}
        for key in self._stops.positions():
            newest = self._stops.newest(*key)
            known[key] = tuple(
                KnownStop(
                    client_id=leg.client_id,
                    trigger=leg.trigger,
                    quantity=leg.quantity,
                    confirmed_ns=leg.since_ns,
                    needed=newest is not None
                    and leg.placement == newest.placement
                    and leg.phase is Phase.STANDING,
                )
                for leg in self._stops.legs(*key)
            )
        return known

    # Running ------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Carries out requests and keeps time, until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                now_ns = self._clock.now_ns()
                if self._stops.due_ns <= now_ns:
                    self._act(self._stops.on_time(now_ns))
                while self._pending:
                    self._start(self._pending.popleft(), group)
                wait_s = (self._stops.due_ns - self._clock.now_ns()) / SECOND_NS
                try:
                    async with asyncio.timeout(min(max(wait_s, WAIT_MIN_S), WAIT_MAX_S)):
                        await self._wake.wait()
                except TimeoutError:
                    pass
                self._wake.clear()

    def _start(self, action: Action, group: asyncio.TaskGroup) -> None:
        """Begins one action; what needs an answer becomes a task."""
        match action:
            case CloseNow():
                self._close(action)
            case AskPosition():
                self._ask_position(f"{action.symbol} {action.side}: {action.why}")
            case StopAlarm():
                pass  # Published when it was decided.
            case Place() | Cancel() | AskOpen() | AskOrder() | Reread():
                if self._requests.is_needed(action):
                    name = f"hard stop {type(action).__name__} {action.symbol}"
                    group.create_task(self._requests.carry_out(action), name=name)
            case _:
                assert_never(action)

    def _close(self, action: CloseNow) -> None:
        """Has the engine close the position, unless its epoch is over: the next one is not to blame."""
        wanted = self._wanted.get((action.symbol, action.side))
        if wanted is None or wanted.epoch != action.epoch:
            return
        self._inbox.command(
            Command(command="close_stop", symbol=action.symbol, side=action.side, by="hard_stop")
        )

    # Telling ------------------------------------------------------------------------------------

    def _follow(self, moved: StopMoved) -> None:
        """The engine's stop moved; away from the price only by an operator's hand."""
        key = moved.symbol, moved.side
        wanted = self._wanted.get(key)
        if wanted is None or wanted.epoch != moved.epoch:
            return
        self._wanted[key] = wanted = msgspec.structs.replace(wanted, stop=moved.stop)
        by_hand = moved.kind is StopKind.MANUAL
        self._want(self._stops.want(wanted, self._clock.now_ns(), loosened=by_hand))

    def _want(self, actions: list[Action]) -> None:
        """Like `_act`, at next to no cost where nothing came of it: stops move with every tick."""
        if actions:
            self._act(actions)
        else:
            self._wake.set()

    def _act(self, actions: list[Action]) -> None:
        """Saves, tells, and lets `run` send."""
        self._save()
        now_ns = self._clock.now_ns()
        for action in actions:
            if isinstance(action, StopAlarm):
                key = f"{action.kind}:{action.symbol}:{action.side}"
                self._audit.publish(
                    AlarmRaised(kind=action.kind, text=action.text, symbol=action.symbol, key=key),
                    t_ns=now_ns,
                )
        self._tell(now_ns)
        self._pending.extend(action for action in actions if not isinstance(action, StopAlarm))
        self._wake.set()

    def _save(self) -> None:
        if self._on_state is None:
            return
        for key in self._stops.positions():
            state = self._stops.state(*key)
            if state is not None and self._saved.get(key) != state:
                self._saved[key] = state
                self._on_state(state)

    def _tell(self, now_ns: int) -> None:
        is_changed = False
        for key in {*self._told, *self._stops.positions()}:
            view = self._stops.view(*key)
            if self._told.get(key) == view:
                continue
            self._told[key] = view
            is_changed = True
            symbol, side = key
            self._audit.publish(
                HardStopChanged(
                    symbol=symbol,
                    side=side,
                    client_id=view.client_id,
                    state=view.state,
                    trigger=view.trigger,
                    quantity=view.quantity,
                    text=view.reason,
                ),
                t_ns=now_ns,
            )
            if view.state == "none" and view.surplus_since_ns is None:
                del self._told[key]
        if is_changed:
            for listener in self.changed:
                listener()
