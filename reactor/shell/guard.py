"""The guard of one account: what comes in is decided on, sent, and only then written down.

    bytes ─▶ pump ─▶ engine ─▶ decisions ─▶ gateway (the order leaves, in the same turn)
                                   └──────▶ tape, hard stops, journal, audit (afterwards)

Everything that changes what the engine knows comes through the methods of `Inbox` here, each as one line of
a tape; so a tape of the session holds all that its decisions depended on, and a replay of it decides the same.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

import msgspec

from reactor import compiled
from reactor.audit import AlarmRaised, Audit, CommandTaken, Decided
from reactor.binance.market_messages import MarkPrice
from reactor.binance.messages import FAULTS
from reactor.clock import Clock
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
from reactor.errors import InvariantError
from reactor.shell.inbox import Command, Link, StreamRoute
from reactor.shell.later_writer import LaterWriter, Writes
from reactor.shell.lookout import NEVER_NS, Lookout, decode
from reactor.shell.pump import Pump
from reactor.shell.recorded import PolicyLine
from reactor.shell.redact import MARKET_CHANNELS
from reactor.shell.rest_seam import RestAnswer
from reactor.shell.shots import Shots
from reactor.shell.showing import Showing
from reactor.shell.tape_format import Channel, Direction, TapeLine


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
        market: takes a frame of a market or public socket, in its read callback: the lookout's own method.
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
        self._audit = audit
        self._config = config
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None
        look = Lookout if compiled.hot is None else compiled.hot.Lookout
        self._lookout: Lookout = look(pump, self, clock=clock, loop=loop)
        self.market = self._lookout.market
        self._later: LaterWriter | None = None
        self._sender: Sender | None = None
        self._ended = False
        # Orders that are asked about, until the engine knows what became of them.
        self._asked: dict[str, tuple[str, Side]] = {}
        self._waiting: list[tuple[Channel, bytes, Direction]] = []
        self._numbered = 0
        self.faulted = self._lookout.faulted
        self.mark_seen_ns = self._lookout.mark_seen_ns
        self.mark_price = self._lookout.mark_price
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
        self._is_aiming = False
        self._aims_later = False
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
        self._lookout.writer = self._later

    def fire_ahead(self, shots: Shots, *, practises: bool) -> None:
        """Gives it orders that lie ready.

        Args:
            shots: of its positions.
            practises: whether they are kept warm.
        """
        self._shots = shots
        self._lookout.arm(shots.last, shots.mark, practises=practises)
        shots.on_round = self.aim_soon

    # Of prices: what their lookout hands on ------------------------------------------------------

    def on_decisions(
        self, decisions: Sequence[Decision], t_event_ms: int, route: StreamRoute, message: bytes
    ) -> None:
        """A price led to these."""
        t_ns = self.pump.now_ns
        self._act(decisions, t_ns, t_event_ms, (route, message, "in"))
        self._settle(t_ns)

    def take_slowly(self, route: StreamRoute, message: bytes, t_ns: int) -> None:
        """A frame that is no plain price, or one before which something else is due."""
        self._take(route, message, t_ns)

    def on_broken(
        self, error: Exception, route: StreamRoute, message: bytes, t_ns: int, symbol: str
    ) -> None:
        """A price would have broken a rule that money depends on."""
        self._write(t_ns, route, message)
        self._broken(error, t_ns, symbol=symbol)

    def on_fault(self, error: Exception, t_ns: int) -> None:
        """A price was not decided on, by a fault of ours."""
        self._fault("a price", error, t_ns)

    def on_caught_up(self, *, has_fired: bool) -> None:
        """No price waits to be decided on any more."""
        if self._aims_later:
            self._aims_later = False
            self.aim_soon()
        if has_fired and self._shots is not None:
            for message in self._shots.unclaimed():
                self.order_sent(message)

    # Orders that lie ready ----------------------------------------------------------------------

    def aim_soon(self) -> None:
        """Something has changed that ready orders depend on."""
        if self._shots is not None and not self._is_aiming:
            self._is_aiming = True
            self._loop.call_soon(self._aim)

    def _aim(self) -> None:
        self._is_aiming = False
        if self._lookout.is_behind:
            # A new aim would know nothing of the prices that nothing was decided on yet.
            self._aims_later = True
        elif self._shots is not None and not self._ended:
            self._shots.aim()

    def practise(self) -> None:
        """Practises a ready order, between two prices."""
        if self._shots is not None and not self._ended and not self._lookout.is_behind:
            self._shots.practise()

    # The way in -------------------------------------------------------------------------------

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
        now_ns = max(self._clock.now_ns(), self._lookout.last_ns)
        self._lookout.last_ns = now_ns
        return now_ns

    def _take(
        self, channel: Channel, message: bytes, t_ns: int, direction: Direction = "in"
    ) -> None:
        if self._lookout.is_behind and not self._lookout.is_inside:
            self._lookout.catch_up()
            t_ns = max(t_ns, self.pump.now_ns)
        if self._lookout.is_inside:
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
        self._lookout.is_inside = True
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
            self._lookout.is_inside = False

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
            self._fault("what follows an event", error, self._lookout.last_ns)

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
        self.rearm()
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

    def rearm(self) -> None:
        """What is due next has changed: the timer is set."""
        due_ns = self.pump.due_ns
        self._lookout.timer_ns = due_ns
        self._lookout.engine_due_ns = self._engine.due_ns
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if due_ns < NEVER_NS and not self._ended:
            delay_s = max(0.0, (due_ns - self._clock.now_ns()) / 1e9)
            self._timer = self._loop.call_later(delay_s, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if self._lookout.is_behind:
            self._lookout.catch_up()
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
        if self._later is not None:
            self._later.write(t_ns, channel, message, direction)

    def _note_mark(self, message: bytes, t_ns: int) -> None:
        try:
            frame = decode(message).data
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
            return getattr(decode(message).data, "s", "") in self.faulted
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
        return f"{place}-{self._lookout.last_ns}-{self._numbered}"

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
        self._lookout.catch_up()
        self._lookout.is_stopping = True

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
        self._lookout.is_stopping = self._ended = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _nothing(_symbol: str, _side: Side) -> None:
    """No exit waits for anything."""
