"""What is on a tape: span, symbols, streams, counts, silences, gaps in ids, damage.

One pass in flat memory. `TapeSummary` is plain data, also what `--json` prints; `tape_info_tables`
shows it to people.
"""

import heapq
from collections import Counter
from contextlib import suppress

import msgspec
from msgspec import UNSET, Raw, UnsetType

from reactor.shell.tape_format import Damage, TapeLine
from reactor.shell.tape_reader import Tape

SILENCES_KEPT = 3  # per stream
STREAMS_MAX = 20_000  # four for each of 5,000 symbols; a damaged tape may name any number
_OTHERS = "(further streams)"
_NO_EVENT = "(no event)"


class Silence(msgspec.Struct, frozen=True, order=True):
    """A time in which a stream delivered nothing.

    Attributes:
        duration_ns: how long.
        start_ns: receive time of the last message before it.
    """

    duration_ns: int
    start_ns: int


class StreamSummary(msgspec.Struct):
    """One stream of a tape.

    Attributes:
        name: as the envelope names it, or `symbol@event`; account events and REST paths by theirs.
        channel: the tape channel.
        messages: how many.
        first_ns: receive time of the first.
        last_ns: of the last.
        silences: the longest, longest first.
        id_gaps: how often ids jumped (aggTrade `a`, trade `t`).
        ids_missing: how many ids those jumps left out.
        ids_backwards: how often an id was not above the one before.
        events_backwards: how often the exchange's event time went backwards.
    """

    name: str
    channel: str
    messages: int = 0
    first_ns: int = 0
    last_ns: int = 0
    silences: list[Silence] = msgspec.field(default_factory=list)
    id_gaps: int = 0
    ids_missing: int = 0
    ids_backwards: int = 0
    events_backwards: int = 0


class TapeSummary(msgspec.Struct, kw_only=True):
    """What `reactor tape info` shows.

    Attributes:
        path: the file.
        created: from the header, as are the next four.
        environment: where it was recorded.
        plans: the names of the plans it carries.
        has_config: whether it carries a configuration.
        has_journal: whether it carries a journal.
        messages: how many lines could be read.
        first_ns: the earliest receive time.
        last_ns: the latest.
        channels: messages by channel, `order out` apart from `order`.
        symbols: every symbol, sorted.
        streams: every stream, by name.
        backwards: how often the receive time went backwards from one line to the next.
        backwards_max_ns: by how much at most.
        damage_count: how many lines could not be read.
        damage: the first of them.
    """

    path: str
    created: str | None
    environment: str | None
    plans: list[str]
    has_config: bool
    has_journal: bool
    messages: int = 0
    first_ns: int = 0
    last_ns: int = 0
    channels: dict[str, int] = msgspec.field(default_factory=dict)
    symbols: list[str] = msgspec.field(default_factory=list)
    streams: list[StreamSummary] = msgspec.field(default_factory=list)
    backwards: int = 0
    backwards_max_ns: int = 0
    damage_count: int = 0
    damage: list[Damage] = msgspec.field(default_factory=list)


class _Envelope(msgspec.Struct, gc=False):
    stream: str | None = None
    data: Raw | UnsetType = UNSET
    e: str | None = None
    method: str | None = None
    path: str | None = None
    params: Raw | UnsetType = UNSET
    result: Raw | UnsetType = UNSET


class _Event(msgspec.Struct, gc=False):
    e: str = ""
    s: str = ""
    E: int | str = 0
    a: Raw | UnsetType = UNSET
    t: Raw | UnsetType = UNSET
    k: Raw | UnsetType = UNSET
    o: Raw | UnsetType = UNSET
    rejected: Raw | UnsetType = msgspec.field(default=UNSET, name="or")


class _Part(msgspec.Struct, gc=False):
    """The part of an event, or of a request, that names its symbol."""

    s: str = ""
    symbol: str = ""
    i: int | str = ""
    interval: str = ""


class _Account(msgspec.Struct, gc=False):
    P: list[_Part] = msgspec.field(default_factory=list)


_decode_account = msgspec.json.Decoder(_Account).decode
_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_decode_event = msgspec.json.Decoder(_Event).decode
_decode_events = msgspec.json.Decoder(list[_Event]).decode
_decode_part = msgspec.json.Decoder(_Part).decode
_NOTHING = _Part()
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
#: How streams are called whose events have another name.
_STREAM_OF_EVENT = {"markPriceUpdate": "markPrice", "depthUpdate": "depth"}


class _StreamState:
    """A stream's summary and what is needed to go on with it."""

    __slots__ = ("last_event_ms", "last_id", "summary")

    def __init__(self, name: str, channel: str, first_ns: int) -> None:
        self.summary = StreamSummary(name, channel, first_ns=first_ns, last_ns=first_ns)
        self.last_id: int | None = None
        self.last_event_ms = 0

    def add(self, t_ns: int) -> None:
        """Count a message."""
        summary = self.summary
        silence = Silence(t_ns - summary.last_ns, summary.last_ns)
        summary.last_ns = t_ns
        summary.messages += 1
        if len(summary.silences) < SILENCES_KEPT:
            if silence.duration_ns > 0:
                heapq.heappush(summary.silences, silence)
        elif silence > summary.silences[0]:
            heapq.heapreplace(summary.silences, silence)

    def add_id(self, id_: int) -> None:
        """Compare an id with the one before."""
        last_id, self.last_id = self.last_id, id_
        if last_id is None or id_ == last_id + 1:
            return
        if id_ > last_id:
            self.summary.id_gaps += 1
            self.summary.ids_missing += id_ - last_id - 1
        else:
            self.summary.ids_backwards += 1

    def add_event_time(self, event_ms: int) -> None:
        """Compare an event time with the one before."""
        self.summary.events_backwards += event_ms < self.last_event_ms
        self.last_event_ms = event_ms


class _Collector:
    """Takes one line after the other."""

    def __init__(self) -> None:
        self.channels: Counter[str] = Counter()
        self.symbols: set[str] = set()
        self.streams: dict[tuple[str, str], _StreamState] = {}

    def add(self, line: TapeLine) -> None:
        channel = line.c if line.d == "in" else f"{line.c} out"
        self.channels[channel] += 1
        try:
            envelope = _decode_envelope(line.m)
        except _UNREADABLE:
            self._add_bare_array(line, channel)
            return
        if line.c in {"market", "public", "private"}:
            self._add_frame(line, channel, envelope)
        elif line.c == "rest":
            name = f"{envelope.method or ''} {envelope.path or ''}".strip() or _NO_EVENT
            asked = _part(envelope.params)
            if asked.interval:  # each symbol's candles are a stream of their own
                name = f"{name} {asked.symbol} {asked.interval}"
            self._stream(name, channel, line.t)
            self._add_symbol(envelope.params)
        else:
            self._stream(envelope.method or channel, channel, line.t)
            self._add_symbol(envelope.params)
            self._add_symbol(envelope.result)

    def _add_frame(self, line: TapeLine, channel: str, envelope: _Envelope) -> None:
        content = line.m if envelope.data is UNSET else envelope.data
        try:
            if bytes(content)[:1] == b"[":
                self._add_array(_decode_events(content), envelope.stream, line, channel)
                return
            event = _decode_event(content)
        except _UNREADABLE:
            self._stream(_NO_EVENT, channel, line.t)
            return
        self._add_symbols(event)
        if not event.e:
            self._stream(_NO_EVENT, channel, line.t)
            return
        if line.c == "private":
            state = self._stream(event.e, channel, line.t)
        else:
            name = envelope.stream or _stream_name(event)
            state = self._stream(name, channel, line.t)
        if event.E:
            state.add_event_time(_whole(event.E))
        if event.e == "aggTrade" and event.a is not UNSET:
            state.add_id(_whole(bytes(event.a)))
        elif event.e == "trade" and event.t is not UNSET:
            state.add_id(_whole(bytes(event.t)))

    def _add_bare_array(self, line: TapeLine, channel: str) -> None:
        try:
            events = _decode_events(line.m)
        except _UNREADABLE:
            self._stream(_NO_EVENT, channel, line.t)
            return
        self._add_array(events, None, line, channel)

    def _add_array(
        self, events: list[_Event], stream: str | None, line: TapeLine, channel: str
    ) -> None:
        self.symbols.update(event.s for event in events if event.s)
        event = events[0].e if events else ""
        name = stream or (f"!{_STREAM_OF_EVENT.get(event, event)}@arr" if event else _NO_EVENT)
        self._stream(name, channel, line.t)

    def _add_symbols(self, event: _Event) -> None:
        if event.s:
            self.symbols.add(event.s)
            return
        self._add_symbol(event.o)
        self._add_symbol(event.rejected)
        if event.e == "ACCOUNT_UPDATE" and event.a is not UNSET:
            with suppress(*_UNREADABLE):
                self.symbols.update(part.s for part in _decode_account(event.a).P if part.s)

    def _add_symbol(self, part: Raw | UnsetType) -> None:
        named = _part(part)
        if symbol := named.s or named.symbol:
            self.symbols.add(symbol)

    def _stream(self, name: str, channel: str, t_ns: int) -> _StreamState:
        state = self.streams.get((channel, name))
        if state is None:
            if len(self.streams) >= STREAMS_MAX:
                name = _OTHERS
            state = self.streams.setdefault((channel, name), _StreamState(name, channel, t_ns))
        state.add(t_ns)
        return state


def _stream_name(event: _Event) -> str:
    kind = _STREAM_OF_EVENT.get(event.e, event.e)
    if event.k is not UNSET and event.e == "kline":
        kind = f"kline_{_part(event.k).i}"
    return f"{event.s.lower()}@{kind}" if event.s else f"!{kind}"


def _part(raw: Raw | UnsetType) -> _Part:
    if raw is not UNSET:
        with suppress(*_UNREADABLE):
            return _decode_part(raw)
    return _NOTHING


def _whole(value: bytes | str | int) -> int:
    try:
        return int(value)
    except ValueError:
        return 0


def summarize(tape: Tape) -> TapeSummary:
    """Read a tape once, from front to back.

    Raises:
        TapeError: the file has gone since it was opened.
    """
    header = tape.header
    summary = TapeSummary(
        path=str(tape.path),
        created=header.created,
        environment=header.environment,
        plans=sorted(header.plans or ()),
        has_config=header.config is not None,
        has_journal=header.journal is not None,
    )
    collector = _Collector()
    last_ns: int | None = None
    for _, line in tape.messages():
        collector.add(line)
        if last_ns is None:
            summary.first_ns = summary.last_ns = line.t
        elif line.t < last_ns:
            summary.backwards += 1
            summary.backwards_max_ns = max(summary.backwards_max_ns, last_ns - line.t)
            summary.first_ns = min(summary.first_ns, line.t)
        else:
            summary.last_ns = max(summary.last_ns, line.t)
        last_ns = line.t
    summary.messages = collector.channels.total()
    summary.channels = dict(sorted(collector.channels.items()))
    summary.symbols = sorted(collector.symbols)
    for _, state in sorted(collector.streams.items()):
        state.summary.silences.sort(reverse=True)
        summary.streams.append(state.summary)
    summary.damage_count = tape.damage_count
    summary.damage = list(tape.damage)
    return summary
