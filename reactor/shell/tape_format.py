"""What a tape is: a header line, then one message a line, each as it crossed the wire.

    {"tape":1,"created":"2026-11-20T12:00:00Z","environment":"mainnet"}
    {"t":1763640000123456789,"c":"market","m":{"stream":"btcusdt@aggTrade","data":{…}}}
    {"t":1763640000223456789,"c":"order","d":"out","m":{…}}

`t` is the receive time in nanoseconds since the Unix epoch, `c` the channel, `d` the direction
(default `in`), `m` the raw message. Nothing here touches a file.
"""

from typing import Annotated, Any, Final, Literal, get_args

import msgspec

from reactor.errors import TapeError, TapeLineDamaged

TAPE_VERSION: Final = 1

#: The suffixes that a tape's name may end in; they tell the compression.
TAPE_SUFFIXES: Final = (".jsonl", ".jsonl.gz", ".jsonl.zst")

Channel = Literal["market", "public", "private", "rest", "order", "control", "link"]
Direction = Literal["in", "out"]

CHANNELS: Final[tuple[Channel, ...]] = get_args(Channel)
_UTF8_BOM = b"\xef\xbb\xbf"
_INT64_MAX = (1 << 63) - 1


class LiveSession(msgspec.Struct, frozen=True):
    """What a recorded live session was, beside its configuration.

    Attributes:
        mode: `dry_run`, `shadow` or `live`: whether exits were sent.
    """

    mode: Literal["dry_run", "shadow", "live"]


class TapeHeader(msgspec.Struct, frozen=True):
    """A tape's first line. Keys that are not listed here are allowed and ignored.

    Attributes:
        tape: the format's version, 1.
        created: when the recording began, RFC 3339.
        environment: `mainnet`, `demo`, `simulated`, `imported` …
        config: the recorded session's effective configuration.
        plans: the content of the plans it could use, by name.
        journal: its state at the start.
        instance: the name that its order ids were made with.
        session: how a live session took its account's positions; absent where it was none.
    """

    tape: int
    created: str | None = None
    environment: str | None = None
    config: dict[str, Any] | None = None
    plans: dict[str, Any] | None = None
    journal: Any | None = None
    instance: str | None = None
    session: LiveSession | None = None


class TapeLine(msgspec.Struct, frozen=True, gc=False):
    """One message of a tape; the field names are the format's own.

    Attributes:
        t: receive time, nanoseconds since the Unix epoch.
        c: the channel that it came or went by.
        m: the message's bytes, not looked into.
        d: `in` for what was received, `out` for what was sent.
    """

    t: Annotated[int, msgspec.Meta(ge=0, le=_INT64_MAX)]
    c: Channel
    m: msgspec.Raw
    d: Direction = "in"


class Damage(msgspec.Struct, frozen=True):
    """A place in a tape that could not be read.

    Attributes:
        line: its line number; the header is line 1.
        reason: what is wrong with it, in a phrase.
    """

    line: int
    reason: str


class _VersionOnly(msgspec.Struct):
    tape: int


_decode_line = msgspec.json.Decoder(TapeLine).decode
_decode_header = msgspec.json.Decoder(TapeHeader).decode
_decode_version = msgspec.json.Decoder(_VersionOnly).decode

#: Walks over one JSON value without building it; raises where it is none.
skip_json: Final = msgspec.json.Decoder(msgspec.Raw).decode


def decode_line(raw: bytes) -> TapeLine:
    """Decode one line after the header.

    Args:
        raw: the line without its newline.

    Raises:
        TapeLineDamaged: it is not JSON, or a key is missing or wrong; the message says which.
    """
    try:
        return _decode_line(raw)
    except msgspec.ValidationError as error:
        raise TapeLineDamaged(_why_invalid(raw, error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise TapeLineDamaged(f"not JSON: {_phrase(error)}") from error
    except RecursionError as error:
        raise TapeLineDamaged("nested too deeply") from error


def _why_invalid(raw: bytes, error: msgspec.ValidationError) -> str:
    try:
        _decode_version(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return f"not a tape's line: {_phrase(error)}"
    return "a second header: give joined tapes as separate files"


def decode_header(raw: bytes, *, name: str) -> TapeHeader:
    """Decode a tape's first line.

    Args:
        raw: the line without its newline; a byte order mark is allowed.
        name: the file's name, for the message.

    Raises:
        TapeError: it is no header, or one of a version that this program does not know.
    """
    raw = raw.removeprefix(_UTF8_BOM)
    try:
        version = _decode_version(raw).tape
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise TapeError(f"{name}: not a tape: {_why_no_header(raw)}") from None
    if version > TAPE_VERSION:
        raise TapeError(
            f"{name}: tape version {version} is newer than this program knows ({TAPE_VERSION}): "
            "update exit-reactor"
        )
    if version != TAPE_VERSION:
        raise TapeError(f"{name}: tape version {version} does not exist; it must be {TAPE_VERSION}")
    try:
        return _decode_header(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise TapeError(f"{name}: the tape's header is wrong: {_phrase(error)}") from None


def _why_no_header(raw: bytes) -> str:
    first, _, rest = raw.partition(b" ")
    if first.isdigit() and rest.startswith(b"{"):
        return "this looks like an hftbacktest recording: `reactor tape import --from hftbacktest`"
    if raw.startswith((b"wss://", b"configuration:", b"https://")):
        return "this looks like a cryptofeed recording: `reactor tape import --from cryptofeed`"
    try:
        _decode_line(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return 'its first line must be a header like {"tape":1,"created":"…","environment":"…"}'
    return 'the header is missing: put a line {"tape":1} before the first message'


def is_whole_json(raw: bytes) -> bool:
    """Tell whether bytes are one complete JSON value."""
    try:
        skip_json(raw)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def _phrase(error: Exception) -> str:
    what, _, where = str(error).removeprefix("JSON is malformed: ").partition(" - at `$")
    what = what[:1].lower() + what[1:]
    key = where.strip(".`")
    return f"`{key}`: {what}" if key else what
