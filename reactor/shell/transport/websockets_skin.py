"""The portable socket: the Sans-I/O protocol of `websockets` on an asyncio protocol of our own.

The library's own connection object hands messages to a task through a queue, and sends through a coroutine:
each costs turns of the loop. Here its parser is fed in the read callback and what comes out is delivered there
and then.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final, cast

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHandshake, InvalidMessage, InvalidStatus, NegotiationError
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from reactor.errors import ConnectFailed
from reactor.shell.transport.address import Address, read_address, status_text
from reactor.shell.transport.dial import SILENT_LOGGER, abandon, attempt, open_tcp
from reactor.shell.transport.line import Line
from reactor.shell.transport.seam import Socket, SocketHandler, SocketOptions

_TEXT: Final = Opcode.TEXT
_BINARY: Final = Opcode.BINARY
_CONT: Final = Opcode.CONT
_CLOSE: Final = Opcode.CLOSE

PREPARED_MAX: Final = 256
"""Of the messages that are framed already."""


class WebsocketsSocket(Line, asyncio.Protocol):
    """One connection."""

    def __init__(self, address: Address, handler: SocketHandler, options: SocketOptions) -> None:
        super().__init__(handler, options)
        self._transport: asyncio.Transport | None = None
        self._wire = ClientProtocol(
            parse_uri(address.url),
            extensions=None,
            max_size=options.message_bytes_max,
            logger=SILENT_LOGGER,
        )
        self._parts: bytearray | None = None
        self._prepared: dict[bytes, bytes] = {}
        self.opened: asyncio.Future[None] = self._loop.create_future()

    # What the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TCP, and TLS where there is one, are up: ask for the upgrade."""
        # uvloop's transports are no subclasses of asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self._wire.send_request(self._wire.connect())
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Takes what came, and delivers the messages that became whole."""
        self._heard = True
        wire = self._wire
        wire.receive_data(data)
        if wire.writes:
            self._flush()
        events = wire.events_received()
        last = len(events) - 1
        for number, event in enumerate(events):
            if isinstance(event, Frame):
                self.more = number < last
                self._take(event)
            elif wire.handshake_exc is None and not self._ended:
                self._begin()
                if not self.opened.done():
                    self.opened.set_result(None)
        if wire.handshake_exc is not None:
            self._refuse(wire.handshake_exc)
        elif wire.parser_exc is not None:
            self._broken()

    def eof_received(self) -> bool:
        """The peer has ended TCP: so do we."""
        self._wire.receive_eof()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        if not self.opened.done():
            self.opened.set_exception(EOFError())
            self.opened.exception()  # nobody may be waiting any more
            self.give_up()
        self._lost("the connection was lost without a farewell")

    # Frames

    def _take(self, frame: Frame) -> None:
        opcode = frame.opcode
        if opcode is _TEXT or opcode is _BINARY:
            if frame.fin:
                self._deliver(bytes(frame.data))
            else:
                self._parts = bytearray(frame.data)
        elif opcode is _CONT:
            if self._parts is None:
                return
            self._parts += frame.data
            if frame.fin:
                message, self._parts = bytes(self._parts), None
                self._deliver(message)
        elif opcode is _CLOSE and self._wire.close_rcvd is not None:
            self._farewell_came(self._wire.close_rcvd.code, self._wire.close_rcvd.reason)
            # The server is asked to end TCP first, but a new connection should not have to wait for it.
            if self._transport is not None:
                self._transport.close()
            self._cut_later("the connection would not end")

    def _deliver(self, message: bytes) -> None:
        try:
            self._on_message(message)
        except Exception as error:  # noqa: BLE001 -- the loop would cut the connection
            self._fault(error)

    def _broken(self) -> None:
        """The library found a broken rule and has told the peer, unless a farewell had been said before."""
        sent = self._wire.close_sent
        if sent is None or self._closing:
            self._cut("what came breaks the protocol")
        else:
            self._fail(sent.code, sent.reason or "what came breaks the protocol", told=True)

    def _refuse(self, error: Exception) -> None:
        if not self.opened.done():
            self.opened.set_exception(error)
            self.opened.exception()  # nobody may be waiting any more
        if self._transport is not None:
            self._transport.abort()

    # The wire

    def _flush(self) -> None:
        transport = self._transport
        for data in self._wire.data_to_send():
            if data and transport is not None:
                transport.write(data)

    def _write_wire(self, message: bytes) -> None:
        if self._wire.state is State.OPEN:
            self._wire.send_text(message)
            self._flush()

    def _ping_wire(self) -> None:
        if self._wire.state is State.OPEN:
            self._wire.send_ping(b"")
            self._flush()

    def _close_wire(self, code: int, reason: str) -> None:
        if self._wire.state is State.OPEN:
            self._wire.send_close(code, reason)
            self._flush()

    def _cut_wire(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    @property
    def is_open(self) -> bool:
        """Whether messages can still be sent."""
        return self._open and self._wire.state is State.OPEN

    def send(self, message: bytes) -> bool:
        """Writes a text message at once; False where the connection is over or was cut by this."""
        data = self._prepared.pop(message, None)
        if data is None or not self.is_open or self._transport is None:
            return self._wire.state is State.OPEN and super().send(message)
        self._transport.write(data)
        return self.is_within_bounds()

    def prepare(self, message: bytes) -> None:
        """Frames a message that may be sent soon, once."""
        if message and message not in self._prepared:
            if len(self._prepared) >= PREPARED_MAX:
                self._prepared.clear()  # they lie until they are sent, and most never are
            self._prepared[message] = Frame(_TEXT, message).serialize(mask=True)

    @property
    def unsent_bytes(self) -> int:
        """What waits to be sent."""
        if self._transport is None or self._ended:
            return 0
        return self._transport.get_write_buffer_size()


class WebsocketsTransport:
    """Connects with websockets."""

    name = "websockets"

    def __init__(self) -> None:
        self._trusted: ssl.SSLContext | None = None

    async def connect(self, url: str, handler: SocketHandler, *, options: SocketOptions) -> Socket:
        """Connects; see `Transport.connect`."""
        address = read_address(url)
        line: WebsocketsSocket | None = None
        opened: socket.socket | None = None
        try:
            async with attempt(address, options):
                opened = await open_tcp(address, options)
                line = WebsocketsSocket(address, handler, options)
                await self._shake_hands(address, opened, line, options)
        except BaseException:
            if line is not None:
                line.give_up()
            if opened is not None:
                abandon(opened, within_s=options.close_timeout_s)
            raise
        return line

    async def _shake_hands(
        self,
        address: Address,
        opened: socket.socket,
        line: WebsocketsSocket,
        options: SocketOptions,
    ) -> None:
        tls = None
        if address.is_tls:
            tls = options.tls or self._system_trust()
        refusal = ""
        try:
            await _create_connection()(
                lambda: line,
                sock=opened,
                ssl=tls,
                server_hostname=address.host if address.is_tls else None,
            )
            await line.opened
        except InvalidStatus as error:
            refusal = status_text(error.response.status_code)
        except InvalidMessage:
            refusal = "it does not speak HTTP"
        except NegotiationError:
            refusal = "it insists on an extension that was not asked for"
        except InvalidHandshake:
            refusal = "it answered the upgrade wrongly"
        if refusal:
            raise ConnectFailed(f"cannot connect to {address.shown}: {refusal}")

    def _system_trust(self) -> ssl.SSLContext:
        """Made once: reading the roots takes many milliseconds."""
        if self._trusted is None:
            self._trusted = ssl.create_default_context()
        return self._trusted


def _create_connection() -> Callable[..., Coroutine[Any, Any, object]]:
    """What connects: aiofastnet's transports, where it is there: they write at once, uvloop's at the end of the turn."""
    loop = asyncio.get_running_loop()
    try:
        from aiofastnet import create_connection  # noqa: PLC0415 - this skin works without compiled packages
    except ImportError:
        return loop.create_connection
    return partial(create_connection, loop)
