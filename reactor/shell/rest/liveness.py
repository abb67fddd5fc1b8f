"""Whether a route is alive: connected is not enough, a real message has to come."""

import asyncio
from typing import Final

import msgspec

from reactor.errors import ConnectFailed
from reactor.shell.transport.seam import Socket, SocketEnd, SocketOptions, Transport

QUESTION: Final = b'{"method":"LIST_SUBSCRIPTIONS","id":1}'
"""Streams always answer it, also where nothing happens in the market or on the account."""


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """What came of listening.

    Attributes:
        connected: whether a socket came about. `heard`: whether the wanted message came.
        spoke: whether anything came at all. `after_ms`: when the wanted one came, from the start.
        reason: why not, in a phrase.
    """

    connected: bool
    heard: bool
    spoke: bool = False
    after_ms: float = 0.0
    reason: str = ""


class _Listener:
    """Waits for a message that holds a given text."""

    def __init__(self, wanted: bytes) -> None:
        self.done = asyncio.Event()
        self.heard = False
        self.spoke = False
        self.end = ""
        self._wanted = wanted

    def on_message(self, message: bytes) -> None:
        self.spoke = True
        if self._wanted in message:
            self.heard = True
            self.done.set()

    def on_end(self, end: SocketEnd) -> None:
        self.end = f"the exchange ended the connection ({end.code} {end.reason}".rstrip() + ")"
        self.done.set()

    def on_fault(self, error: Exception) -> None:
        raise AssertionError("listening raises nothing") from error


async def listen(
    transport: Transport,
    url: str,
    *,
    wanted: bytes,
    timeout_s: float,
    options: SocketOptions,
    say: bytes = b"",
) -> Probe:
    """Connects and waits for a message.

    Args:
        transport: what connects.
        url: where to. Not shown.
        wanted: a text that the message has in it.
        timeout_s: for the message, after the connection.
        options: for the connection.
        say: sent first, where anything is.
    """
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    listener = _Listener(wanted)
    try:
        socket: Socket = await transport.connect(url, listener, options=options)
    except ConnectFailed as error:
        return Probe(connected=False, heard=False, reason=str(error))
    try:
        if say:
            socket.send(say)
        async with asyncio.timeout(timeout_s):
            await listener.done.wait()
    except TimeoutError:
        pass
    finally:
        after_ms = (loop.time() - began_s) * 1000
        end = listener.end
        socket.close()
        await _farewell(listener, options.close_timeout_s)
    reason = end or f"connected, but nothing came for {timeout_s:g} s"
    return Probe(
        connected=True,
        heard=listener.heard,
        spoke=listener.spoke,
        after_ms=after_ms,
        reason="" if listener.heard else reason,
    )


async def _farewell(listener: _Listener, timeout_s: float) -> None:
    """Lets the close handshake happen, so that nothing is left open behind."""
    if listener.end:
        return
    listener.done.clear()
    try:
        async with asyncio.timeout(timeout_s + 0.5):
            await listener.done.wait()
    except TimeoutError:
        pass
