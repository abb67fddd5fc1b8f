"""The present, folded from the audit stream: what status, screens, health and metrics read.

A fold: the same events make the same picture, whoever reads it and whenever. It holds no clock; whoever
looks brings the time along. Everything that could grow has a bound, and what falls out is counted.
"""

from collections import deque
from collections.abc import Callable
from typing import Any, Final

import msgspec

from reactor.audit import (
    AlarmRaised,
    AuditEvent,
    CommandTaken,
    Decided,
    Degraded,
    HardStopChanged,
    LinkChanged,
    Noted,
    OrderAnswered,
    OrderSent,
    PositionGone,
    PositionSeen,
    ProtectionChanged,
    Reconciled,
    RecordingChanged,
    SourceChanged,
    Started,
    Stopped,
)
from reactor.core.decisions import Alarm, Closed, Decision, Exit, Side, StopMoved
from reactor.watch.histogram import Histogram

DECISIONS_KEPT_MAX: Final = 200
"""A screenful for people; everything ever decided is in the journal."""

KEYS_MAX: Final = 1024
"""Of each table by symbol or by kind: three times what the exchange lists, so that only damage reaches it."""

ORDERS_AWAITED_MAX: Final = 1024
"""Orders whose answer would still be timed. The account may have 300 in 10 s."""

OTHER: Final = "other"

_ENDED: Final = frozenset(
    {
        "filled",
        "rejected",
        "expired",
        "expired_in_match",
        "canceled",
        "cancelled",
        "lapsed",
        "absent",
    }
)

PositionKey = tuple[str, Side]


class LinkState(msgspec.Struct, frozen=True):
    """A socket's last known state, and since when."""

    state: str
    reason: str
    since_ns: int


class SourceState(msgspec.Struct, frozen=True):
    """Where a symbol's prices come from, and since when."""

    source: str
    reason: str
    since_ns: int


class SeenPosition(msgspec.Struct, frozen=True):
    """A position as it was last told, when, and since when it has been told of."""

    position: PositionSeen
    t_ns: int
    first_ns: int


class Protection(msgspec.Struct):
    """A position's protection: its state since when, and its naked and blind time in all, in seconds."""

    state: str = ""
    since_ns: int = 0
    naked_total: float = 0.0
    blind_total: float = 0.0
    naked_last: float = 0.0
    blind_last: float = 0.0


class ActiveAlarm(msgspec.Struct, frozen=True):
    """An alarm that nobody has said to be over."""

    alarm: AlarmRaised
    first_ns: int
    last_ns: int
    times: int


class DecidedAt(msgspec.Struct, frozen=True):
    """A decision with its id."""

    number: int
    t_ns: int
    id: str
    decision: Decision


class Reconciliation(msgspec.Struct, frozen=True):
    """The last comparison with the exchange."""

    t_ns: int
    cause: str
    differences: int
    took_ms: float


class _Awaited(msgspec.Struct):
    symbol: str
    purpose: str
    t_sent_ns: int
    acknowledged: bool = False


def alarm_of(event: AuditEvent) -> AlarmRaised | None:
    """The alarm that an event is: raised as such, the engine's own, or a part that works less well."""
    what = event.what
    if isinstance(what, AlarmRaised):
        return what
    if isinstance(what, Decided) and isinstance(what.decision, Alarm):
        alarm = what.decision
        if alarm.kind:
            # One with a name of its own is raised by it.
            return None
        return AlarmRaised(
            kind="engine",
            text=alarm.what,
            symbol=alarm.symbol,
            key=f"engine:{alarm.symbol}:{alarm.side or ''}:{alarm.what}",
        )
    if isinstance(what, Degraded):
        text = what.reason or ("works less well" if what.degraded else "works again")
        return AlarmRaised(
            kind="degraded",
            text=f"{what.part}: {text}",
            key=f"degraded:{what.part}",
            resolved=not what.degraded,
        )
    return None


def alarm_key(alarm: AlarmRaised) -> str:
    """What repeats of the same alarm share."""
    return alarm.key or f"{alarm.kind}:{alarm.symbol}:{alarm.text}"


def count(counts: dict[Any, int], key: Any, *, other: Any) -> None:
    """Adds one; what is beyond the bound is counted together."""
    if key not in counts and len(counts) >= KEYS_MAX:
        key = other
    counts[key] = counts.get(key, 0) + 1


class Picture:
    """What is known now. `see` takes the events; everything else is for reading.

    Attributes:
        number, last_ns: of the last event; 0 before the first.
        started, started_ns, stopped: of the process.
        positions, protection: by symbol and side. `links`: by stream. `sources`: by symbol.
        hard_stop_states: the last that was said of each position's hard stop.
        decisions: the last ones, oldest first. `alarms`: those nobody said to be over, by key.
        degraded: reasons by part. `recording`: the last that was said of it.
        decided, orders_sent, orders, link_changes, hard_stops, alarms_raised, reconciled, commands: counts.
        noted: what in the input could not be used, by kind, as it was last told.
        latency: by step, symbol and purpose.
        overflows: how often a table was full.
    """

    def __init__(self) -> None:
        self.number = 0
        self.last_ns = 0
        self.started: Started | None = None
        self.started_ns = 0
        self.stopped: str | None = None
        self.positions: dict[PositionKey, SeenPosition] = {}
        self.protection: dict[PositionKey, Protection] = {}
        self.links: dict[str, LinkState] = {}
        self.sources: dict[str, SourceState] = {}
        self.hard_stop_states: dict[PositionKey, HardStopChanged] = {}
        self.decisions: deque[DecidedAt] = deque(maxlen=DECISIONS_KEPT_MAX)
        self.alarms: dict[str, ActiveAlarm] = {}
        self.degraded: dict[str, str] = {}
        self.recording: RecordingChanged | None = None
        self.reconciliation: Reconciliation | None = None
        self.decided: dict[tuple[str, str], int] = {}
        self.orders_sent: dict[tuple[str, str], int] = {}
        self.orders: dict[str, int] = {}
        self.link_changes: dict[tuple[str, str], int] = {}
        self.hard_stops: dict[str, int] = {}
        self.alarms_raised: dict[str, int] = {}
        self.reconciled: dict[str, int] = {}
        self.differences = 0
        self.commands: dict[str, int] = {}
        self.noted: dict[str, int] = {}
        self.latency: dict[tuple[str, str, str], Histogram] = {}
        self.overflows = 0
        self._awaited: dict[str, _Awaited] = {}

    def see(self, event: AuditEvent) -> None:
        """Takes the next event of the stream."""
        self.number = event.number
        self.last_ns = event.t_ns
        fold = _FOLDS.get(type(event.what))
        if fold is not None:
            fold(self, event.what, event.t_ns)
        alarm = alarm_of(event)
        if alarm is not None:
            self._alarm(alarm, event.t_ns)

    # The process

    def _started(self, what: Started, t_ns: int) -> None:
        self.started = what
        self.started_ns = t_ns
        self.stopped = None

    def _stopped(self, what: Stopped, t_ns: int) -> None:
        self.stopped = what.reason

    def _reconciled(self, what: Reconciled, t_ns: int) -> None:
        self.reconciliation = Reconciliation(t_ns, what.cause, len(what.differences), what.took_ms)
        count(self.reconciled, what.cause, other=OTHER)
        self.differences += len(what.differences)

    def _command(self, what: CommandTaken, t_ns: int) -> None:
        count(self.commands, what.command, other=OTHER)

    def _recording(self, what: RecordingChanged, t_ns: int) -> None:
        self.recording = what

    def _noted(self, what: Noted, t_ns: int) -> None:
        if self._fits(self.noted, what.kind):
            self.noted[what.kind] = max(what.count, self.noted.get(what.kind, 0))

    def _degraded(self, what: Degraded, t_ns: int) -> None:
        if not what.degraded:
            self.degraded.pop(what.part, None)
        elif self._fits(self.degraded, what.part):
            self.degraded[what.part] = what.reason

    # Positions

    def _position(self, what: PositionSeen, t_ns: int) -> None:
        key = (what.symbol, what.side)
        if self._fits(self.positions, key):
            before = self.positions.get(key)
            same = before is not None and before.position.epoch == what.epoch
            first_ns = before.first_ns if before is not None and same else t_ns
            self.positions[key] = SeenPosition(what, t_ns, first_ns)

    def _gone(self, what: PositionGone, t_ns: int) -> None:
        key = (what.symbol, what.side)
        self.positions.pop(key, None)
        self.hard_stop_states.pop(key, None)
        standing = self.protection.get(key)
        if standing is not None:
            # Its seconds stay: they are totals. What the next position reports begins at 0 again.
            standing.state = ""
            standing.since_ns = t_ns
            standing.naked_last = standing.blind_last = 0.0

    def _protection(self, what: ProtectionChanged, t_ns: int) -> None:
        key = (what.symbol, what.side)
        if not self._fits(self.protection, key):
            return
        standing = self.protection.setdefault(key, Protection())
        if standing.state != what.state:
            standing.state = what.state
            standing.since_ns = t_ns
        standing.naked_total += _risen(standing.naked_last, what.naked_seconds)
        standing.blind_total += _risen(standing.blind_last, what.blind_seconds)
        standing.naked_last = what.naked_seconds
        standing.blind_last = what.blind_seconds

    def _hard_stop(self, what: HardStopChanged, t_ns: int) -> None:
        count(self.hard_stops, what.state, other=OTHER)
        key = (what.symbol, what.side)
        if self._fits(self.hard_stop_states, key):
            self.hard_stop_states[key] = what

    # Decisions and orders

    def _decided(self, what: Decided, t_ns: int) -> None:
        decision = what.decision
        self.decisions.append(DecidedAt(self.number, t_ns, what.id, decision))
        kind, reason = kind_and_reason(decision)
        count(self.decided, (kind, reason), other=(OTHER, ""))

    def _sent(self, what: OrderSent, t_ns: int) -> None:
        count(self.orders_sent, (what.purpose, what.over), other=(OTHER, ""))
        self._time("exchange_to_receipt", what, what.t_event_ns, what.t_recv_ns)
        self._time("receipt_to_decision", what, what.t_recv_ns, what.t_decided_ns)
        self._time("decision_to_wire", what, what.t_decided_ns, what.t_sent_ns)
        self._time("tick_to_wire", what, what.t_recv_ns, what.t_sent_ns)
        if not what.t_sent_ns:
            return
        if len(self._awaited) >= ORDERS_AWAITED_MAX:
            self._awaited.pop(next(iter(self._awaited)))
            self.overflows += 1
        self._awaited[what.client_id] = _Awaited(what.symbol, what.purpose, what.t_sent_ns)

    def _answered(self, what: OrderAnswered, t_ns: int) -> None:
        count(self.orders, what.outcome, other=OTHER)
        awaited = self._awaited.get(what.client_id)
        if awaited is None or what.outcome == "unknown":
            # That nobody answered says nothing about how long answers take.
            return
        if not awaited.acknowledged:
            awaited.acknowledged = True
            self._time("wire_to_ack", awaited, awaited.t_sent_ns, t_ns)
        if what.outcome == "filled":
            self._time("wire_to_fill", awaited, awaited.t_sent_ns, t_ns)
        if what.outcome in _ENDED:
            del self._awaited[what.client_id]

    def _time(self, step: str, order: OrderSent | _Awaited, from_ns: int, to_ns: int) -> None:
        if not from_ns or not to_ns:
            # A timer's exit has no tick, a polled one no exchange time worth the name.
            return
        key = (step, order.symbol, order.purpose)
        histogram = self.latency.get(key)
        if histogram is None:
            if len(self.latency) >= KEYS_MAX:
                key = (step, OTHER, OTHER)
            histogram = self.latency.setdefault(key, Histogram())
        histogram.record(to_ns - from_ns)

    # Streams

    def _link(self, what: LinkChanged, t_ns: int) -> None:
        count(self.link_changes, (what.stream, what.state), other=(OTHER, ""))
        if not self._fits(self.links, what.stream):
            return
        before = self.links.get(what.stream)
        same = before is not None and before.state == what.state
        since_ns = before.since_ns if before is not None and same else t_ns
        self.links[what.stream] = LinkState(what.state, what.reason, since_ns)

    def _source(self, what: SourceChanged, t_ns: int) -> None:
        if self._fits(self.sources, what.symbol):
            self.sources[what.symbol] = SourceState(what.source, what.reason, t_ns)

    # Alarms

    def _alarm(self, alarm: AlarmRaised, t_ns: int) -> None:
        key = alarm_key(alarm)
        if alarm.resolved:
            self.alarms.pop(key, None)
            return
        count(self.alarms_raised, alarm.kind, other=OTHER)
        before = self.alarms.pop(key, None)
        if before is None and len(self.alarms) >= KEYS_MAX:
            # The one that has been silent for longest makes room.
            self.alarms.pop(next(iter(self.alarms)))
            self.overflows += 1
        first_ns = t_ns if before is None else before.first_ns
        times = 1 if before is None else before.times + 1
        self.alarms[key] = ActiveAlarm(alarm, first_ns, t_ns, times)

    def _fits(self, table: dict[Any, Any], key: object) -> bool:
        if key in table or len(table) < KEYS_MAX:
            return True
        self.overflows += 1
        return False


def kind_and_reason(decision: Decision) -> tuple[str, str]:
    """What a decision is counted as. An exit may have several reasons; the first one led."""
    kind = str(type(decision).__struct_config__.tag)
    if isinstance(decision, Exit):
        return kind, str(decision.reasons[0]) if decision.reasons else ""
    if isinstance(decision, StopMoved):
        return kind, str(decision.kind)
    if isinstance(decision, Closed):
        return kind, str(decision.reason)
    return kind, ""


def _risen(last: float, now: float) -> float:
    """How much a clock has gone on; one that stands lower began anew."""
    return max(0.0, now - last) if now >= last else max(0.0, now)


_FOLDS: Final[dict[type, Callable[[Picture, Any, int], None]]] = {
    Started: Picture._started,  # noqa: SLF001 - the picture's own table
    Stopped: Picture._stopped,  # noqa: SLF001
    Decided: Picture._decided,  # noqa: SLF001
    OrderSent: Picture._sent,  # noqa: SLF001
    OrderAnswered: Picture._answered,  # noqa: SLF001
    LinkChanged: Picture._link,  # noqa: SLF001
    SourceChanged: Picture._source,  # noqa: SLF001
    HardStopChanged: Picture._hard_stop,  # noqa: SLF001
    ProtectionChanged: Picture._protection,  # noqa: SLF001
    PositionSeen: Picture._position,  # noqa: SLF001
    PositionGone: Picture._gone,  # noqa: SLF001
    Reconciled: Picture._reconciled,  # noqa: SLF001
    CommandTaken: Picture._command,  # noqa: SLF001
    RecordingChanged: Picture._recording,  # noqa: SLF001
    Noted: Picture._noted,  # noqa: SLF001
    Degraded: Picture._degraded,  # noqa: SLF001
}
