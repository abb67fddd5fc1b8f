"""The way of a price from its socket: is there an order that lies ready for it? Then what the engine says of it.

A frame is looked at for ready orders first, and one that its price reaches leaves at once. Everything else happens frame
by frame, in their order: at once too, or, where the same read brought more frames, when all of those have been looked at.

`reactor.compiled` has the same in machine code; this is what is used where nothing is compiled, and what that is held to.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec

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
from reactor.core.decisions import Decision
from reactor.errors import DecodeError, InvariantError
from reactor.shell.inbox import StreamRoute
from reactor.shell.later_writer import Writes
from reactor.shell.pump import Pump
from reactor.shell.shots import DECIDED_WITHIN_NS, ReadyShot

decode: Final[Callable[[bytes], Any]] = msgspec.json.Decoder(Envelope).decode

NEVER_NS: Final = 1 << 62

PRACTISED_EVERY_NS: Final = 1_000_000
"""How often, at most, a ready order is practised; once with every price that comes later than that."""


class Host(Protocol):
    """What a lookout hands on: the guard."""

    def on_decisions(
        self, decisions: Sequence[Decision], t_event_ms: int, route: StreamRoute, message: bytes
    ) -> None:
        """A price led to these, at the lookout's `now_ns`."""
        ...

    def take_slowly(self, route: StreamRoute, message: bytes, t_ns: int) -> None:
        """A frame that is no plain price, or one before which something else is due."""
        ...

    def on_broken(
        self, error: Exception, route: StreamRoute, message: bytes, t_ns: int, symbol: str
    ) -> None:
        """A price would have broken a rule that money depends on."""
        ...

    def on_fault(self, error: Exception, t_ns: int) -> None:
        """A frame was not decided on, by a fault of ours."""
        ...

    def rearm(self) -> None:
        """What is due next has changed."""
        ...

    def on_caught_up(self, *, has_fired: bool) -> None:
        """Nothing waits any more; whether an order had left meanwhile."""
        ...

    def practise(self) -> None:
        """Practises a ready order, between two prices."""
        ...


class Lookout:
    """Takes prices.

    Attributes:
        last_ns: the receive time of the last thing that came.
        timer_ns: from when on something is due before a price; `engine_due_ns`: the engine's share of it.
        is_inside: whether a decision is being carried out, so that a price has to wait.
        is_stopping: whether prices are not looked at any more.
        faulted: symbols that nothing is decided for any more, and why.
        mark_seen_ns: when a mark price of each symbol last came; `mark_price`: its text.
        writer: what records; None where nothing does.
    """

    def __init__(
        self, pump: Pump, host: Host, *, clock: Clock, loop: asyncio.AbstractEventLoop
    ) -> None:
        """Looks for nothing yet.

        Args:
            pump: with its engine.
            host: takes what follows.
            clock: the time.
            loop: whose turns it takes.
        """
        self._pump = pump
        self._engine = pump.engine
        self._host = host
        self._offset_ns, self._ticking_ns = parts_of(clock)
        self._loop = loop
        self.last_ns = 0
        self.timer_ns = NEVER_NS
        # The engine's share of it, so that a quiet tick compares integers and asks nobody.
        self.engine_due_ns = NEVER_NS
        self.is_inside = False
        self.is_stopping = False
        self.faulted: dict[str, str] = {}
        self.mark_seen_ns: dict[str, int] = {}
        self.mark_price: dict[str, str] = {}
        self.writer: Writes | None = None
        self._last: Mapping[str, ReadyShot] = {}
        self._mark: Mapping[str, ReadyShot] = {}
        self._practised_ns = NEVER_NS
        # Frames that nothing has been decided on yet, and whether an order left for one of them.
        self._undecided: list[tuple[Any, StreamRoute, bytes, int]] = []
        self._has_fired = False
        # Of the shots whose symbols have such frames, the newest id: what is not above it is none of their prices.
        self._passed: dict[ReadyShot, int] = {}

    @property
    def is_behind(self) -> bool:
        """Whether frames wait to be decided on."""
        return bool(self._undecided)

    def arm(
        self, last: Mapping[str, ReadyShot], mark: Mapping[str, ReadyShot], *, practises: bool
    ) -> None:
        """Gives it orders that lie ready.

        Args:
            last: by symbol, of the positions that look at last prices; kept up to date by their owner.
            mark: of those that look at mark prices.
            practises: whether they are kept warm.
        """
        self._last, self._mark = last, mark
        if practises:
            self._practised_ns = 0

    def market(self, route: StreamRoute, message: bytes, more: bool = False) -> None:
        """Takes a frame of a market or public socket, in its read callback.

        Args:
            route: of the socket.
            message: the frame.
            more: whether the same read brought another frame, which follows in this turn.
        """
        if self.is_stopping:
            return
        t_ns = self._offset_ns + self._ticking_ns()
        if t_ns < self.last_ns:  # noqa: PLR1730 - `max` takes three times as long
            t_ns = self.last_ns
        self.last_ns = t_ns
        try:
            frame = decode(message).data
        except FAULTS:
            frame = None
        undecided = self._undecided
        kind = type(frame)
        shot = None
        if kind is AggTrade:
            shot, tick_id, t_event_ms = self._last.get(frame.s), frame.a, frame.T
        elif kind is MarkPrice:
            shot, tick_id, t_event_ms = self._mark.get(frame.s), frame.E, frame.E
        if shot is not None:
            # Texts of one length compare like numbers; of the others the shot finds out.
            p, level = frame.p, shot.text
            if (p < level) is shot.is_long or p == level or len(p) != len(level):
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
            for shots in (self._last, self._mark):
                self._passed.update(dict.fromkeys(shots.values(), NEVER_NS))
        if not undecided:
            self._loop.call_soon(self._next_turn)
        undecided.append((frame, route, message, t_ns))
        if not (more or self._has_fired):
            self.catch_up()

    def _decide(self, frame: Any, route: StreamRoute, message: bytes, t_ns: int) -> None:
        """Has the engine look at a frame, and does what it decides; None for one that is none."""
        pump = self._pump
        try:
            kind = type(frame)
            if t_ns >= self.timer_ns or self.is_inside or self.faulted:
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
            self._host.take_slowly(route, message, t_ns)
            return
        except (InvariantError, AssertionError) as error:
            self._host.on_broken(error, route, message, t_ns, frame.s)
            return
        pump.now_ns = t_ns
        if decisions:
            self._host.on_decisions(decisions, getattr(frame, "E", 0), route, message)
            return
        if self.writer is not None:
            self.writer.write(t_ns, route, message)
        if self._engine.due_ns != self.engine_due_ns:
            self._host.rearm()
        if t_ns >= self._practised_ns:
            self._practised_ns = t_ns + PRACTISED_EVERY_NS
            self._loop.call_soon(self._host.practise)

    # Orders that leave ahead --------------------------------------------------------------------

    def _fire(
        self, shot: ReadyShot, frame: AggTrade | MarkPrice, tick_id: int, t_event_ms: int, t_ns: int
    ) -> bool:
        """Fires where this price surely ends in that order; answers whether it left."""
        has_left = False
        try:
            has_left = (
                frame.st == 1
                and t_ns < self.timer_ns
                # What is due to its market the shot asks itself.
                and t_ns < self._engine.steering_due_ns - DECIDED_WITHIN_NS
                and t_ns < self._pump.book_due_ns - DECIDED_WITHIN_NS
                and not self.is_inside
                and not self.faulted
                and tick_id > self._passed.get(shot, -1)
                and shot.fire(frame.p, tick_id, t_event_ms, t_ns)
            )
        except Exception as error:  # noqa: BLE001 - whether it left is not known: nothing else may, and the price is decided on
            self._passed[shot] = NEVER_NS
            self._host.on_fault(error, t_ns)
        if not has_left:
            self._pass(shot, frame.p, tick_id, t_event_ms)
            return False
        self._passed[shot] = NEVER_NS
        self._has_fired = True
        return True

    def _pass(self, shot: ReadyShot, price: str, tick_id: int, t_event_ms: int) -> None:
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
            self._loop.call_soon(self.catch_up)
        else:
            self.catch_up()

    def catch_up(self) -> None:
        """Decides on the frames that wait, in their order."""
        if self.is_inside:
            return  # whoever decides now is followed by a turn of its own
        has_fired = self._has_fired
        while self._undecided:
            waiting, self._undecided = self._undecided, []
            self._passed.clear()
            for frame, route, message, received_ns in waiting:
                # What the one before it led to was recorded at its own time, and a tape's times never run backwards.
                t_ns = max(received_ns, self._pump.now_ns)
                try:
                    self._decide(frame, route, message, t_ns)
                except Exception as error:  # noqa: BLE001 - the frames behind it are still to be decided on
                    self._host.on_fault(error, t_ns)
        self._passed.clear()
        self._has_fired = False
        self._host.on_caught_up(has_fired=has_fired)
