"""One open WebSocket without its socket: what it listens to and what it must still send."""

import re
from collections import deque
from typing import Final

import msgspec

from reactor.sim.ws_api import WsApiSession

GOING_AWAY = 1001
PUBLIC: Final = re.compile(
    r"([a-z0-9]+@(bookTicker|trade|depth(5|10|20)?(@(100|250|500)ms)?|rpiDepth@500ms)|!bookTicker)\Z"
)
MARKET: Final = re.compile(
    r"([a-z0-9]+@(aggTrade|markPrice(@1s)?|kline_[0-9]+[mhdwM]|miniTicker|ticker|forceOrder)"
    r"|!markPrice@arr(@1s)?|!miniTicker@arr|!ticker@arr|!forceOrder@arr)\Z"
)


class Close(msgspec.Struct, frozen=True):
    """The end of a connection. ``how`` is ``close``, ``reset`` or ``half_open``."""

    code: int = GOING_AWAY
    how: str = "close"


class Ping(msgspec.Struct, frozen=True):
    """A ping frame to send."""

    payload: bytes


Item = bytes | Close | Ping  # bytes are a text frame


class Connection:
    """One open WebSocket."""

    def __init__(self, number: int, route: str, *, combined: bool) -> None:
        self.number = number
        self.route = route
        self.combined = combined
        self.streams: dict[str, None] = {}
        self.keys: dict[str, frozenset[str]] = {}
        self.pending: deque[Item] = deque()
        self.session: WsApiSession | None = None
        self.closed = False
        self.opened_ms = 0
        self.muted_until_ms = 0
        self.waiting_pong_ms = 0
        self.second = -1
        self.in_second = 0
        self.ip = "127.0.0.1"
        self.held: list[tuple[str, bytes]] = []

    def serves(self, stream: str) -> bool:
        """Tell whether this route delivers a stream; every other one is acknowledged and mute.

        The un-routed address of old delivers the public streams only.
        """
        if self.route in {"public", "legacy"}:
            return PUBLIC.match(stream) is not None
        return self.route == "market" and MARKET.match(stream) is not None
