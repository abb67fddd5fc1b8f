"""The live process of one account: every part, started in the order in which they need each other.

    journal ─▶ recovery (orders that were sent and not written down) ─▶ guard
    time, account, contracts ─▶ feeds ─▶ candles, prices ─▶ reconciliation: positions are taken up
    from then on: feeds, timers, watchdog, reconciliation every minute, proof of protection

Nothing here decides anything about exits. What is built here and how it is wired is the whole of this file's
business; the parts know each other only through what they are given.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec
import orjson

from reactor import __version__
from reactor.audit import Audit, AuditEvent, Noted, OrderAnswered, Started, Stopped
from reactor.binance.urls import Environment
from reactor.clock import Clock
from reactor.config import Config, SymbolConfig
from reactor.core.budget import Budget
from reactor.core.epoch_state import EpochState
from reactor.core.exact import ZERO
from reactor.core.ladder import Filters
from reactor.errors import ConfigError, RestFailed
from reactor.shell.assembly import StartState, live_pump, order_ids
from reactor.shell.doubles import Doubles
from reactor.shell.gateway.gateway import Gateway
from reactor.shell.guard import Guard
from reactor.shell.inbox import Command
from reactor.shell.inheriting import NOTE, inherit, session_of
from reactor.shell.journal.journal import Journal
from reactor.shell.keeping import Keeping
from reactor.shell.parts import Listening, Outside, Sending, listening, ready_orders, sending
from reactor.shell.plan_choice import PlanChoice
from reactor.shell.protecting import Protecting
from reactor.shell.reaching import Reaching
from reactor.shell.recorded import PolicyLine, filters_of
from reactor.shell.recorder import Recorder
from reactor.shell.recovering import recover
from reactor.shell.rest.account_setup import AccountSetup, read_account_setup
from reactor.shell.rest.client import RestClient
from reactor.shell.rest.credentials import Credentials
from reactor.shell.rest.server_time import ServerTime
from reactor.shell.rest_seam import RestTransport
from reactor.shell.shadow import Shadow
from reactor.shell.shots import Shots
from reactor.shell.tape_format import LiveSession
from reactor.shell.transport.seam import Transport

PRIVATE_UP_S: Final = 5.0
"""How long a start waits for the user-data stream before it takes positions up without it."""

FINISH_S: Final = 3.0
"""How long exits in flight are seen through when the process is told to end."""


class LiveProcess:
    """One account's guard, with all that it needs.

    Attributes:
        guard: what everything comes in through; there after `start`.
        setup: the account as it was read at the start.
    """

    guard: Guard
    parts: Listening

    def __init__(
        self,
        config: Config,
        *,
        environment: Environment,
        credentials: Credentials,
        transport: Transport,
        rest_transport: RestTransport,
        clock: Clock,
        chance: random.Random,
        audit: Audit,
        journal: Journal,
        data_dir: Path,
        say: Callable[[str], None],
    ) -> None:
        """Puts the parts together that need nothing from the exchange.

        Args:
            config: validated.
            environment: where the exchange is.
            credentials: of the account.
            transport: makes sockets.
            rest_transport: carries requests.
            clock: the time.
            chance: jitter.
            audit: where everything is told.
            journal: opened.
            data_dir: where tapes go.
            say: takes one line for the person who started this.
        """
        self.config = config
        self.environment = environment
        self._credentials = credentials
        self._rest_transport = rest_transport
        self._clock = clock
        self._chance = chance
        self.audit = audit
        self.journal = journal
        self._data_dir = data_dir
        self._say = say
        self.plans = PlanChoice(config)
        self.plans.look_up(name for name in config.manage.include if name != "*")
        self.budget = Budget(share=config.account.weight_share)
        self.server_time = ServerTime(clock, audit, interval_s=config.account.time_sync_s)
        self.rest = RestClient(
            rest_transport,
            environment,
            credentials,
            clock,
            self.budget,
            server_time=self.server_time,
            rng=chance,
            recv_window_ms=config.orders.recv_window_ms,
        )
        self._outside = Outside(
            config=config,
            environment=environment,
            credentials=credentials,
            transport=transport,
            rest=self.rest,
            clock=clock,
            chance=chance,
            audit=audit,
            journal=journal,
            say=say,
        )
        self.setup = AccountSetup()
        self.recorder: Recorder | None = None
        self.sending: Sending | None = None
        self._shots: Shots | None = None
        self._reaching = Reaching(say=say, audit=audit, clock=clock, chance=chance)
        self._private_up = asyncio.Event()
        self._part_ended = asyncio.Event()
        self._ended_by = "asked to"
        self._notes: Counter[str] = Counter()

    def keep_policy(self, line: PolicyLine) -> None:
        """Writes a policy from outside down, for a restart."""
        self.keeping.keep_policy(line)

    # The whole life ---------------------------------------------------------------------------

    async def run(self, stop: asyncio.Event) -> None:
        """Guards until told to stop.

        Args:
            stop: set by SIGTERM or SIGINT.

        Raises:
            ConfigError: the account or the configuration does not allow to guard; one line says how to mend it.
        """
        tasks: list[asyncio.Task[None]] = []
        stopping = asyncio.create_task(stop.wait(), name="stop")
        broken = asyncio.create_task(self._part_ended.wait(), name="a part ended")
        starting = asyncio.create_task(self._start(tasks), name="start")
        watching = asyncio.create_task(self._reaching.watch(), name="start watch")
        first = asyncio.FIRST_COMPLETED
        try:
            await asyncio.wait({starting, stopping, broken}, return_when=first)
            watching.cancel()
            if starting.done():
                self._ended_by = "it could not be started"
                starting.result()
                self._ended_by = "asked to"
                await asyncio.wait({stopping, broken}, return_when=first)
            for task in tasks:
                if task.done():
                    # A part that ends by itself is a bug; whoever restarts this process starts from the journal.
                    self._ended_by = f"{task.get_name()} ended"
                    task.result()
            if starting.done():
                await self._finish()
        finally:
            # Also where this task itself is cancelled: a start that went on would be a second guard.
            for helper in (stopping, broken, starting, watching):
                helper.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            await self._end(tasks)

    async def _start(self, tasks: list[asyncio.Task[None]]) -> None:
        reach = self._reaching.reach
        await reach("the exchange's clock", self._sync)
        self.setup = await reach("the account", lambda: read_account_setup(self.rest))
        if self.setup.problems and (self.config.mode == "live" or self.setup.hedge is None):
            raise ConfigError("; ".join(self.setup.problems))
        for line in (*self.setup.problems, *self.setup.notes):
            self._say(line)
        start = await reach("orders of the last run", self._start_state)
        self._build(start)
        await reach("the account", lambda: read_account_setup(self.rest, self.guard))
        await reach("the contracts", self._read_contracts)
        for name, work in self._works():
            task = asyncio.create_task(work, name=name)
            task.add_done_callback(lambda _: self._part_ended.set())
            tasks.append(task)
        await self._reaching.last("positions and their first prices", self._take_up(start))
        self.audit.publish(
            Started(
                version=__version__,
                instance=self.config.instance,
                environment=self.environment.name,
                mode=self.config.mode,
                hedge=bool(self.setup.hedge),
                restored_epochs=len(start.epochs),
            ),
            t_ns=self._clock.now_ns(),
        )
        self._say_positions()

    async def _finish(self) -> None:
        """Looks at no price any more, and sees through what is in flight."""
        self.guard.stop()
        end_ns = self._clock.now_ns() + round(FINISH_S * 1e9)
        while self._in_flight() and self._clock.now_ns() < end_ns:  # noqa: ASYNC110 - of many
            await asyncio.sleep(0.02)

    def _in_flight(self) -> bool:
        """Exits without an outcome, and hard stops that should go: one that stays could close what a human opens next."""
        if self.sending is None:
            return False
        stops, machines = self.sending.hard_stops, self.guard.positions.values()
        return (stops is not None and stops.is_withdrawing) or any(
            one.orders.partial is not None or one.orders.full is not None for one in machines
        )

    async def _end(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if hasattr(self, "guard"):
            self.guard.stop()
        if self.sending is not None:
            await self.sending.gateway.close()
        if hasattr(self, "guard"):
            self.keeping.save()
            self.guard.end()
        self.audit.publish(Stopped(reason=self._ended_by), t_ns=self._clock.now_ns())
        if self.recorder is not None:
            self.recorder.close(self._clock.now_ns())
        await self._rest_transport.close()

    # Starting ---------------------------------------------------------------------------------

    async def _sync(self) -> None:
        if not await self.server_time.sync(self.rest):
            raise RestFailed("it does not answer")

    async def _read_contracts(self) -> None:
        if not await self.parts.contracts.refresh():
            raise RestFailed(self.parts.contracts.problem)

    async def _start_state(self) -> StartState:
        """What the journal left, completed by what the exchange knows of it."""
        left = self.journal.load()
        inherited = inherit(left, self.config, self.environment.name)
        epochs = inherited.epochs
        for problem in left.unreadable:
            self._say(problem)
        for state, why in inherited.dropped:
            self._say(f"{state.symbol} {state.side}: what was known of it is not taken over: {why}")
        if self.config.mode == "live":
            epochs = await recover(
                epochs,
                written_ns=left.written_ns,
                order_ids=order_ids(self.config.instance),
                rest=self.rest,
                clock=self._clock,
                say=self._say,
            )
        virtual = orjson.loads(left.notes.get("virtual", "{}")) if inherited.virtual else {}
        if not inherited.virtual:
            self.journal.put_note("virtual", None)
        for state, _ in inherited.dropped:
            self.journal.end_epoch(state)
        session = session_of(self.config, self.environment.name)
        self.journal.put_note(NOTE, msgspec.json.encode(session).decode())
        hedge = bool(self.setup.hedge)
        return StartState(
            epochs=epochs,
            epoch_number=left.epochs,
            sides={
                f"{state.symbol}:{state.side}": state.side if hedge else "BOTH" for state in epochs
            },
            trades={symbol: trade.trade_id for symbol, trade in left.last_trades.items()},
            virtual={name: Decimal(size) for name, size in virtual.items()},
            is_old=bool(epochs),
        )

    def _build(self, start: StartState) -> None:
        config, clock, audit = self.config, self._clock, self.audit
        session = LiveSession(mode=config.mode)
        for doubt in self.plans.doubts():
            self._say(doubt)
        pump = live_pump(
            config,
            session,
            plan_for=self.plans.plan_for,
            filters_for=self._filters_for,
            instance=config.instance,
            start=start,
            note=self._note,
            steering=self.plans.steering(),
        )
        self._pump = pump
        self.guard = Guard(
            pump, clock=clock, audit=audit, config=config, loop=asyncio.get_running_loop()
        )
        self.keeping = Keeping(self.guard, journal=self.journal, config=config, plans=self.plans)
        self.keeping.recall(start.epochs)
        if config.record.enabled:
            self.recorder = self.keeping.recorder = self._new_recorder(start, session)
        self.parts = listening(
            self._outside,
            self.guard,
            self.plans,
            add_secret=self._add_secret,
            on_gap=self._on_gap,
        )
        self.reconciler = self.parts.reconciler
        self.reconciler.on_deaf = self.parts.private_feed.replace
        if config.mode == "shadow":
            Shadow(self.guard, audit)
            self.reconciler.others_guard = True
        self.keeping.gaps = self.parts.gap_audit.unaudited
        if config.mode == "live":
            self.sending = sending(
                self._outside,
                self.guard,
                contracts=pump.contracts,
                ask_position=self.reconciler.want,
            )
            Doubles(self.guard, audit=audit, clock=clock, instance=config.instance)
        stops = None if self.sending is None else self.sending.hard_stops
        self.reconciler.stops = stops
        self.protecting = Protecting(
            self.guard,
            stops=stops,
            config=config.hard_stop,
            audit=audit,
            clock=clock,
            contracts=self.parts.contracts.filters,
            hedge=lambda: pump.account.hedge,
            blind_ms=config.streams.blind_ms,
            sends=config.mode == "live",
        )
        self._attach(None if self.sending is None else self.sending.gateway)
        audit.watch(self._on_audit)

    def _new_recorder(self, start: StartState, session: LiveSession) -> Recorder:
        return Recorder(
            self.config.record,
            folder=self._data_dir / self.config.record.dir,
            audit=self.audit,
            environment=self.environment.name,
            header=self.keeping.header(start, session),
            secrets=frozenset({self._credentials.api_key.encode()}),
            now_ns=self._clock.now_ns(),
        )

    def _attach(self, gateway: Gateway | None) -> None:
        """Gives the guard what sends, and what records; and has orders lie ready for stops, where that is asked for."""
        self.guard.attach(sender=gateway, writer=self.recorder)
        self.guard.before_exit = self.keeping.before_exit
        if gateway is None or not self.config.orders.fire_ahead:
            return
        self._shots = ready_orders(
            self._outside, self.guard, gateway, may_leave=self.keeping.is_opening_written
        )
        self._shots.on_unclaimed = self.reconciler.want
        self.keeping.on_written = self.guard.aim_soon
        self.guard.fire_ahead(self._shots, practises=self.config.orders.rehearse_ms > 0)

    def _works(self) -> list[tuple[str, Coroutine[Any, Any, None]]]:
        """Everything that runs for as long as the process does."""
        parts = self.parts
        works: list[tuple[str, Coroutine[Any, Any, None]]] = [
            ("market feed", parts.market_feed.run()),
            ("private feed", parts.private_feed.run()),
            ("server time", self.server_time.run(self.rest)),
            ("contracts", parts.contracts.run()),
            ("warm-up", parts.warm_up.run()),
            ("poller", parts.poller.run()),
            ("watchdog", parts.watchdog.run()),
            ("reconciler", parts.reconciler.run()),
            ("watching", parts.watching.run()),
            ("gap audit", parts.gap_audit.run()),
            ("protection", self.protecting.run()),
            ("keeping", self.keeping.run()),
        ]
        if self.sending is not None:
            works.append(("order socket", self.sending.order_socket.run()))
            if self._shots is not None:
                works.append(("ready orders", self._shots.run()))
            if self.sending.hard_stops is not None:
                works.append(("hard stops", self.sending.hard_stops.run()))
        return works

    async def _take_up(self, start: StartState) -> None:
        """Takes up what is open: first what the exchange says of it, then candles, and prices last.

        No rule may look at a price before the sizes are true, so that nothing is sent for what is gone.
        What adoption does depends on price and candles: new positions wait for the first price.
        """
        try:
            async with asyncio.timeout(PRIVATE_UP_S):
                await self._private_up.wait()
        except TimeoutError:
            self._say("the user-data stream is not up yet; positions are taken up without it")
        for line in self.keeping.left_policies(now_ms=self._clock.now_ns() // 1_000_000):
            self.guard.policy(line)
            self.keeping.keep_policy(line)
        for state in start.epochs:
            self._doubt(state)
        self.reconciler.gap("start")
        await self.reconciler.done.wait()
        self.parts.gap_audit.restarted(self.keeping.seen_ms)
        await self.parts.watching.begin()
        if self.sending is not None and self.sending.hard_stops is not None:
            self.sending.hard_stops.know_positions()
        self.protecting.look()

    def _doubt(self, state: EpochState) -> None:
        """An exit that was in flight when the last process ended: nobody knows what became of it."""
        for order in (state.orders.partial, state.orders.full):
            if order is None or self.sending is None:
                continue
            self.sending.gateway.restore(order.exit, sent_ns=order.exit.t_ns)
            self.guard.command(
                Command(
                    command="outcome",
                    symbol=state.symbol,
                    side=state.side,
                    order_id=order.exit.order_id,
                    event="unknown",
                    by="restart",
                )
            )

    # While it runs ----------------------------------------------------------------------------

    def _on_audit(self, event: AuditEvent) -> None:
        """A refused order may mean that the contract's rules are others now."""
        if isinstance(event.what, OrderAnswered) and event.what.code is not None:
            self.parts.contracts.on_code(event.what.code)

    def _on_gap(self, cause: str) -> None:
        self._private_up.set()
        self.reconciler.gap(cause)

    def _add_secret(self, secret: bytes) -> None:
        if self.recorder is not None:
            self.recorder.add_secret(secret)

    def _note(self, kind: str, text: str) -> None:
        """What the pump could not read, or noticed: told at once, then at every tenfold of its kind."""
        self._notes[kind] += 1
        count = self._notes[kind]
        if count == 10 ** (len(str(count)) - 1):
            # The pump names the lines of tapes; what is live has no number.
            text = text.removeprefix("line 0").lstrip(": ")
            self.audit.publish(Noted(kind=kind, text=text, count=count), t_ns=self._clock.now_ns())

    # What is asked ----------------------------------------------------------------------------

    def _filters_for(self, symbol: str) -> Filters:
        if (contract := self._pump.contracts.get(symbol)) is not None:
            return filters_of(contract)
        config = self.config.symbols.get(symbol, SymbolConfig())
        return Filters(tick=config.tick, step=config.step, min_quantity=config.min_qty or ZERO)

    def _say_positions(self) -> None:
        """The start-up print: every position, its stop, and what was done with it."""
        for machine in self.guard.positions.values():
            self._say(
                f"{machine.symbol} {machine.side} {machine.orders.quantity} @ {machine.entry}:"
                f" {machine.plan.name}, stop {machine.stop_price} ({machine.stop.kind.value})"
            )
        for (symbol, side), report in self._pump.account.book.unmanaged.items():
            self._say(f"{symbol} {side} {report.quantity} @ {report.entry}: not managed")
        if not self.guard.positions:
            self._say("no position is open that is ours to guard")
