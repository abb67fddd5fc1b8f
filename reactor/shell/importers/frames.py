"""Which tape channel a recorded frame belongs to, and frames made from tables."""

import re
from typing import Any

import orjson

from reactor.shell.tape_format import Channel

_EVENT = re.compile(rb'"e"\s*:\s*"(\w+)"')
#: What the exchange sends on its /public route; the rest of the market data is on /market.
_PUBLIC_EVENTS = frozenset({b"bookTicker", b"depthUpdate", b"trade"})
_EVENT_WITHIN_BYTES = 256  # the event name stands at the front, also in an envelope


def channel_of(frame: bytes) -> Channel:
    """Tell the channel from the event's name; account events are written in capitals."""
    found = _EVENT.search(frame, 0, _EVENT_WITHIN_BYTES)
    if found is None:
        return "market"
    event = found.group(1)
    if event in _PUBLIC_EVENTS:
        return "public"
    if event.isupper() or event == b"listenKeyExpired":
        return "private"
    return "market"


def rest_answer(path: str, params: dict[str, Any], body: bytes) -> bytes:
    """Build the message of a `rest` line: an answered GET request.

    Args:
        path: the URL's path.
        params: the query parameters.
        body: the answer's raw JSON, kept byte for byte.
    """
    head = orjson.dumps({"method": "GET", "path": path, "params": params, "status": 200})
    return b'%b,"body":%b}' % (head[:-1], body)
