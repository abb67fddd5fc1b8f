"""The seam between feeds and sockets: what a WebSocket client must do for us, whatever library does it.

A handler is called synchronously from the loop's read callback, with whole messages. What it raises never
reaches the library: the skin catches it, counts it, and hands it to `on_fault`.
"""

import ssl
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import msgspec

from reactor.limits import FRAME_BYTES_MAX

TEXT_SHOWN_CHARS_MAX = 200
"""How much of a close reason or a failure is kept: it comes from outside."""


class SocketOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a socket behaves. Nothing is left to a library's defaults.

    Attributes:
        connect_timeout_s: for TCP, TLS and the handshake together.
        close_timeout_s: how long a farewell may take before the connection is cut.
        ping_interval_s: how long nothing may come before we ping; None never pings.
        ping_timeout_s: how long the answer to our ping may take; the socket is then cut as half-open.
        message_bytes_max: a longer message ends the connection (1009).
        send_bytes_max: what may wait to be sent; beyond it the connection is cut (back-pressure).
        proxy: `http://host:port` or `socks5://host:port`; None connects directly, whatever the environment
            says.
        tls: the context for `wss://`; None takes the system's trusted roots.
    """

    connect_timeout_s: float = 5.0
    close_timeout_s: float = 1.0
    ping_interval_s: float | None = 20.0
    ping_timeout_s: float = 10.0
    message_bytes_max: int = FRAME_BYTES_MAX
    send_bytes_max: int = 1 << 20
    proxy: str | None = None
    tls: ssl.SSLContext | None = None


class SocketEnd(msgspec.Struct, frozen=True, kw_only=True):
    """Why a connection is over.

    Attributes:
        code: the WebSocket close code; 1006 where there was no farewell.
        reason: a phrase, free of credentials.
        by_us: whether we ended it.
    """

    code: int
    reason: str
    by_us: bool


class SocketHandler(Protocol):
    """What reacts to one connection."""

    def on_message(self, message: bytes) -> None:
        """Takes a whole text or binary message, in the read callback; must be quick and not await."""
        ...

    def on_end(self, end: SocketEnd) -> None:
        """The connection is over. Called exactly once for every connection that was made."""
        ...

    def on_fault(self, error: Exception) -> None:
        """`on_message` raised this. The connection goes on."""
        ...


@runtime_checkable
class PriceHandler(Protocol):
    """A handler of prices. A socket may have them go to `give` directly, and then counts them in `delivered`."""

    delivered: int
    route: str
    give: Callable[..., None]


class Socket(Protocol):
    """One open connection."""

    @property
    def more(self) -> bool:
        """While `on_message` runs: whether the same read brought another message, which follows in this turn.

        False where a skin cannot tell.
        """
        ...

    @property
    def is_open(self) -> bool:
        """Whether messages can still be sent."""
        ...

    @property
    def unsent_bytes(self) -> int:
        """What waits to be sent."""
        ...

    def send(self, message: bytes) -> bool:
        """Writes a text message at once, in this turn of the loop.

        Returns:
            False where the connection is over, or was cut because too much waits to be sent: then nothing
            is known to have left. False for an empty message, which is never written.
        """
        ...

    def prepare(self, message: bytes) -> None:
        """Makes ready what `send` will need for this message, where there is anything. Nothing is written."""
        ...

    def close(self, *, code: int = 1000, reason: str = "") -> None:
        """Says farewell; `on_end` follows within `close_timeout_s`. Harmless when repeated."""
        ...

    def abort(self) -> None:
        """Cuts the connection without a farewell; `on_end` follows in this or the next turn."""
        ...


class Transport(Protocol):
    """Makes connections."""

    name: str

    async def connect(self, url: str, handler: SocketHandler, *, options: SocketOptions) -> Socket:
        """Connects.

        Messages may reach the handler before this returns. Cancelling it leaves nothing open.

        Raises:
            ConnectFailed: refused, timed out, no TLS, not a WebSocket, a status that is not 101. The message
                names host and cause, never the URL's query or path (they may hold a listen key).
        """
        ...
