"""cryptofeed's raw data collection: `<unix seconds>: <frame>` lines.

Lines that start with a socket's address or with `configuration:` are headers. In the files of REST
requests a line is `<url> -> <unix seconds>: <body>`; it becomes a `rest` line with the URL's path
and parameters.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from reactor.shell.importers.frames import channel_of, rest_answer
from reactor.shell.importers.source import (
    Account,
    ImportOptions,
    RawMessage,
    is_json_frame,
    numbered_lines,
    whole_int64,
)

_HEADERS = (b"wss://", b"ws://", b"configuration:")
_REQUEST = re.compile(rb"(https?://\S+) -> ([0-9.]+): ")


def read_cryptofeed(
    path: Path,
    options: ImportOptions,  # noqa: ARG001 - every importer takes them
    account: Account,
) -> Iterator[RawMessage]:
    """Read one recording. See the module's text for the format."""
    for number, line in numbered_lines(path, account):
        if line.startswith(_HEADERS):
            account.skipped["header lines"] += 1
            continue
        request = _REQUEST.match(line)
        if request:
            seconds, content = request.group(2), line[request.end() :]
        else:
            seconds, _, content = line.partition(b": ")
        t_recv_ns = nanoseconds_of(seconds)
        if t_recv_ns is None:
            account.drop("no receive time at the start of the line", path, number)
        elif not is_json_frame(content):
            account.drop("the frame is not whole JSON", path, number)
        elif request:
            try:
                message = _answer(request.group(1), content)
            except ValueError:
                account.drop("the address of the request is none", path, number)
                continue
            yield RawMessage(t_recv_ns, "rest", message)
        else:
            yield RawMessage(t_recv_ns, channel_of(content), content)


def _answer(address: bytes, body: bytes) -> bytes:
    url = urlsplit(address.decode("utf-8", "replace"))
    return rest_answer(url.path, dict(parse_qsl(url.query)), body)


def nanoseconds_of(seconds: bytes) -> int | None:
    """Turn decimal seconds into nanoseconds exactly, without a float between; None if it is none."""
    whole, _, fraction = seconds.partition(b".")
    if fraction and not fraction.isdigit():
        return None
    return whole_int64(whole + fraction[:9].ljust(9, b"0")) if whole else None
