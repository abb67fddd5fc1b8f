"""The fast socket: picows parses in C and calls back while it reads; this skin makes it behave like any other.

What picows leaves to its caller and is done here: it hands out frames, so fragments are joined; it cuts the
connection when a callback raises, so nothing raises; it accepts compression that nobody asked for, and frames
that continue nothing, so both end the connection; it forgets the connection when `ws_connect` is cancelled,
so the socket under it is opened, and ended, by us.
"""

import asyncio
import contextlib
import re
import socket
import ssl
from typing import TYPE_CHECKING, Any, Final, cast

from picows import (
    WSCloseCode,
    WSFrame,
    WSHandshakeError,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    WSUpgradeResponse,
    ws_connect,
)
from picows.url import WSParsedURL

from reactor import compiled
from reactor.errors import ConnectFailed
from reactor.shell.transport.address import Address, read_address, status_text
from reactor.shell.transport.dial import SILENT_LOGGER, abandon, attempt, open_tcp
from reactor.shell.transport.line import NO_CODE, OK, PROTOCOL_ERROR, TOO_BIG, Line
from reactor.shell.transport.seam import PriceHandler, Socket, SocketHandler, SocketOptions

if TYPE_CHECKING or compiled.hot is None:
    from reactor.shell.transport.picows_frames import FrameListener
else:
    FrameListener = compiled.hot.FrameListener

# An attribute of an enumeration is looked up each time it is named.
_TEXT: Final = WSMsgType.TEXT
_BINARY: Final = WSMsgType.BINARY
_CONTINUATION: Final = WSMsgType.CONTINUATION
_PING: Final = WSMsgType.PING
_CLOSE: Final = WSMsgType.CLOSE

READ_BYTES: Final = 1 << 16
"""What one read may bring: a burst's prices should be seen at once."""

_STATUS: Final = re.compile(rb"HTTP/1\.[01] (\d{3})\b")


class PicowsSocket(FrameListener, Line):
    """One connection."""

    def __init__(self, handler: SocketHandler, options: SocketOptions) -> None:
        self._parts: bytearray | None = None
        self._picows: WSTransport | None = None
        Line.__init__(self, handler, options)
        if isinstance(handler, PriceHandler):
            self.look_with(handler, handler.route, handler.give, options.message_bytes_max)
        self._asked: asyncio.Task[None] | None = None

    # What picows calls

    def on_ws_connected(self, transport: WSTransport) -> None:
        """The handshake is done."""
        self._picows = transport
        # picows keeps what went wrong in a future, which complains in a log when nobody ever asks.
        self._asked = self._loop.create_task(_ask(transport), name="end of a picows connection")
        if self._ended:
            transport.disconnect(graceful=False)
        else:
            self._begin()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """The connection is gone."""
        if transport.is_close_frame_sent and not self._closing:
            self._fail_as_told(transport)
        self._lost("the connection was lost without a farewell")

    def _mute(self) -> None:
        super()._mute()
        self.look_no_more()

    def pause_writing(self) -> None:
        """Without an answer picows warns in a log; `send` looks at what waits itself."""

    def resume_writing(self) -> None:
        """See `pause_writing`."""

    # Frames off the short way

    def _take_other(self, transport: WSTransport, frame: WSFrame) -> None:
        if self._end is not None:
            return
        if not transport.is_close_frame_sent or self._closing:
            self._take(transport, frame)
            return
        # picows parses one frame ahead: what it refused is the next one, and this one is good. An oversized
        # frame it refuses, and yet hands out where the rest of it comes before the end.
        if frame.payload_size <= self._options.message_bytes_max:
            self._take(transport, frame)
        self._fail_as_told(transport)

    def _fail_as_told(self, transport: WSTransport) -> None:
        """Picows found a broken rule, and has told the peer."""
        sent = transport.close_handshake.sent
        if sent is not None:
            self._fail(sent.code.value, sent.reason, told=True)

    def _take(self, transport: WSTransport, frame: WSFrame) -> None:
        kind = frame.msg_type
        if frame.rsv1 or frame.rsv2 or frame.rsv3:
            self._fail(PROTOCOL_ERROR, "a frame with reserved bits, which nobody agreed on")
        elif kind is _TEXT or kind is _BINARY:
            if self._parts is not None:
                self._fail(PROTOCOL_ERROR, "a new message inside a fragmented one")
            elif frame.fin:
                self._deliver(frame.get_payload_as_bytes())
            else:
                self._parts = bytearray(frame.get_payload_as_memoryview())
        elif kind is _CONTINUATION:
            self._continue(frame)
        elif kind is _PING:
            transport.send_pong(frame.get_payload_as_bytes())
        elif kind is _CLOSE:
            self._take_farewell(transport, frame)

    def _continue(self, frame: WSFrame) -> None:
        parts = self._parts
        if parts is None:
            self._fail(PROTOCOL_ERROR, "a continuation of nothing")
            return
        if len(parts) + frame.payload_size > self._options.message_bytes_max:
            self._parts = None
            self._fail(TOO_BIG, f"a message over {self._options.message_bytes_max} bytes")
            return
        parts += frame.get_payload_as_memoryview()
        if frame.fin:
            self._parts = None
            self._deliver(bytes(parts))

    def _take_farewell(self, transport: WSTransport, frame: WSFrame) -> None:
        payload = frame.get_payload_as_bytes()
        code = int.from_bytes(payload[:2], "big") if payload else NO_CODE
        if not self._closing:
            _send_close(transport, code if payload else OK, "")
        self._farewell_came(code, payload[2:].decode(errors="replace"))
        # The server is asked to end TCP first, but a new connection should not have to wait for it.
        transport.disconnect(graceful=True)
        self._cut_later("the connection would not end")

    def _deliver(self, message: bytes) -> None:
        try:
            self._on_message(message)
        except Exception as error:  # noqa: BLE001 -- picows would cut the connection
            self._fault(error)

    # The wire

    def _write_wire(self, message: bytes) -> None:
        if self._picows is None:
            return
        if self._picows.is_close_frame_sent:
            # picows has found a broken rule and told the peer; nobody tells us, and it drops what is sent.
            self._fail_as_told(self._picows)
        else:
            self._picows.send(_TEXT, message)

    def prepare(self, message: bytes) -> None:
        """Nothing: picows frames a message while it writes it."""

    def _ping_wire(self) -> None:
        if self._picows is not None:
            self._picows.send_ping()

    def _close_wire(self, code: int, reason: str) -> None:
        if self._picows is not None:
            _send_close(self._picows, code, reason)

    def _cut_wire(self) -> None:
        if self._picows is not None:
            self._picows.disconnect(graceful=False)

    @property
    def unsent_bytes(self) -> int:
        """What waits to be sent."""
        if self._picows is None or self._ended:
            return 0
        return int(self._picows.underlying_transport.get_write_buffer_size())


class PicowsTransport:
    """Connects with picows."""

    name = "picows"

    def __init__(self) -> None:
        self._trusted: ssl.SSLContext | None = None

    async def connect(self, url: str, handler: SocketHandler, *, options: SocketOptions) -> Socket:
        """Connects; see `Transport.connect`."""
        address = read_address(url)
        line = PicowsSocket(handler, options)
        opened: list[socket.socket] = []

        async def open_socket(_url: WSParsedURL) -> socket.socket:
            opened.append(await open_tcp(address, options))
            return opened[0]

        def take(_request: WSUpgradeRequest, response: WSUpgradeResponse) -> PicowsSocket:
            if "sec-websocket-extensions" in response.headers:
                raise ConnectFailed(
                    f"cannot connect to {address.shown}: it insists on an extension that was not asked for"
                )
            return line

        try:
            async with attempt(address, options):
                await self._shake_hands(address, open_socket, take, options)
        except BaseException:
            line.give_up()
            for sock in opened:
                abandon(sock, within_s=options.close_timeout_s)
            raise
        return line

    async def _shake_hands(
        self, address: Address, open_socket: Any, take: Any, options: SocketOptions
    ) -> None:
        refusal = ""
        tls = None
        if address.is_tls:
            tls = options.tls or self._system_trust()
        try:
            answer: tuple[object, object] = await ws_connect(
                take,
                address.url,
                ssl_context=tls,
                disconnect_on_exception=False,
                websocket_handshake_timeout=None,
                logger_name=SILENT_LOGGER,
                enable_auto_ping=False,
                enable_auto_pong=False,
                max_frame_size=options.message_bytes_max,
                max_redirects=0,
                proxy=None,
                socket_factory=open_socket,
                use_aiofastnet=True,
                read_buffer_init_size=READ_BYTES,
            )
            if answer[1] is None:  # what picows returns where the peer hung up instead of answering
                refusal = "the connection ended before the handshake was done"
        except WSHandshakeError as error:
            refusal = _refusal(error)
        if refusal:
            raise ConnectFailed(f"cannot connect to {address.shown}: {refusal}")

    def _system_trust(self) -> ssl.SSLContext:
        """Made once: reading the roots takes many milliseconds."""
        if self._trusted is None:
            self._trusted = ssl.create_default_context()
        return self._trusted


def _refusal(error: WSHandshakeError) -> str:
    """Why the upgrade failed: the status where there is one. Headers and bodies are not shown."""
    found = _STATUS.match(error.raw_header or b"")
    if found is None:
        return "it does not speak HTTP"
    status = int(found[1])
    return "it answered the upgrade wrongly" if status == 101 else status_text(status)


async def _ask(transport: WSTransport) -> None:
    with contextlib.suppress(Exception):
        await transport.wait_disconnected()


def _send_close(transport: WSTransport, code: int, reason: str) -> None:
    """Codes from 3000 on are the peers' own, and no members of picows' enumeration; it takes their numbers."""
    transport.send_close(cast("WSCloseCode", code), reason)
