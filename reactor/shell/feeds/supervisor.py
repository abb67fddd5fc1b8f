"""What every feed does for its socket: keeps one open, and replaces it without a moment between.

One loop waits for whatever comes first: the socket's end, a wish to replace it, its age, or a new one being
ready. A socket is replaced by dialling beside it; the old one is closed once the new one carries what is
wanted. Duplicates in between are harmless, the engine knows events by their ids.
"""

import abc
import asyncio
import contextlib
import random
import re
from typing import Any, Final, Generic, Literal, TypeVar

import msgspec

from reactor.audit import AlarmRaised, Audit, LinkChanged
from reactor.binance.redaction import line, redact
from reactor.clock import Clock
from reactor.errors import ConnectFailed, RestNotSent, Unreachable
from reactor.limits import REASON_CHARS_MAX
from reactor.shell.feeds.backoff import HEALTHY_AFTER_S, Backoff
from reactor.shell.feeds.connection import Connection
from reactor.shell.inbox import Inbox, Link, LinkName
from reactor.shell.transport.seam import SocketOptions, Transport

USABLE_WITHIN_S: Final = 10.0
"""From the handshake to carrying what is wanted: a few round trips."""
PROVEN_WITHIN_S: Final = 5.0
"""How long a replacement may take to deliver while the old one still does."""
LINGER_S: Final = 1.0
"""How long a replaced socket is kept: what was on its way on both sides of the change arrives."""
UNREACHABLE_CEILING_S: Final = 0.8
"""While nobody answers, the network is away, and prices should be back within a second of it. Such attempts
do not reach the exchange, so that they cannot count against us there."""
SERVER_FAULT: Final = 500
FAULT_CEILING_S: Final = 2.0
"""Where it has a fault of its own (maintenance, overload): on average one attempt a second, 300 in five minutes."""
REFUSED_CEILING_S: Final = 5.0
"""Where it answers and then refuses or hangs up."""
BANNED_CEILING_S: Final = 60.0
"""Where it says that we are too many: every attempt prolongs that."""
ROTATION_JITTER: Final = 0.05
"""Sockets opened together are not rotated together."""
_BANNED: Final = frozenset({403, 418, 429})
_STATUS: Final = re.compile(r": HTTP (\d{3})\b")
_NS: Final = 1_000_000_000

FeedPhase = Literal["idle", "connecting", "up", "silent", "down"]
C = TypeVar("C", bound=Connection)


class FeedState(msgspec.Struct, frozen=True, kw_only=True):
    """What a status shows of one socket.

    Attributes:
        name: which. `phase`: idle (nothing wanted yet), connecting (never up so far), up, silent or down.
        since_ns: since when. `reason`: of the last change.
        connected_ns: when the present socket was opened; 0 without one.
        delivered: messages of data on it.
        drops, rotations, failures: lost sockets, replaced ones, attempts that came to nothing, in all.
    """

    name: str
    phase: FeedPhase
    since_ns: int
    reason: str
    connected_ns: int
    delivered: int
    drops: int
    rotations: int
    failures: int


def http_status(error: Exception) -> int:
    """The status with which a handshake was refused; 0 where there was none.

    Transports say it as `…: HTTP 403 Forbidden` (`transport.address.status_text`).
    """
    found = _STATUS.search(str(error)) if isinstance(error, ConnectFailed) else None
    return int(found[1]) if found else 0


class Supervisor(abc.ABC, Generic[C]):
    """Keeps one socket open until it is cancelled.

    Args:
        name: what the socket is called in links and alarms.
        transport, options: how it is made.
        inbox, audit, clock: who is told, and when it is.
        chance: jitter.
        rotate_s: the age in seconds at which a socket is replaced; the exchange ends it at 24 hours.
    """

    def __init__(
        self,
        *,
        name: LinkName,
        transport: Transport,
        options: SocketOptions,
        inbox: Inbox,
        audit: Audit,
        clock: Clock,
        chance: random.Random,
        rotate_s: float,
    ) -> None:
        self.name: Final = name
        self._transport = transport
        self._options = options
        self._inbox = inbox
        self._audit = audit
        self._clock = clock
        self._chance = chance
        self._rotate_s = rotate_s
        self._backoff = Backoff(chance)
        self._delay_s = 0.0
        self.live: C | None = None
        self._open: set[C] = set()
        """Every connection that is being made, in use, or lingering."""
        self._coming: asyncio.Task[C] | None = None
        self._leaving: set[asyncio.Task[None]] = set()
        self._nudged: asyncio.Future[None] | None = None
        self._hurry = asyncio.Event()
        self._phase: FeedPhase = "idle"
        self._since_ns = clock.now_ns()
        self._reason = ""
        self._drops = self._rotations = self._failures = self._faults = 0

    # What a feed says ---------------------------------------------------------------------------

    def _is_needed(self) -> bool:
        """Whether a socket is wanted at all."""
        return True

    @abc.abstractmethod
    async def _address(self) -> str:
        """The URL to dial.

        Raises:
            Unreachable: there is none now.
        """

    @abc.abstractmethod
    def _make(self) -> C:
        """What will react to the next socket."""

    @abc.abstractmethod
    async def _tend(self, connection: C) -> None:
        """Looks after a connection from its handshake on: makes it usable, notices when it is of no use."""

    def _is_proven(self, new: C, old: C) -> bool:
        """Whether a usable connection may take the place of one that is still open."""
        return True

    async def _drain(self, old: C) -> None:
        """Waits until a replaced connection may be closed."""
        await asyncio.sleep(LINGER_S)

    def _on_live(self, cause: str) -> None:
        """A connection is in use from now on: the first one, or another."""

    def _on_over(self, connection: C, reason: str) -> None:
        """A connection is of no use any more: lost, replaced, or never usable."""

    def _on_failed(self, error: Exception) -> None:
        """An attempt came to nothing."""

    def _tell(self, phase: FeedPhase, reason: str, *, gap: bool) -> None:
        """Tells a change of the link, once."""
        if phase == self._phase:
            return
        self._note(phase, reason)
        if phase in {"up", "down", "silent"}:
            state: Literal["up", "down", "silent"] = phase
            self._tell_link(state, reason, gap=gap)

    def _tell_link(self, state: Literal["up", "down", "silent"], reason: str, *, gap: bool) -> None:
        self._inbox.link(Link(state=state, stream=self.name, reason=reason, gap=gap))
        self.publish_link(state, reason)

    # What everybody may ask ---------------------------------------------------------------------

    @property
    def state(self) -> FeedState:
        """What a status shows."""
        live = self.live
        return FeedState(
            name=self.name,
            phase=self._phase,
            since_ns=self._since_ns,
            reason=self._reason,
            connected_ns=live.opened_ns if live else 0,
            delivered=live.delivered if live else 0,
            drops=self._drops,
            rotations=self._rotations,
            failures=self._failures,
        )

    def replace(self, reason: str) -> bool:
        """Asks for another socket beside the present one, which is closed once the other one works.

        Returns:
            Whether one will be made. Not where it is being made already, where there is none (the next one is
            on its way), or where the present one is younger than `HEALTHY_AFTER_S`: who asks again and again
            must not use up the connections that the exchange allows.
        """
        live = self.live
        if live is None or live.replace_reason or self._age_s(live) < HEALTHY_AFTER_S:
            return False
        self._ask_replacement(live, reason, is_planned=False)
        return True

    async def run(self) -> None:
        """Keeps the socket open until cancelled; nothing is left open or running then."""
        try:
            while True:
                try:
                    await self._step()
                except Exception as error:  # noqa: BLE001 -- one bad turn must not end the feed
                    self._fault(error)
                    await asyncio.sleep(UNREACHABLE_CEILING_S)
        finally:
            await self._end_all()

    # The loop -----------------------------------------------------------------------------------

    async def _step(self) -> None:
        live = self.live
        if live is not None and not live.replace_reason and self._rotation_in_s(live) <= 0:
            self._ask_replacement(live, "planned rotation", is_planned=True)
        if self._coming is None and self._wants_another():
            self._hurry.clear()
            if self._phase == "idle":
                self._note("connecting", "")
            self._coming = asyncio.create_task(self._dial(), name=f"{self.name} dials")
        self._nudged = asyncio.get_running_loop().create_future()
        waiting: set[asyncio.Future[Any]] = {self._nudged}
        timeout_s: float | None = None
        if self._coming is not None:
            waiting.add(self._coming)
        if live is not None:
            waiting.add(live.over)
            if not live.replace_reason:
                timeout_s = self._rotation_in_s(live)
        await asyncio.wait(waiting, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if live is not None and live.over.done():
            self._lost(live, live.over.result())
        if self._coming is not None and self._coming.done():
            coming, self._coming = self._coming, None
            self._arrived(coming)

    def _wants_another(self) -> bool:
        return self._is_needed() if self.live is None else bool(self.live.replace_reason)

    def _rotation_in_s(self, live: C) -> float:
        return (live.rotate_ns - self._clock.now_ns()) / _NS

    def _age_s(self, connection: C) -> float:
        return (self._clock.now_ns() - connection.opened_ns) / _NS

    def _nudge(self) -> None:
        """Something changed that the loop should look at."""
        if self._nudged is not None and not self._nudged.done():
            self._nudged.set_result(None)

    def _ask_replacement(self, live: C, reason: str, *, is_planned: bool) -> None:
        live.replace_reason = self._shown(reason)
        live.is_planned = is_planned
        live.delivered_when_asked = live.delivered
        self._nudge()

    # Dialling -----------------------------------------------------------------------------------

    async def _dial(self) -> C:
        """A connection that carries what is wanted of it."""
        await self._doze(self._delay_s)
        url = await self._address()
        connection = self._make()
        self._open.add(connection)
        try:
            connection.socket = await self._transport.connect(
                url, connection, options=self._options
            )
            connection.opened_ns = self._clock.now_ns()
            age_s = self._rotate_s * (1.0 - self._chance.uniform(0.0, ROTATION_JITTER))
            connection.rotate_ns = connection.opened_ns + round(age_s * _NS)
            connection.tending = asyncio.create_task(
                self._look_after(connection), name=f"{self.name} tends"
            )
            await self._until_usable(connection)
        except BaseException as error:
            connection.abort()
            await self._forget(connection, str(error))
            raise
        return connection

    async def _until_usable(self, connection: C) -> None:
        """Waits until it carries what is wanted, and proves it if there is another one still.

        Raises:
            Unreachable: it ended, it took too long, or the old one delivers and this one does not.
        """
        either: set[asyncio.Future[Any]] = {connection.usable, connection.over}
        await asyncio.wait(either, timeout=USABLE_WITHIN_S, return_when=asyncio.FIRST_COMPLETED)
        if connection.over.done():
            raise Unreachable(f"{self.name}: {connection.over.result()}")
        if not connection.usable.done():
            raise Unreachable(f"{self.name}: connected, but not usable in {USABLE_WITHIN_S:g} s")
        until_ns = self._clock.now_ns() + round(PROVEN_WITHIN_S * _NS)
        # A poll, so that the path of a message has nothing to look after; it lasts a moment a day.
        while (old := self.live) is not None and not self._is_proven(connection, old):
            if connection.over.done():
                raise Unreachable(f"{self.name}: {connection.over.result()}")
            if self._clock.now_ns() >= until_ns:
                if old.delivered > old.delivered_when_asked:
                    raise Unreachable(f"{self.name}: the new socket is mute, the old one is not")
                return
            await asyncio.sleep(0.02)

    async def _look_after(self, connection: C) -> None:
        try:
            await self._tend(connection)
        except Exception as error:  # noqa: BLE001 -- one bad connection must not end the feed
            self._fault(error)
            connection.finish(f"internal fault: {type(error).__name__}")

    async def _doze(self, delay_s: float) -> None:
        """Waits, but not when there is reason to hurry."""
        if delay_s > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay_s):
                    await self._hurry.wait()

    # What became of it --------------------------------------------------------------------------

    def _arrived(self, dialled: "asyncio.Task[C]") -> None:
        error = dialled.exception()
        if error is None:
            new = dialled.result()
            if not new.over.done():
                self._promote(new)
                return
            self._leave(new)
            error = Unreachable(f"{self.name}: {new.over.result()}")
        if not isinstance(error, Exception):
            raise error
        if not isinstance(error, Unreachable):
            self._fault(error)
        self._failures += 1
        self._delay_s = self._backoff.next_s(ceiling_s=self._ceiling_s(error))
        self._on_failed(error)
        if self.live is None:
            self._tell("down", self._shown(str(error)), gap=False)

    def _ceiling_s(self, error: Exception) -> float:
        status = http_status(error)
        if status in _BANNED:
            return BANNED_CEILING_S
        if status >= SERVER_FAULT:
            return FAULT_CEILING_S
        is_unreachable = isinstance(error, ConnectFailed | RestNotSent) and not status
        return UNREACHABLE_CEILING_S if is_unreachable else REFUSED_CEILING_S

    def _promote(self, new: C) -> None:
        old, self.live = self.live, new
        self._delay_s = 0.0
        cause = self._reason or "started"
        if old is not None:
            cause = old.replace_reason
            was_deaf = old.delivered == old.delivered_when_asked
            self._rotations += 1
            old.is_replaced = True
            self._leave(old, is_gentle=True)
            if not old.is_planned and was_deaf and self._phase == "up":
                self._tell("down", cause, gap=True)
            self.publish_link("replaced", cause)
        self._tell_up(new)
        self._on_live(cause)

    def _tell_up(self, new: C) -> None:
        self._tell("up", "", gap=False)

    def _lost(self, live: C, reason: str) -> None:
        """The connection in use is gone: the next one at once, if this one had lived for a while."""
        self.live = None
        self._drops += 1
        self._backoff.ended(self._age_s(live))
        self._delay_s = self._backoff.next_s(ceiling_s=REFUSED_CEILING_S)
        if self._delay_s == 0:
            self._hurry.set()  # a replacement may be waiting for its next attempt
        self._leave(live)
        self._tell("down", self._shown(reason), gap=True)

    # Endings ------------------------------------------------------------------------------------

    def _leave(self, old: C, *, is_gentle: bool = False) -> None:
        """Ends a connection that another one has replaced (gently), or that is of no use any more."""
        if not is_gentle:
            old.abort()
        task = asyncio.create_task(
            self._farewell(old, is_gentle=is_gentle), name=f"{self.name} leaves"
        )
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def _farewell(self, old: C, *, is_gentle: bool) -> None:
        try:
            if is_gentle and not old.over.done():
                drained = asyncio.create_task(self._drain(old), name=f"{self.name} drains")
                either: set[asyncio.Future[Any]] = {drained, old.over}
                try:
                    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    drained.cancel()
                    await asyncio.gather(drained, return_exceptions=True)
                if old.socket is not None:
                    old.socket.close(reason=old.replace_reason[:100])
                    await asyncio.wait({old.over}, timeout=self._options.close_timeout_s * 2)
        finally:
            old.abort()
            await self._forget(old, old.over.result())

    async def _forget(self, connection: C, reason: str) -> None:
        self._open.discard(connection)
        if connection.tending is not None:
            connection.tending.cancel()
            await asyncio.gather(connection.tending, return_exceptions=True)
        try:
            self._on_over(connection, reason)
        except Exception as error:  # noqa: BLE001 -- it is told at an end, nobody waits for it
            self._fault(error)

    async def _end_all(self) -> None:
        """Cancels and awaits everything that runs, and cuts what is open."""
        tasks: list[asyncio.Task[None] | asyncio.Task[C]] = [*self._leaving]
        if self._coming is not None:
            tasks.append(self._coming)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for connection in list(self._open):
            connection.abort()
            await self._forget(connection, "stopped")
        self.live = self._coming = None
        self._note("idle", "stopped")

    # Telling ------------------------------------------------------------------------------------

    def _note(self, phase: FeedPhase, reason: str) -> None:
        self._phase, self._reason, self._since_ns = phase, reason, self._clock.now_ns()

    def publish_link(self, state: str, reason: str) -> None:
        """Puts a change into the audit stream."""
        self._audit.publish(
            LinkChanged(stream=self.name, state=state, reason=reason), t_ns=self._clock.now_ns()
        )

    def _alarm(self, kind: str, text: str) -> None:
        self._audit.publish(
            AlarmRaised(kind=kind, text=text, key=f"{kind}:{self.name}"), t_ns=self._clock.now_ns()
        )

    def _fault(self, error: Exception) -> None:
        """Our own mistake, caught at the edge: told the 1st, 2nd, 4th, 8th … time."""
        self._faults += 1
        if self._faults & (self._faults - 1) == 0:
            what = self._shown(f"{type(error).__name__}: {error}")
            self._alarm("feed_fault", f"{self.name}: {what} ({self._faults} times)")

    @staticmethod
    def _shown(text: str) -> str:
        return line(redact(text), chars_max=REASON_CHARS_MAX)
