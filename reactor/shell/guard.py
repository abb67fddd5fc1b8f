"""The guard of one account: what comes in is decided on, sent, and only then written down.

    bytes ─▶ pump ─▶ engine ─▶ decisions ─▶ gateway (the order leaves, in the same turn)
                                   └──────▶ tape, hard stops, journal, audit (afterwards)

Everything that changes what the engine knows comes through the methods of `Inbox` here, each as one line of
a tape; so a tape of the session holds all that its decisions depended on, and a replay of it decides the same.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final, Protocol

import msgspec

from reactor.audit import AlarmRaised, Audit, CommandTaken, Decided
from reactor.binance.market_messages import (
    AggTrade,
    BookTicker,
    Envelope,
    MarkPrice,
    Trade,
    is_market_trade,
)
from reactor.binance.messages import FAULTS
from reactor.clock import Clock, parts_of
from reactor.config import Config
from reactor.core.decisions import (
    Alarm,
    Decision,
    Exit,
    HeldBack,
    Opened,
    OrdersCancelled,
    OutcomeAsked,
    Side,
)
from reactor.core.exact import text
from reactor.core.machine import Machine
from reactor.core.market import Market, Source
from reactor.errors import DecodeError, InvariantError
from reactor.shell.inbox import Command, Link, StreamRoute
from reactor.shell.later_writer import LaterWriter, Writes
from reactor.shell.pump import Pump
from reactor.shell.recorded import PolicyLine
from reactor.shell.redact import MARKET_CHANNELS
from reactor.shell.rest_seam import RestAnswer
from reactor.shell.shots import Shot, Shots
from reactor.shell.showing import Showing
from reactor.shell.tape_format import Channel, Direction, TapeLine

_decode: Callable[[bytes], Any] = msgspec.json.Decoder(Envelope).decode

NEVER_NS: Final = 1 << 62

PRACTISED_EVERY_NS: Final = 1_000_000
"""How often, at most, a ready order is practised; once with every price that comes later than that."""


class Sender(Protocol):
    """What sends exits: the order gateway. A dry run has none."""

    def send(self, exit_: Exit, *, t_event_ms: int, t_recv_ns: int) -> list[bytes]:
        """Sends an exit in this turn; returns the requests that left, for the tape."""
        ...

    def on_answer(self, message: bytes) -> bool:
        """Takes an order's answer after the engine has; answers whether it was its own."""
        ...

    def settled(self, order_id: str) -> None:
        """The outcome that was asked for is known."""
        ...

    def ask(self, decision: OutcomeAsked) -> None:
        """Finds out what became of an order."""
        ...

    def cancel_epoch(self, decision: OrdersCancelled) -> None:
        """Cancels what an ended epoch left."""
        ...


class Guard:
    """Takes what comes in, decides, sends, and tells.

    Attributes:
        pump: decodes and drives the engine. `mark_seen_ns`: when a mark price of each symbol last came;
            `mark_price`: its text. `private_seen_ns`: when the user stream last said anything.
        sources: where each symbol's prices come from, where that is not the stream.
        protections: the names of the positions' states of protection, kept by whoever proves it.
        together: what is told of one event's decisions is written as one: the journal's turn.
        before_exit: called before an exit's order leaves.
        after: called with an event's decisions, once their orders have left. `changed`: called after every
            event that is no price. `links`: called with every change of a socket. `on_private`: called with every
            message of the user stream.
    """

    def __init__(
        self,
        pump: Pump,
        *,
        clock: Clock,
        audit: Audit,
        config: Config,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        """Guards nothing until something comes in.

        Args:
            pump: with its engine.
            clock: the time.
            audit: where everything is told.
            config: the session's.
            loop: whose timers fire what the clock makes due.
        """
        self.pump = pump
        self._engine = pump.engine
        self._clock = clock
        self._offset_ns, self._ticking_ns = parts_of(clock)
        self._audit = audit
        self._config = config
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None
        self._timer_ns = NEVER_NS
        # The engine's share of it, so that a quiet tick compares integers and asks nobody.
        self._engine_due_ns = NEVER_NS
        self._writer: Writes | None = None
        self._later: LaterWriter | None = None
        self._sender: Sender | None = None
        self._stopping = False
        self._ended = False
        self._inside = False
        # Orders that are asked about, until the engine knows what became of them.
        self._asked: dict[str, tuple[str, Side]] = {}
        self._waiting: list[tuple[Channel, bytes, Direction]] = []
        self._numbered = 0
        self._last_ns = 0
        self.faulted: dict[str, str] = {}
        self.mark_seen_ns: dict[str, int] = {}
        self.mark_price: dict[str, str] = {}
        self.private_seen_ns = 0
        self.sources: dict[str, str] = {}
        self.protections: dict[tuple[str, Side], str] = {}
        self._showing = Showing(
            self._engine,
            audit,
            unmanaged=lambda: pump.account.book.unmanaged,
            sources=self.sources,
            protections=self.protections,
        )
        self._shots: Shots | None = None
        self._shots_last: Mapping[str, Shot] = {}
        self._shots_mark: Mapping[str, Shot] = {}
        self._is_aiming = False
        self._aims_later = False
        self._practised_ns = NEVER_NS
        # Frames that nothing has been decided on yet, and whether an order left for one of them.
        self._undecided: list[tuple[Any, StreamRoute, bytes, int]] = []
        self._has_fired = False
        # Of the shots whose symbols have such frames, the newest id: what is not above it is none of their prices.
        self._passed: dict[Shot, int] = {}
        self.together: Callable[[], AbstractContextManager[object]] = nullcontext
        self.before_exit: Callable[[str, Side], None] = _nothing
        self.after: list[Callable[[Sequence[Decision], int], None]] = []
        self.changed: list[Callable[[int], None]] = []
        self.links: list[Callable[[Link, int], None]] = []
        self.on_private: list[Callable[[bytes, int], None]] = []

    def attach(self, *, sender: Sender | None, writer: Writes | None) -> None:
        """Gives it what sends and what records; a dry run has no sender."""
        self._sender = sender
        self._later = None if writer is None else LaterWriter(writer, self._loop)
        self._writer = self._later

    def fire_ahead(self, shots: Shots, *, practises: bool) -> None:
        """Gives it orders that lie ready.

        Args:
            shots: of its positions.
            practises: whether they are kept warm.
        """
        self._shots = shots
        self._shots_last, self._shots_mark = shots.last, shots.mark
        shots.on_round = self.aim_soon
        if practises:
            self._practised_ns = 0

    # The way in -------------------------------------------------------------------------------

    def market(self, route: StreamRoute, message: bytes, more: bool = False) -> None:
        """Takes a frame of a market or public socket, in its read callback.

        An order that lies ready for its price leaves at once. Everything else happens frame by frame, in their order:
        at once too, or, where the same read brought more frames, when all of those have been looked at for orders.

        Args:
            route: of the socket.
            message: the frame.
            more: whether the same read brought another frame, which follows in this turn.
        """
        if self._stopping:
            return
        t_ns = self._offset_ns + self._ticking_ns()
        if t_ns < self._last_ns:  # noqa: PLR1730 - `max` takes three times as long
            t_ns = self._last_ns
        self._last_ns = t_ns
        try:
            frame = _decode(message).data
        except FAULTS:
            frame = None
        undecided = self._undecided
        kind = type(frame)
        shot = None
        if kind is AggTrade:
            shot, tick_id, t_event_ms = self._shots_last.get(frame.s), frame.a, frame.T
        elif kind is MarkPrice:
            shot, tick_id, t_event_ms = self._shots_mark.get(frame.s), frame.E, frame.E
        if shot is not None:
            p = frame.p
            if (p < shot.text) is shot.is_long or p == shot.text:
                if self._fire(shot, frame, tick_id, t_event_ms, t_ns):
                    more = True
            elif more or undecided:
                self._pass(shot, p, tick_id, t_event_ms)
        if not (more or undecided):
            if self._passed:
                self._passed.clear()
            self._decide(frame, route, message, t_ns)
            return
        if frame is None or kind is Trade:
            # It may hold a price of any symbol, or of one whose aggregated trades come behind it.
            for shots in (self._shots_last, self._shots_mark):
                self._passed.update(dict.fromkeys(shots.values(), NEVER_NS))
        if not undecided:
            self._loop.call_soon(self._next_turn)
        undecided.append((frame, route, message, t_ns))
        if not (more or self._has_fired):
            self._catch_up()

    def _decide(self, frame: Any, route: StreamRoute, message: bytes, t_ns: int) -> None:
        """Has the engine look at a frame, and does what it decides; None for one that is none."""
        pump = self.pump
        try:
            kind = type(frame)
            if t_ns >= self._timer_ns or self._inside or self.faulted:
                raise ValueError  # timers fire first, on the long way
            if kind is AggTrade and frame.st == 1:
                decisions = self._engine.on_last(frame.s, frame.p, frame.a, frame.T, t_ns)
            elif kind is BookTicker and frame.st == 1:
                decisions = self._engine.on_book(frame.s, frame.b, frame.a, frame.u, frame.T, t_ns)
            elif kind is MarkPrice and frame.st == 1:
                decisions = self._engine.on_mark(frame.s, frame.p, frame.E, t_ns)
                self.mark_seen_ns[frame.s] = t_ns
                self.mark_price[frame.s] = frame.p
            elif kind is Trade and frame.st == 1 and is_market_trade(frame):
                decisions = self._engine.on_trade(frame.s, frame.p, frame.t, frame.T, t_ns)
            elif frame is None:
                raise ValueError  # what it is instead is told on the long way
            else:
                decisions = ()
        except (*FAULTS, DecodeError):
            self._take(route, message, t_ns)
            return
        except (InvariantError, AssertionError) as error:
            self._write(t_ns, route, message)
            self._broken(error, t_ns, symbol=frame.s)
            return
        if decisions:
            pump.now_ns = t_ns
            self._act(decisions, t_ns, getattr(frame, "E", 0), (route, message, "in"))
            self._settle(t_ns)
            return
        pump.now_ns = t_ns
        if self._writer is not None:
            self._writer.write(t_ns, route, message)
        if self._engine.due_ns != self._engine_due_ns:
            self._arm()
        if t_ns >= self._practised_ns:
            self._practised_ns = t_ns + PRACTISED_EVERY_NS
            self._loop.call_soon(self._practise)

    # Orders that left ahead ---------------------------------------------------------------------

    def _fire(
        self, shot: Shot, frame: AggTrade | MarkPrice, tick_id: int, t_event_ms: int, t_ns: int
    ) -> bool:
        """Fires where this price surely ends in that order; answers whether it left."""
        if (
            frame.st != 1
            or t_ns >= self._timer_ns
            or self._inside
            or self.faulted
            or tick_id <= self._passed.get(shot, -1)
            or not shot.fire(frame.p, tick_id, t_event_ms, t_ns)
        ):
            self._pass(shot, frame.p, tick_id, t_event_ms)
            return False
        self._passed[shot] = NEVER_NS
        self._has_fired = True
        return True

    def _pass(self, shot: Shot, price: str, tick_id: int, t_event_ms: int) -> None:
        """A frame that is not decided on yet: does it leave a later price meaning what it means now?"""
        passed = self._passed
        if tick_id > passed.get(shot, -1):
            passed[shot] = tick_id if shot.is_calm(price, t_event_ms) else NEVER_NS

    def _next_turn(self) -> None:
        """The turn that brought frames is over.

        Where an order left, one more is waited for: a socket that writes at the end of its turn has written by then,
        and other symbols' prices that are here have had their orders.
        """
        if self._has_fired:
            self._loop.call_soon(self._catch_up)
        else:
            self._catch_up()

    def _catch_up(self) -> None:
        """Decides on the frames that wait, in their order."""
        if self._inside:
            return  # whoever decides now is followed by a turn of its own
        had_fired = self._has_fired
        while self._undecided:
            waiting, self._undecided = self._undecided, []
            self._passed.clear()
            for frame, route, message, received_ns in waiting:
                # What the one before it led to was recorded at its own time, and a tape's times never run backwards.
                t_ns = max(received_ns, self.pump.now_ns)
                try:
                    self._decide(frame, route, message, t_ns)
                except Exception as error:  # noqa: BLE001 - the frames behind it are still to be decided on
                    self._fault("a price", error, t_ns)
        self._passed.clear()
        self._has_fired = False
        if self._aims_later:
            self._aims_later = False
            self.aim_soon()
        if had_fired and self._shots is not None:
            for message in self._shots.unclaimed():
                self.order_sent(message)

    def aim_soon(self) -> None:
        """Something has changed that ready orders depend on."""
        if self._shots is not None and not self._is_aiming:
            self._is_aiming = True
            self._loop.call_soon(self._aim)

    def _aim(self) -> None:
        self._is_aiming = False
        if self._undecided:
            # A new aim would know nothing of the prices that nothing was decided on yet.
            self._aims_later = True
        elif self._shots is not None and not self._ended:
            self._shots.aim()

    def _practise(self) -> None:
        if self._shots is not None and not self._ended and not self._undecided:
            self._shots.practise()

    def private(self, message: bytes) -> None:
        """Takes a frame of the user-data socket."""
        t_ns = self._now()
        self.private_seen_ns = t_ns
        self._take("private", message, t_ns)
        for listener in self.on_private:
            self._call(listener, message, t_ns)

    def order_sent(self, message: bytes) -> None:
        """Takes an order request as it left."""
        self._take("order", message, self._now(), "out")

    def order_answer(self, message: bytes) -> None:
        """Takes an order's answer."""
        self._take("order", message, self._now())
        if self._sender is not None:
            self._sender.on_answer(message)

    def rest(self, answer: RestAnswer) -> None:
        """Takes a REST answer at the moment at which it is to count."""
        self._take("rest", answer.message(), self._now())

    def link(self, link: Link) -> None:
        """Takes a socket's change of state."""
        if link.state == "source":
            self.sources[link.symbol] = link.source
        t_ns = self._now()
        self._take("link", msgspec.json.encode(link), t_ns)
        for listener in self.links:
            self._call(listener, link, t_ns)

    def command(self, command: Command) -> None:
        """Takes a command of an operator, or of this process itself."""
        t_ns = self._now()
        self._take("control", msgspec.json.encode(command), t_ns)
        if command.by == "operator":
            self._audit.publish(
                CommandTaken(
                    command=command.command,
                    symbol=command.symbol,
                    side=command.side,
                    text=command.price,
                ),
                t_ns=t_ns,
            )
        machine = self._engine.positions.get((command.symbol, command.side))
        if machine is not None:
            self._showing.one(machine, t_ns)

    def policy(self, line: PolicyLine) -> str:
        """Takes an exit policy from outside; answers why it will not do what it says, if so."""
        t_ns = self._now()
        self._take("control", msgspec.json.encode(line), t_ns)
        said = " ".join(word for word in (line.mode, line.regime, line.note) if word)
        self._audit.publish(
            CommandTaken(command="policy", symbol=line.symbol, side=line.side, text=said), t_ns=t_ns
        )
        return self._engine.policy_doubt(line.policy())

    def ms_from_now(self, seconds: float | None) -> int | None:
        """An instant so many seconds from now, milliseconds since the Unix epoch; None stays None."""
        return None if seconds is None else self._now() // 1_000_000 + round(seconds * 1000)

    # Inside -----------------------------------------------------------------------------------

    def _now(self) -> int:
        """The receive time: never before the last one, so that a tape's times never run backwards."""
        now_ns = self._clock.now_ns()
        if now_ns < self._last_ns:
            return self._last_ns
        self._last_ns = now_ns
        return now_ns

    def _take(
        self, channel: Channel, message: bytes, t_ns: int, direction: Direction = "in"
    ) -> None:
        if self._undecided and not self._inside:
            self._catch_up()
            t_ns = max(t_ns, self.pump.now_ns)
        if self._inside:
            # Whoever reacts to a decision by telling something tells it after that decision.
            self._waiting.append((channel, message, direction))
            return
        self._one(channel, message, t_ns, direction)
        self._settle(t_ns)

    def _one(self, channel: Channel, message: bytes, t_ns: int, direction: Direction) -> None:
        decisions: Sequence[Decision] = ()
        try:
            if not (channel in MARKET_CHANNELS and self._is_faulted(message)):
                raw = msgspec.Raw(message)
                decisions = self.pump.take(TapeLine(t_ns, channel, raw, direction))
        except (InvariantError, AssertionError) as error:
            self._broken(error, t_ns)
        if channel == "market":
            self._note_mark(message, t_ns)
        self._act(decisions, t_ns, 0, (channel, message, direction))
        if channel not in MARKET_CHANNELS:
            for listener in self.changed:
                self._call(listener, t_ns)

    def _act(
        self,
        decisions: Sequence[Decision],
        t_ns: int,
        t_event_ms: int,
        line: tuple[Channel, bytes, Direction] | None,
    ) -> None:
        """Sends what was decided; then records, and tells whoever reacts."""
        self._inside = True
        try:
            sent: list[bytes] = []
            if self._sender is not None:
                for decision in decisions:
                    if type(decision) is Exit:
                        sent += self._send(decision, t_event_ms, t_ns)
            if line is not None:
                self._write(t_ns, *line)
            for message in sent:
                self._write(t_ns, "order", message, "out")
                self.pump.take(TapeLine(t_ns, "order", msgspec.Raw(message), "out"))
            if decisions:
                self._follow(decisions, t_ns)
        finally:
            self._inside = False

    def _send(self, exit_: Exit, t_event_ms: int, t_ns: int) -> list[bytes]:
        """Sends one exit. A fault of ours in it must not keep the next one back, nor leave this one forgotten."""
        assert self._sender is not None
        self._call(self.before_exit, exit_.symbol, exit_.side)
        try:
            return self._sender.send(exit_, t_event_ms=t_event_ms, t_recv_ns=t_ns)
        except Exception as error:  # noqa: BLE001 - whatever it is, the outcome is not known
            self._fault("an exit", error, t_ns, symbol=exit_.symbol)
            outcome = Command(
                command="outcome",
                symbol=exit_.symbol,
                side=exit_.side,
                order_id=exit_.order_id,
                event="unknown",
                by="guard",
            )
            self._waiting.append(("control", msgspec.json.encode(outcome), "in"))
            return []

    def _follow(self, decisions: Sequence[Decision], t_ns: int) -> None:
        with self.together():
            self._tell(decisions, t_ns)
            for listener in self.after:
                self._call(listener, decisions, t_ns)
        self._showing.touched(decisions, t_ns)

    def _call(self, listener: Callable[..., None], *arguments: object) -> None:
        """Tells a listener; what it raises is told, and reaches nobody else."""
        try:
            listener(*arguments)
        except Exception as error:  # noqa: BLE001 - who follows must not stop who acts
            self._fault("what follows an event", error, self._last_ns)

    def _fault(self, where: str, error: Exception, t_ns: int, *, symbol: str = "") -> None:
        self._audit.publish(
            AlarmRaised(
                kind="fault",
                text=f"{where} failed here: {type(error).__name__}: {error}; this is a bug of ours",
                symbol=symbol,
                key=f"fault:{where}:{type(error).__name__}",
            ),
            t_ns=t_ns,
        )

    def _tell(self, decisions: Sequence[Decision], t_ns: int) -> None:
        for decision in decisions:
            self._audit.publish(Decided(decision=decision, id=self._id(decision)), t_ns=t_ns)
            match decision:
                case OutcomeAsked() if self._sender is not None:
                    self._asked[decision.order_id] = (decision.symbol, decision.side)
                    self._sender.ask(decision)
                case OrdersCancelled() if self._sender is not None:
                    self._sender.cancel_epoch(decision)
                case Alarm(kind=kind) if kind:
                    self._audit.publish(
                        AlarmRaised(
                            kind=kind,
                            text=decision.what,
                            symbol=decision.symbol,
                            key=f"{kind}:{decision.symbol}:{decision.side or ''}",
                        ),
                        t_ns=t_ns,
                    )
                case HeldBack():
                    self._audit.publish(
                        AlarmRaised(
                            kind="held_back",
                            text=f"{decision.symbol} {decision.side}: a {decision.what} at"
                            f" {text(decision.level)} is held back until the price is beyond it",
                            symbol=decision.symbol,
                            key=f"held:{decision.symbol}:{decision.side}:{decision.what}",
                        ),
                        t_ns=t_ns,
                    )

    def _settle(self, t_ns: int) -> None:
        """Takes what was told meanwhile, and sets the timer."""
        while self._waiting:
            channel, message, direction = self._waiting.pop(0)
            self._one(channel, message, max(t_ns, self._now()), direction)
        if self._asked:
            self._stop_asking()
        self._arm()
        self.aim_soon()

    def _stop_asking(self) -> None:
        for order_id, key in tuple(self._asked.items()):
            machine = self._engine.positions.get(key)
            orders = () if machine is None else (machine.orders.partial, machine.orders.full)
            open_ids = {order.exit.order_id for order in orders if order is not None}
            if order_id not in open_ids or machine is None or not machine.orders.is_unknown:
                del self._asked[order_id]
                if self._sender is not None:
                    self._sender.settled(order_id)

    def _arm(self) -> None:
        due_ns = self.pump.due_ns
        self._timer_ns = due_ns
        self._engine_due_ns = self._engine.due_ns
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if due_ns < NEVER_NS and not self._ended:
            delay_s = max(0.0, (due_ns - self._clock.now_ns()) / 1e9)
            self._timer = self._loop.call_later(delay_s, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if self._undecided:
            self._catch_up()
        t_ns = self._now()
        try:
            decisions = self.pump.on_time(t_ns)
        except (InvariantError, AssertionError) as error:
            self._broken(error, t_ns)
            decisions = ()
        self.pump.now_ns = max(self.pump.now_ns, t_ns)
        if decisions:
            self._act(decisions, t_ns, 0, None)
        self._settle(t_ns)

    def _write(
        self, t_ns: int, channel: Channel, message: bytes, direction: Direction = "in"
    ) -> None:
        if self._writer is not None:
            self._writer.write(t_ns, channel, message, direction)

    def _note_mark(self, message: bytes, t_ns: int) -> None:
        try:
            frame = _decode(message).data
        except FAULTS:
            return
        if type(frame) is MarkPrice and frame.st == 1:
            self.mark_seen_ns[frame.s] = t_ns
            self.mark_price[frame.s] = frame.p

    def _is_faulted(self, message: bytes) -> bool:
        """Whether a frame is of a symbol that is not looked at any more."""
        if not self.faulted:
            return False
        try:
            return getattr(_decode(message).data, "s", "") in self.faulted
        except FAULTS:
            return False

    def _broken(self, error: Exception, t_ns: int, *, symbol: str = "") -> None:
        """A rule that money depends on would have been broken: nothing is decided for the symbol any more.

        Its hard stop stands, its protection is told as missing, and a person is told now.
        """
        symbol = symbol or str(error).partition(":")[0]
        self.faulted[symbol] = str(error)
        self._audit.publish(
            AlarmRaised(
                kind="invariant", text=str(error), symbol=symbol, key=f"invariant:{symbol}"
            ),
            t_ns=t_ns,
        )

    def _id(self, decision: Decision) -> str:
        if isinstance(decision, Exit):
            place = f"{decision.symbol}-{decision.side}-{decision.epoch}-{decision.number}"
            return f"{place}-{decision.attempt}" if decision.attempt else place
        if isinstance(decision, Opened):
            return f"{decision.symbol}-{decision.side}-{decision.epoch}-opened"
        self._numbered += 1
        parts = (decision.symbol, decision.side, decision.epoch, type(decision).__name__.lower())
        place = "-".join(str(part) for part in parts if part is not None)
        return f"{place}-{self._last_ns}-{self._numbered}"

    def show_all(self) -> None:
        """Tells how every position stands, ours and others'; called once a second."""
        self._showing.all(self._clock.now_ns())

    # What is asked ----------------------------------------------------------------------------

    @property
    def positions(self) -> Mapping[tuple[str, Side], Machine]:
        """The machines of the open epochs."""
        return self._engine.positions

    def market_of(self, machine: Machine) -> Market | None:
        """The market that drives a machine."""
        return self._engine.market(machine.plan.trigger, machine.symbol)

    def symbols(self) -> set[str]:
        """The symbols of guarded positions."""
        return {symbol for symbol, _ in self._engine.positions}

    def triggers(self, symbol: str) -> set[Source]:
        """The price sources that the positions of a symbol look at."""
        return {
            machine.plan.trigger
            for (name, _), machine in self._engine.positions.items()
            if name == symbol
        }

    def write_down(self) -> None:
        """Hands what was recorded on to the tape now, instead of in a few milliseconds."""
        if self._later is not None:
            self._later.drain()

    def stop(self) -> None:
        """Looks at no price any more; exits that are in flight are seen through."""
        self._catch_up()
        self._stopping = True

    def end(self) -> None:
        """Says what is known of positions that just ended, then does nothing more."""
        self.stop()
        decisions = self.pump.finish()
        # Until this moment timers fired: a replay's do so too, and no longer.
        t_ns = self.pump.now_ns
        self._write(t_ns, "link", msgspec.json.encode(Link(stream="process", state="ended")))
        if decisions:
            self._act(decisions, t_ns, 0, None)
        self.write_down()
        self._stopping = self._ended = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _nothing(_symbol: str, _side: Side) -> None:
    """No exit waits for anything."""
