"""The TCP connection under a WebSocket, for every skin the same: direct or through the proxy that was named."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator
from typing import Final

import aiohappyeyeballs

from reactor.errors import ConnectFailed
from reactor.shell.transport.address import Address, cause_of, shown, shown_proxy
from reactor.shell.transport.seam import SocketOptions

NEXT_ADDRESS_S: Final = 0.25
"""How long one address of a name may be silent before the next is tried beside it (RFC 8305)."""

SILENT_LOGGER: Final = logging.Logger("reactor.sockets", level=logging.CRITICAL + 1)  # noqa: LOG001
"""Given to the libraries in place of theirs, which write the request line, and with it listen keys, at debug
level. It is no child of the root logger: no configuration can wake it."""


async def open_tcp(address: Address, options: SocketOptions) -> socket.socket:
    """A connected socket, non-blocking and without Nagle's delay. Cancelling leaves nothing open.

    Raises:
        OSError: the system's refusal.
        ConnectFailed: the proxy refused, or cannot be used.
    """
    if options.proxy is None:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
        sock = await aiohappyeyeballs.start_connection(found, happy_eyeballs_delay=NEXT_ADDRESS_S)
    else:
        sock = await _through_proxy(address, options, options.proxy)
    sock.setblocking(False)
    with contextlib.suppress(OSError):  # the peer may be gone already; the handshake will tell
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


async def _through_proxy(address: Address, options: SocketOptions, proxy: str) -> socket.socket:
    via = shown_proxy(proxy)
    try:
        from python_socks import ProxyConnectionError, ProxyError  # noqa: PLC0415 -- may be absent
        from python_socks.async_.asyncio import Proxy  # noqa: PLC0415 -- may be absent
    except ImportError:
        raise ConnectFailed(
            f"cannot connect to {address.shown} through {via}: install the package python-socks"
        ) from None
    refusal = ""
    try:
        # Its own limit stays out of the way: the caller's is over everything.
        return await Proxy.from_url(proxy).connect(
            address.host, address.port, timeout=options.connect_timeout_s + 1
        )
    except (ProxyError, ProxyConnectionError) as error:
        refusal = shown(str(error))
    raise ConnectFailed(f"cannot connect to {address.shown} through {via}: {refusal}")


@contextlib.asynccontextmanager
async def attempt(address: Address, options: SocketOptions) -> AsyncIterator[None]:
    """Bounds an attempt to connect, and turns whatever ends it into `ConnectFailed`.

    Raises:
        ConnectFailed: in place of every error but a cancellation. It does not carry the original, whose text
            may quote the URL.
    """
    via = "" if options.proxy is None else f" through {shown_proxy(options.proxy)}"
    failed: str = ""
    try:
        async with asyncio.timeout(options.connect_timeout_s):
            yield
    except ConnectFailed:
        raise
    except TimeoutError as error:
        # The system has its own, sooner than ours.
        failed = (
            f"no answer within {options.connect_timeout_s:g} s"
            if error.errno is None
            else cause_of(error)
        )
    except Exception as error:  # noqa: BLE001 -- libraries raise what they like; none of it may escape
        failed = cause_of(error)
    if failed:
        raise ConnectFailed(f"cannot connect to {address.shown}{via}: {failed}") from None


def abandon(sock: socket.socket, *, within_s: float) -> None:
    """Ends a connection whose making was given up, whoever holds the socket by now.

    The peer learns of it at once. A loop's transport that took the socket over sees the end and closes it in
    one of the next turns; whatever is left is closed after `within_s`.
    """
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
    loop = asyncio.get_running_loop()
    loop.call_later(within_s, _close_leftover, sock)


def _close_leftover(sock: socket.socket) -> None:
    if sock.fileno() != -1:
        sock.close()
