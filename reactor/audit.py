"""What happened, as one ordered stream of typed events: what journal, logs, metrics and screens are fed from.

Nothing that watches reads live state. Whoever does something publishes it here; watchers are called in the
order in which they subscribed, after orders have left. A watcher that raises is dropped from nothing: its
fault is counted and shown, and the others go on.
"""

from collections import deque
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from reactor.core.decisions import Decision, Side


class Started(msgspec.Struct, frozen=True, kw_only=True, tag="started"):
    """The process runs: who, where, in which mode."""

    version: str
    instance: str
    environment: str
    mode: str
    hedge: bool
    restored_epochs: int


class Stopped(msgspec.Struct, frozen=True, kw_only=True, tag="stopped"):
    """The process ends."""

    reason: str


class Decided(msgspec.Struct, frozen=True, kw_only=True, tag="decided"):
    """The engine decided something."""

    decision: Decision
    id: str
    """`SYMBOL-SIDE-EPOCH-NUMBER` for exits, else a running number: what `explain` takes."""


class OrderSent(msgspec.Struct, frozen=True, kw_only=True, tag="order_sent"):
    """An order request left.

    Times are nanoseconds since the Unix epoch: the tick's exchange time, its receipt, the decision, and the
    moment at which the bytes were given to the socket.
    """

    symbol: str
    side: Side
    order_id: str
    client_id: str
    purpose: str
    over: str
    params: dict[str, Any]
    t_event_ns: int = 0
    t_recv_ns: int = 0
    t_decided_ns: int = 0
    t_sent_ns: int = 0


class OrderAnswered(msgspec.Struct, frozen=True, kw_only=True, tag="order_answered"):
    """An order's outcome, or a step towards it."""

    symbol: str
    side: Side
    client_id: str
    outcome: str
    filled: Decimal
    average_price: Decimal | None = None
    code: int | None = None
    text: str = ""


class LinkChanged(msgspec.Struct, frozen=True, kw_only=True, tag="link"):
    """A socket went up or down, or was found mute."""

    stream: str
    state: str
    reason: str = ""


class SourceChanged(msgspec.Struct, frozen=True, kw_only=True, tag="source"):
    """A symbol's prices come from the stream, from REST, or from nowhere."""

    symbol: str
    source: str
    reason: str = ""


class HardStopChanged(msgspec.Struct, frozen=True, kw_only=True, tag="hard_stop"):
    """What became of an exchange-side stop."""

    symbol: str
    side: Side
    client_id: str
    state: str
    trigger: Decimal | None = None
    quantity: Decimal | None = None
    text: str = ""


class ProtectionChanged(msgspec.Struct, frozen=True, kw_only=True, tag="protection"):
    """A managed position's protection: `protected`, or what is missing, and for how long."""

    symbol: str
    side: Side
    state: str
    naked_seconds: float
    blind_seconds: float


class PositionSeen(msgspec.Struct, frozen=True, kw_only=True, tag="position"):
    """How a position stands, once a second at most and after every decision: what screens show.

    Attributes:
        managed: whether it is guarded; the rest is as far as known.
        state: of the order life-cycle. `paused`: whether an operator paused it.
        price, source, age_ms: the last trigger price, where it came from, and how old it is.
        next_level, next_what: the nearest level on the profit side, and which rule it belongs to.
    """

    symbol: str
    side: Side
    managed: bool
    quantity: Decimal
    entry: Decimal
    plan: str = ""
    epoch: int = 0
    opened_ns: int = 0
    state: str = ""
    paused: bool = False
    price: Decimal | None = None
    source: str = ""
    age_ms: int | None = None
    stop: Decimal | None = None
    stop_kind: str = ""
    r: Decimal | None = None
    atr: Decimal | None = None
    peak: Decimal | None = None
    targets: tuple[tuple[Decimal | None, Decimal, bool], ...] = ()
    next_level: Decimal | None = None
    next_what: str = ""
    hard_stop: Decimal | None = None
    protection: str = ""
    unrealized: Decimal | None = None


class PositionGone(msgspec.Struct, frozen=True, kw_only=True, tag="position_gone"):
    """A position is no longer there."""

    symbol: str
    side: Side


class AlarmRaised(msgspec.Struct, frozen=True, kw_only=True, tag="alarm"):
    """A person should know. `kind` is a stable word, `key` what repeats of the same alarm share.

    With `resolved` it says that what an earlier alarm of the same key told is over.
    """

    kind: str
    text: str
    symbol: str = ""
    key: str = ""
    resolved: bool = False


class Reconciled(msgspec.Struct, frozen=True, kw_only=True, tag="reconciled"):
    """The exchange was asked and compared with what was known."""

    cause: str
    differences: tuple[str, ...]
    took_ms: float


class CommandTaken(msgspec.Struct, frozen=True, kw_only=True, tag="command"):
    """An operator's command was carried out."""

    command: str
    symbol: str
    side: str
    text: str = ""


class RecordingChanged(msgspec.Struct, frozen=True, kw_only=True, tag="recording"):
    """A tape was begun, or recording stopped."""

    path: str
    state: str
    reason: str = ""


class Degraded(msgspec.Struct, frozen=True, kw_only=True, tag="degraded"):
    """A part works less well, or well again: `part` is journal, tape, clock or budget."""

    part: str
    degraded: bool
    reason: str = ""


class Noted(msgspec.Struct, frozen=True, kw_only=True, tag="noted"):
    """Something in the input that could not be used, or was remarkable.

    Attributes:
        kind: damage, unreadable, link …
        count: how many of this kind there were so far; it is told at 1, 10, 100 …
    """

    kind: str
    text: str
    count: int


Happening = (
    Started
    | Stopped
    | Decided
    | OrderSent
    | OrderAnswered
    | LinkChanged
    | SourceChanged
    | HardStopChanged
    | ProtectionChanged
    | PositionSeen
    | PositionGone
    | AlarmRaised
    | Reconciled
    | CommandTaken
    | RecordingChanged
    | Degraded
    | Noted
)


class AuditEvent(msgspec.Struct, frozen=True):
    """One happening in the stream: numbered without gaps from 1, in the order of publishing."""

    number: int
    t_ns: int
    what: Happening


Watcher = Callable[[AuditEvent], None]


_TEXTS: dict[type, str] = {
    AlarmRaised: "text",
    Degraded: "reason",
    HardStopChanged: "text",
    LinkChanged: "reason",
    Noted: "text",
    OrderAnswered: "text",
    RecordingChanged: "reason",
    SourceChanged: "reason",
    Stopped: "reason",
}
"""Where words of others may stand: of the exchange, of the system, of an error of our own."""


class Audit:
    """The stream.

    Args:
        mask: takes secrets out of a text before anybody sees it: whoever watches may write it down.

    Attributes:
        number: of the last event. `faults`: how often a watcher raised; `last_fault`: the last one's text.
    """

    def __init__(self, *, mask: Callable[[str], str] | None = None) -> None:
        self._mask = mask
        self.number = 0
        self.faults = 0
        self.last_fault = ""
        self._watchers: list[Watcher] = []
        self._waiting: deque[AuditEvent] = deque()
        self._is_telling = False

    def watch(self, watcher: Watcher) -> None:
        """Calls a watcher for every event from now on."""
        self._watchers.append(watcher)

    def publish(self, what: Happening, *, t_ns: int) -> None:
        """Numbers a happening and tells it, after everything that was published before it."""
        self.number += 1
        name = None if self._mask is None else _TEXTS.get(type(what))
        if name is not None:
            what = self._masked(what, name)
        event = AuditEvent(self.number, t_ns, what)
        if self._is_telling:
            # A watcher that publishes: nobody may hear of the effect before its cause.
            self._waiting.append(event)
            return
        self._is_telling = True
        try:
            self._tell(event)
            while self._waiting:
                self._tell(self._waiting.popleft())
        finally:
            self._is_telling = False

    def _masked(self, what: Happening, name: str) -> Happening:
        text = getattr(what, name)
        masked = text if self._mask is None else self._mask(text)
        return what if masked == text else msgspec.structs.replace(what, **{name: masked})

    def _tell(self, event: AuditEvent) -> None:
        for watcher in self._watchers:
            try:
                watcher(event)
            except Exception as error:  # noqa: BLE001 - who watches must never stop who acts
                self.faults += 1
                self.last_fault = f"{type(error).__name__}: {error}"
