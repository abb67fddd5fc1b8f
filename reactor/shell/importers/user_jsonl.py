"""Recorded user-data events: `{"session": name, "seq": n, "msg": event}` lines.

Events become `private` lines. Such files have no receive time: the event time `E` stands for it.
"""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from reactor.errors import RecordingError
from reactor.shell.importers.source import Account, ImportOptions, RawMessage, numbered_lines

_SESSIONS_NAMED_MAX = 20


class _Row(msgspec.Struct):
    msg: msgspec.Raw
    session: str = ""


class _Event(msgspec.Struct):
    E: int | str  # seen as a string in listenKeyExpired


_decode_row = msgspec.json.Decoder(_Row).decode
_decode_event = msgspec.json.Decoder(_Event).decode


def read_user_jsonl(path: Path, options: ImportOptions, account: Account) -> Iterator[RawMessage]:
    """Read one file, or one session of it, in the file's order.

    Raises:
        RecordingError: the session that was asked for is not there; the message names those that are.
    """
    sessions: dict[str, None] = {}
    for number, line in numbered_lines(path, account):
        try:
            row = _decode_row(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            account.drop("not a line with a msg", path, number)
            continue
        if len(sessions) < _SESSIONS_NAMED_MAX or row.session == options.session:
            sessions[row.session] = None
        if options.session is not None and row.session != options.session:
            account.skipped["lines of other sessions"] += 1
            continue
        t_recv_ns = _event_time_ns(row.msg)
        if t_recv_ns is None:
            account.drop("the event has no time E", path, number)
            continue
        account.note("receive times are the events' own times E")
        yield RawMessage(t_recv_ns, "private", bytes(row.msg))
    if options.session is not None and options.session not in sessions:
        known = ", ".join(sessions) or "none"
        raise RecordingError(f"{path}: no session {options.session!r}; there are: {known}")


def _event_time_ns(event: msgspec.Raw) -> int | None:
    try:
        event_time_ms = int(_decode_event(event).E)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    t_recv_ns = event_time_ms * 1_000_000
    return t_recv_ns if 0 <= t_recv_ns < 1 << 63 else None
