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
from typing import Any, Final, TypeVar

import msgspec
import orjson

from reactor import __version__
from reactor.audit import AlarmRaised, Audit, Noted, Started, Stopped
from reactor.binance.decode import decode_rest
from reactor.binance.rest_account_messages import PositionRisk
from reactor.binance.sign import ws_api_text
from reactor.binance.urls import Environment
from reactor.clock import Clock
from reactor.config import Config
from reactor.core.budget import Budget
from reactor.core.decisions import Closed, Decision, Opened, Side
from reactor.core.epoch_state import EpochState, state_of
from reactor.core.ladder import Filters
from reactor.core.market import Source
from reactor.core.silence import Silence
from reactor.errors import BudgetExhausted, ConfigError, RestFailed
from reactor.shell.assembly import StartState, live_pump, order_ids
from reactor.shell.feeds.market_feed import MarketFeed
from reactor.shell.feeds.order_socket import OrderSocket
from reactor.shell.feeds.private_feed import PrivateFeed
from reactor.shell.gateway.gateway import Gateway
from reactor.shell.guard import Guard, streams_for
from reactor.shell.inbox import Command
from reactor.shell.journal.journal import Journal
from reactor.shell.plan_choice import SIDES, PlanChoice
from reactor.shell.reconciler import Reconciler
from reactor.shell.recorded import filters_of
from reactor.shell.recorder import Recorder
from reactor.shell.recovering import recover
from reactor.shell.rest.account_setup import AccountSetup, read_account_setup
from reactor.shell.rest.client import RestClient
from reactor.shell.rest.contracts import Contracts
from reactor.shell.rest.credentials import Credentials
from reactor.shell.rest.poller import Poller
from reactor.shell.rest.server_time import ServerTime
from reactor.shell.rest.warm_up import WarmUp, need_of
from reactor.shell.rest.watchdog import Watchdog
from reactor.shell.rest_seam import RestTransport
from reactor.shell.tape_format import LiveSession
from reactor.shell.transport.seam import Transport

REACH_FIRST_S: Final = 0.5
REACH_LAST_S: Final = 15.0
"""Between two attempts to reach the exchange at start: an unattended container waits for it."""

WARM_S: Final = 2.0
"""How long a start waits for candles; positions are guarded with their fallback stop meanwhile."""

PRIVATE_UP_S: Final = 5.0
"""How long a start waits for the user-data stream before it takes positions up without it."""

SHOW_S: Final = 1.0
"""Between two tellings of every position, and the longest that a new peak is not in the journal."""

FINISH_S: Final = 3.0
"""How long exits in flight are seen through when the process is told to end."""

PRICE_PATHS: Final[dict[Source, tuple[str, int]]] = {
    "mark": ("/fapi/v1/premiumIndex", 1),
    "last": ("/fapi/v1/ticker/price", 1),
    "book": ("/fapi/v1/ticker/bookTicker", 2),
}

T = TypeVar("T")


class LiveProcess:
    """One account's guard, with all that it needs.

    Attributes:
        guard: what everything comes in through; there after `start`.
        setup: the account as it was read at the start.
    """

    guard: Guard

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
        self._transport = transport
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
        self.setup = AccountSetup()
        self.recorder: Recorder | None = None
        self.gateway: Gateway | None = None
        self._notes: Counter[str] = Counter()

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
        try:
            starting = asyncio.create_task(self._start(tasks), name="start")
            await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not starting.done():
                starting.cancel()
                await asyncio.gather(starting, return_exceptions=True)
                return
            starting.result()
            done, _ = await asyncio.wait({*tasks, stopping}, return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stopping}:
                # A part that ends by itself is a bug; whoever restarts this process starts from the journal.
                task.result()
            await self._finish()
        finally:
            stopping.cancel()
            await self._end(tasks)

    async def _start(self, tasks: list[asyncio.Task[None]]) -> None:
        await self._reach("the exchange's clock", self._sync)
        self.setup = await self._reach("the account", lambda: read_account_setup(self.rest))
        if self.setup.problems and self.config.mode == "live":
            raise ConfigError("; ".join(self.setup.problems))
        start = await self._reach("orders of the last run", self._start_state)
        self._build(start)
        await self._reach("the account", lambda: read_account_setup(self.rest, self.guard))
        await self._reach("the contracts", self._read_contracts)
        for name, work in self._works():
            tasks.append(asyncio.create_task(work, name=name))
        await self._take_up(start)
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
        return self.gateway is not None and any(
            machine.orders.partial is not None or machine.orders.full is not None
            for machine in self.guard.positions.values()
        )

    async def _end(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self.gateway is not None:
            await self.gateway.close()
        if hasattr(self, "guard"):
            self._save_epochs()
            self.guard.end()
        self.audit.publish(Stopped(reason="asked to"), t_ns=self._clock.now_ns())
        if self.recorder is not None:
            self.recorder.close(self._clock.now_ns())
        await self._rest_transport.close()

    # Starting ---------------------------------------------------------------------------------

    async def _reach(self, what: str, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Asks until there is an answer: the exchange may be down when a container starts."""
        wait_s = REACH_FIRST_S
        while True:
            try:
                return await ask()
            except (RestFailed, BudgetExhausted) as error:
                self._say(f"{what} cannot be asked: {error}; trying again in {wait_s:g} s")
                self.audit.publish(
                    AlarmRaised(kind="start", text=f"{what} cannot be asked: {error}", key="start"),
                    t_ns=self._clock.now_ns(),
                )
            await asyncio.sleep(wait_s * self._chance.uniform(0.5, 1.0))
            wait_s = min(wait_s * 2, REACH_LAST_S)

    async def _sync(self) -> None:
        await self.server_time.sync(self.rest)

    async def _read_contracts(self) -> None:
        if not await self.contracts.refresh():
            raise RestFailed(self.contracts.problem)

    async def _start_state(self) -> StartState:
        """What the journal left, completed by what the exchange knows of it."""
        left = self.journal.load()
        epochs = left.open_epochs
        for problem in left.unreadable:
            self._say(problem)
        if self.config.mode == "live":
            epochs = await recover(
                epochs,
                written_ns=left.written_ns,
                order_ids=order_ids(self.config.instance),
                rest=self.rest,
                clock=self._clock,
                say=self._say,
            )
        virtual = orjson.loads(left.notes.get("virtual", "{}"))
        hedge = bool(self.setup.hedge)
        return StartState(
            epochs=epochs,
            epoch_number=left.epochs,
            sides={
                f"{state.symbol}:{state.side}": state.side if hedge else "BOTH" for state in epochs
            },
            trades={symbol: trade.trade_id for symbol, trade in left.last_trades.items()},
            virtual={name: Decimal(size) for name, size in virtual.items()},
        )

    def _build(self, start: StartState) -> None:
        config, clock, audit = self.config, self._clock, self.audit
        session = LiveSession(mode=config.mode)
        pump = live_pump(
            config,
            session,
            plan_for=self.plans.plan_for,
            filters_for=self._filters_for,
            instance=config.instance,
            start=start,
            note=self._note,
        )
        self._pump = pump
        self.guard = Guard(
            pump, clock=clock, audit=audit, config=config, loop=asyncio.get_running_loop()
        )
        if config.record.enabled:
            self.recorder = Recorder(
                config.record,
                folder=self._data_dir / config.record.dir,
                audit=audit,
                environment=self.environment.name,
                header=self._header(start, session),
                secrets=frozenset({self._credentials.api_key.encode()}),
                now_ns=clock.now_ns(),
            )
        feed = (self._transport, self.environment)
        rest_parts = (self.rest, self.guard, audit, clock)
        self.market_feed = MarketFeed(*feed, self.guard, audit, clock, config.streams, self._chance)
        self.private_feed = PrivateFeed(
            *feed,
            self.rest,
            self.guard,
            audit,
            clock,
            config.streams,
            self._chance,
            add_secret=self._add_secret,
            on_gap=self._on_gap,
        )
        self.contracts = Contracts(*rest_parts, watched=self.guard.symbols)
        self.warm_up = WarmUp(*rest_parts)
        self.poller = Poller(*rest_parts, triggers=self.guard.triggers)
        self.watchdog = Watchdog(
            Silence(blind_ms=config.streams.blind_ms),
            self.poller,
            self.guard,
            audit,
            clock,
            ages=self._ages,
            replace=lambda route, reason: self.market_feed.replace(
                "public" if route == "public" else "market", reason
            ),
        )
        self.reconciler = Reconciler(
            rest=self.rest,
            guard=self.guard,
            audit=audit,
            clock=clock,
            instance=config.instance,
            every_s=config.account.reconcile_s,
        )
        self._private_up = asyncio.Event()
        if config.mode == "live":
            self._build_orders(pump.contracts)
        self.guard.attach(sender=self.gateway, writer=self.recorder)
        self.guard.after.append(self._after)

    def _build_orders(self, contracts: dict[str, Any]) -> None:
        config = self.config
        credentials = self._credentials
        logs_on = credentials.kind == "ED25519"
        self.order_socket = OrderSocket(
            self._transport,
            self.environment,
            self.guard,
            self.audit,
            self._clock,
            config.streams,
            self._chance,
            logon=self._logon if logs_on else None,
            on_up=lambda: None,
            on_down=self._on_order_socket_down,
            answer_timeout_s=config.orders.answer_timeout_ms / 1000,
        )
        self.gateway = Gateway(
            config=config,
            socket=self.order_socket,
            rest=self.rest,
            signer=None if logs_on else credentials,
            inbox=self.guard,
            audit=self.audit,
            clock=self._clock,
            hedge=lambda: self._pump.account.hedge,
            contracts=contracts,
        )

    def _works(self) -> list[tuple[str, Coroutine[Any, Any, None]]]:
        """Everything that runs for as long as the process does."""
        works: list[tuple[str, Coroutine[Any, Any, None]]] = [
            ("market feed", self.market_feed.run()),
            ("private feed", self.private_feed.run()),
            ("server time", self.server_time.run(self.rest)),
            ("contracts", self.contracts.run()),
            ("warm-up", self.warm_up.run()),
            ("poller", self.poller.run()),
            ("watchdog", self.watchdog.run()),
            ("reconciler", self.reconciler.run()),
            ("show", self._show()),
        ]
        if self.gateway is not None:
            works.append(("order socket", self.order_socket.run()))
        return works

    async def _take_up(self, start: StartState) -> None:
        """Prices and candles first, then positions: what adoption does depends on both."""
        try:
            async with asyncio.timeout(PRIVATE_UP_S):
                await self._private_up.wait()
        except TimeoutError:
            self._say("the user-data stream is not up yet; positions are taken up without it")
        symbols = await self._reach("open positions", self._open_symbols)
        symbols |= {state.symbol for state in start.epochs}
        symbols |= {name for name in self.config.manage.include if name != "*"}
        self._watched = {symbol for symbol in symbols if self._can_watch(symbol)}
        self._watch()
        await self.warm_up.until_warm(WARM_S)
        await self._first_prices(start)
        for state in start.epochs:
            self._doubt(state)
        self.reconciler.want("start")
        await self.reconciler.done.wait()

    async def _open_symbols(self) -> set[str]:
        """The symbols in which a position that may be ours is open."""
        path = "/fapi/v3/positionRisk"
        answer = await self.rest.get(path, {}, weight=5, purpose="account", signed=True)
        body = decode_rest("GET", path, answer.status, answer.body)
        if not isinstance(body, tuple):
            raise RestFailed(f"{path}: an answer that cannot be read")
        return {
            row.symbol
            for row in body
            if isinstance(row, PositionRisk)
            and row.position_amount
            and self._may_manage(row.symbol)
        }

    async def _first_prices(self, start: StartState) -> None:
        """One price of every source that a plan looks at, so that positions are judged at once."""
        for symbol, source in sorted(self._sources()):
            path, weight = PRICE_PATHS[source]
            try:
                answer = await self.rest.get(
                    path, {"symbol": symbol}, weight=weight, purpose="poll"
                )
            except (RestFailed, BudgetExhausted) as error:
                self._say(f"{symbol}: no first price: {error}; the stream will bring it")
                continue
            self.guard.rest(answer)

    def _doubt(self, state: EpochState) -> None:
        """An exit that was in flight when the last process ended: nobody knows what became of it."""
        for order in (state.orders.partial, state.orders.full):
            if order is None or self.gateway is None:
                continue
            self.gateway.restore(order.exit, sent_ns=order.exit.t_ns)
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

    def _after(self, decisions: Sequence[Decision], t_ns: int) -> None:
        """What follows decisions, after their orders have left."""
        if any(isinstance(decision, Opened | Closed) for decision in decisions):
            self._watch()
        keys = {(decision.symbol, decision.side) for decision in decisions if decision.side}
        with self.journal.turn():
            for key in keys:
                self._save(*key)
            self.journal.put_epochs(self._pump.engine.epochs)

    def _save(self, symbol: str, side: Side) -> None:
        machine = self.guard.positions.get((symbol, side))
        if machine is not None:
            self.journal.put_epoch(state_of(machine))

    def _save_epochs(self) -> None:
        book = self._pump.account.book
        with self.journal.turn():
            for key in self.guard.positions:
                self._save(*key)
            for symbol, trade_id in book.counted_trades.items():
                newest_ms = self._pump.account.newest_trade_ms.get(symbol, 0)
                self.journal.put_trade(symbol, trade_id, newest_ms)
            if self.config.mode != "live":
                sizes = {
                    f"{symbol}:{side}": str(size) for (symbol, side), size in book.virtual().items()
                }
                self.journal.put_note("virtual", orjson.dumps(sizes).decode())

    async def _show(self) -> None:
        while True:
            await asyncio.sleep(SHOW_S)
            self.guard.show_all()
            self._save_epochs()
            if self.recorder is not None:
                self.recorder.flush()

    def _watch(self) -> None:
        """Subscribes to what open positions and listed symbols need, and reads their candles."""
        sources = self._sources()
        self.market_feed.want(streams_for(sources))
        for symbol, _ in sources:
            for side in SIDES:
                plan = self.plans.plan_for(symbol, side)
                self.warm_up.want(need_of(plan, symbol))
        for machine in self.guard.positions.values():
            self.warm_up.want(need_of(machine.plan, machine.symbol))

    def _sources(self) -> set[tuple[str, Source]]:
        """The price sources that are looked at: those of open positions, and of symbols that are waited for."""
        wanted: set[tuple[str, Source]] = set()
        for symbol in self._watched:
            for side in self.config.manage.sides:
                wanted.add((symbol, self.plans.plan_for(symbol, side).trigger))
        for machine in self.guard.positions.values():
            wanted.add((machine.symbol, machine.plan.trigger))
        return wanted

    def _ages(self) -> dict[str, int | None]:
        seen = self.guard.mark_seen_ns
        return {symbol: seen.get(symbol) for symbol in self.guard.symbols()}

    def _on_gap(self, cause: str) -> None:
        self._private_up.set()
        self.reconciler.want(cause)

    def _on_order_socket_down(self, identities: tuple[str, ...]) -> None:
        if self.gateway is not None:
            self.gateway.on_socket_down(identities)

    def _add_secret(self, secret: bytes) -> None:
        if self.recorder is not None:
            self.recorder.add_secret(secret)

    def _note(self, kind: str, text: str) -> None:
        """What the pump could not read, or noticed: told at once, then at every tenfold of its kind."""
        self._notes[kind] += 1
        count = self._notes[kind]
        if count == 10 ** (len(str(count)) - 1):
            self.audit.publish(Noted(kind=kind, text=text, count=count), t_ns=self._clock.now_ns())

    def _logon(self, request_id: str) -> bytes:
        params: dict[str, str | int] = {
            "apiKey": self._credentials.api_key,
            "timestamp": self.server_time.timestamp_ms(self._clock.now_ns()),
            "recvWindow": self.config.orders.recv_window_ms,
        }
        signature = self._credentials.sign(ws_api_text(params))
        params["signature"] = signature
        return orjson.dumps({"id": request_id, "method": "session.logon", "params": params})

    # What is asked ----------------------------------------------------------------------------

    def _filters_for(self, symbol: str) -> Filters:
        contract = self._pump.contracts.get(symbol)
        if contract is not None:
            return filters_of(contract)
        return Filters()

    def _may_manage(self, symbol: str) -> bool:
        return any(self.config.manage.covers(symbol, side) for side in SIDES)

    def _can_watch(self, symbol: str) -> bool:
        why = self.contracts.why_not(symbol)
        if why is not None:
            self._say(why)
        note = self.contracts.note(symbol)
        if note is not None:
            self._say(note)
        return self.contracts.filters(symbol) is not None

    def _header(self, start: StartState, session: LiveSession) -> Callable[[], dict[str, Any]]:
        config = msgspec.to_builtins(self.config)
        plans = self.plans.contents()
        first = True

        def header() -> dict[str, Any]:
            nonlocal first
            state = start if first else self.state()
            first = False
            return {
                "config": config,
                "plans": plans,
                "instance": self.config.instance,
                "session": msgspec.to_builtins(session),
                "journal": msgspec.to_builtins(state),
            }

        return header

    def state(self) -> StartState:
        """What a successor that began now would have to start from."""
        book = self._pump.account.book
        return StartState(
            epochs=tuple(state_of(machine) for machine in self.guard.positions.values()),
            epoch_number=self._pump.engine.epochs,
            sides={
                f"{symbol}:{side}": book.position_side(symbol, side)
                for symbol, side in self.guard.positions
            },
            trades=book.counted_trades,
            virtual={f"{symbol}:{side}": size for (symbol, side), size in book.virtual().items()},
        )

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
