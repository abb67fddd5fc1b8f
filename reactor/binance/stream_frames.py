"""The forms in which a socket delivers events, taken off: bare, in an envelope, in an array.

The usual frame takes one pass through msgspec. Only what that refuses is looked at again, slowly, to tell
an event we do not know from one that is damaged, and a reply to a subscription from both.
"""

from collections.abc import Callable
from typing import Any, Final, Generic, Protocol, TypeVar, get_args

from msgspec import UNSET, Raw, Struct, UnsetType
from msgspec.json import Decoder

from reactor.binance.fields import rules_hook
from reactor.binance.messages import (
    COIN_M,
    FAULTS,
    ControlReply,
    Ignored,
    Malformed,
    describe,
    malformed,
)
from reactor.binance.redaction import line, redact
from reactor.limits import FRAME_BYTES_MAX, REASON_CHARS_MAX

Event = TypeVar("Event")

_ENVELOPED: Final = b'{"stream"'


class Enveloped(Protocol):
    """An envelope struct: `stream` and `data`."""

    @property
    def data(self) -> Any:
        """What is inside."""


class StreamDecoder(Generic[Event]):
    """Reads the frames of one kind of socket. Stateless: the same bytes give the same value."""

    def __init__(
        self,
        *,
        events: Any,
        envelope: type[Enveloped],
        admit: Callable[[Any, bytes], Event | Ignored | Malformed],
    ) -> None:
        """Build the decoders once; they are costly to build and cheap to use.

        Args:
            events: the union of event structs, tagged by their `e`.
            envelope: a struct of `stream` and `data`, the latter of `events`.
            admit: the last check of a decoded struct; gets the struct and its bytes.
        """
        self._bare = Decoder(events, dec_hook=rules_hook).decode
        self._envelope = Decoder(envelope, dec_hook=rules_hook).decode
        self._admit = admit
        self._names = frozenset(event.__struct_config__.tag for event in get_args(events))

    def decode(self, raw: bytes) -> Event | Ignored | Malformed | list[Event | Ignored | Malformed]:
        """One frame, or the list of an array's elements, each judged by itself. Never raises."""
        if len(raw) > FRAME_BYTES_MAX:
            reason = f"frame of {len(raw)} bytes is over the limit of {FRAME_BYTES_MAX}"
            return malformed(reason, raw)
        try:
            event = self._envelope(raw).data if raw.startswith(_ENVELOPED) else self._bare(raw)
        except FAULTS:
            return self._look_again(raw)
        return self._admit(event, raw)

    def _look_again(
        self, raw: bytes
    ) -> Event | Ignored | Malformed | list[Event | Ignored | Malformed]:
        try:
            # The syntax of all of it comes first: a frame cut behind an unknown event is still a cut one.
            _ANYTHING(raw)
            if _first(raw) == b"[":
                return [self._judge(bytes(part)) for part in _ARRAY(raw)]
            outline = _OUTLINE(raw)
        except FAULTS as error:
            return malformed(describe(error), raw)
        if outline.e is UNSET and outline.data is not UNSET:
            inner = bytes(outline.data)
            if _first(inner) == b"[":
                return [self._judge(bytes(part)) for part in _ARRAY(inner)]
            return self._judge(inner)
        return self._judge(raw)

    def _judge(self, raw: bytes) -> Event | Ignored | Malformed:
        """An object that is not wrapped in anything."""
        try:
            outline = _OUTLINE(raw)
            if outline.e is UNSET:
                return _reply(raw) if outline.is_reply() else Ignored("not an event")
            name = _NAME(outline.e)
            if name not in self._names:
                return Ignored(line(redact(f'unknown event "{name}"'), chars_max=REASON_CHARS_MAX))
            if outline.st is not UNSET and bytes(outline.st) == b"2":
                return COIN_M
            return self._admit(self._bare(raw), raw)
        except FAULTS as error:
            return malformed(describe(error), raw)


class _Outline(Struct, frozen=True):
    """The keys that tell what an object is, their values unread."""

    e: Raw | UnsetType = UNSET
    data: Raw | UnsetType = UNSET
    st: Raw | UnsetType = UNSET
    result: Raw | UnsetType = UNSET
    error: Raw | UnsetType = UNSET
    code: Raw | UnsetType = UNSET
    id: Raw | UnsetType = UNSET

    def is_reply(self) -> bool:
        """Whether it answers a request: a result or an error, with the request's id or without."""
        return any(part is not UNSET for part in (self.result, self.error, self.code, self.id))


class _Reply(Struct, frozen=True):
    """An answer to a control message. Errors come as `{"error":{…}}` and as `{"code":…,"msg":…}`."""

    id: Any = None
    result: Any = None
    error: Any = None
    code: Any = None
    msg: Any = None


_ANYTHING: Final = Decoder(Raw).decode
_ARRAY: Final = Decoder(list[Raw]).decode
_OUTLINE: Final = Decoder(_Outline).decode
_NAME: Final = Decoder(str).decode
_REPLY: Final = Decoder(_Reply).decode


def _first(raw: bytes) -> bytes:
    return raw.lstrip()[:1]


def _reply(raw: bytes) -> ControlReply:
    reply = _REPLY(raw)
    error = reply.error if isinstance(reply.error, dict) else {"code": reply.code, "msg": reply.msg}
    code = error.get("code")
    listed = reply.result if isinstance(reply.result, list) else []
    failed = reply.error is not None or code is not None
    return ControlReply(
        "error reply" if failed else "reply",
        id=reply.id if isinstance(reply.id, (int, str)) else None,
        code=code if isinstance(code, int) else None,
        message=line(redact(str(error.get("msg") or "")), chars_max=REASON_CHARS_MAX),
        streams=tuple(_shown_stream(name) for name in listed if isinstance(name, str)),
    )


def _shown_stream(name: str) -> str:
    """A stream's name as it is, a listen key as `…`."""
    return redact(name) if "@" in name or "!" in name else "…"
