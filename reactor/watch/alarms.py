"""Telling people: alarms from the audit stream to a command and a web address, and a sign of life.

An unattended process must never be silently unprotected. Alarms say what is wrong as long as this process
can speak; the heartbeat is for when it cannot: it is sent only while all is well, so whoever waits for it
notices that it stopped (a dead-man's switch). Failing to tell is counted and logged, and affects nothing.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from reactor.audit import AlarmRaised, AuditEvent, Started
from reactor.clock import Clock
from reactor.watch.channels import Channel, Told, Web, shown_url
from reactor.watch.delivery import Deliveries
from reactor.watch.health import Readiness
from reactor.watch.picture import alarm_key, alarm_of
from reactor.watch.suppression import Message, Suppression

QUEUE_MAX: Final = 100
"""More than a person reads. What does not fit is counted, and the next message says so."""

WORKERS: Final = 2
"""A channel that hangs delays its neighbour, not everything."""

CHECK_EVERY_S: Final = 1.0
UNREADY_S: Final = 30.0
TEXT_CHARS_MAX: Final = 2000

_log = structlog.get_logger("reactor.alarms")


class Alarms:
    """Tells people what the stream alarms of.

    Args:
        channels: the ways to them; none is allowed.
        clock: by which repeats are held back.
        repeat_s: for how long, in seconds.
        deliveries: counted here.
        ready: asked every second: what is not ready for `unready_s` seconds is an alarm of its own, so that
            nothing unprotected depends on somebody else's having said so.
        unready_s: see there.
    """

    def __init__(
        self,
        channels: Sequence[Channel],
        *,
        clock: Clock,
        repeat_s: float,
        deliveries: Deliveries,
        ready: Callable[[], Readiness] | None = None,
        unready_s: float = UNREADY_S,
    ) -> None:
        self._channels = tuple(channels)
        self._clock = clock
        self._deliveries = deliveries
        self._ready = ready
        self._unready_ns = round(unready_s * 1e9)
        self._unready_since_ns: int | None = None
        self._unready_next_ns = 0
        self._repeat_ns = round(repeat_s * 1e9)
        self._suppression = Suppression(repeat_s=repeat_s)
        self._queue: deque[Message] = deque()
        self._waiting = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._busy = 0
        self._dropped = 0
        self._started: Started | None = None

    def watch(self, event: AuditEvent) -> None:
        """Takes an event of the stream; never waits."""
        if isinstance(event.what, Started):
            self._started = event.what
        alarm = alarm_of(event)
        if alarm is not None:
            self._take(alarm, event.t_ns)

    async def run(self) -> None:
        """Delivers until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._check(), name="alarms check")
                for number in range(WORKERS):
                    group.create_task(self._work(), name=f"alarms deliver {number}")
        finally:
            for channel in self._channels:
                await channel.close()

    async def drain(self, *, timeout_s: float) -> bool:
        """Waits until everything is told, for so long at most; tells whether it was. `run` must run."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    def _take(self, alarm: AlarmRaised, t_ns: int) -> None:
        message = self._suppression.take(alarm_key(alarm), alarm, now_ns=t_ns)
        self._deliveries.suppressed = self._suppression.suppressed
        if message is not None:
            self._put(message)

    def _put(self, message: Message) -> None:
        if not self._channels:
            return
        if len(self._queue) >= QUEUE_MAX:
            self._dropped += 1
            self._deliveries.dropped += 1
            return
        self._queue.append(message)
        self._idle.clear()
        self._waiting.set()

    async def _check(self) -> None:
        while True:
            await asyncio.sleep(CHECK_EVERY_S)
            now_ns = self._clock.now_ns()
            self._check_ready(now_ns)
            for message in self._suppression.due(now_ns=now_ns):
                self._put(message)

    def _check_ready(self, now_ns: int) -> None:
        if self._ready is None:
            return
        state = self._ready()
        if state.ready:
            if self._unready_since_ns is not None:
                self._unready_since_ns = None
                text = "everything that is managed is guarded again"
                self._take(
                    AlarmRaised(kind="not_ready", text=text, key="not_ready", resolved=True), now_ns
                )
            return
        if self._unready_since_ns is None:
            self._unready_since_ns = now_ns
            self._unready_next_ns = now_ns + self._unready_ns
        if now_ns >= self._unready_next_ns:
            self._unready_next_ns = now_ns + self._repeat_ns
            reasons = "; ".join(
                f"{reason.symbol} {reason.side} {reason.text}".strip() for reason in state.reasons
            )
            self._take(AlarmRaised(kind="not_ready", text=reasons, key="not_ready"), now_ns)

    async def _work(self) -> None:
        while True:
            while not self._queue:
                self._waiting.clear()
                await self._waiting.wait()
            message = self._queue.popleft()
            self._busy += 1
            try:
                await self._tell(message)
            finally:
                self._busy -= 1
                if not self._queue and not self._busy:
                    self._idle.set()

    async def _tell(self, message: Message) -> None:
        told = self._told(message)
        for channel in self._channels:
            try:
                failure = await channel.deliver(told)
            except Exception as error:  # noqa: BLE001 - a channel may be anybody's; nothing may end the telling
                failure = f"{channel.name}: {type(error).__name__}"
            counts = self._deliveries.failed if failure else self._deliveries.told
            counts[channel.name] = counts.get(channel.name, 0) + 1
            if failure:
                self._deliveries.last_failure = failure
                _log.error("alarm_not_told", channel=channel.name, reason=failure, kind=told.kind)

    def _told(self, message: Message) -> Told:
        alarm = message.alarm
        dropped, self._dropped = self._dropped, 0
        text = alarm.text
        if alarm.symbol and alarm.symbol not in text:
            text = f"{alarm.symbol}: {text}"
        if alarm.resolved:
            text = f"resolved: {text}"
        if message.repeated:
            text = f"{text} ({message.repeated} more since the last message)"
        if dropped:
            text = f"{text} ({dropped} other alarms could not be told)"
        started = self._started
        return Told(
            text=text[:TEXT_CHARS_MAX],
            kind=alarm.kind,
            symbol=alarm.symbol,
            key=alarm_key(alarm),
            resolved=alarm.resolved,
            repeated=message.repeated,
            dropped=dropped,
            t_ms=message.t_ns // 1_000_000,
            instance=started.instance if started else "",
            environment=started.environment if started else "",
            mode=started.mode if started else "",
        )


class Heartbeat:
    """Asks an address for as long as all is well.

    Args:
        url: whose owner raises the alarm when it is asked no more; only its host is ever shown.
        every_s: how often, in seconds.
        ready: whether all is well.
        clock: by which `unready_s` is measured.
        deliveries: counted here.
        unready_s: for how long it may be otherwise before the heartbeat stops.
        timeout_s: of one request.
        proxy: an HTTP proxy's address.
    """

    def __init__(
        self,
        url: str,
        *,
        every_s: float,
        ready: Callable[[], Readiness],
        clock: Clock,
        deliveries: Deliveries,
        unready_s: float = UNREADY_S,
        timeout_s: float = 10.0,
        proxy: str | None = None,
    ) -> None:
        self._url = url
        self._every_s = every_s
        self._ready = ready
        self._clock = clock
        self._deliveries = deliveries
        self._unready_ns = round(unready_s * 1e9)
        # Who was never ready sends no sign of life: a process that dies and is started again and again
        # would look alive otherwise.
        self._unready_since_ns: int | None = clock.now_ns() - self._unready_ns
        self._web = Web(timeout_s=timeout_s, proxy=proxy)

    async def run(self) -> None:
        """Beats until cancelled."""
        try:
            while True:
                await self._beat()
                await asyncio.sleep(self._every_s)
        finally:
            await self._web.close()

    async def _beat(self) -> None:
        now_ns = self._clock.now_ns()
        if self._ready().ready:
            self._unready_since_ns = None
        elif self._unready_since_ns is None:
            self._unready_since_ns = now_ns
        since_ns = self._unready_since_ns
        if since_ns is not None and now_ns - since_ns >= self._unready_ns:
            self._count("skipped")
            return
        _, failure = await self._web.request("GET", self._url)
        self._count("failed" if failure else "sent")
        if failure:
            self._deliveries.last_failure = f"heartbeat: {failure}"
            _log.warning("heartbeat_failed", to=shown_url(self._url), reason=failure)

    def _count(self, outcome: str) -> None:
        self._deliveries.beats[outcome] = self._deliveries.beats.get(outcome, 0) + 1
